"""How each table of a protocol file becomes a value of :mod:`alerts.rule`. Pure.

What is read here is known word by word; what is senseless although every word is known, :mod:`alerts.language.checks` says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Any, Final, cast

from alerts.language.checks import faults, faults_of_group, faults_of_sentence
from alerts.language.number_checks import (
    faults_of_limit,
    faults_of_parameter,
    faults_of_required,
    faults_of_score,
    faults_of_statistic,
    judged,
)
from alerts.language.tables import Table, did_you_mean
from alerts.language.units import converted
from alerts.language.vocabulary import is_difference
from alerts.rule import (
    ASKS,
    AUDIENCES,
    DERIVED,
    DOWN,
    EXPIRES,
    KINDS,
    POINTS,
    PRIORITIES,
    STATISTICS,
    UP,
    Answered,
    Ask,
    Audience,
    Count,
    Group,
    GroupValue,
    Lasting,
    Limit,
    Missing,
    Parameter,
    Related,
    Required,
    Rule,
    Score,
    ScoreExtra,
    ScorePart,
    Statistic,
    Word,
    limit_unit,
    shown_unit,
)
from alerts.wording import LANGUAGES
from devices.readings import METRICS, Kind, Metric

USUAL_NEEDS: Final = 14
"""How many readings of one part of the day make a usual value, unless the rule says otherwise."""

_ID: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_HEARD: Final[Mapping[str, Metric]] = MappingProxyType({**METRICS, **DERIVED})
_CALM: Final[Mapping[Word, Word]] = MappingProxyType(
    {"at_least": "below", "above": "at_most", "at_most": "above", "below": "at_least"}
)
"""How a level that a parameter gives is over again: at least 180 is over, below 170 it is no longer."""
_CLEAR_WORDS: Final = ("clear_below", "clear_at_most", "clear_above", "clear_at_least")


@dataclass(frozen=True, slots=True)
class Known:
    """What the rules of a protocol may name, by name: of any of its files."""

    groups: Mapping[str, Group]
    parameters: Mapping[str, Parameter]
    scores: Mapping[str, Score]


def group(table: Table) -> Group:
    """A ``[[group]]``; whether those that it follows from are there is not looked at here."""
    found = Group(
        _name(table, "code", "heart_failure"),
        _both(table.table("title")),
        all_of=tuple(str(code) for code in table.take("all_of", list, [])),
        from_age=table.positive("from_age") if table.has("from_age") else None,
    )
    table.end()
    for key, message in faults_of_group(found):
        raise table.error(key, message)
    return found


def parameter(table: Table, groups: Mapping[str, Group]) -> Parameter:
    """A ``[[parameter]]`` with its values for groups."""
    name = _name(table, "name", "spo2.low")
    metric = _metric(table, "metric")
    low, high = _between(table)
    found = Parameter(
        name=name,
        metric=metric,
        value=table.number("value"),
        low=low,
        high=high,
        titles=_both(table.table("title")),
        source=table.source(),
    )
    _unit(table, metric.name, shown_unit(metric), metric.unit, (found.value,))
    for key, message in faults_of_parameter(found):
        raise table.error(key, message)
    values = {}
    for part in table.tables("group", required=False):
        code, value = _group_value(part, found, groups)
        if code in values:
            raise part.error("group", f"{name} has a value for {code} already")
        values[code] = value
    table.end()
    return replace(found, groups=MappingProxyType(values))


def _group_value(table: Table, of: Parameter, groups: Mapping[str, Group]) -> tuple[str, GroupValue]:
    code = _known(table, "group", table.take("group", str), groups)
    found = GroupValue(table.number("value"), table.source())
    table.end()
    for key, message in faults_of_parameter(replace(of, value=found.value)):
        raise table.error(key, message)
    return code, found


def _between(table: Table) -> tuple[float, float]:
    found = table.take("between", list)
    if len(found) != 2:
        raise table.error("between", "between is the lowest and the highest value allowed, such as [80, 95]")
    return table.as_number("between", found[0]), table.as_number("between", found[1])


def score(table: Table, groups: Mapping[str, Group]) -> Score:
    """A ``[[score]]`` with its parts and extras."""
    found = Score(
        id=_name(table, "id", "news2"),
        titles=_both(table.table("title")),
        parts=tuple(_score_part(part, groups) for part in table.tables("part")),
        extras=tuple(_score_extra(extra, groups) for extra in table.tables("extra", required=False)),
        fresh=table.time("fresh"),
        needs=table.positive("needs"),
        source=table.source(),
    )
    table.end()
    for key, message in faults_of_score(found):
        raise table.error(key, message)
    return found


def _score_part(table: Table, groups: Mapping[str, Group]) -> ScorePart:
    metric = _metric(table, "metric")
    if metric.kind is not Kind.VITAL:
        raise table.error("metric", f"{metric.name} is no measurement, and a score is made of measurements")
    part = ScorePart(metric, _bands(table, metric), *_concerned(table, groups))
    table.end()
    return part


def _bands(table: Table, metric: Metric) -> tuple[tuple[float, int], ...]:
    found = [_band(table, band) for band in table.take("bands", list)]
    edges = [edge for edge, _ in found]
    if not found or edges[-1] != float("inf"):
        raise table.error("bands", 'the last band is for everything above: write ["more", points] at the end')
    if any(after <= edge for edge, after in pairwise(edges)):
        raise table.error("bands", "each band goes up to and including its edge, so the edges must ascend")
    for edge in edges[:-1]:
        if not metric.low <= edge < metric.high:
            bounds = f"{metric.name} is plausible from {metric.low:g} to {metric.high:g} {shown_unit(metric)}"
            raise table.error("bands", f"a band that ends at {edge:g} leaves nothing to itself or the next: {bounds}")
    if len({points for _, points in found}) == 1:
        raise table.error("bands", "every value has the same points here, so this part tells nothing")
    return tuple(found)


def _band(table: Table, band: Any) -> tuple[float, int]:
    edge, points = band if isinstance(band, list) and len(band) == 2 else (None, None)
    if type(points) is not int or not 0 <= points <= POINTS.high:
        raise table.error("bands", f"{band!r} is no band: write [up to and including, points], such as [91, 3]")
    return float("inf") if edge == "more" else table.as_number("bands", edge), points


def _score_extra(table: Table, groups: Mapping[str, Group]) -> ScoreExtra:
    points, (wanted, unwanted) = table.positive("points"), _concerned(table, groups)
    if not wanted or unwanted:
        raise table.error(None, "points that everybody has tell nothing: say in for which group has them")
    table.end()
    return ScoreExtra(points, wanted)


def rule(table: Table, protocol: str, known: Known) -> Rule:
    """A ``[[rule]]``; what it says of other rules is not looked at here."""
    found_id = _name(table, "id", "bp.severe")
    wanted, unwanted = _concerned(table, known.groups)
    found = Rule(
        id=found_id,
        version=table.positive("version"),
        protocol=protocol,
        priority=table.choice("priority", PRIORITIES),
        kind=table.choice("kind", KINDS),
        calls=table.take("calls", bool, True),
        calls_at_night=table.take("calls_at_night", bool, True),
        titles=_both(table.table("title")),
        when=tuple(_limit(part, known) for part in table.tables("when", required=False)),
        also=_also(table),
        count=_count(table.table("count")) if table.has("count") else Count(),
        ask=_ask(table.table("ask")) if table.has("ask") else None,
        unless=_events(table, "unless") if table.has("unless") else (),
        missing=_missing(table.table("missing")) if table.has("missing") else None,
        answered=_answered(table.table("answered")) if table.has("answered") else None,
        confirmed_by=_related(table.table("confirmed_by")) if table.has("confirmed_by") else None,
        follows=_related(table.table("follows")) if table.has("follows") else None,
        expires=table.time("expires", EXPIRES),
        cause=tuple(str(name) for name in table.take("cause", list, [])),
        joins=table.take("joins", str) if table.has("joins") else None,
        requires=tuple(_required(part) for part in table.tables("and", required=False)),
        persists=_lasting(table.table("persists")) if table.has("persists") else None,
        clear_after=_lasting(table.table("clear_after")) if table.has("clear_after") else None,
        groups=wanted,
        not_groups=unwanted,
        say=_say(table.table("say")),
        say_unanswered=_say(table.table("say_unanswered")) if table.has("say_unanswered") else None,
    )
    table.end()
    _check(found, table)
    return found


def _check(found: Rule, table: Table) -> None:
    for key, message in faults(found):
        raise table.error(key, message)
    for part, say in (("say", found.say), ("say_unanswered", found.say_unanswered or {})):
        for audience, sentences in say.items():
            for language, text in sentences.items():
                for _, message in faults_of_sentence(found, text):
                    raise table.at(part, audience).error(language, message)


def _limit(table: Table, known: Known) -> Limit:
    named = _named_score(table, known) if table.has("score") else None
    metric = POINTS if named else _metric(table, "metric")
    word = cast("Word", _one_of(table, (*UP, *DOWN), "a level"))
    statistic = _statistic(table, named) if named or table.has("statistic") else None
    if table.is_text(word):
        limit = _limit_by_parameter(table, word, metric, known.parameters)
    else:
        limit = _limit_by_number(table, word, metric)
    limit = replace(limit, statistic=statistic, score=named)
    numbers = tuple(level for level in (limit.level, limit.clear_level) if level is not None)
    _limits_unit(table, limit, () if limit.parameter else numbers)
    limit = replace(limit, source=table.source())
    table.end()
    for key, message in faults_of_limit(limit):
        raise table.error(key, message)
    if limit.parameter:
        _check_bounds(table, limit, known.parameters[limit.parameter])
    return limit


def _limits_unit(table: Table, limit: Limit, numbers: Sequence[float]) -> None:
    unit = limit_unit(limit)
    if limit.parameter and unit != shown_unit(limit.metric):
        raise table.error("statistic", f"{judged(limit)} is in {unit}, and so is no parameter: write the number here")
    ucum = limit.metric.unit if unit == shown_unit(limit.metric) else unit
    _unit(table, judged(limit), unit, ucum, numbers, difference=is_difference(limit))


def _limit_by_number(table: Table, word: Word, metric: Metric) -> Limit:
    level = table.number(word)
    if table.has("clear_by"):
        raise table.error("clear_by", f"clear_by goes with a parameter: beside a number write {_calm_words(word)[0]}")
    clear_word: Word | None = None
    clear_level: float | None = None
    if metric.kind is not Kind.EVENT:
        found = _one_of(table, _calm_words(word), "the level at which it is over again")
        clear_word, clear_level = cast("Word", found.removeprefix("clear_")), table.number(found)
    return Limit(metric, word, level, clear_word, clear_level, "")


def _limit_by_parameter(table: Table, word: Word, metric: Metric, parameters: Mapping[str, Parameter]) -> Limit:
    name = table.take(word, str)
    if not _ID.fullmatch(name):
        raise table.error(word, f"{word} should be a number, or the name of a parameter, not {name!r}")
    named = parameters[_known(table, word, name, parameters, "parameter")]
    if named.metric != metric:
        raise table.error(word, f"{named.name} is a level of {named.metric.name}, not of {metric.name}")
    for clear in _CLEAR_WORDS:
        if table.has(clear):
            raise table.error(clear, "a parameter differs by resident: say in clear_by how far behind it it is over")
    clear_by = table.number("clear_by")
    if not clear_by > 0:
        raise table.error("clear_by", "clear_by must be more than 0, or the alarm chatters")
    limit = Limit(metric, word, named.value, _CALM[word], 0, "", parameter=named.name, clear_by=clear_by)
    return limit.at_level(named.value)


def _check_bounds(table: Table, limit: Limit, named: Parameter) -> None:
    for end in (named.low, named.high):
        for key, message in faults_of_limit(limit.at_level(end)):
            raise table.error(key, f"{named.name} may be set to {end:g}, and then {message}")


def _named_score(table: Table, known: Known) -> Score:
    if table.has("metric"):
        raise table.error("metric", "a score has metrics of its own: leave out metric, or score")
    return known.scores[_known(table, "score", table.take("score", str), known.scores, "score")]


def _statistic(table: Table, named: Score | None) -> Statistic:
    part = table.table("statistic")
    kind = part.choice("kind", STATISTICS)
    needs = part.positive("needs") if part.has("needs") else USUAL_NEEDS if kind == "from_usual" else None
    window = part.time("window") if part.has("window") else timedelta(0)
    found = Statistic(kind, window, needs or 1, part.take("drop_first_day", bool, False))
    part.end()
    for _, message in faults_of_statistic(found, needs is not None, named is not None):
        raise table.error("statistic", message)
    return found


def _required(table: Table) -> Required:
    metric = _metric(table, "metric")
    if metric.kind is Kind.EVENT:
        found = Required(metric, "at_least", 0, table.time("within"), table.source())
    else:
        word = cast("Word", _one_of(table, (*UP, *DOWN), "a level"))
        found = Required(metric, word, table.number(word), table.time("within"), table.source())
        _unit(table, metric.name, shown_unit(metric), metric.unit, (found.level,))
    table.end()
    for key, message in faults_of_required(found):
        raise table.error(key, message)
    return found


def _lasting(table: Table) -> Lasting:
    found = Lasting(table.time("time"), table.source())
    table.end()
    return found


def _concerned(table: Table, groups: Mapping[str, Group]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Whom it concerns: the groups under ``for`` and ``not_for``."""
    wanted, unwanted = (tuple(_groups(table, key, groups)) for key in ("for", "not_for"))
    for code in wanted:
        if code in unwanted:
            raise table.error("not_for", f"{code} stands under for already: nobody is in it and not in it")
    return wanted, unwanted


def _groups(table: Table, key: str, groups: Mapping[str, Group]) -> Iterator[str]:
    named = [str(name) for name in table.one_or_more(key)] if table.has(key) else None
    if named is not None and (not named or len(set(named)) < len(named)):
        raise table.error(key, f"{key} names each group once; leave it out where nobody is meant")
    for name in named or ():
        yield _known(table, key, name, groups, "group")


def _known(table: Table, key: str, name: str, known: Mapping[str, Any], what: str = "group") -> str:
    if name not in known:
        names = did_you_mean(name, known) if known else f": write [[{what}]]"
        raise table.error(key, f"there is no {what} {name!r}{names}")
    return name


def _name(table: Table, key: str, example: str) -> str:
    found = table.take(key, str)
    if not _ID.fullmatch(found):
        raise table.error(key, f"{found!r} is no {key}: lower-case words joined by dots, such as {example}")
    return found


def _calm_words(word: str) -> tuple[str, ...]:
    return ("clear_below", "clear_at_most") if word in UP else ("clear_above", "clear_at_least")


def _unit(
    table: Table, what: str, shown: str, ucum: str, numbers: Sequence[float], *, difference: bool = False
) -> None:
    unit = table.take("unit", str)
    if unit not in (shown, ucum):
        meant = converted(numbers, unit, shown, difference=difference)
        raise table.error("unit", f"{what} is measured in {shown}, not in {unit}{meant}")


def _one_of(table: Table, words: Sequence[str], what: str) -> str:
    found = [word for word in words if table.has(word)]
    if not found:
        raise table.absent(words, f"{what} is missing: it is given by one of {', '.join(words)}")
    if len(found) > 1:
        raise table.error(found[1], f"{what} is given by only one of {', '.join(words)}")
    return found[0]


def _metric(table: Table, key: str) -> Metric:
    return _known_metric(table, key, table.take(key, str))


def _known_metric(table: Table, key: str, name: str) -> Metric:
    if name not in _HEARD:
        raise table.error(key, f"there is no metric {name!r}{did_you_mean(name, _HEARD)}")
    return _HEARD[name]


def _events(table: Table, key: str) -> tuple[Metric, ...]:
    """One event, or a list of them."""
    return tuple(_event(table, key, str(name)) for name in table.one_or_more(key))


def _event(table: Table, key: str, name: str) -> Metric:
    metric = _known_metric(table, key, name)
    if metric.kind is not Kind.EVENT:
        raise table.error(key, f"{metric.name} is a measurement; {key} names an event")
    return metric


def _related(table: Table) -> Related:
    metric = _event(table, "metric", table.take("metric", str))
    unless = _events(table, "unless") if table.has("unless") else ()
    related = Related(metric, table.time("within"), table.source(), unless)
    table.end()
    return related


def _answered(table: Table) -> Answered:
    answered = Answered(table.take("rule", str), table.source())
    table.end()
    return answered


def _also(table: Table) -> tuple[Metric, ...]:
    names = table.take("also", list, [])
    return tuple(_known_metric(table, "also", str(name)) for name in names)


def _count(table: Table) -> Count:
    k, n = table.positive("over"), table.positive("of")
    within = table.time("within", timedelta(0)) if n == 1 else table.time("within")
    count = Count(k, n, within, table.source(), *_on_days(table))
    if count.k < 2 and count.days < 2:
        raise table.error("over", "one is no count: leave out [rule.count], or write 2 and more")
    table.end()
    return count


def _on_days(table: Table) -> tuple[int, timedelta]:
    if not table.has("on_days"):
        return 1, timedelta(0)
    part = table.table("on_days")
    days, within = part.positive("days"), part.time("within")
    part.end()
    if days < 2:
        raise table.error("on_days", "one day is every day: leave out on_days, or write 2 and more")
    return days, within


def _ask(table: Table) -> Ask:
    ask = Ask(table.choice("kind", ASKS), table.time("within"), table.source(), _both(table.table("say")))
    table.end()
    return ask


def _missing(table: Table) -> Missing:
    metric = _metric(table, "metric")
    if metric.name in DERIVED:
        raise table.error(
            "metric", f"no device sends {metric.name}: name what it is made of, such as pulse or systolic"
        )
    after = _event(table, "after", table.take("after", str)) if table.has("after") else None
    missing = Missing(metric, table.time("within"), table.source(), after)
    table.end()
    return missing


def _both(table: Table) -> Mapping[str, str]:
    sentences = {language: table.take(language, str) for language in LANGUAGES}
    table.end()
    return MappingProxyType(sentences)


def _say(table: Table) -> Mapping[Audience, Mapping[str, str]]:
    say = {audience: _both(table.table(audience)) for audience in AUDIENCES}
    table.end()
    return MappingProxyType(say)
