"""How one is reached, in a real browser: the page at every width, and a message that arrives while it is closed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from alerts.channels.push import PushChannel, PushKeys
from store import alerts, contacts, messages, policies
from store.messages import MessageRow, NewMessage
from tests.alerts.browsers import Browser
from tests.browser.asking import until_true
from tests.browser.conftest import Service, Visit, speak
from tests.browser.test_faces import SIZES, assert_accessible, assert_large_enough, assert_nothing_hangs_over

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

KEYS = PushKeys.generate()


@pytest.fixture(autouse=True)
def push_is_set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTHWATCH_PUSH_PRIVATE_KEY", KEYS.private)
    monkeypatch.setenv("HEARTHWATCH_PUSH_CONTACT", "mailto:office@hearthwatch.example")
    monkeypatch.setenv("HEARTHWATCH_PUSH_SERVICES", "push.example")


async def open_every_channel(service: Service) -> None:
    async with service.database.service() as c:
        providers = {"sms": ["twilio"], "voice": ["twilio"], "push": ["web_push"], "email": ["smtp"]}
        await contacts.set_channels(c, providers, datetime.now(UTC))


async def live_with_troubles(service: Service) -> None:
    """Li has stopped our SMS, a code of hers is on its way, a browser of hers listens; Zhang is called for her mother."""
    home, now = service.lived.home, datetime.now(UTC)
    await Browser("https://push.example/1").listen(service.database, home.li_na.id, now - timedelta(days=3))
    async with service.database.service() as c:
        phone = home.li_na.phone or ""
        await contacts.note_unreachable(c, home.li_na.id, phone, "sms", "opted_out", "21610", now - timedelta(hours=2))
        await contacts.ask(c, home.li_na.id, "phone", phone, b"", now, now + timedelta(minutes=10))
        await policies.let_call(c, home.daughter.id, home.wang, home.wang_person, now)


@pytest.mark.parametrize("language", ["zh_Hans", "en"])
def test_the_pages_can_be_read_and_used_at_every_width(service: Service, open_window: Any, language: str) -> None:
    service.run(open_every_channel(service))
    service.run(live_with_troubles(service))
    home = service.lived.home
    looked_at = (
        ("na", home.li_na, "/contact"),
        ("zhang", home.daughter, "/contact"),
        ("sun", home.administrator, "/admin/reach"),
    )
    for username, person, path in looked_at:
        speak(service, person.id, language)
        window = open_window(language=language)
        page = window.sign_in(username)
        page.goto(service.url + path)
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            assert_accessible(page)
            assert_nothing_hangs_over(page)
            assert_large_enough(page, 18)
        assert window.complaints == []


LET_IN = """
PushManager.prototype.getSubscription = async () => null;
PushManager.prototype.subscribe = async (options) => ({
  options,
  toJSON: () => (SUBSCRIPTION),
});
"""
"""What a browser answers whose push service can be reached: here there is no network."""


def test_a_browser_is_let_in_with_one_press(service: Service, open_window: Any) -> None:
    service.run(open_every_channel(service))
    speak(service, service.lived.home.li_na.id, "en")
    window: Visit = open_window(width=390, height=844)
    window.context.grant_permissions(["notifications"], origin=service.url)
    browser = Browser("https://push.example/send/7")
    subscription = {"endpoint": browser.endpoint, "keys": {"p256dh": browser.p256dh, "auth": browser.auth}}
    window.context.add_init_script(LET_IN.replace("SUBSCRIPTION", json.dumps(subscription)))
    page = window.sign_in("na")
    page.goto(f"{service.url}/contact")
    page.get_by_role("button", name="Show messages in this browser").click()
    expect(page.get_by_role("status")).to_contain_text("This browser shows messages from now on")
    expect(page.locator("#push")).to_contain_text("Chrome · Linux")
    assert window.complaints == []


def test_a_message_is_shown_counts_as_arrived_and_is_answered_from_where_it_shows(
    service: Service, open_window: Any
) -> None:
    service.run(open_every_channel(service))
    window: Visit = open_window()
    window.context.grant_permissions(["notifications"], origin=service.url)
    page = window.sign_in("na")
    message = service.run(call(service))
    deliver(service, page, content(service, message))
    shown = page.evaluate(
        "async () => (await (await navigator.serviceWorker.getRegistration('/static/')).getNotifications())"
        ".map((one) => [one.title, one.body, one.tag, one.requireInteraction, one.actions.map((a) => a.title)])"
    )
    assert shown == [["王秀英", message.body, f"message-{message.id}", True, ["我去", "去不了"]]]
    assert until_it_is(service, message, "delivered") == "delivered"
    press(window, "1")
    trail = service.run(kinds(service, service.lived.severe))
    assert "acknowledged" in trail


async def call(service: Service) -> MessageRow:
    """Li is called to Wang's alert by push, and her push service has it."""
    home, now = service.lived.home, datetime.now(UTC)
    async with service.database.service() as c:
        await messages.add(
            c,
            [
                NewMessage(
                    purpose="alert",
                    priority="high",
                    person_id=home.li_na.id,
                    channel="push",
                    address=str(home.li_na.id),
                    language="zh_Hans",
                    subject="王秀英",
                    body="血压188/116，请去看看。",
                    due_at=now,
                    expires_at=now + timedelta(minutes=15),
                    made_at=now,
                    alert_id=service.lived.severe,
                    resident_id=home.wang,
                    step=1,
                )
            ],
        )
        [*_, made] = await messages.of_alert(c, service.lived.severe)
    return made


def content(service: Service, message: MessageRow) -> str:
    """What the service's channel puts into the message."""
    channel = PushChannel(service.database, KEYS, "mailto:office@hearthwatch.example", ["push.example"])
    return channel.content(message).decode()


def deliver(service: Service, page: Page, data: str) -> None:
    """Register the worker as the page does, and hand it a message as the browser does when its push service has one."""
    browser = page.context.new_cdp_session(page)
    registrations: list[str] = []
    browser.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(one["registrationId"] for one in event["registrations"]),
    )
    browser.send("ServiceWorker.enable")
    page.goto(f"{service.url}/contact")
    page.evaluate(
        "async () => { const r = await navigator.serviceWorker.register('/static/messages.js');"
        " while (!r.active) await new Promise((done) => setTimeout(done, 20)); }"
    )
    page.wait_for_timeout(100)
    assert registrations
    browser.send(
        "ServiceWorker.deliverPushMessage", {"origin": service.url, "registrationId": registrations[-1], "data": data}
    )
    until_true(
        page,
        "async () => (await (await navigator.serviceWorker.getRegistration('/static/')).getNotifications()).length > 0",
    )


def until_it_is(service: Service, message: MessageRow, state: str) -> str:
    """The state of a message, once it is this one or three seconds have passed."""

    async def look() -> str:
        async with service.database.service() as c:
            found = await messages.message(c, message.id)
        assert found is not None
        return found.state

    end = datetime.now(UTC) + timedelta(seconds=3)
    while (now := service.run(look())) != state and datetime.now(UTC) < end:
        pass
    return now


def press(window: Visit, button: str) -> None:
    """Press a button of the notification, and wait for what is said to it."""
    [worker] = window.context.service_workers
    worker.evaluate(
        """async (action) => {
            const [notification] = await self.registration.getNotifications();
            self.dispatchEvent(new NotificationEvent("notificationclick", { notification, action }));
        }""",
        button,
    )
    said = worker.evaluate(
        """async () => {
            for (let i = 0; i < 100; i++) {
                const [one] = await self.registration.getNotifications();
                if (one && !one.actions.length) return one.body;
                await new Promise((done) => setTimeout(done, 50));
            }
            return "";
        }"""
    )
    assert "王秀英" in said


async def kinds(service: Service, alert_id: int) -> list[str]:
    async with service.database.service() as c:
        return [event.kind for event in (await alerts.trail(c, [alert_id]))[alert_id]]
