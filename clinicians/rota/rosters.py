"""One roster: its hours, who has them, and what is otherwise on single days."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.datastructures import FormData

from alerts import on_duty
from clinicians.pages import PageRoute, back_to, render
from clinicians.rota import forms, reasons, times
from clinicians.rota.book import Book, holes, open_book, shown
from clinicians.rota.desk import Office, office
from clinicians.rota.overview import roster_choices
from clinicians.rota.problems import Wrong, told
from clinicians.visitor import Administrator, Refused, Visitor
from clinicians.words import N_, Words
from store import duty_changes, rosters
from store import rota as record
from store.rota import Roster, RotaError, Rotation, Shift

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_EVERY: Final = MappingProxyType(
    {"hours": N_("hours"), "days": N_("days"), "weeks": N_("weeks"), "months": N_("months")}
)
_EACH: Final = MappingProxyType(
    {
        "hours": (N_("every hour"), N_("every %(n)s hours")),
        "days": (N_("every day"), N_("every %(n)s days")),
        "weeks": (N_("every week"), N_("every %(n)s weeks")),
        "months": (N_("every month"), N_("every %(n)s months")),
    }
)
_HOLIDAYS: Final = MappingProxyType(
    {
        "also": N_("on holidays as on other days"),
        "not": N_("not on holidays"),
        "only": N_("only on holidays, whatever the weekday"),
    }
)
_ALL_DAYS: Final = [1, 2, 3, 4, 5, 6, 7]
_MONDAY: Final = times.on("2024-01-01")


@router.get("/admin/rota/rosters/{roster_id}")
async def show_roster(request: Request, visitor: Administrator, roster_id: int) -> Response:
    """One roster. ``begins`` and ``ends`` in the address are the hours that somebody wants to change."""
    return await _page(request, visitor, roster_id)


async def _page(request: Request, visitor: Visitor, roster_id: int, wrong: Wrong | None = None) -> Response:
    async with office(request, visitor) as desk:
        book = await open_book(desk)
    roster, words = book.roster(roster_id), desk.words
    if roster is None:
        raise Refused(404)
    rotations = [r for r in book.rotations if r.roster_id == roster_id]
    return render(
        request,
        "rota_roster.html",
        400 if wrong else 200,
        words=words,
        roster=roster,
        shown=shown(book, roster, words),
        holes=[hole for hole in holes(book, words) if hole.roster == roster_id],
        shifts=[(s.id, shift(s, book, words)) for s in book.shifts if s.roster_id == roster_id],
        rotations=[(r, rotation(r, book, words)) for r in rotations],
        changes=[
            (c.id, times.stretch(c.starts_at, c.ends_at, words), reasons.change(c, book.named, words))
            for c in sorted(book.rota.changes, key=lambda c: c.starts_at)
            if c.roster == roster_id and c.ends_at > words.now
        ],
        people=[(m.id, m.name(words.language)) for m in book.members if m.phone],
        weekdays=[(number, weekday(number, words)) for number in _ALL_DAYS],
        every=[(code, words.gettext(text)) for code, text in _EVERY.items()],
        on_holidays=[(code, words.gettext(text)) for code, text in _HOLIDAYS.items()],
        places=forms.PLACES,
        wanted={name: request.query_params.get(name, "")[:36] for name in ("begins", "ends", "instead_of")},
        wrong=wrong or Wrong("", ""),
        problem=wrong.sentence(words) if wrong else "",
        told=told(request.query_params.get("told", ""), words),
        **roster_choices(book, words),
    )


def weekday(number: int, words: Words) -> str:
    """A weekday by its ISO number, short."""
    assert _MONDAY is not None, "a Monday"
    return words.weekday(_MONDAY.replace(day=number))


def shift(one: Shift, book: Book, words: Words) -> tuple[str, ...]:
    """A shift in words: when, who, and what bounds it."""
    days = words.gettext("every day") if one.weekdays == _ALL_DAYS else _days(one.weekdays, words)
    hours = f"{one.starts:%H:%M}–{one.ends:%H:%M}"
    if one.ends <= one.starts:
        hours = words.gettext("%(hours)s of the next day", hours=hours)
    if one.rotation_id is not None:
        name = book.named.rotations.get(one.rotation_id, "")
        who = words.gettext("rotation %(name)s", name=name)
    else:
        who = book.named.person(one.person_id, words)
    bounds = [] if one.holidays == "also" else [words.gettext(_HOLIDAYS[one.holidays])]
    if one.valid_from > words.today:
        bounds.append(words.gettext("from %(day)s", day=times.day(one.valid_from, words)))
    if one.valid_until is not None:
        bounds.append(words.gettext("last on %(day)s", day=times.day(one.valid_until, words)))
    return (f"{days} {hours}", who, *bounds)


def _days(weekdays: list[int], words: Words) -> str:
    """Weekdays; a run of three or more as a span."""
    first, last = weekdays[0], weekdays[-1]
    if len(weekdays) > 2 and last - first + 1 == len(weekdays):
        return f"{weekday(first, words)}–{weekday(last, words)}"
    return words.gettext(", ").join(weekday(number, words) for number in weekdays)


def rotation(one: Rotation, book: Book, words: Words) -> str:
    """Who takes turns, and how often they hand over."""
    singular, plural = _EACH[one.every]
    each = words.gettext(singular) if one.length == 1 else words.gettext(plural, n=one.length)
    chain = " → ".join(book.named.person(person, words) for person in one.persons)
    since = f"{times.day(one.starts_at.date(), words)} {one.starts_at:%H:%M}"
    return words.gettext("%(people)s; handed over %(each)s, since %(since)s", people=chain, each=each, since=since)


async def _change(
    request: Request,
    visitor: Visitor,
    roster_id: int,
    part: str,
    done: str,
    write: Callable[[Office, Roster, FormData], Awaitable[object]],
) -> Response:
    """Write what a form of this roster says, or show the form again with what is wrong in it."""
    form = await request.form()
    try:
        async with office(request, visitor) as desk:
            roster = next((r for r in await record.rosters(desk.c, desk.centre.id) if r.id == roster_id), None)
            if roster is None:
                raise Refused(404)
            await write(desk, roster, form)
    except RotaError as error:
        return await _page(request, visitor, roster_id, Wrong(part, error.code, forms.entered(form)))
    return back_to("/admin/rota" if done == "roster_removed" else f"/admin/rota/rosters/{roster_id}", done)


@router.post("/admin/rota/rosters/{roster_id}/shifts")
async def add_shift(request: Request, visitor: Administrator, roster_id: int) -> Response:
    """Hours that come again."""

    async def write(desk: Office, roster: Roster, form: FormData) -> None:
        await rosters.add_shift(desk.c, desk.centre.id, forms.shift(form, roster.id, desk.words), by=desk.by)

    return await _change(request, visitor, roster_id, "shift", "shift_added", write)


@router.post("/admin/rota/rosters/{roster_id}/shifts/{shift_id}/end")
async def end_shift(request: Request, visitor: Administrator, roster_id: int, shift_id: int) -> Response:
    """Hours that come no more after a day, or from now on."""

    async def write(desk: Office, _: Roster, form: FormData) -> None:
        last = forms.day(forms.text(form, "last_day"))
        if last is None:
            await rosters.remove_shift(desk.c, desk.centre.id, shift_id, desk.now, by=desk.by)
        else:
            await rosters.end_shift(desk.c, desk.centre.id, shift_id, last, by=desk.by)

    return await _change(request, visitor, roster_id, f"shift-{shift_id}", "shift_ended", write)


@router.post("/admin/rota/rosters/{roster_id}/rotations")
async def add_rotation(request: Request, visitor: Administrator, roster_id: int) -> Response:
    """People who take turns."""

    async def write(desk: Office, roster: Roster, form: FormData) -> None:
        await rosters.add_rotation(desk.c, desk.centre.id, forms.rotation(form, roster.id), by=desk.by)

    return await _change(request, visitor, roster_id, "rotation", "rotation_added", write)


@router.post("/admin/rota/rosters/{roster_id}/rotations/{rotation_id}/turns")
async def replace_turns(request: Request, visitor: Administrator, roster_id: int, rotation_id: int) -> Response:
    """Others take turns, or in another order; whose turn it is keeps it."""

    async def write(desk: Office, _: Roster, form: FormData) -> None:
        people = forms.turns(form)
        await on_duty.replace_turns(desk.c, desk.centre.id, rotation_id, people, desk.now, by=desk.by)

    return await _change(request, visitor, roster_id, f"rotation-{rotation_id}", "turns_changed", write)


@router.post("/admin/rota/rosters/{roster_id}/rotations/{rotation_id}/remove")
async def remove_rotation(request: Request, visitor: Administrator, roster_id: int, rotation_id: int) -> Response:
    """They take turns no more."""

    async def write(desk: Office, _: Roster, __: FormData) -> None:
        await rosters.remove_rotation(desk.c, desk.centre.id, rotation_id, desk.now, by=desk.by)

    return await _change(request, visitor, roster_id, f"rotation-{rotation_id}", "rotation_removed", write)


@router.post("/admin/rota/rosters/{roster_id}/changes")
async def add_change(request: Request, visitor: Administrator, roster_id: int) -> Response:
    """Otherwise than the shifts say, for some hours."""

    async def write(desk: Office, roster: Roster, form: FormData) -> None:
        new = forms.change(form, roster.id, desk.words)
        await on_duty.add_change(desk.c, desk.centre.id, new, desk.now, by=desk.by)

    return await _change(request, visitor, roster_id, "change", "change_added", write)


@router.post("/admin/rota/rosters/{roster_id}/changes/{change_id}/cancel")
async def cancel_change(request: Request, visitor: Administrator, roster_id: int, change_id: int) -> Response:
    """As the shifts say after all."""

    async def write(desk: Office, _: Roster, __: FormData) -> None:
        await duty_changes.cancel_change(desk.c, desk.centre.id, change_id, desk.now, by=desk.by)

    return await _change(request, visitor, roster_id, "changes", "change_cancelled", write)


@router.post("/admin/rota/rosters/{roster_id}/describe")
async def describe(request: Request, visitor: Administrator, roster_id: int) -> Response:
    """What it is called, and whether it must be manned."""

    async def write(desk: Office, roster: Roster, form: FormData) -> None:
        zh, en = forms.names(form)
        await rosters.change_roster(desk.c, desk.centre.id, roster.id, zh, en, "must_cover" in form, by=desk.by)

    return await _change(request, visitor, roster_id, "describe", "roster_changed", write)


@router.post("/admin/rota/rosters/{roster_id}/remove")
async def remove_roster(request: Request, visitor: Administrator, roster_id: int) -> Response:
    """Nobody is on duty by it any more."""

    async def write(desk: Office, roster: Roster, _: FormData) -> None:
        await rosters.remove_roster(desk.c, desk.centre.id, roster.id, desk.now, by=desk.by)

    return await _change(request, visitor, roster_id, "remove", "roster_removed", write)
