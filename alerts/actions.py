"""What people do to alerts, from a page or by SMS; each in the caller's transaction.

Every function locks the alert first, so that two people who answer at once are first and second. Refusals are
:class:`~alerts.lifecycle.TransitionError`, in words, or :class:`NotAllowed`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from alerts import deliveries, lifecycle
from alerts.calls import Caller, move, standing
from alerts.channels import Receipt
from alerts.channels.sms import outcome_of
from alerts.escalation import call_number
from alerts.lifecycle import Alert, TransitionError
from store import alerts, messages, notes, people
from store.alerts import AlertRow
from store.people import Person
from store.postgres import Connection

log = structlog.get_logger(__name__)

LEFT: Final = "left"
"""The outcome of an alert whose resident has left the service."""


class NotAllowed(Exception):
    """This person neither cares for the resident nor has been called to the alert, or there is no such alert."""


async def acknowledge(c: Connection, alert_id: int, person_id: UUID, now: datetime, channel: str) -> None:
    """Take an alert: nobody else is called, and those who were are told. Taking it twice changes nothing."""
    row = await _allowed(c, alert_id, person_id)
    before = standing(row)
    after = lifecycle.acknowledge(before, person_id, now)
    if after == before:
        return
    await _write(c, row, after, "acknowledged", person_id, now, channel)
    await messages.cancel_unsent(c, row.id)
    taker = await people.person(c, person_id)
    assert taker is not None, "whoever may act is a person of the record"
    await Caller(c, now).tell_taken(row, taker)


async def decline(c: Connection, alert_id: int, person_id: UUID, now: datetime, channel: str) -> list[Person]:
    """This person cannot come: the next is called at once. Returns who is being called instead, as far as known.

    She who had taken it gives it back.
    """
    row = await _allowed(c, alert_id, person_id)
    if row.state == "resolved":
        raise TransitionError("resolved", "the alert is closed already")
    await alerts.add_event(c, row.id, row.resident_id, "declined", at=now, person_id=person_id, channel=channel)
    if row.acknowledged_by == person_id and row.state == "acknowledged":
        await move(c, row, lifecycle.release(standing(row), person_id, now))
    row = await _locked(c, alert_id)
    following = await Caller(c, now).after_failure(row, call_number(row.step, row.rounds))
    known = await people.people(c, list(following))
    return [known[person] for person in following if person in known]


async def resolve(
    c: Connection, alert_id: int, person_id: UUID, now: datetime, outcome: str, channel: str = "page"
) -> None:
    """Close an alert and say what came of it."""
    row = await _allowed(c, alert_id, person_id)
    after = lifecycle.resolve(standing(row), person_id, now, outcome)
    await _write(c, row, after, "resolved", person_id, now, channel, outcome=after.outcome or "")
    await messages.cancel_unsent(c, row.id)


async def shelve(
    c: Connection, alert_id: int, person_id: UUID, now: datetime, until: datetime, channel: str = "page"
) -> None:
    """Put an alert aside until ``until``, at most a day; then it calls again by itself."""
    row = await _allowed(c, alert_id, person_id)
    after = lifecycle.shelve(standing(row), now, until)
    await _write(c, row, after, "shelved", person_id, now, channel, until=until.isoformat())
    await messages.cancel_unsent(c, row.id)


async def unshelve(c: Connection, alert_id: int, person_id: UUID, now: datetime, channel: str = "page") -> None:
    """Take an alert from the shelf: it calls at once, if it calls at all."""
    row = await _allowed(c, alert_id, person_id)
    await _write(c, row, lifecycle.unshelve(standing(row), now), "unshelved", person_id, now, channel)


async def end_of_who_left(c: Connection, now: datetime, limit: int) -> None:
    """Close the alerts of residents who have left: nobody is called about them any more."""
    for row in await alerts.of_who_left(c, now, limit):
        await move(c, row, lifecycle.end(standing(row), now, LEFT))
        await alerts.add_event(c, row.id, row.resident_id, "resolved", at=now, detail={"outcome": LEFT})
        await messages.cancel_unsent(c, row.id)


async def add_note(
    c: Connection, resident_id: int, person_id: UUID, text: str, now: datetime, alert_id: int | None = None
) -> None:
    """Write a note about a resident, or about one of her alerts."""
    if not await alerts.may_act(c, person_id, resident_id, alert_id):
        raise NotAllowed
    if alert_id is not None and (row := await alerts.alert(c, alert_id)) and row.resident_id != resident_id:
        raise NotAllowed
    await notes.add(c, resident_id, person_id, text, now, alert_id)


async def on_status(c: Connection, sid: str, status: str, error_code: str | None, now: datetime) -> None:
    """The network says what became of a message. ``sent`` is not delivered, and says nothing new."""
    outcome = outcome_of(status)
    if outcome is None:
        return
    message = await messages.by_sid(c, sid)
    if message is None:
        # It overtook the answer to the send itself; the dispatcher asks after what it has not heard of.
        log.info("status_of_unknown_message", sid=sid, status=status)
        return
    error = (error_code or status) if outcome == "failed" else None
    await deliveries.settle(c, message, Receipt(sid, outcome, error), now)


async def _allowed(c: Connection, alert_id: int, person_id: UUID) -> AlertRow:
    row = await alerts.for_update(c, alert_id)
    if row is None or not await alerts.may_act(c, person_id, row.resident_id, row.id):
        raise NotAllowed
    return row


async def _locked(c: Connection, alert_id: int) -> AlertRow:
    row = await alerts.for_update(c, alert_id)
    assert row is not None, "alerts are never deleted"
    return row


async def _write(
    c: Connection, row: AlertRow, after: Alert, kind: str, person_id: UUID, now: datetime, channel: str, **detail: str
) -> None:
    await move(c, row, after)
    await alerts.add_event(
        c, row.id, row.resident_id, kind, at=now, person_id=person_id, channel=channel, detail=detail
    )
