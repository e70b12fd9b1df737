"""Background work that must not end: started again when it does, later each time, and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from api.metrics import CRASHES

log = structlog.get_logger(__name__)

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_HEALTHY_AFTER_S: Final = 60.0
"""Whoever ran this long before failing starts again at once."""


async def supervise(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Keep ``work`` running until cancelled."""
    loop = asyncio.get_running_loop()
    pause_s = _FIRST_PAUSE_S
    while True:
        began = loop.time()
        try:
            await work()
            log.error("task_ended", task=name)
        except Exception:
            log.exception("task_crashed", task=name)
        CRASHES.labels(name).inc()
        if loop.time() - began > _HEALTHY_AFTER_S:
            pause_s = _FIRST_PAUSE_S
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
