"""What instruments make of a body: readings with their errors, flags, and what is kept against them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.cohort import figures as f
from alerts.cohort.draws import Bools, Draws, Floats, Ints
from alerts.cohort.episodes import MOVED, Episodes
from alerts.cohort.habits import Habits, until
from alerts.cohort.kinds import HOUR
from alerts.cohort.people import INSTRUMENTS, People
from alerts.cohort.vitals import Bodies, Moments
from devices.readings import METRICS, Quality

DEVICES: Final = len(INSTRUMENTS) + 2
"""Numbers of devices set aside for each resident."""
_INFLATIONS: Final = 5
"""Up to three in a row, one more when she is asked to repeat, and one standing."""
_ASKED: Final = 3
_STANDING: Final = 4
_STOOD: Final = 90
"""Seconds from standing up to that inflation. Assumed: within the three minutes of the definition."""
_PAUSE: Final = 75
"""Seconds from one inflation to the next: a minute's rest, and the inflation. Assumed."""
_REPEATS_AFTER: Final = {
    "cuff": (420, 900),
    "oximeter": (120, 480),
    "thermometer": (300, 900),
    "scale": (120, 600),
    "meter": (240, 600),
}
"""After how many seconds, at least and at most, she repeats a measurement when asked. Assumed."""
_BREATHES: Final = 0.3
"""The share of oximeters that also count breaths. Assumed."""
_SCALES: Final = {"below": 1.1, "above": 33.3}
"""Where a meter's scale ends, in mmol/L: common instruments*."""


class Fault(IntEnum):
    """What was wrong with a reading, which nobody but the cohort knows."""

    NONE = 0
    MOVED = 1
    LOOSE = 2
    SOMEBODY_ELSE = 3
    ARTEFACT = 4
    CLOCK = 5
    CLOTHES = 6
    MISTAKE = 7


@dataclass(frozen=True, slots=True)
class Readings:
    """Readings in columns of shape ``(m,)``; times in whole seconds since the cohort began.

    ``asked`` marks those that exist only if she is asked to measure again, ``place`` is the device's in ``INSTRUMENTS``.
    """

    row: NDArray[np.intp]
    metric: NDArray[np.int16]
    at: Ints
    received: Ints
    value: Floats
    quality: NDArray[np.int32]
    place: NDArray[np.int8]
    fault: NDArray[np.int8]
    asked: Bools

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, which: Bools | NDArray[np.intp]) -> Readings:
        return Readings(*(getattr(self, field.name)[which] for field in fields(self)))


def together(parts: Iterable[Readings]) -> Readings:
    """Readings of one people as one."""
    every = list(parts)
    return Readings(*(np.concatenate([getattr(one, field.name) for one in every]) for field in fields(Readings)))


class Instruments:
    """The instruments of these residents."""

    def __init__(self, draws: Draws, who: People, fate: Episodes, habits: Habits, bodies: Bodies, days: int) -> None:
        self._draws, self._who, self._habits, self._bodies = draws, who, habits, bodies
        self._outages, self._days = fate.of("outage"), days

    def readings(self) -> Readings:
        """All that they measure, also when asked to."""
        makers = {
            "cuff": self._cuff,
            "oximeter": self._oximeter,
            "thermometer": self._thermometer,
            "scale": self._scale,
            "meter": self._meter,
        }
        return together(make(self._habits.moments(instrument)) for instrument, make in makers.items())

    def _cuff(self, when: Moments) -> Readings:
        each, turn = self._again("cuff", when, self._habits.inflations())
        moves = self._bodies.moved(each)
        systolic, diastolic = self._bodies.pressure(each)
        irregular = self._bodies.known_irregular(each) | (_part(moves, "irregular") > 0)
        scale = self._who.daily_sd[each.row] / f.SYSTOLIC_DAILY_SD * np.where(irregular, 1.5, 1.0)
        noise = f.SYSTOLIC_READING_SD * scale * self._normal("systolic", each)
        first = (turn == 0) * (f.FIRST_READING + f.FIRST_DAYS * np.exp2(-each.day.astype(np.float64)))
        standing = self._standing(each, turn)
        systolic += _part(moves, "systolic") + noise + first + standing
        diastolic += _part(moves, "diastolic") + first / 3 + 0.4 * standing
        diastolic += f.DIASTOLIC_DAILY * (0.5 * noise + 0.85 * f.SYSTOLIC_READING_SD * self._normal("diastolic", each))
        pulse = self._pulse("cuff", each, moves, irregular)
        fault, quality = self._mishandled(each, turn, systolic, diastolic, pulse)
        flagged = self._uniform("flag", each) < np.where(irregular, f.IRREGULAR_SEEN, f.IRREGULAR_FALSE)
        flagged &= fault != Fault.SOMEBODY_ELSE
        quality |= np.where(flagged, int(Quality.IRREGULAR_PULSE), 0).astype(np.int32)
        systolic = np.clip(np.rint(systolic), 60, 250)
        diastolic = np.clip(np.rint(diastolic), 35, np.minimum(systolic - 12, 150))
        values = {"systolic": systolic, "diastolic": diastolic, "pulse": np.clip(np.rint(pulse), 30, 200)}
        at, fault = self._slow_clock(each, fault)
        measured = self._sent("cuff", each, values, fault, quality, turn == _ASKED, at)
        return together((measured, self._stood_up(each[turn == _STANDING])))

    def _stood_up(self, each: Moments) -> Readings:
        """She says that she stands up now, before she measures standing."""
        before = Moments(each.row, each.at - _STOOD, each.index)
        said = {"stood_up": np.ones(len(each))}
        return self._sent("cuff", before, said, *_faultless(each), np.zeros(len(each), np.bool_), before.at)

    def _standing(self, each: Moments, turn: Ints) -> Floats:
        """What standing up does to the systolic of the inflation after it."""
        falls = self._who.orthostatic[each.row]
        z = self._normal("standing", each)
        by = np.where(falls, f.ORTHOSTATIC_FALL + f.ORTHOSTATIC_FALL_SD * z, f.STANDING + f.STANDING_SD * z)
        return np.where(turn == _STANDING, by, 0.0)

    def _mishandled(
        self, each: Moments, turn: Ints, systolic: Floats, diastolic: Floats, pulse: Floats
    ) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
        """Spoil the values of inflations that went wrong, in place; what was wrong, and what the cuff says of it."""
        moved = self._uniform("moved", each) < f.CUFF_MOVED
        loose = ~moved & (self._uniform("loose", each) < f.CUFF_LOOSE)
        off = f.CUFF_MOVED_SD * self._normal("moved by", each)
        systolic += np.where(moved, off, 0) + np.where(loose, f.CUFF_LOOSE_RISE + 0.4 * off, 0)
        diastolic += np.where(moved, 0.6 * off, 0) + np.where(loose, 0.6 * f.CUFF_LOOSE_RISE, 0)
        other = self._somebody_else("cuff", each, turn)
        systolic[other] = (130 + 15 * self._normal("other systolic", each))[other]
        diastolic[other] = (77 + 8 * self._normal("other diastolic", each))[other]
        pulse[other] = (71 + 9 * self._normal("other pulse", each))[other]
        told = self._uniform("told", each) < f.CUFF_TELLS
        quality = np.where(moved & told, int(Quality.BODY_MOVEMENT), 0)
        quality = quality | np.where(loose & told, int(Quality.CUFF_TOO_LOOSE), 0)
        fault = np.where(moved, Fault.MOVED, np.where(loose, Fault.LOOSE, Fault.NONE))
        return np.where(other, Fault.SOMEBODY_ELSE, fault).astype(np.int8), quality.astype(np.int32)

    def _slow_clock(self, each: Moments, fault: NDArray[np.int8]) -> tuple[Ints, NDArray[np.int8]]:
        """A cuff whose clock nobody has set says too early a time, which the service cannot know."""
        wrong = self._draws.true("clock", f.CLOCK_WRONG)[each.row]
        hours = (1 + 8 * self._draws.uniform("clock by"))[each.row]
        shown = np.where(wrong, fault * 0 + Fault.CLOCK, fault).astype(np.int8)
        return each.at - np.where(wrong, hours * HOUR, 0).astype(np.int64), shown

    def _oximeter(self, when: Moments) -> Readings:
        each, turn = self._again("oximeter", when, np.ones(len(self._who), np.int64))
        moves = self._bodies.moved(each)
        irregular = self._bodies.known_irregular(each) | (_part(moves, "irregular") > 0)
        spo2 = self._bodies.oxygen(each) + _part(moves, "spo2") + f.OXYGEN_READING_SD * self._normal("spo2", each)
        artefact = self._uniform("cold", each) < f.OXYGEN_ARTEFACT
        spo2 -= np.where(artefact, -f.OXYGEN_ARTEFACT_SIZE * np.log(self._uniform("how cold", each)), 0)
        told = artefact & (self._uniform("doubted", each) < f.ARTEFACT_TOLD)
        breathing = self._bodies.breathing(each) + _part(moves, "respiratory_rate")
        breathes = self._draws.true("breathes", _BREATHES)[each.row]
        values = {
            "spo2": np.clip(np.rint(spo2), 60, 100),
            "pulse": np.clip(np.rint(self._pulse("oximeter", each, moves, irregular)), 30, 200),
            "respiratory_rate": np.where(breathes, np.rint(np.clip(breathing, 5, 60)), np.nan),
        }
        fault = np.where(artefact, Fault.ARTEFACT, Fault.NONE).astype(np.int8)
        quality = np.where(told, int(Quality.QUESTIONABLE), 0).astype(np.int32)
        return self._sent("oximeter", each, values, fault, quality, turn == _ASKED, each.at)

    def _thermometer(self, when: Moments) -> Readings:
        each, turn = self._again("thermometer", when, np.ones(len(self._who), np.int64))
        armpit = self._who.armpit[each.row]
        noise = np.where(armpit, f.ARMPIT_READING_SD, f.TEMPERATURE_READING_SD) * self._normal("temperature", each)
        found = self._bodies.temperature(each) + _part(self._bodies.moved(each), "body_temperature") + noise
        values = {"body_temperature": _tenths(np.clip(found - np.where(armpit, f.ARMPIT_LOWER, 0.0), 33, 42))}
        return self._sent("thermometer", each, values, *_faultless(each), turn == _ASKED, each.at)

    def _scale(self, when: Moments) -> Readings:
        each, turn = self._again("scale", when, np.ones(len(self._who), np.int64))
        found = self._bodies.weight(each) + _part(self._bodies.moved(each), "body_weight")
        clothes = self._uniform("clothes", each) < f.WEIGHT_CLOTHES
        found += np.where(clothes, 1.0 + 0.3 * self._normal("heavier", each), 0)
        other = self._somebody_else("scale", each, turn)
        found = np.where(other, 63 + 11 * self._normal("other weight", each), found)
        fault = np.where(other, Fault.SOMEBODY_ELSE, np.where(clothes, Fault.CLOTHES, Fault.NONE)).astype(np.int8)
        values = {"body_weight": _tenths(np.clip(found, 30, 180))}
        return self._sent("scale", each, values, fault, _faultless(each)[1], turn == _ASKED, each.at)

    def _meter(self, when: Moments) -> Readings:
        each, turn = self._again("meter", when, np.ones(len(self._who), np.int64))
        moved = _part(self._bodies.moved(each), "glucose")
        usual = self._bodies.glucose(each)
        # An episode of too little is told by its lowest value, whatever the day's would have been.
        low = self._who.usual["glucose"][each.row] + moved
        found = np.where(moved < 0, np.minimum(usual, np.maximum(low, 0.8)), usual + np.maximum(moved, 0))
        found = _tenths(found * (1 + f.GLUCOSE_METER * self._normal("meter", each)))
        below, above = found < _SCALES["below"], found > _SCALES["above"]
        values = {
            "glucose": np.where(below | above, np.nan, found),
            "glucose_below_scale": np.where(below, 1.0, np.nan),
            "glucose_above_scale": np.where(above, 1.0, np.nan),
        }
        return self._sent("meter", each, values, *_faultless(each), turn == _ASKED, each.at)

    def _pulse(self, instrument: str, each: Moments, moves: Floats, irregular: Bools) -> Floats:
        noise = np.where(irregular, f.PULSE_FIBRILLATION_SD, f.PULSE_READING_SD)
        found = self._bodies.pulse(each) + _part(moves, "pulse")
        return np.asarray(found + noise * self._normal(f"{instrument} pulse", each))

    def _again(self, instrument: str, when: Moments, number: Ints) -> tuple[Moments, Ints]:
        """Each moment as its measurements in a row, and the one that comes only if asked; with the turn of each."""
        times = number[when.row]
        turns = np.arange(_INFLATIONS)
        asked = self._draws.uniform_at(f"{instrument} asked", when.row, when.index) < f.REPEATS_WHEN_ASKED
        low, high = _REPEATS_AFTER[instrument]
        later = low + (high - low) * self._draws.uniform_at(f"{instrument} repeats after", when.row, when.index)
        happens = (turns < times[:, None]) & (turns < _ASKED)
        happens[:, _ASKED] = asked
        happens[:, _STANDING] = (
            (instrument == "cuff") & self._who.stands[when.row] & (when.day % 7 == 3) & ~when.evening
        )
        at = when.at[:, None] + turns * _PAUSE
        at[:, _ASKED] = when.at + (times - 1) * _PAUSE + later.astype(np.int64)
        at[:, _STANDING] = when.at + (times - 1) * _PAUSE + 60 + _STOOD
        moment, turn = np.nonzero(happens)
        each = Moments(when.row[moment], at[moment, turn], when.index[moment] * _INFLATIONS + turn)
        order = np.lexsort((each.at, each.row))
        return each[order], turn[order]

    def _sent(
        self,
        instrument: str,
        each: Moments,
        values: dict[str, Floats],
        fault: NDArray[np.int8],
        quality: NDArray[np.int32],
        asked: Bools,
        at: Ints,
    ) -> Readings:
        """The readings of measurements, NaN where there is none, as the service receives them."""
        received, quality = self._received(instrument, _session(each), quality)
        parts = []
        for metric, value in values.items():
            known = ~np.isnan(value)
            code = np.full(known.sum(), METRICS[metric].code, np.int16)
            place = np.full(known.sum(), INSTRUMENTS.index(instrument), np.int8)
            columns = (received[known], value[known], quality[known], place, fault[known], asked[known])
            parts.append(Readings(each.row[known], code, at[known], *columns))
        return together(parts)

    def _received(self, instrument: str, each: Moments, quality: NDArray[np.int32]) -> tuple[Ints, NDArray[np.int32]]:
        """When the service has each: soon, hours later, or when the gateway is back."""
        soon = 4 + 40 * self._uniform(f"{instrument} soon", each)
        late = self._uniform(f"{instrument} late", each) < f.ARRIVES_LATE
        hours = f.LATE * np.exp(0.8 * self._normal(f"{instrument} hours", each))
        came = each.at + np.where(late, hours * HOUR, soon).astype(np.int64)
        back = until(Moments(each.row, came, each.index), self._outages, self._days)
        caught_up = np.where(back > came, 60 + 240 * self._uniform(f"{instrument} caught up", each), 0)
        kept = late | (back > came)
        flagged = quality | np.where(kept, int(Quality.FROM_MEMORY), 0).astype(np.int32)
        return back + caught_up.astype(np.int64), flagged

    def _somebody_else(self, instrument: str, each: Moments, turn: Ints) -> Bools:
        """Whose measurements in a row are somebody else's. Who is asked to repeat is she."""
        other = self._uniform(f"{instrument} whose", _session(each)) < f.SOMEBODY_ELSE
        return other & self._who.with_others[each.row] & (turn < _ASKED)

    def _uniform(self, what: str, each: Moments) -> Floats:
        return self._draws.uniform_at(what, each.row, each.index)

    def _normal(self, what: str, each: Moments) -> Floats:
        return self._draws.normal_at(f"{what} read", each.row, each.index)


def _part(moves: Floats, metric: str) -> Floats:
    return moves[:, MOVED.index(metric)]


def _tenths(values: Floats) -> Floats:
    return np.asarray(np.rint(values * 10) / 10, np.float64)


def _session(each: Moments) -> Moments:
    """The measurements in a row numbered as one."""
    return Moments(each.row, each.at, each.index // _INFLATIONS)


def _faultless(each: Moments) -> tuple[NDArray[np.int8], NDArray[np.int32]]:
    return np.zeros(len(each), np.int8), np.zeros(len(each), np.int32)
