"""Who is on duty: examples as a centre would put them, and every minute against the plainest way of finding it out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from time import process_time
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.rota import LONGEST_VISIT, Absence, Area, Away, Change, OnChange, OnShift, Roster, Rota, Turn, Uncallable
from alerts.shifts import Every, OnHolidays, Rotation, Shift

SHANGHAI = ZoneInfo("Asia/Shanghai")
LI, CHEN, ZHOU, LIU, HE = (UUID(int=n) for n in range(1, 6))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MONDAY = datetime(2026, 11, 30, tzinfo=SHANGHAI)
COURTYARD, BUILDING, NEXT_DOOR = 10, 11, 12
EVERY_DAY = frozenset(range(1, 8))


def at(text: str, zone: ZoneInfo = SHANGHAI) -> datetime:
    """A moment of the week that begins on Monday, 30 November 2026: ``"Tue 03:10"``."""
    weekday, clock = text.split()
    day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].index(weekday)
    return datetime.combine(date(2026, 11, 30) + day * DAY, time.fromisoformat(clock), zone)


def shift(
    number: int,
    hours: str,
    person: UUID | None,
    *,
    roster: int = 1,
    weekdays: frozenset[int] = EVERY_DAY,
    rotation: int | None = None,
    holidays: OnHolidays = "also",
    removed_at: datetime | None = None,
) -> Shift:
    starts, ends = (time.fromisoformat(clock) for clock in hours.split("-"))
    first = date(2020, 1, 1)
    return Shift(number, roster, weekdays, starts, ends, first, None, holidays, person, rotation, removed_at)


def change(
    number: int, start: str, end: str, person: UUID | None, instead_of: UUID | None = None, roster: int = 1
) -> Change:
    return Change(number, roster, at(start), at(end), person, instead_of)


FIRST_CALLED = Roster(1, "care_worker", 1, None)
DAY_AND_NIGHT = (shift(1, "08:00-20:00", LI), shift(2, "20:00-08:00", CHEN))


def rota(*shifts: Shift, rosters: tuple[Roster, ...] = (FIRST_CALLED,), **more: object) -> Rota:
    areas = (Area(COURTYARD, None), Area(BUILDING, COURTYARD), Area(NEXT_DOOR, COURTYARD))
    return Rota(SHANGHAI, MONDAY, MONDAY + 14 * DAY, rosters, areas, shifts or DAY_AND_NIGHT, **more)  # type: ignore[arg-type]


def called(of: Rota, when: str, area: int | None = None) -> list[UUID]:
    return [turn.person for turn in of.of("care_worker", 1, area, at(when)).turns]


def away(of: Rota, when: str, area: int | None = None) -> dict[UUID, str | None]:
    return {turn.person: turn.absence for turn in of.of("care_worker", 1, area, at(when)).absent}


def test_by_day_one_is_on_duty_and_by_night_the_other() -> None:
    days = rota()
    assert called(days, "Tue 07:59") == called(days, "Tue 20:00") == [CHEN]
    assert called(days, "Tue 08:00") == called(days, "Tue 19:59") == [LI]


def test_who_is_on_duty_at_ten_past_three_is_so_until_morning_by_a_shift_that_began_in_the_evening() -> None:
    [turn] = rota().of("care_worker", 1, None, at("Sun 03:10")).turns
    assert (turn.person, turn.roster, turn.until, turn.absence) == (CHEN, 1, at("Sun 08:00"), None)
    assert turn.why == OnShift(2, at("Sat 20:00"), at("Sun 08:00"), None, None)


def test_several_on_duty_together_are_named_in_the_order_of_their_shifts() -> None:
    assert called(rota(*DAY_AND_NIGHT, shift(3, "18:00-22:00", ZHOU)), "Mon 19:00") == [LI, ZHOU]
    assert called(rota(*DAY_AND_NIGHT, shift(3, "00:00-00:00", LI)), "Mon 19:00") == [LI]


def test_a_rotation_says_whose_turn_it_is_and_when_it_is_handed_over() -> None:
    weekly = Rotation(7, "weeks", 1, at("Mon 08:00").replace(tzinfo=None), (LI, CHEN, ZHOU))
    nights = rota(shift(1, "20:00-08:00", None, rotation=7), rotations=(weekly,))
    assert called(nights, "Sun 23:00") == [LI]
    [turn] = nights.of("care_worker", 1, None, at("Mon 23:00") + 7 * DAY).turns
    assert turn.person == CHEN
    assert isinstance(turn.why, OnShift)
    assert turn.why.turn is not None
    assert (turn.why.turn.rotation, turn.why.turn.place, turn.why.turn.places) == (7, 2, 3)
    assert turn.why.turn.ends == at("Mon 08:00") + 14 * DAY


def test_a_handover_in_the_middle_of_a_shift_hands_it_over() -> None:
    daily = Rotation(7, "days", 1, at("Mon 12:00").replace(tzinfo=None), (LI, CHEN))
    days = rota(shift(1, "08:00-20:00", None, rotation=7), rotations=(daily,))
    assert [called(days, when) for when in ("Mon 11:59", "Mon 12:00", "Tue 11:59", "Tue 12:00")] == [
        [],
        [LI],
        [LI],
        [CHEN],
    ]
    [turn] = days.of("care_worker", 1, None, at("Tue 09:00")).turns
    assert turn.until == at("Tue 12:00")


def test_a_change_adds_takes_off_and_replaces() -> None:
    assert called(rota(changes=[change(1, "Mon 09:00", "Mon 12:00", ZHOU)]), "Mon 10:00") == [LI, ZHOU]
    assert called(rota(changes=[change(1, "Mon 09:00", "Mon 12:00", None, LI)]), "Mon 10:00") == []
    replaced = rota(changes=[change(1, "Mon 09:00", "Mon 12:00", ZHOU, LI)])
    assert called(replaced, "Mon 10:00") == [ZHOU]
    assert called(replaced, "Mon 08:59") == called(replaced, "Mon 12:00") == [LI]


def test_a_change_of_somebody_who_is_not_on_duty_changes_nothing() -> None:
    assert called(rota(changes=[change(1, "Mon 09:00", "Mon 12:00", ZHOU, CHEN)]), "Mon 10:00") == [LI]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ([(ZHOU, LI), (LIU, ZHOU)], [LIU]),
        ([(ZHOU, LI), (LIU, LI)], [LIU]),
        ([(ZHOU, LI), (LI, ZHOU)], [LI]),
        ([(None, LI), (ZHOU, LI)], [ZHOU]),
        ([(None, LI), (LI, None)], [LI]),
        ([(LI, None), (None, LI)], []),
        ([(ZHOU, LI), (None, LI)], [ZHOU]),
        ([(ZHOU, LI), (LI, None), (LIU, LI)], [ZHOU, LIU]),
        ([(ZHOU, None), (ZHOU, LI)], [ZHOU]),
        ([(ZHOU, None), (ZHOU, LI), (LIU, ZHOU)], [LIU]),
    ],
)
def test_the_newest_change_has_the_last_word(
    changes: list[tuple[UUID | None, UUID | None]], expected: list[UUID]
) -> None:
    laid = [change(n, "Mon 09:00", "Mon 12:00", person, off) for n, (person, off) in enumerate(changes, start=1)]
    assert called(rota(changes=laid), "Mon 10:00") == expected


def test_a_place_stays_hers_while_another_has_it() -> None:
    replaced = rota(changes=[change(1, "Mon 08:00", "Mon 20:00", ZHOU, LI)])
    hours = (at("Mon 09:00"), at("Mon 10:00"))
    assert [replaced.has_place(person, 1, *hours) for person in (LI, ZHOU, CHEN)] == [True, True, False]
    assert not replaced.has_place(LI, 2, *hours)


def test_a_change_of_a_change_is_explained_down_to_the_shift() -> None:
    first, second = change(1, "Mon 09:00", "Mon 18:00", ZHOU, LI), change(2, "Mon 10:00", "Mon 12:00", LIU, ZHOU)
    [turn] = rota(changes=[first, second]).of("care_worker", 1, None, at("Mon 11:00")).turns
    assert turn.until == at("Mon 12:00")
    assert turn.why == OnChange(second, OnChange(first, OnShift(1, at("Mon 08:00"), at("Mon 20:00"), None, None)))


def test_who_is_off_sick_or_on_leave_is_passed_over_and_named() -> None:
    absences = [Absence(LI, "sick", at("Mon 12:00"), None), Absence(CHEN, "leave", at("Tue 00:00"), at("Wed 00:00"))]
    sick = rota(absences=absences)
    assert called(sick, "Mon 11:59") == [LI]
    assert (called(sick, "Fri 12:00"), away(sick, "Fri 12:00")) == ([], {LI: "sick"})
    assert [away(sick, when) for when in ("Mon 23:59", "Tue 00:00", "Wed 00:00")] == [{}, {CHEN: "leave"}, {}]
    assert sick.of("care_worker", 1, None, at("Mon 10:00")).turns[0].until == at("Mon 12:00")


def test_a_visit_of_which_nobody_says_that_it_is_over_does_not_last_for_ever() -> None:
    visiting = rota(absences=[Absence(LI, "on_visit", at("Mon 09:00"), None)])
    assert away(visiting, "Mon 12:59") == {LI: "on_visit"}
    assert called(visiting, "Mon 13:00") == [LI]
    assert LONGEST_VISIT == 4 * HOUR


def test_who_is_away_for_two_reasons_is_so_for_the_later_one() -> None:
    both = [Absence(LI, "on_visit", at("Mon 09:00"), None), Absence(LI, "sick", at("Mon 10:00"), None)]
    assert [away(rota(absences=both), when)[LI] for when in ("Mon 09:30", "Mon 10:30")] == ["on_visit", "sick"]


def test_who_cannot_be_called_at_all_is_on_duty_in_vain() -> None:
    without = rota(uncallable={LI: "no_phone", CHEN: "left"})
    assert away(without, "Mon 10:00") == {LI: "no_phone"}
    assert away(without, "Mon 22:00") == {CHEN: "left"}


NEAR_AND_FAR = (
    Roster(1, "care_worker", 1, None),
    Roster(2, "care_worker", 1, COURTYARD),
    Roster(3, "care_worker", 1, BUILDING),
    Roster(4, "care_worker", 2, BUILDING),
)
ONE_EACH = (
    shift(1, "00:00-00:00", LI, roster=1),
    shift(2, "08:00-20:00", CHEN, roster=2),
    shift(3, "08:00-18:00", ZHOU, roster=3),
    shift(4, "00:00-00:00", LIU, roster=4),
)


def test_the_nearest_area_counts_in_which_somebody_can_be_called() -> None:
    near = rota(*ONE_EACH, rosters=NEAR_AND_FAR, absences=[Absence(ZHOU, "sick", at("Tue 00:00"), None)])
    assert [called(near, "Mon 12:00", area) for area in (BUILDING, NEXT_DOOR, None, 99)] == [[ZHOU], [CHEN], [LI], [LI]]
    assert called(near, "Mon 19:00", BUILDING) == [CHEN]
    assert called(near, "Mon 23:00", BUILDING) == [LI]
    assert (called(near, "Tue 12:00", BUILDING), away(near, "Tue 12:00", BUILDING)) == ([CHEN], {ZHOU: "sick"})
    assert [t.person for t in near.of("care_worker", 2, BUILDING, at("Mon 12:00")).turns] == [LIU]
    assert near.of("volunteer", 1, BUILDING, at("Mon 12:00")).turns == ()


def test_who_has_proved_out_of_reach_is_looked_past_to_the_next_area() -> None:
    near = rota(*ONE_EACH, rosters=NEAR_AND_FAR)
    found = near.of("care_worker", 1, BUILDING, at("Mon 12:00"), without={ZHOU, CHEN})
    assert [turn.person for turn in found.turns] == [LI]


def test_areas_that_lie_in_each_other_do_not_go_round_for_ever() -> None:
    circle = Rota(SHANGHAI, MONDAY, MONDAY, (FIRST_CALLED,), (Area(1, 2), Area(2, 1)), DAY_AND_NIGHT)
    assert circle.areas_of(1) == (1, 2)
    assert circle.areas_of(None) == ()
    assert [t.person for t in circle.of("care_worker", 1, 1, MONDAY).turns] == [CHEN]


def test_a_rota_answers_only_for_the_time_it_knows() -> None:
    known = rota()
    for ask in (
        lambda: known.of("care_worker", 1, None, MONDAY - timedelta(seconds=1)),
        lambda: known.gaps(MONDAY, MONDAY + 15 * DAY),
        lambda: known.duties_of(LI, MONDAY - DAY, MONDAY + DAY),
    ):
        with pytest.raises(ValueError, match="reaches from"):
            ask()
    assert known.of("care_worker", 1, None, known.until).turns


def test_hours_at_which_nobody_can_be_called_are_gaps() -> None:
    sick = Absence(CHEN, "sick", at("Wed 18:00"), at("Thu 12:00"))
    weekend_free = rota(
        shift(1, "08:00-20:00", LI, weekdays=frozenset(range(1, 6))),
        shift(2, "20:00-08:00", CHEN),
        absences=[sick],
    )
    assert [(gap.begins, gap.ends, gap.absent) for gap in weekend_free.gaps(MONDAY, MONDAY + 7 * DAY)] == [
        (at("Wed 20:00"), at("Thu 08:00"), (CHEN,)),
        (at("Sat 08:00"), at("Sat 20:00"), ()),
        (at("Sun 08:00"), at("Sun 20:00"), ()),
    ]


def test_what_need_not_be_covered_or_is_no_more_has_no_gaps() -> None:
    rosters = (
        Roster(1, "volunteer", 1, None, must_cover=False),
        Roster(2, "supervisor", 1, None, removed_at=at("Tue 00:00")),
    )
    found = rota(shift(1, "08:00-09:00", LI), rosters=rosters).gaps(MONDAY, MONDAY + 7 * DAY)
    assert [(gap.roster, gap.begins, gap.ends) for gap in found] == [(2, MONDAY, at("Tue 00:00"))]


def test_where_neither_building_nor_courtyard_nor_centre_has_anybody_is_unmanned() -> None:
    near = rota(
        shift(1, "08:00-20:00", CHEN, roster=2),
        shift(2, "19:00-23:00", ZHOU, roster=3),
        rosters=(Roster(2, "care_worker", 1, COURTYARD), Roster(3, "care_worker", 1, BUILDING)),
    )
    monday = (at("Mon 12:00"), at("Tue 12:00"))
    assert list(near.unmanned("care_worker", 1, BUILDING, *monday)) == [(at("Mon 23:00"), at("Tue 08:00"))]
    assert list(near.unmanned("care_worker", 1, NEXT_DOOR, *monday)) == [(at("Mon 20:00"), at("Tue 08:00"))]
    assert list(near.unmanned("care_worker", 1, None, *monday)) == [monday]


def test_each_one_sees_her_own_duties() -> None:
    days = rota(changes=[change(1, "Tue 10:00", "Tue 12:00", CHEN, LI)])
    assert [(d.begins, d.ends) for d in days.duties_of(LI, at("Mon 12:00"), at("Wed 00:00"))] == [
        (at("Mon 12:00"), at("Mon 20:00")),
        (at("Tue 08:00"), at("Tue 10:00")),
        (at("Tue 12:00"), at("Tue 20:00")),
    ]
    assert [(d.begins, d.ends) for d in days.duties_of(CHEN, at("Tue 00:00"), at("Tue 23:00"))] == [
        (at("Tue 00:00"), at("Tue 08:00")),
        (at("Tue 10:00"), at("Tue 12:00")),
        (at("Tue 20:00"), at("Tue 23:00")),
    ]


def test_an_answer_is_explained_by_every_roster_that_was_looked_at() -> None:
    taken_off = change(1, "Mon 08:00", "Mon 20:00", None, ZHOU, roster=3)
    near = rota(*ONE_EACH, rosters=NEAR_AND_FAR, changes=[taken_off])
    explained = near.explain("care_worker", 1, BUILDING, at("Mon 12:00"))
    assert [(one.roster.id, one.chosen) for one in explained.looked] == [(3, False), (2, True), (1, False)]
    building = explained.looked[0]
    assert building.off == (taken_off,)
    assert building.manned_from == at("Tue 08:00")
    assert [turn.person for turn in explained.answer.turns] == [CHEN]


def test_a_holiday_and_a_rotation_that_has_not_begun_explain_why_nobody_is_on_duty() -> None:
    weekly = Rotation(7, "weeks", 1, at("Sun 08:00").replace(tzinfo=None), (LI,))
    office = rota(
        shift(1, "08:00-16:00", LI, holidays="not"),
        shift(2, "08:00-16:00", None, rotation=7),
        shift(3, "08:00-12:00", ZHOU, holidays="only"),
        holidays=frozenset({date(2026, 12, 1)}),
        rotations=(weekly,),
    )
    [looked] = office.explain("care_worker", 1, None, at("Tue 14:00")).looked
    assert [(idle.shift, idle.why, idle.day) for idle in looked.idle] == [
        (1, "holiday", date(2026, 12, 1)),
        (2, "nobodys_turn", date(2026, 12, 1)),
    ]
    [turn] = office.of("care_worker", 1, None, at("Tue 10:00")).turns
    assert turn.why == OnShift(3, at("Tue 08:00"), at("Tue 12:00"), date(2026, 12, 1), None)


def test_a_thousand_residents_are_answered_for_at_once() -> None:
    buildings = [Area(n, None) for n in range(100)]
    rosters = [Roster(n, "care_worker", 1, n) for n in range(100)]
    shifts = [shift(n, hours, LI, roster=n // 2) for n, hours in enumerate(["08:00-20:00", "20:00-08:00"] * 100)]
    whole = Rota(SHANGHAI, MONDAY, MONDAY + DAY, rosters, buildings, shifts)
    began = process_time()
    found = [whole.of("care_worker", 1, resident % 100, at("Mon 12:00")) for resident in range(1000)]
    assert process_time() - began < 0.1
    assert all(answer.turns for answer in found)


# The plainest way: for one moment, look at every day and every handover, one after the other.


def shown(day: date, clock: time, zone: ZoneInfo) -> datetime:
    """When the wall clock shows it: the first such moment, or as far into the gap's other side as it lies in the gap."""
    wall = datetime.combine(day, clock)
    offsets = {(wall + n * DAY).replace(tzinfo=zone).utcoffset() or timedelta() for n in (-1, 1)}
    moments = [(wall - offset).replace(tzinfo=UTC) for offset in offsets]
    real = [m for m in moments if m.astimezone(zone).replace(tzinfo=None) == wall]
    return min(real) if real else max(moments)


def plain_turn(rotation: Rotation, zone: ZoneInfo, moment: datetime) -> UUID | None:
    begins, person, number = rotation.starts_at, None, 0
    while True:
        if rotation.every == "hours":
            handed = shown(begins.date(), begins.time(), zone) + number * rotation.length * HOUR
        elif rotation.every == "months":
            month = begins.month - 1 + number * rotation.length
            first = date(begins.year + month // 12, month % 12 + 1, 1)
            days_in_month = ((first + 31 * DAY).replace(day=1) - first).days
            handed = shown(first.replace(day=min(begins.day, days_in_month)), begins.time(), zone)
        else:
            step = rotation.length * {"days": 1, "weeks": 7}[rotation.every]
            handed = shown(begins.date() + number * step * DAY, begins.time(), zone)
        if handed > moment:
            return person
        person = rotation.persons[number % len(rotation.persons)]
        number += 1


def plain_shifts(of: Rota, roster: int, moment: datetime) -> Iterator[UUID | None]:
    zone = of.zone
    assert isinstance(zone, ZoneInfo)
    for one in (s for s in of.shifts if s.roster == roster):
        for n in range(-3, 3):
            day = moment.astimezone(zone).date() + n * DAY
            weekday = day.isoweekday() in one.weekdays
            wanted = {"also": weekday, "not": weekday and day not in of.holidays, "only": day in of.holidays}
            valid = one.valid_from <= day and (one.valid_until is None or day <= one.valid_until)
            overnight = one.ends <= one.starts
            begins, ends = shown(day, one.starts, zone), shown(day + overnight * DAY, one.ends, zone)
            removed = one.removed_at is not None and moment >= one.removed_at
            if valid and wanted[one.holidays] and begins <= moment < ends and not removed:
                rotation = next((r for r in of.rotations if r.id == one.rotation), None)
                yield one.person if rotation is None else plain_turn(rotation, zone, moment)


def plain(of: Rota, roster: Roster, moment: datetime) -> tuple[list[UUID], dict[UUID, str]]:
    """Who can be called, and who cannot, and why."""
    if roster.removed_at is not None and moment >= roster.removed_at:
        return [], {}
    places: list[list[UUID | None]] = [[p] for p in plain_shifts(of, roster.id, moment) if p is not None]
    for one in of.changes:
        if one.roster != roster.id or not one.starts_at <= moment < one.ends_at:
            continue
        if one.instead_of is None:
            if not any(place[-1] == one.person for place in places):
                places.append([one.person])
            continue
        hers = [place for place in places if place[-1] == one.instead_of]
        if one.person is not None:
            hers = hers or [place for place in places if one.instead_of in place]
        for place in hers:
            place.append(one.person)
    on = list(dict.fromkeys(place[-1] for place in places if place[-1] is not None))
    missing: dict[UUID, str] = {}
    for absence in sorted(of.absences, key=lambda a: a.starts_at):
        ends = absence.ends_at or (absence.starts_at + 4 * HOUR if absence.kind == "on_visit" else None)
        if absence.starts_at <= moment and (ends is None or moment < ends):
            missing[absence.person] = absence.kind
    missing |= of.uncallable
    return [p for p in on if p not in missing], {p: missing[p] for p in on if p in missing}


CLOCK_CHANGES = {
    ZoneInfo("Asia/Shanghai"): (datetime(2026, 11, 29, tzinfo=UTC),),
    ZoneInfo("Europe/Berlin"): (datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)),
    ZoneInfo("America/New_York"): (datetime(2026, 3, 8, 7, tzinfo=UTC), datetime(2026, 11, 1, 6, tzinfo=UTC)),
    ZoneInfo("Australia/Lord_Howe"): (datetime(2026, 4, 4, 15, tzinfo=UTC), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
    ZoneInfo("America/St_Johns"): (datetime(2010, 3, 14, 3, 31, tzinfo=UTC), datetime(2010, 11, 7, 2, 31, tzinfo=UTC)),
}
people = st.sampled_from([LI, CHEN, ZHOU, LIU, HE])
clocks = st.one_of(
    st.integers(0, 47).map(lambda half: time(half // 2, half % 2 * 30)),
    st.integers(0, 24 * 60 - 1).map(lambda minute: time(minute // 60, minute % 60)),
)


@st.composite
def rotas(draw: st.DrawFn) -> Rota:
    """A centre's rota of some sixty hours about a change of clocks."""
    zone = draw(st.sampled_from(list(CLOCK_CHANGES)))
    middle = draw(st.sampled_from(CLOCK_CHANGES[zone]))
    since, until = middle - 30 * HOUR, middle + 30 * HOUR
    days = st.integers(-3, 3).map(lambda n: middle.date() + n * DAY)
    moments = st.integers(-35 * 60, 35 * 60).map(lambda minutes: middle + timedelta(minutes=minutes))
    numbers = st.integers(1, 2)

    def rotation(number: int) -> Rotation:
        every: Every = draw(st.sampled_from(["hours", "days", "weeks", "months"]))
        begun = datetime.combine(middle.date() + draw(st.integers(-40, 1)) * DAY, draw(clocks))
        turns = draw(st.lists(people, min_size=1, max_size=4, unique=True))
        return Rotation(number, every, draw(st.integers(1, 5)), begun, tuple(turns))

    def one_shift(number: int) -> Shift:
        by_turns = draw(st.booleans())
        return Shift(
            number,
            draw(numbers),
            draw(st.frozensets(st.integers(1, 7), min_size=1)),
            draw(clocks),
            draw(clocks),
            draw(days) - draw(st.sampled_from([0, 90])) * DAY,
            draw(st.none() | days),
            draw(st.sampled_from(["also", "only", "not"])),
            None if by_turns else draw(people),
            draw(numbers) if by_turns else None,
            draw(st.none() | st.none() | moments),
        )

    def one_change(number: int) -> Change:
        start = draw(moments)
        end = start + timedelta(minutes=draw(st.integers(1, 2000)))
        person, instead_of = draw(
            st.tuples(st.none() | people, st.none() | people).filter(lambda both: both[0] != both[1])
        )
        return Change(number, draw(numbers), start, end, person, instead_of)

    def absence() -> Absence:
        kind: Away = draw(st.sampled_from(["sick", "leave", "on_visit"]))
        start = draw(moments)
        return Absence(
            draw(people), kind, start, draw(st.none() | st.integers(1, 900).map(lambda m: start + m * HOUR / 60))
        )

    why: st.SearchStrategy[Uncallable] = st.sampled_from(["no_phone", "left"])
    return Rota(
        zone,
        since,
        until,
        (Roster(1, "care_worker", 1, None), Roster(2, "care_worker", 2, None, removed_at=draw(st.none() | moments))),
        (),
        tuple(one_shift(n) for n in range(draw(st.integers(0, 5)))),
        (rotation(1), rotation(2)),
        draw(st.frozensets(days, max_size=3)),
        tuple(one_change(n) for n in range(draw(st.integers(0, 5)))),
        tuple(absence() for _ in range(draw(st.integers(0, 3)))),
        draw(st.dictionaries(people, why, max_size=1)),
    )


def seen(of: Rota, roster: Roster, moment: datetime) -> tuple[list[UUID], dict[UUID, str | None]]:
    answer = of.of(roster.role, roster.line, None, moment)
    return [turn.person for turn in answer.turns], {turn.person: turn.absence for turn in answer.absent}


@settings(max_examples=60, deadline=None)
@given(rotas())
def test_at_every_moment_it_says_what_the_plainest_way_says(of: Rota) -> None:
    for roster in of.rosters:
        spans = of.timeline(roster.id, of.since, of.until)
        edges = [moment for span in spans for moment in (span.begins, span.ends - timedelta(seconds=1))]
        for moment in (*edges, *(of.since + n * HOUR for n in range(61))):
            assert seen(of, roster, moment) == plain(of, roster, moment), (roster.id, moment)


within = st.tuples(st.none(), st.none() | st.just(0), st.sampled_from([None, 0, 1]))
where = st.sampled_from([None, 0, 1, 2])


@settings(max_examples=40, deadline=None)
@given(rotas(), within, where, where)
def test_the_nearest_area_is_found_as_one_would_walk_there(
    of: Rota, wider: tuple[int | None, ...], first: int | None, second: int | None
) -> None:
    rosters = tuple(
        replace(roster, line=1, area=area) for roster, area in zip(of.rosters, (first, second), strict=True)
    )
    of = replace(of, rosters=rosters, areas=[Area(n, around) for n, around in enumerate(wider)])
    for moment in (of.since + n * 4 * HOUR for n in range(16)):
        for home in (None, 0, 1, 2):
            here, callable_, missing = home, [], {}
            while True:
                found = [plain(of, roster, moment) for roster in rosters if roster.area == here]
                callable_ = list(dict.fromkeys(person for people_there, _ in found for person in people_there))
                missing = {
                    person: why for _, away_there in reversed(found) for person, why in away_there.items()
                } | missing
                if callable_ or here is None:
                    break
                here = wider[here]
            answer = of.of("care_worker", 1, home, moment)
            assert [turn.person for turn in answer.turns] == callable_
            assert {turn.person: turn.absence for turn in answer.absent} == missing
            unmanned = any(
                begins <= moment < ends for begins, ends in of.unmanned("care_worker", 1, home, of.since, of.until)
            )
            assert unmanned == (not callable_ and moment < of.until)


@settings(max_examples=5, deadline=None)
@given(rotas())
def test_and_so_it_is_minute_by_minute(of: Rota) -> None:
    for minute in range(20 * 60, 40 * 60):
        moment = of.since + minute * HOUR / 60
        for roster in of.rosters:
            assert seen(of, roster, moment) == plain(of, roster, moment), (roster.id, moment)


@settings(max_examples=40, deadline=None)
@given(rotas())
def test_a_timeline_has_no_holes_and_its_neighbours_differ(of: Rota) -> None:
    for roster in of.rosters:
        spans = of.timeline(roster.id, of.since, of.until)
        assert (spans[0].begins, spans[-1].ends) == (of.since, of.until)
        for one, following in pairwise(spans):
            assert one.ends == following.begins
            assert (one.turns, one.absent, one.off) != (following.turns, following.absent, following.off)


@settings(max_examples=40, deadline=None)
@given(rotas())
def test_a_turn_lasts_until_the_moment_it_names(of: Rota) -> None:
    def of_hers(turn: Turn, moment: datetime) -> list[Turn]:
        span = of.span(turn.roster, moment)
        return [
            t
            for t in (*span.turns, *span.absent)
            if (t.person, t.why, t.absence) == (turn.person, turn.why, turn.absence)
        ]

    for roster in of.rosters:
        for span in of.timeline(roster.id, of.since, of.until):
            for turn in (*span.turns, *span.absent):
                assert turn.until >= span.ends
                assert of_hers(turn, min(turn.until, of.until) - timedelta(seconds=1))
                assert turn.until > of.until or not of_hers(turn, turn.until)


@settings(max_examples=40, deadline=None)
@given(rotas())
def test_gaps_are_just_the_time_without_anybody(of: Rota) -> None:
    gaps = of.gaps(of.since, of.until)
    for roster in of.rosters:
        end = min(of.until, max(of.since, roster.removed_at or of.until))
        empty = sum((s.ends - s.begins for s in of.timeline(roster.id, of.since, end) if not s.turns), timedelta())
        assert sum((gap.ends - gap.begins for gap in gaps if gap.roster == roster.id), timedelta()) == empty
