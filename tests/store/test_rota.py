"""Writing the rota: what is kept, what is refused, and that nothing of another centre is touched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from store import administration, duty_changes, people, rosters, rota, team
from store.duty_changes import NewChange, NewSwap
from store.migrate import migrate, migrations
from store.postgres import Connection, Database
from store.rosters import NewRotation, NewShift
from store.rota import RotaError
from tests.conftest import with_database
from tests.household import NOW, Household, furnish

pytestmark = pytest.mark.anyio
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Desk:
    """An open transaction at the household's centre."""

    c: Connection
    home: Household

    @property
    def centre(self) -> int:
        return self.home.centre

    @property
    def roster(self) -> int:
        return self.home.rosters["care_worker_1"]

    async def refused(self, doing: Any) -> str:
        """By which code this is refused."""
        with pytest.raises(RotaError) as refusal:
            await doing
        assert str(refusal.value)
        return refusal.value.code

    async def audited(self, action: str) -> int:
        cursor = await self.c.execute("SELECT count(*) FROM audit WHERE action = %s", [action])
        row = await cursor.fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    async with database.service() as c:
        yield Desk(c, await furnish(c))


async def test_areas_lie_in_each_other_and_never_in_themselves(desk: Desk) -> None:
    c, centre = desk.c, desk.centre
    court = await rosters.add_area(c, centre, " 银杏院 ", "Ginkgo Court")
    nine = await rosters.add_area(c, centre, "9号楼", "Building 9", court)
    assert [(a.id, a.name("zh_Hans"), a.name("en"), a.within) for a in await rota.areas(c, centre)] == [
        (court, "银杏院", "Ginkgo Court", None),
        (nine, "9号楼", "Building 9", court),
    ]
    await rosters.change_area(c, centre, nine, "九号楼", "Building Nine", court)
    assert await desk.refused(rosters.change_area(c, centre, court, "银杏院", "Ginkgo Court", nine)) == "within_itself"
    assert await desk.refused(rosters.add_area(c, centre, "  ", "Nowhere")) == "name"


async def test_an_area_that_is_needed_cannot_be_removed(desk: Desk) -> None:
    c, centre = desk.c, desk.centre
    court = await rosters.add_area(c, centre, "银杏院", "Ginkgo Court")
    nine = await rosters.add_area(c, centre, "9号楼", "Building 9", court)
    assert await desk.refused(rosters.remove_area(c, centre, court, NOW)) == "area_has_areas"
    roster = await rosters.add_roster(c, centre, "building_leader", 1, "楼长", "Leader", area_id=nine)
    assert await desk.refused(rosters.remove_area(c, centre, nine, NOW)) == "area_has_rosters"
    await rosters.remove_roster(c, centre, roster, NOW)
    await team.settle(c, centre, [desk.home.wang], nine)
    assert await desk.refused(rosters.remove_area(c, centre, nine, NOW)) == "area_has_residents"
    await team.settle(c, centre, [desk.home.wang], None)
    await rosters.remove_area(c, centre, nine, NOW)
    await rosters.remove_area(c, centre, court, NOW)
    assert await rota.areas(c, centre) == []


async def test_a_removed_roster_is_still_known_for_the_time_before(desk: Desk) -> None:
    await rosters.change_roster(desk.c, desk.centre, desk.roster, "一线", "First line", False)
    await rosters.remove_roster(desk.c, desk.centre, desk.roster, NOW)
    assert desk.roster not in {r.id for r in await rota.rosters(desk.c, desk.centre, NOW)}
    [old] = [r for r in await rota.rosters(desk.c, desk.centre, NOW - HOUR) if r.id == desk.roster]
    assert (old.name_en, old.must_cover, old.removed_at) == ("First line", False, NOW)


async def test_the_last_roster_that_a_policy_calls_cannot_be_removed(desk: Desk) -> None:
    c, centre = desk.c, desk.centre
    content = {"steps": [{"targets": [{"kind": "duty", "role": "care_worker", "line": 1}], "wait_s": 60}]}
    await c.execute(
        "WITH made AS (INSERT INTO policy (centre_id, name_zh, name_en, content) VALUES (%s, '急', 'Urgent', %s) RETURNING id) "
        "INSERT INTO policy_use (centre_id, priority, policy_id) SELECT %s, 'high', id FROM made",
        [centre, Jsonb(content), centre],
    )
    assert await desk.refused(rosters.remove_roster(c, centre, desk.roster, NOW)) == "roster_in_policy"
    await rosters.remove_roster(c, centre, desk.home.rosters["care_worker_2"], NOW)
    await rosters.add_roster(c, centre, "care_worker", 1, "夜班", "Nights")
    await rosters.remove_roster(c, centre, desk.roster, NOW)


async def test_a_roster_of_no_known_duty_is_refused(desk: Desk) -> None:
    for role, line in (("cook", 1), ("volunteer", 6), ("volunteer", 0)):
        assert await desk.refused(rosters.add_roster(desk.c, desk.centre, role, line, "某", "Some")) == "duty"


def a_rotation(desk: Desk, *persons: UUID, **other: Any) -> NewRotation:
    new = NewRotation(desk.roster, "轮换", "Turns", "weeks", 1, datetime.fromisoformat("2026-11-23 08:00"), persons)
    return replace(new, **other)


async def test_a_rotation_keeps_its_order_and_goes_only_when_no_shift_needs_it(desk: Desk) -> None:
    c, centre, home = desk.c, desk.centre, desk.home
    number = await rosters.add_rotation(c, centre, a_rotation(desk, home.chen.id, home.li_na.id))
    [kept] = await rota.rotations(c, centre)
    assert (kept.id, kept.persons, kept.starts_at) == (
        number,
        [home.chen.id, home.li_na.id],
        datetime.fromisoformat("2026-11-23 08:00"),
    )
    shift = await rosters.add_shift(c, centre, replace(a_shift(desk), person_id=None, rotation_id=number))
    assert await desk.refused(rosters.remove_rotation(c, centre, number, NOW)) == "rotation_in_use"
    await rosters.remove_shift(c, centre, shift, NOW)
    await rosters.remove_rotation(c, centre, number, NOW)
    assert await rota.rotations(c, centre) == []


async def test_turns_are_somebodys_who_can_be_called_and_of_a_length(desk: Desk) -> None:
    c, centre, home = desk.c, desk.centre, desk.home
    assert await desk.refused(rosters.add_rotation(c, centre, a_rotation(desk))) == "no_turns"
    assert (
        await desk.refused(rosters.add_rotation(c, centre, a_rotation(desk, home.li_na.id, length=0))) == "turn_length"
    )
    assert (
        await desk.refused(rosters.add_rotation(c, centre, a_rotation(desk, home.li_na.id, every="moons")))
        == "turn_length"
    )
    assert await desk.refused(rosters.add_rotation(c, centre, a_rotation(desk, home.administrator.id))) == "no_phone"
    await c.execute("UPDATE account SET disabled_at = %s WHERE person_id = %s", [NOW, home.chen.id])
    assert await desk.refused(rosters.add_rotation(c, centre, a_rotation(desk, home.chen.id))) == "left"


def a_shift(desk: Desk) -> NewShift:
    return NewShift(desk.roster, (1, 2, 2), time(8), time(20), date(2026, 11, 30), person_id=desk.home.li_na.id)


async def test_a_shift_is_kept_ended_and_removed(desk: Desk) -> None:
    c, centre = desk.c, desk.centre
    number = await rosters.add_shift(c, centre, a_shift(desk))
    kept = next(s for s in await rota.shifts(c, centre) if s.id == number)
    assert (kept.weekdays, kept.starts, kept.ends, kept.valid_until) == ([1, 2], time(8), time(20), None)
    assert await desk.refused(rosters.end_shift(c, centre, number, date(2026, 11, 29))) == "backwards"
    await rosters.end_shift(c, centre, number, date(2026, 12, 31))
    await rosters.remove_shift(c, centre, number, NOW)
    assert number not in {s.id for s in await rota.shifts(c, centre)}
    old = next(s for s in await rota.shifts(c, centre, NOW - HOUR) if s.id == number)
    assert (old.valid_until, old.removed_at) == (date(2026, 12, 31), NOW)


async def test_a_shift_that_makes_no_sense_is_refused(desk: Desk) -> None:
    nonsense: list[tuple[dict[str, Any], str]] = [
        ({"person_id": None}, "who"),
        ({"rotation_id": 1}, "who"),
        ({"weekdays": ()}, "weekdays"),
        ({"weekdays": (0, 8)}, "weekdays"),
        ({"holidays": "sometimes"}, "holidays"),
        ({"valid_until": date(2026, 11, 1)}, "backwards"),
    ]
    for other, code in nonsense:
        assert await desk.refused(rosters.add_shift(desk.c, desk.centre, replace(a_shift(desk), **other))) == code


async def test_a_holiday_is_set_renamed_and_removed(desk: Desk) -> None:
    c, centre, day = desk.c, desk.centre, date(2027, 2, 6)
    await rosters.set_holiday(c, centre, day, "春", "Spring")
    await rosters.set_holiday(c, centre, day, "春节", "Spring Festival")
    [kept] = await rota.holidays(c, centre, day, day)
    assert (kept.name("zh_Hans"), kept.name("en")) == ("春节", "Spring Festival")
    await rosters.remove_holiday(c, centre, day)
    assert await rota.holidays(c, centre, day, day) == []


def a_change(desk: Desk) -> NewChange:
    return NewChange(desk.roster, NOW + HOUR, NOW + 2 * HOUR, desk.home.chen.id, desk.home.li_na.id, " 看病 ")


async def test_a_change_says_who_made_it_when_and_why_and_can_be_taken_back(desk: Desk) -> None:
    c, centre, by = desk.c, desk.centre, desk.home.administrator.id
    number = await duty_changes.add_change(c, centre, a_change(desk), NOW, by=by)
    [kept] = await rota.changes(c, centre, NOW, NOW + DAY)
    assert (kept.id, kept.why, kept.made_by, kept.made_at) == (number, "看病", by, NOW)
    await duty_changes.cancel_change(c, centre, number, NOW, by=by)
    await duty_changes.cancel_change(c, centre, number, NOW + HOUR, by=by)
    assert await rota.changes(c, centre, NOW - DAY, NOW + DAY) == []
    assert await desk.audited("duty_change_cancelled") == 1


async def test_a_change_does_not_reach_back_and_taken_back_stays_true_of_the_time_before(desk: Desk) -> None:
    c, centre = desk.c, desk.centre
    number = await duty_changes.add_change(c, centre, replace(a_change(desk), starts_at=NOW - HOUR), NOW)
    await duty_changes.cancel_change(c, centre, number, NOW + HOUR)
    [kept] = await rota.changes(c, centre, NOW, NOW + DAY)
    assert (kept.starts_at, kept.cancelled_at) == (NOW, NOW + HOUR)
    assert await rota.changes(c, centre, NOW + HOUR, NOW + DAY) == []


async def test_a_change_that_makes_no_sense_is_refused(desk: Desk) -> None:
    nonsense: list[tuple[dict[str, Any], str]] = [
        ({"person_id": None, "instead_of": None}, "who"),
        ({"ends_at": NOW + HOUR}, "backwards"),
        ({"starts_at": NOW - 2 * HOUR, "ends_at": NOW}, "past"),
        ({"ends_at": NOW + 100 * DAY}, "too_long"),
        ({"why": "啊" * 201}, "why"),
    ]
    for other, code in nonsense:
        refusal = await desk.refused(
            duty_changes.add_change(desk.c, desk.centre, replace(a_change(desk), **other), NOW)
        )
        assert refusal == code


async def test_nobody_stands_in_for_herself_or_without_a_telephone(desk: Desk) -> None:
    c, centre, home = desk.c, desk.centre, desk.home
    herself = replace(a_change(desk), person_id=home.li_na.id)
    assert await desk.refused(duty_changes.add_change(c, centre, herself, NOW)) == "herself"
    silent = replace(a_change(desk), person_id=home.administrator.id)
    assert await desk.refused(duty_changes.add_change(c, centre, silent, NOW)) == "no_phone"


def a_swap(desk: Desk) -> NewSwap:
    home = desk.home
    return NewSwap(desk.roster, home.li_na.id, home.chen.id, NOW + DAY, NOW + DAY + 8 * HOUR)


async def test_what_is_asked_changes_nothing_until_it_is_accepted(desk: Desk) -> None:
    c, centre, home = desk.c, desk.centre, desk.home
    number = await duty_changes.ask_swap(c, centre, a_swap(desk), NOW)
    [asked] = await rota.swaps_of(c, home.chen.id, NOW)
    assert (asked.id, asked.state, asked.asked_by) == (number, "asked", home.li_na.id)
    assert await rota.changes(c, centre, NOW, NOW + 2 * DAY) == []
    await duty_changes.decline_swap(c, number, NOW, home.chen.id)
    [declined] = await rota.swaps(c, centre, NOW)
    assert (declined.state, declined.settled_by, declined.settled_at) == ("declined", home.chen.id, NOW)
    assert await desk.refused(duty_changes.withdraw_swap(c, number, NOW, home.li_na.id)) == "declined"
    assert await rota.swaps(c, centre, NOW + 3 * DAY) == []


async def test_only_whom_it_asks_answers_and_only_who_asked_withdraws(desk: Desk) -> None:
    c, home = desk.c, desk.home
    number = await duty_changes.ask_swap(c, desk.centre, a_swap(desk), NOW)
    with pytest.raises(administration.NotAllowed):
        await duty_changes.decline_swap(c, number, NOW, home.li_na.id)
    with pytest.raises(administration.NotAllowed):
        await duty_changes.withdraw_swap(c, number, NOW, home.chen.id)
    await duty_changes.withdraw_swap(c, number, NOW, home.li_na.id)


async def test_a_swap_is_both_changes_and_taken_back_neither(desk: Desk) -> None:
    c, centre, home = desk.c, desk.centre, desk.home
    both = replace(a_swap(desk), takes_from=NOW + 2 * DAY, takes_until=NOW + 3 * DAY)
    number = await duty_changes.ask_swap(c, centre, both, NOW)
    asked = await duty_changes.open_swap(c, number, home.chen.id, may="answer")
    await duty_changes.accept_swap(c, centre, asked, NOW, home.chen.id)
    gives, takes = await rota.changes(c, centre, NOW, NOW + 5 * DAY)
    assert (gives.person_id, gives.instead_of, gives.swap_id) == (home.chen.id, home.li_na.id, number)
    assert (takes.person_id, takes.instead_of, takes.starts_at) == (home.li_na.id, home.chen.id, NOW + 2 * DAY)
    await duty_changes.cancel_change(c, centre, takes.id, NOW)
    assert await rota.changes(c, centre, NOW, NOW + 5 * DAY) == []


async def test_a_swap_that_fails_halfway_leaves_nothing(desk: Desk) -> None:
    c, centre, home = desk.c, desk.centre, desk.home
    both = replace(a_swap(desk), takes_from=NOW + 2 * DAY, takes_until=NOW + 3 * DAY)
    number = await duty_changes.ask_swap(c, centre, both, NOW)
    await c.execute("UPDATE person SET phone = NULL WHERE id = %s", [home.li_na.id])
    asked = await duty_changes.open_swap(c, number, home.chen.id, may="answer")
    assert await desk.refused(duty_changes.accept_swap(c, centre, asked, NOW, home.chen.id)) == "no_phone"
    assert await rota.changes(c, centre, NOW, NOW + 5 * DAY) == []
    assert (await duty_changes.open_swap(c, number, home.chen.id, may="answer")).state == "asked"


async def test_a_swap_that_makes_no_sense_is_refused(desk: Desk) -> None:
    nonsense: list[tuple[dict[str, Any], str]] = [
        ({"takes_from": NOW + DAY}, "half_swap"),
        ({"gives_until": NOW}, "backwards"),
    ]
    for other, code in nonsense:
        assert (
            await desk.refused(duty_changes.ask_swap(desk.c, desk.centre, replace(a_swap(desk), **other), NOW)) == code
        )


async def away(desk: Desk, at: datetime) -> list[str]:
    found = await rota.absences(desk.c, desk.centre, at, at)
    return [absence.kind for absence in found if absence.starts_at <= at]


async def test_who_is_away_is_so_until_she_says_that_she_is_back(desk: Desk) -> None:
    c, centre, li_na = desk.c, desk.centre, desk.home.li_na.id
    await duty_changes.begin_absence(c, centre, li_na, "sick", NOW, None, NOW, by=li_na)
    assert await away(desk, NOW + 30 * DAY) == ["sick"]
    assert await duty_changes.end_absence(c, centre, li_na, NOW + DAY)
    assert not await duty_changes.end_absence(c, centre, li_na, NOW + DAY)
    assert (await away(desk, NOW), await away(desk, NOW + DAY)) == (["sick"], [])


async def test_back_in_the_same_moment_she_was_never_away(desk: Desk) -> None:
    c, centre, li_na = desk.c, desk.centre, desk.home.li_na.id
    await duty_changes.begin_absence(c, centre, li_na, "on_visit", NOW, None, NOW)
    assert await duty_changes.end_absence(c, centre, li_na, NOW)
    assert await away(desk, NOW) == []


async def test_said_again_an_absence_ends_otherwise_and_is_no_second_one(desk: Desk) -> None:
    c, centre, li_na = desk.c, desk.centre, desk.home.li_na.id
    first = await duty_changes.begin_absence(c, centre, li_na, "sick", NOW, None, NOW)
    again = await duty_changes.begin_absence(c, centre, li_na, "sick", NOW + HOUR, NOW + DAY, NOW + HOUR)
    assert again == first
    assert (await away(desk, NOW + 2 * HOUR), await away(desk, NOW + DAY)) == (["sick"], [])


async def test_a_planned_leave_is_cancelled_and_a_begun_one_ended(desk: Desk) -> None:
    c, centre, li_na = desk.c, desk.centre, desk.home.li_na.id
    planned = await duty_changes.begin_absence(c, centre, li_na, "leave", NOW + DAY, NOW + 2 * DAY, NOW)
    begun = await duty_changes.begin_absence(c, centre, li_na, "sick", NOW - DAY, NOW + DAY, NOW)
    for absence in (planned, begun):
        await duty_changes.cancel_absence(c, centre, absence, NOW)
    assert [await away(desk, at) for at in (NOW - HOUR, NOW, NOW + DAY)] == [["sick"], [], []]


async def test_an_absence_that_makes_no_sense_is_refused(desk: Desk) -> None:
    c, centre, li_na = desk.c, desk.centre, desk.home.li_na.id
    assert await desk.refused(duty_changes.begin_absence(c, centre, li_na, "bored", NOW, None, NOW)) == "absence"
    over = duty_changes.begin_absence(c, centre, li_na, "sick", NOW - 2 * DAY, NOW - DAY, NOW)
    assert await desk.refused(over) == "backwards"


async def test_nothing_of_another_centre_is_touched(desk: Desk) -> None:
    c, home = desk.c, desk.home
    here = desk.centre
    other = await people.add_centre(c, "别处", "Elsewhere", None, "Europe/Berlin")
    area = await rosters.add_area(c, here, "银杏院", "Ginkgo Court")
    rotation = await rosters.add_rotation(c, here, a_rotation(desk, home.li_na.id))
    shift = await rosters.add_shift(c, here, a_shift(desk))
    change = await duty_changes.add_change(c, here, a_change(desk), NOW)
    absence = await duty_changes.begin_absence(c, here, home.li_na.id, "leave", NOW + DAY, None, NOW)
    theirs = await rosters.add_roster(c, other, "care_worker", 1, "一线", "First line")
    attempts = [
        rosters.add_area(c, other, "楼", "House", area),
        rosters.change_area(c, other, area, "楼", "House", None),
        rosters.remove_area(c, other, area, NOW),
        rosters.add_roster(c, other, "volunteer", 1, "志愿", "Volunteers", area_id=area),
        rosters.change_roster(c, other, desk.roster, "一", "One", True),
        rosters.remove_roster(c, other, desk.roster, NOW),
        rosters.add_rotation(c, other, a_rotation(desk, home.li_na.id)),
        rosters.add_rotation(c, other, a_rotation(desk, home.li_na.id, roster_id=theirs)),
        rosters.remove_rotation(c, other, rotation, NOW),
        rosters.add_shift(c, other, a_shift(desk)),
        rosters.add_shift(c, other, replace(a_shift(desk), roster_id=theirs)),
        rosters.add_shift(c, other, replace(a_shift(desk), roster_id=theirs, person_id=None, rotation_id=rotation)),
        rosters.end_shift(c, other, shift, date(2027, 1, 1)),
        rosters.remove_shift(c, other, shift, NOW),
        duty_changes.add_change(c, other, a_change(desk), NOW),
        duty_changes.add_change(c, here, replace(a_change(desk), person_id=uuid4()), NOW),
        duty_changes.cancel_change(c, other, change, NOW),
        duty_changes.ask_swap(c, other, a_swap(desk), NOW),
        duty_changes.begin_absence(c, other, home.li_na.id, "sick", NOW, None, NOW),
        duty_changes.end_absence(c, other, home.li_na.id, NOW),
        duty_changes.cancel_absence(c, other, absence, NOW),
    ]
    for attempt in attempts:
        with pytest.raises(administration.NotAllowed):
            await attempt


async def test_staff_see_the_rota_of_their_centre_and_a_family_nothing_of_it(database: Database) -> None:
    async with database.service() as c:
        home = await furnish(c)
        await duty_changes.begin_absence(c, home.centre, home.li_na.id, "sick", NOW, None, NOW)
    for person, rosters_seen in ((home.chen, 3), (home.administrator, 3), (home.daughter, 0)):
        async with database.reader(person.id) as c:
            assert len(await rota.rosters(c, home.centre)) == rosters_seen
            assert len(await rota.shifts(c, home.centre)) == rosters_seen
            seen = await (await c.execute("SELECT kind FROM absence")).fetchall()
            assert seen == ([("sick",)] if rosters_seen else [])


def test_the_rota_as_it_was_written_so_far_holds_on(server_dsn: str) -> None:
    name = f"before_{uuid4().hex[:8]}"
    with psycopg.connect(server_dsn, autocommit=True) as c:
        c.execute(f'CREATE DATABASE "{name}"'.encode())
    dsn = with_database(server_dsn, name)
    before = [m for m in migrations() if m.name < "0014"]
    migrate(dsn, before)
    with psycopg.connect(dsn) as c:
        c.execute("INSERT INTO centre (name_zh, name_en) VALUES ('槐树街', 'Huaishu Street')")
        for step, phone in enumerate(("+8613900000011", "+8613900000012", "+8613900000013"), start=1):
            c.execute(
                "WITH p AS (INSERT INTO person (centre_id, name_zh, name_en, phone) VALUES (1, '某', 'Some', %s) RETURNING id) "
                "INSERT INTO duty (centre_id, person_id, step, starts_at, ends_at) SELECT 1, id, %s, %s, %s FROM p",
                [phone, step, NOW, NOW + 12 * HOUR],
            )
    migrate(dsn)
    with psycopg.connect(dsn) as c:
        kept = c.execute(
            "SELECT r.role, r.line, p.phone, d.starts_at, d.ends_at FROM duty_change d JOIN roster r ON r.id = d.roster_id "
            "JOIN person p ON p.id = d.person_id ORDER BY r.role, r.line"
        ).fetchall()
    hours = (NOW, NOW + 12 * HOUR)
    assert kept == [
        ("care_worker", 1, "+8613900000011", *hours),
        ("care_worker", 2, "+8613900000012", *hours),
        ("supervisor", 1, "+8613900000013", *hours),
    ]
