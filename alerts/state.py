"""The rules core's memory: columns with one row per resident, and within it one cell per rule. Pure.

Times are microseconds since 1970 in UTC (``int64``). A row is saved together with what its cells belong to, so that
a row written under another protocol is taken up where the rule is the same and left behind where it is not.
"""

from __future__ import annotations

import hashlib
import struct
from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from alerts.measurements import Bools, Floats, Int64s, Rows
from alerts.protocol import Protocol
from alerts.rule import Rule

NEVER: Final = 1 << 61
"""Later than any time; a quarter of the range, so that sums do not wrap."""
LONG_AGO: Final = -(1 << 61)
"""Earlier than any time."""

CALM, ASKING, ACTIVE = range(3)

_HEADER: Final = struct.Struct("<8sHHHH")
_MAGIC: Final = b"watchrow"


class Columns:
    """State of ``N`` residents under ``R`` rules with ``M`` metrics, ``L`` measurements looked back, ``E`` values kept.

    By resident and metric, shape ``(N, M + 1)``, the last column always empty: ``value`` (in the metric's unit) and
    ``value_at``, the newest reading. By cell, shape ``(N * R,)`` and indexed by ``row * R + rule``: ``phase``;
    ``due``, when its timer runs out; ``first_at`` and ``last_at``, the first and the newest measurement that was
    over, with their values in ``first`` and ``last`` (``(N * R, E)``); ``ring_at`` and ``ring_over``
    (``(N * R, L)``), the newest measurements, newest first; ``device``, which sent the newest.
    """

    def __init__(self, protocol: Protocol, metrics: list[int], look_back: int, kept: int) -> None:
        self.rules = len(protocol.rules)
        self.metrics = metrics
        self.count = 0
        self._marks = np.array([fingerprint(rule) for rule in protocol.rules], np.uint64)
        self._row_of: Rows = np.full(1024, -1, np.intp)
        self.resident: NDArray[np.int32] = np.zeros(0, np.int32)
        self.dirty: Bools = np.zeros(0, np.bool_)
        self.value: Floats = np.zeros((0, len(metrics) + 1))
        self.value_at: Int64s = np.zeros((0, len(metrics) + 1), np.int64)
        self.phase: NDArray[np.int8] = np.zeros(0, np.int8)
        self.due: Int64s = np.zeros(0, np.int64)
        self.first_at: Int64s = np.zeros(0, np.int64)
        self.last_at: Int64s = np.zeros(0, np.int64)
        self.device: NDArray[np.int32] = np.zeros(0, np.int32)
        self.ring_at: Int64s = np.zeros((0, look_back), np.int64)
        self.ring_over: Bools = np.zeros((0, look_back), np.bool_)
        self.first: Floats = np.zeros((0, kept))
        self.last: Floats = np.zeros((0, kept))

    def row_of(self, residents: NDArray[np.int32]) -> Rows:
        """The row of each resident, -1 where there is none yet. A resident's number is not negative."""
        highest = int(residents.max(initial=0))
        if highest >= len(self._row_of):
            self._row_of = _grown(self._row_of, max(highest + 1, 2 * len(self._row_of)), -1)
        return self._row_of[residents]

    def add(self, residents: NDArray[np.int32]) -> Rows:
        """New rows, calm and empty, for residents who have none. Each may stand here once."""
        self.row_of(residents)
        rows = np.arange(self.count, self.count + len(residents))
        self.count += len(residents)
        if self.count > len(self.resident):
            self._grow(max(self.count, 2 * len(self.resident), 64))
        self._row_of[residents] = rows
        self.resident[rows] = residents
        self.dirty[rows] = True
        return rows

    def _grow(self, size: int) -> None:
        self.resident = _grown(self.resident, size, 0)
        self.dirty = _grown(self.dirty, size, False)
        self.value = _grown(self.value, size, np.nan)
        self.value_at = _grown(self.value_at, size, LONG_AGO)
        for name, empty in _CELL_COLUMNS.items():
            setattr(self, name, _grown(getattr(self, name), size * self.rules, empty))

    def save(self) -> dict[int, bytes]:
        """Every row that changed since the last call, by resident."""
        rows = np.flatnonzero(self.dirty[: self.count])
        self.dirty[rows] = False
        saved = np.zeros(len(rows), self._row_type())
        saved["metric"] = self.metrics
        saved["value"], saved["value_at"] = self.value[rows, :-1], self.value_at[rows, :-1]
        saved["cell"]["rule"] = self._marks
        cells = self._cells(rows)
        for name in _CELL_COLUMNS:
            saved["cell"][name] = getattr(self, name)[cells]
        header = self._header()
        return {int(r): header + s.tobytes() for r, s in zip(self.resident[rows], saved, strict=True)}

    def load(self, rows: Mapping[int, bytes]) -> NDArray[np.int32]:
        """Take up saved rows; returns the residents for whom not every rule was in the row."""
        by_header: dict[bytes, list[int]] = defaultdict(list)
        for resident, row in rows.items():
            by_header[row[: _HEADER.size]].append(resident)
        incomplete = [self._load(header, residents, rows) for header, residents in by_header.items()]
        return np.concatenate([np.zeros(0, np.int32), *incomplete])

    def _load(self, header: bytes, residents: list[int], saved: Mapping[int, bytes]) -> NDArray[np.int32]:
        magic, *sizes = _HEADER.unpack(header)
        if magic != _MAGIC:
            raise ValueError(f"the saved row of resident {residents[0]} is not a row of the watch")
        found = np.frombuffer(b"".join(saved[r][_HEADER.size :] for r in residents), _row_type(*sizes))
        ids = np.array(residents, np.int32)
        rows = self._rows_for(ids)
        self._take_metrics(rows, found)
        complete = self._take_cells(rows, found)
        self.dirty[rows] = ~complete
        return ids[~complete]

    def _rows_for(self, residents: NDArray[np.int32]) -> Rows:
        new = residents[self.row_of(residents) < 0]
        if len(new):
            self.add(new)
        return self.row_of(residents)

    def _take_metrics(self, rows: Rows, found: NDArray[np.void]) -> None:
        for column, metric in enumerate(self.metrics):
            at, there = np.nonzero(found["metric"] == metric)
            self.value[rows[at], column] = found["value"][at, there]
            self.value_at[rows[at], column] = found["value_at"][at, there]

    def _take_cells(self, rows: Rows, found: NDArray[np.void]) -> Bools:
        complete = np.ones(len(rows), np.bool_)
        for rule, mark in enumerate(self._marks):
            same = found["cell"]["rule"] == mark
            complete &= same.any(1)
            at, there = np.nonzero(same)
            cells = rows[at] * self.rules + rule
            for name in _CELL_COLUMNS:
                column, values = getattr(self, name), found["cell"][name][at, there]
                # Another protocol may have looked back further, or kept more values: the same rule uses neither.
                width = min(column.shape[-1], values.shape[-1])
                column[(cells, slice(width)) if column.ndim == 2 else cells] = (
                    values[:, :width] if column.ndim == 2 else values
                )
        return complete

    def _cells(self, rows: Rows) -> Rows:
        return (rows[:, None] * self.rules + np.arange(self.rules)).astype(np.intp)

    def _sizes(self) -> tuple[int, int, int, int]:
        return len(self.metrics), self.rules, self.ring_at.shape[1], self.first.shape[1]

    def _header(self) -> bytes:
        return _HEADER.pack(_MAGIC, *self._sizes())

    def _row_type(self) -> np.dtype[np.void]:
        return _row_type(*self._sizes())


_CELL_COLUMNS: Final[Mapping[str, Any]] = {
    "phase": CALM,
    "due": NEVER,
    "first_at": LONG_AGO,
    "last_at": LONG_AGO,
    "device": 0,
    "ring_at": LONG_AGO,
    "ring_over": False,
    "first": np.nan,
    "last": np.nan,
}


def _row_type(metrics: int, rules: int, look_back: int, kept: int) -> np.dtype[np.void]:
    cell = [
        ("rule", "<u8"),
        ("phase", "i1"),
        ("due", "<i8"),
        ("first_at", "<i8"),
        ("last_at", "<i8"),
        ("device", "<i4"),
        ("ring_at", "<i8", (look_back,)),
        ("ring_over", "?", (look_back,)),
        ("first", "<f8", (kept,)),
        ("last", "<f8", (kept,)),
    ]
    return np.dtype(
        [
            ("metric", "<i2", (metrics,)),
            ("value", "<f8", (metrics,)),
            ("value_at", "<i8", (metrics,)),
            ("cell", cell, (rules,)),
        ]
    )


def _grown(column: NDArray[Any], size: int, empty: Any) -> NDArray[Any]:
    grown = np.full((size, *column.shape[1:]), empty, column.dtype)
    grown[: len(column)] = column
    return grown


def fingerprint(rule: Rule) -> int:
    """What a rule judges, as 64 bits: the same as long as its state means the same, whatever its words and sources."""
    levels = [(limit.metric.name, limit.word, limit.level, limit.clear_word, limit.clear_level) for limit in rule.when]
    count = (rule.count.k, rule.count.n, rule.count.within)
    ask = rule.ask and (rule.ask.kind, rule.ask.within)
    missing = rule.missing and (rule.missing.metric.name, rule.missing.within)
    names = [metric.name for metric in (*rule.also, *rule.unless)]
    judged: tuple[object, ...] = (rule.id, levels, count, ask, missing, names, rule.expires)
    # What most rules lack is left out there, so that their state outlives the word's coming into the language.
    related = [(key, part) for key, part in (("confirmed_by", rule.confirmed_by), ("follows", rule.follows)) if part]
    judged += tuple((key, part.metric.name, part.within, [m.name for m in part.unless]) for key, part in related)
    return int.from_bytes(hashlib.sha256(repr(judged).encode()).digest()[:8], "little")
