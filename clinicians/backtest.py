"""The doctor tries a protocol on what happened to her own residents, before it goes live; and notes hospital visits.

What it would have done is worked out beside the service (:mod:`alerts.backtest.desk`) as a reader who sees only whom she
may see. Residents are named on the page only as long as she may.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response, UploadFile

from alerts import deployment
from alerts.backtest.desk import Busy, Desk, Run
from alerts.backtest.jobs import MOST_DAYS, Question, Written
from alerts.protocol import SHIPPED, ProtocolError, texts_in
from clinicians.backtest_page import view
from clinicians.doctor import words_of
from clinicians.pages import PageRoute, back_to, render
from clinicians.visitor import Doctor, Refused, Visitor
from clinicians.words import N_, Words
from store import alerts, audit, history, protocols, residents
from store.postgres import Connection, Database

router = APIRouter(route_class=PageRoute, include_in_schema=False)

DAYS: Final = 90
_CHOICES: Final = (30, 90, 180, 365)
_HERE: Final = "/doctor/backtest"
_FAULTS: Final = {
    "nobody": N_("Nobody in your care was watched over in these days."),
    "protocol": N_("This protocol cannot be read:"),
    "away": N_("The record cannot be reached just now"),
    "too_long": N_("It took too long and was ended. Please choose fewer days."),
    "stopped": N_("It was stopped."),
    "failed": N_("Something went wrong on our side"),
    "busy": N_("Another backtest is running. Please try again in a minute."),
    "no_file": N_("A protocol is made of files whose names end in .toml."),
}


@router.get(_HERE)
async def show(request: Request, visitor: Doctor) -> Response:
    """What was tried last, how far it is, and the form for another."""
    return await _page(request, visitor)


async def _page(request: Request, visitor: Visitor, *, fault: str = "", said: str = "", status: int = 200) -> Response:
    database: Database = request.app.state.database
    run = _desk(request).run_of(visitor.person_id)
    async with database.reader(visitor.person_id) as c:
        words = await words_of(c, visitor)
        everybody = await residents.residents(c)
        present = await deployment.in_force(c, words.now)
        known = [kept.version for kept in reversed(await protocols.every(c))]
    names = {resident.id: resident.name(words.language) for resident in everybody}
    links = {resident: f"/doctor/residents/{resident}" for resident in names}
    fault = fault or (run.fault or "" if run else "")
    return render(
        request,
        "doctor_backtest.html",
        status,
        words=words,
        run=run,
        found=view(run.answer, words, names, links) if run and run.answer else None,
        fault=words.gettext(_FAULTS[fault]) if fault else "",
        said=said or (run.words if run and run.fault == fault else ""),
        versions=known or [present.version],
        present=present.version,
        days=_CHOICES,
        chosen=_chosen(run, known, present.version),
    )


def _chosen(run: Run | None, known: list[str], present: str) -> tuple[str, int]:
    """What the form shows: what was tried last, or what waits."""
    if run:
        return run.question.new.version, (run.question.until - run.question.since).days
    return next((version for version in known if version != present), present), DAYS


@router.post(_HERE)
async def begin(
    request: Request,
    visitor: Doctor,
    new: Annotated[str, Form(max_length=100)],
    days: Annotated[int, Form(ge=1, le=MOST_DAYS)] = DAYS,
    files: Annotated[list[UploadFile] | None, Form()] = None,
) -> Response:
    """Try a protocol of the record, or one with some of its files replaced, against the one in force."""
    database: Database = request.app.state.database
    now = datetime.now(UTC)
    sent = [file for file in files or () if file.filename]
    if not all((file.filename or "").endswith(".toml") for file in sent):
        return await _page(request, visitor, fault="no_file", status=400)
    async with database.reader(visitor.person_id) as c:
        against = await _written(c, (await deployment.in_force(c, now)).version)
        base = await _written(c, new)
    try:
        asked = await _changed(base, sent)
    except (ProtocolError, UnicodeDecodeError) as error:
        return await _page(request, visitor, fault="protocol", said=str(error), status=400)
    question = Question(against, asked, now - timedelta(days=days), now, visitor.person_id)
    try:
        _desk(request).begin(visitor.person_id, question)
    except Busy:
        return await _page(request, visitor, fault="busy", status=409)
    async with database.service() as c:
        await audit.record(c, "backtest", visitor.person_id, protocol=asked.parsed().version, days=days)
    return back_to(_HERE)


@router.post(f"{_HERE}/stop")
async def stop(request: Request, visitor: Doctor) -> Response:
    """End what is running for her."""
    await _desk(request).stop(visitor.person_id)
    return back_to(_HERE)


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.backtests
    return desk


async def _written(c: Connection, version: str) -> Written:
    texts = await protocols.texts(c, version)
    if texts is None and version == deployment.shipped().version:
        texts = texts_in(SHIPPED)
    if texts is None:
        raise Refused(404)
    return Written(texts, version)


async def _changed(base: Written, sent: list[UploadFile]) -> Written:
    """With the files that were sent in the place of those of the same name. Raises what reading them raises."""
    if not sent:
        base.parsed()
        return base
    texts: Mapping[str, str] = {file.filename or "": (await file.read()).decode() for file in sent}
    changed = Written(dict(sorted({**base.texts, **texts}.items())))
    changed.parsed()
    return changed


@router.get("/doctor/residents/{resident_id}/hospital")
async def show_hospital_visits(request: Request, visitor: Doctor, resident_id: int) -> Response:
    """When a resident went to hospital, as far as anybody noted it."""
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        resident = await residents.resident(c, resident_id)
        if resident is None:
            raise Refused(404)
        words = Words.of(visitor.language, resident.time_zone)
        visits = await history.hospital_visits(c, [resident_id], datetime.min.replace(tzinfo=UTC), words.now)
    return render(request, "doctor_hospital.html", words=words, resident=resident, visits=visits[::-1])


@router.post("/doctor/residents/{resident_id}/hospital")
async def note_hospital_visit(
    request: Request,
    visitor: Doctor,
    resident_id: int,
    day: Annotated[date, Form()],
    hour: Annotated[int, Form(ge=0, le=23)],
    reason: Annotated[str, Form(min_length=1, max_length=400)],
) -> Response:
    """Write down that she went to hospital."""
    database: Database = request.app.state.database
    async with database.service() as c:
        resident = await residents.resident(c, resident_id)
        if resident is None or not await alerts.may_act(c, visitor.person_id, resident_id, None, visitor.now):
            raise Refused(404)
        words = Words.of(visitor.language, resident.time_zone)
        went_at = datetime.combine(day, time(hour), words.zone).astimezone(UTC)
        if went_at > words.now or not reason.strip():
            raise Refused(400)
        await history.note_hospital_visit(c, resident_id, went_at, reason.strip(), visitor.person_id, words.now)
        await audit.record(c, "noted_hospital_visit", visitor.person_id, resident_id)
    return back_to(f"/doctor/residents/{resident_id}/hospital")
