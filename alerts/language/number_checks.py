"""What makes one number senseless although it is well written: a level, a parameter, a score, a statistic. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations
from typing import Final

from alerts.rule import (
    MOST_DAYS,
    POINTS,
    Limit,
    Parameter,
    Required,
    Score,
    ScoreExtra,
    ScorePart,
    Statistic,
    limit_unit,
    shown_unit,
)
from devices.readings import Kind

Fault = tuple[str | None, str]
"""The word at fault (``None``: the table as a whole) and what to do about it."""

_DAY: Final = timedelta(days=1)
_MOST_COUNTED: Final = 255
"""Readings that the rules core counts of one day, or of one part of the day."""
_BY_DAYS: Final = ("average", "deviation", "variation", "trend")


def faults_of_limit(limit: Limit) -> Iterator[Fault]:
    """What is wrong with one level, by the range in which what it judges is plausible."""
    span = _span(limit)
    best, worst = (span.low, span.high) if limit.sign > 0 else (span.high, span.low)
    best = best if span.ordinary is None else span.ordinary
    calmest = best if span.calmest is None else span.calmest
    if not limit.over(worst):
        yield limit.word, f"this can never fire: {span.plausible}"
    elif limit.over(best):
        yield limit.word, f"this would fire always: {span.plausible}"
    if limit.clear_level is None:
        return
    clear = "clear_by" if limit.parameter else f"clear_{limit.clear_word}"
    if limit.sign * limit.clear_level >= limit.sign * limit.level:
        side = "below" if limit.sign > 0 else "above"
        yield clear, f"the clear level must lie {side} {limit.level:g}, on the calm side, or the alarm chatters"
    elif not limit.calm(calmest):
        yield clear, f"nothing would ever end this alarm: {span.plausible}"


def judged(limit: Limit) -> str:
    """What a limit judges, in an error."""
    if limit.statistic is None:
        return limit.metric.name
    if limit.statistic.kind == "from_usual":
        return f"the difference from the usual {limit.metric.name}"
    return f"the {limit.statistic.kind} of {limit.score.id if limit.score else limit.metric.name}"


@dataclass(frozen=True, slots=True)
class _Span:
    """From where to where something can lie.

    ``ordinary`` is what it is where nothing is amiss, if that is one value; ``calmest`` what it may come back to at best,
    where that lies beyond: a weight that has risen may fall again.
    """

    low: float
    high: float
    plausible: str
    ordinary: float | None = None
    calmest: float | None = None


def _span(limit: Limit) -> _Span:
    metric, unit = limit.metric, limit_unit(limit)
    if limit.score:
        least, most = points(limit.score, highest=limit.statistic is not None and limit.statistic.kind == "worst_part")
        return _Span(least, most, f"{limit.score.id} gives from {least} to {most} points")
    if limit.statistic is None or limit.statistic.kind == "average":
        plausible = f"{metric.name} is plausible from {metric.low:g} to {metric.high:g} {unit}"
        return _Span(metric.low, metric.high, plausible)
    kind, width = limit.statistic.kind, metric.high - metric.low
    spans = {"variation": (0.0, 100.0), "trend": (-7 * width, 7 * width), "from_usual": (-width, width)}
    low, high = spans.get(kind, (0.0, width))
    turns = -limit.sign * width if kind in ("trend", "rise", "drop") else None
    plausible = f"{judged(limit)} lies from {low:g} to {high:g} {unit}, and is 0 where nothing changes"
    return _Span(low, high, plausible, 0, turns)


def points(
    score: Score, wanted: Sequence[str] = (), unwanted: Sequence[str] = (), *, highest: bool = False
) -> tuple[int, int]:
    """The fewest and the most points a score can give; ``highest``: its highest part.

    To anybody in one of the groups ``wanted``, when given, and in none of those ``unwanted``.
    """
    found = [_points(parts, extras, highest=highest) for _, parts, extras in _by_groups(score, wanted, unwanted)]
    return min(low for low, _ in found), max(high for _, high in found)


def _points(parts: Sequence[ScorePart], extras: Sequence[ScoreExtra], *, highest: bool) -> tuple[int, int]:
    ranges = [(min(p for _, p in part.bands), max(p for _, p in part.bands)) for part in parts]
    if highest:
        return min((low for low, _ in ranges), default=0), max((high for _, high in ranges), default=0)
    extra = sum(e.points for e in extras)
    return extra, extra + sum(high for _, high in ranges)


def _by_groups(
    score: Score, wanted: Sequence[str] = (), unwanted: Sequence[str] = ()
) -> Iterator[tuple[frozenset[str], list[ScorePart], list[ScoreExtra]]]:
    """What the score is made of for each combination of groups that it, or who is concerned, tells apart."""
    codes = [code for part in score.parts for code in (*part.groups, *part.not_groups)]
    codes += [code for extra in score.extras for code in extra.groups]
    named = dict.fromkeys((*codes, *wanted, *unwanted))
    for size in range(len(named) + 1):
        for chosen in combinations(named, size):
            groups = frozenset(chosen)
            if _concerns(groups, wanted, unwanted):
                parts = [p for p in score.parts if _concerns(groups, p.groups, p.not_groups)]
                yield groups, parts, [e for e in score.extras if _concerns(groups, e.groups, ())]


def _concerns(groups: frozenset[str], wanted: Sequence[str], unwanted: Sequence[str]) -> bool:
    return (not wanted or not groups.isdisjoint(wanted)) and groups.isdisjoint(unwanted)


def faults_of_parameter(parameter: Parameter) -> Iterator[Fault]:
    """What is wrong with a parameter's value, or with the bounds in which it may be set."""
    if parameter.metric.kind is Kind.EVENT:
        yield "metric", f"{parameter.metric.name} is an event: whether it happened is decided where it is noticed"
    if not parameter.low < parameter.high:
        yield "between", "the lowest value allowed comes first, then the highest, such as [80, 95]"
    elif not parameter.low <= parameter.value <= parameter.high:
        yield "value", f"{parameter.value:g} lies outside between, from {parameter.low:g} to {parameter.high:g}"


def faults_of_score(score: Score) -> Iterator[Fault]:
    """What is wrong with a score as a whole."""
    for groups, parts, _ in _by_groups(score):
        whom = f"a resident of {' and '.join(sorted(groups))}" if groups else "a resident of no group"
        names = [part.metric.name for part in parts]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            yield None, f"{twice[0]} would count twice for {whom}: give one of its parts not_for"
            return
        if score.needs > len(parts):
            yield "needs", f"{score.needs} parts can never be known: of {whom} only {len(parts)} are judged"
            return
    _, most = points(score)
    if most > POINTS.high:
        yield None, f"{score.id} could give {most} points; at most {POINTS.high:g} can be judged"


def faults_of_statistic(statistic: Statistic, has_needs: bool, has_score: bool) -> Iterator[Fault]:
    """What is wrong with the words of a statistic; the limit it stands in is not looked at."""
    kind, window = statistic.kind, statistic.window
    if has_score != (kind in ("score", "worst_part")):
        yield (
            None,
            f"{kind} is made of a score: name it under score, beside statistic"
            if not has_score
            else (f'of a score its points are judged: write kind = "score" or "worst_part", not {kind}'),
        )
    if kind in _BY_DAYS:
        yield from _over_days(statistic, has_needs)
    elif kind in ("rise", "drop"):
        yield from _against_before(statistic, has_needs)
    elif window:
        yield None, f"{kind} has no window: leave it out"
    elif kind == "from_usual" and statistic.needs > _MOST_COUNTED:
        yield None, f"needs = {statistic.needs} is impossible: readings are counted up to {_MOST_COUNTED}"
    elif kind != "from_usual" and has_needs:
        yield None, "how many parts must be known stands in the [[score]]: leave out needs"
    if statistic.drop_first_day and kind != "average":
        yield None, f"only an average leaves out its first day: leave out drop_first_day of {kind}"


def _over_days(statistic: Statistic, has_needs: bool) -> Iterator[Fault]:
    kind, days = statistic.kind, statistic.days
    if statistic.window % _DAY or not 2 <= days <= MOST_DAYS:
        yield None, f"{kind} looks back over whole days, from 2 d to {MOST_DAYS} d: give it such a window"
        return
    what, least, most = ("readings", 1, days * _MOST_COUNTED) if kind == "average" else ("days", 2, days)
    if not has_needs:
        yield None, f"needs is missing: of how many {what} {kind} is made at least"
    elif not least <= statistic.needs <= most:
        yield None, f"needs = {statistic.needs} is impossible: in {days} days there are from {least} to {most} {what}"


def _against_before(statistic: Statistic, has_needs: bool) -> Iterator[Fault]:
    window, kind = statistic.window, statistic.kind
    whole = window % _DAY == timedelta(0) and 1 <= statistic.days < MOST_DAYS
    if not whole and not timedelta(seconds=2) <= window <= timedelta(hours=23):
        yield None, f"{kind} looks back from 2 s to 23 h, or over whole days, from 1 d to {MOST_DAYS - 1} d"
    if has_needs:
        yield None, f"one reading before is enough for {kind}: leave out needs"


def faults_of_required(required: Required) -> Iterator[Fault]:
    """What is wrong with one thing that must be so besides."""
    metric = required.metric
    if metric.kind is Kind.EVENT:
        return
    best, worst = (metric.low, metric.high) if required.sign > 0 else (metric.high, metric.low)
    plausible = f"{metric.name} is plausible from {metric.low:g} to {metric.high:g} {shown_unit(metric)}"
    if not required.sign * worst >= required.sign * required.over_from:
        yield required.word, f"this can never be so: {plausible}"
    elif required.sign * best >= required.sign * required.over_from:
        yield required.word, f"this is always so: {plausible}"
