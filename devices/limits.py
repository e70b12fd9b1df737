"""Limits on what may never return, held even against code that does not let itself be cancelled."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_GRACE_S: Final = 5.0  # for what was cancelled to clean up after itself
_SHORTEST_S: Final = 1.0
LONGEST_S: Final = 60.0
"""What fails again and again begins anew at least this often."""


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


async def for_ever(
    work: Callable[[], Awaitable[None]],
    *,
    but: tuple[type[Exception], ...] = (),
    longest_s: float = LONGEST_S,
) -> None:
    """Do ``work`` until cancelled: what it did not expect is logged, and it begins anew, later each time.

    ``but`` are errors that beginning anew does not mend: they are raised. A cancellation that nobody asked for, such as
    one that a library lets escape, is an error like any other: it must not end a part of the gateway in silence.
    """
    pause_s = _SHORTEST_S
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            await work()
        except but:
            raise
        except (Exception, asyncio.CancelledError):
            if _is_being_cancelled():
                raise
            log.exception("a part of the gateway failed and begins anew in %.0f s", pause_s)
        if loop.time() - began > longest_s:
            pause_s = _SHORTEST_S
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, longest_s)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _end(task: asyncio.Future[Any], grace_s: float) -> bool:
    """Cancel it and wait for its end, for a while; whether it ended."""
    task.add_done_callback(heed)
    task.cancel()
    await asyncio.wait({task}, timeout=grace_s)
    return task.done()


def heed(task: asyncio.Future[Any]) -> None:
    """For :meth:`asyncio.Future.add_done_callback`: what becomes of it once nobody waits is nobody's error."""
    if not task.cancelled():
        task.exception()
