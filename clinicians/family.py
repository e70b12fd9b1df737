"""The family's page: one honest sentence, the last values with their age, and who is on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request, Response

from alerts import judging
from alerts.deployment import in_force, made_by
from alerts.judging import Target
from clinicians import cases, vitals
from clinicians.doctor import words_of
from clinicians.pages import PageRoute, render
from clinicians.visitor import Relative
from clinicians.words import Words
from store import alerts, portal, readings, residents
from store.people import Centre
from store.postgres import Database
from store.readings import Latest
from store.residents import Related, Relation, Resident

router = APIRouter(route_class=PageRoute, include_in_schema=False)

_PRESSING: Final = ("waiting", "taken", "attended", "cancelled", "shelved")
"""What is said first, when several alerts are open."""
RECENT: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Kin:
    """One relative's page. ``mood``: ``well``, ``watch`` (something is not as planned), ``quiet`` (nothing heard),
    ``alarm``; the page shows it by words and a sign, not by colour alone."""

    called: str
    mood: str
    sentence: str
    known: str
    vitals: tuple[vitals.Vital, ...]
    open_cases: tuple[cases.Case, ...]
    closed_cases: tuple[cases.Case, ...]
    phone: str | None
    doctor: str


def called(resident: Resident, relations: Sequence[Relation], words: Words) -> str:
    """What this relative calls the resident; without such a word, her name."""
    names = (
        r.called_zh if words.language == "zh_Hans" else r.called_en for r in relations if r.resident_id == resident.id
    )
    return next((name for name in names if name), resident.name(words.language))


def say(
    who: str,
    open_cases: Sequence[cases.Case],
    latest: Mapping[str, Latest],
    target: Target,
    words: Words,
    moved_at: datetime | None = None,
) -> tuple[str, str, str]:
    """Mood, sentence, and what the sentence rests on with its age. Nothing is called well without a recent sign."""
    pressing = [case for case in open_cases if not case.is_task]
    if pressing:
        return _alarm(who, pressing, words)
    heard = vitals.newest_sign(latest, moved_at)
    pressure = vitals.pressure(latest, target, words)
    if heard is None:
        return (
            "quiet",
            words.gettext("No readings from %(who)s yet.", who=who),
            words.gettext("Nothing has been measured so far."),
        )
    known = _known(pressure, heard, words)
    if words.now - heard > vitals.STALE:
        sentence = words.gettext("No readings from %(who)s since %(when)s.", who=who, when=words.when(heard))
        return "quiet", sentence, words.gettext("Perhaps nothing was measured. A call would be good.")
    if pressure and not pressure.is_stale and pressure.standing != "within":
        above = words.gettext("%(who)s seems well; the blood pressure is above target.", who=who)
        below = words.gettext("%(who)s seems well; the blood pressure is below target.", who=who)
        return "watch", above if pressure.standing == "above" else below, known
    return "well", words.gettext("%(who)s is well, as far as we can see.", who=who), known


def _alarm(who: str, pressing: Sequence[cases.Case], words: Words) -> tuple[str, str, str]:
    case = pressing[0]
    if case.standing == "attended":
        return "watch", words.gettext("%(helper)s is looking after %(who)s.", helper=case.taken_by, who=who), ""
    if case.standing == "cancelled":
        sentence = words.gettext("%(who)s has said that all is well. The health centre will still ask.", who=who)
        return "watch", sentence, ""
    if case.standing == "taken":
        return (
            "watch",
            words.gettext("%(helper)s knows about %(who)s and is seeing to it.", helper=case.taken_by, who=who),
            "",
        )
    if case.standing == "shelved":
        return "watch", words.gettext("The health centre knows about %(who)s and will look again.", who=who), ""
    if case.exhausted_at:
        sentence = words.gettext("%(who)s may need help, and nobody has answered our calls yet.", who=who)
        return "alarm", sentence, words.gettext("We go on calling. Please ring, or go there if you can.")
    return "alarm", words.gettext("%(who)s may need help. We are calling a care worker.", who=who), ""


def _known(pressure: vitals.Vital | None, heard: object, words: Words) -> str:
    if pressure is None or pressure.is_stale:
        return words.gettext("No alert is open.")
    return words.gettext(
        "Blood pressure %(value)s, measured %(when)s. No alert is open.",
        value=pressure.text,
        when=words.when(pressure.at),
    )


@router.get("/family")
async def show(request: Request, visitor: Relative) -> Response:
    """Everybody this visitor is family of."""
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        words = await words_of(c, visitor)
        centre = await portal.centre_of(c, visitor.person_id)
        everybody = await residents.residents(c)
        relations = await residents.relations(c, visitor.person_id)
        latest = await readings.latest(c)
        moved = await portal.last_movement(c, words.now - vitals.STALE)
        rows = [row for r in everybody for row in await alerts.of_resident(c, r.id, 10)]
        protocols = await made_by(c, await in_force(c, words.now), rows)
        targets = await judging.targets(c, protocols.present, words.now)
        names = await portal.names(c, cases.named(rows))
        around = await residents.around_each(c, [r.id for r in everybody])
    known = [cases.case(row, protocols, "family", words, names, visitor.person_id) for row in rows]
    kin = [
        _kin(
            called(r, relations, words),
            r,
            targets[r.id],
            [case for case in known if case.resident_id == r.id],
            latest.get(r.id, {}),
            around.get(r.id, []),
            words,
            moved.get(r.id),
        )
        for r in everybody
    ]
    return render(request, "family.html", words=words, kin=kin, centre=centre, centre_name=centre_name(centre, words))


def _kin(
    who: str,
    resident: Resident,
    target: Target,
    known: Sequence[cases.Case],
    latest: Mapping[str, Latest],
    around: Sequence[Related],
    words: Words,
    moved_at: datetime | None,
) -> Kin:
    open_cases = sorted(
        (case for case in known if case.standing != "closed"), key=lambda case: _PRESSING.index(case.standing)
    )
    closed = [case for case in known if case.closed_at and words.now - case.closed_at < RECENT and not case.is_task]
    mood, sentence, basis = say(who, open_cases, latest, target, words, moved_at)
    doctor = next((person.name(words.language) for person in around if person.kind == "doctor"), "")
    return Kin(
        called=who,
        mood=mood,
        sentence=sentence,
        known=basis,
        vitals=tuple(vitals.latest_vitals(latest, target, words)),
        open_cases=tuple(case for case in open_cases if not case.is_task),
        closed_cases=tuple(closed),
        phone=resident.phone,
        doctor=doctor,
    )


def centre_name(centre: Centre | None, words: Words) -> str:
    """The health centre as it is written in the reader's language."""
    if centre is None:
        return words.gettext("the health centre")
    return centre.name_zh if words.language == "zh_Hans" else centre.name_en
