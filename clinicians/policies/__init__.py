"""The administrator's pages of the escalation policies: who is called, in which order, and what comes last."""

from __future__ import annotations

from fastapi import APIRouter

from clinicians.policies import editor, family, overview

router = APIRouter()
for part in (overview, editor, family):
    router.include_router(part.router)
