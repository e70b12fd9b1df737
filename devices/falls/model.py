"""How surely an impact was a fall."""

from __future__ import annotations

from math import exp
from typing import Final

from devices.falls.features import Features

IMPACT_G: Final = 1.8
THRESHOLD: Final = 0.5


def terms(f: Features) -> tuple[float, ...]:
    """What the logistic weighs, each of the size of 1."""
    return (
        1.0,
        min(f.impact_g, 6.0) / 3.0,
        min(f.free_fall_ms, 500.0) / 300.0,
        f.lightest_g,
        min(f.shake_g, 2.0),
        f.posture_change_deg / 90.0,
        f.stillness_s,
        f.busy_before,
        f.busy_after,
    )


WEIGHTS: Final = (-3.0, 1.0, 1.0, -1.0, 1.0, 1.5, 0.3, -1.0, -2.0)


def probability(f: Features) -> float:
    """The probability of a fall, 0 to 1."""
    return 1.0 / (1.0 + exp(-sum(w * t for w, t in zip(WEIGHTS, terms(f), strict=True))))
