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
BY = NOW + timedelta(minutes=15)
LATER = BY + timedelta(minutes=2)


def called() -> Alert:
    return lifecycle.notify(Alert("raised", NOW), 1, 0, SOON)


def later_step() -> Alert:
    return lifecycle.notify(called(), 2, 0, SOON)


def taken_by(person: UUID) -> Alert:
    return lifecycle.acknowledge(called(), person, NOW, BY)


def refused(code: str) -> pytest.RaisesExc[TransitionError]:
    return pytest.raises(TransitionError, check=lambda error: error.code == code)


def test_taking_is_a_promise_that_says_who_when_and_by_when() -> None:
    taken = taken_by(LI)
    assert (taken.state, taken.acknowledged_by, taken.acknowledged_at) == ("acknowledged", LI, NOW)
    assert taken.climb_at == BY


def test_a_promise_that_is_not_kept_lapses_and_calls_from_the_first_step() -> None:
    again = lifecycle.lapse(lifecycle.acknowledge(later_step(), LI, NOW, BY), BY)
    assert (again.state, again.climb_at, again.rounds, again.acknowledged_by) == ("raised", BY, 0, None)
    with refused("not_yours"):
        lifecycle.lapse(called(), BY)


def test_a_promise_is_not_put_off_by_repeating_it() -> None:
    assert lifecycle.acknowledge(taken_by(LI), LI, SOON, LATER).climb_at == BY


def test_a_task_is_taken_without_a_deadline() -> None:
    assert lifecycle.acknowledge(Alert("raised", NOW), LI, NOW, BY).climb_at is None


def test_whoever_is_with_the_resident_ends_the_calls_though_she_had_not_taken_it() -> None:
    for before in (called(), taken_by(LI), taken_by(CHEN)):
        there = lifecycle.attend(before, CHEN, SOON)
        assert (there.state, there.attended_by, there.acknowledged_by, there.climb_at) == (
            "attended",
            CHEN,
            CHEN,
            None,
        )
        assert lifecycle.attend(there, LI, LATER) == there


def test_what_is_attended_is_not_taken_by_a_second_and_can_be_given_back() -> None:
    there = lifecycle.attend(called(), LI, NOW)
    with refused("taken"):
        lifecycle.acknowledge(there, CHEN, SOON, BY)
    assert lifecycle.release(there, LI, SOON).climb_at == SOON


def test_while_somebody_is_there_a_value_calls_nobody_but_a_new_event_does() -> None:
    there = lifecycle.attend(called(), LI, NOW)
    assert lifecycle.raise_again(there, SOON, raises_lately=1) == there
    assert lifecycle.raise_again(there, SOON, raises_lately=9, is_event=True).climb_at == SOON


def test_a_visit_that_nobody_ended_does_not_silence_what_comes_hours_later() -> None:
    there = lifecycle.attend(called(), LI, NOW)
    long_after = NOW + lifecycle.VISIT_LASTS
    again = lifecycle.raise_again(there, long_after, raises_lately=1)
    assert (again.state, again.climb_at, again.attended_by) == ("raised", long_after, None)


def at_night() -> Alert:
    """Somebody will be called to it in the morning."""
    return lifecycle.call_later(Alert("raised", NOW), LATER)


def test_taking_what_will_be_called_about_in_the_morning_is_a_promise_too() -> None:
    taken = lifecycle.acknowledge(at_night(), LI, NOW, BY)
    assert taken.climb_at == BY
    assert lifecycle.lapse(taken, BY).climb_at == BY


def test_whatever_begins_to_wait_again_goes_on_though_nobody_had_been_called_to_it() -> None:
    given_back = lifecycle.release(lifecycle.acknowledge(at_night(), LI, NOW, BY), LI, SOON)
    off_the_shelf = lifecycle.unshelve(lifecycle.shelve(at_night(), NOW, LATER), SOON)
    happens_again = lifecycle.raise_again(lifecycle.cancel(at_night(), NOW), SOON, raises_lately=1)
    over_and_back = lifecycle.raise_again(lifecycle.clear(at_night(), NOW), SOON, raises_lately=1)
    for again in (given_back, off_the_shelf, happens_again, over_and_back):
        assert (again.state, again.climb_at) == ("raised", SOON)


def test_one_whose_call_is_due_is_called_about_though_it_is_over_by_then() -> None:
    due = lifecycle.call_later(Alert("raised", NOW), NOW)
    assert lifecycle.clear(due, NOW).climb_at == NOW


def test_a_task_rests_and_what_somebody_was_called_to_never_does() -> None:
    assert lifecycle.rest(lifecycle.call_later(Alert("raised", NOW), NOW)).climb_at is None
    with refused("called"):
        lifecycle.rest(called())


def test_when_everybody_was_called_in_vain_it_says_so_until_somebody_takes_it() -> None:
    in_vain = lifecycle.notify(later_step(), 3, 2, LATER, exhausted_at=SOON)
    assert in_vain.exhausted_at == SOON
    assert lifecycle.notify(in_vain, 3, 3, LATER, exhausted_at=LATER).exhausted_at == SOON
    assert lifecycle.acknowledge(in_vain, LI, LATER, LATER + timedelta(minutes=15)).exhausted_at is None


def test_calls_are_counted_through_the_whole_life() -> None:
    lapsed = lifecycle.lapse(lifecycle.acknowledge(later_step(), LI, NOW, BY), BY)
    assert lifecycle.notify(lapsed, 1, 0, LATER).call == 3


def test_the_resident_takes_back_what_nobody_has_been_called_to_and_it_stays_to_be_asked_after() -> None:
    held = lifecycle.call_later(Alert("raised", NOW), SOON)
    cancelled = lifecycle.cancel(held, NOW)
    assert (cancelled.state, cancelled.cancelled_at, cancelled.climb_at, cancelled.is_open) == (
        "cancelled",
        NOW,
        None,
        True,
    )
    assert lifecycle.cancel(cancelled, SOON) == cancelled
    assert not lifecycle.resolve(cancelled, LI, SOON, "well").is_open


def test_once_somebody_has_been_called_the_resident_cannot_take_it_back() -> None:
    for before in (called(), taken_by(LI), lifecycle.release(taken_by(LI), LI, SOON)):
        with refused("called"):
            lifecycle.cancel(before, SOON)


def test_what_was_taken_back_calls_when_it_happens_again() -> None:
    cancelled = lifecycle.cancel(lifecycle.call_later(Alert("raised", NOW), SOON), NOW)
    assert lifecycle.raise_again(cancelled, SOON, raises_lately=9).state == "raised"


def test_a_task_whose_reason_is_long_over_expires_and_nothing_else_does() -> None:
    over = lifecycle.clear(Alert("raised", NOW), NOW)
    with refused("still_counts"):
        lifecycle.expire(over, NOW + timedelta(days=6))
    assert lifecycle.expire(over, NOW + timedelta(days=7)).state == "expired"
    for before in (called(), lifecycle.clear(called(), NOW), Alert("raised", NOW)):
        with refused("still_counts"):
            lifecycle.expire(before, NOW + timedelta(days=700))


def test_taking_twice_changes_nothing_and_a_second_person_is_refused() -> None:
    taken = taken_by(LI)
    assert lifecycle.acknowledge(taken, LI, SOON, LATER) == taken
    with refused("taken"):
        lifecycle.acknowledge(taken, CHEN, SOON, BY)


def test_what_is_taken_is_not_called_to() -> None:
    with refused("not_waiting"):
        lifecycle.notify(taken_by(LI), 2, 0, SOON)


def test_only_who_took_it_can_give_it_back_and_then_it_calls_at_once() -> None:
    taken = taken_by(LI)
    with refused("not_yours"):
        lifecycle.release(taken, CHEN, NOW)
    given_back = lifecycle.release(taken, LI, SOON)
    assert (given_back.state, given_back.climb_at, given_back.acknowledged_by) == ("raised", SOON, None)
    assert (given_back.rounds, given_back.call) == (0, 1)


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
    assert lifecycle.rest(lifecycle.unshelve(shelved, SOON)) == task


def test_who_is_to_be_called_in_the_morning_is_not_called_when_it_is_over_by_then() -> None:
    waiting = lifecycle.call_later(Alert("raised", NOW), SOON)
    assert waiting.climb_at == SOON
    assert lifecycle.clear(waiting, NOW).climb_at is None
    with refused("not_waiting"):
        lifecycle.call_later(lifecycle.acknowledge(waiting, LI, NOW, BY), SOON)


def test_an_alert_about_who_has_left_ends_without_a_person() -> None:
    ended = lifecycle.end(called(), SOON, "left")
    assert (ended.state, ended.resolved_at, ended.resolved_by, ended.climb_at) == ("resolved", SOON, None, None)
    closed = lifecycle.resolve(called(), LI, NOW, "well")
    assert lifecycle.end(closed, SOON, "left") == closed


def test_what_was_taken_calls_again_when_it_happens_again() -> None:
    again = lifecycle.raise_again(taken_by(LI), SOON, raises_lately=2)
    assert (again.state, again.climb_at, again.rounds) == ("raised", SOON, 0)


def test_what_chatters_does_not_call_again() -> None:
    taken = taken_by(LI)
    assert lifecycle.raise_again(taken, SOON, raises_lately=lifecycle.CHATTER_RAISES) == taken


def test_a_call_for_help_is_heard_however_often_it_comes() -> None:
    taken = taken_by(LI)
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
        lambda: lifecycle.acknowledge(closed, LI, NOW, BY),
        lambda: lifecycle.shelve(closed, NOW, SOON),
        lambda: lifecycle.raise_again(closed, NOW, raises_lately=1),
    ):
        with refused("resolved"):
            verb()


def test_changes_are_named_as_the_record_names_them() -> None:
    before = called()
    assert lifecycle.acknowledge(before, LI, NOW, BY).changes_from(before) == {
        "state": "acknowledged",
        "climb_at": BY,
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

    @rule(step=st.integers(1, 3), in_vain=st.booleans())
    def call(self, step: int, in_vain: bool) -> None:
        before = self.alert
        soon = self.now + timedelta(minutes=2)
        self.attempt(lifecycle.notify, step, before.rounds, soon, self.now if in_vain else None)
        self.calls = self.alert.calls_staff

    @rule(person=st.sampled_from([LI, CHEN]))
    def acknowledge(self, person: UUID) -> None:
        self.attempt(lifecycle.acknowledge, person, self.now, self.now + timedelta(minutes=15))

    @rule(person=st.sampled_from([LI, CHEN]))
    def attend(self, person: UUID) -> None:
        self.attempt(lifecycle.attend, person, self.now)

    @precondition(lambda self: self.alert.state == "acknowledged" and self.alert.climb_at is not None)
    @rule()
    def promise_lapses(self) -> None:
        self.attempt(lifecycle.lapse, self.now)

    @rule()
    def resident_takes_it_back(self) -> None:
        self.attempt(lifecycle.cancel, self.now)

    @rule()
    def expires(self) -> None:
        self.attempt(lifecycle.expire, self.now)

    @rule(person=st.sampled_from([LI, CHEN]))
    def release(self, person: UUID) -> None:
        self.attempt(lifecycle.release, person, self.now)

    @rule(hours=st.integers(-1, 30))
    def shelve(self, hours: int) -> None:
        self.attempt(lifecycle.shelve, self.now, self.now + timedelta(hours=hours))

    @rule()
    def unshelve(self) -> None:
        self.attempt(lifecycle.unshelve, self.now)

    @rule(raises=st.integers(1, 5), is_event=st.booleans())
    def happens_again(self, raises: int, is_event: bool) -> None:
        self.attempt(lifecycle.raise_again, self.now, raises_lately=raises, is_event=is_event)

    @rule()
    def becomes_worse(self) -> None:
        self.attempt(lifecycle.urge, self.now)

    @rule()
    def clears(self) -> None:
        self.attempt(lifecycle.clear, self.now)

    @rule(outcome=st.sampled_from(["well", " "]))
    def resolve(self, outcome: str) -> None:
        self.attempt(lifecycle.resolve, LI, self.now, outcome)

    @precondition(lambda self: not self.alert.is_open)
    @rule()
    def begin_anew(self) -> None:
        self.alert, self.calls = Alert("raised", self.now), False

    @rule(hours=st.integers(0, 12))
    def put_off_till_the_morning(self, hours: int) -> None:
        self.attempt(lifecycle.call_later, self.now + timedelta(hours=hours))

    @rule()
    def turns_out_to_be_a_task(self) -> None:
        self.attempt(lifecycle.rest)

    @invariant()
    def nobody_forgets_it(self) -> None:
        goes_on = self.alert.waits or self.alert.state == "acknowledged"
        if self.alert.state == "shelved" or (self.calls and goes_on):
            assert self.alert.climb_at is not None
        assert self.alert.climb_at is None or self.alert.state == "shelved" or goes_on

    @invariant()
    def it_is_red_only_while_nobody_has_it(self) -> None:
        assert self.alert.exhausted_at is None or self.alert.state == "notifying"

    @invariant()
    def nobody_who_was_called_is_called_off_by_the_resident(self) -> None:
        assert self.alert.state != "cancelled" or self.alert.call == 0

    @invariant()
    def the_shelf_has_an_end(self) -> None:
        assert (self.alert.state == "shelved") == (self.alert.shelved_until is not None)

    @invariant()
    def taken_means_by_somebody(self) -> None:
        assert (self.alert.acknowledged_by is None) == (self.alert.acknowledged_at is None)
        assert (self.alert.attended_by is None) == (self.alert.attended_at is None)
        assert self.alert.state not in ("acknowledged", "attended") or self.alert.acknowledged_by is not None
        assert self.alert.state not in ("raised", "notifying", "cancelled") or self.alert.acknowledged_by is None

    @invariant()
    def closed_by_a_person_means_with_an_outcome(self) -> None:
        closed = (self.alert.resolved_by, self.alert.outcome)
        assert all(closed) if self.alert.state == "resolved" else closed == (None, None)
        assert (self.alert.resolved_at is None) == self.alert.is_open


TestAnyLife = AnyLife.TestCase
