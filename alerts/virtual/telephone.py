"""A telephone network for the demo and the tests: Twilio's Messages resource over HTTP, and a page of phones.

Started by ``python -m alerts.virtual.telephone``. The service talks to it with the real twilio client, and
gets signed status callbacks and replies back as from Twilio. Nothing it sends leaves the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any, Final
from xml.etree import ElementTree as ET

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

from alerts.virtual.network import API_VERSION, Fault, Network, Owner, Refused, Sms

log = structlog.get_logger(__name__)

_FOLDER: Final = Path(__file__).parent
_HANG_S: Final = 60.0
_WEBHOOK_S: Final = 15.0
"""How long Twilio waits for a webhook's answer."""
_RETRIES_S: Final = (0.5, 1.5, 3.0)
_BEAT_S: Final = 15.0
_PAGE_SIZE: Final = 50
_PAGE_SIZE_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Settings:
    """How the network is set up.

    ``delivery_s`` is how long each leg of a message's way takes, ``answer_s`` how long the API takes to answer
    after it has the message.
    """

    account: str
    token: str
    number: str
    service_url: str
    owners: Mapping[str, Owner]
    delivery_s: float = 0.25
    answer_s: float = 0.0


class Telephone:
    """The network's side of HTTP: answers the API, calls the service back, tells the page what changed."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.network = Network(settings.account, settings.number, settings.owners)
        self._signer = RequestValidator(settings.token)
        self._errands: set[asyncio.Task[None]] = set()
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
            Route("/", self.page, methods=["GET"]),
            Route("/phones.json", self.phones, methods=["GET"]),
            Route("/phones/{number}/reply", self.reply, methods=["POST"]),
            Route("/faults", self.misbehave, methods=["POST"]),
            Route("/changes", self.changes, methods=["GET"]),
            Mount("/static", StaticFiles(directory=_FOLDER / "static")),
        ]
        return Starlette(routes=routes, lifespan=self._lifespan, exception_handlers={Refused: _refused})

    def end(self) -> None:
        """Let open pages and hanging requests go, so that the server can stop."""
        self._ended.set()
        self._changed.set()

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=_WEBHOOK_S, trust_env=False) as self._client:
            yield
            for errand in self._errands:
                errand.cancel()
            await asyncio.gather(*self._errands, return_exceptions=True)

    async def create(self, request: Request) -> Response:
        """Send a message."""
        self._authenticate(request)
        form = {key: str(value) for key, value in (await request.form()).items()}
        self.network.check(form)
        fault = self.network.next_fault(form["To"])
        if fault and (refusal := fault.refuses):
            raise refusal
        if fault and fault.kind == "timeout_before_send":
            await self._hang()
            raise Refused(20500)
        sms = self.network.create(form, _now())
        self._begin(self._deliver(sms, fault.undelivered if fault else None))
        self._tell()
        if fault and fault.hangs:
            await self._hang()
        await asyncio.sleep(self.settings.answer_s)
        return JSONResponse(sms.resource(self.settings.account), status_code=201)

    async def listing(self, request: Request) -> Response:
        """List messages, a page at a time, newest first."""
        self._authenticate(request)
        query = dict(request.query_params)
        size = min(int(query.get("PageSize", _PAGE_SIZE)), _PAGE_SIZE_MOST)
        page = int(query.get("Page", 0))
        found = self.network.listed(query)
        shown = found[page * size : (page + 1) * size]
        return JSONResponse(
            {
                "messages": [sms.resource(self.settings.account) for sms in shown],
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

    async def page(self, _: Request) -> Response:
        """The phones, side by side."""
        template = self._pages.get_template("phones.html")
        return HTMLResponse(template.render(phones=self._phones(), number=self.settings.number))

    async def phones(self, _: Request) -> Response:
        """The same as JSON: ``{"phones": [{"number", "name_zh", "name_en", "role", "messages": [...]}]}``."""
        return JSONResponse({"phones": self._phones()})

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

    async def misbehave(self, request: Request) -> Response:
        """Let the next messages go wrong, for tests."""
        wanted = await request.json()
        try:
            fault = Fault.parse(str(wanted["next"]), wanted.get("to"))
        except (KeyError, ValueError) as error:
            raise HTTPException(400, str(error)) from error
        self.network.faults += [fault] * int(wanted.get("count", 1))
        return JSONResponse({"waiting": [asdict(f) for f in self.network.faults]})

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

    def _begin(self, errand: Any) -> None:
        task = asyncio.create_task(errand)
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    async def _deliver(self, sms: Sms, error_code: int | None) -> None:
        await self._call_back(sms)
        await asyncio.sleep(self.settings.delivery_s)
        sms.sent_at = _now()
        await self._step(sms, "sent")
        await asyncio.sleep(self.settings.delivery_s)
        sms.error_code = error_code
        await self._step(sms, "delivered" if error_code is None else "undelivered")

    async def _step(self, sms: Sms, status: str) -> None:
        sms.status, sms.updated_at = status, _now()
        self._tell()
        await self._call_back(sms)

    async def _call_back(self, sms: Sms) -> None:
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
        await self._post(sms.status_callback, params)

    async def _inbound(self, number: str, body: str) -> Sequence[str] | None:
        """What the service answered, or ``None`` when it took nothing."""
        sms = self.network.receive(number, body, _now())
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
        answer = await self._hand_over(params)
        if answer is None:
            sms.status, sms.error_code = "failed", 11200  # Twilio's code for a webhook that cannot be reached
            self._tell()
            return None
        said = [] if number in self.network.opted_out else _twiml_messages(answer)
        for text in said:
            self.network.answer(number, text, _now())
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

    def _phones(self) -> list[dict[str, Any]]:
        return [
            {
                "number": number,
                "name_zh": owner.name_zh if owner else "",
                "name_en": owner.name_en if owner else number,
                "role": owner.role if owner else "",
                "opted_out": number in self.network.opted_out,
                "messages": [_shown(sms) for sms in said],
            }
            for number, owner, said in self.network.conversations()
        ]


def _shown(sms: Sms) -> dict[str, Any]:
    return {
        "sid": sms.sid,
        "direction": sms.direction,
        "body": sms.body,
        "status": sms.status,
        "error_code": sms.error_code,
        "received_at": sms.created_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
    }


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


def _twiml_messages(twiml: str) -> list[str]:
    """The texts of a TwiML answer: ``<Response><Message>...</Message></Response>``, with or without ``<Body>``."""
    if not twiml.strip():
        return []
    try:
        root = ET.fromstring(twiml)  # noqa: S314  (from our own service, on this machine)
    except ET.ParseError as error:
        log.warning("twiml_not_readable", error=str(error))  # Twilio's error 12100
        return []
    texts = ("".join(message.itertext()).strip() for message in root.iter("Message"))
    return [text for text in texts if text]


async def _refused(_: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)
    headers = {"Retry-After": "1"} if refused.status == 429 else None
    return JSONResponse(refused.body(), status_code=refused.status, headers=headers)


def _now() -> datetime:
    return datetime.now(UTC)


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
    given = options.parse_args(arguments)
    owners = read_people(given.people) if given.people else {}
    settings = Settings(given.account, given.token, given.number, given.service_url, owners, given.delivery_s)
    _Server(Telephone(settings), given.host, given.port).run()


if __name__ == "__main__":
    main()
