"""Messages to people: due, sending, sent, delivered; and replies, each once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, LiteralString
from uuid import UUID

from psycopg import sql

from store.postgres import Connection, one, rows, value

_MESSAGE: Final[LiteralString] = (
    "id, alert_id, resident_id, step, purpose, priority, person_id, channel, address, language, subject, body, code, state, due_at, "
    "expires_at, attempts, provider, provider_sid, error, sending_at, sent_at, delivered_at, created_at"
)

_CALLS: Final = ("alert", "also")
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
_URGENCY: Final[Mapping[str, int]] = MappingProxyType({"high": 0, "medium": 1, "low": 2})
_WORST_FIRST: Final[LiteralString] = " ORDER BY array_position(ARRAY['high', 'medium', 'low'], priority), id "


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
class Lane:
    """Room for ``most`` messages of one priority in one channel."""

    channel: str
    priority: str
    most: int


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

    A call takes the place of an earlier one to the same person by the same channel that has not gone out yet: whoever cannot
    be sent to for an hour does not find twelve calls when she can. Returns the (alert, person, channel) of the new ones.
    """
    if not made:
        return set()
    await _supersede(c, [message for message in made if message.purpose in _CALLS and message.alert_id is not None])
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


async def _supersede(c: Connection, calls: Sequence[NewMessage]) -> None:
    await c.execute(
        "UPDATE message m SET state = 'cancelled', error = 'superseded' FROM unnest(%s::bigint[], %s::uuid[], %s::text[], %s::int[]) "
        "new (alert_id, person_id, channel, step) WHERE m.alert_id = new.alert_id AND m.person_id = new.person_id "
        "AND m.channel = new.channel AND m.step < new.step AND m.state = 'due' AND m.purpose = ANY(%s)",
        [
            [message.alert_id for message in calls],
            [message.person_id for message in calls],
            [message.channel for message in calls],
            [message.step for message in calls],
            list(_CALLS),
        ],
    )


async def claim_due(c: Connection, now: datetime, lanes: Iterable[Lane]) -> list[MessageRow]:
    """Take what is due, as far as each lane has room, mark it as being sent, and return it, high priority first.

    Another process's are passed over.
    """
    room = [(lane.channel, lane.priority, lane.most) for lane in lanes if lane.most > 0]
    if not room:
        return []
    channels, priorities, most = zip(*room, strict=True)
    found = await rows(
        c,
        MessageRow,
        "UPDATE message SET state = 'sending', sending_at = %(now)s, attempts = attempts + 1 WHERE id IN ("
        "SELECT due.id FROM unnest(%(channels)s::text[], %(priorities)s::text[], %(most)s::int[]) lane (channel, priority, most), "
        "LATERAL (SELECT id FROM message WHERE state = 'due' AND priority = lane.priority AND channel = lane.channel "
        "AND due_at <= %(now)s ORDER BY due_at, id LIMIT lane.most FOR UPDATE SKIP LOCKED) due) RETURNING " + _MESSAGE,
        {"now": now, "channels": list(channels), "priorities": list(priorities), "most": list(most)},
    )
    return sorted(found, key=lambda m: (_URGENCY[m.priority], m.id))


async def claim_uncertain(
    c: Connection, now: datetime, priorities: Sequence[str], stuck_before: datetime, limit: int, again_at: datetime
) -> list[MessageRow]:
    """Take messages of which nobody knows whether they were sent: an answer never came, or the sender died.

    High priority first; each again at ``again_at`` unless that is found out. One that is being sent since a time to come
    was taken by a clock that has been set back since: its sender is not waited for.
    """
    found = await rows(
        c,
        MessageRow,
        "UPDATE message SET state = 'uncertain', due_at = %(again)s WHERE id IN ("
        "SELECT id FROM message WHERE priority = ANY(%(priorities)s) AND ((state = 'uncertain' AND due_at <= %(now)s) "
        "OR (state = 'sending' AND (sending_at < %(stuck)s OR sending_at > %(now)s + (%(now)s - %(stuck)s))))"
        + _WORST_FIRST
        + "LIMIT %(limit)s FOR UPDATE SKIP LOCKED) RETURNING "
        + _MESSAGE,
        {
            "now": now,
            "priorities": list(priorities),
            "stuck": stuck_before,
            "limit": limit,
            "again": again_at,
        },
    )
    return sorted(found, key=lambda m: (_URGENCY[m.priority], m.id))


async def claim_unconfirmed(
    c: Connection,
    now: datetime,
    priorities: Sequence[str],
    channels: Collection[str],
    limit: int,
    again_at: datetime,
) -> list[MessageRow]:
    """Take messages that were sent by these channels and of which nothing has been heard, for asking.

    High priority first; each again at ``again_at``.
    """
    found = await rows(
        c,
        MessageRow,
        "UPDATE message SET due_at = %(again)s WHERE id IN (SELECT id FROM message "
        "WHERE state = 'sent' AND due_at <= %(now)s AND expires_at > %(now)s AND channel = ANY(%(channels)s) AND priority = ANY(%(priorities)s)"
        + _WORST_FIRST
        + "LIMIT %(limit)s FOR UPDATE SKIP LOCKED) RETURNING "
        + _MESSAGE,
        {"now": now, "limit": limit, "again": again_at, "channels": list(channels), "priorities": list(priorities)},
    )
    return sorted(found, key=lambda m: (_URGENCY[m.priority], m.id))


async def stranded(c: Connection, now: datetime, served: Collection[str], limit: int) -> list[MessageRow]:
    """What is due by a channel that the service no longer has."""
    return await rows(
        c,
        MessageRow,
        "SELECT " + _MESSAGE + " FROM message WHERE state = 'due' AND due_at <= %s AND channel <> ALL(%s) LIMIT %s",
        [now, list(served), limit],
    )


async def next_due(c: Connection) -> dict[tuple[str, str], datetime]:
    """When the next message of each (channel, priority) has to go out; without those where none waits."""
    cursor = await c.execute("SELECT channel, priority, min(due_at) FROM message WHERE state = 'due' GROUP BY 1, 2")
    return {(channel, priority): due_at for channel, priority, due_at in await cursor.fetchall()}


async def bring_back(c: Connection, now: datetime, slack: timedelta) -> int:
    """Let what was made by a clock that has been set back since be due now; returns how many.

    Otherwise a call of a minute ago would wait until the old clock's time is reached.
    """
    done = await c.execute(
        "UPDATE message SET due_at = %(now)s, created_at = %(now)s, expires_at = %(now)s + (expires_at - created_at) "
        "WHERE state = 'due' AND created_at > %(now)s + %(slack)s",
        {"now": now, "slack": slack},
    )
    return done.rowcount


async def bring_forward(c: Connection, alert_id: int, step: int, person_id: UUID, now: datetime) -> int:
    """Let the other ways of reaching a person for the same call be tried at once; returns how many."""
    done = await c.execute(
        "UPDATE message SET due_at = %(now)s WHERE alert_id = %(alert)s AND step = %(step)s AND person_id = %(person)s "
        "AND state = 'due' AND attempts = 0 AND due_at > %(now)s",
        {"now": now, "alert": alert_id, "step": step, "person": person_id},
    )
    return done.rowcount


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


async def for_update(c: Connection, message_id: int) -> MessageRow | None:
    """One message, held until the transaction ends. Of an alert: lock the alert first."""
    return await one(c, MessageRow, "SELECT " + _MESSAGE + " FROM message WHERE id = %s FOR UPDATE", [message_id])


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


async def cancel_unsent(c: Connection, alert_id: int, person_id: UUID | None = None) -> int:
    """Withdraw calls about an alert that have not gone out, of everybody or of one person; returns how many."""
    done = await c.execute(
        "UPDATE message SET state = 'cancelled' WHERE alert_id = %(alert)s AND purpose IN ('alert', 'also') AND state = 'due' "
        "AND (%(person)s::uuid IS NULL OR person_id = %(person)s)",
        {"alert": alert_id, "person": person_id},
    )
    return done.rowcount


async def was_called(c: Connection, alert_id: int, person_id: UUID) -> bool:
    """Whether this person has been called to an alert, or is about to be."""
    return bool(
        await value(
            c,
            "SELECT EXISTS (SELECT 1 FROM message WHERE alert_id = %s AND person_id = %s AND purpose IN ('alert', 'also') "
            "AND state <> 'cancelled')",
            [alert_id, person_id],
        )
    )


async def still_called(c: Connection, alert_id: int, call: int, channels: Collection[str]) -> set[UUID]:
    """Who has been sent this call of an alert by one of these channels, or is about to be, and did not prove unreachable."""
    cursor = await c.execute(
        "SELECT DISTINCT person_id FROM message WHERE alert_id = %s AND step = %s AND purpose IN ('alert', 'also') "
        "AND channel = ANY(%s) AND state IN ('due', 'sending', 'uncertain', 'sent', 'delivered')",
        [alert_id, call, list(channels)],
    )
    return {row[0] for row in await cursor.fetchall()}


async def give_up_on_address(c: Connection, alert_id: int, call: int, address: str, error: str) -> int:
    """Of this call send nothing more to an address that has proved dead; returns how many messages that were."""
    done = await c.execute(
        "UPDATE message SET state = 'failed', error = %s WHERE alert_id = %s AND step = %s AND address = %s AND state = 'due'",
        [error, alert_id, call, address],
    )
    return done.rowcount


async def oldest_due(c: Connection, now: datetime) -> datetime | None:
    """Since when the longest waiting message has been due; ``None`` when none waits."""
    found: datetime | None = await value(
        c, "SELECT min(due_at) FROM message WHERE state IN ('due', 'sending') AND due_at <= %s", [now]
    )
    return found


async def oldest_undelivered(c: Connection, now: datetime) -> datetime | None:
    """Since when the oldest message of high priority waits of which nobody knows yet that it was delivered."""
    found: datetime | None = await value(c, "SELECT oldest_high FROM chain_standing(%s)", [now])
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
