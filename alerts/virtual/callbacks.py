"""The callbacks about one message or call, and what can go wrong with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from alerts.virtual.faults import Fault

Post: TypeAlias = Callable[[str, dict[str, str]], Awaitable[str | None]]
"""Calls a webhook: its answer, or ``None`` when it gave none."""


class Callbacks:
    """Tells the service what becomes of one message or call, unless ``fault`` spoils it."""

    def __init__(self, post: Post, fault: Fault | None) -> None:
        self._post = post
        self._kind = fault.kind if fault else ""
        self._kept: list[tuple[str, dict[str, str]]] = []
        self.said = 0

    async def tell(self, url: str, params: dict[str, str]) -> None:
        """Call ``url``: twice, later, or not at all where that has gone wrong."""
        self.said += 1
        if self._kind == "lost":
            return
        if self._kind == "reordered":
            self._kept.append((url, params))
            return
        for _ in range(2 if self._kind == "duplicate" else 1):
            await self._post(url, params)

    async def end(self) -> None:
        """Send what has been kept back, last first."""
        while self._kept:
            await self._post(*self._kept.pop())
