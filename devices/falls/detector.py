"""The streaming detector: packets of acceleration in; falls, blows that were none and recoveries out.

Each blow is judged once, when the eight seconds after it have been seen, by the samples around it alone. So what is told is
the same, bit for bit, however the stream is cut into packets. A glance after three seconds says which blows may become
falls, for who must be able to tell of one though the power fails before it is judged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, Protocol

import numpy as np
import numpy.typing as npt

from devices.falls import model
from devices.falls.features import (
    AFTER_S,
    BEFORE_S,
    RATE_HZ,
    Explanation,
    Samples,
    angle_deg,
    explain,
    is_walking,
    magnitude,
    mean_of,
    measure,
)
from devices.falls.model import Position

IMPACT_G: Final = 1.5
"""Softer blows are not looked at."""

PENDING_FROM: Final = 0.7
"""From this probability on, at a glance, a blow may become a fall."""

_TICK: Final = RATE_HZ // 2
_ALONE: Final = RATE_HZ
_BEFORE: Final = round(BEFORE_S * RATE_HZ)
_AFTER: Final = round(AFTER_S * RATE_HZ)
_GLANCE: Final = 3 * RATE_HZ
_AGAIN: Final = 20 * RATE_HZ
_SETTLED: Final = RATE_HZ
_UP_S: Final = 4
_UP: Final = _UP_S * RATE_HZ
_UP_DEG: Final = 35.0
_MOVING_G: Final = 0.06
_STEPS: Final = 6 * RATE_HZ
_LYING: Final = RATE_HZ * 3 // 2
_KEPT: Final = _BEFORE + _AFTER + _ALONE + 2 * _TICK


Kind = Literal["fall", "dismissed", "pending", "recovered"]


class Judge(Protocol):
    """Says how surely a blow was a fall: the model, or whoever gathers what it is to learn from."""

    @property
    def thresholds(self) -> Mapping[Position, float]:
        """From which probability on a fall is told, by where the sensor is worn."""

    def probability(self, measured: npt.NDArray[np.float32]) -> float:
        """The probability of a fall, 0 to 1, of what ``devices.falls.features.measure`` measured."""


@dataclass(frozen=True, slots=True)
class FallEvent:
    """A suspected fall, a blow that was none or may become one, or the wearer up and moving again after a fall.

    A ``pending`` blow is followed by ``fall`` or ``dismissed`` of the same sample, unless the stream ends first.

    ``sample`` is the index of the impact, or of the recovery, since the last reset. ``probability`` (0 to 1) is how
    surely it was a fall. The rest says what spoke for it (``devices.falls.features.Explanation``); a recovery repeats
    those of its fall.
    """

    kind: Kind
    sample: int
    probability: float
    impact_g: float
    free_fall_ms: float
    stillness_s: float
    posture_change_deg: float


@dataclass(frozen=True, slots=True)
class _Down:
    """A wearer who fell: the event, and the device's direction of gravity before the fall and on the floor.

    ``since`` is the first sample since the last reset at which she may be seen to be up.
    """

    event: FallEvent
    upright: Samples
    lying: Samples
    since: int


class Detector:
    """One wearer's detector of a stream at ``RATE_HZ``.

    ``threshold`` is the operating point, by default the model's for this position; it may be changed at any time. Without
    ``glances`` nothing is said of what may become a fall.
    """

    def __init__(
        self,
        position: Position = "wrist",
        threshold: float | None = None,
        judge: Judge | None = None,
        *,
        glances: bool = True,
    ) -> None:
        self._glances = glances
        self._judge = judge or model.shipped()
        self.threshold = self._judge.thresholds[position] if threshold is None else threshold
        self._down: _Down | None = None
        self.reset()

    def reset(self) -> None:
        """Begin anew, as after a gap in the stream: samples are counted from 0 again. Who is down stays down."""
        self._kept: Samples = np.empty((0, 3))
        self._first = 0
        self._now = self._heard = 0
        self._impacts: list[int] = []
        self._unseen: list[int] = []  # impacts that were not glanced at yet
        self._last_fall: int | None = None
        if self._down is not None:
            self._down = _Down(self._down.event, self._down.upright, self._down.lying, since=0)

    def feed(self, samples: Samples) -> list[FallEvent]:
        """Take the next samples, (n, 3) in g, and return what became certain with them, oldest first.

        A fall is told 8 to 8.5 seconds after its impact. ``ValueError`` when the samples are not finite (n, 3).
        """
        samples = np.asarray(samples, dtype=np.float64)
        if samples.ndim != 2 or samples.shape[1] != 3 or not np.isfinite(samples).all():
            raise ValueError(f"acceleration is finite (n, 3) in g, not {samples.shape}")
        self._kept = np.concatenate([self._kept, samples])
        g = magnitude(self._kept)
        events: list[FallEvent] = []
        while self._now + _TICK <= self._end:
            self._now += _TICK
            new = self._new_impacts(g, self._now - _ALONE)
            self._impacts += new
            self._unseen += new if self._glances else []
            events += self._think(g)
        self._forget()
        return events

    def finish(self) -> list[FallEvent]:
        """The stream ends here: blows that still wait are judged by what was seen. Then begin anew."""
        self._now = self._end
        self._impacts += self._new_impacts(magnitude(self._kept), self._now)
        events = [event for impact in self._impacts for event in self._judged(impact)]
        self.reset()
        return events

    @property
    def _end(self) -> int:
        return self._first + len(self._kept)

    def _think(self, g: Samples) -> list[FallEvent]:
        """What is to be said at this tick."""
        events = self._recovery(g)
        while self._unseen and self._now - self._unseen[0] >= _GLANCE:
            events += self._glanced_at(self._unseen.pop(0))
        while self._impacts and self._now - self._impacts[0] >= _AFTER:
            events += self._judged(self._impacts.pop(0))
        return events

    def _new_impacts(self, g: Samples, until: int) -> list[int]:
        """Blows before ``until`` that stand alone, with nothing harder within a second, and are not known yet."""
        begin = max(self._heard, self._first)
        hard = begin + np.flatnonzero(g[begin - self._first : max(until - self._first, 0)] >= IMPACT_G)
        self._heard = max(until, self._heard)
        return [int(i) for i in hard if self._stands_alone(g, int(i) - self._first)]

    def _stands_alone(self, g: Samples, i: int) -> bool:
        start = max(i - _ALONE, 0)
        return start + int(g[start : min(i + _ALONE, self._now - self._first)].argmax()) == i

    def _judged(self, impact: int) -> list[FallEvent]:
        """What is to be said of a blow; nothing of one that belongs to a fall told before."""
        if self._is_of_last_fall(impact):
            return []
        end = min(impact + _AFTER, self._now)
        probability, told = self._look(impact, end)
        if probability < self.threshold:
            return [_event("dismissed", impact, probability, told)]
        event = _event("fall", impact, probability, told)
        before = mean_of(self._piece(impact - 4 * RATE_HZ, impact - RATE_HZ))
        self._down = _Down(event, before, mean_of(self._piece(end - _LYING, end)), impact + _SETTLED)
        self._last_fall = impact
        return [event]

    def _glanced_at(self, impact: int) -> list[FallEvent]:
        """Whether a blow may become a fall."""
        if self._is_of_last_fall(impact):
            return []
        probability, told = self._look(impact, impact + _GLANCE)
        return [_event("pending", impact, probability, told)] if probability >= PENDING_FROM else []

    def _is_of_last_fall(self, impact: int) -> bool:
        """A body that has just fallen rolls and is moved: that is the same fall, until the wearer was up again."""
        return self._last_fall is not None and impact - self._last_fall < _AGAIN

    def _look(self, impact: int, end: int) -> tuple[float, Explanation]:
        start = max(impact - _BEFORE, self._first)
        seen = self._piece(start, end)
        return self._judge.probability(measure(seen, impact - start)), explain(seen, impact - start)

    def _recovery(self, g: Samples) -> list[FallEvent]:
        """Up again: she stands and moves as before the fall, or walks."""
        if self._down is None or not (self._stands(self._down, g) or self._walks(self._down, g)):
            return []
        fall = self._down.event
        self._down = self._last_fall = None
        what = Explanation(fall.impact_g, fall.free_fall_ms, fall.stillness_s, fall.posture_change_deg)
        return [_event("recovered", self._now - _UP, fall.probability, what)]

    def _stands(self, down: _Down, g: Samples) -> bool:
        """For some seconds the arm hung as before the fall and not as on the floor, and never came to rest."""
        begin = self._now - _UP
        if begin < down.since:
            return False
        held = mean_of(self._piece(begin, self._now))
        turned = angle_deg(held, down.lying) > _UP_DEG or down.event.posture_change_deg < _UP_DEG
        return turned and angle_deg(held, down.upright) < _UP_DEG and self._moving(g, begin)

    def _walks(self, down: _Down, g: Samples) -> bool:
        """Steps for some seconds: no rhythm of an arm that lies as it fell, which may knock on the floor for help."""
        begin = self._now - _STEPS
        if begin < down.since:
            return False
        held = mean_of(self._piece(begin, self._now))
        elsewhere = angle_deg(held, down.lying) > _UP_DEG or down.event.stillness_s == 0.0
        return elsewhere and is_walking(g[begin - self._first : self._now - self._first].copy())

    def _moving(self, g: Samples, begin: int) -> bool:
        seconds = g[begin - self._first : self._now - self._first].copy().reshape(_UP_S, -1)
        return bool((seconds.std(axis=1) > _MOVING_G).all())

    def _piece(self, start: int, end: int) -> Samples:
        """A copy, so that sums do not depend on where in memory the samples lie."""
        return self._kept[max(start - self._first, 0) : max(end - self._first, 0)].copy()

    def _forget(self) -> None:
        drop = self._now - _KEPT - self._first
        if drop > 0:
            self._kept = self._kept[drop:]
            self._first += drop


def _event(kind: Kind, sample: int, probability: float, told: Explanation) -> FallEvent:
    return FallEvent(
        kind,
        sample,
        probability,
        told.impact_g,
        told.free_fall_ms,
        told.stillness_s,
        told.posture_change_deg,
    )
