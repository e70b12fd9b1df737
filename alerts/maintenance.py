"""The end of maintenance: what was held back and has not cleared meanwhile is raised then (:mod:`alerts.verdicts` holds back).

Nobody has to remember it: whatever nothing holds back any more is looked for every few seconds, by every process that
watches, and taken by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import structlog

from alerts import deployment, lifecycle
from alerts.protocol import Protocol, ProtocolError
from alerts.verdicts import Verdicts
from alerts.worker import utc_now
from store import maintenance
from store.postgres import Connection, Database, Unavailable

log = structlog.get_logger(__name__)

LONGEST: Final[timedelta] = lifecycle.LONGEST_SHELF
"""As for one alert that is put aside: silencing is limited in time, and after a day an alarm that stands is stale
(IEC 60601-1-8, ISA-18.2). Work that takes longer is set anew each day, by somebody who still knows of it."""

_EVERY_S: Final = 10.0
_AT_ONCE: Final = 200


class Maintenance:
    """Raises what is held back no more. ``clock`` says what time it is."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def run(self) -> None:
        """Look until cancelled. While the database is away it waits."""
        while True:
            try:
                while await self.round():
                    pass
            except Unavailable as error:
                log.warning("maintenance_waits_for_database", error=str(error), retry_s=_EVERY_S)
            await asyncio.sleep(_EVERY_S)

    async def round(self) -> bool:
        """Raise what is due; whether there may be more."""
        now = self._clock()
        async with self._database.service() as c:
            due = await maintenance.take_due(c, now, _AT_ONCE)
            for held in due:
                await Verdicts(c, await _made_by(c, held.protocol, now), now).raise_held(held)
        return len(due) == _AT_ONCE


async def _made_by(c: Connection, version: str, now: datetime) -> Protocol:
    """The protocol that made it; where this release cannot read that any more, the one in force."""
    try:
        found = await deployment.find(c, version)
    except ProtocolError:
        found = None
    return found or await deployment.in_force(c, now)
