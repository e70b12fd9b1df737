"""What would have been an alarm, and was learned too late to call anybody: dated, for the doctor to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg.types.json import Jsonb

from store.postgres import Connection, rows, value

_NOTE: Final[LiteralString] = (
    "n.id, n.resident_id, n.rule, n.protocol, n.priority, n.happened_at, n.learned_at, n.evidence, "
    "n.seen_at, n.seen_by, p.name_zh, p.name_en FROM late_note n LEFT JOIN person p ON p.id = n.seen_by"
)


@dataclass(frozen=True, slots=True)
class LateNote:
    """What happened, when, when it was learned, and who has seen it: ``seen_by`` and the names are ``None`` until then.

    ``evidence`` holds the values that speak for it, as those of an alert.
    """

    id: int
    resident_id: int
    rule: str
    protocol: str
    priority: str
    happened_at: datetime
    learned_at: datetime
    evidence: dict[str, Any]
    seen_at: datetime | None
    seen_by: UUID | None
    name_zh: str | None
    name_en: str | None

    def seer(self, language: str) -> str:
        """The name of who has seen it, as it is written in ``language``; empty until then."""
        return (self.name_zh if language == "zh_Hans" else self.name_en) or ""


async def add(
    c: Connection,
    *,
    resident_id: int,
    rule: str,
    protocol: str,
    priority: str,
    happened_at: datetime,
    learned_at: datetime,
    evidence: Mapping[str, Any],
) -> bool:
    """Write a note; returns whether it is new: of one rule and moment there is one."""
    done = await c.execute(
        "INSERT INTO late_note (resident_id, rule, protocol, priority, happened_at, learned_at, evidence) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [resident_id, rule, protocol, priority, happened_at, learned_at, Jsonb(dict(evidence))],
    )
    return done.rowcount == 1


async def unseen(c: Connection) -> list[LateNote]:
    """What nobody has seen yet of every resident the connection may see, newest happening first."""
    return await rows(
        c, LateNote, "SELECT " + _NOTE + " WHERE n.seen_at IS NULL ORDER BY n.resident_id, n.happened_at DESC"
    )


async def of_resident(c: Connection, resident_id: int, since: datetime) -> list[LateNote]:
    """A resident's notes, newest happening first: the unseen ones, and those learned since then."""
    return await rows(
        c,
        LateNote,
        "SELECT " + _NOTE + " WHERE n.resident_id = %s AND (n.seen_at IS NULL OR n.learned_at >= %s) "
        "ORDER BY n.happened_at DESC, n.id DESC",
        [resident_id, since],
    )


async def see(c: Connection, resident_id: int, note_id: int, person_id: UUID, now: datetime) -> bool:
    """Write down that she has seen it; ``False`` when somebody has before, or this resident has no such note."""
    found = await value(
        c,
        "UPDATE late_note SET seen_at = %s, seen_by = %s WHERE id = %s AND resident_id = %s AND seen_at IS NULL RETURNING id",
        [now, person_id, note_id, resident_id],
    )
    return found is not None
