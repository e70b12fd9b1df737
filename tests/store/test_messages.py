"""A message is due once, taken by one sender, and never goes back to what it was."""

from __future__ import annotations

from datetime import timedelta

import pytest

from store import alerts, messages
from store.postgres import Connection, Database
from tests.household import NOW, Household, furnish
from tests.store.test_alerts import called, raised

pytestmark = pytest.mark.anyio


@pytest.fixture
async def home(database: Database) -> Household:
    async with database.service() as c:
        return await furnish(c)


async def alert_of(c: Connection, home: Household) -> int:
    number = await raised(c, home.wang)
    assert number is not None
    return number


async def test_the_same_call_to_the_same_person_is_one_message(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        assert await called(c, number, home) is not None
        assert await called(c, number, home) is None
        assert await called(c, number, home, step=4) is not None
        assert await called(c, number, home, purpose="taken") is not None


async def test_what_one_sender_has_taken_no_other_gets(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        for step in range(1, 4):
            await called(c, number, home, step=step)
    async with database.service() as one, database.service() as other:
        first = await messages.claim_due(one, NOW, 2)
        second = await messages.claim_due(other, NOW, 2)
    assert sorted(m.step for m in first) == [1, 2]
    assert [m.step for m in second] == [3]
    assert {(m.state, m.attempts, m.sending_at) for m in first} == {("sending", 1, NOW)}
    async with database.service() as c:
        assert await messages.claim_due(c, NOW, 9) == []


async def test_nothing_is_sent_before_it_is_due(database: Database, home: Household) -> None:
    async with database.service() as c:
        await called(c, await alert_of(c, home), home)
        assert await messages.claim_due(c, NOW - timedelta(seconds=1), 9) == []
        assert await messages.next_due(c) == NOW
        assert await messages.oldest_due(c) is None or (await messages.oldest_due(c) or NOW) >= NOW


async def test_what_a_dead_sender_left_is_taken_for_looking_up_and_not_at_once_again(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        await called(c, await alert_of(c, home), home)
        await messages.claim_due(c, NOW, 9)
        assert await messages.claim_uncertain(c, NOW, NOW, 9) == []
        later = NOW + timedelta(seconds=12)
        [left] = await messages.claim_uncertain(c, later, NOW + timedelta(seconds=1), 9)
        assert left.state == "uncertain"
        assert await messages.claim_uncertain(c, later, later, 9) == []
        assert len(await messages.claim_uncertain(c, later + timedelta(seconds=5), later, 9)) == 1


async def test_a_message_without_news_is_asked_after_once_a_minute(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await called(c, await alert_of(c, home), home)
        assert number is not None
        await messages.update(c, number, {"state": "sent", "provider_sid": "SM1", "due_at": NOW})
        assert len(await messages.claim_unconfirmed(c, NOW, 9)) == 1
        assert await messages.claim_unconfirmed(c, NOW + timedelta(seconds=59), 9) == []
        assert len(await messages.claim_unconfirmed(c, NOW + timedelta(seconds=60), 9)) == 1
        assert await messages.claim_unconfirmed(c, NOW + timedelta(hours=1), 9) == []


async def test_a_change_is_made_only_from_the_states_it_names(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await called(c, await alert_of(c, home), home)
        assert number is not None
        assert not await messages.update(c, number, {"state": "delivered"}, only_from=("sent",))
        assert await messages.update(c, number, {"state": "sent", "provider_sid": "SM1"}, only_from=("due",))
        found = await messages.by_sid(c, "SM1")
        assert found is not None
        assert (found.id, found.state) == (number, "sent")
        assert await messages.by_sid(c, "SM2") is None


async def test_only_calls_that_have_not_gone_out_are_withdrawn(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        await called(c, number, home)
        await messages.claim_due(c, NOW, 1)
        await called(c, number, home, step=2)
        await called(c, number, home, step=2, purpose="taken")
        assert await messages.cancel_unsent(c, number) == 1
        assert [m.state for m in await messages.of_alert(c, number)] == ["sending", "cancelled", "due"]
        assert await messages.still_called(c, number, 1) == {home.li_na.id}
        assert await messages.still_called(c, number, 2) == set()


async def test_a_reply_is_remembered_once_by_the_providers_name(database: Database, home: Household) -> None:
    async with database.service() as c:
        first = await messages.note_inbound(c, "SM1", "+8613900000002", "1", home.li_na.id, NOW, "received")
        again = await messages.note_inbound(c, "SM1", "+8613900000002", "1", home.li_na.id, NOW, "received")
        await messages.set_inbound_outcome(c, "SM1", "taken")
        cursor = await c.execute("SELECT outcome FROM inbound")
        assert await cursor.fetchall() == [("taken",)]
    assert (first, again) == (True, False)


async def test_an_alert_tells_to_whom_it_was_last_sent(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        await called(c, number, home)
        found = await alerts.last_called_to(c, home.li_na.id, NOW - timedelta(days=1))
        assert found is not None
        assert found.id == number
        assert await alerts.last_called_to(c, home.chen.id, NOW - timedelta(days=1)) is None
