"""What can be measured of one blow in the seconds around it.

A fall is told by its course: lightness while falling, a blow, another posture, then rest (Noury et al., "Fall detection -
principles and methods", EMBC 2007). Which of the measurements tell falls from other blows, and how, is for the model to
learn (``devices.falls.training``); none of them depends on how the sensor is turned on the body.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

RATE_HZ: Final = 50
"""The rate at which every stream is watched."""

BEFORE_S: Final = 6.0
"""How much of the time before a blow is looked at."""
AFTER_S: Final = 8.0
"""How long after a blow it is judged."""

UNSEEN: Final = -99.0
"""The measure of what lies beyond the ends of the stream. No measurement is so low."""

_EDGES_S: Final = (-6, -3, -2, -1.5, -1, -0.6, -0.3, -0.1, 0.1, 0.3, 0.6, 1, 1.5, 2, 3, 4, 5, 6, 8)
_SETTLED_S: Final = 1.0  # after a blow the body rebounds and slides
_GRAVITY: Final = RATE_HZ // 2  # samples whose mean is taken for gravity, and whose spread for rest
_LIGHT_G: Final = 0.6
_STILL_G: Final = 0.06
_HARD_G: Final = 1.6
_STEP_G: Final = 0.08
_STEP_LAGS: Final = range(round(0.36 * RATE_HZ), round(0.8 * RATE_HZ) + 1)
_STEADY: Final = 0.5
_FASTEST_STEP_HZ: Final = 3.0


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a person can be told of a blow.

    ``impact_g`` is its acceleration, ``free_fall_ms`` how long it was below 0.6 g without a break in the second before,
    ``stillness_s`` for how long there was rest after the body had settled (in half seconds without more than a tremor), and
    ``posture_change_deg`` the angle between the mean directions of gravity before the fall and at the end.
    """

    impact_g: float
    free_fall_ms: float
    stillness_s: float
    posture_change_deg: float


def magnitude(samples: Samples) -> Samples:
    """The length of each acceleration vector, (n,) from (n, 3). The same number wherever in an array a sample stands."""
    x, y, z = samples[:, 0], samples[:, 1], samples[:, 2]
    return np.sqrt(x * x + y * y + z * z)


def angle_deg(one: Samples, other: Samples) -> float:
    """The angle between two directions, 0 to 180; 0 when one of them is unknown (a zero vector)."""
    size = float(np.sqrt((one * one).sum() * (other * other).sum()))
    if size == 0.0:
        return 0.0
    return float(np.degrees(np.arccos(np.clip(float((one * other).sum()) / size, -1.0, 1.0))))


def mean_of(samples: Samples) -> Samples:
    """The mean vector; zero of none."""
    return np.asarray(samples.mean(axis=0)) if len(samples) else np.zeros(3)


def explain(samples: Samples, impact: int) -> Explanation:
    """The blow at index ``impact`` of ``samples``, (n, 3) in g at ``RATE_HZ``, the last of them the last looked at."""
    g = magnitude(samples)
    settled = impact + _count(_SETTLED_S)
    upright = samples[: max(impact - RATE_HZ, 0)] if impact > 1.5 * RATE_HZ else samples[: impact // 2]
    return Explanation(
        impact_g=float(g[impact]),
        free_fall_ms=1000.0 * _longest_run(g[max(impact - RATE_HZ, 0) : impact] < _LIGHT_G) / RATE_HZ,
        stillness_s=_stillness_s(samples[settled:]),
        posture_change_deg=angle_deg(
            mean_of(upright[-4 * RATE_HZ :]), mean_of(samples[max(settled, len(samples) - RATE_HZ * 3 // 2) :])
        ),
    )


def measure(samples: Samples, impact: int) -> npt.NDArray[np.float32]:
    """The blow at index ``impact`` of ``samples``, (n, 3) in g at ``RATE_HZ``: what :func:`names` names, in its order.

    At most ``BEFORE_S`` before and ``AFTER_S`` after the blow are to be given. Deterministic in these samples alone.
    """
    blow = _Blow(samples, impact)
    measured = [
        of_piece(series[blow.piece(begin, end)]) if series[blow.piece(begin, end)].size else UNSEEN
        for _, series, of_piece in blow.courses()
        for begin, end in _segments()
    ]
    return np.array([*measured, *blow.whole().values()], dtype=np.float32)


def names() -> list[str]:
    """What is measured, each by its name: a course in a segment of seconds around the blow, or the whole."""
    blow = _Blow(np.tile(np.array([0.0, 0.0, 1.0]), (_count(BEFORE_S + AFTER_S), 1)), _count(BEFORE_S))
    courses = [f"{name} {begin:g} to {end:g} s" for name, _, _ in blow.courses() for begin, end in _segments()]
    return [*courses, *blow.whole()]


def is_walking(g: Samples) -> bool:
    """Whether these magnitudes, (n,) in g of some seconds at ``RATE_HZ``, go up and down as steps do.

    Steps repeat after 0.36 to 0.8 s (75 to 165 a minute: Tudor-Locke et al., Int J Behav Nutr Phys Act 2018, 15:100*, for
    the usual range of cadence; * from general knowledge), and what is strongest in them is no faster than 3 Hz: a tremor
    is (Deuschl et al., Mov Disord 1998, 13 S3:2-23*). That half of the movement repeats, and 0.08 g, are of recordings: in
    none of 445 windows of six seconds after a fall (SisFall, WEDA-FALL) was it so.
    """
    moved = g - g.mean()
    if np.sqrt((moved * moved).mean()) < _STEP_G:
        return False
    strongest_hz = (1 + int(np.argmax(np.abs(np.fft.rfft(moved))[1:]))) * RATE_HZ / len(moved)
    return strongest_hz <= _FASTEST_STEP_HZ and max(_repeats(moved, lag) for lag in _STEP_LAGS) >= _STEADY


def _repeats(moved: Samples, lag: int) -> float:
    """How like itself it is so many samples later, -1 to 1."""
    now, later = moved[:-lag], moved[lag:]
    return float((now * later).sum() / np.sqrt((now * now).sum() * (later * later).sum()))


class _Blow:
    """A blow and the courses of what can be seen around it, (n,) each.

    ``rest`` is the largest spread of an axis over the last half second (g), ``tilt`` the angle (degrees) of the gravity
    felt in it to that before the blow; ``along`` and ``across`` are the acceleration in that direction and beside it.
    """

    def __init__(self, samples: Samples, impact: int) -> None:
        self.impact = impact
        self.g = magnitude(samples)
        self.departure = np.abs(self.g - 1.0)
        self.jerk = np.concatenate([[0.0], magnitude(np.diff(samples, axis=0))])
        upright = self._upright(samples)
        self.along = (samples * upright).sum(axis=1)
        self.across = np.sqrt(np.maximum(self.g * self.g - self.along * self.along, 0.0))
        gravity, self.rest = _gravity_and_rest(samples)
        size = np.maximum(magnitude(gravity), 1e-6)
        self.tilt = np.degrees(np.arccos(np.clip((gravity * upright).sum(axis=1) / size, -1.0, 1.0)))

    def _upright(self, samples: Samples) -> Samples:
        """The direction of gravity before the blow: of the last seconds before it, or of what there is."""
        before = mean_of(samples[self.piece(-3, -1)])
        if not before.any():
            before = mean_of(samples[self.piece(-BEFORE_S, -0.3)])
        size = float(np.sqrt((before * before).sum()))
        return np.asarray(before / size) if size else before

    def courses(self) -> tuple[tuple[str, Samples, Callable[[Samples], float]], ...]:
        """What is measured segment by segment: its name, its course, and what is taken of a piece of it."""
        return (
            ("departure from 1 g", self.departure, _mean),
            ("highest g", self.g, _max),
            ("along gravity", self.along, _mean),
            ("across gravity", self.across, _mean),
            ("jerk", self.jerk, _mean),
            ("rest", self.rest, _min),
            ("tilt", self.tilt, _mean),
        )

    def whole(self) -> dict[str, float]:
        """What is measured of the whole."""
        before, after = self.piece(-BEFORE_S, -_SETTLED_S), self.piece(_SETTLED_S + 0.5, AFTER_S)
        light = np.maximum(1.0 - self.g, 0.0)
        others = np.concatenate([self.g[: self.piece(-1, 0).start], self.g[self.piece(0, 1).stop + 1 :]])
        posture = self.tilt[self.piece(_SETTLED_S + 0.2, AFTER_S)]
        return {
            "impact": float(self.g[self.impact]),
            "lightness in 1 s": float(light[self.piece(-1, 0)].sum()),
            "lightness in 2 s": float(light[self.piece(-2, 0)].sum()),
            "lightest": _or_unseen(_min, self.g[self.piece(-1, 0)]),
            "stillest after": _or_unseen(_min, self.rest[after]),
            "usual rest after": _or_unseen(_median, self.rest[after]),
            "still after": float((self.rest[after] < _STILL_G).sum()),
            "quite still after": float((self.rest[after] < _STILL_G / 2).sum()),
            "still before": float((self.rest[before] < _STILL_G).sum()),
            "stillest before": _or_unseen(_min, self.rest[before]),
            "usual rest before": _or_unseen(_median, self.rest[before]),
            "most turned": _or_unseen(_max, posture),
            "least turned": _or_unseen(_min, posture),
            "usually turned": _or_unseen(_median, posture),
            "turned at the end": _or_unseen(_mean, posture[-60:]),
            "hard before": float((self.g[self.piece(-BEFORE_S, -1.2)] > _HARD_G).sum()),
            "hard after": float((self.g[self.piece(_SETTLED_S, AFTER_S)] > _HARD_G).sum()),
            "against the hardest other": float(self.g[self.impact]) / _max(others) if len(others) else UNSEEN,
            "across gravity after": _or_unseen(_mean, self.across[self.piece(_SETTLED_S + 0.2, AFTER_S)]),
            "seen before": float(self.impact),
            "seen after": float(len(self.g) - self.impact),
        }

    def piece(self, begin_s: float, end_s: float) -> slice:
        """The samples between these times, in seconds from the blow."""
        return slice(max(self.impact + _count(begin_s), 0), max(self.impact + _count(end_s), 0))


def _gravity_and_rest(samples: Samples) -> tuple[Samples, Samples]:
    """Over the half second up to each sample, or what there is of it: the mean, (n, 3), and the largest spread, (n,)."""
    count = np.minimum(np.arange(1, len(samples) + 1), _GRAVITY)[:, None]
    mean, square = _sums(samples) / count, _sums(samples * samples) / count
    return mean, np.sqrt(np.maximum(square - mean * mean, 0.0)).max(axis=1)


def _sums(series: Samples) -> Samples:
    total = np.cumsum(np.concatenate([np.zeros((1, 3)), series]), axis=0)
    return np.asarray(total[1:] - total[np.maximum(np.arange(len(series)) + 1 - _GRAVITY, 0)])


def _segments() -> Iterable[tuple[float, float]]:
    return pairwise(_EDGES_S)


def _mean(piece: Samples) -> float:
    return float(piece.mean())


def _max(piece: Samples) -> float:
    return float(piece.max())


def _min(piece: Samples) -> float:
    return float(piece.min())


def _median(piece: Samples) -> float:
    return float(np.median(piece))


def _or_unseen(of_piece: Callable[[Samples], float], piece: Samples) -> float:
    return of_piece(piece) if len(piece) else UNSEEN


def _count(seconds: float) -> int:
    return round(seconds * RATE_HZ)


def _stillness_s(samples: Samples) -> float:
    """How long, in pieces of half a second, no axis varied by more than a tremor."""
    whole = len(samples) // _GRAVITY
    if not whole:
        return 0.0
    spread = samples[: whole * _GRAVITY].reshape(whole, _GRAVITY, 3).std(axis=1).max(axis=1)
    return 0.5 * int((spread < _STILL_G).sum())


def _longest_run(flags: npt.NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
