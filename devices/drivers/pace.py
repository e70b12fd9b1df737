"""When a stream's samples were taken by our clock, and how well the stream is heard."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final

from devices.falls.times import SECOND, ArrivalTimes, DeviceTimes, Times
from devices.falls.watch import GOOD_HZ, GOOD_RANGE_G, LOWEST_HZ

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sensor:
    """How a device measures: samples a second, the range up to which (g; None: unknown), and its clock.

    ``timed``: it tells when samples were taken, by a clock that begins anew at ``wraps_ns`` (None: never).
    """

    rate_hz: float
    range_g: float | None = None
    timed: bool = False
    wraps_ns: int | None = None

    def times(self) -> Times:
        """What times its samples."""
        period_ns = round(SECOND / self.rate_hz)
        return DeviceTimes(period_ns, self.wraps_ns) if self.timed else ArrivalTimes(period_ns)


class SampleClock:
    """When a sample was taken by our clock, from its time by the device's and the arrival of its packets.

    A packet arrives some time after its last sample, never before it; the promptest packet tells best. What it told is
    let go slowly, for a clock that runs slow, and at once where no packet can be so late: our own clock was set.
    """

    _CREEP: Final = 1000  # a thousandth of the time that goes by: crystals are five times better
    _LATEST: Final = 30 * SECOND

    def __init__(self) -> None:
        self._ahead: int | None = None  # of our clock before the device's
        self._heard = 0

    def arrived(self, last_ns: int, at: datetime) -> None:
        """Learn from a packet that arrived at ``at`` and whose last sample has this time."""
        found = nanoseconds(at) - last_ns
        if self._ahead is not None and found - self._ahead < self._LATEST:
            found = min(found, self._ahead + max(last_ns - self._heard, 0) // self._CREEP)
        self._ahead, self._heard = found, last_ns

    def time(self, sample_ns: int) -> datetime:
        """The instant of a sample with this time of the device."""
        assert self._ahead is not None
        return _EPOCH + timedelta(microseconds=(sample_ns + self._ahead) // 1000)


class Verdict(Enum):
    """What can be seen in a stream: every fall the detector knows, some of them, those between gaps, none."""

    GOOD = "good"
    COARSE = "coarse"
    BROKEN = "broken"
    BLIND = "blind"


class Pace:
    """How well a stream is heard: its rate as measured, and how often samples were missing lately."""

    _MEASURED_NS: Final = 5 * SECOND
    _LATELY: Final = timedelta(minutes=1)
    _OFTEN: Final = 3

    def __init__(self, rate_hz: float) -> None:
        self.rate_hz = rate_hz
        self._since: int | None = None
        self._samples = 0
        self._gaps: deque[datetime] = deque(maxlen=self._OFTEN)

    def heard(self, last_ns: int, count: int) -> None:
        """So many more samples, the last at this time, and none missing before them."""
        if self._since is None:
            self._since = last_ns
            return
        self._samples += count
        if last_ns - self._since >= self._MEASURED_NS:
            self.rate_hz = self._samples * SECOND / (last_ns - self._since)
            self._since, self._samples = last_ns, 0

    def missed(self, at: datetime) -> None:
        """Samples are missing."""
        self._gaps.append(at)
        self._since, self._samples = None, 0

    def verdict(self, range_g: float | None, at: datetime) -> Verdict:
        """What can be seen in this stream now."""
        if self.rate_hz < LOWEST_HZ:
            return Verdict.BLIND
        # What surrounds a fall takes twelve seconds: where samples are missing so often, it is overlooked.
        if len(self._gaps) == self._OFTEN and at - self._gaps[0] < self._LATELY:
            return Verdict.BROKEN
        if self.rate_hz < GOOD_HZ or (range_g or GOOD_RANGE_G) < GOOD_RANGE_G:
            return Verdict.COARSE
        return Verdict.GOOD


def nanoseconds(at: datetime) -> int:
    """Since 1970, without a float's rounding."""
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
