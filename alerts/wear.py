"""For how long nobody has worn a wearable: told to the watch as hours of the waking day, for no fall is noticed meanwhile.

It is a part of the ear for silence (:mod:`alerts.silence`), which knows who is heard. What has another cause is not
told: a wearable that is not heard (its battery is empty, it is out of reach, its gateway is away) is the task of that
silence, and what was told of it before stands until it is heard again. Charging explains :data:`CHARGES_FOR`, and the
time before it. Of several wearables one that is worn is enough.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from alerts.escalation import EVENING, MORNING
from store import silence, wear
from store.postgres import Connection
from store.readings import utc
from store.wear import Wearable

CHARGES_FOR: Final = timedelta(hours=4)
"""A wearable is full after two or three hours; what hangs on its cable for longer has been forgotten there. House default."""
LEAST_H: Final = 1.0
"""Shorter than this nothing is told."""
_TOLD_EVERY: Final = timedelta(minutes=15)
_HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Told:
    """What was last told of a resident: hours, when, and of which device."""

    hours: float
    at: datetime
    device: int

    def is_due(self, hours: float, now: datetime) -> bool:
        """Whether to tell: the beginning and the end at once, in between now and then."""
        if (hours > 0) != (self.hours > 0):
            return True
        return hours > 0 and now - self.at >= _TOLD_EVERY


_NOTHING: Final = _Told(0.0, datetime.min.replace(tzinfo=UTC), 0)


async def tell(c: Connection, heard: Collection[int], now: datetime) -> None:
    """Tell of each resident for how long she has worn nothing; ``heard`` are the devices that are heard now."""
    before = {
        int(resident): _Told(float(hours), utc(at), int(device))
        for resident, hours, at, device in zip(*await silence.told(c, "not_worn"), strict=True)
    }
    unworn = hours_unworn(await wear.perhaps_unworn(c, now), heard, now)
    for resident in sorted(unworn.keys() | before.keys()):
        was = before.get(resident, _NOTHING)
        hours, device = unworn.get(resident, (0.0, was.device))
        if hours is not None and was.is_due(hours, now):
            # The end is told of the device of which the beginning was: another one's word would end nothing.
            one = np.array([resident], np.int32), np.array([was.device if was.hours else device], np.int32)
            await silence.tell(c, now, "not_worn", *one, np.array([hours]))


def hours_unworn(
    wearables: Iterable[Wearable], heard: Collection[int], now: datetime
) -> Mapping[int, tuple[float | None, int]]:
    """By resident: the hours, 0 below :data:`LEAST_H`, and of which device.

    ``None`` where she wears none and none of them is heard.
    """
    found: dict[int, tuple[float | None, int]] = {}
    for resident, hers in groupby(sorted(wearables, key=lambda w: (w.resident, w.device)), key=lambda w: w.resident):
        every = list(hers)
        if any(one.off_since is None for one in every):
            found[resident] = (0.0, every[0].device)
            continue
        hours = [(_hours(one, now), one.device) for one in every if one.device in heard]
        found[resident] = min(hours) if hours else (None, every[0].device)
    return found


def _hours(one: Wearable, now: datetime) -> float:
    assert one.off_since is not None, "of one that is worn nothing is counted"
    since = max(one.off_since, one.unplugged_at or one.off_since)
    if one.charging_since is not None:
        since = max(since, one.charging_since + CHARGES_FOR)
    hours = waking_hours(since, now, ZoneInfo(one.time_zone))
    return hours if hours >= LEAST_H else 0.0


def waking_hours(since: datetime, until: datetime, zone: ZoneInfo) -> float:
    """The hours between the two that lie in the waking day of ``zone``; 0 where there are none."""
    day, total = since.astimezone(zone).date(), timedelta(0)
    while day <= until.astimezone(zone).date():
        begin, end = (datetime.combine(day, at, zone) for at in (MORNING, EVENING))
        total += max(min(end, until) - max(begin, since), timedelta(0))
        day += timedelta(days=1)
    return total / _HOUR
