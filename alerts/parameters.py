"""A protocol as columns, and residents' profiles beside it, for the rules core. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from alerts import kernel
from alerts.kernel import LONG_AGO, Profiles, Tables
from alerts.profiles import Profile
from alerts.protocol import Protocol
from alerts.rule import (
    DERIVED,
    IRREGULAR_PULSE,
    PARTS_OF_DAY,
    PULSE_PRESSURE,
    Limit,
    Rule,
    Score,
    evidence_name,
    statistic_names,
)
from devices.readings import METRICS, METRICS_BY_CODE, Kind, Metric

_STATISTICS: Final = {
    "average": kernel.AVERAGE,
    "deviation": kernel.DEVIATION,
    "variation": kernel.VARIATION,
    "trend": kernel.TREND,
    "rise": kernel.RISE,
    "drop": kernel.DROP,
    "from_usual": kernel.FROM_USUAL,
    "score": kernel.SCORE,
    "worst_part": kernel.WORST_PART,
}
_MADE_OF: Final = {
    IRREGULAR_PULSE: (METRICS["pulse"],),
    PULSE_PRESSURE: (METRICS["systolic"], METRICS["diastolic"]),
}
_DERIVED: Final = {metric.code: metric for metric in DERIVED.values()}
_MOST_METRICS: Final = 63
COMPARED: Final = 3
"""Measurements remembered of a metric whose change within minutes, or whose lasting, is judged, if no rule counts more."""
USUAL: Final = 2 * PARTS_OF_DAY
"""Numbers kept of what is usual: for each part of the day the mean of the readings and their spread."""
_YEARS: Final = (2000, 2060)


class Parameters:
    """A protocol laid out: ``tables`` for the loop, and how wide a resident's row is in each of its matrices.

    ``metrics`` are the codes of what is heard, by column; ``names`` of each rule's values in a firing; ``saved`` is where a
    saved row has it all.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.rules = protocol.rules
        self.scores = tuple({s.id: s for rule in self.rules for limit in rule.when if (s := limit.score)}.values())
        self.metrics = sorted({metric.code for rule in self.rules for metric in _heard(rule)})
        if len(self.metrics) > _MOST_METRICS:
            raise ValueError(f"a protocol can hear {_MOST_METRICS} metrics, this one {len(self.metrics)}")
        self._column = {code: column for column, code in enumerate(self.metrics)}
        self._column_of = np.full(max(*METRICS_BY_CODE, *_DERIVED) + 2, -1, np.intp)
        self._column_of[self.metrics] = np.arange(len(self.metrics))
        self._column_of[list(_DERIVED)] = -1  # no device sends what the core makes itself
        self.limits = tuple(limit for rule in self.rules for limit in rule.when)
        self.names = tuple(_names(rule) for rule in self.rules)
        self.kept = max((len(names) for names in self.names), default=1)
        self.tables = self._tables()

    def column_of(self, metric: NDArray[np.int16]) -> NDArray[np.intp]:
        """The column of each metric code, -1 for those no rule hears."""
        return self._column_of[np.clip(metric, 0, len(self._column_of) - 1)]

    def profiles(self, known: Sequence[Profile]) -> Profiles:
        """These residents' profiles as columns."""
        parts = [part for score in self.scores for part in score.parts]
        zones = list(dict.fromkeys(one.zone for one in known))
        offsets = [_offsets(zone) for zone in zones]
        starts = np.cumsum([0, *map(len, offsets)])
        stretch = [(starts[i], starts[i + 1]) for i in (zones.index(one.zone) for one in known)]
        groups = [(each.groups, each.not_groups) for each in self.rules] + [(x.groups, x.not_groups) for x in parts]
        concerned = [[one.concerns(*each) for each in groups] for one in known]
        of = [(*stretch[i], *(_extra(score, one) for score in self.scores)) for i, one in enumerate(known)]
        return Profiles(
            levels=np.array([self._levels(one) for one in known], np.float32).reshape(len(known), -1, 2),
            concerns=np.array(concerned, np.bool_),
            of=np.array(of, np.int64),
            zones=np.concatenate(offsets),
        )

    def _levels(self, one: Profile) -> list[tuple[float, float]]:
        """Of each limit from where on it is over, and from where on calm, by its sign."""
        values = dict(one.values)
        limits = [
            limit.at_level(values[limit.parameter]) if limit.parameter in values else limit for limit in self.limits
        ]
        return [
            (limit.sign * limit.over_from, -np.inf if limit.clear_from is None else limit.sign * limit.clear_from)
            for limit in limits
        ]

    def _tables(self) -> Tables:
        lists: list[int] = []
        required = [part for rule in self.rules for part in rule.requires]
        parts = [part for score in self.scores for part in score.parts]
        bands = [band for part in parts for band in part.bands]
        metrics = [metric_of(code) for code in self.metrics]
        columns = self._memory(metrics)
        return Tables(
            columns=columns,
            floor=np.array([(metric.high - metric.low) / 200 for metric in metrics], np.float32),
            rules=(rules := self._judging(lists)),
            hears=np.ascontiguousarray(rules[:, kernel.R_HEARS]),
            limits=_matrix([self._limit(limit) for limit in self.limits], 8),
            required=_matrix([(self._of(part.metric), part.sign, _us(part.within)) for part in required], 3),
            required_level=np.array([part.sign * part.over_from for part in required], np.float32),
            lists=np.array(lists, np.int64),
            scores=_matrix(
                [
                    (*stretch, _us(score.fresh), score.needs)
                    for score, stretch in zip(self.scores, _stretches(s.parts for s in self.scores), strict=True)
                ],
                4,
            ),
            parts=_matrix(
                [
                    (self._of(part.metric), start, len(self.rules) + number)
                    for number, (part, (start, _)) in enumerate(
                        zip(parts, _stretches(x.bands for x in parts), strict=True)
                    )
                ],
                3,
            ),
            band_edge=np.array([edge for edge, _ in bands], np.float32),
            band_points=np.array([points for _, points in bands], np.int64),
            derived=self._derived(),
        )

    def _memory(self, metrics: Sequence[Metric]) -> NDArray[np.int64]:
        """Where in a resident's row each metric is remembered, shape ``(C, 11)``."""
        days = dict.fromkeys(self.metrics, 0)
        usual = set()
        for limit in self.limits:
            if limit.statistic and limit.statistic.days:
                days[limit.metric.code] = max(days[limit.metric.code], 1 + limit.statistic.days)
            if limit.statistic and limit.statistic.kind == "from_usual":
                usual.add(limit.metric.code)
        times, numbers, older = _Places(kernel.TIMES), _Places(kernel.NUMBERS), _Places()
        values, counts = _Places(), _Places()
        depth = [self._look_back(metric) if metric.kind is Kind.VITAL else 1 for metric in metrics]
        on_device = [int(metric.kind is Kind.DEVICE) for metric in metrics]
        with_days = [int(n > 0) for n in days.values()]
        silences = [int(_kind(rule) == kernel.SILENCE) for rule in self.rules]
        laid_out = np.column_stack(
            [
                depth,
                times.lay(1 for _ in depth),
                older.lay(kernel.GAP * (d - 1) for d in depth),
                values.lay(0 if m.kind is Kind.EVENT else d for m, d in zip(metrics, depth, strict=True)),
                numbers.lay(on_device),
                list(days.values()),
                numbers.lay(with_days),
                values.lay(days.values()),
                counts.lay(days.values()),
                values.lay(USUAL * (code in usual) for code in self.metrics),
                counts.lay(PARTS_OF_DAY * (code in usual) for code in self.metrics),
            ]
        ).astype(np.int64)
        self._silence_at = times.lay(silences).tolist()
        self.times, self.numbers, self.older = times.used, numbers.used, older.used
        self.values, self.counts = values.used, counts.used
        self.saved = Saved(depth, on_device, with_days, silences)
        return laid_out

    def _look_back(self, metric: Metric) -> int:
        """How many measurements of a metric are remembered: as many as are counted, or compared with late ones."""
        rules = [rule for rule in self.rules if metric in rule.measured]
        made = [limit.statistic for limit in self.limits if limit.metric == metric and limit.statistic]
        compared = any(one.kind in ("rise", "drop") and not one.days for one in made)
        lasting = any(rule.persists or rule.clear_after for rule in rules)
        derived = [self._look_back(one) for one, of in _MADE_OF.items() if metric in of and one.code in self._column]
        return max([COMPARED if compared or lasting else 1, *(rule.count.n for rule in rules), *derived])

    def _judging(self, lists: list[int]) -> NDArray[np.int64]:
        """The rules, shape ``(R, 32)``. What they name is put into ``lists``."""
        rules = self.rules
        whens, requireds = (_stretches(parts) for parts in ((r.when for r in rules), (r.requires for r in rules)))
        return _matrix(
            [
                (
                    _kind(rule),
                    *self._masks(rule),
                    rule.kind == "physiological" and rule.calls,
                    *self._counting(rule),
                    *self._waiting(rule),
                    self._silence_at[number],
                    *self._related(rule),
                    *whens[number],
                    *self._listed(lists, rule.measured),
                    *requireds[number],
                    *self._listed(lists, rule.unless),
                    *self._listed(lists, _unless_since_it_began(rule)),
                )
                for number, rule in enumerate(rules)
            ],
            32,
        )

    def _masks(self, rule: Rule) -> tuple[int, ...]:
        """What it hears at all, then what takes it back, confirms it, ends its silence, and is judged by it."""
        related = (rule.confirmed_by.metric,) if rule.confirmed_by else ()
        missing = (rule.missing.metric,) if rule.missing else ()
        masks = [self._mask(metrics) for metrics in (rule.unless, related, missing, _judged_by(rule))]
        return masks[0] | masks[1] | masks[2] | masks[3], *masks

    def _mask(self, metrics: Iterable[Metric]) -> int:
        return sum({1 << self._of(metric) for metric in metrics})

    def _counting(self, rule: Rule) -> tuple[int, ...]:
        return _us(rule.expires), rule.count.k, rule.count.n, _us(rule.count.within)

    def _waiting(self, rule: Rule) -> tuple[int, ...]:
        return (
            _us(rule.ask.within if rule.ask else None),
            _us(rule.persists.time if rule.persists else None),
            _us(rule.clear_after.time if rule.clear_after else None),
            rule.count.days,
            _us(rule.count.days_within),
            _us(rule.missing.within if rule.missing else None),
        )

    def _related(self, rule: Rule) -> tuple[int, ...]:
        began = _began_with(rule)
        return (
            self._of(rule.missing.metric if rule.missing else None),
            self._of(began[0] if began else None),
            _us(began[1] if began else None),
            self._of(rule.confirmed_by.metric if rule.confirmed_by else None),
        )

    def _listed(self, lists: list[int], metrics: Iterable[Metric]) -> tuple[int, int]:
        start = len(lists)
        lists += [self._of(metric) for metric in metrics]
        return start, len(lists)

    def _limit(self, limit: Limit) -> tuple[int, ...]:
        made = limit.statistic
        return (
            self._of(None if limit.score else limit.metric),
            limit.sign,
            _STATISTICS[made.kind] if made else -1,
            made.days if made else 0,
            _us(made.window if made else None),
            made.needs if made else 0,
            made is not None and made.drop_first_day,
            self.scores.index(limit.score) if limit.score else -1,
        )

    def _derived(self) -> NDArray[np.int64]:
        made = (METRICS["pulse"], IRREGULAR_PULSE, METRICS["systolic"], METRICS["diastolic"], PULSE_PRESSURE)
        return np.array([self._column.get(metric.code, -1) for metric in made], np.int64)

    def _of(self, metric: Metric | None) -> int:
        """The metric's column, -1 for none."""
        return -1 if metric is None else self._column[metric.code]


class _Places:
    """Hands out places in a row, one after the other."""

    def __init__(self, used: int = 0) -> None:
        self.used = used

    def lay(self, sizes: Iterable[int]) -> NDArray[np.int64]:
        """Where each part of these sizes begins; -1 for those of no size."""
        found = []
        for size in sizes:
            found.append(self.used if size else -1)
            self.used += size
        return np.array(found, np.int64)


class Saved:
    """Where a saved row has its times, each of them whole: of each metric its measurements, its device and its newest day,
    and since when each silence lasts. -1 where there is none."""

    def __init__(
        self, depth: Sequence[int], on_device: Sequence[int], with_days: Sequence[int], silences: Sequence[int]
    ) -> None:
        places = _Places()
        self.time_at = places.lay(depth)
        self.device_at = places.lay(on_device)
        self.day_at = places.lay(with_days)
        self.silence_at = places.lay(silences)
        self.times = places.used


def metric_of(code: int) -> Metric:
    """The metric, also one that the core makes itself."""
    return _DERIVED[code] if code in _DERIVED else METRICS_BY_CODE[code]


def _kind(rule: Rule) -> int:
    if rule.missing:
        return kernel.SILENCE_AFTER if rule.missing.after else kernel.SILENCE
    if not rule.when:
        return kernel.NOTHING
    if rule.on_event:
        return kernel.EVENT
    if rule.on_device:
        return kernel.DEVICE
    return kernel.STATISTIC if rule.on_statistic else kernel.LEVEL


def _names(rule: Rule) -> tuple[str | None, ...]:
    """The names of a firing's values: the metrics', then three of each statistic."""
    names: list[str | None] = [evidence_name(metric) for metric in rule.measured]
    for limit in rule.when if rule.on_statistic else ():
        found = statistic_names(limit)[:3]
        names += [*found, *[None] * (3 - len(found))]
    return tuple(names)


def _judged_by(rule: Rule) -> Iterator[Metric]:
    for limit in rule.when:
        yield from [part.metric for part in limit.score.parts] if limit.score else [limit.metric]
    if rule.missing and rule.missing.after:
        yield rule.missing.after


def _unless_since_it_began(rule: Rule) -> tuple[Metric, ...]:
    related = rule.confirmed_by or rule.follows
    return related.unless if related else ()


def _heard(rule: Rule) -> Iterator[Metric]:
    related = [part.metric for part in (rule.missing, rule.confirmed_by, rule.follows) if part]
    required = [part.metric for part in rule.requires]
    for metric in (*rule.measured, *_judged_by(rule), *rule.unless, *related, *required):
        yield metric
        yield from _MADE_OF.get(metric, ())


def _began_with(rule: Rule) -> tuple[Metric, timedelta] | None:
    """The event with which an episode of this rule begins, and how long before it may lie."""
    if rule.confirmed_by:
        return rule.when[0].metric, rule.confirmed_by.within
    return (rule.follows.metric, rule.follows.within) if rule.follows else None


def _extra(score: Score, one: Profile) -> int:
    return sum(extra.points for extra in score.extras if one.concerns(extra.groups, ()))


def _stretches(parts: Iterable[Sequence[object]]) -> list[tuple[int, int]]:
    """Where each part of a flat list begins and ends."""
    ends = np.cumsum([0, *map(len, parts)]).tolist()
    return list(pairwise(ends))


def _matrix(rows: list[tuple[int, ...]], width: int) -> NDArray[np.int64]:
    return np.array(rows, np.int64).reshape(len(rows), width)


def _us(length: timedelta | None) -> int:
    """A length of time in microseconds, 0 for none."""
    return 0 if length is None else length // timedelta(microseconds=1)


@cache
def _offsets(name: str) -> NDArray[np.int64]:
    """From when on (UTC) a zone's local time is how far from it, in microseconds, shape ``(., 2)``; beyond 2060 as before."""
    zone, first, last = ZoneInfo(name), *(datetime(year, 1, 1, tzinfo=UTC) for year in _YEARS)
    begins, by = [LONG_AGO], [_offset(zone, first)]
    day = first
    while day < last:
        ahead = day + timedelta(days=7)
        if _offset(zone, ahead) != by[-1]:
            change = _changes(zone, day, ahead)
            begins.append((change - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1))
            by.append(_offset(zone, change))
        day = ahead
    return np.column_stack((begins, by)).astype(np.int64)


def _changes(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """The second in which the zone's offset changes, between two moments with different ones."""
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if _offset(zone, middle) == _offset(zone, before):
            before = middle
        else:
            after = middle
    return after


def _offset(zone: ZoneInfo, moment: datetime) -> int:
    found = moment.astimezone(zone).utcoffset()
    assert found is not None, "a time with a zone has an offset"
    return found // timedelta(microseconds=1)
