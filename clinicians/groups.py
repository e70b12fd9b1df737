"""What a centre sets for all its residents with a condition; its doctors do."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from alerts import judging
from alerts.deployment import in_force
from alerts.protocol import Protocol
from alerts.rule import Group
from clinicians import values
from clinicians.pages import PageRoute, render
from clinicians.values import Entered, Wrong
from clinicians.visitor import Doctor, Refused, Visitor
from clinicians.words import N_, Words
from store import audit, parameters, portal
from store.people import Centre
from store.postgres import Connection, Database

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_TOLD: Final = {
    "set": N_("Set. From now on all residents with this condition are judged by it."),
    "usual": N_("Back to the usual value from now on."),
}
"""What came of the form just sent, by its code in the address."""
_SHOWN: Final = 40


async def _place(c: Connection, visitor: Visitor) -> tuple[Centre, Protocol, Words]:
    """The doctor's centre, the protocol in force, and her words on her centre's clock."""
    centre = await portal.centre_of(c, visitor.person_id)
    if centre is None:
        raise Refused(404)
    words = Words.of(visitor.language, centre.time_zone)
    return centre, await in_force(c, words.now), words


def _known(protocol: Protocol, group: str) -> Group:
    """A group by its code; :class:`Refused` with 404 for one that the protocol does not know."""
    found = next((g for g in protocol.groups if g.code == group), None)
    if found is None:
        raise Refused(404)
    return found


@router.get("/doctor/groups")
async def show_groups(request: Request, visitor: Doctor) -> Response:
    """Every group of the protocol, and how much the centre has set for it."""
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        centre, protocol, words = await _place(c, visitor)
        set_here = (await parameters.group_values(c, words.now)).get(centre.id, {})
    counts = [sum(group.code == code for code, _ in set_here) for group in protocol.groups]
    groups = [(g.code, g.titles[words.language], n) for g, n in zip(protocol.groups, counts, strict=True)]
    return render(request, "groups.html", words=words, groups=groups)


@router.get("/doctor/groups/{group}")
async def show_group(request: Request, visitor: Doctor, group: str, told: str = "") -> Response:
    """One group: every value that rules for it go by, with the forms that set it."""
    return await _page(request, visitor, group, told=told)


async def _page(
    request: Request,
    visitor: Visitor,
    group: str,
    *,
    told: str = "",
    entered: Entered | None = None,
    wrong: Wrong | None = None,
) -> Response:
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        centre, protocol, words = await _place(c, visitor)
        known = _known(protocol, group)
        grounds = await judging.grounds_of_group(c, protocol, centre, known, words.now)
        settings = await parameters.history_of_groups(c, centre.id)
    of_group = [setting for setting in settings if setting.group == group]
    return render(
        request,
        "group.html",
        400 if wrong else 200,
        words=words,
        title=known.titles[words.language],
        place=f"/doctor/groups/{group}",
        may_set=True,
        told=words.gettext(_TOLD[told]) if told in _TOLD else "",
        entered=entered,
        wrong=wrong,
        values=values.values(protocol, grounds, [], settings, words),
        history=values.history(protocol, of_group[:_SHOWN], words),
    )


@router.post("/doctor/groups/{group}")
async def set_value(
    request: Request,
    visitor: Doctor,
    group: str,
    name: Annotated[str, Form(max_length=100)],
    value: Annotated[str, Form(max_length=100)] = "",
    until: Annotated[str, Form(max_length=100)] = "",
    why: Annotated[str, Form(max_length=4000)] = "",
) -> Response:
    """Judge all of the centre who have this condition by another value from now on."""
    entered = Entered(name, value, until, why)
    database: Database = request.app.state.database
    async with database.service() as c:
        centre, protocol, words = await _place(c, visitor)
        _known(protocol, group)
        parameter = next((p for p in protocol.parameters if p.name == name), None)
        if parameter is None:
            raise Refused(400)
        checked = values.check(entered, parameter, words)
        if not isinstance(checked, Wrong):
            number, ends, by = checked.value, checked.until, visitor.person_id
            await parameters.set_for_group(
                c, centre.id, group, name, number, words.now, by=by, until=ends, why=checked.why
            )
            until_text = ends.isoformat() if ends else None
            await audit.record(c, "group_value_set", by, group=group, name=name, value=number, until=until_text)
    if isinstance(checked, Wrong):
        return await _page(request, visitor, group, entered=entered, wrong=checked)
    return _back(group, "set")


@router.post("/doctor/groups/{group}/usual")
async def back_to_usual(
    request: Request, visitor: Doctor, group: str, name: Annotated[str, Form(max_length=100)]
) -> Response:
    """Judge them as the protocol says again."""
    database: Database = request.app.state.database
    async with database.service() as c:
        centre, protocol, words = await _place(c, visitor)
        _known(protocol, group)
        if (group, name) in (await parameters.group_values(c, words.now)).get(centre.id, {}):
            by = visitor.person_id
            await parameters.set_for_group(c, centre.id, group, name, None, words.now, by=by, why="")
            await audit.record(c, "group_value_ended", by, group=group, name=name)
    return _back(group, "usual")


def _back(group: str, told: str) -> Response:
    return RedirectResponse(f"/doctor/groups/{group}?told={told}#main", 303)
