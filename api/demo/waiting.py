"""Waiting for something that can only be looked at, never announced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any


async def until(holds: Callable[[], Awaitable[Any]], within_s: float, every_s: float) -> None:
    """Look every ``every_s`` seconds until it holds; ``TimeoutError`` when it does not within ``within_s``."""
    async with asyncio.timeout(within_s):
        while True:
            if await holds():
                return
            await asyncio.sleep(every_s)
