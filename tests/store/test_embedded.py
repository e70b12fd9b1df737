"""The embedded server keeps what it acknowledged, and the pools find it again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from store.embedded import EmbeddedError, EmbeddedPostgres
from store.migrate import migrate
from store.postgres import Database, Unavailable, value


@pytest.fixture
def folder(scratch: Path) -> Path:
    return scratch / f"own-{uuid4().hex[:6]}"


def test_a_kill_loses_no_acknowledged_row(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    acknowledged = 0
    for turn in range(3):
        dsn = server.start()
        with psycopg.connect(dsn, autocommit=True) as c:
            c.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
            for _ in range(50):
                c.execute("INSERT INTO kept VALUES (%s)", [turn])
                acknowledged += 1
            server.kill()
    with psycopg.connect(server.start()) as c:
        assert c.execute("SELECT count(*) FROM kept").fetchone() == (acknowledged,)
    server.stop()


def test_a_second_server_on_one_folder_is_refused_in_words(folder: Path) -> None:
    with EmbeddedPostgres(folder), pytest.raises(EmbeddedError, match="already running"):
        EmbeddedPostgres(folder).start()


@pytest.mark.anyio
async def test_the_database_away_is_said_and_recovers_by_itself(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    migrate(server.start())
    async with Database(server.dsn) as database:
        heard: asyncio.Queue[str] = asyncio.Queue()

        async def listen() -> None:
            async for note in database.listen():
                await heard.put(note["kind"])

        listener = asyncio.create_task(listen())
        assert await asyncio.wait_for(heard.get(), 10) == "reconnected"
        server.kill()
        with pytest.raises(Unavailable):
            async with database.service() as c:
                await value(c, "SELECT 1")
        server.start()
        for _ in range(100):
            try:
                async with database.service() as c:
                    assert await value(c, "SELECT 1") == 1
                break
            except Unavailable:
                await asyncio.sleep(0.1)
        else:
            pytest.fail("the pool never came back")
        assert await asyncio.wait_for(heard.get(), 20) == "reconnected"
        listener.cancel()
    server.stop()
