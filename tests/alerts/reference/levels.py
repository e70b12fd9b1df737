"""Rules on levels: of a resident's vital signs, of a device's condition, and of statistics."""

from __future__ import annotations

from datetime import datetime, timedelta

from alerts.engine import Firing
from alerts.rule import Limit
from devices.readings import Metric
from tests.alerts.reference import statistics
from tests.alerts.reference.case import Case, Evidence
from tests.alerts.reference.measurement import short
from tests.alerts.reference.statistics import Found


class Levels(Case):
    """A rule on vital signs, whose measurements count together."""

    def over(self, at: datetime) -> bool:
        """Whether any level is passed at that time."""
        values = [(limit, self.value(limit.metric, at)) for limit in self.limits]
        return any(value is not None and limit.over(value) for limit, value in values)

    def known(self, at: datetime) -> bool:
        return all(self.value(limit.metric, at) is not None for limit in self.limits)

    def is_calm(self, at: datetime) -> bool:
        """Whether every value is there, and behind its clear level."""
        values = [(limit, self.value(limit.metric, at)) for limit in self.limits]
        return all(value is not None and limit.calm(value) for limit, value in values)

    def times(self) -> list[datetime]:
        """The measured times that are remembered, newest first."""
        return sorted({at for limit in self.limits for at in self.memory.values.get(limit.metric, {})}, reverse=True)

    def counted(self) -> list[datetime]:
        """The times that count together and were over, newest first."""
        times, count = self.times(), self.rule.count
        since = times[0] - count.within
        if self.asking:
            since = min(since, self.cell.asked_at)
        return [at for at in times[: count.n] if at >= since and self.over(at)]

    def judge(self) -> list[Firing]:
        at, times = self.m.at, self.times()
        if at not in times:
            return self.note()
        newest = times[0]
        self.follow(newest)
        if self.asking and (at == self.cell.kept[0] or (at > self.cell.kept[0] and self.over(at))):
            self.keep(at, self.named(at))
        fulfilled = self.fulfilled(at)
        counted = self.counted()
        reached = at in counted and newest in counted and len(counted) >= self.rule.count.k
        enough = reached and self.over_long_enough(newest)
        if self.rule.count.days > 1 and reached and fulfilled:
            self.cell.noted_days.add(self.memory.day(newest))
            enough = enough and self.on_enough_days(newest)
        if enough and fulfilled and not self.active and (self.asking or not self.past):
            return self.raise_by(newest)
        if (
            at == newest
            and self.over(at)
            and not enough
            and fulfilled
            and self.calm
            and self.rule.ask
            and not self.past
        ):
            self.cell.kept = (at, self.named(at))
            return self.asked(at, self.named(at) | {"count": float(len(self.counted()))})
        if at == newest and not self.over(at):
            return self.settle()
        return self.note()

    def is_restless(self, at: datetime) -> bool:
        """Whether a value is there that is not behind its clear level."""
        values = [(limit, self.value(limit.metric, at)) for limit in self.limits]
        return any(value is not None and not limit.calm(value) for limit, value in values)

    def follow(self, newest: datetime) -> None:
        """Follow since when the newest measurements are over, or calm, without a break: what comes late may break it."""
        at, cell = self.m.at, self.cell
        if at == newest:
            self.follow_newest()
            return
        if self.known(at) and not self.over(at) and cell.over_since is not None and at >= cell.over_since:
            cell.over_since = newest
        if self.is_restless(at) and cell.calm_since is not None and at >= cell.calm_since:
            cell.calm_since = newest

    def follow_newest(self) -> None:
        """What is neither over nor complete changes nothing, and neither does what is calm so far and not complete."""
        at, cell = self.m.at, self.cell
        if self.over(at):
            cell.over_since = cell.over_since or at
        elif self.known(at):
            cell.over_since = None
        if self.is_calm(at):
            cell.calm_since = cell.calm_since or at
        elif self.is_restless(at):
            cell.calm_since = None

    def over_long_enough(self, newest: datetime) -> bool:
        return self.rule.persists is None or lasted(self.cell.over_since, newest, self.rule.persists.time)

    def calm_long_enough(self, newest: datetime) -> bool:
        return self.rule.clear_after is None or lasted(self.cell.calm_since, newest, self.rule.clear_after.time)

    def on_enough_days(self, newest: datetime) -> bool:
        count, today = self.rule.count, self.memory.day(newest)
        first = today - count.days_within + timedelta(days=1)
        return len({day for day in self.cell.noted_days if first <= day <= today}) >= count.days

    def raise_by(self, newest: datetime) -> list[Firing]:
        evidence = self.named(newest) | self.count_evidence()
        self.cell.noted_days.clear()
        return self.raised(newest, evidence)

    def count_evidence(self) -> Evidence:
        """How many were over, and what the first of several was."""
        counted = self.counted()
        first = self.named(counted[-1]) if len(counted) > 1 else {}
        return {f"first_{name}": value for name, value in first.items()} | {"count": float(len(counted))}

    def settle(self) -> list[Firing]:
        at = self.m.at
        if self.asking and self.known(at):
            return self.settled(at, self.named(at))
        if self.active and self.is_calm(at) and self.calm_long_enough(at):
            return self.settled(at, self.named(at))
        return []

    def note(self) -> list[Firing]:
        """What was too much, but is past: nobody is called, but it is not passed over."""
        at, rule = self.m.at, self.rule
        if rule.persists or rule.count.days > 1 or not (self.past and self.calm and self.over(at)):
            return []
        if not self.fulfilled(at) or not (rule.ask or rule.count.k == 1 or self.would_have_counted()):
            return []
        return self.noted(at, self.named(at) | {"count": 1.0})

    def would_have_counted(self) -> bool:
        """Whether with those up to this one enough were over; of one that is no longer remembered nobody knows."""
        at, count, times = self.m.at, self.rule.count, self.times()
        up_to = [t for t in times if t <= at][: count.n]
        return at in times and sum(t >= at - count.within and self.over(t) for t in up_to) >= count.k

    def time_out(self) -> list[Firing]:
        at, values = self.cell.kept
        return self.raised(at, values | self.count_evidence())


class Devices(Levels):
    """A rule on the devices themselves: while one is at fault the others are not heard."""

    def judge(self) -> list[Firing]:
        if self.active:
            return self.hear_the_one()
        metrics = [limit.metric for limit in self.limits if limit.metric in self.m.values]
        if any(self.is_older(metric) for metric in metrics) or not self.over(self.m.at):
            return []
        evidence = self.named(self.m.at) | {"count": 1.0, "device": float(self.m.device)}
        if self.past:
            return self.noted(self.m.at, evidence) if self.fulfilled(self.m.at) else []
        if not self.fulfilled(self.m.at):
            return []
        self.cell.device, self.cell.heard_at = self.m.device, self.m.at
        return self.raised(self.m.at, evidence)

    def is_older(self, metric: Metric) -> bool:
        """Whether the same device has told something newer since."""
        return self.memory.device_of[metric] == self.m.device and self.m.at < self.memory.newest(metric)

    def hear_the_one(self) -> list[Firing]:
        at, cell = self.m.at, self.cell
        if cell.device != self.m.device or at < cell.heard_at:
            return []
        cell.heard_at = at
        return self.settle() if not self.over(at) else []


class Statistics(Case):
    """A rule on what is made of many readings, judged as of the newest of all it hears."""

    def judge(self) -> list[Firing]:
        if not self.is_news():
            return []
        at = self.newest()
        found = [(limit, statistics.find(limit, self.memory, at)) for limit in self.limits]
        over = any(limit.over(what.value) for limit, what in found if what)
        known = all(what for _, what in found)
        calm = known and all(limit.calm(what.value) for limit, what in found)
        evidence = self.evidence(at, found)
        if self.asking and over and at == self.cell.asked_at and self.fulfilled(at):
            self.keep(at, evidence)
        if over:
            return self.too_much(at, evidence)
        if (self.asking and known) or (self.active and calm):
            return self.settled(at, evidence)
        return []

    def is_news(self) -> bool:
        """Whether the measurement is the newest of anything that is heard."""
        return any(metric in self.m.values and self.memory.newest(metric) == self.m.at for metric in self.heard())

    def heard(self) -> list[Metric]:
        return [metric for limit in self.limits for metric in statistics.heard(limit, self.memory)]

    def newest(self) -> datetime:
        return max(at for at in map(self.memory.newest, self.heard()) if at is not None)

    def too_much(self, at: datetime, evidence: Evidence) -> list[Firing]:
        past = at < self.m.received - self.rule.expires
        if self.active or not self.fulfilled(at) or (past and not self.asking):
            return []
        if self.rule.ask is None:
            return self.raised(at, evidence | {"count": 1.0})
        if self.calm:
            self.cell.kept = (at, evidence)
            return self.asked(at, evidence | {"count": 1.0})
        return self.raised(at, evidence | {"count": 2.0}) if at > self.cell.asked_at else []

    def evidence(self, at: datetime, found: list[tuple[Limit, Found | None]]) -> Evidence:
        evidence = self.named_at(at)
        for limit in self.limits:
            if limit.score:
                fresh = statistics.fresh(limit.score, self.memory, at)
                evidence |= {part.metric.name: short(value) for part, value in fresh}
        for limit, what in found:
            evidence |= what.names(limit) if what else {}
        return evidence

    def named_at(self, at: datetime) -> Evidence:
        """The remembered values of that time; not of a score, whose parts may be older."""
        judged = [limit.metric for limit in self.limits if limit.score is None]
        values = {metric.name: self.memory.values.get(metric, {}).get(at) for metric in (*judged, *self.rule.also)}
        return {name: short(value) for name, value in values.items() if value is not None}

    def time_out(self) -> list[Firing]:
        at, evidence = self.cell.kept
        return self.raised(at, evidence | {"count": 1.0})


def lasted(since: datetime | None, until: datetime, long: timedelta) -> bool:
    return since is not None and until - since >= long
