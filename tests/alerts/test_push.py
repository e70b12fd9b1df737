"""Messages to browsers: readable by the person's own alone, told apart, and shown before they count as arrived."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from alerts.channels import Receipt, TryAgain, Unreachable
from alerts.channels.push import NoPushKey, PushChannel, PushKeys, is_push_service, is_subscription
from store import contacts
from store.messages import MessageRow
from store.postgres import Database
from tests.alerts.browsers import Browser, PushService, push_service, unbase64url
from tests.alerts.clock import Clock
from tests.alerts.messages import NOW, to_send
from tests.household import furnish

pytestmark = pytest.mark.anyio

KEYS = PushKeys.generate()


@pytest.fixture
async def service() -> AsyncIterator[PushService]:
    async with push_service(KEYS.public) as running:
        yield running


@pytest.fixture
async def li(database: Database) -> UUID:
    async with database.service() as c:
        return (await furnish(c)).li_na.id


@pytest.fixture
async def channel(database: Database) -> AsyncIterator[PushChannel]:
    made = PushChannel(database, KEYS, "mailto:office@hearthwatch.example", ["127.0.0.1"], clock=Clock(NOW))
    yield made
    await made.close()


def message(li: UUID, **different: object) -> MessageRow:
    return to_send(**{"person_id": li, "channel": "push", "address": str(li), "subject": "疑似跌倒", **different})


async def listening(database: Database, person: UUID) -> list[str]:
    async with database.service() as c:
        return [one.endpoint for one in await contacts.subscriptions(c, person)]


async def test_her_browser_reads_it_and_nobody_else(
    database: Database, service: PushService, channel: PushChannel, li: UUID
) -> None:
    browser = service.browser()
    await browser.listen(database, li, NOW)
    assert await channel.send(message(li)) == Receipt("push:41", provider="web_push")
    [(_, content)] = service.got_by(browser)
    assert content["title"] == "疑似跌倒"
    assert content["body"] == message(li).body
    assert content["language"] == "zh-CN"
    assert content["urgent"] is True
    assert content["buttons"] == ["我去", "去不了"]
    assert "王秀英".encode() not in service.taken[0][2]


async def test_the_push_service_is_told_how_urgent_it_is_and_for_how_long(
    database: Database, service: PushService, channel: PushChannel, li: UUID
) -> None:
    browser = service.browser()
    await browser.listen(database, li, NOW)
    await channel.send(message(li, priority="low", expires_at=NOW + timedelta(minutes=4)))
    [(headers, _)] = service.got_by(browser)
    assert (headers["ttl"], headers["urgency"], headers["topic"]) == ("240", "low", "message-41")
    assert headers["content-encoding"] == "aes128gcm"
    assert service.claims["exp"] == (NOW + timedelta(hours=12)).timestamp()


async def test_a_second_copy_takes_the_place_of_the_first(
    database: Database, service: PushService, channel: PushChannel, li: UUID
) -> None:
    browser = service.browser()
    await browser.listen(database, li, NOW)
    for attempts in (1, 2):
        await channel.send(message(li, attempts=attempts))
    (first, told), (second, told_again) = service.got_by(browser)
    assert (first["topic"], told["tag"]) == (second["topic"], told_again["tag"])


async def test_what_is_no_call_offers_no_buttons(
    database: Database, service: PushService, channel: PushChannel, li: UUID
) -> None:
    browser = service.browser()
    await browser.listen(database, li, NOW)
    await channel.send(message(li, purpose="taken", subject="", language="en"))
    [(_, content)] = service.got_by(browser)
    assert (content["buttons"], content["title"], content["language"]) == ([], "Hearthwatch", "en-GB")


async def test_every_browser_of_hers_gets_it_and_one_is_enough(
    database: Database, service: PushService, channel: PushChannel, li: UUID
) -> None:
    phone, desk = service.browser(), service.browser()
    for browser in (phone, desk):
        await browser.listen(database, li, NOW)
    service.refuse(desk, 500)
    assert (await channel.send(message(li))).outcome == "sent"
    assert len(service.got_by(phone)) == 1
    assert len(await listening(database, li)) == 2


@pytest.mark.parametrize("status", [404, 410])
async def test_a_browser_that_is_gone_is_forgotten(
    database: Database, service: PushService, channel: PushChannel, li: UUID, status: int
) -> None:
    gone, here = service.browser(), service.browser()
    for browser in (gone, here):
        await browser.listen(database, li, NOW)
    service.refuse(gone, status)
    await channel.send(message(li))
    assert await listening(database, li) == [here.endpoint]


async def test_without_any_browser_the_next_way_comes_at_once(
    database: Database, service: PushService, channel: PushChannel, li: UUID
) -> None:
    with pytest.raises(Unreachable, match="no_browser"):
        await channel.send(message(li))
    browser = service.browser()
    await browser.listen(database, li, NOW)
    service.refuse(browser, 410)
    with pytest.raises(Unreachable, match="no_browser"):
        await channel.send(message(li))


async def test_a_push_service_that_asks_for_patience_gets_it(
    database: Database, service: PushService, channel: PushChannel, li: UUID
) -> None:
    browser = service.browser()
    await browser.listen(database, li, NOW)
    service.refuse(browser, 429, Retry_After="20")
    with pytest.raises(TryAgain) as refused:
        await channel.send(message(li))
    assert (refused.value.code, refused.value.after_s) == ("429", 20)


async def test_a_push_service_that_cannot_be_reached_is_tried_again(
    database: Database, channel: PushChannel, li: UUID
) -> None:
    async with push_service(KEYS.public) as passing:
        browser = passing.browser()
    await browser.listen(database, li, NOW)
    with pytest.raises(TryAgain, match="no_connection"):
        await channel.send(message(li))


async def test_a_message_of_another_service_is_refused_there(
    database: Database, service: PushService, li: UUID
) -> None:
    browser = service.browser()
    await browser.listen(database, li, NOW)
    stranger = PushChannel(
        database, PushKeys.generate(), "mailto:x@hearthwatch.example", ["127.0.0.1"], clock=Clock(NOW)
    )
    with pytest.raises(TryAgain, match="403"):
        await stranger.send(message(li))
    await stranger.close()


async def test_it_never_sends_to_a_host_that_is_no_push_service(
    database: Database, service: PushService, li: UUID
) -> None:
    browser = service.browser()
    await browser.listen(database, li, NOW)
    careful = PushChannel(database, KEYS, "mailto:office@hearthwatch.example", ["push.example"], clock=Clock(NOW))
    with pytest.raises(Unreachable):
        await careful.send(message(li))
    await careful.close()
    assert service.taken == []


@pytest.mark.parametrize(
    ("endpoint", "is_one"),
    [
        ("https://fcm.push.example/send/1", True),
        ("https://push.example/1", True),
        ("https://notpush.example/1", False),
        ("http://push.example/1", False),
        ("https://push.example@evil.example/1", False),
        ("https://127.0.0.1/1", False),
        ("nonsense", False),
        ("https://[push.example/1", False),
        ("https://push.example/\n1", False),
    ],
)
def test_where_a_browser_may_listen(endpoint: str, is_one: bool) -> None:
    assert is_push_service(endpoint, ["push.example"]) is is_one


def test_keys_of_a_browser_are_looked_at_before_they_are_kept() -> None:
    browser = Browser("https://push.example/1")
    assert is_subscription(browser.p256dh, browser.auth)
    for p256dh, auth in [("", ""), (browser.p256dh, "AAAA"), (browser.auth, browser.auth), ("*", browser.auth)]:
        assert not is_subscription(p256dh, auth)
    assert not is_subscription("B" + "A" * 86, browser.auth), "no point of the curve"


class TestTheServicesOwnKeys:
    def test_are_read_back(self) -> None:
        assert PushKeys.parse(KEYS.private) == KEYS
        assert PushKeys.parse(f" {KEYS.private}= ") == KEYS
        assert len(unbase64url(KEYS.public)) == 65

    @pytest.mark.parametrize("nonsense", ["", "abc", "A" * 43, "%" * 43, "_" * 43])
    def test_are_refused_when_they_are_none(self, nonsense: str) -> None:
        with pytest.raises(NoPushKey, match="push-keys"):
            PushKeys.parse(nonsense)

    def test_make_a_token_that_only_the_message_holds(self) -> None:
        token = KEYS.token(41)
        assert KEYS.is_token(41, token)
        assert not KEYS.is_token(42, token)
        assert not PushKeys.generate().is_token(41, token)
        assert not KEYS.is_token(41, "é")
