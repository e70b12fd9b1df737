"""The service: routes, background work, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from importlib.metadata import version
from types import MappingProxyType
from typing import Final

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

import clinicians
from alerts.backtest.desk import Desk
from alerts.channels import Channel, ChannelName, utc_now
from alerts.deployment import keep_registered
from alerts.dispatch import Dispatcher
from alerts.gap_notices import GapNotices
from alerts.heartbeat import Heartbeat
from alerts.maintenance import Maintenance
from alerts.silence import Silence
from alerts.worker import Watch
from api import gateways, ingest, live, metrics, openapi, problems, push, recordings, sessions, webhooks
from api.channels import announce, open_channels
from api.middleware import Around
from api.settings import Settings
from api.supervisor import supervise
from clinicians.pages import STATIC
from store import self_watch
from store.migrate import lacking
from store.postgres import Database, Unavailable
from store.self_watch import Standing

log = structlog.get_logger(__name__)

_MOST_FORM_BYTES: Final = 64 * 1024
_WATCH_CONNECTIONS: Final = 4
_AGAIN_S: Final = 1.0

_STUCK: Final = MappingProxyType(
    {
        "": "the present one has not ended",
        "not_judged": "the reading raised no alert, see the watch",
        "not_called": "the alert called nobody, see the ladder",
        "not_sent": "the provider did not take the message, see the dispatcher",
        "not_delivered": "the provider did not say that the message was delivered",
    }
)

health = APIRouter(include_in_schema=False)


def create_app(settings: Settings, *, clock: Callable[[], datetime] = utc_now) -> FastAPI:
    """The whole service over one database, by this clock. Nothing is connected until it starts."""
    app = FastAPI(
        title="Hearthwatch",
        version=version("hearthwatch"),
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        max_body_size=_MOST_FORM_BYTES,
    )
    app.state.settings = settings
    app.state.clock = clock
    app.state.public_url = settings.public_url
    app.state.push_keys = settings.push_keys
    app.state.push_hosts = settings.push_hosts
    app.add_middleware(Around, https=settings.public_url.startswith("https:"))
    app.add_exception_handler(sessions.NotSignedIn, sessions.on_not_signed_in)
    problems.install(app)
    for router in (
        health,
        metrics.router,
        gateways.router,
        ingest.router,
        recordings.router,
        webhooks.router,
        push.router,
        sessions.router,
        live.router,
    ):
        app.include_router(router)
    app.include_router(clinicians.router, dependencies=[Depends(sessions.visitor), Depends(sessions.check_csrf)])
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    openapi.install(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    async with AsyncExitStack() as stack:
        database = Database(settings.database_url, max_size=settings.database_connections)
        app.state.database = await stack.enter_async_context(database)
        app.state.gatekeeper = gateways.Gatekeeper(database)
        app.state.hub = live.Hub(database)
        app.state.backtests = Desk(settings.database_url)
        stack.push_async_callback(app.state.backtests.close)
        work = await _work(app, stack)
        tasks = [asyncio.create_task(supervise(name, run), name=name) for name, run in work.items()]
        stack.push_async_callback(_end, tasks)
        log.info("started", version=app.version, work=sorted(work), public_url=settings.public_url)
        yield
        app.state.hub.close()
    log.info("stopped")


async def _work(app: FastAPI, stack: AsyncExitStack) -> dict[str, Callable[[], Awaitable[None]]]:
    settings, database, clock = app.state.settings, app.state.database, app.state.clock
    work: dict[str, Callable[[], Awaitable[None]]] = {
        "live": app.state.hub.run,
        "protocols": lambda: keep_registered(app.state.database),
    }
    # Watch and dispatcher have connections of their own: a flood of callbacks and pages must not keep a fall waiting for one.
    if settings.watch:
        own = await stack.enter_async_context(Database(settings.database_url, max_size=_WATCH_CONNECTIONS))
        work["watch"] = Watch(own, clock=clock, lease_s=settings.watch_lease_s).run
        work["silence"] = Silence(own, clock=clock).run
        work["maintenance"] = Maintenance(own, clock=clock).run
    if settings.dispatch:
        database = await stack.enter_async_context(
            Database(settings.database_url, max_size=settings.database_connections)
        )
        channels = open_channels(settings, database, clock)
        for channel in channels.values():
            stack.push_async_callback(channel.close)
        dispatcher = Dispatcher(database, channels, clock=clock, paces=paces(settings))
        work["dispatch"] = lambda: _dispatch(dispatcher, database, channels, clock)
        work["heartbeat"] = heartbeat(settings, database, clock).run
        work["gaps"] = GapNotices(database, clock=clock).run
    return work


async def _dispatch(
    dispatcher: Dispatcher,
    database: Database,
    channels: Mapping[ChannelName, Channel],
    clock: Callable[[], datetime],
) -> None:
    """Send and climb. First the record is told by what people can be reached: the ladder goes by it."""
    while True:
        try:
            async with database.service() as c:
                await announce(c, channels, clock())
            break
        except Unavailable as error:
            log.warning("dispatch_waits_for_database", error=str(error), retry_s=_AGAIN_S)
            await asyncio.sleep(_AGAIN_S)
    await dispatcher.run()


def paces(settings: Settings) -> dict[str, float]:
    """How many messages a second each channel is given of what can wait."""
    return {"sms": settings.sms_per_s, "voice": settings.voice_per_s}


def heartbeat(settings: Settings, database: Database, clock: Callable[[], datetime]) -> Heartbeat:
    """The probe of the whole chain."""
    every = timedelta(seconds=settings.heartbeat_every_s)
    return Heartbeat(database, settings.heartbeat_phone, every, ping_url=settings.heartbeat_url, clock=clock)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@health.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process lives."""
    return {"status": "alive"}


@health.get("/readyz")
async def readyz(request: Request) -> Response:
    """The record answers and has the shape this version needs, and the way of an alert is open; 503 with the reason
    otherwise."""
    state = request.app.state
    async with state.database.service() as c:
        if missing := await lacking(c):
            words = f"run 'hearthwatch migrate': the database lacks {', '.join(missing)}"
            raise problems.Problem(503, "not_migrated", words)
        chain = await self_watch.standing(c, state.clock())
    if state.settings.is_proved and (words := broken(chain, state.clock())):
        raise problems.Problem(503, "chain_not_proved", words)
    return Response('{"status":"ready"}', media_type="application/json")


def broken(chain: Standing, now: datetime) -> str:
    """Why nobody may trust that an alert reaches a person; empty while probes come through."""
    if chain.due_by is None:
        return "no probe has been sent yet: HEARTHWATCH_HEARTBEAT_PHONE must be a number that nobody in the record has"
    if not chain.is_broken(now):
        return ""
    last = "never" if chain.proved_at is None else f"last at {chain.proved_at:%Y-%m-%d %H:%M} UTC"
    return f"no probe came through from a reading to a delivered message ({last}): {_STUCK.get(chain.stuck or '', '')}"
