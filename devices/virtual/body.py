"""How a person's movements look to an accelerometer on the wrist: sitting, walking, falling, getting up.

Made up, but from the mechanics: gravity in the device's own axes, turned as the arm turns, plus what the
movement adds. The shape of a fall (a short free fall, a sharp impact with a rebound, then stillness in another
posture) and its sizes follow Casilari et al., "Analysis of public datasets for wearable fall detection
systems" (Sensors 2017, 17(7):1513). Seeded: the same person moves the same way in every run.

What happens to the device alone is made up from the mechanics too: no recordings of that were to be had. It flies for
sqrt(2 h / g), weighs nothing or feels the pull of its spin, bounces to a part of its height, and then lies.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

RATE_HZ: Final = 50
_UPRIGHT: Final = np.array([0.05, -0.97, 0.20])  # an arm that hangs or lies on a rest
_G_M_S2: Final = 9.81
_LYING: Final = np.array([0.86, 0.12, -0.48])


class Doing(Enum):
    """What the person is doing until told otherwise."""

    SITTING = "sitting"
    WALKING = "walking"
    LYING = "lying"
    NOT_WEARING = "not wearing"


class Body:
    """A person who wears an accelerometer. :meth:`take` gives the next samples, (n, 3) in g."""

    def __init__(self, seed: int) -> None:
        self.doing = Doing.SITTING
        self._random = np.random.default_rng(seed)
        self._gravity = _unit(_UPRIGHT)
        self._steps = 0
        self._coming: Samples = np.empty((0, 3))

    def take(self, count: int) -> Samples:
        """The next ``count`` samples of this life."""
        while len(self._coming) < count:
            self._add(self._second())
        taken, self._coming = self._coming[:count], self._coming[count:]
        return taken

    def fall(self) -> None:
        """Stumble, fall and stay lying; :meth:`get_up` ends that."""
        lying = _unit(_LYING + self._random.normal(0, 0.05, 3))
        for piece in (self._stumble(), self._free_fall(lying), self._impact(lying), self._settle(lying)):
            self._add(piece)
        self._gravity = lying
        self.doing = Doing.LYING

    def get_up(self) -> None:
        """Get up in three seconds and walk."""
        self._add(self._struggle(3.0, _unit(_UPRIGHT)))
        self._gravity = _unit(_UPRIGHT)
        self.doing = Doing.WALKING

    def drop(self, height_m: float = 0.75) -> None:
        """Let the device fall on a hard floor, where it stays."""
        side = self._any_side()
        self._add(self._flight(height_m, spin_g=self._random.uniform(0, 0.15)))
        for share in (1.0, 0.25, 0.06):
            self._add(self._hits(side, 8 * np.sqrt(height_m * share)))
            self._add(self._flight(height_m * share * 0.25, spin_g=0.1))
        self._leave(side)

    def throw(self, flies_s: float = 0.5) -> None:
        """Throw the device on a bed, spinning."""
        side = self._any_side()
        swing = 1 + np.sin(np.linspace(0, np.pi, 12))
        self._add(self._gravity * swing[:, None])
        self._add(self._flight(_G_M_S2 * flies_s**2 / 2, spin_g=self._random.uniform(0.2, 0.4)))
        at = np.arange(30) / RATE_HZ
        self._add(side * (1 + 1.6 * np.exp(-8 * at) * np.cos(2 * np.pi * 4 * at))[:, None])
        self._leave(side)

    def take_off(self) -> None:
        """Take the device off and lay it down, on a table or its charger."""
        side = self._any_side()
        self._add(self._struggle(4.0, side))
        self._add(self._hits(side, 0.3))
        self._leave(side)

    def put_on(self) -> None:
        """Take the device up, put it on and walk."""
        self._add(self._struggle(6.0, _unit(_UPRIGHT)))
        self._gravity = _unit(_UPRIGHT)
        self.doing = Doing.WALKING

    def _leave(self, side: Samples) -> None:
        self._gravity = side
        self.doing = Doing.NOT_WEARING

    def _any_side(self) -> Samples:
        return _unit(self._random.normal(0, 1, 3))

    def _flight(self, height_m: float, spin_g: float) -> Samples:
        count = round(np.sqrt(2 * height_m / _G_M_S2) * RATE_HZ)
        return np.tile(self._any_side() * spin_g, (count, 1))

    def _hits(self, side: Samples, peak_g: float) -> Samples:
        return np.asarray(side * (1 + peak_g * np.array([1.0, 0.3]))[:, None])

    def _add(self, piece: Samples) -> None:
        noise = self._random.normal(0, 0.004, piece.shape)
        self._coming = np.concatenate([self._coming, piece + noise])

    def _second(self) -> Samples:
        if self.doing is Doing.WALKING:
            return self._walk()
        still = np.tile(self._gravity, (RATE_HZ, 1))
        if self.doing is Doing.LYING:
            breath = 0.004 * np.sin(2 * np.pi * 0.25 * self._times(RATE_HZ))
            return still + breath[:, None]
        if self.doing is Doing.NOT_WEARING:
            return still
        return self._gesture() if self._random.random() < 0.1 else still

    def _times(self, count: int) -> Samples:
        self._steps += count
        return (np.arange(count) + self._steps - count) / RATE_HZ

    def _walk(self) -> Samples:
        at = self._times(RATE_HZ)
        sway = 0.22 * np.sin(2 * np.pi * 1.8 * at) + 0.08 * np.sin(2 * np.pi * 3.6 * at + 0.7)
        swing = 0.12 * np.sin(2 * np.pi * 0.9 * at)
        walking: Samples = self._gravity * (1 + sway)[:, None] + swing[:, None] * np.array([0.8, 0.1, 0.5])
        return walking

    def _gesture(self) -> Samples:
        raised = _unit(self._gravity + self._random.normal(0, 0.35, 3))
        there = np.sin(np.linspace(0, np.pi, RATE_HZ))[:, None] ** 2
        return _units(self._gravity + (raised - self._gravity) * there)

    def _stumble(self) -> Samples:
        jolt = 0.35 * np.sin(np.linspace(0, 2 * np.pi, 20))
        return self._gravity * (1 + jolt)[:, None]

    def _free_fall(self, lying: Samples) -> Samples:
        turn = np.linspace(0, 0.8, 20)[:, None]
        lightness = 1 - 0.8 * np.sin(np.linspace(0.25, np.pi / 2, 20)) ** 0.7
        return _units(self._gravity * (1 - turn) + lying * turn) * lightness[:, None]

    def _impact(self, lying: Samples) -> Samples:
        peak = self._random.uniform(3.8, 5.5)
        blow = peak * np.sin(np.linspace(0.35, np.pi, 5))
        rebound = np.array([0.5, 0.4, 0.7])
        second = 0.45 * peak * np.sin(np.linspace(0.3, np.pi, 5))
        direction = _unit(lying + self._random.normal(0, 0.15, 3))
        return np.concatenate([blow, rebound, second + 0.3])[:, None] * direction

    def _settle(self, lying: Samples) -> Samples:
        at = np.arange(45) / RATE_HZ
        ringing = 0.5 * np.exp(-4 * at) * np.sin(2 * np.pi * 5 * at)
        return lying * (1 + ringing)[:, None]

    def _struggle(self, seconds: float, upright: Samples) -> Samples:
        count = int(seconds * RATE_HZ)
        turn = np.linspace(0, 1, count)[:, None]
        posture = _units(self._gravity * (1 - turn) + upright * turn)
        heave = np.cumsum(self._random.normal(0, 0.09, (count, 3)), axis=0)
        heave -= np.linspace(0, 1, count)[:, None] * heave[-1]
        return posture + np.clip(heave, -0.6, 0.6)


class Accelerometer:
    """A sensor on ``body``: it samples at its own rate, and feels no more than its range (g; None: everything)."""

    def __init__(self, body: Body, rate_hz: float, range_g: float | None = None) -> None:
        self._body = body
        self._rate_hz = rate_hz
        self._range_g = range_g
        self._felt = body.take(2)
        self._at = 0.0

    def take(self, count: int) -> Samples:
        """The next ``count`` samples, (n, 3) in g."""
        at = self._at + np.arange(count + 1) * RATE_HZ / self._rate_hz
        missing = int(at[-1]) + 2 - len(self._felt)
        self._felt = np.concatenate([self._felt, self._body.take(max(missing, 0))])
        before = at[:-1].astype(int)
        share = (at[:-1] - before)[:, None]
        samples: Samples = self._felt[before] * (1 - share) + self._felt[before + 1] * share
        self._felt, self._at = self._felt[int(at[-1]) :], float(at[-1] % 1)
        return samples if self._range_g is None else samples.clip(-self._range_g, self._range_g)


def _unit(vector: Samples) -> Samples:
    return np.asarray(vector / np.linalg.norm(vector))


def _units(vectors: Samples) -> Samples:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
