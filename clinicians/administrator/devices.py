"""A device: giving one that was found to a resident, and changing or removing one that is registered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response

from clinicians import equipment as shown
from clinicians.administrator.desk import changing, looking, plain, told
from clinicians.administrator.gateways import Name, owner
from clinicians.pages import PageRoute, back_to, render
from clinicians.visitor import Administrator, Refused, Visitor
from clinicians.words import N_, Words
from store import administration, equipment
from store.administration import Taken
from store.equipment import Registration

router = APIRouter(route_class=PageRoute, include_in_schema=False)

SHARED_KINDS: Final = ("blood_pressure", "scale")
"""The Bluetooth services whose measurements name a user: Blood Pressure, Weight Scale and Body Composition."""
SLOTS: Final = (1, 2)
"""The user buttons of such instruments."""
_ADDRESS: Final = re.compile("([0-9A-F]{2}:){5}[0-9A-F]{2}")
_KEY: Final = re.compile("[0-9a-f]{32}")
_PROBLEMS: Final = {
    "kind": N_("Please say what kind of device it is."),
    "resident": N_("Please say whose it is."),
    "key": N_("This kind needs its key: 32 characters, 0 to 9 and a to f, as its app shows it."),
    "type": N_("This type is of another kind. Choose the kind that goes with it, or no type."),
    "taken": N_("This device is in use at another health centre. It must be removed there first."),
}

Choice = Annotated[str, Form(max_length=80)]


@router.get("/admin/gateways/{gateway_id}/found/{address}")
async def show_found(request: Request, visitor: Administrator, gateway_id: int, address: str) -> Response:
    """Give a device to a resident."""
    return await _found_page(request, visitor, gateway_id, address)


async def _found_page(
    request: Request,
    visitor: Visitor,
    gateway_id: int,
    address: str,
    problem: str | None = None,
    entered: Mapping[str, str] | None = None,
) -> Response:
    async with looking(request, visitor) as (c, words):
        known = await equipment.gateway(c, gateway_id)
        if known is None or not _ADDRESS.fullmatch(address):
            raise Refused(404)
        types = await equipment.device_types(c)
        everybody = await administration.residents_of_centre(c)
        registered = next((d for d in await equipment.devices(c) if d.address == address), None)
    found = next((f for f in known.found if f.address == address), None)
    names = {r.id: r.name(words.language) for r in everybody}
    return render(
        request,
        "admin_found.html",
        400 if problem else 200,
        words=words,
        known=known,
        address=address,
        found=found,
        signal=shown.signal(found.rssi_dbm, words) if found else "",
        owner=owner(registered.resident_id, names, words) if registered else "",
        types=_types(types),
        residents=_residents(everybody, words),
        kinds=[(k.kind, shown.kind_name(k.kind, k.title_zh, k.title_en, words)) for k in known.kinds],
        keyed=[shown.kind_name(k.kind, k.title_zh, k.title_en, words) for k in known.kinds if k.needs_key],
        entered=entered or _guesses(found, types),
        problem=words.gettext(_PROBLEMS[problem]) if problem else "",
        wrong=problem,
    )


def _types(types: Iterable[equipment.DeviceType]) -> list[tuple[int, str]]:
    return [(t.id, t.label) for t in types]


def _residents(everybody: Iterable[administration.Resident], words: Words) -> list[tuple[int, str]]:
    """Everybody by name and address: two may bear one name."""
    language = words.language
    comma = words.gettext(", ")
    return [(r.id, f"{r.name(language)}{comma}{r.address(language)}") for r in everybody]


def _guesses(found: equipment.Found | None, types: list[equipment.DeviceType]) -> dict[str, str]:
    """What the form proposes: the type whose name fits, and its kind; else the gateway's likeliest kind."""
    guess = shown.guess(found, types) if found else None
    if guess:
        return {"kind": guess.kind, "device_type": str(guess.id)}
    return {"kind": found.kinds[0] if found and found.kinds else ""}


@router.post("/admin/gateways/{gateway_id}/found/{address}")
async def register(
    request: Request,
    visitor: Administrator,
    gateway_id: int,
    address: str,
    name: Name = "",
    kind: Choice = "",
    resident: Choice = "",
    key: Choice = "",
    device_type: Choice = "",
) -> Response:
    """Register it."""
    entered = {"name": name, "kind": kind, "resident": resident, "key": key, "device_type": device_type}
    async with looking(request, visitor) as (c, _):
        known = await equipment.gateway(c, gateway_id)
        types = await equipment.device_types(c)
    if known is None or not _ADDRESS.fullmatch(address):
        raise Refused(404)
    problem, chosen = _check(entered, known, types), known.kind(kind)
    if problem or chosen is None:
        return await _found_page(request, visitor, gateway_id, address, problem or "kind", entered)
    new = Registration(
        address=address,
        gateway_id=gateway_id,
        resident_id=int(resident),
        kind=chosen,
        name=plain(name) or None,
        bindkey=_key(key) if chosen.needs_key else None,
        device_type_id=int(device_type) if device_type else None,
    )
    try:
        async with changing(request, visitor) as (c, by):
            await equipment.register(c, by, new, datetime.now(UTC))
    except Taken:
        return await _found_page(request, visitor, gateway_id, address, "taken", entered)
    return back_to(f"/admin/gateways/{gateway_id}", "registered")


def _check(entered: Mapping[str, str], known: equipment.Gateway, types: list[equipment.DeviceType]) -> str | None:
    """What is wrong with the form, by its code; ``None`` when nothing is."""
    kind = known.kind(entered["kind"])
    if kind is None:
        return "kind"
    if not entered["resident"].isdecimal():
        return "resident"
    if kind.needs_key and not _KEY.fullmatch(_key(entered["key"])):
        return "key"
    fitting = {str(t.id) for t in types if t.kind == kind.kind}
    return "type" if entered["device_type"] and entered["device_type"] not in fitting else None


def _key(typed: str) -> str:
    """A key as it is kept: apps show it in groups, and some in capital letters."""
    return re.sub("[^0-9a-z]", "", typed.lower())


@router.get("/admin/devices/{device_id}")
async def show_device(request: Request, visitor: Administrator, device_id: int) -> Response:
    """One device: everything its gateway says of it, and what can be changed."""
    async with looking(request, visitor) as (c, words):
        device = await equipment.device(c, device_id)
        if device is None:
            raise Refused(404)
        at = await equipment.gateway(c, device.gateway_id) if device.gateway_id else None
        types = [t for t in await equipment.device_types(c) if t.kind == device.kind]
        everybody = await administration.residents_of_centre(c)
        users = await equipment.users(c, device_id)
    names = {r.id: r.name(words.language) for r in everybody}
    return render(
        request,
        "admin_device.html",
        words=words,
        device=device,
        name=shown.device_name(device, words),
        kind=shown.kind_name(device.kind, device.kind_zh, device.kind_en, words),
        owner=owner(device.resident_id, names, words),
        gateway=at,
        facts=shown.device_facts(device, words),
        wrongs=shown.wrongs(device, words),
        types=_types(types),
        residents=_residents(everybody, words),
        slots=SLOTS if device.kind in SHARED_KINDS else (),
        users=users,
        told=told(request.query_params.get("told", ""), words),
    )


@router.post("/admin/devices/{device_id}/describe")
async def describe(
    request: Request, visitor: Administrator, device_id: int, name: Name = "", device_type: Choice = ""
) -> Response:
    """Another name, another type."""
    async with changing(request, visitor) as (c, by):
        await equipment.describe(c, by, device_id, plain(name) or None, _number(device_type))
    return back_to(f"/admin/devices/{device_id}", "described")


@router.post("/admin/devices/{device_id}/move")
async def move(request: Request, visitor: Administrator, device_id: int, resident: Annotated[int, Form()]) -> Response:
    """Give it to another resident."""
    async with changing(request, visitor) as (c, by):
        await equipment.move(c, by, device_id, resident, datetime.now(UTC))
    return back_to(f"/admin/devices/{device_id}", "moved")


@router.post("/admin/devices/{device_id}/share")
async def share(
    request: Request, visitor: Administrator, device_id: int, user_1: Choice = "", user_2: Choice = ""
) -> Response:
    """Say whose each user button is, where the kind has such buttons."""
    async with looking(request, visitor) as (c, _):
        device = await equipment.device(c, device_id)
    if device is None or device.kind not in SHARED_KINDS:
        raise Refused(404)
    chosen = {slot: user for slot, text in zip(SLOTS, (user_1, user_2), strict=True) if (user := _number(text))}
    async with changing(request, visitor) as (c, by):
        await equipment.share(c, by, device_id, chosen)
    return back_to(f"/admin/devices/{device_id}", "shared" if chosen else "unshared")


@router.post("/admin/devices/{device_id}/remove")
async def remove(request: Request, visitor: Administrator, device_id: int) -> Response:
    """Collect from it no more."""
    async with looking(request, visitor) as (c, _):
        device = await equipment.device(c, device_id)
    async with changing(request, visitor) as (c, by):
        await equipment.remove(c, by, device_id, datetime.now(UTC))
    at = device.gateway_id if device else None
    return back_to(f"/admin/gateways/{at}" if at else "/admin", "removed")


def _number(chosen: str) -> int | None:
    """The number of what was chosen; nothing was when it is empty. Raises :class:`Refused` for what is no number."""
    if not chosen:
        return None
    if not chosen.isdecimal():
        raise Refused(400)
    return int(chosen)
