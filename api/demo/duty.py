"""The demo's duty rota: two courtyards with their buildings, who takes turns by day and by night, who lives where.

It is written once and goes on by itself: shifts and rotations have no end. A start that finds nobody away in the next two
weeks adds what a living rota has in them: a leave for which one stands in and which leaves a gap, a swap that was made, and
one that waits for an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final
from uuid import UUID

from alerts import on_duty
from alerts.policy import SHIPPED, Target, content
from alerts.rota import Duty, Rota
from alerts.shifts import instant
from api.demo.holidays import holidays
from api.demo.neighbourhood import (
    ADMINISTRATOR,
    BUILDING_LEADERS,
    CARE_WORKERS,
    COURTYARDS,
    DOCTORS,
    DUTY_LINE,
    SUPERVISOR,
    VOLUNTEERS,
    Human,
)
from store import duty_changes, people, policies, rosters, rota, team
from store.duty_changes import NewChange, NewSwap
from store.postgres import Connection
from store.rosters import NewRotation, NewShift

_ALL_WEEK: Final = range(1, 8)
_WEEKDAYS: Final = range(1, 6)
_BEGUN: Final = timedelta(days=28)
"""How long the rotations have been going when the demo is first started."""
_AHEAD: Final = timedelta(days=14)
_DAY: Final = timedelta(days=1)
_SKILLS: Final[Mapping[str, tuple[str, ...]]] = {
    "liu.fang": ("first_aid", "lifting", "keys"),
    "zhou.jie": ("first_aid", "dementia", "keys"),
    "he.ping": ("first_aid", "lifting", "driver"),
    "xu.lei": ("nursing", "first_aid", "keys"),
    "tang.yun": ("first_aid", "keys"),
    "gu.minhua": ("nursing", "dementia", "keys"),
}


@dataclass(slots=True)
class _Plan:
    """What is needed while it is being written. ``persons`` by sign-in name, helpers by their telephone."""

    c: Connection
    centre: int
    persons: dict[str, UUID]
    zone: tzinfo
    first: date
    """A Monday in the past: on it everything began."""

    def who(self, *humans: Human) -> tuple[UUID, ...]:
        return tuple(self.persons[human.username or human.phone] for human in humans)

    async def roster(
        self, role: str, line: int, zh: str, en: str, area: int | None = None, *, must_cover: bool = True
    ) -> int:
        return await rosters.add_roster(self.c, self.centre, role, line, zh, en, area_id=area, must_cover=must_cover)

    async def turns(self, roster: int, every: str, starts: str, zh: str, en: str, humans: tuple[Human, ...]) -> int:
        """A rotation, each for one day or week."""
        begun = datetime.combine(self.first, time.fromisoformat(starts))
        new = NewRotation(roster, zh, en, every, 1, begun, self.who(*humans))
        return await rosters.add_rotation(self.c, self.centre, new)

    async def shift(
        self,
        roster: int,
        hours: str,
        *,
        weekdays: range = _ALL_WEEK,
        on_holidays: str = "also",
        person: Human | None = None,
        rotation: int | None = None,
    ) -> None:
        starts, ends = (time.fromisoformat(clock) for clock in hours.split("-"))
        whose = self.who(person)[0] if person else None
        new = NewShift(roster, weekdays, starts, ends, self.first, None, on_holidays, whose, rotation)
        await rosters.add_shift(self.c, self.centre, new)


async def write(
    c: Connection, centre_id: int, staff: Mapping[str, UUID], living: Mapping[int, int], now: datetime
) -> None:
    """Write the rota if it is not there, and what happens in its next two weeks. ``living``: each resident's building."""
    zone = await rota.time_zone(c, centre_id)
    today = now.astimezone(zone).date()
    if not await rota.areas(c, centre_id):
        first = today - _BEGUN - today.weekday() * _DAY
        plan = _Plan(c, centre_id, dict(staff), zone, first)
        await _settle(plan, living, now)
    for year in (today.year, today.year + 1):
        for day, names in holidays(year).items():
            await rosters.set_holiday(c, centre_id, day, *names)
    if not await rota.absences(c, centre_id, now, now + _AHEAD):
        await _happen(c, centre_id, staff, zone, now)


async def _settle(plan: _Plan, living: Mapping[int, int], now: datetime) -> None:
    before = await rota.rosters(plan.c, plan.centre)
    for human in (*VOLUNTEERS, *BUILDING_LEADERS.values()):
        plan.persons[human.phone] = await _helper(plan, human)
    for name, skills in _SKILLS.items():
        await team.describe(plan.c, plan.centre, plan.persons[name], skills, ("zh-CN", "wuu"))
    await _write_staff(plan)
    for n, ((zh, en), buildings) in enumerate(COURTYARDS.items()):
        courtyard = await rosters.add_area(plan.c, plan.centre, zh, en)
        await _write_volunteers(plan, courtyard, zh, en, VOLUNTEERS[2 * n : 2 * n + 2])
        for building in buildings:
            await _write_building(plan, courtyard, building, [r for r, where in living.items() if where == building])
    await policies.set_fallback(plan.c, plan.centre, DUTY_LINE.phone)
    await _write_policy(plan, now)
    for old in before:
        await rosters.remove_roster(plan.c, plan.centre, old.id, now)


async def _helper(plan: _Plan, human: Human) -> UUID:
    known = await people.person_by_phone(plan.c, human.phone)
    if known is not None:
        return known.id
    return await team.add_helper(plan.c, plan.centre, human.name_zh, human.name_en, human.phone, human.language)


async def _write_staff(plan: _Plan) -> None:
    """Care workers take turns so that a night is followed by a free day, and nobody is called first and second at once."""
    first = await plan.roster("care_worker", 1, "一线护理", "Care workers, called first")
    by_day = await plan.turns(first, "days", "08:00", "白班轮换", "Day turns", CARE_WORKERS)
    by_night = await plan.turns(first, "days", "20:00", "夜班轮换", "Night turns", _later(2))
    await plan.shift(first, "08:00-20:00", rotation=by_day)
    await plan.shift(first, "20:00-08:00", rotation=by_night)
    second = await plan.roster("care_worker", 2, "二线护理", "Care workers, called second")
    standing_by = await plan.turns(second, "days", "08:00", "备班轮换", "Stand-by turns", _later(3))
    await plan.shift(second, "08:00-08:00", rotation=standing_by)
    supervisors = await plan.roster("supervisor", 1, "主管值班", "Supervisor")
    await plan.shift(supervisors, "00:00-00:00", person=SUPERVISOR)
    doctors = await plan.roster("doctor_on_call", 1, "医生听班", "Doctor on call")
    weekly = await plan.turns(doctors, "weeks", "08:00", "医生轮换", "Doctors' turns", DOCTORS)
    await plan.shift(doctors, "08:00-08:00", rotation=weekly)


async def _write_policy(plan: _Plan, now: datetime) -> None:
    """In an emergency the neighbours are asked too: they are there before anybody of the centre."""
    shipped = SHIPPED["high"]
    neighbours = (Target("duty", "building_leader"), Target("duty", "volunteer"))
    first, second, *rest = shipped.steps
    steps = (first, replace(second, targets=(*second.targets, *neighbours)), *rest)
    written = content(replace(shipped, steps=steps))
    administrator = plan.persons[ADMINISTRATOR.username]
    number = await policies.save(
        plan.c, plan.centre, "紧急：邻里一起", "Emergency: neighbours too", written, administrator, now
    )
    await policies.use(plan.c, plan.centre, "high", number)


def _later(turns: int) -> tuple[Human, ...]:
    return (*CARE_WORKERS[turns:], *CARE_WORKERS[:turns])


async def _write_volunteers(plan: _Plan, area: int, zh: str, en: str, humans: tuple[Human, ...]) -> None:
    """On workdays by turns; on holidays, when staff are few, both, and longer."""
    roster = await plan.roster("volunteer", 1, f"{zh}志愿者", f"Volunteers of {en}", area, must_cover=False)
    weekly = await plan.turns(roster, "weeks", "09:00", f"{zh}志愿者轮换", f"Volunteers' turns, {en}", humans)
    await plan.shift(roster, "09:00-17:00", weekdays=_WEEKDAYS, on_holidays="not", rotation=weekly)
    for human in humans:
        await plan.shift(roster, "08:00-20:00", on_holidays="only", person=human)


async def _write_building(plan: _Plan, courtyard: int, building: int, residents: list[int]) -> None:
    area = await rosters.add_area(plan.c, plan.centre, f"{building}号楼", f"Building {building}", courtyard)
    await team.settle(plan.c, plan.centre, residents, area)
    if leader := BUILDING_LEADERS.get(building):
        zh, en = f"{building}号楼楼长", f"Leader of building {building}"
        roster = await plan.roster("building_leader", 1, zh, en, area, must_cover=False)
        await plan.shift(roster, "07:00-22:00", person=leader)


async def _happen(c: Connection, centre: int, staff: Mapping[str, UUID], zone: tzinfo, now: datetime) -> None:
    planned = await on_duty.rota(c, centre, now, now + _AHEAD)
    first, second = (next(r.id for r in planned.rosters if (r.role, r.line) == ("care_worker", n)) for n in (1, 2))
    liu, zhou, he, xu, tang = (staff[human.username] for human in CARE_WORKERS)
    stand_by = next(d for d in planned.duties_of(tang, now + 6 * _DAY, planned.until) if d.turn.roster == second)
    day = stand_by.begins.astimezone(zone).date()
    start, end = (instant(day + days * _DAY, time(0), zone) for days in (0, 3))
    await duty_changes.begin_absence(c, centre, tang, "leave", start, end, now, by=tang)
    for duty in (d for d in planned.duties_of(tang, start, end) if d.turn.roster == first):
        free = next(p for p in (liu, zhou, he, xu) if not planned.duties_of(p, duty.begins, duty.ends))
        new = NewChange(first, duty.begins, duty.ends, free, tang, "唐云休假")
        await on_duty.add_change(c, centre, new, now, by=staff[ADMINISTRATOR.username])
    planned = await on_duty.rota(c, centre, now, now + _AHEAD)
    gives, takes = _free_hours(planned, he, xu, first, now + _DAY), _free_hours(planned, xu, he, first, now + _DAY)
    if gives and takes:
        swap = NewSwap(first, he, xu, gives.begins, gives.ends, takes.begins, takes.ends)
        await on_duty.accept_swap(c, centre, await on_duty.ask_swap(c, centre, swap, now), now, xu)
    if asked := _free_hours(planned, zhou, liu, first, now + 2 * _DAY):
        await on_duty.ask_swap(c, centre, NewSwap(first, zhou, liu, asked.begins, asked.ends), now)


def _free_hours(planned: Rota, person: UUID, other: UUID, roster: int, after: datetime) -> Duty | None:
    """Her next duty in a roster that begins after this moment, and during which the other has none."""
    for duty in planned.duties_of(person, after, planned.until):
        whole = after < duty.begins and duty.ends < planned.until
        if whole and duty.turn.roster == roster and not planned.duties_of(other, duty.begins, duty.ends):
            return duty
    return None
