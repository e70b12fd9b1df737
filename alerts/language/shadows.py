"""Rules that can never say anything which another has not said already. Pure.

A rule adds nothing where, whenever it would raise, another stands already or raises with it: milder or equal in every
level, waiting no longer, calling at least as urgently, for at least the same residents. A medium rule at a milder level
beside a high one at a worse level is no such case: the second calls where the first did not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from alerts.rule import PRIORITIES, Count, Lasting, Limit, Parameter, Required, Rule, Statistic

_ONE_INFLATION: Final = frozenset({"systolic", "diastolic", "mean_arterial_pressure", "pulse_pressure"})
"""What one inflation of a cuff gives together: a rule on more of it hears no other measurements for that."""

_NONE: Final = timedelta(0)


def shadowed(rules: Sequence[Rule], parameters: Mapping[str, Parameter]) -> Iterator[tuple[Rule, Rule]]:
    """Each rule that adds nothing, with the one that says it all; of two that say the same, the later."""
    for i, rule in enumerate(rules):
        for j, other in enumerate(rules):
            if i == j or not _says_all(other, rule, parameters):
                continue
            if i > j or not _says_all(rule, other, parameters):
                yield rule, other
                break


def _says_all(other: Rule, rule: Rule, parameters: Mapping[str, Parameter]) -> bool:
    return (
        _calls_as_urgently(other, rule)
        and _concerns_as_many(other, rule)
        and _waits_no_longer(other, rule)
        and (
            _hears_as_soon(other, rule) or _answers_the_same(other, rule) or _judges_as_mildly(other, rule, parameters)
        )
    )


def _calls_as_urgently(other: Rule, rule: Rule) -> bool:
    return (
        PRIORITIES.index(other.priority) <= PRIORITIES.index(rule.priority)
        and (other.calls or not rule.calls)
        and (other.calls_at_night or not rule.calls_at_night)
        and set(other.cause) <= set(rule.cause)
        and other.joins == rule.joins
        and other.expires >= rule.expires
    )


def _concerns_as_many(other: Rule, rule: Rule) -> bool:
    wanted = not other.groups or (bool(rule.groups) and set(rule.groups) <= set(other.groups))
    required = all(any(_follows_from(r, given) for given in rule.requires) for r in other.requires)
    return wanted and required and set(other.not_groups) <= set(rule.not_groups)


def _follows_from(required: Required, given: Required) -> bool:
    sign = required.sign
    return (
        (required.metric, sign) == (given.metric, given.sign)
        and sign * required.over_from <= sign * given.over_from
        and required.within >= given.within
    )


def _waits_no_longer(other: Rule, rule: Rule) -> bool:
    """Whether ``other`` has counted, lasted and asked enough whenever ``rule`` has."""
    if _time(other.persists) > _time(rule.persists) or not _counts_no_more(other.count, rule.count):
        return False
    at_once = other.count.k == 1 and other.ask is None
    return at_once or rule.ask is None or (other.ask is not None and other.ask.within <= rule.ask.within)


def _time(lasting: Lasting | None) -> timedelta:
    return lasting.time if lasting else _NONE


def _counts_no_more(other: Count, count: Count) -> bool:
    if other.days > 1 and (other.days > count.days or other.days_within < count.days_within):
        return False
    if other.k == 1:
        return True
    # As many of the last n may be among those that a shorter row no longer sees.
    seen = count.k - max(0, count.n - other.n)
    return seen >= other.k and other.within >= count.within


def _hears_as_soon(other: Rule, rule: Rule) -> bool:
    if other.missing is None or rule.missing is None:
        return False
    same = (other.missing.metric, other.missing.after) == (rule.missing.metric, rule.missing.after)
    return same and other.missing.within <= rule.missing.within


def _answers_the_same(other: Rule, rule: Rule) -> bool:
    return other.answered is not None and rule.answered is not None and other.answered.rule == rule.answered.rule


def _judges_as_mildly(other: Rule, rule: Rule, parameters: Mapping[str, Parameter]) -> bool:
    """Whether every level of ``rule`` is behind one of ``other``. Of devices each may stand for another device."""
    if not rule.when or rule.on_device or not _hears_the_same(other, rule):
        return False
    if rule.on_event and not _same_episode(other, rule):
        return False
    return all(any(_is_as_mild(mild, limit, parameters) for mild in other.when) for limit in rule.when)


def _hears_the_same(other: Rule, rule: Rule) -> bool:
    heard, own = ({limit.metric.name for limit in found.when} for found in (other, rule))
    return heard == own or (own < heard and heard <= _ONE_INFLATION and not other.on_statistic)


def _same_episode(other: Rule, rule: Rule) -> bool:
    return set(other.unless) <= set(rule.unless) and (other.confirmed_by, other.follows) == (
        rule.confirmed_by,
        rule.follows,
    )


def _is_as_mild(mild: Limit, limit: Limit, parameters: Mapping[str, Parameter]) -> bool:
    if (mild.metric, mild.score, mild.sign) != (limit.metric, limit.score, limit.sign):
        return False
    if not _knows_as_soon(mild.statistic, limit.statistic):
        return False
    if limit.parameter and mild.parameter == limit.parameter:
        return limit.sign * mild.over_from <= limit.sign * limit.over_from
    worst, mildest = _set_to(mild, parameters, harsh=True), _set_to(limit, parameters, harsh=False)
    return limit.sign * worst.over_from <= limit.sign * mildest.over_from


def _knows_as_soon(mild: Statistic | None, other: Statistic | None) -> bool:
    if mild is None or other is None:
        return mild is other
    same = (mild.kind, mild.window, mild.drop_first_day) == (other.kind, other.window, other.drop_first_day)
    return same and mild.needs <= other.needs


def _set_to(limit: Limit, parameters: Mapping[str, Parameter], *, harsh: bool) -> Limit:
    """The limit with its parameter at the end of its bounds that is hardest, or easiest, to reach."""
    if limit.parameter is None:
        return limit
    parameter = parameters[limit.parameter]
    return limit.at_level(parameter.high if harsh == (limit.sign > 0) else parameter.low)
