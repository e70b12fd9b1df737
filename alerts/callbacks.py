"""What the telephone network says of its own accord about a message or a call.

Each word may come twice, late, or out of order, before the answer to the request itself, or in its place: a callback
is addressed with the number of its message, so that it is believed without anything else having been heard.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog

from alerts import deliveries, wording
from alerts.channels import Receipt, sms, voice
from alerts.conversations import conversations, waiting
from store import messages, people, replies
from store.messages import MessageRow
from store.postgres import Connection

log = structlog.get_logger(__name__)

_REMEMBERED: Final = timedelta(days=1)
"""How long after a call somebody who rings back is still taken to mean it."""


async def of_sms(
    c: Connection, message_id: int | None, sid: str, status: str, error_code: str | None, now: datetime
) -> None:
    """A message's status has changed. Any status says that the network has it; ``sent`` is not delivered."""
    outcome = sms.outcome_of(status) or "sent"
    error = (error_code or status) if outcome == "failed" else None
    await _settle(c, message_id, Receipt(sid, outcome, error), now)


async def of_call(c: Connection, message_id: int, sid: str, status: str, answered_by: str, now: datetime) -> None:
    """A call's status has changed."""
    await _settle(c, message_id, voice.receipt(sid, status, answered_by), now)


async def answered(c: Connection, message_id: int, sid: str, by: voice.Answerer, now: datetime) -> MessageRow | None:
    """Somebody or something has answered a call: what is to be read, or ``None`` when there is no such message.

    A person hears it now, which is as delivered as a call gets; a machine does not, and the next person is called.
    """
    message = await messages.message(c, message_id)
    if message is None or message.channel != "voice":
        log.warning("call_about_nothing", message=message_id, sid=sid)
        return None
    if by == "person":
        await _settle(c, message_id, Receipt(sid, "delivered"), now)
    elif by == "machine":
        await _settle(c, message_id, Receipt(sid, "failed", voice.MACHINE), now)
    return message


async def rung_back(c: Connection, phone: str, now: datetime) -> tuple[str, str]:
    """Somebody rings up the number that has called her: the kind of what to say to her, and the language.

    That something waits, and never what: who rings can pretend to any number.
    """
    person = await people.person_by_phone(c, phone)
    if person is None:
        return "unknown_number", wording.ZH if phone.startswith("+86") else "en"
    called_to = conversations(person.id, await replies.called_to(c, person.id, now - _REMEMBERED))
    return ("machine" if waiting(called_to) else "nothing_waits"), person.language


async def _settle(c: Connection, message_id: int | None, receipt: Receipt, now: datetime) -> None:
    message = await messages.by_sid(c, receipt.sid) if message_id is None else await messages.message(c, message_id)
    if message is None:
        # Without its number it overtook the answer to the send itself; the dispatcher asks after what it misses.
        log.info("callback_about_unknown_message", sid=receipt.sid, outcome=receipt.outcome)
        return
    if message.provider_sid not in (None, receipt.sid) and receipt.outcome != "delivered":
        log.info("callback_about_a_copy", message=message.id, sid=receipt.sid, outcome=receipt.outcome)
        return
    await deliveries.settle(c, message, receipt, now)
