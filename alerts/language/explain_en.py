"""What a rule does, in plain English. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from alerts.language.vocabulary import Terms, is_difference, length, listed, metric_name, quantity
from alerts.rule import Count, Limit, Related, Required, Rule, Score, Statistic, Word, limit_unit, shown_unit
from devices.readings import Kind, Metric

_EN: Final = "en"
_LEVELS: Final[Mapping[str, str]] = MappingProxyType(
    {"at_least": "at least", "above": "above", "at_most": "at most", "below": "below"}
)
_BY: Final[Mapping[tuple[str, int], str]] = MappingProxyType(
    {
        ("at_least", 1): "at least",
        ("above", 1): "more than",
        ("below", 1): "less than",
        ("at_most", 1): "no more than",
        ("at_most", -1): "at least",
        ("below", -1): "more than",
        ("above", -1): "less than",
        ("at_least", -1): "no more than",
    }
)
"""How far something went, by the word of the level and the direction in which it is meant."""


def rule_in_english(rule: Rule, terms: Terms) -> str:
    """The whole rule: for whom, when it fires, what is asked first, who is called, when it is over."""
    parts = [
        f"{rule.title(_EN)} ({rule.id}, version {rule.version}), {rule.priority} priority.",
        _whom(rule, terms),
        _condition(rule, terms),
        _required(rule),
        _cause(rule, terms),
        _ask(rule),
        _related(rule, terms),
        _call(rule),
        _end(rule),
        _late(rule),
        f"Sources: {' | '.join(terms.sources(rule))}",
    ]
    return " ".join(part for part in parts if part)


def brief_in_english(rule: Rule, terms: Terms) -> str:
    """When it fires, what is asked first, and who is called."""
    return " ".join(part for part in (_condition(rule, terms), _required(rule), _ask(rule), _call(rule)) if part)


def groups_in_english(codes: Sequence[str], terms: Terms, last: str = "or") -> str:
    """Groups by their titles: the group "COPD"."""
    names = [f"“{terms.group(code, _EN)}”" for code in codes]
    return f"the group{'s' if len(names) > 1 else ''} {listed(names, _EN, last)}"


def score_in_english(score: Score, terms: Terms) -> str:
    """What a score is made of, band by band."""
    head = (
        f"{score.titles[_EN]} ({score.id}): the points of the newest values are added, none older than "
        f"{length(score.fresh, _EN)}; with fewer than {score.needs} of its parts it is not known."
    )
    parts = [head]
    for part in score.parts:
        whom = [f"for {groups_in_english(part.groups, terms)}"] if part.groups else []
        whom += [f"not for {groups_in_english(part.not_groups, terms)}"] if part.not_groups else []
        name = _capital(metric_name(part.metric, _EN)) + (f" ({', '.join(whom)})" if whom else "")
        parts.append(f"{name}: {_bands(part.bands, shown_unit(part.metric))}.")
    for extra in score.extras:
        points = quantity(extra.points, "points", _EN)
        parts.append(f"Residents of {groups_in_english(extra.groups, terms)} have {points} besides.")
    return " ".join([*parts, f"Source: {score.source}"])


def _bands(bands: Sequence[tuple[float, int]], unit: str) -> str:
    points = [quantity(number, "points", _EN) for _, number in bands]
    said = [
        f"up to {quantity(edge, unit, _EN)} {number}" for (edge, _), number in zip(bands[:-1], points, strict=False)
    ]
    return ", ".join([*said, f"above that {points[-1]}"])


def _whom(rule: Rule, terms: Terms) -> str:
    if not rule.groups and not rule.not_groups:
        return ""
    only = f"only residents of {groups_in_english(rule.groups, terms)}" if rule.groups else "all residents"
    but = f", except those of {groups_in_english(rule.not_groups, terms)}" if rule.not_groups else ""
    return f"It concerns {only}{but}."


def _condition(rule: Rule, terms: Terms) -> str:
    if rule.missing:
        return _missing(rule)
    if rule.answered:
        return f"Fires when the question of {terms.rule(rule.answered.rule, _EN)} has been answered."
    limits = " or ".join(_over(limit, terms, first=limit is rule.when[0]) for limit in rule.when)
    if rule.on_event:
        return f"Fires on {limits}."
    if rule.on_statistic:
        return f"Fires when {limits}{', and still so when measured again' if rule.count.k > 1 else ''}."
    lasting = f" and stays so for {length(rule.persists.time, _EN)} without a break" if rule.persists else ""
    return f"Fires when {limits}{lasting}{_counted(rule.count)}."


def _missing(rule: Rule) -> str:
    assert rule.missing is not None
    name, time = metric_name(rule.missing.metric, _EN), length(rule.missing.within, _EN)
    if rule.missing.after:
        return f"Fires when {metric_name(rule.missing.after, _EN)} is not followed by {_sign_of(rule.missing.metric)} within {time}."
    return f"Fires when there is no reading of {name} for {time}."


def _sign_of(metric: Metric) -> str:
    name = metric_name(metric, _EN)
    return name if metric.kind in (Kind.EVENT, Kind.AMBIENT) else f"a reading of {name}"


def _counted(count: Count) -> str:
    often = (
        f" in {count.k} of the last {count.n} measurements within {length(count.within, _EN)}" if count.k > 1 else ""
    )
    days = f", on {count.days} different days within {length(count.days_within, _EN)}" if count.days > 1 else ""
    return often + days


def _over(limit: Limit, terms: Terms, *, first: bool) -> str:
    """When a limit is over. What a score is made of is said with the ``first``."""
    if limit.metric.kind is Kind.EVENT:
        return f"{metric_name(limit.metric, _EN)} (probability {_LEVELS[limit.word]} {limit.level:g})"
    said = _said(limit, limit.word, limit.level)
    notes = [*(_made_of(limit) if first or limit.score is None else ()), *_set_by(limit, terms)]
    return f"{said} ({'; '.join(notes)})" if notes else said


def _said(limit: Limit, word: Word, level: float) -> str:
    """What a limit judges, against one of its two levels."""
    statistic, unit = limit.statistic, limit_unit(limit)
    if statistic is None:
        return _plain(limit.metric, word, level)
    if statistic.kind in ("rise", "drop", "from_usual", "trend"):
        return _moved(limit, statistic, word, level)
    difference = statistic.kind == "deviation"
    amount = quantity(level, unit, _EN, difference=difference)
    if statistic.kind == "worst_part":
        return _worst_part(limit, word, amount)
    return f"{_statistic_name(limit, statistic)} is {_LEVELS[word]} {amount}"


def _plain(metric: Metric, word: Word, level: float) -> str:
    if metric.name == "irregular_pulse":
        many = word in ("at_least", "above")
        return "the cuff reports an irregular pulse" if many else "the cuff no longer reports an irregular pulse"
    if metric.name == "device_silence":
        return f"a device is silent for {_LEVELS[word]} {level:g} times its longest usual pause"
    return f"{metric_name(metric, _EN)} is {_LEVELS[word]} {quantity(level, shown_unit(metric), _EN)}"


def _statistic_name(limit: Limit, statistic: Statistic) -> str:
    if limit.score:
        return f"“{limit.score.titles[_EN]}”"
    window = length(statistic.window, _EN)
    name = _value_name(limit.metric)
    return {
        "average": f"the average {name} of the last {window}",
        "deviation": f"the standard deviation of the daily means of {name} over the last {window}",
        "variation": f"the day-to-day variation of {name} over the last {window}",
    }[statistic.kind]


def _value_name(metric: Metric) -> str:
    if metric.name == "irregular_pulse":
        return "share of measurements with an irregular pulse (1 is all of them)"
    return metric_name(metric, _EN)


def _worst_part(limit: Limit, word: Word, amount: str) -> str:
    assert limit.score is not None
    score = f"“{limit.score.titles[_EN]}”"
    if word in ("at_least", "above"):
        return f"a single part of {score} gives {_BY[word, 1]} {amount}"
    return f"every part of {score} gives {_BY[word, 1]} {amount}"


def _moved(limit: Limit, statistic: Statistic, word: Word, level: float) -> str:
    """A change, said with the direction in which it is meant."""
    sign = 1 if statistic.kind in ("rise", "drop") else limit.sign
    if sign * level < 0:
        sign = -sign
    up = sign > 0 and statistic.kind != "drop"
    by = f"{_BY[word, sign]} {quantity(sign * level, limit_unit(limit), _EN, difference=True)}"
    name = metric_name(limit.metric, _EN)
    if statistic.kind == "trend":
        return f"{name} {'rises' if up else 'falls'} by {by} a week over the last {length(statistic.window, _EN)}"
    where = f"{'above' if up else 'below'} {_before(statistic)}"
    return f"{name} is {by} {where}"


def _before(statistic: Statistic) -> str:
    if statistic.kind == "from_usual":
        return "the resident's own usual value at this time of day"
    end = "lowest" if statistic.kind == "rise" else "highest"
    window = length(statistic.window, _EN).removeprefix("1 ")
    return f"the {end} {'daily mean' if statistic.days else 'value'} of the {window} before"


def _made_of(limit: Limit) -> list[str]:
    """What a statistic is made of, and how much of it must be known."""
    statistic = limit.statistic
    if statistic is None:
        return []
    if limit.score:
        parts = listed(dict.fromkeys(metric_name(part.metric, _EN) for part in limit.score.parts), _EN)
        fresh = length(limit.score.fresh, _EN)
        return [f"made of {parts}", f"at least {limit.score.needs} of them, none older than {fresh}"]
    days = f"at least {statistic.needs} days with readings"
    return {
        "average": [_readings(statistic)],
        "deviation": [days],
        "variation": ["the standard deviation of its daily means as a share of their mean", days],
        "trend": ["the slope of its daily means", days],
        "from_usual": [f"known once there are {statistic.needs} readings at this time of day"],
    }.get(statistic.kind, [])


def _readings(statistic: Statistic) -> str:
    needs = f"from at least {statistic.needs} reading{'' if statistic.needs == 1 else 's'}"
    return f"{needs}, the first day left out" if statistic.drop_first_day else needs


def _set_by(limit: Limit, terms: Terms) -> list[str]:
    """That the level may be set, and for whom it differs."""
    if limit.parameter is None:
        return []
    parameter = terms.parameter(limit.parameter)
    if parameter is None:
        return [f"{limit.parameter}, which may be set for each resident"]
    unit, difference = limit_unit(limit), is_difference(limit)
    low, high = parameter.low, quantity(parameter.high, unit, _EN, difference=difference)
    groups = [
        f"{quantity(own.value, unit, _EN, difference=difference)} for {groups_in_english([code], terms)}"
        for code, own in parameter.groups.items()
    ]
    bounds = f"“{parameter.titles[_EN]}”, which may be set for each resident from {low:g} to {high}"
    return [bounds, *groups]


def _required(rule: Rule) -> str:
    if not rule.requires:
        return ""
    return f"It fires only {' and '.join(_so(required) for required in rule.requires)}."


def _so(required: Required) -> str:
    time, metric = length(required.within, _EN), required.metric
    if metric.kind is Kind.EVENT:
        return f"within {time} after {metric_name(metric, _EN)}"
    if metric.name == "irregular_pulse":
        regular = "irregular" if required.sign > 0 else "regular"
        return f"if the last pulse, measured no longer than {time} before, was {regular}"
    level = f"{_LEVELS[required.word]} {quantity(required.level, shown_unit(metric), _EN)}"
    return f"if the last {metric_name(metric, _EN)}, measured no longer than {time} before, was {level}"


def _cause(rule: Rule, terms: Terms) -> str:
    return (
        f"Not while {listed((terms.rule(name, _EN) for name in rule.cause), _EN, 'or')} is open: it would say the same."
        if rule.cause
        else ""
    )


def _ask(rule: Rule) -> str:
    if rule.ask is None:
        return ""
    time = length(rule.ask.within, _EN)
    if rule.unless:
        return f"The resident is asked first; {_any(rule.unless)} within {time} calls it off, silence does not."
    return (
        f"After the first the resident is asked to measure again; without a repeat within {time} it fires all the same."
    )


def _any(metrics: Sequence[Metric]) -> str:
    return listed((metric_name(metric, _EN) for metric in metrics), _EN, "or")


def _related(rule: Rule, terms: Terms) -> str:
    parts = []
    if confirmed := rule.confirmed_by:
        parts.append(
            f"{_capital(metric_name(confirmed.metric, _EN))}, up to {length(confirmed.within, _EN)} later, ends the wait "
            f"and fires at once, also where the first never came{_unless(confirmed)}."
        )
    if follows := rule.follows:
        before = f"{metric_name(follows.metric, _EN)} up to {length(follows.within, _EN)} before"
        parts.append(f"It belongs to {before}{_unless(follows)}.")
    if rule.joins:
        parts.append(
            f"While {terms.rule(rule.joins, _EN)} is open it joins that alert: who has taken it is called anew, else the next."
        )
    return " ".join(parts)


def _unless(related: Related) -> str:
    return f", unless there was {_any(related.unless)} in between" if related.unless else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _call(rule: Rule) -> str:
    if not rule.calls:
        return "Nobody is called: it waits as a task."
    return "Staff are called." if rule.calls_at_night else "Staff are called, at night not before the morning."


def _end(rule: Rule) -> str:
    if rule.missing:
        metric = rule.missing.metric
        return f"It is over with {_sign_of(metric) if rule.missing.after else 'the next reading'}."
    if rule.on_event:
        return f"It is over with {_any(rule.unless)}." if rule.unless else ""
    if rule.answered:
        return ""
    ends = [
        f"{_said(limit, limit.clear_word, limit.clear_level)}{_behind(limit)}"
        for limit in rule.when
        if limit.clear_word and limit.clear_level is not None
    ]
    lasting = f" and has stayed so for {length(rule.clear_after.time, _EN)}" if rule.clear_after else ""
    return f"It is over when {' and '.join(ends)}{lasting}."


def _behind(limit: Limit) -> str:
    """That the clear level moves with a level that may be set, in brackets."""
    if limit.clear_by is None:
        return ""
    return f" ({quantity(limit.clear_by, limit_unit(limit), _EN, difference=True)} from the level)"


def _late(rule: Rule) -> str:
    if not rule.when:
        return ""
    noted = " It is noted for the doctor instead." if rule.notes else ""
    return f"A reading older than {length(rule.expires, _EN)} when it arrives raises no alarm.{noted}"
