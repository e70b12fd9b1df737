"""An alert is there once, is changed by one at a time, and keeps its whole trail."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import psycopg
import pytest

from store import alerts, messages
from store.messages import NewMessage
from store.postgres import Connection, Database
from tests.household import NOW, Household, furnish
from tests.opened import opened

pytestmark = pytest.mark.anyio


@pytest.fixture
async def home(database: Database) -> Household:
    async with database.service() as c:
        return await furnish(c)


async def raised(
    c: Connection, resident: int, rule: str = "fall", priority: str = "high", at: datetime = NOW
) -> int | None:
    return await opened(
        c,
        resident_id=resident,
        rule=rule,
        protocol="2026-11-01",
        priority=priority,
        kind="event",
        happened_at=at,
        raised_at=at,
        evidence={"probability": 0.97},
    )


async def called(c: Connection, alert_id: int, home: Household, step: int = 1, purpose: str = "alert") -> int:
    new = NewMessage(
        purpose=purpose,
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
        step=step,
    )
    await messages.add(c, [new])
    return (await messages.of_alert(c, alert_id))[-1].id


async def test_a_rule_has_one_open_alert_for_a_resident(database: Database, home: Household) -> None:
    async with database.service() as c:
        assert await raised(c, home.wang) is not None
        assert await raised(c, home.wang, at=NOW + timedelta(minutes=1)) is None
        assert await raised(c, home.zhao) is not None
        assert await raised(c, home.wang, "help_call") is not None


async def test_the_same_moment_is_never_raised_twice_not_even_after_it_is_closed(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        number = await raised(c, home.wang)
        assert number is not None
        await alerts.update(c, number, {"state": "resolved"})
        assert await raised(c, home.wang) is None
        assert await raised(c, home.wang, at=NOW + timedelta(days=1)) is not None


async def test_the_worst_come_first_and_the_oldest_of_them(database: Database, home: Household) -> None:
    async with database.service() as c:
        for n, (rule, priority) in enumerate([("a", "low"), ("b", "high"), ("c", "medium"), ("d", "high")]):
            await raised(c, home.wang, rule, priority, NOW + timedelta(minutes=n))
        assert [row.rule for row in await alerts.open_alerts(c)] == ["b", "d", "c", "a"]
        assert [row.rule for row in await alerts.of_resident(c, home.wang, 2)] == ["d", "c", "b", "a"]


async def test_an_alert_that_somebody_holds_is_passed_over_by_the_ladder(database: Database, home: Household) -> None:
    async with database.service() as c:
        for rule in ("a", "b"):
            number = await raised(c, home.wang, rule)
            assert number is not None
            await alerts.update(c, number, {"climb_at": NOW, "step": 1})
    async with database.service() as one, database.service() as other:
        [held] = await alerts.due_to_climb(one, NOW, 1)
        assert held.rule == "a"
        assert [row.rule for row in await alerts.due_to_climb(other, NOW, 10)] == ["b"]
        assert await alerts.next_climb(other) == NOW


async def test_two_who_change_an_alert_at_once_come_one_after_the_other(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await raised(c, home.wang)
        assert number is not None

    async def count_up() -> None:
        async with database.service() as c:
            row = await alerts.for_update(c, number)
            assert row is not None
            await asyncio.sleep(0.01)
            await alerts.update(c, number, {"rounds": row.rounds + 1})

    await asyncio.gather(*(count_up() for _ in range(5)))
    async with database.service() as c:
        row = await alerts.alert(c, number)
    assert row is not None
    assert row.rounds == 5


async def test_each_residents_conversation_has_the_smallest_free_number_until_it_is_over(
    database: Database, home: Household
) -> None:
    async with database.service() as c:
        assert await alerts.reply_codes(c, [home.wang, home.zhao]) == {home.wang: 11, home.zhao: 12}
        first = await raised(c, home.wang, "a")
        await raised(c, home.wang, "b")
        assert first is not None
        await alerts.update(c, first, {"reply_code": 11})
        assert await alerts.reply_codes(c, [home.zhao, home.wang]) == {home.wang: 11, home.zhao: 12}
        await alerts.update(c, first, {"state": "resolved"})
        assert await alerts.reply_codes(c, [home.zhao]) == {home.zhao: 11}


async def test_two_who_want_a_number_at_the_same_moment_get_two(database: Database, home: Household) -> None:
    async with database.service() as one, database.service() as other:
        assert await alerts.reply_codes(one, [home.wang]) == {home.wang: 11}
        assert await alerts.reply_codes(other, [home.zhao]) == {home.zhao: 12}


async def test_who_cannot_be_reached_or_cannot_come_is_known_for_a_while(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await raised(c, home.wang)
        assert number is not None
        message = await called(c, number, home)
        await messages.update(c, message, {"state": "failed", "sending_at": NOW})
        await alerts.add_event(c, number, home.wang, "declined", at=NOW, person_id=home.chen.id)
        known = {number: {home.li_na.id: "unreachable", home.chen.id: "declined"}}
        assert await alerts.out_of_reach(c, {number: NOW}) == known
        assert await alerts.out_of_reach(c, {number: NOW + timedelta(seconds=1)}) == {}


async def test_the_trail_is_kept_in_order_and_cannot_be_taken_away(database: Database, home: Household) -> None:
    async with database.service() as c:
        number = await raised(c, home.wang)
        assert number is not None
        for kind in ("raised", "called", "acknowledged"):
            await alerts.add_event(c, number, home.wang, kind, at=NOW, person_id=home.li_na.id)
        steps = (await alerts.trail(c, [number]))[number]
        assert [(step.kind, step.name_en) for step in steps] == [
            ("raised", "Na Li"),
            ("called", "Na Li"),
            ("acknowledged", "Na Li"),
        ]
        assert await alerts.count_events(c, number, ["raised", "called"], NOW) == 2
    for statement in ("DELETE FROM alert_event", "UPDATE alert_event SET kind = 'nothing'"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.service() as c:
                await c.execute(statement.encode())


async def test_a_question_is_open_until_it_is_answered_or_over(database: Database, home: Household) -> None:
    until = NOW + timedelta(minutes=30)
    async with database.service() as c:
        for _ in range(2):
            await alerts.ask(c, home.wang, "bp.severe", "repeat_measurement", NOW, until)
        assert len(await alerts.open_prompts(c, home.wang, NOW)) == 1
        assert await alerts.open_prompts(c, home.wang, until) == []
        assert await alerts.answer_prompts(c, home.wang, "are_you_well", "well", NOW) == 0
        assert await alerts.answer_prompts(c, home.wang, "repeat_measurement", "well", NOW) == 1
        assert await alerts.open_prompts(c, home.wang, NOW) == []


async def test_an_old_open_alert_stands_among_a_residents_newest(database: Database, home: Household) -> None:
    async with database.service() as c:
        await raised(c, home.wang, "old")
        for minutes in range(1, 4):
            closed = await raised(c, home.wang, "newer", at=NOW + timedelta(minutes=minutes))
            assert closed is not None
            await alerts.update(c, closed, {"state": "resolved", "step": minutes})
        assert [(r.rule, r.step) for r in await alerts.of_resident(c, home.wang, 2)] == [
            ("newer", 3),
            ("newer", 2),
            ("old", 0),
        ]
