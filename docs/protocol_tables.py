"""The tables of ``docs/protocols.md``, made from the shipped protocol: they cannot drift from what is in force.

    python docs/protocol_tables.py

writes them anew between their marks (``<!-- rules hypertension en -->`` ... ``<!-- end -->``); the words around them
are written by hand. ``tests/alerts/test_shipped_protocols.py`` fails while the document and the protocol differ.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alerts import protocol
from alerts.language.explain import length, metric_name, quantity
from alerts.protocol import Protocol, Rule
from alerts.rule import Group, Limit, Parameter, Required, Score, Word, limit_unit, shown_unit
from alerts.wording import ZH
from devices.readings import Kind

DOCUMENT: Final = Path(__file__).parent / "protocols.md"

_MARKED: Final = re.compile(r"(<!-- (\w+)(?: (\w+))? (en|zh_Hans) -->\n).*?(<!-- end -->)", re.DOTALL)
GUIDELINES: Final = (
    (r"NEWS2", "NEWS2 2017", "NEWS2 2017"),
    (r"AHA/ACC", "AHA/ACC*", "AHA/ACC*"),
    (r"ESC heart failure\*", "ESC心衰*", "ESC heart failure*"),
    (r"ESC screening practice\*", "ESC筛查*", "ESC screening*"),
    (r"ESC 2024\*", "ESC 2024*", "ESC 2024*"),
    (r"ESH 2023\*", "ESH 2023*", "ESH 2023*"),
    (r"ESH 2021", "ESH 2021", "ESH 2021"),
    (r"ESH\*", "ESH*", "ESH*"),
    (r"NICE NG136\*", "NICE NG136*", "NICE NG136*"),
    (r"Chinese guideline", "中国指南2024*", "Chinese guideline 2024*"),
    (r"Hypertension Canada", "加拿大指南", "Hypertension Canada"),
    (r"PMC7677637", "722方案（PMC7677637）", "722 (PMC7677637)"),
    (r"consensus 2011\*", "2011年共识*", "consensus 2011*"),
    (r"common practice\*", "通行做法*", "common practice*"),
    (r"Literature\*", "文献*", "literature*"),
    (r"IDSA", "IDSA*", "IDSA*"),
    (r"ADA Standards|ADA\*|\(ADA", "ADA*", "ADA*"),
    (r"consensus 2017\*", "2017年共识*", "consensus 2017*"),
    (r"World Falls Guidelines", "世界跌倒指南2022*", "World Falls Guidelines 2022*"),
    (r"Lord 1990", "Lord 1990*", "Lord 1990*"),
    (r"EN 50134", "EN 50134*", "EN 50134*"),
)
"""How a source names a guideline, and its name in the tables; a * as in the clinical reference: to be checked."""
HOUSE: Final = "House default"
_SIGNS: Final[dict[Word, str]] = {"at_least": "≥", "above": ">", "at_most": "≤", "below": "<"}
_PRIORITIES: Final = {"high": ("高", "high"), "medium": ("中", "medium"), "low": ("低", "low")}
_HEADS: Final = {
    "rules": (
        ("规则", "何时触发", "先问本人", "优先级", "叫谁", "依据"),
        ("rule", "fires when", "asked first", "priority", "who is called", "sources"),
    ),
    "parameters": (
        ("数值", "含义", "默认", "按人群", "可设范围", "依据"),
        ("name", "what it is", "default", "for a group", "may be set", "sources"),
    ),
    "groups": (("代码", "人群", "有何不同"), ("code", "group", "what differs")),
    "score": (("体征", "各段得分"), ("sign", "points by band")),
}


@dataclass(frozen=True, slots=True)
class Tables:
    """All tables of one protocol."""

    protocol: Protocol

    def fill(self, document: str) -> str:
        """``document`` with every marked table made anew."""
        return _MARKED.sub(lambda m: f"{m[1]}{self._made(m[2], m[3] or '', m[4])}\n{m[5]}", document)

    def _made(self, what: str, topic: str, language: str) -> str:
        rows: Callable[[str, str], Iterator[Sequence[str]]] = {
            "rules": self._rules,
            "parameters": self._parameters,
            "groups": self._groups,
            "score": self._score,
        }[what]
        head = _HEADS[what][language != ZH]
        lines = [head, ["---"] * len(head), *rows(topic, language)]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def _rules(self, topic: str, language: str) -> Iterator[Sequence[str]]:
        for rule in self.protocol.rules:
            if rule.protocol == topic:
                yield (
                    f"`{rule.id}`<br>{rule.title(language)}",
                    self._condition(rule, language),
                    _asked(rule, language),
                    _PRIORITIES[rule.priority][language != ZH],
                    _called(rule, language),
                    guidelines(self._sources(rule), language),
                )

    def _parameters(self, _: str, language: str) -> Iterator[Sequence[str]]:
        for parameter in self.protocol.parameters:
            unit = shown_unit(parameter.metric)
            groups = [f"`{code}` {own.value:g}" for code, own in parameter.groups.items()]
            yield (
                f"`{parameter.name}`",
                parameter.titles[language],
                quantity(parameter.value, unit, language),
                "<br>".join(groups) or "–",
                f"{parameter.low:g}–{parameter.high:g}",
                guidelines(_sources_of(parameter), language),
            )

    def _groups(self, _: str, language: str) -> Iterator[Sequence[str]]:
        rules, parameters = self.protocol.rules, self.protocol.parameters
        for group in self.protocol.groups:
            code = group.code
            said = {
                ("自动归入", "follows from"): _follows(group, language),
                ("数值", "numbers"): [f"`{p.name}` {p.groups[code].value:g}" for p in parameters if code in p.groups],
                ("只用于", "only for it"): [f"`{rule.id}`" for rule in rules if code in rule.groups],
                ("不用于", "not for it"): [f"`{rule.id}`" for rule in rules if code in rule.not_groups],
                ("另计分", "scored apart"): [
                    score.titles[language] for score in self.protocol.scores if _is_scored_apart(score, code)
                ],
            }
            colon, comma = ("：", "、") if language == ZH else (": ", ", ")
            differs = [f"{what[language != ZH]}{colon}{comma.join(names)}" for what, names in said.items() if names]
            yield f"`{code}`", group.titles[language], "<br>".join(differs) or "–"

    def _score(self, topic: str, language: str) -> Iterator[Sequence[str]]:
        (score,) = (score for score in self.protocol.scores if score.id == topic)
        for part in score.parts:
            whom = self._whom(part.groups, part.not_groups, language)
            edges = [f"≤ {edge:g}: {points}" for edge, points in part.bands[:-1]]
            more = f"{'更高' if language == ZH else 'more'}: {part.bands[-1][1]}"
            yield f"{metric_name(part.metric, language)}{whom}", ", ".join([*edges, more])
        for extra in score.extras:
            yield self._titles(extra.groups, language), f"+{extra.points}"

    def _condition(self, rule: Rule, language: str) -> str:
        parts = [_watched(rule, language), *(_required(r, language) for r in rule.requires), *_often(rule, language)]
        comma = "，" if language == ZH else ", "
        return comma.join(part for part in parts if part) + self._whom(rule.groups, rule.not_groups, language)

    def _whom(self, groups: Sequence[str], not_groups: Sequence[str], language: str) -> str:
        only, never = ("仅：", "除外：") if language == ZH else ("only: ", "not: ")
        said = [
            f"{word}{self._titles(codes, language)}" for word, codes in ((only, groups), (never, not_groups)) if codes
        ]
        return "".join(f"<br>{words}" for words in said)

    def _titles(self, codes: Sequence[str], language: str) -> str:
        titles = {group.code: group.titles[language] for group in self.protocol.groups}
        return ("、" if language == ZH else "; ").join(titles[code] for code in codes)

    def _sources(self, rule: Rule) -> list[str]:
        named = {limit.parameter for limit in rule.when}
        own = [source for p in self.protocol.parameters if p.name in named for source in _sources_of(p)]
        return [*rule.sources, *own]


def guidelines(sources: Iterable[str], language: str) -> str:
    """The guidelines that these sources name, each once; those of the house at the end."""
    texts = list(sources)
    found = [
        (zh, en)[language != ZH] for pattern, zh, en in GUIDELINES if any(re.search(pattern, text) for text in texts)
    ]
    house = ["本项目自定" if language == ZH else "house"] if any(HOUSE in text for text in texts) else []
    return ("、" if language == ZH else ", ").join([*found, *house])


def _sources_of(parameter: Parameter) -> list[str]:
    return [parameter.source, *(own.source for own in parameter.groups.values())]


def _follows(group: Group, language: str) -> list[str]:
    """From what a group follows that nobody notes."""
    if group.from_age is not None:
        return [f"满{group.from_age}岁" if language == ZH else f"{group.from_age} years of age"]
    names = [f"`{code}`" for code in group.all_of]
    return [("和" if language == ZH else " and ").join(names)] if names else []


def _is_scored_apart(score: Score, code: str) -> bool:
    parts = any(code in (*part.groups, *part.not_groups) for part in score.parts)
    return parts or any(code in extra.groups for extra in score.extras)


def _watched(rule: Rule, language: str) -> str:
    if rule.missing:
        name, time = metric_name(rule.missing.metric, language), length(rule.missing.within, language)
        return f"{time}没有{name}" if language == ZH else f"no {name} for {time}"
    if rule.answered:
        return f"`{rule.answered.rule}` {'的询问有了回答' if language == ZH else 'was answered'}"
    return ("或" if language == ZH else " or ").join(_limit(limit, language) for limit in rule.when)


def _limit(limit: Limit, language: str) -> str:
    if limit.metric.kind is Kind.EVENT:
        return metric_name(limit.metric, language)
    named = _in_brackets(f"`{limit.parameter}`", language) if limit.parameter else ""
    if limit.metric.name == "irregular_pulse":
        return metric_name(limit.metric, language) + named
    return (
        f"{_judged(limit, language)} {_SIGNS[limit.word]} {quantity(limit.level, limit_unit(limit), language)}{named}"
    )


def _in_brackets(text: str, language: str) -> str:
    return f"（{text}）" if language == ZH else f" ({text})"


def _judged(limit: Limit, language: str) -> str:
    """What a limit judges, in few words."""
    name, made = metric_name(limit.metric, language), limit.statistic
    if limit.score:
        return limit.score.titles[language]
    if made is None:
        return name
    time = length(made.window, language)
    words = {
        "average": (f"{time}平均{name}", f"average {name} of {time}"),
        "deviation": (f"{time}{name}逐日标准差", f"day-to-day standard deviation of {name} over {time}"),
        "rise": (f"{time}内{name}增加", f"rise of {name} in {time}"),
        "drop": (f"{time}内{name}下降", f"drop of {name} within {time}"),
        "from_usual": (f"{name}与本人平时之差", f"{name} against its usual"),
    }[made.kind]
    needs = _in_brackets(f"{'至少' if language == ZH else 'at least '}{made.needs}", language)
    return words[language != ZH] + (needs if made.needs > 1 else "")


def _required(required: Required, language: str) -> str:
    name, time = metric_name(required.metric, language), length(required.within, language)
    if required.metric.kind is not Kind.EVENT:
        name += f" {_SIGNS[required.word]} {quantity(required.level, shown_unit(required.metric), language)}"
    return f"并且此前{time}内：{name}" if language == ZH else f"and within {time} before: {name}"


def _often(rule: Rule, language: str) -> Iterator[str]:
    count, zh = rule.count, language == ZH
    if count.k > 1:
        time = length(count.within, language)
        yield f"{time}内{count.n}次中有{count.k}次" if zh else f"{count.k} of {count.n} within {time}"
    if count.days > 1:
        time = length(count.days_within, language)
        yield f"{time}内有{count.days}天如此" if zh else f"on {count.days} days within {time}"
    if rule.persists:
        time = length(rule.persists.time, language)
        yield f"持续{time}" if zh else f"for {time} unbroken"


def _asked(rule: Rule, language: str) -> str:
    if rule.ask is None:
        return "–"
    repeat = rule.ask.kind == "repeat_measurement"
    time = length(rule.ask.within, language)
    if language == ZH:
        return f"{'请再量一次' if repeat else '您还好吗'}，{time}"
    return f"{'measure again' if repeat else 'are you well?'}, {time}"


def _called(rule: Rule, language: str) -> str:
    zh = language == ZH
    if not rule.calls:
        return "不叫人，列为待办" if zh else "nobody: a task"
    if rule.joins:
        return f"护理员；`{rule.joins}`还在时并入，再叫一次" if zh else f"staff; with `{rule.joins}` open, once more"
    if not rule.calls_at_night:
        return "护理员，夜间等到早上7点" if zh else "staff, at night not before 7"
    return "护理员" if zh else "staff"


if __name__ == "__main__":
    DOCUMENT.write_text(Tables(protocol.load()).fill(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
