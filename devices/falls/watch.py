"""Watching one stream for falls: samples with their times in; falls, recoveries and what surrounds them out. Pure.

Every stream is read at one rate, that of the recordings the detector was fitted on. What a slower or a narrower sensor
costs was measured on the recordings named in ``devices.falls.model`` by taking every so-manieth sample and cutting
it off at a range, then reading it at 50 Hz (sensitivity and specificity per recording):

=====================  ============  ===========
sensor                 wrist (WEDA)  waist (Sis)
=====================  ============  ===========
50 Hz, ±4 g or more    0.84   0.95   0.98   0.97
25 Hz, ±4 g or more    0.84   0.96   0.98   0.98
20 Hz, ±8 g            0.83   0.96   0.97   0.98
12.5 Hz, ±8 g          0.82   0.97   0.91   0.98
10 Hz, ±8 g            0.83   0.97   0.91   0.99
50 Hz, ±2 g            0.70   0.97   0.96   1.00
10 Hz, ±2 g            0.68   0.99   0.87   1.00
=====================  ============  ===========

So 10 Hz still sees, but misses more, above all with ±2 g, and below it nothing was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from devices.falls.detector import Detector, FallEvent, Position
from devices.falls.features import Samples
from devices.falls.resample import Resampler
from devices.falls.tape import Clip, Tape
from devices.falls.times import Nanoseconds

RATE_HZ: Final = 50
"""The rate at which every stream is watched."""

LOWEST_HZ: Final = 9.0
"""A slower stream is not watched: at 10 Hz, which a sensor may miss by a little, falls are seen; below nobody knows."""

GOOD_HZ: Final = 20.0
"""From here on a higher rate finds no more."""

GOOD_RANGE_G: Final = 4.0
"""A sensor that is cut off below this misses falls that others tell."""

# The detector thinks every half second: it need not be asked fifty times a second by those who send one sample at once.
_TICK: Final = RATE_HZ // 2


@dataclass(frozen=True, slots=True)
class Told:
    """A fall or a recovery, and the time of its impact or of itself by the clock of the samples."""

    at_ns: int
    event: FallEvent


@dataclass(frozen=True, slots=True)
class Kept:
    """What surrounds a fall: ``samples`` (n, 3) in g at ``RATE_HZ``, the first taken at ``started_ns``."""

    started_ns: int
    samples: Samples


class Watch:
    """One wearer's. ``position`` is where the sensor is worn; ``threshold`` as of :class:`Detector`."""

    def __init__(self, position: Position = "wrist", threshold: float | None = None) -> None:
        self._resampler = Resampler(RATE_HZ)
        self._detector = Detector(RATE_HZ, position, threshold)
        self._tape = Tape(RATE_HZ)
        self._waiting: Samples = np.empty((0, 3))

    @property
    def threshold(self) -> float:
        """From this probability on a fall is told."""
        return self._detector.threshold

    @threshold.setter
    def threshold(self, probability: float) -> None:
        self._detector.threshold = probability

    def feed(self, times: Nanoseconds, samples: Samples) -> list[Told | Kept]:
        """The next samples, (n, 3) in g, and when each was taken; what became certain with them, oldest first."""
        waiting = np.concatenate([self._waiting, self._resampler.feed(times, samples)])
        whole = len(waiting) - len(waiting) % _TICK
        self._waiting = waiting[whole:]
        return [one for start in range(0, whole, _TICK) for one in self._feed(waiting[start : start + _TICK])]

    def interrupt(self) -> list[Told | Kept]:
        """Samples are missing: begin anew with the next. What was to be kept is kept as far as it came."""
        self._tape.add(self._waiting)
        kept = self._kept(self._tape.stop())
        self._waiting = self._waiting[:0]
        self._resampler.reset()
        self._detector.reset()
        return kept

    def _feed(self, even: Samples) -> list[Told | Kept]:
        self._tape.add(even)
        told = [Told(self._resampler.time_ns(e.sample), e) for e in self._detector.feed(even)]
        for one in told:
            if one.event.kind == "fall":
                self._tape.want(one.event.sample)
        return [*told, *self._kept(self._tape.ready())]

    def _kept(self, clips: list[Clip]) -> list[Told | Kept]:
        return [Kept(self._resampler.time_ns(clip.first), clip.samples) for clip in clips]
