"""The rule language: a clinical protocol in TOML becomes a :class:`Protocol`, or is refused in words. Pure.

A file names its protocol and version and holds ``[[rule]]`` tables; ``docs/rules.md`` describes every word. Each
number stands beside its unit and its source, and each rule says what staff, the family and the resident are told,
in both languages. Whatever the language does not know is refused with file, line and a sentence that helps.
"""

from __future__ import annotations

import hashlib
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Final, cast

from alerts.explain import explain
from alerts.rule import (
    ASKS,
    AUDIENCES,
    DOWN,
    EXPIRES,
    KINDS,
    MOST_COUNTED,
    PRIORITIES,
    UP,
    Ask,
    Audience,
    Count,
    Limit,
    Missing,
    Rule,
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
    "Ask",
    "Audience",
    "Count",
    "Limit",
    "Missing",
    "Protocol",
    "ProtocolError",
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

    def rule(self, rule_id: str) -> Rule | None:
        """The rule with this id, or ``None``."""
        return next((rule for rule in self.rules if rule.id == rule_id), None)


def load(directory: Path = SHIPPED) -> Protocol:
    """Every protocol file in ``directory`` (by default those shipped) as one protocol."""
    files = sorted(directory.glob("*.toml"))
    if not files:
        raise ProtocolError(str(directory), 0, "there is no protocol here: put a file ending in .toml into it")
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    return parse_all(texts)


def parse(text: str, file: str) -> Protocol:
    """One protocol file. ``file`` is its name in an error."""
    return parse_all({file: text})


def parse_all(texts: Mapping[str, str]) -> Protocol:
    """Several files, text by name, as one protocol: no id may be used twice in all of them."""
    rules: dict[str, Rule] = {}
    dates: list[date] = []
    for file, text in texts.items():
        top = Table.of(text, file)
        dates.append(top.take("version", date))
        name = top.take("protocol", str)
        for table in top.tables("rule"):
            rule = _rule(table, name)
            if rule.id in rules:
                raise table.error("id", f"the rule {rule.id} is there already, in protocol {rules[rule.id].protocol}")
            rules[rule.id] = rule
        top.end()
    digest = hashlib.sha256("\0".join(part for pair in texts.items() for part in pair).encode()).hexdigest()
    return Protocol(f"{max(dates)}-{digest[:8]}", digest, tuple(rules.values()))


def _rule(table: Table, protocol: str) -> Rule:
    rule_id = table.take("id", str)
    if not _ID.fullmatch(rule_id):
        raise table.error("id", f"{rule_id!r} is no id: lower-case words joined by dots, such as bp.severe")
    when = tuple(_limit(t) for t in table.tables("when", required=False))
    missing = _missing(table.table("missing")) if table.has("missing") else None
    rule = Rule(
        id=rule_id,
        version=table.take("version", int),
        protocol=protocol,
        priority=table.choice("priority", PRIORITIES),
        kind=table.choice("kind", KINDS),
        calls=table.take("calls", bool, True),
        titles=_both(table.table("title")),
        when=when,
        also=_also(table),
        count=_count(table.table("count")) if table.has("count") else Count(),
        ask=_ask(table.table("ask")) if table.has("ask") else None,
        unless=_event(table, "unless") if table.has("unless") else None,
        missing=missing,
        expires=table.time("expires", EXPIRES),
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
    is_event = metric.kind is Kind.EVENT
    calm_words = () if is_event else _calm_words(word)
    clear_word: Word | None = None
    clear_level: float | None = None
    if not is_event:
        found = _one_of(table, calm_words, "the level at which it is over again")
        clear_word, clear_level = cast("Word", found.removeprefix("clear_")), table.number(found)
    _unit(table, metric)
    limit = Limit(metric, cast("Word", word), level, clear_word, clear_level, table.source())
    _check_limit(limit, table, word)
    table.end()
    return limit


def _calm_words(word: str) -> tuple[str, ...]:
    return ("clear_below", "clear_at_most") if word in UP else ("clear_above", "clear_at_least")


def _check_limit(limit: Limit, table: Table, word: str) -> None:
    metric = limit.metric
    if not metric.low <= limit.level <= metric.high:
        raise table.error(
            word,
            f"{metric.name} is plausible from {metric.low:g} to {metric.high:g} {shown_unit(metric)}; "
            f"with {limit.level:g} the rule could never fire or would always",
        )
    if limit.clear_level is None:
        return
    if limit.sign * limit.clear_level >= limit.sign * limit.level:
        side = "below" if limit.sign > 0 else "above"
        raise table.error(
            f"clear_{limit.clear_word}",
            f"the clear level must lie {side} {limit.level:g}, on the calm side, so that the alarm does not chatter",
        )
    if not metric.low < limit.clear_level < metric.high:
        raise table.error(f"clear_{limit.clear_word}", f"no plausible {metric.name} would ever clear this alarm")


def _unit(table: Table, metric: Metric) -> None:
    unit = table.take("unit", str)
    if unit not in (metric.unit, shown_unit(metric)):
        raise table.error("unit", f"{metric.name} is measured in {shown_unit(metric)}, not in {unit}")


def _one_of(table: Table, words: Sequence[str], what: str) -> str:
    found = [word for word in words if table.has(word)]
    if len(found) != 1:
        how = "only one of them may stand here" if found else "one of them must stand here"
        raise table.error(found[1] if found else None, f"{what} is given by {', '.join(words)}; {how}")
    return found[0]


def _metric(table: Table, key: str) -> Metric:
    return _known_metric(table, key, table.take(key, str))


def _known_metric(table: Table, key: str, name: str) -> Metric:
    if name not in METRICS:
        raise table.error(key, f"there is no metric {name!r}{did_you_mean(name, METRICS)}")
    return METRICS[name]


def _event(table: Table, key: str) -> Metric:
    metric = _metric(table, key)
    if metric.kind is not Kind.EVENT:
        raise table.error(key, f"{metric.name} is a measurement; {key} names an event")
    return metric


def _also(table: Table) -> tuple[Metric, ...]:
    names = table.take("also", list, [])
    return tuple(_known_metric(table, "also", str(name)) for name in names)


def _count(table: Table) -> Count:
    k, n, within, source = table.take("over", int), table.take("of", int), table.time("within"), table.source()
    if not 1 < k <= n:
        raise table.error("over", f"{k} of {n} is impossible or no count at all: over is at least 2 and at most of")
    if n > MOST_COUNTED:
        raise table.error("of", f"at most {MOST_COUNTED} measurements can be looked at together")
    table.end()
    return Count(k, n, within, source)


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


def _check(rule: Rule, table: Table) -> None:
    _check_watches(rule, table)
    _check_asks(rule, table)
    for part, say in (("say", rule.say), ("say_unanswered", rule.say_unanswered or {})):
        for audience, sentences in say.items():
            for language, text in sentences.items():
                _check_sentence(rule, table.at(part, audience, language), text)


def _check_watches(rule: Rule, table: Table) -> None:
    if bool(rule.when) == (rule.missing is not None):
        raise table.error(None, "a rule watches either levels ([[rule.when]]) or silence ([rule.missing])")
    names = [metric.name for metric in rule.measured]
    if len(set(names)) != len(names):
        raise table.error(None, "a metric can stand only once in a rule")
    events = [limit.metric.kind is Kind.EVENT for limit in rule.when]
    if any(events) and len(events) > 1:
        raise table.error("when", "an event stands alone in its rule: write another rule for the other condition")
    if rule.missing and (rule.ask or rule.count.k > 1):
        raise table.error("missing", "silence is not counted and cannot be asked: leave out count and ask")


def _check_asks(rule: Rule, table: Table) -> None:
    if rule.unless and not rule.on_event:
        raise table.error("unless", "only a rule on an event can be taken back by another event")
    if rule.ask is None:
        if rule.unless:
            raise table.error("unless", "say in [rule.ask] how long to wait for it")
        return
    if rule.ask.kind == "are_you_well" and rule.unless is None:
        raise table.error("ask", "are_you_well needs unless: the event that says that all is well")
    if rule.ask.kind == "repeat_measurement" and (rule.on_event or rule.count.k < 2):
        raise table.error("ask", "a repeat is asked for only by a measurement rule that counts: give [rule.count]")
    if rule.on_event and rule.count.k > 1:
        raise table.error("count", "an event is not counted: leave out count")


def _check_sentence(rule: Rule, table: Table, text: str) -> None:
    known = evidence_names(rule)
    try:
        used = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise table.error(None, f"the braces do not match: {error}") from error
    for name in used:
        if name not in known:
            raise table.error(None, f"nothing fills {{{name}}}{did_you_mean(name, known)}")
