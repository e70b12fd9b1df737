"""Who can be put on duty, what they can do, who is away, and helpers without an account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Request, Response

from clinicians.administrator.residents import e164, region_of
from clinicians.pages import PageRoute, back_to, render
from clinicians.rota import forms, times
from clinicians.rota.desk import Office, office
from clinicians.rota.problems import Wrong, told
from clinicians.rota.reasons import ABSENCES
from clinicians.visitor import Administrator, Visitor
from clinicians.words import LANGUAGES, N_, ZH, Words
from store import audit, duty_changes, team
from store import rota as record
from store.administration import Taken
from store.rota import Absence, RotaError
from store.team import Member

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_HERE: Final = "/admin/rota/team"
_AHEAD: Final = timedelta(days=92)
SKILLS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "first_aid": N_("first aid"),
        "lifting": N_("lifting"),
        "nursing": N_("nursing"),
        "dementia": N_("dementia"),
        "driver": N_("drives"),
        "keys": N_("has the keys"),
    }
)
TONGUES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "zh-CN": N_("Mandarin"),
        "yue": N_("Cantonese"),
        "wuu": N_("Wu, Shanghainese"),
        "nan": N_("Min Nan"),
        "hak": N_("Hakka"),
        "en": N_("English"),
    }
)
_FACES: Final[Mapping[str, str]] = MappingProxyType(
    {"doctor": N_("doctor"), "care_worker": N_("care worker"), "": N_("helper without an account")}
)
KINDS: Final = ("sick", "leave", "on_visit")


@dataclass(frozen=True, slots=True)
class Away:
    """An absence in words; ``begun``: she is away now."""

    id: int
    sentence: str
    begun: bool


@dataclass(frozen=True, slots=True)
class Line:
    """Somebody in the list."""

    member: Member
    name: str
    about: tuple[str, ...]
    away: tuple[Away, ...]

    @property
    def is_away(self) -> bool:
        """Whether she is away now."""
        return any(one.begun for one in self.away)


@router.get(_HERE)
async def show_team(request: Request, visitor: Administrator) -> Response:
    """Everybody, those away first."""
    return await _page(request, visitor)


async def _page(request: Request, visitor: Visitor, wrong: Wrong | None = None) -> Response:
    async with office(request, visitor) as desk:
        members = await team.members(desk.c, desk.centre.id)
        absences = await record.absences(desk.c, desk.centre.id, desk.now, desk.now + _AHEAD)
    words = desk.words
    lines = [_line(member, absences, words) for member in members]
    return render(
        request,
        "rota_team.html",
        400 if wrong else 200,
        words=words,
        lines=sorted(lines, key=lambda line: not line.is_away),
        kinds=[(code, words.gettext(ABSENCES[code])) for code in KINDS],
        skills=[(code, words.gettext(text)) for code, text in SKILLS.items()],
        tongues=[(code, words.gettext(text)) for code, text in TONGUES.items()],
        now=times.field(words.now, words),
        wrong=wrong or Wrong("", ""),
        problem=wrong.sentence(words) if wrong else "",
        told=told(request.query_params.get("told", ""), words),
    )


def _line(member: Member, absences: list[Absence], words: Words) -> Line:
    known = [SKILLS[s] for s in member.skills if s in SKILLS] + [
        TONGUES[one] for one in member.languages if one in TONGUES
    ]
    about = [words.gettext(_FACES[member.face]), *(words.gettext(text) for text in known)]
    hers = [absence for absence in absences if absence.person_id == member.id]
    away = tuple(Away(a.id, absence(a, words), a.starts_at <= words.now) for a in hers)
    return Line(member, member.name(words.language), tuple(about), away)  # fmt: skip


def absence(one: Absence, words: Words) -> str:
    """Why somebody is away and from when to when."""
    kind = words.gettext(ABSENCES[one.kind])
    begun = one.starts_at <= words.now
    if one.ends_at is None:
        sentence = N_("%(kind)s until she or he is back") if begun else N_("%(kind)s from %(begins)s on")
        return words.gettext(sentence, kind=kind, begins=times.moment(one.starts_at, words))
    if begun:
        return words.gettext("%(kind)s until %(ends)s", kind=kind, ends=times.until(one.ends_at, words))
    return f"{kind} {times.stretch(one.starts_at, one.ends_at, words)}"


@router.post(f"{_HERE}/{{person_id}}/away")
async def begin_absence(request: Request, visitor: Administrator, person_id: UUID) -> Response:
    """She is away from a time on, until another or until she is back."""
    form = await request.form()
    try:
        async with office(request, visitor) as desk:
            begins, ends = forms.stretch(form, desk.words)
            await _begin(desk, person_id, forms.text(form, "kind"), begins, ends)
    except RotaError as error:
        return await _page(request, visitor, Wrong(f"away-{person_id}", error.code, forms.entered(form)))
    return back_to(_HERE, "away")


async def _begin(desk: Office, person: UUID, kind: str, begins: datetime | None, ends: datetime | None) -> None:
    start = begins or desk.now
    await duty_changes.begin_absence(desk.c, desk.centre.id, person, kind, start, ends, desk.now, by=desk.by)


@router.post(f"{_HERE}/{{person_id}}/back")
async def end_absence(request: Request, visitor: Administrator, person_id: UUID) -> Response:
    """She is back."""
    async with office(request, visitor) as desk:
        await duty_changes.end_absence(desk.c, desk.centre.id, person_id, desk.now, by=desk.by)
    return back_to(_HERE, "back")


@router.post(f"{_HERE}/absences/{{absence_id}}/cancel")
async def cancel_absence(request: Request, visitor: Administrator, absence_id: int) -> Response:
    """She will not be away after all."""
    async with office(request, visitor) as desk:
        await duty_changes.cancel_absence(desk.c, desk.centre.id, absence_id, desk.now, by=desk.by)
    return back_to(_HERE, "back")


@router.post(f"{_HERE}/{{person_id}}/describe")
async def describe(request: Request, visitor: Administrator, person_id: UUID) -> Response:
    """What she can do, and speaks."""
    form = await request.form()
    skills, tongues = ([forms.text_of(one) for one in form.getlist(name)] for name in ("skill", "tongue"))
    async with office(request, visitor) as desk:
        await team.describe(desk.c, desk.centre.id, person_id, skills, tongues)
        await audit.record(desk.c, "staff_described", desk.by, person=str(person_id))
    return back_to(_HERE, "described")


@router.post(_HERE)
async def add_helper(request: Request, visitor: Administrator) -> Response:
    """A volunteer or a building leader, who is called but never signs in."""
    form = await request.form()
    zh, en = forms.names(form)
    language = forms.text(form, "language")
    try:
        async with office(request, visitor) as desk:
            phone = e164(forms.text(form, "phone"), region_of(desk.centre.phone))
            if not zh or not en or phone is None:
                raise RotaError("phone" if zh and en else "name", "a helper needs a name and a telephone")
            language = language if language in LANGUAGES else ZH
            person = await team.add_helper(desk.c, desk.centre.id, zh, en, phone, language)
            await audit.record(desk.c, "helper_added", desk.by, person=str(person))
    except Taken:
        return await _page(request, visitor, Wrong("add", "phone_taken", forms.entered(form)))
    except RotaError as error:
        return await _page(request, visitor, Wrong("add", error.code, forms.entered(form)))
    return back_to(_HERE, "helper_added")
