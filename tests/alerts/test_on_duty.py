"""The rota of a real record, asked who is on duty."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alerts import on_duty
from store import people
from store.postgres import Database
from tests.household import NOW, Household, furnish

pytestmark = pytest.mark.anyio
A_DAY = timedelta(days=1)


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
