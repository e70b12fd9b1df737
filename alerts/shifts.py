"""When a shift is, and whose turn a rotation says it is: by the wall clock of the centre, exact across daylight saving. Pure.

A wall clock's time is a moment by the rule of RFC 5545, 3.3.5: one that does not exist moves forward by the gap, of one
that exists twice the first is meant. So where one shift ends at the time another begins, both mean the same moment, and a
night of twelve hours on the clock has eleven or thirteen real ones.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Literal
from uuid import UUID

Every = Literal["hours", "days", "weeks", "months"]
OnHolidays = Literal["also", "only", "not"]
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Rotation:
    """People who take turns: each ``length`` hours, days, weeks or months, the first from ``starts_at`` on, local time.

    Handovers of days, weeks and months keep that time of day; months also the day, or the last one of a shorter month.
    Hours are real hours. Before ``starts_at`` it is nobody's turn.
    """

    id: int
    every: Every
    length: int
    starts_at: datetime
    persons: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class RotationTurn:
    """One turn: whose, her ``place`` in the rotation of ``places`` (from 1), and between which handovers."""

    rotation: int
    person: UUID
    place: int
    places: int
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Shift:
    """Hours that come again on ``weekdays`` (ISO, 1 is Monday), for one person or whoever's turn it is in a rotation.

    ``ends`` not after ``starts`` means on the next day. ``valid_until`` is the last day on which it begins; from
    ``removed_at`` on it is no more.
    """

    id: int
    roster: int
    weekdays: Collection[int]
    starts: time
    ends: time
    valid_from: date
    valid_until: date | None
    holidays: OnHolidays
    person: UUID | None
    rotation: int | None
    removed_at: datetime | None = None

    def begins_on(self, day: date, holidays: Collection[date]) -> bool:
        """Whether it begins on this day."""
        if day < self.valid_from or (self.valid_until is not None and day > self.valid_until):
            return False
        if self.holidays == "only":
            return day in holidays
        return day.isoweekday() in self.weekdays and not (self.holidays == "not" and day in holidays)


@dataclass(frozen=True, slots=True)
class Window:
    """One time that a shift is: from ``begins`` until before ``ends``, of the local ``day`` on which it begins."""

    shift: Shift
    day: date
    begins: datetime
    ends: datetime


def instant(day: date, clock: time, zone: tzinfo) -> datetime:
    """The moment, in UTC, at which the wall clock shows this time."""
    # With fold 0 the offset before the change counts, which is the rule of RFC 5545 for both its cases.
    return datetime.combine(day, clock.replace(fold=0), zone).astimezone(UTC)


def windows(shift: Shift, holidays: Collection[date], zone: tzinfo, start: datetime, end: datetime) -> Iterator[Window]:
    """Every time that the shift is within ``start`` to ``end``, also in part."""
    # It may have begun on the day before, and a clock may be put back or forward over midnight.
    day = start.astimezone(zone).date() - 2 * _DAY
    last = end.astimezone(zone).date() + _DAY
    while day <= last:
        window = _window(shift, day, zone) if shift.begins_on(day, holidays) else None
        if window is not None and window.ends > start and window.begins < end:
            yield window
        day += _DAY


def _window(shift: Shift, day: date, zone: tzinfo) -> Window | None:
    begins = instant(day, shift.starts, zone)
    ends = instant(day + _DAY if shift.ends <= shift.starts else day, shift.ends, zone)
    if shift.removed_at is not None:
        ends = min(ends, shift.removed_at)
    # A shift that lies wholly in the hour which the clock leaves out is not at all.
    return Window(shift, day, begins, ends) if begins < ends else None


def turn(rotation: Rotation, zone: tzinfo, at: datetime) -> RotationTurn | None:
    """Whose turn it is at this moment; ``None`` before the first turn, and while nobody takes part."""
    number = _number(rotation, zone, at)
    if number < 0 or not rotation.persons:
        return None
    place = number % len(rotation.persons)
    begins, ends = handover(rotation, number, zone), handover(rotation, number + 1, zone)
    return RotationTurn(rotation.id, rotation.persons[place], place + 1, len(rotation.persons), begins, ends)


def joined(rotation: Rotation, persons: Sequence[UUID], zone: tzinfo, at: datetime) -> tuple[UUID, ...]:
    """These people in the round of ``rotation``, so placed that whose turn it is at this moment keeps it.

    If she is not among them, it is the turn of who of the others would have followed her.
    """
    number, before = _number(rotation, zone, at), rotation.persons
    if number < 0 or not before or not persons:
        return tuple(persons)
    following = (before[(number + later) % len(before)] for later in range(len(before)))
    first = next((persons.index(person) for person in following if person in persons), 0)
    # It is turn `number` of the new round too.
    start = (first - number) % len(persons)
    return (*persons[start:], *persons[:start])


def handovers(rotation: Rotation, zone: tzinfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """Every moment after ``start`` and before ``end`` at which a turn begins."""
    number = max(_number(rotation, zone, start) + 1, 0)
    while (at := handover(rotation, number, zone)) < end:
        yield at
        number += 1


def handover(rotation: Rotation, number: int, zone: tzinfo) -> datetime:
    """When turn ``number`` begins; they are counted from 0."""
    first, steps = rotation.starts_at, rotation.length * number
    if rotation.every == "hours":
        return instant(first.date(), first.time(), zone) + timedelta(hours=steps)
    if rotation.every == "months":
        return instant(_months_later(first.date(), steps), first.time(), zone)
    return instant(first.date() + steps * (7 if rotation.every == "weeks" else 1) * _DAY, first.time(), zone)


def _number(rotation: Rotation, zone: tzinfo, at: datetime) -> int:
    """Which turn it is, counted from 0; -1 before the first."""
    number = max(_guess(rotation, zone, at), -1)
    # The day says nothing of the time of day, nor of a clock put back over midnight.
    while number >= 0 and handover(rotation, number, zone) > at:
        number -= 1
    while handover(rotation, number + 1, zone) <= at:
        number += 1
    return number


def _guess(rotation: Rotation, zone: tzinfo, at: datetime) -> int:
    first, day = rotation.starts_at, at.astimezone(zone).date()
    if rotation.every == "hours":
        return (at - instant(first.date(), first.time(), zone)) // timedelta(hours=rotation.length)
    if rotation.every == "months":
        return ((day.year - first.year) * 12 + day.month - first.month) // rotation.length
    days = rotation.length * (7 if rotation.every == "weeks" else 1)
    return (day - first.date()).days // days


def _months_later(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))
