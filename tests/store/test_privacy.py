"""Nobody sees a resident's data without a care relation; the database holds this, not the pages."""

from __future__ import annotations

import psycopg
import pytest

from store import alerts, equipment, gateways, late_notes, maintenance, notes, people, readings, residents
from store.postgres import Database, session_options, value
from tests.household import NOW, Household, batch, furnish
from tests.opened import opened

pytestmark = pytest.mark.anyio

EVERYTHING = (
    "resident", "relation", "device", "alert", "alert_event", "message", "prompt", "note",
    "latest_reading", "reading_quarantine", "resident_reading", "resident_event_detail", "person", "late_note", "held_alarm",
)  # fmt: skip


async def fill(database: Database) -> Household:
    async with database.service() as c:
        home = await furnish(c)
        for resident, cuff in ((home.wang, home.cuff), (home.zhao, home.zhao_cuff)):
            await readings.insert(c, batch(home, (resident, cuff, "systolic", 130.0, NOW)))
            alert = await opened(
                c,
                resident_id=resident,
                rule="r",
                protocol="p",
                priority="high",
                kind="event",
                happened_at=NOW,
                raised_at=NOW,
                evidence={},
            )
            assert alert is not None
            await alerts.add_event(c, alert, resident, "raised", at=NOW)
            await alerts.ask(c, resident, "r", "are_you_well", NOW, NOW)
            await notes.add(c, resident, home.doctor.id, "seen", NOW)
            past = {"resident_id": resident, "rule": "r", "protocol": "p", "happened_at": NOW, "evidence": {}}
            await late_notes.add(c, **past, priority="high", learned_at=NOW)
            await maintenance.hold_back(c, **past, now=NOW)
    return home


async def count(database: Database, person: object, table: str) -> int:
    async with database.reader(person) as c:  # type: ignore[arg-type]
        return int(await value(c, f"SELECT count(*) FROM {table}".encode()))  # type: ignore[arg-type]


@pytest.mark.parametrize("table", EVERYTHING)
async def test_a_connection_without_identity_sees_no_row(database: Database, table: str) -> None:
    await fill(database)
    assert await count(database, None, table) == 0


async def test_a_daughter_sees_her_mother_and_nobody_else(database: Database) -> None:
    home = await fill(database)
    async with database.reader(home.daughter.id) as c:
        assert [r.id for r in await residents.residents(c)] == [home.wang]
        assert {a.resident_id for a in await alerts.open_alerts(c)} == {home.wang}
        assert await readings.recent(c, home.zhao, 10) == []
        assert len(await readings.recent(c, home.wang, 10)) == 1


@pytest.mark.parametrize("table", ["note", "message", "alert_event", "reading_quarantine", "late_note", "held_alarm"])
async def test_what_staff_write_among_themselves_is_not_the_family_s(database: Database, table: str) -> None:
    home = await fill(database)
    assert await count(database, home.daughter.id, table) == 0


async def test_a_relation_that_has_ended_shows_nothing(database: Database) -> None:
    home = await fill(database)
    async with database.service() as c:
        await residents.end_relation(c, home.daughter.id, home.wang, "family")
    assert await count(database, home.daughter.id, "resident_reading") == 0
    assert await count(database, home.daughter.id, "resident") == 0


ADMINISTERED = (
    "administered_gateway", "administered_device", "administered_device_user", "administered_device_type",
    "administered_resident", "administered_person", "administered_relation",
)  # fmt: skip


async def equip(database: Database, home: Household) -> None:
    """A row for each of the administrator's views."""
    async with database.service() as c:
        by = home.administrator.id
        await equipment.share(c, by, home.cuff, {1: home.wang, 2: home.zhao})
        await equipment.add_device_type(c, by, "a type", "blood_pressure", "A*", {"clock": "none"})


async def test_an_administrator_sees_equipment_and_names_and_nothing_else(database: Database) -> None:
    home = await fill(database)
    await equip(database, home)
    for view in ADMINISTERED:
        assert await count(database, home.administrator.id, view) > 0, view
    for table in EVERYTHING:
        seen = await count(database, home.administrator.id, table)
        assert seen == (1 if table == "person" else 0), table  # herself


async def test_her_views_are_empty_to_everybody_else(database: Database) -> None:
    home = await fill(database)
    await equip(database, home)
    async with database.service() as c:
        centre = await people.add_centre(c, "别处", "Elsewhere", None, "Asia/Shanghai")
        other = await people.add_person(c, centre, "外人", "Outsider", None, "en")
        await people.add_account(c, other.id, "outsider", "!", "administrator")
        closed = await people.add_person(c, home.centre, "旧人", "Former", None, "en")
        await people.add_account(c, closed.id, "former", "!", "administrator")
        await c.execute("UPDATE account SET disabled_at = now() WHERE person_id = %s", [closed.id])
    for person in (home.doctor.id, home.li_na.id, home.daughter.id, home.wang_person, other.id, closed.id, None):
        for view in ADMINISTERED:
            assert await count(database, person, view) == 0, (person, view)


async def test_no_view_of_hers_holds_a_key_a_code_or_a_condition(database: Database) -> None:
    await fill(database)
    async with database.service() as c:
        cursor = await c.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = ANY(%s)", [list(ADMINISTERED)]
        )
        columns = {name for (name,) in await cursor.fetchall()}
    assert not columns & {"bindkey", "key_hash", "pairing_hash", "conditions", "born", "sex", "phone"}
    assert not any(name.startswith("target") for name in columns)


async def test_who_shares_a_cuff_is_seen_by_whoever_cares_for_either(database: Database) -> None:
    home = await fill(database)
    await equip(database, home)
    async with database.service() as c:
        await residents.end_relation(c, home.doctor.id, home.wang, "doctor")
        await residents.end_relation(c, home.chen.id, home.wang, "care_worker")
        await residents.end_relation(c, home.chen.id, home.zhao, "care_worker")
    async with database.reader(home.doctor.id) as c:
        assert home.cuff in [d.id for d in await gateways.devices(c, home.zhao)]
        assert [d.id for d in await gateways.devices(c, home.wang)] == [home.cuff]
    async with database.reader(home.chen.id) as c:
        assert await gateways.devices(c, home.zhao) == []


@pytest.mark.parametrize(
    "table", ["reading", "event_detail", "feed", "account", "session", "gateway", "device_type", "audit"]
)
async def test_a_reader_cannot_reach_past_the_guard(database: Database, table: str) -> None:
    home = await fill(database)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        await count(database, home.doctor.id, table)


async def test_a_reader_cannot_reach_a_chunk_of_the_readings(database: Database) -> None:
    home = await fill(database)
    async with database.service() as c:
        chunks = await (
            await c.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'reading'::regclass")
        ).fetchall()
    for (chunk,) in chunks:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await count(database, home.doctor.id, chunk)


async def test_a_reader_sees_a_device_but_never_its_key(database: Database) -> None:
    home = await fill(database)
    async with database.service() as c:
        await gateways.add_device(c, "C0:00:00:00:00:03", home.wang, "help_button", home.gateway, bindkey="ab" * 16)
    async with database.reader(home.doctor.id) as c:
        assert len(await gateways.devices(c, home.wang)) == 3
    for query in (b"SELECT bindkey FROM device", b"SELECT * FROM device", b"SELECT device FROM device"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.reader(home.doctor.id) as c:
                await c.execute(query)


async def write_as_reader(database: Database, person: object, first: bytes) -> None:
    async with database.reader(person) as c:  # type: ignore[arg-type]
        await c.execute(first)
        await c.execute(b"UPDATE resident SET address_en = 'elsewhere'")


async def test_a_reader_cannot_write(database: Database) -> None:
    home = await fill(database)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await write_as_reader(database, home.doctor.id, b"SELECT 1")
    with pytest.raises(psycopg.errors.ActiveSqlTransaction):
        await write_as_reader(database, home.doctor.id, b"SET LOCAL transaction_read_only = off")


async def test_the_trail_and_the_audit_are_only_added_to(database: Database) -> None:
    await fill(database)
    for statement in (b"DELETE FROM alert_event", b"UPDATE audit SET action = 'other'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.service() as c:
                await c.execute(statement)


async def test_a_reader_s_session_cannot_become_the_service_by_its_options(database_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(database_url, options=session_options("hearthwatch_reader")) as c:
        assert await value(c, "SELECT current_user") == "hearthwatch_reader"
