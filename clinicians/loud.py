"""What is said over every page of staff and administrators: everybody has been called, and nobody has come.

It is looked up with the page itself, so that it needs nothing but the page to be seen; ``base.html`` shows it, and
``static/alarm.js`` lets it sound.
"""

from __future__ import annotations

from typing import Final

from fastapi import Request

from store import portal
from store.postgres import Database

_SHOWN_TO: Final = frozenset({"doctor", "care_worker", "administrator"})


async def look(request: Request) -> None:
    """Put the alerts of this visitor's centre that nobody answers on the request; a dependency of every page."""
    visitor = request.state.visitor
    if visitor.face in _SHOWN_TO:
        database: Database = request.app.state.database
        async with database.reader(visitor.person_id) as c:
            request.state.loud = await portal.exhausted(c)
