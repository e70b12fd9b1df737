"""What each resident is judged by is only ever added to, is seen by those in whose care she is, and is told at once."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from store import administration, parameters, residents
from store.migrate import migrate, migrations
from store.postgres import Connection, Database, session_options, value
from tests.conftest import with_database
from tests.household import NOW, Household, furnish

pytestmark = pytest.mark.anyio

LATER = NOW + timedelta(hours=1)
TARGET, OXYGEN = "bp.target.systolic", "spo2.low"


@pytest.fixture
async def home(database: Database) -> Household:
    async with database.service() as c:
        return await furnish(c)


async def set_own(c: Connection, home: Household, number: float | None, **also: object) -> None:
    given: dict[str, object] = {"by": home.doctor.id, "why": "frail", "name": OXYGEN, "now": NOW, **also}
    name, now = given.pop("name"), given.pop("now")
    await parameters.set_own(c, home.wang, name, number, now, **given)  # type: ignore[arg-type]


async def own(c: Connection, home: Household) -> dict[str, float]:
    return (await parameters.own_values(c, LATER)).get(home.wang, {})


async def test_of_two_values_the_newer_counts_and_both_stay_in_the_history(database: Database, home: Household) -> None:
    async with database.service() as c:
        await set_own(c, home, 88.0)
        await set_own(c, home, 90.0, why="better now", until=NOW + timedelta(days=7))
        assert await own(c, home) == {OXYGEN: 90.0}
        newer, older = await parameters.history(c, home.wang)
    assert (newer.value, newer.why, newer.until, newer.by("en")) == (
        90.0,
        "better now",
        NOW + timedelta(days=7),
        "Liu Jianguo",
    )
    assert (older.value, older.set_at, older.until, older.by("zh_Hans")) == (88.0, NOW, None, "刘建国")


async def test_a_value_that_has_ended_gives_way_to_the_usual_not_to_the_one_before(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        await set_own(c, home, 88.0)
        await set_own(c, home, 90.0, until=LATER)
        assert await own(c, home) == {}
        await set_own(c, home, 88.0)
        await set_own(c, home, None)
        assert await own(c, home) == {}


async def test_a_centre_s_value_for_a_group_is_that_centre_s(database: Database, home: Household) -> None:
    async with database.service() as c:
        by = home.doctor.id
        await parameters.set_for_group(c, home.centre, "copd", OXYGEN, 86.0, NOW, by=by, why="all on oxygen")
        await parameters.set_for_group(c, home.centre, "copd", OXYGEN, 87.0, NOW, by=by, why="", until=LATER)
        assert await parameters.group_values(c, NOW) == {home.centre: {("copd", OXYGEN): 87.0}}
        assert await parameters.group_values(c, LATER) == {}
        assert [(s.group, s.value, s.why) for s in await parameters.history_of_groups(c, home.centre)] == [
            ("copd", 87.0, ""),
            ("copd", 86.0, "all on oxygen"),
        ]


async def test_conditions_are_noted_and_taken_back_with_who_and_when(database: Database, home: Household) -> None:
    async with database.service() as c:
        await parameters.change_conditions(c, home.wang, ["copd", "frail"], [], by=home.doctor.id)
    async with database.service() as c:
        await parameters.change_conditions(c, home.wang, ["copd", "dialysis"], ["frail", "stroke"], by=home.doctor.id)
        await c.execute("UPDATE resident SET conditions = '{copd}' WHERE id = %s", [home.wang])
        resident = await residents.resident(c, home.wang)
        noted = await parameters.history_of_conditions(c, home.wang)
    assert resident is not None
    assert resident.conditions == ["copd"]
    assert [(n.code, n.holds, n.by("en")) for n in reversed(noted)] == [
        ("copd", True, "Liu Jianguo"),
        ("frail", True, "Liu Jianguo"),
        ("dialysis", True, "Liu Jianguo"),
        ("frail", False, "Liu Jianguo"),
        ("dialysis", False, "Liu Jianguo"),
    ]


async def test_what_was_set_is_never_changed(database: Database, home: Household) -> None:
    async with database.service() as c:
        await set_own(c, home, 88.0)
    for forbidden in (
        b"UPDATE resident_value SET value = 80",
        b"DELETE FROM resident_value",
        b"UPDATE group_value SET value = 80",
        b"INSERT INTO condition_history (resident_id, code, holds) VALUES (1, 'copd', true)",
        b"UPDATE judging SET revision = 0",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.service() as c:
                await c.execute(forbidden)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), float("-inf")])
async def test_no_value_is_no_number(database: Database, home: Household, wrong: float) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        async with database.service() as c:
            await set_own(c, home, wrong)


async def revision(database: Database) -> int:
    async with database.service() as c:
        return await parameters.revision(c)


async def test_the_revision_grows_with_every_change_of_what_anybody_is_judged_by(
    database: Database, home: Household
) -> None:
    async def to_berlin(c: Connection) -> None:
        await administration.set_time_zone(c, home.administrator.id, "Europe/Berlin")

    changes = (
        lambda c: set_own(c, home, 88.0),
        lambda c: set_own(c, home, None),
        lambda c: parameters.change_conditions(c, home.wang, ["copd"], [], by=home.doctor.id),
        lambda c: parameters.set_for_group(c, home.centre, "copd", OXYGEN, 86.0, NOW, by=None, why=""),
        lambda c: c.execute("UPDATE resident SET left_at = now() WHERE id = %s", [home.zhao]),
        to_berlin,
    )
    for change in changes:
        before = await revision(database)
        async with database.service() as c:
            await change(c)
        assert await revision(database) > before
    before = await revision(database)
    async with database.service() as c:
        await c.execute("UPDATE resident SET address_en = 'elsewhere'")
    assert await revision(database) == before


async def test_the_watch_is_told_at_once(database: Database, home: Household) -> None:
    async with aclosing(database.listen()) as heard, asyncio.timeout(10):
        assert await anext(heard) == {"kind": "reconnected"}
        async with database.service() as c:
            await set_own(c, home, 88.0)
        told = [await anext(heard), await anext(heard)]
    assert {"kind": "judging"} in told
    assert {"kind": "resident_value", "resident_id": home.wang} in told


async def test_the_next_end_is_that_of_what_is_in_force(database: Database, home: Household) -> None:
    day = timedelta(days=1)
    async with database.service() as c:
        assert await parameters.next_end(c, NOW) is None
        await set_own(c, home, 88.0, until=NOW + day)
        await set_own(c, home, 89.0, until=NOW + 5 * day)
        await set_own(c, home, 150.0, name=TARGET)
        assert await parameters.next_end(c, NOW) == NOW + 5 * day
        await parameters.set_for_group(c, home.centre, "copd", OXYGEN, 86.0, NOW, by=None, why="", until=NOW + 3 * day)
        assert await parameters.next_end(c, NOW) == NOW + 3 * day
        assert await parameters.next_end(c, NOW + 3 * day) == NOW + 5 * day
        await set_own(c, home, None)
        assert await parameters.next_end(c, NOW + 3 * day) is None


async def seen_by(database: Database, person: UUID | None) -> tuple[int, ...]:
    """How many rows of each table somebody sees."""
    async with database.reader(person) as c:
        return tuple(
            [
                int(await value(c, f"SELECT count(*) FROM {table}".encode()))  # type: ignore[arg-type]
                for table in ("resident_value", "condition_history", "newest_value", "group_value")
            ]
        )


async def test_who_set_what_and_why_is_seen_by_those_in_whose_care_she_is(database: Database, home: Household) -> None:
    async with database.service() as c:
        await set_own(c, home, 88.0)
        await set_own(c, home, 150.0, name=TARGET)
        await parameters.change_conditions(c, home.wang, ["copd"], [], by=home.doctor.id)
        await parameters.set_for_group(c, home.centre, "copd", OXYGEN, 86.0, NOW, by=None, why="")
    for staff in (home.doctor, home.li_na, home.supervisor):
        assert await seen_by(database, staff.id) == (2, 1, 2, 1)
    for related in (home.daughter.id, home.wang_person):
        assert await seen_by(database, related) == (0, 0, 1, 1), "the target alone, without who and why"
    assert await seen_by(database, home.administrator.id) == (0, 0, 0, 0)
    assert await seen_by(database, None) == (0, 0, 0, 0)
    async with database.reader(home.daughter.id) as c:
        assert await parameters.own_values(c, LATER) == {home.wang: {TARGET: 150.0}}
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        async with database.reader(home.doctor.id) as c:
            await set_own(c, home, 70.0)


async def test_a_doctor_of_hers_may_set_and_nobody_else(database: Database, home: Household) -> None:
    async with database.service() as c:
        assert await parameters.may_set(c, home.doctor.id, home.wang)
        for other in (home.li_na.id, home.supervisor.id, home.daughter.id, home.wang_person, home.administrator.id):
            assert not await parameters.may_set(c, other, home.wang)
        await residents.end_relation(c, home.doctor.id, home.wang, "doctor")
        assert not await parameters.may_set(c, home.doctor.id, home.wang)


async def test_the_targets_and_conditions_of_an_older_record_are_carried_over(server_dsn: str) -> None:
    with psycopg.connect(server_dsn, autocommit=True) as c:
        c.execute("CREATE DATABASE of_before_parameters")
    dsn = with_database(server_dsn, "of_before_parameters")
    files = migrations()
    migrate(dsn, [m for m in files if m.name < "0010"])
    with psycopg.connect(dsn, options=session_options("hearthwatch_service")) as c:
        c.execute("INSERT INTO centre (name_zh, name_en) VALUES ('', '')")
        c.execute("INSERT INTO person (centre_id, name_zh, name_en) VALUES (1, '', ''), (1, '', '')")
        c.execute(
            "INSERT INTO resident (person_id, centre_id, born, sex, address_zh, address_en, conditions, target_systolic_low, "
            "target_systolic_high) SELECT id, 1, '1940-01-01', 'male', '', '', '{copd}', 130, 150 FROM person LIMIT 1"
        )
        c.execute(
            "INSERT INTO resident (person_id, centre_id, born, sex, address_zh, address_en) SELECT id, 1, '1940-01-01', 'male', "
            "'', '' FROM person OFFSET 1"
        )
    migrate(dsn)
    with psycopg.connect(dsn, options=session_options("hearthwatch_service")) as c:
        values = c.execute("SELECT resident_id, name, value, set_by FROM resident_value ORDER BY name").fetchall()
        noted = c.execute("SELECT resident_id, code, holds, set_by FROM condition_history").fetchall()
    assert values == [(1, "bp.target.systolic", 150.0, None), (1, "bp.target.systolic_low", 130.0, None)]
    assert noted == [(1, "copd", True, None)]
