"""What makes a rule senseless although every word of it is known. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from alerts.language.number_checks import Fault, points
from alerts.language.tables import did_you_mean
from alerts.rule import MOST_COUNTED, MOST_DAYS, Count, Group, Limit, Required, Rule, evidence_names
from devices.readings import Kind

LONGEST_QUESTION: Final = timedelta(hours=24)
"""A question that stands longer would leave a resident unheard for more than a day."""

OLDEST: Final = 120
"""Years. From an age beyond it on nobody is in any group."""

_DAY: Final = timedelta(days=1)
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_KINDS: Final = {Kind.VITAL: "physiological", Kind.EVENT: "event", Kind.DEVICE: "technical"}


def faults(rule: Rule) -> Iterator[Fault]:
    """What is wrong with a whole rule."""
    yield from _watching(rule)
    yield from _kind(rule)
    yield from _statistics(rule)
    yield from _counting(rule)
    yield from _lasting(rule)
    yield from _requiring(rule)
    yield from _asking(rule)
    if rule.priority == "high" and not rule.calls:
        yield "calls", "a high priority means harm that is near (IEC 60601-1-8): it has to call somebody"
    if not rule.calls_at_night and (rule.priority == "high" or not rule.calls):
        yield "calls_at_night", "only a call of medium or low priority can wait for the morning"


def faults_of_sentence(rule: Rule, text: str) -> Iterator[Fault]:
    """What is wrong with one sentence of the rule."""
    if not text.strip():
        yield None, "the sentence is empty"
    known = evidence_names(rule)
    for name in _PLACEHOLDER.findall(text):
        if name not in known:
            yield None, f"nothing fills {{{name}}}{did_you_mean(name, known)}"
    if re.search(r"[{}]", _PLACEHOLDER.sub("", text)):
        yield None, "a placeholder is a name in braces and nothing else, such as {systolic}"


def faults_of_group(group: Group) -> Iterator[Fault]:
    """What is wrong with how a group follows from others, or from age."""
    if group.all_of and group.from_age is not None:
        yield "from_age", "a group follows from others or from age: write a group for the age, and name it under all_of"
    if group.code in group.all_of:
        yield "all_of", f"{group.code} cannot follow from itself"
    if group.all_of and len(set(group.all_of)) < max(2, len(group.all_of)):
        yield "all_of", "all_of names two groups or more, each once"
    if group.from_age is not None and group.from_age > OLDEST:
        yield "from_age", f"nobody is {group.from_age} years old"


def faults_of_group_named(name: str, other: Group) -> Iterator[str]:
    """What is wrong with naming ``other`` under ``all_of`` of the group ``name``."""
    if other.all_of:
        yield f"{other.code} follows from others itself: name those in {name}"


def faults_of_named(key: str, rule: Rule, other: Rule | None) -> Iterator[str]:
    """What is wrong with naming ``other`` under ``key`` (``cause``, ``joins`` or ``answered``); ``None`` is unknown."""
    if other is None:
        return
    if other.id == rule.id:
        yield {"cause": "a rule is no cause of itself"}.get(key, f"a rule cannot name itself under {key}")
    if key == "answered" and other.ask is None:
        yield f"{other.id} asks nothing, so nothing is answered"
    if key == "joins" and (other.priority != rule.priority or other.joins):
        yield f"an alert keeps its priority: {other.id} must have the same, and must join no other itself"


def _watching(rule: Rule) -> Iterator[Fault]:
    if bool(rule.when) + (rule.missing is not None) + (rule.answered is not None) != 1:
        yield (
            None,
            "a rule watches either levels ([[rule.when]]), or silence ([rule.missing]), or answers ([rule.answered])",
        )
    if any(limit.metric.kind is Kind.AMBIENT for limit in rule.when):
        yield "when", "what a sensor in the flat sees is judged by its gateway: write a rule on the event inactivity"
    judged = [(limit.metric, limit.statistic and limit.statistic.kind) for limit in rule.when]
    parts = [part.metric for limit in rule.when if limit.score for part in limit.score.parts]
    beside = [metric for metric in rule.also if metric in {*parts, *(limit.metric for limit in rule.when)}]
    if len(set(judged)) != len(judged) or beside or len(set(rule.also)) != len(rule.also):
        yield "when", "a metric can stand only once in a rule"
    if len({limit.metric.kind for limit in rule.when}) > 1 or (rule.on_event and len(rule.when) > 1):
        yield "when", "an event or a device's condition stands alone: write another rule for the other condition"
    if any(metric.kind is not Kind.VITAL for metric in rule.also):
        yield "also", "only vital signs stand beside others"
    if rule.missing and (rule.ask or rule.count != Count() or rule.also):
        yield "missing", "silence has nothing to ask, count or show: leave out ask, count and also"
    if rule.missing and rule.missing.metric == rule.missing.after:
        yield (
            "missing",
            f"{rule.missing.metric.name} cannot end the silence after itself: name another event under after",
        )
    if rule.answered and (rule.ask or rule.count != Count() or rule.also):
        yield "answered", "an answer has nothing to ask, count or show: leave out ask, count and also"
    if rule.answered and rule.priority == "high":
        yield "priority", "who has answered is in no danger that is near: give medium or low"
    if rule.joins and not rule.on_event:
        yield "joins", "only an event can make another rule's alert more urgent"


def _kind(rule: Rule) -> Iterator[Fault]:
    if rule.missing or rule.answered:
        kind = "technical" if rule.missing and not rule.missing.after else "event"
    else:
        kind = _KINDS.get(rule.when[0].metric.kind, rule.kind) if rule.when else rule.kind
    if rule.kind != kind:
        yield "kind", f'what this rule watches is {kind}, and staff must be able to tell: write kind = "{kind}"'


def _statistics(rule: Rule) -> Iterator[Fault]:
    """What is wrong with judging what is made of many readings."""
    if not rule.on_statistic:
        return
    if any(limit.statistic is None for limit in rule.when):
        yield "when", "single readings and what is made of many are judged at other times: write another rule for one"
    for limit in rule.when:
        if limit.metric.kind is not Kind.VITAL:
            yield "when", f"{limit.metric.name} is no measurement, and statistics are made of measurements"
        elif limit.score and not limit.over(_most_points(limit, rule)):
            yield "when", f"nobody whom this rule concerns can have so many points of {limit.score.id}"
    if len({limit.score.id for limit in rule.when if limit.score}) > 1:
        yield "when", "a rule judges one score: write another rule for the other"
    if rule.count != Count() and ((rule.count.k, rule.count.n) != (2, 2) or rule.count.days > 1 or rule.ask is None):
        yield "count", "a statistic has counted already: leave out count, or write 2 of 2 with ask for a repeat first"


def _most_points(limit: Limit, rule: Rule) -> int:
    assert limit.score is not None
    assert limit.statistic is not None
    highest = limit.statistic.kind == "worst_part"
    least, most = points(limit.score, rule.groups, rule.not_groups, highest=highest)
    return most if limit.sign > 0 else least


def _lasting(rule: Rule) -> Iterator[Fault]:
    """What is wrong with the delays."""
    plain = bool(rule.when) and not (rule.on_event or rule.on_device or rule.on_statistic)
    for key, lasting in (("persists", rule.persists), ("clear_after", rule.clear_after)):
        if lasting and not plain:
            yield key, f"only the level of a measurement can last: leave out {key}"
    if rule.persists and rule.count != Count():
        yield "persists", "what must last unbroken is not counted besides: leave out persists, or [rule.count]"


def _requiring(rule: Rule) -> Iterator[Fault]:
    """What is wrong with what must be so besides."""
    if rule.requires and not rule.when:
        yield "and", "only with a level or an event can something else be required: leave out [[rule.and]]"
    sides = [(required.metric.name, required.sign) for required in rule.requires]
    for name, sign in sides:
        if sides.count((name, sign)) > 1:
            yield "and", f"{name} is required twice: leave out the milder level"
    for required in rule.requires:
        yield from _required_of_own(rule, required)
        other = next((r for r in rule.requires if r.metric == required.metric and r.sign != required.sign), None)
        if other and required.sign > 0 and required.over_from > other.over_from:
            yield "and", f"{required.metric.name} cannot be both: nothing lies beyond both levels"


def _required_of_own(rule: Rule, required: Required) -> Iterator[Fault]:
    """A level required of the rule's own metric is looked up in the very reading that is judged."""
    own = [limit for limit in rule.when if limit.metric == required.metric and limit.statistic is None]
    name = required.metric.name
    if own and rule.on_event:
        yield "and", f"{name} is this rule's own event: leave it out"
    elif own and len(rule.when) == 1:
        yield "and", f"{name} is judged by this rule already: write the level you mean into [[rule.when]]"
    elif any((limit.sign, limit.over_from) == (required.sign, required.over_from) for limit in own):
        yield "and", f"this level of {name} stands in [[rule.when]] already, and would leave the others there no part"


def _counting(rule: Rule) -> Iterator[Fault]:
    count = rule.count
    if count.days > 1:
        yield from _counting_days(rule)
    if count != Count() and rule.when and rule.when[0].metric.kind is not Kind.VITAL:
        yield "count", "only measurements are counted, no events and no devices: leave out count"
    if count.k > count.n:
        yield "count", f"{count.k} of {count.n} is impossible"
    if count.n > MOST_COUNTED:
        yield "count", f"at most {MOST_COUNTED} measurements can be looked at together"


def _counting_days(rule: Rule) -> Iterator[Fault]:
    count = rule.count
    if rule.ask:
        yield "count", "a question cannot stand for days: leave out on_days, or ask"
    if count.days_within % _DAY or not count.days <= count.days_within // _DAY <= MOST_DAYS:
        least = max(count.days, 2)
        yield "count", f"{count.days} days are looked for within whole days, from {least} d to {MOST_DAYS} d"


def _asking(rule: Rule) -> Iterator[Fault]:
    ask = rule.ask
    if rule.unless and not rule.on_event:
        yield "unless", "only an event can be taken back by another event"
    if rule.on_event and rule.when[0].metric in rule.unless:
        yield "unless", "an event cannot take itself back"
    if rule.unless and ask is None and rule.follows is None:
        yield "unless", "say in [rule.ask] how long to wait for it"
    yield from _related(rule)
    if rule.say_unanswered and ask is None:
        yield "say_unanswered", "nothing is asked here, so nothing stays unanswered"
    if ask is None:
        return
    if ask.within > LONGEST_QUESTION:
        yield "ask", "a question can stand for at most 24 hours: she would be left unheard"
    if ask.kind == "are_you_well" and not rule.unless:
        yield "ask", "are_you_well needs unless: the event that says that all is well"
    if ask.kind == "repeat_measurement" and rule.count.k < 2:
        yield "ask", "a repeat is asked for only by a rule that counts measurements: give [rule.count]"


def _related(rule: Rule) -> Iterator[Fault]:
    for key, related in (("confirmed_by", rule.confirmed_by), ("follows", rule.follows)):
        if related is None:
            continue
        if not rule.on_event:
            yield key, "only an event has other events of its episode"
        elif related.metric in (rule.when[0].metric, *rule.unless):
            yield key, f"{related.metric.name} cannot be both: it is this rule's own event, or takes it back"
        for metric in related.unless:
            if metric not in rule.unless:
                yield key, f"{metric.name} must take back this rule's own event too: name it in the rule's unless"
    if rule.confirmed_by and rule.ask is None:
        yield "confirmed_by", "what asks nothing raises at once and needs no confirmation: leave it out"
    if rule.confirmed_by and rule.follows:
        yield "follows", "a rule whose event is confirmed begins the episode itself: leave out follows"
    if rule.follows and not rule.follows.unless:
        yield (
            "follows",
            "without an unless of its own it changes nothing: name there what takes this event back, or leave it out",
        )
