"""Protocols as deployed: every one that was ever in force or staged, and what was decided about it.

Nothing here is ever changed or deleted. A protocol's texts are rows, a decision is answered by a later one, and what
is in force at a moment follows from the activations that stand.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, LiteralString

from psycopg.types.json import Jsonb

from store.postgres import Connection, one, rows, value

_LOCK: Final = 0x70726F746F636F6C
_KEPT: Final[LiteralString] = "version, digest, is_shipped, staged_at, staged_by, why"
_ACTIVATION: Final[LiteralString] = "id, version, at, decided_at, decided_by, why"


@dataclass(frozen=True, slots=True)
class Kept:
    """A protocol of the record. ``digest`` is SHA-256 over its files; ``is_shipped``: it came with a release."""

    version: str
    digest: str
    is_shipped: bool
    staged_at: datetime
    staged_by: str
    why: str


@dataclass(frozen=True, slots=True)
class Activation:
    """A protocol is in force from ``at`` on, until the next one is."""

    id: int
    version: str
    at: datetime
    decided_at: datetime
    decided_by: str
    why: str


async def lock(c: Connection) -> None:
    """Let decisions wait for each other until the transaction ends."""
    await c.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])


async def add(c: Connection, protocol: Kept, texts: Mapping[str, str]) -> None:
    """Keep a protocol with its TOML texts by file name. It must be new."""
    await c.execute(
        "INSERT INTO protocol (version, digest, texts, is_shipped, staged_at, staged_by, why) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [
            protocol.version,
            protocol.digest,
            Jsonb(dict(texts)),
            protocol.is_shipped,
            protocol.staged_at,
            protocol.staged_by,
            protocol.why,
        ],
    )


async def every(c: Connection) -> list[Kept]:
    """All protocols, in the order in which they came."""
    return await rows(c, Kept, "SELECT " + _KEPT + " FROM protocol ORDER BY staged_at, version")


async def kept(c: Connection, version: str) -> Kept | None:
    """One protocol, or ``None`` when the record has none of this version."""
    return await one(c, Kept, "SELECT " + _KEPT + " FROM protocol WHERE version = %s", [version])


async def texts(c: Connection, version: str) -> dict[str, str] | None:
    """A protocol's files, text by name in the order of their names."""
    found: dict[str, str] | None = await value(c, "SELECT texts FROM protocol WHERE version = %s", [version])
    return None if found is None else dict(sorted(found.items()))


async def activations(c: Connection) -> list[Activation]:
    """Every activation that stands, in the order in which they take effect."""
    return await rows(c, Activation, "SELECT " + _ACTIVATION + " FROM protocol_activation ORDER BY at, id")


async def in_force(c: Connection, at: datetime) -> Activation | None:
    """Which protocol is in force at a moment; before the first activation that first one, ``None`` without any."""
    return await one(
        c,
        Activation,
        "SELECT " + _ACTIVATION + " FROM protocol_activation ORDER BY at <= %(at)s DESC, "
        "abs(extract(epoch FROM at - %(at)s)), id DESC LIMIT 1",
        {"at": at},
    )


async def next_after(c: Connection, after: datetime) -> Activation | None:
    """The first activation that takes effect later than ``after``."""
    return await one(
        c,
        Activation,
        "SELECT " + _ACTIVATION + " FROM protocol_activation WHERE at > %s ORDER BY at, id LIMIT 1",
        [after],
    )


async def is_undecided(c: Connection, version: str) -> bool:
    """Whether this protocol was neither activated, or no longer stands so, nor declined."""
    return not await value(
        c,
        "SELECT EXISTS (SELECT 1 FROM protocol_activation WHERE version = %(version)s) "
        "OR EXISTS (SELECT 1 FROM protocol_decision WHERE version = %(version)s AND what = 'decline')",
        {"version": version},
    )


async def declined(c: Connection) -> set[str]:
    """The versions about which it was decided that they are not wanted."""
    cursor = await c.execute("SELECT version FROM protocol_decision WHERE what = 'decline'")
    return {row[0] for row in await cursor.fetchall()}


async def activate(c: Connection, version: str, at: datetime, by: str, why: str, now: datetime) -> None:
    """In force from ``at`` on."""
    await c.execute(
        "INSERT INTO protocol_decision (version, what, at, decided_at, decided_by, why) VALUES (%s, 'activate', %s, %s, %s, %s)",
        [version, at, now, by, why],
    )


async def cancel(c: Connection, activation: Activation, by: str, why: str, now: datetime) -> None:
    """An activation does not stand any more."""
    await c.execute(
        "INSERT INTO protocol_decision (version, what, cancels, decided_at, decided_by, why) VALUES (%s, 'cancel', %s, %s, %s, %s)",
        [activation.version, activation.id, now, by, why],
    )


async def decline(c: Connection, version: str, by: str, why: str, now: datetime) -> None:
    """Not wanted: nobody is reminded of it any more."""
    await c.execute(
        "INSERT INTO protocol_decision (version, what, decided_at, decided_by, why) VALUES (%s, 'decline', %s, %s, %s)",
        [version, now, by, why],
    )
