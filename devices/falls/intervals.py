"""How sure a figure is: 95 % confidence intervals of shares, of rates and of F1. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import exp, lgamma, log, sqrt
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

_Z: Final = 1.959963984540054
_TAIL: Final = 0.025
_DRAWS: Final = 2000
_SEED: Final = 20_261_129


class Interval(NamedTuple):
    """A figure and the 95 % confidence interval around it."""

    value: float
    low: float
    high: float


def share(hits: int, of: int) -> Interval | None:
    """A share (0 to 1), with Wilson's interval (J. Am. Stat. Assoc. 1927, 22:209-212). None of nothing."""
    if not of:
        return None
    p, z2 = hits / of, _Z * _Z
    middle = (p + z2 / (2 * of)) / (1 + z2 / of)
    half = _Z * sqrt(p * (1 - p) / of + z2 / (4 * of * of)) / (1 + z2 / of)
    return Interval(p, max(middle - half, 0.0), min(middle + half, 1.0))


def rate(count: int, hours: float) -> Interval | None:
    """Events per hour, with the exact Poisson interval (Garwood, Biometrika 1936, 28:437-442). None in no time."""
    if hours <= 0:
        return None
    low = 0.0 if not count else _where(lambda mean: 1 - _at_most(count - 1, mean) >= _TAIL, count)
    high = _where(lambda mean: _at_most(count, mean) <= _TAIL, count)
    return Interval(count / hours, low / hours, high / hours)


def f1(by_subject: npt.NDArray[np.int64]) -> Interval | None:
    """F1, with the interval from drawing subjects again and again (Efron's percentile bootstrap, always the same draws).

    ``by_subject`` (n, 3): of each subject the recordings found, the false alarms and the recordings missed. Recordings
    of one person resemble each other, so persons are drawn and not recordings. None without a fall.
    """
    found, false, missed = by_subject.sum(axis=0)
    if not found + missed:
        return None
    random = np.random.default_rng(_SEED)
    drawn = random.multinomial(len(by_subject), np.full(len(by_subject), 1 / len(by_subject)), _DRAWS) @ by_subject
    scores = 2 * drawn[:, 0] / np.maximum(2 * drawn[:, 0] + drawn[:, 1] + drawn[:, 2], 1)
    low, high = np.quantile(scores[drawn[:, 0] + drawn[:, 2] > 0], [_TAIL, 1 - _TAIL])
    return Interval(float(2 * found / (2 * found + false + missed)), float(low), float(high))


def _at_most(count: int, mean: float) -> float:
    """The probability that no more than ``count`` come where ``mean`` are expected."""
    return min(sum(exp(k * log(mean) - mean - lgamma(k + 1)) for k in range(count + 1)), 1.0)


def _where(true_from_here: Callable[[float], bool], near: int) -> float:
    """The mean from which on this is true, by halving."""
    low, high = 1e-9, near + 10 * sqrt(near + 1) + 10
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if true_from_here(middle) else (middle, high)
    return high
