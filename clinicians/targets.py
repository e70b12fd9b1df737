"""By what one resident is judged: her conditions, each value with whence it is, and what happens when.

Her doctors set it, whoever else cares for her sees it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from alerts import judging
from alerts.deployment import in_force
from alerts.judging import Grounds
from alerts.protocol import Protocol
from clinicians import values
from clinicians.pages import PageRoute, render
from clinicians.values import Entered, Wrong
from clinicians.visitor import CareWorker, Doctor, Refused, Visitor
from clinicians.words import N_, Words
from store import audit, parameters, residents
from store.parameters import Noted, Setting
from store.postgres import Connection, Database
from store.residents import Resident

router = APIRouter(route_class=PageRoute, include_in_schema=False)

SHOWN: Final = 40
"""Lines of each history."""
_TOLD: Final = {
    "set": N_("Set. From now on she or he is judged by it."),
    "usual": N_("Back to the usual value from now on."),
    "conditions": N_("The conditions are kept. From now on the rules go by them."),
}
"""What came of the form just sent, by its code in the address."""
_MOST_CONDITIONS: Final = 100


@dataclass(frozen=True, slots=True)
class _Known:
    """What the record says of one resident at the moment of the words."""

    resident: Resident
    protocol: Protocol
    grounds: Grounds
    words: Words


async def _known(c: Connection, visitor: Visitor, resident_id: int) -> _Known:
    """Raises :class:`Refused` with 404 for a resident whom the connection may not see."""
    resident = await residents.resident(c, resident_id)
    if resident is None:
        raise Refused(404)
    words = Words.of(visitor.language, resident.time_zone)
    protocol = await in_force(c, words.now)
    grounds = await judging.grounds(c, protocol, resident_id, words.now)
    assert grounds is not None, "whoever is seen is judged by something"
    return _Known(resident, protocol, grounds, words)


@router.get("/doctor/residents/{resident_id}/targets")
async def show_to_doctor(request: Request, visitor: Doctor, resident_id: int, told: str = "") -> Response:
    """The page on which a doctor of hers sets it."""
    return await _page(request, visitor, resident_id, told=told)


@router.get("/care/residents/{resident_id}/targets")
async def show_to_care_worker(request: Request, visitor: CareWorker, resident_id: int) -> Response:
    """The same to read."""
    return await _page(request, visitor, resident_id)


async def _page(
    request: Request,
    visitor: Visitor,
    resident_id: int,
    *,
    told: str = "",
    entered: Entered | None = None,
    wrong: Wrong | None = None,
) -> Response:
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        known = await _known(c, visitor, resident_id)
        may_set = await parameters.may_set(c, visitor.person_id, resident_id)
        if visitor.face == "doctor" and not may_set:
            raise Refused(404)
        own = await parameters.history(c, resident_id)
        of_centre = await parameters.history_of_groups(c, known.resident.centre_id)
        noted = await parameters.history_of_conditions(c, resident_id)
    if "x-live" not in request.headers:
        async with database.service() as c:
            await audit.record(c, "opened_targets", visitor.person_id, resident_id)
    return render(
        request,
        "targets.html",
        400 if wrong else 200,
        words=known.words,
        resident=known.resident,
        place=f"/doctor/residents/{resident_id}/targets",
        may_set=may_set and visitor.face == "doctor",
        told=known.words.gettext(_TOLD[told]) if told in _TOLD else "",
        entered=entered,
        wrong=wrong,
        **_lists(known, own, of_centre, noted),
    )


def _lists(known: _Known, own: list[Setting], of_centre: list[Setting], noted: list[Noted]) -> dict[str, object]:
    protocol, words = known.protocol, known.words
    return {
        "conditions": values.conditions(protocol, known.resident.conditions, words),
        "following": values.following(protocol, known.grounds, words),
        "noted": values.history_of_conditions(protocol, noted[:SHOWN], words),
        "values": values.values(protocol, known.grounds, own, of_centre, words),
        "happens": values.happens(protocol, known.grounds, words),
        "history": values.history(protocol, own[:SHOWN], words),
    }


@router.post("/doctor/residents/{resident_id}/targets")
async def set_value(
    request: Request,
    visitor: Doctor,
    resident_id: int,
    name: Annotated[str, Form(max_length=100)],
    value: Annotated[str, Form(max_length=100)] = "",
    until: Annotated[str, Form(max_length=100)] = "",
    why: Annotated[str, Form(max_length=4000)] = "",
) -> Response:
    """Judge her by another value from now on."""
    entered = Entered(name, value, until, why)
    database: Database = request.app.state.database
    async with database.service() as c:
        known = await _settable(c, visitor, resident_id)
        parameter = next((p for p in known.protocol.parameters if p.name == name), None)
        if parameter is None:
            raise Refused(400)
        checked = values.check(entered, parameter, known.words)
        if not isinstance(checked, Wrong):
            by, now = visitor.person_id, known.words.now
            await parameters.set_own(
                c, resident_id, name, checked.value, now, by=by, until=checked.until, why=checked.why
            )
            ends = checked.until.isoformat() if checked.until else None
            await audit.record(c, "value_set", by, resident_id, name=name, value=checked.value, until=ends)
    if isinstance(checked, Wrong):
        return await _page(request, visitor, resident_id, entered=entered, wrong=checked)
    return _back(resident_id, "set")


@router.post("/doctor/residents/{resident_id}/targets/usual")
async def back_to_usual(
    request: Request, visitor: Doctor, resident_id: int, name: Annotated[str, Form(max_length=100)]
) -> Response:
    """Judge her by the usual value again."""
    database: Database = request.app.state.database
    async with database.service() as c:
        known = await _settable(c, visitor, resident_id)
        if name in known.grounds.own:
            by, now = visitor.person_id, known.words.now
            await parameters.set_own(c, resident_id, name, None, now, by=by, why="")
            await audit.record(c, "value_ended", by, resident_id, name=name)
    return _back(resident_id, "usual")


@router.post("/doctor/residents/{resident_id}/targets/conditions")
async def change_conditions(request: Request, visitor: Doctor, resident_id: int) -> Response:
    """Note what was ticked and take back what was ticked no more: ``had`` is what the page had shown as ticked."""
    form = await request.form()
    had, holds = ({str(code) for code in form.getlist(field)[:_MOST_CONDITIONS]} for field in ("had", "holds"))
    database: Database = request.app.state.database
    async with database.service() as c:
        known = await _settable(c, visitor, resident_id)
        offered = {one.code for one in values.conditions(known.protocol, known.resident.conditions, known.words)}
        added, removed = sorted((holds - had) & offered), sorted((had - holds) & offered)
        if added or removed:
            await parameters.change_conditions(c, resident_id, added, removed, by=visitor.person_id)
            await audit.record(c, "conditions_changed", visitor.person_id, resident_id, added=added, removed=removed)
    return _back(resident_id, "conditions")


async def _settable(c: Connection, visitor: Visitor, resident_id: int) -> _Known:
    if not await parameters.may_set(c, visitor.person_id, resident_id):
        raise Refused(404)
    return await _known(c, visitor, resident_id)


def _back(resident_id: int, told: str) -> Response:
    """To the top of the page, where it says what came of it, and not to the form that was sent."""
    return RedirectResponse(f"/doctor/residents/{resident_id}/targets?told={told}#main", 303)
