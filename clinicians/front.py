"""The front door: each face goes to its own page."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from clinicians.pages import HOMES, PageRoute, render
from clinicians.visitor import AnyVisitor

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/")
async def home(request: Request, visitor: AnyVisitor) -> Response:
    """Where this visitor begins. An administrator works on the command line."""
    if visitor.face in HOMES:
        return RedirectResponse(HOMES[visitor.face], 303)
    return render(request, "administrator.html")
