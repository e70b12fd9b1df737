"""The ladder: who is called next, when the one after, and that it never ends in silence."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.escalation import Duty, next_step, wait

NOW = datetime(2026, 11, 24, 3, 10, tzinfo=UTC)
LI, CHEN, ZHOU, LIU = (UUID(int=n) for n in range(1, 5))
ROTA = Duty({1: [LI], 2: [CHEN], 3: [ZHOU]}, [LI, CHEN, ZHOU, LIU])

persons = st.lists(st.sampled_from([LI, CHEN, ZHOU, LIU]), max_size=3)
duties = st.builds(Duty, st.dictionaries(st.integers(1, 3), persons), persons.filter(bool))


def test_it_climbs_from_the_first_to_the_supervisor_and_then_calls_everybody_on_duty() -> None:
    plan = next_step("high", 0, 0, ROTA, NOW)
    called = [plan.persons]
    for _ in range(3):
        plan = next_step("high", plan.step, plan.rounds, ROTA, plan.climb_at)
        called.append(plan.persons)
    assert called == [(LI,), (CHEN,), (ZHOU,), (LI, CHEN, ZHOU)]
    assert (plan.step, plan.rounds, plan.call) == (1, 1, 4)


def test_an_empty_rung_is_passed_over_at_once() -> None:
    plan = next_step("high", 0, 0, Duty({3: [ZHOU]}, [ZHOU]), NOW)
    assert (plan.persons, plan.step) == ((ZHOU,), 3)


def test_with_nobody_on_duty_everybody_is_called_and_it_is_said() -> None:
    plan = next_step("high", 0, 0, Duty({}, [LI, LIU]), NOW)
    assert plan.persons == (LI, LIU)
    assert plan.unmanned


def test_who_cannot_be_reached_is_left_out() -> None:
    plan = next_step("high", 0, 0, ROTA.without([LI]), NOW)
    assert (plan.persons, plan.step) == ((CHEN,), 2)


def test_when_the_whole_rota_cannot_be_reached_the_rest_of_the_centre_is_called() -> None:
    plan = next_step("high", 0, 0, ROTA.without([LI, CHEN, ZHOU]), NOW)
    assert plan.persons == (LIU,)
    assert plan.unmanned


def test_when_nobody_at_all_can_be_reached_everybody_is_tried_again() -> None:
    assert ROTA.without([LI, CHEN, ZHOU, LIU]) == ROTA


@pytest.mark.parametrize(("priority", "minutes"), [("high", 2), ("medium", 10), ("low", 120)])
def test_the_more_urgent_the_sooner_the_next(priority: str, minutes: int) -> None:
    assert wait(priority) == timedelta(minutes=minutes)
    assert next_step(priority, 0, 0, ROTA, NOW).climb_at == NOW + timedelta(minutes=minutes)


@given(duties, st.integers(0, 3), st.integers(0, 5), st.sets(st.sampled_from([LI, CHEN, ZHOU, LIU])))
def test_it_never_ends_in_silence(duty: Duty, step: int, rounds: int, out: set[UUID]) -> None:
    plan = next_step("high", step, rounds, duty.without(out), NOW)
    assert plan.persons
    assert len(set(plan.persons)) == len(plan.persons)
    assert plan.climb_at > NOW
    assert 1 <= plan.step <= 3


@given(duties)
def test_each_call_of_a_life_has_its_own_number(duty: Duty) -> None:
    plan = next_step("high", 0, 0, duty, NOW)
    numbers = [plan.call]
    for _ in range(8):
        plan = next_step("high", plan.step, plan.rounds, duty, NOW)
        numbers.append(plan.call)
    assert numbers == sorted(set(numbers))


@given(duties)
def test_everybody_on_duty_is_called_within_two_rounds(duty: Duty) -> None:
    plan, called = next_step("high", 0, 0, duty, NOW), set()
    while plan.rounds < 2:
        called |= set(plan.persons)
        plan = next_step("high", plan.step, plan.rounds, duty, NOW)
    assert called >= set(duty.on_duty)
