"""What the gateway holds until the service has it: SQLite, on disk before the device may forget.

``put`` returns only when the readings are on the disk (write-ahead log, ``synchronous=FULL``), so it can be called
inside the callback that confirms an indication. Packets that cannot be read are kept too, with their bytes and
the reason. Rows leave only when the service has said what became of them.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Final, Self

from devices.readings import Quality, Reading

_SHAPE: Final = """
CREATE TABLE IF NOT EXISTS waiting (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    device       TEXT NOT NULL,
    metric       TEXT NOT NULL,
    measured_us  INTEGER NOT NULL,
    collected_us INTEGER NOT NULL,
    value        REAL NOT NULL,
    quality      INTEGER NOT NULL,
    user         INTEGER,
    detail       TEXT NOT NULL,
    held_until_us INTEGER NOT NULL DEFAULT 0,
    UNIQUE (device, metric, measured_us)
);
CREATE TABLE IF NOT EXISTS refused (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    device         TEXT NOT NULL,
    characteristic TEXT NOT NULL,
    raw            BLOB NOT NULL,
    reason         TEXT NOT NULL,
    at_us          INTEGER NOT NULL,
    told           INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS memory (key TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_PUT: Final = """
INSERT OR IGNORE INTO waiting (device, metric, measured_us, collected_us, value, quality, user, detail, held_until_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_REFUSE: Final = "INSERT INTO refused (device, characteristic, raw, reason, at_us) VALUES (?, ?, ?, ?, ?)"
_REMEMBER: Final = "INSERT INTO memory VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_SPOKEN: Final = ("device", "metric", "measured_us", "collected_us", "value", "quality", "user", "detail")
_FULL: Final = "the gateway's disk is full: readings stay on the devices until there is room"
_ROOM_BYTES: Final = 64 * 1024  # a cuff's memory of 200 measurements, four values each, takes less
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class OutboxFull(Exception):
    """The disk does not take another reading. The device must keep what it has: its indication is not confirmed."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Bytes that are no reading, kept for whoever wants to know why. ``id`` counts upwards."""

    id: int
    device: str
    characteristic: str
    raw: bytes
    reason: str
    at: datetime


class Outbox:
    """One file of readings that wait. Safe to use from several threads of one process.

    ``max_bytes`` bounds the file; beyond it, as on a full disk, :class:`OutboxFull` is raised and nothing is half kept.
    """

    def __init__(self, path: Path, *, max_bytes: int | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_SHAPE)
        if max_bytes is not None:
            (page_bytes,) = self._db.execute("PRAGMA page_size").fetchone()
            self._db.execute(f"PRAGMA max_page_count={max(max_bytes // page_bytes, 1)}")

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def put(self, readings: Sequence[Reading], *, held_s: float = 0, facts: Mapping[str, str] | None = None) -> int:
        """Hold readings, all or none, and return how many were not held already. On return they are on the disk.

        ``facts`` are remembered in the same transaction. For ``held_s`` seconds the readings are in no
        :meth:`batch`, unless they are let go before by :meth:`release`. A reading that contradicts one that waits
        (same device, metric and time, other value) is kept among what is refused.
        """
        until = _us(datetime.now(UTC)) + round(held_s * 1e6) if held_s else 0
        new = 0
        with self._write() as db:
            for reading in readings:
                new += self._put(db, reading, until)
            for key, value in (facts or {}).items():
                db.execute(_REMEMBER, [key, value])
        return new

    def _put(self, db: sqlite3.Connection, reading: Reading, held_until_us: int) -> int:
        row = _row(reading)
        if db.execute(_PUT, [*row, held_until_us]).rowcount:
            return 1
        (held,) = db.execute(
            "SELECT value FROM waiting WHERE device = ? AND metric = ? AND measured_us = ?", row[:3]
        ).fetchone()
        if held != reading.value:
            raw = json.dumps(dict(zip(_SPOKEN, row, strict=True))).encode()
            db.execute(
                _REFUSE, [reading.device, reading.metric, raw, "same_time_other_value", _us(reading.collected_at)]
            )
        return 0

    def release(self, readings: Sequence[Reading]) -> None:
        """Let readings go that were held, with the quality they have now."""
        with self._write() as db:
            db.executemany(
                "UPDATE waiting SET held_until_us = 0, quality = ? WHERE device = ? AND metric = ? AND measured_us = ?",
                [(int(r.quality), r.device, r.metric, _us(r.measured_at)) for r in readings],
            )

    def check_room(self) -> None:
        """Raise :class:`OutboxFull` unless a device's whole memory could be kept now."""
        if shutil.disk_usage(self._path.parent).free < _ROOM_BYTES:
            raise OutboxFull(_FULL)
        with self._write() as db:
            db.execute("SAVEPOINT room")
            db.execute(_REFUSE, ["", "", bytes(_ROOM_BYTES), "", 0])
            db.execute("ROLLBACK TO room")

    def put_refused(self, device: str, characteristic: str, raw: bytes, reason: str, at: datetime) -> None:
        """Keep a packet that could not be read."""
        with self._write() as db:
            db.execute(_REFUSE, [device, characteristic, raw, reason, _us(at)])

    def batch(self, limit: int) -> list[tuple[int, Reading]]:
        """The oldest readings that wait, with the number by which to speak of them."""
        with self._lock:
            rows = self._db.execute(
                "SELECT id, device, metric, value, measured_us, collected_us, quality, user, detail FROM waiting WHERE held_until_us <= ? ORDER BY id LIMIT ?",
                [_us(datetime.now(UTC)), limit],
            ).fetchall()
        return [(row[0], _reading(*row[1:])) for row in rows]

    def done(self, ids: Sequence[int]) -> None:
        """Let go of what the service has."""
        with self._write() as db:
            db.executemany("DELETE FROM waiting WHERE id = ?", [(i,) for i in ids])

    def reject(self, reasons: Mapping[int, str], at: datetime) -> None:
        """Move readings that the service does not take from the queue to what is refused, with its reason."""
        with self._write() as db:
            for number, reason in reasons.items():
                row = db.execute(
                    "SELECT device, metric, value, measured_us, detail FROM waiting WHERE id = ?", [number]
                ).fetchone()
                if row is None:
                    continue
                raw = json.dumps(
                    dict(zip(("device", "metric", "value", "measured_us", "detail"), row, strict=True))
                ).encode()
                db.execute(
                    "INSERT INTO refused (device, characteristic, raw, reason, at_us, told) VALUES (?, ?, ?, ?, ?, 1)",
                    [row[0], row[1], raw, reason, _us(at)],
                )
                db.execute("DELETE FROM waiting WHERE id = ?", [number])

    def depth(self) -> int:
        """How many readings wait."""
        return self._count("SELECT count(*) FROM waiting")

    def quarantined(self) -> int:
        """How many packets and readings have been refused."""
        return self._count("SELECT count(*) FROM refused")

    def oldest(self) -> datetime | None:
        """When the reading that has waited longest was collected."""
        with self._lock:
            (found,) = self._db.execute("SELECT min(collected_us) FROM waiting").fetchone()
        return None if found is None else _moment(found)

    def refused(self, limit: int, *, untold: bool = True) -> list[Refused]:
        """What has been refused, oldest first; with ``untold`` only what the service has not been told of."""
        with self._lock:
            rows = self._db.execute(
                "SELECT id, device, characteristic, raw, reason, at_us FROM refused WHERE told = 0 OR NOT ? ORDER BY id LIMIT ?",
                [untold, limit],
            ).fetchall()
        return [
            Refused(number, device, what, raw, reason, _moment(us)) for number, device, what, raw, reason, us in rows
        ]

    def told(self, ids: Sequence[int]) -> None:
        """Note that the service knows of these refusals. They stay here."""
        with self._write() as db:
            db.executemany("UPDATE refused SET told = 1 WHERE id = ?", [(i,) for i in ids])

    def remember(self, key: str, value: str) -> None:
        """Keep a small fact across restarts: the gateway's key, a button's counter."""
        with self._write() as db:
            db.execute(_REMEMBER, [key, value])

    def recall(self, key: str) -> str | None:
        """A fact kept by :meth:`remember`."""
        with self._lock:
            row = self._db.execute("SELECT value FROM memory WHERE key = ?", [key]).fetchone()
        return None if row is None else str(row[0])

    def _count(self, query: str) -> int:
        with self._lock:
            return int(self._db.execute(query).fetchone()[0])

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError) and ("full" in str(error) or "disk I/O" in str(error)):
                    raise OutboxFull(_FULL) from error
                raise


def _row(r: Reading) -> tuple[str, str, int, int, float, int, int | None, str]:
    return (
        r.device,
        r.metric,
        _us(r.measured_at),
        _us(r.collected_at),
        r.value,
        int(r.quality),
        r.user,
        json.dumps(r.detail),
    )


def _reading(
    device: str,
    metric: str,
    value: float,
    measured_us: int,
    collected_us: int,
    quality: int,
    user: int | None,
    detail: str,
) -> Reading:
    return Reading(
        device, metric, value, _moment(measured_us), _moment(collected_us), Quality(quality), user, json.loads(detail)
    )


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(us: int) -> datetime:
    return _EPOCH + us * _MICROSECOND
