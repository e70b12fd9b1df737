"""Random numbers that depend on the seed, the resident and what they are for, and on nothing else. Pure.

Each resident has a stream of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014, 49:453-472) for each purpose. Its n-th
number can be had without the ones before it, so numbers are drawn for many residents at once, and a resident's are the
same in whichever company she is made.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]
_Words = NDArray[np.uint64]

_STEP: Final = np.uint64(0x9E3779B97F4A7C15)
_UNIT: Final = 2.0**-53


class Draws:
    """The random numbers of some residents, by number: arrays of shape ``(residents, *shape)``."""

    def __init__(self, seed: int, residents: NDArray[np.integer]) -> None:
        self._keys = _mixed(_mixed(residents.astype(np.uint64) + _STEP) ^ _word(f"cohort {seed}"))

    def uniform(self, what: str, *shape: int) -> Floats:
        """Evenly between 0 and 1, and neither."""
        count = int(np.prod(shape, dtype=np.int64))
        start = _mixed(self._keys ^ _word(what))
        steps = (np.arange(1, count + 1, dtype=np.uint64) * _STEP)[None, :]
        words = _mixed(start[:, None] + steps)
        words >>= np.uint64(11)
        return np.asarray((words.astype(np.float64) + 0.5) * _UNIT).reshape(len(start), *shape)

    def normal(self, what: str, *shape: int) -> Floats:
        """Mean 0, standard deviation 1 (Box and Muller, Ann. Math. Stat. 1958, 29:610-611)."""
        count = int(np.prod(shape, dtype=np.int64))
        half = (count + 1) // 2
        both = self.uniform(what, 2, half)
        radius = np.sqrt(-2.0 * np.log(both[:, 0]))
        angle = 2.0 * np.pi * both[:, 1]
        pairs = np.concatenate((radius * np.cos(angle), radius * np.sin(angle)), axis=1)
        return pairs[:, :count].reshape(len(both), *shape)

    def uniform_at(self, what: str, row: NDArray[np.intp], index: Ints) -> Floats:
        """The ``index``-th number of these residents, as ``uniform`` would give it; shapes are broadcast."""
        start = _mixed(self._keys ^ _word(what))[row]
        words = _mixed(start + (index + 1).astype(np.uint64) * _STEP) >> np.uint64(11)
        return np.asarray((words.astype(np.float64) + 0.5) * _UNIT)

    def normal_at(self, what: str, row: NDArray[np.intp], index: Ints) -> Floats:
        """Of mean 0 and standard deviation 1, by resident and place."""
        radius = np.sqrt(-2.0 * np.log(self.uniform_at(what, row, 2 * index)))
        return np.asarray(radius * np.cos(2.0 * np.pi * self.uniform_at(what, row, 2 * index + 1)))

    def true(self, what: str, share: float | Floats, *shape: int) -> Bools:
        """True with this probability."""
        return self.uniform(what, *shape) < share

    def gamma2(self, what: str, *shape: int) -> Floats:
        """Gamma of shape 2 and mean 1: two exponential waits after each other."""
        both = self.uniform(what, 2, *shape)
        return np.asarray(-0.5 * np.log(both[:, 0] * both[:, 1]))

    def lognormal(self, what: str, median: float | Floats, spread: float, *shape: int) -> Floats:
        """Of this median; ``spread`` is the standard deviation of the logarithm."""
        return median * np.exp(spread * self.normal(what, *shape))

    def poisson(self, what: str, mean: Floats, most: int) -> Ints:
        """How many come where ``mean`` (shape ``(residents,)``) are expected, up to ``most``."""
        left, term = self.uniform(what), np.exp(-mean)
        below, count = term.copy(), np.zeros(len(mean), np.int64)
        for number in range(1, most + 1):
            count += left > below
            term = term * mean / number
            below = below + term
        return count


def _word(what: str) -> np.uint64:
    return np.uint64(int.from_bytes(blake2b(what.encode(), digest_size=8).digest()))


def _mixed(word: _Words) -> _Words:
    """SplitMix64's finaliser, which scatters neighbouring words."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(word ^ (word >> np.uint64(31)))
