"""What the telephone network tells and asks us: replies, deliveries, calls; believed only with a valid signature.

The signature covers the address that was called. That is always taken from the settings: a header that says
otherwise is somebody else's word.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

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
from store.postgres import Database

log = structlog.get_logger(__name__)

SMS: Final = "/webhooks/twilio/sms"
STATUS: Final = STATUS_PATH
VOICE: Final = VOICE_PATH
CALL: Final = "/webhooks/twilio/call"
_MOST_ASKED: Final = 3
"""How often somebody who presses other keys is asked for the right one."""


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
    async with _database(request).service() as c:
        said = await answers.answer_sms(
            c, _field(form, "MessageSid"), _field(form, "From"), _field(form, "Body"), _now(request)
        )
    response = MessagingResponse()
    for words in said:
        response.message(words)
    return _twiml(str(response))


@router.post(STATUS)
@router.post(STATUS + "/{message}")
async def on_status(request: Request, form: Signed, message: int | None = None) -> Response:
    """What became of a message that was sent."""
    sid, status, error = (_field(form, name) for name in ("MessageSid", "MessageStatus", "ErrorCode"))
    async with _database(request).service() as c:
        await callbacks.of_sms(c, message, sid, status, error or None, _now(request))
    return Response(status_code=204)


@router.post(CALL)
async def on_call(request: Request, form: Signed) -> Response:
    """Somebody rings up our number."""
    async with _database(request).service() as c:
        kind, language = await callbacks.rung_back(c, _field(form, "From"), _now(request))
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
    now, late = _now(request), None
    async with _database(request).service() as c:
        called = await callbacks.answered(c, message, _field(form, "CallSid"), by, now)
        if called is not None and by == "person":
            late = await answers.overtaken(c, called, now)
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
    async with _database(request).service() as c:
        called = await messages.message(c, message)
        if called is None:
            return _twiml(twiml.nothing())
        heard = await answers.answer_key(c, message, _field(form, "Digits"), _now(request))
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
    async with _database(request).service() as c:
        await callbacks.of_call(c, message, sid, status, by, _now(request))
    return Response(status_code=204)


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def _now(request: Request) -> datetime:
    now: datetime = request.app.state.clock()
    return now


def _webhook(request: Request, message: int) -> str:
    settings: Settings = request.app.state.settings
    return f"{settings.public_url}{VOICE}/{message}"


def _twiml(document: str) -> Response:
    return Response(document, media_type="application/xml")


def _field(form: FormData, name: str) -> str:
    found = form.get(name)
    return found.replace("\0", "") if isinstance(found, str) else ""
