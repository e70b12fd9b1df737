"""The wall clock of a rota: windows of shifts and turns of rotations, also on the days when clocks are changed."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.shifts import Every, Rotation, Shift, handover, handovers, instant, joined, turn, windows

BERLIN, NEW_YORK, LORD_HOWE = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe")
SHANGHAI, ST_JOHNS = ZoneInfo("Asia/Shanghai"), ZoneInfo("America/St_Johns")
EVERY_DAY = frozenset(range(1, 8))
LI, CHEN, ZHOU, LIU = (UUID(int=n) for n in range(1, 5))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CHANGES = (
    (BERLIN, date(2026, 3, 29)),
    (BERLIN, date(2026, 10, 25)),
    (NEW_YORK, date(2026, 3, 8)),
    (NEW_YORK, date(2026, 11, 1)),
    (LORD_HOWE, date(2026, 4, 5)),
    (LORD_HOWE, date(2026, 10, 4)),
    (ST_JOHNS, date(2010, 3, 14)),
    (ST_JOHNS, date(2010, 11, 7)),
    (SHANGHAI, date(2026, 11, 29)),
)
"""Zones and the day on which their clocks are changed; those of St. John's were changed a minute after midnight."""


def shift(starts: time, ends: time, **more: object) -> Shift:
    usual: dict[str, object] = {
        "id": 1,
        "roster": 1,
        "weekdays": EVERY_DAY,
        "valid_from": date(2000, 1, 1),
        "valid_until": None,
        "holidays": "also",
        "person": LI,
        "rotation": None,
    }
    return Shift(starts=starts, ends=ends, **(usual | more))  # type: ignore[arg-type]


def begin_days(one: Shift, start: date, days: int, holidays: frozenset[date] = frozenset()) -> list[date]:
    first = datetime.combine(start, time(0), UTC)
    return [w.day for w in windows(one, holidays, ZoneInfo("UTC"), first, first + days * DAY) if w.begins >= first]


def test_a_time_that_does_not_exist_moves_forward_by_the_gap() -> None:
    assert instant(date(2026, 3, 29), time(2, 30), BERLIN) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert instant(date(2026, 3, 29), time(2, 30), BERLIN).astimezone(BERLIN).time() == time(3, 30)
    assert instant(date(2026, 10, 4), time(2, 10), LORD_HOWE).astimezone(LORD_HOWE).time() == time(2, 40)


def test_of_a_time_that_exists_twice_the_first_is_meant() -> None:
    assert instant(date(2026, 10, 25), time(2, 30), BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert instant(date(2026, 11, 1), time(1, 30), NEW_YORK) == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)
    assert instant(date(2026, 10, 25), time(2, 30, fold=1), BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("evening", "hours"), [(date(2026, 3, 28), 11), (date(2026, 10, 24), 13), (date(2026, 6, 1), 12)]
)
def test_a_night_has_eleven_twelve_or_thirteen_hours(evening: date, hours: int) -> None:
    begin = instant(evening, time(20), BERLIN)
    [night] = windows(shift(time(20), time(8)), (), BERLIN, begin, begin + HOUR)
    assert night.ends - night.begins == hours * HOUR


def test_a_day_that_ends_when_it_begins_is_a_whole_one() -> None:
    begin = instant(date(2026, 10, 25), time(0), BERLIN)
    [day] = windows(shift(time(0), time(0)), (), BERLIN, begin, begin + HOUR)
    assert day.ends - day.begins == 25 * HOUR


@given(
    st.sampled_from(CHANGES),
    st.lists(st.integers(0, 24 * 60 - 1), min_size=2, max_size=6, unique=True).map(sorted),
)
def test_shifts_that_follow_each_other_leave_no_hole_whenever_clocks_are_changed(
    change: tuple[ZoneInfo, date], minutes: list[int]
) -> None:
    zone, day = change
    times = [time(m // 60, m % 60) for m in minutes]
    all_day = [shift(a, b, id=n) for n, (a, b) in enumerate(zip(times, [*times[1:], times[0]], strict=True))]
    start, end = (datetime.combine(day + n * DAY, time(12), UTC) for n in (-2, 2))
    found = sorted((w for one in all_day for w in windows(one, (), zone, start, end)), key=lambda w: w.begins)
    assert found[0].begins <= start
    assert max(w.ends for w in found) >= end
    reach = found[0].begins
    for window in found:
        assert window.begins <= reach
        reach = max(reach, window.ends)
    around = [*minutes, minutes[0] + 24 * 60]
    if all(b - a >= 60 for a, b in pairwise(around)):
        # No clock is changed by more than an hour here: nobody's hours run into the next one's.
        assert all(a.ends == b.begins for a, b in pairwise(found))


def test_a_shift_begins_on_its_weekdays_between_its_first_and_last_day() -> None:
    weekdays = shift(time(8), time(16), weekdays={1, 2}, valid_from=date(2026, 11, 3), valid_until=date(2026, 11, 10))
    assert begin_days(weekdays, date(2026, 11, 1), 30) == [date(2026, 11, 3), date(2026, 11, 9), date(2026, 11, 10)]


def test_on_holidays_a_shift_is_also_or_not_or_only() -> None:
    national_day = frozenset({date(2026, 10, 1), date(2026, 10, 3)})  # a Thursday and a Saturday
    start, office = date(2026, 9, 28), {"weekdays": {1, 2, 3, 4, 5}}
    usual = begin_days(shift(time(8), time(16), **office), start, 7, national_day)
    assert usual == [date(2026, 9, 28) + n * DAY for n in range(5)]
    without = begin_days(shift(time(8), time(16), holidays="not", **office), start, 7, national_day)
    assert without == [day for day in usual if day != date(2026, 10, 1)]
    only = begin_days(shift(time(8), time(16), holidays="only", **office), start, 7, national_day)
    assert only == sorted(national_day)


def test_a_night_that_begins_before_a_holiday_is_not_a_holidays_night() -> None:
    new_year = frozenset({date(2027, 1, 1)})
    at = datetime(2027, 1, 1, 3, tzinfo=UTC)
    [night] = windows(shift(time(20), time(8), holidays="not"), new_year, ZoneInfo("UTC"), at, at + HOUR)
    assert night.day == date(2026, 12, 31)


def test_a_removed_shift_ends_in_the_middle() -> None:
    removed_at = datetime(2026, 11, 29, 12, tzinfo=UTC)
    one = shift(time(8), time(16), removed_at=removed_at)
    found = list(windows(one, (), ZoneInfo("UTC"), removed_at - DAY, removed_at + 3 * DAY))
    assert found[-1].ends == removed_at


def rotation(every: Every, length: int, starts_at: datetime, persons: tuple[UUID, ...] = (LI, CHEN, ZHOU)) -> Rotation:
    return Rotation(1, every, length, starts_at, persons)


def clock(written: str) -> datetime:
    """What the wall clock shows, without a zone."""
    return datetime.fromisoformat(written)


def whose(one: Rotation, zone: ZoneInfo, *at: datetime) -> list[UUID | None]:
    found = [turn(one, zone, moment.replace(tzinfo=zone)) for moment in at]
    return [None if t is None else t.person for t in found]


def test_before_its_first_turn_a_rotation_names_nobody() -> None:
    weekly = rotation("weeks", 1, clock("2026-11-30 08:00"))
    assert whose(weekly, SHANGHAI, clock("2026-11-30 07:59"), clock("2026-11-30 08:00")) == [None, LI]
    assert turn(rotation("weeks", 1, clock("2026-11-30 08:00"), ()), SHANGHAI, datetime(2027, 1, 1, tzinfo=UTC)) is None


def test_weeks_are_handed_over_at_the_same_time_of_day_in_summer_and_in_winter() -> None:
    weekly = rotation("weeks", 1, clock("2026-03-23 08:00"))
    assert whose(weekly, BERLIN, clock("2026-03-30 07:59"), clock("2026-03-30 08:00")) == [LI, CHEN]
    held = turn(weekly, BERLIN, datetime(2026, 3, 29, 12, tzinfo=BERLIN))
    assert held is not None
    assert held.ends - held.begins == 7 * DAY - HOUR
    assert (held.place, held.places) == (1, 3)


def test_months_are_handed_over_on_the_same_day_or_the_last_of_a_shorter_one() -> None:
    monthly = rotation("months", 1, clock("2027-01-31 08:00"))
    days = [handover(monthly, n, SHANGHAI).astimezone(SHANGHAI).date() for n in range(4)]
    assert days == [date(2027, 1, 31), date(2027, 2, 28), date(2027, 3, 31), date(2027, 4, 30)]
    quarterly = rotation("months", 3, clock("2026-11-30 08:00"))
    assert handover(quarterly, 1, SHANGHAI).astimezone(SHANGHAI).date() == date(2027, 2, 28)


def test_hours_are_real_hours() -> None:
    hourly = rotation("hours", 6, clock("2026-10-24 18:00"))
    begins = [handover(hourly, n, BERLIN).astimezone(BERLIN).time() for n in range(3)]
    assert begins == [time(18), time(0), time(5)]


rotations = st.builds(
    Rotation,
    st.just(1),
    st.sampled_from(["hours", "days", "weeks", "months"]),
    st.integers(1, 9),
    st.builds(
        datetime.combine,
        st.dates(date(2009, 12, 1), date(2010, 3, 31)),
        st.times().map(lambda t: t.replace(second=0, microsecond=0)),
    ),
    st.lists(st.sampled_from([LI, CHEN, ZHOU, LIU]), min_size=1, max_size=4, unique=True).map(tuple),
)
moments = st.integers(0, 420 * 24 * 60).map(lambda m: datetime(2009, 12, 1, tzinfo=UTC) + timedelta(minutes=m))
zones = st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, SHANGHAI, ST_JOHNS])


@given(rotations, zones, moments)
def test_every_moment_lies_in_one_turn_and_turns_go_round(one: Rotation, zone: ZoneInfo, at: datetime) -> None:
    held = turn(one, zone, at)
    if held is None:
        assert at < handover(one, 0, zone)
        return
    assert held.begins <= at < held.ends
    following = turn(one, zone, held.ends)
    assert following is not None
    assert following.begins == held.ends
    assert following.place == held.place % held.places + 1


@given(rotations, zones, moments, st.integers(1, 20))
def test_handovers_are_where_turns_begin(one: Rotation, zone: ZoneInfo, start: datetime, days: int) -> None:
    found = list(handovers(one, zone, start, start + days * DAY))
    assert found == sorted(set(found))
    assert all(start < moment < start + days * DAY for moment in found)
    expected, at = [], start
    while (held := turn(one, zone, at)) and held.ends < start + days * DAY:
        expected.append(held.ends)
        at = held.ends
    if turn(one, zone, start):
        assert found == expected


@given(rotations, zones, moments, st.lists(st.sampled_from([LI, CHEN, ZHOU, LIU]), min_size=1, unique=True))
def test_who_joins_or_leaves_takes_nobodys_turn(
    one: Rotation, zone: ZoneInfo, at: datetime, persons: list[UUID]
) -> None:
    after = Rotation(2, one.every, one.length, one.starts_at, joined(one, persons, zone, at))
    assert sorted(after.persons) == sorted(persons)
    before, now = turn(one, zone, at), turn(after, zone, at)
    if before is None:
        assert list(after.persons) == persons
        return
    assert now is not None
    assert now.ends == before.ends
    if before.person in persons:
        assert now.person == before.person
