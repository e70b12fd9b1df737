"""The whole service over a test's own database, asked as its callers ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import httpx
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from pydantic import SecretStr

from api import sessions
from api.app import create_app
from api.gateways import hash_token
from api.settings import Settings
from store import gateways
from store.pairing import issue_code
from store.postgres import Database
from tests.api.callers import ACCOUNT, KEY, NUMBER, PUBLIC_URL, TOKEN
from tests.household import Household, furnish


def settings_for(database_url: str) -> Settings:
    """Settings of a service that neither watches nor sends: a test does that when it wants to."""
    return Settings(
        database_url=database_url,
        public_url=PUBLIC_URL,
        twilio_account_sid=ACCOUNT,
        twilio_auth_token=SecretStr(TOKEN),
        twilio_from=NUMBER,
        watch=False,
        dispatch=False,
    )


@asynccontextmanager
async def running(app: FastAPI) -> AsyncIterator[FastAPI]:
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture(autouse=True)
def quick_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 with the least memory: what it costs is for whoever guesses, not for these tests."""
    quick = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
    monkeypatch.setattr(sessions, "_hasher", quick)
    monkeypatch.setattr(sessions, "_NOBODY", quick.hash("nobody's"))


@pytest.fixture
async def home(database: Database) -> Household:
    """The household, its gateway holding :data:`KEY`."""
    now = datetime.now(UTC)
    async with database.service() as c:
        made = await furnish(c, now)
        code = await issue_code(c, made.centre, "stairway 9", now)
        assert code
        await c.execute("UPDATE gateway SET key_hash = %s WHERE id = %s", [hash_token(KEY), made.gateway])
        assert await gateways.by_key(c, hash_token(KEY)) is not None
    return made


@pytest.fixture
async def app(database_url: str) -> AsyncIterator[FastAPI]:
    async with running(create_app(settings_for(database_url))) as app:
        yield app


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A browser or gateway: cookies are kept, redirects are not followed, the service's faults are answers."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
        yield client
