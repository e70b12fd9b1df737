"""A telephone network for the demo and the tests: Twilio's Messages and Calls over HTTP, and a page of phones.

Started by ``python -m alerts.virtual.telephone``. The service talks to it with the real twilio client, and
gets signed callbacks, replies and questions about calls as from Twilio. Nothing it sends leaves the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final

import httpx
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

from alerts.virtual import twiml
from alerts.virtual.callbacks import Callbacks
from alerts.virtual.calls import Call
from alerts.virtual.exchange import Exchange
from alerts.virtual.faults import Fault
from alerts.virtual.network import Network, Sms
from alerts.virtual.pace import Pace
from alerts.virtual.phones import HABITS, KEYS, Habit, Owner
from alerts.virtual.refusals import EXPIRED, Refused
from alerts.virtual.resources import API_VERSION, utc_now
from alerts.virtual.screens import phones

log = structlog.get_logger(__name__)

_FOLDER: Final = Path(__file__).parent
_HANG_S: Final = 60.0
_WEBHOOK_S: Final = 15.0
"""How long Twilio waits for a webhook's answer."""
_RETRIES_S: Final = (0.5, 1.5, 3.0)
_BEAT_S: Final = 15.0
_PAGE_SIZE: Final = 50
_PAGE_SIZE_MOST: Final = 1000
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
        self.pace = Pace(settings.per_second)
        self._clock = clock
        self._signer = RequestValidator(settings.token)
        self._exchange = Exchange(self.network, self._post, clock, self._tell, settings.second_s)
        self.errands: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._changes = 0
        self._ended = asyncio.Event()
        self._pages = Environment(
            loader=FileSystemLoader(_FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )

    def app(self) -> Starlette:
        """The network as an ASGI application."""
        account = f"/{API_VERSION}/Accounts/{{account}}"
        routes = [
            Route(f"{account}/Messages.json", self.create, methods=["POST"]),
            Route(f"{account}/Messages.json", self.listing, methods=["GET"]),
            Route(f"{account}/Messages/{{sid}}.json", self.fetch, methods=["GET"]),
            Route(f"{account}/Calls.json", self.create_call, methods=["POST"]),
            Route(f"{account}/Calls.json", self.listing_of_calls, methods=["GET"]),
            Route(f"{account}/Calls/{{sid}}.json", self.fetch_call, methods=["GET"]),
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
        self._changed.set()

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=_WEBHOOK_S, trust_env=False) as self._client:
            yield
            for errand in self.errands:
                errand.cancel()
            await asyncio.gather(*self.errands, return_exceptions=True)

    async def create(self, request: Request) -> Response:
        """Send a message."""
        form, _ = await self._asked(request)
        self.network.check(form)
        fault = self.network.faults.take("request", "sms", form["To"])
        await self._before(fault)
        sms = self.network.create(form, self._clock())
        self._begin(self._deliver(sms))
        await self._after(fault)
        return JSONResponse(sms.resource(self.settings.account), status_code=201)

    async def create_call(self, request: Request) -> Response:
        """Make a call."""
        form, events = await self._asked(request)
        self.network.check_call(form, events)
        fault = self.network.faults.take("request", "voice", form["To"])
        await self._before(fault)
        call = self.network.create_call(form, events, self._clock())
        resource = call.resource(self.settings.account)
        self._exchange.expect(call)
        self._begin(self._exchange.put_through(call))
        await self._after(fault)
        return JSONResponse(resource, status_code=201)

    async def _asked(self, request: Request) -> tuple[dict[str, str], list[str]]:
        """The form of a request that something be done, and the events of a call that are to be told."""
        self._authenticate(request)
        if not self.pace.allows(asyncio.get_running_loop().time()):
            raise Refused(20429)
        form = await request.form()
        return {key: str(value) for key, value in form.items()}, [str(e) for e in form.getlist("StatusCallbackEvent")]

    async def _before(self, fault: Fault | None) -> None:
        """What goes wrong before anything has been done."""
        if fault is None:
            return
        if fault.refusal:
            raise fault.refusal
        if fault.kind == "timeout_before_send":
            await self._hang()
            raise Refused(20500)
        await asyncio.sleep(fault.slow_s)

    async def _after(self, fault: Fault | None) -> None:
        """What goes wrong when it has been done."""
        self._tell()
        if fault and fault.kind == "timeout_after_send":
            await self._hang()
        await asyncio.sleep(self.settings.answer_s)

    async def listing(self, request: Request) -> Response:
        """List messages, a page at a time, newest first."""
        self._authenticate(request)
        found = self.network.listed(request.query_params)
        return self._page_of(request, "messages", found)

    async def listing_of_calls(self, request: Request) -> Response:
        """List calls, a page at a time, newest first."""
        self._authenticate(request)
        found = self.network.listed_calls(request.query_params)
        return self._page_of(request, "calls", found)

    def _page_of(self, request: Request, kind: str, found: Sequence[Sms] | Sequence[Call]) -> Response:
        size = min(int(request.query_params.get("PageSize", _PAGE_SIZE)), _PAGE_SIZE_MOST)
        page = int(request.query_params.get("Page", 0))
        shown = found[page * size : (page + 1) * size]
        return JSONResponse(
            {
                kind: [one.resource(self.settings.account) for one in shown],
                "page": page,
                "page_size": size,
                "start": page * size,
                "end": page * size + max(len(shown) - 1, 0),
                "uri": _page_uri(request, page),
                "first_page_uri": _page_uri(request, 0),
                "next_page_uri": _page_uri(request, page + 1) if len(found) > (page + 1) * size else None,
                "previous_page_uri": _page_uri(request, page - 1) if page else None,
            }
        )

    async def fetch(self, request: Request) -> Response:
        """One message as it stands."""
        self._authenticate(request)
        return JSONResponse(self.network.find(request.path_params["sid"]).resource(self.settings.account))

    async def fetch_call(self, request: Request) -> Response:
        """One call as it stands."""
        self._authenticate(request)
        return JSONResponse(self.network.find_call(request.path_params["sid"]).resource(self.settings.account))

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
        answer = await self._inbound(number, body)
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
        self._tell()
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
            self.pace = Pace(wanted["per_second"])
        elif "always" in wanted:
            fault = Fault.parse(str(wanted["always"]), wanted.get("to"), float(wanted.get("share", 1)))
            self.network.faults.standing.append(fault)
        else:
            fault = Fault.parse(str(wanted["next"]), wanted.get("to"))
            self.network.faults.once += [fault] * int(wanted.get("count", 1))

    async def behave(self, _: Request) -> Response:
        """Let nothing go wrong any more."""
        self.network.faults.clear()
        self.pace = Pace(self.settings.per_second)
        return Response(status_code=204)

    async def changes(self, _: Request) -> Response:
        """Server-sent events: one whenever a phone's screen changes."""
        return StreamingResponse(self._events(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def _events(self) -> AsyncIterator[str]:
        yield f"event: beat\ndata: {self._changes}\n\n"
        while not self._ended.is_set():
            kind = "change"
            try:
                async with asyncio.timeout(_BEAT_S):
                    await self._changed.wait()
            except TimeoutError:
                kind = "beat"
            yield f"event: {kind}\ndata: {self._changes}\n\n"

    def _authenticate(self, request: Request) -> None:
        if _basic(request.headers.get("authorization", "")) != (self.settings.account, self.settings.token):
            raise Refused(20003)
        if request.path_params["account"] != self.settings.account:
            raise Refused(20404)

    async def _hang(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_HANG_S):
                await self._ended.wait()

    def _begin(self, errand: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(errand)
        self.errands.add(task)
        task.add_done_callback(self.errands.discard)

    async def _deliver(self, sms: Sms) -> None:
        callbacks = Callbacks(self._post, self.network.faults.take("callback", "sms", sms.to))
        await self._call_back(sms, callbacks)
        await asyncio.sleep(self.settings.delivery_s)
        sms.sent_at = self._clock()
        await self._step(sms, "sent", callbacks)
        await asyncio.sleep(self.settings.delivery_s)
        sms.error_code = await self._arrives(sms)
        await self._step(sms, "delivered" if sms.error_code is None else "undelivered", callbacks)
        await callbacks.end()

    async def _arrives(self, sms: Sms) -> int | None:
        """Wait until the phone has it; the error code when it does not arrive."""
        fault = self.network.faults.take("delivery", "sms", sms.to)
        if fault and fault.error_code:
            return fault.error_code
        while self.network.habit(sms.to).sms == "hold":
            sms.held = True
            await self._changed.wait()
        if sms.held and (self._clock() - sms.created_at).total_seconds() > sms.validity_s:
            return EXPIRED
        kind = self.network.habit(sms.to).sms
        return int(kind) if kind.isdecimal() else None

    async def _step(self, sms: Sms, status: str, callbacks: Callbacks) -> None:
        sms.status, sms.updated_at, sms.held = status, self._clock(), False
        self._tell()
        await self._call_back(sms, callbacks)

    async def _call_back(self, sms: Sms, callbacks: Callbacks) -> None:
        if sms.status_callback is None:
            return
        params = {
            "AccountSid": self.settings.account,
            "ApiVersion": API_VERSION,
            "From": sms.from_,
            "To": sms.to,
            "MessageSid": sms.sid,
            "MessageStatus": sms.status,
            "SmsSid": sms.sid,
            "SmsStatus": sms.status,
        }
        if sms.error_code is not None:
            params["ErrorCode"] = str(sms.error_code)
        await callbacks.tell(sms.status_callback, params)

    async def _inbound(self, number: str, body: str) -> Sequence[str] | None:
        """What the service answered, or ``None`` when it took nothing."""
        sms = self.network.receive(number, body, self._clock())
        self._tell()
        params = {
            "AccountSid": self.settings.account,
            "ApiVersion": API_VERSION,
            "Body": body,
            "From": number,
            "To": self.settings.number,
            "MessageSid": sms.sid,
            "SmsMessageSid": sms.sid,
            "SmsSid": sms.sid,
            "SmsStatus": "received",
            "NumMedia": "0",
            "NumSegments": str(sms.segments),
        }
        fault = self.network.faults.take("callback", "sms", number)
        answers = [await self._hand_over(params) for _ in range(2 if fault and fault.kind == "duplicate" else 1)]
        if all(answer is None for answer in answers):
            sms.status, sms.error_code = "failed", 11200  # Twilio's code for a webhook that cannot be reached
            self._tell()
            return None
        said = [] if number in self.network.opted_out else [text for answer in answers for text in _said(answer)]
        for text in said:
            self.network.answer(number, text, self._clock())
        self._tell()
        return said

    async def _hand_over(self, params: dict[str, str]) -> str | None:
        """Deliver a reply, again after a pause when the service is away, as a number set up with ``#rc=3`` does."""
        url = self.settings.service_url.rstrip("/") + "/webhooks/twilio/sms"
        for pause_s in _RETRIES_S:
            if (answer := await self._post(url, params)) is not None:
                return answer
            await asyncio.sleep(pause_s)
        return await self._post(url, params)

    async def _post(self, url: str, params: dict[str, str]) -> str | None:
        """Call a webhook as Twilio does; its answer's body, or ``None`` when it failed (11200)."""
        signature = self._signer.compute_signature(url, params)
        try:
            answer = await self._client.post(url, data=params, headers={"X-Twilio-Signature": signature})
            answer.raise_for_status()
        except httpx.HTTPError as error:
            log.warning("webhook_failed", url=url, error=str(error) or type(error).__name__)
            return None
        return answer.text

    def _tell(self) -> None:
        self._changes += 1
        self._changed.set()
        self._changed = asyncio.Event()


def _basic(header: str) -> tuple[str, str]:
    """User and password of basic authentication; two empty strings when it is not that."""
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        user, _, password = base64.b64decode(credentials, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return user, password


def _page_uri(request: Request, page: int) -> str:
    return f"{request.url.path}?{request.url.include_query_params(Page=page).query}"


def _said(answer: str | None) -> list[str]:
    """The texts of an answer to a reply; none where Twilio could not read it."""
    try:
        return twiml.messages(answer or "")
    except twiml.TwimlError as error:
        log.warning("twiml_not_readable", error=str(error))
        return []


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
