"""Messages to people: due, sending, sent, delivered; and replies, each once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import sql

from store.postgres import Connection, one, rows, value

_MESSAGE: Final[LiteralString] = (
    "id, alert_id, resident_id, step, purpose, priority, person_id, channel, address, language, subject, body, code, state, due_at, "
    "expires_at, attempts, provider, provider_sid, error, sending_at, sent_at, delivered_at, created_at"
)

_TYPES: Final[Mapping[str, LiteralString]] = MappingProxyType(
    {
        "person_id": "uuid",
        "due_at": "timestamptz",
        "expires_at": "timestamptz",
        "made_at": "timestamptz",
        "alert_id": "bigint",
        "resident_id": "int",
        "step": "int",
        "code": "smallint",
    }
    | dict.fromkeys(("purpose", "priority", "channel", "address", "language", "body", "subject"), "text")
)


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message to one person.

    ``address`` is E.164 for ``sms`` and ``voice``, else as its channel has it; ``step`` the number of the alert's call.
    """

    id: int
    alert_id: int | None
    resident_id: int | None
    step: int
    purpose: str
    priority: str
    person_id: UUID
    channel: str
    address: str
    language: str
    subject: str
    body: str
    code: int | None
    state: str
    due_at: datetime
    expires_at: datetime
    attempts: int
    provider: str | None
    provider_sid: str | None
    error: str | None
    sending_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message to be sent at ``due_at``; ``code`` names the conversation in a reply."""

    purpose: str
    priority: str
    person_id: UUID
    channel: str
    address: str
    language: str
    body: str
    due_at: datetime
    expires_at: datetime
    made_at: datetime
    alert_id: int | None = None
    resident_id: int | None = None
    step: int = 0
    subject: str = ""
    code: int | None = None


async def add(c: Connection, made: Sequence[NewMessage]) -> set[tuple[int | None, UUID, str]]:
    """Put messages into the outbox, except those of which the same (alert, step, person, channel, purpose) is there.

    Returns the (alert, person, channel) of those that were not.
    """
    if not made:
        return set()
    names = [field.name for field in fields(NewMessage)]
    columns = sql.SQL(", ").join(sql.Identifier("created_at" if name == "made_at" else name) for name in names)
    arrays = sql.SQL(", ").join(sql.SQL("%s::" + _TYPES[name] + "[]") for name in names)
    cursor = await c.execute(
        sql.SQL(
            "INSERT INTO message ({}) SELECT * FROM unnest({}) ON CONFLICT DO NOTHING RETURNING alert_id, person_id, channel"
        ).format(columns, arrays),
        [[getattr(message, name) for message in made] for name in names],
    )
    return set(await cursor.fetchall())


async def claim_due(c: Connection, now: datetime, limit: int) -> list[MessageRow]:
    """Take what is due, mark it as being sent, and return it; another process's are passed over."""
    return await rows(
        c,
        MessageRow,
        "UPDATE message SET state = 'sending', sending_at = %(now)s, attempts = attempts + 1 WHERE id IN ("
        "SELECT id FROM message WHERE state = 'due' AND due_at <= %(now)s ORDER BY due_at, id LIMIT %(limit)s FOR UPDATE SKIP LOCKED"
        ") RETURNING " + _MESSAGE,
        {"now": now, "limit": limit},
    )


async def claim_uncertain(c: Connection, now: datetime, stuck_before: datetime, limit: int) -> list[MessageRow]:
    """Take messages of which nobody knows whether they were sent: an answer never came, or the sender died."""
    return await rows(
        c,
        MessageRow,
        "UPDATE message SET state = 'uncertain', due_at = %(now)s + interval '5 s' WHERE id IN ("
        "SELECT id FROM message WHERE (state = 'uncertain' AND due_at <= %(now)s) OR (state = 'sending' AND sending_at < %(stuck)s) "
        "ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED) RETURNING " + _MESSAGE,
        {"now": now, "stuck": stuck_before, "limit": limit},
    )


async def claim_unconfirmed(c: Connection, now: datetime, limit: int) -> list[MessageRow]:
    """Take messages that were sent and of which nothing has been heard, for asking; each again a minute later."""
    return await rows(
        c,
        MessageRow,
        "UPDATE message SET due_at = %(now)s + interval '60 s' WHERE id IN (SELECT id FROM message "
        "WHERE state = 'sent' AND due_at <= %(now)s AND expires_at > %(now)s ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED) "
        "RETURNING " + _MESSAGE,
        {"now": now, "limit": limit},
    )


async def next_due(c: Connection) -> datetime | None:
    """When the next message has to go out; ``None`` when none waits."""
    found: datetime | None = await value(c, "SELECT min(due_at) FROM message WHERE state = 'due'")
    return found


async def update(c: Connection, message_id: int, changes: dict[str, Any], *, only_from: tuple[str, ...] = ()) -> bool:
    """Set columns of one message; with ``only_from`` only while it is in one of those states. Says whether it did."""
    assignments = sql.SQL(", ").join(sql.SQL("{} = {}").format(sql.Identifier(k), sql.Placeholder(k)) for k in changes)
    query = sql.SQL(
        "UPDATE message SET {} WHERE id = %(message_id)s AND (%(any)s OR state = ANY(%(only_from)s))"
    ).format(assignments)
    done = await c.execute(
        query, {**changes, "message_id": message_id, "any": not only_from, "only_from": list(only_from)}
    )
    return done.rowcount == 1


async def message(c: Connection, message_id: int) -> MessageRow | None:
    """One message."""
    return await one(c, MessageRow, "SELECT " + _MESSAGE + " FROM message WHERE id = %s", [message_id])


async def by_sid(c: Connection, provider_sid: str) -> MessageRow | None:
    """The message the provider knows by this identifier."""
    return await one(c, MessageRow, "SELECT " + _MESSAGE + " FROM message WHERE provider_sid = %s", [provider_sid])


async def of_alert(c: Connection, alert_id: int) -> list[MessageRow]:
    """Every message about an alert, in order."""
    return await rows(c, MessageRow, "SELECT " + _MESSAGE + " FROM message WHERE alert_id = %s ORDER BY id", [alert_id])


async def gone_out(c: Connection, since: datetime) -> list[MessageRow]:
    """Messages made since then that the network has taken, in order."""
    return await rows(
        c,
        MessageRow,
        "SELECT " + _MESSAGE + " FROM message WHERE created_at >= %s AND state IN ('sent', 'delivered') ORDER BY id",
        [since],
    )


async def cancel_unsent(c: Connection, alert_id: int) -> int:
    """Withdraw calls about an alert that have not gone out; returns how many."""
    done = await c.execute(
        "UPDATE message SET state = 'cancelled' WHERE alert_id = %s AND purpose = 'alert' AND state = 'due'", [alert_id]
    )
    return done.rowcount


async def still_called(c: Connection, alert_id: int, call: int) -> set[UUID]:
    """Who has been sent this call of an alert, or is about to be, and did not prove unreachable."""
    cursor = await c.execute(
        "SELECT person_id FROM message WHERE alert_id = %s AND step = %s AND purpose = 'alert' "
        "AND state IN ('due', 'sending', 'uncertain', 'sent', 'delivered')",
        [alert_id, call],
    )
    return {row[0] for row in await cursor.fetchall()}


async def oldest_due(c: Connection) -> datetime | None:
    """Since when the longest waiting message has been due; ``None`` when none waits."""
    found: datetime | None = await value(
        c, "SELECT min(due_at) FROM message WHERE state IN ('due', 'sending') AND due_at <= now()"
    )
    return found


async def waiting(c: Connection) -> int:
    """How many messages have not gone out yet."""
    return int(await value(c, "SELECT count(*) FROM message WHERE state IN ('due', 'sending', 'uncertain')"))


async def set_inbound_outcome(c: Connection, provider_sid: str, outcome: str) -> None:
    """Say what was done about a reply."""
    await c.execute("UPDATE inbound SET outcome = %s WHERE provider_sid = %s", [outcome, provider_sid])


async def note_inbound(
    c: Connection, provider_sid: str, phone: str, body: str, person_id: UUID | None, now: datetime, outcome: str
) -> bool:
    """Remember a reply; ``False`` when the provider has delivered this one before."""
    done = await c.execute(
        "INSERT INTO inbound (provider_sid, phone, body, person_id, received_at, outcome) VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT DO NOTHING",
        [provider_sid, phone, body, person_id, now, outcome],
    )
    return done.rowcount == 1
