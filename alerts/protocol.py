"""The rule language: a clinical protocol in TOML becomes a :class:`Protocol`, or is refused in words. Pure.

A file names its protocol and version and holds ``[[rule]]`` tables; ``docs/rules.md`` describes every word. Each
number stands beside its unit and its source, and each rule says what staff, the family and the resident are told,
in both languages. Whatever the language does not know is refused with file, line and a sentence that helps.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from alerts.checks import faults, faults_of_limit, faults_of_named, faults_of_sentence
from alerts.explain import explain
from alerts.rule import (
    ASKS,
    AUDIENCES,
    DOWN,
    EXPIRES,
    KINDS,
    PRIORITIES,
    UP,
    Answered,
    Ask,
    Audience,
    Count,
    Group,
    Limit,
    Missing,
    Parameter,
    Related,
    Rule,
    Score,
    Word,
    evidence_name,
    evidence_names,
    shown_unit,
)
from alerts.tables import ProtocolError, Table, did_you_mean
from alerts.wording import LANGUAGES
from devices.readings import METRICS, Kind, Metric

__all__ = [
    "SHIPPED",
    "Answered",
    "Ask",
    "Audience",
    "Count",
    "Limit",
    "Missing",
    "Protocol",
    "ProtocolError",
    "Related",
    "Rule",
    "evidence_name",
    "evidence_names",
    "explain",
    "load",
    "parse",
    "parse_all",
]

SHIPPED: Final = Path(__file__).parent / "protocols"
"""Where the protocols lie that come with the service."""

_ID: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


@dataclass(frozen=True, slots=True)
class Protocol:
    """Rules that are in force together. ``digest`` is SHA-256 over the files; ``version`` is for people."""

    version: str
    digest: str
    rules: tuple[Rule, ...]
    parameters: tuple[Parameter, ...] = ()
    groups: tuple[Group, ...] = ()
    scores: tuple[Score, ...] = ()

    def rule(self, rule_id: str) -> Rule | None:
        """The rule with this id, or ``None``."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)


def load(directory: Path = SHIPPED) -> Protocol:
    """Every protocol file in ``directory`` (by default those shipped) as one protocol."""
    files = sorted(directory.glob("*.toml"))
    if not files:
        raise ProtocolError(str(directory), 0, "there is no protocol here: put a file ending in .toml into it")
    return parse_all({path.name: _text(path) for path in files}, whole=True)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ProtocolError(path.name, line, "this is not UTF-8: save the file in that encoding") from error


def parse(text: str, file: str) -> Protocol:
    """One protocol file. ``file`` is its name in an error."""
    return parse_all({file: text})


def parse_all(texts: Mapping[str, str], *, whole: bool = False) -> Protocol:
    """Several files, text by name, as one protocol: no id may be used twice in all of them.

    ``whole``: these are all the files there are, so that a rule they name must be among them.
    """
    rules: dict[str, Rule] = {}
    tables: dict[str, Table] = {}
    dates: list[date] = []
    for file, text in texts.items():
        top = Table.of(text, file)
        dates.append(top.take("version", date))
        name = top.take("protocol", str)
        for table in top.tables("rule"):
            rule = _rule(table, name)
            if rule.id in rules:
                raise table.error("id", f"the rule {rule.id} is there already, in protocol {rules[rule.id].protocol}")
            rules[rule.id], tables[rule.id] = rule, table
        top.end()
        if not any(rule.protocol == name for rule in rules.values()):
            raise top.error(None, "there is no rule here: write [[rule]]")
    for rule in rules.values():
        _check_named(rule, rules, tables[rule.id], whole=whole)
    digest = hashlib.sha256("\0".join(part for pair in texts.items() for part in pair).encode()).hexdigest()
    return Protocol(f"{max(dates)}-{digest[:8]}", digest, tuple(_with_joining(rule, rules) for rule in rules.values()))


def _with_joining(rule: Rule, rules: Mapping[str, Rule]) -> Rule:
    return replace(rule, joined_by=tuple(other for other in rules.values() if other.joins == rule.id))


def _rule(table: Table, protocol: str) -> Rule:
    rule_id = table.take("id", str)
    if not _ID.fullmatch(rule_id):
        raise table.error("id", f"{rule_id!r} is no id: lower-case words joined by dots, such as bp.severe")
    when = tuple(_limit(t) for t in table.tables("when", required=False))
    missing = _missing(table.table("missing")) if table.has("missing") else None
    rule = Rule(
        id=rule_id,
        version=table.positive("version"),
        protocol=protocol,
        priority=table.choice("priority", PRIORITIES),
        kind=table.choice("kind", KINDS),
        calls=table.take("calls", bool, True),
        calls_at_night=table.take("calls_at_night", bool, True),
        titles=_both(table.table("title")),
        when=when,
        also=_also(table),
        count=_count(table.table("count")) if table.has("count") else Count(),
        ask=_ask(table.table("ask")) if table.has("ask") else None,
        unless=_events(table, "unless") if table.has("unless") else (),
        missing=missing,
        answered=_answered(table.table("answered")) if table.has("answered") else None,
        confirmed_by=_related(table.table("confirmed_by")) if table.has("confirmed_by") else None,
        follows=_related(table.table("follows")) if table.has("follows") else None,
        expires=table.time("expires", EXPIRES),
        cause=tuple(str(name) for name in table.take("cause", list, [])),
        joins=table.take("joins", str) if table.has("joins") else None,
        say=_say(table.table("say")),
        say_unanswered=_say(table.table("say_unanswered")) if table.has("say_unanswered") else None,
    )
    table.end()
    _check(rule, table)
    return rule


def _limit(table: Table) -> Limit:
    metric = _metric(table, "metric")
    word = _one_of(table, (*UP, *DOWN), "a level")
    level = table.number(word)
    clear_word: Word | None = None
    clear_level: float | None = None
    if metric.kind is not Kind.EVENT:
        found = _one_of(table, _calm_words(word), "the level at which it is over again")
        clear_word, clear_level = cast("Word", found.removeprefix("clear_")), table.number(found)
    _unit(table, metric)
    limit = Limit(metric, cast("Word", word), level, clear_word, clear_level, table.source())
    table.end()
    for key, message in faults_of_limit(limit):
        raise table.error(key, message)
    return limit


def _calm_words(word: str) -> tuple[str, ...]:
    return ("clear_below", "clear_at_most") if word in UP else ("clear_above", "clear_at_least")


def _unit(table: Table, metric: Metric) -> None:
    unit = table.take("unit", str)
    if unit not in (metric.unit, shown_unit(metric)):
        raise table.error("unit", f"{metric.name} is measured in {shown_unit(metric)}, not in {unit}")


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
    if name not in METRICS:
        raise table.error(key, f"there is no metric {name!r}{did_you_mean(name, METRICS)}")
    return METRICS[name]


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
    count = Count(table.take("over", int), table.take("of", int), table.time("within"), table.source())
    if count.k < 2:
        raise table.error("over", "one is no count: leave out [rule.count], or write 2 and more")
    table.end()
    return count


def _ask(table: Table) -> Ask:
    ask = Ask(table.choice("kind", ASKS), table.time("within"), table.source(), _both(table.table("say")))
    table.end()
    return ask


def _missing(table: Table) -> Missing:
    missing = Missing(_metric(table, "metric"), table.time("within"), table.source())
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


def _check_named(rule: Rule, rules: Mapping[str, Rule], table: Table, *, whole: bool) -> None:
    """Refuse the name of a rule that is none, or that cannot be what it is named for."""
    named = [("cause", name) for name in rule.cause]
    named += [("joins", rule.joins)] if rule.joins else []
    named += [("answered", rule.answered.rule)] if rule.answered else []
    for key, name in named:
        if whole and name not in rules:
            raise table.error(key, f"there is no rule {name!r}{did_you_mean(name, rules)}")
        for message in faults_of_named(key, rule, rules.get(name)):
            raise table.error(key, message)


def _check(rule: Rule, table: Table) -> None:
    for key, message in faults(rule):
        raise table.error(key, message)
    for part, say in (("say", rule.say), ("say_unanswered", rule.say_unanswered or {})):
        for audience, sentences in say.items():
            for language, text in sentences.items():
                for _, message in faults_of_sentence(rule, text):
                    raise table.at(part, audience).error(language, message)
