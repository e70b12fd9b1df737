"""The whole service as a process of its own, by a clock that can be put forward and back from outside."""

from __future__ import annotations

import logging
import mmap
import os
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
import uvicorn

from alerts import protocol
from alerts.worker import warm_up
from api.app import create_app
from api.settings import Settings

warm_up(protocol.load())


class Wrong:
    """How wrong every clock of the house is, in seconds; kept in a file that all its processes share."""

    def __init__(self, file: Path) -> None:
        if not file.exists():
            file.write_bytes(struct.pack("d", 0.0))
        with file.open("r+b") as opened:
            self._seconds = mmap.mmap(opened.fileno(), 8)

    def by(self, seconds: float) -> None:
        """The clocks are wrong by so much from now on."""
        self._seconds[:] = struct.pack("d", seconds)

    def clock(self) -> datetime:
        """What a clock of the house says."""
        (seconds,) = struct.unpack("d", self._seconds[:])
        return datetime.now(UTC) + timedelta(seconds=seconds)


def main(settings: dict[str, Any], clock: Path, log: Path) -> None:
    """Serve until killed."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure([renderer], structlog.make_filtering_bound_logger(logging.WARNING))
    serve(Settings(**settings), Wrong(clock).clock)


def serve(settings: Settings, clock: Callable[[], datetime]) -> None:
    """The service on its port."""
    app = create_app(settings, clock=clock)
    uvicorn.run(app, host=settings.host, port=settings.port, log_config=None, access_log=False)
