"""The care worker's pages, made for a phone: what waits, what to do next, and one tap to take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response

from alerts import actions, judging, quality
from alerts.deployment import in_force, made_by
from alerts.judging import Target
from alerts.lifecycle import WAITS
from alerts.rule import JOINED
from clinicians import cases, falls, maintenance, vitals
from clinicians.acting import act, in_words, written
from clinicians.advice import next_steps
from clinicians.doctor import conditions, words_of, write_down_the_look
from clinicians.equipment import health
from clinicians.notes import keep_note
from clinicians.pages import PageRoute, back_to, render
from clinicians.visitor import CareWorker, Refused
from clinicians.words import Words
from store import alerts, gateways, notes, portal, readings, residents
from store import falls as fall_verdicts
from store.alerts import AlertRow
from store.postgres import Connection, Database
from store.residents import Related, Resident

router = APIRouter(route_class=PageRoute, include_in_schema=False)

ShelfTime = Literal["1", "4", "morning"]


@dataclass(frozen=True, slots=True)
class Card:
    """One open alert on the board, with what to do."""

    case: cases.Case
    steps: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """All open alerts of one resident, worst first, and whom to ring: whoever takes one takes them all."""

    resident: Resident
    age: int
    family: tuple[Related, ...]
    pressure: vitals.Vital | None
    cards: tuple[Card, ...]

    @property
    def lead(self) -> cases.Case:
        """The alert that stands for all: one that waits before one that is taken."""
        return min((card.case for card in self.cards), key=lambda case: _PLACES.index(case.standing))

    @property
    def is_urgent(self) -> bool:
        """Whether any of it is urgent."""
        return any(card.case.priority == "high" for card in self.cards)

    @property
    def waiting(self) -> int:
        """How many of its alerts wait for somebody."""
        return sum(card.case.standing == "waiting" for card in self.cards)

    def rest(self, case: cases.Case) -> tuple[cases.Case, ...]:
        """What else of hers can be closed with it: no tasks, and nothing that a colleague has taken."""
        others = (card.case for card in self.cards if card.case.id != case.id and not card.case.is_task)
        return tuple(other for other in others if other.is_mine or other.standing not in ("taken", "attended"))

    @property
    def steps(self) -> tuple[str, ...]:
        """What to do, once, though several alerts say it."""
        return tuple(dict.fromkeys(step for card in self.cards for step in card.steps))


_PLACES: Final = ("waiting", "taken", "attended", "cancelled", "shelved")


@dataclass(frozen=True, slots=True)
class Board:
    """The residents with open alerts, those nobody answers first: those that wait, mine, those who take theirs back and are
    to be asked after, those of others, those put aside. The tasks stand apart."""

    waiting: tuple[Conversation, ...]
    mine: tuple[Conversation, ...]
    asked_after: tuple[Conversation, ...]
    others: tuple[Conversation, ...]
    shelved: tuple[Conversation, ...]
    tasks: tuple[Conversation, ...]

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits for anybody."""
        return not (self.waiting or self.mine or self.asked_after or self.others or self.shelved)


def board(found: Sequence[Conversation]) -> Board:
    """Sort conversations to their places; within each the worst first, as the record gives them. Each task stands alone."""
    talks = [replace(talk, cards=urgent) for talk in found if (urgent := _cards(talk, tasks=False))]

    def those(*standings: str, mine: bool | None = None) -> tuple[Conversation, ...]:
        return tuple(t for t in talks if t.lead.standing in standings and mine in (None, t.lead.is_mine))

    return Board(
        waiting=tuple(sorted(those("waiting"), key=lambda talk: not any(c.case.exhausted_at for c in talk.cards))),
        mine=those("taken", "attended", mine=True),
        asked_after=those("cancelled"),
        others=those("taken", "attended", mine=False),
        shelved=those("shelved"),
        tasks=tuple(replace(talk, cards=(card,)) for talk in found for card in _cards(talk, tasks=True)),
    )


def _cards(talk: Conversation, *, tasks: bool) -> tuple[Card, ...]:
    return tuple(card for card in talk.cards if card.case.is_task == tasks)


@router.get("/care")
async def show_board(request: Request, visitor: CareWorker, told: str = "") -> Response:
    """The board."""
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        words = await words_of(c, visitor)
        everybody = {r.id: r for r in await residents.residents(c)}
        rows = [row for row in await alerts.open_alerts(c) if row.resident_id in everybody]
        protocols = await made_by(c, await in_force(c, words.now), rows)
        targets = await judging.targets(c, protocols.present, words.now)
        called = await portal.calls(c, [row.id for row in rows])
        lapses = await portal.lapses(c, [row.id for row in rows if row.state in WAITS])
        episodes = await quality.episodes(c, [row.id for row in rows])
        names = await portal.names(c, cases.named(rows))
        around = await residents.around_each(c, [row.resident_id for row in rows])
        latest = await readings.latest(c) if rows else {}
    cards: dict[int, list[Card]] = {}
    for row in rows:
        case = cases.case(
            row,
            protocols,
            "staff",
            words,
            names,
            visitor.person_id,
            calls=called.get(row.id, ()),
            episodes=episodes.get(row.id),
            lapse=lapses.get(row.id),
        )
        steps = next_steps(row.evidence.get(JOINED, row.rule), words)
        cards.setdefault(row.resident_id, []).append(Card(case, tuple(steps)))
    found = [
        _conversation(everybody[number], own, targets[number], around.get(number, []), latest.get(number, {}), words)
        for number, own in cards.items()
    ]
    return render(
        request,
        "care_board.html",
        words=words,
        board=board(found),
        everybody=list(everybody.values()),
        told=in_words(told, words),
        outcomes=cases.outcomes(words),
        findings=falls.choices(words),
    )


def _conversation(
    resident: Resident,
    cards: Sequence[Card],
    target: Target,
    around: Sequence[Related],
    latest: Mapping[str, readings.Latest],
    words: Words,
) -> Conversation:
    return Conversation(
        resident,
        resident.age(words.today),
        tuple(person for person in around if person.kind == "family" and person.phone),
        vitals.pressure(latest, target, words),
        tuple(cards),
    )


@router.post("/care/alerts/{alert_id}/acknowledge")
async def acknowledge(request: Request, visitor: CareWorker, alert_id: int) -> Response:
    """Take it."""
    return await act(
        request, "acknowledged", lambda c: actions.acknowledge(c, alert_id, visitor.person_id, visitor.now, "page")
    )


@router.post("/care/alerts/{alert_id}/attend")
async def attend(request: Request, visitor: CareWorker, alert_id: int) -> Response:
    """She is with the resident, or speaks to her."""
    return await act(request, "attended", lambda c: actions.attend(c, alert_id, visitor.person_id, visitor.now, "page"))


@router.post("/care/alerts/{alert_id}/decline")
async def decline(request: Request, visitor: CareWorker, alert_id: int) -> Response:
    """Cannot come: the next is called at once."""
    return await act(
        request, "declined", lambda c: actions.decline(c, alert_id, visitor.person_id, visitor.now, "page")
    )


@router.post("/care/alerts/{alert_id}/resolve")
async def resolve(
    request: Request,
    visitor: CareWorker,
    alert_id: int,
    outcome: Annotated[cases.Outcome | None, Form()] = None,
    remark: Annotated[str, Form(max_length=400)] = "",
    others: Annotated[bool, Form()] = False,
) -> Response:
    """Close it, saying what came of it; with ``others`` also what else is open of the same resident, but for falls."""
    text = written(outcome, remark) if outcome else ""

    async def close(c: Connection) -> None:
        rest = await _others(c, alert_id, visitor.person_id) if others else []
        for number in (alert_id, *(row.id for row in rest if not cases.is_fall(row.rule))):
            await actions.resolve(c, number, visitor.person_id, visitor.now, text)

    return await act(request, "closed", close)


async def _others(c: Connection, alert_id: int, person_id: UUID) -> list[AlertRow]:
    """The other open alerts of the same resident to which people are called, except those a colleague has taken."""
    row = await alerts.alert(c, alert_id)
    if row is None:
        return []
    return [
        other
        for other in await alerts.open_alerts(c, row.resident_id)
        if other.id != alert_id and other.step > 0 and other.acknowledged_by in (None, person_id)
    ]


@router.post("/care/alerts/{alert_id}/resolve-fall")
async def resolve_fall(
    request: Request,
    visitor: CareWorker,
    alert_id: int,
    finding: Annotated[falls.Code, Form()],
    remark: Annotated[str, Form(max_length=400)] = "",
    others: Annotated[bool, Form()] = False,
) -> Response:
    """Close an alert of a fall, saying whether it was one: one tap says both. With ``others`` also the rest of hers."""
    text = written(falls.outcome_of(finding), remark)

    async def close(c: Connection) -> None:
        rest = await _others(c, alert_id, visitor.person_id) if others else []
        await actions.resolve(c, alert_id, visitor.person_id, visitor.now, text)
        await _judge(c, alert_id, visitor.person_id, visitor.now, finding)
        for row in rest:
            await actions.resolve(c, row.id, visitor.person_id, visitor.now, text)
            if cases.is_fall(row.rule):
                await _judge(c, row.id, visitor.person_id, visitor.now, finding)

    return await act(request, "closed", close)


@router.post("/care/alerts/{alert_id}/finding")
async def correct_finding(
    request: Request, visitor: CareWorker, alert_id: int, finding: Annotated[falls.Code, Form()]
) -> Response:
    """Say of a closed alert anew whether it was a fall."""
    database: Database = request.app.state.database
    async with database.service() as c:
        row = await alerts.for_update(c, alert_id)
        if row is None or not await alerts.may_act(c, visitor.person_id, row.resident_id, alert_id, visitor.now):
            raise Refused(404)
        if row.state != "resolved" or not cases.is_fall(row.rule):
            raise Refused(400)
        remark = (row.outcome or "").partition(": ")[2]
        await alerts.update(c, alert_id, {"outcome": written(falls.outcome_of(finding), remark)})
        await alerts.add_event(c, alert_id, row.resident_id, "judged", at=visitor.now, person_id=visitor.person_id)
        await _judge(c, alert_id, visitor.person_id, visitor.now, finding)
    return back_to(f"/care/residents/{row.resident_id}", "judged")


async def _judge(c: Connection, alert_id: int, person_id: UUID, now: datetime, finding: falls.Code) -> None:
    row = await alerts.alert(c, alert_id)
    if row is None or not cases.is_fall(row.rule):
        raise Refused(400)
    verdict, _, what = finding.partition(".")
    await fall_verdicts.judge(c, alert_id, row.resident_id, person_id, now, verdict, what)


@router.post("/care/alerts/{alert_id}/shelve")
async def shelve(request: Request, visitor: CareWorker, alert_id: int, until: Annotated[ShelfTime, Form()]) -> Response:
    """Put it aside for a while."""
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        words = await words_of(c, visitor)
    end = _shelf_end(until, words, visitor.now)
    return await act(request, "shelved", lambda c: actions.shelve(c, alert_id, visitor.person_id, visitor.now, end))


def _shelf_end(until: ShelfTime, words: Words, now: datetime) -> datetime:
    """In so many hours, or at the next eight o'clock of the centre's morning."""
    if until != "morning":
        return now + timedelta(hours=int(until))
    local = words.local(now)
    morning = datetime.combine(local.date(), time(8), words.zone)
    return (morning if local < morning else morning + timedelta(days=1)).astimezone(UTC)


@router.get("/care/residents/{resident_id}")
async def show_resident(request: Request, visitor: CareWorker, resident_id: int, told: str = "") -> Response:
    """One resident: whom to ring, last values, notes, devices."""
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        resident = await residents.resident(c, resident_id)
        if resident is None:
            raise Refused(404)
        words = Words.of(visitor.language, resident.time_zone, visitor.now)
        around = await residents.around(c, resident_id)
        latest = (await readings.latest(c, resident_id)).get(resident_id, {})
        rows = await alerts.of_resident(c, resident_id, 10)
        protocols = await made_by(c, await in_force(c, words.now), rows)
        target = await judging.target_of(c, protocols.present, resident_id, words.now)
        names = await portal.names(c, cases.named(rows))
        devices = await gateways.devices(c, resident_id)
        written = await notes.of_resident(c, resident_id)
        fallen = await falls.of_alerts(c, resident_id, rows, words)
        episodes = await quality.episodes(c, [row.id for row in rows])
        lapses = await portal.lapses(c, [row.id for row in rows if row.state in WAITS])
        maintained = await maintenance.of_resident(c, resident_id, protocols.present, words)
    await write_down_the_look(request, database, visitor, resident_id)
    known = [
        cases.case(
            row,
            protocols,
            "staff",
            words,
            names,
            visitor.person_id,
            episodes=episodes.get(row.id),
            lapse=lapses.get(row.id),
        )
        for row in rows
    ]
    return render(
        request,
        "care_resident.html",
        words=words,
        resident=resident,
        conditions=conditions(resident, protocols.present, words),
        around=around,
        vitals=vitals.latest_vitals(latest, target, words),
        cases=known,
        devices=[health(device, words) for device in devices],
        notes=written,
        fallen=fallen,
        findings=falls.choices(words),
        maintained=maintained,
        hours=maintenance.HOURS,
        told=in_words(told, words),
    )


@router.post("/care/residents/{resident_id}/notes")
async def add_note(
    request: Request,
    visitor: CareWorker,
    resident_id: int,
    text: Annotated[str, Form(max_length=4000)],
    alert_id: Annotated[int | None, Form()] = None,
) -> Response:
    """A note about the resident, or about one of her alerts."""
    await keep_note(request, visitor, resident_id, text, alert_id)
    return back_to("/care" if alert_id else f"/care/residents/{resident_id}", "noted")
