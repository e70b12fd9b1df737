"""What a limit judges instead of a value: averages, trends, differences to the usual, and scores."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from alerts.rule import Limit, Score, ScorePart, single, statistic_names
from devices.readings import Metric
from tests.alerts.reference.measurement import short
from tests.alerts.reference.memory import Day, Memory


class Found(NamedTuple):
    """What a statistic gives, and what it was made of, in the order of ``statistic_names``."""

    value: float
    made_of: tuple[float, ...]

    def names(self, limit: Limit) -> dict[str, float]:
        return dict(zip(statistic_names(limit), map(short, (self.value, *self.made_of)), strict=True))


def find(limit: Limit, memory: Memory, at: datetime) -> Found | None:
    """What the limit judges as of ``at``; ``None`` where it is unknown."""
    assert limit.statistic is not None
    match limit.statistic.kind:
        case "average":
            return _average(limit, memory, at)
        case "deviation" | "variation" | "trend":
            return _over_days(limit, memory, at)
        case "rise" | "drop":
            return _change(limit, memory, at)
        case "from_usual":
            return _from_usual(limit, memory, at)
        case "score" | "worst_part":
            return _points(limit, memory, at)


def heard(limit: Limit, memory: Memory) -> list[Metric]:
    """The metrics by which the limit is judged for this resident."""
    if limit.score is None:
        return [limit.metric]
    return [part.metric for part in parts(limit.score, memory)]


def parts(score: Score, memory: Memory) -> list[ScorePart]:
    """The parts of a score that concern this resident."""
    return [part for part in score.parts if memory.profile.concerns(part.groups, part.not_groups)]


def fresh(score: Score, memory: Memory, at: datetime) -> Iterator[tuple[ScorePart, float]]:
    """Each part that is known, with its newest value."""
    for part in parts(score, memory):
        newest = memory.newest(part.metric)
        if newest is not None and at - score.fresh <= newest <= at:
            yield part, memory.values[part.metric][newest]


def _days(limit: Limit, memory: Memory, first: int, last: int, at: datetime) -> Mapping[int, Day]:
    """The days with readings from ``first`` to ``last`` days before that of ``at``, by their number, oldest first."""
    today = memory.day(at).toordinal()
    theirs = {day.toordinal(): kept for day, kept in memory.days.get(limit.metric, {}).items()}
    return {number: theirs[number] for number in range(today - first, today - last + 1) if number in theirs}


def _average(limit: Limit, memory: Memory, at: datetime) -> Found | None:
    days = list(_days(limit, memory, limit.statistic.days - 1, 0, at).values())
    if limit.statistic.drop_first_day:
        days = days[1:]
    readings = sum(day.readings for day in days)
    if readings < max(1, limit.statistic.needs):
        return None
    return Found(sum(day.sum for day in days) / readings, (readings,))


def _over_days(limit: Limit, memory: Memory, at: datetime) -> Found | None:
    days = _days(limit, memory, limit.statistic.days - 1, 0, at)
    if len(days) < max(2, limit.statistic.needs):
        return None
    means = [day.mean for day in days.values()]
    if limit.statistic.kind == "trend":
        per_day = statistics.linear_regression(list(days), means).slope
        return Found(7 * per_day, (len(days),))
    deviation = statistics.stdev(means)
    if limit.statistic.kind == "deviation":
        return Found(deviation, (len(days),))
    mean = statistics.fmean(means)
    return None if mean == 0 else Found(100 * deviation / mean, (len(days),))


def _change(limit: Limit, memory: Memory, at: datetime) -> Found | None:
    value = memory.values.get(limit.metric, {}).get(at)
    window = limit.statistic.window
    if limit.statistic.days:
        before = [day.mean for day in _days(limit, memory, limit.statistic.days, 1, at).values()]
    else:
        before = [v for t, v in memory.values.get(limit.metric, {}).items() if at - window <= t < at]
    if value is None or not before:
        return None
    if limit.statistic.kind == "rise":
        return Found(value - min(before), (min(before),))
    return Found(max(before) - value, (max(before),))


def _from_usual(limit: Limit, memory: Memory, at: datetime) -> Found | None:
    value = memory.values.get(limit.metric, {}).get(at)
    part = memory.part_of_day(at)
    usual = memory.usual.get((limit.metric, part))
    if value is None or usual is None or usual.readings < max(1, limit.statistic.needs):
        return None
    return Found(value - usual.mean, (usual.mean, usual.spread, part))


def _points(limit: Limit, memory: Memory, at: datetime) -> Found | None:
    score = limit.score
    known = [_band(part, value) for part, value in fresh(score, memory, at)]
    if len(known) < max(1, score.needs):
        return None
    of_parts = len(parts(score, memory))
    if limit.statistic.kind == "worst_part":
        return Found(max(known), (len(known), of_parts))
    extras = sum(extra.points for extra in score.extras if memory.profile.concerns(extra.groups, ()))
    return Found(sum(known) + extras, (len(known), of_parts))


def _band(part: ScorePart, value: float) -> int:
    return next(points for edge, points in part.bands if value <= single(edge))
