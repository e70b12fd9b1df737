"""One rule looks at one resident: what every kind of rule has in common."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from alerts.engine import Firing, What
from alerts.rule import Limit, Parameter, Rule, evidence_name
from devices.readings import Kind, Metric
from tests.alerts.reference.measurement import Measurement, short
from tests.alerts.reference.memory import Cell, Memory

ONE_NOTE_IN = timedelta(hours=24)

Evidence = dict[str, float | str]


@dataclass
class Case:
    """``limits`` are the rule's with this resident's own levels; ``m`` is the measurement that is judged."""

    resident: int
    rule: Rule
    limits: list[Limit]
    memory: Memory
    cell: Cell
    m: Measurement

    @property
    def past(self) -> bool:
        return self.m.at < self.m.received - self.rule.expires

    @property
    def active(self) -> bool:
        return self.cell.phase == "active"

    @property
    def asking(self) -> bool:
        return self.cell.phase == "asking"

    @property
    def calm(self) -> bool:
        return self.cell.phase == "calm"

    def value(self, metric: Metric, at: datetime) -> float | None:
        """This measurement's value, else what is remembered of exactly that time."""
        if at == self.m.at and metric in self.m.values:
            return self.m.values[metric]
        return self.memory.values.get(metric, {}).get(at)

    def named(self, at: datetime) -> Evidence:
        """What the rule names of a measured time."""
        values = {evidence_name(metric): self.value(metric, at) for metric in self.rule.measured}
        return {name: short(value) for name, value in values.items() if value is not None}

    def fulfilled(self, at: datetime) -> bool:
        """Whether all that the rule requires besides is so."""
        for required in self.rule.requires:
            theirs = self.memory.values.get(required.metric, {})
            times = [t for t in theirs if at - required.within <= t <= at]
            if not times:
                return False
            value = theirs[max(times)]
            if required.metric.kind is not Kind.EVENT and required.sign * value < required.sign * required.over_from:
                return False
        return True

    def keep(self, at: datetime, evidence: Evidence) -> None:
        """Keep the measurement that speaks for an alarm; one that is kept already is completed."""
        kept = self.cell.kept
        self.cell.kept = (at, kept[1] | evidence if kept and kept[0] == at else evidence)

    def fire(self, what: What, at: datetime, evidence: Evidence, until: datetime | None = None) -> list[Firing]:
        return [Firing(self.resident, self.rule.id, what, time(at), time(until) if until else None, evidence)]

    def raised(self, at: datetime, evidence: Evidence) -> list[Firing]:
        self.cell.phase, self.cell.due, self.cell.raised_at = "active", None, at
        return self.fire("raise", at, evidence)

    def asked(self, at: datetime, evidence: Evidence) -> list[Firing]:
        """Ask; whoever does not answer is called about by the timer."""
        until = self.m.received + self.rule.ask.within
        self.cell.phase, self.cell.due, self.cell.asked_at = "asking", until, at
        return self.fire("ask", at, evidence, until)

    def settled(self, at: datetime, evidence: Evidence) -> list[Firing]:
        """What was asked is answered, what was raised is over."""
        what: What = "answered" if self.asking else "clear"
        self.cell.phase, self.cell.due = "calm", None
        return self.fire(what, at, evidence)

    def noted(self, at: datetime, evidence: Evidence) -> list[Firing]:
        """Something of the past, for the record: not twice within a day."""
        if self.cell.noted_at is not None and abs(at - self.cell.noted_at) < ONE_NOTE_IN:
            return []
        self.cell.noted_at = at
        return self.fire("note", at, evidence)


def time(at: datetime) -> np.datetime64:
    """A time as the surface has it."""
    return np.datetime64(at, "us")


def limits_of(rule: Rule, memory: Memory, parameters: tuple[Parameter, ...]) -> list[Limit]:
    """The rule's limits with this resident's own levels."""
    by_name = {parameter.name: parameter for parameter in parameters}
    return [
        limit if limit.parameter is None else limit.at_level(memory.profile.value(by_name[limit.parameter]))
        for limit in rule.when
    ]
