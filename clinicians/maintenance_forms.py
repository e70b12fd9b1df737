"""Maintenance is begun and ended: by whoever cares for a resident, and by the administrator of the centre."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from clinicians.administrator.desk import changing, plain
from clinicians.pages import PageRoute
from clinicians.visitor import Administrator, CareWorker, Doctor, Refused, Visitor
from store import alerts, maintenance
from store.postgres import Connection, Database

router = APIRouter(route_class=PageRoute, include_in_schema=False)

Hours = Annotated[Literal["1", "4", "8", "24"] | None, Form()]
Why = Annotated[str, Form(max_length=200)]


@router.post("/doctor/residents/{resident_id}/maintenance")
async def set_by_doctor(
    request: Request, visitor: Doctor, resident_id: int, hours: Hours = None, why: Why = ""
) -> Response:
    """Begin it, or end it when no hours are given."""
    return await _set_by_staff(request, visitor, resident_id, hours, why, "/doctor")


@router.post("/care/residents/{resident_id}/maintenance")
async def set_by_care_worker(
    request: Request, visitor: CareWorker, resident_id: int, hours: Hours = None, why: Why = ""
) -> Response:
    """The same."""
    return await _set_by_staff(request, visitor, resident_id, hours, why, "/care")


async def _set_by_staff(
    request: Request, visitor: Visitor, resident_id: int, hours: str | None, why: str, face: str
) -> Response:
    database: Database = request.app.state.database
    async with database.service() as c:
        if not await alerts.may_act(c, visitor.person_id, resident_id, None, visitor.now):
            raise Refused(404)
        await _set_of_resident(c, visitor, resident_id, hours, why)
    return _back(f"{face}/residents/{resident_id}")


@router.post("/admin/residents/{resident_id}/maintenance")
async def set_by_administrator(
    request: Request, visitor: Administrator, resident_id: int, hours: Hours = None, why: Why = ""
) -> Response:
    """The same, of any resident of her centre."""
    async with changing(request, visitor) as (c, by):
        await maintenance.require_administered(c, by, resident_id)
        await _set_of_resident(c, visitor, resident_id, hours, why)
    return _back(f"/admin/residents/{resident_id}")


@router.post("/admin/gateways/{gateway_id}/maintenance")
async def set_of_gateway(
    request: Request, visitor: Administrator, gateway_id: int, hours: Hours = None, why: Why = ""
) -> Response:
    """Of a gateway and everything behind it."""
    now = visitor.now
    async with changing(request, visitor) as (c, by):
        if hours is None:
            await maintenance.end_of_gateway(c, by, gateway_id, now)
        else:
            await maintenance.begin_of_gateway(c, by, gateway_id, now + timedelta(hours=int(hours)), _why(why), now)
    return _back(f"/admin/gateways/{gateway_id}")


async def _set_of_resident(c: Connection, visitor: Visitor, resident_id: int, hours: str | None, why: str) -> None:
    now, by = visitor.now, visitor.person_id
    if hours is None:
        await maintenance.end_of_resident(c, by, resident_id, now)
    else:
        await maintenance.begin_of_resident(c, by, resident_id, now + timedelta(hours=int(hours)), _why(why), now)


def _why(text: str) -> str:
    """What was typed, or a refusal: whoever meets a silent device tomorrow must know why nobody was told."""
    said = plain(text)
    if not said:
        raise Refused(400)
    return said


def _back(path: str) -> Response:
    return RedirectResponse(f"{path}#maintenance", 303)
