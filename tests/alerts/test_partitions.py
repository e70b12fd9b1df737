"""Residents are dealt among the workers that are alive; whoever has lost a partition writes nothing more about it."""

from __future__ import annotations

import asyncio
import time
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

import numpy as np
import pytest

from alerts import protocol, tenure
from alerts.tenure import Deal, Tenure, deal
from alerts.worker import Watch, warm_up
from store import alerts, parameters, partitions, people, readings, residents
from store.partitions import Holding, Roll, Share
from store.postgres import Connection, Database, Unavailable, value
from tests.alerts.clock import Clock
from tests.alerts.network import until
from tests.household import NOW, Household, batch, furnish

pytestmark = pytest.mark.anyio
RULES = protocol.load()
LEASE_S = 0.4

ME, OTHER, THIRD = (UUID(int=n) for n in (1, 2, 3))


def roll(*owners: UUID | None, alive: int, dead: frozenset[UUID] = frozenset()) -> Roll:
    """Partitions in the order in which they lag, by owner."""
    held = [Holding(n, 1, owner, owner is not None and owner not in dead) for n, owner in enumerate(owners)]
    return Roll(held, alive, None)


def shares(dealt: Deal) -> tuple[int, list[int]]:
    return dealt.take, dealt.give


def test_one_alone_takes_everything() -> None:
    assert shares(deal(roll(*[None] * 8, alive=1), ME)) == (8, [])


def test_two_begin_with_half_each() -> None:
    assert shares(deal(roll(*[None] * 8, alive=2), ME)) == (4, [])


def test_a_newcomer_waits_for_what_the_other_gives_up() -> None:
    crowded = roll(*[OTHER] * 8, alive=2)
    assert shares(deal(crowded, ME)) == (0, [])
    assert shares(deal(crowded, OTHER)) == (0, [4, 5, 6, 7])


def test_three_share_eight_and_leave_each_other_in_peace() -> None:
    settled = roll(ME, ME, ME, OTHER, OTHER, OTHER, THIRD, THIRD, alive=3)
    assert [shares(deal(settled, worker)) for worker in (ME, OTHER, THIRD)] == [(0, []), (0, []), (0, [])]


def test_what_a_dead_worker_had_is_taken_over_and_its_sessions_are_to_be_ended() -> None:
    dealt = deal(roll(ME, ME, ME, ME, OTHER, OTHER, OTHER, OTHER, alive=1, dead=frozenset({OTHER})), ME)
    assert shares(dealt) == (4, [])
    assert dealt.dead == {OTHER}
    assert [h.number for h in dealt.free] == [4, 5, 6, 7]


def test_every_resident_is_in_one_share_whoever_holds_it() -> None:
    everybody = np.arange(1, 1000, dtype=np.int32)
    held = [Share((0, 3), 8).holds(everybody), Share((1, 2, 4, 5, 6, 7), 8).holds(everybody)]
    assert (held[0] ^ held[1]).all()


class Worker:
    """A worker's tenure; it is dead as soon as nobody keeps it any more."""

    def __init__(self, database: Database, lease_s: float = LEASE_S) -> None:
        self.database = database
        self.tenure = Tenure(database, lease_s, lambda: None)

    async def live(self, seconds: float) -> None:
        async with asyncio.timeout(seconds + 5):
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                await self.tenure.keep()
                await self.tenure.give_up_surplus()
                await asyncio.sleep(0.01)

    async def holds(self) -> list[int]:
        async with self.database.service() as c:
            return sorted(p.number for p in await partitions.owned(c, self.tenure.id))

    async def sees(self, c: Connection) -> list[partitions.Partition]:
        return await partitions.owned(c, self.tenure.id)


async def test_workers_come_to_equal_shares_and_one_that_leaves_is_followed_at_once(database: Database) -> None:
    one, other = Worker(database), Worker(database)
    await one.live(0.05)
    assert await one.holds() == list(range(8))
    await asyncio.gather(one.live(0.6), other.live(0.6))
    assert (len(await one.holds()), len(await other.holds())) == (4, 4)
    await other.tenure.leave()
    one.tenure.look_again()
    await one.tenure.keep()
    assert await one.holds() == list(range(8))


async def test_a_worker_that_died_while_the_servers_clock_was_ahead_keeps_nobody_from_watching(
    database: Database,
) -> None:
    """A computer that starts by its own clock, and is then set back by the network, loses power in between."""
    dead, heir = Worker(database), Worker(database)
    await dead.live(0.05)
    async with database.service() as c:
        await c.execute("UPDATE watch_worker SET alive_until = alive_until + interval '8 hours'")
    await heir.live(0.05)
    assert await heir.holds() == list(range(8))


async def test_a_dead_workers_partitions_are_taken_over_within_its_lease(database: Database) -> None:
    dead, heir = Worker(database), Worker(database)
    await dead.live(0.05)
    began = time.monotonic()
    while len(await heir.holds()) < 8:
        await heir.live(0.02)
    assert LEASE_S / 2 < time.monotonic() - began < LEASE_S + 0.5


async def test_a_worker_whose_process_has_gone_is_missed_before_its_lease_ends(database: Database) -> None:
    killed, heir = Worker(database, lease_s=4), Worker(database, lease_s=4)
    running = asyncio.create_task(killed.tenure.run())
    await until(killed.holds, within_s=5)
    running.cancel()  # its connection goes with it, as that of a killed process does
    await asyncio.wait([running])
    began = time.monotonic()
    while len(await heir.holds()) < 8:
        await heir.live(0.02)
    assert time.monotonic() - began < 3


async def test_who_is_only_slow_keeps_what_nobody_has_taken(database: Database) -> None:
    alone = Worker(database)
    await alone.live(0.05)
    await asyncio.sleep(LEASE_S + 0.1)
    async with database.service() as c:
        mine = await alone.sees(c)
        assert await partitions.hold(c, alone.tenure.id, LEASE_S, mine)


async def test_a_worker_that_wakes_up_finds_that_its_partitions_are_anothers(database: Database) -> None:
    paused, heir = Worker(database), Worker(database)
    await paused.live(0.05)
    async with database.service() as c:
        before = await paused.sees(c)
    await asyncio.sleep(LEASE_S)
    await heir.live(0.1)
    async with database.service() as c:
        assert not await partitions.hold(c, paused.tenure.id, LEASE_S, before)


async def test_a_transaction_that_was_left_open_is_ended_and_keeps_nobody_waiting(database: Database) -> None:
    paused, heir = Worker(database), Worker(database)
    await paused.live(0.05)

    async def stop_in_the_midst() -> None:
        async with database.service() as c:
            assert await partitions.hold(c, paused.tenure.id, LEASE_S, await paused.sees(c))
            await partitions.save(c, range(8), partitions.Position(7, 7), "late", NOW)
            await heir.live(LEASE_S + 0.3)
            await value(c, "SELECT 1")  # it wakes up

    with pytest.raises(Unavailable):
        await stop_in_the_midst()
    assert await heir.holds() == list(range(8))
    async with database.service() as c:
        assert {p.protocol for p in await heir.sees(c)} == {""}


class Home:
    """Mrs Wang in one half of the partitions and a neighbour in the other, and workers that watch them by one clock."""

    def __init__(self, database: Database, people: Household, neighbour: int) -> None:
        self.database, self.people, self.neighbour = database, people, neighbour
        self.clock = Clock(NOW)

    def watch(self) -> Watch:
        return Watch(self.database, RULES, clock=self.clock)

    async def measure(self, resident: int, at: datetime | None = None, **values: float) -> None:
        at = at or self.clock.now
        items = [(resident, self.people.cuff, name, value, at) for name, value in values.items()]
        async with self.database.service() as c:
            await readings.insert(c, batch(self.people, *items, received_at=at))

    async def alerts(self) -> list[tuple[int, str]]:
        async with self.database.service() as c:
            return sorted((a.resident_id, a.rule) for a in await alerts.open_alerts(c))

    async def shared_by(self, one: Watch, other: Watch) -> None:
        """Both are at work, and each has its half."""
        async with asyncio.timeout(20):
            while set(await self._held_by(one, other)) != {4}:
                await rounds(one, other, n=1)
                await asyncio.sleep(0.02)

    async def _held_by(self, *watches: Watch) -> list[int]:
        async with self.database.service() as c:
            return [len(await partitions.owned(c, watch.id)) for watch in watches]

    async def places(self) -> set[tuple[int, int]]:
        async with self.database.service() as c:
            cursor = await c.execute("SELECT DISTINCT tx::text::bigint, seq FROM watch_partition")
            return set(await cursor.fetchall())


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    warm_up(RULES)


@pytest.fixture
async def home(database: Database) -> Home:
    async with database.service() as c:
        home = await furnish(c)
        neighbour = home.zhao
        while neighbour % 8 // 4 == home.wang % 8 // 4:
            person = await people.add_person(c, home.centre, "邻居", "Neighbour", None, "zh_Hans")
            new = residents.NewResident(person.id, home.centre, date(1950, 1, 1), "male", "7号楼", "Bldg 7")
            neighbour = await residents.add(c, new)
    return Home(database, home, neighbour)


async def rounds(*watches: Watch, n: int = 6) -> None:
    for _ in range(n):
        for watch in watches:
            await watch.round()


async def test_each_worker_judges_its_own_and_together_they_judge_everybody(home: Home) -> None:
    one, other = home.watch(), home.watch()
    await one.round()
    await home.shared_by(one, other)
    for systolic in (192, 191):
        home.clock.go_on(minutes=6)
        for resident in (home.people.wang, home.neighbour):
            await home.measure(resident, systolic=systolic, diastolic=118)
        await rounds(one, other)
    assert await home.alerts() == [(home.people.wang, "bp.severe"), (home.neighbour, "bp.severe")]
    assert len(await home.places()) == 1


async def test_what_lags_behind_is_caught_up_first_and_then_judged_with_the_rest(home: Home) -> None:
    one, other = home.watch(), home.watch()
    await one.round()
    await home.shared_by(one, other)
    for systolic in (192, 191, 190):  # the other one has died and says nothing of it
        home.clock.go_on(minutes=6)
        for resident in (home.people.wang, home.neighbour):
            await home.measure(resident, systolic=systolic, diastolic=118)
        await rounds(one, n=3)
    assert len(await home.alerts()) == 1
    assert len(await home.places()) == 2
    await asyncio.sleep(tenure.LEASE_S)
    await rounds(one)
    assert len(await home.alerts()) == 2
    assert len(await home.places()) == 1


async def test_no_timer_runs_past_what_was_received_and_is_not_read_yet(home: Home) -> None:
    """A question was answered in time, but its answer lies behind more than one round can read."""
    watch = home.watch()
    await watch.round()
    await home.measure(home.people.wang, systolic=192, diastolic=118)
    for n in range(250):
        await home.measure(home.people.zhao, NOW + timedelta(seconds=n), pulse=70.0)
    await home.measure(home.people.wang, NOW + timedelta(minutes=6), systolic=131, diastolic=79)
    home.clock.go_on(hours=2)
    await rounds(watch)
    assert await home.alerts() == []


@pytest.mark.parametrize("at_once", [True, False])
async def test_what_came_at_once_is_judged_as_if_it_had_come_one_by_one(home: Home, *, at_once: bool) -> None:
    """What was not worth an alert beside its cause is let go of before her next measurement, and asked about anew."""
    watch = home.watch()
    await watch.round()
    for hours, glucose in ((0, 2.2), (12, 3.7)):
        await home.measure(home.people.wang, NOW + timedelta(hours=hours), glucose=glucose)
        home.clock.now = NOW + timedelta(hours=hours, minutes=1)
        if not at_once:
            await rounds(watch, n=2)
    await rounds(watch, n=2)
    assert await home.alerts() == [(home.people.wang, "glucose.low")]
    async with home.database.service() as c:
        await c.execute("UPDATE alert SET state = 'resolved', climb_at = NULL, resolved_at = now()")
    home.clock.go_on(hours=1)
    await rounds(watch, n=2)
    assert await home.alerts() == [(home.people.wang, "glucose.falling")]


async def test_a_value_of_her_own_counts_from_when_it_is_set_until_it_ends(home: Home) -> None:
    watch = home.watch()
    parameter = next(p for p in RULES.parameters if p.name == "spo2.low")

    async def raises_low() -> bool:
        for _ in range(3):
            home.clock.go_on(minutes=4)
            await home.measure(home.people.wang, spo2=parameter.value - 1)
            await rounds(watch, n=2)
        return (home.people.wang, "spo2.low") in await home.alerts()

    async with home.database.service() as c:
        ends = home.clock.now + timedelta(hours=1)
        await parameters.set_own(
            c, home.people.wang, parameter.name, parameter.value - 4, home.clock.now,
            by=home.people.doctor.id, until=ends, why="COPD",
        )  # fmt: skip
    assert not await raises_low()
    home.clock.go_on(hours=1)
    assert await raises_low()


async def test_a_worker_is_told_of_by_its_own_name_alone(database: Database) -> None:
    async with database.service() as c:
        assert await partitions.end_sessions(c, [uuid4()]) == 0
