"""Notices to those who run a centre: who they are, and what they have been told of late. Only the service may ask."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from store.people import Person
from store.postgres import Connection, rows, value

_LOCK: Final = 0x6E6F74696365


async def lock(c: Connection) -> bool:
    """Whether it is this transaction that may give notices; no other until it ends."""
    return bool(await value(c, "SELECT pg_try_advisory_xact_lock(%s)", [_LOCK]))


async def administrators(c: Connection, centre_id: int) -> list[Person]:
    """Who administers a centre."""
    return await rows(
        c,
        Person,
        "SELECT p.id, p.name_zh, p.name_en, p.phone, p.language, p.centre_id FROM person p JOIN account a ON a.person_id = p.id "
        "WHERE p.centre_id = %s AND a.face = 'administrator' AND a.disabled_at IS NULL ORDER BY p.id",
        [centre_id],
    )


async def told(c: Connection, person_ids: Sequence[UUID], since: datetime) -> dict[UUID, set[str]]:
    """What notices each of these people was sent since then, word for word."""
    cursor = await c.execute(
        "SELECT person_id, array_agg(body) FROM message WHERE person_id = ANY(%s) AND purpose = 'notice' AND created_at > %s "
        "GROUP BY person_id",
        [list(person_ids), since],
    )
    return {person: set(bodies) for person, bodies in await cursor.fetchall()}
