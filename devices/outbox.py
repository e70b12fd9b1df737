"""What the gateway holds until the service has it: SQLite, on disk before the device may forget.

``put`` returns only when the readings are on the disk (write-ahead log, ``synchronous=FULL``), so it can be called
inside the callback that confirms an indication. Packets that cannot be read are kept too, with their bytes and
the reason. Rows leave only when the service has said what became of them.

The file is bounded. Where room is short raw acceleration goes first, the oldest before the newer, and is counted; a
reading never goes: when nothing else is left to go, no more is taken in. The last of the room is for emergencies.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from devices.outbox_shape import give_shape
from devices.readings import METRICS, Kind, Quality, Reading
from devices.recording import Recording, pack, unpack

T = TypeVar("T")
log = logging.getLogger(__name__)

MOST_REFUSED: Final = 10_000
"""Refused packets kept: some megabytes. A reading that was refused and not yet told of stands outside this bound."""
_COLUMNS: Final = ("device", "metric", "measured_us", "user", "collected_us", "value", "quality", "detail")
_PUT: Final = """
INSERT OR IGNORE INTO waiting (device, metric, measured_us, user, collected_us, value, quality, detail, urgent, held_until_us)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_HELD: Final = "SELECT value FROM waiting WHERE device = ? AND metric = ? AND measured_us = ? AND user = ?"
_RELEASE: Final = """
UPDATE waiting SET held_until_us = 0, quality = ? WHERE device = ? AND metric = ? AND measured_us = ? AND user = ?
"""
_ROW: Final = "SELECT device, metric, measured_us, user, collected_us, value, quality, detail FROM waiting WHERE id = ?"
# What is to be held for over an hour was held by a clock that ran ahead: nobody holds for so long.
_EMERGENCIES: Final = """
SELECT id, device, metric, measured_us, user, collected_us, value, quality, detail FROM waiting
WHERE urgent = 1 AND NOT held_until_us BETWEEN :now AND :now + 3600000000
AND id NOT IN (SELECT value FROM json_each(:but)) ORDER BY id LIMIT :limit
"""
_NEWEST_EMERGENCIES: Final = _EMERGENCIES.replace("ORDER BY id", "ORDER BY id DESC")
_ORDINARY: Final = _EMERGENCIES.replace("urgent = 1", "urgent = 0")
_REFUSE: Final = "INSERT INTO refused (device, characteristic, raw, reason, at_us, told) VALUES (?, ?, ?, ?, ?, ?)"
# The oldest that the service knows of; then the oldest packet. A reading that nobody was told of is no packet.
_DROP_REFUSED: Final = """
DELETE FROM refused WHERE id = coalesce(
    (SELECT id FROM refused WHERE told = 1 ORDER BY id LIMIT 1),
    (SELECT id FROM refused WHERE told = 0 AND reason <> 'same_time_other_value' ORDER BY id LIMIT 1))
"""
_REFUSED: Final = "SELECT id, device, characteristic, raw, reason, at_us FROM refused ORDER BY id LIMIT ?"
_UNTOLD: Final = _REFUSED.replace("ORDER", "WHERE told = 0 ORDER")
_PUT_RECORDING: Final = """
INSERT OR IGNORE INTO recording (device, started_us, rate_hz, reason, samples) VALUES (?, ?, ?, ?, ?)
"""
_DROP_RECORDINGS: Final = "DELETE FROM recording WHERE id IN (SELECT id FROM recording ORDER BY id LIMIT ?)"
_REMEMBER: Final = "INSERT INTO memory VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_CONTRADICTS: Final = "same_time_other_value"
_FULL: Final = "the gateway's disk is full: readings stay on the devices until there is room"
_FULL_SIGNS: Final = ("full", "disk I/O", "readonly", "unable to open")
_ROOM_BYTES: Final = 64 * 1024  # a cuff's memory of 200 measurements, four values each, takes less
_SPARE_BYTES: Final = 16 * 1024 * 1024  # recordings leave so much of the disk to everything else
_DROP_AT_ONCE: Final = 32  # recordings, some 2 kB each
_RESERVE_PAGES: Final = 128  # for emergencies: more than a thousand
_KEEP_FREE_PAGES: Final = 1024  # of a file that was larger: 4 MB to write into when the disk is full
_GIVE_BACK_PAGES: Final = 256  # at once: more would keep a device waiting
_WAL_BYTES: Final = 4 * 1024 * 1024
_SAME_CALL: Final = timedelta(minutes=1)
_MOST_UNKEPT: Final = 20
_NOBODY: Final = -1  # the user slot of a reading without one: NULL would make every reading unique
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


def default_bound(folder: Path) -> int:
    """How many bytes an outbox in this folder takes unless told otherwise: half of what is free, at most 512 MB.

    Six weeks without the service of a home with everything we know are about 50 MB (``tests/devices/test_outbox.py``).
    """
    held = sum(file.stat().st_size for file in folder.glob("outbox.db*"))
    return max(min((shutil.disk_usage(folder).free + held) // 2, 512 * 1024 * 1024), 8 * 1024 * 1024)


class Outbox:
    """One file of readings that wait. Safe to use from several threads of one process.

    ``max_bytes`` bounds the file; beyond it, as on a full disk, :class:`OutboxFull` is raised and nothing is half kept.
    ``sqlite3.DatabaseError`` for what is no outbox, or one of another version.
    """

    def __init__(self, path: Path, *, max_bytes: int | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._lock = Lock()
        self._unkept: dict[int, Reading] = {}  # by numbers below zero
        self._next_unkept = 0
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
        self._db.execute("PRAGMA auto_vacuum=INCREMENTAL")  # before anything is written, or never
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
        self._most_pages = None if max_bytes is None else max(max_bytes // self._pragma("page_size"), 1)
        self._transact_once(give_shape, urgent=True)

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
        (same device, metric, time and user, other value) is kept among what is refused.

        An emergency that the disk does not take, be it full or damaged, is raised as :class:`OutboxFull` too, and yet is
        in :meth:`batch` as long as the process lives: that it may be lost is no reason not to call for help.
        """
        until = _us(datetime.now(UTC)) + round(held_s * 1e6) if held_s else 0

        def put(db: sqlite3.Connection) -> int:
            new = sum(_put(db, reading, until) for reading in readings)
            for key, value in (facts or {}).items():
                db.execute(_REMEMBER, [key, value])
            return new

        try:
            return self._transact(put, urgent=any(_is_urgent(r) for r in readings))
        except OutboxFull:
            self._hold_unkept(readings)
            raise
        except sqlite3.DatabaseError as error:
            self._hold_unkept(readings)
            raise OutboxFull(
                "the gateway's memory card fails: readings stay on the devices until it has a new one"
            ) from error

    def release(self, readings: Sequence[Reading]) -> None:
        """Let readings go that were held, with the quality they have now."""
        rows = [(int(r.quality), *_row(r)[:4]) for r in readings]
        self._transact(lambda db: db.executemany(_RELEASE, rows))

    def check_room(self) -> None:
        """Raise :class:`OutboxFull` unless a device's whole memory could be kept now."""
        if shutil.disk_usage(self._path.parent).free < _ROOM_BYTES:
            raise OutboxFull(_FULL)

        def try_room(db: sqlite3.Connection) -> None:
            db.execute("SAVEPOINT room")
            db.execute(_REFUSE, ["", "", bytes(_ROOM_BYTES), "", 0, 0])
            db.execute("ROLLBACK TO room")

        self._transact(try_room)

    def put_refused(self, device: str, characteristic: str, raw: bytes, reason: str, at: datetime) -> None:
        """Keep a packet that could not be read."""
        self._transact(lambda db: _refuse(db, device, characteristic, raw, reason, at))

    def batch(self, limit: int, *, urgent: bool | None = None, but: Collection[int] = ()) -> list[tuple[int, Reading]]:
        """The readings to be sent next, with the number by which to speak of them: emergencies (``Kind.EVENT``) first,
        then the others, each in the order collected; only one of the two when ``urgent`` says so,
        and none whose number is in ``but``.
        """
        if urgent is None:
            first = self.batch(limit, urgent=True, but=but)
            return first + self.batch(limit - len(first), urgent=False, but=but)
        if not urgent:
            return self._read(_ORDINARY, limit, but)
        with self._lock:
            unkept = [held for held in self._unkept.items() if held[0] not in but][:limit]
        return self._with_those_on_disk(unkept, _EMERGENCIES, limit, but)

    def newest_emergencies(self, limit: int) -> list[tuple[int, Reading]]:
        """The emergencies that wait, newest first; before them those that are in memory alone."""
        with self._lock:
            unkept = list(self._unkept.items())[-limit:]
        return self._with_those_on_disk(unkept[::-1], _NEWEST_EMERGENCIES, limit)

    def done(self, ids: Sequence[int]) -> None:
        """Let go of what the service has."""
        kept = self._let_unkept_go(ids)
        if kept:
            self._transact(lambda db: db.executemany("DELETE FROM waiting WHERE id = ?", [(i,) for i in kept]))
            self._give_back()

    def reject(self, reasons: Mapping[int, str], at: datetime) -> None:
        """Move readings that the service does not take from the queue to what is refused, with its reason."""

        def reject(db: sqlite3.Connection) -> None:
            for number, reason in reasons.items():
                row = db.execute(_ROW, [number]).fetchone()
                if row is not None:
                    db.execute("DELETE FROM waiting WHERE id = ?", [number])
                    _refuse(db, row[0], row[1], _as_bytes(row), reason, at, told=True)

        if self._let_unkept_go(list(reasons)):
            self._transact(reject)

    def depth(self) -> int:
        """How many readings wait."""
        return self._tally("waiting")

    def quarantined(self) -> int:
        """How many packets and readings have ever been refused; of the oldest no more than their number may be left."""
        return self._tally("refused_ever")

    def oldest(self) -> datetime | None:
        """When the reading that has waited longest was collected."""
        row = self._one("SELECT collected_us FROM waiting ORDER BY id LIMIT 1")
        return None if row is None else _moment(row[0])

    def refused(self, limit: int, *, untold: bool = True) -> list[Refused]:
        """What has been refused, oldest first; with ``untold`` only what the service has not been told of."""
        with self._lock:
            rows = self._db.execute(_UNTOLD if untold else _REFUSED, [limit]).fetchall()
        return [
            Refused(number, device, what, raw, reason, _moment(us)) for number, device, what, raw, reason, us in rows
        ]

    def told(self, ids: Sequence[int]) -> None:
        """Note that the service knows of these refusals. They stay here."""
        self._transact(lambda db: db.executemany("UPDATE refused SET told = 1 WHERE id = ?", [(i,) for i in ids]))

    def put_recording(self, recording: Recording) -> bool:
        """Keep raw acceleration, and let older go where it would take the readings' room; whether it is kept.

        It never fails for want of room, and never costs a reading: recordings fill at most half of the bound.
        """
        samples = pack(recording.samples)
        row = [recording.device, _us(recording.started_at), recording.rate_hz, recording.reason, samples]
        try:
            if self._make_room_for_recording(len(samples)):
                return self._transact(lambda db: db.execute(_PUT_RECORDING, row).rowcount > 0)
            self._transact_once(lambda db: _count_dropped(db, 1), urgent=True)
        except OutboxFull:
            log.warning("the disk is full: a recording of raw acceleration could not be kept")
        return False

    def recording(self) -> tuple[int, Recording] | None:
        """The oldest recording that waits, with its number."""
        row = self._one("SELECT id, device, started_us, rate_hz, samples, reason FROM recording ORDER BY id LIMIT 1")
        if row is None:
            return None
        number, device, started_us, rate_hz, samples, reason = row
        return number, Recording(device, _moment(started_us), rate_hz, unpack(samples), reason)

    def recording_done(self, number: int) -> None:
        """Let go of a recording that the service has."""
        self._transact(lambda db: db.execute("DELETE FROM recording WHERE id = ?", [number]))

    def recordings(self) -> int:
        """How many recordings wait."""
        return self._tally("recording")

    def recordings_dropped(self) -> int:
        """How many recordings have ever gone for want of room."""
        return self._tally("recording_dropped")

    def remember(self, key: str, value: str) -> None:
        """Keep a small fact across restarts: the gateway's key, a button's counter."""
        self._transact(lambda db: db.execute(_REMEMBER, [key, value]))

    def recall(self, key: str) -> str | None:
        """A fact kept by :meth:`remember`."""
        row = self._one("SELECT value FROM memory WHERE key = ?", key)
        return None if row is None else str(row[0])

    def _read(self, query: str, limit: int, but: Collection[int] = ()) -> list[tuple[int, Reading]]:
        given = {"now": _us(datetime.now(UTC)), "limit": limit, "but": json.dumps(list(but))}
        with self._lock:
            rows = self._db.execute(query, given).fetchall()
        return [(number, _reading(*row)) for number, *row in rows]

    def _with_those_on_disk(
        self, unkept: list[tuple[int, Reading]], query: str, limit: int, but: Collection[int] = ()
    ) -> list[tuple[int, Reading]]:
        try:
            return unkept + self._read(query, limit - len(unkept), but)
        except sqlite3.DatabaseError:
            if not unkept:
                raise
            return unkept  # a damaged disk does not hold up what is not on it

    def _one(self, query: str, *parameters: str) -> tuple[Any, ...] | None:
        with self._lock:
            row: tuple[Any, ...] | None = self._db.execute(query, parameters).fetchone()
        return row

    def _tally(self, name: str) -> int:
        row = self._one("SELECT n FROM tally WHERE name = ?", name)
        assert row is not None
        return int(row[0])

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    def _transact(self, work: Callable[[sqlite3.Connection], T], *, urgent: bool = False) -> T:
        """Do ``work`` in one transaction, letting recordings go for it where room is short."""
        try:
            return self._transact_once(work, urgent=urgent)
        except OutboxFull:
            self._begin_log_anew()
        while True:
            try:
                return self._transact_once(work, urgent=urgent)
            except OutboxFull:
                if not self._drop_recordings():
                    raise

    def _begin_log_anew(self) -> None:
        """Take what the log holds into the file: then a log that cannot grow has room again, if only to let rows go."""
        with self._lock, contextlib.suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()

    def _transact_once(self, work: Callable[[sqlite3.Connection], T], *, urgent: bool) -> T:
        with self._lock:
            try:
                self._bound(urgent=urgent)
                self._db.execute("BEGIN IMMEDIATE")
                result = work(self._db)
                self._db.execute("COMMIT")
                return result
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError) and any(sign in str(error) for sign in _FULL_SIGNS):
                    raise OutboxFull(_FULL) from error
                raise

    def _bound(self, *, urgent: bool) -> None:
        """Emergencies may fill the file to its bound, everything else leaves them the reserve."""
        if self._most_pages is not None:
            pages = self._most_pages if urgent else max(self._most_pages - _RESERVE_PAGES, self._most_pages // 2)
            self._db.execute(f"PRAGMA max_page_count={pages}")

    def _hold_unkept(self, readings: Sequence[Reading]) -> None:
        """Hold emergencies in memory alone; of one device and metric one a minute, for the device says it again."""
        with self._lock:
            for reading in filter(_is_urgent, readings):
                same = [r for r in self._unkept.values() if (r.device, r.metric) == (reading.device, reading.metric)]
                if (
                    any(abs(reading.measured_at - r.measured_at) < _SAME_CALL for r in same)
                    or len(self._unkept) >= _MOST_UNKEPT
                ):
                    continue
                self._next_unkept -= 1
                self._unkept[self._next_unkept] = reading

    def _let_unkept_go(self, ids: Sequence[int]) -> list[int]:
        """Let go of emergencies held in memory; the numbers of those on the disk."""
        with self._lock:
            for number in ids:
                self._unkept.pop(number, None)
        return [number for number in ids if number > 0]

    def _make_room_for_recording(self, size: int) -> bool:
        while not self._has_room_for_recording(size):
            if not self._drop_recordings():
                return False
        return True

    def _has_room_for_recording(self, size: int) -> bool:
        if shutil.disk_usage(self._path.parent).free < _SPARE_BYTES:
            return False
        if self._most_pages is None:
            return True
        with self._lock:
            used_pages = self._pragma("page_count") - self._pragma("freelist_count")
            return used_pages + size // self._pragma("page_size") < self._most_pages // 2

    def _drop_recordings(self) -> int:
        """Let the oldest recordings go; how many went."""

        def drop(db: sqlite3.Connection) -> int:
            gone = db.execute(_DROP_RECORDINGS, [_DROP_AT_ONCE]).rowcount
            _count_dropped(db, gone)
            return gone

        return self._transact_once(drop, urgent=True)

    def _give_back(self) -> None:
        """Give some of what a long outage left empty in the file back to the disk."""
        with self._lock:
            if self._pragma("freelist_count") > _KEEP_FREE_PAGES + _GIVE_BACK_PAGES:
                # Not execute: it leaves a statement without columns after its first step, which gives back one page.
                self._db.executescript(f"PRAGMA incremental_vacuum({_GIVE_BACK_PAGES})")


def _put(db: sqlite3.Connection, reading: Reading, held_until_us: int) -> int:
    row = _row(reading)
    if db.execute(_PUT, [*row, _is_urgent(reading), held_until_us]).rowcount:
        return 1
    (held,) = db.execute(_HELD, row[:4]).fetchone()
    if held != reading.value:
        _refuse(db, reading.device, reading.metric, _as_bytes(row), _CONTRADICTS, reading.collected_at)
    return 0


def _count_dropped(db: sqlite3.Connection, gone: int) -> None:
    if gone:
        log.warning("room is short on the disk: %d recordings of raw acceleration went for it", gone)
        db.execute("UPDATE tally SET n = n + ? WHERE name = 'recording_dropped'", [gone])


def _refuse(
    db: sqlite3.Connection,
    device: str,
    characteristic: str,
    raw: bytes,
    reason: str,
    at: datetime,
    *,
    told: bool = False,
) -> None:
    (kept,) = db.execute("SELECT n FROM tally WHERE name = 'refused'").fetchone()
    if kept >= MOST_REFUSED:
        db.execute(_DROP_REFUSED)
    db.execute(_REFUSE, [device, characteristic, raw, reason, _us(at), told])


def _is_urgent(reading: Reading) -> bool:
    metric = METRICS.get(reading.metric)
    return metric is not None and metric.kind is Kind.EVENT


_Row = tuple[str, str, int, int, int, float, int, str]


def _row(r: Reading) -> _Row:
    user = _NOBODY if r.user is None else r.user
    return (
        r.device, r.metric, _us(r.measured_at), user, _us(r.collected_at), r.value, int(r.quality), json.dumps(r.detail)
    )  # fmt: skip


def _as_bytes(row: _Row) -> bytes:
    """A reading among what is refused."""
    return json.dumps(dict(zip(_COLUMNS, row, strict=True))).encode()


def _reading(
    device: str,
    metric: str,
    measured_us: int,
    user: int,
    collected_us: int,
    value: float,
    quality: int,
    detail: str,
) -> Reading:
    return Reading(
        device,
        metric,
        value,
        _moment(measured_us),
        _moment(collected_us),
        Quality(quality),
        None if user == _NOBODY else user,
        json.loads(detail),
    )


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(us: int) -> datetime:
    return _EPOCH + us * _MICROSECOND
