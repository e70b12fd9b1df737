"""Readings in columns. Pure."""

from __future__ import annotations

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
    believed belong here. ``quality`` is bits of :class:`devices.readings.Quality`.
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


def microseconds(times: NDArray[np.datetime64]) -> Int64s:
    """Times as microseconds since 1970."""
    return times.astype("datetime64[us]").astype(np.int64)
