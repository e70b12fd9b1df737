"""A telephone network for the demo and the tests: Twilio's Messages and Calls over HTTP, and a page of phones.

Started by ``python -m alerts.virtual.telephone``. The service talks to it with the real twilio client, and
gets signed callbacks, replies and questions about calls as from Twilio. Nothing it sends leaves the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

import aiohttp
import structlog
import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from twilio.request_validator import RequestValidator

from alerts.virtual.account import AccountApi
from alerts.virtual.carrier import Carrier
from alerts.virtual.changes import Changes
from alerts.virtual.exchange import Exchange
from alerts.virtual.faults import Fault
from alerts.virtual.network import Network
from alerts.virtual.pace import Pace
from alerts.virtual.phones import HABITS, KEYS, Habit, Owner
from alerts.virtual.refusals import Refused
from alerts.virtual.resources import utc_now
from alerts.virtual.screens import phones

log = structlog.get_logger(__name__)

_FOLDER: Final = Path(__file__).parent
_WEBHOOK_S: Final = 15.0
"""How long Twilio waits for a webhook's answer."""
_NEWS_AT_ONCE: Final = 50
"""Callbacks under way at the same time: to a service that is away thousands would wait, and replies behind them."""
_BEAT_S: Final = 15.0
_ACTS: Final = frozenset({"answer", "decline", "machine", "hang_up"})


@dataclass(frozen=True, slots=True)
class Settings:
    """How the network is set up.

    ``delivery_s`` is how long each leg of a message's way takes, ``answer_s`` how long the API takes to answer
    after it has the message, ``second_s`` how long a second of a call lasts, ``per_second`` how many requests for
    messages and calls it takes in a second before it answers 429.
    """

    account: str
    token: str
    number: str
    service_url: str
    owners: Mapping[str, Owner]
    delivery_s: float = 0.25
    answer_s: float = 0.0
    second_s: float = 1.0
    per_second: int | None = None


class Telephone:
    """The network's side of HTTP: answers the API, calls the service back, tells the page what changed.

    ``clock`` says when something is sent, said and too old; how long something takes is real time.
    """

    def __init__(self, settings: Settings, clock: Callable[[], datetime] = utc_now) -> None:
        self.settings = settings
        self.network = Network(settings.account, settings.number, settings.owners)
        self.network.faults.pace = Pace(settings.per_second)
        self._signer = RequestValidator(settings.token)
        self._changes = Changes()
        self._exchange = Exchange(self.network, self._post, clock, self._changes, settings.second_s)
        replies_to = settings.service_url.rstrip("/") + "/webhooks/twilio/sms"
        self._carrier = Carrier(self.network, self._post, clock, self._changes, settings.delivery_s, replies_to)
        self.errands: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._news = asyncio.Semaphore(_NEWS_AT_ONCE)
        self._api = AccountApi(
            self.network,
            settings.token,
            self._carrier,
            self._exchange,
            clock,
            self._begin,
            self._ended,
            settings.answer_s,
        )
        self._pages = Environment(
            loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )

    def app(self) -> Starlette:
        """The network as an ASGI application."""
        routes = [
            *self._api.routes(),
            Route("/", self.page, methods=["GET"]),
            Route("/phones.json", self.phones, methods=["GET"]),
            Route("/phones/{number}/reply", self.reply, methods=["POST"]),
            Route("/phones/{number}/call", self.act, methods=["POST"]),
            Route("/phones/{number}/habit", self.settle_habit, methods=["POST"]),
            Route("/faults", self.misbehave, methods=["POST"]),
            Route("/faults", self.behave, methods=["DELETE"]),
            Route("/changes", self.changes, methods=["GET"]),
            Mount("/static", StaticFiles(directory=_FOLDER / "static")),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan, exception_handlers={Refused: _refused})

    def is_calling(self, sid: str) -> bool:
        """Whether a call is not over, or not everything about it has been told."""
        return self._exchange.is_busy_with(sid)

    def end(self) -> None:
        """Let open pages and hanging requests go, so that the server can stop."""
        self._ended.set()
        self._changes.tell()

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        patience, connections = aiohttp.ClientTimeout(total=_WEBHOOK_S), aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=patience, connector=connections) as self._client:
            yield
            for errand in self.errands:
                errand.cancel()
            await asyncio.gather(*self.errands, return_exceptions=True)

    async def page(self, _: Request) -> Response:
        """The phones, side by side."""
        template = self._pages.get_template("phones.html")
        return HTMLResponse(template.render(phones=phones(self.network), number=self.settings.number))

    async def phones(self, _: Request) -> Response:
        """The same as JSON: ``{"phones": [{"number", "name_zh", "name_en", "role", "messages": [...], "calls": [...]}]}``."""
        return JSONResponse({"phones": phones(self.network)})

    async def reply(self, request: Request) -> Response:
        """Somebody types an answer on her phone. 502 when the service did not take it."""
        number = request.path_params["number"]
        body = str((await request.form()).get("body", "")).strip()
        if not body:
            raise HTTPException(400, "write something before sending")
        answer = await self._carrier.hand_in(number, body)
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/", status_code=303)
        if answer is None:
            raise HTTPException(502, "the service did not take the reply; see its log")
        return JSONResponse({"answer": answer})

    async def act(self, request: Request) -> Response:
        """Somebody answers her phone, declines, lets the mailbox have it, presses a key or hangs up; 409 without a call."""
        do = str((await request.form()).get("do", ""))
        if do not in _ACTS and do not in KEYS:
            raise HTTPException(400, f"on a phone one can {', '.join(sorted(_ACTS))} or press a key, and not {do!r}")
        if not self._exchange.act(request.path_params["number"], do):
            raise HTTPException(409, "this phone has no call")
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/", status_code=303)
        return Response(status_code=204)

    async def settle_habit(self, request: Request) -> Response:
        """What becomes of everything that comes to a phone: ``{"name": "off"}`` or ``{"sms", "calls", "keys"}``."""
        is_json = request.headers.get("content-type", "").startswith("application/json")
        wanted: dict[str, Any] = await request.json() if is_json else dict(await request.form())
        try:
            habit = HABITS[wanted["name"]] if "name" in wanted else Habit(**wanted)
        except (KeyError, TypeError, ValueError) as error:
            raise HTTPException(400, f"no such habit: {error}") from error
        self.network.habits[request.path_params["number"]] = habit
        self._changes.tell()
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/", status_code=303)
        return JSONResponse(asdict(habit))

    async def misbehave(self, request: Request) -> Response:
        """Let something go wrong: ``{"next": kind, "to", "count"}``, ``{"always": kind, "to", "share"}``, ``{"per_second"}``."""
        wanted = await request.json()
        try:
            self._misbehave(wanted)
        except (KeyError, TypeError, ValueError) as error:
            raise HTTPException(400, str(error)) from error
        faults = self.network.faults
        return JSONResponse(
            {"waiting": [asdict(f) for f in faults.once], "standing": [asdict(f) for f in faults.standing]}
        )

    def _misbehave(self, wanted: dict[str, Any]) -> None:
        if "per_second" in wanted:
            self.network.faults.pace = Pace(wanted["per_second"])
        elif "always" in wanted:
            fault = Fault.parse(str(wanted["always"]), wanted.get("to"), float(wanted.get("share", 1)))
            self.network.faults.standing.append(fault)
        else:
            fault = Fault.parse(str(wanted["next"]), wanted.get("to"))
            self.network.faults.once += [fault] * int(wanted.get("count", 1))

    async def behave(self, _: Request) -> Response:
        """Let nothing go wrong any more."""
        self.network.faults.clear()
        self.network.faults.pace = Pace(self.settings.per_second)
        return Response(status_code=204)

    async def changes(self, _: Request) -> Response:
        """Server-sent events: one whenever a phone's screen changes."""
        return StreamingResponse(self._events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def _events(self) -> AsyncIterator[str]:
        yield f"event: beat\ndata: {self._changes.number}\n\n"
        while not self._ended.is_set():
            kind = "change"
            try:
                async with asyncio.timeout(_BEAT_S):
                    await self._changes.next()
            except TimeoutError:
                kind = "beat"
            yield f"event: {kind}\ndata: {self._changes.number}\n\n"

    def _begin(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(errand)
        self.errands.add(task)
        task.add_done_callback(self.errands.discard)

    async def _post(self, url: str, params: dict[str, str]) -> str | None:
        """Call a webhook as Twilio does; its answer's body, or ``None`` when it failed (11200)."""
        signature = self._signer.compute_signature(url, params)
        is_news = "/status" in url
        try:
            async with (
                self._news if is_news else nullcontext(),
                self._client.post(url, data=params, headers={"X-Twilio-Signature": signature}) as answer,
            ):
                answer.raise_for_status()
                said: str = await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            log.warning("webhook_failed", url=url, error=str(error) or type(error).__name__)
            return None
        return said


async def _refused(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    headers = {"Retry-After": "1"} if refused.status == 429 else None
    return JSONResponse(refused.body(), status_code=refused.status, headers=headers)


def read_people(file: Path) -> dict[str, Owner]:
    """Whose phones they are: ``{number: {"name_zh", "name_en", "role"}}``."""
    return {number: Owner(**person) for number, person in json.loads(file.read_text(encoding="utf-8")).items()}


class _Server(uvicorn.Server):
    """Ends its streams before it waits for what is open."""

    def __init__(self, telephone: Telephone, host: str, port: int) -> None:
        super().__init__(uvicorn.Config(telephone.app(), host, port, log_level="warning", timeout_graceful_shutdown=1))
        self._telephone = telephone

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._telephone.end()
        super().handle_exit(sig, frame)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the network until it is interrupted."""
    options = argparse.ArgumentParser(prog="python -m alerts.virtual.telephone", description=main.__doc__)
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--account", required=True, help="account identifier, AC and 32 hexadecimal digits")
    options.add_argument("--token", required=True, help="the account's secret, which signs every callback")
    options.add_argument("--number", required=True, help="the number messages come from, E.164")
    options.add_argument("--service-url", required=True, help="where replies are delivered to, as the service is known")
    options.add_argument("--people", type=Path, help="JSON file that says whose phones they are")
    options.add_argument("--delivery-s", type=float, default=0.25, help="how long each leg of a message's way takes")
    options.add_argument("--per-second", type=int, help="how many requests it takes in a second before it answers 429")
    given = options.parse_args(arguments)
    owners = read_people(given.people) if given.people else {}
    settings = Settings(
        given.account,
        given.token,
        given.number,
        given.service_url,
        owners,
        given.delivery_s,
        per_second=given.per_second,
    )
    _Server(Telephone(settings), given.host, given.port).run()


if __name__ == "__main__":
    main()
