"""What the telephone network tells and asks us: replies, deliveries, calls; believed only with a valid signature.

The signature covers the address that was called. That is always taken from the settings: a header that says
otherwise is somebody else's word.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Final, TypeVar

import structlog
from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import FormData
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse

from alerts import answers, callbacks
from alerts.channels import twiml, voice
from alerts.channels.sms import STATUS_PATH
from alerts.channels.voice import VOICE_PATH
from api.gateways import address_of
from api.problems import Problem
from api.settings import Settings
from store import messages
from store.messages import MessageRow
from store.postgres import Connection, Database, Unavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

SMS: Final = "/webhooks/twilio/sms"
STATUS: Final = STATUS_PATH
VOICE: Final = VOICE_PATH
CALL: Final = "/webhooks/twilio/call"
_MOST_ASKED: Final = 3
"""How often somebody who presses other keys is asked for the right one."""
_PATIENCE_S: Final = 8.0
_FIRST_PAUSE_S: Final = 0.1


async def signed(request: Request) -> FormData:
    """The form of a request that Twilio signed with our secret. Raises :class:`Problem` 403 otherwise."""
    settings: Settings = request.app.state.settings
    form = await request.form()
    query = f"?{request.url.query}" if request.url.query else ""
    called = settings.public_url + request.url.path + query
    signature = request.headers.get("x-twilio-signature", "")
    token = settings.twilio_auth_token
    if token is None or not RequestValidator(token.get_secret_value()).validate(called, form, signature):
        log.warning("webhook_refused", path=request.url.path, address=address_of(request))
        raise Problem(403, "bad_signature", "this request does not bear the signature of our telephone provider")
    return form


router = APIRouter(include_in_schema=False)

Signed = Annotated[FormData, Depends(signed)]


@router.post(SMS)
async def on_sms(request: Request, form: Signed) -> Response:
    """A reply by SMS. The answer goes back in the response."""
    sid, phone, body = (_field(form, name) for name in ("MessageSid", "From", "Body"))
    said = await _recorded(request, lambda c, now: answers.answer_sms(c, sid, phone, body, now))
    response = MessagingResponse()
    for words in said:
        response.message(words)
    return _twiml(str(response))


@router.post(STATUS)
@router.post(STATUS + "/{message}")
async def on_status(request: Request, form: Signed, message: int | None = None) -> Response:
    """What became of a message that was sent."""
    sid, status, error = (_field(form, name) for name in ("MessageSid", "MessageStatus", "ErrorCode"))
    await _recorded(request, lambda c, now: callbacks.of_sms(c, message, sid, status, error or None, now))
    return Response(status_code=204)


@router.post(CALL)
async def on_call(request: Request, form: Signed) -> Response:
    """Somebody rings up our number."""
    kind, language = await _recorded(request, lambda c, now: callbacks.rung_back(c, _field(form, "From"), now))
    return _twiml(twiml.say_kind(kind, language))


@router.post(VOICE + "/{message}")
async def on_answered(request: Request, form: Signed, message: int) -> Response:
    """Somebody or something has answered a call: what it hears."""
    return await _pick_up(request, form, message, voice.answerer(_field(form, "AnsweredBy")))


@router.post(VOICE + "/{message}/listen")
async def on_listening(request: Request, form: Signed, message: int) -> Response:
    """Who might have been a machine has pressed a key, and hears it now."""
    return await _pick_up(request, form, message, "person")


async def _pick_up(request: Request, form: FormData, message: int, by: voice.Answerer) -> Response:
    async def note(c: Connection, now: datetime) -> tuple[MessageRow | None, str | None]:
        called = await callbacks.answered(c, message, _field(form, "CallSid"), by, now)
        late = await answers.overtaken(c, called, now) if called is not None and by == "person" else None
        return called, late

    called, late = await _recorded(request, note)
    if called is None:
        return _twiml(twiml.nothing())
    if late:
        return _twiml(twiml.say(late, called.language))
    if by == "machine":
        return _twiml(twiml.for_machine(called))
    return _twiml((twiml.read if by == "person" else twiml.ask)(called, _webhook(request, message)))


@router.post(VOICE + "/{message}/key")
async def on_key(request: Request, form: Signed, message: int, asked: int = 1) -> Response:
    """A key: 1 takes it, 2 passes it on, any other is asked for again."""
    called = await _recorded(request, lambda c, _: messages.message(c, message))
    if called is None:
        return _twiml(twiml.nothing())
    key = _field(form, "Digits")
    heard = await _recorded(request, lambda c, now: answers.answer_key(c, message, key, now))
    if not heard.again:
        return _twiml(twiml.say(heard.said, called.language))
    if asked >= _MOST_ASKED:
        return _twiml(twiml.give_up(called.language))
    action = f"{_webhook(request, message)}/key?asked={asked + 1}"
    return _twiml(twiml.say_and_ask(heard.said, called.language, action))


@router.post(VOICE + "/{message}/status")
async def on_call_status(request: Request, form: Signed, message: int) -> Response:
    """What became of a call."""
    sid, status, by = (_field(form, name) for name in ("CallSid", "CallStatus", "AnsweredBy"))
    await _recorded(request, lambda c, now: callbacks.of_call(c, message, sid, status, by, now))
    return Response(status_code=204)


async def _recorded(request: Request, work: Callable[[Connection, datetime], Awaitable[T]]) -> T:
    """Do ``work`` in one transaction: again while the record is away, for the network asks once and waits 15 s."""
    database: Database = request.app.state.database
    until_s, pause_s = asyncio.get_running_loop().time() + _PATIENCE_S, _FIRST_PAUSE_S
    while True:
        try:
            async with database.service() as c:
                return await work(c, request.app.state.clock())
        except Unavailable as error:
            if asyncio.get_running_loop().time() + pause_s > until_s:
                raise
            log.warning("webhook_waits_for_database", path=request.url.path, error=str(error))
            await asyncio.sleep(pause_s)
            pause_s *= 2


def _webhook(request: Request, message: int) -> str:
    settings: Settings = request.app.state.settings
    return f"{settings.public_url}{VOICE}/{message}"


def _twiml(document: str) -> Response:
    return Response(document, media_type="application/xml")


def _field(form: FormData, name: str) -> str:
    found = form.get(name)
    return found.replace("\0", "") if isinstance(found, str) else ""
