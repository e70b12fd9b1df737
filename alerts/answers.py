"""What people answer to a message, and what they hear back; each in the caller's transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import Counter

from alerts import actions, replies, wording
from alerts.calls import Caller, about
from alerts.lifecycle import TransitionError
from alerts.replies import Reply
from store import alerts, messages, people
from store.alerts import AlertRow
from store.people import Person
from store.postgres import Connection

log = structlog.get_logger(__name__)

REPLIES: Final = Counter("hearthwatch_replies_total", "Replies by SMS, by what was done about them.", ["outcome"])

_REMEMBERED: Final = timedelta(days=1)
"""How long after a call a late reply is still taken to mean it."""


async def answer_sms(c: Connection, sid: str, phone: str, body: str, now: datetime) -> str | None:
    """Somebody has answered by SMS. Returns what to say back; each reply counts once, however often it is delivered."""
    person = await people.person_by_phone(c, phone)
    person_id = None if person is None else person.id
    if not await messages.note_inbound(c, sid, phone, body[:1600], person_id, now, "received"):
        return None
    if person is None:
        outcome, answer = "unknown_number", None
        log.warning("reply_from_unknown_number", sid=sid)
    elif replies.belongs_to_carrier(body):
        outcome, answer = "carrier_word", None
        log.warning("reply_is_for_the_carrier", person=str(person.id), word=body.strip().lower())
    else:
        outcome, answer = await _understood(c, person, replies.understand(body), now)
    await messages.set_inbound_outcome(c, sid, outcome)
    REPLIES.labels(outcome).inc()
    return answer


async def _understood(c: Connection, person: Person, reply: Reply, now: datetime) -> tuple[str, str]:
    if reply.verb == "unknown":
        return "not_understood", wording.help_text(person.language)
    row, question = await _meant(c, person, reply, now)
    if row is None:
        return "which" if question else "nothing_waits", question or wording.nothing_waits(person.language)
    act = _take if reply.verb == "take" else _decline
    return await act(c, row, person, now)


async def _meant(c: Connection, person: Person, reply: Reply, now: datetime) -> tuple[AlertRow | None, str]:
    """The alert a reply is about, or the question that finds out."""
    if reply.code is not None:
        row = await alerts.by_reply_code(c, person.id, reply.code)
        return row, "" if row else wording.unknown_code(reply.code, person.language)
    waiting = await alerts.waiting_for(c, person.id)
    if len(waiting) == 1:
        return waiting[0], ""
    if not waiting:
        return await alerts.last_called_to(c, person.id, now - _REMEMBERED), ""
    caller = Caller(c, now)
    named = [(a.reply_code or 0, (await caller.resident(a.resident_id)).name(person.language)) for a in waiting]
    return None, wording.which(named, "1" if reply.verb == "take" else "2", person.language)


async def _take(c: Connection, row: AlertRow, person: Person, now: datetime) -> tuple[str, str]:
    resident = about(await Caller(c, now).resident(row.resident_id), person.language)
    try:
        await actions.acknowledge(c, row.id, person.id, now, "sms")
    except TransitionError as refused:
        if refused.code == "resolved":
            return "closed_already", wording.closed_already(resident, person.language)
        taker = await _taker(c, row.id)
        return "taken_already", wording.taken_already(resident, taker.name(person.language), person.language)
    return "taken", wording.receipt(resident, person.language)


async def _decline(c: Connection, row: AlertRow, person: Person, now: datetime) -> tuple[str, str]:
    resident = about(await Caller(c, now).resident(row.resident_id), person.language)
    if row.state == "acknowledged" and row.acknowledged_by != person.id:
        taker = await _taker(c, row.id)
        return "taken_already", wording.taken_already(resident, taker.name(person.language), person.language)
    try:
        following = await actions.decline(c, row.id, person.id, now, "sms")
    except TransitionError:
        return "closed_already", wording.closed_already(resident, person.language)
    named = [p.name(person.language) for p in following if p.id != person.id]
    return "declined", wording.declined(resident, person.language, named)


async def _taker(c: Connection, alert_id: int) -> Person:
    row = await alerts.for_update(c, alert_id)
    assert row is not None, "alerts are never deleted"
    taker = await people.person(c, row.acknowledged_by) if row.acknowledged_by else None
    assert taker is not None, "a taken alert says who took it"
    return taker
