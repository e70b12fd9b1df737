"""When very many need somebody at once, whom nothing can wait for is not behind them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import pytest

from alerts.channels import Channel, ChannelName
from alerts.dispatch import Dispatcher
from alerts.engine import Firing
from alerts.lanes import SLOTS
from alerts.verdicts import Verdicts
from store.postgres import Database, value
from tests.alerts.network import until
from tests.alerts.service import RULES, Service, at_work

pytestmark = pytest.mark.anyio

MANY = 300


@pytest.fixture
async def service(database: Database) -> AsyncIterator[Service]:
    async with at_work(database) as working:
        yield working


async def move_in(service: Service, many: int) -> list[int]:
    """So many more residents of the centre."""
    async with service.database.service() as c:
        cursor = await c.execute(
            "WITH moved AS (INSERT INTO person (centre_id, name_zh, name_en, language) "
            "SELECT %(centre)s, '居民' || n, 'Resident ' || n, 'en' FROM generate_series(1, %(many)s) n RETURNING id) "
            "INSERT INTO resident (person_id, centre_id, born, sex, address_zh, address_en) "
            "SELECT id, %(centre)s, '1944-01-01', 'female', '1号楼', 'Bldg 1' FROM moved RETURNING id",
            {"centre": service.home.centre, "many": many},
        )
        return [row[0] for row in await cursor.fetchall()]


async def storm(service: Service, residents: Sequence[int]) -> None:
    """Of all of them the blood pressure is low, in one step of the rules core."""
    at = np.datetime64(service.clock.now.replace(tzinfo=None), "us")
    firings = [Firing(resident, "bp.low", "raise", at, None, {"systolic": 85.0}) for resident in residents]
    async with service.database.service() as c:
        await Verdicts(c, RULES, service.clock.now).carry_out(firings)


@asynccontextmanager
async def dispatching(service: Service, per_s: float | None = None) -> AsyncIterator[None]:
    channels: dict[ChannelName, Channel] = {"sms": service.line.channel}
    dispatcher = Dispatcher(
        service.database, channels, clock=service.clock, paces={} if per_s is None else {"sms": per_s}
    )
    running = asyncio.create_task(dispatcher.run())
    try:
        yield
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_call_for_help_is_sent_before_a_storm_of_what_can_wait(service: Service) -> None:
    many = await move_in(service, MANY)
    network = service.line.telephone.network
    async with dispatching(service):
        await storm(service, many)
        await until(lambda: len(network.messages) > SLOTS, within_s=30)
        before = len(network.messages)
        await service.raised("help_call")
        await until(lambda: any("王秀英" in sms.body for sms in network.messages), within_s=30)
        place = next(n for n, sms in enumerate(network.messages) if "王秀英" in sms.body)
    assert place - before < SLOTS, "no more went first than were on their way"
    assert before < MANY


async def test_what_can_wait_keeps_to_the_pace_of_the_number_and_what_is_urgent_does_not(service: Service) -> None:
    many = await move_in(service, 30)
    async with dispatching(service, per_s=1.0):
        await storm(service, many)
        await until(lambda: len(service.line.telephone.network.messages) == 10, within_s=30)
        await service.raised("help_call")
        await until(lambda: len(service.line.telephone.network.messages) == 11, within_s=30)
        assert "王秀英" in service.line.telephone.network.messages[-1].body
        service.clock.go_on(seconds=5)
        await until(lambda: len(service.line.telephone.network.messages) == 11 + 4, within_s=30)  # one second was lent


async def test_the_watch_decides_about_a_storm_without_calling_anybody_but_for_what_is_urgent(
    service: Service,
) -> None:
    many = await move_in(service, MANY)
    await storm(service, many)
    await service.raised("help_call")
    async with service.database.service() as c:
        assert await value(c, "SELECT count(*) FROM alert") == MANY + 1
        assert await value(c, "SELECT array_agg(priority) FROM message") == ["high"]
