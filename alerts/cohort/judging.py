"""What a protocol did against the labels of a cohort. Pure.

An alert is true for an episode when it is raised between the episode's onset and its end with the kind's grace, and its
rule watches something that such an episode moves, in the direction in which it moves it (:mod:`alerts.cohort.kinds`). No
rule is told for which episodes it was written. An alert that is true for none is false, also when a lasting condition
of the resident explains it; how many those are is said beside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.cohort.cohort import Chunk, Labels, Plan
from alerts.cohort.draws import Bools, Floats
from alerts.cohort.kinds import KINDS, LASTING, Kind
from alerts.cohort.ward import Raised, Run, Ward, profiles, wards
from alerts.measurements import Batch
from alerts.protocol import Protocol
from alerts.rule import Limit, Priority, Rule
from devices.readings import METRICS, METRICS_BY_CODE
from devices.readings import Kind as MetricKind

WEEK: Final = np.timedelta64(7, "D")
_WRONG_WITHIN: Final = np.timedelta64(12, "h")
"""How long before a false alert a wrong reading explains it."""
_HOUR_MS: Final = 3.6e6
_MOVES_WITH: Final = {
    "pulse_pressure": "systolic",
    "mean_arterial_pressure": "systolic",
    "interstitial_glucose": "glucose",
}
_HEARD_AS: Final = {"irregular_pulse": "pulse", "pulse_pressure": "systolic"}


@dataclass(frozen=True, slots=True)
class Pair:
    """A rule and a kind of episode that it could see. ``after`` are the hours from onset to its first alert.

    ``episodes`` are those of residents whom the rule concerns, ``measured`` those during which something came that it
    hears, ``seen`` those in which it raised.
    """

    rule: str
    kind: str
    episodes: int
    measured: int
    seen: int
    after: Floats


@dataclass(frozen=True, slots=True)
class Sight:
    """A kind of episode, and what all rules together made of it.

    ``called`` are those about which somebody was sent a message; ``by_chance`` is the share of windows as long, half
    the time of the cohort away and without an episode, in which these rules raised too, of ``windows``.
    """

    kind: str
    episodes: int
    measured: int
    seen: int
    called: int
    after: Floats
    by_chance: float
    windows: int


@dataclass(frozen=True, slots=True)
class Load:
    """What a rule costs: alerts opened, how many of them true; of the false ones how many a lasting condition explains,
    and how many came within hours of a wrong reading. ``false_by_resident`` counts the false ones of each resident."""

    rule: str
    priority: Priority
    residents: int
    alerts: int
    true: int
    lasting: int
    wrong: int
    messages: int
    at_night: int
    false_by_resident: NDArray[np.int64]

    @property
    def false(self) -> int:
        """Alerts that are true for no episode."""
        return self.alerts - self.true


@dataclass(frozen=True, slots=True)
class Judged:
    """A protocol against a cohort of so many residents and weeks each."""

    plan: Plan
    version: str
    readings: int
    pairs: tuple[Pair, ...]
    sights: tuple[Sight, ...]
    loads: tuple[Load, ...]
    asked: int
    notes: int

    @property
    def weeks(self) -> float:
        """The weeks of one resident."""
        return self.plan.days / 7

    @property
    def resident_weeks(self) -> float:
        """The weeks of all of them."""
        return self.weeks * self.plan.residents


@dataclass(frozen=True, slots=True)
class Record:
    """What a protocol did to a ward, without the readings: enough to count.

    ``heard`` (shape ``(labels, metrics)``) says which metrics were received during each episode; ``wrong`` are the
    (resident, received) of wrong readings, by metric.
    """

    groups: Mapping[int, frozenset[str]]
    ages: Mapping[int, int]
    labels: Labels
    heard: Bools
    wrong: Mapping[str, tuple[NDArray[np.int32], NDArray[np.datetime64]]]
    raised: Sequence[Raised]
    asked: int
    notes: int
    readings: int


def judge(protocol: Protocol, plan: Plan, chunks: Iterable[Chunk]) -> Judged:
    """Run the protocol over the cohort and count."""
    records = [record(protocol, plan, ward) for ward in wards(chunks)]
    return count(protocol, plan, records)


def record(protocol: Protocol, plan: Plan, ward: Ward) -> Record:
    """Run the protocol over one ward."""
    run = Run(protocol, plan, ward).run()
    return Record(
        ward.groups,
        ward.ages,
        ward.labels,
        heard(ward.batch, ward.labels),
        _wrong(ward),
        run.raised,
        run.asked,
        run.notes,
        len(ward.batch),
    )


def count(protocol: Protocol, plan: Plan, records: Sequence[Record]) -> Judged:
    """The figures of several wards together."""
    whole = _Whole(protocol, plan, records)
    return Judged(
        plan,
        protocol.version,
        sum(one.readings for one in records),
        tuple(whole.pair(rule, kind) for rule in protocol.rules for kind in kinds_seen_by(protocol, rule)),
        tuple(whole.sight(kind) for kind in KINDS.values()),
        tuple(whole.load(rule) for rule in protocol.rules),
        sum(one.asked for one in records),
        sum(one.notes for one in records),
    )


def watched(protocol: Protocol, rule: Rule) -> dict[str, int]:
    """What a rule watches, by metric: 1 where more is too much, -1 where less is, 0 where either may be.

    Of a rule that requires an event that event, and what it judges as something that is so after it.
    """
    if rule.answered:
        source = protocol.rule(rule.answered.rule)
        return watched(protocol, source) if source else {}
    if rule.missing:
        return {f"silence of {rule.missing.metric.name}": 1}
    found: dict[str, int] = {}
    for limit in rule.when:
        for metric, sign in _of_limit(limit):
            found[metric] = sign if found.get(metric, sign) == sign else 0
    events = [one.metric.name for one in rule.requires if one.metric.kind is MetricKind.EVENT]
    if events:
        found = {f"{metric} after {event}": sign for metric, sign in found.items() for event in events}
        found |= dict.fromkeys(events, 1)
    return found


def _of_limit(limit: Limit) -> list[tuple[str, int]]:
    if limit.score is not None:
        return [(part.metric.name, 0) for part in limit.score.parts]
    kind = limit.statistic.kind if limit.statistic else None
    if kind in ("deviation", "variation"):
        return [(limit.metric.name, 0)]
    return [(limit.metric.name, {"rise": 1, "drop": -1}.get(kind or "", limit.sign))]


def explains(kind: Mapping[str, int], rule: Mapping[str, int]) -> bool:
    """Whether what moves so can be what a rule that watches so has raised about."""
    return any(kind[moved] * rule[name] >= 0 for name, moved in _shared(kind, rule))


def _shared(kind: Mapping[str, int], rule: Mapping[str, int]) -> list[tuple[str, str]]:
    """What both name: as the rule calls it, and as the kind does."""
    pairs = ((name, _MOVES_WITH.get(name, name)) for name in rule)
    return [(name, moved) for name, moved in pairs if moved in kind]


def kinds_seen_by(protocol: Protocol, rule: Rule) -> tuple[Kind, ...]:
    """The kinds of episode that a rule could see."""
    seen = watched(protocol, rule)
    return tuple(kind for kind in KINDS.values() if explains(kind.moves, seen))


_METRICS: Final = tuple(METRICS)


def heard(batch: Batch, labels: Labels) -> Bools:
    """Which metrics (in the order of ``METRICS``) were received of each episode's resident during it."""
    assert batch.received is not None, "a cohort says when each reading was received"
    found = np.zeros((len(labels), len(_METRICS)), np.bool_)
    begin, end = _key(labels.resident, labels.onset), _key(labels.resident, labels.end)
    for code in np.unique(batch.metric).tolist():
        mine = batch.metric == code
        key = np.sort(_key(batch.resident[mine], batch.received[mine]))
        here = np.searchsorted(key, end, side="right") > np.searchsorted(key, begin)
        found[:, _METRICS.index(METRICS_BY_CODE[code].name)] = here
    return found


def _wrong(ward: Ward) -> dict[str, tuple[NDArray[np.int32], NDArray[np.datetime64]]]:
    batch, bad = ward.batch, ward.fault > 0
    assert batch.received is not None, "a cohort says when each reading was received"
    found = {}
    for code in np.unique(batch.metric[bad]).tolist():
        mine = bad & (batch.metric == code)
        found[METRICS_BY_CODE[code].name] = batch.resident[mine], batch.received[mine]
    return found


class _Whole:
    """All wards together, in columns."""

    def __init__(self, protocol: Protocol, plan: Plan, records: Sequence[Record]) -> None:
        self._protocol, self._plan = protocol, plan
        self._watched = {rule.id: watched(protocol, rule) for rule in protocol.rules}
        self._groups = {resident: held for one in records for resident, held in one.groups.items()}
        ages = {resident: age for one in records for resident, age in one.ages.items()}
        self._profiles = profiles(protocol, self._groups, ages)
        columns = (np.concatenate([getattr(one.labels, f.name) for one in records]) for f in fields(Labels))
        self._labels = Labels(*columns)
        self._heard = np.concatenate([one.heard for one in records])
        names = {name for one in records for name in one.wrong}
        self._wrong = {
            name: np.sort(np.concatenate([_key(*one.wrong[name]) for one in records if name in one.wrong]))
            for name in names
        }
        raised = [one for part in records for one in part.raised]
        self._resident = np.array([one.resident for one in raised], np.int32)
        self._rule = np.array([one.rule for one in raised], np.str_)
        self._at = np.array([one.at for one in raised], "datetime64[us]")
        self._opens = np.array([one.opens for one in raised], np.bool_)
        self._messages = np.array([one.messages for one in raised], np.int64)
        self._night = np.array([one.at_night for one in raised], np.bool_)

    def pair(self, rule: Rule, kind: Kind) -> Pair:
        """One rule, one kind."""
        labels, here = self._of(kind)
        concerned = np.isin(labels.resident, self._concerned(rule))
        labels = labels[concerned]
        first = self._first(labels, kind, self._rule == rule.id)
        measured = self._measured(here[concerned], kind, [self._watched[rule.id]])
        return Pair(rule.id, kind.code, len(labels), int(measured.sum()), int((first >= 0).sum()), first[first >= 0])

    def sight(self, kind: Kind) -> Sight:
        """One kind, all rules that could see it."""
        labels, here = self._of(kind)
        able = [rule.id for rule in self._protocol.rules if explains(kind.moves, self._watched[rule.id])]
        raised = np.isin(self._rule, able)
        first = self._first(labels, kind, raised)
        called = self._first(labels, kind, raised & (self._messages > 0))
        measured = self._measured(here, kind, [self._watched[rule] for rule in able])
        elsewhere = self._elsewhere(labels, kind)
        chance = self._first(elsewhere, kind, raised) >= 0
        return Sight(
            kind.code,
            len(labels),
            int(measured.sum()),
            int((first >= 0).sum()),
            int((called >= 0).sum()),
            first[first >= 0],
            float(chance.mean()) if len(chance) else 0.0,
            len(chance),
        )

    def load(self, rule: Rule) -> Load:
        """What one rule costs."""
        mine = self._rule == rule.id
        opened = mine & self._opens
        resident, at = self._resident[opened], self._at[opened]
        true = self._true(rule, resident, at)
        concerned = self._concerned(rule)
        false = resident[~true]
        place = {number: i for i, number in enumerate(concerned)}
        by_resident = np.bincount([place[one] for one in false.tolist() if one in place], minlength=len(concerned))
        return Load(
            rule.id,
            rule.priority,
            len(concerned),
            len(true),
            int(true.sum()),
            self._lasting(rule, false),
            self._after_wrong(rule, false, at[~true]),
            int(self._messages[mine].sum()),
            int(self._messages[mine & self._night].sum()),
            by_resident,
        )

    def _of(self, kind: Kind) -> tuple[Labels, Bools]:
        mine = self._labels.kind == kind.code
        return self._labels[mine], self._heard[mine]

    def _concerned(self, rule: Rule) -> list[int]:
        """The residents whom a rule is about: of one of its groups, with the instruments or without."""
        return [
            resident for resident, profile in self._profiles.items() if profile.concerns(rule.groups, rule.not_groups)
        ]

    def _first(self, labels: Labels, kind: Kind, which: Bools) -> Floats:
        """Hours from each onset to the first of these raises in its window; -1 where there is none."""
        key = np.sort(_key(self._resident[which], self._at[which]))
        begin = _key(labels.resident, labels.onset)
        end = _key(labels.resident, labels.end + np.timedelta64(kind.grace, "s"))
        place = np.searchsorted(key, begin)
        found = place < np.searchsorted(key, end, side="right")
        after = np.full(len(labels), -1.0)
        after[found] = (key[place[found]] - begin[found]) / _HOUR_MS
        return after

    def _measured(self, here: Bools, kind: Kind, rules: Sequence[Mapping[str, int]]) -> Bools:
        """Whether anything came of what these rules watch and the kind moves. A silence is there by itself."""
        names = {name for rule in rules for name, _ in _shared(kind.moves, rule)}
        if any(name.startswith("silence of ") for name in names):
            return np.ones(len(here), np.bool_)
        columns = [_METRICS.index(_HEARD_AS.get(name, name).split(" after ")[-1]) for name in names]
        return np.asarray(here[:, columns].any(axis=1), np.bool_)

    def _elsewhere(self, labels: Labels, kind: Kind) -> Labels:
        """The same windows half the cohort's time away, where the same resident has no episode of what could be seen."""
        span = self._plan.end - self._plan.start
        moved = self._plan.start + (labels.onset - self._plan.start + span // 2) % span
        shifted = Labels(labels.resident, labels.kind, moved, moved, moved + (labels.end - labels.onset))
        related = [code for code, other in KINDS.items() if explains(kind.moves, other.moves)]
        among = self._labels[np.isin(self._labels.kind, related)]
        grace = np.timedelta64(kind.grace, "s")
        free = ~_overlaps(shifted.resident, shifted.onset, shifted.end + grace, among)
        return shifted[free & (shifted.end + grace <= self._plan.end)]

    def _true(self, rule: Rule, resident: NDArray[np.int32], at: NDArray[np.datetime64]) -> Bools:
        """Which of these alerts lie in an episode that the rule could see."""
        found = np.zeros(len(at), np.bool_)
        for kind in kinds_seen_by(self._protocol, rule):
            labels, _ = self._of(kind)
            widened = Labels(
                labels.resident, labels.kind, labels.onset, labels.peak, labels.end + np.timedelta64(kind.grace, "s")
            )
            found |= _overlaps(resident, at, at, widened)
        return found

    def _lasting(self, rule: Rule, resident: NDArray[np.int32]) -> int:
        """How many of these false alerts are about what their resident always has."""
        able = {code for code, moves in LASTING.items() if explains(moves, self._watched[rule.id])}
        return sum(bool(self._groups[one] & able) for one in resident.tolist())

    def _after_wrong(self, rule: Rule, resident: NDArray[np.int32], at: NDArray[np.datetime64]) -> int:
        """How many of these came within hours of a wrong reading of what the rule watches."""
        found = np.zeros(len(at), np.bool_)
        for name in self._watched[rule.id]:
            key = self._wrong.get(name)
            if key is not None:
                begin, end = _key(resident, at - _WRONG_WITHIN), _key(resident, at)
                found |= np.searchsorted(key, end, side="right") > np.searchsorted(key, begin)
        return int(found.sum())


def _key(resident: NDArray[np.int32], at: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Resident and moment (in milliseconds) as one number that sorts like both."""
    return np.asarray(resident.astype(np.int64) * np.int64(1 << 42) + at.astype("datetime64[ms]").astype(np.int64))


def _overlaps(
    resident: NDArray[np.int32], begin: NDArray[np.datetime64], end: NDArray[np.datetime64], labels: Labels
) -> Bools:
    """Whether each stretch of time touches an episode of its resident."""
    if not len(labels):
        return np.zeros(len(resident), np.bool_)
    starts = np.sort(_key(labels.resident, labels.onset))
    ends = np.sort(_key(labels.resident, labels.end))
    begun = np.searchsorted(starts, _key(resident, end), side="right")
    over = np.searchsorted(ends, _key(resident, begin))
    return np.asarray(begun > over)
