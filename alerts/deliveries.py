"""What becomes of a message, whoever says so: the answer to a send, a callback, or a look-up.

States only go forward: ``due``, ``sending``, ``uncertain``, ``sent``, then ``delivered`` or ``failed``; what comes
late, twice or out of order changes nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from prometheus_client import Counter

from alerts.calls import Caller
from alerts.channels import Receipt
from store import alerts, messages
from store.alerts import AlertRow
from store.messages import MessageRow
from store.postgres import Connection

log = structlog.get_logger(__name__)

MESSAGES: Final = Counter("hearthwatch_messages_total", "Messages by what became of them.", ["outcome"])

_UNHEARD: Final = timedelta(seconds=20)
"""A callback that has not come by then is asked for."""
_ON_ITS_WAY: Final = ("due", "sending", "uncertain", "sent")


async def settle(c: Connection, message: MessageRow, receipt: Receipt, now: datetime) -> None:
    """The network has it, or has delivered it, or could not."""
    row = await _locked(c, message)
    if receipt.outcome == "failed":
        await _fail(c, row, message, receipt.error or "failed", now, {"provider_sid": receipt.sid})
        return
    changes: dict[str, Any] = {"provider_sid": receipt.sid, "state": "sent", "error": None}
    if message.sent_at is None:
        changes |= {"sent_at": now, "due_at": now + _UNHEARD}
    earlier: tuple[str, ...] = _ON_ITS_WAY[:-1]
    if receipt.outcome == "delivered":
        changes |= {"state": "delivered", "delivered_at": now}
        earlier = _ON_ITS_WAY
    if await messages.update(c, message.id, changes, only_from=earlier):
        MESSAGES.labels(receipt.outcome).inc()
        await _trail(c, message, receipt.outcome, now)


async def fail(c: Connection, message: MessageRow, error: str, now: datetime) -> None:
    """It will not arrive: the next person is called at once."""
    await _fail(c, await _locked(c, message), message, error, now, {})


async def _fail(
    c: Connection, row: AlertRow | None, message: MessageRow, error: str, now: datetime, also: dict[str, Any]
) -> None:
    if not await messages.update(c, message.id, {"state": "failed", "error": error, **also}, only_from=_ON_ITS_WAY):
        return
    MESSAGES.labels("failed").inc()
    log.warning("message_failed", message=message.id, alert=message.alert_id, purpose=message.purpose, error=error)
    await _trail(c, message, "failed", now, error=error)
    if row is not None and message.purpose == "alert":
        await Caller(c, now).after_failure(row, message.step)


async def again(c: Connection, message: MessageRow, due_at: datetime, error: str) -> None:
    """It was surely not sent: to be sent at ``due_at``, unless somebody has taken the alert meanwhile."""
    row = await _locked(c, message)
    waits = row is None or message.purpose != "alert" or row.state in ("raised", "notified")
    changes = {"state": "due", "due_at": due_at, "error": error} if waits else {"state": "cancelled", "error": error}
    await messages.update(c, message.id, changes, only_from=("sending", "uncertain"))
    MESSAGES.labels("again" if waits else "cancelled").inc()


async def doubt(c: Connection, message: MessageRow, look_at: datetime, error: str) -> None:
    """Nobody knows whether it was sent: to be looked up at ``look_at``."""
    changes = {"state": "uncertain", "due_at": look_at, "error": error}
    if await messages.update(c, message.id, changes, only_from=("sending",)):
        MESSAGES.labels("uncertain").inc()


async def _locked(c: Connection, message: MessageRow) -> AlertRow | None:
    return None if message.alert_id is None else await alerts.for_update(c, message.alert_id)


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
