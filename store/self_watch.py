"""The probe that proves the whole way of an alert, the proofs it has given, and how the chain stands by them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final
from uuid import UUID

import numpy as np
from psycopg.errors import UniqueViolation

from devices.readings import METRICS, Quality
from store import contacts, people, residents, rosters
from store.postgres import Connection, one, rows, value
from store.readings import UNKNOWN_USER, Incoming, insert

PERIODS: Final = 3
"""So many probes may be lost, to a network that was away for a moment, before the chain counts as broken."""
_NAME: Final = ("炉望自检", "Hearthwatch self-test")
_WHERE: Final = ("无需前往", "nobody need go")
_PRESSED: Final = "help_call"
_BY_NO_DEVICE: Final = 0
_EVERY_DAY: Final = range(1, 8)
_LOCK: Final = 0x70726F6265


class Taken(Exception):
    """The test contact's number is somebody's telephone: her phone would ring every few minutes."""


@dataclass(frozen=True, slots=True)
class Progress:
    """A probe that has not ended, and how far it has come: each moment is ``None`` until it is reached."""

    id: int
    begun_at: datetime
    alert_id: int | None
    called_at: datetime | None
    sent_at: datetime | None
    delivered_at: datetime | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Standing:
    """How the chain stands. ``every_s`` is ``None`` where no probes are sent.

    ``since`` is when they began to be, ``proved_at`` when one last came through, ``stuck`` what the last one to end did
    not reach, ``oldest_high`` since when the oldest undelivered message of high priority is due.
    """

    every_s: float | None
    since: datetime | None
    proved_at: datetime | None
    stuck: str | None
    oldest_high: datetime | None

    @property
    def due_by(self) -> datetime | None:
        """By when a probe must have come through for the chain to count as whole; ``None`` where none are sent."""
        if self.every_s is None or self.since is None:
            return None
        last = max(self.since, self.proved_at or self.since)
        return last + PERIODS * timedelta(seconds=self.every_s)

    def is_broken(self, now: datetime) -> bool:
        """Whether it has not proved itself for too long."""
        return self.due_by is not None and now > self.due_by


async def standing(c: Connection, now: datetime) -> Standing:
    """How the chain stands; anybody's connection may ask."""
    found = await one(c, Standing, "SELECT * FROM chain_standing(%s)", [now])
    assert found is not None, "there is always one row"
    return found


async def last_proof(c: Connection) -> datetime | None:
    """When the chain last proved itself; ``None`` when it never has."""
    found: datetime | None = await value(c, "SELECT max(proved_at) FROM proof")
    return found


async def switch_on(c: Connection, phone: str, every: timedelta, now: datetime) -> None:
    """Send probes from now on, to this number. Raises :class:`Taken`."""
    await c.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
    try:
        async with c.transaction():
            person = await value(c, "SELECT person_id FROM probe")
            if person is None:
                await _make(c, phone, now)
            else:
                await c.execute("UPDATE person SET phone = %s WHERE id = %s", [phone, person])
    except UniqueViolation as error:
        raise Taken(f"{phone} is the telephone of somebody in the record") from error
    # An earlier setting's next probe may be hours away.
    await c.execute(
        "UPDATE probe SET since = CASE WHEN every_s IS NULL THEN %(now)s ELSE since END, every_s = %(every)s, "
        "next_at = least(next_at, %(now)s + %(period)s)",
        {"now": now, "every": every.total_seconds(), "period": every},
    )


async def switch_off(c: Connection) -> None:
    """Send no more probes."""
    await c.execute("UPDATE probe SET every_s = NULL WHERE every_s IS NOT NULL")


async def claim(c: Connection, now: datetime) -> int | None:
    """The resident of whom a probe is to be sent now, for one process alone; ``None`` while it is too early.

    A clock that has been set back since keeps the next one from nobody.
    """
    found: int | None = await value(
        c,
        "UPDATE probe SET next_at = %(now)s + make_interval(secs => every_s) WHERE every_s IS NOT NULL "
        "AND (next_at <= %(now)s OR next_at > %(now)s + make_interval(secs => 2 * every_s)) RETURNING resident_id",
        {"now": now},
    )
    return found


async def next_at(c: Connection) -> datetime | None:
    """When the next probe is to be sent."""
    found: datetime | None = await value(c, "SELECT next_at FROM probe WHERE every_s IS NOT NULL")
    return found


async def begin(c: Connection, resident_id: int, now: datetime) -> None:
    """Press the button that does not exist."""
    await c.execute("INSERT INTO proof (begun_at) VALUES (%s)", [now])
    at = np.array([now.replace(tzinfo=None)], dtype="datetime64[us]")
    await insert(
        c,
        Incoming(
            gateway_id=_BY_NO_DEVICE,
            received_at=now,
            resident_id=np.array([resident_id], np.int32),
            metric=np.array([METRICS[_PRESSED].code], np.int16),
            device_id=np.array([_BY_NO_DEVICE], np.int32),
            measured_at=at,
            collected_at=at,
            value=np.ones(1, np.float64),
            quality=np.array([Quality.NO_DEVICE_TIME], np.int32),
            user_slot=np.array([UNKNOWN_USER], np.int16),
        ),
    )


async def under_way(c: Connection) -> list[Progress]:
    """Probes that have not ended, oldest first."""
    return await rows(
        c,
        Progress,
        """
        SELECT f.id, f.begun_at, a.id AS alert_id, m.created_at AS called_at, m.sent_at, m.delivered_at, m.error
        FROM proof f CROSS JOIN probe p
        LEFT JOIN LATERAL (SELECT id FROM alert WHERE resident_id = p.resident_id AND happened_at = f.begun_at LIMIT 1) a ON true
        LEFT JOIN LATERAL (SELECT * FROM message WHERE alert_id = a.id AND purpose = 'alert'
                           ORDER BY delivered_at NULLS LAST, sent_at NULLS LAST, id LIMIT 1) m ON true
        WHERE f.ended_at IS NULL ORDER BY f.id
        """,
    )


async def prove(c: Connection, progress: Progress, now: datetime) -> bool:
    """It has come through; ``False`` when another process has said so already."""
    done = await c.execute(
        "UPDATE proof SET ended_at = %s, proved_at = %s, alert_id = %s WHERE id = %s AND ended_at IS NULL",
        [now, progress.delivered_at, progress.alert_id, progress.id],
    )
    return done.rowcount == 1


async def give_up(c: Connection, progress: Progress, stuck: str, now: datetime) -> bool:
    """It has not come through in time; ``False`` when another process has said so already."""
    done = await c.execute(
        "UPDATE proof SET ended_at = %s, stuck = %s, error = %s, alert_id = %s WHERE id = %s AND ended_at IS NULL",
        [now, stuck, progress.error, progress.alert_id, progress.id],
    )
    return done.rowcount == 1


async def open_alerts(c: Connection) -> list[int]:
    """Alerts of probes that are still open."""
    cursor = await c.execute(
        "SELECT a.id FROM alert a JOIN probe USING (resident_id) WHERE a.state NOT IN ('resolved', 'expired') ORDER BY a.id"
    )
    return [row[0] for row in await cursor.fetchall()]


async def forget(c: Connection, before: datetime) -> int:
    """Drop what probes of long ago have come to."""
    done = await c.execute("DELETE FROM proof WHERE begun_at < %s AND ended_at IS NOT NULL", [before])
    return done.rowcount


async def _make(c: Connection, phone: str, now: datetime) -> None:
    centre = await people.add_centre(c, *_NAME, None, "UTC")
    contact = await people.add_person(c, centre, *_NAME, phone, "en")
    nobody = await people.add_person(c, centre, *_NAME, None, "en")
    resident = await residents.add(c, residents.NewResident(nobody.id, centre, date(2000, 1, 1), "female", *_WHERE))
    roster = await rosters.add_roster(c, centre, "care_worker", 1, *_NAME, must_cover=False)
    always = rosters.NewShift(roster, _EVERY_DAY, time(0), time(0), date(2000, 1, 1), person_id=contact.id)
    await rosters.add_shift(c, centre, always)
    for priority in ("high", "medium", "low"):
        await contacts.set_preference(c, contact.id, priority, [{"channel": "sms", "after_s": 0}], now)
    await _keep(c, centre, resident, contact.id, now)


async def _keep(c: Connection, centre: int, resident: int, contact: UUID, now: datetime) -> None:
    await c.execute(
        "INSERT INTO probe (centre_id, resident_id, person_id, since, next_at) VALUES (%s, %s, %s, %s, %s)",
        [centre, resident, contact, now, now],
    )
