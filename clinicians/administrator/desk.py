"""What the administrator's pages share: whose eyes they look with, and how a change is made and told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from uuid import UUID

from fastapi import Request

from clinicians.doctor import words_of
from clinicians.visitor import Refused, Visitor
from clinicians.words import N_, Words
from store.administration import NotAllowed
from store.postgres import Connection, Database

_TOLD: Final = {
    "revoked": N_("It is not let in any more."),
    "registered": N_("Registered. The gateway begins with it within half a minute."),
    "described": N_("Changed."),
    "moved": N_("It belongs to somebody else from now on. What it measured before stays where it was."),
    "shared": N_("From now on each reading is filed under the person whose button was pressed."),
    "unshared": N_("From now on every reading is filed under the resident to whom it belongs."),
    "removed": N_("It is not collected from any more. Its readings stay."),
    "type_added": N_("The type is there. A new device whose name fits is taken for one of it."),
    "type_removed": N_("The type is gone."),
    "enrolled": N_("Enrolled. Say now who cares for her or him."),
    "granted": N_("From now on this person sees the readings and is told of alerts."),
    "ended": N_("From now on this person sees nothing of this resident."),
    "time_zone": N_("The centre's time zone is changed."),
    "try_again": N_("The next message is sent there, and shows whether it arrives."),
    "phone_written": N_("Written down. Ask her or him to confirm it on the page 'How I am reached'."),
}
"""What came of the form just sent, by its code in the address."""


def told(code: str, words: Words) -> str:
    """What came of the form just sent."""
    return words.gettext(_TOLD[code]) if code in _TOLD else ""


@asynccontextmanager
async def looking(request: Request, visitor: Visitor) -> AsyncIterator[tuple[Connection, Words]]:
    """The record as this administrator sees it, and her words."""
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        yield c, await words_of(c, visitor)


@asynccontextmanager
async def changing(request: Request, visitor: Visitor) -> AsyncIterator[tuple[Connection, UUID]]:
    """The record for a change by this administrator: what is not hers to change is not there (404)."""
    database: Database = request.app.state.database
    try:
        async with database.service() as c:
            yield c, visitor.person_id
    except NotAllowed:
        raise Refused(404) from None


def plain(text: str) -> str:
    """What was typed, without what nobody can see or what turns the words around it."""
    return " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())
