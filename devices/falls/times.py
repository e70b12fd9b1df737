"""When samples were taken: by the device's own clock, which stamps each packet once, or by when packets arrived.

All times are whole nanoseconds, so that nothing depends on how large they are.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Nanoseconds = npt.NDArray[np.int64]

SECOND: Final = 1_000_000_000
_LONGEST: Final = 86_400 * SECOND  # a gap that is longer is a clock that jumped


class Stamped(NamedTuple):
    """The times of a packet's samples, rising, and whether they follow those before without a gap."""

    times: Nanoseconds
    follows: bool


class Times(Protocol):
    """Times the samples of one stream."""

    def stamp(self, last_ns: int, count: int) -> Stamped:
        """The times of the next ``count`` samples, of whose last ``last_ns`` tells."""


def evenly(last_ns: int, since_ns: int, count: int) -> Nanoseconds:
    """``count`` times that end at ``last_ns`` and are spread evenly over the time since ``since_ns``."""
    steps = np.arange(1, count + 1, dtype=np.int64)
    return since_ns + (steps * (last_ns - since_ns) + count // 2) // count


class DeviceTimes:
    """For a device that tells when a packet's last sample was taken.

    ``wraps_ns`` is where its clock begins anew, None for never. Samples are missing where the clock has gone further
    than the packet's samples take, or not so far: by more than one sample and a half and a fiftieth. No crystal is
    so wrong, but sensors' own oscillators miss their nominal rate by a few parts in a hundred.
    """

    def __init__(self, period_ns: int, wraps_ns: int | None = None) -> None:
        self._period = period_ns
        self._wraps = wraps_ns
        self._raw: int | None = None
        self._last = 0

    def stamp(self, last_ns: int, count: int) -> Stamped:
        """See :class:`Times`. A packet that comes twice has no samples the second time.

        The times count from the first packet: what a device says may be any number of 64 bits.
        """
        gone = None if self._raw is None else self._since(last_ns - self._raw)
        self._raw = last_ns
        if gone == 0:
            return Stamped(np.empty(0, np.int64), follows=True)
        before, takes = self._last, count * self._period
        if gone is not None and abs(gone - takes) <= self._period * 3 // 2 + takes // 50 and gone > 0:
            self._last += gone
            return Stamped(evenly(self._last, before, count), follows=True)
        self._last += gone if gone is not None and takes < gone < _LONGEST else takes
        return Stamped(evenly(self._last, self._last - takes, count), follows=False)

    def _since(self, difference: int) -> int:
        if self._wraps is None:
            return difference
        half = self._wraps // 2
        return (difference + half) % self._wraps - half


class ArrivalTimes:
    """For a device that tells no time: arrivals, smoothed, at a rate that is found from them.

    An alpha-beta filter with a memory that grows to 62 packets (Brookner, "Tracking and Kalman Filtering Made Easy",
    1998, chapter 1: the straight line that fits the arrivals best): the next packet is expected after the time its
    samples take; what it is late moves the estimate by a little, and the period by less. So a radio that holds packets
    back and lets them go in a bunch does not bend the stream. A lost packet looks like a late one, and a link loses
    none that was sent: only a silence of a second is known to be a gap.
    """

    _MEMORY: Final = 62
    _NOMINAL: Final = 6  # so many packets' worth is the nominal period believed at first
    _SILENCE: Final = SECOND
    _SILENT_PERIODS: Final = 10

    def __init__(self, period_ns: int) -> None:
        self._nominal = period_ns
        self._period = float(period_ns)
        self._last: int | None = None
        self._heard = self._NOMINAL

    def stamp(self, last_ns: int, count: int) -> Stamped:
        """See :class:`Times`; ``last_ns`` is when the packet arrived."""
        takes = count * self._period
        if self._last is None or abs(last_ns - self._last - takes) > self._longest():
            self._last = last_ns
            return Stamped(evenly(last_ns, last_ns - round(takes), count), follows=False)
        before, late = self._last, last_ns - self._last - takes
        self._heard = n = min(self._heard + 1, self._MEMORY)
        self._last = before + round(max(takes + 2 * (2 * n - 1) / (n * (n + 1)) * late, takes / 4))
        period = self._period + 6 / (n * (n + 1)) * late / count
        self._period = min(max(period, self._nominal / 4), 4.0 * self._nominal)
        return Stamped(evenly(self._last, before, count), follows=True)

    def _longest(self) -> float:
        return max(self._SILENCE, self._SILENT_PERIODS * self._period)
