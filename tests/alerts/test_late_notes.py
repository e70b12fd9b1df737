"""What comes too late to be an alarm: a dated note for the doctor, once, and nobody is called in the middle of the night."""

from __future__ import annotations

from datetime import timedelta

import pytest

from store import late_notes, messages
from store.late_notes import LateNote
from store.postgres import Database, value
from tests.alerts.test_worker import RULES, Home
from tests.household import NOW, furnish

pytestmark = pytest.mark.anyio

TWO_DAYS_AGO = NOW - timedelta(days=2)


@pytest.fixture
async def home(database: Database) -> Home:
    async with database.service() as c:
        return Home(database, await furnish(c))


async def notes(home: Home) -> list[LateNote]:
    async with home.database.service() as c:
        return await late_notes.unseen(c)


async def test_a_severe_pressure_of_two_days_ago_is_a_note_and_calls_nobody(home: Home) -> None:
    await home.measure(at=TWO_DAYS_AGO, systolic=192, diastolic=118, pulse=96)
    await home.judged()
    [note] = await notes(home)
    assert (note.rule, note.priority, note.happened_at, note.learned_at) == ("bp.severe", "high", TWO_DAYS_AGO, NOW)
    assert (note.evidence["systolic"], note.evidence["diastolic"]) == (192.0, 118.0)
    assert note.protocol == RULES.version
    assert await home.open_alerts() == []
    async with home.database.service() as c:
        assert await messages.waiting(c) == 0
        assert await value(c, "SELECT count(*) FROM prompt") == 0
