"""How careful the detector is with one wearer, from how her ordinary days look. Pure.

What looks nearly like a fall and is none happens to some people many times a day and to others never. From the blows that
were judged and were no falls two things are learned: how often they come while the device is worn, and how near to a fall
they are judged. Scores are weighed as log odds; beyond ``_NEAR`` their tail is taken as exponential, as tails mostly are
(Pickands, Annals of Statistics 1975, 3:119-131). So the false alarms to expect in an hour at an operating point are

    rate * exp(-(log odds of the point - near) / spread)

and the point is where that is :data:`AIM_PER_H`. Both numbers are shrunk (gamma-Poisson for the rate, inverse gamma for
the spread) towards a wearer for whom the usual point is the right one: with nothing learned nothing changes. The aim is
that of the field: of 15 falls of 16 old people twelve were found at 0.025 false alarms an hour (Kangas et al.,
Gerontology 2015, 61(1):61-68). The point never leaves its bounds: what a wearer's days say must not cost her her falls.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log
from typing import Final, Self

import msgspec

AIM_PER_H: Final = 0.025
"""False alarms to expect in an hour of wearing, at most."""

LEARNED_FROM_S: Final = 7 * 24 * 3600.0
"""Time worn that is kept whole; what is older is forgotten slowly."""

_NEAR: Final = 0.05
_CERTAIN: Final = 1e-6
_SPREAD: Final = 1.0  # of an unknown wearer's scores, in log odds
_SPREAD_WEIGHS: Final = 8.0
_RATE_WEIGHS_H: Final = 24.0
_INTENSITY_G: Final = 0.05
_INTENSITY_WEIGHS_H: Final = 24.0
_MOST_LIVELY: Final = 2.0
_MORE_SENSITIVE: Final = 0.7  # log odds
_MORE_CAREFUL: Final = 0.35
_HALVED_IN_S: Final = 28 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Operating points, as probabilities: the usual one of a position, and between which it may be moved."""

    usual: float
    lowest: float
    highest: float


def bounds(usual: float) -> Bounds:
    """What may be made of a usual point: on recordings of people left out, between two more and four fewer in a hundred
    falls of the wrist are told."""
    middle = _log_odds(usual)
    return Bounds(usual, _probability(middle - _MORE_SENSITIVE), _probability(middle + _MORE_CAREFUL))


class Days(msgspec.Struct, frozen=True):
    """What is remembered of a wearer: times worn in seconds, blows that were near a fall, and how near (log odds).

    ``moved_g_s`` is departure from 1 g, summed over the time worn.
    """

    worn_s: float = 0.0
    moved_g_s: float = 0.0
    near: float = 0.0
    beyond: float = 0.0

    def wore(self, seconds: float, moved_g: float) -> Self:
        """So much more time worn, in which the acceleration departed from 1 g by this on average."""
        kept = 1.0 if self.worn_s < LEARNED_FROM_S else 0.5 ** (seconds / _HALVED_IN_S)
        return msgspec.structs.replace(
            self,
            worn_s=self.worn_s * kept + seconds,
            moved_g_s=self.moved_g_s * kept + seconds * moved_g,
            near=self.near * kept,
            beyond=self.beyond * kept,
        )

    def dismissed(self, probability: float) -> Self:
        """A blow that was judged to be no fall, or a fall that was told and was none, as she said herself."""
        beyond = _log_odds(probability) - _log_odds(_NEAR)
        if beyond < 0:
            return self
        return msgspec.structs.replace(self, near=self.near + 1, beyond=self.beyond + beyond)


@dataclass(frozen=True, slots=True)
class Point:
    """The operating point and why: near falls in a day of wearing, false alarms to expect in an hour at this point,
    and the time worn that it is learned from, in hours."""

    threshold: float
    usual: float
    near_per_day: float
    false_per_h: float
    worn_h: float


def point(days: Days, within: Bounds) -> Point:
    """Where to stand with this wearer."""
    rate, spread = _rate_per_h(days, within.usual), _spread(days)
    near = _log_odds(_NEAR)
    wanted = near + spread * log(rate / AIM_PER_H)
    found = min(max(wanted, _log_odds(within.lowest)), _log_odds(within.highest))
    worn_h = days.worn_s / 3600
    return Point(
        threshold=_probability(found),
        usual=within.usual,
        near_per_day=24 * days.near / worn_h if worn_h else 0.0,
        false_per_h=rate * exp(-(found - near) / spread),
        worn_h=worn_h,
    )


def _rate_per_h(days: Days, usual: float) -> float:
    """Near falls in an hour of wearing, shrunk towards those of whom the usual point fits, the livelier the more."""
    prior = AIM_PER_H * exp((_log_odds(usual) - _log_odds(_NEAR)) / _SPREAD) * _liveliness(days)
    return (prior * _RATE_WEIGHS_H + days.near) / (_RATE_WEIGHS_H + days.worn_s / 3600)


def _liveliness(days: Days) -> float:
    """How much she moves beside an unknown wearer, 1 being the same; it counts for little once her blows are known."""
    worn_h = days.worn_s / 3600
    mean = (_INTENSITY_G * _INTENSITY_WEIGHS_H + days.moved_g_s / 3600) / (_INTENSITY_WEIGHS_H + worn_h)
    return min(max(mean / _INTENSITY_G, 1 / _MOST_LIVELY), _MOST_LIVELY)


def _spread(days: Days) -> float:
    return (_SPREAD * _SPREAD_WEIGHS + days.beyond) / (_SPREAD_WEIGHS + days.near)


def _log_odds(probability: float) -> float:
    p = min(max(probability, _CERTAIN), 1 - _CERTAIN)
    return log(p / (1 - p))


def _probability(log_odds: float) -> float:
    return 1 / (1 + exp(-log_odds))
