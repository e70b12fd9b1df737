"""The duty rota as it is written: areas, rosters, shifts, rotations, holidays, changes, swaps, absences.

Nothing is forgotten: what is removed stays, with the moment from which it no longer counts, so that who was on duty last
Sunday can still be said. Every edit refuses what makes no sense with a :class:`RotaError`. Who is on duty by all this,
:mod:`alerts.on_duty` answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, LiteralString
from uuid import UUID
from zoneinfo import ZoneInfo

from store.postgres import Connection, one, rows, value

ROLES: Final = ("care_worker", "volunteer", "building_leader", "doctor_on_call", "supervisor")
LINES: Final = 5
ABSENCES: Final = ("sick", "leave", "on_visit")
LONGEST_CHANGE: Final = timedelta(days=92)
"""A change of more than a quarter of a year is another shift (house default)."""
LONGEST_WHY: Final = 200
"""Characters."""


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
class NewShift:
    """Hours that come again on ``weekdays`` (ISO), for a person or a rotation. ``valid_until`` is the last such day."""

    roster_id: int
    weekdays: Sequence[int]
    starts: time
    ends: time
    valid_from: date
    valid_until: date | None = None
    holidays: str = "also"
    person_id: UUID | None = None
    rotation_id: int | None = None


@dataclass(frozen=True, slots=True)
class Shift:
    """A shift of the record; see :class:`NewShift`."""

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
class NewChange:
    """``person_id`` alone: she is added; ``instead_of`` alone: she is taken off; both: the one for the other."""

    roster_id: int
    starts_at: datetime
    ends_at: datetime
    person_id: UUID | None = None
    instead_of: UUID | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of the record; see :class:`NewChange`."""

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
    """The changes that hold at some time between, in the order in which they were made."""
    return await rows(
        c,
        Change,
        _CHANGE
        + "WHERE r.centre_id = %s AND d.ends_at > %s AND d.starts_at <= %s AND d.cancelled_at IS NULL ORDER BY d.id",
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


async def uncallable(c: Connection, centre_id: int) -> dict[UUID, str]:
    """Who of those with duties can never be called, and why: ``no_phone``, or ``left`` (her account is closed).

    Only the service may ask.
    """
    cursor = await c.execute(
        "WITH named AS (SELECT s.person_id, s.roster_id FROM shift s UNION SELECT t.person_id, n.roster_id FROM rotation_turn t "
        "JOIN rotation n ON n.id = t.rotation_id UNION SELECT d.person_id, d.roster_id FROM duty_change d) "
        "SELECT DISTINCT p.id, CASE WHEN a.disabled_at IS NOT NULL THEN 'left' ELSE 'no_phone' END FROM named "
        "JOIN roster r ON r.id = named.roster_id AND r.centre_id = %s JOIN person p ON p.id = named.person_id "
        "LEFT JOIN account a ON a.person_id = p.id WHERE p.phone IS NULL OR a.disabled_at IS NOT NULL",
        [centre_id],
    )
    return dict(await cursor.fetchall())


async def add_area(c: Connection, centre_id: int, name_zh: str, name_en: str, within: int | None = None) -> int:
    """A new area; returns its number."""
    _require_names(name_zh, name_en)
    if within is not None and within not in {area.id for area in await areas(c, centre_id)}:
        raise RotaError("no_area", "there is no such area to lie within")
    return int(
        await value(
            c,
            "INSERT INTO area (centre_id, name_zh, name_en, within) VALUES (%s, %s, %s, %s) RETURNING id",
            [centre_id, name_zh.strip(), name_en.strip(), within],
        )
    )


async def add_roster(
    c: Connection,
    centre_id: int,
    role: str,
    line: int,
    name_zh: str,
    name_en: str,
    *,
    area_id: int | None = None,
    must_cover: bool = True,
) -> int:
    """A new roster; returns its number."""
    _require_names(name_zh, name_en)
    if role not in ROLES or not 1 <= line <= LINES:
        raise RotaError("duty", f"there is no duty {role!r}, line {line}")
    if area_id is not None and area_id not in {area.id for area in await areas(c, centre_id)}:
        raise RotaError("no_area", "there is no such area")
    return int(
        await value(
            c,
            "INSERT INTO roster (centre_id, role, line, name_zh, name_en, area_id, must_cover) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [centre_id, role, line, name_zh.strip(), name_en.strip(), area_id, must_cover],
        )
    )


async def add_shift(c: Connection, shift: NewShift) -> int:
    """A new shift of a roster; returns its number."""
    roster = await _roster(c, shift.roster_id)
    if (shift.person_id is None) == (shift.rotation_id is None):
        raise RotaError("who", "a shift is one person's or one rotation's")
    if shift.person_id is not None:
        await _require_callable(c, roster, shift.person_id)
    if not shift.weekdays or not set(shift.weekdays) <= set(range(1, 8)):
        raise RotaError("weekdays", "say on which days of the week it begins")
    if shift.valid_until is not None and shift.valid_until < shift.valid_from:
        raise RotaError("backwards", "it ends before it begins")
    return int(
        await value(
            c,
            "INSERT INTO shift (roster_id, weekdays, starts, ends, valid_from, valid_until, holidays, person_id, rotation_id) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [
                shift.roster_id,
                sorted(set(shift.weekdays)),
                shift.starts,
                shift.ends,
                shift.valid_from,
                shift.valid_until,
                shift.holidays,
                shift.person_id,
                shift.rotation_id,
            ],
        )
    )


async def add_change(
    c: Connection, change: NewChange, now: datetime, *, made_by: UUID | None, swap_id: int | None = None
) -> int:
    """Lay a change over a roster's shifts; returns its number."""
    roster = await _roster(c, change.roster_id)
    if change.person_id is None and change.instead_of is None:
        raise RotaError("who", "say who is on duty, or who is not")
    if change.person_id == change.instead_of:
        raise RotaError("same", "nobody can stand in for herself")
    if change.ends_at <= change.starts_at:
        raise RotaError("backwards", "it ends before it begins")
    if change.ends_at - change.starts_at > LONGEST_CHANGE:
        raise RotaError("too_long", f"a change lasts {LONGEST_CHANGE.days} days at most; write a shift instead")
    if change.ends_at <= now:
        raise RotaError("past", "that time is over")
    if len(change.why) > LONGEST_WHY:
        raise RotaError("why", f"the reason has {LONGEST_WHY} characters at most")
    if change.person_id is not None:
        await _require_callable(c, roster, change.person_id)
    return int(
        await value(
            c,
            "INSERT INTO duty_change (roster_id, starts_at, ends_at, person_id, instead_of, why, swap_id, made_by, made_at) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [
                change.roster_id,
                change.starts_at,
                change.ends_at,
                change.person_id,
                change.instead_of,
                change.why.strip(),
                swap_id,
                made_by,
                now,
            ],
        )
    )


async def begin_absence(
    c: Connection,
    person_id: UUID,
    kind: str,
    starts_at: datetime,
    ends_at: datetime | None,
    now: datetime,
    *,
    said_by: UUID | None,
    alert_id: int | None = None,
) -> int:
    """Somebody is or will be away; without ``ends_at`` until :func:`end_absence`. Returns its number."""
    if kind not in ABSENCES:
        raise RotaError("absence", f"nobody is absent for {kind!r}")
    if ends_at is not None and ends_at <= max(starts_at, now):
        raise RotaError("backwards", "it ends before it begins")
    return int(
        await value(
            c,
            "INSERT INTO absence (person_id, kind, starts_at, ends_at, said_by, said_at, alert_id) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [person_id, kind, starts_at, ends_at, said_by, now, alert_id],
        )
    )


async def _roster(c: Connection, roster_id: int) -> Roster:
    found = await one(c, Roster, _ROSTER + "WHERE id = %s", [roster_id])
    if found is None or found.removed_at is not None:
        raise RotaError("no_roster", "there is no such roster")
    return found


async def _require_callable(c: Connection, roster: Roster, person_id: UUID) -> None:
    cursor = await c.execute(
        "SELECT p.phone IS NOT NULL, a.disabled_at IS NOT NULL FROM roster r JOIN person p USING (centre_id) "
        "LEFT JOIN account a ON a.person_id = p.id WHERE r.id = %s AND p.id = %s",
        [roster.id, person_id],
    )
    row = await cursor.fetchone()
    if row is None or row[1]:
        raise RotaError("no_person", "she is not of this centre")
    if not row[0]:
        raise RotaError("no_phone", "without a telephone nobody can be on duty")


def _require_names(name_zh: str, name_en: str) -> None:
    if not all(1 <= len(name.strip()) <= 100 for name in (name_zh, name_en)):
        raise RotaError("name", "it needs a name in both languages, of 100 characters at most")
