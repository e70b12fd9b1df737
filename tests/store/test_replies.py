"""What somebody who answers can mean is what she was called to, or has taken; nobody else's."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from store import alerts, messages, replies
from store.messages import NewMessage
from store.postgres import Connection, Database
from tests.household import NOW, Household, furnish
from tests.opened import opened

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


@pytest.fixture
async def home(database: Database) -> Household:
    async with database.service() as c:
        return await furnish(c)


async def raised(c: Connection, resident: int, rule: str = "fall", priority: str = "high") -> int:
    """An alert with the number 27."""
    number = await opened(
        c,
        resident_id=resident,
        rule=rule,
        protocol="2026-11-01",
        priority=priority,
        kind="event",
        happened_at=NOW,
        raised_at=NOW,
        evidence={},
    )
    assert number is not None
    await alerts.update(c, number, {"reply_code": 27, "state": "notifying", "step": 1})
    return number


async def told(
    c: Connection, alert_id: int | None, resident: int | None, person: UUID, at: datetime, purpose: str = "alert"
) -> None:
    await messages.add(
        c,
        [
            NewMessage(
                purpose=purpose,
                priority="high",
                person_id=person,
                channel="sms",
                address="+8613900000002",
                language="en",
                body="…",
                due_at=at,
                expires_at=at + HOUR,
                made_at=at,
                alert_id=alert_id,
                resident_id=resident,
                step=round((at - NOW).total_seconds()),
            )
        ],
    )


async def test_it_is_what_she_was_called_to_the_worst_first(database: Database, home: Household) -> None:
    async with database.service() as c:
        low = await raised(c, home.wang, "bp.low", "medium")
        high = await raised(c, home.zhao)
        other = await raised(c, home.wang, "fall")
        await told(c, low, home.wang, home.li_na.id, NOW)
        await told(c, high, home.zhao, home.li_na.id, NOW)
        await told(c, other, home.wang, home.chen.id, NOW)
        await told(c, other, home.wang, home.li_na.id, NOW, "taken")
        found = await replies.called_to(c, home.li_na.id, NOW - HOUR)
        assert [(row.alert_id, row.code, row.name_en) for row in found] == [
            (high, 27, "Zhao Deming"),
            (low, 27, "Wang Xiuying"),
        ]
        assert await replies.called_to(c, home.supervisor.id, NOW - HOUR) == []


async def test_what_was_withdrawn_counts_only_if_she_has_taken_it_herself(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await raised(c, home.wang)
        await told(c, number, home.wang, home.li_na.id, NOW)
        await messages.cancel_unsent(c, number)
        assert await replies.called_to(c, home.li_na.id, NOW - HOUR) == []
        taken = {"state": "acknowledged", "acknowledged_by": home.li_na.id, "acknowledged_at": NOW}
        await alerts.update(c, number, taken)
        [found] = await replies.called_to(c, home.li_na.id, NOW - HOUR)
        assert (found.taker_id, found.taker_en, found.state) == (home.li_na.id, "Na Li", "acknowledged")


async def test_what_is_closed_is_remembered_for_a_while(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await raised(c, home.wang)
        await told(c, number, home.wang, home.li_na.id, NOW)
        await alerts.update(c, number, {"state": "resolved", "resolved_at": NOW})
        assert len(await replies.called_to(c, home.li_na.id, NOW - HOUR)) == 1
        assert await replies.called_to(c, home.li_na.id, NOW + HOUR) == []


async def test_a_refusal_holds_until_she_is_called_again_and_news_are_told_after_the_call(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        number = await raised(c, home.wang)
        await told(c, number, home.wang, home.li_na.id, NOW)
        at = NOW + timedelta(seconds=5)
        await alerts.add_event(c, number, home.wang, "declined", at=at, person_id=home.li_na.id)
        await told(c, number, home.wang, home.li_na.id, NOW + timedelta(seconds=8), "taken")
        [found] = await replies.called_to(c, home.li_na.id, NOW - HOUR)
        assert (found.declined, found.told_at) == (True, NOW + timedelta(seconds=8))
        await told(c, number, home.wang, home.li_na.id, NOW + timedelta(seconds=10))
        [found] = await replies.called_to(c, home.li_na.id, NOW - HOUR)
        assert found.declined is False


async def test_a_relative_is_known_with_what_she_calls_the_resident(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await raised(c, home.wang)
        await told(c, number, home.wang, home.daughter.id, NOW)
        [found] = await replies.called_to(c, home.daughter.id, NOW - HOUR)
        assert (found.is_relative, found.called_zh, found.called_en) == (True, "妈妈", "Mum")


async def test_the_last_reply_and_how_often_one_was_like_it(database: Database, home: Household) -> None:
    phone = "+8613900000002"
    async with database.service() as c:
        for n, outcome in enumerate(("which", "not_understood", "not_understood")):
            at = NOW + timedelta(minutes=n)
            await messages.note_inbound(c, f"SM{n}", phone, str(n), home.li_na.id, at, outcome)
        assert await replies.last_outcome(c, home.li_na.id, "SM2", NOW) == ("not_understood", "1")
        assert await replies.last_outcome(c, home.li_na.id, "SM2", NOW + HOUR) is None
        assert await replies.count(c, phone, "not_understood", NOW) == 2
        assert await replies.count(c, phone, "not_understood", NOW + timedelta(seconds=90)) == 1


async def test_a_test_is_the_last_thing_she_was_told_or_not(database: Database, home: Household) -> None:
    async with database.service() as c:
        assert await replies.was_tested(c, home.li_na.id, NOW - HOUR) is False
        await told(c, None, None, home.li_na.id, NOW, "test")
        assert await replies.was_tested(c, home.li_na.id, NOW - HOUR) is True
        number = await raised(c, home.wang)
        await told(c, number, home.wang, home.li_na.id, NOW + timedelta(seconds=1))
        assert await replies.was_tested(c, home.li_na.id, NOW - HOUR) is False


async def test_whose_account_is_closed_has_left_and_who_never_had_one_has_not(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        assert await replies.has_left(c, home.li_na.id) is False
        await c.execute("UPDATE account SET disabled_at = %s WHERE person_id = %s", [NOW, home.li_na.id])
        assert await replies.has_left(c, home.li_na.id) is True
        assert await replies.has_left(c, home.wang_person) is False
