"""The centre's holidays, on which some shifts are otherwise."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from fastapi import APIRouter, Request, Response

from clinicians.pages import PageRoute, back_to, render
from clinicians.rota import forms, times
from clinicians.rota.desk import office
from clinicians.rota.problems import Wrong, told
from clinicians.visitor import Administrator, Refused, Visitor
from store import rosters
from store import rota as record
from store.rota import RotaError

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_HERE: Final = "/admin/rota/holidays"
_AHEAD: Final = timedelta(days=550)


@router.get(_HERE)
async def show_holidays(request: Request, visitor: Administrator) -> Response:
    """Those to come."""
    return await _page(request, visitor)


async def _page(request: Request, visitor: Visitor, wrong: Wrong | None = None) -> Response:
    async with office(request, visitor) as desk:
        today = desk.words.today
        found = await record.holidays(desk.c, desk.centre.id, today, today + _AHEAD)
    words = desk.words
    return render(
        request,
        "rota_holidays.html",
        400 if wrong else 200,
        words=words,
        holidays=[(h.day.isoformat(), times.day(h.day, words), h.name(words.language)) for h in found],
        entered=wrong.entered if wrong else {},
        problem=wrong.sentence(words) if wrong else "",
        told=told(request.query_params.get("told", ""), words),
    )


@router.post(_HERE)
async def add_holiday(request: Request, visitor: Administrator) -> Response:
    """A holiday of one day or several."""
    form = await request.form()
    try:
        days = forms.holiday_days(form)
        async with office(request, visitor) as desk:
            for day in days:
                await rosters.set_holiday(desk.c, desk.centre.id, day, *forms.names(form), by=desk.by)
    except RotaError as error:
        return await _page(request, visitor, Wrong("holiday", error.code, forms.entered(form)))
    return back_to(_HERE, "holiday_added")


@router.post(f"{_HERE}/{{text}}/remove")
async def remove_holiday(request: Request, visitor: Administrator, text: str) -> Response:
    """A day like others after all."""
    day = times.on(text)
    if day is None:
        raise Refused(404)
    async with office(request, visitor) as desk:
        await rosters.remove_holiday(desk.c, desk.centre.id, day, by=desk.by)
    return back_to(_HERE, "holiday_removed")
