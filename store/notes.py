"""What staff write down about a resident."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from store.postgres import Connection, rows


@dataclass(frozen=True, slots=True)
class Note:
    """A note and who wrote it."""

    id: int
    alert_id: int | None
    at: datetime
    text: str
    name_zh: str
    name_en: str

    def author(self, language: str) -> str:
        """The author's name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


async def add(
    c: Connection, resident_id: int, author_id: UUID, text: str, at: datetime, alert_id: int | None = None
) -> None:
    """Write a note; 1 to 4,000 characters."""
    await c.execute(
        "INSERT INTO note (resident_id, alert_id, author_id, at, text) VALUES (%s, %s, %s, %s, %s)",
        [resident_id, alert_id, author_id, at, text],
    )


async def of_resident(c: Connection, resident_id: int, limit: int = 20) -> list[Note]:
    """A resident's notes, newest first."""
    return await rows(
        c,
        Note,
        "SELECT n.id, n.alert_id, n.at, n.text, p.name_zh, p.name_en FROM note n JOIN person p ON p.id = n.author_id "
        "WHERE n.resident_id = %s ORDER BY n.at DESC LIMIT %s",
        [resident_id, limit],
    )
