"""SMS through Twilio's own client: what is asked of Twilio, and what each of its answers means."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from alerts.channels import Receipt, TryAgain, Uncertain, Unreachable, sms, twilio_account
from alerts.channels.sms import SmsChannel
from store.messages import MessageRow
from tests.alerts.network import ACCOUNT, NUMBER, TOKEN, Line, free_port, telephone_line, until
from tests.alerts.twilio_document import TwilioDocument

pytestmark = pytest.mark.anyio
LI = "+8613900000002"


def message(
    body: str = "【炉望】王秀英（9号楼502）血压192/118。回复1接手，2去不了（编号27）", good_for_s: float = 900
) -> MessageRow:
    now = datetime.now(UTC)
    return MessageRow(
        id=1,
        alert_id=1,
        resident_id=1,
        step=1,
        purpose="alert",
        priority="high",
        person_id=UUID(int=1),
        channel="sms",
        address=LI,
        language="zh_Hans",
        subject="",
        body=body,
        code=27,
        state="sending",
        due_at=now,
        expires_at=now + timedelta(seconds=good_for_s),
        attempts=1,
        provider=None,
        provider_sid=None,
        error=None,
        sending_at=now,
        sent_at=None,
        delivered_at=None,
        created_at=now,
    )


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async with telephone_line(None) as opened:
        yield opened


async def test_every_request_agrees_with_twilios_document(line: Line, shared: Path) -> None:
    receipt = await line.channel.send(message())
    await line.channel.find(message())
    await line.channel.status(receipt.sid)
    document = TwilioDocument(shared / "data" / "twilio" / "twilio_api_v2010.json")
    assert [(e.method, e.status) for e in line.recorder.exchanges] == [("POST", 201), ("GET", 200), ("GET", 200)]
    assert [document.faults(e) for e in line.recorder.exchanges] == [[], [], []]


async def test_a_message_goes_out_whole_with_its_callback_and_only_as_long_as_it_is_good_for(line: Line) -> None:
    receipt = await line.channel.send(message())
    [asked] = line.recorder.exchanges
    assert asked.form["To"] == LI
    assert asked.form["From"] == NUMBER
    assert asked.form["Body"] == message().body
    assert asked.form["StatusCallback"] == line.service_url + "/webhooks/twilio/status/1"
    assert 890 <= int(asked.form["ValidityPeriod"]) <= 900
    assert receipt == Receipt(asked.answer["sid"], "sent")


@pytest.mark.parametrize(("good_for_s", "validity"), [(1, "6"), (10 * 86_400, "36000")])
async def test_the_validity_stays_within_what_twilio_takes(line: Line, good_for_s: float, validity: str) -> None:
    await line.channel.send(message(good_for_s=good_for_s))
    assert line.recorder.exchanges[0].form["ValidityPeriod"] == validity


@pytest.mark.parametrize("code", ["21211", "21408", "21610", "21612", "21614"])
async def test_a_number_that_cannot_be_reached_is_not_tried_again(line: Line, code: str) -> None:
    await line.fault(code)
    with pytest.raises(Unreachable) as refused:
        await line.channel.send(message())
    assert refused.value.code == code


async def test_what_twilio_says_of_a_number_is_repeated_without_it(line: Line) -> None:
    with pytest.raises(Unreachable, match="21211") as refused:
        await line.channel.send(replace(message(), address="+0123456789"))
    assert "0123456789" not in str(refused.value)


@pytest.mark.parametrize(("kind", "code"), [("429", "20429"), ("500", "20500")])
async def test_a_busy_network_is_tried_again(line: Line, kind: str, code: str) -> None:
    await line.fault(kind)
    with pytest.raises(TryAgain) as busy:
        await line.channel.send(message())
    assert busy.value.code == code


async def test_a_wrong_secret_is_the_services_fault_and_not_the_persons(line: Line) -> None:
    channel = SmsChannel(ACCOUNT, "wrong", NUMBER, line.service_url, line.url)
    for attempt in (channel.send(message()), channel.find(message()), channel.status("SM" + "0" * 32)):
        with pytest.raises(TryAgain):
            await attempt
    await channel.close()


async def test_where_no_connection_comes_about_nothing_was_sent() -> None:
    channel = SmsChannel(ACCOUNT, TOKEN, NUMBER, "http://127.0.0.1:1", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(TryAgain) as away:
        await channel.send(message())
    assert away.value.code == "no_connection"
    await channel.close()


@pytest.mark.parametrize(("kind", "there"), [("timeout_after_send", 1), ("timeout_before_send", 0)])
async def test_without_an_answer_it_is_uncertain_and_can_be_looked_up(
    line: Line, monkeypatch: pytest.MonkeyPatch, kind: str, there: int
) -> None:
    monkeypatch.setattr(twilio_account, "SEND_TIMEOUT_S", 0.3)
    await line.fault(kind)
    with pytest.raises(Uncertain):
        await line.channel.send(message())
    found = await line.channel.find(message())
    assert len(found) == there


async def test_only_the_same_words_of_this_time_are_taken_for_the_message(line: Line) -> None:
    sent = await line.channel.send(message())
    await line.channel.send(message("something else"))
    assert [r.sid for r in await line.channel.find(message())] == [sent.sid]
    tomorrow = replace(message(), sending_at=datetime.now(UTC) + timedelta(days=1))
    assert await line.channel.find(tomorrow) == []


async def test_a_message_is_found_however_many_came_after_it(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sms, "PAGE", 2)
    sent = await line.channel.send(message())
    for n in range(5):
        await line.channel.send(message(f"number {n}"))
    assert [r.sid for r in await line.channel.find(message())] == [sent.sid]


async def test_an_earlier_same_message_comes_after_the_newest(line: Line) -> None:
    first, second = await line.channel.send(message()), await line.channel.send(message())
    assert [r.sid for r in await line.channel.find(message())] == [second.sid, first.sid]


async def test_what_became_of_it_can_be_asked(line: Line) -> None:
    await line.fault("30005", to=LI)
    lost, there = await line.channel.send(message()), await line.channel.send(message())
    await until(lambda: all(m.is_final for m in line.telephone.network.messages))
    assert await line.channel.status(lost.sid) == Receipt(lost.sid, "failed", "30005")
    assert await line.channel.status(there.sid) == Receipt(there.sid, "delivered")


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("queued", None), ("sending", None), ("sent", None), ("delivered", "delivered"), ("read", "delivered")]
    + [(status, "failed") for status in ("undelivered", "failed", "canceled")],
)
def test_sent_is_not_delivered(status: str, outcome: str | None) -> None:
    assert sms.outcome_of(status) == outcome
