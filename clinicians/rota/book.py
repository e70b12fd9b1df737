"""A centre's rota as its pages show it: who is on duty, everything by its name, drawn and in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

from fastapi import Request

from alerts import on_duty
from alerts.rota import Gap, Rota, Span
from clinicians.rota import reasons, strips, times
from clinicians.rota.desk import Office, office
from clinicians.rota.reasons import Named
from clinicians.rota.roles import duty
from clinicians.rota.strips import DAYS, Band, Drawing
from clinicians.visitor import Visitor
from clinicians.words import Words
from store import people, team
from store import rota as record
from store.rota import Area, Holiday, Roster, Rotation, Shift
from store.team import Home, Member

_MORE: Final = timedelta(days=1)
_AROUND: Final = timedelta(days=3)
"""A shift that still lasts may have begun on a holiday some days ago."""


@dataclass(frozen=True, slots=True)
class Book:
    """Everything of a centre's rota between two moments."""

    rota: Rota
    members: tuple[Member, ...]
    rosters: tuple[Roster, ...]
    areas: tuple[Area, ...]
    rotations: tuple[Rotation, ...]
    shifts: tuple[Shift, ...]
    holidays: tuple[Holiday, ...]
    named: Named

    def roster(self, roster_id: int) -> Roster | None:
        """A roster that is still kept."""
        return next((r for r in self.rosters if r.id == roster_id), None)


@dataclass(frozen=True, slots=True)
class Hours:
    """Some hours of a day: who is on duty, or that nobody is; ``away``: who would be but is absent."""

    clock: str
    names: tuple[str, ...]
    away: tuple[str, ...]
    is_gap: bool


@dataclass(frozen=True, slots=True)
class Day:
    """A day in words."""

    title: str
    holiday: str
    hours: tuple[Hours, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A roster at a glance. ``present`` says who is on duty now, ``absent`` who would be."""

    id: int
    name: str
    duty: str
    area: str
    present: tuple[str, ...]
    absent: tuple[str, ...]
    drawing: Drawing
    days: tuple[Day, ...]
    must_cover: bool


@dataclass(frozen=True, slots=True)
class Hole:
    """A gap in words; ``begins``, ``ends`` and ``missing`` (the one who is absent, if it is one) as a form takes them."""

    roster: int
    name: str
    stretch: str
    length: str
    absent: tuple[str, ...]
    is_now: bool
    begins: str
    ends: str
    missing: str


async def open_book(desk: Office, days: int = DAYS) -> Book:
    """From the midnight before now, for so many days; and a day more at both ends, so that no shift is cut off there."""
    since, until = bounds(desk.words, days)
    return await book_of(desk, await on_duty.rota(desk.c, desk.centre.id, since - _MORE, until + _MORE))


async def book_of(desk: Office, rota: Rota) -> Book:
    """A rota with everything that its pages need to speak of it."""
    c, centre, words = desk.c, desk.centre.id, desk.words
    members = await team.members(c, centre)
    rosters, areas, rotations, shifts = (
        await record.rosters(c, centre),
        await record.areas(c, centre),
        await record.rotations(c, centre),
        await record.shifts(c, centre),
    )
    first, last = ((moment + shift).date() for moment, shift in ((rota.since, -_AROUND), (rota.until, _AROUND)))
    holidays = await record.holidays(c, centre, first, last)
    known = {m.id: m.name(words.language) for m in members}
    others = {p for p in _persons(rota) if p not in known}
    known |= {p.id: p.name(words.language) for p in (await people.people(c, list(others))).values()}
    language = words.language
    named = Named(
        persons=known,
        rosters={r.id: r.name(language) for r in rosters},
        rotations={r.id: r.name(language) for r in rotations},
        areas={a.id: a.name(language) for a in areas},
        holidays={h.day: h.name(language) for h in holidays},
    )
    return Book(
        rota, tuple(members), tuple(rosters), tuple(areas), tuple(rotations), tuple(shifts), tuple(holidays), named
    )


def bounds(words: Words, days: int = DAYS) -> tuple[datetime, datetime]:
    """From the midnight before now to the one after so many days."""
    return strips.midnight(words.today, words), strips.midnight(words.today + timedelta(days=days), words)


def _persons(rota: Rota) -> set[UUID]:
    """Everybody who is named anywhere in it."""
    named = {s.person for s in rota.shifts} | {p for r in rota.rotations for p in r.persons}
    for change in rota.changes:
        named |= {change.person, change.instead_of, change.made_by}
    return {person for person in named if person is not None}


def shown(book: Book, roster: Roster, words: Words) -> Shown:
    """A roster at a glance."""
    since, until = bounds(words)
    spans = book.rota.timeline(roster.id, since, until)
    now = book.rota.span(roster.id, words.now)
    return Shown(
        id=roster.id,
        name=roster.name(words.language),
        duty=duty(roster.role, roster.line, words),
        area=area_name(book, roster.area_id, words),
        present=tuple(
            words.gettext("%(name)s until %(until)s", name=book.named.person(t.person, words), until=times.until(t.until, words))
            for t in now.turns
        ),
        absent=tuple(reasons.absence(t, book.named, words) for t in now.absent),
        drawing=strips.draw(bands(book, roster, spans, words), words.today, description(book, roster, words), words),
        days=tuple(days(book, roster, spans, words)),
        must_cover=roster.must_cover,
    )  # fmt: skip


def area_name(book: Book, area_id: int | None, words: Words) -> str:
    """An area by its name."""
    return words.gettext("whole centre") if area_id is None else book.named.areas.get(area_id, "")


def description(book: Book, roster: Roster, words: Words) -> str:
    """What a drawing shows, in a sentence."""
    gaps = sum(gap.roster == roster.id for gap in open_gaps(book, words))
    found = words.ngettext("%(n)s gap", "%(n)s gaps", gaps)
    return words.gettext(
        "%(roster)s, 14 days from %(day)s: %(gaps)s. The same in words stands below.",
        roster=roster.name(words.language),
        day=times.day(words.today, words),
        gaps=found,
    )


def bands(book: Book, roster: Roster, spans: Iterable[Span], words: Words) -> list[Band]:
    """What is drawn of a roster."""
    colours = {person: number for number, person in enumerate(_in_order(book, roster))}
    return [band for span in spans for band in _bands(book, roster, span, colours, words)]


def _bands(
    book: Book, roster: Roster, span: Span, colours: Mapping[UUID, int], words: Words
) -> Iterator[Band]:  # fmt: skip
    if roster.must_cover and not span.turns:
        yield Band(span.begins, span.ends, short=words.gettext("nobody"))
        return
    turns = [*span.turns, *span.absent]
    for lane, turn in enumerate(turns):
        name = book.named.person(turn.person, words)
        yield Band(
            span.begins,
            span.ends,
            name,
            short(name),
            colours.get(turn.person, 0),
            lane,
            len(turns),
            away=turn.absence is not None,
        )


def _in_order(book: Book, roster: Roster) -> dict[UUID, None]:
    """Everybody of a roster, each once: whoever comes first has the first colour."""
    spans = book.rota.timeline(roster.id, book.rota.since, book.rota.until)
    return dict.fromkeys(t.person for span in spans for t in (*span.turns, *span.absent))


def short(name: str) -> str:
    """A name where there is little room: a Chinese one's first letter, else initials."""
    if ord(name[0]) > 0x2E80:
        return name[0]
    return "".join(word[0] for word in name.split()[:2])


def days(book: Book, roster: Roster, spans: Sequence[Span], words: Words) -> Iterator[Day]:
    """Each day in words."""
    for number in range(DAYS):
        on = words.today + timedelta(days=number)
        hours = tuple(_hours(book, roster, spans, on, words))
        yield Day(times.day(on, words), book.named.holidays.get(on, ""), hours)


def _hours(book: Book, roster: Roster, spans: Iterable[Span], on: date, words: Words) -> Iterator[Hours]:
    start, end = strips.midnight(on, words), strips.midnight(on + timedelta(days=1), words)
    inside = [span for span in spans if span.begins < end and span.ends > start]
    for (turns, absent), some in groupby(inside, key=_who):
        group = list(some)
        begins, ends = max(group[0].begins, start), min(group[-1].ends, end)
        clock = f"{words.clock(begins)}–{'24:00' if ends == end else words.clock(ends)}"
        names, away = ([book.named.person(p, words) for p in persons] for persons in (turns, absent))
        yield Hours(clock, tuple(names), tuple(away), roster.must_cover and not turns)


def _who(span: Span) -> tuple[tuple[UUID, ...], tuple[UUID, ...]]:
    return tuple(t.person for t in span.turns), tuple(t.person for t in span.absent)


def open_gaps(book: Book, words: Words) -> list[Gap]:
    """The gaps from now on."""
    _, until = bounds(words)
    return list(book.rota.gaps(words.now, until))


def holes(book: Book, words: Words) -> list[Hole]:
    """The gaps from now on, in words, the earliest first."""
    return [_hole(book, gap, words) for gap in open_gaps(book, words)]


def _hole(book: Book, gap: Gap, words: Words) -> Hole:
    absent = [
        reasons.absence(turn, book.named, words)
        for span in book.rota.timeline(gap.roster, gap.begins, gap.ends)
        for turn in span.absent
    ]
    return Hole(
        roster=gap.roster,
        name=book.named.rosters.get(gap.roster, ""),
        stretch=times.stretch(gap.begins, gap.ends, words),
        length=_length(gap.ends - gap.begins, words),
        absent=tuple(dict.fromkeys(absent)),
        is_now=gap.begins <= words.now,
        begins=times.field(gap.begins, words),
        ends=times.field(gap.ends, words),
        missing=str(gap.absent[0]) if len(gap.absent) == 1 else "",
    )


def _length(length: timedelta, words: Words) -> str:
    """Hours up to two days, then days."""
    return words.span(length) if length >= timedelta(days=2) else words.ngettext("%(n)s hour", "%(n)s hours", max(round(length / timedelta(hours=1)), 1))  # fmt: skip


def unserved(book: Book, homes: Iterable[Home], words: Words) -> list[str]:
    """Where residents live for whom no roster of a duty that must be manned stands at all, in words."""
    lived_in = dict.fromkeys(home.area_id for home in homes)
    duties = dict.fromkeys((roster.role, roster.line) for roster in book.rosters if roster.must_cover)
    return [
        words.gettext(
            "For the residents of %(area)s nobody is ever on duty as %(duty)s: no roster stands for them.",
            area=words.gettext("no area") if area is None else area_name(book, area, words),
            duty=duty(role, line, words),
        )
        for role, line in duties
        for area in lived_in
        if not any(book.rota.circles(role, line, area))
    ]


async def look_for_gaps(request: Request, visitor: Visitor) -> tuple[list[Hole], list[str]]:
    """What is missing on the rota of the visitor's own centre, for a line on another page."""
    async with office(request, visitor) as desk:
        book, homes = await open_book(desk), await team.homes(desk.c, desk.centre.id)
    return holes(book, desk.words), unserved(book, homes, desk.words)
