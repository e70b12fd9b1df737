"""The real service on a port, the household lived in, and Chromium in front of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import UUID

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, Page

from api.app import create_app
from api.sessions import hash_password
from api.settings import Settings
from store import people
from store.postgres import Database
from tests.clinicians.lived import Lived, live_in

T = TypeVar("T")

PASSWORD = "a warm hearth"


@dataclass(frozen=True)
class Service:
    """A running service. ``run`` does something in its loop, where its database lives."""

    url: str
    database: Database
    lived: Lived
    loop: asyncio.AbstractEventLoop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)


@contextmanager
def serving(database_url: str) -> Iterator[Service]:
    """uvicorn in a thread, with the watch at work and no telephone."""
    app = create_app(Settings(database_url=database_url, dispatch=False))
    config = uvicorn.Config(app, port=0, log_config=None, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve(),))
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the service ended as it started"
            threading.Event().wait(0.02)
        port = server.servers[0].sockets[0].getsockname()[1]
        database: Database = app.state.database
        lived = asyncio.run_coroutine_threadsafe(_furnished(database), loop).result(60)
        yield Service(f"http://127.0.0.1:{port}", database, lived, loop)
    finally:
        server.should_exit = True
        thread.join(20)
        loop.close()


async def _furnished(database: Database) -> Lived:
    lived = await live_in(database, datetime.now(UTC))
    hashed = hash_password(PASSWORD)
    async with database.service() as c:
        for username in ("liu", "na", "zhang", "wang", "sun"):
            account = await people.account(c, username)
            assert account is not None
            await people.set_password_hash(c, account.person_id, hashed)
    return lived


@pytest.fixture
def service(database_url: str) -> Iterator[Service]:
    with serving(database_url) as running:
        yield running


class Visit:
    """One person's browser window, and everything its console complained about."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.context = context
        self.url = url
        self.page: Page = context.new_page()
        self.complaints: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def sign_in(self, username: str) -> Page:
        """Through the door, as people do."""
        self.page.goto(f"{self.url}/sign-in")
        self.page.locator("input[name=username]").fill(username)
        self.page.locator("input[name=password]").fill(PASSWORD)
        self.page.locator("form[action='/sign-in'] button").click()
        self.page.wait_for_url(lambda url: "/sign-in" not in url)
        return self.page


@pytest.fixture
def open_window(chromium: Browser, service: Service) -> Iterator[Any]:
    """A function that opens a window of a width and height in a language."""
    contexts: list[BrowserContext] = []

    def window(width: int = 1280, height: int = 900, language: str = "en", **options: Any) -> Visit:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            locale="zh-CN" if language == "zh_Hans" else "en-GB",
            reduced_motion="reduce",
            **options,
        )
        context.set_default_timeout(10_000)
        contexts.append(context)
        return Visit(context, service.url)

    yield window
    for context in contexts:
        context.close()


def speak(service: Service, person: UUID, language: str) -> None:
    """Let a person read this language from now on."""

    async def change() -> None:
        async with service.database.service() as c:
            await people.set_language(c, person, language)

    service.run(change())
