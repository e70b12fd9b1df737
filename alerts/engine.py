"""The rules core: columns of state, ``step(batch, now) -> firings``, and nothing else. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from alerts.protocol import Protocol

What = Literal["raise", "clear", "ask", "answered"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Readings in order of arrival: columns of shape ``(n,)``.

    ``at`` is when a reading counts as happening, ``received`` when the service had it; both ``datetime64[us]``
    in UTC. Without ``received`` they all count as received at the ``now`` of the step.
    """

    resident: NDArray[np.int32]
    metric: NDArray[np.int16]
    at: NDArray[np.datetime64]
    value: NDArray[np.float64]
    quality: NDArray[np.int32]
    device: NDArray[np.int32]
    received: NDArray[np.datetime64] | None = None


@dataclass(frozen=True, slots=True)
class Firing:
    """What a rule has to say about one resident.

    ``at`` is when it happened: the measured time of the reading that speaks for it, or for silence the moment it
    had lasted too long. ``until`` is when an ``ask`` times out. ``evidence`` holds the values by name.
    """

    resident: int
    rule: str
    what: What
    at: np.datetime64
    until: np.datetime64 | None
    evidence: dict[str, float | str]


class Engine:
    """The state of every resident under one protocol."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol

    def enrol(self, residents: Iterable[int], now: np.datetime64) -> None:
        """Know these residents from ``now`` on, so that their silence is noticed. Those known already stay as they are."""
        raise NotImplementedError

    def step(self, batch: Batch, now: np.datetime64) -> list[Firing]:
        """Judge a batch, then let timers run that were due before ``now``."""
        raise NotImplementedError

    def wake_at(self) -> np.datetime64 | None:
        """When to step again even if nothing arrives."""
        raise NotImplementedError

    def dirty_rows(self) -> dict[int, bytes]:
        """The rows that changed since the last call, by resident."""
        raise NotImplementedError

    def load_rows(self, rows: Mapping[int, bytes]) -> None:
        """Take up rows as :meth:`dirty_rows` gave them."""
        raise NotImplementedError
