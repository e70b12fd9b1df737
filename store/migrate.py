"""Brings a database to the shape this version needs: numbered SQL files, forward only, each applied once.

Run by ``hearthwatch migrate``; several at once wait for each other. A file that was applied and then changed
is refused, because nobody could say any more what shape the record has.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import psycopg
from psycopg import sql

from store.postgres import Connection, value

ROLES: Final = ("hearthwatch_owner", "hearthwatch_service", "hearthwatch_reader")
_LOCK: Final = 0x48656172746877
_CHUNK_DAYS: Final = 7


class MigrationError(Exception):
    """The database cannot be brought to the shape this version needs; the message says why."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its name, text and SHA-256."""

    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def migrations() -> list[Migration]:
    """Every file of ``migrations/``, in the order of its number."""
    files = [f for f in resources.files("migrations").iterdir() if f.name.endswith(".sql")]
    return [Migration(f.name, f.read_text(encoding="utf-8")) for f in sorted(files, key=lambda f: f.name)]


def migrate(dsn: str, files: list[Migration] | None = None) -> list[str]:
    """Apply what is not applied yet, as one transaction, and return the names of the files applied.

    ``dsn`` is for a user who may create roles the first time. Raises :class:`MigrationError` when an applied
    file has changed or is missing.
    """
    wanted = migrations() if files is None else files
    with psycopg.connect(dsn, autocommit=False) as c:
        c.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        _create_roles(c)
        _create_timescale_extension(c)
        c.execute("SET LOCAL ROLE hearthwatch_owner")
        applied = _apply(c, wanted)
        _use_hypertable(c)
    return applied


def pending(dsn: str) -> list[str]:
    """The names of files this database still lacks; empty when its shape is right."""
    with psycopg.connect(dsn, autocommit=True) as c:
        return [m.name for m in migrations() if m.name not in _applied(c)]


async def lacking(c: Connection) -> list[str]:
    """The same, asked by the running service over a connection it holds."""
    if await value(c, "SELECT to_regclass('migration')") is None:
        return [m.name for m in migrations()]
    done = {name for (name,) in await (await c.execute("SELECT name FROM migration")).fetchall()}
    return [m.name for m in migrations() if m.name not in done]


def _create_roles(c: psycopg.Connection[tuple[Any, ...]]) -> None:
    for role in ROLES:
        name = sql.Identifier(role)
        exists = c.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        if not exists:
            try:
                with c.transaction():
                    c.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(name))
            except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
                pass  # another database of the same server was being migrated at the same moment
        if c.execute("SELECT pg_has_role(current_user, %s, 'member')", [role]).fetchone() != (True,):
            c.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(name))
    c.execute("GRANT ALL ON SCHEMA public TO hearthwatch_owner")


def _create_timescale_extension(c: psycopg.Connection[tuple[Any, ...]]) -> None:
    offered = c.execute(
        "SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb' AND installed_version IS NULL"
    ).fetchone()
    if offered:
        c.execute("CREATE EXTENSION timescaledb")


def _applied(c: psycopg.Connection[tuple[Any, ...]]) -> dict[str, str]:
    if c.execute("SELECT to_regclass('migration')").fetchone() == (None,):
        return {}
    found = c.execute("SELECT name, checksum FROM migration ORDER BY name").fetchall()
    return dict(found)


def _apply(c: psycopg.Connection[tuple[Any, ...]], wanted: list[Migration]) -> list[str]:
    c.execute(
        "CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    done = _applied(c)
    if unknown := done.keys() - {m.name for m in wanted}:
        raise MigrationError(f"this database was made by a newer version: it holds {', '.join(sorted(unknown))}")
    fresh = []
    for m in wanted:
        if m.name not in done:
            c.execute(m.text.encode())
            c.execute("INSERT INTO migration (name, checksum) VALUES (%s, %s)", [m.name, m.checksum])
            fresh.append(m.name)
        elif done[m.name] != m.checksum:
            raise MigrationError(
                f"{m.name} was applied to this database and has been changed since; write a new file instead"
            )
    return fresh


def _use_hypertable(c: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Where TimescaleDB is installed, keep readings in chunks of a week. The queries are the same either way."""
    if not c.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").fetchone():
        return
    c.execute(
        "SELECT create_hypertable('reading', by_range('measured_at', make_interval(days => %s)), "
        "if_not_exists => true, create_default_indexes => false, migrate_data => true)",
        [_CHUNK_DAYS],
    )
