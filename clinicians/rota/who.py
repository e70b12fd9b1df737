"""Who is on duty for one resident at one moment, in order and with the reasons; and whom an alert would call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request, Response

from alerts import on_duty
from alerts.policy import PRIORITIES
from alerts.rota import Looked, Turn
from clinicians.pages import PageRoute, render
from clinicians.policies import simulation
from clinicians.policies.words import priority as priority_word
from clinicians.rota import reasons, times
from clinicians.rota.book import Book, area_name, book_of
from clinicians.rota.desk import Office, office
from clinicians.rota.homes import choices
from clinicians.rota.roles import duty
from clinicians.visitor import Administrator, Refused
from clinicians.words import N_, Words
from store import team
from store.team import Home

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_FARTHEST: Final = timedelta(days=366)
_IDLE: Final = {
    "holiday": N_("A shift does not hold then, for its day is a holiday: %(holiday)s."),
    "nobodys_turn": N_("A shift goes by a rotation that has not begun."),
}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on duty, until when, and why."""

    name: str
    until: str
    why: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ring:
    """A roster that was asked: nearest first. ``chosen``: whoever is called comes from here."""

    roster: str
    area: str
    chosen: bool
    people: tuple[Person, ...]
    absent: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rung:
    """One duty: who is called for it, and where was looked."""

    title: str
    called: tuple[str, ...]
    rings: tuple[Ring, ...]


@router.get("/admin/rota/who")
async def show_who(request: Request, visitor: Administrator) -> Response:
    """The question, and its answer once it is asked: ``resident`` and ``at`` in the address, on the centre's clock."""
    asked = {name: request.query_params.get(name, "")[:20] for name in ("resident", "at", "priority")}
    async with office(request, visitor) as desk:
        words = desk.words
        homes = await team.homes(desk.c, desk.centre.id)
        at = _moment(asked["at"], words)
        home = next((h for h in homes if str(h.resident_id) == asked["resident"]), None)
        if asked["resident"] and home is None:
            raise Refused(404)
        chosen = asked["priority"] if asked["priority"] in PRIORITIES else "high"
        rungs = await _answer(desk, home, at) if home else []
        followed = await simulation.follow(desk, None, home.resident_id, chosen, at) if home else None
    return render(
        request,
        "rota_who.html",
        words=words,
        residents=choices(homes, words),
        resident=home.resident_id if home else "",
        at=times.field(at, words),
        priority=chosen,
        priorities=[(code, priority_word(code, words)) for code in PRIORITIES],
        title=words.gettext(
            "On duty for %(name)s, %(when)s",
            name=home.name(words.language),
            when=times.moment(at, words),
        )
        if home
        else words.gettext("Who is on duty for …"),
        address=home.address(words.language) if home else "",
        rungs=rungs,
        followed=followed,
    )


def _moment(typed: str, words: Words) -> datetime:
    found = times.local(typed, words) if typed else words.now.replace(second=0, microsecond=0)
    if found is None or abs(found - words.now) > _FARTHEST:
        raise Refused(400)
    return found


async def _answer(desk: Office, home: Home, at: datetime) -> list[Rung]:
    rota = await on_duty.rota(desk.c, desk.centre.id, at, at + timedelta(days=1))
    book = await book_of(desk, rota)
    duties = dict.fromkeys((roster.role, roster.line) for roster in book.rosters)
    return [_rung(book, role, line, home, at, desk.words) for role, line in duties]


def _rung(book: Book, role: str, line: int, home: Home, at: datetime, words: Words) -> Rung:
    told = book.rota.explain(role, line, home.area_id, at)
    called = tuple(book.named.person(turn.person, words) for turn in told.answer.turns)
    chosen = [number for number, one in enumerate(told.looked, start=1) if one.chosen]
    nearer = told.looked[: max(chosen, default=len(told.looked))]
    return Rung(duty(role, line, words), called, tuple(_ring(book, one, words) for one in nearer))


def _ring(book: Book, looked: Looked, words: Words) -> Ring:
    return Ring(
        roster=book.named.rosters.get(looked.roster.id, ""),
        area=area_name(book, looked.roster.area, words),
        chosen=looked.chosen,
        people=tuple(_person(book, turn, words) for turn in looked.turns),
        absent=tuple(reasons.absence(turn, book.named, words) for turn in looked.absent),
        remarks=tuple(_remarks(book, looked, words)),
    )


def _person(book: Book, turn: Turn, words: Words) -> Person:
    until = words.gettext("until %(until)s", until=times.moment(turn.until, words))
    return Person(book.named.person(turn.person, words), until, reasons.why(turn, book.named, words))


def _remarks(book: Book, looked: Looked, words: Words) -> Iterator[str]:
    for change in looked.off:
        yield reasons.change(change, book.named, words)
    for idle in looked.idle:
        yield words.gettext(_IDLE[idle.why], holiday=book.named.holidays.get(idle.day, ""))
    if not looked.turns and looked.manned_from is not None:
        yield words.gettext("The next is on duty from %(when)s.", when=times.moment(looked.manned_from, words))
