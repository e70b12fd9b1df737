"""A reading is stored once, counted exactly, and handed to the watch when its time is believed."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

import numpy as np
import pytest

from devices.readings import METRICS, Quality
from store import feed, readings
from store.postgres import Database
from tests.household import NOW, batch, furnish

pytestmark = pytest.mark.anyio


async def test_a_replay_is_counted_and_not_stored_again(database: Database) -> None:
    async with database.service() as c:
        home = await furnish(c)
        first = batch(
            home, *[(home.wang, home.cuff, "systolic", 120 + i, NOW - timedelta(minutes=i)) for i in range(10)]
        )
        assert await readings.insert(c, first) == readings.Inserted(10, 0)
        more = batch(
            home, *[(home.wang, home.cuff, "systolic", 120 + i, NOW - timedelta(minutes=i)) for i in range(15)]
        )
        assert await readings.insert(c, more) == readings.Inserted(5, 10)


async def test_the_same_reading_twice_in_one_batch_is_one(database: Database) -> None:
    async with database.service() as c:
        home = await furnish(c)
        item = (home.wang, home.cuff, "pulse", 70.0, NOW)
        assert await readings.insert(c, batch(home, item, item)) == readings.Inserted(1, 1)


@pytest.mark.parametrize("quality", [0, Quality.CLOCK_SUSPECT, Quality.CLOCK_SUSPECT | Quality.CLOCK_JUST_SET])
async def test_what_is_all_new_is_stored_and_fed_as_by_the_careful_way(database: Database, quality: Quality) -> None:
    found = []
    async with database.service() as c:
        home = await furnish(c)
    items = [(home.wang, home.cuff, "systolic", 120.5 + i, NOW - timedelta(minutes=i)) for i in range(10)]
    other = [(home.zhao, home.zhao_cuff, *item[2:]) for item in items]
    async with database.service() as c:
        await readings.insert_new(c, batch(home, *items, quality=quality))
    async with database.service() as c:
        await readings.insert(c, batch(home, *other, quality=quality))
    position = feed.Position()
    for resident in (home.wang, home.zhao):
        async with database.service() as c:
            fed = await feed.next_batch(c, position, 1)
        position = fed.position if fed else position
        async with database.reader(home.doctor.id) as c:
            rows = [dataclasses.replace(r, device_id=0) for r in await readings.recent(c, resident, 20)]
        found.append(
            (rows, fed and [list(column) for column in (fed.metric, fed.at, fed.measured_at, fed.value, fed.quality)])
        )
    assert found[0] == found[1]
    assert len(found[0][0]) == 10
    assert (found[0][1] is None) == (quality == Quality.CLOCK_SUSPECT)


async def test_what_is_partly_there_is_not_taken_for_new(database: Database) -> None:
    async with database.service() as c:
        home = await furnish(c)
        await readings.insert(c, batch(home, (home.wang, home.cuff, "pulse", 70.0, NOW)))
    more = [(home.wang, home.cuff, "pulse", 70.0, NOW - timedelta(minutes=i)) for i in range(3)]
    with pytest.raises(readings.AlreadyThere):
        async with database.service() as c:
            await readings.insert_new(c, batch(home, *more))
    async with database.service() as c:
        assert await readings.insert(c, batch(home, *more)) == readings.Inserted(2, 1)


async def test_series_come_back_in_order_whatever_order_they_arrived_in(database: Database) -> None:
    async with database.service() as c:
        home = await furnish(c)
        late_first = [(home.wang, home.cuff, "systolic", 120.5 + i, NOW - timedelta(hours=i)) for i in range(5)]
        await readings.insert(c, batch(home, *late_first))
    async with database.reader(home.doctor.id) as c:
        found = await readings.series(
            c, home.wang, [METRICS["systolic"].code], NOW - timedelta(days=1), NOW + timedelta(days=1)
        )
    assert list(found["systolic"].value) == [124.5, 123.5, 122.5, 121.5, 120.5]
    assert found["systolic"].at[-1] == np.datetime64(NOW.replace(tzinfo=None), "us")


async def test_a_reading_of_unbelievable_time_is_kept_but_takes_no_part(database: Database) -> None:
    async with database.service() as c:
        home = await furnish(c)
        past = NOW.replace(year=2000)
        item = (home.wang, home.cuff, "systolic", 200.0, past)
        assert (await readings.insert(c, batch(home, item, quality=Quality.CLOCK_SUSPECT))).accepted == 1
    async with database.service() as c:
        assert await feed.next_batch(c, feed.Position(), 10) is None
    async with database.reader(home.doctor.id) as c:
        assert await readings.series(c, home.wang, [1], past - timedelta(days=1), NOW + timedelta(days=1)) == {}
        [row] = await readings.recent(c, home.wang, 10)
    assert (row.at, row.measured_at, row.value) == (None, past, 200.0)


async def test_a_wrong_clock_that_was_just_set_counts_as_collected(database: Database) -> None:
    async with database.service() as c:
        home = await furnish(c)
        wrong = dataclasses.replace(
            batch(
                home,
                (home.wang, home.cuff, "systolic", 150.0, NOW.replace(year=2000)),
                quality=Quality.CLOCK_SUSPECT | Quality.CLOCK_JUST_SET,
            ),
            collected_at=np.array([NOW.replace(tzinfo=None)], "datetime64[us]"),
        )
        await readings.insert(c, wrong)
    async with database.service() as c:
        found = await feed.next_batch(c, feed.Position(), 10)
    assert found is not None
    assert readings.utc(found.at[0]) == NOW


async def test_what_explains_an_event_is_kept_with_it(database: Database) -> None:
    async with database.service() as c:
        home = await furnish(c)
        fall = dataclasses.replace(
            batch(home, (home.wang, home.wearable, "fall", 0.97, NOW)), details={0: {"impact_g": 4.2}}
        )
        await readings.insert(c, fall)
    async with database.reader(home.doctor.id) as c:
        assert await readings.event_detail(c, home.wang, METRICS["fall"].code, NOW) == {"impact_g": 4.2}


async def test_quarantine_keeps_the_reason_once(database: Database) -> None:
    item = readings.Quarantined("C0", "systolic", 20.0, NOW, NOW, "implausible_value", None, None, {"value": 20})
    async with database.service() as c:
        assert await readings.quarantine(c, [item, item]) == 1
        assert await readings.quarantine(c, [item]) == 0


async def test_the_watch_misses_nothing_under_four_writers(database: Database) -> None:
    async with database.service() as c:
        home = await furnish(c)

    async def write(device: int) -> None:
        for i in range(40):
            async with database.service() as c:
                at = NOW - timedelta(seconds=i)
                await readings.insert(
                    c, batch(home, (home.wang, device, "systolic", 120.0, at), (home.wang, device, "pulse", 70.0, at))
                )
                await asyncio.sleep(0.001 * (i % 3))

    async def follow() -> int:
        position, seen = feed.Position(), 0
        while seen < 4 * 40 * 2:
            async with database.service() as c:
                found = await feed.next_batch(c, position, 7)
            if found is None:
                await asyncio.sleep(0.002)
                continue
            position, seen = found.position, seen + len(found)
        return seen

    devices = (home.cuff, home.wearable, home.button, home.zhao_cuff)
    seen, *_ = await asyncio.wait_for(asyncio.gather(follow(), *(write(d) for d in devices)), 60)
    assert seen == 320
