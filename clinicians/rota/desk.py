"""What the pages of the rota and of the policies share: the administrator's centre, and how a change is made.

Who is on duty takes absences and who has a telephone, which no reader sees. So these pages ask as the service, and
only of the centre that the visitor herself administers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from fastapi import Request

from clinicians.visitor import Refused, Visitor
from clinicians.words import Words
from store import administration, portal
from store.administration import NotAllowed
from store.people import Centre
from store.postgres import Connection, Database


@dataclass(frozen=True, slots=True)
class Office:
    """An administrator at her desk, or somebody of the staff, at one moment."""

    c: Connection
    by: UUID
    centre: Centre
    words: Words

    @property
    def now(self) -> datetime:
        """The moment, in UTC."""
        return self.words.now


@asynccontextmanager
async def office(request: Request, visitor: Visitor) -> AsyncIterator[Office]:
    """One transaction for the visitor's own centre. What is not of it is not there (404)."""
    database: Database = request.app.state.database
    try:
        async with database.service() as c:
            centre = await administration.centre_of(c, visitor.person_id)
            words = Words.of(visitor.language, centre.time_zone, request.app.state.clock())
            yield Office(c, visitor.person_id, centre, words)
    except NotAllowed:
        raise Refused(404) from None


@asynccontextmanager
async def staff_room(request: Request, visitor: Visitor) -> AsyncIterator[Office]:
    """The same for somebody of the staff, who looks at the rota of her own centre and changes what is her own."""
    database: Database = request.app.state.database
    try:
        async with database.service() as c:
            centre = await portal.centre_of(c, visitor.person_id)
            if centre is None:
                raise Refused(404)
            words = Words.of(visitor.language, centre.time_zone, request.app.state.clock())
            yield Office(c, visitor.person_id, centre, words)
    except NotAllowed:
        raise Refused(404) from None
