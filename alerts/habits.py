"""What is known of every device that ever spoke or should have: columns that grow, and which of their rows have changed."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from alerts import rhythm
from alerts.rhythm import Pace
from store import silence
from store.postgres import Connection
from store.silence import Habits

Columns = TypeVar("Columns", Habits, Pace)

_LONG_AGO: Final = np.datetime64(0, "us")
_AT_ONCE: Final = 1000


def find(keys: NDArray[Any], wanted: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where each of ``wanted`` stands among ``keys``, which are in order, and whether it does at all."""
    if not len(keys):
        return np.zeros(len(wanted), np.intp), np.zeros(len(wanted), np.bool_)
    row = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return row, keys[row] == wanted


def picked(values: NDArray[Any], row: NDArray[np.intp], there: NDArray[np.bool_], otherwise: Any) -> NDArray[Any]:
    """``values[row]`` where it is there."""
    found = np.full(len(row), otherwise, values.dtype)
    found[there] = values[row[there]]
    return found


class Known:
    """Every device that ever spoke or should have, by number: columns of shape ``(n,)``, and the pace of each."""

    def __init__(self, habits: Habits) -> None:
        self._habits = habits
        self._changed = np.zeros(len(habits.device), np.bool_)
        self.pace = rhythm.unknown(len(habits.device))

    @property
    def device(self) -> NDArray[np.int32]:
        return self._habits.device

    @property
    def resident(self) -> NDArray[np.int32]:
        """Whose each is, or was when somebody was last watched through it."""
        return self._habits.resident

    @property
    def told(self) -> NDArray[np.float64]:
        return self._habits.told

    @property
    def spoke(self) -> NDArray[np.bool_]:
        """Whether each ever spoke."""
        found: NDArray[np.bool_] = self._habits.newest > _LONG_AGO
        return found

    def expect(self, device: NDArray[np.int32]) -> None:
        """These devices should speak, whether or not they ever did."""
        self._make_room(np.unique(device))

    def note(self, device: NDArray[np.int32], at: NDArray[np.datetime64], *, measured: bool) -> None:
        """These devices spoke at these moments: ``measured`` something, or were only heard.

        To be heard says nothing of a device that measures, and its first measurement begins its rhythm anew.
        """
        self._make_room(np.unique(device))
        row, _ = find(self.device, device)
        us, newest = _us(at), _us(self._habits.newest)
        new = rhythm.slot(us) != rhythm.slot(newest[row])
        new = new | ~self._habits.measures[row] if measured else new & (us > newest[row]) & ~self._habits.measures[row]
        row, us = row[new], us[new]
        if not len(row):
            return
        order = np.argsort(row, kind="stable")
        rows, starts = np.unique(row[order], return_index=True)
        for which, moments in zip(rows.tolist(), np.split(us[order], starts[1:]), strict=True):
            self._speak(which, moments, measured=measured)

    def _speak(self, row: int, moments: NDArray[np.int64], *, measured: bool) -> None:
        habits = self._habits
        newest = int(habits.newest[row].astype(np.int64))
        if measured and not habits.measures[row]:
            habits.measures[row], habits.spoke[row], newest = True, 0, int(moments.max())
        habits.newest[row] = np.datetime64(rhythm.speak(habits.spoke[row], newest, moments), "us")
        self._changed[row] = True

    def note_answers(self, answers: NDArray[np.bool_], now: np.datetime64) -> None:
        """Note since when the gateway of each device answers, and whose does not."""
        since = self._habits.heard_since
        begins, ends = answers & (since == _LONG_AGO), ~answers & (since != _LONG_AGO)
        since[begins], since[ends] = now, _LONG_AGO
        self._changed |= begins | ends

    def silence(self, since: np.datetime64, now: np.datetime64) -> NDArray[np.float64]:
        """How long each has been silent, in its own pauses; none is for longer than its gateway answers, nor ``since``."""
        began = np.maximum(np.maximum(self._habits.newest, self._habits.heard_since), since)
        return rhythm.silence(self.pace, _us(began), int(now.astype(np.int64)))

    def tell(self, rows: NDArray[np.intp], silence: NDArray[np.float64]) -> None:
        """Remember what is told of these rows."""
        self._habits.told[rows] = silence
        self._changed[rows] = True

    def learn(self) -> None:
        """Learn every device's pace."""
        habits, newest = self._habits, _us(self._habits.newest)
        parts = [slice(n, n + _AT_ONCE) for n in range(0, len(newest), _AT_ONCE)]
        for part in parts:
            self._set_pace(part, rhythm.learn(habits.spoke[part], newest[part]))

    def _set_pace(self, part: slice, pace: Pace) -> None:
        for name in ("slots", "pause", "known"):
            getattr(self.pace, name)[part] = getattr(pace, name)

    async def save(self, c: Connection) -> None:
        """Keep what has changed."""
        rows = np.flatnonzero(self._changed)
        if len(rows):
            await silence.save(c, Habits(*(getattr(self._habits, f.name)[rows] for f in fields(Habits))))
            self._changed[rows] = False

    def _make_room(self, devices: NDArray[np.int32]) -> None:
        """Rows for those that have none yet, their pace unknown."""
        _, there = find(self.device, devices)
        new = devices[~there]
        if not len(new):
            return
        order = np.argsort(np.concatenate([self.device, new]), kind="stable")
        self._habits = _joined(self._habits, _blank(new), order)
        self._changed = np.concatenate([self._changed, np.ones(len(new), np.bool_)])[order]
        self.pace = _joined(self.pace, rhythm.unknown(len(new)), order)


def _blank(device: NDArray[np.int32]) -> Habits:
    """The rows of devices that have not spoken yet."""
    n = len(device)
    return Habits(
        device,
        np.zeros(n, np.int32),
        np.zeros((n, rhythm.BYTES), np.uint8),
        np.full(n, _LONG_AGO),
        np.zeros(n, np.bool_),
        np.full(n, _LONG_AGO),
        np.zeros(n),
    )


def _joined(one: Columns, other: Columns, order: NDArray[np.intp]) -> Columns:
    """The rows of both, in this order."""
    names = [f.name for f in fields(one)]
    return type(one)(*(np.concatenate([getattr(one, name), getattr(other, name)])[order] for name in names))


def _us(times: NDArray[np.datetime64]) -> NDArray[np.int64]:
    return times.astype("datetime64[us]").astype(np.int64)
