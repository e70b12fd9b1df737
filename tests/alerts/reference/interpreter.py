"""A protocol at work, with the surface of the engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np

from alerts.engine import Firing
from alerts.profiles import Profile
from alerts.protocol import Protocol
from alerts.rule import Rule
from tests.alerts.reference.case import Case, limits_of, time
from tests.alerts.reference.events import Events, Silence, begin
from tests.alerts.reference.levels import Devices, Levels, Statistics
from tests.alerts.reference.measurement import Heard, Measurement, measurements, moment
from tests.alerts.reference.memory import Cell, Kept, Memory

NOT_LEARNED_FOR = timedelta(days=14)
"""For so long what is measured during an alarm is not taken for usual; what lasts longer is."""


class Interpreter:
    """Residents are known by readings or enrolled. Every reading is judged by every rule that hears it."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.residents: dict[int, Memory] = {}
        self.profiles: dict[int, Profile] = {}
        self.kept = Kept.by(protocol)
        self.unstarted: list[tuple[int, int]] = []
        self.codes = {metric.code for metric in self.kept.times}

    def enrol(self, residents: Iterable[int], now: np.datetime64) -> None:
        for resident in residents:
            if resident not in self.residents:
                memory = Memory(moment(now), self.profiles.get(resident, Profile()), [])
                memory.cells = [begin(rule, memory) for rule in self.protocol.rules]
                self.residents[resident] = memory

    def assign(self, profiles: Mapping[int, Profile]) -> None:
        """Judge these residents by other profiles; what stood of rules that do not concern them is forgotten."""
        self.profiles |= profiles
        for resident in profiles.keys() & self.residents.keys():
            memory = self.residents[resident]
            before, memory.profile = memory.profile, profiles[resident]
            for i, rule in enumerate(self.protocol.rules):
                if not (concerns(rule, before) and concerns(rule, memory.profile)):
                    memory.cells[i] = begin(rule, memory)

    def under(self, protocol: Protocol) -> Interpreter:
        """Go on under another protocol: what is remembered stays, and so do the alarms of rules that judge the same.

        The silence of a new rule counts from the newest reading or, without one, the next step.
        """
        other = Interpreter(protocol)
        other.profiles = self.profiles
        other.residents = self.residents
        for resident, memory in other.residents.items():
            before = {rule.id: (rule, cell) for rule, cell in zip(self.protocol.rules, memory.cells, strict=True)}
            memory.forget_beyond(other.kept)
            memory.cells = [
                before[rule.id][1] if rule.id in before and before[rule.id][0] == rule else begin(rule, memory)
                for rule in protocol.rules
            ]
            other.unstarted += [
                (resident, i) for i, rule in enumerate(protocol.rules) if before.get(rule.id, (None,))[0] != rule
            ]
        return other

    def start_clocks(self, now: datetime) -> None:
        for resident, i in self.unstarted:
            memory, missing = self.residents[resident], self.protocol.rules[i].missing
            if missing and memory.cells[i].due:
                memory.cells[i].due = (memory.newest(missing.metric) or now) + missing.within
        self.unstarted.clear()

    def step(self, readings: Sequence[Heard], now: np.datetime64) -> list[Firing]:
        """Judge readings, then let the timers run that are due before ``now``."""
        self.start_clocks(moment(now))
        firings = self.hear_all(readings)
        for resident in self.residents:
            firings += self.time_out(resident, moment(now))
        return firings

    def hear_all(self, readings: Sequence[Heard]) -> list[Firing]:
        """Judge readings."""
        by_resident: dict[int, list[Heard]] = {}
        for reading in readings:
            self.enrol([reading.resident], reading.received)
            if reading.metric in self.codes:
                by_resident.setdefault(reading.resident, []).append(reading)
        return [
            firing
            for resident, theirs in by_resident.items()
            for measurement in measurements(theirs)
            for firing in self.judge(resident, measurement)
        ]

    def close(self, alarms: Iterable[tuple[int, str]]) -> None:
        """A person has closed these (resident, rule)."""
        number = {rule.id: i for i, rule in enumerate(self.protocol.rules)}
        for resident, rule in alarms:
            cell = self.residents[resident].cells[number[rule]]
            cell.phase, cell.due = "calm", None

    def raised(self, residents: Iterable[int]) -> list[tuple[int, str]]:
        """The alarms on these residents' own values that stand, as (resident, rule)."""
        return [
            (resident, rule.id)
            for resident in sorted({int(r) for r in residents} & self.residents.keys())
            for rule, cell in zip(self.protocol.rules, self.residents[resident].cells, strict=True)
            if rule.when and not rule.on_event and not rule.on_device and cell.phase == "active"
        ]

    def wake_at(self) -> np.datetime64 | None:
        """When the first timer will have run out."""
        due = [cell.due for memory in self.residents.values() for cell in memory.cells if cell.due]
        return time(min(due) + timedelta(microseconds=1)) if due else None

    def judge(self, resident: int, m: Measurement) -> list[Firing]:
        memory = self.residents[resident]
        firings = self.time_out(resident, m.received)
        memory.derive(m)
        memory.take(m, self.kept)
        for rule, cell in zip(self.protocol.rules, memory.cells, strict=True):
            if concerns(rule, memory.profile):
                firings += self.look(self.case(resident, rule, cell, m))
        if not any(is_frozen(rule, cell, m.at) for rule, cell in zip(self.protocol.rules, memory.cells, strict=True)):
            for metric in m.values.keys() & self.kept.usual:
                memory.learn(metric, m.at, m.values[metric])
        return firings

    def look(self, case: Case) -> list[Firing]:
        """Let one rule look at a measurement: take back, hear, measure, confirm."""
        rule, values = case.rule, case.m.values
        firings: list[Firing] = []
        if isinstance(case, Silence):
            if rule.missing.metric in values or rule.missing.after in values:
                firings += case.hear()
        elif isinstance(case, Events):
            if any(event in values for event in rule.unless):
                firings += case.take_back()
            if case.limits[0].metric in values:
                firings += case.judge()
            if rule.confirmed_by and rule.confirmed_by.metric in values:
                firings += case.confirm()
        elif isinstance(case, Statistics) or any(limit.metric in values for limit in case.limits):
            firings += case.judge()
        return firings

    def time_out(self, resident: int, before: datetime) -> list[Firing]:
        """Run this resident's timers that are due before a moment: an unanswered question, a silence."""
        memory = self.residents[resident]
        late = [(cell.due, i) for i, cell in enumerate(memory.cells) if cell.due and cell.due < before]
        firings: list[Firing] = []
        for due, i in sorted(late):
            nothing = Measurement(due, due, 0, {})
            firings += self.case(resident, self.protocol.rules[i], memory.cells[i], nothing).time_out()
        return firings

    def case(self, resident: int, rule: Rule, cell: Cell, m: Measurement) -> Case:
        memory = self.residents[resident]
        return kind_of(rule)(resident, rule, limits_of(rule, memory, self.protocol.parameters), memory, cell, m)


def kind_of(rule: Rule) -> type[Case]:
    if rule.missing:
        return Silence
    if rule.on_event:
        return Events
    if rule.on_statistic:
        return Statistics
    return Devices if rule.on_device else Levels


def concerns(rule: Rule, profile: Profile) -> bool:
    return profile.concerns(rule.groups, rule.not_groups)


def is_frozen(rule: Rule, cell: Cell, at: datetime) -> bool:
    """Whether an alarm stands during which nothing is learned."""
    return (
        rule.kind == "physiological" and rule.calls and cell.phase == "active" and cell.raised_at > at - NOT_LEARNED_FOR
    )
