"""The whole way to a person by every channel: what she chose, what fails, and what it teaches."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from alerts.channels import Channel, ChannelName, twilio_account
from alerts.channels.fallback import WithFallback
from alerts.channels.gateway_sms import GatewaySms
from alerts.channels.push import PushChannel, PushKeys
from alerts.dispatch import Dispatcher
from alerts.reach import Choice, content
from store import contacts, messages
from store.messages import NewMessage
from store.people import Person
from store.postgres import Database
from tests.alerts.browsers import Browser, PushService, push_service
from tests.alerts.service import Service, at_work
from tests.alerts.test_gateway_sms import FILE, Gateway, gateway

pytestmark = pytest.mark.anyio


@pytest.fixture
async def service(database: Database) -> AsyncIterator[Service]:
    async with at_work(database) as running:
        async with database.service() as c:
            await contacts.set_channels(c, {"sms": ["twilio"], "voice": ["twilio"]}, running.clock.now)
        yield running


async def ways(service: Service, person: Person) -> list[tuple[str, str, str | None]]:
    """What was sent to a person: the channel, what became of it, and who took it."""
    async with service.database.service() as c:
        cursor = await c.execute(
            "SELECT channel, state, provider FROM message WHERE person_id = %s ORDER BY due_at, id", [person.id]
        )
        return [(row[0], row[1], row[2]) for row in await cursor.fetchall()]


async def troubles(service: Service, person: Person) -> list[tuple[str, str]]:
    async with service.database.service() as c:
        return [(one.channel, one.why) for one in await contacts.unreachable_by(c, person.id)]


@pytest.fixture
async def north(service: Service, tmp_path: Path) -> AsyncIterator[Gateway]:
    """A second provider of SMS beside Twilio."""
    async with gateway() as running:
        path = tmp_path / "north.toml"
        path.write_text(FILE.format(url=running.url))
        second = GatewaySms.read(path, clock=service.clock)
        both = WithFallback(service.line.channel, second, clock=service.clock)
        service.dispatcher = Dispatcher(
            service.database, {"sms": both, "voice": service.line.voice}, clock=service.clock
        )
        yield running
        await second.close()


class TestWhenTwilioIsAway:
    @pytest.fixture(autouse=True)
    def secrets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HEARTHWATCH_SMS_GATEWAY_KEY", "s3cret")
        monkeypatch.setenv("HEARTHWATCH_SMS_GATEWAY_SENDER", "Huaishu")

    async def test_a_call_for_help_goes_by_the_second_provider_at_once(self, service: Service, north: Gateway) -> None:
        await service.line.always("500")
        await service.raised("help_call")
        await service.work()
        assert len(north.texts) == 1
        assert "王秀英" in north.texts[0]
        assert (await ways(service, service.home.li_na))[0] == ("sms", "sent", "north")

    async def test_a_lost_answer_is_looked_up_before_anybody_sends_again(
        self, service: Service, north: Gateway, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(twilio_account, "SEND_TIMEOUT_S", 0.5)
        await service.line.fault("timeout_after_send")
        alert = await service.raised("help_call")
        await service.work()
        service.clock.go_on(seconds=3)
        await service.work()
        await service.hear()
        assert north.texts == []
        assert (await service.states(alert.id))[0] == ("Na Li", "delivered")
        assert len(service.said_to(service.home.li_na)) == 1


class TestWhoHasStoppedOurSms:
    async def test_is_called_by_voice_instead_and_is_the_administrators_task(self, service: Service) -> None:
        li = service.home.li_na
        await service.reply(li, "STOP")
        assert await troubles(service, li) == [("sms", "opted_out")]
        await service.raised("help_call")
        await service.work()
        assert [channel for channel, _, _ in await ways(service, li)] == ["voice"]

    async def test_gets_them_again_after_start(self, service: Service) -> None:
        li = service.home.li_na
        await service.reply(li, "STOP")
        await service.reply(li, "START")
        assert await troubles(service, li) == []
        await service.raised("help_call")
        await service.work()
        assert [channel for channel, _, _ in await ways(service, li)] == ["sms", "voice"]

    async def test_is_found_out_by_the_providers_refusal_too(self, service: Service) -> None:
        await service.line.fault("21610", to=service.home.li_na.phone)
        await service.raised("help_call")
        await service.work()
        assert await troubles(service, service.home.li_na) == [("sms", "opted_out")]


class TestNumbersThatTakeNothing:
    @pytest.mark.parametrize(
        ("code", "found"),
        [("30005", [("sms", "dead"), ("voice", "dead")]), ("30006", [("sms", "dead")]), ("30003", [])],
    )
    async def test_are_told_from_a_phone_that_is_off(
        self, service: Service, code: str, found: list[tuple[str, str]]
    ) -> None:
        await service.line.fault(code, to=service.home.li_na.phone)
        await service.raised("help_call")
        await service.work()
        await service.hear()
        assert await troubles(service, service.home.li_na) == found

    async def test_are_well_again_once_something_arrives(self, service: Service) -> None:
        li = service.home.li_na
        async with service.database.service() as c:
            await contacts.note_unreachable(c, li.id, li.phone or "", "sms", "dead", "30006", service.clock.now)
            now = service.clock.now
            await messages.add(
                c,
                [
                    NewMessage(
                        purpose="test",
                        priority="medium",
                        person_id=li.id,
                        channel="sms",
                        address=li.phone or "",
                        language=li.language,
                        body="这是测试。",
                        due_at=now,
                        expires_at=now + timedelta(minutes=5),
                        made_at=now,
                    )
                ],
            )
        await service.work()
        await service.hear()
        assert await troubles(service, li) == []


@asynccontextmanager
async def li_chose_push(service: Service) -> AsyncIterator[tuple[PushService, Browser]]:
    """Li wants a message in her browser, and an SMS if that has not woken her in half a minute."""
    keys, li = PushKeys.generate(), service.home.li_na
    async with push_service(keys.public) as pushing:
        browser = pushing.browser()
        await browser.listen(service.database, li.id, service.clock.now)
        contact = "mailto:office@hearthwatch.example"
        push = PushChannel(service.database, keys, contact, ["127.0.0.1"], clock=service.clock)
        async with service.database.service() as c:
            await contacts.set_channels(c, {"sms": ["twilio"], "push": ["web_push"]}, service.clock.now)
            chosen = content([Choice("push"), Choice("sms", timedelta(seconds=30))])
            await contacts.set_preference(c, li.id, "high", chosen, service.clock.now)
        channels: dict[ChannelName, Channel] = {"sms": service.line.channel, "push": push}
        service.dispatcher = Dispatcher(service.database, channels, clock=service.clock)
        yield pushing, browser
        await push.close()


class TestABrowser:
    async def test_is_told_of_an_alert_before_the_telephone(self, service: Service) -> None:
        async with li_chose_push(service) as (pushing, browser):
            await service.raised("help_call")
            await service.work()
            assert await ways(service, service.home.li_na) == [("push", "sent", "web_push"), ("sms", "due", None)]
            [(_, told)] = pushing.got_by(browser)
        assert "王秀英" in told["title"] + told["body"]
        assert told["urgent"] is True

    async def test_that_is_gone_leaves_the_telephone_which_is_used_at_once(self, service: Service) -> None:
        async with li_chose_push(service) as (pushing, browser):
            pushing.refuse(browser, 410)
            await service.raised("help_call")
            await service.work()
        assert len(service.said_to(service.home.li_na)) == 1, "thirty seconds were not waited for"
