"""Writing the rota's lasting part: areas, rosters, rotations, shifts, holidays.

Every function touches the named centre alone: what is of another raises :class:`~store.administration.NotAllowed`. What
makes no sense is refused with a :class:`~store.rota.RotaError`. ``by`` is who does it; a line in the audit says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final, LiteralString
from uuid import UUID

from store import audit
from store.administration import NotAllowed
from store.postgres import Connection, value
from store.rota import LINES, ROLES, RotaError

EVERY: Final = ("hours", "days", "weeks", "months")
ON_HOLIDAYS: Final = ("also", "only", "not")
LONGEST_NAME: Final = 100
"""Characters."""
LONGEST_TURN: Final = 366
"""Hours, days, weeks or months."""


@dataclass(frozen=True, slots=True)
class NewRotation:
    """People who take turns, each ``length`` hours, days, weeks or months, from ``starts_at`` on: local, without a zone."""

    roster_id: int
    name_zh: str
    name_en: str
    every: str
    length: int
    starts_at: datetime
    persons: Sequence[UUID]


@dataclass(frozen=True, slots=True)
class NewShift:
    """Hours that come again on ``weekdays`` (ISO), for a person or a rotation, by the local clock of the centre.

    ``ends`` not after ``starts`` means on the next day. ``valid_until`` is the last day on which it begins.
    """

    roster_id: int
    weekdays: Sequence[int]
    starts: time
    ends: time
    valid_from: date
    valid_until: date | None = None
    holidays: str = "also"
    person_id: UUID | None = None
    rotation_id: int | None = None


async def add_area(
    c: Connection, centre_id: int, name_zh: str, name_en: str, within: int | None = None, *, by: UUID | None = None
) -> int:
    """A new area; returns its number."""
    names = _names(name_zh, name_en)
    if within is not None:
        await _require(c, _AREA, centre_id, within)
    number = int(
        await value(
            c,
            "INSERT INTO area (centre_id, name_zh, name_en, within) VALUES (%s, %s, %s, %s) RETURNING id",
            [centre_id, *names, within],
        )
    )
    await audit.record(c, "area_added", by, area=number)
    return number


async def change_area(
    c: Connection,
    centre_id: int,
    area_id: int,
    name_zh: str,
    name_en: str,
    within: int | None,
    *,
    by: UUID | None = None,
) -> None:
    """Name an area otherwise, or let it lie within another. It cannot lie within itself, nor within a part of itself."""
    names = _names(name_zh, name_en)
    await _require(c, _AREA, centre_id, area_id)
    if within is not None:
        await _require(c, _AREA, centre_id, within)
        if area_id in await _around(c, within):
            raise RotaError("within_itself", "an area cannot lie within itself")
    await c.execute("UPDATE area SET name_zh = %s, name_en = %s, within = %s WHERE id = %s", [*names, within, area_id])
    await audit.record(c, "area_changed", by, area=area_id)


async def remove_area(c: Connection, centre_id: int, area_id: int, now: datetime, *, by: UUID | None = None) -> None:
    """Do away with an area in which nobody lives, nothing lies, and for which no roster or policy stands."""
    await _require(c, _AREA, centre_id, area_id)
    used = await value(
        c,
        "SELECT 'residents' FROM resident WHERE area_id = %(area)s AND (left_at IS NULL OR left_at > %(now)s) "
        "UNION SELECT 'areas' FROM area WHERE within = %(area)s AND removed_at IS NULL "
        "UNION SELECT 'rosters' FROM roster WHERE area_id = %(area)s AND removed_at IS NULL "
        "UNION SELECT 'policies' FROM policy_use WHERE area_id = %(area)s ORDER BY 1 DESC LIMIT 1",
        {"area": area_id, "now": now},
    )
    if used is not None:
        raise RotaError(f"area_has_{used}", f"there are still {used} in this area")
    await c.execute("UPDATE area SET removed_at = %s WHERE id = %s", [now, area_id])
    await audit.record(c, "area_removed", by, area=area_id)


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
    by: UUID | None = None,
) -> int:
    """A new roster; returns its number."""
    names = _names(name_zh, name_en)
    if role not in ROLES or not 1 <= line <= LINES:
        raise RotaError("duty", f"there is no duty {role!r}, line {line}")
    if area_id is not None:
        await _require(c, _AREA, centre_id, area_id)
    number = int(
        await value(
            c,
            "INSERT INTO roster (centre_id, role, line, name_zh, name_en, area_id, must_cover) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [centre_id, role, line, *names, area_id, must_cover],
        )
    )
    await audit.record(c, "roster_added", by, roster=number)
    return number


async def change_roster(
    c: Connection,
    centre_id: int,
    roster_id: int,
    name_zh: str,
    name_en: str,
    must_cover: bool,
    *,
    by: UUID | None = None,
) -> None:
    """Name a roster otherwise, or say whether it must be covered. For another role, line or area make another roster."""
    names = _names(name_zh, name_en)
    await _require(c, _ROSTER, centre_id, roster_id)
    await c.execute(
        "UPDATE roster SET name_zh = %s, name_en = %s, must_cover = %s WHERE id = %s", [*names, must_cover, roster_id]
    )
    await audit.record(c, "roster_changed", by, roster=roster_id)


async def remove_roster(
    c: Connection, centre_id: int, roster_id: int, now: datetime, *, by: UUID | None = None
) -> None:
    """From now on nobody is on duty by it. Refused for the last one that a policy in use calls."""
    await _require(c, _ROSTER, centre_id, roster_id)
    called = await value(
        c,
        "SELECT 1 FROM roster r JOIN policy_use u ON u.centre_id = r.centre_id JOIN policy p ON p.id = u.policy_id "
        "WHERE r.id = %s AND jsonb_path_exists(p.content, '$.steps[*].targets[*] ? (@.role == $role && @.line == $line)', "
        "jsonb_build_object('role', r.role, 'line', r.line)) AND NOT EXISTS (SELECT FROM roster other "
        "WHERE other.centre_id = r.centre_id AND other.role = r.role AND other.line = r.line AND other.id <> r.id "
        "AND other.removed_at IS NULL)",
        [roster_id],
    )
    if called is not None:
        raise RotaError("roster_in_policy", "a policy in use calls whoever is on duty by it, and there is no other")
    await c.execute("UPDATE roster SET removed_at = %s WHERE id = %s", [now, roster_id])
    await audit.record(c, "roster_removed", by, roster=roster_id)


async def add_rotation(c: Connection, centre_id: int, new: NewRotation, *, by: UUID | None = None) -> int:
    """A new rotation; returns its number."""
    names = _names(new.name_zh, new.name_en)
    await _require(c, _ROSTER, centre_id, new.roster_id)
    if new.every not in EVERY or not 1 <= new.length <= LONGEST_TURN:
        raise RotaError("turn_length", f"a turn lasts 1 to {LONGEST_TURN} hours, days, weeks or months")
    await _require_turns(c, centre_id, new.persons)
    number = int(
        await value(
            c,
            "INSERT INTO rotation (roster_id, name_zh, name_en, every, length, starts_at) VALUES (%s, %s, %s, %s, %s, %s) "
            "RETURNING id",
            [new.roster_id, *names, new.every, new.length, new.starts_at.replace(tzinfo=None)],
        )
    )
    async with c.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO rotation_turn (rotation_id, place, person_id) VALUES (%s, %s, %s)",
            [(number, place, person) for place, person in enumerate(new.persons, start=1)],
        )
    await audit.record(c, "rotation_added", by, rotation=number, roster=new.roster_id)
    return number


async def replace_rotation(
    c: Connection,
    centre_id: int,
    rotation_id: int,
    new: NewRotation,
    first_day: date,
    now: datetime,
    *,
    by: UUID | None = None,
) -> int:
    """Another rotation in place of this one, in all shifts that begin on ``first_day`` or later; returns its number.

    Shifts that have begun by then end as they would have: nothing of the past is written anew, and no night is torn.
    """
    await _require(c, _ROTATION, centre_id, rotation_id)
    number = await add_rotation(c, centre_id, new, by=by)
    both = {"new": number, "old": rotation_id, "first": first_day}
    await c.execute(
        "INSERT INTO shift (roster_id, weekdays, starts, ends, valid_from, valid_until, holidays, rotation_id) "
        "SELECT roster_id, weekdays, starts, ends, greatest(valid_from, %(first)s), valid_until, holidays, %(new)s FROM shift "
        "WHERE rotation_id = %(old)s AND removed_at IS NULL AND (valid_until IS NULL OR valid_until >= %(first)s) ORDER BY id",
        both,
    )
    await c.execute(
        "DELETE FROM shift WHERE rotation_id = %(old)s AND valid_from >= %(first)s AND removed_at IS NULL", both
    )
    await c.execute(
        "UPDATE shift SET valid_until = %(first)s - 1 WHERE rotation_id = %(old)s AND removed_at IS NULL "
        "AND (valid_until IS NULL OR valid_until >= %(first)s)",
        both,
    )
    await c.execute("UPDATE rotation SET removed_at = %s WHERE id = %s", [now, rotation_id])
    await audit.record(c, "rotation_replaced", by, rotation=rotation_id, with_rotation=number)
    return number


async def remove_rotation(
    c: Connection, centre_id: int, rotation_id: int, now: datetime, *, by: UUID | None = None
) -> None:
    """Do away with a rotation by which no shift goes any more."""
    await _require(c, _ROTATION, centre_id, rotation_id)
    last_of_it = now - timedelta(days=2)
    if await value(
        c,
        "SELECT 1 FROM shift WHERE rotation_id = %s AND removed_at IS NULL AND (valid_until IS NULL OR valid_until >= %s)",
        [rotation_id, last_of_it.date()],
    ):
        raise RotaError("rotation_in_use", "shifts still go by this rotation")
    await c.execute("UPDATE rotation SET removed_at = %s WHERE id = %s", [now, rotation_id])
    await audit.record(c, "rotation_removed", by, rotation=rotation_id)


async def add_shift(c: Connection, centre_id: int, new: NewShift, *, by: UUID | None = None) -> int:
    """A new shift of a roster; returns its number."""
    await _require(c, _ROSTER, centre_id, new.roster_id)
    await _require_one(c, centre_id, new)
    if not new.weekdays or not set(new.weekdays) <= set(range(1, 8)):
        raise RotaError("weekdays", "say on which days of the week it begins")
    if new.holidays not in ON_HOLIDAYS:
        raise RotaError("holidays", "on holidays it is also, only, or not")
    if new.valid_until is not None and new.valid_until < new.valid_from:
        raise RotaError("backwards", "it ends before it begins")
    number = int(
        await value(
            c,
            "INSERT INTO shift (roster_id, weekdays, starts, ends, valid_from, valid_until, holidays, person_id, rotation_id) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [
                new.roster_id,
                sorted(set(new.weekdays)),
                new.starts,
                new.ends,
                new.valid_from,
                new.valid_until,
                new.holidays,
                new.person_id,
                new.rotation_id,
            ],
        )
    )
    await audit.record(c, "shift_added", by, shift=number, roster=new.roster_id)
    return number


async def end_shift(c: Connection, centre_id: int, shift_id: int, last_day: date, *, by: UUID | None = None) -> None:
    """Let a shift begin on this day for the last time."""
    await _require(c, _SHIFT, centre_id, shift_id)
    done = await c.execute(
        "UPDATE shift SET valid_until = %(day)s WHERE id = %(shift)s AND valid_from <= %(day)s",
        {"day": last_day, "shift": shift_id},
    )
    if not done.rowcount:
        raise RotaError("backwards", "it ends before it begins")
    await audit.record(c, "shift_ended", by, shift=shift_id, last_day=last_day.isoformat())


async def remove_shift(c: Connection, centre_id: int, shift_id: int, now: datetime, *, by: UUID | None = None) -> None:
    """From now on nobody is on duty by this shift, not even for the rest of today's."""
    await _require(c, _SHIFT, centre_id, shift_id)
    await c.execute("UPDATE shift SET removed_at = %s WHERE id = %s", [now, shift_id])
    await audit.record(c, "shift_removed", by, shift=shift_id)


async def set_holiday(
    c: Connection, centre_id: int, day: date, name_zh: str, name_en: str, *, by: UUID | None = None
) -> None:
    """This day is a holiday, of this name."""
    await c.execute(
        "INSERT INTO holiday (centre_id, day, name_zh, name_en) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (centre_id, day) DO UPDATE SET name_zh = excluded.name_zh, name_en = excluded.name_en",
        [centre_id, day, *_names(name_zh, name_en)],
    )
    await audit.record(c, "holiday_set", by, day=day.isoformat())


async def remove_holiday(c: Connection, centre_id: int, day: date, *, by: UUID | None = None) -> None:
    """This day is no holiday. One that is not any is none afterwards either."""
    await c.execute("DELETE FROM holiday WHERE centre_id = %s AND day = %s", [centre_id, day])
    await audit.record(c, "holiday_removed", by, day=day.isoformat())


async def require_roster(c: Connection, centre_id: int, roster_id: int) -> None:
    """Raises :class:`NotAllowed` unless this is a roster of the centre that still is."""
    await _require(c, _ROSTER, centre_id, roster_id)


async def require_callable(c: Connection, centre_id: int, person_id: UUID) -> None:
    """Raises :class:`NotAllowed` unless this is somebody of the centre, :class:`RotaError` unless she can be called."""
    cursor = await c.execute(
        "SELECT p.phone IS NOT NULL, a.disabled_at IS NOT NULL FROM person p LEFT JOIN account a ON a.person_id = p.id "
        "WHERE p.id = %s AND p.centre_id = %s",
        [person_id, centre_id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotAllowed(f"there is no person {person_id} in centre {centre_id}")
    has_phone, has_left = row
    if has_left:
        raise RotaError("left", "she has left the centre")
    if not has_phone:
        raise RotaError("no_phone", "without a telephone nobody can be on duty")


_AREA: Final[LiteralString] = "SELECT 1 FROM area WHERE id = %s AND centre_id = %s AND removed_at IS NULL"
_ROSTER: Final[LiteralString] = "SELECT 1 FROM roster WHERE id = %s AND centre_id = %s AND removed_at IS NULL"
_ROTATION: Final[LiteralString] = (
    "SELECT 1 FROM rotation t JOIN roster r ON r.id = t.roster_id WHERE t.id = %s AND r.centre_id = %s AND t.removed_at IS NULL"
)
_SHIFT: Final[LiteralString] = (
    "SELECT 1 FROM shift s JOIN roster r ON r.id = s.roster_id WHERE s.id = %s AND r.centre_id = %s AND s.removed_at IS NULL"
)


async def _require(c: Connection, what: LiteralString, centre_id: int, number: int) -> None:
    if await value(c, what, [number, centre_id]) is None:
        raise NotAllowed(f"there is no {number} of that kind in centre {centre_id}")


async def _require_one(c: Connection, centre_id: int, new: NewShift) -> None:
    if (new.person_id is None) == (new.rotation_id is None):
        raise RotaError("who", "a shift is one person's or one rotation's")
    if new.person_id is not None:
        await require_callable(c, centre_id, new.person_id)
    if new.rotation_id is not None and not await value(
        c,
        "SELECT 1 FROM rotation WHERE id = %s AND roster_id = %s AND removed_at IS NULL",
        [new.rotation_id, new.roster_id],
    ):
        raise NotAllowed(f"there is no rotation {new.rotation_id} in roster {new.roster_id}")


async def _require_turns(c: Connection, centre_id: int, persons: Sequence[UUID]) -> None:
    if not persons:
        raise RotaError("no_turns", "say who takes turns")
    for person in dict.fromkeys(persons):
        await require_callable(c, centre_id, person)


async def _around(c: Connection, area_id: int) -> set[int]:
    """This area and all in which it lies."""
    cursor = await c.execute(
        "WITH RECURSIVE wider (id, within) AS (SELECT id, within FROM area WHERE id = %s UNION "
        "SELECT a.id, a.within FROM area a JOIN wider w ON a.id = w.within) SELECT id FROM wider",
        [area_id],
    )
    return {row[0] for row in await cursor.fetchall()}


def _names(name_zh: str, name_en: str) -> tuple[str, str]:
    zh, en = name_zh.strip(), name_en.strip()
    if not (1 <= len(zh) <= LONGEST_NAME and 1 <= len(en) <= LONGEST_NAME):
        raise RotaError("name", f"it needs a name in both languages, of {LONGEST_NAME} characters at most")
    return zh, en
