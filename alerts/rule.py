"""One rule of a clinical protocol: what it watches, whom it calls, what it says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

import numpy as np

from alerts.wording import fill
from devices.readings import Kind, Metric

Priority = Literal["high", "medium", "low"]
AlarmKind = Literal["physiological", "event", "technical"]
Audience = Literal["staff", "family", "resident"]
AskKind = Literal["repeat_measurement", "are_you_well"]
Word = Literal["at_least", "above", "at_most", "below"]
StatisticKind = Literal[
    "average", "deviation", "variation", "trend", "rise", "drop", "from_usual", "score", "worst_part"
]

PRIORITIES: Final[tuple[Priority, ...]] = ("high", "medium", "low")
KINDS: Final[tuple[AlarmKind, ...]] = ("physiological", "event", "technical")
STATISTICS: Final[tuple[StatisticKind, ...]] = get_args(StatisticKind)
AUDIENCES: Final[tuple[Audience, ...]] = ("staff", "family", "resident")
ASKS: Final[tuple[AskKind, ...]] = ("repeat_measurement", "are_you_well")

EXPIRES: Final = timedelta(hours=2)
"""How old a reading may be on arrival and still raise an alarm, unless its rule says otherwise."""

JOINED: Final = "joined"
"""Where the evidence of an alert names the rule that has joined it."""

MOST_COUNTED: Final = 8
"""The longest row of measurements that ``count`` can look at."""

MOST_DAYS: Final = 30
"""The longest window of days that a statistic, or a count on several days, can look at."""

POINTS: Final = Metric(0, "score", "1", None, 0, 60)
"""What a limit on a score judges. No device measures it, and no reading bears it."""

IRREGULAR_PULSE: Final = Metric(101, "irregular_pulse", "1", None, 0, 1)
PULSE_PRESSURE: Final = Metric(102, "pulse_pressure", "mm[Hg]", None, 1, 230)
DERIVED: Final = MappingProxyType({metric.name: metric for metric in (IRREGULAR_PULSE, PULSE_PRESSURE)})
"""What the rules core makes of a measurement itself: 1 or 0 with each pulse, by the cuff's own flag (Blood Pressure
Measurement Status, GATT Specification Supplement 3.33); systolic less diastolic. No device sends them."""

SYSTOLIC_LOW: Final = "bp.target.systolic_low"
SYSTOLIC_HIGH: Final = "bp.target.systolic"
DIASTOLIC_LOW: Final = "bp.target.diastolic_low"
DIASTOLIC_HIGH: Final = "bp.target.diastolic"
TARGETS: Final = (SYSTOLIC_LOW, SYSTOLIC_HIGH, DIASTOLIC_LOW, DIASTOLIC_HIGH)
"""Parameters by which the pages say how a blood pressure stands, also where no rule goes by them."""

PARTS_OF_DAY: Final = 4
"""Night, morning, afternoon and evening of the resident's home: six hours each, from midnight on."""

_UNITS: Final = MappingProxyType({"mm[Hg]": "mmHg", "Cel": "°C", "1": "probability"})
_STATISTIC_UNITS: Final = MappingProxyType({"variation": "%", "score": "points", "worst_part": "points"})
_DETAILS: Final = MappingProxyType({"long_lie": ("minutes",)})
"""What comes with every such event and can be named in a sentence."""
UP: Final[tuple[Word, ...]] = ("at_least", "above")
DOWN: Final[tuple[Word, ...]] = ("at_most", "below")


@dataclass(frozen=True, slots=True)
class Statistic:
    """What a limit judges instead of the value itself; in the metric's unit unless said.

    ``average``: mean of all readings of the last ``window`` (whole local days, the present one among them), with
    ``drop_first_day`` without the earliest day that has any (home protocol 722); unknown below ``needs`` readings.
    ``deviation``, ``variation`` (in %) and ``trend`` (per week): sample standard deviation, its share of the mean, and
    least-squares slope of the daily means of the window; unknown below ``needs`` days.
    ``rise``, ``drop``: how far the newest value lies above the lowest, or below the highest, daily mean of the days
    before it within the window; with a window under a day, of the measurements still remembered.
    ``from_usual``: the difference to the resident's own usual value at this part of the day; unknown below ``needs``
    readings. ``score``, ``worst_part``: the points of a :class:`Score`, and its highest part.
    """

    kind: StatisticKind
    window: timedelta = timedelta(0)
    needs: int = 1
    drop_first_day: bool = False

    @property
    def days(self) -> int:
        """The window in whole days, 0 for one under a day."""
        return self.window // timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ScorePart:
    """The points of one metric: those of the first band whose upper edge the value does not exceed.

    The last edge is infinite. Counts only for residents of ``groups`` (all, when empty) and none of ``not_groups``.
    """

    metric: Metric
    bands: tuple[tuple[float, int], ...]
    groups: tuple[str, ...] = ()
    not_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ScoreExtra:
    """Points that residents of a group have always, such as for oxygen at home."""

    points: int
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """Points summed over several metrics, each by its newest value not older than ``fresh``; unknown below ``needs`` parts."""

    id: str
    titles: Mapping[str, str]
    parts: tuple[ScorePart, ...]
    extras: tuple[ScoreExtra, ...]
    fresh: timedelta
    needs: int
    source: str


@dataclass(frozen=True, slots=True)
class Limit:
    """One level of one metric, in the metric's unit: ``word`` and ``level`` say what is too much.

    It is over only once the value has come to ``clear_level`` (``clear_word`` says whether that value itself is
    calm already). Both are ``None`` for an event, which has no level to come back to. With ``statistic`` not the value
    is judged but what that makes of it; of a ``score`` the metric is :data:`POINTS`. With ``parameter`` the level is
    that parameter's, here with its value in the protocol, and clears ``clear_by`` on the calm side of it.

    Values and levels are compared as 32-bit floats, to seven digits.
    """

    metric: Metric
    word: Word
    level: float
    clear_word: Word | None
    clear_level: float | None
    source: str
    statistic: Statistic | None = None
    score: Score | None = None
    parameter: str | None = None
    clear_by: float | None = None

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
        return self.sign * single(value) >= self.sign * self.over_from

    def calm(self, value: float) -> bool:
        """Whether ``value`` has come back to the calm side of the clear level."""
        return self.clear_from is not None and self.sign * single(value) <= self.sign * self.clear_from

    def at_level(self, level: float) -> Limit:
        """The same limit with another value of its parameter."""
        assert self.clear_by is not None, "a limit with a parameter clears by a distance"
        return replace(self, level=level, clear_level=level - self.sign * self.clear_by)


def single(value: float) -> float:
    """``value`` as the rules core keeps it: a 32-bit float."""
    return float(np.float32(value))


def _inclusive(word: Word, level: float) -> float:
    if word == "above":
        return float(np.nextafter(np.float32(level), np.float32(np.inf)))
    if word == "below":
        return float(np.nextafter(np.float32(level), np.float32(-np.inf)))
    return single(level)


@dataclass(frozen=True, slots=True)
class Count:
    """Persistence: ``k`` of the last ``n`` measurements, none older than ``within`` before the newest.

    With ``days`` above one that must have been so on as many different local days within ``days_within``.
    """

    k: int = 1
    n: int = 1
    within: timedelta = timedelta(0)
    source: str = ""
    days: int = 1
    days_within: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class Lasting:
    """A delay in measured time (ISA-18.2, on-delay and off-delay)."""

    time: timedelta
    source: str


@dataclass(frozen=True, slots=True)
class Required:
    """What must be so besides, or nothing is raised: the newest ``metric``, measured ``within`` before, beyond a level.

    Of an event only that it came.
    """

    metric: Metric
    word: Word
    level: float
    within: timedelta
    source: str

    @property
    def sign(self) -> int:
        """+1 where more is meant, -1 where less is."""
        return 1 if self.word in UP else -1

    @property
    def over_from(self) -> float:
        """The mildest value that fulfils it."""
        return _inclusive(self.word, self.level)


@dataclass(frozen=True, slots=True)
class Group:
    """Residents who are judged otherwise, by a condition a doctor has noted: ``copd``, ``dialysis``.

    One with ``all_of`` follows from other groups, and one with ``from_age`` from full years: nobody notes those.
    """

    code: str
    titles: Mapping[str, str]
    all_of: tuple[str, ...] = ()
    from_age: int | None = None

    @property
    def follows(self) -> bool:
        """Whether a resident is in it by itself, and never because it was noted."""
        return bool(self.all_of) or self.from_age is not None


@dataclass(frozen=True, slots=True)
class GroupValue:
    """The value of a parameter for a group."""

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that a doctor may set for one resident, or a centre for a group, between ``low`` and ``high``.

    Of several groups of one resident the first in the protocol's order of ``groups`` counts.
    """

    name: str
    metric: Metric
    value: float
    low: float
    high: float
    titles: Mapping[str, str]
    source: str
    groups: Mapping[str, GroupValue] = field(default_factory=dict)


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
    """Silence: no reading of ``metric`` for ``within``; with ``after`` only once that event has come, counted from it."""

    metric: Metric
    within: timedelta
    source: str
    after: Metric | None = None


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
    ``calls_at_night`` false the first call waits for the morning. ``requires`` must all be so besides. ``persists`` is
    how long the condition must last unbroken, ``clear_after`` how long it must be calm to be over. It judges residents
    of one of ``groups`` (all, when empty) who are in none of ``not_groups``.
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
    requires: tuple[Required, ...] = ()
    persists: Lasting | None = None
    clear_after: Lasting | None = None
    groups: tuple[str, ...] = ()
    not_groups: tuple[str, ...] = ()
    say: Mapping[Audience, Mapping[str, str]] = field(default_factory=dict)
    say_unanswered: Mapping[Audience, Mapping[str, str]] | None = None

    @property
    def on_event(self) -> bool:
        """Whether it waits for an event: each one is an episode of its own and has no level to come back to."""
        return bool(self.when) and self.when[0].metric.kind is Kind.EVENT

    @property
    def on_statistic(self) -> bool:
        """Whether it judges what is made of many readings, and not each by itself."""
        return any(limit.statistic is not None for limit in self.when)

    @property
    def looks_at(self) -> timedelta:
        """The longest window of days that it judges, nothing for a rule that judges none."""
        windows = [limit.statistic.window for limit in self.when if limit.statistic and limit.statistic.days]
        return max(windows, default=timedelta(0))

    @property
    def on_device(self) -> bool:
        """Whether it watches the condition of a device, not of a person."""
        return any(limit.metric.kind is Kind.DEVICE for limit in self.when)

    @property
    def notes(self) -> bool:
        """Whether it notes for the doctor what would have raised it, but came too late to call anybody."""
        speaks_of_her = bool(self.when) and self.kind != "technical"
        return speaks_of_her and not (self.persists or self.count.days > 1 or self.on_statistic)

    @property
    def measured(self) -> tuple[Metric, ...]:
        """The metrics in its evidence, each once: those judged, those of a score's parts, and those beside them."""
        found = [limit.metric for limit in self.when if limit.score is None]
        found += [part.metric for limit in self.when if limit.score for part in limit.score.parts]
        return tuple(dict.fromkeys((*found, *self.also)))

    @property
    def sources(self) -> tuple[str, ...]:
        """Where its numbers come from, each once, in order of appearance."""
        found = [limit.source for limit in self.when]
        found += [limit.score.source for limit in self.when if limit.score]
        others = (self.count, self.ask, self.missing, self.answered, self.confirmed_by, self.follows)
        lasting = (self.persists, self.clear_after)
        found += [part.source for part in (*self.requires, *others, *lasting) if part and part.source]
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
        return fill(say[audience][language], evidence, language)


def shown_unit(metric: Metric) -> str:
    """The metric's unit as people write it; the catalogue has it in UCUM."""
    if metric.unit == "1" and metric.kind is not Kind.EVENT:
        return "×"
    return _UNITS.get(metric.unit, metric.unit)


def limit_unit(limit: Limit) -> str:
    """The unit of what a limit judges, as people write it; of a trend it is meant per week."""
    kind = limit.statistic.kind if limit.statistic else ""
    return _STATISTIC_UNITS.get(kind, shown_unit(limit.metric))


def evidence_names(rule: Rule) -> tuple[str, ...]:
    """What a firing of this rule can name, and so what its sentences may use."""
    if rule.missing:
        return ("hours", "days")
    names = tuple(evidence_name(metric) for metric in rule.measured)
    first = tuple(f"first_{name}" for name in names) if rule.count.k > 1 and not rule.on_statistic else ()
    details = tuple(name for metric in rule.measured for name in _DETAILS.get(metric.name, ()))
    statistics = tuple(name for limit in rule.when if limit.statistic for name in statistic_names(limit))
    return tuple(dict.fromkeys((*names, *first, *details, *statistics, "count")))


def statistic_names(limit: Limit) -> tuple[str, ...]:
    """The names in the evidence of what a statistic gives: itself, then what it was made of (at most two more).

    For ``from_usual`` a last name, ``part_of_day``, stands for the part of the day (0 to 3).
    """
    assert limit.statistic is not None
    kind, metric = limit.statistic.kind, limit.metric.name
    return {
        "average": (f"average_{metric}", "readings"),
        "deviation": (f"deviation_{metric}", "days_known"),
        "variation": (f"variation_{metric}", "days_known"),
        "trend": (f"trend_{metric}", "days_known"),
        "rise": (f"rise_{metric}", f"before_{metric}"),
        "drop": (f"drop_{metric}", f"before_{metric}"),
        "from_usual": (f"difference_{metric}", f"usual_{metric}", f"spread_{metric}", "part_of_day"),
        "score": ("score", "parts", "of_parts"),
        "worst_part": ("worst_part", "parts", "of_parts"),
    }[kind]


def evidence_name(metric: Metric) -> str:
    """The name of a metric's value in the evidence: an event's value is a probability."""
    return "probability" if metric.kind is Kind.EVENT else metric.name
