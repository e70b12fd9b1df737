"""``hearthwatch status``: what an administrator looks at first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alerts import deployment, quality
from alerts.deployment import Standing
from alerts.quality import Quality
from store import alerts, contacts, feed, gateways, messages, readings, self_watch
from store.gateways import SILENT_AFTER, Gateway
from store.migrate import lacking
from store.postgres import Database
from store.self_watch import Standing as Chain

_SLOW_S: Final = 30.0
"""A watch or a message this late is worth a look."""
_DAYS: Final = 7
"""How far back the figures of alarm quality go here; the pages have longer ones."""


async def show(database: Database) -> int:
    """Print how the service is; returns 1 when something needs somebody, else 0."""
    console, now = Console(), datetime.now(UTC)
    async with database.service() as c:
        if missing := await lacking(c):
            console.print(f"[red]The database lacks {', '.join(missing)}: run 'hearthwatch migrate'.[/]")
            return 1
        known = await gateways.gateways(c)
        lag_s = await feed.lag_s(c)
        due = await messages.oldest_due(c, now)
        waiting = await messages.waiting(c)
        chain = await self_watch.standing(c, now)
        open_alerts = await alerts.open_alerts(c)
        unusable = await readings.quarantine_size(c)
        protocols = await deployment.standing(c, now)
        week = await quality.report(c, now, _DAYS)
        channels = await contacts.channels(c)
        unreachable = await contacts.unreachable_persons(c)
    console.print(_gateways(known, now))
    late_s = 0.0 if due is None else (now - due).total_seconds()
    by_priority = Counter(a.priority for a in open_alerts)
    facts = Table(show_header=False, box=None)
    facts.add_row("watch", _judged(lag_s, f"{lag_s:.1f} s behind"))
    facts.add_row("messages waiting", _judged(late_s, f"{waiting}, the oldest for {late_s:.0f} s"))
    facts.add_row("reaching people", _reach(channels, unreachable))
    facts.add_row("calls arrive", _proved(chain, now))
    facts.add_row("open alerts", ", ".join(f"{n} {p}" for p, n in sorted(by_priority.items())) or "none")
    facts.add_row(f"alarms, {_DAYS} days", _quality(week, sum(now - a.raised_at > quality.STALE for a in open_alerts)))
    facts.add_row("in quarantine", str(unusable))
    for what, words in _protocols(protocols):
        facts.add_row(what, words)
    console.print(facts)
    late = lag_s > _SLOW_S or late_s > _SLOW_S
    unheard = unreachable > 0 or chain.is_broken(now)
    return int(late or unheard or protocols.needs_somebody or any(_is_silent(g, now) for g in known))


def _reach(channels: list[str], unreachable: int) -> str:
    if not {"sms", "voice"} & set(channels):
        return "[red]by no telephone: nobody is called[/]"
    told = f"by {', '.join(channels)}"
    return f"{told}; [red]{unreachable} do not get every message, see /admin/reach[/]" if unreachable else told


def _proved(chain: Chain, now: datetime) -> str:
    if chain.due_by is None:
        return "not tried: HEARTHWATCH_HEARTBEAT_PHONE is not set"
    words = "never proved" if chain.proved_at is None else f"proved {_age(now - chain.proved_at)} ago"
    if not chain.is_broken(now):
        return words
    return f"[red]{words}{f', {chain.stuck}' if chain.stuck else ''}[/]"


def _quality(week: Quality, stale: int) -> str:
    said = [f"{week.per_day:.1f} a day"]
    if week.messages_per_week is not None:
        said.append(f"{week.messages_per_week:.2f} messages per resident and week")
    if week.whole.closed:
        said.append(f"{week.whole.false_alarm} of {week.whole.closed} closed ones false")
    return ", ".join([*said, f"{week.whole.chattering} chattering", f"{stale} open for more than a day"])


def _protocols(standing: Standing) -> Iterator[tuple[str, str]]:
    if standing.present is None:
        yield "protocol", "none yet: the service takes the shipped one when it first runs"
        return
    yield "protocol", f"{standing.present.version}, in force since {_minute(standing.present.at)}"
    if standing.unreadable:
        yield "", f"[red]this release cannot read it, and judges by the shipped one: {escape(standing.unreadable)}[/]"
    if coming := standing.coming:
        yield "", f"{coming.version} comes into force at {_minute(coming.at)}"
    if standing.waiting:
        yield (
            "",
            f"[red]{standing.waiting} came with this release and waits: 'hearthwatch protocol diff', then activate or decline[/]",
        )


def _minute(at: datetime) -> str:
    return at.astimezone().isoformat(sep=" ", timespec="minutes")


def _gateways(known: list[Gateway], now: datetime) -> Table:
    table = Table("gateway", "state", "last heard of", "waiting", "refused", "clock", "version", title="Gateways")
    for g in known:
        table.add_row(
            g.name,
            _state(g, now),
            "never" if g.last_seen_at is None else f"{_age(now - g.last_seen_at)} ago",
            "" if g.outbox_waiting is None else str(g.outbox_waiting),
            "" if g.quarantined is None else str(g.quarantined),
            "" if g.clock_error_s is None else f"{g.clock_error_s:+.1f} s",
            g.version or "",
        )
    return table


def _is_silent(g: Gateway, now: datetime) -> bool:
    paired = g.paired_at is not None and g.revoked_at is None
    return paired and (g.last_seen_at is None or now - g.last_seen_at > SILENT_AFTER)


def _state(g: Gateway, now: datetime) -> str:
    if g.revoked_at is not None:
        return "[dim]revoked[/]"
    if g.paired_at is None:
        return "[yellow]waits for its code[/]"
    return "[red]silent[/]" if _is_silent(g, now) else "[green]well[/]"


def _judged(seconds: float, words: str) -> str:
    return f"[red]{words}[/]" if seconds > _SLOW_S else words


def _age(age: timedelta) -> str:
    seconds = age.total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
