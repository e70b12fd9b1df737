"""Whether anybody wears the device, and whether it was the device alone that fell. Pure.

*Rest.* A device that lies on a table is as still as its sensor allows, and comes back to the very same direction after
whatever shook the table. A body does not: it breathes, its heart beats, it turns. So the sensor's noise is learned from
the stream (the quietest ten seconds so far), and what stays within twice that and within a third of a degree for
``NOT_WORN_S`` is not worn. Sets made to find time not worn take 13 mg over 30 to 60 minutes (van Hees et al., PLoS ONE
2011, 6(7):e22922); what is asked here is stricter. No long recording of a sleeping wrist was to be had here: that a
sound sleeper is never told apart from a table is not known, so who makes work of ``worn`` = 0 should do it by day.

*Dropped or thrown.* In flight a device weighs nothing, for sqrt(2 h / g): 0.20 s from 20 cm, 0.39 s from a table. Or it
spins, and feels the same small pull in the same direction all the while. A body that falls is held by its joints and
swings its arms: in the 1536 acted falls of SisFall, WEDA-FALL and SmartFallMM no sensor felt less than 0.2 g for longer
than 140 ms, nor the same pull of less than 0.5 g for longer than 350 ms. Only a flight *and* rest as on a table from
three seconds after the landing on make a dropped device. Who falls from a roof looks like that at first, and who falls out
of a bed in which she lay as still as a table like a device that is knocked off one. So either is a fall again when the
device stirs without being picked up.

What the readings mean, for whoever makes rules of them. ``worn`` 1 or 0 is told at changes only; nothing was told yet:
not known, taken as worn. ``device_dropped`` 1 is told once, up to eight seconds after the landing and dated by it, and
``worn`` 0 with it, dated when that was certain; ``worn`` 1 follows when it is worn again. So a dropped device that
nobody took up is a ``worn`` 0 that lasts. Whoever fell and was not up again is never told to be without her device.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from devices.falls.features import Samples, magnitude

Flags = npt.NDArray[np.bool_]

NOT_WORN_S: Final = 45 * 60
"""What rests for so long is not worn."""
CHARGED_S: Final = 10 * 60
"""What rests for so long while its battery is filled is not worn."""

_QUIETEST_S: Final = 10
_NOISES: Final = 2.0
_LEAST_NOISE_G: Final = 0.004
_MOST_NOISE_G: Final = 0.015
_MOST_NOISE_OF_A_DROP_G: Final = 0.008  # a noisier sensor cannot tell a table from a hand that lies on the floor
_SAME_G: Final = 0.006  # a third of a degree
_FOLLOWS: Final = 1 / 60  # a sensor drifts by a milli-g for each degree while it cools
_SHAKEN_S: Final = 5
_SHAKES: Final = 0.05

_MOVES_G: Final = 0.03
_WEARING_S: Final = 10
_OF_S: Final = 20

_WEIGHTLESS_G: Final = 0.2
_SPINNING_G: Final = 0.5
_SPINS_ALIKE_G: Final = 0.1
_FLIGHT_S: Final = 0.2
_SPIN_S: Final = 0.4
_BLOW_G: Final = 1.3
_LANDED_S: Final = 3
_RESTED_S: Final = 4
_LOOKED_BACK_S: Final = 5
_KEPT_S: Final = _LOOKED_BACK_S + _RESTED_S + 1

_STIRS_G: Final = 0.02
_TAKEN_UP_G: Final = 0.1
_TURNED_G: Final = 0.4
_TO_TAKE_UP_S: Final = 5


@dataclass(frozen=True, slots=True)
class WornEvent:
    """What became certain of the device itself; ``sample`` is when, as an index since the last interruption.

    ``worn`` and ``not_worn`` are told at changes. ``dropped``: the device fell or was thrown, and nobody in it;
    ``sample`` is its hardest blow, ``impact_g`` and ``flight_ms`` are its sizes. ``stirred``: what was called dropped,
    or was knocked while nobody wore it, moves where it lies, as only a body does.
    """

    kind: Literal["worn", "not_worn", "dropped", "stirred"]
    sample: int
    impact_g: float = 0.0
    flight_ms: float = 0.0


class Worn:
    """One device's. It thinks in whole seconds counted from the first sample: how samples are cut does not matter.

    ``worn`` is what is known so far, None for nothing. ``charging`` may be set at any time.
    """

    def __init__(self, rate_hz: int = 50, *, worn: bool | None = None) -> None:
        self.worn = worn
        self.charging = False
        self._rate_hz = rate_hz
        self._noise_g = inf
        self._fallen = False
        self._anchor: Samples | None = None
        self._rest_s = 0
        self._away_s = 0
        self._shaken_s = 0
        self.interrupt()

    def interrupt(self) -> None:
        """Samples are missing; they are counted from 0 again. What rests goes on resting if it then lies as it lay."""
        self._kept: Samples = np.empty((0, 3))
        self._first = 0
        self._now = 0
        self._spreads: deque[float] = deque(maxlen=_OF_S)
        self._still: list[Samples] = []
        self._off_until: int | None = None
        self._alone: range = range(0)
        self._lay: Samples | None = None
        self._lies: Samples | None = None
        self._stirred_s = 0

    def feed(self, samples: Samples) -> list[WornEvent]:
        """Take the next samples, (n, 3) in g, and return what became certain with them, oldest first."""
        self._kept = np.concatenate([self._kept, samples])
        events: list[WornEvent] = []
        while self._now + self._rate_hz <= self._first + len(self._kept):
            self._now += self._rate_hz
            events += self._think()
        self._forget()
        return events

    def fell(self) -> None:
        """Its wearer is thought to have fallen: she may lie as still as a table, and is not looked away from."""
        self._fallen = True

    def withheld(self) -> None:
        """A fall is taken for the device's own: whether it stirs where it lies is looked at from now on."""
        if self._lies is None:
            self._lies, self._stirred_s = self._lay, 0

    def was_alone(self, sample: int) -> bool:
        """Whether nobody was in the device when it took this blow: it was dropped, or had been lying about before."""
        return sample in self._alone

    def _think(self) -> list[WornEvent]:
        second = self._between(self._now - self._rate_hz, self._now)
        spread, mean = float(second.std(axis=0).max()), np.asarray(second.mean(axis=0))
        self._spreads.append(spread)
        self._learn_noise()
        self._note_still(spread, mean)
        self._note_rest(spread, mean)
        dropped, stirred = self._landed(), self._stirs(spread, mean)
        changed = self._becomes_worn(dropped is not None, stirred is not None)
        return [event for event in (dropped, stirred, changed) if event is not None]

    def _learn_noise(self) -> None:
        if len(self._spreads) >= _QUIETEST_S:
            self._noise_g = min(self._noise_g, sum(list(self._spreads)[-_QUIETEST_S:]) / _QUIETEST_S)

    @property
    def _quiet_g(self) -> float:
        return min(max(_NOISES * self._noise_g, _LEAST_NOISE_G), _MOST_NOISE_G)

    def _note_still(self, spread: float, mean: Samples) -> None:
        """The seconds at rest up to now, all in the direction of the first."""
        if spread > self._quiet_g:
            self._still = []
        elif self._still and _apart(mean, self._still[0]) <= _SAME_G:
            self._still = [*self._still[:_RESTED_S], mean]
        else:
            self._still = [mean]

    def _note_rest(self, spread: float, mean: Samples) -> None:
        """How long it has lain. A short shake now and then counts as rest when it lies afterwards exactly as before."""
        if self._anchor is not None and spread <= self._quiet_g and _apart(mean, self._anchor) <= _SAME_G:
            self._rest_s += 1 + self._away_s
            self._shaken_s += self._away_s
            self._away_s = 0
            self._anchor = self._anchor + (mean - self._anchor) * _FOLLOWS
        else:
            self._away_s += 1
        if self._anchor is None or self._away_s > _SHAKEN_S or self._shaken_s > _SHAKEN_S + _SHAKES * self._rest_s:
            self._anchor = mean if self._still else None
            self._rest_s = self._away_s = self._shaken_s = 0

    def _landed(self) -> WornEvent | None:
        """A drop, when the device has just rested for long enough after it."""
        if len(self._still) < _RESTED_S:
            return None
        off_until = self._off_until
        self._off_until = self._now if self.worn is False else None
        if (
            len(self._still) > _RESTED_S
            or self._fallen
            or max(list(self._spreads)[-_RESTED_S:]) > _MOST_NOISE_OF_A_DROP_G
        ):
            return None
        begin = self._now - _RESTED_S * self._rate_hz
        start = max(begin - _LOOKED_BACK_S * self._rate_hz, self._first)
        before = self._between(start, begin)
        flight = _flight(before, self._rate_hz)
        if flight and len(before) - flight.stop <= _LANDED_S * self._rate_hz:
            return self._dropped(start, flight, magnitude(before))
        if off_until is not None and begin - off_until <= (_LANDED_S + _SHAKEN_S) * self._rate_hz:
            self._alone, self._lay = range(off_until, begin), self._still[0]
        return None

    def _dropped(self, start: int, flight: range, g: Samples) -> WornEvent | None:
        blow = flight.start + int(g[flight.start :].argmax())
        if g[blow] < _BLOW_G:
            return None
        self._alone = range(start + flight.start, start + len(g))
        self._lies, self._lay, self._stirred_s = self._still[0], None, 0
        self._spreads.clear()
        return WornEvent("dropped", start + blow, float(g[blow]), 1000.0 * len(flight) / self._rate_hz)

    def _stirs(self, spread: float, mean: Samples) -> WornEvent | None:
        """Whether what was dropped turned where it lies, and nobody took it up within seconds."""
        if self._lies is None:
            return None
        if spread > _TAKEN_UP_G or _apart(mean, self._lies) > _TURNED_G:
            self._lies = None
        elif self._stirred_s or _apart(mean, self._lies) > _STIRS_G:
            self._stirred_s += 1
            if self._stirred_s > _TO_TAKE_UP_S:
                self._lies, self._fallen, self._rest_s = None, True, 0
                return WornEvent("stirred", self._now)
        return None

    def _becomes_worn(self, dropped: bool, stirred: bool) -> WornEvent | None:
        """What this second changes of whether it is worn."""
        moves = sum(spread > _MOVES_G for spread in self._spreads) >= _WEARING_S
        if moves:
            self._fallen, self._lies, self._lay = False, None, None
        if moves or stirred:
            return self._change(True)
        rests = self._rest_s >= (CHARGED_S if self.charging else NOT_WORN_S)
        return self._change(False) if dropped or (rests and not self._fallen) else None

    def _change(self, worn: bool) -> WornEvent | None:
        if worn is self.worn:
            return None
        self.worn = worn
        return WornEvent("worn" if worn else "not_worn", self._now)

    def _between(self, start: int, end: int) -> Samples:
        return self._kept[start - self._first : end - self._first].copy()

    def _forget(self) -> None:
        drop = self._now - _KEPT_S * self._rate_hz - self._first
        if drop > 0:
            self._kept = self._kept[drop:]
            self._first += drop


def _apart(one: Samples, other: Samples) -> float:
    return float(np.abs(one - other).max())


def _flight(samples: Samples, rate_hz: int) -> range | None:
    """The longest time for which these weighed nothing, or spun: long enough for a flight, or None."""
    runs = [*_runs(_weightless(samples, round(_FLIGHT_S * rate_hz)), round(_FLIGHT_S * rate_hz))]
    runs += _runs(_spinning(samples, round(_SPIN_S * rate_hz)), round(_SPIN_S * rate_hz))
    return max(runs, key=len, default=None)


def _weightless(samples: Samples, least: int) -> Flags:
    """Of every so many samples in a row whether they all weigh nothing."""
    if len(samples) < least:
        return np.zeros(0, np.bool_)
    return np.asarray(sliding_window_view(magnitude(samples), least).max(axis=1) < _WEIGHTLESS_G)


def _spinning(samples: Samples, least: int) -> Flags:
    """Of every so many samples in a row whether they are all pulled a little, in the same direction."""
    if len(samples) < least:
        return np.zeros(0, np.bool_)
    axes = sliding_window_view(samples, least, axis=0)
    alike = (axes.max(axis=2) - axes.min(axis=2)).max(axis=1) <= _SPINS_ALIKE_G
    return np.asarray(alike & (sliding_window_view(magnitude(samples), least).max(axis=1) < _SPINNING_G))


def _runs(flags: Flags, width: int) -> list[range]:
    """What the windows of this width cover that are so without a break."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [range(int(a), int(b) - 1 + width) for a, b in zip(edges[::2], edges[1::2], strict=True)]


class Charging:
    """Whether a battery is being filled, from its level alone: no gauge falls while it is, nor rises while it is not.

    Gauges waver by a percent or two, and rise a little when a radio rests: three percent within two hours are more.
    """

    _RISES_PCT: Final = 3.0
    _WITHIN: Final = timedelta(hours=2)

    def __init__(self, *, charging: bool = False) -> None:
        self.now = charging
        self._levels: deque[tuple[datetime, float]] = deque()

    def level(self, percent: float, at: datetime) -> bool:
        """Take a battery level in percent; whether it is being filled."""
        while self._levels and at - self._levels[0][0] > self._WITHIN:
            self._levels.popleft()
        if self._levels and percent < self._levels[-1][1]:
            self.now = False
            self._levels.clear()
        self._levels.append((at, percent))
        if percent - min(level for _, level in self._levels) >= self._RISES_PCT:
            self.now = True
        return self.now

    def worn(self) -> None:
        """It is worn again, so it hangs on no cable."""
        self.now = False
        self._levels.clear()
