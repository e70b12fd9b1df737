"""An alert's life: nobody can leave it lying unheard, and nothing impossible can be done to it."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alerts import lifecycle
from alerts.lifecycle import Alert, TransitionError

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
LI, CHEN = UUID(int=1), UUID(int=2)
SOON = NOW + timedelta(minutes=2)


def called() -> Alert:
    return lifecycle.notify(Alert("raised", NOW), 1, 0, SOON)


def refused(code: str) -> pytest.RaisesExc[TransitionError]:
    return pytest.raises(TransitionError, check=lambda error: error.code == code)


def test_taking_stops_the_climb_and_says_who_and_when() -> None:
    taken = lifecycle.acknowledge(called(), LI, NOW)
    assert (taken.state, taken.acknowledged_by, taken.acknowledged_at, taken.climb_at) == (
        "acknowledged",
        LI,
        NOW,
        None,
    )


def test_taking_twice_changes_nothing_and_a_second_person_is_refused() -> None:
    taken = lifecycle.acknowledge(called(), LI, NOW)
    assert lifecycle.acknowledge(taken, LI, SOON) == taken
    with refused("taken"):
        lifecycle.acknowledge(taken, CHEN, SOON)


def test_what_is_taken_is_not_called_to() -> None:
    with refused("not_waiting"):
        lifecycle.notify(lifecycle.acknowledge(called(), LI, NOW), 2, 0, SOON)


def test_only_who_took_it_can_give_it_back_and_then_it_calls_at_once() -> None:
    taken = lifecycle.acknowledge(called(), LI, NOW)
    with refused("not_yours"):
        lifecycle.release(taken, CHEN, NOW)
    given_back = lifecycle.release(taken, LI, SOON)
    assert (given_back.state, given_back.climb_at, given_back.acknowledged_by) == ("raised", SOON, None)
    assert given_back.rounds == 1


@pytest.mark.parametrize("hours", [0, -1, 24.1])
def test_an_alert_is_put_aside_for_a_day_at_most(hours: float) -> None:
    with refused("shelf_time"):
        lifecycle.shelve(called(), NOW, NOW + timedelta(hours=hours))


def test_from_the_shelf_it_calls_by_itself() -> None:
    shelved = lifecycle.shelve(called(), NOW, NOW + timedelta(hours=8))
    assert shelved.climb_at == shelved.shelved_until == NOW + timedelta(hours=8)
    assert lifecycle.unshelve(shelved, SOON).climb_at == SOON


def test_a_task_leaves_the_shelf_by_itself_and_calls_nobody() -> None:
    task = Alert("raised", NOW)
    shelved = lifecycle.shelve(task, NOW, NOW + timedelta(hours=1))
    assert shelved.climb_at == shelved.shelved_until
    assert lifecycle.unshelve(shelved, SOON).climb_at is None


def test_who_is_to_be_called_in_the_morning_is_not_called_when_it_is_over_by_then() -> None:
    waiting = lifecycle.call_later(Alert("raised", NOW), SOON)
    assert waiting.climb_at == SOON
    assert lifecycle.clear(waiting, NOW).climb_at is None
    with refused("not_waiting"):
        lifecycle.call_later(lifecycle.acknowledge(waiting, LI, NOW), SOON)


def test_an_alert_about_who_has_left_ends_without_a_person() -> None:
    ended = lifecycle.end(called(), SOON, "left")
    assert (ended.state, ended.resolved_at, ended.resolved_by, ended.climb_at) == ("resolved", SOON, None, None)
    closed = lifecycle.resolve(called(), LI, NOW, "well")
    assert lifecycle.end(closed, SOON, "left") == closed


def test_what_was_taken_calls_again_when_it_happens_again() -> None:
    again = lifecycle.raise_again(lifecycle.acknowledge(called(), LI, NOW), SOON, raises_lately=2)
    assert (again.state, again.climb_at, again.rounds) == ("raised", SOON, 1)


def test_what_chatters_does_not_call_again() -> None:
    taken = lifecycle.acknowledge(called(), LI, NOW)
    assert lifecycle.raise_again(taken, SOON, raises_lately=lifecycle.CHATTER_RAISES) == taken


def test_a_call_for_help_is_heard_however_often_it_comes() -> None:
    taken = lifecycle.acknowledge(called(), LI, NOW)
    again = lifecycle.raise_again(taken, SOON, raises_lately=lifecycle.CHATTER_RAISES + 5, is_event=True)
    assert (again.state, again.climb_at) == ("raised", SOON)


def test_a_condition_that_ended_is_still_for_a_person_to_close() -> None:
    cleared = lifecycle.clear(called(), SOON)
    assert cleared.is_open
    assert cleared.climb_at == SOON
    assert lifecycle.raise_again(cleared, SOON, raises_lately=1).cleared_at is None


def test_closing_needs_an_outcome_and_happens_once() -> None:
    with refused("no_outcome"):
        lifecycle.resolve(called(), LI, NOW, "  ")
    closed = lifecycle.resolve(called(), LI, NOW, " all is well ")
    assert (closed.outcome, closed.is_open, closed.climb_at) == ("all is well", False, None)
    for verb in (
        lambda: lifecycle.resolve(closed, LI, NOW, "again"),
        lambda: lifecycle.acknowledge(closed, LI, NOW),
        lambda: lifecycle.shelve(closed, NOW, SOON),
        lambda: lifecycle.raise_again(closed, NOW, raises_lately=1),
    ):
        with refused("resolved"):
            verb()


def test_changes_are_named_as_the_record_names_them() -> None:
    before = called()
    assert lifecycle.acknowledge(before, LI, NOW).changes_from(before) == {
        "state": "acknowledged",
        "climb_at": None,
        "acknowledged_at": NOW,
        "acknowledged_by": LI,
    }


class AnyLife(RuleBasedStateMachine):
    """Whatever is done to an alert in whatever order, it is never left unheard and never half changed."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.alert = Alert("raised", NOW)
        self.calls = False

    def attempt(self, verb: object, *arguments: object, **named: object) -> None:
        with suppress(TransitionError):
            self.alert = verb(self.alert, *arguments, **named)  # type: ignore[operator]

    @rule(minutes=st.integers(0, 600))
    def time_passes(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(step=st.integers(1, 3))
    def call(self, step: int) -> None:
        before = self.alert
        self.attempt(lifecycle.notify, step, before.rounds, self.now + timedelta(minutes=2))
        self.calls = self.alert.calls_staff

    @rule(person=st.sampled_from([LI, CHEN]))
    def acknowledge(self, person: UUID) -> None:
        self.attempt(lifecycle.acknowledge, person, self.now)

    @rule(person=st.sampled_from([LI, CHEN]))
    def release(self, person: UUID) -> None:
        self.attempt(lifecycle.release, person, self.now)

    @rule(hours=st.integers(-1, 30))
    def shelve(self, hours: int) -> None:
        self.attempt(lifecycle.shelve, self.now, self.now + timedelta(hours=hours))

    @rule()
    def unshelve(self) -> None:
        self.attempt(lifecycle.unshelve, self.now)

    @rule(raises=st.integers(1, 5))
    def happens_again(self, raises: int) -> None:
        self.attempt(lifecycle.raise_again, self.now, raises_lately=raises)

    @rule()
    def becomes_worse(self) -> None:
        self.attempt(lifecycle.urge, self.now)

    @rule()
    def clears(self) -> None:
        self.attempt(lifecycle.clear, self.now)

    @rule(outcome=st.sampled_from(["well", " "]))
    def resolve(self, outcome: str) -> None:
        self.attempt(lifecycle.resolve, LI, self.now, outcome)

    @precondition(lambda self: self.alert.state == "resolved")
    @rule()
    def begin_anew(self) -> None:
        self.alert, self.calls = Alert("raised", self.now), False

    @invariant()
    def nobody_forgets_it(self) -> None:
        untaken = self.alert.state in ("raised", "notified", "shelved")
        assert (self.alert.climb_at is not None) == (self.alert.state == "shelved" or (self.calls and untaken))

    @invariant()
    def the_shelf_has_an_end(self) -> None:
        assert (self.alert.state == "shelved") == (self.alert.shelved_until is not None)

    @invariant()
    def taken_means_by_somebody(self) -> None:
        assert (self.alert.acknowledged_by is None) == (self.alert.acknowledged_at is None)
        assert self.alert.state != "acknowledged" or self.alert.acknowledged_by is not None
        assert self.alert.state != "raised" or self.alert.acknowledged_by is None

    @invariant()
    def closed_means_with_an_outcome(self) -> None:
        closed = (self.alert.resolved_at, self.alert.resolved_by, self.alert.outcome)
        assert all(closed) if self.alert.state == "resolved" else closed == (None, None, None)


TestAnyLife = AnyLife.TestCase
