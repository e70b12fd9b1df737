"""The family doctor's pages: who needs her today and why, and one resident in full."""

from __future__ import annotations

from datetime import timedelta
from time import perf_counter
from typing import Annotated, Final

from fastapi import APIRouter, Form, Request, Response
from markupsafe import Markup

from alerts import judging, quality
from alerts.deployment import in_force, made_by
from alerts.judging import Target
from alerts.lifecycle import WAITS
from alerts.protocol import Protocol
from clinicians import cases, charts, falls, late, maintenance, vitals, worklist
from clinicians.acting import in_words
from clinicians.equipment import health
from clinicians.notes import keep_note
from clinicians.pages import PageRoute, back_to, render
from clinicians.visitor import Doctor, Refused, Visitor
from clinicians.words import DEFAULT_ZONE, N_, Words
from devices.readings import METRICS, Kind
from store import alerts, audit, gateways, late_notes, notes, portal, readings, residents
from store.postgres import Connection, Database
from store.residents import Resident

router = APIRouter(route_class=PageRoute, include_in_schema=False)

SPARK_DAYS: Final = 30
LINES: Final = 40
ALERTS: Final = 20
_SHOWN: Final = tuple(m.code for m in METRICS.values() if m.kind in (Kind.VITAL, Kind.EVENT))
"""What sensors in the flat see comes by the hundred a day: it is for the rules, not for a table."""
CONDITIONS: Final = {
    "hypertension": N_("hypertension"),
    "diabetes": N_("diabetes"),
    "heart_failure": N_("heart failure"),
    "copd": N_("COPD"),
    "atrial_fibrillation": N_("atrial fibrillation"),
    "stroke": N_("stroke"),
    "frail": N_("frail"),
}


def conditions(resident: Resident, protocol: Protocol, words: Words) -> list[str]:
    """A resident's conditions by name."""
    return [condition(code, protocol, words) for code in resident.conditions]


def condition(code: str, protocol: Protocol, words: Words) -> str:
    """A condition by the name that the protocol gives its group, else by its own; one nobody knows keeps its code."""
    named = {group.code: group.titles[words.language] for group in protocol.groups}
    return named.get(code) or words.gettext(CONDITIONS.get(code, code))


async def words_of(c: Connection, visitor: Visitor) -> Words:
    """The visitor's language on her own centre's clock."""
    centre = await portal.centre_of(c, visitor.person_id)
    return Words.of(visitor.language, centre.time_zone if centre else DEFAULT_ZONE, visitor.now)


@router.get("/doctor")
async def show_worklist(request: Request, visitor: Doctor) -> Response:
    """Everybody in the doctor's care, sorted by need."""
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        words = await words_of(c, visitor)
        everybody = await residents.residents(c)
        summaries = await portal.pressure_summaries(c, words.now)
        latest = await readings.latest(c)
        daily = await portal.daily_systolic(c, words.now, SPARK_DAYS)
        opened = await alerts.open_alerts(c)
        unseen = await late_notes.unseen(c)
        protocols = await made_by(c, await in_force(c, words.now), [*opened, *unseen])
        targets = await judging.targets(c, protocols.present, words.now)
        names = await portal.names(c, cases.named(opened))
    by_resident: dict[int, list[cases.Case]] = {}
    for row in opened:
        made = cases.case(row, protocols, "staff", words, names, visitor.person_id)
        by_resident.setdefault(row.resident_id, []).append(made)
    learned: dict[int, list[late.Late]] = {}
    for note in unseen:
        learned.setdefault(note.resident_id, []).append(late.late(note, protocols, words))
    entries = [
        worklist.entry(
            r,
            targets[r.id],
            by_resident.get(r.id, []),
            summaries.get(r.id),
            vitals.pressure(latest.get(r.id, {}), targets[r.id], words),
            words,
            learned.get(r.id, []),
        )
        for r in everybody
    ]
    sparks = {r.id: _spark(daily[r.id], targets[r.id]) for r in everybody if r.id in daily}
    return render(
        request,
        "doctor_worklist.html",
        words=words,
        headline=worklist.headline(entries, words),
        groups=worklist.grouped(entries),
        sparks=sparks,
        conditions={r.id: conditions(r, protocols.present, words) for r in everybody},
    )


def _spark(daily: portal.Daily, target: Target) -> Markup:
    return charts.sparkline(daily.day, daily.value, target.systolic_low, target.systolic_high, SPARK_DAYS)


@router.get("/doctor/residents/{resident_id}")
async def show_resident(request: Request, visitor: Doctor, resident_id: int, told: str = "") -> Response:
    """One resident in full."""
    database: Database = request.app.state.database
    began = perf_counter()
    async with database.reader(visitor.person_id) as c:
        resident = await residents.resident(c, resident_id)
        if resident is None:
            raise Refused(404)
        words = Words.of(visitor.language, resident.time_zone, visitor.now)
        since = words.now - timedelta(days=charts.DAYS + 1)
        around = await residents.around(c, resident_id)
        latest = (await readings.latest(c, resident_id)).get(resident_id, {})
        series = await readings.series(c, resident_id, _SHOWN, since, words.now)
        unknown = await portal.of_unknown_time(c, resident_id, since, LINES)
        unusable = await readings.unusable(c, resident_id, LINES)
        rows = await alerts.of_resident(c, resident_id, ALERTS)
        learned = await late_notes.of_resident(c, resident_id, words.now - late.KEPT)
        protocols = await made_by(c, await in_force(c, words.now), [*rows, *learned])
        target = await judging.target_of(c, protocols.present, resident_id, words.now)
        numbers = [row.id for row in rows]
        trails = await alerts.trail(c, numbers)
        called = await portal.calls(c, numbers)
        episodes = await quality.episodes(c, numbers)
        lapses = await portal.lapses(c, [row.id for row in rows if row.state in WAITS])
        names = await portal.names(c, cases.named(rows))
        devices = await gateways.devices(c, resident_id)
        written = await notes.of_resident(c, resident_id)
        fallen = await falls.of_alerts(c, resident_id, rows, words)
        maintained = await maintenance.of_resident(c, resident_id, protocols.present, words)
    await write_down_the_look(request, database, visitor, resident_id)
    asked = perf_counter()
    known = [
        cases.case(
            row,
            protocols,
            "staff",
            words,
            names,
            visitor.person_id,
            calls=called.get(row.id, ()),
            trail=trails.get(row.id, ()),
            episodes=episodes.get(row.id),
            lapse=lapses.get(row.id),
        )
        for row in rows
    ]
    page = render(
        request,
        "doctor_resident.html",
        words=words,
        resident=resident,
        target=target,
        conditions=conditions(resident, protocols.present, words),
        around=around,
        charts=_charts(series, target, words),
        vitals=vitals.latest_vitals(latest, target, words),
        lines=vitals.lines(series, unknown, unusable, target, words, LINES),
        open_cases=[case for case in known if case.standing != "closed"],
        closed_cases=[case for case in known if case.standing == "closed"],
        learned_late=[late.late(note, protocols, words) for note in learned],
        devices=[health(device, words) for device in devices],
        notes=written,
        fallen=fallen,
        maintained=maintained,
        hours=maintenance.HOURS,
        outcomes=cases.outcomes(words),
        told=in_words(told, words),
    )
    page.headers["Server-Timing"] = _timing(query=asked - began, render=perf_counter() - asked)
    return page


def _timing(**seconds: float) -> str:
    """Where the time went, in milliseconds, as a browser's network panel shows it."""
    return ", ".join(f"{name};dur={1000 * spent:.2f}" for name, spent in seconds.items())


def _charts(series: dict[str, readings.Series], target: Target, words: Words) -> dict[str, Markup]:
    pair = series.get("systolic"), series.get("diastolic")
    return {
        name: charts.blood_pressure(*pair, target, words, frame, f"chart-{name}")
        for name, frame in (("wide", charts.WIDE), ("narrow", charts.NARROW))
    }


async def write_down_the_look(request: Request, database: Database, visitor: Visitor, resident_id: int) -> None:
    """Who looked at whom; a page that refreshes itself is the same look."""
    if "x-live" not in request.headers:
        async with database.service() as c:
            await audit.record(c, "opened_resident", visitor.person_id, resident_id)


@router.post("/doctor/residents/{resident_id}/notes")
async def add_note(
    request: Request, visitor: Doctor, resident_id: int, text: Annotated[str, Form(max_length=4000)]
) -> Response:
    """A note about the resident."""
    await keep_note(request, visitor, resident_id, text)
    return back_to(f"/doctor/residents/{resident_id}")
