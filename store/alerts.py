"""Alerts, their trail, and what the resident is being asked meanwhile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import sql
from psycopg.types.json import Jsonb

from store.postgres import Connection, one, rows, value

_ALERT: Final[LiteralString] = (
    "id, resident_id, rule, protocol, priority, kind, state, happened_at, raised_at, evidence, reply_code, step, rounds, call, climb_at, "
    "exhausted_at, acknowledged_at, acknowledged_by, attended_at, attended_by, shelved_until, cancelled_at, cleared_at, resolved_at, "
    "resolved_by, outcome"
)
_PRIORITIES: Final = ("high", "medium", "low")
_REPLY_CODE, _DEVICE = 0x636F6465, 0x64657669
_WORST_FIRST: Final[LiteralString] = " ORDER BY array_position(ARRAY['high', 'medium', 'low'], priority), raised_at"


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert as it stands. ``evidence`` holds the values that raised it."""

    id: int
    resident_id: int
    rule: str
    protocol: str
    priority: str
    kind: str
    state: str
    happened_at: datetime
    raised_at: datetime
    evidence: dict[str, Any]
    reply_code: int | None
    step: int
    rounds: int
    call: int
    climb_at: datetime | None
    exhausted_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: UUID | None
    attended_at: datetime | None
    attended_by: UUID | None
    shelved_until: datetime | None
    cancelled_at: datetime | None
    cleared_at: datetime | None
    resolved_at: datetime | None
    resolved_by: UUID | None
    outcome: str | None


@dataclass(frozen=True, slots=True)
class TrailRow:
    """One thing that happened to an alert: who did what, when, by which channel."""

    alert_id: int
    at: datetime
    kind: str
    person_id: UUID | None
    name_zh: str | None
    name_en: str | None
    channel: str | None
    detail: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a resident is asked on her own page before anybody is called, in the words of that ``protocol``."""

    id: int
    resident_id: int
    rule: str
    kind: str
    asked_at: datetime
    until: datetime
    protocol: str | None = None


@dataclass(frozen=True, slots=True)
class NewAlert:
    """An alert to be opened, with the values that raise it."""

    resident_id: int
    rule: str
    protocol: str
    priority: str
    kind: str
    happened_at: datetime
    raised_at: datetime
    evidence: Mapping[str, Any]


async def insert(c: Connection, new: Sequence[NewAlert]) -> list[AlertRow]:
    """Open alerts, except where this rule has one open for this resident, or had one of this moment; those opened, in order."""
    if not new:
        return []
    made = await rows(
        c,
        AlertRow,
        "INSERT INTO alert (resident_id, rule, protocol, priority, kind, state, happened_at, raised_at, evidence) "
        "SELECT resident_id, rule, protocol, priority, kind, 'raised', happened_at, raised_at, evidence FROM unnest(%s::int[], %s::text[], "
        "%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::jsonb[]) WITH ORDINALITY "
        "new (resident_id, rule, protocol, priority, kind, happened_at, raised_at, evidence, n) ORDER BY n "
        "ON CONFLICT DO NOTHING RETURNING " + _ALERT,
        [
            [alert.resident_id for alert in new],
            [alert.rule for alert in new],
            [alert.protocol for alert in new],
            [alert.priority for alert in new],
            [alert.kind for alert in new],
            [alert.happened_at for alert in new],
            [alert.raised_at for alert in new],
            [Jsonb(dict(alert.evidence)) for alert in new],
        ],
    )
    return sorted(made, key=lambda row: row.id)


async def alert(c: Connection, alert_id: int) -> AlertRow | None:
    """One alert, or ``None`` when there is none or the connection may not see it."""
    return await one(c, AlertRow, "SELECT " + _ALERT + " FROM alert WHERE id = %s", [alert_id])


async def for_update(c: Connection, alert_id: int) -> AlertRow | None:
    """One alert, held until the transaction ends: nobody else changes it meanwhile."""
    return await one(c, AlertRow, "SELECT " + _ALERT + " FROM alert WHERE id = %s FOR UPDATE", [alert_id])


async def for_update_all(c: Connection, alert_ids: Sequence[int]) -> list[AlertRow]:
    """These alerts, the worst first, held until the transaction ends."""
    found = await rows(
        c, AlertRow, "SELECT " + _ALERT + " FROM alert WHERE id = ANY(%s) ORDER BY id FOR UPDATE", [list(alert_ids)]
    )
    return sorted(found, key=lambda row: (_PRIORITIES.index(row.priority), row.raised_at, row.id))


async def open_of(c: Connection, resident_id: int, rule: str) -> AlertRow | None:
    """The open alert of one rule, held until the transaction ends."""
    return await one(
        c,
        AlertRow,
        "SELECT "
        + _ALERT
        + " FROM alert WHERE resident_id = %s AND rule = %s AND state NOT IN ('resolved', 'expired') FOR UPDATE",
        [resident_id, rule],
    )


async def open_of_residents(c: Connection, resident_ids: Sequence[int]) -> list[AlertRow]:
    """Every open alert of these residents, held until the transaction ends, in the order of their numbers."""
    return await rows(
        c,
        AlertRow,
        "SELECT "
        + _ALERT
        + " FROM alert WHERE resident_id = ANY(%s) AND state NOT IN ('resolved', 'expired') ORDER BY id FOR UPDATE",
        [list(resident_ids)],
    )


async def open_rules(c: Connection, resident_ids: Sequence[int]) -> set[tuple[int, str]]:
    """The open alerts of these residents, as (resident, rule)."""
    cursor = await c.execute(
        "SELECT resident_id, rule FROM alert WHERE state NOT IN ('resolved', 'expired') AND resident_id = ANY(%s)",
        [list(resident_ids)],
    )
    return set(await cursor.fetchall())


async def closed_at(c: Connection, alarms: Sequence[tuple[int, str]]) -> dict[tuple[int, str], datetime]:
    """When the newest alert of each of these (resident, rule) was closed, where one was."""
    cursor = await c.execute(
        "SELECT resident_id, rule, max(resolved_at) FROM alert WHERE resolved_at IS NOT NULL "
        "AND (resident_id, rule) IN (SELECT * FROM unnest(%s::int[], %s::text[])) GROUP BY resident_id, rule",
        [[resident for resident, _ in alarms], [rule for _, rule in alarms]],
    )
    return {(resident, rule): at for resident, rule, at in await cursor.fetchall()}


async def is_said(c: Connection, resident_id: int, by: Sequence[str], missing: int | None = None) -> bool:
    """Whether an open alert of one of these rules says already what another would.

    ``missing`` is the metric that other one misses: an alert about one device then says it only if the resident has
    measured that with this device before.
    """
    return bool(
        await value(
            c,
            "SELECT EXISTS (SELECT 1 FROM alert a CROSS JOIN LATERAL (SELECT (a.evidence ->> 'device')::float8::int AS number) device "
            "WHERE a.resident_id = %(resident)s AND a.state NOT IN ('resolved', 'expired') AND a.rule = ANY(%(by)s) "
            "AND (%(missing)s::smallint IS NULL OR coalesce(device.number, 0) <= 0 OR EXISTS (SELECT 1 FROM reading r "
            "WHERE r.resident_id = a.resident_id AND r.metric = %(missing)s AND r.device_id = device.number)))",
            {"resident": resident_id, "by": list(by), "missing": missing},
        )
    )


async def is_called_about(c: Connection, rule: str, device: object, but: int) -> bool:
    """Whether another open alert of this rule names the same device, and people are called to it or will be.

    Until this transaction ends nobody else asks about this device: two workers must not both find that nobody is called.
    """
    await c.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [_DEVICE, str(device)])
    return bool(
        await value(
            c,
            "SELECT EXISTS (SELECT 1 FROM alert WHERE rule = %s AND state NOT IN ('resolved', 'expired') AND id <> %s "
            "AND evidence -> 'device' = %s AND (step > 0 OR climb_at IS NOT NULL))",
            [rule, but, Jsonb(device)],
        )
    )


async def of_who_left(c: Connection, now: datetime, limit: int) -> list[AlertRow]:
    """Open alerts about residents who have left, held for this transaction; another process's are passed over."""
    return await rows(
        c,
        AlertRow,
        "SELECT " + _ALERT + " FROM alert WHERE state NOT IN ('resolved', 'expired') AND resident_id IN "
        "(SELECT id FROM resident WHERE left_at <= %s) ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED",
        [now, limit],
    )


async def open_alerts(c: Connection, resident_id: int | None = None) -> list[AlertRow]:
    """Every open alert the connection may see, or one resident's, worst first."""
    return await rows(
        c,
        AlertRow,
        "SELECT "
        + _ALERT
        + " FROM alert WHERE state NOT IN ('resolved', 'expired') AND (%(r)s::int IS NULL OR resident_id = %(r)s)"
        + _WORST_FIRST,
        {"r": resident_id},
    )


async def of_resident(c: Connection, resident_id: int, limit: int) -> list[AlertRow]:
    """A resident's alerts, newest first: the newest ``limit``, and every older one that is still open."""
    return await rows(
        c,
        AlertRow,
        "SELECT "
        + _ALERT
        + " FROM alert WHERE resident_id = %(r)s AND (state NOT IN ('resolved', 'expired') OR id IN (SELECT id FROM alert "
        "WHERE resident_id = %(r)s ORDER BY raised_at DESC LIMIT %(limit)s)) ORDER BY raised_at DESC",
        {"r": resident_id, "limit": limit},
    )


async def due_to_climb(
    c: Connection, now: datetime, limit: int, priorities: Sequence[str] = ("high", "medium", "low")
) -> list[AlertRow]:
    """Alerts that go on by themselves now, the worst first, held for this transaction; another process's are passed over."""
    return await rows(
        c,
        AlertRow,
        "SELECT " + _ALERT + " FROM alert WHERE climb_at <= %s AND priority = ANY(%s) "
        "ORDER BY array_position(ARRAY['high', 'medium', 'low'], priority), climb_at LIMIT %s FOR UPDATE SKIP LOCKED",
        [now, list(priorities), limit],
    )


async def bring_back(c: Connection, now: datetime, slack: timedelta) -> int:
    """Let urgent alerts go on that a clock called about, or took a promise for, which has been set back since; returns how many.

    Otherwise the next call would wait until the old clock's time is reached. Those that others hold just now are passed over.
    """
    done = await c.execute(
        "UPDATE alert SET climb_at = CASE state WHEN 'acknowledged' THEN %(now)s + (climb_at - acknowledged_at) ELSE %(now)s END, "
        "acknowledged_at = CASE state WHEN 'acknowledged' THEN %(now)s ELSE acknowledged_at END WHERE id IN ("
        "SELECT a.id FROM alert a WHERE a.priority = 'high' AND a.climb_at > %(now)s AND (a.state = 'acknowledged' "
        "AND a.acknowledged_at > %(now)s + %(slack)s OR a.state IN ('raised', 'notifying') AND a.step > 0 AND %(now)s + %(slack)s < "
        "(SELECT e.at FROM alert_event e WHERE e.alert_id = a.id ORDER BY e.id DESC LIMIT 1)) ORDER BY a.id FOR UPDATE OF a SKIP LOCKED)",
        {"now": now, "slack": slack},
    )
    return done.rowcount


async def next_climb(c: Connection, priorities: Sequence[str] = ("high", "medium", "low")) -> datetime | None:
    """When the next step of any ladder is due; ``None`` when nothing waits."""
    found: datetime | None = await value(
        c, "SELECT min(climb_at) FROM alert WHERE climb_at IS NOT NULL AND priority = ANY(%s)", [list(priorities)]
    )
    return found


async def out_of_reach(c: Connection, since: Mapping[int, datetime]) -> dict[int, dict[UUID, str]]:
    """Who could not be reached about each alert since a moment of its own (``unreachable``), or ``declined`` it.

    Unreachable is whose every message of one call has failed.
    """
    cursor = await c.execute(
        "WITH asked AS (SELECT * FROM unnest(%s::bigint[], %s::timestamptz[]) a (alert_id, since)) "
        "SELECT alert_id, person_id, 'unreachable' FROM (SELECT m.alert_id, m.person_id, m.step FROM message m "
        "JOIN asked USING (alert_id) WHERE m.purpose IN ('alert', 'also') AND coalesce(m.sending_at, m.created_at) >= asked.since "
        "GROUP BY m.alert_id, m.person_id, m.step HAVING bool_and(m.state IN ('failed', 'cancelled')) AND bool_or(m.state = 'failed')) failed "
        "UNION SELECT e.alert_id, e.person_id, 'declined' FROM alert_event e JOIN asked USING (alert_id) "
        "WHERE e.kind = 'declined' AND e.person_id IS NOT NULL AND e.at >= asked.since",
        [list(since), list(since.values())],
    )
    found: dict[int, dict[UUID, str]] = {}
    for alert_id, person_id, why in await cursor.fetchall():
        found.setdefault(alert_id, {})[person_id] = why
    return found


async def called_in_step(c: Connection, alert_id: int) -> set[UUID]:
    """Whom an alert's present step has called since it began to wait: of those called one after the other, who had her turn."""
    cursor = await c.execute(
        "SELECT DISTINCT e.person_id FROM alert_event e JOIN alert a ON a.id = e.alert_id WHERE e.alert_id = %s "
        "AND e.kind IN ('called', 'climbed') AND e.person_id IS NOT NULL "
        "AND (e.detail ->> 'step')::int = a.step AND (e.detail ->> 'round')::int = a.rounds "
        "AND e.id > (SELECT coalesce(max(b.id), 0) FROM alert_event b WHERE b.alert_id = a.id "
        "AND b.kind IN ('acknowledged', 'attended', 'shelved', 'cancelled'))",
        [alert_id],
    )
    return {row[0] for row in await cursor.fetchall()}


async def called(c: Connection, alert_ids: Sequence[int]) -> dict[int, list[UUID]]:
    """Who has been called to each of these alerts, in the order in which they were first."""
    cursor = await c.execute(
        "SELECT alert_id, person_id FROM alert_event WHERE alert_id = ANY(%s) AND kind IN ('called', 'climbed') "
        "AND person_id IS NOT NULL GROUP BY alert_id, person_id ORDER BY min(id)",
        [list(alert_ids)],
    )
    found: dict[int, list[UUID]] = {}
    for alert_id, person_id in await cursor.fetchall():
        found.setdefault(alert_id, []).append(person_id)
    return found


@dataclass(frozen=True, slots=True)
class Taker:
    """Somebody who is on her way to a resident, or with her, for an alert of ``priority``."""

    resident_id: int
    priority: str
    person_id: UUID


async def takers(c: Connection, resident_ids: Sequence[int], now: datetime, there_since: datetime) -> list[Taker]:
    """Who has promised to come to these residents and still may, or has come after ``there_since`` and not left again.

    For alerts to which staff are called; the newest first.
    """
    return await rows(
        c,
        Taker,
        "SELECT a.resident_id, a.priority, a.acknowledged_by AS person_id FROM alert a WHERE a.resident_id = ANY(%(residents)s) "
        "AND a.step > 0 AND a.acknowledged_by IS NOT NULL AND ((a.state = 'acknowledged' AND a.climb_at > %(now)s) "
        "OR (a.state = 'attended' AND a.attended_at > %(there)s)) AND NOT EXISTS (SELECT FROM absence v WHERE v.alert_id = a.id "
        "AND v.person_id = a.acknowledged_by AND v.ends_at <= %(now)s) ORDER BY a.acknowledged_at DESC, a.id DESC",
        {"residents": list(resident_ids), "now": now, "there": there_since},
    )


async def conversation(c: Connection, alert_id: int) -> list[AlertRow]:
    """An alert and every other open one of its resident, held for this transaction.

    Always in the order of their numbers, so that two people who answer to different ones do not wait for each other.
    """
    return await rows(
        c,
        AlertRow,
        "SELECT " + _ALERT + " FROM alert WHERE resident_id = (SELECT resident_id FROM alert WHERE id = %(alert)s) "
        "AND (id = %(alert)s OR state NOT IN ('resolved', 'expired')) ORDER BY id FOR UPDATE",
        {"alert": alert_id},
    )


async def not_called_yet(c: Connection, resident_id: int) -> list[AlertRow]:
    """A resident's alerts to which somebody will be called and nobody has been, held for this transaction."""
    return await rows(
        c,
        AlertRow,
        "SELECT "
        + _ALERT
        + " FROM alert WHERE resident_id = %s AND state = 'raised' AND call = 0 AND climb_at IS NOT NULL "
        "ORDER BY id FOR UPDATE",
        [resident_id],
    )


async def expiring(c: Connection, cleared_before: datetime, limit: int) -> list[AlertRow]:
    """Tasks that nobody has closed and whose reason was over by then, held for this transaction."""
    return await rows(
        c,
        AlertRow,
        "SELECT "
        + _ALERT
        + " FROM alert WHERE state IN ('raised', 'cancelled', 'acknowledged') AND step = 0 AND climb_at IS NULL "
        "AND cleared_at <= %s ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED",
        [cleared_before, limit],
    )


async def count_events(c: Connection, alert_id: int, kinds: Sequence[str], since: datetime) -> int:
    """How often one of these things has happened to an alert since then."""
    return int(
        await value(
            c,
            "SELECT count(*) FROM alert_event WHERE alert_id = %s AND kind = ANY(%s) AND at >= %s",
            [alert_id, list(kinds), since],
        )
    )


async def may_act(c: Connection, person_id: UUID, resident_id: int, alert_id: int | None, now: datetime) -> bool:
    """Whether this person cares for the resident, or has been called to this alert; nobody may whose account is closed.

    A call that was withdrawn before it went out is none, unless she has taken the alert.
    """
    return bool(
        await value(
            c,
            "SELECT (EXISTS (SELECT 1 FROM relation WHERE person_id = %(person)s AND resident_id = %(resident)s "
            "AND kind IN ('doctor', 'care_worker', 'supervisor') AND (valid_until IS NULL OR valid_until > %(now)s)) "
            "OR EXISTS (SELECT 1 FROM message m JOIN alert a ON a.id = m.alert_id WHERE a.id = %(alert)s AND m.person_id = %(person)s "
            "AND m.purpose IN ('alert', 'also') AND (m.state <> 'cancelled' OR a.acknowledged_by = m.person_id))) "
            "AND NOT EXISTS (SELECT 1 FROM account WHERE person_id = %(person)s AND disabled_at IS NOT NULL)",
            {"person": person_id, "resident": resident_id, "alert": alert_id, "now": now},
        )
    )


async def event_detail(
    c: Connection, resident_id: int, metrics: Sequence[int], measured_at: datetime
) -> dict[str, float]:
    """What explains an event, empty when nothing was said; of several metrics that of the first that has any."""
    found = await value(
        c,
        "SELECT detail FROM event_detail WHERE resident_id = %(resident)s AND metric = ANY(%(metrics)s) "
        "AND measured_at = %(at)s ORDER BY array_position(%(metrics)s::smallint[], metric) LIMIT 1",
        {"resident": resident_id, "metrics": list(metrics), "at": measured_at},
    )
    return found or {}


async def set_evidence(c: Connection, alert_id: int, evidence: Mapping[str, Any]) -> None:
    """What speaks for an alert is now this."""
    await c.execute("UPDATE alert SET evidence = %s WHERE id = %s", [Jsonb(dict(evidence)), alert_id])


async def reply_codes(c: Connection, resident_ids: Sequence[int]) -> dict[int, int]:
    """A number for each resident's conversation: that of her open alerts, else the smallest from 11 on that none bears.

    New ones are kept for this transaction: another that wants some at the same moment gets the next, and waits for nobody.
    """
    cursor = await c.execute(
        "SELECT resident_id, min(reply_code) FROM alert WHERE resident_id = ANY(%s) AND reply_code IS NOT NULL "
        "AND state NOT IN ('resolved', 'expired') GROUP BY resident_id",
        [list(resident_ids)],
    )
    known: dict[int, int] = dict(await cursor.fetchall())
    new = [resident for resident in dict.fromkeys(resident_ids) if resident not in known]
    return known | dict(zip(new, await _free_reply_codes(c, len(new)), strict=True))


async def _free_reply_codes(c: Connection, n: int) -> list[int]:
    found: list[int] = []
    while len(found) < n:
        cursor = await c.execute(
            "SELECT n FROM (SELECT n FROM generate_series(11, 9999) n WHERE n <> ALL(%s) AND n NOT IN (SELECT reply_code FROM alert "
            "WHERE reply_code IS NOT NULL AND state NOT IN ('resolved', 'expired')) ORDER BY n OFFSET 0) free "
            "WHERE pg_try_advisory_xact_lock(%s, n) LIMIT %s",
            [found, _REPLY_CODE, n - len(found)],
        )
        kept = [row[0] for row in await cursor.fetchall()]
        # Whoever held one may have committed just before it was let go, and after this query had begun to look.
        cursor = await c.execute(
            "SELECT reply_code FROM alert WHERE state NOT IN ('resolved', 'expired') AND reply_code = ANY(%s)", [kept]
        )
        taken = {row[0] for row in await cursor.fetchall()}
        found += [code for code in kept if code not in taken]
        if not kept:
            found += [9999] * (n - len(found))
    return found


async def update(c: Connection, alert_id: int, changes: Mapping[str, Any]) -> None:
    """Set columns of one alert."""
    await c.execute(_update(changes), {**changes, "alert_id": alert_id})


async def update_many(c: Connection, changes: Mapping[int, Mapping[str, Any]]) -> None:
    """Set columns of several alerts, by their numbers, in one go."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for alert_id, columns in changes.items():
        if columns:
            alike.setdefault(tuple(columns), []).append({**columns, "alert_id": alert_id})
    async with c.cursor() as cursor:
        for values in alike.values():
            await cursor.executemany(_update({k: v for k, v in values[0].items() if k != "alert_id"}), values)


def _update(columns: Mapping[str, Any]) -> sql.Composed:
    assignments = sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(k), sql.Placeholder(k)) for k in columns)
    return sql.SQL("UPDATE alert SET {} WHERE id = {}").format(assignments, sql.Placeholder("alert_id"))


async def add_event(
    c: Connection,
    alert_id: int,
    resident_id: int,
    kind: str,
    *,
    at: datetime,
    person_id: UUID | None = None,
    channel: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add to an alert's trail, from which nothing is ever taken away."""
    await c.execute(
        "INSERT INTO alert_event (alert_id, resident_id, at, kind, person_id, channel, detail) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [alert_id, resident_id, at, kind, person_id, channel, Jsonb(dict(detail or {}))],
    )


@dataclass(frozen=True, slots=True)
class NewEvent:
    """One thing to be added to an alert's trail."""

    alert_id: int
    resident_id: int
    kind: str
    at: datetime
    person_id: UUID | None = None
    channel: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


async def add_events(c: Connection, happened: Sequence[NewEvent]) -> None:
    """Add to the trails of several alerts, in this order."""
    if happened:
        await c.execute(
            "INSERT INTO alert_event (alert_id, resident_id, at, kind, person_id, channel, detail) "
            "SELECT * FROM unnest(%s::bigint[], %s::int[], %s::timestamptz[], %s::text[], %s::uuid[], %s::text[], %s::jsonb[])",
            [
                [e.alert_id for e in happened],
                [e.resident_id for e in happened],
                [e.at for e in happened],
                [e.kind for e in happened],
                [e.person_id for e in happened],
                [e.channel for e in happened],
                [Jsonb(dict(e.detail)) for e in happened],
            ],
        )


async def trail(c: Connection, alert_ids: Sequence[int]) -> dict[int, list[TrailRow]]:
    """What happened to each of these alerts, in order."""
    found = await rows(
        c,
        TrailRow,
        "SELECT e.alert_id, e.at, e.kind, e.person_id, coalesce(p.name_zh, q.name_zh) AS name_zh, coalesce(p.name_en, q.name_en) AS name_en, "
        "e.channel, e.detail FROM alert_event e LEFT JOIN person p ON p.id = e.person_id LEFT JOIN colleague q ON q.id = e.person_id "
        "WHERE e.alert_id = ANY(%s) ORDER BY e.id",
        [list(alert_ids)],
    )
    by_alert: dict[int, list[TrailRow]] = {}
    for row in found:
        by_alert.setdefault(row.alert_id, []).append(row)
    return by_alert


async def ask(
    c: Connection,
    resident_id: int,
    rule: str,
    kind: str,
    asked_at: datetime,
    until: datetime,
    *,
    protocol: str | None = None,
) -> None:
    """Ask the resident something on her page until it is answered or the time is over."""
    await c.execute(
        "INSERT INTO prompt (resident_id, rule, kind, asked_at, until, protocol) VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        [resident_id, rule, kind, asked_at, until, protocol],
    )


async def asked_at(c: Connection, resident_id: int, rule: str, until: datetime) -> datetime | None:
    """The time of what the resident was last asked about by this rule, no later than ``until``."""
    found: datetime | None = await value(
        c,
        "SELECT max(asked_at) FROM prompt WHERE resident_id = %s AND rule = %s AND asked_at <= %s",
        [resident_id, rule, until],
    )
    return found


async def open_prompts(c: Connection, resident_id: int, now: datetime) -> list[Prompt]:
    """What the resident is being asked now, newest first."""
    return await rows(
        c,
        Prompt,
        "SELECT id, resident_id, rule, kind, asked_at, until, protocol FROM prompt "
        "WHERE resident_id = %s AND answered_at IS NULL AND until > %s ORDER BY asked_at DESC",
        [resident_id, now],
    )


async def asking(c: Connection, now: datetime) -> list[Prompt]:
    """What any resident is being asked now, oldest first."""
    return await rows(
        c,
        Prompt,
        "SELECT id, resident_id, rule, kind, asked_at, until, protocol FROM prompt WHERE answered_at IS NULL AND until > %s ORDER BY id",
        [now],
    )


async def being_asked(c: Connection, resident_ids: Sequence[int], now: datetime) -> set[int]:
    """Those of these residents who are being asked something now."""
    cursor = await c.execute(
        "SELECT DISTINCT resident_id FROM prompt WHERE resident_id = ANY(%s) AND answered_at IS NULL AND until > %s",
        [list(resident_ids), now],
    )
    return {row[0] for row in await cursor.fetchall()}


async def answer_prompts(
    c: Connection, resident_id: int, kind: str, answer: str, now: datetime, rule: str | None = None
) -> int:
    """Close what is being asked of this kind, or by this rule alone, and is not over yet; returns how many questions."""
    done = await c.execute(
        "UPDATE prompt SET answered_at = %(now)s, answer = %(answer)s WHERE resident_id = %(resident)s AND kind = %(kind)s "
        "AND (%(rule)s::text IS NULL OR rule = %(rule)s) AND answered_at IS NULL AND until > %(now)s",
        {"now": now, "answer": answer, "resident": resident_id, "kind": kind, "rule": rule},
    )
    return done.rowcount
