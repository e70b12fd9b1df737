"""Whom nothing reaches: stopped and dead numbers, staff without a telephone, and numbers that nobody has confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Final, cast
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from alerts.channels import ChannelName
from clinicians.administrator.desk import changing, looking, told
from clinicians.administrator.residents import e164, region_of
from clinicians.contact import TITLES, why_not
from clinicians.pages import PageRoute, back_to, render
from clinicians.visitor import Administrator, Refused, Visitor
from clinicians.words import N_, Words
from store import administration, audit, contacts, portal
from store.administration import Taken
from store.contacts import AdministeredContact

router = APIRouter(route_class=PageRoute, include_in_schema=False)

PAGE: Final = "/admin/reach"
_STAFF: Final = ("doctor", "care_worker")
_FACES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "doctor": N_("doctor"),
        "care_worker": N_("care worker"),
        "family": N_("family"),
        "fallback": N_("line for when nobody answers"),
    }
)
_PROBLEMS: Final = {
    "phone": N_("This is not a telephone number that can be called."),
    "phone_taken": N_("This telephone number is somebody else's."),
}
_STOPPED: Final = N_("Ask her or him to send START to the number our SMS come from; it ends here by itself then.")
_DEAD: Final = N_("Find out the right number and write it down below.")
_NO_EMAIL: Final = N_("Ask her or him for another address, on the page 'How I am reached'.")


@dataclass(frozen=True, slots=True)
class Trouble:
    """An address that takes nothing, why, since when, and what to do."""

    address: str
    channel: str
    title: str
    why: str
    since: datetime
    what_to_do: str


@dataclass(frozen=True, slots=True)
class Line:
    """Somebody of the centre. ``mark``: high (nothing arrives), medium (a doubt), within."""

    person_id: UUID
    name: str
    face: str
    phone: str
    mark: str
    state: str
    also: str
    troubles: tuple[Trouble, ...]


@router.get(PAGE)
async def show(request: Request, visitor: Administrator) -> Response:
    """Everybody who is called, those first whom nothing reaches."""
    return await _list(request, visitor)


async def _list(request: Request, visitor: Visitor, problem: str = "") -> Response:
    async with looking(request, visitor) as (c, words):
        found = await contacts.administered(c)
    lines = [_line(one, words) for one in found]
    return render(
        request,
        "admin_reach.html",
        400 if problem else 200,
        words=words,
        unreachable=[line for line in lines if line.mark == "high"],
        unconfirmed=[line for line in lines if line.mark == "medium"],
        well=[line for line in lines if line.mark == "within"],
        problem=words.gettext(_PROBLEMS[problem]) if problem else "",
        told=told(request.query_params.get("told", ""), words),
    )


@router.post(PAGE + "/again")
async def try_again(
    request: Request,
    visitor: Administrator,
    address: Annotated[str, Form(max_length=254)],
    channel: Annotated[str, Form(max_length=10)],
) -> Response:
    """It is said to take messages again: the next is sent there, and shows whether it does."""
    async with changing(request, visitor) as (c, by):
        centre = await administration.centre_of(c, by)
        if not await contacts.administer_again(c, centre.id, address, channel):
            raise Refused(404)
        await audit.record(c, "reachable_again", by, channel=channel)
    return back_to(PAGE, "try_again")


@router.post(PAGE + "/{person_id}/phone")
async def change_phone(
    request: Request, visitor: Administrator, person_id: UUID, number: Annotated[str, Form(max_length=40)]
) -> Response:
    """Write down another telephone of somebody."""
    async with looking(request, visitor) as (c, _):
        own = await portal.centre_of(c, visitor.person_id)
    phone = e164(number, region_of(own.phone if own else None))
    if phone is None:
        return await _list(request, visitor, "phone")
    try:
        async with changing(request, visitor) as (c, by):
            centre = await administration.centre_of(c, by)
            if not await contacts.administer_phone(c, centre.id, person_id, phone):
                raise Refused(404)
            await audit.record(c, "phone_written_down", by, of=str(person_id))
    except Taken:
        return await _list(request, visitor, "phone_taken")
    return back_to(PAGE, "phone_written")


def _line(one: AdministeredContact, words: Words) -> Line:
    troubles = tuple(_trouble(written, words) for written in one.troubles)
    is_called = one.face in (*_STAFF, "fallback")
    mark, state = _state(one, troubles, is_called=is_called)
    also = [title for has, title in ((one.has_push, TITLES["push"]), (one.has_email, TITLES["email"])) if has]
    return Line(
        one.person_id,
        one.name(words.language),
        words.gettext(_FACES[one.face]),
        one.phone or "",
        mark,
        words.gettext(state),
        " · ".join(words.gettext(title) for title in also),
        troubles,
    )


def _state(one: AdministeredContact, troubles: Sequence[Trouble], *, is_called: bool) -> tuple[str, str]:
    if troubles:
        return "high", N_("does not get everything")
    if one.phone is None:
        return ("high" if is_called else "within"), N_("has no telephone here")
    if one.phone_verified_at is None and one.face in _STAFF:
        return "medium", N_("has not confirmed the number")
    return "within", N_("can be reached")


def _trouble(written: Mapping[str, str], words: Words) -> Trouble:
    stopped = written["why"] == "opted_out"
    channel = cast("ChannelName", written["channel"])
    what_to_do = _NO_EMAIL if channel == "email" else _STOPPED if stopped else _DEAD
    return Trouble(
        written["address"],
        channel,
        words.gettext(TITLES[channel]),
        why_not("opted_out" if stopped else written["error"], words),
        datetime.fromisoformat(written["since"]),
        words.gettext(what_to_do),
    )
