"""The streaming detector: packets of acceleration in, falls and recoveries out.

It thinks in ticks of half a second counted from the first sample, and what it thinks at a tick depends only on
the samples up to it. So the events are the same, bit for bit, however the stream is cut into packets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np

from devices.falls import model
from devices.falls.features import AFTER_S, BEFORE_S, SETTLED_S, Features, Samples, angle_deg, describe, magnitude

_TICK_S: Final = 0.5
_ALONE_S: Final = 1.0
_JUDGED_FROM_S: Final = 3.0
_AGAIN_S: Final = 20.0
_UP_S: Final = 4
_UP_DEG: Final = 35.0
_MOVING_G: Final = 0.06
_KEPT_S: Final = BEFORE_S + AFTER_S + 2 * _TICK_S


Position = Literal["wrist", "waist", "pocket", "chest"]
"""Where the sensor is worn."""
POSITIONS: Final[tuple[Position, ...]] = get_args(Position)


@dataclass(frozen=True, slots=True)
class FallEvent:
    """A suspected fall, a blow that was none, or the wearer up and moving again after a fall.

    ``sample`` is the index of the impact, or of the recovery, since the last reset. ``probability`` (0 to 1) is how
    surely it was a fall. The rest says what spoke for it: acceleration in g, times as named, and the angle in
    degrees between the postures before and after; a recovery repeats those of its fall.
    """

    kind: Literal["fall", "dismissed", "recovered"]
    sample: int
    probability: float
    impact_g: float
    free_fall_ms: float
    stillness_s: float
    posture_change_deg: float


@dataclass(frozen=True, slots=True)
class _Down:
    """A wearer who fell: the event, and the device's direction of gravity before the fall and on the floor."""

    event: FallEvent
    upright: Samples
    lying: Samples


class Detector:
    """One wearer's detector. ``rate_hz`` is the sampling rate; 25 to 200 are sensible.

    ``threshold`` is the operating point, by default the model's for this position; it may be changed at any time.
    """

    def __init__(self, rate_hz: float = 50, position: Position = "wrist", threshold: float | None = None) -> None:
        if not 10 <= rate_hz <= 1000:
            raise ValueError(f"a sampling rate of {rate_hz} Hz is not one a fall can be seen at")
        self.position: Final = position
        self.threshold = model.THRESHOLD if threshold is None else threshold
        self._rate_hz = rate_hz
        self._tick = self._samples(_TICK_S)
        self._alone = self._samples(_ALONE_S)
        self.reset()

    def reset(self) -> None:
        """Begin anew, as after a gap in the stream: samples are counted from 0 again."""
        self._kept: Samples = np.empty((0, 3))
        self._first = 0
        self._now = 0
        self._impacts: list[int] = []
        self._down: _Down | None = None
        self._last_fall: int | None = None

    def feed(self, samples: Samples) -> list[FallEvent]:
        """Take the next samples, (n, 3) in g, and return what became certain with them, oldest first.

        A fall is told 3 to 8 seconds after its impact. ``ValueError`` when the samples are not finite (n, 3).
        """
        samples = np.asarray(samples, dtype=np.float64)
        if samples.ndim != 2 or samples.shape[1] != 3 or not np.isfinite(samples).all():
            raise ValueError(f"acceleration is finite (n, 3) in g, not {samples.shape}")
        self._kept = np.concatenate([self._kept, samples])
        g = magnitude(self._kept)
        events: list[FallEvent] = []
        while self._now + self._tick <= self._first + len(self._kept):
            self._now += self._tick
            events += self._think(g)
        self._forget()
        return events

    def _think(self, g: Samples) -> list[FallEvent]:
        """What is to be said at this tick."""
        self._impacts += self._new_impacts(g)
        recovery = self._recovery(g)
        fall = self._fall()
        return [event for event in (recovery, fall) if event is not None]

    def _new_impacts(self, g: Samples) -> list[int]:
        """Blows that stand alone: nothing harder within a second, which has just become certain of one tick's samples."""
        end = self._now - self._alone - self._first
        start = max(end - self._tick, 0)
        hard = start + np.flatnonzero(g[start : max(end, 0)] >= model.IMPACT_G)
        return [self._first + int(i) for i in hard if self._stands_alone(g, int(i))]

    def _stands_alone(self, g: Samples, i: int) -> bool:
        start = max(i - self._alone, 0)
        return start + int(g[start : i + self._alone].argmax()) == i

    def _fall(self) -> FallEvent | None:
        """The first pending impact that is now seen to be a fall."""
        self._impacts = [i for i in self._impacts if self._now - i <= self._samples(AFTER_S)]
        for impact in self._impacts:
            if self._now - impact >= self._samples(_JUDGED_FROM_S) and not self._too_soon(impact):
                seen = self._seen(impact)
                probability = model.probability(seen)
                if probability >= self.threshold and seen.stillness_s >= model.STILL_AT_LEAST_S:
                    return self._fallen(impact, probability, seen)
        return None

    def _seen(self, impact: int) -> Features:
        start = max(impact - self._samples(BEFORE_S), self._first)
        return describe(self._kept[start - self._first : self._now - self._first].copy(), impact - start, self._rate_hz)

    def _fallen(self, impact: int, probability: float, seen: Features) -> FallEvent:
        event = FallEvent(
            "fall",
            impact,
            probability,
            seen.impact_g,
            seen.free_fall_ms,
            seen.stillness_s,
            seen.posture_change_deg,
        )
        before = self._mean(impact - self._samples(BEFORE_S), impact - self._samples(1.0))
        self._down = _Down(event, before, self._mean(self._now - self._samples(1.5), self._now))
        self._last_fall = impact
        self._impacts = []
        return event

    def _too_soon(self, impact: int) -> bool:
        """A body that has just fallen rolls and is moved: that is the same fall, until the wearer was up again."""
        return self._last_fall is not None and impact - self._last_fall < self._samples(_AGAIN_S)

    def _recovery(self, g: Samples) -> FallEvent | None:
        """Up again: for some seconds the arm hung as before the fall and not as on the floor, and never came to rest."""
        if self._down is None:
            return None
        fall = self._down.event
        begin = self._now - self._samples(_UP_S)
        if begin < fall.sample + self._samples(SETTLED_S):
            return None
        held = self._mean(begin, self._now)
        turned = angle_deg(held, self._down.lying) > _UP_DEG or fall.posture_change_deg < _UP_DEG
        if not (turned and angle_deg(held, self._down.upright) < _UP_DEG and self._moving(g, begin)):
            return None
        self._down = self._last_fall = None
        return FallEvent(
            "recovered",
            begin,
            fall.probability,
            fall.impact_g,
            fall.free_fall_ms,
            fall.stillness_s,
            fall.posture_change_deg,
        )

    def _moving(self, g: Samples, begin: int) -> bool:
        seconds = g[begin - self._first : self._now - self._first].copy().reshape(_UP_S, -1)
        return bool((seconds.std(axis=1) > _MOVING_G).all())

    def _mean(self, start: int, end: int) -> Samples:
        piece = self._kept[max(start - self._first, 0) : max(end - self._first, 0)]
        return np.asarray(piece.copy().mean(axis=0)) if len(piece) else np.zeros(3)

    def _forget(self) -> None:
        drop = self._now - self._samples(_KEPT_S) - self._first
        if drop > 0:
            self._kept = self._kept[drop:]
            self._first += drop

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._rate_hz)
