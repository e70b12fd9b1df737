"""Rules on events, with what takes them back, confirms them and follows them; and rules on silence."""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.engine import Firing
from alerts.rule import Rule, evidence_name
from devices.readings import Metric
from tests.alerts.reference.case import Case
from tests.alerts.reference.measurement import short
from tests.alerts.reference.memory import Cell, Memory


class Events(Case):
    """A rule on an event: each one is an episode of its own."""

    def judge(self) -> list[Firing]:
        at, cell = self.m.at, self.cell
        limit = self.limits[0]
        over = limit.over(self.m.values[limit.metric]) and not self.is_taken_back()
        evidence = self.named(at) | {"count": 1.0}
        if self.past:
            return self.noted(at, evidence) if over and self.calm and self.fulfilled(at) else []
        if not over or (self.active and at <= cell.kept[0]):
            return []
        if self.asking:
            if at >= cell.kept[0]:
                self.keep(at, self.named(at))
            return []
        if not self.fulfilled(at):
            return []
        self.cell.kept = (at, self.named(at))
        return self.asked(at, evidence) if self.rule.ask else self.raised(at, evidence)

    def take_back(self) -> list[Firing]:
        """The event came that takes the rule's own event back."""
        if self.calm or self.m.at < self.cell.kept[0]:
            return []
        return self.settled(self.m.at, self.cell.kept[1])

    def confirm(self) -> list[Firing]:
        """The event came that confirms the rule's own: nothing is waited for any more."""
        at, value = self.m.at, short(self.m.values[self.rule.confirmed_by.metric])
        if self.past or self.is_taken_back():
            return []
        if self.active and self.began() <= self.cell.kept[0]:
            return self.fire("confirmed", at, {"confirmed": value})
        if self.asking and self.cell.kept[0] > at:
            return []
        if not self.asking:
            if not self.fulfilled(at):
                return []
            self.cell.kept = (at, {evidence_name(self.limits[0].metric): value})
        kept_at, evidence = self.cell.kept
        return self.raised(kept_at, evidence | {"count": 1.0, "confirmed": value})

    def is_taken_back(self) -> bool:
        related = self.rule.confirmed_by or self.rule.follows
        since_it_began = related.unless if related else ()
        return any(self.came_since(event, self.m.at) for event in self.rule.unless) or any(
            self.came_since(event, self.began()) for event in since_it_began
        )

    def came_since(self, event: Metric, since: datetime) -> bool:
        newest = self.memory.newest(event)
        return newest is not None and newest >= since

    def began(self) -> datetime:
        """When the episode began to which the event belongs: the newest of those that can begin one, or itself."""
        at, related = self.m.at, self.rule.confirmed_by or self.rule.follows
        begins = self.limits[0].metric if self.rule.confirmed_by else related.metric
        before = self.memory.newest(begins)
        return before if before is not None and before <= at <= before + related.within else at

    def time_out(self) -> list[Firing]:
        at, evidence = self.cell.kept
        return self.raised(at, evidence | {"count": 1.0})


class Silence(Case):
    """A rule on what has not been heard for too long: since ever, or since an event."""

    @property
    def waiting(self) -> bool:
        return self.cell.due is not None

    def hear(self) -> list[Firing]:
        """The metric whose silence is watched has spoken, or the event came after which it is."""
        missing = self.rule.missing
        if missing.after is None:
            return self.spoke()
        firings = self.spoke_after() if missing.metric in self.m.values else []
        if missing.after in self.m.values:
            self.wait()
        return firings

    def spoke(self) -> list[Firing]:
        due = self.m.at + self.rule.missing.within
        if self.calm:
            self.cell.due = max(self.cell.due or due, due)
        elif due >= self.m.received:
            self.cell.phase, self.cell.due = "calm", due
            return self.fire("clear", self.m.at, {})
        return []

    def spoke_after(self) -> list[Firing]:
        if not (self.waiting or self.active) or self.m.at <= self.cell.kept[0]:
            return []
        self.cell.due = None
        return self.settled(self.m.at, {}) if self.active else []

    def wait(self) -> None:
        """Begin to wait after the event, unless it is past or what is waited for has been heard since."""
        at, newest = self.m.at, self.memory.newest(self.rule.missing.metric)
        older = self.waiting and at <= self.cell.kept[0]
        if self.past or self.active or older or (newest is not None and newest > at):
            return
        self.cell.kept, self.cell.due = (at, {}), at + self.rule.missing.within

    def time_out(self) -> list[Firing]:
        hours = self.rule.missing.within / timedelta(hours=1)
        return self.raised(self.cell.due, {"hours": hours, "days": hours / 24})


def begin(rule: Rule, memory: Memory) -> Cell:
    """A rule's memory of a resident whom it has not judged yet: silence counts from her enrolment or newest reading."""
    if rule.missing is None or rule.missing.after or not memory.profile.concerns(rule.groups, rule.not_groups):
        return Cell()
    newest = memory.newest(rule.missing.metric)
    return Cell(due=max(memory.enrolled, newest or memory.enrolled) + rule.missing.within)
