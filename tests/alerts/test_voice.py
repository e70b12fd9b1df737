"""Calls through Twilio's own client: what is asked of Twilio, what somebody who answers hears, and what comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from alerts import actions
from alerts.calls import Caller
from alerts.channels import Receipt, TryAgain, Uncertain, Unreachable, twilio_account, voice
from store import alerts, contacts, messages
from store.messages import MessageRow, NewMessage
from store.people import Person
from store.postgres import Database
from tests.alerts.clock import Clock
from tests.alerts.door import open_door
from tests.alerts.network import NUMBER, Line, free_port, telephone_line, until
from tests.alerts.service import Service, at_work, utc_now
from tests.alerts.test_sms import LI
from tests.alerts.test_sms import message as written
from tests.alerts.twilio_document import TwilioDocument
from tests.household import Household, furnish
from tests.opened import opened

pytestmark = pytest.mark.anyio

ALERT = "您好，这里是炉望。王秀英按了求助键。接手请按1，去不了请按2。"


def message(**also: Any) -> MessageRow:
    return replace(written(ALERT), channel="voice", **also)


@pytest.fixture
async def line() -> AsyncIterator[Line]:
    async with telephone_line(None) as opened:
        yield opened


async def test_every_request_agrees_with_twilios_document(line: Line, shared: Path) -> None:
    receipt = await line.voice.send(message())
    await line.voice.find(message())
    await line.voice.status(receipt.sid)
    document = TwilioDocument(shared / "data" / "twilio" / "twilio_api_v2010.json")
    assert [(e.method, e.status) for e in line.recorder.exchanges] == [("POST", 201), ("GET", 200), ("GET", 200)]
    assert [document.faults(e) for e in line.recorder.exchanges] == [[], [], []]


async def test_a_call_says_where_to_ask_for_its_words_and_listens_for_a_machine(line: Line) -> None:
    receipt = await line.voice.send(message(id=7))
    [asked] = line.recorder.exchanges
    assert (asked.form["To"], asked.form["From"]) == (LI, NUMBER)
    assert asked.form["Url"] == line.service_url + "/webhooks/twilio/voice/7"
    assert asked.form["FallbackUrl"] == asked.form["Url"]
    assert asked.form["StatusCallback"] == line.service_url + "/webhooks/twilio/voice/7/status"
    assert (asked.form["MachineDetection"], asked.form["Timeout"]) == ("Enable", "25")
    assert "Body" not in asked.form
    assert ALERT not in str(asked.fields)
    assert receipt == Receipt(asked.answer["sid"], "sent")


async def test_it_rings_no_longer_than_the_message_is_good_for(line: Line) -> None:
    await line.voice.send(replace(message(), expires_at=utc_now() + timedelta(seconds=12)))
    assert 10 <= int(line.recorder.exchanges[0].form["Timeout"]) <= 12


@pytest.mark.parametrize("code", ["21211", "21214", "21215"])
async def test_a_number_that_cannot_be_called_is_not_tried_again(line: Line, code: str) -> None:
    await line.fault(code)
    with pytest.raises(Unreachable) as refused:
        await line.voice.send(message())
    assert refused.value.code == code


async def test_a_busy_network_is_left_alone_as_long_as_it_wants(line: Line) -> None:
    await line.fault("429")
    with pytest.raises(TryAgain) as busy:
        await line.voice.send(message())
    assert (busy.value.code, busy.value.after_s) == ("20429", 1.0)


@pytest.mark.parametrize(("kind", "there"), [("timeout_after_send", 1), ("timeout_before_send", 0)])
async def test_without_an_answer_it_is_uncertain_and_can_be_looked_up(
    line: Line, monkeypatch: pytest.MonkeyPatch, kind: str, there: int
) -> None:
    monkeypatch.setattr(twilio_account, "SEND_TIMEOUT_S", 0.3)
    await line.fault(kind)
    with pytest.raises(Uncertain):
        await line.voice.send(message())
    assert len(await line.voice.find(message())) == there


async def test_only_calls_of_this_time_to_this_number_are_taken_for_it(line: Line) -> None:
    first, second = await line.voice.send(message()), await line.voice.send(message())
    await line.voice.send(message(address="+8613900000009"))
    assert [r.sid for r in await line.voice.find(message())] == [second.sid, first.sid]
    assert await line.voice.find(message(sending_at=utc_now() + timedelta(days=1))) == []


@pytest.mark.parametrize("habit", ["busy", "no-answer", "failed"])
async def test_what_became_of_a_call_can_be_asked(line: Line, habit: str) -> None:
    await line.habit(LI, calls=habit)
    sid = (await line.voice.send(message())).sid
    await until(lambda: not line.telephone.is_calling(sid))
    assert await line.voice.status(sid) == Receipt(sid, "failed", habit)


@pytest.mark.parametrize(
    ("status", "answered_by", "outcome", "error"),
    [
        ("queued", "", "sent", None),
        ("initiated", "", "sent", None),
        ("ringing", "", "sent", None),
        ("in-progress", "human", "sent", None),
        ("completed", "human", "failed", "hung_up"),
        ("completed", "", "failed", "hung_up"),
        ("completed", "machine_start", "failed", "machine"),
        ("completed", "machine_end_beep", "failed", "machine"),
        ("completed", "fax", "failed", "machine"),
        ("canceled", "", "failed", "canceled"),
    ],
)
def test_a_status_alone_never_says_that_somebody_has_heard_it(
    status: str, answered_by: str, outcome: Any, error: str | None
) -> None:
    assert voice.receipt("CA1", status, answered_by) == Receipt("CA1", outcome, error)


@dataclass
class Calling:
    """The service's record and door, a telephone network, and an alert to which Li Na is called by voice."""

    database: Database
    home: Household
    line: Line
    clock: Clock
    alert_id: int

    async def call(self, person: Person, body: str = ALERT, purpose: str = "alert", **also: Any) -> MessageRow:
        """Call somebody, and wait until the call is over and everything about it is told."""
        begun = await self.begin(person, body, purpose, **also)
        await self.over()
        return await self.message(begun.id)

    async def begin(self, person: Person, body: str = ALERT, purpose: str = "alert", **also: Any) -> MessageRow:
        assert person.phone
        columns: dict[str, Any] = {
            "alert_id": self.alert_id,
            "resident_id": self.home.wang,
            "step": 1,
            "code": 27,
        } | also
        new = NewMessage(
            purpose=purpose,
            priority="high",
            person_id=person.id,
            channel="voice",
            address=person.phone,
            language=person.language,
            body=body,
            due_at=self.clock.now,
            expires_at=self.clock.now + timedelta(minutes=15),
            made_at=self.clock.now,
            **columns,
        )
        async with self.database.service() as c:
            await messages.add(c, [new])
            number = await (await c.execute("SELECT max(id) FROM message")).fetchone()
            assert number
            await messages.update(c, number[0], {"state": "sending", "sending_at": self.clock.now})
            row = await messages.message(c, number[0])
        assert row is not None
        await self.line.voice.send(row)
        return row

    async def over(self) -> None:
        await until(lambda: not self.line.telephone.errands)

    async def message(self, number: int) -> MessageRow:
        async with self.database.service() as c:
            row = await messages.message(c, number)
        assert row is not None
        return row

    async def alert(self) -> alerts.AlertRow:
        async with self.database.service() as c:
            row = await alerts.alert(c, self.alert_id)
        assert row is not None
        return row

    async def habit(self, person: Person, name: str | None = None, **habit: str) -> None:
        assert person.phone
        await self.line.habit(person.phone, name, **habit)

    def heard_by(self, person: Person) -> list[str]:
        assert person.phone
        return self.line.heard_by(person.phone)


@pytest.fixture
async def calling(database: Database) -> AsyncIterator[Calling]:
    clock, port = Clock(utc_now()), free_port()
    async with database.service() as c:
        home = await furnish(c, clock.now - timedelta(hours=1))
        alert = await opened(
            c, resident_id=home.wang, rule="help_call", protocol="test", priority="high", kind="event",
            happened_at=clock.now, raised_at=clock.now, evidence={},
        )  # fmt: skip
        assert alert is not None
        row = await alerts.for_update(c, alert)
        assert row is not None
        await Caller(c, clock.now).go_on([row])
    async with telephone_line(open_door(database, port, clock), port, clock=clock) as line:
        yield Calling(database, home, line, clock, alert)


async def test_who_answers_hears_it_twice_and_takes_it_with_1(calling: Calling) -> None:
    li_na = calling.home.li_na
    await calling.habit(li_na, calls="answer", keys="1")
    told = await calling.call(li_na)
    assert calling.heard_by(li_na)[:2] == [ALERT, ALERT]
    assert len(calling.heard_by(li_na)) == 3
    assert "王秀英" in calling.heard_by(li_na)[2]
    assert (told.state, told.error) == ("delivered", None)
    found = await calling.alert()
    assert (found.state, found.acknowledged_by) == ("acknowledged", li_na.id)


async def test_it_is_read_in_her_language(calling: Calling) -> None:
    for person, spoken in ((calling.home.li_na, "zh-CN"), (calling.home.chen, "en-GB")):
        await calling.habit(person, calls="answer")
        await calling.call(person)
        assert person.phone
        assert {s.language for c in calling.line.calls_to(person.phone) for s in c.heard} == {spoken}


async def test_2_passes_it_on_and_the_next_is_called_at_once(calling: Calling) -> None:
    await calling.habit(calling.home.li_na, calls="answer", keys="2")
    await calling.call(calling.home.li_na)
    found = await calling.alert()
    assert (found.state, found.acknowledged_by) == ("notifying", None)
    async with calling.database.service() as c:
        steps = [step.kind for step in (await alerts.trail(c, [calling.alert_id]))[calling.alert_id]]
    assert "declined" in steps


async def test_who_picks_up_after_somebody_else_has_taken_it_hears_who(calling: Calling) -> None:
    li_na, chen = calling.home.li_na, calling.home.chen
    async with calling.database.service() as c:
        await actions.acknowledge(c, calling.alert_id, chen.id, calling.clock.now, "page")
    await calling.habit(li_na, calls="answer", keys="1")
    told = await calling.call(li_na)
    [heard] = calling.heard_by(li_na)
    assert "陈静" in heard
    assert told.state == "delivered"
    assert (await calling.alert()).acknowledged_by == chen.id


async def test_who_has_taken_it_by_sms_while_it_rang_hears_it_all_the_same(calling: Calling) -> None:
    li_na = calling.home.li_na
    async with calling.database.service() as c:
        await actions.acknowledge(c, calling.alert_id, li_na.id, calling.clock.now, "sms")
    await calling.habit(li_na, calls="answer")
    await calling.call(li_na)
    assert calling.heard_by(li_na)[0] == ALERT


async def test_another_key_is_asked_for_again_and_then_the_right_one_counts(calling: Calling) -> None:
    li_na = calling.home.li_na
    await calling.habit(li_na, calls="answer", keys="971")
    await calling.call(li_na)
    assert (await calling.alert()).acknowledged_by == li_na.id


async def test_nobody_is_asked_for_ever(calling: Calling) -> None:
    li_na = calling.home.li_na
    await calling.habit(li_na, calls="answer", keys="9999999")
    told = await calling.call(li_na)
    assert (await calling.alert()).acknowledged_by is None
    assert len(calling.line.calls_to(li_na.phone or "")[0].pressed) == 3
    assert told.state == "delivered"


async def test_who_hears_it_and_presses_nothing_has_heard_it_and_the_ladder_goes_on(calling: Calling) -> None:
    li_na, before = calling.home.li_na, await calling.alert()
    await calling.habit(li_na, calls="answer")
    told = await calling.call(li_na)
    assert told.state == "delivered"
    after = await calling.alert()
    assert (after.state, after.climb_at) == ("notifying", before.climb_at)


@pytest.mark.parametrize(
    ("habit", "error"),
    [
        ("busy", "busy"),
        ("no-answer", "no-answer"),
        ("failed", "failed"),
        ("hang_up", "hung_up"),
        ("machine", "machine"),
    ],
)
async def test_who_is_not_reached_counts_as_not_reached_at_once(calling: Calling, habit: str, error: str) -> None:
    await calling.habit(calling.home.li_na, calls=habit)
    told = await calling.call(calling.home.li_na)
    assert (told.state, told.error) == ("failed", error)
    assert told.provider_sid == calling.line.telephone.network.calls[0].sid


async def test_a_machine_hears_nothing_about_anybody(calling: Calling) -> None:
    await calling.habit(calling.home.li_na, "voicemail")
    await calling.call(calling.home.li_na)
    heard = calling.heard_by(calling.home.li_na)
    assert len(heard) == 2
    assert not any(word in "".join(heard) for word in ("王秀英", "求助", "9号楼"))


async def test_who_may_be_a_machine_hears_it_only_after_a_key(calling: Calling) -> None:
    li_na = calling.home.li_na
    await calling.habit(li_na, calls="unknown")
    told = await calling.call(li_na)
    assert not any("王秀英" in words for words in calling.heard_by(li_na))
    assert (told.state, told.error) == ("failed", "hung_up")
    await calling.habit(li_na, calls="unknown", keys="11")
    told = await calling.call(li_na, step=2)
    assert ALERT in calling.heard_by(li_na)
    assert told.state == "delivered"
    assert (await calling.alert()).acknowledged_by == li_na.id


@pytest.mark.parametrize("fault", ["duplicate", "reordered", "lost"])
async def test_callbacks_twice_last_first_or_never_change_nothing_that_was_heard(calling: Calling, fault: str) -> None:
    await calling.habit(calling.home.li_na, calls="answer", keys="1")
    await calling.line.fault(fault)
    told = await calling.call(calling.home.li_na)
    assert told.state == "delivered"
    assert (await calling.alert()).state == "acknowledged"


async def test_a_late_word_of_another_call_about_the_same_changes_nothing(calling: Calling) -> None:
    await calling.habit(calling.home.li_na, calls="answer")
    told = await calling.call(calling.home.li_na)
    await calling.habit(calling.home.li_na, calls="busy")
    await calling.line.voice.send(told)
    await calling.over()
    assert await calling.message(told.id) == told


async def test_what_cannot_be_answered_is_read_without_waiting_for_a_key(calling: Calling) -> None:
    li_na = calling.home.li_na
    await calling.habit(li_na, calls="answer", keys="1")
    told = await calling.call(li_na, "您的验证码是：1，2，3", "verify", alert_id=None, resident_id=None)
    assert calling.heard_by(li_na) == ["您的验证码是：1，2，3"] * 2
    assert calling.line.telephone.network.calls[0].pressed == []
    assert told.state == "delivered"


async def test_a_test_call_is_confirmed_with_1(calling: Calling) -> None:
    li_na = calling.home.li_na
    await calling.habit(li_na, calls="answer", keys="1")
    told = await calling.call(li_na, "这是测试电话。听清楚了请按1。", "test", alert_id=None, resident_id=None)
    assert told.state == "delivered"
    assert len(calling.heard_by(li_na)) == 3


@asynccontextmanager
async def with_voice(database: Database) -> AsyncIterator[Service]:
    """A service that calls by SMS and by voice."""
    async with at_work(database) as service:
        async with database.service() as c:
            await contacts.set_channels(c, {"sms": ["twilio"], "voice": ["twilio"]}, service.clock.now)
        yield service


async def test_she_who_does_not_answer_the_sms_is_rung_up_and_takes_it_with_1(database: Database) -> None:
    async with with_voice(database) as service:
        li_na = service.home.li_na
        await service.line.habit(li_na.phone or "", calls="answer", keys="1")
        row = await service.raised()
        await service.work()
        await service.hear()
        assert service.line.heard_by(li_na.phone or "") == []
        service.clock.go_on(seconds=46)
        await service.work()
        await until(lambda: not service.line.telephone.errands)
        assert "王秀英" in service.line.heard_by(li_na.phone or "")[0]
        assert (await service.alert(row.id)).acknowledged_by == li_na.id


async def test_a_telephone_without_sms_is_rung_up_at_once_and_a_machine_sends_it_on_to_the_next(
    database: Database,
) -> None:
    async with with_voice(database) as service:
        li_na, chen = service.home.li_na, service.home.chen
        await service.line.habit(li_na.phone or "", sms="30006", calls="machine")
        row = await service.raised()
        for _ in range(4):
            await service.work()
            await until(lambda: not service.line.telephone.errands)
        assert len(service.line.calls_to(li_na.phone or "")) == 1
        assert service.said_to(chen)
        assert (await service.states(row.id))[:2] == [("Na Li", "failed"), ("Na Li", "failed")]
