"""The duty rota: who is on duty for whom at a moment, and why. Pure: it knows what it is given, and time is an argument.

People are put on duty by rosters. A roster stands for one role and line, for an area or the whole centre. Its shifts come
again by weekday (:mod:`alerts.shifts`); changes of single hours are laid over them, the newest last; whoever is absent or
cannot be called is passed over. For a resident the nearest area counts in which somebody can be called: her building, its
courtyard, the centre.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta, tzinfo
from itertools import groupby, pairwise
from typing import Final, Literal
from uuid import UUID

from alerts.shifts import Rotation, RotationTurn, Shift, Window, handovers, turn, windows

Away = Literal["sick", "leave", "on_visit"]
Uncallable = Literal["no_phone", "left"]

LONGEST_VISIT: Final = timedelta(hours=4)
"""A visit whose end nobody has said is over after this (house default): forgetting to say it must not cost a night."""


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the neighbourhood; ``within`` is the wider one in which it lies."""

    id: int
    within: int | None


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
class Answer:
    """Who can be called, in order; and who is on duty but cannot be."""

    turns: tuple[Turn, ...] = ()
    absent: tuple[Turn, ...] = ()


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
class Gap:
    """A time at which nobody of a roster can be called; ``absent`` would be on duty."""

    roster: int
    begins: datetime
    ends: datetime
    absent: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Duty:
    """A time that somebody is on duty for one reason; the end of it may be cut to what was asked for."""

    turn: Turn
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True)
class Idle:
    """A shift that would be on at this hour of the week, and is not.

    ``holiday``: it is not on holidays, and ``day`` is one. ``nobodys_turn``: its rotation has not begun.
    """

    shift: int
    why: Literal["holiday", "nobodys_turn"]
    day: date


@dataclass(frozen=True, slots=True)
class Looked:
    """What there is at a roster at one moment; ``chosen``: the answer is from here.

    ``off``: the changes by which somebody is not on duty. ``manned_from``: when next somebody can be called, if nobody
    can be now and the rota reaches so far.
    """

    roster: Roster
    chosen: bool
    turns: tuple[Turn, ...]
    absent: tuple[Turn, ...]
    off: tuple[Change, ...]
    idle: tuple[Idle, ...]
    manned_from: datetime | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """An answer, and every roster that stands for that resident in that role and line, the nearest first."""

    answer: Answer
    looked: tuple[Looked, ...]


@dataclass(slots=True)
class _Place:
    """A place on duty: who holds it (nobody: she was taken off), by what, and who has held it before."""

    person: UUID | None
    why: Why
    before: list[UUID] = field(default_factory=list)


@dataclass(frozen=True)
class Rota:
    """Everything that decides who is on duty in a centre from ``since`` until ``until``.

    ``changes`` are those that hold, in the order in which they were made. ``uncallable`` are people who cannot be called
    at all: without a telephone, or who have left.
    """

    zone: tzinfo
    since: datetime
    until: datetime
    rosters: Sequence[Roster]
    areas: Sequence[Area] = ()
    shifts: Sequence[Shift] = ()
    rotations: Sequence[Rotation] = ()
    holidays: Collection[date] = frozenset()
    changes: Sequence[Change] = ()
    absences: Sequence[Absence] = ()
    uncallable: Mapping[UUID, Uncallable] = field(default_factory=dict)
    _spans: dict[int, tuple[list[datetime], list[Span]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _answers: dict[tuple[str, int, int | None, datetime], Answer] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def of(self, role: str, line: int, area: int | None, at: datetime, without: Collection[UUID] = ()) -> Answer:
        """Who is on duty in this role and line for a resident of ``area``.

        Those of the nearest area in which anybody but ``without`` can be called. Raises :class:`ValueError` for a moment
        this rota does not reach.
        """
        if without:
            return self._of(role, line, area, at, without)
        key = (role, line, area, at)
        if key not in self._answers:
            self._answers[key] = self._of(role, line, area, at, ())
        return self._answers[key]

    def _of(self, role: str, line: int, area: int | None, at: datetime, without: Collection[UUID]) -> Answer:
        absent: list[Turn] = []
        for rosters in self.circles(role, line, area):
            spans = [self.span(roster.id, at) for roster in rosters]
            turns = _once(t for span in spans for t in span.turns if t.person not in without)
            absent += [t for span in spans for t in span.absent]
            if turns:
                return Answer(turns, _once(absent))
        return Answer((), _once(absent))

    def circles(self, role: str, line: int, area: int | None) -> Iterator[list[Roster]]:
        """The rosters of a role and line that stand for ``area``: the nearest first, each wider area's together."""
        of_duty = [r for r in self.rosters if (r.role, r.line) == (role, line)]
        for one in (*self.areas_of(area), None):
            if rosters := [r for r in of_duty if r.area == one]:
                yield rosters

    def areas_of(self, area: int | None) -> tuple[int, ...]:
        """This area and those in which it lies, the nearest first; nothing for none."""
        within = {a.id: a.within for a in self.areas}
        found: list[int] = []
        while area is not None and area not in found:
            found.append(area)
            area = within.get(area)
        return tuple(found)

    def everybody(self, at: datetime) -> tuple[Turn, ...]:
        """All turns in all rosters at this moment, also of those who cannot be called."""
        spans = [self.span(roster.id, at) for roster in self.rosters]
        return tuple(t for span in spans for t in (*span.turns, *span.absent))

    def duties_of(self, person: UUID, start: datetime, end: datetime) -> tuple[Duty, ...]:
        """When this person is on duty from ``start`` to ``end``, the earliest first; also when she cannot be called."""
        found: list[Duty] = []
        for roster in self.rosters:
            for span in self.timeline(roster.id, start, end):
                found += [Duty(t, span.begins, span.ends) for t in (*span.turns, *span.absent) if t.person == person]
        found.sort(key=lambda duty: (duty.turn.roster, duty.begins))
        return tuple(sorted(_one_after_another(found), key=lambda duty: (duty.begins, duty.turn.roster)))

    def has_place(self, person: UUID, roster: int, start: datetime, end: datetime) -> bool:
        """Whether this person is on duty in a roster at some time between, or would be had no change taken her off."""
        if roster not in {one.id for one in self.rosters}:
            return False
        return any(
            person in {t.person for t in (*span.turns, *span.absent)} | {change.instead_of for change in span.off}
            for span in self.timeline(roster, start, end)
        )

    def explain(self, role: str, line: int, area: int | None, at: datetime) -> Explanation:
        """Where :meth:`of` has looked for its answer, what it found there, and what there is farther off."""
        answer = self.of(role, line, area, at)
        rosters = [roster for circle in self.circles(role, line, area) for roster in circle]
        chosen = {t.roster for t in answer.turns}
        return Explanation(answer, tuple(self._looked(roster, at, roster.id in chosen) for roster in rosters))

    def _looked(self, roster: Roster, at: datetime, chosen: bool) -> Looked:
        span = self.span(roster.id, at)
        _, spans = self._timeline(roster.id)
        following = next((later.begins for later in spans if later.begins > at and later.turns), None)
        idle = tuple(self._idle(roster, at))
        return Looked(roster, chosen, span.turns, span.absent, span.off, idle, None if span.turns else following)

    def _idle(self, roster: Roster, at: datetime) -> Iterator[Idle]:
        moment = timedelta(microseconds=1)
        for shift in self.shifts:
            if shift.roster != roster.id:
                continue
            usual = replace(shift, holidays="also")
            for window in windows(usual, (), self.zone, at, at + moment):
                if shift.holidays == "not" and window.day in self.holidays:
                    yield Idle(shift.id, "holiday", window.day)
                elif shift.holidays != "only" and self._whose(shift, at) is None:
                    yield Idle(shift.id, "nobodys_turn", window.day)

    def span(self, roster: int, at: datetime) -> Span:
        """What holds in a roster at this moment."""
        if not self.since <= at <= self.until:
            raise ValueError(f"this rota reaches from {self.since} to {self.until}, not to {at}")
        begins, spans = self._timeline(roster)
        return spans[bisect_right(begins, at) - 1]

    def timeline(self, roster: int, start: datetime, end: datetime) -> tuple[Span, ...]:
        """What holds in a roster from ``start`` to ``end``, without a hole; neighbours differ."""
        _, spans = self._timeline(roster)
        return tuple(
            replace(span, begins=max(span.begins, start), ends=min(span.ends, end))
            for span in spans
            if span.begins < end and span.ends > start
        )

    def gaps(self, start: datetime, end: datetime) -> tuple[Gap, ...]:
        """When nobody of a roster that must be covered can be called, the earliest first."""
        covered = [roster for roster in self.rosters if roster.must_cover]
        found = [gap for roster in covered for gap in self._gaps(roster, start, end)]
        return tuple(sorted(found, key=lambda gap: (gap.begins, gap.roster)))

    def unmanned(
        self, role: str, line: int, area: int | None, start: datetime, end: datetime
    ) -> Iterator[tuple[datetime, datetime]]:
        """From when to when nobody at all can be called in this role and line for a resident of ``area``.

        However well each roster is covered: there may be no roster for where she lives.
        """
        rosters = [roster for circle in self.circles(role, line, area) for roster in circle]
        spans = [span for roster in rosters for span in self.timeline(roster.id, start, end) if span.turns]
        reach = start
        for span in sorted(spans, key=lambda span: span.begins):
            if span.begins > reach:
                yield reach, span.begins
            reach = max(reach, span.ends)
        if reach < end:
            yield reach, end

    def _gaps(self, roster: Roster, start: datetime, end: datetime) -> Iterator[Gap]:
        end = end if roster.removed_at is None else min(end, roster.removed_at)
        for manned, group in groupby(self.timeline(roster.id, start, end), key=lambda span: bool(span.turns)):
            if not manned:
                spans = list(group)
                absent = dict.fromkeys(t.person for span in spans for t in span.absent)
                yield Gap(roster.id, spans[0].begins, spans[-1].ends, tuple(absent))

    def _timeline(self, roster: int) -> tuple[list[datetime], list[Span]]:
        if roster not in self._spans:
            spans = list(self._work_out(next(r for r in self.rosters if r.id == roster)))
            self._spans[roster] = [span.begins for span in spans], spans
        return self._spans[roster]

    def _work_out(self, roster: Roster) -> Iterator[Span]:
        # One microsecond more, so that the last moment has an answer too.
        end = self.until + timedelta(microseconds=1)
        shifts = [shift for shift in self.shifts if shift.roster == roster.id]
        times = [w for shift in shifts for w in windows(shift, self.holidays, self.zone, self.since, end)]
        changes = [change for change in self.changes if change.roster == roster.id]
        cuts = {self.since, end}
        cuts.update(moment for w in times for moment in (w.begins, w.ends))
        cuts.update(moment for change in changes for moment in (change.starts_at, change.ends_at))
        cuts.update(a.starts_at for a in self.absences)
        cuts.update(a.over_at for a in self.absences if a.over_at is not None)
        rotations = {shift.rotation for shift in shifts}
        cuts.update(
            moment
            for rotation in self.rotations
            if rotation.id in rotations
            for moment in handovers(rotation, self.zone, self.since, end)
        )
        if roster.removed_at is not None:
            cuts.add(roster.removed_at)
        inside = sorted(cut for cut in cuts if self.since <= cut <= end)
        pieces = [self._piece(roster, begins, ends, times, changes) for begins, ends in pairwise(inside)]
        return _with_untils(_joined(pieces))

    def _piece(
        self, roster: Roster, begins: datetime, ends: datetime, times: Sequence[Window], changes: Sequence[Change]
    ) -> Span:
        if roster.removed_at is not None and begins >= roster.removed_at:
            return Span(roster.id, begins, ends, (), (), ())
        places = list(self._by_shifts(begins, times))
        off: dict[UUID, Change] = {}
        for change in changes:
            if change.starts_at <= begins < change.ends_at:
                _apply(change, places, off)
        held = [(place.person, place.why) for place in places if place.person is not None]
        turns = _once(Turn(person, roster.id, why.until, why, self._absence(person, begins)) for person, why in held)
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
        rotation = next((r for r in self.rotations if r.id == shift.rotation), None)
        by_turn = None if rotation is None else turn(rotation, self.zone, at)
        return None if by_turn is None else (by_turn.person, by_turn)

    def _absence(self, person: UUID, at: datetime) -> Away | Uncallable | None:
        if person in self.uncallable:
            return self.uncallable[person]
        held = [absence for absence in self.absences if absence.person == person and absence.holds(at)]
        return sorted(held, key=lambda absence: absence.starts_at)[-1].kind if held else None


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


def _once(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Each person once, at her first place."""
    found: dict[UUID, Turn] = {}
    for one in turns:
        found.setdefault(one.person, one)
    return tuple(found.values())


def _one_after_another(duties: Iterable[Duty]) -> list[Duty]:
    """Those that follow each other without a break for the same reason, as one."""
    found: list[Duty] = []
    for duty in duties:
        if found and found[-1].ends == duty.begins and found[-1].turn == duty.turn:
            found[-1] = replace(found[-1], ends=duty.ends)
        else:
            found.append(duty)
    return found


def _joined(pieces: Iterable[Span]) -> list[Span]:
    """Neighbours in which the same holds, as one."""
    found: list[Span] = []
    for piece in pieces:
        if found and (found[-1].turns, found[-1].absent, found[-1].off) == (piece.turns, piece.absent, piece.off):
            found[-1] = replace(found[-1], ends=piece.ends)
        else:
            found.append(piece)
    return found


def _with_untils(spans: list[Span]) -> Iterator[Span]:
    """Each turn ends where it is no longer hers for the same reason; beyond the last span, where its reason ends."""
    untils: dict[Turn, datetime] = {}
    done: list[Span] = []
    for span in reversed(spans):
        here = {t: untils.get(t, t.until if span is spans[-1] else span.ends) for t in (*span.turns, *span.absent)}
        turns, absent = (tuple(replace(t, until=here[t]) for t in some) for some in (span.turns, span.absent))
        done.append(replace(span, turns=turns, absent=absent))
        untils = here
    return reversed(done)
