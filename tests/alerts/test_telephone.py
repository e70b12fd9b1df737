"""The telephone network behaves as Twilio does: by its own document, its own client and its own signatures."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
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

from alerts.virtual.faults import Fault
from tests.alerts.network import ACCOUNT, NUMBER, TOKEN, Exchange, Line, free_port, telephone_line, until
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
        self.app = Starlette(
            routes=[Route(f"/webhooks/twilio/{kind}", self._take, methods=["POST"]) for kind in ("sms", "status")]
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
        response = MessagingResponse()
        if "Body" in form and self.answer:
            response.message(self.answer)
        return Response(str(response), media_type="application/xml")

    def statuses(self, sid: str) -> list[str]:
        return [call["MessageStatus"] for call in self.calls if call.get("MessageSid") == sid and "Body" not in call]


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
