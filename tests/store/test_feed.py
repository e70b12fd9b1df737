"""The watch sees every accepted batch once and in order, however many write at the same time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import numpy as np
import pytest

from devices.readings import METRICS
from store import feed, partitions, readings
from store.feed import FeedBatch, Position
from store.postgres import Database
from tests.household import NOW, Household, batch, furnish

pytestmark = pytest.mark.anyio


@pytest.fixture
async def home(database: Database) -> Household:
    async with database.service() as c:
        return await furnish(c)


async def accept(database: Database, home: Household, *values: float, minute: int = 0) -> None:
    async with database.service() as c:
        at = NOW + timedelta(minutes=minute)
        items = [(home.wang, home.cuff, "systolic", v, at + timedelta(seconds=i)) for i, v in enumerate(values)]
        await readings.insert(c, batch(home, *items, received_at=at))


async def next_of(database: Database, after: Position, limit: int = 100) -> FeedBatch | None:
    async with database.service() as c:
        return await feed.next_batch(c, after, limit)


async def test_batches_come_in_order_joined_and_each_row_with_its_own_time(database: Database, home: Household) -> None:
    await accept(database, home, 120, 121)
    await accept(database, home, 130, minute=1)
    found = await next_of(database, Position())
    assert found is not None
    assert found.value.tolist() == [120, 121, 130]
    assert found.entry.tolist() == [0, 0, 1]
    assert set(found.metric) == {METRICS["systolic"].code}
    received = [NOW, NOW, NOW + timedelta(minutes=1)]
    assert found.received_at.tolist() == [r.replace(tzinfo=None) for r in received]
    assert await next_of(database, found.position) is None


async def test_a_limit_stops_between_batches_and_the_rest_follows(database: Database, home: Household) -> None:
    for n in range(3):
        await accept(database, home, 120 + n, minute=n)
    first = await next_of(database, Position(), limit=2)
    assert first is not None
    rest = await next_of(database, first.position)
    assert rest is not None
    assert (first.value.tolist(), rest.value.tolist()) == ([120, 121], [122])


async def test_what_is_not_safe_yet_waits_and_is_known_to_wait(database: Database, home: Household) -> None:
    async with database.service() as slow:
        await slow.execute("UPDATE gateway SET version = '1'")  # an earlier transaction that is still running
        await accept(database, home, 120)
        assert await next_of(database, Position()) is None
        async with database.service() as c:
            assert await feed.unread(c, Position()) == NOW
    found = await next_of(database, Position())
    assert found is not None
    async with database.service() as c:
        assert await feed.unread(c, found.position) is None


async def test_no_batch_is_passed_over_while_many_write(database: Database, home: Household) -> None:
    async def write(first: int) -> None:
        for n in range(12):
            await accept(database, home, 100 + first, minute=100 * first + n)

    writing = asyncio.gather(*(write(n) for n in range(4)))
    place, seen = Position(), []
    while not writing.done() or await next_of(database, place) is not None:
        if found := await next_of(database, place, limit=3):
            place = found.position
            seen += found.received_at.tolist()
    await writing
    assert len(seen) == len(set(seen)) == 48


async def test_a_followers_place_is_saved_and_found_again(database: Database) -> None:
    async with database.service() as c:
        assert await feed.load_state(c, "silence") is None
        await feed.save_state(c, "silence", Position(7, 8), "digest", NOW)
        await feed.save_state(c, "silence", Position(9, 10), "digest", NOW)
    async with database.service() as c:
        assert await feed.load_state(c, "silence") == feed.WatchState(9, 10, "digest", NOW)


async def test_the_lag_is_the_age_of_the_oldest_batch_that_some_partition_has_not_judged(
    database: Database, home: Household
) -> None:
    await accept(database, home, 120)
    async with database.service() as c:
        end = await feed.end(c)
        await partitions.save(c, range(7), end, "digest", NOW)
        assert await feed.lag_s(c) > 0
        await partitions.save(c, [7], end, "digest", NOW)
        assert await feed.lag_s(c) == 0


async def test_what_lies_before_a_place_is_read_up_to_there_and_no_further(database: Database, home: Household) -> None:
    for n in range(3):
        await accept(database, home, 120 + n, minute=n)
    first = await next_of(database, Position(), limit=2)
    assert first is not None
    async with database.service() as c:
        found = await feed.next_batch(c, Position(), 100, first.position)
        assert found is not None
        assert found.value.tolist() == [120, 121]
        assert await feed.next_batch(c, first.position, 100, first.position) is None


async def test_only_the_newest_of_each_metric_is_kept_as_latest(database: Database, home: Household) -> None:
    for n, value in ((2, 130), (1, 120), (3, 140)):
        await accept(database, home, value, minute=n)
    found = await next_of(database, Position())
    assert found is not None
    async with database.service() as c:
        await feed.save_latest(c, found)
        older = FeedBatch(found.position, *(column[:1] for column in _columns(found)))
        await feed.save_latest(c, older)
        assert (await readings.latest(c))[home.wang]["systolic"].value == 140


def _columns(found: FeedBatch) -> tuple[np.ndarray, ...]:
    return (
        found.received_at,
        found.resident_id,
        found.metric,
        found.at,
        found.measured_at,
        found.value,
        found.quality,
        found.device_id,
        found.entry,
    )
