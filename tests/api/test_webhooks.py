"""The telephone network is believed only with its signature over the address it was told to call."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import permutations
from xml.etree import ElementTree as ET

import httpx
import psycopg
import pytest
from psycopg import sql
from twilio.request_validator import RequestValidator

from api import webhooks
from store import alerts, messages
from store.postgres import Connection, Database, Unavailable, value
from tests.alerts.network import until
from tests.api.callers import ACCOUNT, NUMBER, PUBLIC_URL, TOKEN
from tests.household import Household
from tests.opened import opened

pytestmark = pytest.mark.anyio


def signed(path: str, form: dict[str, str], *, url: str = PUBLIC_URL, token: str = TOKEN) -> dict[str, str]:
    return {"X-Twilio-Signature": RequestValidator(token).compute_signature(url + path, form)}


def sms(body: str, phone: str, sid: str = "SM" + "a" * 32) -> dict[str, str]:
    return {"MessageSid": sid, "AccountSid": ACCOUNT, "From": phone, "To": NUMBER, "Body": body, "NumMedia": "0"}


async def written(c: Connection, home: Household, alert: int, channel: str, now: datetime) -> int:
    """A message to Li Na about an alert, due now."""
    assert home.li_na.phone is not None
    new = messages.NewMessage(
        purpose="alert", priority="high", person_id=home.li_na.id, channel=channel, address=home.li_na.phone,
        language="zh_Hans", body="王秀英按了求助键。接手请按1。", due_at=now, expires_at=now + timedelta(hours=1), made_at=now,
        alert_id=alert, resident_id=home.wang, step=1, code=11,
    )  # fmt: skip
    await messages.add(c, [new])
    return int(await value(c, "SELECT max(id) FROM message"))


async def call_li_na(database: Database, home: Household) -> tuple[int, int]:
    """An open alert about which Li Na has been sent a message."""
    now = datetime.now(UTC)
    async with database.service() as c:
        alert = await opened(
            c, resident_id=home.wang, rule="help_call", protocol="test", priority="high", kind="event",
            happened_at=now, raised_at=now, evidence={},
        )  # fmt: skip
        assert alert is not None
        soon = now + timedelta(hours=1)
        await alerts.update(c, alert, {"state": "notifying", "step": 1, "reply_code": 11, "climb_at": soon})
        message = await written(c, home, alert, "sms", now)
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


async def lose_answer(database: Database, message: int) -> None:
    """Nobody knows whether it was sent: no answer came."""
    async with database.service() as c:
        await messages.update(c, message, {"state": "uncertain", "provider_sid": None, "sent_at": None})


async def state_of(database: Database, message: int) -> tuple[str, str | None, str | None]:
    async with database.service() as c:
        found = await messages.message(c, message)
    assert found is not None
    return found.state, found.provider_sid, found.error


@pytest.mark.parametrize(
    ("status", "state"), [("queued", "sent"), ("sent", "sent"), ("delivered", "delivered"), ("undelivered", "failed")]
)
async def test_a_callback_makes_good_an_answer_that_was_lost(
    client: httpx.AsyncClient, database: Database, home: Household, status: str, state: str
) -> None:
    _, message = await call_li_na(database, home)
    await lose_answer(database, message)
    path, sid = f"{webhooks.STATUS}/{message}", "SM" + "c" * 32
    form = {"MessageSid": sid, "MessageStatus": status, "AccountSid": ACCOUNT}
    assert (await client.post(path, data=form, headers=signed(path, form))).status_code == 204
    assert (await state_of(database, message))[:2] == (state, sid)


async def test_in_whatever_order_callbacks_come_and_however_often_it_has_arrived_once(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    _, message = await call_li_na(database, home)
    path = f"{webhooks.STATUS}/{message}"
    for nth, order in enumerate(permutations(("queued", "sent", "delivered", "delivered")), 1):
        async with database.service() as c:
            await messages.update(c, message, {"state": "sending", "provider_sid": None, "delivered_at": None})
        for status in order:
            form = {"MessageSid": "SM" + "c" * 32, "MessageStatus": status, "AccountSid": ACCOUNT}
            await client.post(path, data=form, headers=signed(path, form))
        assert (await state_of(database, message))[0] == "delivered", order
        async with database.service() as c:
            assert await value(c, "SELECT count(*) FROM alert_event WHERE kind = 'delivered'") == nth, order


async def test_a_copy_that_fails_takes_nothing_back_and_one_that_arrives_counts(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    _, message = await call_li_na(database, home)
    path, other = f"{webhooks.STATUS}/{message}", "SM" + "c" * 32
    for status, state in (
        ("undelivered", "sent"),
        ("sent", "sent"),
        ("delivered", "delivered"),
        ("failed", "delivered"),
    ):
        form = {"MessageSid": other, "MessageStatus": status, "AccountSid": ACCOUNT}
        await client.post(path, data=form, headers=signed(path, form))
        assert (await state_of(database, message))[0] == state, status


async def test_a_status_of_nothing_we_know_is_taken_note_of_and_no_more(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    for path in (webhooks.STATUS, f"{webhooks.STATUS}/999", f"{webhooks.VOICE}/999/status"):
        form = {"MessageSid": "SM" + "c" * 32, "MessageStatus": "failed", "CallSid": "CA1", "CallStatus": "busy"}
        assert (await client.post(path, data=form, headers=signed(path, form))).status_code == 204


async def call(database: Database, home: Household) -> tuple[int, str]:
    """A call to Li Na that is under way, and where Twilio asks about it."""
    alert, _ = await call_li_na(database, home)
    async with database.service() as c:
        message = await written(c, home, alert, "voice", datetime.now(UTC))
        await messages.update(c, message, {"state": "sending", "sending_at": datetime.now(UTC)})
    return message, f"{webhooks.VOICE}/{message}"


async def asked(client: httpx.AsyncClient, path: str, **more: str) -> ET.Element:
    """What Twilio is told to do in a call."""
    form = {"CallSid": "CA" + "d" * 32, "CallStatus": "in-progress", "AccountSid": ACCOUNT} | more
    answer = await client.post(path, data=form, headers=signed(path, form))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/xml")
    return ET.fromstring(answer.text)


async def test_a_person_is_read_to_twice_and_asked_for_one_key(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    message, path = await call(database, home)
    gather = (await asked(client, path, AnsweredBy="human")).find("Gather")
    assert gather is not None
    assert gather.attrib["numDigits"] == "1"
    assert gather.attrib["action"] == PUBLIC_URL + path + "/key"
    assert [(s.text, s.get("language")) for s in gather.iter("Say")] == [("王秀英按了求助键。接手请按1。", "zh-CN")] * 2
    assert await state_of(database, message) == ("delivered", "CA" + "d" * 32, None)


async def test_a_key_is_asked_for_three_times_at_most(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    _, path = await call(database, home)
    path += "/key"
    for wrong in (1, 2):
        gather = (await asked(client, path, Digits="9")).find("Gather")
        assert gather is not None
        assert gather.attrib["action"] == f"{PUBLIC_URL}{path.partition('?')[0]}?asked={wrong + 1}"
        path = gather.attrib["action"].removeprefix(PUBLIC_URL)
    assert (await asked(client, path, Digits="9")).find("Gather") is None


async def test_a_key_that_is_told_twice_takes_it_once(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    _, path = await call(database, home)
    said = [ET.tostring(await asked(client, path + "/key", Digits="1")) for _ in range(2)]
    assert said[0] == said[1]
    async with database.service() as c:
        assert await value(c, "SELECT count(*) FROM alert_event WHERE kind = 'acknowledged'") == 1


async def test_a_call_about_nothing_says_so_in_both_languages(client: httpx.AsyncClient, home: Household) -> None:
    for path in ("/999", "/999/listen", "/999/key"):
        heard = await asked(client, webhooks.VOICE + path, AnsweredBy="human", Digits="1")
        assert [s.get("language") for s in heard.iter("Say")] == ["zh-CN", "en-GB"]


async def test_a_call_is_not_answered_for_a_message_that_is_none(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    _, message = await call_li_na(database, home)
    heard = await asked(client, f"{webhooks.VOICE}/{message}", AnsweredBy="human")
    assert "王秀英" not in "".join(heard.itertext())
    assert (await state_of(database, message))[0] == "sent"


async def test_a_reply_waits_for_a_record_that_is_away_for_a_moment(
    client: httpx.AsyncClient, database: Database, home: Household, server_dsn: str
) -> None:
    alert, _ = await call_li_na(database, home)
    form = sms("1", home.li_na.phone or "")
    async with await psycopg.AsyncConnection.connect(server_dsn, autocommit=True) as server:
        name = sql.Identifier(psycopg.conninfo.conninfo_to_dict(database.dsn)["dbname"])
        await server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
        await server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name._obj[0]]
        )
        answering = asyncio.create_task(client.post(webhooks.SMS, data=form, headers=signed(webhooks.SMS, form)))
        await asyncio.sleep(0.5)
        await server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
        assert (await answering).status_code == 200

    async def taken() -> bool:
        with suppress(Unavailable):  # the test's own connections were cut too
            async with database.service() as c:
                found = await alerts.alert(c, alert)
                return found is not None and found.acknowledged_by == home.li_na.id
        return False

    await until(taken)


async def test_who_rings_back_hears_that_something_waits_and_nothing_about_anybody(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    phone = home.li_na.phone or ""
    nothing = "".join((await asked(client, webhooks.CALL, From=phone)).itertext())
    await call_li_na(database, home)
    something = "".join((await asked(client, webhooks.CALL, From=phone)).itertext())
    assert something != nothing
    assert "短信" in something
    assert "王秀英" not in something


async def test_a_stranger_who_rings_is_told_that_nobody_knows_the_number(
    client: httpx.AsyncClient, home: Household
) -> None:
    for phone, language in (("+8613999999999", "zh-CN"), ("+447700900123", "en-GB"), ("anonymous", "en-GB")):
        said = (await asked(client, webhooks.CALL, From=phone)).find("Say")
        assert said is not None
        assert said.get("language") == language


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


VOICE_PATHS = [f"{webhooks.VOICE}/1{path}" for path in ("", "/listen", "/key", "/key?asked=2", "/status")]


@pytest.mark.parametrize("path", [webhooks.SMS, webhooks.CALL, webhooks.STATUS, f"{webhooks.STATUS}/1", *VOICE_PATHS])
async def test_a_wrong_signature_changes_nothing(
    client: httpx.AsyncClient, database: Database, home: Household, path: str
) -> None:
    await call_li_na(database, home)
    form = {**sms("1", home.li_na.phone or "", "SM" + "b" * 32), "MessageStatus": "failed"}
    form |= {"CallSid": "CA1", "CallStatus": "failed", "Digits": "1", "AnsweredBy": "human"}
    for what, headers in forgeries(path, form).items():
        answer = await client.post(path, data=form, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:hearthwatch:problem:bad_signature"), what
        async with database.service() as c:
            assert await value(c, "SELECT count(*) FROM inbound") == 0, what
            assert await value(c, "SELECT state FROM alert") == "notifying", what
            assert await value(c, "SELECT state FROM message") == "sent", what
