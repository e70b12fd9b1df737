"""Doing something to an alert from a page: as the service, with what came of it in words on the page one comes back to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import Request, Response

from alerts import actions
from alerts.lifecycle import TransitionError
from clinicians.pages import back_to
from clinicians.visitor import Refused
from clinicians.words import N_, Words
from store.postgres import Connection, Database

_TOLD: Final = {
    "taken": N_("A colleague has taken it already."),
    "resolved": N_("It is closed already."),
    "not_waiting": N_("Nobody needs to be called for it any more."),
    "acknowledged": N_("It is yours. Thank you. The others have been told."),
    "attended": N_("Good that you are there. Close it when all is done, and say what came of it."),
    "not_yours": N_("It is not yours any more: others are being called."),
    "declined": N_("All right. The next colleague is being called."),
    "closed": N_("Closed. Thank you."),
    "judged": N_("It is written down. Thank you."),
    "shelved": N_("Put aside. It calls again by itself."),
    "shelf_time": N_("It can be put aside for up to 24 hours."),
    "no_outcome": N_("Please say what came of it before you close it."),
    "noted": N_("The note is kept."),
    "refused": N_("That cannot be done with this alert just now."),
}
"""What happened to the form just sent, by its code in the address."""


def in_words(code: str, words: Words) -> str:
    """What came of the form just sent; empty when there was none."""
    return words.gettext(_TOLD[code]) if code in _TOLD else ""


async def act(
    request: Request, told: str, do: Callable[[Connection], Awaitable[object]], back: str = "/care"
) -> Response:
    """Do something to an alert as the service, and go back to where one was with what came of it."""
    database: Database = request.app.state.database
    try:
        async with database.service() as c:
            await do(c)
    except TransitionError as error:
        return back_to(back, error.code if error.code in _TOLD else "refused")
    except actions.NotAllowed:
        raise Refused(404) from None
    return back_to(back, told)


def written(code: str, remark: str) -> str:
    """An outcome as the record keeps it: its code, and what was remarked."""
    return ": ".join(part for part in (code, remark.strip()) if part)
