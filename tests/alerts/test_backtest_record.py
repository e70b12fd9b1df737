"""A backtest over the real record: what the watch has done with it is what a replay says, and nobody sees another's residents."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
import pytest

from alerts import actions, protocol
from alerts.backtest.counts import Comparison
from alerts.backtest.jobs import NothingToJudge, Question, Written, answer, heard
from alerts.worker import Watch
from devices.readings import METRICS
from store import alerts, falls, history, readings
from store.history import Received
from store.postgres import Database
from tests.alerts.clock import Clock
from tests.household import NOW, Household, batch, furnish

pytestmark = pytest.mark.anyio

SHIPPED = Written(protocol.texts_in(protocol.SHIPPED))
CODES = [metric.code for metric in METRICS.values()]


class Street:
    """Mrs Wang and Mr Zhao, watched over for a month, and a clock that the test moves."""

    def __init__(self, database: Database, home: Household) -> None:
        self.database, self.home = database, home
        self.clock = Clock(NOW - timedelta(days=5))
        self.watch = Watch(database, SHIPPED.parsed(), clock=self.clock)

    async def hear(self, *, device: int | None = None, late: timedelta = timedelta(0), **values: float) -> None:
        """Mrs Wang's devices say something, and the watch judges it."""
        items = [
            (self.home.wang, device or self.home.cuff, name, value, self.clock.now - late)
            for name, value in values.items()
        ]
        async with self.database.service() as c:
            await readings.insert(c, batch(self.home, *items, received_at=self.clock.now))
        await self.judged()

    async def judged(self) -> None:
        for _ in range(20):
            wait_s = await self.watch.round()
            if wait_s > 0.1:
                return
            await asyncio.sleep(wait_s)

    async def wait(self, **time: float) -> None:
        self.clock.go_on(**time)
        await self.judged()

    async def close(self, outcome: str) -> None:
        """Li Na closes everything that is open."""
        async with self.database.service() as c:
            for row in await alerts.open_alerts(c):
                await actions.resolve(c, row.id, self.home.li_na.id, self.clock.now, outcome)

    async def raised(self) -> list[tuple[str, datetime]]:
        async with self.database.service() as c:
            found = await history.alerts(
                c, [self.home.wang], NOW - timedelta(days=30), self.clock.now + timedelta(seconds=1)
            )
        return [(one.rule, one.raised_at) for one in found]

    async def backtest(self, *, person: UUID | None = None, new: Written = SHIPPED, days: float = 6) -> Comparison:
        question = Question(SHIPPED, new, self.clock.now - timedelta(days=days), self.clock.now, person)
        return await asyncio.to_thread(answer, self.database.dsn, question, 1)


@pytest.fixture
async def street(database: Database) -> Street:
    async with database.service() as c:
        home = await furnish(c, NOW)
        await c.execute("UPDATE resident SET enrolled_at = %s", [NOW - timedelta(days=30)])
    return Street(database, home)


async def days_of_all_kinds(street: Street) -> None:
    """Severe pressures, repeats, falls answered and not, a low pulse, calls for help, a late batch; closed now and then."""
    await street.hear(systolic=130, diastolic=80, pulse=70)
    await street.wait(hours=5)
    await street.hear(systolic=192, diastolic=118, pulse=96)
    await street.wait(minutes=6)
    await street.hear(systolic=188, diastolic=116, pulse=94)
    await street.wait(hours=2)
    await street.hear(systolic=135, diastolic=85, pulse=70)
    await street.wait(hours=3)
    await street.close("doctor")
    await street.wait(hours=9)
    await street.hear(systolic=195, diastolic=112, pulse=80)
    await street.wait(minutes=31)
    await street.wait(hours=1)
    await street.hear(device=street.home.wearable, fall=0.9)
    await street.wait(seconds=10)
    await street.hear(device=street.home.wearable, fall_recovered=1.0)
    await street.wait(hours=4)
    await street.close("helped")
    await street.hear(device=street.home.button, help_call=1.0)
    await street.wait(hours=1)
    await street.hear(device=street.home.button, help_call=1.0)
    await street.wait(hours=20)
    await street.close("well")
    await street.hear(device=street.home.wearable, fall=0.8)
    await street.wait(seconds=31)
    await street.wait(hours=1)
    await street.hear(late=timedelta(minutes=30), systolic=85, diastolic=50)
    await street.wait(hours=1)


async def test_a_replay_raises_what_the_watch_has_raised_at_the_same_moments(street: Street) -> None:
    await days_of_all_kinds(street)
    lived = await street.raised()
    assert {rule for rule, _ in lived} >= {"bp.severe", "fall", "fall.answered", "help_call"}
    found = await street.backtest()
    line = {line.rule: line.new.count for line in found.by_rule if line.new and line.new.count}
    assert line == {rule: sum(raised == rule for raised, _ in lived) for rule, _ in lived}
    assert found.new.asked.count >= 2


async def test_the_same_protocol_twice_is_the_same(street: Street) -> None:
    await days_of_all_kinds(street)
    found = await street.backtest()
    assert found.against == found.new
    assert found.more == (0.0, 0.0)
    assert all(line.verdict == "alike" and not line.change for line in found.by_rule)


async def test_what_staff_said_of_alerts_and_noted_of_hospitals_is_what_was_true(street: Street) -> None:
    await days_of_all_kinds(street)
    async with street.database.service() as c:
        fallen = (await alerts.open_alerts(c, street.home.wang))[0]
        await actions.resolve(c, fallen.id, street.home.li_na.id, street.clock.now, "well")
        await falls.judge(c, fallen.id, street.home.wang, street.home.li_na.id, street.clock.now, "fall", "well")
        went_at = street.clock.now - timedelta(days=4)
        await history.note_hospital_visit(c, street.home.wang, went_at, "胸痛", street.home.doctor.id, street.clock.now)
    found = await street.backtest()
    assert [one.episode.what for one in found.found] == ["hospital", "worth_it", "fall"]
    assert found.found[0].episode.about == "胸痛"
    assert [one.new is not None for one in found.found] == [False, True, True]


async def test_a_doctor_s_backtest_knows_her_own_residents_alone(street: Street) -> None:
    await days_of_all_kinds(street)
    hers = await street.backtest(person=street.home.doctor.id)
    assert hers.residents == 2
    assert hers.new.alerts.count == (await street.backtest()).new.alerts.count
    with pytest.raises(NothingToJudge):
        await street.backtest(person=street.home.administrator.id)


async def test_a_relative_s_eyes_show_no_verdict_of_staff(street: Street) -> None:
    await days_of_all_kinds(street)
    async with street.database.reader(street.home.daughter.id) as c:
        assert await history.hospital_visits(c, [street.home.wang], NOW - timedelta(days=30), NOW) == []
        found, taken = await history.readings(
            c, [street.home.wang, street.home.zhao], CODES, NOW - timedelta(days=30), NOW, as_reader=True
        )
    assert taken == 2
    assert set(found.resident.tolist()) == {street.home.wang}


async def test_readings_come_in_the_order_in_which_they_were_received_and_measurements_stay_whole(
    street: Street,
) -> None:
    home, now = street.home, NOW
    items = [
        (home.wang, home.cuff, name, value, now - timedelta(hours=hours))
        for hours in (30, 20, 10)
        for name, value in (("systolic", 140.0), ("diastolic", 85.0), ("pulse", 70.0))
    ]
    async with street.database.service() as c:
        await readings.insert(c, batch(home, *items[3:], received_at=now))
        await readings.insert(c, batch(home, *items[:3], received_at=now - timedelta(hours=29)))
        unbelieved = (home.wang, home.cuff, "pulse", 99.0, datetime.fromisoformat("2000-01-01T00:00:00Z"))
        await readings.insert(c, batch(home, unbelieved, quality=1, received_at=now))
    async with street.database.service() as c:
        found, _ = await history.readings(c, [home.wang], CODES, NOW - timedelta(days=30), NOW + timedelta(seconds=1))
    ago = (np.datetime64(now.replace(tzinfo=None), "us") - found.at) / np.timedelta64(1, "h")
    assert ago.tolist() == [30.0] * 3 + [20.0] * 3 + [10.0] * 3
    assert 99.0 not in found.value


def test_what_came_together_is_put_in_order_however_it_lies_in_the_record() -> None:
    rng = np.random.default_rng(1)
    rows = [(r, d, t, m) for r in (1, 2) for d in (3, 4) for t in (100, 200) for m in (1, 2, 4)]
    lying = [rows[i] for i in rng.permutation(len(rows))]
    resident, device, at, metric = (np.array(column, np.int64) for column in zip(*lying, strict=True))
    received = np.full(len(rows), 500).astype("datetime64[us]")
    found = Received(
        resident.astype(np.int32),
        metric.astype(np.int16),
        at.astype("datetime64[us]"),
        received,
        np.zeros(len(rows)),
        np.zeros(len(rows), np.int32),
        device.astype(np.int32),
    ).in_order()
    key = list(zip(found.resident.tolist(), found.at.astype(np.int64).tolist(), found.device.tolist(), strict=True))
    assert key == sorted(key)


async def test_a_protocol_that_judges_otherwise_is_seen_to(street: Street) -> None:
    await days_of_all_kinds(street)
    texts = {n: t.replace('id = "bp.low"', 'id = "bp.low"\nexpires = "10 min"') for n, t in SHIPPED.texts.items()}
    found = await street.backtest(new=Written(texts))
    line = next(line for line in found.by_rule if line.rule == "bp.low")
    assert line.change == "judges"
    assert line.against
    assert line.new
    assert (line.against.count, line.new.count) == (1, 0)


def test_what_no_rule_hears_is_not_read() -> None:
    codes = heard([SHIPPED.parsed()])
    assert METRICS["systolic"].code in codes
    assert METRICS["muscle_mass"].code not in codes
