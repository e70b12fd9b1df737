"""The telephone network and the service's door as real servers, for tests: every exchange with Twilio's API is kept."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import httpx
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from alerts.channels import utc_now
from alerts.channels.sms import SmsChannel
from alerts.channels.voice import VoiceChannel
from alerts.virtual.calls import Call
from alerts.virtual.phones import Owner
from alerts.virtual.telephone import Settings, Telephone
from tests.alerts.exchange import Exchange
from tests.alerts.twilio_document import TwilioDocument

ACCOUNT = "AC" + "0" * 31 + "1"
TOKEN = "secret-of-the-account"
NUMBER = "+862155500100"


@dataclass
class Recorder:
    """Stands before an application and keeps what is asked of Twilio's API."""

    app: ASGIApp
    exchanges: list[Exchange] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """The method of every request, also of those that have no answer yet."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/2010"):
            await self.app(scope, receive, send)
            return
        self.asked.append(scope["method"])
        asked, answered, status = bytearray(), bytearray(), 0

        async def take() -> Message:
            message = await receive()
            asked.extend(message.get("body", b""))
            return message

        async def give(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            answered.extend(message.get("body", b""))
            await send(message)

        await self.app(scope, take, give)
        self.exchanges.append(
            Exchange(
                scope["method"],
                scope["path"],
                dict(parse_qsl(scope["query_string"].decode())),
                parse_qsl(asked.decode()),
                status,
                json.loads(answered or b"{}"),
            )
        )


@dataclass
class Line:
    """A running telephone network, the service's door beside it, and the service's channels to it."""

    telephone: Telephone
    url: str
    service_url: str
    channel: SmsChannel
    voice: VoiceChannel
    client: httpx.AsyncClient
    recorder: Recorder

    async def fault(self, kind: str, count: int = 1, to: str | None = None) -> None:
        answer = await self.client.post("/faults", json={"next": kind, "count": count, "to": to})
        answer.raise_for_status()

    async def always(self, kind: str, to: str | None = None, share: float = 1) -> None:
        """Let something go wrong until :meth:`heal`."""
        answer = await self.client.post("/faults", json={"always": kind, "to": to, "share": share})
        answer.raise_for_status()

    async def heal(self) -> None:
        (await self.client.delete("/faults")).raise_for_status()

    async def habit(self, phone: str, name: str | None = None, **habit: str) -> None:
        """What becomes of everything at a phone from now on: by name (``off``, ``dead``, ...) or by ``sms``, ``calls``, ``keys``."""
        answer = await self.client.post(f"/phones/{phone}/habit", json={"name": name} if name else habit)
        answer.raise_for_status()

    async def act(self, phone: str, do: str) -> None:
        """The owner of a phone does something about the call it has: ``answer``, ``decline``, ``hang_up``, a key."""
        (await self.client.post(f"/phones/{phone}/call", data={"do": do})).raise_for_status()

    async def reply(self, phone: str, body: str) -> list[str]:
        answer = await self.client.post(f"/phones/{phone}/reply", data={"body": body})
        answer.raise_for_status()
        return list(answer.json()["answer"])

    def said_to(self, phone: str) -> list[str]:
        """What has been sent to a phone and has not been lost, oldest first."""
        return [
            sms.body for sms in self.telephone.network.messages if sms.to == phone and sms.direction == "outbound-api"
        ]

    def calls_to(self, phone: str) -> list[Call]:
        """Every call to a phone, oldest first."""
        return [call for call in self.telephone.network.calls if call.to == phone]

    def heard_by(self, phone: str) -> list[str]:
        """What has been read to whoever answered a phone, oldest first."""
        return [said.words for call in self.calls_to(phone) for said in call.heard]


@asynccontextmanager
async def serving(app: ASGIApp, port: int) -> AsyncIterator[None]:
    """A real HTTP server in this loop, without the signal handlers and the ticking of one that runs for days."""
    config = uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=2)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield
    finally:
        await server.shutdown()


@asynccontextmanager
async def telephone_line(
    door: ASGIApp | None,
    port: int | None = None,
    answer_s: float = 0,
    *,
    clock: Callable[[], datetime] = utc_now,
    second_s: float = 0.01,
) -> AsyncIterator[Line]:
    """A network whose callbacks and replies come in at ``door``; without one nobody answers them.

    A second of a call lasts ``second_s``; it rings for 25. At the end, whatever the service asked of it and heard must
    agree with Twilio's own document.
    """
    service_port, own_port = port or free_port(), free_port()
    service_url, url = f"http://127.0.0.1:{service_port}", f"http://127.0.0.1:{own_port}"
    owners = {"+8613900000002": Owner("李娜", "Li Na", "care_worker")}
    telephone = Telephone(Settings(ACCOUNT, TOKEN, NUMBER, service_url, owners, 0.02, answer_s, second_s), clock)
    recorder = Recorder(telephone.app())
    channel = SmsChannel(ACCOUNT, TOKEN, NUMBER, service_url, url, clock=clock)
    voice = VoiceChannel(ACCOUNT, TOKEN, NUMBER, service_url, url, clock=clock)
    async with serving(recorder, own_port), httpx.AsyncClient(base_url=url, timeout=30) as client:
        line = Line(telephone, url, service_url, channel, voice, client, recorder)
        try:
            if door is None:
                yield line
            else:
                async with serving(door, service_port):
                    yield line
        finally:
            await channel.close()
            await voice.close()
            telephone.end()
    if document := TwilioDocument.beside_the_project():
        assert document.faults_of_kinds(recorder.exchanges) == []


def free_port() -> int:
    """A port nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(condition: Any, within_s: float = 10, every_s: float = 0.01) -> None:
    """Wait until something holds, whether it is asked directly or awaited; fails when it does not in time."""
    async with asyncio.timeout(within_s):
        while True:
            holds = condition()
            if await holds if asyncio.iscoroutine(holds) else holds:
                return
            await asyncio.sleep(every_s)
