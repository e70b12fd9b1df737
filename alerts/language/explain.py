"""What a protocol does, in plain sentences made from the protocol itself: for a doctor to read, change and sign. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from alerts.language.explain_en import brief_in_english, groups_in_english, rule_in_english, score_in_english
from alerts.language.explain_zh import brief_in_chinese, groups_in_chinese, rule_in_chinese, score_in_chinese
from alerts.language.vocabulary import Terms, is_difference, length, listed, metric_name, quantity, sources
from alerts.rule import PRIORITIES, Group, Limit, Parameter, Rule, Score, shown_unit
from alerts.wording import ZH

if TYPE_CHECKING:
    from alerts.protocol import Protocol

__all__ = ["brief", "explain", "explain_protocol", "length", "metric_name", "quantity"]

_HEADINGS: Final = {
    "groups": ("人群", "Groups"),
    "parameters": ("可以设定的数值", "Numbers that may be set"),
    "scores": ("评分", "Scores"),
    "high": ("高优先级", "High priority"),
    "medium": ("中优先级", "Medium priority"),
    "low": ("低优先级", "Low priority"),
}
_DIFFERS: Final = (
    ("数值不同", "专用规则", "不用的规则", "评分不同"),
    ("Its own numbers", "Rules for it", "Rules not for it", "Scored otherwise"),
)
"""What may be different for a group: parameters, rules for it, rules not for it, scores."""


def explain(rule: Rule, language: str, protocol: Protocol | None = None) -> str:
    """The whole rule in Chinese or English: when it fires, what is asked first, who is called, when it is over.

    ``protocol`` gives the groups and parameters that the rule names their titles and numbers.
    """
    terms = Terms.of(protocol.groups, protocol.parameters, protocol.rules) if protocol else Terms.of()
    return rule_in_chinese(rule, terms) if language == ZH else rule_in_english(rule, terms)


def brief(rule: Rule, language: str) -> str:
    """A rule for somebody who knows its name: when it fires, what is asked first, who is called."""
    terms = Terms.of()
    return brief_in_chinese(rule, terms) if language == ZH else brief_in_english(rule, terms)


def explain_protocol(protocol: Protocol, language: str) -> str:
    """The whole protocol: groups, numbers that may be set, scores, then the rules by priority. Paragraphs, with headings."""
    parts = [_summary(protocol, language)]
    for heading, paragraphs in _chapters(protocol, language):
        if paragraphs:
            parts += [f"{_HEADINGS[heading][language != ZH]}", *paragraphs]
    return "\n\n".join(parts)


def _chapters(protocol: Protocol, language: str) -> Iterator[tuple[str, list[str]]]:
    terms = Terms.of(protocol.groups, protocol.parameters)
    yield "groups", [_group(group, protocol, language) for group in protocol.groups]
    yield "parameters", [_parameter(parameter, protocol, terms, language) for parameter in protocol.parameters]
    yield "scores", [_score(score, terms, language) for score in protocol.scores]
    for priority in PRIORITIES:
        yield priority, [explain(rule, language, protocol) for rule in protocol.rules if rule.priority == priority]


def _summary(protocol: Protocol, language: str) -> str:
    counts = [sum(rule.priority == priority for rule in protocol.rules) for priority in PRIORITIES]
    rules, (high, medium, low) = len(protocol.rules), counts
    noun = "rule" if rules == 1 else "rules"
    if language == ZH:
        return f"规程{protocol.version}：共{rules}条规则，其中高优先级{high}条，中优先级{medium}条，低优先级{low}条。"
    return f"Protocol {protocol.version}: {rules} {noun}, {high} of high, {medium} of medium and {low} of low priority."


def _group(group: Group, protocol: Protocol, language: str) -> str:
    """A group, by what is different for it."""
    zh = language == ZH
    numbers = [
        f"{parameter.titles[language]}{'' if zh else ' '}{_value(parameter, parameter.groups[group.code].value, protocol, language)}"
        for parameter in protocol.parameters
        if group.code in parameter.groups
    ]
    only = [_named(rule, language) for rule in protocol.rules if group.code in rule.groups]
    never = [_named(rule, language) for rule in protocol.rules if group.code in rule.not_groups]
    points = [score.titles[language] for score in protocol.scores if _tells_apart(score, group.code)]
    follows = _follows(group, protocol, language)
    said = zip(_DIFFERS[not zh], (numbers, only, never, points), strict=True)
    if zh:
        differs = "".join(f"{what}：{listed(names, ZH)}。" for what, names in said if names)
        return f"{group.titles[ZH]}（{group.code}）。{follows}{differs or '判断与他人相同。'}"
    differs = " ".join(f"{what}: {listed(names, language)}." for what, names in said if names)
    return f"{group.titles[language]} ({group.code}). {follows}{differs or 'Judged as everybody else.'}"


def _follows(group: Group, protocol: Protocol, language: str) -> str:
    """From what a group follows; nothing for one that a doctor notes."""
    if group.from_age is not None:
        if language == ZH:
            return f"满{group.from_age}岁自动归入，无需登记。"
        return f"Nobody notes it: everybody from {group.from_age} years on is in it. "
    if not group.all_of:
        return ""
    titles = {one.code: one.titles[language] for one in protocol.groups}
    if language == ZH:
        return f"同时属于{listed((f'“{titles[code]}”' for code in group.all_of), ZH)}的人自动归入，无需登记。"
    names = listed((f"“{titles[code]}”" for code in group.all_of), language)
    return f"Nobody notes it: whoever is in {names} is in it. "


def _named(rule: Rule, language: str) -> str:
    return f"{rule.title(ZH)}（{rule.id}）" if language == ZH else f"{rule.title(language)} ({rule.id})"


def _tells_apart(score: Score, code: str) -> bool:
    parts = any(code in (*part.groups, *part.not_groups) for part in score.parts)
    return parts or any(code in extra.groups for extra in score.extras)


def _value(parameter: Parameter, value: float, protocol: Protocol, language: str) -> str:
    difference = any(is_difference(limit) for _, limit in _judging_by(parameter, protocol))
    return quantity(value, shown_unit(parameter.metric), language, difference=difference)


def _judging_by(parameter: Parameter, protocol: Protocol) -> list[tuple[Rule, Limit]]:
    return [(rule, limit) for rule in protocol.rules for limit in rule.when if limit.parameter == parameter.name]


def _used(parameter: Parameter, protocol: Protocol, language: str) -> str:
    names = listed(dict.fromkeys(_named(rule, language) for rule, _ in _judging_by(parameter, protocol)), language)
    if language == ZH:
        return f"用于{names}。" if names else "不触发警报，只用于页面上标明数值高低。"
    return f"Used by {names}." if names else "It raises no alarm: pages say by it how a value stands."


def _parameter(parameter: Parameter, protocol: Protocol, terms: Terms, language: str) -> str:
    numbers = (parameter.value, parameter.low, parameter.high)
    value, low, high = (_value(parameter, number, protocol, language) for number in numbers)
    own = {code: _value(parameter, found.value, protocol, language) for code, found in parameter.groups.items()}
    used = _used(parameter, protocol, language)
    whence = " | ".join(sources(parameter))
    if language == ZH:
        groups = "".join(f"{groups_in_chinese([code], terms)}为{number}。" for code, number in own.items())
        head = f"{parameter.titles[ZH]}（{parameter.name}）：{value}。可为个人或人群在{low}到{high}之间另行设定。"
        return f"{head}{groups}{used}依据：{whence}"
    groups = "".join(f" For {groups_in_english([code], terms)} it is {number}." for code, number in own.items())
    head = f"{parameter.titles[language]} ({parameter.name}): {value}. It may be set for one resident or for a group"
    return f"{head} from {low} to {high}.{groups} {used} Sources: {whence}"


def _score(score: Score, terms: Terms, language: str) -> str:
    return score_in_chinese(score, terms) if language == ZH else score_in_english(score, terms)
