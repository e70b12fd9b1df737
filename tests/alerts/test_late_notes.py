"""What comes too late to be an alarm: a dated note for the doctor, once, and nobody is called in the middle of the night."""

from __future__ import annotations

from datetime import timedelta

import pytest

from store import late_notes, messages, readings
from store.late_notes import LateNote
from store.postgres import Database, value
from tests.alerts.test_worker import RULES, Home
from tests.household import NOW, batch, furnish

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


async def test_the_same_told_again_is_no_second_note(home: Home) -> None:
    for _ in range(2):
        await home.measure(at=TWO_DAYS_AGO, systolic=192, diastolic=118)
        await home.start_anew()
        await home.judged()
    assert len(await notes(home)) == 1


async def test_a_normal_pressure_of_two_days_ago_is_nothing(home: Home) -> None:
    await home.measure(at=TWO_DAYS_AGO, systolic=131, diastolic=82)
    await home.judged()
    assert await notes(home) == []


async def test_a_fall_of_two_days_ago_keeps_what_the_band_saw(home: Home) -> None:
    at = NOW - timedelta(days=2)
    async with home.database.service() as c:
        told = batch(home.people, (home.people.wang, home.people.wearable, "fall", 0.9, at))
        object.__setattr__(told, "details", {0: {"impact_g": 3.4}})
        await readings.insert(c, told)
    await home.judged()
    [note] = await notes(home)
    assert (note.rule, note.evidence["impact_g"], note.evidence["probability"]) == ("fall", 3.4, 0.9)


async def test_a_device_s_condition_of_the_past_is_no_news_for_a_doctor(home: Home) -> None:
    await home.measure(device=home.people.wearable, at=NOW - timedelta(days=2), battery=4)
    await home.judged()
    assert await notes(home) == []


async def test_nothing_is_noted_of_who_has_left(home: Home) -> None:
    async with home.database.service() as c:
        await c.execute("UPDATE resident SET left_at = %s WHERE id = %s", [NOW, home.people.wang])
    await home.measure(at=TWO_DAYS_AGO, systolic=192, diastolic=118)
    await home.judged()
    assert await notes(home) == []


async def test_whoever_sees_it_first_counts(home: Home) -> None:
    await home.measure(at=TWO_DAYS_AGO, systolic=192, diastolic=118)
    await home.judged()
    [note] = await notes(home)
    async with home.database.service() as c:
        assert await late_notes.see(c, home.people.wang, note.id, home.people.doctor.id, NOW)
        assert not await late_notes.see(c, home.people.wang, note.id, home.people.supervisor.id, NOW)
        assert not await late_notes.see(c, home.people.zhao, note.id, home.people.doctor.id, NOW)
        [seen] = await late_notes.of_resident(c, home.people.wang, NOW - timedelta(days=30))
    assert (seen.seen_by, seen.seer("en"), seen.seen_at) == (home.people.doctor.id, "Liu Jianguo", NOW)
    assert await notes(home) == []


@pytest.mark.parametrize(("who", "sees"), [("doctor", 1), ("li_na", 1), ("daughter", 0), ("administrator", 0)])
async def test_it_is_for_those_in_whose_care_she_is(home: Home, who: str, sees: int) -> None:
    await home.measure(at=TWO_DAYS_AGO, systolic=192, diastolic=118)
    await home.judged()
    async with home.database.reader(getattr(home.people, who).id) as c:
        assert len(await late_notes.unseen(c)) == sees
    async with home.database.reader(home.people.wang_person) as c:
        assert await late_notes.unseen(c) == []
