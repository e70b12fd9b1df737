"""The feed of accepted readings, and where those who follow it alone stand in it (:mod:`store.partitions`: the others).

Followers go by ``(tx, seq)`` and never pass the oldest transaction still running: a plain sequence is not safe to
follow, for a later number may be committed before an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

import numpy as np
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from devices.readings import METRICS_BY_CODE
from store.columns import Float8, Int2, Int4, Time, use_columns
from store.postgres import Connection, one, value
from store.readings import utc

_BEHIND: Final[LiteralString] = "(SELECT tx, seq FROM watch_partition ORDER BY tx, seq LIMIT 1)"
"""How far the partition has come that lags furthest."""


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """How far a follower has read."""

    tx: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class FeedBatch:
    """What came after a position, in order of acceptance: columns of shape ``(n,)`` and the new position.

    ``entry`` counts the accepted batches that are joined here.
    """

    position: Position
    received_at: NDArray[np.datetime64]
    resident_id: NDArray[np.int32]
    metric: NDArray[np.int16]
    at: NDArray[np.datetime64]
    measured_at: NDArray[np.datetime64]
    value: NDArray[np.float64]
    quality: NDArray[np.int32]
    device_id: NDArray[np.int32]
    entry: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.value)

    def where(self, rows: NDArray[np.intp]) -> FeedBatch:
        """Only these rows."""
        return FeedBatch(self.position, *(getattr(self, name)[rows] for name in self.__slots__[1:]))


@dataclass(frozen=True, slots=True)
class WatchState:
    """A follower's place: position, digest of the protocol it goes by, and the moment it last worked."""

    tx: int
    seq: int
    protocol: str
    clock: datetime | None


async def load_state(c: Connection, name: str) -> WatchState | None:
    """The place the watch ``name`` last committed, or ``None`` before its first round."""
    return await one(
        c,
        WatchState,
        "SELECT tx::text::bigint AS tx, seq, protocol, clock FROM watch_state WHERE name = %s",
        [name],
    )


async def save_state(c: Connection, name: str, position: Position, protocol: str, clock: datetime) -> None:
    """Commit a place together with whatever else this transaction decided."""
    await c.execute(
        """
        INSERT INTO watch_state (name, tx, seq, protocol, clock, worked_at)
        VALUES (%(name)s, %(tx)s::text::xid8, %(seq)s, %(protocol)s, %(clock)s, now())
        ON CONFLICT (name) DO UPDATE SET tx = excluded.tx, seq = excluded.seq, protocol = excluded.protocol,
            clock = excluded.clock, worked_at = excluded.worked_at
        """,
        {"name": name, "tx": str(position.tx), "seq": position.seq, "protocol": protocol, "clock": clock},
    )


async def set_aside(c: Connection, batch: FeedBatch, row: int, reason: str) -> None:
    """Put one reading of a batch, which stays in the record, into quarantine as well: it could not be judged."""
    await c.execute(
        "INSERT INTO reading_quarantine (resident_id, device, metric, value, measured_at, reason, raw) "
        "SELECT (SELECT id FROM resident WHERE id = %(resident)s), coalesce((SELECT address FROM device WHERE id = %(device)s), ''), "
        "%(metric)s, %(value)s, %(measured_at)s, %(reason)s, %(raw)s ON CONFLICT DO NOTHING",
        {
            "resident": int(batch.resident_id[row]),
            "device": int(batch.device_id[row]),
            "metric": metric_name(int(batch.metric[row])),
            "value": float(batch.value[row]),
            "measured_at": utc(batch.measured_at[row]),
            "reason": reason,
            "raw": Jsonb({"tx": batch.position.tx, "seq": batch.position.seq, "resident": int(batch.resident_id[row])}),
        },
    )


async def next_batch(c: Connection, after: Position, limit: int, until: Position | None = None) -> FeedBatch | None:
    """Up to ``limit`` accepted batches after a position, joined, and none after ``until``; ``None``: nothing yet."""
    async with c.cursor(binary=True) as cursor:
        use_columns(cursor)
        await cursor.execute(
            """
            SELECT tx::text::bigint, seq, received_at, resident_id, metric, at, measured_at, value, quality, device_id
            FROM feed
            WHERE (tx, seq) > (%(tx)s::text::xid8, %(seq)s) AND tx < pg_snapshot_xmin(pg_current_snapshot())
                AND (%(last_tx)s::text IS NULL OR (tx, seq) <= (%(last_tx)s::text::xid8, %(last_seq)s))
            ORDER BY tx, seq LIMIT %(limit)s
            """,
            {
                "tx": str(after.tx),
                "seq": after.seq,
                "last_tx": None if until is None else str(until.tx),
                "last_seq": 0 if until is None else until.seq,
                "limit": limit,
            },
        )
        found = await cursor.fetchall()
    if not found:
        return None
    columns: list[Any] = [np.concatenate([row[i] for row in found]) for i in range(3, 10)]
    received = np.array([row[2].replace(tzinfo=None) for row in found], "datetime64[us]")
    sizes = [len(row[3]) for row in found]
    columns = [np.repeat(received, sizes), *columns, np.repeat(np.arange(len(found)), sizes)]
    return FeedBatch(Position(found[-1][0], found[-1][1]), *columns)


async def unread(c: Connection, after: Position) -> datetime | None:
    """When the next batch after a position was received, be it safe to read yet or not; ``None``: there is none."""
    found: datetime | None = await value(
        c,
        "SELECT received_at FROM feed WHERE (tx, seq) > (%s::text::xid8, %s) ORDER BY tx, seq LIMIT 1",
        [str(after.tx), after.seq],
    )
    return found


async def save_latest(c: Connection, batch: FeedBatch) -> None:
    """Keep the newest value of each metric. Open pages are told by the table's own trigger."""
    order = np.lexsort((batch.at, batch.metric, batch.resident_id))
    resident, metric = batch.resident_id[order], batch.metric[order]
    is_last = np.append((resident[1:] != resident[:-1]) | (metric[1:] != metric[:-1]), np.True_)
    newest = order[is_last]
    async with c.cursor() as cursor:
        use_columns(cursor)
        await cursor.execute(
            """
            INSERT INTO latest_reading AS l (resident_id, metric, at, measured_at, value, quality, device_id)
            SELECT * FROM unnest(%s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (resident_id, metric) DO UPDATE SET at = excluded.at, measured_at = excluded.measured_at,
                value = excluded.value, quality = excluded.quality, device_id = excluded.device_id
            WHERE l.at <= excluded.at
            """,
            [
                Int4(batch.resident_id[newest]),
                Int2(batch.metric[newest]),
                Time(batch.at[newest]),
                Time(batch.measured_at[newest]),
                Float8(batch.value[newest]),
                Int4(batch.quality[newest]),
                Int4(batch.device_id[newest]),
            ],
            binary=True,
        )


def metric_name(code: int) -> str:
    """A metric's name, or its code when this version has none for it."""
    return METRICS_BY_CODE[code].name if code in METRICS_BY_CODE else str(code)


async def end(c: Connection) -> Position:
    """The last position that is safe to stand on: a new follower that starts here sees only what comes later."""
    row = await (
        await c.execute(
            "SELECT tx::text::bigint, seq FROM feed WHERE tx < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY tx DESC, seq DESC LIMIT 1"
        )
    ).fetchone()
    return Position(*row) if row else Position()


async def prune(c: Connection, before: datetime) -> int:
    """Drop what every follower and every partition has passed and was received before ``before``; the readings stay."""
    done = await c.execute(
        "DELETE FROM feed WHERE received_at < %s AND (tx, seq) <= "
        + _BEHIND
        + " AND NOT EXISTS (SELECT 1 FROM watch_state w WHERE (w.tx, w.seq) < (feed.tx, feed.seq))",
        [before],
    )
    return done.rowcount


async def lag_s(c: Connection) -> float:
    """Age in seconds of the oldest accepted batch that some partition has not judged; 0 when all are judged."""
    found = await value(
        c,
        "SELECT extract(epoch FROM clock_timestamp() - min(received_at))::float8 FROM feed WHERE (tx, seq) > "
        + _BEHIND,
    )
    return max(float(found or 0.0), 0.0)


async def oldest_transaction_s(c: Connection) -> float:
    """Age in seconds of the oldest transaction that writes, in any database of the server: the watch waits for it."""
    found = await value(
        c,
        "SELECT extract(epoch FROM clock_timestamp() - min(xact_start))::float8 FROM pg_stat_activity "
        "WHERE backend_xid IS NOT NULL AND pid <> pg_backend_pid()",
    )
    return max(float(found or 0.0), 0.0)
