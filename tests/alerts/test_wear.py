"""A wearable that nobody wears is a task by day, once, and ends when it is worn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alerts import wear
from store import gateways, readings
from store.postgres import Database
from store.wear import Wearable
from tests.alerts.clock import Clock
from tests.alerts.test_silence import HOUR, MINUTE, MONDAY, Street
from tests.household import batch, furnish

SHANGHAI = ZoneInfo("Asia/Shanghai")
NOON = MONDAY + 4 * HOUR


def in_shanghai(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=SHANGHAI).astimezone(UTC)


@pytest.mark.parametrize(
    ("since", "until", "hours"),
    [
        (in_shanghai(2, 9), in_shanghai(2, 11, 30), 2.5),
        (in_shanghai(2, 20), in_shanghai(3, 6, 59), 1),
        (in_shanghai(2, 20), in_shanghai(3, 8), 2),
        (in_shanghai(2, 22), in_shanghai(3, 2), 0),
        (in_shanghai(2, 7), in_shanghai(5, 7), 42),
        (in_shanghai(3, 9), in_shanghai(2, 9), 0),
    ],
)
def test_only_the_waking_day_counts(since: datetime, until: datetime, hours: float) -> None:
    assert wear.waking_hours(since, until, SHANGHAI) == hours


def wearable(device: int = 1, **more: Any) -> Wearable:
    since = {"off_since": NOON, "charging_since": None, "unplugged_at": None}
    return Wearable(device=device, resident=7, time_zone="Asia/Shanghai", **since | more)


def unworn(*wearables: Wearable, after: timedelta, heard: Sequence[int] = (1, 2)) -> float | None:
    return wear.hours_unworn(wearables, heard, NOON + after)[7][0]


def test_charging_explains_its_usual_time_and_the_time_before_it() -> None:
    on_its_cable = wearable(charging_since=NOON + HOUR)
    assert unworn(on_its_cable, after=5 * HOUR) == 0
    assert unworn(on_its_cable, after=7 * HOUR) == 2
    assert unworn(wearable(unplugged_at=NOON + 3 * HOUR), after=5 * HOUR) == 2


def test_one_that_is_worn_is_enough_and_of_several_that_are_not_the_newest_counts() -> None:
    assert unworn(wearable(), wearable(2, off_since=None), after=5 * HOUR) == 0
    assert unworn(wearable(), wearable(2, off_since=NOON + 2 * HOUR), after=5 * HOUR) == 3


def test_of_what_is_not_heard_nothing_is_known() -> None:
    assert unworn(wearable(), after=5 * HOUR, heard=()) is None
    assert unworn(wearable(), wearable(2, off_since=NOON + 2 * HOUR), after=5 * HOUR, heard=[1]) == 5


class Wearing(Street):
    """The household, whose wearable is heard with every beat of the gateway unless it is ``gone``."""

    gone = False

    async def beat(self, waiting: int = 0) -> None:
        await super().beat(waiting)
        if not self.gone:
            async with self.database.service() as c:
                sql = "UPDATE device SET last_seen_at = %s WHERE kind = 'wearable'"
                await c.execute(sql, [self.clock.now])

    async def say(self, metric: str, value: float, device: int | None = None) -> None:
        self.clock.go_on(minutes=1)
        item = (self.home.wang, device or self.home.wearable, metric, value, self.clock.now)
        async with self.database.service() as c:
            await readings.insert(c, batch(self.home, item, received_at=self.clock.now))
        await self.listen()

    async def is_task(self) -> bool:
        row = (await self.open()).get("device.unworn")
        return row is not None and row.cleared_at is None


@pytest.fixture
async def street(database: Database) -> Wearing:
    clock = Clock(NOON)
    async with database.service() as c:
        home = await furnish(c, clock.now)
        await c.execute("UPDATE resident SET enrolled_at = %s", [clock.now])
    it = Wearing(database, home, clock)
    await it.beat()
    await it.listen()
    await it.live(4 * MINUTE, step=2 * MINUTE)
    await it.say("worn", 1.0)
    return it


@pytest.mark.anyio
async def test_what_was_taken_off_by_day_is_a_task_after_two_hours_until_it_is_worn(street: Wearing) -> None:
    await street.say("worn", 0.0)
    await street.live(1.5 * HOUR)
    assert not await street.is_task()
    await street.live(HOUR)
    row = (await street.open())["device.unworn"]
    assert (row.evidence["device"], row.priority) == (street.home.wearable, "low")
    assert await street.called() == 0
    await street.say("worn", 1.0)
    await street.live(MINUTE, step=MINUTE)
    assert not await street.is_task()


@pytest.mark.anyio
async def test_what_was_dropped_and_not_taken_up_is_a_task(street: Wearing) -> None:
    await street.say("device_dropped", 1.0)
    await street.live(2.5 * HOUR)
    assert await street.is_task()


@pytest.mark.anyio
async def test_what_was_taken_off_for_the_night_is_none_before_the_morning(street: Wearing) -> None:
    await street.live(8 * HOUR, step=4 * HOUR)  # eight in the evening
    await street.say("worn", 0.0)
    await street.live(11.5 * HOUR, step=HOUR / 2)
    assert not await street.is_task()
    await street.live(HOUR)
    assert await street.is_task()


@pytest.mark.anyio
async def test_with_an_empty_battery_it_is_not_also_not_worn(street: Wearing) -> None:
    await street.say("worn", 0.0)
    street.gone = True
    await street.live(6 * HOUR, step=HOUR)
    assert not await street.is_task()


@pytest.mark.anyio
async def test_the_task_stands_while_it_is_not_heard_and_ends_when_it_is_removed(street: Wearing) -> None:
    await street.say("worn", 0.0)
    await street.live(2.5 * HOUR)
    street.gone = True
    await street.live(2 * HOUR)
    assert await street.is_task()
    async with street.database.service() as c:
        await c.execute("UPDATE device SET removed_at = %s WHERE id = %s", [street.clock.now, street.home.wearable])
    await street.live(MINUTE, step=MINUTE)
    assert not await street.is_task()


@pytest.mark.anyio
async def test_who_changes_to_her_other_wearable_is_watched(street: Wearing) -> None:
    async with street.database.service() as c:
        other = await gateways.add_device(c, "C0:00:00:00:00:0B", street.home.wang, "wearable", street.home.gateway)
    await street.say("worn", 1.0, other)
    street.clock.go_on(minutes=45)
    await street.say("worn", 0.0)
    await street.live(3 * HOUR)
    assert not await street.is_task()


@pytest.mark.anyio
async def test_what_says_again_that_it_is_off_has_been_off_since_it_said_so_first(street: Wearing) -> None:
    for _ in range(5):
        await street.say("worn", 0.0)
        await street.live(HOUR / 2)
    assert await street.is_task()
