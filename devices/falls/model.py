"""How surely an impact was a fall: a logistic over its features.

Fitted (maximum likelihood, small ridge, every recording of equal weight within its set) on SisFall (waist, 38 kinds
of movement, 24 people; Sucerquia et al., Sensors 2017, 17:198), WEDA-FALL (wrist, 16 people; Marques & Moreno,
Sensors 2023, 23:1146) and the daily movements of Matey-Sanz et al. (wrist, 15 people; Data in Brief 2023, 109809).
The first two state no licence; nothing of the recordings is in these numbers but these eight weights.

Limits. The falls were acted by young people on mattresses; true falls of old people are softer and stranger. Judged
on people left out of the fit (five-fold), sensitivity and specificity per recording: SisFall 0.99 and 0.98, WEDA-FALL
0.84 and 0.95; on SmartFallMM, never fitted on and cut off soon after the fall, 0.27 and 0.97. A hard sit and a sudden
halt after jogging are the usual false alarms; a fall without a blow, or one after which the wearer keeps moving for
eight seconds, is missed. How often it errs over days of free living is not known.
"""

from __future__ import annotations

from math import exp
from typing import Final

from devices.falls.features import Features

IMPACT_G: Final = 1.8
"""Softer blows are not looked at."""

STILL_AT_LEAST_S: Final = 1.0
"""Rest that must be seen before a fall is told."""

THRESHOLD: Final = 0.5
"""From this probability on a fall is told."""

_WEIGHTS: Final = (-10.79, 3.86, -0.45, 1.3, 5.2, 0.7, -2.92, -2.55)


def terms(f: Features) -> tuple[float, ...]:
    """What the logistic weighs, each of the size of 1: a constant, then blow, lightness, shake, turn, rest, bustle."""
    return (
        1.0,
        min(f.impact_g, 6.0) / 3.0,
        f.lightest_g,
        min(f.shake_g, 2.0),
        f.posture_change_deg / 90.0,
        f.stillness_s,
        f.busy_before,
        f.busy_after,
    )


def probability(f: Features) -> float:
    """The probability of a fall, 0 to 1."""
    return 1.0 / (1.0 + exp(-sum(w * t for w, t in zip(_WEIGHTS, terms(f), strict=True))))
