"""The chain proves itself: a probe goes the whole way of a call for help, and is told outside when it arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, Router

from alerts.heartbeat import Heartbeat
from alerts.worker import Watch
from store import alerts, people, self_watch
from store.postgres import Database, value
from store.self_watch import Standing
from tests.alerts.network import free_port, serving, until
from tests.alerts.service import RULES, Service, at_work

pytestmark = pytest.mark.anyio

PHONE = "+8613900000099"
EVERY = timedelta(minutes=5)


@dataclass
class Outside:
    """A dead-man's switch: it counts who told it that all is well."""

    told: list[str] = field(default_factory=list)
    answer: int = 200

    def app(self) -> Router:
        async def alive(request: Request) -> Response:
            self.told.append(request.url.path)
            return Response(status_code=self.answer)

        return Router([Route("/alive", alive)])


@dataclass
class Beating:
    """A service with a watch and a heartbeat, that go on when the test says so."""

    service: Service
    watch: Watch
    heart: Heartbeat
    outside: Outside

    async def work(self) -> None:
        await self.heart.round()
        while await self.watch.round() == 0.0:
            pass
        await self.service.work()

    async def beat(self) -> None:
        """One probe all the way."""
        await self.work()
        await self.service.hear()
        await self.heart.round()

    async def standing(self) -> Standing:
        async with self.service.database.service() as c:
            return await self_watch.standing(c, self.service.clock.now)


@pytest.fixture
async def beating(database: Database) -> AsyncIterator[Beating]:
    outside, port = Outside(), free_port()
    async with at_work(database) as service, serving(outside.app(), port):
        url = f"http://127.0.0.1:{port}/alive"
        watch = Watch(database, RULES, clock=service.clock)
        yield Beating(service, watch, Heartbeat(database, PHONE, EVERY, ping_url=url, clock=service.clock), outside)


async def test_a_probe_takes_the_whole_way_closes_itself_and_is_told_outside(beating: Beating) -> None:
    await beating.beat()
    standing = await beating.standing()
    assert standing.proved_at == beating.service.clock.now
    assert beating.outside.told == ["/alive"]
    assert beating.service.line.said_to(PHONE) == ["Hearthwatch: Self-test. No need to reply."]
    async with beating.service.database.service() as c:
        [(state, outcome)] = await (await c.execute("SELECT state, outcome FROM alert")).fetchall()
        assert (state, outcome) == ("resolved", "proved")


async def test_it_beats_again_after_its_time_and_not_before(beating: Beating) -> None:
    await beating.beat()
    beating.service.clock.go_on(minutes=4, seconds=59)
    await beating.beat()
    assert len(beating.service.line.said_to(PHONE)) == 1
    beating.service.clock.go_on(seconds=2)
    await beating.beat()
    assert len(beating.service.line.said_to(PHONE)) == 2
    assert len(beating.outside.told) == 2


async def test_of_several_processes_one_beats(beating: Beating) -> None:
    another = Heartbeat(beating.service.database, PHONE, EVERY, clock=beating.service.clock)
    await asyncio.gather(beating.heart.round(), another.round())
    await asyncio.gather(beating.heart.round(), another.round())
    async with beating.service.database.service() as c:
        assert await value(c, "SELECT count(*) FROM proof") == 1


async def test_it_counts_as_broken_when_three_probes_have_not_come_through_and_says_how_far_they_came(
    beating: Beating,
) -> None:
    await beating.beat()
    await beating.service.line.always("30003", to=PHONE)
    for _ in range(4):
        beating.service.clock.go_on(minutes=5, seconds=1)
        await beating.beat()
    standing = await beating.standing()
    assert standing.is_broken(beating.service.clock.now)
    assert standing.stuck == "not_delivered"
    assert len(beating.outside.told) == 1
    await beating.service.line.heal()
    beating.service.clock.go_on(minutes=5, seconds=1)
    await beating.beat()
    assert not (await beating.standing()).is_broken(beating.service.clock.now)


@pytest.mark.parametrize(("works", "stuck"), [("nobody", "not_judged"), ("watch", "not_sent")])
async def test_it_says_at_which_hand_over_it_was_lost(beating: Beating, works: str, stuck: str) -> None:
    await beating.heart.round()
    if works == "watch":
        while await beating.watch.round() == 0.0:
            pass
    beating.service.clock.go_on(minutes=5, seconds=1)
    await beating.heart.round()
    assert (await beating.standing()).stuck == stuck


async def test_an_outside_that_does_not_answer_makes_no_proof_less_of_one(beating: Beating) -> None:
    beating.outside.answer = 500
    await beating.beat()
    assert (await beating.standing()).proved_at is not None


async def test_nobody_sees_it_among_her_own(beating: Beating) -> None:
    await beating.work()
    home = beating.service.home
    async with beating.service.database.service() as c:
        assert len(await alerts.open_alerts(c)) == 1
        assert [centre.id for centre in await people.centres(c)] == [home.centre]
    for person in (home.doctor, home.li_na, home.administrator):
        async with beating.service.database.reader(person.id) as c:
            assert await alerts.open_alerts(c) == []
            assert (await self_watch.standing(c, beating.service.clock.now)).oldest_high is None


async def test_a_number_that_is_somebodys_is_refused_and_the_chain_is_not_held_to_be_proved(beating: Beating) -> None:
    hers = Heartbeat(beating.service.database, beating.service.home.li_na.phone, EVERY, clock=beating.service.clock)
    await hers.round()
    standing = await beating.standing()
    assert standing.due_by is None
    assert beating.service.said_to(beating.service.home.li_na) == []


async def test_switched_off_it_beats_no_more_and_nothing_is_broken(beating: Beating) -> None:
    await beating.beat()
    await Heartbeat(beating.service.database, None, EVERY, clock=beating.service.clock).round()
    beating.service.clock.go_on(hours=2)
    await beating.beat()
    assert len(beating.service.line.said_to(PHONE)) == 1
    assert (await beating.standing()).due_by is None


async def test_running_it_beats_by_itself_and_ends_when_told(beating: Beating) -> None:
    running = [
        asyncio.create_task(work()) for work in (beating.heart.run, beating.watch.run, beating.service.dispatcher.run)
    ]
    beating.service.clock.go_on(seconds=1)
    await until(lambda: beating.outside.told, within_s=20)
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
