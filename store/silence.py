"""What a silence is seen by: who is watched through which gateway, when each spoke, and how each device usually speaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from devices.readings import METRICS, METRICS_BY_CODE, Kind
from store.columns import Float8, Int2, Int4, Time, use_columns
from store.postgres import Connection, value

_LOCK: Final = 0x73696C656E63
_MEASURED: Final = [code for code, metric in METRICS_BY_CODE.items() if metric.kind in (Kind.VITAL, Kind.AMBIENT)]
_NEVER: Final = "'1970-01-01 00:00Z'::timestamptz"
_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class Devices:
    """Every device through which somebody is watched: columns of shape ``(n,)``, by number.

    ``waits`` where a device may have nothing to say for as long as it likes (a help button), ``deaf`` where its gateway
    says that it cannot hear it. ``seen`` is when its
    gateway heard it last (1970: never), ``gateway_seen`` when that gateway answered last or was paired, both
    ``datetime64[us]``; ``gateway_waiting`` how many readings wait there to be sent.
    """

    device: NDArray[np.int32]
    resident: NDArray[np.int32]
    gateway: NDArray[np.int32]
    waits: NDArray[np.int32]
    deaf: NDArray[np.int32]
    seen: NDArray[np.datetime64]
    gateway_seen: NDArray[np.datetime64]
    gateway_waiting: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Habits:
    """The table ``device_rhythm`` in columns of shape ``(n,)``; see its comments. ``spoke`` has the shape ``(n, bytes)``.

    ``newest`` is 1970 where it never spoke, ``heard_since`` where its gateway does not answer; ``resident`` is whose
    device it is.
    """

    device: NDArray[np.int32]
    resident: NDArray[np.int32]
    spoke: NDArray[np.uint8]
    newest: NDArray[np.datetime64]
    measures: NDArray[np.bool_]
    heard_since: NDArray[np.datetime64]
    told: NDArray[np.float64]


async def lock(c: Connection) -> bool:
    """Whether this transaction is now the only one that looks for silence; held until it ends."""
    return bool(await value(c, "SELECT pg_try_advisory_xact_lock(%s)", [_LOCK]))


async def devices(c: Connection, now: datetime, deaf: Sequence[str]) -> Devices:
    """The devices of everybody who has not left, behind gateways that are paired and not revoked.

    ``deaf``: how the troubles begin with which a gateway says that it cannot hear a device.
    """
    async with c.cursor(binary=True) as cursor:
        use_columns(cursor)
        await cursor.execute(
            "SELECT array_agg(d.id ORDER BY d.id), array_agg(d.resident_id ORDER BY d.id), array_agg(g.id ORDER BY d.id), "
            "array_agg((d.kind = 'help_button')::int ORDER BY d.id), "
            "array_agg((coalesce(d.trouble, '') ^@ ANY(%s::text[]))::int ORDER BY d.id), "
            f"array_agg(coalesce(d.last_seen_at, {_NEVER}) ORDER BY d.id), "
            "array_agg(greatest(g.last_seen_at, g.paired_at) ORDER BY d.id), "
            "array_agg(coalesce(g.outbox_waiting, 0) ORDER BY d.id) "
            "FROM device d JOIN gateway g ON g.id = d.gateway_id JOIN resident r ON r.id = d.resident_id "
            "WHERE d.removed_at IS NULL AND g.paired_at IS NOT NULL AND g.revoked_at IS NULL "
            "AND (r.left_at IS NULL OR r.left_at > %s)",
            [list(deaf), now],
        )
        row = await cursor.fetchone()
    if row is None or row[0] is None:
        none, never = np.zeros(0, np.int32), np.zeros(0, "datetime64[us]")
        return Devices(none, none, none, none, none, never, never, none)
    return Devices(*row)


async def habits(c: Connection, row_bytes: int) -> Habits:
    """Every device's rhythm, by number of the device."""
    cursor = await c.execute(
        "SELECT h.device_id, d.resident_id, h.spoke, h.newest, h.measures, h.heard_since, h.told "
        "FROM device_rhythm h JOIN device d ON d.id = h.device_id WHERE length(h.spoke) = %s ORDER BY h.device_id",
        [row_bytes],
    )
    found = await cursor.fetchall()
    columns = list(zip(*found, strict=True)) or [()] * 7
    return Habits(
        np.array(columns[0], np.int32),
        np.array(columns[1], np.int32),
        np.frombuffer(b"".join(columns[2]), np.uint8).reshape(-1, row_bytes).copy(),
        _times(columns[3]),
        np.array(columns[4], np.bool_),
        _times(columns[5]),
        np.array(columns[6], np.float64),
    )


async def spoken_before(
    c: Connection, since: datetime, slot_s: float
) -> tuple[NDArray[np.int32], NDArray[np.datetime64]]:
    """Which device measured when since then, once for each ``slot_s`` seconds: what the record knows already."""
    async with c.cursor(binary=True) as cursor:
        use_columns(cursor)
        await cursor.execute(
            "SELECT coalesce(array_agg(device_id), '{}'), coalesce(array_agg(at), '{}') FROM (SELECT device_id, "
            "max(happened_at(measured_at, collected_at, quality)) AS at FROM reading "
            "WHERE measured_at >= %s AND metric = ANY(%s) AND quality & 1 = 0 "
            "GROUP BY device_id, floor(extract(epoch FROM measured_at) / %s)) spoken",
            [since, _MEASURED, slot_s],
        )
        row = await cursor.fetchone()
    assert row is not None, "an aggregate gives a row"
    return row[0], row[1]


async def save(c: Connection, changed: Habits) -> None:
    """Keep these rows."""
    await c.execute(
        "INSERT INTO device_rhythm (device_id, spoke, newest, measures, heard_since, told) "
        "SELECT t.* FROM unnest(%s::int[], %s::bytea[], %s::timestamptz[], %s::bool[], %s::timestamptz[], %s::real[]) "
        "AS t(device_id, spoke, newest, measures, heard_since, told) WHERE EXISTS (SELECT 1 FROM device d WHERE d.id = t.device_id) "
        "ON CONFLICT (device_id) DO UPDATE SET spoke = excluded.spoke, newest = excluded.newest, "
        "measures = excluded.measures, heard_since = excluded.heard_since, told = excluded.told",
        [
            changed.device.tolist(),
            [row.tobytes() for row in changed.spoke],
            [_moment(at) or _EPOCH for at in changed.newest],
            changed.measures.tolist(),
            [_moment(at) for at in changed.heard_since],
            changed.told.tolist(),
        ],
    )


async def told(
    c: Connection, metric: str
) -> tuple[NDArray[np.int32], NDArray[np.float64], NDArray[np.datetime64], NDArray[np.int32]]:
    """What was last told of each resident, when, and as whose; by number of the resident."""
    async with c.cursor(binary=True) as cursor:
        use_columns(cursor)
        await cursor.execute(
            "SELECT coalesce(array_agg(resident_id ORDER BY resident_id), '{}'), coalesce(array_agg(value ORDER BY resident_id), '{}'), "
            "coalesce(array_agg(at ORDER BY resident_id), '{}'), coalesce(array_agg(device_id ORDER BY resident_id), '{}') FROM latest_reading WHERE metric = %s",
            [METRICS[metric].code],
        )
        row = await cursor.fetchone()
    assert row is not None, "an aggregate gives a row"
    return row[0], row[1], row[2], row[3]


async def tell(
    c: Connection,
    now: datetime,
    metric: str,
    resident: NDArray[np.int32],
    device: NDArray[np.int32],
    values: NDArray[np.float64],
) -> None:
    """Hand what was found to the watch, as measured now. It enters the feed alone: nobody measured anything."""
    if not len(values):
        return
    at = Time(np.full(len(values), np.datetime64(now.replace(tzinfo=None), "us")))
    zeros = np.zeros(len(values), np.int32)
    async with c.cursor() as cursor:
        use_columns(cursor)
        await cursor.execute(
            "INSERT INTO feed (received_at, resident_id, metric, at, measured_at, value, quality, device_id) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                now,
                Int4(resident),
                Int2(zeros.astype(np.int16) + METRICS[metric].code),
                at,
                at,
                Float8(values),
                Int4(zeros),
                Int4(device),
            ],
        )


def _times(found: tuple[datetime | None, ...]) -> NDArray[np.datetime64]:
    return np.array([(at or _EPOCH).replace(tzinfo=None) for at in found], "datetime64[us]")


def _moment(at: np.datetime64) -> datetime | None:
    seconds = at.astype("datetime64[us]").astype(np.int64)
    return None if seconds <= 0 else datetime.fromisoformat(f"{np.datetime_as_string(at, unit='us')}+00:00")
