"""Who is on duty in a centre: the rota of the record, as :mod:`alerts.rota` reads it.

And those changes of it that make sense only where somebody is on duty: standing in for her, swapping, taking turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import cast
from uuid import UUID

from alerts import rota as core
from alerts import shifts as when
from alerts.rota import Rota
from store import duty_changes, rosters
from store import rota as record
from store.administration import NotAllowed
from store.duty_changes import NewChange, NewSwap
from store.postgres import Connection
from store.rosters import NewRotation
from store.rota import RotaError

_BEFORE = timedelta(days=3)
"""A shift that still lasts may have begun some days ago: on a holiday, or by a rotation that is no more."""


async def rota(c: Connection, centre_id: int, since: datetime, until: datetime) -> Rota:
    """Everything that answers who is on duty at any moment from ``since`` to ``until``. Only the service may ask."""
    zone = await record.time_zone(c, centre_id)
    first, last = (since - _BEFORE).astimezone(zone).date(), (until + _BEFORE).astimezone(zone).date()
    return Rota(
        zone,
        since,
        until,
        rosters=[_roster(r) for r in await record.rosters(c, centre_id, since)],
        areas=[core.Area(a.id, a.within) for a in await record.areas(c, centre_id)],
        shifts=[_shift(s) for s in await record.shifts(c, centre_id, since)],
        rotations=[_rotation(r) for r in await record.rotations(c, centre_id, since - _BEFORE)],
        holidays=frozenset(h.day for h in await record.holidays(c, centre_id, first, last)),
        changes=[_change(change) for change in await record.changes(c, centre_id, since, until)],
        absences=[_absence(a) for a in await record.absences(c, centre_id, since, until)],
        uncallable=cast("dict[UUID, core.Uncallable]", await record.uncallable(c, centre_id, since)),
    )


async def add_change(c: Connection, centre_id: int, new: NewChange, now: datetime, *, by: UUID | None = None) -> int:
    """As :func:`store.duty_changes.add_change`, if it changes anything.

    Raises :class:`RotaError` when whoever is to be taken off is not on duty in those hours.
    """
    if new.instead_of is not None:
        duty_changes.require_hours(new.starts_at, new.ends_at, now)
        start = max(new.starts_at, now)
        there = await rota(c, centre_id, start, new.ends_at)
        if not there.has_place(new.instead_of, new.roster_id, start, new.ends_at):
            raise RotaError("not_hers", "she is not on duty then")
    return await duty_changes.add_change(c, centre_id, new, now, by=by)


async def ask_swap(c: Connection, centre_id: int, new: NewSwap, now: datetime) -> int:
    """As :func:`store.duty_changes.ask_swap`, for hours in which each is on duty and the other is not."""
    await _require_swappable(c, centre_id, new, now)
    return await duty_changes.ask_swap(c, centre_id, new, now)


async def accept_swap(c: Connection, centre_id: int, swap_id: int, now: datetime, by: UUID) -> None:
    """Take what a colleague asks: both changes, or none. Refused when the hours are no longer theirs to give."""
    asked = await duty_changes.open_swap(c, swap_id, by, may="answer")
    await _require_swappable(c, centre_id, asked, now)
    await duty_changes.accept_swap(c, centre_id, asked, now, by)


async def replace_turns(
    c: Connection, centre_id: int, rotation_id: int, persons: Sequence[UUID], now: datetime, *, by: UUID | None = None
) -> int:
    """Let these people take turns, in shifts that begin tomorrow or later; returns the new rotation's number.

    Handovers stay when they were, and whose turn it is keeps it if she is among them: somebody who joins or leaves must
    not turn the whole month upside down.
    """
    old = next((r for r in await record.rotations(c, centre_id) if r.id == rotation_id), None)
    if old is None:
        raise NotAllowed(f"there is no rotation {rotation_id} in centre {centre_id}")
    zone = await record.time_zone(c, centre_id)
    first_day = now.astimezone(zone).date() + timedelta(days=1)
    ordered = when.joined(_rotation(old), persons, zone, when.instant(first_day, time(0), zone))
    new = NewRotation(old.roster_id, old.name_zh, old.name_en, old.every, old.length, old.starts_at, ordered)
    return await rosters.replace_rotation(c, centre_id, rotation_id, new, first_day, now, by=by)


async def _require_swappable(c: Connection, centre_id: int, swap: NewSwap | record.Swap, now: datetime) -> None:
    await _require_givable(
        c, centre_id, swap.roster_id, (swap.asked_by, swap.asked_of), swap.gives_from, swap.gives_until, now
    )
    if swap.takes_from is not None and swap.takes_until is not None:
        both = (swap.asked_of, swap.asked_by)
        await _require_givable(c, centre_id, swap.roster_id, both, swap.takes_from, swap.takes_until, now)


async def _require_givable(
    c: Connection,
    centre_id: int,
    roster_id: int,
    giver_and_taker: tuple[UUID, UUID],
    start: datetime,
    end: datetime,
    now: datetime,
) -> None:
    duty_changes.require_hours(start, end, now)
    start = max(start, now)
    there = await rota(c, centre_id, start, end)
    hers, others = (
        [d for d in there.duties_of(person, start, end) if d.turn.roster == roster_id] for person in giver_and_taker
    )
    if not hers:
        raise RotaError("not_theirs", "whoever gives these hours is not on duty then")
    if others:
        raise RotaError("both", "whoever takes these hours is on duty then already")


def _roster(r: record.Roster) -> core.Roster:
    return core.Roster(r.id, r.role, r.line, r.area_id, r.must_cover, r.removed_at)


def _shift(s: record.Shift) -> when.Shift:
    return when.Shift(
        s.id,
        s.roster_id,
        frozenset(s.weekdays),
        s.starts,
        s.ends,
        s.valid_from,
        s.valid_until,
        cast("when.OnHolidays", s.holidays),
        s.person_id,
        s.rotation_id,
        s.removed_at,
    )


def _rotation(r: record.Rotation) -> when.Rotation:
    return when.Rotation(r.id, cast("when.Every", r.every), r.length, r.starts_at, tuple(r.persons))


def _change(d: record.Change) -> core.Change:
    ends_at = d.ends_at if d.cancelled_at is None else min(d.ends_at, d.cancelled_at)
    return core.Change(
        d.id, d.roster_id, d.starts_at, ends_at, d.person_id, d.instead_of, d.why, d.swap_id, d.made_by, d.made_at
    )


def _absence(a: record.Absence) -> core.Absence:
    return core.Absence(a.person_id, cast("core.Away", a.kind), a.starts_at, a.ends_at)
