"""What a browser says of a message that it got: that it has shown it, and which button was pressed.

Nobody has to be signed in for it, as nobody has to be for answering an SMS: whoever has the message has its token.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from alerts import answers, deliveries
from alerts.channels.push import ANSWER_PATH, is_push_service, is_subscription, receipt
from api.problems import Problem
from api.settings import Settings
from store import contacts, messages
from store.messages import MessageRow
from store.postgres import Connection, Database

log = structlog.get_logger(__name__)

_KEYS: Final = ("1", "2")
"""What a notification offers: as on the telephone, 1 takes it and 2 passes it on."""


class Renewed(BaseModel):
    """What a browser says whose push service has moved it."""

    old_endpoint: Annotated[str, Field(max_length=2000)]
    old_auth: Annotated[str, Field(max_length=60)]
    endpoint: Annotated[str, Field(max_length=2000)]
    p256dh: Annotated[str, Field(max_length=200)]
    auth: Annotated[str, Field(max_length=60)]


def token_is_right(request: Request, message: int, token: str) -> int:
    """The number of the message whose token this is. Raises :class:`Problem` 404 for any other."""
    settings: Settings = request.app.state.settings
    if settings.push_keys is None or not settings.push_keys.is_token(message, token):
        raise Problem(404, "no_such_message", "there is no such message")
    return message


router = APIRouter(prefix=ANSWER_PATH, include_in_schema=False)

Message = Annotated[int, Depends(token_is_right)]


@router.post("/renewed")
async def on_renewed(request: Request, told: Renewed) -> Response:
    """A browser listens somewhere else from now on: it proves by its old secret that it is the same."""
    settings: Settings = request.app.state.settings
    if not is_push_service(told.endpoint, settings.push_hosts) or not is_subscription(told.p256dh, told.auth):
        raise Problem(400, "no_push_service", "this is no subscription at a push service that we know")
    async with _database(request).service() as c:
        if not await contacts.renew(
            c, (told.old_endpoint, told.old_auth), (told.endpoint, told.p256dh, told.auth), _now(request)
        ):
            raise Problem(404, "no_such_browser", "no browser has listened there")
    return Response(status_code=204)


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
