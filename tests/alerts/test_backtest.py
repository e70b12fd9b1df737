"""What a protocol would have done: the same firings, counted as the watch would have written them down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from alerts import protocol
from alerts.backtest.counts import Comparison, Episode, Side, Watched, compare, merged, poisson
from alerts.backtest.replay import NEVER, Assumed, Given, Past, Replay, Told
from alerts.engine import Batch
from alerts.profiles import Profile
from alerts.protocol import Protocol, Rule
from devices.readings import METRICS

KEPT = ("bp.severe", "bp.missing", "temperature.high", "gateway.silent", "gateway.unwatched",
        "fall", "fall.long_lie", "fall.answered", "help_call")  # fmt: skip


def with_rules(*rules: Rule) -> Protocol:
    return replace(protocol.load(), rules=rules, parameters=(), groups=(), scores=())


RULES = {rule.id: rule for rule in protocol.load().rules}
SHIPPED = with_rules(*(RULES[rule_id] for rule_id in KEPT))
"""Nine of the shipped rules."""
NOON = datetime(2026, 11, 2, 4, 0, tzinfo=UTC)
"""Twelve o'clock in Shanghai."""
WANG, ZHAO = 7, 8
HOME = Profile("Asia/Shanghai")

Said = tuple[str, float, float]
"""A metric, its value, and hours after noon."""


def us(hours: float) -> int:
    return round(NOON.timestamp() * 1e6) + round(hours * 3.6e9)


def time(hours: float) -> np.datetime64:
    return np.datetime64(us(hours), "us")


def record(said: Iterable[Said], *, late_h: float = 0.0, resident: int = WANG) -> Batch:
    """Readings as they come, each received when it is measured, or ``late_h`` after it."""
    rows = list(said)
    at = np.array([us(hours) for _, _, hours in rows], np.int64)
    return Batch(
        np.full(len(rows), resident, np.int32),
        np.array([METRICS[metric].code for metric, _, _ in rows], np.int16),
        at.astype("datetime64[us]"),
        np.array([value for _, value, _ in rows]),
        np.zeros(len(rows), np.int32),
        np.ones(len(rows), np.int32),
        (at + round(late_h * 3.6e9)).astype("datetime64[us]"),
    )


def told(
    *said: Said, until: float = 48, past: Past | None = None, assumed: Assumed | None = None, late_h: float = 0.0
) -> Told:
    """What the shipped protocol says of Mrs Wang in the days after noon."""
    replay = Replay(SHIPPED, {WANG: HOME}, past or Past(), assumed)
    return replay.run(record(said, late_h=late_h), (time(0), time(until)), {WANG: time(0)})


def raised(told: Told, rule: str) -> list[float]:
    """When alerts of a rule were raised, in hours after noon."""
    return hours(told.raised, rule)


def hours(marks: Any, rule: str) -> list[float]:
    number = [known.id for known in SHIPPED.rules].index(rule)
    return [round((at - us(0)) / 3.6e9, 3) for at in marks.at[marks.rule == number].tolist()]


def severe(*at: float) -> list[Said]:
    return [(metric, value, hour) for hour in at for metric, value in (("systolic", 192.0), ("diastolic", 118.0))]


def normal(*at: float) -> list[Said]:
    return [(metric, value, hour) for hour in at for metric, value in (("systolic", 130.0), ("diastolic", 80.0))]


def test_the_same_condition_is_one_alert_and_one_message_until_it_is_closed() -> None:
    found = told(*severe(1, 1.25, 3, 5))
    assert raised(found, "bp.severe") == [1.25]
    assert hours(found.called, "bp.severe") == [1.25]


def test_what_nobody_has_answered_is_raised_when_the_question_runs_out_in_the_record_s_own_time() -> None:
    found = told(*severe(1))
    assert hours(found.asked, "bp.severe") == [1.0]
    assert raised(found, "bp.severe") == [1.5]


def test_a_question_that_is_answered_by_a_calm_repeat_raises_nothing() -> None:
    found = told(*severe(1), *normal(1.2))
    assert hours(found.asked, "bp.severe") == [1.0]
    assert raised(found, "bp.severe") == []


def test_an_alert_that_never_was_is_closed_some_hours_after_it_was_over() -> None:
    day = [*severe(1, 1.25), *normal(2), *severe(10, 10.25)]
    assert raised(told(*day), "bp.severe") == [1.25]
    assert hours(told(*day).called, "bp.severe") == [1.25, 10.25]
    soon = Assumed(after_clear=timedelta(hours=2))
    assert raised(told(*day, assumed=soon), "bp.severe") == [1.25, 10.25]


def test_one_that_is_never_over_is_closed_all_the_same_and_raised_anew() -> None:
    weeks = severe(*(number * 3 + part for number in range(40) for part in (0, 0.2)))
    found = raised(told(*weeks, until=120, assumed=Assumed(at_most=timedelta(hours=48))), "bp.severe")
    assert found[0] == 0.2
    assert 48 <= found[1] <= 60
    assert len(found) == 3


def test_a_task_waits_longer_before_somebody_closes_it() -> None:
    task = with_rules(replace(RULES["temperature.high"], calls=False))
    fever = [("body_temperature", 39.0, float(hour)) for hour in range(1, 480, 12)]
    found = Replay(task, {WANG: HOME}, Past()).run(record(fever), (time(0), time(480)), {WANG: time(0)})
    assert len(found.raised) == 2
    assert len(found.called) == 0


def test_an_alert_that_was_in_fact_raised_is_open_as_long_as_the_record_says() -> None:
    day = [*severe(1, 1.25), *normal(2), *severe(20, 20.25)]
    still_open = Past(closed={(WANG, "bp.severe", us(1.25)): NEVER})
    assert raised(told(*day, past=still_open), "bp.severe") == [1.25]
    closed_early = Past(closed={(WANG, "bp.severe", us(1.25)): us(3)})
    assert raised(told(*day, past=closed_early), "bp.severe") == [1.25, 20.25]


def test_each_call_for_help_calls_but_while_one_is_open_there_is_no_second_alert() -> None:
    found = told(("help_call", 1.0, 1), ("help_call", 1.0, 2), ("help_call", 1.0, 30))
    assert raised(found, "help_call") == [1.0, 30.0]
    assert hours(found.called, "help_call") == [1.0, 2.0, 30.0]


def test_a_fall_that_is_answered_becomes_a_task_and_calls_nobody() -> None:
    found = told(("fall", 0.9, 1), ("fall_recovered", 1.0, 1.005))
    assert raised(found, "fall") == []
    assert raised(found, "fall.answered") == [1.005]
    assert len(found.called) == 0


def test_a_long_lie_joins_the_alert_of_its_fall_and_calls_once_more() -> None:
    found = told(("fall", 0.9, 1), ("long_lie", 1.0, 1.2))
    assert raised(found, "fall") == [round(1 + 30 / 3600, 3)]
    assert raised(found, "fall.long_lie") == []
    assert hours(found.called, "fall.long_lie") == [1.2]


def test_what_an_open_alert_says_already_is_not_raised_beside_it() -> None:
    silence = [Given(WANG, "gateway.silent", us(1), us(200), called=False)]
    assert raised(told(*normal(0), until=100), "bp.missing") == [72.0]
    assert raised(told(*normal(0), until=100, past=Past(given=silence)), "bp.missing") == []


def test_what_the_record_does_not_keep_is_taken_from_it_as_it_was() -> None:
    past = Past(given=[Given(WANG, "gateway.unwatched", us(1), us(2), called=True)])
    found = told(past=past)
    assert raised(found, "gateway.unwatched") == hours(found.called, "gateway.unwatched") == [1.0]


def test_nothing_is_raised_about_who_has_left() -> None:
    assert raised(told(*severe(1, 1.25), past=Past(left={WANG: us(1.1)})), "bp.severe") == []


def test_what_comes_days_late_raises_no_alarm() -> None:
    assert raised(told(*severe(1, 1.25), late_h=30), "bp.severe") == []


def test_what_comes_late_but_in_time_is_raised_when_it_comes() -> None:
    assert raised(told(*severe(1, 1.25), late_h=1), "bp.severe") == [2.25]


def test_a_call_that_waits_for_the_morning_is_made_then_unless_it_is_over() -> None:
    rules = with_rules(replace(RULES["temperature.high"], calls_at_night=False))

    def called(*said: Said) -> list[float]:
        found = Replay(rules, {WANG: HOME}, Past()).run(record(said), (time(0), time(48)), {WANG: time(0)}).called
        return [(at - us(0)) / 3.6e9 for at in found.at.tolist()]

    assert called(("body_temperature", 39.0, 5)) == [5.0]
    assert called(("body_temperature", 39.0, 12)) == [19.0]
    assert called(("body_temperature", 39.0, 12), ("body_temperature", 36.5, 15)) == []


def test_residents_do_not_touch_each_other() -> None:
    both = [record(severe(1, 1.25)), record(severe(1, 1.25), resident=ZHAO)]
    columns = (np.concatenate([getattr(part, name) for part in both]) for name in Batch.__slots__)
    joined = Batch(*columns)  # type: ignore[arg-type]
    assert joined.received is not None
    batch = joined[np.argsort(joined.received, kind="stable")]
    replay = Replay(SHIPPED, {WANG: HOME, ZHAO: HOME}, Past())
    found = replay.run(batch, (time(0), time(48)), {WANG: time(0), ZHAO: time(0)})
    assert sorted(found.raised.resident.tolist()) == [WANG, ZHAO]


# Counting


def side_by_side(
    found: Mapping[Side, Told], *episodes: Episode, rules: Mapping[Side, Protocol] | None = None, residents: int = 2
) -> Comparison:
    """Ten days of some residents, Mrs Wang the first."""
    numbers = np.arange(WANG, WANG + residents, dtype=np.int32)
    ten_days = np.full(residents, us(0)), np.full(residents, us(240))
    watched = Watched(numbers, *ten_days, ("Asia/Shanghai",) * residents)
    period = NOON, NOON + timedelta(days=10)
    return compare(rules or {"against": SHIPPED, "new": SHIPPED}, found, watched, episodes, period, 0, Assumed())


def test_rates_are_per_100_resident_days_and_messages_per_resident_and_week() -> None:
    found = side_by_side({"against": told(), "new": told(*severe(1, 1.25))})
    assert (found.resident_days, found.new.alerts.count, found.new.alerts.rate) == (20.0, 1, 5.0)
    assert found.new.messages.rate == pytest.approx(7 / 20)
    assert (found.against.any, found.new.any) == (0, 1)
    line = next(line for line in found.by_rule if line.rule == "bp.severe")
    assert line.new
    assert line.against
    assert (line.against.count, line.new.count) == (0, 1)
    assert line.verdict == "alike"


def test_alerts_are_summed_by_priority() -> None:
    found = side_by_side({"against": told(), "new": told(*severe(1, 1.25), ("body_temperature", 39.0, 2))})
    counts = {line.priority: line.new.count for line in found.by_priority if line.new}
    assert counts == {"high": 1, "medium": 1, "low": 0}


def test_a_message_at_night_is_told_by_the_clock_of_her_home() -> None:
    found = side_by_side({"against": told(*severe(8.9, 8.95)), "new": told(*severe(9.1, 9.2))})
    assert (found.against.night, found.new.night) == ({}, {WANG: 1})
    assert found.new.hours[21] == found.against.hours[20] == 1
    assert found.new.night_messages.count == 1


@pytest.mark.parametrize(
    ("count", "low", "high"), [(0, 0.0, 3.689), (1, 0.0253, 5.572), (5, 1.623, 11.668), (30, 20.24, 42.83)]
)
def test_the_poisson_interval_is_near_the_exact_one(count: int, low: float, high: float) -> None:
    assert poisson(count) == pytest.approx((low, high), rel=0.02, abs=0.015)


def test_an_interval_is_no_narrower_than_chance_and_wider_where_few_residents_make_most_alerts() -> None:
    many = side_by_side({"against": told(), "new": told(*(("help_call", 1.0, 13.0 * n) for n in range(18)), until=240)})
    rate = many.new.alerts
    low, high = poisson(rate.count)
    assert rate.low <= low / many.resident_days * 100
    assert rate.high >= high / many.resident_days * 100
    assert rate.low == 0.0, "it is one of two residents alone"


def test_a_difference_beyond_chance_is_told_as_one() -> None:
    each = [record(severe(1, 1.25), resident=number) for number in range(WANG, WANG + 30)]
    columns = (np.concatenate([getattr(part, name) for part in each]) for name in Batch.__slots__)
    joined = Batch(*columns)  # type: ignore[arg-type]
    assert joined.received is not None
    everybody = dict.fromkeys(range(WANG, WANG + 30), time(0))
    batch = joined[np.argsort(joined.received, kind="stable")]
    all_of_them = Replay(SHIPPED, {}, Past()).run(batch, (time(0), time(48)), everybody)
    found = side_by_side({"against": told(), "new": all_of_them}, residents=30)
    assert next(line.verdict for line in found.by_rule if line.rule == "bp.severe") == "more"
    assert found.more[0] > 0


def test_rules_that_are_new_gone_or_judge_otherwise_are_named() -> None:
    button, fever = (
        replace(RULES["help_call"], id="help_button"),
        replace(RULES["temperature.high"], calls_at_night=False),
    )
    severe = replace(RULES["bp.severe"], titles={"zh_Hans": "血压很高", "en": "Very high"})
    low = replace(RULES["fall"], expires=timedelta(hours=3))
    kept = [RULES[rule_id] for rule_id in KEPT if rule_id not in ("help_call", "temperature.high", "bp.severe", "fall")]
    other = with_rules(*kept, button, fever, severe, low)
    found = side_by_side({"against": told(), "new": told()}, rules={"against": SHIPPED, "new": other})
    changes = {line.rule: line.change for line in found.by_rule if line.change}
    assert changes == {
        "help_call": "gone",
        "help_button": "new",
        "temperature.high": "calls",
        "bp.severe": "words",
        "fall": "judges",
    }


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


def test_a_true_episode_is_caught_as_early_as_its_first_alert_or_missed() -> None:
    visit = Episode(WANG, at(20), "hospital", "chest pain")
    found = side_by_side({"against": told(), "new": told(*severe(1, 1.25))}, visit)
    (one,) = found.found
    assert (one.against, one.new, one.by_new) == (None, timedelta(hours=18, minutes=45), "bp.severe")
    assert (found.caught("against"), found.caught("new")) == (0, 1)


@pytest.mark.parametrize(
    ("episode", "is_caught"),
    [
        (Episode(WANG, at(1), "hospital", ""), False),
        (Episode(WANG, at(1.25 + 7 * 24), "hospital", ""), True),
        (Episode(WANG, at(1.3 + 7 * 24), "hospital", ""), False),
        (Episode(WANG, at(0), "worth_it", "bp.severe"), True),
        (Episode(WANG, at(30), "worth_it", "bp.severe"), False),
        (Episode(ZHAO, at(2), "hospital", ""), False),
    ],
)
def test_an_alert_long_before_or_after_an_episode_or_of_somebody_else_is_not_about_it(
    episode: Episode, is_caught: bool
) -> None:
    found = side_by_side({"against": told(), "new": told(*severe(1, 1.25))}, episode)
    assert (found.found[0].new is not None) is is_caught


def test_a_task_has_found_nobody() -> None:
    found = side_by_side({"against": told(), "new": told(*normal(0), until=100)}, Episode(WANG, at(80), "hospital", ""))
    assert found.new.alerts.count == 1
    assert found.found[0].new is None


def test_what_the_record_says_twice_of_one_trouble_counts_once() -> None:
    trouble = [
        Episode(WANG, at(1), "worth_it", "bp.severe"),
        Episode(WANG, at(9), "hospital", "chest pain"),
        Episode(ZHAO, at(2), "fall", "fall"),
        Episode(WANG, at(60), "worth_it", "bp.severe"),
    ]
    assert [(e.resident, e.what) for e in merged(trouble)] == [(ZHAO, "fall"), (WANG, "hospital"), (WANG, "worth_it")]
