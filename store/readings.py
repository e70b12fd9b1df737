"""Readings: written once by key in batches, read back as columns.

A reading counts at ``at`` (see ``happened_at`` in the first migration): as measured, or as collected when the
device's clock had only just been set. One whose time cannot be believed is kept and shown with its received
time, and takes no part in any figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from devices.readings import METRICS, METRICS_BY_CODE, Quality
from store.columns import Float8, Int2, Int4, Time, use_columns
from store.postgres import Connection, rows, value

_PRESSURES: Final = tuple(METRICS[n].code for n in ("systolic", "diastolic", "mean_arterial_pressure"))
UNKNOWN_USER: Final = 255
"""The Blood Pressure Service's own word for a user it does not know."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A batch about to be stored: columns of one length ``n``, each of shape ``(n,)``.

    ``measured_at`` and ``collected_at`` are ``datetime64[us]`` in UTC. ``details`` maps a row's index to what
    explains its event.
    """

    gateway_id: int
    received_at: datetime
    resident_id: NDArray[np.int32]
    metric: NDArray[np.int16]
    device_id: NDArray[np.int32]
    measured_at: NDArray[np.datetime64]
    collected_at: NDArray[np.datetime64]
    value: NDArray[np.float64]
    quality: NDArray[np.int32]
    user_slot: NDArray[np.int16]
    details: Mapping[int, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inserted:
    """How many of a batch were new, and how many were there already."""

    accepted: int
    duplicate: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    """What arrived but is not usable, with the reason's code and the item as it came."""

    device: str
    metric: str
    value: float | None
    measured_at: datetime | None
    collected_at: datetime | None
    reason: str
    gateway_id: int | None
    resident_id: int | None
    raw: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Series:
    """One metric of one resident in order of time: columns of shape ``(n,)``, in the metric's unit."""

    at: NDArray[np.datetime64]
    value: NDArray[np.float64]
    quality: NDArray[np.int32]
    device_id: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class ReadingRow:
    """One stored reading. ``at`` is ``None`` where its time cannot be believed."""

    metric: str
    value: float
    at: datetime | None
    measured_at: datetime
    received_at: datetime
    quality: int
    device_id: int
    user_slot: int


@dataclass(frozen=True, slots=True)
class UnusableRow:
    """One quarantined reading, as staff see it."""

    device: str
    metric: str
    value: float | None
    measured_at: datetime | None
    received_at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Latest:
    """The newest believed value of one metric."""

    value: float
    at: datetime
    measured_at: datetime
    quality: int
    device_id: int


# What a gateway sends is nearly always new: then nothing need be looked up row by row. One round trip.
_INSERT_NEW: Final = """
WITH fed AS (
    INSERT INTO feed (received_at, resident_id, metric, at, measured_at, value, quality, device_id)
    SELECT %s, f.* FROM (VALUES (%s, %s, %s, %s, %s, %s, %s)) AS f(resident_id, metric, at, measured_at, value, quality, device_id)
    WHERE cardinality(f.at) > 0
)
INSERT INTO reading (resident_id, metric, measured_at, device_id, value, collected_at, quality, user_slot,
                     received_at, gateway_id)
SELECT t.*, %s, %s FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s)
    AS t(resident_id, metric, measured_at, device_id, value, collected_at, quality, user_slot)
"""

# For a batch of which some is there already: stores the rest, hands it to the watch, and counts. One round trip.
_INSERT: Final = """
WITH incoming AS (
    SELECT * FROM unnest(%s, %s, %s, %s, %s, %s, %s, %s)
        AS t(resident_id, metric, measured_at, device_id, value, collected_at, quality, user_slot)
), added AS (
    INSERT INTO reading (resident_id, metric, measured_at, device_id, value, collected_at, quality, user_slot,
                         received_at, gateway_id)
    SELECT incoming.*, %s, %s FROM incoming
    ON CONFLICT DO NOTHING
    RETURNING resident_id, metric, measured_at, device_id, value, quality,
              happened_at(measured_at, collected_at, quality) AS at
), fed AS (
    INSERT INTO feed (received_at, resident_id, metric, at, measured_at, value, quality, device_id)
    SELECT %s, array_agg(resident_id), array_agg(metric), array_agg(at), array_agg(measured_at),
           array_agg(value), array_agg(quality), array_agg(device_id)
    FROM added WHERE at IS NOT NULL HAVING count(*) > 0
)
SELECT count(*) FROM added
"""


class AlreadyThere(Exception):
    """Some of a batch is stored already; the transaction that tried is over."""


async def insert_new(c: Connection, batch: Incoming) -> None:
    """Store a batch of which nothing is there yet, and hand it to the watch; quicker than :func:`insert`.

    Raises :class:`AlreadyThere` otherwise; begin a new transaction then and :func:`insert`.
    """
    suspect = batch.quality & int(Quality.CLOCK_SUSPECT) != 0
    believed = ~suspect | (batch.quality & int(Quality.CLOCK_JUST_SET) != 0)
    at = np.where(suspect, batch.collected_at, batch.measured_at)
    fed = [
        Int4(batch.resident_id[believed]),
        Int2(batch.metric[believed]),
        Time(at[believed]),
        Time(batch.measured_at[believed]),
        Float8(batch.value[believed]),
        Int4(batch.quality[believed]),
        Int4(batch.device_id[believed]),
    ]
    async with c.cursor() as cursor:
        use_columns(cursor)
        try:
            await cursor.execute(
                _INSERT_NEW, [batch.received_at, *fed, batch.received_at, batch.gateway_id, *_columns(batch)]
            )
        except UniqueViolation as error:
            raise AlreadyThere(str(error)) from error
    if batch.details:
        await _insert_details(c, batch)


async def insert(c: Connection, batch: Incoming) -> Inserted:
    """Store what is not there yet by its key (resident, metric, measured time, device), and hand it to the watch."""
    async with c.cursor() as cursor:
        use_columns(cursor)
        await cursor.execute(
            _INSERT,
            [*_columns(batch), batch.received_at, batch.gateway_id, batch.received_at],
            binary=True,
        )
        row = await cursor.fetchone()
    accepted = int(row[0]) if row else 0
    if batch.details:
        await _insert_details(c, batch)
    return Inserted(accepted, len(batch.value) - accepted)


async def contradicted(c: Connection, batch: Incoming) -> list[int]:
    """The rows of a batch under whose key the record has another value: a device whose clock stands still."""
    async with c.cursor() as cursor:
        use_columns(cursor)
        await cursor.execute(
            "SELECT (q.n - 1)::int FROM unnest(%s, %s, %s, %s, %s) WITH ORDINALITY "
            "q(resident_id, metric, measured_at, device_id, value, n) "
            "JOIN reading r USING (resident_id, metric, measured_at, device_id) WHERE r.value <> q.value ORDER BY 1",
            _columns(batch)[:5],
        )
        return [row[0] for row in await cursor.fetchall()]


def _columns(batch: Incoming) -> list[Int2 | Int4 | Float8 | Time]:
    return [
        Int4(batch.resident_id),
        Int2(batch.metric),
        Time(batch.measured_at),
        Int4(batch.device_id),
        Float8(batch.value),
        Time(batch.collected_at),
        Int4(batch.quality),
        Int2(batch.user_slot),
    ]


async def _insert_details(c: Connection, batch: Incoming) -> None:
    async with c.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO event_detail (resident_id, metric, measured_at, device_id, detail) "
            "VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                [
                    int(batch.resident_id[i]),
                    int(batch.metric[i]),
                    utc(batch.measured_at[i]),
                    int(batch.device_id[i]),
                    Jsonb(dict(detail)),
                ]
                for i, detail in batch.details.items()
            ],
        )


async def pressures_at(
    c: Connection,
    resident_id: NDArray[np.int32],
    device_id: NDArray[np.int32],
    measured_at: NDArray[np.datetime64],
) -> list[tuple[int, int, float]]:
    """Blood pressures already stored for these moments: (row of the arguments, metric, value in mm[Hg])."""
    async with c.cursor() as cursor:
        use_columns(cursor)
        await cursor.execute(
            "SELECT (q.n - 1)::int, r.metric, r.value FROM unnest(%s, %s, %s) WITH ORDINALITY q(resident_id, device_id, measured_at, n) "
            "JOIN reading r USING (resident_id, device_id, measured_at) WHERE r.metric = ANY(%s)",
            [Int4(resident_id), Int4(device_id), Time(measured_at), list(_PRESSURES)],
        )
        return await cursor.fetchall()


async def quarantine(c: Connection, items: Sequence[Quarantined]) -> int:
    """Keep what is not usable, once, and return how many were new."""
    added = 0
    for q in items:
        done = await c.execute(
            "INSERT INTO reading_quarantine (device, metric, value, measured_at, collected_at, reason, gateway_id, resident_id, raw) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                q.device,
                q.metric,
                q.value,
                q.measured_at,
                q.collected_at,
                q.reason,
                q.gateway_id,
                q.resident_id,
                Jsonb(dict(q.raw)),
            ],
        )
        added += done.rowcount
    return added


async def series(
    c: Connection, resident_id: int, metrics: Sequence[int], since: datetime, until: datetime
) -> dict[str, Series]:
    """Each metric's readings in ``since <= at < until`` by metric name; a metric without any is absent."""
    async with c.cursor(binary=True) as cursor:
        use_columns(cursor)
        await cursor.execute(
            """
            SELECT metric, array_agg(at ORDER BY at), array_agg(value ORDER BY at),
                   array_agg(quality ORDER BY at), array_agg(device_id ORDER BY at)
            FROM resident_reading
            WHERE resident_id = %s AND metric = ANY(%s) AND measured_at >= %s AND measured_at < %s AND at IS NOT NULL
            GROUP BY metric
            """,
            [resident_id, list(metrics), since, until],
        )
        return {
            METRICS_BY_CODE[m].name: Series(at, value, quality, device)
            for m, at, value, quality, device in await cursor.fetchall()
        }


async def span(c: Connection, resident_id: int, metric: int) -> tuple[datetime, datetime] | None:
    """When a metric was first and last measured, whole record; ``None`` when it never was."""
    row = await (
        await c.execute(
            "SELECT min(measured_at), max(measured_at) FROM reading WHERE resident_id = %s AND metric = %s",
            [resident_id, metric],
        )
    ).fetchone()
    return None if row is None or row[0] is None else (row[0], row[1])


async def recent(c: Connection, resident_id: int, limit: int) -> list[ReadingRow]:
    """The newest readings by measured time, and those of unknown time by when they were received."""
    async with c.cursor() as cursor:
        await cursor.execute(
            """
            SELECT metric, value, at, measured_at, received_at, quality, device_id, user_slot
            FROM resident_reading WHERE resident_id = %s
            ORDER BY coalesce(at, received_at) DESC, metric LIMIT %s
            """,
            [resident_id, limit],
        )
        return [ReadingRow(METRICS_BY_CODE[row[0]].name, *row[1:]) for row in await cursor.fetchall()]


async def unusable(c: Connection, resident_id: int, limit: int) -> list[UnusableRow]:
    """What arrived from this resident's devices and cannot be right, newest first."""
    return await rows(
        c,
        UnusableRow,
        "SELECT device, metric, value, measured_at, received_at, reason FROM reading_quarantine "
        "WHERE resident_id = %s ORDER BY received_at DESC LIMIT %s",
        [resident_id, limit],
    )


async def quarantine_size(c: Connection) -> int:
    """How many readings and packets are in quarantine."""
    return int(await value(c, "SELECT count(*) FROM reading_quarantine"))


async def latest(c: Connection, resident_id: int | None = None) -> dict[int, dict[str, Latest]]:
    """The newest value of every metric, by resident and metric name, of one resident or of all one may see."""
    found: dict[int, dict[str, Latest]] = {}
    cursor = await c.execute(
        "SELECT resident_id, metric, value, at, measured_at, quality, device_id FROM latest_reading "
        "WHERE %(resident)s::int IS NULL OR resident_id = %(resident)s",
        {"resident": resident_id},
    )
    for resident, metric, *rest in await cursor.fetchall():
        found.setdefault(resident, {})[METRICS_BY_CODE[metric].name] = Latest(*rest)
    return found


async def event_detail(c: Connection, resident_id: int, metric: int, measured_at: datetime) -> dict[str, float]:
    """What explains one event, empty when nothing was said."""
    found = await value(
        c,
        "SELECT detail FROM resident_event_detail WHERE resident_id = %s AND metric = %s AND measured_at = %s",
        [resident_id, metric, measured_at],
    )
    return found or {}


def utc(moment: np.datetime64) -> datetime:
    """A ``datetime64`` as a timezone-aware UTC ``datetime``."""
    naive: datetime = moment.astype("datetime64[us]").astype(datetime)
    return naive.replace(tzinfo=UTC)
