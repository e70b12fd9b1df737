"""Ninety plausible days of blood pressure for every home, from a seeded generator.

Every day of every home has its own seed, so the same day comes out the same whenever it is made: what is there
already is a duplicate, and a second start fills only the days missed since.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from api.demo.neighbourhood import TIME_ZONE, Home
from devices.readings import Quality

DAYS: Final = 90
_SEED: Final = 20_240_917
_ZONE: Final = ZoneInfo(TIME_ZONE)
_ARTEFACT: Final = 0.004
"""Share of measurements spoilt by a loose cuff or a moving arm."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One inflation of the cuff: mmHg and beats per minute, in UTC. ``reason`` says why it is not usable."""

    at: datetime
    systolic: float
    diastolic: float
    pulse: float
    quality: Quality = Quality.NONE
    reason: str | None = None

    @property
    def mean(self) -> float:
        """Mean arterial pressure by the one-third rule, as most cuffs show it."""
        return round(self.diastolic + (self.systolic - self.diastolic) / 3)


def measurements(home: Home, enrolled: date, since: datetime, until: datetime) -> list[Measurement]:
    """What the home's cuff measured in ``since <= at < until``, in order of time.

    ``enrolled`` is the first day of the record, where the slow drift begins; it comes to rest after 90 days.
    """
    first, last = since.astimezone(_ZONE).date(), until.astimezone(_ZONE).date()
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [m for day in days for m in _day(home, enrolled, day) if since <= m.at < until]


def _day(home: Home, enrolled: date, day: date) -> Iterator[Measurement]:
    rng = np.random.default_rng([_SEED, home.number, day.toordinal()])
    away = np.random.default_rng([_SEED, home.number, day.toordinal() // 4, 1]).random() < 0.03
    level = _level(home, enrolled, day) + rng.normal(0, home.pattern.spread)
    for evening in (False, True):
        at = _when(rng, day, evening)
        taken = rng.random() < home.pattern.diligence
        pair = [_measure(rng, home, level, at + timedelta(minutes=n), evening, n) for n in (0, 1)]
        if taken and not away:
            yield from pair


def _level(home: Home, enrolled: date, day: date) -> float:
    """The day's systolic before chance: drift, a slow wave of about seven weeks, and winter's few mmHg."""
    elapsed = (day - enrolled).days
    drift = home.pattern.drift * min(max(elapsed / DAYS, 0.0), 1.0)
    wave = 2.5 * np.sin(2 * np.pi * (day.toordinal() / 49 + home.number / 7))
    winter = 3.0 * np.cos(2 * np.pi * (day.timetuple().tm_yday - 15) / 365)
    return float(home.pattern.systolic + drift + wave + winter)


def _when(rng: np.random.Generator, day: date, evening: bool) -> datetime:
    """Morning after waking, evening before bed: local time, to the second, as a cuff's clock shows it."""
    hour, spread = (20.2, 0.6) if evening else (7.3, 0.5)
    midnight = datetime.combine(day, time(), _ZONE)
    local = midnight + timedelta(seconds=round(3600 * float(np.clip(rng.normal(hour, spread), hour - 1.5, hour + 1.5))))
    return local.astimezone(UTC)


def _measure(
    rng: np.random.Generator, home: Home, level: float, at: datetime, evening: bool, second: int
) -> Measurement:
    pattern = home.pattern
    # The morning surge, and the second of a pair a little lower than the first.
    systolic = level + (-4.0 if evening else 3.0) - 2.5 * second + rng.normal(0, 3.5)
    diastolic = pattern.diastolic + 0.45 * (systolic - pattern.systolic) + rng.normal(0, 2.5)
    pulse = pattern.pulse + (2.0 if evening else -1.0) + rng.normal(0, 8.0 if pattern.irregular else 3.5)
    quality = Quality.BODY_MOVEMENT if rng.random() < 0.01 else Quality.NONE
    if pattern.irregular and rng.random() < 0.35:
        quality |= Quality.IRREGULAR_PULSE
    artefact = rng.random()
    # An ordinary life has no severe hour: those belong to the story.
    systolic, diastolic = float(np.clip(systolic, 96, 172)), float(np.clip(diastolic, 52, 104))
    diastolic = min(diastolic, systolic - 18)
    if artefact < _ARTEFACT / 2:
        return Measurement(at, 20, round(diastolic), round(pulse), quality, "implausible_value")
    if artefact < _ARTEFACT:
        return Measurement(at, round(diastolic), round(systolic), round(pulse), quality, "diastolic_above_systolic")
    return Measurement(at, round(systolic), round(diastolic), round(float(np.clip(pulse, 52, 108))), quality)


def usual(home: Home, now: datetime) -> Measurement:
    """What the home's cuff would show just now if somebody measured: for the street's slow life."""
    local = now.astimezone(_ZONE)
    rng = np.random.default_rng([_SEED, home.number, int(now.timestamp())])
    level = _level(home, local.date() - timedelta(days=DAYS), local.date()) + rng.normal(0, 4)
    measured = _measure(rng, home, level, now, local.hour >= 14, 0)
    return measured if measured.reason is None else usual(home, now + timedelta(seconds=1))
