"""Backtests from the pages: one at a time, in a process of its own with the lowest priority, ended with the service.

What a doctor has asked for is kept until she asks for something else, in memory alone: it can be made again in a minute.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.process import BaseProcess
from typing import Final, Literal
from uuid import UUID

import structlog

from alerts.backtest.counts import Comparison
from alerts.backtest.jobs import NothingToJudge, Question, answer
from alerts.protocol import ProtocolError
from store.postgres import Unavailable

log = structlog.get_logger(__name__)

Fault = Literal["nobody", "protocol", "away", "too_long", "stopped", "failed"]

LONGEST_S: Final = 600.0
"""After that a run is ended: it was meant to take a minute."""
_LOOK_S: Final = 0.25
_KEPT: Final = 20
"""Answers kept at once, each of some ten kilobytes."""


class Busy(Exception):
    """Another backtest is running; there is one at a time."""


@dataclass(slots=True)
class Run:
    """One backtest: how much of it is done, then its answer or what went wrong, with ``words`` where there are any."""

    question: Question
    share: float = 0.0
    answer: Comparison | None = None
    fault: Fault | None = None
    words: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it may still be answered."""
        return self.answer is None and self.fault is None


class Desk:
    """Takes questions for one database and lets them be answered. ``longest_s`` is when it gives up."""

    def __init__(self, dsn: str, *, longest_s: float = LONGEST_S, work: Callable[..., None] | None = None) -> None:
        self._dsn, self._longest_s, self._work = dsn, longest_s, work or _work
        self._runs: dict[UUID, Run] = {}
        self._task: asyncio.Task[None] | None = None
        self._running: Run | None = None

    def run_of(self, person: UUID) -> Run | None:
        """What this person has asked for last."""
        return self._runs.get(person)

    def begin(self, person: UUID, question: Question) -> Run:
        """Let a question be answered, in the place of what this person had asked before. Raises :class:`Busy`."""
        if self._task is not None and not self._task.done():
            raise Busy
        self._runs.pop(person, None)
        while len(self._runs) >= _KEPT:
            del self._runs[next(iter(self._runs))]
        run = self._runs[person] = self._running = Run(question)
        self._task = asyncio.create_task(self._answer(run), name="backtest")
        return run

    async def stop(self, person: UUID) -> None:
        """End what this person has asked for, if it is running."""
        run = self._runs.get(person)
        if run is not None and run is self._running and run.is_running:
            await self.close()

    async def close(self) -> None:
        """End what is running, and wait until it has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _answer(self, run: Run) -> None:
        mine, theirs = multiprocessing.Pipe(duplex=False)
        # A fresh interpreter: a fork would take along the service's connections, threads and locks.
        process = multiprocessing.get_context("spawn").Process(
            target=self._work, args=(theirs, self._dsn, run.question), name="backtest", daemon=True
        )
        try:
            process.start()
            theirs.close()
            async with asyncio.timeout(self._longest_s):
                await _listen(mine, process, run)
        except TimeoutError:
            run.fault = "too_long"
        except asyncio.CancelledError:
            run.fault = "stopped"
            raise
        finally:
            if run.fault is not None:
                log.warning("backtest_ended", fault=run.fault, words=run.words)
            _end(process)
            mine.close()


async def _listen(pipe: Pipe, process: BaseProcess, run: Run) -> None:
    while run.is_running:
        if await asyncio.to_thread(pipe.poll, _LOOK_S):
            try:
                name, value, *words = pipe.recv()
            except EOFError:
                run.fault = "failed"
                return
            setattr(run, name, value)
            run.words = "".join(words)
        elif not process.is_alive() and not pipe.poll():
            run.fault = "failed"


def _end(process: BaseProcess) -> None:
    """Kill it, and wait the moment until it is gone: not asynchronously, for then this could be cancelled halfway."""
    if process.pid is not None:
        process.kill()
        process.join()
    process.close()


def _work(pipe: Pipe, dsn: str, question: Question) -> None:
    """In the process: answer, and say how far it is; last ``answer`` or ``fault``."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the service, which ends it
    os.nice(19)
    try:
        found = answer(dsn, question, 1, lambda share: pipe.send(("share", share)))
    except NothingToJudge:
        pipe.send(("fault", "nobody"))
    except ProtocolError as error:
        pipe.send(("fault", "protocol", str(error)))
    except Unavailable as error:
        pipe.send(("fault", "away", str(error)))
    else:
        pipe.send(("answer", found))
