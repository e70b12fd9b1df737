"""The duty rota: who is on duty for whom at a moment, and why. Pure: it knows what it is given, and time is an argument.

People are put on duty by rosters; each stands for one role and line, for an area or the whole centre, and is worked out by
itself (:mod:`alerts.duty`). For a resident the nearest area counts in which somebody can be called: her building, its
courtyard, the centre.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, tzinfo
from itertools import groupby
from uuid import UUID

from alerts.duty import (
    LONGEST_VISIT,
    Absence,
    Away,
    Change,
    Hours,
    Idle,
    OnChange,
    OnShift,
    Roster,
    Span,
    Turn,
    Uncallable,
    Why,
    once,
)
from alerts.shifts import Rotation, Shift

__all__ = [
    "LONGEST_VISIT", "Absence", "Answer", "Area", "Away", "Change", "Duty", "Explanation", "Gap", "Idle", "Looked", "OnChange", "OnShift",
    "Roster", "Rota", "Span", "Turn", "Uncallable", "Why",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Area:
    """A part of the neighbourhood; ``within`` is the wider one in which it lies."""

    id: int
    within: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Who can be called, in order; and who is on duty but cannot be."""

    turns: tuple[Turn, ...] = ()
    absent: tuple[Turn, ...] = ()


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
            turns = once(t for span in spans for t in span.turns if t.person not in without)
            absent += [t for span in spans for t in span.absent]
            if turns:
                return Answer(turns, once(absent))
        return Answer((), once(absent))

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
        idle = tuple(self._hours(roster).idle(at))
        return Looked(roster, chosen, span.turns, span.absent, span.off, idle, None if span.turns else following)

    def span(self, roster: int, at: datetime) -> Span:
        """What holds in a roster at this moment."""
        self._require(at)
        begins, spans = self._timeline(roster)
        return spans[bisect_right(begins, at) - 1]

    def timeline(self, roster: int, start: datetime, end: datetime) -> tuple[Span, ...]:
        """What holds in a roster from ``start`` to ``end``, without a hole; neighbours differ.

        Raises :class:`ValueError` for a time this rota does not reach: what it does not know must not look empty.
        """
        self._require(start, end)
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

    def _require(self, *moments: datetime) -> None:
        for at in moments:
            if not self.since <= at <= self.until:
                raise ValueError(f"this rota reaches from {self.since} to {self.until}, not to {at}")

    def _gaps(self, roster: Roster, start: datetime, end: datetime) -> Iterator[Gap]:
        end = end if roster.removed_at is None else min(end, roster.removed_at)
        for manned, group in groupby(self.timeline(roster.id, start, end), key=lambda span: bool(span.turns)):
            if not manned:
                spans = list(group)
                absent = dict.fromkeys(t.person for span in spans for t in span.absent)
                yield Gap(roster.id, spans[0].begins, spans[-1].ends, tuple(absent))

    def _timeline(self, roster: int) -> tuple[list[datetime], list[Span]]:
        if roster not in self._spans:
            spans = self._hours(next(r for r in self.rosters if r.id == roster)).spans()
            self._spans[roster] = [span.begins for span in spans], spans
        return self._spans[roster]

    def _hours(self, roster: Roster) -> Hours:
        return Hours(
            roster,
            self.zone,
            self.since,
            self.until,
            [shift for shift in self.shifts if shift.roster == roster.id],
            {rotation.id: rotation for rotation in self.rotations},
            self.holidays,
            [change for change in self.changes if change.roster == roster.id],
            self.absences,
            self.uncallable,
        )


def _one_after_another(duties: Iterable[Duty]) -> list[Duty]:
    """Those that follow each other without a break for the same reason, as one."""
    found: list[Duty] = []
    for duty in duties:
        if found and found[-1].ends == duty.begins and found[-1].turn == duty.turn:
            found[-1] = replace(found[-1], ends=duty.ends)
        else:
            found.append(duty)
    return found
