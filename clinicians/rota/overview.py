"""The rota at a glance: where nobody is on duty, who is now, and fourteen days of every roster."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from fastapi import APIRouter, Request, Response

from clinicians.pages import PageRoute, back_to, render
from clinicians.rota import forms
from clinicians.rota.book import Book, holes, open_book, shown, unserved
from clinicians.rota.desk import office
from clinicians.rota.problems import Wrong, told
from clinicians.rota.roles import LINES, ROLES
from clinicians.visitor import Administrator, Visitor
from clinicians.words import Words
from store import rosters, team
from store.rota import RotaError

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_NOTHING: Final[Mapping[str, str]] = MappingProxyType(
    {"name_zh": "", "name_en": "", "role": "", "line": "1", "area": "", "must_cover": "yes"}
)


@router.get("/admin/rota")
async def show_rota(request: Request, visitor: Administrator) -> Response:
    """The gaps first, then every roster."""
    return await _page(request, visitor)


async def _page(request: Request, visitor: Visitor, wrong: Wrong | None = None) -> Response:
    async with office(request, visitor) as desk:
        book = await open_book(desk)
        homes = await team.homes(desk.c, desk.centre.id)
    words = desk.words
    return render(
        request,
        "rota.html",
        400 if wrong else 200,
        words=words,
        holes=holes(book, words),
        unserved=unserved(book, homes, words),
        rosters=[shown(book, roster, words) for roster in book.rosters],
        holidays=[(h.day, h.name(words.language)) for h in book.holidays if h.day >= words.today],
        entered=wrong.entered if wrong else _NOTHING,
        wrong=wrong.code if wrong else "",
        problem=wrong.sentence(words) if wrong else "",
        told=told(request.query_params.get("told", ""), words),
        **roster_choices(book, words),
    )


def roster_choices(book: Book, words: Words) -> dict[str, object]:
    """What a roster's form offers."""
    return {
        "roles": [(code, words.gettext(text)) for code, text in ROLES.items()],
        "lines": [(number, words.gettext(text)) for number, text in enumerate(LINES, start=1)],
        "areas": [(area.id, area.name(words.language)) for area in book.areas],
    }


@router.post("/admin/rota/rosters")
async def add_roster(request: Request, visitor: Administrator) -> Response:
    """Another roster; its own page is next, for it has no shift yet."""
    form = await request.form()
    try:
        async with office(request, visitor) as desk:
            line, area = (
                forms.number(forms.text(form, "line"), "duty"),
                forms.number(forms.text(form, "area"), "no_area"),
            )
            number = await rosters.add_roster(
                desk.c,
                desk.centre.id,
                forms.text(form, "role"),
                line or 0,
                *forms.names(form),
                area_id=area,
                must_cover="must_cover" in form,
                by=desk.by,
            )
    except RotaError as error:
        typed = {**dict.fromkeys(_NOTHING, ""), **forms.entered(form)}
        return await _page(request, visitor, Wrong("roster", error.code, typed))
    return back_to(f"/admin/rota/rosters/{number}", "roster_added")
