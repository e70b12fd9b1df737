"""Two protocols on the same record, side by side: rates with intervals, calls at night, what each caught and missed. Pure.

Intervals hold 95 %. They are those of a bootstrap over residents (each drawn a Poisson number of times, one on the
mean), for a few residents make most alerts, and never narrower than those of a Poisson count of the same size (Byar's approximation: Breslow and Day, Statistical Methods in
Cancer Research II, 1987), which speak where there are next to none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from alerts.backtest.replay import Assumed, Marks, Told
from alerts.changes import changes
from alerts.escalation import EVENING, MORNING
from alerts.protocol import Protocol
from alerts.rule import PRIORITIES, Rule

Side = Literal["against", "new"]
SIDES: Final[tuple[Side, Side]] = ("against", "new")
Change = Literal["", "new", "gone", "judges", "calls", "words"]
What = Literal["hospital", "fall", "worth_it"]

AIM_PER_WEEK: Final = 1.0
"""At most so many messages to staff per resident and week in a stable population (reference on alarm practice)."""
BEFORE: Final[Mapping[What, timedelta]] = {
    "hospital": timedelta(days=7),
    "fall": timedelta(hours=2),
    "worth_it": timedelta(hours=24),
}
"""So long before an episode an alert may come and still be about it. House default."""
AFTER: Final[Mapping[What, timedelta]] = {
    "hospital": timedelta(0),
    "fall": timedelta(hours=2),
    "worth_it": timedelta(hours=2),
}
"""So long after it began an alert still helps. House default."""
ONE_EPISODE: Final = timedelta(hours=24)
"""What the record says of one resident within this is about the same trouble."""

_Z: Final = 1.959964
_SAMPLES: Final = 1000
_US: Final = timedelta(microseconds=1)
_DAY_US: Final = 86_400_000_000
_QUARTER_US: Final = 900_000_000
_WORST: Final[Mapping[What, int]] = {"hospital": 0, "fall": 1, "worth_it": 2}


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """Who was watched over: columns of shape ``(n,)``, residents ascending; times in microseconds, within the period."""

    resident: NDArray[np.int32]
    since: NDArray[np.int64]
    until: NDArray[np.int64]
    zone: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.resident)

    @property
    def days(self) -> NDArray[np.float64]:
        """Days in the period, of each."""
        return (self.until - self.since) / _DAY_US

    def place(self, residents: NDArray[np.int32]) -> NDArray[np.intp]:
        """Where each resident stands; all must be there."""
        return np.searchsorted(self.resident, residents)


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something came: the count, and per unit of time with its interval."""

    count: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Line:
    """One rule, or a sum of several (``rule`` empty): alerts per 100 resident-days under each protocol.

    ``None`` where a protocol has no such rule; ``change`` as in :class:`alerts.changes.Change`. ``more`` is the interval of the difference, new less current;
    ``asked`` the questions to residents per 100 resident-days.
    """

    rule: str
    titles: Mapping[str, str]
    priority: str
    change: Change
    is_given: bool
    against: Rate | None
    new: Rate | None
    more: tuple[float, float]
    asked: tuple[float, float]

    @property
    def verdict(self) -> Literal["more", "fewer", "alike"]:
        """Whether the new one raises more or fewer, beyond chance."""
        low, high = self.more
        return "more" if low > 0 else "fewer" if high < 0 else "alike"


@dataclass(frozen=True, slots=True)
class Totals:
    """What one protocol costs. Messages per resident and week; ``hours``: messages by the hour of the resident's day.

    ``weeks``: alerts per 100 resident-days of each week of the period; ``night``: residents about whom somebody would
    have been called at night, each with how often; ``any``: residents with any alert; ``noted``: late readings.
    """

    version: str
    alerts: Rate
    messages: Rate
    night_messages: Rate
    asked: Rate
    hours: tuple[int, ...]
    weeks: tuple[float, ...]
    night: Mapping[int, int]
    any: int
    noted: int


@dataclass(frozen=True, slots=True)
class Episode:
    """Something that was true: a hospital visit, a fall that was one, or an alert that those who went called worth it."""

    resident: int
    at: datetime
    what: What
    about: str


@dataclass(frozen=True, slots=True)
class Found:
    """An episode, and how early each protocol's first alert about it came (negative: after it began; ``None``: never)."""

    episode: Episode
    against: timedelta | None
    new: timedelta | None
    by_against: str
    by_new: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """A backtest's answer. ``since`` and ``until`` bound what is counted, ``readings`` what was judged, before it too.

    ``more`` is the interval of how many more alerts the new one raises per 100 resident-days.
    """

    since: datetime
    until: datetime
    residents: int
    resident_days: float
    readings: int
    assumed: Assumed
    against: Totals
    new: Totals
    more: tuple[float, float]
    by_priority: tuple[Line, ...]
    by_rule: tuple[Line, ...]
    found: tuple[Found, ...]

    def caught(self, side: Side) -> int:
        """How many episodes it found."""
        return sum(getattr(found, side) is not None for found in self.found)


def compare(
    protocols: Mapping[Side, Protocol],
    told: Mapping[Side, Told],
    watched: Watched,
    episodes: Sequence[Episode],
    period: tuple[datetime, datetime],
    readings: int,
    assumed: Assumed,
    given: frozenset[str] = frozenset(),
) -> Comparison:
    """Count what both protocols told within the period. ``given`` are rules taken from the record as it was."""
    since, until = (round(moment.timestamp() * 1e6) for moment in period)
    told = {side: _of_watched(told[side].within(since, until), watched) for side in SIDES}
    lots = _Lots(watched.days)
    return Comparison(
        since=period[0],
        until=period[1],
        residents=len(watched),
        resident_days=float(watched.days.sum()),
        readings=readings,
        assumed=assumed,
        against=_totals(protocols["against"], told["against"], watched, lots, (since, until)),
        new=_totals(protocols["new"], told["new"], watched, lots, (since, until)),
        more=lots.difference(_counts(told["against"].raised, watched), _counts(told["new"].raised, watched), 100),
        by_priority=tuple(_of_priority(name, protocols, told, watched, lots) for name in PRIORITIES),
        by_rule=tuple(_rules(protocols, told, watched, lots, given)),
        found=tuple(_found(episode, protocols, told) for episode in merged(episodes)),
    )


def merged(episodes: Iterable[Episode]) -> list[Episode]:
    """Each trouble once, from when it is first known, as the gravest thing that is said of it; in order of time."""
    kept: list[Episode] = []
    for episode in sorted(episodes, key=lambda e: (e.resident, e.at)):
        last = kept[-1] if kept else None
        if last and last.resident == episode.resident and episode.at - last.at <= ONE_EPISODE:
            if _WORST[episode.what] < _WORST[last.what]:
                kept[-1] = replace(episode, at=episode.at if episode.what == "hospital" else last.at)
        else:
            kept.append(episode)
    return sorted(kept, key=lambda e: (e.at, e.resident))


def poisson(count: int) -> tuple[float, float]:
    """The interval of a Poisson count."""
    n = count + 1
    low = count * (1 - 1 / (9 * count) - _Z / (3 * count**0.5)) ** 3 if count else 0.0
    return max(low, 0.0), n * (1 - 1 / (9 * n) + _Z / (3 * n**0.5)) ** 3


class _Lots:
    """The same residents drawn for every figure, so that two figures can be compared draw by draw."""

    def __init__(self, days: NDArray[np.float64]) -> None:
        self.days = days
        rng = np.random.default_rng(20_261_129)
        self._weights = rng.poisson(1.0, (_SAMPLES, len(days))).astype(np.float32)
        self._drawn_days = np.maximum(self._weights @ days.astype(np.float32), 1e-9)

    def rates(self, counts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Per day, in each draw, of counts by resident."""
        if not counts.any():
            return np.zeros(_SAMPLES)
        drawn: NDArray[np.float64] = (self._weights @ counts.astype(np.float32)) / self._drawn_days
        return drawn

    def rate(self, counts: NDArray[np.float64], per_days: float) -> Rate:
        count, days = int(counts.sum()), max(float(self.days.sum()), 1e-9)
        low, high = _interval(self.rates(counts))
        least, most = (bound / days for bound in poisson(count))
        return Rate(count, per_days * count / days, per_days * min(low, least), per_days * max(high, most))

    def difference(
        self, before: NDArray[np.float64], after: NDArray[np.float64], per_days: float
    ) -> tuple[float, float]:
        low, high = _interval(self.rates(after - before))
        return per_days * low, per_days * high


def _interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(drawn, (2.5, 97.5)).tolist()
    return low, high


def _of_watched(told: Told, watched: Watched) -> Told:
    marks = (getattr(told, name) for name in Told.__slots__)
    return Told(*(m.where(np.isin(m.resident, watched.resident)) for m in marks))


def _counts(marks: Marks, watched: Watched) -> NDArray[np.float64]:
    return np.bincount(watched.place(marks.resident), minlength=len(watched)).astype(np.float64)


def _totals(protocol: Protocol, told: Told, watched: Watched, lots: _Lots, period: tuple[int, int]) -> Totals:
    hours = _local_hours(told.called, watched)
    at_night = told.called.where((hours < MORNING.hour) | (hours >= EVENING.hour))
    residents, times = np.unique(at_night.resident, return_counts=True)
    return Totals(
        version=protocol.version,
        alerts=lots.rate(_counts(told.raised, watched), 100),
        messages=lots.rate(_counts(told.called, watched), 7),
        night_messages=lots.rate(_counts(at_night, watched), 7),
        asked=lots.rate(_counts(told.asked, watched), 100),
        hours=tuple(np.bincount(hours, minlength=24).tolist()),
        weeks=_weeks(told.raised, watched, period),
        night=dict(zip(residents.tolist(), times.tolist(), strict=True)),
        any=len(np.unique(told.raised.resident)),
        noted=len(told.noted),
    )


def _local_hours(marks: Marks, watched: Watched) -> NDArray[np.int64]:
    """The hour of each on the clock of the resident's home."""
    zones, zone = np.unique(np.array(watched.zone or ("UTC",)), return_inverse=True)
    zone_of = zone[watched.place(marks.resident)] if len(marks) else np.zeros(0, np.intp)
    # Every clock differs from UTC by quarters of an hour: each quarter is looked up once.
    key, which = np.unique(np.stack((zone_of, marks.at // _QUARTER_US)), axis=1, return_inverse=True)
    local = [
        datetime.fromtimestamp(quarter * 900, UTC).astimezone(ZoneInfo(str(zones[number]))).hour
        for number, quarter in key.T.tolist()
    ]
    return np.array(local, np.int64)[which.reshape(-1)]


def _weeks(raised: Marks, watched: Watched, period: tuple[int, int]) -> tuple[float, ...]:
    since, until = period
    edges = np.arange(since, until, 7 * _DAY_US)
    found = []
    for begin, end in zip(edges, [*edges[1:], until], strict=True):
        overlap = np.minimum(watched.until, end) - np.maximum(watched.since, begin)
        days = float(np.maximum(overlap, 0).sum()) / _DAY_US
        count = int(((raised.at >= begin) & (raised.at < end)).sum())
        found.append(100 * count / days if days else 0.0)
    return tuple(found)


def _of_priority(
    priority: str, protocols: Mapping[Side, Protocol], told: Mapping[Side, Told], watched: Watched, lots: _Lots
) -> Line:
    counts, asked = {}, {}
    for side in SIDES:
        those = np.array([rule.priority == priority for rule in protocols[side].rules])
        counts[side] = _counts(told[side].raised.where(those[told[side].raised.rule]), watched)
        asked[side] = _counts(told[side].asked.where(those[told[side].asked.rule]), watched)
    rates = {side: lots.rate(counts[side], 100) for side in SIDES}
    return _line("", {}, priority, "", rates, counts, asked, lots)


def _rules(
    protocols: Mapping[Side, Protocol],
    told: Mapping[Side, Told],
    watched: Watched,
    lots: _Lots,
    given: frozenset[str],
) -> Iterable[Line]:
    places = {side: {rule.id: n for n, rule in enumerate(protocols[side].rules)} for side in SIDES}
    kinds = {change.rule: change.kind for change in changes(protocols["against"], protocols["new"])}
    for rule_id in dict.fromkeys((*places["new"], *places["against"])):
        of = {side: protocols[side].rule(rule_id) for side in SIDES}
        number = {side: places[side].get(rule_id, -1) for side in SIDES}
        counts = {side: _of_rule(told[side].raised, number[side], watched) for side in SIDES}
        asked = {side: _of_rule(told[side].asked, number[side], watched) for side in SIDES}
        rates = {side: lots.rate(counts[side], 100) if of[side] else None for side in SIDES}
        shown = of["new"] or of["against"]
        assert shown is not None, "each is a rule of one of them"
        line = _line(rule_id, dict(shown.titles), shown.priority, kinds.get(rule_id, ""), rates, counts, asked, lots)
        yield replace(line, is_given=rule_id in given)


def _line(
    rule: str,
    titles: Mapping[str, str],
    priority: str,
    change: Change,
    rates: Mapping[Side, Rate | None],
    counts: Mapping[Side, NDArray[np.float64]],
    asked: Mapping[Side, NDArray[np.float64]],
    lots: _Lots,
) -> Line:
    days = max(float(lots.days.sum()), 1e-9)
    return Line(
        rule,
        titles,
        priority,
        change,
        False,
        rates["against"],
        rates["new"],
        lots.difference(counts["against"], counts["new"], 100),
        (100 * float(asked["against"].sum()) / days, 100 * float(asked["new"].sum()) / days),
    )


def _of_rule(marks: Marks, number: int, watched: Watched) -> NDArray[np.float64]:
    return _counts(marks.where(marks.rule == number), watched)


def _found(episode: Episode, protocols: Mapping[Side, Protocol], told: Mapping[Side, Told]) -> Found:
    early = {side: _first(episode, protocols[side], told[side].raised) for side in SIDES}
    (against, by_against), (new, by_new) = early["against"], early["new"]
    return Found(episode, against, new, by_against, by_new)


def _first(episode: Episode, protocol: Protocol, raised: Marks) -> tuple[timedelta | None, str]:
    """How early the first alert about her own condition came, and which rule's it was."""
    began = round(episode.at.timestamp() * 1e6)
    first, last = began - BEFORE[episode.what] // _US, began + AFTER[episode.what] // _US
    rows = np.flatnonzero((raised.resident == episode.resident) & (raised.at >= first) & (raised.at <= last))
    of_herself = [row for row in rows.tolist() if _is_of_herself(protocol.rules[raised.rule[row]])]
    if not of_herself:
        return None, ""
    row = min(of_herself, key=lambda row: int(raised.at[row]))
    return (began - int(raised.at[row])) * _US, protocol.rules[raised.rule[row]].id


def _is_of_herself(rule: Rule) -> bool:
    """A task of a device, or of a measurement that is missing, has found nobody."""
    return rule.kind != "technical" and rule.missing is None and rule.calls
