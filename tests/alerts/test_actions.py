"""What people do about an alert, by SMS or on a page: each counts once, the first wins, and everybody learns of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from alerts import actions, callbacks
from alerts.lifecycle import TransitionError
from store import alerts, notes
from store.postgres import Database, value
from tests.alerts.network import until
from tests.alerts.service import Service, at_work

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database: Database) -> AsyncIterator[Service]:
    async with at_work(database) as working:
        yield working


async def test_the_others_who_were_called_are_told_and_nobody_else(service: Service) -> None:
    row = await service.raised()
    await service.work()
    service.clock.go_on(minutes=3)
    await service.work()
    await service.reply(service.home.chen, "1")
    service.clock.go_on(minutes=5)
    await service.work()
    assert service.said_to(service.home.li_na)[-1] == "【炉望】陈静去看王秀英了，您不用去。"
    assert len(service.said_to(service.home.chen)) == 1
    assert service.said_to(service.home.supervisor) == []
    assert [name for name, _ in await service.states(row.id, "taken")] == ["Na Li"]


async def test_when_everybody_cannot_come_it_goes_on_calling(service: Service) -> None:
    row = await service.raised()
    for person in (service.home.li_na, service.home.chen, service.home.supervisor, service.home.doctor):
        await service.work()
        await service.reply(person, "2")
        service.clock.go_on(seconds=5)
    still = await service.alert(row.id)
    assert still.climb_at is not None
    service.clock.now = still.climb_at
    before = len(await service.messages(row.id))
    await service.work()
    assert len(await service.messages(row.id)) > before


async def test_she_who_has_taken_it_can_give_it_back_and_the_next_is_called(service: Service) -> None:
    row = await service.raised()
    await service.work()
    await service.reply(service.home.li_na, "1")
    await service.reply(service.home.li_na, "2")
    service.clock.go_on(seconds=5)
    await service.work()
    again = await service.alert(row.id)
    assert (again.state, again.acknowledged_by) == ("notifying", None)
    assert [name for name, _ in await service.states(row.id)] == ["Na Li", "Chen Jing"]


async def test_a_page_takes_it_like_a_phone_does(service: Service) -> None:
    row = await service.raised()
    async with service.database.service() as c:
        await actions.acknowledge(c, row.id, service.home.chen.id, service.clock.now, "page")
    await service.work()
    assert service.said_to(service.home.li_na) == []
    assert await service.states(row.id) == [("Na Li", "cancelled")]
    async with service.database.service() as c:
        last = (await alerts.trail(c, [row.id]))[row.id][-1]
    assert (last.kind, last.name_en, last.channel) == ("acknowledged", "Chen Jing", "page")


async def test_nobody_acts_who_neither_cares_for_the_resident_nor_was_called(service: Service) -> None:
    row = await service.raised()
    stranger = service.home.daughter.id
    until_then = service.clock.now + timedelta(hours=1)
    for act in (
        lambda c: actions.acknowledge(c, row.id, stranger, service.clock.now, "page"),
        lambda c: actions.decline(c, row.id, stranger, service.clock.now, "page"),
        lambda c: actions.resolve(c, row.id, stranger, service.clock.now, "well"),
        lambda c: actions.shelve(c, row.id, stranger, service.clock.now, until_then),
        lambda c: actions.unshelve(c, row.id, stranger, service.clock.now),
        lambda c: actions.add_note(c, service.home.wang, stranger, "hello", service.clock.now),
        lambda c: actions.acknowledge(c, 999, service.home.li_na.id, service.clock.now, "page"),
    ):
        with pytest.raises(actions.NotAllowed):
            async with service.database.service() as c:
                await act(c)
    assert await service.trail(row.id) == ["raised", "called"]


async def test_closing_says_what_came_of_it_and_happens_once(service: Service) -> None:
    row = await service.raised()
    person = service.home.li_na.id
    async with service.database.service() as c:
        await actions.resolve(c, row.id, person, service.clock.now, "well")
    closed = await service.alert(row.id)
    assert (closed.state, closed.outcome, closed.resolved_by) == ("resolved", "well", person)
    with pytest.raises(TransitionError):
        async with service.database.service() as c:
            await actions.resolve(c, row.id, person, service.clock.now, "again")


async def test_putting_aside_stops_the_calls_and_taking_back_calls_at_once(service: Service) -> None:
    row = await service.raised()
    person, now = service.home.li_na.id, service.clock.now
    async with service.database.service() as c:
        await actions.shelve(c, row.id, person, now, now + timedelta(hours=8))
    service.clock.go_on(minutes=10)
    await service.work()
    assert service.line.telephone.network.messages == []
    async with service.database.service() as c:
        await actions.unshelve(c, row.id, person, service.clock.now)
    await service.work()
    assert len(service.said_to(service.home.li_na)) == 1


async def test_declining_a_task_calls_nobody(service: Service) -> None:
    row = await service.raised("device.battery", battery=8.0)
    async with service.database.service() as c:
        await actions.decline(c, row.id, service.home.li_na.id, service.clock.now, "page")
    service.clock.go_on(hours=9)
    await service.work()
    assert await service.messages(row.id) == []


async def test_a_note_is_kept_with_its_alert_and_only_with_one_of_the_same_resident(service: Service) -> None:
    row = await service.raised()
    home, now = service.home, service.clock.now
    async with service.database.service() as c:
        await actions.add_note(c, home.wang, home.li_na.id, "Tea on the stove.", now, row.id)
        assert [(n.alert_id, n.text) for n in await notes.of_resident(c, home.wang)] == [(row.id, "Tea on the stove.")]
        with pytest.raises(actions.NotAllowed):
            await actions.add_note(c, home.zhao, home.li_na.id, "hello", now, row.id)


async def statuses(service: Service, *told: tuple[str, str | None]) -> tuple[str, str | None]:
    """What a message has become after the network has told these things in this order."""
    row = await service.raised()
    await service.work()
    [message] = await service.messages(row.id)
    async with service.database.service() as c:
        sid = await value(c, "UPDATE message SET provider_sid = 'SM1', state = 'sent' RETURNING provider_sid")
    async with service.database.service() as c:
        for status, code in told:
            await callbacks.of_sms(c, None, sid, status, code, service.clock.now)
    [message] = await service.messages(row.id)
    return message.state, message.error


@pytest.mark.parametrize(
    ("told", "state"),
    [
        ([("queued", None), ("sent", None)], ("sent", None)),
        ([("sent", None), ("delivered", None)], ("delivered", None)),
        ([("delivered", None), ("sent", None), ("queued", None)], ("delivered", None)),
        ([("delivered", None), ("delivered", None)], ("delivered", None)),
        ([("delivered", None), ("undelivered", "30003")], ("delivered", None)),
        ([("undelivered", "30003"), ("sent", None), ("undelivered", "30003")], ("failed", "30003")),
        ([("failed", None)], ("failed", "failed")),
        ([("partly-delivered-by-pigeon", None)], ("sent", None)),
    ],
)
async def test_what_the_network_tells_late_twice_or_out_of_order_never_goes_backwards(
    service: Service, told: list[tuple[str, str | None]], state: tuple[str, str | None]
) -> None:
    assert await statuses(service, *told) == state


async def test_a_status_of_an_unknown_message_harms_nothing(service: Service) -> None:
    async with service.database.service() as c:
        await callbacks.of_sms(c, None, "SM0", "undelivered", "30003", service.clock.now)


async def test_undelivered_calls_the_next_at_once(service: Service) -> None:
    await statuses(service, ("undelivered", "30003"))
    await service.dispatcher.climb()
    await service.work()
    await until(lambda: service.said_to(service.home.chen))


async def test_an_undelivered_late_call_does_not_hurry_the_rung_that_is_called_now(service: Service) -> None:
    row = await service.raised()
    await service.work()
    service.clock.go_on(minutes=3)
    await service.work()
    climb_at = (await service.alert(row.id)).climb_at
    first = (await service.messages(row.id))[0]
    async with service.database.service() as c:
        await c.execute("UPDATE message SET state = 'sent' WHERE id = %s", [first.id])
        await callbacks.of_sms(c, None, first.provider_sid or "", "undelivered", "30003", service.clock.now)
    assert (await service.alert(row.id)).climb_at == climb_at
