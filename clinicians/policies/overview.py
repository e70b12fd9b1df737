"""Who is called: which policy holds for whom, the policies themselves, and the centre's last line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from alerts import policy
from alerts.policy import PRIORITIES, SHIPPED, Known, Policy
from clinicians.administrator.residents import e164, region_of
from clinicians.pages import PageRoute, back_to, render
from clinicians.policies import words as speech
from clinicians.policies.form import persons
from clinicians.rota import forms
from clinicians.rota.desk import Office, office
from clinicians.rota.homes import choices
from clinicians.visitor import Administrator, Refused, Visitor
from clinicians.words import N_, Words
from store import audit, people, policies, team
from store import rota as record
from store.administration import NotAllowed, Taken
from store.policies import PolicyRow, Use
from store.rota import Area, RotaError
from store.team import Home

router = APIRouter(route_class=PageRoute, include_in_schema=False)

HERE: Final = "/admin/policies"
_TOLD: Final = {
    "saved": N_("The policy is kept and holds from now on where it is used."),
    "removed": N_("The policy is gone. Where it held, whatever holds around it does."),
    "used": N_("That policy holds from now on."),
    "unused": N_("There whatever holds around it does from now on."),
    "line": N_("The last line is kept."),
}
_PROBLEMS: Final = {
    "phone": N_("This is not a telephone number that can be called."),
    "phone_taken": N_("This telephone number is somebody else's: the last line needs one of its own."),
    "whom": N_("Please choose for whom it holds."),
    "policy": N_("Please choose a policy."),
    "in_use": N_("It still holds for somebody: choose another there first."),
}


@dataclass(frozen=True, slots=True)
class Holds:
    """For whom something other than the centre's holds, and which policy. ``code`` names whom, as a form does."""

    code: str
    whom: str
    name: str


@dataclass(frozen=True, slots=True)
class Rank:
    """One priority: what holds for the centre, in words, and the exceptions. ``number``: of the policy, 0 the shipped one."""

    code: str
    title: str
    number: int
    name: str
    steps: tuple[str, ...]
    ending: str
    faults: tuple[str, ...]
    others: tuple[Holds, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """A policy of the centre in a list; ``used``: for what it holds."""

    id: int
    name: str
    steps: tuple[str, ...]
    used: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Everything that the pages of the policies look up."""

    policies: tuple[PolicyRow, ...]
    uses: tuple[Use, ...]
    areas: tuple[Area, ...]
    homes: tuple[Home, ...]
    duties: tuple[tuple[str, int], ...]
    names: Mapping[UUID, str]
    known: Known
    line: people.Person | None


async def look_up(desk: Office) -> Shelf:
    """The centre's policies and what they may name."""
    c, centre, language = desk.c, desk.centre.id, desk.words.language
    rosters = await record.rosters(c, centre)
    members = await team.members(c, centre)
    found = await policies.of_centre(c, centre)
    fallback = await policies.fallback(c, centre)
    line = None if fallback is None else await people.person(c, fallback)
    callable_ = {m.id for m in members if m.phone}
    duties = tuple(dict.fromkeys((r.role, r.line) for r in rosters))
    named = {person for row in found for person in persons(policy.parse(row.content))}
    names = {p.id: p.name(language) for p in (await people.people(c, list(named))).values()}
    return Shelf(
        policies=tuple(found),
        uses=tuple(await policies.uses(c, centre)),
        areas=tuple(await record.areas(c, centre)),
        homes=tuple(await team.homes(c, centre)),
        duties=duties,
        names=names | {m.id: m.name(language) for m in members if m.phone},
        known=Known(frozenset(duties), callable_, line is not None and line.phone is not None),
        line=line,
    )


@router.get(HERE)
async def show_policies(request: Request, visitor: Administrator) -> Response:
    """What holds, by priority; then the policies, and the last line."""
    return await _page(request, visitor)


async def _page(
    request: Request, visitor: Visitor, problem: str = "", entered: Mapping[str, str] | None = None, detail: Sequence[str] = ()
) -> Response:  # fmt: skip
    async with office(request, visitor) as desk:
        shelf = await look_up(desk)
    words = desk.words
    return render(
        request,
        "policies.html",
        400 if problem or detail else 200,
        words=words,
        line=shelf.line.phone if shelf.line else None,
        ranks=[rank(code, shelf, words) for code in PRIORITIES],
        written=[_written(row, shelf, words) for row in shelf.policies],
        areas=[(f"area {a.id}", a.name(words.language)) for a in shelf.areas],
        residents=[(f"resident {number}", text) for number, text in choices(shelf.homes, words)],
        entered=entered or {},
        wrong=problem,
        problem=words.gettext(_PROBLEMS[problem]) if problem else "",
        faults=detail,
        told=words.gettext(_TOLD[told]) if (told := request.query_params.get("told", "")) in _TOLD else "",
    )


def rank(priority: str, shelf: Shelf, words: Words) -> Rank:
    """What holds for one priority."""
    of_it = [use for use in shelf.uses if use.priority == priority]
    general = next((use for use in of_it if use.area_id is None and use.resident_id is None), None)
    row = _row(shelf, general.policy_id) if general else None
    held = policy.parse(row.content) if row else SHIPPED[priority]
    return Rank(
        code=priority,
        title=speech.priority(priority, words),
        number=row.id if row else 0,
        name=row.name(words.language) if row else words.gettext("as Hearthwatch comes"),
        steps=steps(held, shelf, words),
        ending=speech.ending(held, words),
        faults=tuple(
            speech.fault(found, words)
            for found in policy.faults(held, priority, shelf.known)
            if found.code != "no_fallback"
        ),
        others=tuple(_holds(use, shelf, words) for use in of_it if use is not general),
    )


def steps(held: Policy, shelf: Shelf, words: Words) -> tuple[str, ...]:
    """Each step in words."""
    return tuple(speech.step(step, shelf.names, words) for step in held.steps)


def _row(shelf: Shelf, number: int) -> PolicyRow | None:
    return next((row for row in shelf.policies if row.id == number), None)


def _holds(use: Use, shelf: Shelf, words: Words) -> Holds:
    row = _row(shelf, use.policy_id)
    code = f"area {use.area_id}" if use.area_id is not None else f"resident {use.resident_id}"
    return Holds(code, whom(use, shelf, words), row.name(words.language) if row else "")


def whom(use: Use, shelf: Shelf, words: Words) -> str:
    """For whom a policy holds."""
    language = words.language
    if use.area_id is not None:
        return next((a.name(language) for a in shelf.areas if a.id == use.area_id), "")
    if use.resident_id is not None:
        found = next((h.name(language) for h in shelf.homes if h.resident_id == use.resident_id), None)
        return found or words.gettext("somebody who has left")
    return words.gettext("the whole centre")


def _written(row: PolicyRow, shelf: Shelf, words: Words) -> Written:
    used = [use for use in shelf.uses if use.policy_id == row.id]
    places = tuple(f"{speech.priority(use.priority, words)} · {whom(use, shelf, words)}" for use in used)
    return Written(row.id, row.name(words.language), steps(policy.parse(row.content), shelf, words), places)


@router.post(f"{HERE}/use")
async def use_policy(request: Request, visitor: Administrator) -> Response:
    """Let a policy hold for a priority, for the centre, an area or a resident. Refused when it could end with nobody."""
    form = await request.form()
    priority, number, place = (forms.text(form, name) for name in ("priority", "policy", "whom"))
    if priority not in PRIORITIES or not number.isdecimal():
        return await _page(request, visitor, "policy", forms.entered(form))
    async with office(request, visitor) as desk:
        shelf = await look_up(desk)
        row = _row(shelf, int(number))
        if int(number) and row is None:
            raise Refused(404)
        found = policy.faults(policy.parse(row.content), priority, shelf.known) if row else ()
        if not found:
            area, resident = _place(place, shelf)
            chosen = row.id if row else None
            await policies.use(desk.c, desk.centre.id, priority, chosen, area_id=area, resident_id=resident)
            await audit.record(desk.c, "policy_used", desk.by, resident, priority=priority, area=area, policy=chosen)
    if found:
        detail = [speech.fault(one, desk.words) for one in found]
        return await _page(request, visitor, "", forms.entered(form), detail)
    return back_to(HERE, "used" if row else "unused")


def _place(code: str, shelf: Shelf) -> tuple[int | None, int | None]:
    """The area or the resident whom a form names; neither for the centre."""
    kind, _, typed = code.partition(" ")
    number = int(typed) if typed.isdecimal() else 0
    if kind == "area" and any(a.id == number for a in shelf.areas):
        return number, None
    if kind == "resident" and any(h.resident_id == number for h in shelf.homes):
        return None, number
    if kind not in ("", "centre"):
        raise NotAllowed(f"there is no {code} in this centre")
    return None, None


@router.post(f"{HERE}/line")
async def set_line(request: Request, visitor: Administrator) -> Response:
    """Who is called when nobody else answers."""
    form = await request.form()
    try:
        async with office(request, visitor) as desk:
            phone = e164(forms.text(form, "phone"), region_of(desk.centre.phone))
            if phone is None:
                raise RotaError("phone", "no telephone number")
            await policies.set_fallback(desk.c, desk.centre.id, phone)
            await audit.record(desk.c, "fallback_set", desk.by)
    except Taken:
        return await _page(request, visitor, "phone_taken", forms.entered(form))
    except RotaError:
        return await _page(request, visitor, "phone", forms.entered(form))
    return back_to(HERE, "line")


@router.post(f"{HERE}/{{policy_id}}/remove")
async def remove_policy(request: Request, visitor: Administrator, policy_id: int) -> Response:
    """Do away with a policy that holds for nobody."""
    async with office(request, visitor) as desk:
        in_use = any(use.policy_id == policy_id for use in await policies.uses(desk.c, desk.centre.id))
        if not in_use:
            await policies.remove(desk.c, desk.centre.id, policy_id, desk.now)
            await audit.record(desk.c, "policy_removed", desk.by, policy=policy_id)
    return await _page(request, visitor, "in_use") if in_use else back_to(HERE, "removed")
