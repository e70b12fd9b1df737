"""Whether people measure: when they should, when they do, when they are away, and when they feel ill. Pure.

Nobody has published how old people at home measure hour by hour; the schedules here are assumed, the share that is
kept is published (:mod:`alerts.cohort.figures`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from alerts.cohort import figures as f
from alerts.cohort.draws import Bools, Draws, Ints
from alerts.cohort.episodes import IN_HOSPITAL, Episodes
from alerts.cohort.kinds import DAY, HOUR
from alerts.cohort.people import People
from alerts.cohort.vitals import Moments

SLOTS: Final = 4
"""A day's moments with one instrument: morning, evening, because of an illness, because of a feeling."""
_ILL: Final = ("crisis", "overtreated", "decompensation", "exacerbation", "infection", "hyperglycaemia")
_AFTER: Final = {"cuff": 0, "scale": -600, "oximeter": 420, "thermometer": 600, "meter": 300}
"""Seconds after the cuff at which she takes up another instrument."""
_TWICE_A_WEEK: Final = np.array([False, True, False, False, True, False, False])


class Habits:
    """When these residents measure with what."""

    def __init__(self, draws: Draws, who: People, fate: Episodes, days: int) -> None:
        self._draws, self._who, self._fate, self._days = draws, who, fate, days
        self._ill = self._illness()
        self.away = self._absence()
        self._does = self._willing() & ~self.away
        self._morning = (7.5 + 0.8 * draws.normal("rises"))[:, None] + 0.5 * draws.normal("rises today", days)
        self._evening = (19.8 + 0.9 * draws.normal("evening hour"))[:, None] + 0.6 * draws.normal("later today", days)

    def moments(self, instrument: str) -> Moments:
        """The moments at which each takes up this instrument."""
        due = np.zeros((len(self._who), self._days, SLOTS), np.bool_)
        due[:, :, :2] = self._schedule(instrument) & self._does[:, :, None]
        due[:, :, :2] &= self._draws.uniform(f"{instrument} forgotten", self._days, 2) > 0.04
        due[:, :, 2] = self._because_ill(instrument)
        due &= self._who.owns[instrument][:, None, None]
        hour = np.stack(
            (self._morning, self._evening, 9 + 12 * self._draws.uniform(f"ill at {instrument}", self._days)), axis=2
        )
        row, day, slot = np.nonzero(due[:, :, :3])
        at = day * DAY + (np.clip(hour[row, day, slot], 4, 23.5) * HOUR).astype(np.int64) + _AFTER[instrument]
        found = Moments(row, at, day * SLOTS + slot)
        return self._working(instrument, _merged(found, self._felt()) if instrument == "meter" else _merged(found))

    def inflations(self) -> Ints:
        """How many times each inflates her cuff in a row, shape ``(n,)``. Assumed."""
        drawn = self._draws.uniform("inflations")
        return np.where(drawn < 0.35, 1, np.where(drawn < 0.85, 2, 3))

    def _schedule(self, instrument: str) -> Bools:
        """The planned mornings and evenings, shape ``(n, days, 2)``."""
        has, n = self._who.has, len(self._who)
        keen = self._draws.uniform(f"{instrument} plan")
        weekday = (np.arange(self._days)[None, :] + (7 * self._draws.uniform("weekday")).astype(int)[:, None]) % 7
        twice_a_week, weekly = _TWICE_A_WEEK[weekday], weekday == 1
        watched = has["hypertension"] | has["heart_failure"]
        daily, evening = {
            "cuff": (np.where(watched, keen < 0.8, keen < 0.4), watched & (keen < 0.5)),
            "oximeter": (has["copd"] | has["heart_failure"], np.zeros(n, np.bool_)),
            "thermometer": (keen < 0.05, np.zeros(n, np.bool_)),
            "scale": (has["heart_failure"], np.zeros(n, np.bool_)),
            "meter": (has["insulin"] | has["sulfonylurea"], has["insulin"]),
        }[instrument]
        seldom = weekly & (keen < 0.3)[:, None] if instrument == "thermometer" else twice_a_week
        seldom = weekly if instrument == "scale" else seldom
        morning = daily[:, None] | seldom
        return np.stack((morning, np.broadcast_to(evening[:, None], morning.shape)), axis=2)

    def _willing(self) -> Bools:
        """Whether she measures at all today: yesterday's mood, or a new one; less so when ill."""
        new = self._draws.uniform("mood", self._days) < self._who.measures[:, None]
        keeps = self._draws.uniform("mood stays", self._days) < f.FORGETS_AGAIN
        for day in range(1, self._days):
            new[:, day] = np.where(keeps[:, day], new[:, day - 1], new[:, day])
        weak = self._ill & (self._draws.uniform("too weak", self._days) < f.FALLS_SILENT)
        return np.asarray(new & ~weak)

    def _because_ill(self, instrument: str) -> Bools:
        if instrument == "scale":
            return np.zeros_like(self._ill)
        feels = self._draws.uniform("feels ill", self._days) < f.FEELS_ILL
        takes = self._draws.uniform(f"takes {instrument}", self._days) < 0.7
        return self._ill & feels & takes & ~self.away

    def _illness(self) -> Bools:
        """The days on which an illness is at half of its worst or more, shape ``(n, days)``."""
        ill = np.zeros((len(self._who), self._days + 1), np.int32)
        fate = self._fate.of(*_ILL)
        begin = (fate.onset + fate.peak) // 2 // DAY
        end = (fate.fading + fate.end) // 2 // DAY + 1
        np.add.at(ill, (fate.row, np.minimum(begin, self._days)), 1)
        np.add.at(ill, (fate.row, np.minimum(end, self._days)), -1)
        return np.cumsum(ill, axis=1)[:, :-1] > 0

    def _absence(self) -> Bools:
        """The days away from home, on holiday or in hospital, shape ``(n, days)``."""
        away = np.zeros((len(self._who), self._days + 1), np.int32)
        count = self._draws.poisson("holidays", f.HOLIDAYS * self._days / 365.25 * np.ones(len(self._who)), 6)
        row, slot = np.nonzero(np.arange(6) < count[:, None])
        begin = (self._draws.uniform("holiday begins", 6)[row, slot] * self._days).astype(np.int64)
        length = np.rint(self._draws.lognormal("holiday", f.HOLIDAY, 0.7, 6)[row, slot]).astype(np.int64)
        taken = self._fate[self._fate.admitted]
        row = np.concatenate((row, taken.row))
        begin = np.concatenate((begin, taken.end // DAY + 1))
        length = np.concatenate((length, np.full(len(taken), IN_HOSPITAL // DAY)))
        np.add.at(away, (row, np.minimum(begin, self._days)), 1)
        np.add.at(away, (row, np.minimum(begin + length, self._days)), -1)
        return np.cumsum(away, axis=1)[:, :-1] > 0

    def _felt(self) -> Moments:
        """Hypoglycaemia that is felt is measured, soon after its lowest point has begun."""
        fate = self._fate.of("hypoglycaemia")
        felt = self._draws.uniform_at("felt", fate.row, fate.onset) < f.HYPOGLYCAEMIA_FELT
        fate = fate[felt]
        at = fate.peak + (600 * self._draws.uniform_at("felt after", fate.row, fate.onset)).astype(np.int64)
        inside = (at < self._days * DAY) & ~self.away[fate.row, np.minimum(at // DAY, self._days - 1)]
        return Moments(fate.row, at, at // DAY * SLOTS + 3)[inside & self._who.owns["meter"][fate.row]]

    def _working(self, instrument: str, when: Moments) -> Moments:
        """Without those at which the instrument has no power."""
        return when[~within(when, self._fate.of(f"{instrument}_empty"), self._days)]


def within(when: Moments, fate: Episodes, days: int) -> Bools:
    """Whether each moment lies in one of its resident's episodes, which do not overlap."""
    return _covering(when, fate, days) >= 0


def until(when: Moments, fate: Episodes, days: int) -> Ints:
    """The end of the episode in which each moment lies, or the moment itself."""
    which = _covering(when, fate, days)
    return np.where(which >= 0, fate.end[which] if len(fate) else when.at, when.at)


def _covering(when: Moments, fate: Episodes, days: int) -> Ints:
    if not len(fate):
        return np.full(len(when), -1)
    fate_key = fate.row * np.int64((days + 1) * DAY) + fate.onset
    order = np.argsort(fate_key, kind="stable")
    key = when.row * np.int64((days + 1) * DAY) + when.at
    before = np.searchsorted(fate_key[order], key, side="right") - 1
    which = order[np.maximum(before, 0)]
    inside = (before >= 0) & (fate.row[which] == when.row) & (when.at < fate.end[which])
    return np.where(inside, which, -1)


def _merged(*parts: Moments) -> Moments:
    row, at, index = (np.concatenate([getattr(one, name) for one in parts]) for name in ("row", "at", "index"))
    return Moments(row, at, index)[np.lexsort((at, row))]
