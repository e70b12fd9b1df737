"""One worker as a process of its own, whose clock is the record's: the newest moment at which anything was received."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from datetime import datetime
from pathlib import Path

import psycopg
import structlog

from alerts import protocol
from alerts.worker import Watch, warm_up
from store.postgres import Database, Unavailable
from tests.faults.week import BEGINS

RULES = protocol.load()
warm_up(RULES)


class RecordsClock:
    """Asks the record itself, past every disturbance of the worker's own way to it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._c: psycopg.Connection[tuple[datetime]] | None = None

    def __call__(self) -> datetime:
        try:
            if self._c is None:
                self._c = psycopg.connect(self._dsn, autocommit=True, options="-c timezone=UTC")
            row = self._c.execute("SELECT received_at FROM feed ORDER BY tx DESC, seq DESC LIMIT 1").fetchone()
        except psycopg.Error as error:
            self._c = None
            raise Unavailable(str(error)) from error
        return row[0] if row else BEGINS


def main(dsn: str, clock_dsn: str, log: Path) -> None:
    """Watch until SIGTERM."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure([renderer], structlog.make_filtering_bound_logger(logging.WARNING))
    asyncio.run(_watch(dsn, clock_dsn, log.with_suffix(".id")))


async def _watch(dsn: str, clock_dsn: str, name: Path) -> None:
    async with Database(dsn, max_size=4) as database:
        watch = Watch(database, RULES, clock=RecordsClock(clock_dsn))
        name.write_text(str(watch.id))
        watching = asyncio.create_task(watch.run())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, watching.cancel)
        await asyncio.wait([watching])
