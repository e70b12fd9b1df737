"""The rule language: a clinical protocol in TOML becomes a :class:`Protocol`, or is refused in words. Pure.

A file names its protocol and version and holds ``[[rule]]`` tables; ``docs/rules.md`` describes every word. Each
number stands beside its unit and its source, and each rule says what staff, the family and the resident are told,
in both languages. Whatever the language does not know is refused with file, line and a sentence that helps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from alerts.language import grammar
from alerts.language.checks import faults_of_group_named, faults_of_named
from alerts.language.explain import explain, explain_protocol
from alerts.language.grammar import Known
from alerts.language.shadows import shadowed
from alerts.language.tables import ProtocolError, Table, did_you_mean
from alerts.rule import (
    TARGETS,
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
    evidence_name,
    evidence_names,
)

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
    "check",
    "evidence_name",
    "evidence_names",
    "explain",
    "explain_protocol",
    "load",
    "parse",
    "parse_all",
    "texts_in",
]

SHIPPED: Final = Path(__file__).parent / "protocols"
"""Where the protocols lie that come with the service."""

_NAMED_BY: Final = MappingProxyType({"group": "code", "parameter": "name", "score": "id", "rule": "id"})

T = TypeVar("T")


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
    return parse_all(texts_in(directory), whole=True)


def texts_in(directory: Path) -> dict[str, str]:
    """The protocol files in ``directory``, text by name."""
    files = sorted(directory.glob("*.toml"))
    if not files:
        raise ProtocolError(str(directory), 0, "there is no protocol here: put a file ending in .toml into it")
    return {path.name: _text(path) for path in files}


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

    Files count in the order of their names. ``whole``: these are all the files there are, so that a rule they name must
    be among them. Raises the first :class:`ProtocolError` of those :func:`check` tells.
    """
    read = _Reading(texts)
    read.everything(whole=whole)
    if read.errors:
        raise read.errors[0]
    return read.protocol()


def check(texts: Mapping[str, str], *, whole: bool = True) -> tuple[ProtocolError, ...]:
    """What is wrong with these files, as far as it can be found at once: at most one error for each table."""
    read = _Reading(texts)
    read.everything(whole=whole)
    return tuple(sorted(read.errors, key=lambda error: (error.file, error.line)))


class _Reading:
    """The files of a protocol while they are read: what they define, and what is wrong with them."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.errors: list[ProtocolError] = []
        self._texts = dict(sorted(texts.items()))
        self._dates: list[date] = []
        self._files: list[tuple[str, Table]] = []
        self._places: dict[tuple[str, str], tuple[Table, str]] = {}
        self._groups: dict[str, Group] = {}
        self._parameters: dict[str, Parameter] = {}
        self._scores: dict[str, Score] = {}
        self._rules: dict[str, Rule] = {}

    def protocol(self) -> Protocol:
        """What has been read, once nothing was wrong."""
        digest = hashlib.sha256("\0".join(part for pair in self._texts.items() for part in pair).encode()).hexdigest()
        return Protocol(
            version=f"{max(self._dates)}-{digest[:8]}",
            digest=digest,
            rules=tuple(_with_joining(rule, self._rules) for rule in self._rules.values()),
            parameters=tuple(self._parameters.values()),
            groups=tuple(self._groups.values()),
            scores=tuple(self._scores.values()),
        )

    def everything(self, *, whole: bool) -> None:
        """Read step by step, and no further than the first in which something is wrong: it would mislead the next."""
        for step in (self._open, self._define_groups, self._define_numbers, self._read_rules, self._end):
            step()
            if self.errors:
                return
        for rule in self._rules.values():
            with self._noting():
                self._check_named(rule, whole=whole)
        if whole:
            self._check_used()
        self._check_shadows()

    @contextmanager
    def _noting(self) -> Iterator[None]:
        try:
            yield
        except ProtocolError as error:
            self.errors.append(error)

    def _open(self) -> None:
        for file, text in self._texts.items():
            with self._noting():
                top = Table.of(text, file)
                self._dates.append(top.take("version", date))
                self._files.append((top.take("protocol", str), top))

    def _define_groups(self) -> None:
        for name, top in self._files:
            self._take(top, name, "group", grammar.group, self._groups)
        for found in self._groups.values():
            with self._noting():
                self._check_follows(found)

    def _check_follows(self, group: Group) -> None:
        """Refuse a group that follows from one that is none, or from one that follows likewise."""
        table, _ = self._places["group", group.code]
        for code in group.all_of:
            if code not in self._groups:
                raise table.error("all_of", f"there is no group {code!r}{did_you_mean(code, self._groups)}")
            for message in faults_of_group_named(group.code, self._groups[code]):
                raise table.error("all_of", message)

    def _define_numbers(self) -> None:
        for name, top in self._files:
            self._take(top, name, "parameter", lambda table: grammar.parameter(table, self._groups), self._parameters)
            self._take(top, name, "score", lambda table: grammar.score(table, self._groups), self._scores)

    def _read_rules(self) -> None:
        known = Known(self._groups, self._parameters, self._scores)
        for name, top in self._files:
            self._take(top, name, "rule", partial(grammar.rule, protocol=name, known=known), self._rules)

    def _take(self, top: Table, protocol: str, what: str, read: Callable[[Table], T], into: dict[str, T]) -> None:
        """Read every table of one kind in one file."""
        with self._noting():
            for table in top.tables(what, required=False):
                with self._noting():
                    found = read(table)
                    self._put(table, protocol, what, found, into)

    def _put(self, table: Table, protocol: str, what: str, found: T, into: dict[str, T]) -> None:
        key = _NAMED_BY[what]
        name: str = getattr(found, key)
        if name in into:
            _, other = self._places[what, name]
            raise table.error(key, f"the {what} {name} is there already, in protocol {other}")
        into[name] = found
        self._places[what, name] = table, protocol

    def _end(self) -> None:
        read = {file for _, file in self._places.values()}
        for name, top in self._files:
            with self._noting():
                top.end()
                if name not in read or not self._rules:
                    raise top.error(None, "there is no rule here: write [[rule]]")

    def _check_named(self, rule: Rule, *, whole: bool) -> None:
        """Refuse the name of a rule that is none, or that cannot be what it is named for."""
        table, _ = self._places["rule", rule.id]
        named = [("cause", name) for name in rule.cause]
        named += [("joins", rule.joins)] if rule.joins else []
        named += [("answered", rule.answered.rule)] if rule.answered else []
        for key, name in named:
            if whole and name not in self._rules:
                raise table.error(key, f"there is no rule {name!r}{did_you_mean(name, self._rules)}")
            for message in faults_of_named(key, rule, self._rules.get(name)):
                raise table.error(key, message)

    def _check_used(self) -> None:
        """Refuse numbers that nobody judges by: a doctor would set them in vain."""
        limits = [limit for rule in self._rules.values() for limit in rule.when]
        used = {("parameter", name) for name in (*TARGETS, *(limit.parameter for limit in limits))} | {
            ("score", limit.score.id) for limit in limits if limit.score
        }
        for what, name in (*(("parameter", n) for n in self._parameters), *(("score", n) for n in self._scores)):
            if (what, name) not in used:
                table, _ = self._places[what, name]
                message = f"no rule judges by the {what} {name}: leave it out, or name it in a [[rule.when]]"
                self.errors.append(table.error(_NAMED_BY[what], message))

    def _check_shadows(self) -> None:
        for rule, other in shadowed(tuple(self._rules.values()), self._parameters):
            table, _ = self._places["rule", rule.id]
            self.errors.append(
                table.error(
                    "id",
                    f"{rule.id} can never say anything that {other.id} has not said already: that one comes no later, "
                    f"with at least the same priority and for at least the same residents. Leave out {rule.id}, or "
                    "tell the two apart by priority, level or group",
                )
            )


def _with_joining(rule: Rule, rules: Mapping[str, Rule]) -> Rule:
    return replace(rule, joined_by=tuple(other for other in rules.values() if other.joins == rule.id))
