"""The shape of the outbox's file.

How many rows there are stands in a table of its own: counting 200,000 of them takes a second on an SD card, and
each heartbeat asks.
"""

from __future__ import annotations

import sqlite3
from typing import Final

VERSION: Final = 1
_SHAPE: Final = (
    """
    CREATE TABLE waiting (
        id            INTEGER PRIMARY KEY AUTOINCREMENT,
        device        TEXT NOT NULL,
        metric        TEXT NOT NULL,
        measured_us   INTEGER NOT NULL,
        user          INTEGER NOT NULL, -- -1: none; NULL would make every reading another one
        collected_us  INTEGER NOT NULL,
        value         REAL NOT NULL,
        quality       INTEGER NOT NULL,
        detail        TEXT NOT NULL,
        urgent        INTEGER NOT NULL,
        held_until_us INTEGER NOT NULL,
        UNIQUE (device, metric, measured_us, user)
    )
    """,
    "CREATE INDEX urgent ON waiting (id) WHERE urgent = 1",
    """
    CREATE TABLE refused (
        id             INTEGER PRIMARY KEY AUTOINCREMENT,
        device         TEXT NOT NULL,
        characteristic TEXT NOT NULL,
        raw            BLOB NOT NULL,
        reason         TEXT NOT NULL,
        at_us          INTEGER NOT NULL,
        told           INTEGER NOT NULL
    )
    """,
    "CREATE INDEX told ON refused (id) WHERE told = 1",
    "CREATE INDEX untold ON refused (id) WHERE told = 0",
    """
    CREATE TABLE recording (
        id         INTEGER PRIMARY KEY AUTOINCREMENT,
        device     TEXT NOT NULL,
        started_us INTEGER NOT NULL,
        rate_hz    REAL NOT NULL,
        reason     TEXT NOT NULL,
        samples    BLOB NOT NULL,
        UNIQUE (device, started_us)
    )
    """,
    "CREATE TABLE memory (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE tally (name TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID",
    """
    INSERT INTO tally VALUES
        ('waiting', 0), ('refused', 0), ('refused_ever', 0), ('recording', 0), ('recording_dropped', 0)
    """,
    """
    CREATE TRIGGER waiting_come AFTER INSERT ON waiting BEGIN
        UPDATE tally SET n = n + 1 WHERE name = 'waiting';
    END
    """,
    """
    CREATE TRIGGER waiting_gone AFTER DELETE ON waiting BEGIN
        UPDATE tally SET n = n - 1 WHERE name = 'waiting';
    END
    """,
    """
    CREATE TRIGGER refused_come AFTER INSERT ON refused BEGIN
        UPDATE tally SET n = n + 1 WHERE name IN ('refused', 'refused_ever');
    END
    """,
    """
    CREATE TRIGGER refused_gone AFTER DELETE ON refused BEGIN
        UPDATE tally SET n = n - 1 WHERE name = 'refused';
    END
    """,
    """
    CREATE TRIGGER recording_come AFTER INSERT ON recording BEGIN
        UPDATE tally SET n = n + 1 WHERE name = 'recording';
    END
    """,
    """
    CREATE TRIGGER recording_gone AFTER DELETE ON recording BEGIN
        UPDATE tally SET n = n - 1 WHERE name = 'recording';
    END
    """,
    f"PRAGMA user_version={VERSION}",
)


class OtherVersion(sqlite3.DatabaseError):
    """The file was written by another version of the gateway."""


def give_shape(db: sqlite3.Connection) -> None:
    """Give an empty file its shape, in the transaction that is open. :class:`OtherVersion` for a file of another one."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    (things,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if version == 0 and things == 0:
        for statement in _SHAPE:
            db.execute(statement)
    elif version != VERSION:
        raise OtherVersion(f"another version of the gateway wrote it (shape {version}, this one knows {VERSION})")
