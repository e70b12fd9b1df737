"""Limits on what may never return, held even against code that does not let itself be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

_T = TypeVar("_T")
_GRACE_S: Final = 5.0  # for what was cancelled to clean up after itself


class Stuck(TimeoutError):
    """An operation neither ended in its time nor let itself be cancelled: what it works with has to be begun anew."""


async def within(seconds: float, work: Coroutine[Any, Any, _T], *, grace_s: float = _GRACE_S) -> _T:
    """The result of ``work``; ``TimeoutError`` after so many seconds, :class:`Stuck` when it does not even end then."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await _end(task, grace_s)
        raise
    if not task.done() and not await _end(task, grace_s):
        raise Stuck(f"an operation did not end within {seconds:g} seconds and cannot be cancelled")
    if task.cancelled():
        raise TimeoutError
    return task.result()


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Do all at once. When one ends with an error, or the caller is cancelled, the others are ended too, and waited for.

    Each is cancelled once: a second time would break into how it cleans up.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _end(task: asyncio.Future[Any], grace_s: float) -> bool:
    """Cancel it and wait for its end, for a while; whether it ended."""
    task.add_done_callback(_heed)
    task.cancel()
    await asyncio.wait({task}, timeout=grace_s)
    return task.done()


def _heed(task: asyncio.Future[Any]) -> None:
    # What becomes of it once nobody waits is nobody's error.
    if not task.cancelled():
        task.exception()
