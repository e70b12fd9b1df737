"""What somebody who answers can mean: the conversations she has been called to, and what was asked of her last."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from store.postgres import Connection, rows, value


@dataclass(frozen=True, slots=True)
class CalledTo:
    """An alert to which a person has been called, open or closed lately, and how its resident is named to her.

    ``taker_id`` has taken it, or is there. ``told_at`` is when she last got any message about it, a call or news of it.
    ``declined``: she has said since her last call that she cannot come.
    """

    alert_id: int
    resident_id: int
    code: int | None
    state: str
    climb_at: datetime | None
    taker_id: UUID | None
    taker_zh: str | None
    taker_en: str | None
    told_at: datetime
    declined: bool
    name_zh: str
    name_en: str
    address_zh: str
    address_en: str
    phone: str | None
    is_relative: bool
    called_zh: str | None
    called_en: str | None


async def called_to(c: Connection, person_id: UUID, since: datetime) -> list[CalledTo]:
    """The alerts to which this person has been called since then, or that she has taken uncalled, the worst first.

    Those closed before then are left out.
    """
    return await rows(
        c,
        CalledTo,
        """
        SELECT a.id AS alert_id, a.resident_id, a.reply_code AS code, a.state, a.climb_at, a.acknowledged_by AS taker_id,
               taker.name_zh AS taker_zh, taker.name_en AS taker_en,
               greatest(called.at, (SELECT max(m.created_at) FROM message m WHERE m.alert_id = a.id AND m.person_id = %(person)s
                                    AND m.state <> 'cancelled')) AS told_at,
               EXISTS (SELECT FROM alert_event e WHERE e.alert_id = a.id AND e.kind = 'declined' AND e.person_id = %(person)s
                       AND e.at >= called.at) AS declined,
               p.name_zh, p.name_en, r.address_zh, r.address_en, p.phone,
               family.person_id IS NOT NULL AS is_relative, family.called_zh, family.called_en
        FROM (SELECT alert_id, max(at) AS at FROM (
                  SELECT alert_id, created_at AS at FROM message WHERE person_id = %(person)s AND created_at >= %(since)s
                  AND purpose IN ('alert', 'also') AND state <> 'cancelled'
                  UNION ALL SELECT id, acknowledged_at FROM alert WHERE acknowledged_by = %(person)s AND step > 0
                  AND state NOT IN ('resolved', 'expired')) every GROUP BY alert_id) called
        JOIN alert a ON a.id = called.alert_id
        JOIN resident r ON r.id = a.resident_id
        JOIN person p ON p.id = r.person_id
        LEFT JOIN person taker ON taker.id = a.acknowledged_by
        LEFT JOIN relation family ON family.person_id = %(person)s AND family.resident_id = a.resident_id AND family.kind = 'family'
        WHERE a.state NOT IN ('resolved', 'expired') OR a.resolved_at >= %(since)s
        ORDER BY array_position(ARRAY['high', 'medium', 'low'], a.priority), a.id
        """,
        {"person": person_id, "since": since},
    )


async def has_left(c: Connection, person_id: UUID) -> bool:
    """Whether this person's account is closed."""
    return bool(
        await value(
            c, "SELECT EXISTS (SELECT FROM account WHERE person_id = %s AND disabled_at IS NOT NULL)", [person_id]
        )
    )


async def last_outcome(c: Connection, person_id: UUID, but: str, since: datetime) -> tuple[str, str] | None:
    """What was done about this person's last reply since then, as (outcome, body); ``but`` is the one being answered."""
    cursor = await c.execute(
        "SELECT outcome, body FROM inbound WHERE person_id = %s AND provider_sid <> %s AND received_at >= %s "
        "ORDER BY received_at DESC LIMIT 1",
        [person_id, but, since],
    )
    return await cursor.fetchone()


async def count(c: Connection, phone: str, outcome: str, since: datetime) -> int:
    """How many replies from this number have had this outcome since then."""
    return int(
        await value(
            c,
            "SELECT count(*) FROM inbound WHERE phone = %s AND outcome = %s AND received_at >= %s",
            [phone, outcome, since],
        )
    )


async def was_tested(c: Connection, person_id: UUID, since: datetime) -> bool:
    """Whether the last message to this person since then was a test of her telephone."""
    return bool(
        await value(
            c,
            "SELECT purpose = 'test' FROM message WHERE person_id = %s AND created_at >= %s AND state <> 'cancelled' "
            "ORDER BY created_at DESC, id DESC LIMIT 1",
            [person_id, since],
        )
    )
