"""Watching one stream for falls: samples with their times in; falls, recoveries and what surrounds them out. Pure.

Every stream is read at one rate, that of the recordings the detector was fitted on. A slower or a narrower sensor is read
so too, and misses more; how much, on recordings of acted falls, stands in ``bench/RESULTS.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np

from devices.falls.detector import Detector, FallEvent, Judge
from devices.falls.features import RATE_HZ, Samples
from devices.falls.model import Position
from devices.falls.resample import Resampler
from devices.falls.tape import Clip, Tape
from devices.falls.times import Nanoseconds
from devices.falls.worn import Worn, WornEvent

LOWEST_HZ: Final = 9.0
"""A slower stream is not watched: at 10 Hz, which a sensor may miss by a little, falls are seen; below nobody knows."""

GOOD_HZ: Final = 20.0
"""From here on a higher rate finds little more: of 100 acted falls of the wrist 91 instead of 88 at 50 Hz."""

GOOD_RANGE_G: Final = 4.0
"""A sensor that is cut off below this misses falls that others tell."""

# The detector thinks every half second: it need not be asked fifty times a second by those who send one sample at once.
_TICK: Final = RATE_HZ // 2

# Whether nobody was in a device that fell is known so long after its hardest blow (``devices.falls.worn``).
_ALONE_KNOWN: Final = 15 * RATE_HZ // 2


@dataclass(frozen=True, slots=True)
class Told:
    """A fall, another blow or a recovery, and the time of its impact or of itself by the clock of the samples."""

    at_ns: int
    event: FallEvent


@dataclass(frozen=True, slots=True)
class Kept:
    """What surrounds a fall: ``samples`` (n, 3) in g at ``RATE_HZ``, the first taken at ``started_ns``."""

    started_ns: int
    samples: Samples


@dataclass(frozen=True, slots=True)
class State:
    """What became certain of the device itself: ``worn`` 0 or 1, or ``device_dropped`` 1 (``devices.falls.worn``)."""

    at_ns: int
    metric: Literal["worn", "device_dropped"]
    value: float
    detail: dict[str, float] = field(default_factory=dict)


Found = Told | Kept | State


class Watch:
    """One wearer's. ``position`` is where the sensor is worn; ``threshold`` as of :class:`Detector`.

    ``worn`` is what was known of that before (``devices.falls.worn``). What happens to a device in which nobody is, is
    no fall; a fall so taken for the device's own is told after all when it stirs without being picked up.
    """

    def __init__(
        self,
        position: Position = "wrist",
        threshold: float | None = None,
        *,
        judge: Judge | None = None,
        worn: bool | None = None,
    ) -> None:
        self.position: Final = position
        self.worn: Final = Worn(RATE_HZ, worn=worn)
        self._withheld: Told | None = None
        self._held: list[Told] = []
        self._seen = 0
        self._resampler = Resampler(RATE_HZ)
        self._detector = Detector(position, threshold, judge)
        self._tape = Tape(RATE_HZ)
        self._waiting: Samples = np.empty((0, 3))

    @property
    def threshold(self) -> float:
        """From this probability on a fall is told."""
        return self._detector.threshold

    @threshold.setter
    def threshold(self, probability: float) -> None:
        self._detector.threshold = probability

    def feed(self, times: Nanoseconds, samples: Samples) -> list[Found]:
        """The next samples, (n, 3) in g, and when each was taken; what became certain with them, oldest first."""
        waiting = np.concatenate([self._waiting, self._resampler.feed(times, samples)])
        whole = len(waiting) - len(waiting) % _TICK
        self._waiting = waiting[whole:]
        return [one for start in range(0, whole, _TICK) for one in self._feed(waiting[start : start + _TICK])]

    def interrupt(self) -> list[Found]:
        """Samples are missing: begin anew with the next. What was to be kept is kept as far as it came."""
        last = self._feed(self._waiting)
        self._held += [Told(self._resampler.time_ns(e.sample), e) for e in self._detector.finish()]
        told = [*last, *self._let_go(self._seen)]
        kept = self._kept(self._tape.stop())
        self._waiting, self._seen = self._waiting[:0], 0
        self._resampler.reset()
        self.worn.interrupt()
        self._withheld = None
        return [*told, *kept]

    def _feed(self, even: Samples) -> list[Found]:
        self._tape.add(even)
        states = [found for event in self.worn.feed(even) for found in self._of_the_device(event)]
        self._seen += len(even)
        self._held += [Told(self._resampler.time_ns(e.sample), e) for e in self._detector.feed(even)]
        return [*states, *self._let_go(self._seen - _ALONE_KNOWN), *self._kept(self._tape.ready())]

    def _let_go(self, before: int) -> list[Found]:
        """What was seen of the wearer, up to the first fall of which it is not known yet who fell."""
        told = []
        while self._held and (self._held[0].event.kind != "fall" or self._held[0].event.sample <= before):
            one = self._held.pop(0)
            if not self._is_the_device_s(one):
                told.append(one)
        for one in told:
            if one.event.kind == "fall":
                self.worn.fell()
                self._tape.want(one.event.sample)
        return [*told]

    def _is_the_device_s(self, told: Told) -> bool:
        """Whether nobody was in the device. It is taken up later, which is no recovery."""
        if told.event.kind == "recovered":
            taken_up, self._withheld = self._withheld is not None, None
            return taken_up
        if told.event.kind == "pending":
            return False
        alone = self.worn.was_alone(told.event.sample)
        if told.event.kind == "fall":
            self._withheld = told if alone else None
            if alone:
                self.worn.withheld()
        return alone

    def _of_the_device(self, event: WornEvent) -> list[Found]:
        at_ns = self._resampler.time_ns(event.sample)
        if event.kind == "dropped":
            return [State(at_ns, "device_dropped", 1.0, {"impact_g": event.impact_g, "free_fall_ms": event.flight_ms})]
        if event.kind == "stirred":
            fall, self._withheld = self._withheld, None
            return [] if fall is None else [fall]
        return [State(at_ns, "worn", float(event.kind == "worn"))]

    def _kept(self, clips: list[Clip]) -> list[Found]:
        return [Kept(self._resampler.time_ns(clip.first), clip.samples) for clip in clips]
