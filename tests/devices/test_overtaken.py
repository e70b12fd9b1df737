"""A reading that the service fails at is tried later and later, but at once when the service may have failed at everything."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from devices.overtaken import Overtaken


@given(st.integers(1, 40))
def test_each_failure_doubles_the_pause_up_to_the_longest(failures: int) -> None:
    it = Overtaken(first_s=15, longest_s=3600)
    now_s = 0.0
    for n in range(failures):
        it.failed(7, now_s)
        pause_s = min(15 * 2.0**n, 3600)
        assert it.resting(now_s + pause_s - 0.1) == {7}
        assert it.resting(now_s + pause_s) == set()
        now_s += pause_s
    assert it.since_s == 0


def test_those_in_doubt_are_due_once_another_is_answered_and_only_then() -> None:
    it = Overtaken(first_s=15, longest_s=3600)
    it.failed(1, 0)
    it.failed(2, 1)
    it.answered([3], 2)
    assert it.resting(2) == set()
    it.failed(1, 2)
    it.answered([2, 4], 3)
    assert it.resting(3) == {1}
    assert 2 not in it


def test_what_is_answered_is_forgotten() -> None:
    it = Overtaken(first_s=15, longest_s=3600)
    it.failed(1, 0)
    it.answered([1], 20)
    assert (len(it), it.since_s) == (0, math.inf)


def test_each_is_tried_by_itself() -> None:
    it = Overtaken(first_s=15, longest_s=3600)
    it.failed(3, 0)
    assert [it.alone(numbers) for numbers in ([1, 2, 3, 4], [3, 4], [4, 5], [])] == [2, 1, 2, 1]
