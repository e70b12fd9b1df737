"""The areas of the neighbourhood, and who lives in which: whoever is on duty nearest is called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastapi import APIRouter, Request, Response

from clinicians.pages import PageRoute, back_to, render
from clinicians.rota import forms
from clinicians.rota.desk import office
from clinicians.rota.problems import Wrong, told
from clinicians.visitor import Administrator, Visitor
from clinicians.words import Words
from store import audit, rosters, team
from store import rota as record
from store.rota import Area, RotaError
from store.team import Home

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_HERE: Final = "/admin/rota/areas"


@dataclass(frozen=True, slots=True)
class Place:
    """An area, how deep it lies in others, and who lives in it: number, name and address."""

    area: Area
    title: str
    depth: int
    homes: tuple[tuple[int, str, str], ...]


@router.get(_HERE)
async def show_areas(request: Request, visitor: Administrator) -> Response:
    """Every area with those who live in it; first those of whom nobody has said where."""
    return await _page(request, visitor)


async def _page(request: Request, visitor: Visitor, wrong: Wrong | None = None) -> Response:
    async with office(request, visitor) as desk:
        areas = await record.areas(desk.c, desk.centre.id)
        homes = await team.homes(desk.c, desk.centre.id)
    words = desk.words
    found = places(areas, homes, words)
    return render(
        request,
        "rota_areas.html",
        400 if wrong else 200,
        words=words,
        places=found,
        nowhere=_living(homes, None, words),
        choices=[(p.area.id, p.title) for p in found],
        wrong=wrong or Wrong("", ""),
        problem=wrong.sentence(words) if wrong else "",
        told=told(request.query_params.get("told", ""), words),
    )


def places(areas: Sequence[Area], homes: Sequence[Home], words: Words) -> list[Place]:
    """Areas as a tree, each after the one in which it lies."""
    found: list[Place] = []

    def add(within: int | None, depth: int) -> None:
        for area in (a for a in areas if a.within == within):
            title = " · ".join([*_titles(areas, area, words), area.name(words.language)])
            found.append(Place(area, title, depth, _living(homes, area.id, words)))
            add(area.id, depth + 1)

    add(None, 0)
    return found


def _titles(areas: Sequence[Area], area: Area, words: Words) -> list[str]:
    around = next((a for a in areas if a.id == area.within), None)
    return [] if around is None else [*_titles(areas, around, words), around.name(words.language)]


def _living(homes: Sequence[Home], area: int | None, words: Words) -> tuple[tuple[int, str, str], ...]:
    language = words.language
    return tuple((h.resident_id, h.name(language), h.address(language)) for h in homes if h.area_id == area)


@router.post(_HERE)
async def add_area(request: Request, visitor: Administrator) -> Response:
    """Another area."""
    form = await request.form()
    try:
        async with office(request, visitor) as desk:
            within = forms.number(forms.text(form, "within"), "no_area")
            await rosters.add_area(desk.c, desk.centre.id, *forms.names(form), within, by=desk.by)
    except RotaError as error:
        return await _page(request, visitor, Wrong("add", error.code, forms.entered(form)))
    return back_to(_HERE, "area_added")


@router.post(f"{_HERE}/homes")
async def settle(request: Request, visitor: Administrator) -> Response:
    """Those ticked live in another area from now on."""
    form = await request.form()
    chosen = forms.chosen(form, "resident")
    try:
        area = forms.number(forms.text(form, "area"), "no_area")
        if not chosen:
            raise RotaError("nobody", "nobody was ticked")
        async with office(request, visitor) as desk:
            await team.settle(desk.c, desk.centre.id, chosen, area)
            await audit.record(desk.c, "residents_settled", desk.by, area=area, residents=chosen)
    except RotaError as error:
        return await _page(request, visitor, Wrong("homes", error.code))
    return back_to(_HERE, "settled")


@router.post(f"{_HERE}/{{area_id}}")
async def change_area(request: Request, visitor: Administrator, area_id: int) -> Response:
    """It is called otherwise, or lies elsewhere."""
    form = await request.form()
    try:
        async with office(request, visitor) as desk:
            within = forms.number(forms.text(form, "within"), "no_area")
            await rosters.change_area(desk.c, desk.centre.id, area_id, *forms.names(form), within, by=desk.by)
    except RotaError as error:
        return await _page(request, visitor, Wrong(f"area-{area_id}", error.code, forms.entered(form)))
    return back_to(_HERE, "area_changed")


@router.post(f"{_HERE}/{{area_id}}/remove")
async def remove_area(request: Request, visitor: Administrator, area_id: int) -> Response:
    """Nobody lives in it any more."""
    try:
        async with office(request, visitor) as desk:
            await rosters.remove_area(desk.c, desk.centre.id, area_id, desk.now, by=desk.by)
    except RotaError as error:
        return await _page(request, visitor, Wrong("areas", error.code))
    return back_to(_HERE, "area_removed")
