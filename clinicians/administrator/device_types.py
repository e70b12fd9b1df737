"""Types of device that an administrator describes: where one speaks a standard service, it needs no code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fastapi import APIRouter, Request, Response

from clinicians import equipment as shown
from clinicians import habits
from clinicians.administrator.desk import changing, looking, plain, told
from clinicians.pages import PageRoute, back_to, render
from clinicians.visitor import Administrator, Visitor
from clinicians.words import N_, Words
from store import equipment
from store.administration import Taken

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_LONGEST: Final = 80
_PROBLEMS: Final = {
    "label": N_("Please give the type a name, such as its make and model."),
    "kind": N_("Please say what kind of device it is."),
    "pattern": N_("Please write the name under which it appears; * stands for anything, but not alone."),
    "habits": N_("One of the answers below cannot be so. Numbers are whole, from 0."),
    "taken": N_("There is a type of this name already."),
    "in_use": N_("Devices are of this type: give them another first, or none."),
}


@router.get("/admin/device-types")
async def show_device_types(request: Request, visitor: Administrator) -> Response:
    """Every type, and a form for another."""
    return await _list(request, visitor)


async def _list(
    request: Request, visitor: Visitor, problem: str | None = None, entered: Mapping[str, str] | None = None
) -> Response:
    async with looking(request, visitor) as (c, words):
        types = await equipment.device_types(c)
        known = kinds(await equipment.gateways(c), words)
        devices = await equipment.devices(c)
    return render(
        request,
        "admin_device_types.html",
        400 if problem else 200,
        words=words,
        types=[(t, known.get(t.kind, t.kind), habits.in_words(t.habits, words)) for t in types],
        used={t.id: sum(d.device_type_id == t.id for d in devices) for t in types},
        kinds=known,
        habits=habits.HABITS,
        problem=words.gettext(_PROBLEMS[problem]) if problem else "",
        wrong=problem or "",
        entered=entered or {},
        told=told(request.query_params.get("told", ""), words),
    )


def kinds(gateways: list[equipment.Gateway], words: Words) -> dict[str, str]:
    """Every kind that some gateway of the centre can collect from, with its name, by name."""
    found = {k.kind: shown.kind_name(k.kind, k.title_zh, k.title_en, words) for g in gateways for k in g.kinds}
    return dict(sorted(found.items(), key=lambda item: item[1]))


@router.post("/admin/device-types")
async def add_device_type(request: Request, visitor: Administrator) -> Response:
    """Describe a type."""
    form = {name: plain(str(text))[:_LONGEST] for name, text in (await request.form()).items()}
    label, kind, pattern = (form.get(name, "") for name in ("label", "kind", "name_pattern"))
    chosen = habits.answered(form)
    async with looking(request, visitor) as (c, words):
        known = kinds(await equipment.gateways(c), words)
    problem = _check(label, kind in known, pattern, chosen)
    if problem or chosen is None:
        return await _list(request, visitor, problem, form)
    try:
        async with changing(request, visitor) as (c, by):
            await equipment.add_device_type(c, by, label, kind, pattern, chosen)
    except Taken:
        return await _list(request, visitor, "taken", form)
    return back_to("/admin/device-types", "type_added")


def _check(label: str, is_known: bool, pattern: str, chosen: Mapping[str, object] | None) -> str | None:
    """What is wrong with the form, by its code."""
    if not label:
        return "label"
    if not is_known:
        return "kind"
    if not pattern.replace("*", "").strip():
        return "pattern"
    return "habits" if chosen is None else None


@router.post("/admin/device-types/{device_type_id}/remove")
async def remove_device_type(request: Request, visitor: Administrator, device_type_id: int) -> Response:
    """Forget a type that no device is of."""
    try:
        async with changing(request, visitor) as (c, by):
            await equipment.remove_device_type(c, by, device_type_id)
    except Taken:
        return await _list(request, visitor, "in_use")
    return back_to("/admin/device-types", "type_removed")
