"""The demo's processes: started, watched, started again when they fall, ended in order."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_STOP_S: Final = 8.0
_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 10.0
_WELL_AFTER_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Program:
    """What to start. ``environment`` is added to this process's own."""

    name: str
    arguments: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)

    @staticmethod
    def module(name: str, module: str, *arguments: str, **environment: str) -> Program:
        """A Python module of this installation."""
        return Program(name, (sys.executable, "-m", module, *arguments), environment)


class Child:
    """One process that is started again when it ends unasked, with a growing pause; its words go to a log file.

    It stands in a session of its own, so that Ctrl-C reaches the demo alone, which then ends its children in order;
    where the kernel can, it also ends when the demo is killed. The number of the process stands beside its log.
    """

    def __init__(self, program: Program, logs: Path, *, on_restart: Callable[[str, int], None]) -> None:
        self.program = program
        self.log = logs / f"{program.name}.log"
        self.pid_file = logs / f"{program.name}.pid"
        self._on_restart = on_restart
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and from now on keep it running."""
        await self._spawn()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.program.name}")

    async def stop(self) -> None:
        """Ask it to end; after some seconds, end it."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def _spawn(self) -> None:
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.program.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.program.environment},
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self.pid_file.write_text(str(self._process.pid))

    async def _keep(self) -> None:
        pause = _PAUSE_S
        while True:
            assert self._process is not None
            began = asyncio.get_running_loop().time()
            code = await self._process.wait()
            self._on_restart(self.program.name, code)
            lived = asyncio.get_running_loop().time() - began
            pause = _PAUSE_S if lived > _WELL_AFTER_S else min(pause * 2, _LONGEST_PAUSE_S)
            await asyncio.sleep(pause)
            await self._spawn()


def tail(log: Path, lines: int = 8) -> str:
    """The last lines a process wrote."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ""


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
