"""How good the alarms are, counted over some days, and what is aimed at (ISA-18.2, EEMUA 191)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from alerts.lifecycle import CHATTER_RAISES, CHATTER_WITHIN
from store import quality
from store.postgres import Connection
from store.quality import Episodes, Exposure, Line, Often

STALE: Final = timedelta(hours=24)
"""An alarm that has stood for so long is stale (ISA-18.2)."""
AIMED_MIX: Final[Mapping[str, float]] = MappingProxyType({"high": 0.05, "medium": 0.15, "low": 0.80})
"""The mix of priorities that people can work with (EEMUA 191, ISA-18.2)."""
AIMED_MESSAGES: Final = 1.0
"""Messages to staff per resident and week, at most, in a stable population (house default)."""
AIMED_WORTH_IT: Final = 0.6
"""Of the high alerts those that were worth it to whoever went, at least (house default)."""
WORTH_IT: Final = ("helped", "doctor", "hospital", "device")
"""The outcomes that say that it was right to call: somebody had to do something."""
_OFTEN: Final = 10
_WEEK: Final = 7.0


@dataclass(frozen=True, slots=True)
class Quality:
    """The figures of some ``days`` up to ``until``; ``by_rule`` the most frequent first."""

    days: int
    until: datetime
    whole: Line
    by_priority: Mapping[str, Line]
    by_rule: tuple[Line, ...]
    often: tuple[Often, ...]
    exposure: Exposure

    @property
    def per_day(self) -> float:
        """Alerts a day, of everybody together."""
        return self.whole.raised / self.days

    @property
    def messages_per_week(self) -> float | None:
        """Messages to staff per resident and week; ``None`` of less than one of these."""
        weeks = self.exposure.resident_days / _WEEK
        return self.exposure.messages / weeks if weeks >= 1 else None

    def mix(self, priority: str) -> float | None:
        """The share of the alerts that have this priority."""
        line = self.by_priority.get(priority)
        return share(line.raised if line else 0, self.whole.raised)


def share(part: int, of: int) -> float | None:
    """How much of it, from 0 to 1; ``None`` of nothing."""
    return part / of if of else None


async def report(
    c: Connection, now: datetime, days: int, *, centre: int | None = None, kinds: Iterable[str] = ()
) -> Quality:
    """The figures of the last ``days``: of one centre; else of those in the reader's own care, of all where the service asks.

    ``often`` counts alerts of these ``kinds``, of all where none is named.
    """
    since = now - timedelta(days=days)
    chatter = CHATTER_RAISES, CHATTER_WITHIN
    lines = await quality.lines(c, since, now, centre=centre, chatter=chatter, stale=STALE, worth_it=WORTH_IT)
    of_kinds = list(kinds) or ["physiological", "event", "technical"]
    return Quality(
        days=days,
        until=now,
        whole=next(line for line in lines if line.priority is None),
        by_priority={line.priority: line for line in lines if line.priority and line.rule is None},
        by_rule=tuple(line for line in lines if line.rule),
        often=tuple(await quality.most_often(c, since, now, centre=centre, kinds=of_kinds, limit=_OFTEN)),
        exposure=await quality.exposure(c, since, now, centre=centre),
    )


async def episodes(c: Connection, alert_ids: Iterable[int]) -> dict[int, Episodes]:
    """How often the condition of each of these alerts has come, and whether it chatters."""
    return await quality.episodes(c, list(alert_ids), chatter=(CHATTER_RAISES, CHATTER_WITHIN))
