"""What is told beside measurements: falls, calls, a morning without movement, batteries, silences. Pure.

What the service finds out itself (a silent gateway, a silent or an unworn device) is made here as its ear for silence
would tell it, only not every quarter of an hour but when it has grown by a step.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.cohort import figures as f
from alerts.cohort.draws import Bools, Draws, Floats, Ints
from alerts.cohort.episodes import Episodes, battery
from alerts.cohort.habits import until, within
from alerts.cohort.instruments import Fault, Readings, together
from alerts.cohort.kinds import DAY, HOUR
from alerts.cohort.people import INSTRUMENTS, People
from alerts.cohort.vitals import Moments
from devices.readings import METRICS

SENSOR: Final = len(INSTRUMENTS)
"""The place of the motion sensors, behind the instruments."""
GATEWAY: Final = len(INSTRUMENTS) + 1
"""The place of the gateway, for which the service speaks."""
_WEARABLE: Final = INSTRUMENTS.index("wearable")
_WATCHED_FLATS: Final = 0.5
"""The share of flats with motion sensors. Assumed."""
_JUDGED: Final = 8
"""Seconds after the blow at which a fall is told (docs/falls.md)."""
_CONFIRMED: Final = 38
"""Seconds after the blow at which it is confirmed when she is not up (docs/falls.md)."""
_LONG_LIES: Final = (600, 1800, 3600)
"""Seconds on the floor at which the gateway says so (docs/falls.md)."""
_PRESSES: Final = 0.2
"""The share of those on the floor who use their button: Fleming and Brayne 2008 (read: abstract) has most not doing so."""
_GATEWAY_STEPS: Final = np.array([0.25, 0.5, 1, 2, 3, 4, 6, 8, 12, 18, 24, 36, 48, 72, 96, 144, 240])
_UNWORN_STEPS: Final = np.array([1.0, 2, 3, 4, 6, 8, 12])
_DEVICE_STEPS: Final = np.array([1.0, 1.5, 2, 3, 5, 8, 13, 21])
_FEWEST: Final = 5
_REMEMBERED: Final = 28 * DAY
_UNKNOWN_PAUSE: Final = 5 * DAY
"""What a silent device is given while its rhythm is not known, as alerts/rhythm.py has it."""
_SESSION: Final = 3 * HOUR
_FALSE_STILL: Final = 1.0
"""Mornings a year told as still for nothing. Assumed."""
_STILL_WHEN_ILL: Final = 0.15
"""The share of mornings of a bad infection spent in bed. Assumed."""
_MOST: Final = 60


class Home:
    """The flats of these residents, and what the service finds out of their devices."""

    def __init__(self, draws: Draws, who: People, fate: Episodes, days: int) -> None:
        self._draws, self._who, self._fate, self._days = draws, who, fate, days
        self._outages, self._unworn = fate.of("outage"), fate.of("unworn")
        self._sensors = draws.true("sensors", _WATCHED_FLATS)

    def readings(self, measured: Readings) -> Readings:
        """All that is told; ``measured`` are the readings of the instruments."""
        told = (
            self._falls(),
            self._no_falls(),
            self._calls(),
            self._still(),
            self._batteries(),
            self._gateways(),
            self._left_off(),
            self._silences(measured),
        )
        return together(told)

    def _falls(self) -> Readings:
        """True falls: what the wearable tells of them, and the button pressed on the floor."""
        fate = self._fate.of("fall", "fall_down")
        worn = self._draws.uniform_at("worn", fate.row, fate.onset) < f.FALL_WORN
        worn &= self._who.owns["wearable"][fate.row]
        worn &= ~within(Moments(fate.row, fate.onset, fate.onset), self._unworn, self._days)
        told = worn & (self._draws.uniform_at("told", fate.row, fate.onset) < f.FALL_TOLD)
        seen, lies = fate[told], fate.end[told] - fate.onset[told]
        parts = [
            self._event("fall", seen.row, seen.onset, 0.97, delay=_JUDGED),
            self._event(
                "fall_confirmed", seen.row[lies > _CONFIRMED], seen.onset[lies > _CONFIRMED] + _CONFIRMED, 0.97
            ),
            self._event("fall_recovered", seen.row, seen.end, 1.0),
            *(self._event("long_lie", seen.row[lies > s], seen.onset[lies > s] + s, 1.0) for s in _LONG_LIES),
            self._moving(fate.row, fate.end),
        ]
        down = self._fate.of("fall_down")
        presses = self._draws.uniform_at("presses", down.row, down.onset) < _PRESSES
        return together([*parts, self._event("help_call", down.row[presses], down.onset[presses] + 180, 1.0)])

    def _no_falls(self) -> Readings:
        """Falls told that were none: she walks on, says that she is well, or is seen to be up some minutes later."""
        yearly = f.FALL_FALSE * 52.18 * self._who.owns["wearable"] * self._who.rate
        row, at = self._at_random("false fall", yearly)
        on = ~within(Moments(row, at, at), self._unworn, self._days)
        row, at = row[on], at[on]
        goes_on, says = (self._draws.uniform_at(f"false fall {what}", row, at) for what in ("walks", "says"))
        walks, says_well = goes_on < f.FALL_FALSE_WALKS, says < 0.5
        quick = self._draws.uniform_at("false fall after", row, at)
        well = ~walks & says_well
        late = ~walks & ~says_well
        parts = (
            self._event("fall", row, at, 0.97, delay=_JUDGED, fault=Fault.MISTAKE),
            self._event("fall_recovered", row[walks], (at + 10 + 18 * quick).astype(np.int64)[walks], 1.0),
            self._event("said_well", row[well], (at + 14 + 60 * quick).astype(np.int64)[well], 1.0),
            self._event("fall_confirmed", row[late], at[late] + _CONFIRMED, 0.97, fault=Fault.MISTAKE),
            self._event("fall_recovered", row[late], (at + 90 + 400 * quick).astype(np.int64)[late], 1.0),
            self._moving(row, at),
        )
        return together(parts)

    def _moving(self, row: NDArray[np.intp], since: Ints) -> Readings:
        """Who walks is seen by a motion sensor, where there is one: told only for the hour after a fall."""
        here = self._sensors[row]
        row, since = row[here], since[here]
        steps = np.arange(1, 7) * 600
        at = since[:, None] + steps - (500 * self._draws.uniform_at("moving", row, since)).astype(np.int64)[:, None]
        return self._event("movement", np.repeat(row, len(steps)), at.ravel(), 1.0, place=SENSOR)

    def _calls(self) -> Readings:
        calls = self._fate.of("call")
        row, at = self._at_random("false call", f.CALLS_FALSE * self._who.rate)
        true = self._event("help_call", calls.row, calls.onset, 1.0)
        return together((true, self._event("help_call", row, at, 1.0, fault=Fault.MISTAKE)))

    def _still(self) -> Readings:
        """Mornings on which nobody has moved, told at ten o'clock."""
        morning = np.zeros((len(self._who), self._days), np.bool_)
        false = self._draws.true("false stillness", _FALSE_STILL / 365.25, self._days)
        down = self._fate.of("fall_down")
        lying = (down.onset % DAY < 10 * HOUR) & (down.onset % DAY > 3 * HOUR)
        lying &= (down.end - down.onset) + down.onset % DAY > 10 * HOUR
        morning[down.row[lying], np.minimum(down.onset[lying] // DAY, self._days - 1)] = True
        ill = self._fate.of("infection", "exacerbation")
        in_bed = self._draws.uniform_at("in bed", ill.row, ill.onset) < _STILL_WHEN_ILL
        morning[ill.row[in_bed], np.minimum(ill.peak[in_bed] // DAY, self._days - 1)] = True
        row, day = np.nonzero((morning | false) & self._sensors[:, None])
        fault = np.where(morning[row, day], Fault.NONE, Fault.MISTAKE).astype(np.int8)
        up = day * DAY + 10 * HOUR + (4 * HOUR * self._draws.uniform_at("rises late", row, day)).astype(np.int64)
        told = self._event("inactivity", row, day * DAY + 10 * HOUR, 1.0, place=SENSOR, fault=fault)
        return together((told, self._event("activity_resumed", row, up, 1.0, place=SENSOR)))

    def _batteries(self) -> Readings:
        """Each instrument's charge once a week, while it has any."""
        parts = []
        for place, instrument in enumerate(INSTRUMENTS):
            if instrument == "wearable":
                continue
            one = battery(self._draws, instrument)
            weekday = (7 * self._draws.uniform(f"{instrument} tells")).astype(np.int64)
            due = (np.arange(self._days) % 7 == weekday[:, None]) & self._who.owns[instrument][:, None]
            row, day = np.nonzero(due)
            at = day * DAY + 8 * HOUR
            level = np.rint(one.level(row, at) + 1.5 * self._draws.normal_at(f"{instrument} charge", row, day))
            alive = (at < one.empty[row]) | (at >= one.new[row])
            parts.append(self._event("battery", row[alive], at[alive], np.clip(level[alive], 1, 100), place=place))
        return together(parts)

    def _gateways(self) -> Readings:
        fate = self._outages
        return self._growing(
            "gateway_silence", fate.row, fate.onset, fate.end, HOUR * np.ones(len(fate)), _GATEWAY_STEPS, GATEWAY
        )

    def _left_off(self) -> Readings:
        fate = self._unworn
        return self._growing(
            "not_worn", fate.row, fate.onset, fate.end, HOUR * np.ones(len(fate)), _UNWORN_STEPS, _WEARABLE
        )

    def _silences(self, measured: Readings) -> Readings:
        """Each instrument's silence in its own longest usual pauses, roughly as alerts/rhythm.py would have it."""
        parts = []
        for place, instrument in enumerate(INSTRUMENTS):
            if instrument != "wearable":
                mine = measured[(measured.place == place) & ~measured.asked]
                order = np.lexsort((mine.received, mine.row))
                parts.append(self._pauses(place, mine.row[order], mine.received[order]))
        return together(parts)

    def _pauses(self, place: int, row: NDArray[np.intp], at: Ints) -> Readings:
        until_end = self._days * DAY
        users = np.unique(row)
        rows = np.concatenate((row, users))
        times = np.concatenate((at, np.full(len(users), until_end)))
        order = np.lexsort((times, rows))
        rows, times = rows[order], times[order]
        gap = np.diff(times)
        kept = (rows[1:] == rows[:-1]) & (gap > _SESSION)
        begin, end, whose = times[:-1][kept], times[1:][kept], rows[:-1][kept]
        pause = _usual_pause(whose, (end - begin).astype(np.float64), len(self._who))
        return self._growing("device_silence", whose, begin, end, pause[whose], _DEVICE_STEPS, place, last=until_end)

    def _growing(
        self,
        metric: str,
        row: NDArray[np.intp],
        begin: Ints,
        end: Ints,
        unit: Floats,
        steps: Floats,
        place: int,
        *,
        last: int | None = None,
    ) -> Readings:
        """A silence told at each step it grows by, in ``unit`` seconds, and at its end as nothing."""
        at = begin[:, None] + np.rint(unit[:, None] * steps).astype(np.int64)
        which, step = np.nonzero(at < end[:, None])
        grown = self._event(metric, row[which], at[which, step], steps[step], place=place, delay=0, by_service=True)
        over = np.unique(which)
        over = over if last is None else over[end[over] < last]
        return together((grown, self._event(metric, row[over], end[over], 0.0, place=place, delay=0, by_service=True)))

    def _at_random(self, what: str, yearly: Floats) -> tuple[NDArray[np.intp], Ints]:
        """Moments drawn evenly, in the waking part of the day."""
        count = self._draws.poisson(f"{what} count", yearly * self._days / 365.25, _MOST)
        row, slot = np.nonzero(np.arange(_MOST) < count[:, None])
        day = np.floor(self._draws.uniform(f"{what} day", _MOST)[row, slot] * self._days)
        hour = 6 + 17 * self._draws.uniform(f"{what} hour", _MOST)[row, slot]
        return row, (day * DAY + hour * HOUR).astype(np.int64)

    def _event(
        self,
        metric: str,
        row: NDArray[np.intp],
        at: Ints,
        value: Floats | float,
        *,
        place: int = _WEARABLE,
        delay: int = 1,
        fault: Fault | NDArray[np.int8] = Fault.NONE,
        by_service: bool = False,
    ) -> Readings:
        """Readings of one metric; what the gateway tells waits while it is away."""
        m = len(row)
        came = at + delay
        if not by_service:
            back = until(Moments(row, came, at), self._outages, self._days)
            came = np.where(back > came, back + 60, came)
        code = np.full(m, METRICS[metric].code, np.int16)
        values = np.broadcast_to(np.asarray(value, np.float64), m).copy()
        faults = np.broadcast_to(np.asarray(fault, np.int8), m).copy()
        quality, places = np.zeros(m, np.int32), np.full(m, place, np.int8)
        return Readings(row, code, at, came, values, quality, places, faults, np.zeros(m, np.bool_))


def _usual_pause(row: NDArray[np.intp], gap: Floats, n: int) -> Floats:
    """The ninth decile of each resident's gaps, no less than their mean; or what is given where there are too few."""
    order = np.lexsort((gap, row))
    count = np.bincount(row, minlength=n)
    span = np.bincount(row, gap, minlength=n)
    start = np.cumsum(count) - count
    place = start + (0.9 * np.maximum(count - 1, 0)).astype(np.int64)
    known: Bools = count * _REMEMBERED >= _FEWEST * np.maximum(span, 1)
    known &= count >= _FEWEST
    found = np.full(n, float(_UNKNOWN_PAUSE))
    found[known] = np.maximum(gap[order][place[known]], span[known] / count[known])
    return found
