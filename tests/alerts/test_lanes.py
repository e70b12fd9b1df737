"""What can wait never stands in the way of what is urgent."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.lanes import LONGEST_PAUSE, ROOM, SLOTS, Pace, Traffic
from tests.household import NOW

SECOND = timedelta(seconds=1)


def test_low_never_takes_the_last_third_of_the_slots() -> None:
    traffic = Traffic()
    while traffic.room("low", NOW):
        traffic.begin()
    assert traffic.under_way == SLOTS * 2 // 3
    assert traffic.room("medium", NOW) > 0
    while traffic.room("medium", NOW):
        traffic.begin()
    assert traffic.room("high", NOW) == SLOTS - ROOM["medium"] > 0


def test_when_all_slots_are_taken_room_is_made_by_an_answer_and_not_by_time() -> None:
    traffic = Traffic()
    for _ in range(SLOTS):
        traffic.begin()
    assert traffic.room("high", NOW) == 0
    assert traffic.opens_at("high", NOW) is None
    traffic.end()
    assert traffic.room("high", NOW) == 1


def test_what_can_wait_goes_at_the_pace_of_the_number_after_a_first_few() -> None:
    traffic = Traffic(Pace(2, burst=3))
    began = 0
    for second in range(11):
        now = NOW + second * SECOND
        for _ in range(traffic.room("low", now)):
            traffic.begin()
            traffic.end()
            began += 1
    assert began == 3 + 2 * 10


def test_what_is_urgent_waits_for_no_pace_and_the_rest_waits_the_longer() -> None:
    traffic = Traffic(Pace(1, burst=1))
    for _ in range(5):
        assert traffic.room("high", NOW) > 0
        traffic.begin()
        traffic.end()
    assert traffic.room("medium", NOW) == 0
    assert traffic.opens_at("medium", NOW) == NOW + 5 * SECOND
    assert traffic.room("medium", NOW + 5 * SECOND) == 1


def test_a_provider_that_has_too_much_is_given_only_what_is_urgent_until_then() -> None:
    traffic = Traffic()
    traffic.close(NOW + 30 * SECOND)
    traffic.close(NOW + 5 * SECOND)
    assert (traffic.room("high", NOW), traffic.room("low", NOW)) == (SLOTS, 0)
    assert traffic.opens_at("low", NOW) == NOW + 30 * SECOND
    assert traffic.room("low", NOW + 30 * SECOND) > 0


@pytest.mark.parametrize("back", [timedelta(minutes=1), timedelta(days=2)])
def test_a_clock_that_is_set_back_closes_no_lane_for_longer_than_a_provider_could(back: timedelta) -> None:
    traffic = Traffic(Pace(1, burst=1))
    traffic.begin()
    traffic.end()
    traffic.close(NOW + 30 * SECOND)
    opens_at = traffic.opens_at("low", NOW - back)
    assert opens_at is not None
    assert opens_at <= NOW - back + LONGEST_PAUSE


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(-5, 5)), max_size=60), st.floats(0.1, 50), st.integers(1, 20))
def test_no_second_ever_takes_more_than_its_pace_allows(
    steps: list[tuple[int, float]], per_s: float, burst: int
) -> None:
    pace, now, taken, forward_s = Pace(per_s, burst), NOW, 0, 0.0
    for wanted, seconds in steps:
        now += timedelta(seconds=seconds)
        forward_s += max(seconds, 0.0)
        allowed = min(int(max(pace.left(now), 0)), wanted)
        pace.take(allowed)
        taken += allowed
    assert taken <= burst + per_s * forward_s + 1e-6
