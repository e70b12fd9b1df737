"""The values by which a resident is judged, as her doctor reads and enters them. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Final

from alerts.judging import Grounds
from alerts.language.explain import brief, quantity
from alerts.profiles import Choice, Origin
from alerts.protocol import Protocol
from alerts.rule import PRIORITIES, Group, Parameter, Priority, Rule, shown_unit
from clinicians.cases import PRIORITIES as PRIORITY_WORDS
from clinicians.doctor import CONDITIONS, condition
from clinicians.vitals import DIGITS
from clinicians.words import N_, Words
from store.parameters import LONGEST_WHY, Noted, Setting

FURTHEST: Final = timedelta(days=3653)
"""So far ahead a value may end; whoever means longer means for good."""

_MARKS: Final = {
    "own": N_("her or his own"),
    "centre": N_("by condition"),
    "group": N_("by condition"),
    "protocol": N_("usual"),
}
_WHOLE: Final = N_("Please write a whole number from %(low)s to %(high)s.")
_DECIMAL: Final = N_("Please write a number from %(low)s to %(high)s, with one decimal at most.")
_UNTIL: Final = N_(
    "The last day can be today or later, and no further ahead than ten years. Leave it empty if the value is for good."
)
_WHY: Final = N_("Please say why in a few words, up to %(most)s characters: your colleagues go by it.")
_NUMBER: Final = re.compile(r"-?[0-9]{1,6}(\.[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Value:
    """One parameter for one resident. ``mark`` says in a word whence its value is, the other texts more exactly.

    ``usual`` is what she would be judged by without a value of her own, ``ignored`` her own value where it cannot count.
    ``decides`` are the titles of the rules that go by it, ``source`` is in English.
    """

    name: str
    title: str
    text: str
    origin: str
    mark: str
    whence: Origin
    standing: str
    why: str
    source: str
    usual: str
    ignored: str
    bounds: str
    unit: str
    decides: tuple[str, ...]

    @property
    def differs(self) -> bool:
        """Whether something was set for her, or her conditions make a difference."""
        return bool(self.whence != "protocol" or self.ignored)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a history: when, who, what, and why."""

    at: datetime
    who: str
    what: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Happens:
    """A rule by its title, and what it does in a sentence or two."""

    title: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition to tick. One that makes ``no_difference`` is in no group of the protocol."""

    code: str
    name: str
    holds: bool
    no_difference: bool


@dataclass(frozen=True, slots=True)
class Follows:
    """A group nobody notes, with the words for from what it follows, and whether the resident is in it."""

    name: str
    whence: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Entered:
    """A form as it was sent, so that nothing is lost when it comes back."""

    name: str
    value: str
    until: str
    why: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """What was entered, understood. ``until`` is the midnight after the last day, ``None`` for good."""

    value: float
    until: datetime | None
    why: str


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a form: the field, and a sentence for whoever filled it in."""

    field: str
    sentence: str


def values(
    protocol: Protocol, grounds: Grounds, own: Sequence[Setting], of_centre: Sequence[Setting], words: Words
) -> list[Value]:
    """Every parameter that concerns her, in the protocol's order. Both histories newest first."""
    newest = {setting.name: setting for setting in reversed(own)}
    of_groups = {(setting.group, setting.name): setting for setting in reversed(of_centre)}
    return [
        _value(parameter, protocol, grounds, newest.get(parameter.name), of_groups, words)
        for parameter in protocol.parameters
        if concerns(parameter, protocol, grounds)
    ]


def concerns(parameter: Parameter, protocol: Protocol, grounds: Grounds) -> bool:
    """Whether a rule for her goes by it, or she has a value of her own; one that no rule names is for the pages, and for all."""
    users = _users(parameter, protocol)
    return not users or parameter.name in grounds.own or any(_is_for(rule, grounds) for rule in users)


def _users(parameter: Parameter, protocol: Protocol) -> list[Rule]:
    return [rule for rule in protocol.rules if any(limit.parameter == parameter.name for limit in rule.when)]


def _is_for(rule: Rule, grounds: Grounds) -> bool:
    return grounds.profile.concerns(rule.groups, rule.not_groups)


def _value(
    parameter: Parameter,
    protocol: Protocol,
    grounds: Grounds,
    own: Setting | None,
    of_groups: Mapping[tuple[str, str], Setting],
    words: Words,
) -> Value:
    counts, *others = grounds.choices[parameter.name]
    setting = own if counts.origin == "own" else of_groups.get((counts.group, parameter.name))
    setting = setting if counts.origin in ("own", "centre") else None
    ignored = grounds.own.get(parameter.name) if counts.origin != "own" else None
    return Value(
        name=parameter.name,
        title=parameter.titles[words.language],
        text=amount(parameter, counts.value, words),
        origin=_origin(counts, protocol, words),
        mark=words.gettext(_MARKS[counts.origin]),
        whence=counts.origin,
        standing=_standing(setting, words) if setting else "",
        why=setting.why if setting else "",
        source=_source(counts, parameter),
        usual=amount(parameter, others[0].value, words) if others else "",
        ignored=amount(parameter, ignored, words) if ignored is not None else "",
        bounds=words.gettext("from %(low)s to %(high)s", **_bounds(parameter, words)),
        unit=shown_unit(parameter.metric),
        decides=tuple(r.title(words.language) for r in _users(parameter, protocol) if _is_for(r, grounds)),
    )


def happens(protocol: Protocol, grounds: Grounds, words: Words) -> list[tuple[Priority, str, list[Happens]]]:
    """What happens when, of every rule for her and with her values: by priority, the most urgent first."""
    value = {parameter.name: grounds.profile.value(parameter) for parameter in protocol.parameters}
    found = []
    for priority in PRIORITIES:
        hers = [rule for rule in protocol.rules if rule.priority == priority and _is_for(rule, grounds)]
        said = [Happens(rule.title(words.language), brief(_with(rule, value), words.language)) for rule in hers]
        if said:
            found.append((priority, words.gettext(PRIORITY_WORDS[priority]), said))
    return found


def _with(rule: Rule, value: Mapping[str, float]) -> Rule:
    """The rule with her numbers in it, as if nothing could be set."""
    limits = (
        replace(limit.at_level(value[limit.parameter]), parameter=None) if limit.parameter else limit
        for limit in rule.when
    )
    return replace(rule, when=tuple(limits))


def amount(parameter: Parameter, value: float, words: Words) -> str:
    """A value of a parameter with its unit."""
    return quantity(value, shown_unit(parameter.metric), words.language)


def _bounds(parameter: Parameter, words: Words) -> dict[str, str]:
    return {"low": f"{parameter.low:g}", "high": amount(parameter, parameter.high, words)}


def _origin(choice: Choice, protocol: Protocol, words: Words) -> str:
    if choice.origin == "own":
        return words.gettext("Set for her or him alone.")
    if choice.origin == "protocol":
        return words.gettext("The protocol's value for everybody.")
    group = condition(choice.group, protocol, words)
    if choice.origin == "centre":
        return words.gettext("Your centre's value with this condition: %(condition)s.", condition=group)
    return words.gettext("The protocol's value with this condition: %(condition)s.", condition=group)


def _source(choice: Choice, parameter: Parameter) -> str:
    if choice.origin == "group":
        return parameter.groups[choice.group].source
    return parameter.source if choice.origin == "protocol" else ""


def _standing(setting: Setting, words: Words) -> str:
    """Who set it when, and until when it counts."""
    who, when = setting.by(words.language), words.when(setting.set_at)
    by = words.gettext("%(who)s, %(when)s", who=who, when=when) if who else when
    return words.gettext("%(by)s; %(until)s", by=by, until=_until(setting.until, words))


def _until(until: datetime | None, words: Words) -> str:
    if until is None:
        return words.gettext("for good")
    return words.gettext("until the end of %(day)s", day=words.day(last_day(until, words)))


def last_day(until: datetime, words: Words) -> date:
    """The last day on which a value counts that ends at ``until``."""
    return words.local(until - timedelta(microseconds=1)).date()


def history(protocol: Protocol, settings: Iterable[Setting], words: Words) -> list[Line]:
    """What was set for her, in the order given. A parameter that the protocol has no more goes by its name."""
    known = {parameter.name: parameter for parameter in protocol.parameters}
    return [_line(setting, known.get(setting.name), words) for setting in settings]


def _line(setting: Setting, parameter: Parameter | None, words: Words) -> Line:
    title = parameter.titles[words.language] if parameter else setting.name
    if setting.value is None:
        what = words.gettext("%(what)s: back to the usual", what=title)
    else:
        value = amount(parameter, setting.value, words) if parameter else f"{setting.value:g}"
        until = _until(setting.until, words)
        what = words.gettext("%(what)s: %(value)s, %(until)s", what=title, value=value, until=until)
    return Line(setting.set_at, setting.by(words.language), what, setting.why)


def conditions(protocol: Protocol, held: Sequence[str], words: Words) -> list[Condition]:
    """Every condition that can be ticked: those the protocol tells apart, others known here, and what she has besides.

    A group that follows by itself is offered only where it was noted once, and then makes no difference.
    """
    groups = [group.code for group in protocol.groups if not group.follows]
    codes = dict.fromkeys((*groups, *CONDITIONS, *held))
    return [Condition(code, condition(code, protocol, words), code in held, code not in groups) for code in codes]


def following(protocol: Protocol, grounds: Grounds, words: Words) -> list[Follows]:
    """Every group that follows by itself, from other groups or from age."""
    return [
        Follows(group.titles[words.language], _whence(group, protocol, words), group.code in grounds.profile.groups)
        for group in protocol.groups
        if group.follows
    ]


def _whence(group: Group, protocol: Protocol, words: Words) -> str:
    if group.from_age is not None:
        return words.gettext("by the date of birth, from %(age)s years on", age=group.from_age)
    names = words.gettext(", ").join(condition(code, protocol, words) for code in group.all_of)
    return words.gettext("where all of these are so: %(conditions)s", conditions=names)


def history_of_conditions(protocol: Protocol, noted: Iterable[Noted], words: Words) -> list[Line]:
    """Which conditions were noted and taken back, in the order given."""
    return [
        Line(
            one.set_at,
            one.by(words.language),
            words.gettext("noted: %(condition)s", condition=condition(one.code, protocol, words))
            if one.holds
            else words.gettext("taken back: %(condition)s", condition=condition(one.code, protocol, words)),
        )
        for one in noted
    ]


def check(entered: Entered, parameter: Parameter, words: Words) -> Accepted | Wrong:
    """What was entered, or the first thing that is wrong with it. The last day is one of the resident's home."""
    value = _number(entered.value, parameter)
    if value is None:
        sentence = _DECIMAL if decimals(parameter) else _WHOLE
        return Wrong("value", words.gettext(sentence, **_bounds(parameter, words)))
    day = _day(entered.until)
    if entered.until.strip() and (day is None or not words.today <= day <= words.today + FURTHEST):
        return Wrong("until", words.gettext(_UNTIL))
    why = " ".join(entered.why.split())
    if not 0 < len(why) <= LONGEST_WHY or not why.isprintable():
        return Wrong("why", words.gettext(_WHY, most=LONGEST_WHY))
    return Accepted(value, _midnight_after(day, words) if day else None, why)


def decimals(parameter: Parameter) -> int:
    """How many digits after the point its values have at most: as the pages show the metric, or as the protocol has them."""
    written = (parameter.value, parameter.low, parameter.high, *(own.value for own in parameter.groups.values()))
    return max(DIGITS.get(parameter.metric.name, 0), int(any(value != round(value) for value in written)))


def _number(text: str, parameter: Parameter) -> float | None:
    """The number that was written, in whatever width; ``None`` for what is none or lies outside the bounds."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if not _NUMBER.fullmatch(plain):
        return None
    value = float(plain)
    fits = value == round(value, decimals(parameter)) and parameter.low <= value <= parameter.high
    return value if fits else None


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text.strip())
    except ValueError:
        return None


def _midnight_after(day: date, words: Words) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), words.zone)
