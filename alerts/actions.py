"""What people do to alerts, from a page or by SMS; each in the caller's transaction.

Every function locks the alert first, so that two people who answer at once are first and second. Refusals are
:class:`~alerts.lifecycle.TransitionError`, in words, or :class:`NotAllowed`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

import structlog

from alerts import deployment, lifecycle
from alerts.calls import Caller, move, standing
from alerts.lifecycle import Alert, TransitionError
from store import alerts, duty_changes, messages, notes, people
from store.alerts import AlertRow
from store.people import Person
from store.postgres import Connection

log = structlog.get_logger(__name__)

LEFT: Final = "left"
"""The outcome of an alert whose resident has left the service."""


class NotAllowed(Exception):
    """This person neither cares for the resident nor has been called to the alert, or there is no such alert."""


async def acknowledge(c: Connection, alert_id: int, person_id: UUID, now: datetime, channel: str) -> None:
    """Take an alert, and with it all others of this resident to which staff are called: they are one conversation.

    Nobody else is called, and those who were are told. Whoever takes it promises to be there within the time that its
    policy gives. Taking it twice changes nothing.
    """
    row, others = await _allowed(c, alert_id, person_id, now)
    caller = Caller(c, now)
    waiting = [other for other in others if standing(other).waits]
    for one in (row, *waiting):
        before = standing(one)
        after = lifecycle.acknowledge(before, person_id, now, await caller.attend_by(one))
        if after != before:
            by = {} if after.climb_at is None else {"attend_by": after.climb_at.isoformat()}
            await _write(c, one, after, "acknowledged", person_id, now, channel, **by)
            await _call_off(c, caller, one, person_id)


async def attend(c: Connection, alert_id: int, person_id: UUID, now: datetime, channel: str) -> None:
    """This person is with the resident, or speaks to her: for all alerts of hers to which staff are called.

    Nobody is called any more; the alerts stay until somebody says what came of them. Until then she is on a visit, and
    not called to anybody else.
    """
    row, others = await _allowed(c, alert_id, person_id, now)
    caller = Caller(c, now)
    if row.state != "attended":
        await _on_visit(c, caller, row, person_id)
    for one in (row, *(other for other in others if standing(other).waits or other.state == "acknowledged")):
        before = standing(one)
        after = lifecycle.attend(before, person_id, now)
        if after != before:
            await _write(c, one, after, "attended", person_id, now, channel)
            await _call_off(c, caller, one, person_id)


async def _on_visit(c: Connection, caller: Caller, row: AlertRow, person_id: UUID) -> None:
    centre_id = (await caller.resident(row.resident_id)).centre_id
    if person_id in {colleague.id for colleague in await people.staff(c, centre_id)}:
        await duty_changes.begin_absence(
            c, centre_id, person_id, "on_visit", caller.now, None, caller.now, by=person_id, alert_id=row.id
        )


async def _call_off(c: Connection, caller: Caller, row: AlertRow, person_id: UUID) -> None:
    """Nobody else is called about it, and those who were are told, unless they have been before."""
    await messages.cancel_unsent(c, row.id)
    if standing(row).waits:
        taker = await people.person(c, person_id)
        assert taker is not None, "whoever may act is a person of the record"
        await caller.tell_taken(row, taker)


async def decline(c: Connection, alert_id: int, person_id: UUID, now: datetime, channel: str) -> list[Person]:
    """This person cannot come: the next is called at once. Returns who is being called instead, as far as known.

    She who had taken it gives it back, and with it all she had taken of this resident, or was called to.
    """
    row, others = await _allowed(c, alert_id, person_id, now)
    if not standing(row).is_open:
        raise TransitionError("resolved", "the alert is closed already")
    hers = [
        other
        for other in others
        if other.acknowledged_by == person_id
        or (standing(other).waits and await messages.was_called(c, other.id, person_id))
    ]
    following: list[UUID] = []
    for one in (row, *hers):
        await alerts.add_event(c, one.id, one.resident_id, "declined", at=now, person_id=person_id, channel=channel)
        await messages.cancel_unsent(c, one.id, person_id)
        if one.acknowledged_by == person_id and one.state in ("acknowledged", "attended"):
            await move(c, one, lifecycle.release(standing(one), person_id, now))
            await duty_changes.end_visits(c, one.id, now)
        following += await Caller(c, now).after_failure(await _locked(c, one.id), one.call)
    known = await people.people(c, following)
    return [known[person] for person in dict.fromkeys(following) if person in known]


async def cancel(c: Connection, resident_id: int, person_id: UUID, now: datetime, channel: str = "page") -> int:
    """The resident says that she is well: what asked her, and nobody has been called to yet, is taken back.

    It stays on the board for a person to ask after. Returns how many alerts that were.
    """
    protocol = await deployment.in_force(c, now)
    cancelled = 0
    for row in await alerts.not_called_yet(c, resident_id):
        rule = protocol.rule(row.rule)
        if rule is None or rule.ask is None or rule.ask.kind != "are_you_well":
            continue
        await _write(c, row, lifecycle.cancel(standing(row), now), "cancelled", person_id, now, channel)
        cancelled += 1
    return cancelled


async def expire(c: Connection, now: datetime, limit: int) -> None:
    """End the tasks whose reason has been over for long: nobody can do anything about them."""
    for row in await alerts.expiring(c, now - lifecycle.TASK_KEPT, limit):
        await move(c, row, lifecycle.expire(standing(row), now))
        await alerts.add_event(c, row.id, row.resident_id, "expired", at=now)


async def resolve(
    c: Connection, alert_id: int, person_id: UUID, now: datetime, outcome: str, channel: str = "page"
) -> None:
    """Close an alert and say what came of it."""
    row, _ = await _allowed(c, alert_id, person_id, now)
    after = lifecycle.resolve(standing(row), person_id, now, outcome)
    await _write(c, row, after, "resolved", person_id, now, channel, outcome=after.outcome or "")
    await messages.cancel_unsent(c, row.id)
    await Caller(c, now).tell_closed(row, person_id)
    await duty_changes.end_visits(c, row.id, now)


async def shelve(
    c: Connection, alert_id: int, person_id: UUID, now: datetime, until: datetime, channel: str = "page"
) -> None:
    """Put an alert aside until ``until``, at most a day; then it calls again by itself."""
    row, _ = await _allowed(c, alert_id, person_id, now)
    after = lifecycle.shelve(standing(row), now, until)
    await _write(c, row, after, "shelved", person_id, now, channel, until=until.isoformat())
    await messages.cancel_unsent(c, row.id)
    await duty_changes.end_visits(c, row.id, now)


async def unshelve(c: Connection, alert_id: int, person_id: UUID, now: datetime, channel: str = "page") -> None:
    """Take an alert from the shelf: it calls at once, if it calls at all."""
    row, _ = await _allowed(c, alert_id, person_id, now)
    await _write(c, row, lifecycle.unshelve(standing(row), now), "unshelved", person_id, now, channel)


async def end_of_who_left(c: Connection, now: datetime, limit: int) -> None:
    """Close the alerts of residents who have left: nobody is called about them any more."""
    for row in await alerts.of_who_left(c, now, limit):
        await move(c, row, lifecycle.end(standing(row), now, LEFT))
        await alerts.add_event(c, row.id, row.resident_id, "resolved", at=now, detail={"outcome": LEFT})
        await messages.cancel_unsent(c, row.id)
        await duty_changes.end_visits(c, row.id, now)


async def add_note(
    c: Connection, resident_id: int, person_id: UUID, text: str, now: datetime, alert_id: int | None = None
) -> None:
    """Write a note about a resident, or about one of her alerts."""
    if not await alerts.may_act(c, person_id, resident_id, alert_id, now):
        raise NotAllowed
    if alert_id is not None and (row := await alerts.alert(c, alert_id)) and row.resident_id != resident_id:
        raise NotAllowed
    await notes.add(c, resident_id, person_id, text, now, alert_id)


async def _allowed(c: Connection, alert_id: int, person_id: UUID, now: datetime) -> tuple[AlertRow, list[AlertRow]]:
    """The alert, and the other open ones of its resident to which staff are called, all held for this transaction."""
    rows = {row.id: row for row in await alerts.conversation(c, alert_id)}
    row = rows.pop(alert_id, None)
    if row is None or not await alerts.may_act(c, person_id, row.resident_id, row.id, now):
        raise NotAllowed
    return row, [other for other in rows.values() if standing(other).calls_staff]


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
