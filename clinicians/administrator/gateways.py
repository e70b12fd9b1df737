"""The gateways of a centre: how they are, letting one in, shutting one out, and looking for devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import segno
from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup

from alerts import deployment
from clinicians import equipment as shown
from clinicians import maintenance
from clinicians.administrator.desk import changing, looking, plain, told
from clinicians.pages import PageRoute, back_to, render
from clinicians.rota.book import look_for_gaps
from clinicians.visitor import Administrator, Refused, Visitor
from clinicians.words import N_, Words
from store import administration, contacts, equipment, pairing
from store.administration import Taken

router = APIRouter(route_class=PageRoute, include_in_schema=False)

LOOK_FOR: Final = timedelta(minutes=10)
_ORDER: Final = ("silent", "trouble", "waiting", "well", "revoked")
_NAME_TAKEN: Final = N_("There is a gateway of this name already.")
_NO_NAME: Final = N_("Please give it a name, such as the stairway in which it stands.")

Name = Annotated[str, Form(max_length=80)]


@dataclass(frozen=True, slots=True)
class DeviceLine:
    """A device in a list: whose it is, how it is heard, and what is wrong."""

    id: int
    name: str
    resident: str
    facts: tuple[str, ...]
    troubles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundLine:
    """A device that was found. ``kinds``: what it may be. ``owner``: whose it is already, or empty."""

    address: str
    name: str
    kinds: str
    signal: str
    heard: str
    owner: str


@router.get("/admin")
async def show_gateways(request: Request, visitor: Administrator) -> Response:
    """Every gateway of the centre, those that need somebody first; and by which rules is judged."""
    return await _list(request, visitor)


async def _list(request: Request, visitor: Visitor, problem: str = "", entered: str = "") -> Response:
    async with looking(request, visitor) as (c, words):
        known = [shown.gateway(g, words) for g in await equipment.gateways(c)]
        devices = await equipment.devices(c)
        rules = await deployment.standing(c, words.now)
        unreachable = await contacts.administered_troubles(c)
    gaps, unserved = await look_for_gaps(request, visitor)
    known.sort(key=lambda g: _ORDER.index(g.mark))
    ill = [d.gateway_id for d in devices if shown.wrongs(d, words)]
    return render(
        request,
        "admin_gateways.html",
        400 if problem else 200,
        words=words,
        gateways=known,
        devices={g.id: sum(d.gateway_id == g.id for d in devices) for g in known},
        ill={g.id: ill.count(g.id) for g in known},
        rules=rules,
        unreachable=unreachable,
        gaps=gaps,
        unserved=unserved,
        problem=words.gettext(problem) if problem else "",
        entered=entered,
    )


@router.post("/admin/gateways")
async def add_gateway(request: Request, visitor: Administrator, name: Name = "") -> Response:
    """Expect a gateway, and go on to its code: the form is sent on as it is, so the code is issued by a form too."""
    wanted = plain(name)
    if not wanted:
        return await _list(request, visitor, _NO_NAME)
    try:
        async with changing(request, visitor) as (c, by):
            number = await equipment.add_gateway(c, by, wanted)
    except Taken:
        return await _list(request, visitor, _NAME_TAKEN, wanted)
    return RedirectResponse(f"/admin/gateways/{number}/code", 307)


@router.get("/admin/gateways/{gateway_id}")
async def show_gateway(request: Request, visitor: Administrator, gateway_id: int) -> Response:
    """One gateway: everything it says, its devices, and what it finds."""
    async with looking(request, visitor) as (c, words):
        known = await equipment.gateway(c, gateway_id)
        if known is None:
            raise Refused(404)
        everywhere = await equipment.devices(c)
        names = {r.id: r.name(words.language) for r in await administration.residents_of_centre(c)}
        types = await equipment.device_types(c)
        maintained = await maintenance.of_equipment(c, words, gateways=[gateway_id])
    devices = [_device_line(d, names, words) for d in everywhere if d.gateway_id == gateway_id]
    found = [_found_line(f, known, types, everywhere, names, words) for f in known.found]
    return render(
        request,
        "admin_gateway.html",
        words=words,
        gateway=shown.gateway(known, words),
        known=known,
        has_heard=known.look_until is not None
        and known.found_at is not None
        and known.found_at >= known.look_until - LOOK_FOR,
        devices=sorted(devices, key=lambda line: not line.troubles),
        likely=[line for line in found if line.kinds],
        others=[line for line in found if not line.kinds],
        maintained=maintained,
        hours=maintenance.HOURS,
        told=told(request.query_params.get("told", ""), words),
    )


def _device_line(device: equipment.Device, names: Mapping[int, str], words: Words) -> DeviceLine:
    facts = [shown.signal(device.rssi_dbm, words)]
    if device.battery_pct is not None:
        facts.append(words.gettext("battery %(level)s", level=f"{device.battery_pct}%"))
    if device.last_reading_at:
        facts.append(words.gettext("last reading: %(age)s", age=words.age(device.last_reading_at)))
    heard = words.gettext("last heard of: %(age)s", age=words.age(device.last_seen_at)) if device.last_seen_at else ""
    facts.append(heard or words.gettext("never heard of"))
    return DeviceLine(
        device.id,
        shown.device_name(device, words),
        owner(device.resident_id, names, words),
        tuple(fact for fact in facts if fact),
        shown.wrongs(device, words),
    )


def owner(resident_id: int, names: Mapping[int, str], words: Words) -> str:
    """Whose it is, by name; somebody who has left is not named any more."""
    return names.get(resident_id) or words.gettext("somebody who has left")


def _found_line(
    found: equipment.Found,
    known: equipment.Gateway,
    types: Sequence[equipment.DeviceType],
    devices: Sequence[equipment.Device],
    names: Mapping[int, str],
    words: Words,
) -> FoundLine:
    guesses = [kind for name in found.kinds if (kind := known.kind(name))]
    kinds = [shown.kind_name(k.kind, k.title_zh, k.title_en, words) for k in guesses]
    if guess := shown.guess(found, types):
        kinds = [guess.label]
    registered = next((d for d in devices if d.address == found.address), None)
    return FoundLine(
        found.address,
        found.name or words.gettext("without a name"),
        words.gettext(", ").join(kinds),
        shown.signal(found.rssi_dbm, words),
        words.age(found.last_seen_at),
        owner(registered.resident_id, names, words) if registered else "",
    )


@router.get("/admin/gateways/{gateway_id}/code")
async def show_code_page(request: Request, visitor: Administrator, gateway_id: int) -> Response:
    """Whether the gateway has come in yet. The code itself is shown once, when it is issued."""
    return await _code_page(request, visitor, gateway_id, None)


@router.post("/admin/gateways/{gateway_id}/code")
async def issue_code(request: Request, visitor: Administrator, gateway_id: int) -> Response:
    """A new code, to be typed on the gateway or taken from the picture."""
    code = pairing.new_code()
    async with changing(request, visitor) as (c, by):
        until = datetime.now(UTC) + pairing.LASTS
        await equipment.expect_code(c, by, gateway_id, pairing.code_hash(code), until)
    return await _code_page(request, visitor, gateway_id, code)


async def _code_page(request: Request, visitor: Visitor, gateway_id: int, code: str | None) -> Response:
    async with looking(request, visitor) as (c, words):
        known = await equipment.gateway(c, gateway_id)
    if known is None:
        raise Refused(404)
    command = pairing.command(code, request.app.state.public_url) if code else ""
    return render(
        request,
        "admin_code.html",
        words=words,
        known=known,
        code=code,
        command=command,
        picture=qr(command) if code else "",
    )


def qr(text: str) -> Markup:
    """A QR code as SVG, black on white by night too, since a camera must read it."""
    return Markup(segno.make(text, error="m").svg_inline(omitsize=True, light="#fff", border=4))  # noqa: S704


@router.post("/admin/gateways/{gateway_id}/look")
async def look(
    request: Request, visitor: Administrator, gateway_id: int, stop: Annotated[bool, Form()] = False
) -> Response:
    """Look for new devices for ten minutes, or no more."""
    async with changing(request, visitor) as (c, by):
        await equipment.look(c, by, gateway_id, None if stop else datetime.now(UTC) + LOOK_FOR)
    return RedirectResponse(f"/admin/gateways/{gateway_id}#look", 303)


@router.post("/admin/gateways/{gateway_id}/revoke")
async def revoke(request: Request, visitor: Administrator, gateway_id: int) -> Response:
    """Refuse a gateway from now on."""
    async with changing(request, visitor) as (c, by):
        await equipment.revoke(c, by, gateway_id, datetime.now(UTC))
    return back_to(f"/admin/gateways/{gateway_id}", "revoked")
