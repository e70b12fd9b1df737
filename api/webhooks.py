"""What the telephone network tells us: replies and deliveries, believed only with a valid signature.

The signature covers the address that was called. That is always taken from the settings: a header that says
otherwise is somebody else's word.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final

import structlog
from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import FormData
from twilio.request_validator import RequestValidator
from twilio.twiml.messaging_response import MessagingResponse

from alerts import actions, answers
from api.gateways import address_of
from api.problems import Problem
from api.settings import Settings
from store.postgres import Database

log = structlog.get_logger(__name__)

SMS: Final = "/webhooks/twilio/sms"
STATUS: Final = "/webhooks/twilio/status"


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


@router.post(SMS)
async def on_sms(request: Request, form: Annotated[FormData, Depends(signed)]) -> Response:
    """A reply by SMS. The answer goes back in the response."""
    database: Database = request.app.state.database
    async with database.service() as c:
        answer = await answers.answer_sms(
            c, _field(form, "MessageSid"), _field(form, "From"), _field(form, "Body"), datetime.now(UTC)
        )
    twiml = MessagingResponse()
    if answer:
        twiml.message(answer)
    return Response(str(twiml), media_type="application/xml")


@router.post(STATUS)
async def on_status(request: Request, form: Annotated[FormData, Depends(signed)]) -> Response:
    """What became of a message that was sent."""
    database: Database = request.app.state.database
    async with database.service() as c:
        await actions.on_status(
            c,
            _field(form, "MessageSid"),
            _field(form, "MessageStatus"),
            _field(form, "ErrorCode") or None,
            datetime.now(UTC),
        )
    return Response(status_code=204)


def _field(form: FormData, name: str) -> str:
    found = form.get(name)
    return found.replace("\0", "") if isinstance(found, str) else ""
