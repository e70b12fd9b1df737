"""A bell that wakes one worker: rung from anywhere in the loop, heard once, and never missed."""

from __future__ import annotations

import asyncio


class Bell:
    """Ringing before anybody listens is heard by the next who does."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """There is something to do."""
        self._rung.set()

    async def heard(self, within_s: float) -> bool:
        """Wait until it rings, at most ``within_s`` seconds; says whether it did."""
        try:
            async with asyncio.timeout(within_s):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True
