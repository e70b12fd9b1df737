"""What a browser says of a message that it got: that it has shown it, and which button was pressed.

Nobody has to be signed in for it, as nobody has to be for answering an SMS: whoever has the message has its token.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from alerts import answers, deliveries
from alerts.channels.push import ANSWER_PATH, receipt
from api.problems import Problem
from api.settings import Settings
from store import contacts, messages
from store.messages import MessageRow
from store.postgres import Connection, Database

log = structlog.get_logger(__name__)

_KEYS: Final = ("1", "2")
"""What a notification offers: as on the telephone, 1 takes it and 2 passes it on."""


def token_is_right(request: Request, message: int, token: str) -> int:
    """The number of the message whose token this is. Raises :class:`Problem` 404 for any other."""
    settings: Settings = request.app.state.settings
    if settings.push_keys is None or not settings.push_keys.is_token(message, token):
        raise Problem(404, "no_such_message", "there is no such message")
    return message


router = APIRouter(prefix=ANSWER_PATH, include_in_schema=False)

Message = Annotated[int, Depends(token_is_right)]


@router.post("/{message}/{token}/shown")
async def on_shown(request: Request, number: Message) -> Response:
    """A browser has shown it: it has arrived."""
    now = _now(request)
    async with _database(request).service() as c:
        found = await _message(c, number)
        await deliveries.settle(c, found, receipt(found.id, shown=True), now)
        await contacts.shown(c, found.person_id, now)
    return Response(status_code=204)


@router.post("/{message}/{token}/{key}")
async def on_key(request: Request, number: Message, key: str) -> Response:
    """A button was pressed. Returns what to say to her, as ``{"said": ...}``."""
    if key not in _KEYS:
        raise Problem(404, "no_such_button", "there is no such button")
    async with _database(request).service() as c:
        await _message(c, number)
        heard = await answers.answer_key(c, number, key, _now(request))
    return JSONResponse({"said": heard.said})


async def _message(c: Connection, number: int) -> MessageRow:
    found = await messages.message(c, number)
    if found is None or found.channel != "push":
        raise Problem(404, "no_such_message", "there is no such message")
    return found


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _now(request: Request) -> datetime:
    now: datetime = request.app.state.clock()
    return now
