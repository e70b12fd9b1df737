"""Who looked at whom, who signed in, who changed what. Only ever added to."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from store.postgres import Connection


async def record(
    c: Connection, action: str, person_id: UUID | None = None, resident_id: int | None = None, **detail: Any
) -> None:
    """Write one line; ``action`` is a short code such as ``signed_in`` or ``opened_resident``."""
    await c.execute(
        "INSERT INTO audit (person_id, resident_id, action, detail) VALUES (%s, %s, %s, %s)",
        [person_id, resident_id, action, Jsonb(detail)],
    )
