"""What can be said of one impact from the seconds around it.

A fall is told by its course: lightness while falling, a blow, another posture, then stillness (Noury et al.,
"Fall detection - principles and methods", EMBC 2007; Bourke et al., Gait & Posture 2007, 26(2):194-199, for the
thresholds of lightness and blow).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

BEFORE_S: Final = 4.0
"""How much of the time before an impact is looked at."""
AFTER_S: Final = 8.0
"""How long after an impact a fall may still be recognised."""
SETTLED_S: Final = 1.0
"""After a blow the body rebounds and slides; rest is looked for from here on."""

_LIGHT_G: Final = 0.6
_BUSY_G: Final = 0.25
_STILL_G: Final = 0.06
_STILL_PIECE_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Features:
    """One impact. Accelerations in g, times as named; ``posture_change_deg`` is the angle between the device's
    mean direction of gravity before the fall and in the last second and a half.

    ``lightest_g`` is the smallest acceleration in the second before the blow, ``shake_g`` the mean departure from
    1 g in the second around it. ``busy_before`` and ``busy_after`` are the shares (0 to 1) of samples that depart from
    1 g by more than a quarter: walking, running and gesturing are busy. ``stillness_s`` is the time at rest since
    the body settled.
    """

    impact_g: float
    free_fall_ms: float
    lightest_g: float
    shake_g: float
    posture_change_deg: float
    stillness_s: float
    busy_before: float
    busy_after: float


def magnitude(samples: Samples) -> Samples:
    """The length of each acceleration vector, (n,) from (n, 3). The same number wherever in an array a sample stands."""
    x, y, z = samples[:, 0], samples[:, 1], samples[:, 2]
    return np.sqrt(x * x + y * y + z * z)


def describe(samples: Samples, impact: int, rate_hz: float) -> Features:
    """Features of the impact at index ``impact`` of ``samples``, (n, 3) in g, the last sample being now.

    Deterministic in these samples alone.
    """
    g = magnitude(samples)
    second = round(rate_hz)
    before = g[max(impact - second, 0) : impact]
    around = g[max(impact - second // 2, 0) : impact + second // 2]
    settled = impact + round(SETTLED_S * rate_hz)
    light = before < _LIGHT_G
    return Features(
        impact_g=float(g[impact]),
        free_fall_ms=1000.0 * _longest_run(light) / rate_hz,
        lightest_g=float(before.min(initial=1.0)),
        shake_g=float(np.abs(around - 1.0).mean()),
        posture_change_deg=angle_deg(
            _direction(samples[: max(impact - second, 0)] if impact > 1.5 * second else samples[: impact // 2]),
            _direction(samples[max(settled, len(samples) - second * 3 // 2) :]),
        ),
        stillness_s=_stillness_s(samples[settled:], rate_hz),
        busy_before=_share(np.abs(g[: max(impact - second, 0)] - 1.0) > _BUSY_G),
        busy_after=_share(np.abs(g[settled:] - 1.0) > _BUSY_G),
    )


def angle_deg(one: Samples, other: Samples) -> float:
    """The angle between two directions, 0 to 180; 0 when one of them is unknown (a zero vector)."""
    size = float(np.sqrt((one * one).sum() * (other * other).sum()))
    if size == 0.0:
        return 0.0
    return float(np.degrees(np.arccos(np.clip(float((one * other).sum()) / size, -1.0, 1.0))))


def _direction(samples: Samples) -> Samples:
    return np.asarray(samples.mean(axis=0)) if len(samples) else np.zeros(3)


def _share(flags: npt.NDArray[np.bool_]) -> float:
    return float(flags.mean()) if len(flags) else 0.0


def _stillness_s(samples: Samples, rate_hz: float) -> float:
    """How long, in pieces of half a second, no axis varied by more than a tremor."""
    piece = round(_STILL_PIECE_S * rate_hz)
    whole = len(samples) // piece
    if not whole:
        return 0.0
    spread = samples[: whole * piece].reshape(whole, piece, 3).std(axis=1).max(axis=1)
    return _STILL_PIECE_S * int((spread < _STILL_G).sum())


def _longest_run(flags: npt.NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
