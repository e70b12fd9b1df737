"""What becomes of a message, whoever says so: the answer to a send, a callback, or a look-up.

States only go forward: ``due``, ``sending``, ``uncertain``, ``sent``, then ``delivered`` or ``failed``; what comes
late, twice or out of order changes nothing. One word is not the network's but ours, and yields to it: ``unheard``, when
nothing was heard of a message for too long.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import structlog
from prometheus_client import Counter

from alerts import unreachable
from alerts.calls import Caller
from alerts.channels import Receipt
from alerts.lifecycle import WAITS
from store import alerts, messages
from store.alerts import AlertRow
from store.messages import MessageRow
from store.postgres import Connection

log = structlog.get_logger(__name__)

MESSAGES: Final = Counter("hearthwatch_messages_total", "Messages by what became of them.", ["outcome"])

ASK_AFTER: Final = timedelta(seconds=20)
"""A callback that has not come by then is asked for."""
UNHEARD_AFTER: Final[Mapping[str, timedelta]] = MappingProxyType(
    {"high": timedelta(seconds=60), "medium": timedelta(minutes=5), "low": timedelta(minutes=30)}
)
"""Whose delivery nobody has heard of by then counts as undelivered, and the next person is called (house defaults: a
receipt takes seconds, and each step of the shipped policies twice as long). A call rings for 25 s of it."""
UNHEARD: Final = "unheard"
CALLS: Final = ("alert", "also")
"""Purposes of messages that call somebody to an alert."""
_BEFORE_ANSWER: Final = ("due", "sending", "uncertain")
_LAST: Final = ("delivered", "failed", "cancelled")


async def settle(c: Connection, message: MessageRow, receipt: Receipt, now: datetime) -> None:
    """The network has it, or has delivered it, or could not."""
    if not _is_news(message, receipt):
        return  # what was read may have moved on since, but never back
    row, found = await _locked(c, message)
    if receipt.outcome == "failed":
        await _fail(c, row, found, receipt.error or "failed", now, _named(receipt))
    elif _leads_to(found, receipt.outcome):
        changes: dict[str, Any] = {**_named(receipt), "state": receipt.outcome, "error": None}
        if found.sent_at is None:
            changes |= {"sent_at": now, "due_at": now + ASK_AFTER}
        if receipt.outcome == "delivered":
            changes["delivered_at"] = now
        await messages.update(c, found.id, changes)
        MESSAGES.labels(receipt.outcome).inc()
        await _trail(c, found, receipt.outcome, now)
        if receipt.outcome == "delivered":
            await unreachable.heard(c, found)


async def fail(c: Connection, message: MessageRow, error: str, now: datetime) -> None:
    """It will not arrive: the next person is called at once."""
    await _fail(c, *await _locked(c, message), error, now, {})


async def _fail(
    c: Connection, row: AlertRow | None, message: MessageRow, error: str, now: datetime, also: dict[str, Any]
) -> None:
    if message.state in _LAST:
        return
    await messages.update(c, message.id, {**also, "state": "failed", "error": error})
    MESSAGES.labels("failed").inc()
    log.warning("message_failed", message=message.id, alert=message.alert_id, purpose=message.purpose, error=error)
    await _trail(c, message, "failed", now, error=error)
    await unreachable.note(c, message, error, now)
    if row is not None and message.purpose in CALLS:
        caller = Caller(c, now)
        await caller.other_ways(message, error)
        await caller.after_failure(row, message.step)


async def again(c: Connection, message: MessageRow, due_at: datetime, error: str) -> None:
    """It was surely not sent: to be sent at ``due_at``, unless somebody has taken the alert meanwhile."""
    row, found = await _locked(c, message)
    if found.state not in ("sending", "uncertain"):
        return
    waits = row is None or message.purpose not in CALLS or row.state in WAITS
    changes = {"state": "due", "due_at": due_at, "error": error} if waits else {"state": "cancelled", "error": error}
    await messages.update(c, found.id, changes)
    MESSAGES.labels("again" if waits else "cancelled").inc()


async def doubt(c: Connection, message: MessageRow, look_at: datetime, error: str) -> None:
    """Nobody knows whether it was sent: to be looked up at ``look_at``."""
    changes = {"state": "uncertain", "due_at": look_at, "error": error}
    if await messages.update(c, message.id, changes, only_from=("sending",)):
        MESSAGES.labels("uncertain").inc()


def is_overdue(message: MessageRow, now: datetime) -> bool:
    """Whether nothing has been heard of a message that was sent for too long."""
    return message.sent_at is not None and now >= message.sent_at + UNHEARD_AFTER[message.priority]


def _is_news(message: MessageRow, receipt: Receipt) -> bool:
    return message.state not in _LAST if receipt.outcome == "failed" else _leads_to(message, receipt.outcome)


def _leads_to(message: MessageRow, outcome: str) -> bool:
    """Whether this would be news, and no step back."""
    if message.state == "failed":
        return outcome == "delivered" and message.error == UNHEARD
    return message.state in _BEFORE_ANSWER or (message.state, outcome) == ("sent", "delivered")


def _named(receipt: Receipt) -> dict[str, Any]:
    return {"provider_sid": receipt.sid} | ({"provider": receipt.provider} if receipt.provider else {})


async def _locked(c: Connection, message: MessageRow) -> tuple[AlertRow | None, MessageRow]:
    row = None if message.alert_id is None else await alerts.for_update(c, message.alert_id)
    found = await messages.for_update(c, message.id)
    assert found is not None, "messages are never deleted"
    return row, found


async def _trail(c: Connection, message: MessageRow, kind: str, now: datetime, **detail: str) -> None:
    if message.alert_id is None or message.resident_id is None:
        return
    await alerts.add_event(
        c,
        message.alert_id,
        message.resident_id,
        kind,
        at=now,
        person_id=message.person_id,
        channel=message.channel,
        detail={"purpose": message.purpose, **detail},
    )
