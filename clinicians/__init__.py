"""The faces: portals for doctors, care workers, families, residents and administrators.

``router`` holds every page. Sign-in is not here: whoever includes it puts a :class:`clinicians.visitor.Visitor`
on ``request.state.visitor`` first, and opens ``app.state.database`` and ``app.state.public_url``.
"""

from __future__ import annotations

from fastapi import APIRouter, Depends

from clinicians import (
    administrator,
    backtest,
    care_worker,
    contact,
    doctor,
    doctor_alerts,
    duty,
    family,
    front,
    groups,
    late,
    loud,
    maintenance_forms,
    policies,
    quality,
    resident,
    rota,
    station,
    targets,
)

router = APIRouter(dependencies=[Depends(loud.look)])
for face in (
    front,
    doctor,
    doctor_alerts,
    late,
    maintenance_forms,
    quality,
    targets,
    groups,
    backtest,
    care_worker,
    contact,
    duty,
    family,
    resident,
    station,
    administrator,
    rota,
    policies,
):
    router.include_router(face.router)
