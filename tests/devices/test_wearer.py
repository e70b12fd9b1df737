"""A wearer's ordinary days move the operating point, within bounds, and nothing learned moves nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.desk import Desk
from devices.drivers.wearing import Wearing
from devices.falls.wearer import AIM_PER_H, LEARNED_FROM_S, Days, bounds, point
from devices.outbox import Outbox

ADDRESS = "C0:FF:EE:00:00:02"
AT = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
WITHIN = bounds(0.5)
HOUR = 3600.0
probabilities = st.floats(0.001, 0.999)


def lived(days: int, near: list[float], moved_g: float = 0.05) -> Days:
    """So many days of sixteen hours, with blows judged so on each of them."""
    found = Days()
    for _ in range(days):
        found = found.wore(16 * HOUR, moved_g)
        for probability in near:
            found = found.dismissed(probability)
    return found


def test_of_whom_nothing_is_known_is_treated_as_usual() -> None:
    found = point(Days(), WITHIN)
    assert found.threshold == pytest.approx(WITHIN.usual)
    assert found.false_per_h == pytest.approx(AIM_PER_H)
    assert (found.near_per_day, found.worn_h) == (0, 0)


def test_many_near_falls_make_it_more_careful_and_quiet_days_more_sensitive() -> None:
    lively, quiet = point(lived(7, [0.2, 0.3, 0.4] * 4), WITHIN), point(lived(7, [0.01]), WITHIN)
    assert quiet.threshold < WITHIN.usual < lively.threshold
    assert lively.near_per_day == pytest.approx(18)  # a day of wearing has 24 hours
    assert quiet.near_per_day == 0


def test_one_day_moves_it_less_than_a_week() -> None:
    day, week = (point(lived(n, [0.2] * 4), WITHIN).threshold for n in (1, 7))
    assert WITHIN.usual < day < week


def test_the_aim_is_met_where_the_bounds_allow_it() -> None:
    found = point(lived(7, [0.15] * 4), WITHIN)
    assert WITHIN.lowest < found.threshold < WITHIN.highest
    assert found.false_per_h == pytest.approx(AIM_PER_H)


def test_a_lively_wearer_is_expected_to_have_more_near_falls_before_they_are_known() -> None:
    calm, lively = (point(Days().wore(6 * HOUR, g), WITHIN).threshold for g in (0.01, 0.2))
    assert calm < lively


def test_a_false_alarm_counts_as_what_looked_most_like_a_fall() -> None:
    days = lived(2, [0.1])
    assert point(days.dismissed(0.9), WITHIN).threshold > point(days, WITHIN).threshold


def test_what_was_learned_long_ago_is_slowly_forgotten() -> None:
    days = lived(7, [0.3] * 10)
    early = point(days, WITHIN).near_per_day
    assert days.worn_s < LEARNED_FROM_S
    for _ in range(90):
        days = days.wore(16 * HOUR, 0.05)
    assert point(days, WITHIN).near_per_day < early / 4
    assert days.worn_s < 90 * 16 * HOUR


@settings(max_examples=40, deadline=None)
@given(
    st.lists(probabilities, max_size=60),
    st.floats(0, 2000),
    st.floats(0, 3),
    st.floats(0.1, 0.9),
)
def test_whatever_happens_the_point_stays_within_its_bounds(
    happened: list[float], worn_h: float, moved_g: float, usual: float
) -> None:
    within = bounds(usual)
    days = Days().wore(worn_h * HOUR, moved_g)
    for probability in happened:
        days = days.dismissed(probability)
    found = point(days, within)
    assert within.lowest - 1e-9 <= found.threshold <= within.highest + 1e-9
    assert found.false_per_h > 0


@settings(max_examples=40, deadline=None)
@given(st.lists(probabilities, max_size=30), probabilities)
def test_one_more_near_fall_never_makes_it_more_sensitive_by_more_than_its_nearness(
    near: list[float], one: float
) -> None:
    days = lived(3, near)
    more = days.dismissed(one)
    assert more.near >= days.near
    assert more.beyond >= days.beyond


def test_what_is_learned_outlives_a_restart_and_goes_with_the_device(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox") as outbox:
        desk = Desk(outbox, now=lambda: AT)
        wearing = Wearing(ADDRESS, desk)
        for _ in range(20):
            wearing.dismissed(0.4, AT)
        outbox.put([], facts=wearing.changed(worn=False))
        again = Wearing(ADDRESS, desk)
        assert again.point(WITHIN) == wearing.point(WITHIN)
        assert again.worn is False
        again.forget()
        assert Wearing(ADDRESS, desk).point(WITHIN).threshold == pytest.approx(WITHIN.usual)


def test_she_says_soon_after_a_fall_that_she_is_well_so_it_was_none(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox") as outbox:
        desk = Desk(outbox, now=lambda: AT)
        for minutes, counts in ((2, True), (30, False)):
            wearing = Wearing(ADDRESS, desk)
            before = wearing.point(WITHIN)
            wearing.fell(0.9, AT)
            wearing.said_well(AT + timedelta(minutes=minutes))
            assert (wearing.point(WITHIN).threshold > before.threshold) is counts
            wearing.forget()
