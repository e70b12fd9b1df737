"""The body from day to day: what would be measured without an instrument's error, ill or well. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from alerts.cohort import figures as f
from alerts.cohort.draws import Bools, Draws, Floats, Ints
from alerts.cohort.episodes import MOVED, Episodes
from alerts.cohort.kinds import DAY
from alerts.cohort.people import People

COLDEST: Final = 20
"""The day of the year, in the middle of January, on which pressure is highest (Hanazawa 2017; read: abstract)."""
_SLOW_DAYS: Final = 60.0
"""How long a slow wandering lasts. Assumed: a change of medicine, of habits, of weight."""
_SHARED: Final = 0.5
"""What part of a day's deviation morning and evening share. Assumed."""
_BOUTS: Final = 0.1
"""The share of days on which known atrial fibrillation that comes and goes is there. Assumed."""
_EVENING: Final = 14 * 3600


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments at which somebody is measured, in columns of shape ``(m,)``, sorted by resident and second.

    ``index`` numbers a resident's moments of one instrument in a way that no other moment changes.
    """

    row: NDArray[np.intp]
    at: Ints
    index: Ints

    def __len__(self) -> int:
        return len(self.row)

    def __getitem__(self, which: Bools | NDArray[np.intp]) -> Moments:
        return Moments(self.row[which], self.at[which], self.index[which])

    @property
    def day(self) -> Ints:
        """The day since the cohort began."""
        return self.at // DAY

    @property
    def evening(self) -> Bools:
        """Whether it is the later part of the day."""
        return self.at % DAY >= _EVENING


class Bodies:
    """The residents' bodies over the cohort's days; ``first`` is the day of the year on which it begins."""

    def __init__(self, draws: Draws, who: People, fate: Episodes, days: int, first: int) -> None:
        self._draws, self._who, self._fate, self._days = draws, who, fate, days
        year = 2 * np.pi * (first + np.arange(days) - COLDEST) / 365.25
        self._winter = np.cos(year) / 2
        self._untaken = self._doses()
        self._slow = {
            "systolic": self._wandering("systolic", f.SYSTOLIC_YEARLY_SD),
            "body_weight": self._wandering("weight", f.WEIGHT_YEARLY_SD),
        }

    def moved(self, when: Moments) -> Floats:
        """What illness adds, shape ``(m, len(MOVED))``."""
        fate, m = self._fate, len(when)
        span = np.int64((self._days + 1) * DAY)
        key = when.row * span + when.at
        low = np.searchsorted(key, fate.row * span + fate.onset)
        high = np.searchsorted(key, fate.row * span + fate.end, side="right")
        number = np.where(fate.moves.any(axis=1), high - low, 0)
        which = np.repeat(np.arange(len(fate)), number)
        place = np.arange(number.sum()) - np.repeat(np.cumsum(number) - number, number) + np.repeat(low, number)
        course = fate.course(which, when.at[place])
        by = [np.bincount(place, course * fate.moves[which, j], minlength=m) for j in range(len(MOVED))]
        return np.column_stack(by)

    def pressure(self, when: Moments) -> tuple[Floats, Floats]:
        """Systolic and diastolic, without illness."""
        who, row, day = self._who, when.row, when.day
        scale = who.daily_sd[row] / f.SYSTOLIC_DAILY_SD
        sd = np.sqrt(f.SYSTOLIC_DAILY_SD**2 - f.SYSTOLIC_READING_SD**2 - f.SYSTOLIC_YEARLY_SD**2 * _within_month())
        z, other = self._daily("systolic", when), self._daily("diastolic", when)
        slow = self._slow["systolic"][row, day] + self._untaken[row, day]
        season = self._winter[day]
        evening = when.evening * who.evening[row]
        systolic = who.usual["systolic"][row] + slow + f.SEASON * season + evening + sd * scale * z
        mixed = f.PRESSURE_TOGETHER * z + np.sqrt(1 - f.PRESSURE_TOGETHER**2) * other
        diastolic = who.usual["diastolic"][row] + 0.5 * (slow + evening) + f.SEASON_DIASTOLIC * season
        return systolic, diastolic + f.DIASTOLIC_DAILY * sd * scale * mixed

    def pulse(self, when: Moments) -> Floats:
        """The pulse, without new illness."""
        known = self.known_irregular(when)
        daily = f.PULSE_DAILY_SD * self._daily("pulse", when)
        return np.asarray(self._who.usual["pulse"][when.row] + f.PULSE_FIBRILLATION * known + daily)

    def known_irregular(self, when: Moments) -> Bools:
        """Whether atrial fibrillation that is known is there."""
        who = self._who
        bout = who.has["atrial_fibrillation"][when.row] & (self._draws.uniform_at("bouts", when.row, when.day) < _BOUTS)
        return who.permanent[when.row] | bout

    def oxygen(self, when: Moments) -> Floats:
        """SpO2, without new illness."""
        sd = np.where(self._who.has["copd"][when.row], f.OXYGEN_DAILY_SD_COPD, f.OXYGEN_DAILY_SD)
        return np.asarray(self._who.usual["spo2"][when.row] + sd * self._daily("spo2", when))

    def temperature(self, when: Moments) -> Floats:
        """Of mouth or ear, without illness."""
        usual = self._who.usual["body_temperature"][when.row] + f.TEMPERATURE_EVENING * when.evening
        return np.asarray(usual + f.TEMPERATURE_DAILY_SD * self._daily("temperature", when))

    def weight(self, when: Moments) -> Floats:
        """In the usual clothes, without illness."""
        slow = self._slow["body_weight"][when.row, when.day]
        daily = f.WEIGHT_DAILY_SD * self._daily("weight", when)
        return np.asarray(self._who.usual["body_weight"][when.row] + slow + daily)

    def glucose(self, when: Moments) -> Floats:
        """In the blood, never too low of itself."""
        insulin = self._who.has["insulin"][when.row]
        spread = np.where(insulin, f.GLUCOSE_DAILY_INSULIN, f.GLUCOSE_DAILY)
        meal = np.where(when.evening, f.GLUCOSE_MEAL, 1.0)
        found = self._who.usual["glucose"][when.row] * meal * np.exp(spread * self._daily("glucose", when))
        return np.asarray(np.maximum(found, f.GLUCOSE_LEAST))

    def breathing(self, when: Moments) -> Floats:
        """Breaths a minute, without new illness."""
        daily = f.BREATHING_DAILY_SD * self._daily("breathing", when)
        return np.asarray(self._who.usual["respiratory_rate"][when.row] + daily)

    def _daily(self, what: str, when: Moments) -> Floats:
        """A day's deviation, of which morning and evening share a part; SD 1."""
        day = self._draws.normal_at(f"{what} of the day", when.row, when.day)
        half = self._draws.normal_at(f"{what} of the half", when.row, 2 * when.day + when.evening)
        return np.asarray(np.sqrt(_SHARED) * day + np.sqrt(1 - _SHARED) * half)

    def _wandering(self, what: str, sd: float) -> Floats:
        """A slow walk that comes back (autoregressive of order 1), shape ``(n, days)``."""
        kept = np.exp(-1 / _SLOW_DAYS)
        steps = sd * self._draws.normal(f"{what} slowly", self._days)
        steps[:, 1:] *= np.sqrt(1 - kept**2)
        for day in range(1, self._days):
            steps[:, day] += kept * steps[:, day - 1]
        return steps

    def _doses(self) -> Floats:
        """What forgotten medicine adds to the systolic, shape ``(n, days)``."""
        missed = self._draws.true("dose", f.DOSE_MISSED, self._days) & self._who.treated[:, None]
        left = np.where(missed, float(f.DOSE_EFFECT), 0.0)
        for day in range(1, self._days):
            left[:, day] += left[:, day - 1] * (2 / 3)
        return left


def _within_month() -> float:
    """The share of a slow wandering's variance that four weeks show."""
    return 0.2
