"""One street for all the nights of a run: its database, its telephone exchange and its door are opened once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import psycopg
import pytest

from tests.conftest import with_database
from tests.nights.street import Street, open_street


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def street_url(server_dsn: str, template: str) -> Iterator[str]:
    name = f"nights_{uuid4().hex[:8]}"
    with psycopg.connect(server_dsn, autocommit=True) as c:
        c.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        try:
            yield with_database(server_dsn, name)
        finally:
            c.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())


@pytest.fixture(scope="session")
async def street(street_url: str) -> AsyncIterator[Street]:
    async with open_street(street_url) as opened:
        yield opened
