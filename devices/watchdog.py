"""Whether every part of the gateway still moves: each promises when it will show life again, and is held to it.

A loop that hangs in a call which never returns looks alive to the event loop. It does not keep its promise, so systemd
is told nothing more and begins the process anew.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_BEGIN_S: Final = 60.0
"""A part may take so long to begin."""


class Life:
    """One part's promise. ``name`` is what an administrator calls the part."""

    def __init__(self, name: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self._now = now
        self._until = now() + _BEGIN_S

    def promise(self, seconds: float) -> None:
        """I am alive, and shall say so again within so many seconds."""
        self._until = self._now() + seconds

    @property
    def kept(self) -> bool:
        """Whether the promise is not yet broken."""
        return self._now() <= self._until


class Watchdog:
    """All the parts that must show life."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._parts: list[Life] = []

    def part(self, name: str) -> Life:
        """Watch one more part from now on."""
        life = Life(name, now=self._now)
        self._parts.append(life)
        return life

    def hung(self) -> list[str]:
        """The names of the parts that have broken their promise."""
        return [life.name for life in self._parts if not life.kept]
