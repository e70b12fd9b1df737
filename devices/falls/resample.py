"""From samples as a device took them to samples at equal times, as the fall detector wants them. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from devices.falls.features import Samples
from devices.falls.times import SECOND, Nanoseconds


class Resampler:
    """Reads a stream at ``rate_hz``, by straight lines between its samples.

    Sample 0 is the first that came; nothing is said beyond the last. What comes out depends on the samples and their
    times alone, to the last bit, however they are cut into packets. Over a gap the caller calls :meth:`reset`: no line
    is drawn over it.
    """

    def __init__(self, rate_hz: int) -> None:
        self._step: Final = round(SECOND / rate_hz)
        self.reset()

    def reset(self) -> None:
        """Begin anew with the next sample."""
        self._start = 0
        self._next = 0
        self._times: Nanoseconds = np.empty(0, np.int64)
        self._samples: Samples = np.empty((0, 3))

    def time_ns(self, index: int) -> int:
        """When the sample with this index since the last reset stands."""
        return self._start + index * self._step

    def feed(self, times: Nanoseconds, samples: Samples) -> Samples:
        """The samples, (n, 3), at the equal times up to the last of these. ``times`` rise, also from call to call."""
        if not len(times):
            return np.empty((0, 3))
        if not len(self._times):
            self._start = int(times[0])
        times, samples = np.concatenate([self._times, times]), np.concatenate([self._samples, samples])
        self._times, self._samples = times[-1:], samples[-1:]
        end = (int(times[-1]) - self._start) // self._step + 1
        wanted = self._start + np.arange(self._next, end, dtype=np.int64) * self._step
        self._next = end
        return _between(wanted, times, samples)


def _between(wanted: Nanoseconds, times: Nanoseconds, samples: Samples) -> Samples:
    after = np.searchsorted(times, wanted)
    before = np.maximum(after - 1, 0)
    span = np.maximum(times[after] - times[before], 1)
    share = ((wanted - times[before]) / span)[:, None]
    return np.asarray(samples[before] * (1 - share) + samples[after] * share)
