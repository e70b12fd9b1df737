"""A message is due once, taken by one sender, the urgent first, and never goes back to what it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from store import alerts, messages
from store.messages import Lane, MessageRow, NewMessage
from store.postgres import Connection, Database
from tests.household import NOW, Household, furnish
from tests.opened import opened

pytestmark = pytest.mark.anyio

SECOND = timedelta(seconds=1)
EVERY = ("high", "medium", "low")
ROOMY = [Lane(channel, priority, 9) for channel in ("sms", "voice", "email") for priority in ("high", "medium", "low")]


@pytest.fixture
async def home(database: Database) -> Household:
    async with database.service() as c:
        return await furnish(c)


async def alert_of(c: Connection, home: Household) -> int:
    number = await opened(
        c,
        resident_id=home.wang,
        rule="fall",
        protocol="2026-11-01",
        priority="high",
        kind="event",
        happened_at=NOW,
        raised_at=NOW,
        evidence={},
    )
    assert number is not None
    return number


def call(home: Household, alert_id: int | None, **different: Any) -> NewMessage:
    usual = NewMessage(
        purpose="alert",
        priority="high",
        person_id=home.li_na.id,
        channel="sms",
        address="+8613900000002",
        language="zh_Hans",
        body="请去看看",
        due_at=NOW,
        expires_at=NOW + timedelta(minutes=15),
        made_at=NOW,
        alert_id=alert_id,
        resident_id=home.wang,
        step=1,
    )
    return replace(usual, **different)


async def the_only(c: Connection, alert_id: int) -> MessageRow:
    [message] = await messages.of_alert(c, alert_id)
    return message


async def test_the_same_call_to_the_same_person_is_one_message(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        assert await messages.add(c, [call(home, number)]) == {(number, home.li_na.id, "sms")}
        assert await messages.add(c, [call(home, number)]) == set()
        assert await messages.add(c, [call(home, number, step=4), call(home, number, purpose="taken")])
        assert len(await messages.of_alert(c, number)) == 3


async def test_a_later_call_takes_the_place_of_one_that_has_not_gone_out(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        await messages.add(c, [call(home, number), call(home, number, channel="voice")])
        await messages.add(c, [call(home, number, step=2), call(home, number, step=2, person_id=home.chen.id)])
        states = [(m.step, m.channel, m.state, m.error) for m in await messages.of_alert(c, number)]
    assert states == [
        (1, "sms", "cancelled", "superseded"),
        (1, "voice", "due", None),
        (2, "sms", "due", None),
        (2, "sms", "due", None),
    ]


async def test_a_message_about_no_alert_is_sent_like_any_other(database: Database, home: Household) -> None:
    async with database.service() as c:
        for _ in range(2):
            await messages.add(c, [call(home, None, resident_id=None, purpose="test", step=0)])
        assert [m.purpose for m in await messages.claim_due(c, NOW, ROOMY)] == ["test", "test"]


async def test_what_one_sender_has_taken_no_other_gets(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        await messages.add(c, [call(home, number, step=step) for step in (1, 2, 3)])
    async with database.service() as one, database.service() as other:
        first = await messages.claim_due(one, NOW, [Lane("sms", "high", 2)])
        second = await messages.claim_due(other, NOW, [Lane("sms", "high", 2)])
    assert [m.step for m in first] == [1, 2]
    assert [m.step for m in second] == [3]
    assert {(m.state, m.attempts, m.sending_at) for m in first} == {("sending", 1, NOW)}
    async with database.service() as c:
        assert await messages.claim_due(c, NOW, ROOMY) == []


async def test_the_urgent_is_taken_first_and_each_lane_as_far_as_it_has_room(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        steps = enumerate(["low", "low", "medium", "low", "high"])
        await messages.add(c, [call(home, number, step=step, priority=priority) for step, priority in steps])
        await messages.add(c, [call(home, number, channel="voice")])
        lanes = [Lane("sms", "low", 2), Lane("sms", "medium", 0), Lane("sms", "high", 9), Lane("voice", "high", 1)]
        taken = await messages.claim_due(c, NOW, lanes)
        assert [(m.channel, m.priority) for m in taken] == [
            ("sms", "high"),
            ("voice", "high"),
            ("sms", "low"),
            ("sms", "low"),
        ]


async def test_nothing_is_sent_before_it_is_due(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        await messages.add(c, [call(home, number), call(home, number, channel="voice", due_at=NOW + 45 * SECOND)])
        assert await messages.claim_due(c, NOW - SECOND, ROOMY) == []
        assert await messages.next_due(c) == {("sms", "high"): NOW, ("voice", "high"): NOW + 45 * SECOND}
        assert await messages.oldest_due(c, NOW - SECOND) is None
        assert await messages.oldest_due(c, NOW + SECOND) == NOW
        assert [m.channel for m in await messages.claim_due(c, NOW, ROOMY)] == ["sms"]


async def test_what_a_dead_sender_left_is_taken_for_looking_up_and_not_at_once_again(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        await messages.add(c, [call(home, await alert_of(c, home))])
        await messages.claim_due(c, NOW, ROOMY)
        assert await messages.claim_uncertain(c, NOW, EVERY, NOW, 9, NOW + 5 * SECOND) == []
        later = NOW + 12 * SECOND
        [left] = await messages.claim_uncertain(c, later, EVERY, NOW + SECOND, 9, later + 5 * SECOND)
        assert left.state == "uncertain"
        assert await messages.claim_uncertain(c, later, EVERY, later, 9, later) == []
        assert len(await messages.claim_uncertain(c, later + 5 * SECOND, EVERY, later, 9, later)) == 1


async def test_what_a_clock_ahead_of_time_has_marked_waits_for_nobody_when_it_is_set_back(
    database: Database, home: Household
) -> None:
    ahead = NOW + timedelta(hours=1)
    async with database.service() as c:
        number = await alert_of(c, home)
        await messages.add(c, [call(home, number, due_at=ahead, made_at=ahead, expires_at=ahead + 900 * SECOND)])
        assert await messages.bring_back(c, NOW, 60 * SECOND) == 1
        [back] = await messages.claim_due(c, NOW, ROOMY)
        assert back.expires_at == NOW + 900 * SECOND
        await messages.update(c, back.id, {"sending_at": ahead})
        assert len(await messages.claim_uncertain(c, NOW, EVERY, NOW - 20 * SECOND, 9, NOW)) == 1


async def test_a_message_without_news_is_asked_after_until_it_is_too_old(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        await messages.add(c, [call(home, number), call(home, number, channel="email")])
        for message in await messages.of_alert(c, number):
            await messages.update(c, message.id, {"state": "sent", "provider_sid": f"SM{message.id}", "due_at": NOW})
        again = NOW + 10 * SECOND
        asked = await messages.claim_unconfirmed(c, NOW, EVERY, ["sms"], 9, again)
        assert [m.channel for m in asked] == ["sms"]
        assert await messages.claim_unconfirmed(c, NOW + 9 * SECOND, EVERY, ["sms"], 9, again) == []
        assert len(await messages.claim_unconfirmed(c, again, EVERY, ["sms"], 9, again)) == 1
        assert await messages.claim_unconfirmed(c, NOW + timedelta(hours=1), EVERY, ["sms"], 9, again) == []


async def test_a_change_is_made_only_from_the_states_it_names(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        await messages.add(c, [call(home, number)])
        message = await the_only(c, number)
        assert not await messages.update(c, message.id, {"state": "delivered"}, only_from=("sent",))
        assert await messages.update(c, message.id, {"state": "sent", "provider_sid": "SM1"}, only_from=("due",))
        found = await messages.by_sid(c, "SM1")
        assert found is not None
        assert (found.id, found.state) == (message.id, "sent")
        assert await messages.by_sid(c, "SM2") is None


async def test_only_calls_that_have_not_gone_out_are_withdrawn_and_hers_alone_if_so_wished(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        await messages.add(c, [call(home, number)])
        await messages.claim_due(c, NOW, ROOMY)
        later = [call(home, number, step=2), call(home, number, step=2, person_id=home.chen.id)]
        await messages.add(c, [*later, call(home, number, step=2, purpose="taken")])
        assert await messages.cancel_unsent(c, number, home.chen.id) == 1
        assert not await messages.was_called(c, number, home.chen.id)
        assert await messages.cancel_unsent(c, number) == 1
        assert sorted(m.state for m in await messages.of_alert(c, number)) == [
            "cancelled",
            "cancelled",
            "due",
            "sending",
        ]
        assert await messages.was_called(c, number, home.li_na.id)
        assert await messages.still_called(c, number, 1, ["sms"]) == {home.li_na.id}
        assert await messages.still_called(c, number, 1, ["voice"]) == set()
        assert await messages.still_called(c, number, 2, ["sms"]) == set()


async def test_when_one_way_has_failed_the_next_is_tried_now_but_not_the_same_dead_number(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        ways = {"voice": "+8613900000002", "email": "li@example.org"}
        later = NOW + 45 * SECOND
        await messages.add(c, [call(home, number, channel=way, address=to, due_at=later) for way, to in ways.items()])
        assert await messages.give_up_on_address(c, number, 1, "+8613900000002", "30005") == 1
        assert await messages.bring_forward(c, number, 1, home.li_na.id, NOW) == 1
        found = {m.channel: (m.state, m.error, m.due_at) for m in await messages.of_alert(c, number)}
        assert found == {"voice": ("failed", "30005", later), "email": ("due", None, NOW)}


async def test_the_oldest_undelivered_call_is_told_while_somebody_waits_for_it(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        number = await alert_of(c, home)
        await messages.add(c, [call(home, number), call(home, number, channel="voice", due_at=NOW + 45 * SECOND)])
        assert await messages.oldest_undelivered(c, NOW - SECOND) is None
        assert await messages.oldest_undelivered(c, NOW + SECOND) == NOW
        await messages.claim_due(c, NOW, [Lane("sms", "high", 1)])
        assert await messages.oldest_undelivered(c, NOW + 9 * SECOND) == NOW
        await alerts.update(c, number, {"state": "acknowledged"})
        assert await messages.oldest_undelivered(c, NOW + 9 * SECOND) is None


async def test_a_reply_is_remembered_once_by_the_providers_name(database: Database, home: Household) -> None:
    async with database.service() as c:
        first = await messages.note_inbound(c, "SM1", "+8613900000002", "1", home.li_na.id, NOW, "received")
        again = await messages.note_inbound(c, "SM1", "+8613900000002", "1", home.li_na.id, NOW, "received")
        await messages.set_inbound_outcome(c, "SM1", "taken")
        cursor = await c.execute("SELECT outcome FROM inbound")
        assert await cursor.fetchall() == [("taken",)]
    assert (first, again) == (True, False)
