"""A gap of the next two days is told by day, once, to whoever can do something about it."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import pytest

from alerts.gap_notices import GapNotices
from alerts.wording import one_segment
from store import duty_changes, people, rosters
from store.postgres import Database
from store.rosters import NewShift
from tests.household import Household, furnish

pytestmark = pytest.mark.anyio

FRIDAY = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
"""Ten in the morning in Shanghai."""
NIGHT = datetime(2026, 11, 27, 15, 0, tzinfo=UTC)
"""Eleven at night."""


async def centre(database: Database, *, phone: str | None = "+8613900000088") -> Household:
    """Li Na is first by day only; the administrator has a telephone, unless she has none."""
    async with database.service() as c:
        home = await furnish(c, FRIDAY)
        await c.execute("UPDATE person SET phone = %s WHERE id = %s", [phone, home.administrator.id])
        first = home.rosters["care_worker_1"]
        await c.execute("DELETE FROM shift WHERE roster_id = %s", [first])
        await rosters.add_shift(c, home.centre, always(first, home.li_na.id))
    return home


def always(roster: int, person: UUID) -> NewShift:
    return NewShift(roster, range(1, 8), time(0), time(0), date(2026, 11, 1), person_id=person)


async def noticed(database: Database, now: datetime) -> list[tuple[UUID, str]]:
    """Look at the rota; everything that has been told so far."""
    await GapNotices(database, clock=lambda: now).round()
    async with database.service() as c:
        cursor = await c.execute("SELECT person_id, body FROM message WHERE purpose = 'notice' ORDER BY id")
        return [(row[0], row[1]) for row in await cursor.fetchall()]


async def sick(database: Database, home: Household, begins: datetime, ends: datetime) -> None:
    async with database.service() as c:
        await duty_changes.begin_absence(c, home.centre, home.li_na.id, "sick", begins, ends, begins)


async def test_a_manned_rota_is_not_spoken_of(database: Database) -> None:
    await centre(database)
    assert await noticed(database, FRIDAY) == []


async def test_a_gap_is_told_once_to_the_administrator_in_one_segment(database: Database) -> None:
    home = await centre(database)
    await sick(database, home, FRIDAY + timedelta(hours=12), FRIDAY + timedelta(hours=24))
    [(person, body)] = await noticed(database, FRIDAY)
    assert person == home.administrator.id
    assert "11月27日22:00起值班1无人值班" in body
    assert one_segment(body, "zh_Hans")
    assert len(await noticed(database, FRIDAY + timedelta(hours=1))) == 1
    assert len(await noticed(database, FRIDAY + timedelta(hours=10))) == 1


async def test_a_gap_that_has_begun_is_told_once_however_often_it_is_looked_at(database: Database) -> None:
    home = await centre(database)
    await sick(database, home, FRIDAY, FRIDAY + timedelta(hours=8))
    for minutes in (5, 10, 60):
        told = await noticed(database, FRIDAY + timedelta(minutes=minutes))
    assert len(told) == 1


async def test_at_night_it_waits_for_the_morning(database: Database) -> None:
    home = await centre(database)
    await sick(database, home, NIGHT + timedelta(hours=12), NIGHT + timedelta(hours=24))
    assert await noticed(database, NIGHT) == []
    assert len(await noticed(database, NIGHT + timedelta(hours=9))) == 1


async def test_what_lies_farther_off_is_for_the_pages(database: Database) -> None:
    home = await centre(database)
    await sick(database, home, FRIDAY + timedelta(hours=49), FRIDAY + timedelta(hours=60))
    assert await noticed(database, FRIDAY) == []
    assert len(await noticed(database, FRIDAY + timedelta(hours=5))) == 1


async def test_without_an_administrator_who_can_be_reached_the_supervisor_is_told(database: Database) -> None:
    home = await centre(database, phone=None)
    async with database.service() as c:
        await people.set_language(c, home.supervisor.id, "en")
    await sick(database, home, FRIDAY + timedelta(hours=12), FRIDAY + timedelta(hours=24))
    [(person, body)] = await noticed(database, FRIDAY)
    assert person == home.supervisor.id
    assert "Nobody is on duty from 27 Nov 22:00 (care_worker 1)." in body
    assert one_segment(body, "en")
