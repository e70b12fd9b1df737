"""The administrator's pages of the duty rota: gaps, rosters, who is on duty for whom and why, people, areas, holidays."""

from __future__ import annotations

from fastapi import APIRouter

from clinicians.rota import back, holidays, overview, people, places, rosters, who

router = APIRouter()
for part in (overview, rosters, who, people, places, holidays, back):
    router.include_router(part.router)
