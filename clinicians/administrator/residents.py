"""Who is watched over in the centre, enrolling somebody, and who cares for whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import Annotated, Final
from uuid import UUID
from zoneinfo import available_timezones

import phonenumbers
from fastapi import APIRouter, Form, Request, Response

from clinicians import equipment as shown
from clinicians import maintenance
from clinicians.administrator.desk import changing, looking, plain, told
from clinicians.pages import PageRoute, back_to, render
from clinicians.visitor import Administrator, Refused, Visitor
from clinicians.words import LANGUAGES, N_, ZH, Words
from store import administration, equipment, portal
from store.administration import FACE_OF, Enrolment, Taken

router = APIRouter(route_class=PageRoute, include_in_schema=False)

HOME_REGION: Final = "CN"
"""Where a telephone number written without its country is, unless the centre's own says otherwise."""
OLDEST_YEARS: Final = 120
SEXES: Final[Mapping[str, str]] = MappingProxyType(
    {"female": N_("woman"), "male": N_("man"), "other": N_("other"), "unknown": N_("not known")}
)
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "doctor": N_("doctor"),
        "care_worker": N_("care worker"),
        "supervisor": N_("supervisor"),
        "family": N_("family"),
    }
)
_PROBLEMS: Final = {
    "name": N_("Please write the name in both scripts; write the same twice if there is only one."),
    "born": N_("Please enter the day of birth, such as 1944-03-02. It cannot lie ahead or more than 120 years back."),
    "sex": N_("Please choose one: it decides how some values are judged."),
    "address": N_("Please write where she or he lives, in both scripts: whoever comes to help must find the door."),
    "phone": N_("This is not a telephone number that can be called."),
    "phone_taken": N_("This telephone number is somebody else's. Leave it empty if they share one."),
    "time_zone": N_("There is no such time zone. They are called after cities, such as Asia/Shanghai."),
}
_FIELDS: Final = ("name_zh", "name_en", "born", "sex", "phone", "address_zh", "address_en", "language")
_LONGEST: Final = 200


@router.get("/admin/residents")
async def show_residents(request: Request, visitor: Administrator) -> Response:
    """Everybody, what equipment they have, and who cares for them."""
    return await _list(request, visitor)


async def _list(
    request: Request, visitor: Visitor, problem: str | None = None, entered: Mapping[str, str] | None = None
) -> Response:
    async with looking(request, visitor) as (c, words):
        everybody = await administration.residents_of_centre(c)
        around = await administration.relations(c)
        devices = await equipment.devices(c)
        centre = await portal.centre_of(c, visitor.person_id)
    by_resident: dict[int, list[str]] = {}
    for device in devices:
        by_resident.setdefault(device.resident_id, []).append(shown.device_name(device, words))
    return render(
        request,
        "admin_residents.html",
        400 if problem else 200,
        words=words,
        residents=everybody,
        around=around,
        devices=by_resident,
        centre=centre,
        sexes={code: words.gettext(text) for code, text in SEXES.items()},
        problem=words.gettext(_PROBLEMS[problem]) if problem else "",
        wrong=problem or "",
        entered=dict.fromkeys(_FIELDS, "") | {"language": "zh_Hans"} | dict(entered or {}),
        told=told(request.query_params.get("told", ""), words),
    )


@router.post("/admin/residents")
async def enrol(request: Request, visitor: Administrator) -> Response:
    """Watch over somebody from now on."""
    form = await request.form()
    entered = {name: plain(str(form.get(name, "")))[:_LONGEST] for name in _FIELDS}
    async with looking(request, visitor) as (c, words):
        centre = await portal.centre_of(c, visitor.person_id)
    checked = check(entered, words.today, region_of(centre.phone if centre else None))
    if isinstance(checked, str):
        return await _list(request, visitor, checked, entered)
    try:
        async with changing(request, visitor) as (c, by):
            number = await administration.enrol(c, by, checked)
    except Taken:
        return await _list(request, visitor, "phone_taken", entered)
    return back_to(f"/admin/residents/{number}", "enrolled")


def check(entered: Mapping[str, str], today: date, region: str) -> Enrolment | str:
    """What was entered as it is kept, or the code of the first thing that is wrong with it."""
    born, phone = _day(entered["born"]), e164(entered["phone"], region)
    if not entered["name_zh"] or not entered["name_en"]:
        return "name"
    if born is None or not 0 <= today.year - born.year <= OLDEST_YEARS or born > today:
        return "born"
    if entered["sex"] not in SEXES:
        return "sex"
    if not entered["address_zh"] or not entered["address_en"]:
        return "address"
    if entered["phone"] and phone is None:
        return "phone"
    return Enrolment(
        name_zh=entered["name_zh"],
        name_en=entered["name_en"],
        phone=phone,
        language=entered["language"] if entered["language"] in LANGUAGES else ZH,
        born=born,
        sex=entered["sex"],
        address_zh=entered["address_zh"],
        address_en=entered["address_en"],
    )


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def e164(text: str, region: str) -> str | None:
    """A telephone number in its international form; ``None`` when it cannot be called."""
    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def region_of(phone: str | None) -> str:
    """The country of the centre's own telephone, in which its residents' numbers are written."""
    try:
        number = phonenumbers.parse(phone or "", None)
    except phonenumbers.NumberParseException:
        return HOME_REGION
    return phonenumbers.region_code_for_number(number) or HOME_REGION


@router.get("/admin/residents/{resident_id}")
async def show_resident(request: Request, visitor: Administrator, resident_id: int) -> Response:
    """One resident: who cares for her, and what equipment she has. Nothing about her health."""
    async with looking(request, visitor) as (c, words):
        resident = await administration.resident(c, resident_id)
        if resident is None:
            raise Refused(404)
        around = (await administration.relations(c)).get(resident_id, [])
        everybody = await administration.people_of_centre(c)
        devices = [d for d in await equipment.devices(c) if d.resident_id == resident_id]
        behind = [d.gateway_id for d in devices]
        maintained = await maintenance.of_equipment(c, words, resident=resident_id, gateways=behind)
    there = {(r.person_id, r.kind) for r in around}
    return render(
        request,
        "admin_resident.html",
        words=words,
        resident=resident,
        around=[(r, words.gettext(KINDS[r.kind])) for r in around],
        choices=[choice for choice in choices(everybody, words) if choice[0] not in there],
        devices=[(d.id, shown.device_name(d, words), shown.wrongs(d, words)) for d in devices],
        maintained=maintained,
        hours=maintenance.HOURS,
        told=told(request.query_params.get("told", ""), words),
    )


def choices(everybody: list[administration.Person], words: Words) -> list[tuple[tuple[UUID, str], str]]:
    """Who can care for a resident, and as what: (person, kind) and how that is said."""
    return [
        (
            (person.id, kind),
            words.gettext("%(name)s (%(role)s)", name=person.name(words.language), role=words.gettext(text)),
        )
        for kind, text in KINDS.items()
        for person in everybody
        if FACE_OF[kind] == person.face
    ]


@router.post("/admin/residents/{resident_id}/relations")
async def grant(
    request: Request,
    visitor: Administrator,
    resident_id: int,
    who: Annotated[str, Form(max_length=80)],
    called_zh: Annotated[str, Form(max_length=40)] = "",
    called_en: Annotated[str, Form(max_length=40)] = "",
) -> Response:
    """Let somebody care for her; ``who`` is a person and a kind, as :func:`choices` names them."""
    person, kind = _who(who)
    zh, en = plain(called_zh), plain(called_en)
    called = (zh or en, en or zh) if kind == "family" and (zh or en) else None
    async with changing(request, visitor) as (c, by):
        await administration.grant(c, by, resident_id, person, kind, called)
    return back_to(f"/admin/residents/{resident_id}", "granted")


@router.post("/admin/residents/{resident_id}/relations/end")
async def end_relation(
    request: Request, visitor: Administrator, resident_id: int, who: Annotated[str, Form(max_length=80)]
) -> Response:
    """From now on this person sees nothing of her."""
    person, kind = _who(who)
    async with changing(request, visitor) as (c, by):
        await administration.end_relation(c, by, resident_id, person, kind)
    return back_to(f"/admin/residents/{resident_id}", "ended")


def _who(text: str) -> tuple[UUID, str]:
    number, _, kind = text.partition(" ")
    try:
        return UUID(number), kind
    except ValueError:
        raise Refused(400) from None


@router.post("/admin/time-zone")
async def set_time_zone(
    request: Request, visitor: Administrator, time_zone: Annotated[str, Form(max_length=60)]
) -> Response:
    """Where the centre's homes are: cuffs are set by it, and pages tell the time by it."""
    name = plain(time_zone)
    if name not in available_timezones():
        return await _list(request, visitor, "time_zone")
    async with changing(request, visitor) as (c, by):
        await administration.set_time_zone(c, by, name)
    return back_to("/admin/residents", "time_zone")
