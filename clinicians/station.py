"""The wall screen where staff meet: who waits for somebody, who is on the way, who is on duty, and whether the chain holds.

It is read from across a room and never touched after the first tap that lets it sound. What an alert is about stands on
it only for residents whom the account cares for; for an administrator's account nobody's health does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response

from alerts import on_duty
from alerts.deployment import in_force, made_by
from alerts.rota import Turn
from clinicians import cases
from clinicians.doctor import words_of
from clinicians.pages import PageRoute, render
from clinicians.visitor import StaffOrAdministrator
from clinicians.words import Words
from store import alerts, people, portal, rota, self_watch
from store.people import Centre, Person
from store.portal import CentreAlert
from store.postgres import Connection, Database
from store.rota import Roster

router = APIRouter(route_class=PageRoute, include_in_schema=False)

Standing = Literal["exhausted", "waiting", "coming", "there"]

MOST_PLACES: Final = 4
"""How many residents for whom nobody comes fit on a screen in letters that can be read from 4 m."""

MOST_DUTIES: Final = 8
SLOW: Final = timedelta(minutes=1)
"""An urgent message on its way for longer than this is told: by then another has been sent (alerts.dispatch)."""

_STANDINGS: Final[tuple[Standing, ...]] = ("exhausted", "waiting", "coming", "there")
_PRIORITIES: Final = ("high", "medium", "low")


@dataclass(frozen=True, slots=True)
class Place:
    """One resident on the wall, with all her open alerts as one: the worst standing, the worst priority, the longest wait.

    ``at`` is since when it stands so. ``by`` is the moment at which it goes on by itself: the next call, or the time by
    which somebody has promised to be there.
    """

    resident_id: int
    name: str
    address: str
    standing: Standing
    priority: str
    priority_word: str
    at: datetime
    by: datetime | None
    taker: str
    sentence: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class Wall:
    """The screen. ``unanswered`` are those to whom nobody comes, worst first; ``more`` of them have no room."""

    unanswered: tuple[Place, ...]
    more: int
    answered: tuple[Place, ...]

    @property
    def sounds(self) -> str:
        """What is to be heard: ``exhausted``, ``waiting`` (urgent ones alone), or nothing."""
        if any(place.standing == "exhausted" for place in self.unanswered):
            return "exhausted"
        return "waiting" if any(place.priority == "high" for place in self.unanswered) else ""


@dataclass(frozen=True, slots=True)
class Duty:
    """A roster at this moment: who of it can be called; nobody, though somebody must be, is a gap."""

    roster: str
    names: tuple[str, ...]

    @property
    def is_gap(self) -> bool:
        """Whether nobody of it can be called."""
        return not self.names


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing about the chain that calls people; ``is_bad``: it may not reach them."""

    text: str
    is_bad: bool = False


def chain(known: self_watch.Standing, words: Words) -> tuple[Remark, ...]:
    """Whether the chain has proved itself, and how long the oldest urgent message has been on its way."""
    return (_proof(known, words), _undelivered(known, words))


def _proof(known: self_watch.Standing, words: Words) -> Remark:
    if known.due_by is None:
        return Remark(words.gettext("The calls do not test themselves"))
    if known.is_broken(words.now):
        since = words.when(known.proved_at or known.since or words.now)
        return Remark(
            words.gettext("The test of the calls has not come through since %(when)s", when=since), is_bad=True
        )
    if known.proved_at is None:
        return Remark(words.gettext("The first test of the calls is under way"))
    return Remark(words.gettext("Calls tested %(age)s", age=words.age(known.proved_at)))


def _undelivered(known: self_watch.Standing, words: Words) -> Remark:
    if known.oldest_high is None or words.now - known.oldest_high < SLOW:
        return Remark(words.gettext("No urgent message waits"))
    span = words.span(words.now - known.oldest_high)
    return Remark(words.gettext("An urgent message has not been delivered for %(span)s", span=span), is_bad=True)


def on_duty_now(
    turns: Iterable[Turn], rosters: Iterable[Roster], names: Mapping[UUID, Person], words: Words
) -> tuple[Duty, ...]:
    """Who can be called now, by roster in the order in which they are called; and where nobody can though somebody must."""
    callable_of: dict[int, dict[str, None]] = {}
    for turn in turns:
        if turn.absence is None and turn.person in names:
            callable_of.setdefault(turn.roster, {})[names[turn.person].name(words.language)] = None
    found = (
        Duty(r.name(words.language), tuple(callable_of.get(r.id, ())))
        for r in rosters
        if r.must_cover or r.id in callable_of
    )
    return tuple(sorted(found, key=lambda duty: not duty.is_gap))[:MOST_DUTIES]


def wall(rows: Iterable[CentreAlert], sentences: Mapping[int, str], words: Words) -> Wall:
    """What stands open, one place for each resident. ``sentences`` by alert, for those that may be read here."""
    shown = [_place(row, sentences.get(row.id, ""), words) for row in rows if not _is_held_back(row, words.now)]
    places: dict[int, Place] = {}
    for place in sorted(shown, key=_worst_first):
        worse = places.get(place.resident_id)
        places[place.resident_id] = replace(worse, count=worse.count + 1) if worse else place
    unanswered = [place for place in places.values() if place.standing in ("exhausted", "waiting")]
    return Wall(
        tuple(unanswered[:MOST_PLACES]),
        len(unanswered[MOST_PLACES:]),
        tuple(place for place in places.values() if place.standing in ("coming", "there")),
    )


def _is_held_back(row: CentreAlert, now: datetime) -> bool:
    """Whether nobody is to be called yet: she is being asked whether she is well, or it is night and can wait.

    One whose first call is overdue is shown: should the calls stand still, the wall is not still too.
    """
    return row.state == "raised" and row.call == 0 and row.climb_at is not None and row.climb_at > now


def _worst_first(place: Place) -> tuple[int, int, datetime]:
    return _STANDINGS.index(place.standing), _PRIORITIES.index(place.priority), place.at


def _place(row: CentreAlert, sentence: str, words: Words) -> Place:
    standing, at = _standing(row)
    return Place(
        row.resident_id,
        row.name(words.language),
        row.address(words.language),
        standing,
        row.priority,
        words.gettext(cases.PRIORITIES[row.priority]),
        at,
        row.climb_at,
        row.taker(words.language),
        sentence,
    )


def _standing(row: CentreAlert) -> tuple[Standing, datetime]:
    if row.state == "attended":
        return "there", row.attended_at or row.raised_at
    if row.state == "acknowledged":
        return "coming", row.acknowledged_at or row.raised_at
    return "exhausted" if row.exhausted_at else "waiting", row.raised_at


@router.get("/station")
async def show(request: Request, visitor: StaffOrAdministrator) -> Response:
    """The screen."""
    database: Database = request.app.state.database
    async with database.reader(visitor.person_id) as c:
        words = await words_of(c, visitor)
        centre = await portal.centre_of(c, visitor.person_id)
        rows = await portal.centre_alerts(c)
        known = await alerts.open_alerts(c)
        protocols = await made_by(c, await in_force(c, words.now), known)
    async with database.service() as c:
        duties = await _duties(c, centre, words) if centre else ()
        remarks = chain(await self_watch.standing(c, words.now), words)
    sentences = {row.id: cases.sentence(protocols, row, "staff", words) for row in known}
    return render(
        request,
        "station.html",
        words=words,
        centre=centre,
        wall=wall(rows, sentences, words),
        duties=duties,
        remarks=remarks,
    )


async def _duties(c: Connection, centre: Centre, words: Words) -> tuple[Duty, ...]:
    present = await on_duty.rota(c, centre.id, words.now, words.now)
    turns = present.everybody(words.now)
    names = await people.people(c, sorted({turn.person for turn in turns}))
    return on_duty_now(turns, await rota.rosters(c, centre.id), names, words)
