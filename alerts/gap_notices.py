"""Tells those who run a centre that nobody will be on duty: nobody looks at the rota every day.

By day, as soon as a gap of the next two days is known: of each gap once, and once a day while it lasts. It goes to the
administrators; if nothing reaches any of them, to the supervisors on duty.
"""

from __future__ import annotations

import asyncio
from calendar import month_abbr
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog

from alerts import on_duty, reach
from alerts.escalation import morning_after
from alerts.notices import PRIORITY, written
from alerts.reach import Way
from alerts.rota import Gap, Rota
from alerts.worker import utc_now
from store import messages, notices, people
from store import rota as record
from store.people import Centre, Person
from store.postgres import Connection, Database, Unavailable
from store.rota import Roster

log = structlog.get_logger(__name__)

AHEAD: Final = timedelta(hours=48)
"""Time to find somebody (house default); the pages show the gaps of fourteen days."""
MOST: Final = 3
"""Gaps of which somebody is told at one time: the nearest; who looks at the rota then sees all."""
ONCE_IN: Final = timedelta(days=3)
"""A gap that was told is not told again for so long: longer than it lies ahead."""
_EVERY_S: Final = 300.0
_LONGEST_NAME: Final = 16
_SENTENCES: Final = {
    "zh_Hans": "{when}起{roster}无人值班，请安排",
    "en": "Nobody is on duty from {when} ({roster}). Please put somebody on the rota",
}


class GapNotices:
    """Gives the notices. ``clock`` says what time it is."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._clock = clock

    async def run(self) -> None:
        """Look every few minutes until cancelled. While the database is away it waits."""
        while True:
            try:
                await self.round()
            except Unavailable as error:
                log.warning("gap_notices_wait_for_database", error=str(error), retry_s=_EVERY_S)
            await asyncio.sleep(_EVERY_S)

    async def round(self) -> None:
        """Look at the rota of every centre once; one process does."""
        now = self._clock()
        async with self._database.service() as c:
            if await notices.lock(c):
                for centre in await people.centres(c):
                    await tell(c, centre, now)


async def tell(c: Connection, centre: Centre, now: datetime) -> None:
    """Tell of the gaps of one centre, unless it is night there."""
    zone = ZoneInfo(centre.time_zone)
    if morning_after(now, zone) is not None:
        return
    rota = await on_duty.rota(c, centre.id, now, now + AHEAD)
    gaps = rota.gaps(now, now + AHEAD)[:MOST]
    if not gaps:
        return
    readers = await _readers(c, centre.id, rota, now)
    rosters = {roster.id: roster for roster in await record.rosters(c, centre.id, now)}
    told = await notices.told(c, [person.id for person, _ in readers], now - ONCE_IN)
    made = [
        message
        for person, ways in readers
        for gap in gaps
        for message in written(person, ways, _sentence(gap, rosters[gap.roster], person.language, zone, now), now, now)
        if message.body not in told.get(person.id, ())
    ]
    await messages.add(c, made)
    log.info("rota_has_gaps", centre=centre.id, gaps=len(gaps), notices=len(made), readers=len(readers))


async def _readers(c: Connection, centre_id: int, rota: Rota, now: datetime) -> list[tuple[Person, tuple[Way, ...]]]:
    """Who is told, and how; nobody, when nothing reaches anybody who could be."""
    found = await _reached(c, await notices.administrators(c, centre_id))
    if found:
        return found
    supervisors: list[UUID] = [turn.person for turn in rota.of("supervisor", 1, None, now).turns]
    return await _reached(c, list((await people.people(c, supervisors)).values()))


async def _reached(c: Connection, persons: Sequence[Person]) -> list[tuple[Person, tuple[Way, ...]]]:
    ways = await reach.ways(c, persons, PRIORITY)
    return [(person, ways[person.id]) for person in persons if ways[person.id]]


def _sentence(gap: Gap, roster: Roster, language: str, zone: ZoneInfo, now: datetime) -> str:
    """A gap that has begun is told by the day, so that it is the same sentence each time it is looked at."""
    begins = gap.begins.astimezone(zone)
    clock = "" if gap.begins <= now else f"{begins:%H:%M}"
    if language == "zh_Hans":
        when = f"{begins.month}月{begins.day}日{clock}"
    else:
        when = f"{begins.day} {month_abbr[begins.month]} {clock}".strip()
    return _SENTENCES[language].format(when=when, roster=roster.name(language)[:_LONGEST_NAME])
