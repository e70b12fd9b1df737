"""Waiting for a moment or for a word, whichever comes first."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

LOOK_EVERY_S: Final = 1.0
"""How often the outbox is looked into unasked: readings that were held back become due, refusals nudge nobody."""


async def wait_at_most(seconds: float, event: asyncio.Event) -> None:
    """Return when the event is set, or after so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
