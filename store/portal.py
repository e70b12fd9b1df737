"""Queries that serve one page at once instead of one resident at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, LiteralString
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from devices.readings import METRICS, METRICS_BY_CODE, Quality
from store.columns import use_columns
from store.people import Centre
from store.postgres import Connection, one, rows, value
from store.readings import UNKNOWN_USER, Incoming, ReadingRow, insert

_DAY_S: Final = 86_400
_CENTRE_ALERT: Final[LiteralString] = (
    "id, resident_id, priority, state, call, raised_at, climb_at, exhausted_at, acknowledged_at, attended_at, "
    "name_zh, name_en, address_zh, address_en, taker_zh, taker_en"
)


@dataclass(frozen=True, slots=True)
class PressureSummary:
    """A resident's home blood pressure: means in mm[Hg] of the last 7 days and of the 7 before, and how many pairs.

    A mean is ``None`` where nothing usable was measured.
    """

    resident_id: int
    systolic_7d: float | None
    diastolic_7d: float | None
    systolic_before: float | None
    measurements_7d: int
    last_at: datetime | None


async def pressure_summaries(c: Connection, now: datetime) -> dict[int, PressureSummary]:
    """The blood-pressure summary of every resident the connection may see.

    The residents come first and each is looked up by the readings' key, so the size of the record does not matter.
    """
    found = await rows(
        c,
        PressureSummary,
        """
        SELECT r.id AS resident_id, s.systolic_7d, d.diastolic_7d, s.systolic_before, s.measurements_7d, s.last_at
        FROM resident r
        CROSS JOIN LATERAL (
            SELECT avg(value) FILTER (WHERE at >= %(now)s - interval '7 days') AS systolic_7d,
                   avg(value) FILTER (WHERE at < %(now)s - interval '7 days') AS systolic_before,
                   count(*) FILTER (WHERE at >= %(now)s - interval '7 days') AS measurements_7d, max(at) AS last_at
            FROM resident_reading q
            WHERE q.resident_id = r.id AND q.metric = %(systolic)s
              AND q.measured_at >= %(now)s - interval '14 days' AND q.measured_at <= %(now)s AND q.at IS NOT NULL
        ) s
        CROSS JOIN LATERAL (
            SELECT avg(value) AS diastolic_7d FROM resident_reading q
            WHERE q.resident_id = r.id AND q.metric = %(diastolic)s
              AND q.measured_at >= %(now)s - interval '7 days' AND q.measured_at <= %(now)s AND q.at IS NOT NULL
        ) d
        WHERE r.left_at IS NULL OR r.left_at > now()
        """,
        {"now": now, "systolic": METRICS["systolic"].code, "diastolic": METRICS["diastolic"].code},
    )
    return {row.resident_id: row for row in found}


@dataclass(frozen=True, slots=True)
class Daily:
    """Daily means of systolic pressure in mm[Hg], columns of shape ``(n,)``: ``day`` counts from 0, the oldest."""

    day: NDArray[np.int64]
    value: NDArray[np.float64]


async def daily_systolic(c: Connection, now: datetime, days: int) -> dict[int, Daily]:
    """The last ``days`` times 24 hours of every resident the connection may see, one mean for each that has any."""
    async with c.cursor(binary=True) as cursor:
        use_columns(cursor)
        await cursor.execute(
            """
            SELECT r.id, array_agg(d.day ORDER BY d.day), array_agg(d.mean ORDER BY d.day)
            FROM resident r CROSS JOIN LATERAL (
                SELECT %(days)s - 1 - floor(extract(epoch FROM %(now)s - q.at) / %(day_s)s)::int AS day, avg(q.value) AS mean
                FROM resident_reading q
                WHERE q.resident_id = r.id AND q.metric = %(systolic)s AND q.measured_at <= %(now)s AND q.at <= %(now)s
                  AND q.measured_at > %(now)s - make_interval(days => %(days)s) AND q.at > %(now)s - make_interval(days => %(days)s)
                GROUP BY 1
            ) d
            WHERE r.left_at IS NULL OR r.left_at > now() GROUP BY r.id
            """,
            {"now": now, "days": days, "day_s": _DAY_S, "systolic": METRICS["systolic"].code},
        )
        return {resident: Daily(day.astype(np.int64), mean) for resident, day, mean in await cursor.fetchall()}


async def centre_of(c: Connection, person_id: UUID) -> Centre | None:
    """The health centre to which a person belongs."""
    return await one(
        c,
        Centre,
        "SELECT c.id, c.name_zh, c.name_en, c.phone, c.time_zone FROM person p JOIN centre c ON c.id = p.centre_id WHERE p.id = %s",
        [person_id],
    )


async def of_unknown_time(c: Connection, resident_id: int, since: datetime, limit: int) -> list[ReadingRow]:
    """Readings received since then whose time cannot be believed, newest arrival first: shown, never counted.

    They can stand anywhere in measured time. Their keys are found in the index alone; only they are fetched.
    """
    async with c.cursor() as cursor:
        await cursor.execute(
            """
            WITH suspect AS MATERIALIZED (
                SELECT metric, measured_at, device_id FROM resident_reading WHERE resident_id = %(resident)s AND at IS NULL
            )
            SELECT r.metric, r.value, r.at, r.measured_at, r.received_at, r.quality, r.device_id, r.user_slot
            FROM suspect s JOIN resident_reading r
                ON r.resident_id = %(resident)s AND r.metric = s.metric AND r.measured_at = s.measured_at AND r.device_id = s.device_id
            WHERE r.received_at >= %(since)s ORDER BY r.received_at DESC, r.metric LIMIT %(limit)s
            """,
            {"resident": resident_id, "since": since, "limit": limit},
        )
        return [ReadingRow(METRICS_BY_CODE[row[0]].name, *row[1:]) for row in await cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Call:
    """One message that calls one person to an alert, and how far it came."""

    alert_id: int
    person_id: UUID
    name_zh: str
    name_en: str
    channel: str
    state: str
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None

    def name(self, language: str) -> str:
        """Who was called, as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


async def calls(c: Connection, alert_ids: Sequence[int]) -> dict[int, list[Call]]:
    """Who was called about each of these alerts, in order."""
    found = await rows(
        c,
        Call,
        "SELECT m.alert_id, m.person_id, coalesce(p.name_zh, q.name_zh, '') AS name_zh, coalesce(p.name_en, q.name_en, '') AS name_en, "
        "m.channel, m.state, m.created_at, m.sent_at, m.delivered_at FROM message m LEFT JOIN person p ON p.id = m.person_id "
        "LEFT JOIN colleague q ON q.id = m.person_id WHERE m.alert_id = ANY(%s) AND m.purpose IN ('alert', 'also') ORDER BY m.id",
        [list(alert_ids)],
    )
    by_alert: dict[int, list[Call]] = {}
    for row in found:
        by_alert.setdefault(row.alert_id, []).append(row)
    return by_alert


@dataclass(frozen=True, slots=True)
class Named:
    """Somebody of whom the reader knows the name."""

    id: UUID
    name_zh: str
    name_en: str

    def name(self, language: str) -> str:
        """The name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


async def names(c: Connection, ids: Sequence[UUID]) -> dict[UUID, Named]:
    """Those of ``ids`` whose name the reader may know: who stands around her residents; for staff every colleague too."""
    found = await rows(
        c,
        Named,
        "SELECT id, name_zh, name_en FROM person WHERE id = ANY(%(ids)s) "
        "UNION SELECT id, name_zh, name_en FROM colleague WHERE id = ANY(%(ids)s)",
        {"ids": list(ids)},
    )
    return {person.id: person for person in found}


@dataclass(frozen=True, slots=True)
class CentreAlert:
    """An open alert of the reader's centre to which people are called: who and where and who comes, not what it is about.

    ``call`` counts the calls made so far.
    """

    id: int
    resident_id: int
    priority: str
    state: str
    call: int
    raised_at: datetime
    climb_at: datetime | None
    exhausted_at: datetime | None
    acknowledged_at: datetime | None
    attended_at: datetime | None
    name_zh: str
    name_en: str
    address_zh: str
    address_en: str
    taker_zh: str | None
    taker_en: str | None

    def name(self, language: str) -> str:
        """Whom it is about, as her name is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en

    def address(self, language: str) -> str:
        """Where she lives, as it is written in ``language``."""
        return self.address_zh if language == "zh_Hans" else self.address_en

    def taker(self, language: str) -> str:
        """Who has taken it, as the name is written in ``language``; empty while nobody has."""
        return (self.taker_zh if language == "zh_Hans" else self.taker_en) or ""


async def centre_alerts(c: Connection) -> list[CentreAlert]:
    """What stands open in the whole centre of a member of staff or an administrator, oldest first; to others nothing."""
    return await rows(c, CentreAlert, "SELECT " + _CENTRE_ALERT + " FROM centre_alert ORDER BY raised_at, id")


async def exhausted(c: Connection) -> list[CentreAlert]:
    """Those for which everybody has been called in vain, longest first; of each resident the one that was raised first."""
    return await rows(
        c,
        CentreAlert,
        "SELECT * FROM (SELECT DISTINCT ON (resident_id) "
        + _CENTRE_ALERT
        + " FROM centre_alert WHERE exhausted_at IS NOT NULL ORDER BY resident_id, raised_at, id) a ORDER BY exhausted_at, id",
    )


async def visible(c: Connection) -> frozenset[int]:
    """Whom the reader may see now: those related to her, and for staff those of open alerts to which she has been called."""
    cursor = await c.execute("SELECT visible_residents()")
    return frozenset(row[0] for row in await cursor.fetchall())


async def staffed_centre(c: Connection) -> int | None:
    """The centre whose staff or administrator the reader is, or ``None`` when she is neither."""
    found: int | None = await value(c, "SELECT staffed_centre()")
    return found


@dataclass(frozen=True, slots=True)
class Lapse:
    """Who had taken an alert, and had not come when her time was over."""

    alert_id: int
    at: datetime
    name_zh: str
    name_en: str

    def name(self, language: str) -> str:
        """Who it was, as the name is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


async def lapses(c: Connection, alert_ids: Sequence[int]) -> dict[int, Lapse]:
    """The promise that was not kept, of each of these alerts that nobody has taken since."""
    found = await rows(
        c,
        Lapse,
        "SELECT e.alert_id, e.at, q.name_zh, q.name_en FROM (SELECT DISTINCT ON (alert_id) * FROM alert_event "
        "WHERE alert_id = ANY(%s) AND kind IN ('lapsed', 'acknowledged', 'attended', 'shelved') ORDER BY alert_id, id DESC) e "
        "JOIN colleague q ON q.id = e.person_id WHERE e.kind = 'lapsed'",
        [list(alert_ids)],
    )
    return {row.alert_id: row for row in found}


async def last_movement(c: Connection, since: datetime) -> dict[int, datetime]:
    """When something last moved in the flat of each resident the connection may see since then.

    A sensor repeats what it sees, so its newest word is nearly always that nothing moves.
    """
    cursor = await c.execute(
        """
        SELECT r.id, m.at FROM resident r CROSS JOIN LATERAL (
            SELECT max(q.at) AS at FROM resident_reading q
            WHERE q.resident_id = r.id AND q.metric = %(movement)s AND q.measured_at >= %(since)s AND q.value >= 0.5
        ) m WHERE m.at IS NOT NULL
        """,
        {"movement": METRICS["movement"].code, "since": since},
    )
    return dict(await cursor.fetchall())


async def say(
    c: Connection,
    resident_id: int,
    device_id: int,
    metric: str,
    at: datetime,
    detail: Mapping[str, float],
    now: datetime,
) -> None:
    """Keep what a resident said on her own page as an event of her device, so that the watch hears it like any other.

    ``at`` is the moment of which she spoke, ``now`` when it came; ``detail`` explains it and may be empty.
    """
    gateway_id = await value(
        c, "SELECT gateway_id FROM device WHERE id = %s AND resident_id = %s", [device_id, resident_id]
    )
    said_at, heard_at = (np.array([t.astimezone(UTC).replace(tzinfo=None)], dtype="datetime64[us]") for t in (at, now))
    await insert(
        c,
        Incoming(
            gateway_id=int(gateway_id or 0),
            received_at=now,
            resident_id=np.array([resident_id], np.int32),
            metric=np.array([METRICS[metric].code], np.int16),
            device_id=np.array([device_id], np.int32),
            measured_at=said_at,
            collected_at=heard_at,
            value=np.ones(1, np.float64),
            quality=np.array([Quality.NO_DEVICE_TIME], np.int32),
            user_slot=np.array([UNKNOWN_USER], np.int16),
            details={0: detail} if detail else {},
        ),
    )
