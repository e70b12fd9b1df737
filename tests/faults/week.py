"""A recorded week: what the devices of many residents measured, and when the service got it. Seeded, so always the same.

Pressures that become severe and come down, people who stop measuring, falls with what follows them, calls for help,
low oxygen, fever, glucose, batteries; and gateways that are away for hours or days and then send everything at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from devices.readings import METRICS
from store.readings import UNKNOWN_USER, Incoming

BEGINS = datetime(2026, 11, 2, tzinfo=UTC)
TICK = timedelta(minutes=5)
TICKS_A_DAY = 288
_TICK_S = 300
_DAY_S = 86_400
_HOMES_OF_A_GATEWAY = 20
_CUFF, _WEARABLE, _BUTTON, _OXIMETER, _THERMOMETER, _METER, _SCALE, _MOTION = range(8)

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Week:
    """Readings in columns of shape ``(n,)``, in order of arrival; ``who`` counts residents from 0, ``at`` is in seconds."""

    residents: int
    ticks: int
    tick: Ints
    who: Ints
    device: Ints
    metric: Ints
    at: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.value)

    def batches(self, first_resident: int, gateway: int) -> Iterator[tuple[datetime, Incoming]]:
        """What arrives at each tick, as the service stores it; nothing at some."""
        bounds = np.searchsorted(self.tick, np.arange(self.ticks + 2))
        base = np.datetime64(BEGINS.replace(tzinfo=None), "us")
        for tick in range(self.ticks + 1):
            part = slice(bounds[tick], bounds[tick + 1])
            received = BEGINS + tick * TICK
            at = base + self.at[part] * np.timedelta64(1_000_000, "us")
            who = (self.who[part] + first_resident).astype(np.int32)
            n = len(who)
            device = (self.who[part] * 8 + self.device[part] + 1).astype(np.int32)
            users, quality = np.full(n, UNKNOWN_USER, np.int16), np.zeros(n, np.int32)
            metric, value = self.metric[part].astype(np.int16), self.value[part]
            yield received, Incoming(gateway, received, who, metric, device, at, at, value, quality, users)


class _Recorder:
    """Collects measurements: each is of one resident by one device at one time, with one value or several."""

    def __init__(self, residents: int, days: int, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.residents, self.days = residents, days
        self._parts: list[tuple[Ints, Ints, Ints, Ints, Floats]] = []

    def some(self, share: float) -> Ints:
        """So many of the residents."""
        return np.flatnonzero(self.rng.random(self.residents) < share)

    def moments(self, who: Ints, hour: float, jitter_h: float) -> tuple[Ints, Ints]:
        """Whom and when: once a day for each of them, at about this hour."""
        day = np.arange(self.days)
        at = (day * 24 + hour) * 3600 + self.rng.normal(0, jitter_h * 3600, (len(who), self.days))
        who, at = np.repeat(who, self.days), at.ravel().astype(np.int64)
        inside = (at > 0) & (at < self.days * _DAY_S - 3600)
        return who[inside], at[inside]

    def once(self, who: Ints) -> Ints:
        """A moment for each of them, early enough for what follows."""
        return self.rng.integers(_DAY_S // 8, max(self.days * _DAY_S - 4 * 3600, _DAY_S // 4), len(who))

    def add(self, device: int, who: Ints, at: Ints, **values: Floats | float) -> None:
        for name, value in values.items():
            metric = np.full(len(who), METRICS[name].code)
            column = np.round(np.broadcast_to(np.asarray(value, np.float64), len(who)), 1)
            self._parts.append((who, np.full(len(who), device), metric, at, column))

    def week(self) -> Week:
        who, device, metric, at, value = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        tick = self._received(who, at)
        order = np.lexsort((metric, device, at, who, tick))
        columns = [column[order] for column in (tick, who, device, metric, at, value)]
        key = np.stack(columns[1:5])
        first = np.append(True, (np.diff(key) != 0).any(0))
        return Week(self.residents, self.days * TICKS_A_DAY, *(column[first] for column in columns))

    def _received(self, who: Ints, at: Ints) -> Ints:
        """The tick at which each comes: at once, unless the gateway is away; then all together when it is back."""
        gateways = self.residents // _HOMES_OF_A_GATEWAY + 1
        is_away = self.rng.random(gateways) < 0.12
        leaves = self.rng.integers(0, self.days * _DAY_S, gateways)
        back = leaves + self.rng.integers(6 * 3600, 49 * 3600, gateways)
        gateway = who // _HOMES_OF_A_GATEWAY
        late = is_away[gateway] & (at >= leaves[gateway]) & (at < back[gateway])
        seconds = np.where(late, back[gateway], at)
        return np.minimum(-(-seconds // _TICK_S), self.days * TICKS_A_DAY)


def record(residents: int, days: int, seed: int = 2026) -> Week:
    """The same week for the same three numbers."""
    r = _Recorder(residents, days, seed)
    everybody = np.arange(residents)
    _pressures(r, everybody)
    _oxygen(r)
    _falls_and_calls(r)
    _others(r)
    return r.week()


def _pressures(r: _Recorder, everybody: Ints) -> None:
    stops = np.where(r.rng.random(len(everybody)) < 0.06, r.rng.integers(0, r.days, len(everybody)), r.days) * _DAY_S
    for hour in (0.5, 12.5):  # morning and evening in Shanghai
        who, at = r.moments(everybody, hour, 0.6)
        goes_on = at < stops[who]
        who, at = who[goes_on], at[goes_on]
        n = len(who)
        r.add(
            _CUFF,
            who,
            at,
            systolic=r.rng.normal(134, 11, n),
            diastolic=r.rng.normal(80, 7, n),
            pulse=r.rng.normal(72, 8, n),
        )
    severe = r.some(0.10)
    begins = r.once(severe)
    for n, minutes in enumerate((0, 7, 16, 65)):
        stays = r.rng.random(len(severe)) < (1.0, 0.7, 0.5, 0.3)[n]
        high = np.where(stays, 192.0, 138.0) + r.rng.integers(-4, 9, len(severe))
        r.add(_CUFF, severe, begins + 60 * minutes, systolic=high, diastolic=np.where(stays, 118.0, 82.0), pulse=90.0)
    low = r.some(0.02)
    begins = r.once(low)
    for minutes in (0, 9):
        r.add(_CUFF, low, begins + 60 * minutes, systolic=84.0, diastolic=50.0, pulse=104.0)


def _oxygen(r: _Recorder) -> None:
    wearers = r.some(0.3)
    for hour in (1, 7, 13):
        who, at = r.moments(wearers, hour, 0.8)
        r.add(_OXIMETER, who, at, spo2=r.rng.integers(93, 99, len(who)), pulse=r.rng.integers(58, 95, len(who)))
    falls = wearers[r.rng.random(len(wearers)) < 0.15]
    begins = r.once(falls)
    for minutes in (0, 4, 9, 15):
        r.add(_OXIMETER, falls, begins + 60 * minutes, spo2=r.rng.integers(80, 90, len(falls)), pulse=112.0)


def _falls_and_calls(r: _Recorder) -> None:
    fallen = r.some(0.05)
    at = r.once(fallen)
    fate = r.rng.integers(0, 4, len(fallen))
    r.add(_WEARABLE, fallen, at, fall=0.9)
    r.add(_WEARABLE, fallen[fate == 0], at[fate == 0] + 20, fall_recovered=1.0)
    r.add(_WEARABLE, fallen[fate == 1], at[fate == 1] + 140, fall_confirmed=1.0)
    r.add(_WEARABLE, fallen[fate == 2], at[fate == 2] + 500, stood_up=1.0)
    calls = r.some(0.04)
    at = r.once(calls)
    for again in (0, 240, 7200):
        r.add(_BUTTON, calls, at + again, help_call=1.0)
    walkers = r.some(0.03)
    for minutes in range(0, 24 * 60, 40):
        who, at = r.moments(walkers, minutes / 60, 0.05)
        r.add(_MOTION, who, at, movement=1.0)


def _others(r: _Recorder) -> None:
    fever = r.some(0.1)
    who, at = r.moments(fever, 2, 0.5)
    r.add(_THERMOMETER, who, at, body_temperature=r.rng.normal(36.7, 0.7, len(who)))
    sugar = r.some(0.15)
    for hour in (0, 11):
        who, at = r.moments(sugar, hour, 0.5)
        r.add(_METER, who, at, glucose=np.clip(r.rng.normal(8, 3.2, len(who)), 2.2, 26))
    scales = r.some(0.2)
    who, at = r.moments(scales, 0.2, 0.3)
    r.add(_SCALE, who, at, body_weight=60 + who % 20 + np.cumsum(r.rng.normal(0, 0.02, len(who))))
    weak = r.some(0.08)
    begins = r.once(weak)
    r.add(_BUTTON, weak, begins, battery=12.0)
    r.add(_BUTTON, weak, begins + 3 * 3600, battery=np.where(r.rng.random(len(weak)) < 0.5, 96.0, 11.0))
