"""SMS by any gateway that speaks HTTP, as a TOML file describes it: what to ask, and how its answer is read.

What is sent is made by Jinja2 templates, what comes back is read by Jinja2 expressions; both run in a sandbox and are
tried when the file is read, so that a mistake is found when the service starts and not in the night it is needed.
An example stands in ``docs/operating.md``.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal, Self

import httpx
import msgspec
import structlog
from jinja2 import ChainableUndefined, StrictUndefined, TemplateError
from jinja2.environment import Template, TemplateExpression
from jinja2.sandbox import SandboxedEnvironment

from alerts.channels import Receipt, SendError, TryAgain, Uncertain, Unreachable, utc_now
from alerts.channels.http import ask, retry_after_s
from alerts.unreachable import DEAD, OPTED_OUT
from store.messages import MessageRow

log = structlog.get_logger(__name__)

SECRETS: Final = "HEARTHWATCH_SMS_GATEWAY_"
"""Variables of the environment that begin so are ``secret.…`` in the templates: no password stands in the file."""


class NotAGateway(ValueError):
    """The file does not describe a gateway; the message says what is wrong with it."""


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of the gateway. ``url``, the headers' values and ``body`` are templates."""

    url: str
    method: Literal["GET", "POST", "PUT"] = "POST"
    headers: dict[str, str] = {}
    body: str = ""


class Send(Request, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Sending. ``ok`` says of an answer whether the gateway has the message, ``id`` its name there, ``error`` why not."""

    ok: str
    id: str
    error: str = "status"


class Status(Request, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Asking after a message. ``delivered`` and ``failed`` say so of an answer, ``error`` why."""

    delivered: str
    failed: str = "false"
    error: str = "'failed'"


class Errors(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the gateway's errors mean. One that is not named is the person's: the next is called at once."""

    opted_out: list[str] = []
    dead: list[str] = []
    busy: list[str] = []
    ours: list[str] = []


class Description(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. ``name`` is how messages and figures call the gateway."""

    name: str
    send: Send
    errors: Errors = Errors()
    status: Status | None = None


class GatewaySms:
    """Sends SMS by the gateway that a file describes. To be used within one event loop."""

    def __init__(
        self, description: Description, secrets: Mapping[str, str], *, clock: Callable[[], datetime] = utc_now
    ) -> None:
        self.name = description.name
        self.confirms = description.status is not None
        self._errors = description.errors
        self._clock = clock
        self._client = httpx.AsyncClient()
        self._send = _Exchange(description.send, ("ok", "id", "error"), secrets)
        asked = description.status
        self._status = asked if asked is None else _Exchange(asked, ("delivered", "failed", "error"), secrets)

    @classmethod
    def read(cls, path: Path, *, clock: Callable[[], datetime] = utc_now) -> Self:
        """The gateway that a file describes, with its secrets from the environment. Raises :class:`NotAGateway`."""
        try:
            description = msgspec.toml.decode(path.read_bytes(), type=Description)
            secrets = {k.removeprefix(SECRETS): v for k, v in os.environ.items() if k.startswith(SECRETS)}
            return cls(description, secrets, clock=clock)
        except OSError as error:
            raise NotAGateway(f"{path} cannot be read: {error.strerror}") from error
        except (msgspec.DecodeError, TemplateError, NotAGateway) as error:
            raise NotAGateway(f"{path}: {error}") from error

    async def send(self, message: MessageRow) -> Receipt:
        """Hand a message to the gateway. Raises a :class:`~alerts.channels.SendError`."""
        left_s = max(math.floor((message.expires_at - self._clock()).total_seconds()), 1)
        answer = await self._ask(
            self._send,
            {"to": message.address, "text": message.body, "reference": f"hw{message.id}", "valid_s": left_s},
        )
        if not answer["ok"]:
            raise self._meaning(str(answer["error"]))
        if answer["id"] is None:
            raise Uncertain("no_id", f"{self.name} says that it has the message, but not under which name")
        return Receipt(f"{self.name}:{answer['id']}", provider=self.name)

    async def find(self, message: MessageRow) -> list[Receipt]:
        """A gateway keeps no list that could be asked."""
        return []

    async def status(self, sid: str) -> Receipt:
        """How a message fares, if the file says how to ask."""
        if self._status is None:
            return Receipt(sid, provider=self.name)
        answer = await self._ask(self._status, {"id": sid.removeprefix(f"{self.name}:")})
        if answer["delivered"]:
            return Receipt(sid, "delivered", provider=self.name)
        if answer["failed"]:
            return Receipt(sid, "failed", self._meaning(str(answer["error"])).code, self.name)
        return Receipt(sid, provider=self.name)

    def sent(self, sid: str) -> bool:
        """Whether this is the name of a message at this gateway."""
        return sid.startswith(f"{self.name}:")

    async def close(self) -> None:
        """Close the connections to the gateway."""
        await self._client.aclose()

    async def _ask(self, exchange: _Exchange, values: Mapping[str, object]) -> Mapping[str, Any]:
        try:
            request = exchange.request(self._client, values)
        except (httpx.InvalidURL, TemplateError) as error:
            raise Unreachable("bad_request", f"no request to {self.name} can be made: {error}") from error
        response = await ask(self._client, request)
        code = response.status_code
        if code in (401, 403):
            log.error("sms_gateway_refuses_this_service", gateway=self.name, status=code)
            raise TryAgain(str(code), f"{self.name} refuses this service")
        if code in (502, 504):  # said by something in between: the gateway itself may have it
            raise Uncertain(str(code), f"no answer from {self.name}")
        if code == 429 or code >= 500:
            raise TryAgain(str(code), f"{self.name} is busy or broken", retry_after_s(response, self._clock()))
        return exchange.read(response)

    def _meaning(self, error: str) -> SendError:
        if error in self._errors.opted_out:
            return Unreachable(OPTED_OUT, f"{self.name} says {error}")
        if error in self._errors.dead:
            return Unreachable(DEAD, f"{self.name} says {error}")
        if error in self._errors.ours:
            log.error("sms_gateway_refuses_this_service", gateway=self.name, error=error)
        if error in self._errors.busy or error in self._errors.ours:
            return TryAgain(error, f"{self.name} says {error}")
        return Unreachable(error, f"{self.name} says {error}")


class _Exchange:
    """One kind of request, and how its answer is read."""

    def __init__(self, wanted: Request, fields: tuple[str, ...], secrets: Mapping[str, str]) -> None:
        sandbox = SandboxedEnvironment(undefined=StrictUndefined)
        self._method = wanted.method
        self._secrets = dict(secrets)
        self._url, self._body = _template(sandbox, wanted.url), _template(sandbox, wanted.body)
        self._headers = {name: _template(sandbox, text) for name, text in wanted.headers.items()}
        self._fields = {name: _expression(sandbox, getattr(wanted, name)) for name in fields}
        example = {"to": "+10000000000", "text": "x", "reference": "hw1", "valid_s": 60, "id": "1"}
        try:
            url, _, _ = self._parts(example)
            if not httpx.URL(url).is_absolute_url:
                raise NotAGateway(f"{wanted.url!r} makes no address")
        except (httpx.InvalidURL, TemplateError) as error:
            raise NotAGateway(f"what it would send cannot be made: {error}") from error

    def request(self, client: httpx.AsyncClient, values: Mapping[str, object]) -> httpx.Request:
        url, headers, body = self._parts(values)
        return client.build_request(self._method, url, headers=headers, content=body.encode() or None)

    def read(self, response: httpx.Response) -> Mapping[str, Any]:
        """The fields of an answer; ``None`` for what is not in it. Raises :class:`Uncertain` when it cannot be read."""
        known = {"status": response.status_code, "text": response.text, "json": _json(response)}
        try:
            return {name: expression(**known) for name, expression in self._fields.items()}
        except (TemplateError, TypeError, ValueError, LookupError, ArithmeticError) as error:
            raise Uncertain("unreadable", f"the answer cannot be read: {error}") from error

    def _parts(self, values: Mapping[str, object]) -> tuple[str, dict[str, str], str]:
        headers = {name: self._fill(template, values) for name, template in self._headers.items()}
        return self._fill(self._url, values), headers, self._fill(self._body, values)

    def _fill(self, template: Template, values: Mapping[str, object]) -> str:
        return template.render(**values, secret=self._secrets)


def _template(sandbox: SandboxedEnvironment, text: str) -> Template:
    try:
        return sandbox.from_string(text)
    except TemplateError as error:
        raise NotAGateway(f"the template {text!r} cannot be read: {error}") from error


def _expression(sandbox: SandboxedEnvironment, text: str) -> TemplateExpression:
    # What is missing in an answer reads as None: an error has other fields than a success.
    try:
        return sandbox.overlay(undefined=ChainableUndefined).compile_expression(text, undefined_to_none=True)
    except TemplateError as error:
        raise NotAGateway(f"the expression {text!r} cannot be read: {error}") from error


def _json(response: httpx.Response) -> Any:
    try:
        return json.loads(response.text)
    except ValueError:
        return {}
