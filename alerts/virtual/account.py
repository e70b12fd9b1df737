"""Twilio's API of one account over HTTP: its Messages and Calls, and what goes wrong with requests for them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from alerts.virtual.calls import Call
from alerts.virtual.carrier import Carrier
from alerts.virtual.exchange import Exchange
from alerts.virtual.faults import Fault
from alerts.virtual.network import Network, Sms
from alerts.virtual.refusals import Refused
from alerts.virtual.resources import API_VERSION

_HANG_S: Final = 60.0
_PAGE_SIZE: Final = 50
_PAGE_SIZE_MOST: Final = 1000

Begin: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Has something done while the answer goes out already."""


class AccountApi:
    """Answers requests for messages and calls. ``answer_s`` is how long an answer takes, ``ended`` when all is over."""

    def __init__(
        self,
        network: Network,
        token: str,
        carrier: Carrier,
        exchange: Exchange,
        clock: Callable[[], datetime],
        begin: Begin,
        ended: asyncio.Event,
        answer_s: float,
    ) -> None:
        self._network = network
        self._token = token
        self._carrier = carrier
        self._exchange = exchange
        self._clock = clock
        self._begin = begin
        self._ended = ended
        self._answer_s = answer_s

    def routes(self) -> list[Route]:
        """Where Twilio answers."""
        account = f"/{API_VERSION}/Accounts/{{account}}"
        return [
            Route(f"{account}/Messages.json", self.create, methods=["POST"]),
            Route(f"{account}/Messages.json", self.listing, methods=["GET"]),
            Route(f"{account}/Messages/{{sid}}.json", self.fetch, methods=["GET"]),
            Route(f"{account}/Calls.json", self.create_call, methods=["POST"]),
            Route(f"{account}/Calls.json", self.listing_of_calls, methods=["GET"]),
            Route(f"{account}/Calls/{{sid}}.json", self.fetch_call, methods=["GET"]),
        ]

    async def create(self, request: Request) -> Response:
        """Send a message."""
        form, _ = await self._asked(request)
        self._network.check(form)
        fault = self._network.faults.take("request", "sms", form["To"])
        await self._before(fault)
        sms = self._network.create(form, self._clock())
        self._begin(self._carrier.deliver(sms))
        await self._after(fault)
        return JSONResponse(sms.resource(self._network.account), status_code=201)

    async def create_call(self, request: Request) -> Response:
        """Make a call."""
        form, events = await self._asked(request)
        self._network.check_call(form, events)
        fault = self._network.faults.take("request", "voice", form["To"])
        await self._before(fault)
        call = self._network.create_call(form, events, self._clock())
        resource = call.resource(self._network.account)
        self._exchange.expect(call)
        self._begin(self._exchange.put_through(call))
        await self._after(fault)
        return JSONResponse(resource, status_code=201)

    async def _asked(self, request: Request) -> tuple[dict[str, str], list[str]]:
        """The form of a request that something be done, and the events of a call that are to be told."""
        self._authenticate(request)
        if not self._network.faults.pace.allows(asyncio.get_running_loop().time()):
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
        if fault and fault.kind == "timeout_after_send":
            await self._hang()
        await asyncio.sleep(self._answer_s)

    async def listing(self, request: Request) -> Response:
        """List messages, a page at a time, newest first."""
        self._authenticate(request)
        found = self._network.listed(request.query_params)
        return self._page_of(request, "messages", found)

    async def listing_of_calls(self, request: Request) -> Response:
        """List calls, a page at a time, newest first."""
        self._authenticate(request)
        found = self._network.listed_calls(request.query_params)
        return self._page_of(request, "calls", found)

    def _page_of(self, request: Request, kind: str, found: Sequence[Sms] | Sequence[Call]) -> Response:
        size = min(int(request.query_params.get("PageSize", _PAGE_SIZE)), _PAGE_SIZE_MOST)
        page = int(request.query_params.get("Page", 0))
        shown = found[page * size : (page + 1) * size]
        return JSONResponse(
            {
                kind: [one.resource(self._network.account) for one in shown],
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
        return JSONResponse(self._network.find(request.path_params["sid"]).resource(self._network.account))

    async def fetch_call(self, request: Request) -> Response:
        """One call as it stands."""
        self._authenticate(request)
        return JSONResponse(self._network.find_call(request.path_params["sid"]).resource(self._network.account))

    def _authenticate(self, request: Request) -> None:
        if _basic(request.headers.get("authorization", "")) != (self._network.account, self._token):
            raise Refused(20003)
        if request.path_params["account"] != self._network.account:
            raise Refused(20404)

    async def _hang(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_HANG_S):
                await self._ended.wait()


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
