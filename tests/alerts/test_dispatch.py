"""Messages go out once, a dead phone moves the call on, a network in trouble delays nobody for ever."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from alerts import actions, deliveries
from alerts.channels import Outcome, Receipt, twilio_account
from alerts.dispatch import Dispatcher
from store import feed, partitions, readings
from store.alerts import AlertRow
from store.postgres import Database, value
from tests.alerts.network import until
from tests.alerts.service import Service, at_work
from tests.household import batch

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database: Database) -> AsyncIterator[Service]:
    async with at_work(database) as working:
        yield working


async def test_a_call_arrives_and_its_delivery_is_known(service: Service) -> None:
    row = await service.raised()
    await service.work()
    await service.hear()
    assert await service.states(row.id) == [("Na Li", "delivered")]
    assert len(service.said_to(service.home.li_na)) == 1
    assert await service.trail(row.id) == ["raised", "called", "sent", "delivered"]


async def test_what_nobody_takes_climbs_to_the_second_and_to_the_supervisor_and_begins_anew(service: Service) -> None:
    row = await service.raised()
    await service.work()
    for people_called in (2, 3, 4):
        service.clock.go_on(minutes=1, seconds=59)
        await service.work()
        assert len(await service.messages(row.id)) == people_called - 1
        service.clock.go_on(seconds=2)
        await service.work()
    names = [name for name, _ in await service.states(row.id)]
    assert names == ["Na Li", "Chen Jing", "Zhou Min", "Na Li"]
    assert (await service.trail(row.id)).count("climbed") == 3


async def test_each_is_called_in_her_own_language(service: Service) -> None:
    await service.raised()
    service.clock.go_on(minutes=3)
    await service.work()
    assert "王秀英" in service.said_to(service.home.li_na)[0]
    assert "Wang Xiuying" in service.said_to(service.home.chen)[0]


@pytest.mark.parametrize("code", ["21610", "21614"])
async def test_a_phone_that_is_refused_moves_the_call_on_at_once(service: Service, code: str) -> None:
    await service.line.fault(code, to=service.home.li_na.phone)
    row = await service.raised()
    await service.work()
    await service.work()
    assert await service.states(row.id) == [("Na Li", "failed"), ("Chen Jing", "sent")]
    assert [m.error for m in await service.messages(row.id)] == [code, None]


async def test_a_phone_that_is_off_moves_the_call_on_at_once(service: Service) -> None:
    await service.line.fault("undelivered", to=service.home.li_na.phone)
    row = await service.raised()
    await service.work()
    await service.hear()
    await service.work()
    assert (await service.states(row.id))[:2] == [("Na Li", "failed"), ("Chen Jing", "sent")]


async def test_when_every_phone_on_the_rota_is_dead_everybody_is_called_and_then_all_again(service: Service) -> None:
    for person in service.staff:
        await service.line.fault("21614", count=1, to=person.phone)
    row = await service.raised()
    for _ in range(6):
        await service.work()
    names = [name for name, _ in await service.states(row.id)]
    assert names[:4] == ["Na Li", "Chen Jing", "Zhou Min", "Liu Jianguo"]
    still = await service.alert(row.id)
    assert still.climb_at is not None
    assert still.climb_at > service.clock.now
    service.clock.now = still.climb_at
    await service.work()
    assert len(await service.messages(row.id)) > 4


async def test_a_busy_network_is_tried_again_and_the_ladder_climbs_meanwhile(service: Service) -> None:
    await service.line.fault("429", count=8)
    row = await service.raised()
    await service.work()
    assert await service.states(row.id) == [("Na Li", "due")]
    for _ in range(30):
        service.clock.go_on(seconds=6)
        await service.work()
    await service.hear()
    assert (await service.states(row.id))[:2] == [("Na Li", "delivered"), ("Chen Jing", "delivered")]
    assert len(service.said_to(service.home.li_na)) == 1


@pytest.mark.parametrize(("rule", "longest_s"), [("help_call", 5.0), ("bp.low", 12.0)])
async def test_the_pauses_between_attempts_grow_but_what_is_urgent_is_never_far_from_the_next(
    service: Service, rule: str, longest_s: float
) -> None:
    await service.line.always("500", to=service.home.li_na.phone)
    row = await service.raised(rule, systolic=85.0)
    pauses = []
    for _ in range(5):
        await service.work()
        message = (await service.messages(row.id))[0]
        pauses.append((message.due_at - service.clock.now).total_seconds())
        service.clock.now = message.due_at
    assert pauses == sorted(pauses)
    assert pauses[0] < 1.3
    assert pauses[-1] == longest_s if rule == "help_call" else pauses[-1] > longest_s


async def test_a_message_that_is_too_old_is_not_sent_any_more(service: Service) -> None:
    row = await service.raised()
    service.clock.go_on(minutes=15)
    await service.dispatcher.send_due()
    await service.dispatcher.sent_all()
    [message] = await service.messages(row.id)
    assert (message.state, message.error) == ("failed", "expired")
    assert service.said_to(service.home.li_na) == []


@pytest.mark.parametrize(("kind", "requests"), [("timeout_after_send", 1), ("timeout_before_send", 2)])
async def test_an_urgent_send_without_an_answer_is_looked_up_before_it_is_repeated(
    service: Service, monkeypatch: pytest.MonkeyPatch, kind: str, requests: int
) -> None:
    monkeypatch.setattr(twilio_account, "SEND_TIMEOUT_S", 0.3)
    await service.line.fault(kind)
    await service.line.always("lost")
    row = await service.raised()
    await service.work()
    assert await service.states(row.id) == [("Na Li", "uncertain")]
    service.clock.go_on(seconds=3)
    await service.work()
    assert (await service.states(row.id))[0][1] in ("sent", "delivered")
    assert len(service.said_to(service.home.li_na)) == 1
    assert service.line.recorder.asked.count("POST") == requests


async def test_what_can_wait_is_sent_once_at_most_and_the_next_person_is_called_instead(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_account, "SEND_TIMEOUT_S", 0.3)
    await service.line.fault("timeout_before_send")
    row = await service.raised("bp.low", systolic=85.0)
    await service.work()
    service.clock.go_on(seconds=3)
    await service.work()
    await service.work()
    assert (await service.states(row.id))[:2] == [("Na Li", "failed"), ("Chen Jing", "sent")]
    assert (await service.messages(row.id))[0].error == "not_found"
    assert service.said_to(service.home.li_na) == []


async def test_a_callback_tells_what_became_of_a_send_without_an_answer(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_account, "SEND_TIMEOUT_S", 0.3)
    await service.line.fault("timeout_after_send")
    row = await service.raised()
    await service.work()
    await service.hear()
    assert await service.states(row.id) == [("Na Li", "delivered")]
    assert service.line.recorder.asked == ["POST"]


async def test_when_not_even_the_look_up_has_an_answer_an_urgent_call_is_made_again_rather_than_never(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_account, "SEND_TIMEOUT_S", 0.3)
    row = await service.raised()
    await service.line.fault("timeout_before_send")
    await service.work()
    await service.line.channel.close()
    monkeypatch.setattr(service.line.channel, "_account", twilio_account.TwilioAccount("AC", "t", "http://127.0.0.1:9"))
    for _ in range(3):
        service.clock.go_on(seconds=7)
        await service.dispatcher.look_up()
    monkeypatch.undo()
    await service.work()
    assert (await service.states(row.id))[0] == ("Na Li", "sent")
    assert len(service.said_to(service.home.li_na)) == 1


async def test_what_was_uncertain_when_somebody_took_the_alert_is_not_sent_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_account, "SEND_TIMEOUT_S", 0.3)
    await service.line.fault("timeout_before_send")
    row = await service.raised()
    await service.work()
    await service.reply(service.home.li_na, "1")
    service.clock.go_on(seconds=3)
    await service.work()
    assert await service.states(row.id) == [("Na Li", "cancelled")]
    assert service.said_to(service.home.li_na) == []


async def test_a_look_up_that_fails_is_tried_again_and_nothing_is_doubled(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twilio_account, "SEND_TIMEOUT_S", 0.3)
    await service.line.fault("timeout_after_send")
    await service.line.always("lost")
    row = await service.raised()
    await service.work()
    monkeypatch.setattr(service.line.channel._account, "_credentials", ("AC" + "9" * 32, "wrong"))
    await service.line.channel.close()
    service.clock.go_on(seconds=3)
    await service.work()
    assert await service.states(row.id) == [("Na Li", "uncertain")]
    monkeypatch.undo()
    await service.line.channel.close()
    service.clock.go_on(seconds=6)
    await service.work()
    assert [state for _, state in await service.states(row.id)] in (["sent"], ["delivered"])
    assert len(service.said_to(service.home.li_na)) == 1


async def test_a_callback_that_never_came_is_asked_for(service: Service) -> None:
    await service.line.always("lost")
    await service.line.fault("undelivered")
    row = await service.raised()
    await service.work()
    await until(lambda: all(m.is_final for m in service.line.telephone.network.messages))
    await service.dispatcher.ask_after()
    assert await service.states(row.id) == [("Na Li", "sent")]
    service.clock.go_on(seconds=21)
    await service.dispatcher.ask_after()
    await service.work()
    assert (await service.states(row.id))[:2] == [("Na Li", "failed"), ("Chen Jing", "sent")]


async def unheard(service: Service) -> AlertRow:
    """A call of which the network can say nothing for a minute."""
    row = await service.raised()
    await service.work()
    await service.hear()
    async with service.database.service() as c:  # as if it were still on its way
        await c.execute(
            "UPDATE message SET state = 'sent', delivered_at = NULL, provider_sid = 'SM' || repeat('0', 32), due_at = %s",
            [service.clock.now + deliveries.ASK_AFTER],
        )
    for _ in range(6):
        service.clock.go_on(seconds=10.5)
        await service.dispatcher.ask_after()
    await service.work()
    return row


async def test_whose_delivery_nobody_has_heard_of_for_a_minute_counts_as_unreached(service: Service) -> None:
    row = await unheard(service)
    assert (await service.states(row.id))[:2] == [("Na Li", "failed"), ("Chen Jing", "sent")]
    assert (await service.messages(row.id))[0].error == "unheard"


async def test_that_it_was_delivered_all_the_same_is_still_believed_later(service: Service) -> None:
    row = await unheard(service)
    message = (await service.messages(row.id))[0]
    async with service.database.service() as c:
        await deliveries.settle(c, message, Receipt("SM" + "0" * 32, "delivered"), service.clock.now)
    assert (await service.states(row.id))[0] == ("Na Li", "delivered")


@pytest.mark.parametrize("first", ["delivered", "failed"])
async def test_what_the_network_has_said_at_last_is_never_taken_back(service: Service, first: Outcome) -> None:
    row = await service.raised()
    await service.work()
    [message] = await service.messages(row.id)
    said: list[Outcome] = ["sent", first, first, "sent", "delivered", "failed", "sent"]
    for outcome in said:
        error = "30003" if outcome == "failed" else None
        async with service.database.service() as c:
            await deliveries.settle(c, message, Receipt(message.provider_sid or "", outcome, error), service.clock.now)
    assert (await service.states(row.id))[0] == ("Na Li", first)
    assert (await service.trail(row.id)).count(first) == 1


async def test_a_busy_provider_is_left_alone_but_for_what_is_urgent(service: Service) -> None:
    low = await service.raised("bp.low", systolic=85.0)
    await service.line.fault("429")
    await service.work()
    assert await service.states(low.id) == [("Na Li", "due")]
    async with service.database.service() as c:
        await c.execute("UPDATE message SET due_at = %s", [service.clock.now])
    fall = await service.raised("help_call", service.home.zhao)
    await service.work()
    assert await service.states(fall.id) == [("Na Li", "sent")]
    assert await service.states(low.id) == [("Na Li", "due")]
    service.clock.go_on(seconds=6)
    await service.work()
    assert (await service.states(low.id))[0][1] in ("sent", "delivered")


async def test_one_hanging_send_does_not_hold_up_the_others(service: Service) -> None:
    await service.line.fault("timeout_after_send", to=service.home.li_na.phone)
    await service.raised()
    service.clock.go_on(minutes=3)
    await service.dispatcher.climb()
    await service.dispatcher.send_due()
    await until(lambda: service.said_to(service.home.chen), within_s=3)


async def test_two_dispatchers_never_send_the_same_message(service: Service) -> None:
    other = Dispatcher(service.database, {"sms": service.line.channel}, clock=service.clock)
    for rule in ("help_call", "fall", "bp.severe", "bp.low"):
        await service.raised(rule, systolic=85.0, probability=0.9)
    await service.dispatcher.climb()
    await asyncio.gather(*(d.send_due() for d in (other, service.dispatcher, other, service.dispatcher)))
    await asyncio.gather(other.sent_all(), service.dispatcher.sent_all())
    assert len(service.line.telephone.network.messages) == 4


async def test_running_it_sends_by_itself_and_ends_when_told(service: Service) -> None:
    running = asyncio.create_task(service.dispatcher.run())
    await asyncio.sleep(0.2)
    await service.raised()
    await until(lambda: service.said_to(service.home.li_na), within_s=5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_alert_that_is_put_aside_calls_again_when_the_time_is_over(service: Service) -> None:
    row = await service.raised()
    await service.work()
    until_then = service.clock.now + timedelta(hours=1)
    async with service.database.service() as c:
        await actions.shelve(c, row.id, service.home.li_na.id, service.clock.now, until_then)
    service.clock.go_on(minutes=59)
    await service.work()
    assert len(await service.messages(row.id)) == 1
    service.clock.go_on(minutes=1)
    await service.work()
    assert [name for name, _ in await service.states(row.id)] == ["Na Li", "Na Li"]
    assert (await service.alert(row.id)).state == "notifying"


async def test_what_every_watch_has_passed_is_dropped_after_a_day(service: Service) -> None:
    home = service.home
    async with service.database.service() as c:
        for hours in (30, 1):
            at = service.clock.now - timedelta(hours=hours)
            await readings.insert(c, batch(home, (home.wang, home.cuff, "pulse", 70.0, at), received_at=at))
    async with service.database.service() as c:
        await partitions.save(c, range(8), await feed.end(c), "digest", service.clock.now)
    await service.dispatcher.tidy()
    async with service.database.service() as c:
        assert await value(c, "SELECT count(*) FROM feed") == 1
        assert await value(c, "SELECT count(*) FROM reading") == 2


async def test_an_alert_that_cannot_be_called_about_keeps_no_other_ladder_from_climbing(service: Service) -> None:
    spoilt = await service.raised("bp.severe", systolic=190.0, diastolic=100.0)
    row = await service.raised()
    async with service.database.service() as c:
        # Nobody is to be called to a closed alert; the record says so and yet that it is due.
        await c.execute("UPDATE alert SET state = 'resolved' WHERE id = %s", [spoilt.id])
    service.clock.go_on(minutes=2, seconds=1)
    await service.work()
    assert [name for name, _ in await service.states(row.id)] == ["Na Li", "Chen Jing"]


async def test_an_alert_that_nobody_takes_for_months_goes_on_calling(service: Service) -> None:
    row = await service.raised()
    async with service.database.service() as c:
        await c.execute("UPDATE alert SET rounds = 40000, call = 40000 WHERE id = %s", [row.id])
    service.clock.go_on(minutes=2, seconds=1)
    await service.work()
    assert len(await service.states(row.id)) > 1
    still = await service.alert(row.id)
    assert still.climb_at is not None
    assert still.climb_at > service.clock.now
