"""The rule language: a clinical protocol in TOML becomes a :class:`Protocol`, or is refused in words. Pure.

A file names its protocol and version and holds ``[[rule]]`` tables; ``docs/rules.md`` describes every word. Each
number stands beside its unit and its source, and each rule says what staff, the family and the resident are told,
in both languages. Whatever the language does not know is refused with file, line and a sentence that helps.
"""

from __future__ import annotations

import difflib
import hashlib
import re
import string
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar, cast

import numpy as np

from alerts.wording import LANGUAGES, fill
from devices.readings import METRICS, Kind, Metric

Priority = Literal["high", "medium", "low"]
AlarmKind = Literal["physiological", "event", "technical"]
Audience = Literal["staff", "family", "resident"]
AskKind = Literal["repeat_measurement", "are_you_well"]
Word = Literal["at_least", "above", "at_most", "below"]

PRIORITIES: Final[tuple[Priority, ...]] = ("high", "medium", "low")
KINDS: Final[tuple[AlarmKind, ...]] = ("physiological", "event", "technical")
AUDIENCES: Final[tuple[Audience, ...]] = ("staff", "family", "resident")
ASKS: Final[tuple[AskKind, ...]] = ("repeat_measurement", "are_you_well")

EXPIRES: Final = timedelta(hours=2)
"""How old a reading may be on arrival and still raise an alarm, unless its rule says otherwise."""

MOST_COUNTED: Final = 8
"""The longest row of measurements that ``count`` can look at."""

SHIPPED: Final = Path(__file__).parent / "protocols"
_UNITS: Final = MappingProxyType({"mm[Hg]": "mmHg", "Cel": "°C", "1": "probability"})
_UP: Final[tuple[Word, ...]] = ("at_least", "above")
_DOWN: Final[tuple[Word, ...]] = ("at_most", "below")
_TIME: Final = re.compile(r"(\d+(?:\.\d+)?) ?(s|min|h|d)")
_SECONDS: Final = MappingProxyType({"s": 1, "min": 60, "h": 3600, "d": 86_400})
_ID: Final = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")

T = TypeVar("T")


class ProtocolError(Exception):
    """A protocol that cannot be used, with the file and line at fault and what to do about it."""

    def __init__(self, file: str, line: int, message: str) -> None:
        super().__init__(f"{file}, line {line}: {message}")
        self.file = file
        self.line = line
        self.message = message


@dataclass(frozen=True, slots=True)
class Limit:
    """One level of one metric, in the metric's unit: ``word`` and ``level`` say what is too much.

    It is over only once the value has come to ``clear_level`` (``clear_word`` says whether that value itself is
    calm already). Both are ``None`` for an event, which has no level to come back to.
    """

    metric: Metric
    word: Word
    level: float
    clear_word: Word | None
    clear_level: float | None
    source: str

    @property
    def sign(self) -> int:
        """+1 where more is worse, -1 where less is."""
        return 1 if self.word in _UP else -1

    @property
    def over_from(self) -> float:
        """The mildest value that is over: ``above 130`` begins at the next number after 130."""
        return _inclusive(self.word, self.level)

    @property
    def clear_from(self) -> float | None:
        """The worst value that is calm again."""
        if self.clear_word is None or self.clear_level is None:
            return None
        return _inclusive(self.clear_word, self.clear_level)

    def over(self, value: float) -> bool:
        """Whether ``value`` is too much."""
        return self.sign * value >= self.sign * self.over_from

    def calm(self, value: float) -> bool:
        """Whether ``value`` has come back to the calm side of the clear level."""
        return self.clear_from is not None and self.sign * value <= self.sign * self.clear_from


def _inclusive(word: Word, level: float) -> float:
    if word == "above":
        return float(np.nextafter(level, np.inf))
    if word == "below":
        return float(np.nextafter(level, -np.inf))
    return level


@dataclass(frozen=True, slots=True)
class Count:
    """Persistence: ``k`` of the last ``n`` measurements, none older than ``within`` before the newest."""

    k: int = 1
    n: int = 1
    within: timedelta = timedelta(0)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Ask:
    """A question to the resident before anybody is called; no answer ``within`` this time is an answer too."""

    kind: AskKind
    within: timedelta
    source: str
    sentences: Mapping[str, str]

    def sentence(self, language: str) -> str:
        """The question in her language."""
        return self.sentences[language]


@dataclass(frozen=True, slots=True)
class Missing:
    """Silence: no reading of ``metric`` for ``within``."""

    metric: Metric
    within: timedelta
    source: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Either ``when`` (any of these limits is over) or ``missing`` says what it watches.

    ``calls`` is false for a task that waits on the board without a message. A reading that is older than
    ``expires`` when it arrives is not judged. ``unless`` is the event that takes this rule's own event back.
    ``also`` are metrics that are not judged and stand in the evidence beside those that are.
    """

    id: str
    version: int
    protocol: str
    priority: Priority
    kind: AlarmKind
    calls: bool
    titles: Mapping[str, str]
    when: tuple[Limit, ...] = ()
    also: tuple[Metric, ...] = ()
    count: Count = field(default_factory=Count)
    ask: Ask | None = None
    unless: Metric | None = None
    missing: Missing | None = None
    expires: timedelta = EXPIRES
    say: Mapping[Audience, Mapping[str, str]] = field(default_factory=dict)
    say_unanswered: Mapping[Audience, Mapping[str, str]] | None = None

    @property
    def on_event(self) -> bool:
        """Whether it waits for an event: each one is an episode of its own and has no level to come back to."""
        return bool(self.when) and self.when[0].metric.kind is Kind.EVENT

    @property
    def measured(self) -> tuple[Metric, ...]:
        """The metrics in its evidence: those judged, then those that only stand beside them."""
        return (*(limit.metric for limit in self.when), *self.also)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where its numbers come from, each once, in order of appearance."""
        found = [limit.source for limit in self.when]
        found += [part.source for part in (self.count, self.ask, self.missing) if part and part.source]
        return tuple(dict.fromkeys(found))

    def title(self, language: str) -> str:
        """Its name in a list."""
        return self.titles[language]

    def sentence(self, audience: Audience, language: str, evidence: Mapping[str, Any]) -> str:
        """What ``audience`` is told about an alert with this evidence (see :class:`alerts.engine.Firing`).

        A rule that asks first can have other words for the case that no repeat came.
        """
        alone = int(evidence.get("count", self.count.k)) < self.count.k
        say = self.say_unanswered if alone and self.say_unanswered is not None else self.say
        return fill(say[audience][language], evidence)


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
        top = _Table.of(text, file)
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


def _rule(table: _Table, protocol: str) -> Rule:
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


def _limit(table: _Table) -> Limit:
    metric = _metric(table, "metric")
    word = _one_of(table, (*_UP, *_DOWN), "a level")
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
    return ("clear_below", "clear_at_most") if word in _UP else ("clear_above", "clear_at_least")


def _check_limit(limit: Limit, table: _Table, word: str) -> None:
    metric = limit.metric
    if not metric.low <= limit.level <= metric.high:
        raise table.error(
            word,
            f"{metric.name} is plausible from {metric.low:g} to {metric.high:g} {_shown_unit(metric)}; "
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


def _unit(table: _Table, metric: Metric) -> None:
    unit = table.take("unit", str)
    if unit not in (metric.unit, _shown_unit(metric)):
        raise table.error("unit", f"{metric.name} is measured in {_shown_unit(metric)}, not in {unit}")


def _shown_unit(metric: Metric) -> str:
    return _UNITS.get(metric.unit, metric.unit)


def _one_of(table: _Table, words: Sequence[str], what: str) -> str:
    found = [word for word in words if table.has(word)]
    if len(found) != 1:
        how = "only one of them may stand here" if found else "one of them must stand here"
        raise table.error(found[1] if found else None, f"{what} is given by {', '.join(words)}; {how}")
    return found[0]


def _metric(table: _Table, key: str) -> Metric:
    return _known_metric(table, key, table.take(key, str))


def _known_metric(table: _Table, key: str, name: str) -> Metric:
    if name not in METRICS:
        raise table.error(key, f"there is no metric {name!r}{_did_you_mean(name, METRICS)}")
    return METRICS[name]


def _event(table: _Table, key: str) -> Metric:
    metric = _metric(table, key)
    if metric.kind is not Kind.EVENT:
        raise table.error(key, f"{metric.name} is a measurement; {key} names an event")
    return metric


def _also(table: _Table) -> tuple[Metric, ...]:
    names = table.take("also", list, [])
    return tuple(_known_metric(table, "also", str(name)) for name in names)


def _count(table: _Table) -> Count:
    k, n, within, source = table.take("over", int), table.take("of", int), table.time("within"), table.source()
    if not 1 < k <= n:
        raise table.error("over", f"{k} of {n} is impossible or no count at all: over is at least 2 and at most of")
    if n > MOST_COUNTED:
        raise table.error("of", f"at most {MOST_COUNTED} measurements can be looked at together")
    table.end()
    return Count(k, n, within, source)


def _ask(table: _Table) -> Ask:
    ask = Ask(table.choice("kind", ASKS), table.time("within"), table.source(), _both(table.table("say")))
    table.end()
    return ask


def _missing(table: _Table) -> Missing:
    missing = Missing(_metric(table, "metric"), table.time("within"), table.source())
    table.end()
    return missing


def _both(table: _Table) -> Mapping[str, str]:
    sentences = {language: table.take(language, str) for language in LANGUAGES}
    table.end()
    return MappingProxyType(sentences)


def _say(table: _Table) -> Mapping[Audience, Mapping[str, str]]:
    say = {audience: _both(table.table(audience)) for audience in AUDIENCES}
    table.end()
    return MappingProxyType(say)


def _check(rule: Rule, table: _Table) -> None:
    _check_watches(rule, table)
    _check_asks(rule, table)
    for part, say in (("say", rule.say), ("say_unanswered", rule.say_unanswered)):
        for audience in AUDIENCES if say is not None else ():
            for language in LANGUAGES:
                _check_sentence(rule, table.at(part, audience, language), cast("Any", say)[audience][language])


def _check_watches(rule: Rule, table: _Table) -> None:
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


def _check_asks(rule: Rule, table: _Table) -> None:
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


def _check_sentence(rule: Rule, table: _Table, text: str) -> None:
    known = evidence_names(rule)
    try:
        used = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise table.error(None, f"the braces do not match: {error}") from error
    for name in used:
        if name not in known:
            raise table.error(None, f"nothing fills {{{name}}}{_did_you_mean(name, known)}")


def evidence_names(rule: Rule) -> tuple[str, ...]:
    """What a firing of this rule can name, and so what its sentences may use."""
    if rule.missing:
        return ("hours", "days")
    names = tuple(evidence_name(metric) for metric in rule.measured)
    first = tuple(f"first_{name}" for name in names) if rule.count.k > 1 else ()
    return (*names, *first, "count")


def evidence_name(metric: Metric) -> str:
    """The name of a metric's value in the evidence: an event's value is a probability."""
    return "probability" if metric.kind is Kind.EVENT else metric.name


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    names = list(known)
    near = difflib.get_close_matches(word, names, 1)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(names)}"


class _Table:
    """One table of a TOML file: hands out its entries, knows their lines, and refuses what is left over."""

    def __init__(self, content: Mapping[str, Any], file: str, lines: _Lines, path: tuple[str | int, ...]) -> None:
        self._left = dict(content)
        self._known: list[str] = []
        self._file = file
        self._lines = lines
        self._path = path

    @classmethod
    def of(cls, text: str, file: str) -> _Table:
        """The whole file."""
        try:
            return cls(tomllib.loads(text), file, _Lines(text), ())
        except tomllib.TOMLDecodeError as error:
            found = re.search(r"line (\d+)", str(error))
            raise ProtocolError(file, int(found[1]) if found else 1, f"this is not TOML: {error}") from error

    def at(self, *path: str | int) -> _Table:
        """Another place, only to report from."""
        return _Table({}, self._file, self._lines, (*self._path, *path))

    def error(self, key: str | None, message: str) -> ProtocolError:
        """A refusal that points at ``key``, or at the table."""
        path = self._path if key is None else (*self._path, key)
        return ProtocolError(self._file, self._lines.of(path), message)

    def has(self, key: str) -> bool:
        """Whether the table has this word."""
        self._known.append(key)
        return key in self._left

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        """The value of ``key``, which must be of ``kind``; required unless there is a default."""
        self._known.append(key)
        if key not in self._left:
            if default is not None:
                return default
            raise self.error(None, f"{key} is missing here")
        found = self._left.pop(key)
        if type(found) is not kind:
            raise self.error(key, f"{key} should be {_KINDS[kind]}, not {found!r}")
        return found

    def number(self, key: str) -> float:
        """A whole or decimal number."""
        found = self._left.get(key)
        return float(self.take(key, int) if type(found) is int else self.take(key, float))

    def choice(self, key: str, words: tuple[T, ...]) -> T:
        """One of ``words``."""
        found = self.take(key, str)
        for word in words:
            if word == found:
                return word
        raise self.error(key, f"{key} is one of {', '.join(map(str, words))}, not {found!r}")

    def time(self, key: str, default: timedelta | None = None) -> timedelta:
        """A length of time such as ``30 min``, longer than nothing and no longer than a year."""
        if default is not None and not self.has(key):
            return default
        text = self.take(key, str)
        found = _TIME.fullmatch(text)
        if not found:
            raise self.error(key, f"{text!r} is no length of time: write 30 s, 30 min, 2 h or 3 d")
        length = timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
        if not timedelta(0) < length <= timedelta(days=366):
            raise self.error(key, f"{text} is impossible: from one second to a year")
        return length

    def source(self) -> str:
        """Where the numbers beside it come from; no number goes without."""
        if not self.has("source"):
            raise self.error(None, "source is missing here: say where the number comes from")
        found = self.take("source", str).strip()
        if not found:
            raise self.error("source", "source is empty: say where the number comes from")
        return found

    def table(self, key: str) -> _Table:
        """The table under ``key``."""
        return _Table(self.take(key, dict), self._file, self._lines, (*self._path, key))

    def tables(self, key: str, *, required: bool = True) -> Iterator[_Table]:
        """The tables of the list under ``key``."""
        found = self.take(key, list, None if required else [])
        for i, content in enumerate(found):
            if not isinstance(content, dict):
                raise self.error(key, f"{key} is a list of tables: write [[{key}]]")
            yield _Table(content, self._file, self._lines, (*self._path, key, i))

    def end(self) -> None:
        """Refuse what nobody took."""
        for key in self._left:
            raise self.error(key, f"the rule language has no word {key!r} here{_did_you_mean(key, self._known)}")


_KINDS: Final[Mapping[type, str]] = MappingProxyType(
    {
        str: "text in quotes",
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        dict: "a table",
        list: "a list",
        date: "a date such as 2026-11-01",
    }
)


class _Lines:
    """The line on which each entry of a TOML file stands; ``tomllib`` does not say."""

    _HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\-\s]+?)\s*\]")
    _KEY = re.compile(r"\s*([\w.\-]+)\s*=")

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[str | int, ...], int] = {(): 1}
        self._counts: dict[tuple[str | int, ...], int] = {}
        table: tuple[str | int, ...] = ()
        for number, line in enumerate(text.splitlines(), 1):
            if header := self._HEADER.match(line):
                table = self._open(header[2], is_list=header[1] == "[[")
                self._found.setdefault(table, number)
            elif key := self._KEY.match(line):
                self._note((*table, *key[1].split(".")), number)

    def of(self, path: tuple[str | int, ...]) -> int:
        """The line of ``path``, or of the nearest table around it."""
        while path not in self._found:
            path = path[:-1]
        return self._found[path]

    def _open(self, name: str, *, is_list: bool) -> tuple[str | int, ...]:
        path: tuple[str | int, ...] = ()
        *outer, last = (part.strip() for part in name.split("."))
        for part in outer:
            path = (*path, part)
            if path in self._counts:
                path = (*path, self._counts[path])
        path = (*path, last)
        if not is_list:
            return path
        self._counts[path] = self._counts.get(path, -1) + 1
        return (*path, self._counts[path])

    def _note(self, path: tuple[str | int, ...], number: int) -> None:
        for end in range(len(path), 0, -1):
            self._found.setdefault(path[:end], number)
