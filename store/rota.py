"""The duty rota as it is written: areas, rosters, shifts, rotations, holidays, changes, swaps, absences.

Nothing is forgotten: what is removed stays, with the moment from which it no longer counts, so that who was on duty last
Sunday can still be said. It is written by :mod:`store.rosters` and :mod:`store.duty_changes`, which refuse what makes no
sense. Who is on duty by all this, :mod:`alerts.on_duty` answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final, LiteralString
from uuid import UUID
from zoneinfo import ZoneInfo

from store.postgres import Connection, one, rows, value

ROLES: Final = ("care_worker", "volunteer", "building_leader", "doctor_on_call", "supervisor")
LINES: Final = 5


class RotaError(ValueError):
    """What was asked makes no sense on this rota. ``code`` is for translation, the text is English."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Named:
    """What has a name in both languages."""

    id: int
    name_zh: str
    name_en: str

    def name(self, language: str) -> str:
        """The name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


@dataclass(frozen=True, slots=True)
class Area(Named):
    """A part of the neighbourhood: a courtyard, or a building ``within`` one."""

    within: int | None


@dataclass(frozen=True, slots=True)
class Roster(Named):
    """Duty in one role and line, for an area or the whole centre."""

    role: str
    line: int
    area_id: int | None
    must_cover: bool
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Rotation(Named):
    """People who take turns. ``starts_at`` is local time of the centre, without a zone."""

    roster_id: int
    every: str
    length: int
    starts_at: datetime
    persons: list[UUID]


@dataclass(frozen=True, slots=True)
class Shift:
    """Hours that come again on ``weekdays`` (ISO), for a person or a rotation. ``valid_until`` is the last such day."""

    id: int
    roster_id: int
    weekdays: list[int]
    starts: time
    ends: time
    valid_from: date
    valid_until: date | None
    holidays: str
    person_id: UUID | None
    rotation_id: int | None
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Holiday:
    """A public holiday, by its local date."""

    day: date
    name_zh: str
    name_en: str

    def name(self, language: str) -> str:
        """The name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


@dataclass(frozen=True, slots=True)
class Change:
    """``person_id`` alone: she is added; ``instead_of`` alone: she is taken off; both: the one for the other."""

    id: int
    roster_id: int
    starts_at: datetime
    ends_at: datetime
    person_id: UUID | None
    instead_of: UUID | None
    why: str
    swap_id: int | None
    made_by: UUID | None
    made_at: datetime
    cancelled_at: datetime | None
    cancelled_by: UUID | None


@dataclass(frozen=True, slots=True)
class Swap:
    """One person asks another to take hours of hers, for hours of the other's or for nothing."""

    id: int
    roster_id: int
    asked_by: UUID
    asked_of: UUID
    gives_from: datetime
    gives_until: datetime
    takes_from: datetime | None
    takes_until: datetime | None
    asked_at: datetime
    state: str
    settled_at: datetime | None
    settled_by: UUID | None


@dataclass(frozen=True, slots=True)
class Absence:
    """Somebody is away; without ``ends_at`` until she says that she is back."""

    id: int
    person_id: UUID
    kind: str
    starts_at: datetime
    ends_at: datetime | None
    said_by: UUID | None
    said_at: datetime
    alert_id: int | None


_ROSTER: Final[LiteralString] = "SELECT id, name_zh, name_en, role, line, area_id, must_cover, removed_at FROM roster "
_ROTATION: Final[LiteralString] = """
    SELECT t.id, t.name_zh, t.name_en, t.roster_id, t.every, t.length, t.starts_at,
           ARRAY(SELECT person_id FROM rotation_turn WHERE rotation_id = t.id ORDER BY place) AS persons
    FROM rotation t JOIN roster r ON r.id = t.roster_id
"""
_SHIFT: Final[LiteralString] = """
    SELECT s.id, s.roster_id, s.weekdays, s.starts, s.ends, s.valid_from, s.valid_until, s.holidays, s.person_id, s.rotation_id,
           s.removed_at
    FROM shift s JOIN roster r ON r.id = s.roster_id
"""
_CHANGE: Final[LiteralString] = """
    SELECT d.id, d.roster_id, d.starts_at, d.ends_at, d.person_id, d.instead_of, d.why, d.swap_id, d.made_by, d.made_at,
           d.cancelled_at, d.cancelled_by
    FROM duty_change d JOIN roster r ON r.id = d.roster_id
"""
_SWAP: Final[LiteralString] = """
    SELECT w.id, w.roster_id, w.asked_by, w.asked_of, w.gives_from, w.gives_until, w.takes_from, w.takes_until, w.asked_at,
           w.state, w.settled_at, w.settled_by
    FROM duty_swap w
"""
_ABSENCE: Final[LiteralString] = """
    SELECT a.id, a.person_id, a.kind, a.starts_at, a.ends_at, a.said_by, a.said_at, a.alert_id
    FROM absence a JOIN person p ON p.id = a.person_id
"""


async def time_zone(c: Connection, centre_id: int) -> ZoneInfo:
    """By which clock the centre's rota is written."""
    return ZoneInfo(await value(c, "SELECT time_zone FROM centre WHERE id = %s", [centre_id]))


async def areas(c: Connection, centre_id: int) -> list[Area]:
    """The centre's areas, the outermost first."""
    return await rows(
        c,
        Area,
        "SELECT id, name_zh, name_en, within FROM area WHERE centre_id = %s AND removed_at IS NULL "
        "ORDER BY within NULLS FIRST, id",
        [centre_id],
    )


async def rosters(c: Connection, centre_id: int, since: datetime | None = None) -> list[Roster]:
    """The centre's rosters, by role and line; with ``since`` also those removed later than that."""
    return await rows(
        c,
        Roster,
        _ROSTER + "WHERE centre_id = %s AND (removed_at IS NULL OR removed_at > %s) "
        "ORDER BY array_position(%s, role), line, area_id NULLS FIRST, id",
        [centre_id, since, list(ROLES)],
    )


async def rotations(c: Connection, centre_id: int, since: datetime | None = None) -> list[Rotation]:
    """The rotations of the centre's rosters; with ``since`` also those removed later than that."""
    return await rows(
        c,
        Rotation,
        _ROTATION + "WHERE r.centre_id = %s AND (t.removed_at IS NULL OR t.removed_at > %s) ORDER BY t.id",
        [centre_id, since],
    )


async def shifts(c: Connection, centre_id: int, since: datetime | None = None) -> list[Shift]:
    """The shifts of the centre's rosters; with ``since`` also those removed later than that."""
    return await rows(
        c,
        Shift,
        _SHIFT + "WHERE r.centre_id = %s AND (s.removed_at IS NULL OR s.removed_at > %s) ORDER BY s.id",
        [centre_id, since],
    )


async def holidays(c: Connection, centre_id: int, first: date, last: date) -> list[Holiday]:
    """The centre's holidays from the day ``first`` to the day ``last``."""
    return await rows(
        c,
        Holiday,
        "SELECT day, name_zh, name_en FROM holiday WHERE centre_id = %s AND day BETWEEN %s AND %s ORDER BY day",
        [centre_id, first, last],
    )


async def changes(c: Connection, centre_id: int, since: datetime, until: datetime) -> list[Change]:
    """The changes that hold at some time between, in the order in which they were made; one taken back, until then."""
    return await rows(
        c,
        Change,
        _CHANGE + "WHERE r.centre_id = %s AND least(d.ends_at, d.cancelled_at) > %s AND d.starts_at <= %s "
        "AND (d.cancelled_at IS NULL OR d.cancelled_at > d.starts_at) ORDER BY d.id",
        [centre_id, since, until],
    )


async def absences(c: Connection, centre_id: int, since: datetime, until: datetime) -> list[Absence]:
    """Who of the centre is away at some time between, by when it begins."""
    return await rows(
        c,
        Absence,
        _ABSENCE + "WHERE p.centre_id = %s AND (a.ends_at IS NULL OR a.ends_at > %s) AND a.starts_at <= %s "
        "ORDER BY a.starts_at, a.id",
        [centre_id, since, until],
    )


async def uncallable(c: Connection, centre_id: int, since: datetime) -> dict[UUID, str]:
    """Who of those with duties since then can never be called, and why: ``no_phone``, or ``left`` (her account is closed).

    Only the service may ask.
    """
    cursor = await c.execute(
        "WITH named AS (SELECT s.person_id, s.roster_id FROM shift s UNION SELECT t.person_id, n.roster_id FROM rotation_turn t "
        "JOIN rotation n ON n.id = t.rotation_id UNION SELECT d.person_id, d.roster_id FROM duty_change d WHERE d.ends_at > %s) "
        "SELECT DISTINCT p.id, CASE WHEN a.disabled_at IS NOT NULL THEN 'left' ELSE 'no_phone' END FROM named "
        "JOIN roster r ON r.id = named.roster_id AND r.centre_id = %s JOIN person p ON p.id = named.person_id "
        "LEFT JOIN account a ON a.person_id = p.id WHERE p.phone IS NULL OR a.disabled_at IS NOT NULL",
        [since, centre_id],
    )
    return dict(await cursor.fetchall())


async def swaps_of(c: Connection, person_id: UUID, since: datetime) -> list[Swap]:
    """What this person has asked or is asked, of hours that are not over by ``since``; the newest first."""
    return await rows(
        c,
        Swap,
        _SWAP + "WHERE %(person)s IN (w.asked_by, w.asked_of) AND greatest(w.gives_until, w.takes_until) > %(since)s "
        "ORDER BY w.id DESC",
        {"person": person_id, "since": since},
    )


async def swaps(c: Connection, centre_id: int, since: datetime) -> list[Swap]:
    """Everything asked in the centre, of hours that are not over by ``since``; the newest first."""
    return await rows(
        c,
        Swap,
        _SWAP
        + "JOIN roster r ON r.id = w.roster_id WHERE r.centre_id = %s AND greatest(w.gives_until, w.takes_until) > %s "
        "ORDER BY w.id DESC",
        [centre_id, since],
    )


async def swap(c: Connection, swap_id: int) -> Swap | None:
    """One request, locked until the transaction ends: two people may answer it at once."""
    return await one(c, Swap, _SWAP + "WHERE w.id = %s FOR UPDATE", [swap_id])
