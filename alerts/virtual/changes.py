"""Tells whoever watches that something on a phone has changed."""

from __future__ import annotations

import asyncio


class Changes:
    """How many there have been, and when the next comes."""

    def __init__(self) -> None:
        self.number = 0
        self._next = asyncio.Event()

    def tell(self) -> None:
        """Something has changed."""
        self.number += 1
        self._next.set()
        self._next = asyncio.Event()

    async def next(self) -> None:
        """Wait for the next change."""
        await self._next.wait()
