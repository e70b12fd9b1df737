"""Readings in columns, and the measurements they make up. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings in order of arrival: columns of shape ``(n,)``.

    ``at`` is when a reading counts as happening, ``received`` when the service had it; both ``datetime64[us]``
    in UTC. Without ``received`` they all count as received at the ``now`` of the step. Only readings whose time is
    believed belong here. ``quality`` is kept for rules to come and not judged yet.
    """

    resident: NDArray[np.int32]
    metric: NDArray[np.int16]
    at: NDArray[np.datetime64]
    value: NDArray[np.float64]
    quality: NDArray[np.int32]
    device: NDArray[np.int32]
    received: NDArray[np.datetime64] | None = None

    def __len__(self) -> int:
        return len(self.resident)

    def __getitem__(self, part: slice | Rows) -> Batch:
        received = None if self.received is None else self.received[part]
        return Batch(
            self.resident[part],
            self.metric[part],
            self.at[part],
            self.value[part],
            self.quality[part],
            self.device[part],
            received,
        )

    @classmethod
    def empty(cls) -> Batch:
        """Nothing arrived: lets the timers run."""
        ints, times = np.zeros(0, np.int32), np.zeros(0, "datetime64[us]")
        return cls(ints, ints.astype(np.int16), times, np.zeros(0), ints, ints)


@dataclass(frozen=True, slots=True)
class Part:
    """Measurements of different residents: columns of shape ``(n,)``, and values ``(n, metrics + 1)``, NaN where none."""

    row: Rows
    at: Int64s
    received: Int64s
    device: NDArray[np.int32]
    values: Floats

    def take(self, which: Rows) -> Part:
        return Part(self.row[which], self.at[which], self.received[which], self.device[which], self.values[which])


def parts(batch: Batch, row: Rows, column: Rows, received: Int64s, metrics: int) -> Iterator[Part]:
    """The batch as measurements, in parts in which every resident has at most one, each resident's in order.

    ``row`` is each reading's resident's row, ``column`` its metric's column or -1 where no rule hears it.
    """
    heard = np.flatnonzero(column >= 0)
    if not len(heard):
        return
    order = heard[np.argsort(row[heard], kind="stable")]
    row, column, received = row[order], column[order], received[order]
    at, device = microseconds(batch.at[order]), batch.device[order]
    group = _groups(row, at, received, device, column)
    start = np.flatnonzero(np.diff(group, prepend=-1))
    values = np.full((len(start), metrics + 1), np.nan)
    values[group, column] = batch.value[order]
    yield from _rounds(Part(row[start], at[start], received[start], device[start], values))


def microseconds(times: NDArray[np.datetime64]) -> Int64s:
    """Times as microseconds since 1970."""
    return times.astype("datetime64[us]").astype(np.int64)


def _groups(rows: Rows, at: Int64s, received: Int64s, device: NDArray[np.int32], column: Rows) -> Rows:
    """The number of the measurement each reading belongs to: those in a row from one device at one time.

    A metric that such a row of readings has already begins a new measurement.
    """
    new = np.ones(len(rows), np.bool_)
    new[1:] = rows[1:] != rows[:-1]
    for key in (at, received, device):
        new[1:] |= key[1:] != key[:-1]
    group = np.cumsum(new) - 1
    same = np.lexsort((column, group))
    again = (np.diff(group[same]) == 0) & (np.diff(column[same]) == 0)
    if again.any():
        new[same[1:][again]] = True
        group = np.cumsum(new) - 1
    return group


def _rounds(whole: Part) -> Iterator[Part]:
    """Every resident's first measurement, then every resident's second, and so on. Rows come sorted."""
    number = np.arange(len(whole.row))
    starts = np.ones(len(number), np.bool_)
    starts[1:] = whole.row[1:] != whole.row[:-1]
    turn = number - np.maximum.accumulate(np.where(starts, number, 0))
    if not turn.any():
        yield whole
        return
    order = np.argsort(turn, kind="stable")
    for which in np.split(order, np.flatnonzero(np.diff(turn[order])) + 1):
        yield whole.take(which)
