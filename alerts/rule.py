"""One rule of a clinical protocol: what it watches, whom it calls, what it says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, Literal

import numpy as np

from alerts.wording import fill
from devices.readings import Kind, Metric

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

JOINED: Final = "joined"
"""Where the evidence of an alert names the rule that has joined it."""

MOST_COUNTED: Final = 8
"""The longest row of measurements that ``count`` can look at."""

_UNITS: Final = MappingProxyType({"mm[Hg]": "mmHg", "Cel": "°C", "1": "probability"})
_DETAILS: Final = MappingProxyType({"long_lie": ("minutes",)})
"""What comes with every such event and can be named in a sentence."""
UP: Final[tuple[Word, ...]] = ("at_least", "above")
DOWN: Final[tuple[Word, ...]] = ("at_most", "below")


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
        return 1 if self.word in UP else -1

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
class Related:
    """Another event of the same episode, at most ``within`` away.

    Of the two the later one is told by somebody who cannot know of ``unless``: these take it back also when they came
    before it, since the episode began.
    """

    metric: Metric
    within: timedelta
    source: str
    unless: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """A question of ``rule`` that the resident, or an event, has answered."""

    rule: str
    source: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. ``when`` (any of these limits is over), ``missing`` or ``answered`` says what it watches.

    ``calls`` is false for a task that waits on the board without a message. A reading that is older than
    ``expires`` when it arrives is not judged. ``unless`` are the events of which each takes this rule's own event back.
    ``confirmed_by`` is the event that ends its question at once, and raises also where its own event never came.
    ``follows`` is the event with which the episode of its own event began.
    ``also`` are metrics that are not judged and stand in the evidence beside those that are. ``cause`` are the rules
    whose open alert says the same already: while there is one, this rule raises none. ``joins`` is the rule whose open
    alert this one makes more urgent instead of raising its own; ``joined_by`` are the rules that join this one. With
    ``calls_at_night`` false the first call waits for the morning.
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
    unless: tuple[Metric, ...] = ()
    missing: Missing | None = None
    answered: Answered | None = None
    confirmed_by: Related | None = None
    follows: Related | None = None
    expires: timedelta = EXPIRES
    cause: tuple[str, ...] = ()
    joins: str | None = None
    joined_by: tuple[Rule, ...] = ()
    calls_at_night: bool = True
    say: Mapping[Audience, Mapping[str, str]] = field(default_factory=dict)
    say_unanswered: Mapping[Audience, Mapping[str, str]] | None = None

    @property
    def on_event(self) -> bool:
        """Whether it waits for an event: each one is an episode of its own and has no level to come back to."""
        return bool(self.when) and self.when[0].metric.kind is Kind.EVENT

    @property
    def on_device(self) -> bool:
        """Whether it watches the condition of a device, not of a person."""
        return any(limit.metric.kind is Kind.DEVICE for limit in self.when)

    @property
    def measured(self) -> tuple[Metric, ...]:
        """The metrics in its evidence: those judged, then those that only stand beside them."""
        return (*(limit.metric for limit in self.when), *self.also)

    @property
    def sources(self) -> tuple[str, ...]:
        """Where its numbers come from, each once, in order of appearance."""
        found = [limit.source for limit in self.when]
        others = (self.count, self.ask, self.missing, self.answered, self.confirmed_by, self.follows)
        found += [part.source for part in others if part and part.source]
        return tuple(dict.fromkeys(found))

    def title(self, language: str) -> str:
        """Its name in a list."""
        return self.titles[language]

    def sentence(self, audience: Audience, language: str, evidence: Mapping[str, Any]) -> str:
        """What ``audience`` is told about an alert with this evidence (see :class:`alerts.engine.Firing`).

        A rule that asks first can have other words for the case that no repeat came. What has joined the alert since
        speaks for it.
        """
        for other in self.joined_by:
            if evidence.get(JOINED) == other.id:
                return other.sentence(audience, language, evidence)
        alone = int(evidence.get("count", self.count.k)) < self.count.k
        say = self.say_unanswered if alone and self.say_unanswered is not None else self.say
        return fill(say[audience][language], evidence)


def shown_unit(metric: Metric) -> str:
    """The metric's unit as people write it; the catalogue has it in UCUM."""
    if metric.unit == "1" and metric.kind is not Kind.EVENT:
        return "×"
    return _UNITS.get(metric.unit, metric.unit)


def evidence_names(rule: Rule) -> tuple[str, ...]:
    """What a firing of this rule can name, and so what its sentences may use."""
    if rule.missing:
        return ("hours", "days")
    names = tuple(evidence_name(metric) for metric in rule.measured)
    first = tuple(f"first_{name}" for name in names) if rule.count.k > 1 else ()
    details = tuple(name for metric in rule.measured for name in _DETAILS.get(metric.name, ()))
    return (*names, *first, *details, "count")


def evidence_name(metric: Metric) -> str:
    """The name of a metric's value in the evidence: an event's value is a probability."""
    return "probability" if metric.kind is Kind.EVENT else metric.name
