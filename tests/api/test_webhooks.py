"""The telephone network is believed only with its signature over the address it was told to call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import httpx
import pytest
from twilio.request_validator import RequestValidator

from api import webhooks
from store import alerts, messages
from store.postgres import Database, value
from tests.api.callers import ACCOUNT, NUMBER, PUBLIC_URL, TOKEN
from tests.household import Household

pytestmark = pytest.mark.anyio


def signed(path: str, form: dict[str, str], *, url: str = PUBLIC_URL, token: str = TOKEN) -> dict[str, str]:
    return {"X-Twilio-Signature": RequestValidator(token).compute_signature(url + path, form)}


def sms(body: str, phone: str, sid: str = "SM" + "a" * 32) -> dict[str, str]:
    return {"MessageSid": sid, "AccountSid": ACCOUNT, "From": phone, "To": NUMBER, "Body": body, "NumMedia": "0"}


async def call_li_na(database: Database, home: Household) -> tuple[int, int]:
    """An open alert about which Li Na has been sent a message."""
    now = datetime.now(UTC)
    async with database.service() as c:
        alert = await alerts.insert(
            c, resident_id=home.wang, rule="help_call", protocol="test", priority="high", kind="event",
            happened_at=now, raised_at=now, evidence={},
        )  # fmt: skip
        assert alert is not None
        assert home.li_na.phone is not None
        soon = now + timedelta(hours=1)
        await alerts.update(c, alert, {"state": "notified", "step": 1, "reply_code": 11, "climb_at": soon})
        message = await messages.add(
            c, alert_id=alert, resident_id=home.wang, step=1, purpose="alert", person_id=home.li_na.id, channel="sms",
            phone=home.li_na.phone, language="zh_Hans", body="!", due_at=now, expires_at=soon,
        )  # fmt: skip
        assert message is not None
        await messages.update(c, message, {"state": "sent", "provider_sid": "SM" + "b" * 32, "sent_at": now})
    return alert, message


async def test_a_signed_reply_acknowledges_and_is_answered(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    alert, _ = await call_li_na(database, home)
    form = sms("1", home.li_na.phone or "")
    answer = await client.post(webhooks.SMS, data=form, headers=signed(webhooks.SMS, form))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/xml")
    said = ET.fromstring(answer.text).findtext("Message")
    assert said
    async with database.service() as c:
        found = await alerts.alert(c, alert)
    assert found is not None
    assert (found.state, found.acknowledged_by) == ("acknowledged", home.li_na.id)


async def test_a_reply_delivered_twice_is_answered_once(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    await call_li_na(database, home)
    form = sms("1", home.li_na.phone or "")
    await client.post(webhooks.SMS, data=form, headers=signed(webhooks.SMS, form))
    answer = await client.post(webhooks.SMS, data=form, headers=signed(webhooks.SMS, form))
    assert list(ET.fromstring(answer.text)) == []


async def test_a_signed_status_is_noted(client: httpx.AsyncClient, database: Database, home: Household) -> None:
    _, message = await call_li_na(database, home)
    form = {"MessageSid": "SM" + "b" * 32, "MessageStatus": "delivered", "AccountSid": ACCOUNT}
    answer = await client.post(webhooks.STATUS, data=form, headers=signed(webhooks.STATUS, form))
    assert answer.status_code == 204
    async with database.service() as c:
        found = await messages.message(c, message)
    assert found is not None
    assert found.state == "delivered"


def forgeries(path: str, form: dict[str, str]) -> dict[str, dict[str, str]]:
    """Headers of a request that is not from our provider."""
    elsewhere = {"Host": "evil.test", "X-Forwarded-Host": "evil.test", "X-Forwarded-Proto": "https"}
    return {
        "no signature": {},
        "nonsense": {"X-Twilio-Signature": "bm90IGEgc2lnbmF0dXJl"},
        "another secret": signed(path, form, token="another secret"),
        "other words": signed(path, {**form, "Body": "2"}),
        "another path": signed("/webhooks/twilio/other", form),
        "an address taken from headers": {**signed(path, form, url="https://evil.test"), **elsewhere},
    }


@pytest.mark.parametrize("path", [webhooks.SMS, webhooks.STATUS])
async def test_a_wrong_signature_changes_nothing(
    client: httpx.AsyncClient, database: Database, home: Household, path: str
) -> None:
    await call_li_na(database, home)
    form = {**sms("1", home.li_na.phone or "", "SM" + "b" * 32), "MessageStatus": "failed"}
    for what, headers in forgeries(path, form).items():
        answer = await client.post(path, data=form, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:hearthwatch:problem:bad_signature"), what
        async with database.service() as c:
            assert await value(c, "SELECT count(*) FROM inbound") == 0, what
            assert await value(c, "SELECT state FROM alert") == "notified", what
            assert await value(c, "SELECT state FROM message") == "sent", what
