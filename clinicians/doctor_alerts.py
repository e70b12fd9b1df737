"""What a doctor does to an alert from a resident's page: she is on call too, and may be the one who comes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response

from alerts import actions
from clinicians.acting import act, written
from clinicians.cases import Outcome
from clinicians.pages import PageRoute
from clinicians.visitor import Doctor, Refused, Visitor
from store import alerts
from store.postgres import Connection, Database

router = APIRouter(route_class=PageRoute, include_in_schema=False)


async def _act(
    request: Request, visitor: Visitor, alert_id: int, told: str, do: Callable[[Connection], Awaitable[object]]
) -> Response:
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        row = await alerts.alert(c, alert_id)
    if row is None:
        raise Refused(404)
    return await act(request, told, do, f"/doctor/residents/{row.resident_id}")


@router.post("/doctor/alerts/{alert_id}/acknowledge")
async def acknowledge(request: Request, visitor: Doctor, alert_id: int) -> Response:
    """Take it, and with it all of this resident's."""

    async def take(c: Connection) -> None:
        await actions.acknowledge(c, alert_id, visitor.person_id, visitor.now, "page")

    return await _act(request, visitor, alert_id, "acknowledged", take)


@router.post("/doctor/alerts/{alert_id}/attend")
async def attend(request: Request, visitor: Doctor, alert_id: int) -> Response:
    """She is with the resident, or speaks to her."""

    async def be_there(c: Connection) -> None:
        await actions.attend(c, alert_id, visitor.person_id, visitor.now, "page")

    return await _act(request, visitor, alert_id, "attended", be_there)


@router.post("/doctor/alerts/{alert_id}/decline")
async def decline(request: Request, visitor: Doctor, alert_id: int) -> Response:
    """Cannot come: the next is called at once."""

    async def pass_on(c: Connection) -> None:
        await actions.decline(c, alert_id, visitor.person_id, visitor.now, "page")

    return await _act(request, visitor, alert_id, "declined", pass_on)


@router.post("/doctor/alerts/{alert_id}/resolve")
async def resolve(
    request: Request,
    visitor: Doctor,
    alert_id: int,
    outcome: Annotated[Outcome | None, Form()] = None,
    remark: Annotated[str, Form(max_length=400)] = "",
) -> Response:
    """Close it, saying what came of it. Whether a fall was one a care worker says, who was there."""
    text = written(outcome, remark) if outcome else ""

    async def close(c: Connection) -> None:
        await actions.resolve(c, alert_id, visitor.person_id, visitor.now, text)

    return await _act(request, visitor, alert_id, "closed", close)
