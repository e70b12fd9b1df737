"""Working out one roster: who is on duty in it from when to when, and why. Pure.

Its shifts say who is on duty (:mod:`alerts.shifts`); changes of single hours are laid over them, the newest last; whoever is
absent or cannot be called at all is marked. Between two moments at which any of these begins or ends nothing changes, so one
look at each such moment gives the whole.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Final, Literal
from uuid import UUID

from alerts.shifts import Rotation, RotationTurn, Shift, Window, handovers, turn, windows

Away = Literal["sick", "leave", "on_visit"]
Uncallable = Literal["no_phone", "left"]

LONGEST_VISIT: Final = timedelta(hours=4)
"""A visit whose end nobody has said is over after this (house default): forgetting to say it must not cost a night."""


@dataclass(frozen=True, slots=True)
class Roster:
    """Duty in one role and line, for the residents of ``area`` and of those within it, or of the whole centre.

    ``must_cover``: an hour at which nobody of it can be called is a gap.
    """

    id: int
    role: str
    line: int
    area: int | None
    must_cover: bool = True
    removed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Other than the shifts say: ``person`` alone is added, ``instead_of`` alone taken off, both: the one for the other."""

    id: int
    roster: int
    starts_at: datetime
    ends_at: datetime
    person: UUID | None
    instead_of: UUID | None
    why: str = ""
    swap: int | None = None
    made_by: UUID | None = None
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Absence:
    """Somebody is away; without ``ends_at`` until she says that she is back, a visit at most :data:`LONGEST_VISIT`."""

    person: UUID
    kind: Away
    starts_at: datetime
    ends_at: datetime | None

    @property
    def over_at(self) -> datetime | None:
        """When it ends, as far as that is known."""
        if self.ends_at is None and self.kind == "on_visit":
            return self.starts_at + LONGEST_VISIT
        return self.ends_at

    def holds(self, at: datetime) -> bool:
        """Whether she is away at this moment."""
        return self.starts_at <= at and (self.over_at is None or at < self.over_at)


@dataclass(frozen=True, slots=True)
class OnShift:
    """On duty by a shift, in this window of it; ``turn``: because it is her turn. ``holiday``: the day it begins is one."""

    shift: int
    begins: datetime
    ends: datetime
    holiday: date | None
    turn: RotationTurn | None

    @property
    def until(self) -> datetime:
        """Until when this reason holds."""
        return self.ends if self.turn is None else min(self.ends, self.turn.ends)


@dataclass(frozen=True, slots=True)
class OnChange:
    """On duty by a change. ``place``: by what she in whose place this is was on duty; ``None`` where somebody was added."""

    change: Change
    place: OnShift | OnChange | None

    @property
    def until(self) -> datetime:
        """Until when this reason holds."""
        return self.change.ends_at if self.place is None else min(self.change.ends_at, self.place.until)


Why = OnShift | OnChange


@dataclass(frozen=True, slots=True)
class Turn:
    """Somebody on duty in a roster ``until``, and why. ``absence`` says why she cannot be called, ``None``: she can."""

    person: UUID
    roster: int
    until: datetime
    why: Why
    absence: Away | Uncallable | None = None


@dataclass(frozen=True, slots=True)
class Span:
    """A time during which nothing changes in a roster. ``off``: the changes by which somebody is not on duty."""

    roster: int
    begins: datetime
    ends: datetime
    turns: tuple[Turn, ...]
    absent: tuple[Turn, ...]
    off: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Idle:
    """A shift that would be on at this hour of the week, and is not.

    ``holiday``: it is not on holidays, and ``day`` is one. ``nobodys_turn``: its rotation has not begun.
    """

    shift: int
    why: Literal["holiday", "nobodys_turn"]
    day: date


@dataclass(slots=True)
class _Place:
    """A place on duty: who holds it (nobody: she was taken off), by what, and who has held it before."""

    person: UUID | None
    why: Why
    before: list[UUID] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Hours:
    """Everything that decides who is on duty in one roster from ``since`` until ``until``.

    ``changes`` are in the order in which they were made.
    """

    roster: Roster
    zone: tzinfo
    since: datetime
    until: datetime
    shifts: Sequence[Shift]
    rotations: Mapping[int, Rotation]
    holidays: Collection[date]
    changes: Sequence[Change]
    absences: Sequence[Absence]
    uncallable: Mapping[UUID, Uncallable]

    def spans(self) -> list[Span]:
        """The whole time in pieces without holes, the last of which holds ``until`` too; neighbours differ."""
        # One microsecond more, so that the last moment has an answer.
        end = self.until + timedelta(microseconds=1)
        times = [w for shift in self.shifts for w in windows(shift, self.holidays, self.zone, self.since, end)]
        cuts = {self.since, end, *(cut for cut in self._cuts(times, end) if self.since < cut < end)}
        pieces = [self._piece(begins, ends, times) for begins, ends in pairwise(sorted(cuts))]
        return _with_untils(_joined(pieces))

    def idle(self, at: datetime) -> Iterator[Idle]:
        """The shifts that would be on at this hour of the week, and are not."""
        moment = timedelta(microseconds=1)
        for shift in self.shifts:
            usual = replace(shift, holidays="also")
            for window in windows(usual, (), self.zone, at, at + moment):
                if shift.holidays == "not" and window.day in self.holidays:
                    yield Idle(shift.id, "holiday", window.day)
                elif shift.holidays != "only" and self._whose(shift, at) is None:
                    yield Idle(shift.id, "nobodys_turn", window.day)

    def _cuts(self, times: Iterable[Window], end: datetime) -> Iterator[datetime]:
        """Every moment at which anything begins or ends."""
        for window in times:
            yield from (window.begins, window.ends)
        for change in self.changes:
            yield from (change.starts_at, change.ends_at)
        for absence in self.absences:
            yield absence.starts_at
            if absence.over_at is not None:
                yield absence.over_at
        for rotation in {shift.rotation for shift in self.shifts} & set(self.rotations):
            assert rotation is not None, "of those that are known"
            yield from handovers(self.rotations[rotation], self.zone, self.since, end)
        if self.roster.removed_at is not None:
            yield self.roster.removed_at

    def _piece(self, begins: datetime, ends: datetime, times: Sequence[Window]) -> Span:
        roster = self.roster
        if roster.removed_at is not None and begins >= roster.removed_at:
            return Span(roster.id, begins, ends, (), (), ())
        places = list(self._by_shifts(begins, times))
        off: dict[UUID, Change] = {}
        for change in self.changes:
            if change.starts_at <= begins < change.ends_at:
                _apply(change, places, off)
        held = [(place.person, place.why) for place in places if place.person is not None]
        turns = once(Turn(person, roster.id, why.until, why, self._absence(person, begins)) for person, why in held)
        on = {t.person for t in turns}
        return Span(
            roster.id,
            begins,
            ends,
            tuple(t for t in turns if t.absence is None),
            tuple(t for t in turns if t.absence is not None),
            tuple(dict.fromkeys(change for person, change in off.items() if person not in on)),
        )

    def _by_shifts(self, at: datetime, times: Iterable[Window]) -> Iterator[_Place]:
        for window in times:
            if not window.begins <= at < window.ends:
                continue
            whose = self._whose(window.shift, at)
            if whose is not None:
                person, by_turn = whose
                holiday = window.day if window.day in self.holidays else None
                yield _Place(person, OnShift(window.shift.id, window.begins, window.ends, holiday, by_turn))

    def _whose(self, shift: Shift, at: datetime) -> tuple[UUID, RotationTurn | None] | None:
        """Who is on duty by a shift, and by which turn if she takes turns; ``None`` while it is nobody's turn."""
        if shift.person is not None:
            return shift.person, None
        rotation = None if shift.rotation is None else self.rotations.get(shift.rotation)
        by_turn = None if rotation is None else turn(rotation, self.zone, at)
        return None if by_turn is None else (by_turn.person, by_turn)

    def _absence(self, person: UUID, at: datetime) -> Away | Uncallable | None:
        if person in self.uncallable:
            return self.uncallable[person]
        held = [absence for absence in self.absences if absence.person == person and absence.holds(at)]
        return sorted(held, key=lambda absence: absence.starts_at)[-1].kind if held else None


def once(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Each person once, at her first place."""
    found: dict[UUID, Turn] = {}
    for one in turns:
        found.setdefault(one.person, one)
    return tuple(found.values())


def _apply(change: Change, places: list[_Place], off: dict[UUID, Change]) -> None:
    """Lay a change over the places. A place of which somebody was taken off can still be given to another."""
    person, instead_of = change.person, change.instead_of
    if instead_of is None:
        if not any(place.person == person for place in places):
            places.append(_Place(person, OnChange(change, None)))
        return
    theirs = [place for place in places if place.person == instead_of]
    if person is not None and not theirs:
        theirs = [place for place in places if instead_of in place.before]
    for place in theirs:
        if place.person is not None:
            place.before.append(place.person)
            off[place.person] = change
        place.person = person
        place.why = OnChange(change, place.why)


def _joined(pieces: Iterable[Span]) -> list[Span]:
    """Neighbours in which the same holds, as one."""
    found: list[Span] = []
    for piece in pieces:
        if found and (found[-1].turns, found[-1].absent, found[-1].off) == (piece.turns, piece.absent, piece.off):
            found[-1] = replace(found[-1], ends=piece.ends)
        else:
            found.append(piece)
    return found


def _with_untils(spans: list[Span]) -> list[Span]:
    """Each turn ends where it is no longer hers for the same reason; beyond the last span, where its reason ends."""
    untils: dict[Turn, datetime] = {}
    done: list[Span] = []
    for span in reversed(spans):
        here = {t: untils.get(t, t.until if span is spans[-1] else span.ends) for t in (*span.turns, *span.absent)}
        turns, absent = (tuple(replace(t, until=here[t]) for t in some) for some in (span.turns, span.absent))
        done.append(replace(span, turns=turns, absent=absent))
        untils = here
    done.reverse()
    return done
