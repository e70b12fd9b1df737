"""A gateway for SMS that only its file knows, and what happens when the first provider fails."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request, Response
from hypothesis import given
from hypothesis import strategies as st

from alerts.channels import Receipt, SendError, TryAgain, Uncertain, Unreachable
from alerts.channels.fallback import Breaker, WithFallback
from alerts.channels.gateway_sms import GatewaySms, NotAGateway
from store.messages import MessageRow
from tests.alerts.clock import Clock
from tests.alerts.messages import NOW, to_send
from tests.alerts.network import free_port, serving

pytestmark = pytest.mark.anyio

FILE = """
name = "north"

[send]
url = "{url}/send?from={{{{ secret.SENDER | urlencode }}}}"
headers = {{ Authorization = "Bearer {{{{ secret.KEY }}}}", "Content-Type" = "application/json" }}
body = '{{"to": {{{{ to | tojson }}}}, "text": {{{{ text | tojson }}}}, "reference": "{{{{ reference }}}}", "valid": {{{{ valid_s }}}}}}'
ok = "status == 200 and json.code == 0"
id = "json.data.id"
error = "json.code"

[errors]
opted_out = ["17"]
dead = ["18", "EXPIRED_NUMBER"]
busy = ["30"]
ours = ["40"]
"""
STATUS = """
[status]
method = "GET"
url = "{url}/status/{{{{ id }}}}"
delivered = "json.state == 'DELIVRD'"
failed = "json.state in ['UNDELIV', 'REJECTD']"
error = "json.error"
"""


@dataclass
class Gateway:
    """A gateway for SMS as there are many. ``answers`` are what it says next instead of taking a message."""

    url: str
    answers: list[tuple[int, Any]] = field(default_factory=list)
    states: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[tuple[dict[str, str], str, dict[str, Any]]] = field(default_factory=list)

    async def on_send(self, request: Request) -> Response:
        body = (await request.body()).decode()
        if self.answers:
            status, content = self.answers.pop(0)
            return Response(content if isinstance(content, str) else json.dumps(content), status)
        self.asked.append((dict(request.headers), request.url.query, json.loads(body)))
        return Response(json.dumps({"code": 0, "data": {"id": f"n{len(self.asked)}"}}))

    async def on_status(self, number: str) -> dict[str, str]:
        return self.states.get(number, {"state": "ACCEPTD"})

    @property
    def texts(self) -> list[str]:
        return [body["text"] for _, _, body in self.asked]


@asynccontextmanager
async def gateway() -> AsyncIterator[Gateway]:
    port = free_port()
    made = Gateway(f"http://127.0.0.1:{port}")
    app = FastAPI()
    app.add_api_route("/send", made.on_send, methods=["POST"])
    app.add_api_route("/status/{number}", made.on_status)
    async with serving(app, port):
        yield made


@pytest.fixture
async def north() -> AsyncIterator[Gateway]:
    async with gateway() as running:
        yield running


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEARTHWATCH_SMS_GATEWAY_KEY", "s3cret")
    monkeypatch.setenv("HEARTHWATCH_SMS_GATEWAY_SENDER", "Huaishu & Co")


def described(folder: Path, text: str) -> GatewaySms:
    path = folder / "north.toml"
    path.write_text(text)
    return GatewaySms.read(path, clock=Clock(NOW))


@pytest.fixture
async def channel(north: Gateway, tmp_path: Path) -> AsyncIterator[GatewaySms]:
    made = described(tmp_path, (FILE + STATUS).format(url=north.url))
    yield made
    await made.close()


class TestSending:
    async def test_fills_the_files_templates(self, north: Gateway, channel: GatewaySms) -> None:
        sent = await channel.send(to_send(body='She said "help" & fell'))
        assert sent == Receipt("north:n1", provider="north")
        [(headers, query, body)] = north.asked
        assert headers["authorization"] == "Bearer s3cret"
        assert query == "from=Huaishu%20%26%20Co"
        assert body == {
            "to": "+8613900000002",
            "text": 'She said "help" & fell',
            "reference": "hw41",
            "valid": 900,
        }

    @pytest.mark.parametrize(
        ("status", "answer", "kind", "code"),
        [
            (200, {"code": 17}, Unreachable, "opted_out"),
            (200, {"code": 18}, Unreachable, "dead"),
            (400, {"code": "EXPIRED_NUMBER"}, Unreachable, "dead"),
            (200, {"code": 30}, TryAgain, "30"),
            (200, {"code": 40}, TryAgain, "40"),
            (200, {"code": 99}, Unreachable, "99"),
            (401, {}, TryAgain, "401"),
            (429, {}, TryAgain, "429"),
            (500, "oops", TryAgain, "500"),
            (502, "bad gateway", Uncertain, "502"),
            (200, {"code": 0}, Uncertain, "no_id"),
            (200, "OK", Unreachable, "None"),
        ],
    )
    async def test_reads_the_answer_as_the_file_says(
        self, north: Gateway, channel: GatewaySms, status: int, answer: Any, kind: type[SendError], code: str
    ) -> None:
        north.answers.append((status, answer))
        with pytest.raises(SendError) as refused:
            await channel.send(to_send())
        assert (type(refused.value), refused.value.code) == (kind, code)

    async def test_a_gateway_that_is_away_has_surely_not_got_it(self, tmp_path: Path) -> None:
        away = described(tmp_path, FILE.format(url=f"http://127.0.0.1:{free_port()}"))
        with pytest.raises(TryAgain, match="no_connection"):
            await away.send(to_send())
        await away.close()

    async def test_a_gateway_of_plain_words_can_be_described_too(self, north: Gateway, tmp_path: Path) -> None:
        plain = described(
            tmp_path,
            f'name = "old"\n[send]\nurl = "{north.url}/send"\nbody = "TO={{{{ to }}}}"\n'
            "ok = \"text.startswith('OK')\"\nid = \"text.split(':')[1]\"\n",
        )
        north.answers.append((200, "OK:812"))
        assert (await plain.send(to_send())).sid == "old:812"
        assert not plain.confirms
        assert (await plain.status("old:812")).outcome == "sent"
        await plain.close()


class TestAskingAfter:
    async def test_tells_what_became_of_it(self, north: Gateway, channel: GatewaySms) -> None:
        assert channel.confirms
        assert (await channel.status("north:n1")).outcome == "sent"
        north.states["n1"] = {"state": "DELIVRD"}
        assert (await channel.status("north:n1")).outcome == "delivered"
        north.states["n1"] = {"state": "UNDELIV", "error": "18"}
        assert await channel.status("north:n1") == Receipt("north:n1", "failed", "dead", "north")


class TestAFileThatIsWrong:
    @pytest.mark.parametrize(
        ("was", "becomes", "says"),
        [
            ("[send]", "[sent]", "unknown field `sent`"),
            ('name = "north"', "", "missing required field `name`"),
            ("{{{{ to | tojson }}}}", "{{{{ recipient }}}}", "'recipient' is undefined"),
            ("secret.KEY", "secret.KEYS", "KEYS"),
            ("status == 200 and", "status = 200 and", "the expression 'status = 200"),
            ('url = "{url}/send', 'url = "/send', "makes no address"),
            ("{{{{ reference }}}}", "{{{{ reference", "the template"),
            ('ok = "', "ok = ", ""),
        ],
    )
    def test_is_found_when_it_is_read(self, tmp_path: Path, was: str, becomes: str, says: str) -> None:
        assert was in FILE
        with pytest.raises(NotAGateway) as refused:
            described(tmp_path, FILE.replace(was, becomes, 1).format(url="http://127.0.0.1:1"))
        assert "north.toml" in str(refused.value)
        assert says in str(refused.value)

    def test_is_not_the_one_in_the_manual(self, tmp_path: Path) -> None:
        manual = (Path(__file__).parents[2] / "docs" / "reaching.md").read_text()
        assert described(tmp_path, manual.partition("```toml\n")[2].partition("```")[0]).confirms

    def test_or_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(NotAGateway, match="cannot be read"):
            GatewaySms.read(tmp_path / "nothing.toml")

    def test_cannot_reach_out_of_its_templates(self, tmp_path: Path) -> None:
        with pytest.raises(NotAGateway):
            described(
                tmp_path,
                FILE.replace("{{{{ reference }}}}", "{{{{ ''.__class__.__mro__ }}}}").format(url="http://127.0.0.1:1"),
            )


@dataclass
class First:
    """A first provider that does what the test says: nothing of ours stands behind it."""

    confirms: bool = True
    error: SendError | None = None
    sent: list[int] = field(default_factory=list)
    tried: int = 0
    cannot_be_asked: bool = False

    async def send(self, message: MessageRow) -> Receipt:
        self.tried += 1
        if self.error:
            raise self.error
        self.sent.append(message.id)
        return Receipt(f"SM{message.id}")

    async def find(self, message: MessageRow) -> list[Receipt]:
        if self.cannot_be_asked:
            raise TryAgain("no_connection", "away")
        return [Receipt(f"SM{message.id}")] if message.id in self.sent else []

    async def status(self, sid: str) -> Receipt:
        return Receipt(sid, "delivered")

    async def close(self) -> None:
        return


@dataclass
class Two:
    """Both providers and the clock."""

    channel: WithFallback
    first: First
    north: Gateway
    clock: Clock

    async def send(self, number: int, **different: object) -> str | None:
        return (await self.channel.send(to_send(id=number, body=str(number), **different))).provider


@pytest.fixture
async def two(north: Gateway, channel: GatewaySms) -> Two:
    clock, first = Clock(NOW), First()
    return Two(WithFallback(first, channel, clock=clock), first, north, clock)


DOWN = TryAgain("no_connection", "away")


class TestTwoProviders:
    async def test_the_first_sends_while_it_works(self, two: Two) -> None:
        assert await two.send(1) == "twilio"
        assert two.north.asked == []

    async def test_what_is_urgent_goes_by_the_second_in_the_same_breath(self, two: Two) -> None:
        two.first.error = DOWN
        assert await two.send(1) == "north"

    async def test_what_can_wait_waits_until_the_first_has_proved_broken(self, two: Two) -> None:
        two.first.error = DOWN
        for number in (1, 2):
            with pytest.raises(TryAgain):
                await two.send(number, priority="low")
        assert await two.send(3, priority="low") == "north"
        assert await two.send(4, priority="low") == "north"
        assert two.first.tried == 3, "it is passed over now"

    async def test_one_message_now_and_then_tries_the_first_and_mends_it(self, two: Two) -> None:
        two.first.error = DOWN
        for number in (1, 2, 3):
            await two.send(number)
        two.clock.go_on(seconds=30)
        assert await two.send(4) == "north"
        assert await two.send(5) == "north"
        assert two.first.tried == 4
        two.clock.go_on(seconds=30)
        two.first.error = None
        assert await two.send(6) == "twilio"
        assert await two.send(7) == "twilio"

    async def test_a_person_who_opted_out_is_not_written_to_by_another_way(self, two: Two) -> None:
        two.first.error = Unreachable("21610", "opted out")
        for number in range(5):
            with pytest.raises(Unreachable):
                await two.send(number)
        assert two.north.asked == []
        two.first.error = None
        assert await two.send(9) == "twilio", "an answer is no failure of the provider"

    async def test_a_country_the_first_does_not_serve_is_the_seconds(self, two: Two) -> None:
        two.first.error = Unreachable("21408", "region not enabled")
        assert await two.send(1) == "north"

    async def test_a_busy_first_is_not_a_broken_one(self, two: Two) -> None:
        two.first.error = TryAgain("20429", "too many requests", 1.0)
        for number in range(5):
            with pytest.raises(TryAgain):
                await two.send(number, priority="low")
        assert two.first.tried == 5
        assert await two.send(9) == "north"

    async def test_what_the_first_may_have_is_looked_up_before_the_second_sends_it(self, two: Two) -> None:
        two.first.error = Uncertain("no_answer", "timed out")
        with pytest.raises(Uncertain):
            await two.send(1)
        assert two.north.asked == []
        assert await two.channel.find(to_send(id=1)) == []
        assert await two.send(1, attempts=2) == "north"

    async def test_when_the_first_cannot_even_be_asked_the_urgent_one_goes_again(self, two: Two) -> None:
        two.first.cannot_be_asked = True
        assert await two.channel.find(to_send(id=1)) == []
        with pytest.raises(TryAgain):
            await two.channel.find(to_send(id=1, priority="low"))

    async def test_an_urgent_one_goes_back_to_the_first_when_the_second_fails_too(self, two: Two) -> None:
        two.north.answers.append((500, "oops"))
        assert await two.send(1, attempts=2) == "twilio"

    async def test_or_when_the_second_refuses_it_for_a_reason_of_its_own(self, two: Two) -> None:
        two.north.answers += [(200, {"code": 99}), (200, {"code": 17})]
        assert await two.send(1, attempts=2) == "twilio"
        with pytest.raises(Unreachable, match="opted_out"):
            await two.send(2, attempts=2)

    async def test_each_is_asked_after_its_own(self, two: Two) -> None:
        assert (await two.channel.status("SM1")).outcome == "delivered"
        assert (await two.channel.status("north:n1")).outcome == "sent"


class TestTheBreaker:
    def test_opens_when_a_row_of_failures_lasts_too_long(self) -> None:
        breaker = Breaker(failures=10)
        breaker.failed(NOW)
        assert not breaker.is_broken
        breaker.failed(NOW + timedelta(seconds=30))
        assert breaker.is_broken

    @given(st.lists(st.tuples(st.sampled_from(["worked", "failed"]), st.integers(0, 40)), max_size=40))
    def test_never_shuts_a_provider_out_for_good(self, story: list[tuple[str, int]]) -> None:
        breaker, now = Breaker(), NOW
        for what, seconds in story:
            now += timedelta(seconds=seconds)
            if breaker.lets_through(now):
                breaker.worked() if what == "worked" else breaker.failed(now)
        assert breaker.lets_through(now + breaker.pause)
