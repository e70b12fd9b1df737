"""The front door: each face goes to its own page."""

from __future__ import annotations

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from clinicians.pages import HOMES, PageRoute
from clinicians.visitor import AnyVisitor

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/")
async def home(visitor: AnyVisitor) -> Response:
    """Where this visitor begins."""
    return RedirectResponse(HOMES[visitor.face], 303)
