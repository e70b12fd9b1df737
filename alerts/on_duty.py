"""Who is on duty in a centre: the rota of the record, as :mod:`alerts.rota` reads it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from alerts import rota as core
from alerts import shifts as when
from alerts.rota import Rota
from store import rota as record
from store.postgres import Connection

_BEFORE = timedelta(days=3)
"""A shift that still lasts may have begun on a holiday some days ago."""


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
        rotations=[_rotation(r) for r in await record.rotations(c, centre_id, since)],
        holidays=frozenset(h.day for h in await record.holidays(c, centre_id, first, last)),
        changes=[_change(change) for change in await record.changes(c, centre_id, since, until)],
        absences=[_absence(a) for a in await record.absences(c, centre_id, since, until)],
        uncallable=cast("dict[UUID, core.Uncallable]", await record.uncallable(c, centre_id)),
    )


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
    return core.Change(
        d.id, d.roster_id, d.starts_at, d.ends_at, d.person_id, d.instead_of, d.why, d.swap_id, d.made_by, d.made_at
    )


def _absence(a: record.Absence) -> core.Absence:
    return core.Absence(a.person_id, cast("core.Away", a.kind), a.starts_at, a.ends_at)
