"""Writing something down about a resident, from whichever page."""

from __future__ import annotations

from fastapi import Request

from alerts import actions
from clinicians.visitor import Refused, Visitor
from store.postgres import Database


async def keep_note(
    request: Request, visitor: Visitor, resident_id: int, text: str, alert_id: int | None = None
) -> None:
    """Keep a note; raises :class:`Refused` with 404 for a resident not in the visitor's care, 400 for an empty note."""
    words = text.strip()
    if not words:
        raise Refused(400)
    database: Database = request.app.state.database
    try:
        async with database.service() as c:
            await actions.add_note(c, resident_id, visitor.person_id, words, visitor.now, alert_id=alert_id)
    except actions.NotAllowed:
        raise Refused(404) from None
