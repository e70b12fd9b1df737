"""The administrator's pages: gateways and their devices, types of device, residents and who cares for them.

She sees names and equipment of her own centre and nothing about anybody's health: the record's views show no more.
"""

from __future__ import annotations

from fastapi import APIRouter

from clinicians.administrator import device_types, devices, gateways, reach, residents

router = APIRouter()
for part in (gateways, devices, device_types, residents, reach):
    router.include_router(part.router)
