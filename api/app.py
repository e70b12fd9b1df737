"""The service: routes, background work, and what they share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import Final

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.staticfiles import StaticFiles

import clinicians
from alerts.backtest.desk import Desk
from alerts.channels.sms import SmsChannel
from alerts.deployment import keep_registered
from alerts.dispatch import Dispatcher
from alerts.maintenance import Maintenance
from alerts.silence import Silence
from alerts.worker import Watch
from api import gateways, ingest, live, metrics, openapi, problems, recordings, sessions, webhooks
from api.middleware import Around
from api.settings import Settings
from api.supervisor import supervise
from clinicians.pages import STATIC
from store.migrate import lacking
from store.postgres import Database

log = structlog.get_logger(__name__)

_MOST_FORM_BYTES: Final = 64 * 1024

health = APIRouter(include_in_schema=False)


def create_app(settings: Settings) -> FastAPI:
    """The whole service over one database. Nothing is connected until it starts."""
    app = FastAPI(
        title="Hearthwatch",
        version=version("hearthwatch"),
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        max_body_size=_MOST_FORM_BYTES,
    )
    app.state.settings = settings
    app.state.public_url = settings.public_url
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
    settings, database = app.state.settings, app.state.database
    work: dict[str, Callable[[], Awaitable[None]]] = {
        "live": app.state.hub.run,
        "protocols": lambda: keep_registered(database),
    }
    if settings.watch:
        work["watch"] = Watch(database, lease_s=settings.watch_lease_s).run
        work["silence"] = Silence(database).run
        work["maintenance"] = Maintenance(database).run
    if settings.dispatch and settings.has_telephone:
        channel = sms_channel(settings)
        stack.push_async_callback(channel.close)
        work["dispatch"] = Dispatcher(database, {"sms": channel}).run
    elif settings.dispatch:
        log.warning(
            "no_telephone",
            hint="set HEARTHWATCH_TWILIO_ACCOUNT_SID, _AUTH_TOKEN and _FROM: nobody is called until then",
        )
    return work


def sms_channel(settings: Settings) -> SmsChannel:
    """The way to people's telephones. Needs ``settings.has_telephone``."""
    account, token, number = settings.twilio_account_sid, settings.twilio_auth_token, settings.twilio_from
    assert account is not None
    assert token is not None
    assert number is not None
    return SmsChannel(account, token.get_secret_value(), number, settings.public_url, settings.twilio_base_url)


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
    """The record answers and has the shape this version needs; 503 with the reason otherwise."""
    database: Database = request.app.state.database
    async with database.service() as c:
        missing = await lacking(c)
    if missing:
        raise problems.Problem(
            503, "not_migrated", f"run 'hearthwatch migrate': the database lacks {', '.join(missing)}"
        )
    return Response('{"status":"ready"}', media_type="application/json")
