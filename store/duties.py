"""The duty rota: who is called first, second, and as supervisor."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from store.people import Person
from store.postgres import Connection


async def add(
    c: Connection, centre_id: int, person_id: UUID, step: int, starts_at: datetime, ends_at: datetime
) -> None:
    """Put a person on duty: step 1 is called first, 2 second, 3 is the supervisor."""
    await c.execute(
        "INSERT INTO duty (centre_id, person_id, step, starts_at, ends_at) VALUES (%s, %s, %s, %s, %s)",
        [centre_id, person_id, step, starts_at, ends_at],
    )


async def last_end(c: Connection, centre_id: int) -> datetime | None:
    """Until when the rota is written; ``None`` when it is empty."""
    row = await (await c.execute("SELECT max(ends_at) FROM duty WHERE centre_id = %s", [centre_id])).fetchone()
    return row[0] if row else None


async def on_duty(c: Connection, centre_id: int, now: datetime) -> dict[int, list[Person]]:
    """Who is on duty now, by step, of those who can be reached by telephone."""
    cursor = await c.execute(
        "SELECT d.step, p.id, p.name_zh, p.name_en, p.phone, p.language, p.centre_id FROM duty d JOIN person p ON p.id = d.person_id "
        "WHERE d.centre_id = %s AND d.starts_at <= %s AND d.ends_at > %s AND p.phone IS NOT NULL ORDER BY d.step, d.starts_at, d.id",
        [centre_id, now, now],
    )
    found: dict[int, list[Person]] = {}
    for step, *columns in await cursor.fetchall():
        found.setdefault(step, []).append(Person(*columns))
    return found
