"""A policy that could end with nobody is refused, and what is written is read back as it was."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.policy import (
    PRIORITIES,
    ROLES,
    SHIPPED,
    Fault,
    Known,
    Policy,
    PolicyError,
    Step,
    Target,
    content,
    faults,
    parse,
)

LI = UUID(int=1)
KNOWN = Known({("care_worker", 1), ("care_worker", 2), ("supervisor", 1)}, {LI}, has_fallback=True)
MINUTE = timedelta(minutes=1)


def of(*steps: Step) -> Policy:
    return replace(SHIPPED["high"], steps=steps)


@pytest.mark.parametrize("priority", PRIORITIES)
def test_what_is_shipped_may_be_used(priority: str) -> None:
    assert faults(SHIPPED[priority], priority, KNOWN) == ()


@pytest.mark.parametrize(
    ("policy", "fault"),
    [
        (of(), Fault("no_steps")),
        (of(Step((Target("family"),), MINUTE)), Fault("no_staff")),
        (of(Step((Target("person", person=LI),), MINUTE)), Fault("no_staff")),
        (of(Step((), MINUTE), *SHIPPED["high"].steps), Fault("empty_step", 1)),
        (of(*SHIPPED["high"].steps, Step((Target("duty", "volunteer"),), MINUTE)), Fault("no_roster", 4)),
        (of(*SHIPPED["high"].steps, Step((Target("person", person=UUID(int=9)),), MINUTE)), Fault("no_phone", 4)),
        (of(Step((Target("everybody"),), 11 * MINUTE)), Fault("too_slow", 1)),
    ],
)
def test_a_policy_that_could_end_with_nobody_is_refused(policy: Policy, fault: Fault) -> None:
    assert fault in faults(policy, "high", KNOWN)


def test_without_a_line_for_when_nobody_answers_no_policy_may_be_used() -> None:
    assert faults(SHIPPED["low"], "low", replace(KNOWN, has_fallback=False)) == (Fault("no_fallback"),)


def test_what_can_wait_may_wait_longer() -> None:
    assert faults(of(Step((Target("everybody"),), timedelta(hours=3))), "low", KNOWN) == ()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"steps": [{"targets": [], "wait_s": 29}]}, "wait"),
        ({"steps": [{"targets": [{"kind": "duty", "role": "cook"}], "wait_s": 60}]}, "target"),
        ({"steps": [{"targets": [{"kind": "neighbour"}], "wait_s": 60}]}, "target"),
        ({"steps": [{"targets": [{"kind": "person", "person": "Li"}], "wait_s": 60}]}, "unreadable"),
        ({"steps": [{"targets": [], "wait_s": 60}] * 11}, "too_many_steps"),
        ({"repeats": 10}, "repeats"),
        ({"again_s": 1}, "again"),
        ({"attend_s": 1}, "attend"),
        ({"attend_s": "soon"}, "unreadable"),
        ({"steps": None}, "unreadable"),
    ],
)
def test_what_cannot_be_a_policy_is_refused_with_a_reason(change: dict[str, Any], code: str) -> None:
    with pytest.raises(PolicyError) as refused:
        parse(content(SHIPPED["high"]) | change)
    assert refused.value.code == code


seconds = st.integers(30, 86_400).map(lambda s: timedelta(seconds=s))
targets = st.one_of(
    st.builds(Target, st.just("duty"), st.sampled_from(ROLES), st.integers(1, 5)),
    st.builds(Target, st.just("person"), person=st.uuids()),
    st.sampled_from([Target("family"), Target("everybody")]),
)
policies = st.builds(
    Policy,
    st.lists(st.builds(Step, st.lists(targets, max_size=4).map(tuple), seconds, st.booleans()), max_size=10).map(tuple),
    st.integers(0, 9),
    st.integers(1, 720).map(lambda m: m * MINUTE),
    st.integers(5, 2_880).map(lambda m: m * MINUTE),
)


@given(policies)
def test_a_policy_is_read_back_as_it_was_written(policy: Policy) -> None:
    assert parse(content(policy)) == policy
