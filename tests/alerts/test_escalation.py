"""The climb: who is called next, when the ones after, and that it never ends in silence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.escalation import (
    BEFORE,
    Around,
    Found,
    Plan,
    Position,
    Skipped,
    ask_taker,
    in_quiet_hours,
    morning_after,
    next_call,
    simulate,
)
from alerts.policy import SHIPPED, Policy, Step, Target

NOW = datetime(2026, 11, 24, 3, 10, tzinfo=UTC)
LI, CHEN, ZHOU, LIU, LINE = (UUID(int=n) for n in range(1, 6))
FIRST, SECOND, THIRD = (step.targets[0] for step in SHIPPED["high"].steps)
ROTA = {FIRST: [LI], SECOND: [CHEN], THIRD: [ZHOU]}
MINUTE = timedelta(minutes=1)


def around(
    named: Mapping[Target, Sequence[UUID]] = ROTA, out: Sequence[UUID] = (), fallback: UUID | None = LINE
) -> Around:
    everybody = [LI, CHEN, ZHOU, LIU]
    skipped = [Skipped(person, "unreachable") for person in out]
    return Around(lambda target: Found(tuple(named.get(target, ()))), everybody, fallback, skipped)


def climb(policy: Policy, people: Around, calls: int) -> list[Plan]:
    plans, at, now = [], Position(), NOW
    for _ in range(calls):
        plan = next_call(policy, at, people, now)
        plans.append(plan)
        same = (plan.step, plan.rounds) == (at.step, at.rounds)
        at, now = (
            Position(plan.step, plan.rounds, (*(at.called if same else ()), *plan.persons)),
            plan.climb_at,
        )
    return plans


def test_it_climbs_from_the_first_to_the_supervisor_begins_anew_and_then_calls_the_last_line_and_everybody() -> None:
    plans = climb(SHIPPED["high"], around(), 8)
    assert [plan.persons for plan in plans[:6]] == [(LI,), (CHEN,), (ZHOU,)] * 2
    assert plans[6].persons == plans[7].persons == (LINE, LI, CHEN, ZHOU, LIU)
    assert [plan.exhausted for plan in plans] == [False] * 6 + [True] * 2


@pytest.mark.parametrize(("priority", "minutes"), [("high", 2), ("medium", 10), ("low", 120)])
def test_the_more_urgent_the_sooner_the_next(priority: str, minutes: int) -> None:
    assert next_call(SHIPPED[priority], Position(), around(), NOW).climb_at == NOW + minutes * MINUTE


def test_in_vain_it_goes_on_for_ever_at_its_own_pace() -> None:
    plans = climb(SHIPPED["high"], around(), 50)
    assert all(plan.exhausted and plan.persons for plan in plans[6:])
    assert plans[-1].climb_at - plans[-2].climb_at == SHIPPED["high"].again


def test_an_empty_step_is_passed_over_at_once() -> None:
    plan = next_call(SHIPPED["high"], Position(), around({THIRD: [ZHOU]}), NOW)
    assert (plan.persons, plan.step) == ((ZHOU,), 3)


def test_who_cannot_be_reached_is_passed_over_at_once_and_it_is_said() -> None:
    plan = next_call(SHIPPED["high"], Position(), around(out=[LI]), NOW)
    assert (plan.persons, plan.step, plan.skipped) == ((CHEN,), 2, (Skipped(LI, "unreachable"),))


def test_who_is_away_is_passed_over_and_it_is_said() -> None:
    away = Around(
        lambda target: Found((), (Skipped(LI, "sick"),)) if target == FIRST else Found(tuple(ROTA[target])), [LI, CHEN]
    )
    plan = next_call(SHIPPED["high"], Position(), away, NOW)
    assert (plan.persons, plan.skipped) == ((CHEN,), (Skipped(LI, "sick"),))


def test_with_nobody_on_duty_everybody_is_called_and_it_is_said() -> None:
    plan = next_call(SHIPPED["high"], Position(), around({}), NOW)
    assert plan.persons == (LI, CHEN, ZHOU, LIU)
    assert plan.unmanned
    assert not plan.exhausted


def test_with_nobody_on_duty_and_nobody_in_the_centre_the_last_line_is_called() -> None:
    plan = next_call(SHIPPED["high"], Position(), Around(lambda _: Found(), [], LINE), NOW)
    assert plan.persons == (LINE,)


def test_when_the_whole_rota_cannot_be_reached_the_rest_of_the_centre_is_called() -> None:
    plan = next_call(SHIPPED["high"], Position(1, 0), around(out=[LI, CHEN, ZHOU]), NOW)
    assert plan.persons == (LIU,)
    assert plan.unmanned


def test_when_nobody_at_all_can_be_reached_the_last_line_rings_at_once_and_everybody_is_tried_again() -> None:
    plan = next_call(SHIPPED["high"], Position(1, 0), around(out=[LI, CHEN, ZHOU, LIU]), NOW)
    assert plan.persons == (LINE, LI, CHEN, ZHOU, LIU)
    assert plan.exhausted


def test_with_nobody_to_call_at_all_it_is_in_vain_at_once() -> None:
    assert next_call(SHIPPED["high"], Position(), Around(lambda _: Found(), []), NOW).exhausted


def test_in_turn_each_has_her_time_before_the_next_and_then_the_step_is_over() -> None:
    policy = Policy(
        (Step((FIRST, SECOND), MINUTE, in_turn=True), Step((THIRD,), 3 * MINUTE)), 0, 5 * MINUTE, 15 * MINUTE
    )
    plans = climb(policy, around(), 4)
    assert [plan.persons for plan in plans[:3]] == [(LI,), (CHEN,), (ZHOU,)]
    assert [plan.step for plan in plans[:3]] == [1, 1, 2]
    assert plans[1].climb_at == NOW + 2 * MINUTE
    assert plans[3].exhausted


def test_a_second_round_in_turn_begins_with_the_first_again() -> None:
    policy = Policy((Step((FIRST, SECOND), MINUTE, in_turn=True),), 1, 5 * MINUTE, 15 * MINUTE)
    assert [plan.persons for plan in climb(policy, around(), 4)] == [(LI,), (CHEN,), (LI,), (CHEN,)]


def test_several_at_once_are_each_called_once() -> None:
    policy = Policy((Step((FIRST, THIRD), MINUTE),), 0, 5 * MINUTE, 15 * MINUTE)
    plan = next_call(policy, Position(), around({FIRST: [LI, CHEN], THIRD: [CHEN, ZHOU]}), NOW)
    assert plan.persons == (LI, CHEN, ZHOU)


def test_who_is_at_it_already_is_asked_first_and_then_the_policy_begins_whole() -> None:
    before = ask_taker(SHIPPED["high"], ZHOU, NOW)
    assert (before.persons, before.rounds, before.climb_at) == ((ZHOU,), BEFORE, NOW + 2 * MINUTE)
    after = next_call(SHIPPED["high"], Position(before.step, before.rounds), around(), before.climb_at)
    assert (after.persons, after.step, after.rounds) == ((LI,), 1, 0)


def test_who_is_at_it_already_keeps_nobody_of_a_last_step_in_turn_before_the_first() -> None:
    policy = Policy((Step((FIRST,), MINUTE), Step((SECOND, THIRD), MINUTE, in_turn=True)), 0, 5 * MINUTE, 15 * MINUTE)
    before = ask_taker(policy, LIU, NOW)
    after = next_call(policy, Position(before.step, before.rounds, [LIU]), around(), before.climb_at)
    assert (after.persons, after.step, after.rounds) == ((LI,), 1, 0)


def test_if_everybody_is_silent_the_simulation_tells_the_whole_night() -> None:
    told = [(at - NOW, plan.persons) for at, plan in simulate(SHIPPED["high"], lambda _: around(), NOW)]
    assert [after // MINUTE for after, _ in told] == [0, 2, 4, 6, 8, 10, 12]
    assert told[-1][1][0] == LINE


TARGETS = [FIRST, SECOND, THIRD, Target("family"), Target("everybody"), Target("person", person=LIU)]
people = st.lists(st.sampled_from([LI, CHEN, ZHOU, LIU]), max_size=3)
steps = st.builds(
    Step,
    st.lists(st.sampled_from(TARGETS), min_size=1, max_size=3).map(tuple),
    st.sampled_from([MINUTE, 5 * MINUTE]),
    st.booleans(),
)
policies = st.builds(
    Policy,
    st.lists(steps, max_size=4).map(tuple),
    st.integers(0, 3),
    st.just(5 * MINUTE),
    st.just(15 * MINUTE),
)
arounds = st.builds(
    around,
    st.dictionaries(st.sampled_from(TARGETS), people),
    st.lists(st.sampled_from([LI, CHEN, ZHOU, LIU]), max_size=4, unique=True),
    st.sampled_from([LINE, None]),
)


@given(policies, arounds, st.integers(1, 25))
def test_it_never_ends_in_silence(policy: Policy, people: Around, calls: int) -> None:
    for plan in climb(policy, people, calls):
        assert plan.persons
        assert len(set(plan.persons)) == len(plan.persons)
        assert plan.step >= 1


@given(policies, arounds)
def test_it_is_told_within_its_repeats_that_all_was_in_vain(policy: Policy, people: Around) -> None:
    calls_a_round = sum(4 if step.in_turn else 1 for step in policy.steps) or 1
    plans = climb(policy, people, calls_a_round * (policy.repeats + 1) + 1)
    assert any(plan.exhausted for plan in plans)


@given(policies, arounds)
def test_whoever_the_policy_names_and_can_be_reached_is_called_before_that(policy: Policy, people: Around) -> None:
    out = {skipped.person for skipped in people.out}
    named = {p for step in policy.steps for target in step.targets for p in people.find(target).persons} - out
    called: set[UUID] = set()
    for plan in climb(policy, people, 60):
        if plan.exhausted:
            break
        called |= set(plan.persons)
    assert called >= named


SHANGHAI = ZoneInfo("Asia/Shanghai")


@pytest.mark.parametrize(
    ("local", "quiet"), [("21:59", False), ("22:00", True), ("03:10", True), ("06:59", True), ("07:00", False)]
)
def test_a_relative_is_left_to_sleep_over_midnight(local: str, quiet: bool) -> None:
    moment = datetime.combine(NOW.date(), time.fromisoformat(local), SHANGHAI)
    assert in_quiet_hours(moment, SHANGHAI, time(22), time(7)) is quiet


def test_equal_quiet_hours_mean_none() -> None:
    assert not in_quiet_hours(NOW, SHANGHAI, time(7), time(7))


def test_the_night_ends_at_seven_of_the_residents_own_clock() -> None:
    at_night = datetime(2026, 11, 24, 23, 30, tzinfo=SHANGHAI)
    assert morning_after(at_night, SHANGHAI) == datetime(2026, 11, 25, 7, 0, tzinfo=SHANGHAI)
    assert morning_after(at_night.replace(hour=12), SHANGHAI) is None
