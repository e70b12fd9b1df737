"""Addresses to which forms are sent, asked for by themselves: whoever changes the language of a refused form comes here.

Each leads back to the page on which its form stands. What keeps a page true must not follow: it would send the form anew.
"""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from clinicians.pages import PageRoute, back_to
from clinicians.visitor import Administrator, AnyVisitor, Refused

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PLACES: Final = (
    "/admin/rota/rosters",
    "/admin/rota/team",
    "/admin/rota/areas",
    "/admin/rota/holidays",
    "/admin/policies",
    "/care/duty",
)


@router.get("/admin/rota/rosters/{roster_id}/{form:path}")
async def back_to_roster(request: Request, visitor: Administrator, roster_id: int) -> Response:
    """To the roster's page."""
    return _back(request, f"/admin/rota/rosters/{roster_id}")


@router.get("/admin/residents/{resident_id}/family/end")
async def back_to_family(request: Request, visitor: Administrator, resident_id: int) -> Response:
    """To the page of the family."""
    return _back(request, f"/admin/residents/{resident_id}/family")


@router.get("/admin/rota/rosters")
@router.get("/admin/rota/team/{form:path}")
@router.get("/admin/rota/areas/{form:path}")
@router.get("/admin/rota/holidays/{form:path}")
@router.get("/admin/policies/use")
@router.get("/admin/policies/line")
@router.get("/admin/policies/{policy_id}/remove")
async def back_to_page(request: Request, visitor: Administrator) -> Response:
    """To the administrator's page of the form."""
    return _back_to_its_page(request)


@router.get("/care/duty/away")
@router.get("/care/duty/swaps/{form:path}")
@router.get("/care/duty/absences/{form:path}")
async def back_to_duty(request: Request, visitor: AnyVisitor) -> Response:
    """To the page of whoever is on duty, which says itself for whom it is."""
    return _back_to_its_page(request)


def _back_to_its_page(request: Request) -> Response:
    place = next(place for place in _PLACES if request.url.path.startswith(place))
    return _back(request, place.removesuffix("/rosters"))


def _back(request: Request, place: str) -> Response:
    if "x-live" in request.headers:
        raise Refused(404)
    return back_to(place)
