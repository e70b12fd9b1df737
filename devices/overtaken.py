"""Readings that the service fails at one by one, and that others may therefore overtake. Pure: time is given, in seconds.

They stay in the outbox and are tried again, later and later. A service that fails at everything looks the same at first:
so once it takes any, those that nothing had overtaken until then are due at once, before all others.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(slots=True)
class _Reading:
    since_s: float
    due_s: float
    pause_s: float


class Overtaken:
    """By their numbers in the outbox. ``first_s`` is the first pause, each is twice the last, at most ``longest_s``."""

    def __init__(self, *, first_s: float, longest_s: float) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._readings: dict[int, _Reading] = {}
        self._doubted: set[int] = set()

    def __contains__(self, number: int) -> bool:
        return number in self._readings

    def __len__(self) -> int:
        return len(self._readings)

    @property
    def since_s(self) -> float:
        """Since when the first of them has been overtaken; infinite when there is none."""
        return min((r.since_s for r in self._readings.values()), default=math.inf)

    def resting(self, now_s: float) -> set[int]:
        """Those that are not to be tried now."""
        return {number for number, r in self._readings.items() if r.due_s > now_s}

    def failed(self, number: int, now_s: float) -> None:
        """The service has failed at this one, alone."""
        known = self._readings.get(number)
        pause_s = self._first_s if known is None else min(known.pause_s * 2, self._longest_s)
        self._readings[number] = _Reading(now_s if known is None else known.since_s, now_s + pause_s, pause_s)
        if known is None:
            self._doubted.add(number)

    def answered(self, numbers: Iterable[int], now_s: float) -> None:
        """The service has said what becomes of these."""
        for number in numbers:
            self._readings.pop(number, None)
        for number in self._doubted & self._readings.keys():
            self._readings[number].due_s = now_s
        self._doubted.clear()

    def alone(self, numbers: list[int]) -> int:
        """How many of a batch go together: each of these goes by itself."""
        return max(next((i for i, n in enumerate(numbers) if n in self), len(numbers)), 1)
