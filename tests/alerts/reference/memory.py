"""What is remembered of one resident: her newest values, her days, what is usual for her, and her alarms."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from alerts.profiles import Profile
from alerts.protocol import Protocol
from alerts.rule import IRREGULAR_PULSE, PULSE_PRESSURE, Rule, single
from devices.readings import METRICS, Kind, Metric
from tests.alerts.reference.measurement import Measurement

MOST_OF_A_DAY = 255
MOST_LEARNED = 65_535
A_FEW = 3
FORGOTTEN = timedelta(microseconds=(1 << 48) - 1)
SYSTOLIC, DIASTOLIC = METRICS["systolic"], METRICS["diastolic"]
MADE_OF = {IRREGULAR_PULSE: (METRICS["pulse"],), PULSE_PRESSURE: (SYSTOLIC, DIASTOLIC)}
"""The metrics that no device sends, with those that they are made of."""


@dataclass
class Cell:
    """What is remembered of one resident under one rule.

    ``asked_at`` is the measurement that asked. ``kept`` is the newest one that was over while it was asked, or the
    event that stands, with its values by their names in the evidence. ``device`` is the one an alarm is about, and
    ``heard_at`` when it was measured last.
    """

    phase: Literal["calm", "asking", "active"] = "calm"
    due: datetime | None = None
    asked_at: datetime | None = None
    kept: tuple[datetime, dict[str, float | str]] | None = None
    raised_at: datetime | None = None
    over_since: datetime | None = None
    calm_since: datetime | None = None
    noted_days: set[date] = field(default_factory=set)
    noted_at: datetime | None = None
    device: int | None = None
    heard_at: datetime | None = None


class Day(NamedTuple):
    """The readings of one metric on one local day."""

    sum: float = 0.0
    readings: int = 0

    @property
    def mean(self) -> float:
        return self.sum / self.readings


class Usual(NamedTuple):
    """What is usual for a resident at one part of the day."""

    readings: int = 0
    mean: float = 0.0
    spread: float = 0.0


@dataclass
class Memory:
    """One resident. ``values`` holds the newest measured times of a metric with their values; of what is no vital sign
    only one. ``days`` is by local day, ``usual`` by part of the day."""

    enrolled: datetime
    profile: Profile
    cells: list[Cell]
    values: dict[Metric, dict[datetime, float]] = field(default_factory=dict)
    device_of: dict[Metric, int] = field(default_factory=dict)
    days: dict[Metric, dict[date, Day]] = field(default_factory=dict)
    usual: dict[tuple[Metric, int], Usual] = field(default_factory=dict)

    def newest(self, metric: Metric) -> datetime | None:
        """The newest measured time of a metric."""
        return max(self.values.get(metric, {}), default=None)

    def local(self, at: datetime) -> datetime:
        """The clock on her wall."""
        return at.replace(tzinfo=UTC).astimezone(ZoneInfo(self.profile.zone))

    def day(self, at: datetime) -> date:
        return self.local(at).date()

    def part_of_day(self, at: datetime) -> int:
        """Night, morning, afternoon or evening: 0 to 3."""
        return self.local(at).hour // 6

    def derive(self, m: Measurement) -> None:
        """Give a measurement its pulse pressure, whether its two values came together or one after the other."""
        upper, lower = (m.values.get(x, self.values.get(x, {}).get(m.at)) for x in (SYSTOLIC, DIASTOLIC))
        if (SYSTOLIC in m.values or DIASTOLIC in m.values) and upper is not None and lower is not None:
            m.values[PULSE_PRESSURE] = single(upper - lower)

    def take(self, m: Measurement, kept: Kept) -> None:
        """Remember the values of a measurement, and add them to their days."""
        for metric, value in m.values.items():
            if metric not in kept.times:
                continue
            if metric.kind is Kind.VITAL:
                theirs = self.values.setdefault(metric, {})
                theirs[m.at] = value
                for at in [at for at in theirs if max(theirs) - at >= FORGOTTEN]:
                    del theirs[at]
                if len(theirs) > kept.times[metric]:
                    del theirs[min(theirs)]
            else:
                self._take_newest(m, metric, value)
            if metric in kept.days:
                self._take_day(m.at, metric, value, kept.days[metric])

    def _take_newest(self, m: Measurement, metric: Metric, value: float) -> None:
        newest = self.newest(metric)
        if newest is None or m.at >= newest:
            self.values[metric] = {m.at: value}
            self.device_of[metric] = m.device

    def _take_day(self, at: datetime, metric: Metric, value: float, days: int) -> None:
        theirs = self.days.setdefault(metric, {})
        that = theirs.get(self.day(at), Day())
        if that.readings < MOST_OF_A_DAY:
            theirs[self.day(at)] = Day(single(that.sum + value), that.readings + 1)
        newest = self.newest(metric)
        assert newest is not None
        for day in [day for day in theirs if day <= self.day(newest) - timedelta(days=days)]:
            del theirs[day]

    def forget_beyond(self, kept: Kept) -> None:
        """Keep no more measured times than another protocol needs."""
        for metric, theirs in self.values.items():
            self.values[metric] = dict(sorted(theirs.items())[-kept.times.get(metric, 1) :])

    def learn(self, metric: Metric, at: datetime, value: float) -> None:
        """Let what is usual move towards a value, the less the more is known, and never by an outlier's whole length."""
        key = (metric, self.part_of_day(at))
        readings, mean, spread = self.usual.get(key, Usual())
        if readings == 0:
            self.usual[key] = Usual(1, value, 0.0)
            return
        share = 1 / (readings + 1) if readings < 28 else 1 / 28
        surprise = value - mean
        if readings >= 8:
            most = 3 * max(spread, (metric.high - metric.low) / 200)
            surprise = max(-most, min(surprise, most))
        mean += share * surprise
        spread += share * (1.2533 * abs(surprise) - spread)
        self.usual[key] = Usual(min(readings + 1, MOST_LEARNED), single(mean), single(spread))


class Kept(NamedTuple):
    """What a protocol needs remembered: how many measured times of each metric that it hears, how many days, and of
    which metrics what is usual."""

    times: dict[Metric, int]
    days: dict[Metric, int]
    usual: set[Metric]

    @classmethod
    def by(cls, protocol: Protocol) -> Kept:
        times: dict[Metric, int] = {}
        for rule in protocol.rules:
            for metric in heard_by(rule):
                for part in (metric, *MADE_OF.get(metric, ())):
                    times[part] = max(times.get(part, 1), how_many(rule, metric))
        days: dict[Metric, int] = {}
        usual: set[Metric] = set()
        for limit in (limit for rule in protocol.rules for limit in rule.when if limit.statistic):
            if limit.statistic.days:
                days[limit.metric] = max(days.get(limit.metric, 0), 1 + limit.statistic.days)
            if limit.statistic.kind == "from_usual":
                usual.add(limit.metric)
        return cls(times, days, usual)


def how_many(rule: Rule, metric: Metric) -> int:
    """How many measured times of a metric a rule needs: all that it counts together, and a few where what comes late
    may break what lasts, or to rise and fall among."""
    if metric not in rule.measured:
        return 1
    changes = any(
        limit.statistic and limit.statistic.kind in ("rise", "drop") and not limit.statistic.days
        for limit in rule.when
        if limit.metric == metric
    )
    return max(rule.count.n, A_FEW) if changes or rule.persists or rule.clear_after else rule.count.n


def heard_by(rule: Rule) -> set[Metric]:
    """Every metric that a rule has to do with, for whomever it judges."""
    others = [part.metric for part in (rule.missing, rule.confirmed_by, rule.follows, *rule.requires) if part]
    after = [rule.missing.after] if rule.missing and rule.missing.after else []
    return {*rule.measured, *rule.unless, *others, *after}
