"""Running measurements: an oximeter on the finger, a strap around the chest. Many values, one reading a minute. Pure.

The median of a minute is what a minute was like: a finger that moved for some seconds does not move it.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from devices.readings import Quality, Reading

MINUTE: Final = timedelta(minutes=1)
AT_LEAST: Final = 10
"""Values of a metric without which a minute says nothing of it: ten seconds of a sensor that tells every second."""
_GAP: Final = timedelta(seconds=15)
_REFUSE_EVERY: Final = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Summary:
    """A minute, or what there was of it: the median of each metric, and when the last value came."""

    values: dict[str, float]
    at: datetime

    def readings(self, device: str, collected_at: datetime) -> list[Reading]:
        """Readings at the time when the gateway heard the last value."""
        return [
            Reading(device, metric, value, self.at, collected_at, Quality.NO_DEVICE_TIME)
            for metric, value in self.values.items()
        ]


class Running:
    """Gathers the values of one running measurement; after a gap of a quarter of a minute it is another one."""

    def __init__(self) -> None:
        self._values: dict[str, list[float]] = {}
        self._began: datetime | None = None
        self._last: datetime | None = None

    def add(self, at: datetime, values: Mapping[str, float | None]) -> Summary | None:
        """Take what was measured at ``at``; the answer is the minute that is over by now, if it says anything."""
        over = None
        if (
            self._began is not None
            and self._last is not None
            and (at - self._began >= MINUTE or at - self._last > _GAP)
        ):
            over = self.end()
        self._began = self._began or at
        self._last = at
        for metric, value in values.items():
            if value is not None:
                self._values.setdefault(metric, []).append(value)
        return over

    def end(self) -> Summary | None:
        """The measurement is over: what there was of its last minute, if that says anything."""
        found = {
            metric: statistics.median(values) for metric, values in self._values.items() if len(values) >= AT_LEAST
        }
        at, self._last, self._began, self._values = self._last, None, None, {}
        return Summary(found, at) if found and at is not None else None


class Refusals:
    """Which of a stream's refused packets are kept: whoever says nonsense every second must not fill the disk."""

    def __init__(self) -> None:
        self._at: datetime | None = None

    def is_kept(self, reason: str, at: datetime) -> bool:
        """Whether to keep one that came at ``at``. A sensor that feels nobody says so every second: that is none."""
        if reason == "no_value" or (self._at is not None and at - self._at < _REFUSE_EVERY):
            return False
        self._at = at
        return True
