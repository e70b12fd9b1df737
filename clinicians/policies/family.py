"""Which relatives are called to alerts of a resident: those of whom she has said so, outside their quiet hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from clinicians.pages import PageRoute, back_to, render
from clinicians.rota import forms, times
from clinicians.rota.desk import Office, office
from clinicians.visitor import Administrator, Refused, Visitor
from clinicians.words import N_, Words
from store import audit, policies, residents
from store.administration import NotAllowed
from store.policies import Relative
from store.residents import Related, Resident

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PLACE: Final = "/admin/residents/{resident_id}/family"
_QUIET: Final = (time(22), time(7))
"""At first, as the record has it."""
_TOLD: Final = {
    "called": N_("From now on this relative is called where a policy names the family."),
    "ended": N_("From now on this relative is not called any more."),
}
_NO_TIMES: Final = N_("Please say from when to when she or he is not to be called.")


@dataclass(frozen=True, slots=True)
class Line:
    """A relative, whether she is called, and when not."""

    id: UUID
    name: str
    has_phone: bool
    is_called: bool
    quiet: str
    quiet_from: str
    quiet_until: str


@router.get(_PLACE)
async def show_family(request: Request, visitor: Administrator, resident_id: int) -> Response:
    """Every relative of one resident."""
    return await _page(request, visitor, resident_id)


async def _page(request: Request, visitor: Visitor, resident_id: int, problem: str = "") -> Response:
    async with office(request, visitor) as desk:
        resident = await _resident(desk, resident_id)
        family = await _family(desk, resident_id)
        called = {r.person_id: r for r in await policies.relatives(desk.c, [resident_id], desk.now)}
    words = desk.words
    return render(
        request,
        "policies_family.html",
        400 if problem else 200,
        words=words,
        resident=resident,
        relatives=[_line(person, called.get(person.person_id), words) for person in family],
        problem=words.gettext(problem) if problem else "",
        told=words.gettext(_TOLD[told]) if (told := request.query_params.get("told", "")) in _TOLD else "",
    )


async def _resident(desk: Office, resident_id: int) -> Resident:
    resident = await residents.resident(desk.c, resident_id)
    if resident is None or resident.centre_id != desk.centre.id:
        raise Refused(404)
    return resident


async def _family(desk: Office, resident_id: int) -> list[Related]:
    return [one for one in await residents.around(desk.c, resident_id) if one.kind == "family"]


def _line(person: Related, called: Relative | None, words: Words) -> Line:
    begins, ends = (called.quiet_from, called.quiet_until) if called else _QUIET
    hours = f"{begins:%H:%M}–{ends:%H:%M}"
    quiet = words.gettext("at any hour") if begins == ends else words.gettext("not from %(hours)s", hours=hours)
    name = person.name(words.language)
    has_phone = person.phone is not None
    return Line(person.person_id, name, has_phone, called is not None, quiet, f"{begins:%H:%M}", f"{ends:%H:%M}")


@router.post(_PLACE)
async def let_call(request: Request, visitor: Administrator, resident_id: int) -> Response:
    """She agrees that this relative is called, outside these hours; equal ones mean at any hour."""
    form = await request.form()
    begins, ends = (times.clock(forms.text(form, name)) for name in ("quiet_from", "quiet_until"))
    if begins is None or ends is None:
        return await _page(request, visitor, resident_id, _NO_TIMES)
    async with office(request, visitor) as desk:
        person = await _relative(desk, resident_id, forms.text(form, "person"))
        await policies.let_call(desk.c, person, resident_id, desk.by, desk.now, (begins, ends))
        await audit.record(desk.c, "family_call_agreed", desk.by, resident_id, person=str(person))
    return back_to(_PLACE.format(resident_id=resident_id), "called")


@router.post(f"{_PLACE}/end")
async def stop_calling(request: Request, visitor: Administrator, resident_id: int) -> Response:
    """She, or the relative, does not wish it any more."""
    form = await request.form()
    async with office(request, visitor) as desk:
        person = await _relative(desk, resident_id, forms.text(form, "person"))
        await policies.stop_calling(desk.c, person, resident_id, desk.now)
        await audit.record(desk.c, "family_call_ended", desk.by, resident_id, person=str(person))
    return back_to(_PLACE.format(resident_id=resident_id), "ended")


async def _relative(desk: Office, resident_id: int, typed: str) -> UUID:
    """Raises :class:`NotAllowed` for anybody who is not of this resident's family."""
    await _resident(desk, resident_id)
    found = next((p.person_id for p in await _family(desk, resident_id) if str(p.person_id) == typed), None)
    if found is None:
        raise NotAllowed(f"{typed} is no relative of resident {resident_id}")
    return found
