"""The telephone network behaves as Twilio does: by its own document, its own client and its own signatures."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator
from twilio.rest import Client
from twilio.twiml.messaging_response import MessagingResponse

from alerts.virtual import twiml
from alerts.virtual.calls import Call
from alerts.virtual.faults import Fault
from alerts.virtual.phones import Habit
from tests.alerts.clock import Clock
from tests.alerts.exchange import Exchange
from tests.alerts.network import ACCOUNT, NUMBER, TOKEN, Line, free_port, telephone_line, until
from tests.alerts.twilio_document import TwilioDocument

pytestmark = pytest.mark.anyio
LI = "+8613900000002"


class Door:
    """A service that checks signatures with Twilio's own validator and answers every reply."""

    def __init__(self) -> None:
        self.calls: list[dict[str, str]] = []
        self.forged = 0
        self.url = ""
        self.away = 0
        self.answer = "谢谢"
        self.twiml: dict[str, str] = {}
        """What is answered about calls, by the path that is asked."""
        self.app = Starlette(
            routes=[Route("/webhooks/twilio/{kind:path}", self._take, methods=["POST"])],
        )

    async def _take(self, request: Request) -> Response:
        form = {k: str(v) for k, v in (await request.form()).items()}
        if self.away:
            self.away -= 1
            return PlainTextResponse("away", status_code=503)
        if not RequestValidator(TOKEN).validate(
            self.url + request.url.path, form, request.headers["x-twilio-signature"]
        ):
            self.forged += 1
        self.calls.append(form)
        if request.url.path in self.twiml:
            return Response(self.twiml[request.url.path], media_type="application/xml")
        response = MessagingResponse()
        if "Body" in form and self.answer:
            response.message(self.answer)
        return Response(str(response), media_type="application/xml")

    def statuses(self, sid: str) -> list[str]:
        return [call["MessageStatus"] for call in self.calls if call.get("MessageSid") == sid and "Body" not in call]

    def events(self, sid: str) -> list[str]:
        """The statuses of a call, as they were told."""
        return [c["CallStatus"] for c in self.calls if c.get("CallSid") == sid and "CallbackSource" in c]


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
async def line(door: Door) -> AsyncIterator[Line]:
    async with telephone_line(door.app) as opened:
        door.url = opened.service_url
        yield opened


def twilio(line: Line, token: str = TOKEN) -> Client:
    """Twilio's own synchronous client, pointed at the stand-in."""

    class Redirected(TwilioHttpClient):  # type: ignore[misc]
        def request(self, method: str, url: str, *args: object, **kwargs: object) -> object:
            return super().request(method, url.replace("https://api.twilio.com", line.url), *args, **kwargs)

    return Client(ACCOUNT, token, http_client=Redirected(timeout=5))


async def post(line: Line, **form: str) -> httpx.Response:
    whole = {"To": LI, "From": NUMBER, "Body": "hello"} | form
    return await line.client.post(
        f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
        data={k: v for k, v in whole.items() if v},
        auth=(ACCOUNT, TOKEN),
    )


SAY = '<Say language="zh-CN">王秀英按了求助键</Say>'
MENU = f'<Response><Gather numDigits="1" action="/webhooks/twilio/key">{SAY}</Gather><Say>Nothing.</Say></Response>'


async def dial(line: Line, **form: str | list[str]) -> httpx.Response:
    whole: dict[str, str | list[str]] = {
        "To": LI,
        "From": NUMBER,
        "Url": line.service_url + "/webhooks/twilio/voice",
        "StatusCallback": line.service_url + "/webhooks/twilio/call",
        "StatusCallbackEvent": ["initiated", "ringing", "answered", "completed"],
        "MachineDetection": "Enable",
    } | form
    return await line.client.post(
        f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json",
        data={k: v for k, v in whole.items() if v},
        auth=(ACCOUNT, TOKEN),
    )


async def call(line: Line, **form: str | list[str]) -> Call:
    """Call, and wait until it is over and everything about it has been told."""
    sid = (await dial(line, **form)).json()["sid"]
    made = line.telephone.network.find_call(sid)
    await until(lambda: not line.telephone.is_calling(sid))
    return made


async def test_every_request_and_answer_agrees_with_twilios_document(line: Line, shared: Path) -> None:
    client = twilio(line)

    def talk() -> None:
        sent = client.messages.create(
            to=LI,
            from_=NUMBER,
            body="【炉望】王秀英",
            validity_period=900,
            status_callback=line.service_url + "/webhooks/twilio/status",
        )
        assert client.messages(sent.sid).fetch().body == "【炉望】王秀英"
        assert [m.sid for m in client.messages.list(to=LI, limit=5)] == [sent.sid]

    await anyio.to_thread.run_sync(talk)
    document = TwilioDocument(shared / "data" / "twilio" / "twilio_api_v2010.json")
    assert [e.method for e in line.recorder.exchanges] == ["POST", "GET", "GET"]
    assert [document.faults(e) for e in line.recorder.exchanges] == [[], [], []]


async def test_every_request_about_calls_and_its_answer_agrees_with_twilios_document(
    line: Line, door: Door, shared: Path
) -> None:
    client = twilio(line)
    await line.habit(LI, calls="answer")
    door.twiml["/webhooks/twilio/voice"] = MENU

    def talk() -> None:
        made = client.calls.create(
            to=LI,
            from_=NUMBER,
            url=line.service_url + "/webhooks/twilio/voice",
            status_callback=line.service_url + "/webhooks/twilio/call",
            status_callback_event=["initiated", "completed"],
            machine_detection="Enable",
            timeout=25,
        )
        while client.calls(made.sid).fetch().status != "completed":
            time.sleep(0.01)
        [listed] = client.calls.list(to=LI, from_=NUMBER, status="completed", limit=5)
        assert (listed.sid, listed.answered_by, listed.duration) == (made.sid, "human", "1")
        assert client.calls.list(to=NUMBER, limit=5) == []

    await anyio.to_thread.run_sync(talk)
    document = TwilioDocument(shared / "data" / "twilio" / "twilio_api_v2010.json")
    assert {e.method for e in line.recorder.exchanges} == {"POST", "GET"}
    assert [faults for e in line.recorder.exchanges if (faults := document.faults(e))] == []


def test_the_document_is_a_judge_that_can_say_no(shared: Path) -> None:
    document = TwilioDocument(shared / "data" / "twilio" / "twilio_api_v2010.json")
    path = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    answer = {"sid": "XX", "status": "flying", "colour": "red"}
    faults = document.faults(Exchange("POST", path, {}, [("To", LI), ("Colour", "red")], 201, answer))
    assert len(faults) == 5
    with pytest.raises(AssertionError):
        document.faults(Exchange("GET", "/2010-04-01/Telegrams.json", {}, [], 200, {}))


@pytest.mark.parametrize(
    ("form", "status", "code"),
    [
        ({"To": ""}, 400, 21604),
        ({"To": "13900000002"}, 400, 21211),
        ({"To": "+0"}, 400, 21211),
        ({"From": ""}, 400, 21603),
        ({"From": "+15550006666"}, 400, 21606),
        ({"To": NUMBER}, 400, 21266),
        ({"Body": ""}, 400, 21602),
        ({"Body": "x" * 1601}, 400, 21617),
        ({"StatusCallback": "not a url"}, 400, 21609),
        ({"ValidityPeriod": "0"}, 400, 20422),
        ({"ValidityPeriod": "36001"}, 400, 20422),
    ],
)
async def test_what_twilio_refuses_is_refused(line: Line, form: dict[str, str], status: int, code: int) -> None:
    answer = await post(line, **form)
    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (status, code, status)
    assert answer.json()["more_info"].endswith(str(code))
    assert not line.telephone.network.messages


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"To": ""}, 21201),
        ({"To": "13900000002"}, 21211),
        ({"From": ""}, 21213),
        ({"From": "+15550006666"}, 21212),
        ({"To": NUMBER}, 21266),
        ({"Url": ""}, 21205),
        ({"Url": "not a url"}, 21205),
        ({"StatusCallback": "not a url"}, 21609),
        ({"StatusCallbackEvent": ["answered", "forgotten"]}, 20422),
        ({"Timeout": "601"}, 20422),
        ({"MachineDetection": "yes"}, 20422),
        ({"MachineDetectionTimeout": "1"}, 20422),
    ],
)
async def test_a_call_that_twilio_refuses_is_refused(line: Line, form: dict[str, str], code: int) -> None:
    answer = await dial(line, **form)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert not line.telephone.network.calls


async def test_a_wrong_secret_is_refused(line: Line) -> None:
    with pytest.raises(TwilioRestException) as refused:
        await anyio.to_thread.run_sync(lambda: twilio(line, "wrong").messages("SM" + "0" * 32).fetch())
    assert (refused.value.status, refused.value.code) == (401, 20003)


async def test_callbacks_tell_the_way_of_a_message_and_bear_valid_signatures(line: Line, door: Door) -> None:
    sid = (await post(line, StatusCallback=line.service_url + "/webhooks/twilio/status")).json()["sid"]
    await until(lambda: "delivered" in door.statuses(sid))
    assert door.statuses(sid) == ["queued", "sent", "delivered"]
    assert door.forged == 0


async def test_an_undelivered_message_says_why(line: Line, door: Door) -> None:
    await line.fault("30005")
    sid = (await post(line, StatusCallback=line.service_url + "/webhooks/twilio/status")).json()["sid"]
    await until(lambda: "undelivered" in door.statuses(sid))
    assert door.calls[-1]["ErrorCode"] == "30005"
    assert line.telephone.network.find(sid).error_code == 30005


async def test_a_reply_is_handed_over_signed_and_answered(line: Line, door: Door) -> None:
    assert await line.reply(LI, "1") == ["谢谢"]
    assert (door.calls[-1]["From"], door.calls[-1]["To"], door.calls[-1]["Body"]) == (LI, NUMBER, "1")
    assert door.forged == 0
    phones = (await line.client.get("/phones.json")).json()["phones"]
    assert [(m["direction"], m["body"]) for m in phones[0]["messages"]] == [
        ("inbound", "1"),
        ("outbound-reply", "谢谢"),
    ]


async def test_a_reply_waits_for_a_service_that_is_away_for_a_moment(line: Line, door: Door) -> None:
    door.away = 1
    assert await line.reply(LI, "1") == ["谢谢"]


async def test_after_stop_nothing_is_sent_until_start(line: Line) -> None:
    await line.reply(LI, "STOP")
    assert (await post(line)).json()["code"] == 21610
    await line.reply(LI, "start")
    assert (await post(line)).status_code == 201


@pytest.mark.parametrize(("kind", "status", "code"), [("429", 429, 20429), ("500", 500, 20500), ("21614", 400, 21614)])
async def test_it_misbehaves_on_demand_and_as_often_as_asked(line: Line, kind: str, status: int, code: int) -> None:
    await line.fault(kind, count=2, to=LI)
    assert (await post(line, To="+8613900000003")).status_code == 201
    for _ in range(2):
        answer = await post(line)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await post(line)).status_code == 201


@pytest.mark.parametrize(("kind", "sent"), [("timeout_after_send", 1), ("timeout_before_send", 0)])
async def test_an_answer_that_never_comes_leaves_it_open_whether_it_was_sent(line: Line, kind: str, sent: int) -> None:
    await line.fault(kind)
    with pytest.raises(httpx.ReadTimeout):
        await line.client.post(
            f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json",
            data={"To": LI, "From": NUMBER, "Body": "hello"},
            auth=(ACCOUNT, TOKEN),
            timeout=0.2,
        )
    assert len(line.said_to(LI)) == sent


def test_a_fault_it_does_not_know_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="no such fault: 'explode'"):
        Fault.parse("explode", None)


async def test_messages_are_listed_newest_first_by_number_and_date(line: Line) -> None:
    for text in ("one", "two", "three"):
        await post(line, Body=text)
    await post(line, To="+8613900000003")
    await until(lambda: all(m.is_final for m in line.telephone.network.messages))
    url, auth = f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json", (ACCOUNT, TOKEN)
    page = (await line.client.get(url, params={"To": LI, "PageSize": 2}, auth=auth)).json()
    assert [m["body"] for m in page["messages"]] == ["three", "two"]
    rest = (await line.client.get(page["next_page_uri"], auth=auth)).json()
    assert [m["body"] for m in rest["messages"]] == ["one"]
    assert rest["next_page_uri"] is None
    assert not (await line.client.get(url, params={"DateSent<": "2020-01-01"}, auth=auth)).json()["messages"]
    assert (
        len((await line.client.get(url, params={"DateSent>": "2020-01-01T00:00:00Z"}, auth=auth)).json()["messages"])
        == 4
    )
    assert (await line.client.get(url, params={"DateSent": "soon"}, auth=auth)).json()["code"] == 20422


async def test_segments_are_counted_as_they_are_billed(line: Line) -> None:
    cases = {"x" * 160: "1", "x" * 161: "2", "王" * 70: "1", "王" * 71: "2", "[" * 80: "1", "[" * 81: "2"}
    assert {body: (await post(line, Body=body)).json()["num_segments"] for body in cases} == cases


async def test_the_page_shows_each_phone_in_both_languages_and_nothing_is_markup(line: Line) -> None:
    await post(line, Body="<b>王秀英</b>")
    page = (await line.client.get("/")).text
    assert "李娜" in page
    assert "Li Na" in page
    assert "&lt;b&gt;王秀英" in page
    for name in ("phones.css", "phones.js"):
        assert (await line.client.get(f"/static/{name}")).status_code == 200


async def test_the_page_is_told_when_something_changes(line: Line) -> None:
    async with line.client.stream("GET", "/changes") as stream:
        lines = stream.aiter_lines()
        assert await anext(lines) == "event: beat"
        await post(line)
        async for text in lines:
            if text == "event: change":
                return


async def test_a_call_is_answered_read_to_and_asked_for_a_key(line: Line, door: Door) -> None:
    door.twiml["/webhooks/twilio/voice"] = MENU
    door.twiml["/webhooks/twilio/key"] = "<Response><Say>好的</Say><Hangup/><Say>never</Say></Response>"
    await line.habit(LI, calls="answer", keys="1")
    made = await call(line)
    assert [said.words for said in made.heard] == ["王秀英按了求助键", "好的"]
    assert made.heard[0].language == "zh-CN"
    assert (made.status, made.answered_by, made.pressed) == ("completed", "human", ["1"])
    assert door.events(made.sid) == ["initiated", "ringing", "in-progress", "completed"]
    asked = [c for c in door.calls if c.get("CallSid") == made.sid and "CallbackSource" not in c]
    assert [(c["CallStatus"], c["AnsweredBy"], c.get("Digits")) for c in asked] == [
        ("in-progress", "human", None),
        ("in-progress", "human", "1"),
    ]
    assert door.calls[-1]["CallDuration"] == "1"
    assert door.forged == 0


async def test_without_a_key_what_comes_after_the_question_is_done(line: Line, door: Door) -> None:
    door.twiml["/webhooks/twilio/voice"] = MENU
    await line.habit(LI, calls="answer")
    assert [said.words for said in (await call(line)).heard] == ["王秀英按了求助键", "Nothing."]


async def test_a_question_may_want_to_know_that_no_key_came(line: Line, door: Door) -> None:
    door.twiml["/webhooks/twilio/voice"] = MENU.replace("<Gather", '<Gather actionOnEmptyResult="true"')
    await line.habit(LI, calls="answer")
    await call(line)
    assert [c["Digits"] for c in door.calls if "Digits" in c] == [""]


async def test_a_call_lasts_only_as_long_as_it_may(line: Line, door: Door) -> None:
    door.twiml["/webhooks/twilio/voice"] = (
        '<Response><Say>one</Say><Pause length="9"/><Say>two</Say><Pause/><Say>never</Say></Response>'
    )
    await line.habit(LI, calls="answer")
    assert [said.words for said in (await call(line, TimeLimit="9")).heard] == ["one", "two"]


async def test_a_call_goes_where_it_is_redirected_to(line: Line, door: Door) -> None:
    door.twiml["/webhooks/twilio/voice"] = "<Response><Redirect>other</Redirect></Response>"
    door.twiml["/webhooks/twilio/other"] = '<Response><Say loop="2">here</Say></Response>'
    await line.habit(LI, calls="answer")
    assert [said.words for said in (await call(line)).heard] == ["here", "here"]


@pytest.mark.parametrize("habit", ["busy", "no-answer", "failed"])
async def test_a_call_that_nobody_takes_says_why_and_nothing_is_fetched(line: Line, door: Door, habit: str) -> None:
    await line.habit(LI, calls=habit)
    made = await call(line)
    assert (made.status, made.duration_s, made.heard) == (habit, None, [])
    assert door.events(made.sid) == ["initiated", "ringing", habit]


async def test_a_phone_rings_only_as_long_as_the_caller_wants(line: Line) -> None:
    assert (await call(line, Timeout="5")).status == "no-answer"


@pytest.mark.parametrize(("habit", "by"), [("machine", "machine_start"), ("unknown", "unknown"), ("answer", "human")])
async def test_who_answers_is_listened_for_if_wanted(line: Line, door: Door, habit: str, by: str) -> None:
    door.twiml["/webhooks/twilio/voice"] = MENU
    await line.habit(LI, calls=habit)
    assert (await call(line)).answered_by == by
    assert (await call(line, MachineDetection="")).answered_by is None


async def test_who_hangs_up_at_once_hears_nothing(line: Line, door: Door) -> None:
    await line.habit(LI, calls="hang_up")
    made = await call(line)
    assert (made.status, made.heard) == ("completed", [])
    assert door.events(made.sid) == ["initiated", "ringing", "in-progress", "completed"]


async def test_the_owner_answers_presses_and_hangs_up(door: Door) -> None:
    async with telephone_line(door.app, second_s=1) as line:
        door.url = line.service_url
        door.twiml["/webhooks/twilio/voice"] = MENU.replace('numDigits="1"', 'numDigits="2"')
        door.twiml["/webhooks/twilio/key"] = '<Response><Say>好的</Say><Pause length="60"/><Say>never</Say></Response>'
        with pytest.raises(httpx.HTTPStatusError):
            await line.act(LI, "answer")
        await dial(line)
        for do in ("answer", "1", "#"):
            await until(lambda: line.telephone.network.calls[0].status in ("ringing", "in-progress"))
            await line.act(LI, do)
        await until(lambda: len(line.heard_by(LI)) == 2)
        await line.act(LI, "hang_up")
        await until(lambda: line.telephone.network.calls[0].is_final)
        assert line.heard_by(LI) == ["王秀英按了求助键", "好的"]
        assert line.telephone.network.calls[0].pressed == ["1"]


async def test_the_owner_can_let_it_ring_at_nobody(door: Door) -> None:
    async with telephone_line(door.app, second_s=1) as line:
        door.url = line.service_url
        await dial(line)
        await until(lambda: line.telephone.network.calls[0].status == "ringing")
        assert (await line.client.post(f"/phones/{LI}/call", data={"do": "shout"})).status_code == 400
        await line.act(LI, "decline")
        await until(lambda: line.telephone.network.calls[0].status == "busy")


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ("<Response><Sing>la</Sing></Response>", "12200"),
        ('<Response><Say colour="red">la</Say></Response>', "12200"),
        ('<Response><Say language="xx">la</Say></Response>', "13512"),
        ('<Response><Gather timeout="soon"/></Response>', "12200"),
        ("<Response><Message>la</Message></Response>", "12200"),
        ("<Answer/>", "12200"),
        ("<Response>", "12100"),
        ("<Response><Redirect/></Response>", "11200"),
    ],
)
async def test_what_twilio_cannot_carry_out_ends_in_its_apology(
    line: Line, door: Door, document: str, error: str
) -> None:
    door.twiml["/webhooks/twilio/voice"] = document
    await line.habit(LI, calls="answer")
    made = await call(line)
    assert (made.error, made.status) == (error, "completed")
    assert "application error" in made.heard[-1].words


async def test_a_service_that_does_not_answer_about_a_call_is_apologised_for(line: Line, door: Door) -> None:
    door.away = 1
    await line.habit(LI, calls="answer")
    made = await call(line, StatusCallback="")
    assert (made.error, made.status) == ("11200", "completed")


async def test_another_address_is_asked_when_the_first_goes_wrong(line: Line, door: Door) -> None:
    door.twiml["/webhooks/twilio/voice"] = "<Response>"
    door.twiml["/webhooks/twilio/other"] = MENU
    await line.habit(LI, calls="answer")
    made = await call(line, FallbackUrl=line.service_url + "/webhooks/twilio/other")
    assert (made.error, made.heard[0].words) == (None, "王秀英按了求助键")
    [asked] = [c for c in door.calls if "ErrorCode" in c]
    assert (asked["ErrorCode"], asked["ErrorUrl"]) == ("12100", line.service_url + "/webhooks/twilio/voice")


async def test_faults_befall_calls_once(line: Line) -> None:
    await line.habit(LI, calls="hang_up")
    await line.fault("busy")
    await line.fault("500")
    assert (await dial(line)).status_code == 500
    assert [(await call(line)).status for _ in range(2)] == ["busy", "completed"]


async def test_a_fault_of_messages_is_none_of_calls_and_the_other_way_round(line: Line) -> None:
    await line.fault("30003")
    await line.habit(LI, calls="hang_up")
    assert (await call(line)).status == "completed"
    await post(line)
    await until(lambda: line.telephone.network.messages[0].is_final)
    assert line.telephone.network.messages[0].error_code == 30003


async def test_a_standing_fault_befalls_everybody_until_all_is_well_again(line: Line) -> None:
    await line.always("500")
    assert [(await post(line)).status_code for _ in range(3)] == [500, 500, 500]
    await line.heal()
    assert (await post(line)).status_code == 201


async def test_a_standing_fault_may_befall_only_some(line: Line) -> None:
    await line.always("500", share=0.5)
    codes = [(await post(line)).status_code for _ in range(40)]
    assert 5 < codes.count(500) < 35
    assert (await line.client.post("/faults", json={"always": "500", "share": 2})).status_code == 400


async def test_a_slow_network_answers_late(line: Line) -> None:
    await line.fault("slow:0.2")
    began = time.monotonic()
    await post(line)
    assert time.monotonic() - began >= 0.2


async def test_too_many_in_a_second_are_told_to_wait(line: Line) -> None:
    await line.client.post("/faults", json={"per_second": 2})
    answers = [await post(line), await dial(line), await post(line)]
    assert [a.status_code for a in answers] == [201, 201, 429]
    assert answers[-1].headers["Retry-After"] == "1"
    await line.heal()
    assert (await post(line)).status_code == 201


async def told(line: Line, door: Door) -> list[str]:
    sid = (await post(line, StatusCallback=line.service_url + "/webhooks/twilio/status")).json()["sid"]
    await until(lambda: line.telephone.network.find(sid).is_final)
    await until(lambda: not line.telephone.errands)
    return door.statuses(sid)


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        ("duplicate", ["queued", "queued", "sent", "sent", "delivered", "delivered"]),
        ("reordered", ["delivered", "sent", "queued"]),
        ("lost", []),
    ],
)
async def test_callbacks_come_twice_last_first_or_never(
    line: Line, door: Door, fault: str, statuses: list[str]
) -> None:
    await line.fault(fault)
    assert await told(line, door) == statuses
    assert await told(line, door) == ["queued", "sent", "delivered"]


async def test_a_reply_may_be_delivered_twice(line: Line, door: Door) -> None:
    await line.fault("duplicate", to=LI)
    await line.reply(LI, "1")
    assert len({c["MessageSid"] for c in door.calls}) == 1
    assert len(door.calls) == 2


async def test_a_phone_that_is_off_gets_it_when_it_is_on_again(line: Line, door: Door) -> None:
    await line.habit(LI, "off")
    assert await told_so_far(line, door) == ["queued", "sent"]
    assert (await call(line)).status == "no-answer"
    await line.habit(LI, "on")
    await until(lambda: door.statuses(line.telephone.network.messages[0].sid)[-1] == "delivered")


async def told_so_far(line: Line, door: Door, **form: str) -> list[str]:
    sid = (await post(line, StatusCallback=line.service_url + "/webhooks/twilio/status", **form)).json()["sid"]
    await until(lambda: line.telephone.network.find(sid).held)
    return door.statuses(sid)


async def test_what_was_only_good_until_then_never_arrives(door: Door) -> None:
    clock = Clock(datetime(2026, 11, 29, 3, 10, tzinfo=UTC))
    async with telephone_line(door.app, clock=clock) as line:
        door.url = line.service_url
        await line.habit(LI, "off")
        await told_so_far(line, door, ValidityPeriod="900")
        clock.go_on(minutes=16)
        await line.habit(LI, "on")
        await until(lambda: line.telephone.network.messages[0].error_code == 30036)
        assert line.telephone.network.messages[0].created_at.hour == 3


@pytest.mark.parametrize(("name", "status", "code"), [("dead", "failed", 30005), ("landline", "no-answer", 30006)])
async def test_a_phone_is_as_it_is_every_time(line: Line, name: str, status: str, code: int) -> None:
    await line.habit(LI, name)
    for _ in range(2):
        await post(line)
        await until(lambda: all(m.is_final for m in line.telephone.network.messages))
        assert line.telephone.network.messages[-1].error_code == code
        assert (await call(line)).status == status


async def test_a_phone_may_be_one_that_is_refused(line: Line) -> None:
    await line.habit(LI, sms="21614", calls="21215")
    assert ((await post(line)).json()["code"], (await dial(line)).json()["code"]) == (21614, 21215)


async def test_a_habit_that_is_none_is_refused_in_words(line: Line) -> None:
    for wanted in ({"name": "tipsy"}, {"calls": "sing"}, {"keys": "x"}, {"colour": "red"}, {"sms": "1"}):
        assert (await line.client.post(f"/phones/{LI}/habit", json=wanted)).status_code == 400
    with pytest.raises(ValueError, match="no such habit of calls: 'sing'"):
        Habit(calls="sing")


async def test_the_pages_own_forms_lead_back_to_the_page(line: Line, door: Door) -> None:
    door.answer = ""
    page = {"Accept": "text/html"}
    await dial(line, To="+8613900000003")
    for path, form in (("habit", {"name": "off"}), ("reply", {"body": "1"}), ("call", {"do": "decline"})):
        phone = "+8613900000003" if path == "call" else LI
        answer = await line.client.post(f"/phones/{phone}/{path}", data=form, headers=page)
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), path
    assert line.telephone.network.habit(LI).sms == "hold"


def test_an_empty_answer_says_nothing() -> None:
    assert twiml.messages(" ") == []


async def test_the_page_shows_calls_and_what_was_heard(line: Line, door: Door) -> None:
    door.twiml["/webhooks/twilio/voice"] = MENU
    await line.habit(LI, calls="answer", keys="1")
    await call(line)
    page = (await line.client.get("/")).text
    assert "王秀英按了求助键" in page
    assert "completed" in page
    [phone] = (await line.client.get("/phones.json")).json()["phones"]
    assert [c["heard"][0]["language"] for c in phone["calls"]] == ["zh-CN"]


def test_it_runs_as_a_program_of_its_own(tmp_path: Path) -> None:
    people = tmp_path / "people.json"
    people.write_text(json.dumps({LI: {"name_zh": "李娜", "name_en": "Li Na", "role": "care_worker"}}))
    port = free_port()
    command = [sys.executable, "-m", "alerts.virtual.telephone", "--port", str(port), "--account", ACCOUNT]
    command += ["--token", TOKEN, "--number", NUMBER, "--service-url", "http://127.0.0.1:1", "--people", str(people)]
    with subprocess.Popen(command) as process:
        try:
            phones = _phones(port)
            assert [(p["number"], p["name_zh"]) for p in phones] == [(LI, "李娜")]
        finally:
            process.terminate()
        assert process.wait(10) in (0, -15)


def _phones(port: int) -> list[dict[str, str]]:
    until_s = time.monotonic() + 20
    while True:
        try:
            found: list[dict[str, str]] = httpx.get(f"http://127.0.0.1:{port}/phones.json").json()["phones"]
            return found
        except httpx.ConnectError:
            assert time.monotonic() < until_s, "the telephone network did not start"
            time.sleep(0.05)
