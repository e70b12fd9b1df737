"""Somebody's own duty, made for a phone: when it is, asking a colleague to swap, and being away."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import FormData

from alerts import notices, on_duty
from alerts.rota import Duty
from clinicians.pages import PageRoute, back_to, render
from clinicians.rota import forms, reasons, times
from clinicians.rota.book import Book, bounds, open_book
from clinicians.rota.desk import Office, staff_room
from clinicians.rota.people import absence as absence_words
from clinicians.rota.problems import Wrong
from clinicians.rota.reasons import ABSENCES
from clinicians.rota.strips import midnight
from clinicians.visitor import Refused, Visitor, only
from clinicians.words import N_, Words
from store import duty_changes, people
from store import rota as record
from store.duty_changes import NewSwap
from store.rota import Absence, RotaError, Swap

router = APIRouter(route_class=PageRoute, include_in_schema=False)

Staff = Annotated[Visitor, Depends(only("care_worker", "doctor"))]

HERE: Final = "/care/duty"
VISITS: Final = (30, 60, 120)
"""Minutes for which one tap says that she is on a visit."""
_EACH: Final = 8
"""Turns of a colleague among which one can choose."""
_SETTLED_FOR: Final = timedelta(days=7)
_TOLD: Final = {
    "away": N_("It is kept. Until you are back the next colleague is called at once instead of you."),
    "back": N_("Welcome back. You are called again from now on."),
    "asked": N_("Your colleague is asked. Until she or he has accepted, the hours are yours."),
    "accepted": N_("Swapped. The rota is changed."),
    "declined": N_("Declined. The hours stay as they were."),
    "withdrawn": N_("You do not ask any more. The hours are yours."),
    "cancelled": N_("You will not be away then."),
}

_ASKS: Final = N_("%(name)s asks you to be on duty %(hours)s. Answer under My duty")
_ACCEPTS: Final = N_("%(name)s is on duty for you %(hours)s")
_DECLINES: Final = N_("%(name)s cannot be on duty for you %(hours)s")


@dataclass(frozen=True, slots=True)
class MyTurn:
    """Some hours of hers. ``alone``: she is away then and nobody else of the roster can be called."""

    roster: int
    name: str
    hours: str
    begins: str
    ends: str
    why: tuple[str, ...]
    is_now: bool
    away: str
    alone: bool


@dataclass(frozen=True, slots=True)
class Asked:
    """A swap that is asked or was settled lately."""

    id: int
    who: str
    roster: str
    gives: str
    takes: str
    state: str


@dataclass(frozen=True, slots=True)
class Offer:
    """A colleague who can be asked, and her turns in return: how a form names each, and in words."""

    name: str
    choices: tuple[tuple[str, str], ...]


@router.get(HERE)
async def show_duty(request: Request, visitor: Staff) -> Response:
    """What is hers in the next fourteen days."""
    return await _page(request, visitor)


async def _page(request: Request, visitor: Visitor, wrong: Wrong | None = None) -> Response:
    async with staff_room(request, visitor) as room:
        book = await open_book(room)
        absences = await record.absences(room.c, room.centre.id, room.now, bounds(room.words)[1])
        swaps = await record.swaps_of(room.c, room.by, room.now)
    words = room.words
    mine = [a for a in absences if a.person_id == room.by]
    turns = [_turn(book, duty, words) for duty in _duties(book, room.by, words)]
    return render(
        request,
        "duty.html",
        400 if wrong else 200,
        words=words,
        turns=turns,
        present=[turn for turn in turns if turn.is_now],
        following=next((turn for turn in turns if not turn.is_now), None),
        away=[absence_words(a, words) for a in mine if a.starts_at <= words.now],
        planned=[(a.id, absence_words(a, words)) for a in mine if a.starts_at > words.now],
        uncovered=[turn for turn in turns if turn.alone],
        asked=[_asked(book, s, s.asked_by, words) for s in swaps if s.asked_of == room.by and s.state == "asked"],
        asking=[_asked(book, s, s.asked_of, words) for s in swaps if _is_of_interest(s, room)],
        colleagues=list(_colleagues(book, words)),
        visits=[(minutes, words.span(timedelta(minutes=minutes))) for minutes in VISITS],
        phone=room.centre.phone,
        entered=wrong.entered if wrong else {},
        wrong=wrong.part if wrong else "",
        problem=wrong.sentence(words) if wrong else "",
        told=words.gettext(_TOLD[told]) if (told := request.query_params.get("told", "")) in _TOLD else "",
    )


def _duties(book: Book, person: UUID, words: Words) -> list[Duty]:
    """Her hours that are not over and begin within the fourteen days."""
    found = book.rota.duties_of(person, book.rota.since, book.rota.until)
    return [duty for duty in found if duty.ends > words.now and duty.begins < bounds(words)[1]]


def _turn(book: Book, duty: Duty, words: Words) -> MyTurn:
    turn = duty.turn
    there = book.rota.timeline(turn.roster, max(duty.begins, words.now), duty.ends)
    return MyTurn(
        roster=turn.roster,
        name=book.named.rosters.get(turn.roster, ""),
        hours=times.stretch(duty.begins, duty.ends, words),
        begins=times.field(max(duty.begins, words.now), words),
        ends=times.field(duty.ends, words),
        why=reasons.why(turn, book.named, words),
        is_now=duty.begins <= words.now,
        away=words.gettext(ABSENCES[turn.absence]) if turn.absence else "",
        alone=turn.absence is not None and any(not span.turns for span in there),
    )


def _is_of_interest(swap: Swap, room: Office) -> bool:
    """What she has asked: as long as it is open, and a while after."""
    settled = swap.settled_at or room.now
    return swap.asked_by == room.by and swap.state != "withdrawn" and settled > room.now - _SETTLED_FOR


def _asked(book: Book, swap: Swap, who: UUID, words: Words) -> Asked:
    takes = ""
    if swap.takes_from is not None and swap.takes_until is not None:
        takes = times.stretch(swap.takes_from, swap.takes_until, words)
    return Asked(
        id=swap.id,
        who=book.named.persons.get(who) or words.gettext("somebody no longer here"),
        roster=book.named.rosters.get(swap.roster_id, ""),
        gives=times.stretch(swap.gives_from, swap.gives_until, words),
        takes=takes,
        state=swap.state,
    )


def _colleagues(book: Book, words: Words) -> Iterator[tuple[str, str]]:
    """Who is on duty now, by roster: names, no telephones."""
    for roster in book.rosters:
        turns = book.rota.span(roster.id, words.now).turns
        names = words.gettext(", ").join(book.named.person(turn.person, words) for turn in turns)
        yield roster.name(words.language), names or words.gettext("nobody")


async def _change(
    request: Request, visitor: Visitor, part: str, done: str, write: Callable[[Office, FormData], Awaitable[object]]
) -> Response:
    form = await request.form()
    try:
        async with staff_room(request, visitor) as room:
            await write(room, form)
    except RotaError as error:
        return await _page(request, visitor, Wrong(part, error.code, forms.entered(form)))
    return back_to(HERE, done)


@router.post(f"{HERE}/away")
async def begin_absence(request: Request, visitor: Staff) -> Response:
    """She is away: on a visit for so many minutes, off sick, on leave; until a time, a day's end, or until she is back."""

    async def write(room: Office, form: FormData) -> None:
        begins, ends = forms.stretch(form, room.words)
        start = begins or room.now
        end = _end(forms.text(form, "for"), room) or ends
        kind = forms.text(form, "kind")
        if kind == "leave" and end is None:
            raise RotaError("times", "a leave has an end")
        await duty_changes.begin_absence(room.c, room.centre.id, room.by, kind, start, end, room.now, by=room.by)

    return await _change(request, visitor, "away", "away", write)


def _end(length: str, room: Office) -> datetime | None:
    """When a length that a button names is over: so many minutes, ``today``, ``tomorrow``; else ``None``."""
    if length.isdecimal() and int(length) in VISITS:
        return room.now + timedelta(minutes=int(length))
    days = {"today": 1, "tomorrow": 2}.get(length)
    return None if days is None else midnight(room.words.today + timedelta(days=days), room.words)


@router.post(f"{HERE}/back")
async def end_absence(request: Request, visitor: Staff) -> Response:
    """She is back."""

    async def write(room: Office, _: FormData) -> None:
        await duty_changes.end_absence(room.c, room.centre.id, room.by, room.now, by=room.by)

    return await _change(request, visitor, "away", "back", write)


@router.post(f"{HERE}/absences/{{absence_id}}/cancel")
async def cancel_absence(request: Request, visitor: Staff, absence_id: int) -> Response:
    """She will not be away after all."""

    async def write(room: Office, _: FormData) -> None:
        mine = await record.absences(room.c, room.centre.id, room.now, room.now + timedelta(days=400))
        if not any(_is_hers(absence, absence_id, room.by) for absence in mine):
            raise Refused(404)
        await duty_changes.cancel_absence(room.c, room.centre.id, absence_id, room.now, by=room.by)

    return await _change(request, visitor, "away", "cancelled", write)


def _is_hers(absence: Absence, number: int, person: UUID) -> bool:
    return absence.id == number and absence.person_id == person


@router.get(f"{HERE}/swap")
async def show_swap(request: Request, visitor: Staff) -> Response:
    """Whom she asks to take some of her hours, and what for. ``roster``, ``begins`` and ``ends`` are in the address."""
    asked = {name: request.query_params.get(name, "")[:16] for name in ("roster", "begins", "ends")}
    return await _swap_page(request, visitor, asked)


async def _swap_page(
    request: Request, visitor: Visitor, asked: dict[str, str], wrong: Wrong | None = None
) -> Response:  # fmt: skip
    async with staff_room(request, visitor) as room:
        book = await open_book(room)
    words = room.words
    roster = book.roster(int(asked["roster"])) if asked["roster"].isdecimal() else None
    if roster is None:
        raise Refused(404)
    return render(
        request,
        "duty_swap.html",
        400 if wrong else 200,
        words=words,
        roster=roster,
        asked=asked,
        offers=list(_offers(book, roster.id, room.by, words)),
        chosen=wrong.entered.get("with", "") if wrong else "",
        problem=wrong.sentence(words) if wrong else "",
    )


def _offers(book: Book, roster: int, me: UUID, words: Words) -> Iterator[Offer]:
    """Everybody who can be asked: those of the same roster first, with their turns in it."""
    found = []
    for member in book.members:
        if member.id != me and member.phone and member.face:
            theirs = [d for d in _duties(book, member.id, words) if d.turn.roster == roster and d.begins > words.now]
            found.append((not theirs, Offer(member.name(words.language), tuple(_choices(member.id, theirs, words)))))
    yield from (offer for _, offer in sorted(found, key=lambda one: one[0]))


def _choices(person: UUID, duties: Sequence[Duty], words: Words) -> Iterator[tuple[str, str]]:
    yield str(person), words.gettext("for nothing in return")
    for duty in duties[:_EACH]:
        begins, ends = (times.field(moment, words) for moment in (duty.begins, duty.ends))
        yield f"{person} {begins} {ends}", times.stretch(duty.begins, duty.ends, words)


@router.post(f"{HERE}/swap")
async def ask_swap(request: Request, visitor: Staff) -> Response:
    """Ask."""
    form = await request.form()
    asked = {name: forms.text(form, name)[:16] for name in ("roster", "begins", "ends")}
    try:
        async with staff_room(request, visitor) as room:
            new = _new_swap(form, room)
            await on_duty.ask_swap(room.c, room.centre.id, new, room.now)
            await _tell(room, new.asked_of, new, _ASKS)
    except RotaError as error:
        return await _swap_page(request, visitor, asked, Wrong("swap", error.code, forms.entered(form)))
    return back_to(HERE, "asked")


def _new_swap(form: FormData, room: Office) -> NewSwap:
    """What she asks. ``with`` is a person, and in return her hours from when to when on the centre's clock."""
    begins, ends = forms.stretch(form, room.words)
    roster = forms.number(forms.text(form, "roster"), "times")
    typed, *hours = forms.text(form, "with").split()[:3] or [""]
    person = forms.person(typed)
    if begins is None or ends is None or roster is None:
        raise RotaError("times", "a swap needs its hours")
    if person is None:
        raise RotaError("nobody", "a swap needs a colleague")
    takes = [times.local(text, room.words) for text in hours] if len(hours) == 2 else [None, None]
    return NewSwap(roster, room.by, person, begins, ends, *takes)


async def _tell(room: Office, reader: UUID, swap: NewSwap | Swap, sentence: str) -> None:
    """Tell the other of a swap by message, in her language: nobody looks at her own duty all the time."""
    found = await people.people(room.c, [reader, room.by])
    words = Words.of(found[reader].language, room.centre.time_zone, room.now)
    hours = times.stretch(swap.gives_from, swap.gives_until, words)
    text = words.gettext(sentence, name=found[room.by].name(words.language), hours=hours)
    await notices.give(room.c, found[reader], text, words.zone, room.now)


@router.post(f"{HERE}/swaps/{{swap_id}}/accept")
async def accept_swap(request: Request, visitor: Staff, swap_id: int) -> Response:
    """Take the hours that a colleague asks her to take."""

    async def write(room: Office, _: FormData) -> None:
        asked = await record.swap(room.c, swap_id)
        await on_duty.accept_swap(room.c, room.centre.id, swap_id, room.now, room.by)
        if asked is not None:
            await _tell(room, asked.asked_by, asked, _ACCEPTS)

    return await _change(request, visitor, "swaps", "accepted", write)


@router.post(f"{HERE}/swaps/{{swap_id}}/decline")
async def decline_swap(request: Request, visitor: Staff, swap_id: int) -> Response:
    """She will not."""

    async def write(room: Office, _: FormData) -> None:
        asked = await record.swap(room.c, swap_id)
        await duty_changes.decline_swap(room.c, swap_id, room.now, room.by)
        if asked is not None:
            await _tell(room, asked.asked_by, asked, _DECLINES)

    return await _change(request, visitor, "swaps", "declined", write)


@router.post(f"{HERE}/swaps/{{swap_id}}/withdraw")
async def withdraw_swap(request: Request, visitor: Staff, swap_id: int) -> Response:
    """She does not ask any more."""

    async def write(room: Office, _: FormData) -> None:
        await duty_changes.withdraw_swap(room.c, swap_id, room.now, room.by)

    return await _change(request, visitor, "swaps", "withdrawn", write)
