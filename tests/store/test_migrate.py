"""A database is brought to shape once, by one at a time, and never by a file that has changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import psycopg
import pytest

from store.migrate import Migration, MigrationError, migrate, migrations, pending
from tests.conftest import with_database


@pytest.fixture
def empty(server_dsn: str) -> str:
    name = f"empty_{uuid4().hex[:8]}"
    with psycopg.connect(server_dsn, autocommit=True) as c:
        c.execute(f'CREATE DATABASE "{name}"'.encode())
    return with_database(server_dsn, name)


def test_migrating_twice_changes_nothing(empty: str) -> None:
    assert migrate(empty) == [m.name for m in migrations()]
    assert migrate(empty) == []
    assert pending(empty) == []


def test_several_at_once_wait_for_each_other(empty: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: migrate(empty), range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(migrations())]


def test_a_file_that_was_applied_and_then_changed_is_refused(empty: str) -> None:
    migrate(empty)
    changed = [Migration(m.name, m.text + " ") for m in migrations()]
    with pytest.raises(MigrationError, match="has been changed since"):
        migrate(empty, changed)


def test_a_file_that_fails_leaves_nothing_behind(empty: str) -> None:
    broken = [*migrations(), Migration("9999_broken.sql", "CREATE TABLE half (id int); SELECT 1 / 0;")]
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty, broken)
    with psycopg.connect(empty) as c:
        assert c.execute("SELECT to_regclass('half'), to_regclass('resident')").fetchone() == (None, None)


def test_readings_are_a_hypertable_exactly_where_timescaledb_is(empty: str) -> None:
    migrate(empty)
    with psycopg.connect(empty) as c:
        has_timescale = c.execute("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'").fetchone() == (1,)
        if has_timescale:
            found = c.execute("SELECT hypertable_name FROM timescaledb_information.hypertables").fetchall()
            assert found == [("reading",)]
        else:
            assert c.execute("SELECT relkind FROM pg_class WHERE relname = 'reading'").fetchone() == ("r",)
