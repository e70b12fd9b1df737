"""The street in which every night plays: a record, the service's door, and a telephone network, opened once.

Between two nights everything that has happened is forgotten; the shape of the record, its protocols and the places of its
watch stay. Each night has its own household, clock, network and workers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
import psycopg
from fastapi import FastAPI
from psycopg import sql
from pydantic import SecretStr
from starlette.types import ASGIApp, Receive, Scope, Send

from alerts import protocol
from alerts.backtest.desk import Desk
from alerts.channels.push import PushKeys
from alerts.channels.sms import SmsChannel
from alerts.channels.voice import VoiceChannel
from alerts.protocol import Protocol
from alerts.virtual.telephone import Settings as NetworkSettings
from alerts.virtual.telephone import Telephone
from alerts.worker import warm_up
from api import live
from api.app import create_app
from api.gateways import Gatekeeper, hash_token
from api.settings import Settings
from store import gateways
from store.postgres import Database
from tests.alerts.clock import Clock
from tests.alerts.network import ACCOUNT, NUMBER, TOKEN, Line, Recorder, free_port, serving
from tests.household import Household, furnish

KEY = "hw_the-street's-gateway"
PUSH_KEYS = PushKeys.generate()
OFFICE = "mailto:office@hearthwatch.example"
_SECOND_S = 0.001
"""How long a second of a telephone call lasts: one that nobody answers rings for 25."""
_KEPT = ("migration", "protocol", "protocol_decision", "watch_partition", "judging")


class Socket:
    """A port behind which the application can be taken away and another be put."""

    def __init__(self) -> None:
        self.app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError("what stands here is started by each night")
        if self.app is None:
            await send({"type": "http.response.start", "status": 503, "headers": []})
            await send({"type": "http.response.body", "body": b"nobody is there"})
            return
        await self.app(scope, receive, send)


@dataclass
class Street:
    """What all nights share."""

    database: Database
    app: FastAPI
    door: Socket
    exchange: Socket
    door_url: str
    exchange_url: str
    client: httpx.AsyncClient
    rules: Protocol

    @asynccontextmanager
    async def line(self, clock: Clock) -> AsyncIterator[Line]:
        """A telephone network that knows nothing yet, and the service's channels to it."""
        network = NetworkSettings(ACCOUNT, TOKEN, NUMBER, self.door_url, {}, delivery_s=0, second_s=_SECOND_S)
        telephone = Telephone(network, clock)
        made = telephone.app()
        recorder = Recorder(made)
        account = (ACCOUNT, TOKEN, NUMBER, self.door_url, self.exchange_url)
        sms, voice = SmsChannel(*account, clock=clock), VoiceChannel(*account, clock=clock)
        async with made.router.lifespan_context(made):
            self.exchange.app = recorder
            try:
                yield Line(telephone, self.exchange_url, self.door_url, sms, voice, self.client, recorder)
            finally:
                telephone.end()
                self.exchange.app = None
                await sms.close()
                await voice.close()

    async def furnished(self, now: datetime, zone: str) -> Household:
        """Forget everything, and let the household move in. Both residents wear a wearable and have a help button."""
        async with await psycopg.AsyncConnection.connect(self.database.dsn) as c:
            await _forget(c)
        async with self.database.service() as c:
            home = await furnish(c, now)
            await gateways.add_device(c, "C0:00:00:00:00:05", home.zhao, "help_button", home.gateway)
            await gateways.add_device(c, "C0:00:00:00:00:06", home.zhao, "wearable", home.gateway)
        async with await psycopg.AsyncConnection.connect(self.database.dsn) as c:
            await c.execute("UPDATE gateway SET key_hash = %s", [hash_token(KEY)])
            await c.execute("UPDATE centre SET time_zone = %s", [zone])
            # Granted by the machine's own clock, which is not the story's.
            await c.execute("UPDATE relation SET valid_from = '2020-01-01'")
        return home


async def _forget(c: Any) -> None:
    cursor = await c.execute(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') "
        "AND NOT c.relispartition AND c.relname <> ALL(%s)",
        [list(_KEPT)],
    )
    names = [sql.Identifier(row[0]) for row in await cursor.fetchall()]
    await c.execute("SET LOCAL session_replication_role = replica")
    await c.execute(sql.SQL("; ").join(sql.SQL("DELETE FROM {}").format(name) for name in names))
    await c.execute("UPDATE watch_partition SET owner = NULL, protocol = '', clock = NULL")


@asynccontextmanager
async def open_street(database_url: str) -> AsyncIterator[Street]:
    """The service's door and the exchange as real servers, over one record."""
    door, exchange, door_port, exchange_port = Socket(), Socket(), free_port(), free_port()
    door_url, exchange_url = f"http://127.0.0.1:{door_port}", f"http://127.0.0.1:{exchange_port}"
    async with AsyncExitStack() as stack:
        # At once: a port that is free now may be somebody else's in a second.
        await stack.enter_async_context(serving(door, door_port))
        await stack.enter_async_context(serving(exchange, exchange_port))
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=exchange_url, timeout=30))
        rules = protocol.load()
        await asyncio.to_thread(warm_up, rules)
        settings = Settings(
            database_url=database_url,
            public_url=door_url,
            twilio_account_sid=ACCOUNT,
            twilio_auth_token=SecretStr(TOKEN),
            twilio_from=NUMBER,
            push_private_key=SecretStr(PUSH_KEYS.private),
            push_contact=OFFICE,
            watch=False,
            dispatch=False,
        )
        app = create_app(settings)
        database = await stack.enter_async_context(Database(database_url, max_size=8))
        app.state.database = database
        app.state.gatekeeper = Gatekeeper(database)
        app.state.hub = live.Hub(database)
        app.state.backtests = Desk(database_url)
        stack.push_async_callback(app.state.backtests.close)
        yield Street(database, app, door, exchange, door_url, exchange_url, client, rules)
