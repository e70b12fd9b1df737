"""The rota of a real record, asked who is on duty."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from psycopg.errors import InsufficientPrivilege

from alerts import on_duty
from store import duty_changes, people, rosters
from store import rota as record
from store.administration import NotAllowed
from store.duty_changes import NewChange, NewSwap
from store.postgres import Database
from store.rota import RotaError
from tests.household import NOW, Household, furnish

pytestmark = pytest.mark.anyio
HOUR, A_DAY = timedelta(hours=1), timedelta(days=1)
SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.fixture
async def home(database: Database) -> Household:
    async with database.service() as c:
        return await furnish(c)


async def test_who_is_called_first_second_and_last(database: Database, home: Household) -> None:
    async with database.service() as c:
        rota = await on_duty.rota(c, home.centre, NOW, NOW + A_DAY)
    for role, line, person in (
        ("care_worker", 1, home.li_na),
        ("care_worker", 2, home.chen),
        ("supervisor", 1, home.supervisor),
    ):
        answer = rota.of(role, line, None, NOW)
        assert [t.person for t in answer.turns] == [person.id]
        assert answer.absent == ()
    assert rota.of("volunteer", 1, None, NOW).turns == ()


async def test_who_has_lost_her_telephone_or_has_left_is_named_but_not_called(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        await c.execute("UPDATE person SET phone = NULL WHERE id = %s", [home.li_na.id])
        await c.execute("UPDATE account SET disabled_at = %s WHERE person_id = %s", [NOW, home.chen.id])
        rota = await on_duty.rota(c, home.centre, NOW, NOW)
    for line, why in ((1, "no_phone"), (2, "left")):
        answer = rota.of("care_worker", line, None, NOW)
        assert answer.turns == ()
        assert [t.absence for t in answer.absent] == [why]


async def test_another_centres_rota_is_none_of_this_one(database: Database, home: Household) -> None:
    async with database.service() as c:
        other = await people.add_centre(c, "别处", "Elsewhere", None, "Europe/Berlin")
        rota = await on_duty.rota(c, other, NOW, NOW)
    assert rota.rosters == []
    assert rota.of("care_worker", 1, None, NOW).turns == ()


async def who(database: Database, home: Household, at: datetime, line: int = 1) -> list[UUID]:
    async with database.service() as c:
        rota = await on_duty.rota(c, home.centre, at, at)
    return [turn.person for turn in rota.of("care_worker", line, None, at).turns]


def instead_of_li_na(home: Household, **other: Any) -> NewChange:
    new = NewChange(home.rosters["care_worker_1"], NOW + HOUR, NOW + 3 * HOUR, home.chen.id, home.li_na.id, "看病")
    return replace(new, **other)


async def test_a_change_holds_and_taken_back_holds_no_more_but_is_still_true_of_the_past(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        number = await on_duty.add_change(c, home.centre, instead_of_li_na(home), NOW, by=home.administrator.id)
        await duty_changes.cancel_change(c, home.centre, number, NOW + 2 * HOUR)
    assert await who(database, home, NOW) == [home.li_na.id]
    assert await who(database, home, NOW + HOUR) == [home.chen.id]
    assert await who(database, home, NOW + 2 * HOUR) == [home.li_na.id]


async def test_nobody_is_taken_off_who_is_not_on_duty(database: Database, home: Household) -> None:
    async with database.service() as c:
        for other in ({"instead_of": home.supervisor.id}, {"roster_id": home.rosters["care_worker_2"]}):
            change = instead_of_li_na(home, person_id=home.doctor.id, **other)
            with pytest.raises(RotaError) as refusal:
                await on_duty.add_change(c, home.centre, change, NOW)
            assert refusal.value.code == "not_hers"


async def test_whose_place_another_has_taken_can_be_given_to_a_third(database: Database, home: Household) -> None:
    async with database.service() as c:
        await on_duty.add_change(c, home.centre, instead_of_li_na(home), NOW)
        await on_duty.add_change(c, home.centre, instead_of_li_na(home, person_id=home.supervisor.id), NOW)
    assert await who(database, home, NOW + HOUR) == [home.supervisor.id]


async def test_accepted_a_swap_changes_who_is_on_duty(database: Database, home: Household) -> None:
    roster = home.rosters["care_worker_1"]
    async with database.service() as c:
        number = await on_duty.ask_swap(
            c, home.centre, NewSwap(roster, home.li_na.id, home.chen.id, NOW + HOUR, NOW + 2 * HOUR), NOW
        )
    assert await who(database, home, NOW + HOUR) == [home.li_na.id]
    async with database.service() as c:
        await on_duty.accept_swap(c, home.centre, number, NOW, home.chen.id)
        with pytest.raises(RotaError) as again:
            await on_duty.accept_swap(c, home.centre, number, NOW, home.chen.id)
    assert again.value.code == "accepted"
    assert await who(database, home, NOW + HOUR) == [home.chen.id]


async def test_only_hours_are_swapped_that_the_one_has_and_the_other_has_not(
    database: Database, home: Household
) -> None:
    first, second = home.rosters["care_worker_1"], home.rosters["care_worker_2"]
    hours = (NOW + HOUR, NOW + 2 * HOUR)
    refused = {
        "not_theirs": NewSwap(second, home.li_na.id, home.chen.id, *hours),
        "both": NewSwap(first, home.li_na.id, home.supervisor.id, *hours, *hours),
        "past": NewSwap(first, home.li_na.id, home.chen.id, NOW - HOUR, NOW),
    }
    async with database.service() as c:
        await on_duty.add_change(
            c, home.centre, NewChange(first, *hours, person_id=home.supervisor.id), NOW, by=home.administrator.id
        )
        for code, swap in refused.items():
            with pytest.raises(RotaError) as refusal:
                await on_duty.ask_swap(c, home.centre, swap, NOW)
            assert refusal.value.code == code
        assert await record.swaps(c, home.centre, NOW) == []


async def test_hours_that_meanwhile_are_anothers_are_not_swapped_any_more(database: Database, home: Household) -> None:
    roster = home.rosters["care_worker_1"]
    async with database.service() as c:
        swap = NewSwap(roster, home.li_na.id, home.chen.id, NOW + HOUR, NOW + 2 * HOUR)
        number = await on_duty.ask_swap(c, home.centre, swap, NOW)
        await on_duty.add_change(c, home.centre, instead_of_li_na(home, person_id=home.supervisor.id), NOW)
        with pytest.raises(RotaError) as refusal:
            await on_duty.accept_swap(c, home.centre, number, NOW, home.chen.id)
    assert refusal.value.code == "not_theirs"


async def test_who_joins_a_rotation_takes_turns_from_tomorrow_and_nothing_of_the_past_changes(
    database: Database, home: Household
) -> None:
    li_na, chen, zhou = home.li_na.id, home.chen.id, home.supervisor.id
    async with database.service() as c:
        roster = await rosters.add_roster(c, home.centre, "care_worker", 3, "三线", "Third line")
        begun = datetime.fromisoformat("2026-11-20 20:00")
        turns = rosters.NewRotation(roster, "夜班", "Nights", "days", 1, begun, (li_na, chen))
        rotation = await rosters.add_rotation(c, home.centre, turns)
        nights = rosters.NewShift(roster, range(1, 8), time(20), time(8), begun.date(), rotation_id=rotation)
        await rosters.add_shift(c, home.centre, nights)

    async def night(day: int) -> UUID:
        [person] = await who(database, home, datetime(2026, 11, day, 23, tzinfo=SHANGHAI), line=3)
        return person

    before = [await night(day) for day in range(20, 29)]
    async with database.service() as c:
        # At six in the evening of the 24th in Shanghai.
        await on_duty.replace_turns(c, home.centre, rotation, [zhou, chen, li_na], NOW)
    after = [await night(day) for day in range(20, 29)]
    assert after[:5] == before[:5] == [li_na, chen, li_na, chen, li_na]
    # Of tomorrow morning it is still Li Na's turn, so those who follow her in the new round follow.
    assert after[5:] == [zhou, chen, li_na, zhou]
    assert await who(database, home, datetime(2026, 11, 25, 7, 59, tzinfo=SHANGHAI), line=3) == [li_na]
    async with database.service() as c:
        assert [r.persons for r in await record.rotations(c, home.centre)] == [[chen, li_na, zhou]]
        with pytest.raises(NotAllowed):
            await on_duty.replace_turns(c, home.centre, rotation, [zhou], NOW)


async def test_a_reader_of_the_staff_cannot_ask_for_everybodys_telephones(database: Database, home: Household) -> None:
    async with database.reader(home.chen.id) as c:
        with pytest.raises(InsufficientPrivilege):
            await on_duty.rota(c, home.centre, NOW, NOW)
