"""The rules core: what the shipped rules say of a day. What any rules must fulfil: ``test_engine_properties.py``."""

from __future__ import annotations

import base64
import dataclasses
import zlib
from typing import Any

import numpy as np
import pytest

from alerts import protocol
from alerts.engine import Batch, Engine, Firing
from alerts.protocol import Protocol, Rule
from devices.readings import METRICS
from tests.alerts.protocols import asking, texts
from tests.alerts.protocols import rule as written
from tests.alerts.reference import Heard
from tests.alerts.streams import batch

T0 = np.datetime64("2026-11-02T08:00:00", "us")
SHIPPED = protocol.load()
WANG, LI = 7, 8
CUFF, BUTTON, WEARABLE = 1, 2, 3


def when(minutes: float) -> np.datetime64:
    return T0 + np.timedelta64(round(minutes * 60e6), "us")


def heard(
    metric: str, value: float, at: float, *, received: float | None = None, resident: int = WANG, device: int = CUFF
) -> Heard:
    """A reading measured ``at`` minutes and received then, or when it is said."""
    return Heard(resident, METRICS[metric].code, when(at), value, device, when(at if received is None else received))


def pressure(systolic: float, diastolic: float, at: float, **more: Any) -> list[Heard]:
    return [heard("systolic", systolic, at, **more), heard("diastolic", diastolic, at, **more)]


class Day:
    """The shipped protocol at work; says what fired as (rule, what)."""

    def __init__(self) -> None:
        self.engine = Engine(SHIPPED)
        self.engine.enrol([WANG], T0)
        self.firings: list[Firing] = []

    def hear(self, *readings: Heard, now: float | None = None) -> list[tuple[str, str]]:
        last = readings[-1].received if now is None else when(now)
        self.firings = self.engine.step(batch(readings), last)
        return [(firing.rule, firing.what) for firing in self.firings]

    def wait(self, until: float) -> list[tuple[str, str]]:
        return self.hear(now=until)


@pytest.fixture
def day() -> Day:
    return Day()


def test_one_severe_pressure_asks_for_a_repeat_and_two_call(day: Day) -> None:
    first = [*pressure(192, 118, 0), heard("pulse", 96, 0)]
    assert day.hear(*first) == [("bp.severe", "ask")]
    assert day.firings[0].until == when(30)
    assert day.hear(*pressure(188, 116, 6), heard("pulse", 92, 6)) == [("bp.severe", "raise")]
    raised = day.firings[0]
    assert raised.at == when(6)
    assert raised.evidence == {
        "systolic": 188,
        "diastolic": 116,
        "pulse": 92,
        "first_systolic": 192,
        "first_diastolic": 118,
        "first_pulse": 96,
        "count": 2,
    }


def test_a_high_diastolic_alone_is_severe(day: Day) -> None:
    assert day.hear(*pressure(150, 112, 0)) == [("bp.severe", "ask")]


def test_a_normal_repeat_answers_the_question_and_nobody_is_called(day: Day) -> None:
    day.hear(*pressure(192, 118, 0))
    assert day.hear(*pressure(158, 92, 8)) == [("bp.severe", "answered")]
    assert day.wait(60) == []


def test_half_a_normal_measurement_answers_nothing(day: Day) -> None:
    day.hear(*pressure(192, 118, 0))
    assert day.hear(heard("systolic", 158, 8)) == []
    assert day.hear(heard("diastolic", 112, 8)) == [("bp.severe", "raise")]
    assert day.firings[0].evidence["systolic"] == 158


def test_what_comes_later_of_a_measurement_is_named_in_the_evidence() -> None:
    engine = Engine(
        Protocol("no question", "", (dataclasses.replace(rule("bp.severe"), ask=None),), SHIPPED.parameters)
    )
    first, second = pressure(192, 100, 0, received=1), pressure(188, 116, 5)
    assert engine.step(batch(first[:1]), when(1)) == []
    assert engine.step(batch(first[1:]), when(1)) == []
    (raised,) = engine.step(batch(second), when(5))
    assert (raised.evidence["first_systolic"], raised.evidence["first_diastolic"]) == (192, 100)


def test_no_repeat_within_half_an_hour_calls(day: Day) -> None:
    day.hear(*pressure(192, 118, 0))
    assert day.engine.wake_at() == when(30) + np.timedelta64(1, "us")
    assert day.wait(30) == []
    assert day.wait(30.01) == [("bp.severe", "raise")]
    assert day.firings[0].at == when(0), "the alert is of the measurement, not of the end of waiting"
    assert day.firings[0].evidence == {"systolic": 192, "diastolic": 118, "count": 1}


def test_the_question_waits_from_when_it_could_be_put(day: Day) -> None:
    assert day.hear(*pressure(192, 118, 0, received=50)) == [("bp.severe", "ask")]
    assert day.firings[0].until == when(80)
    assert day.hear(*pressure(188, 116, 75)) == [("bp.severe", "raise")], "it is the repeat, however late"


def test_the_alarm_ends_only_below_its_clear_level(day: Day) -> None:
    day.hear(*pressure(192, 118, 0), *pressure(188, 116, 5))
    assert day.hear(*pressure(175, 95, 20)) == []
    assert day.hear(*pressure(165, 107, 40)) == []
    assert day.hear(*pressure(165, 104, 60)) == [("bp.severe", "clear")]


def test_a_late_normal_reading_clears_nothing_and_a_late_severe_one_raises_nothing(day: Day) -> None:
    day.hear(*pressure(192, 118, 10), *pressure(188, 116, 15))
    assert day.hear(*pressure(120, 70, 5, received=16)) == []
    assert day.hear(*pressure(140, 80, 30)) == [("bp.severe", "clear")]
    assert day.hear(*pressure(190, 112, 20, received=31)) == []


def test_a_late_severe_reading_counts_beside_a_newer_severe_one(day: Day) -> None:
    assert day.hear(*pressure(188, 116, 6)) == [("bp.severe", "ask")]
    assert day.hear(*pressure(192, 118, 0, received=7)) == [("bp.severe", "raise")]
    assert day.firings[0].evidence["first_systolic"] == 192


def test_yesterdays_emergency_is_no_alarm_of_today(day: Day) -> None:
    old = [*pressure(192, 118, 0, received=181), *pressure(188, 116, 5, received=181)]
    assert day.hear(*old) == [("bp.severe", "note")], "it is written down for the doctor"


def test_a_fall_of_hours_ago_still_calls_for_somebody_may_be_lying_there(day: Day) -> None:
    assert day.hear(heard("fall", 0.9, 0, received=600)) == [("fall", "ask")]
    assert day.wait(601) == [("fall", "raise")]


def test_a_fall_asks_and_calls_after_thirty_seconds(day: Day) -> None:
    assert day.hear(heard("fall", 0.93, 0, received=0.1)) == [("fall", "ask")]
    assert day.firings[0].until == when(0.6)
    assert day.wait(0.61) == [("fall", "raise")]
    assert day.firings[0].evidence == {"probability": 0.93, "count": 1}
    assert day.firings[0].at == when(0)


def test_who_gets_up_in_time_is_not_troubled(day: Day) -> None:
    day.hear(heard("fall", 0.93, 0))
    assert day.hear(heard("fall_recovered", 1, 0.3)) == [("fall", "answered")]
    assert day.wait(10) == []


def test_who_gets_up_later_ends_the_alarm(day: Day) -> None:
    day.hear(heard("fall", 0.93, 0))
    day.wait(1)
    assert day.hear(heard("fall_recovered", 1, 3)) == [("fall", "clear")]


def test_getting_up_does_not_answer_for_a_later_fall(day: Day) -> None:
    day.hear(heard("fall", 0.93, 5))
    assert day.hear(heard("fall_recovered", 1, 4, received=5.1)) == []
    assert day.wait(6) == [("fall", "raise")]


def test_a_recovery_that_overtakes_its_fall_counts(day: Day) -> None:
    assert day.hear(heard("fall_recovered", 1, 0.2), heard("fall", 0.93, 0, received=0.3)) == []


def test_a_recovery_in_the_instant_of_the_fall_counts(day: Day) -> None:
    day.hear(heard("fall", 0.93, 0))
    assert day.hear(heard("fall_recovered", 1, 0, received=0.2)) == [("fall", "answered")]


def test_a_late_normal_reading_does_not_answer_while_the_repeat_is_not_complete(day: Day) -> None:
    day.hear(*pressure(192, 118, 10))
    assert day.hear(heard("systolic", 150, 15), *pressure(120, 70, 12, received=16)) == []
    assert day.hear(heard("diastolic", 80, 15, received=17)) == [("bp.severe", "answered")]


def test_what_the_detector_reports_it_has_decided_however_unlikely(day: Day) -> None:
    assert day.hear(heard("fall", 0.12, 0)) == [("fall", "ask")]


def test_her_own_word_in_time_ends_the_question(day: Day) -> None:
    day.hear(heard("fall", 0.93, 0))
    assert day.hear(heard("said_well", 1, 0.3, device=BUTTON)) == [("fall", "answered")]
    assert day.wait(10) == []


def test_her_own_word_without_a_fall_is_nothing(day: Day) -> None:
    assert day.hear(heard("said_well", 1, 0.3)) == []


def test_a_confirmed_fall_is_waited_for_no_longer(day: Day) -> None:
    day.hear(heard("fall", 0.6, 0))
    assert day.hear(heard("fall_confirmed", 0.8, 0.4)) == [("fall", "raise")]
    assert day.firings[0].at == when(0), "the alert is of the fall, not of its confirmation"
    assert day.firings[0].evidence == {"probability": 0.6, "count": 1, "confirmed": 0.8}
    assert day.wait(10) == []


def test_a_fall_that_is_confirmed_after_it_was_raised_is_not_raised_again(day: Day) -> None:
    day.hear(heard("fall", 0.6, 0))
    assert day.wait(0.51) == [("fall", "raise")]
    assert day.hear(heard("fall_confirmed", 0.8, 0.6)) == [("fall", "confirmed")]
    assert day.firings[0].evidence == {"confirmed": 0.8}


def test_a_confirmation_whose_fall_never_came_raises_by_itself(day: Day) -> None:
    assert day.hear(heard("fall_confirmed", 0.8, 0)) == [("fall", "raise")]
    assert (day.firings[0].at, day.firings[0].evidence) == (
        when(0),
        {"probability": 0.8, "count": 1, "confirmed": 0.8},
    )
    assert day.hear(heard("fall", 0.6, -0.6, received=0.1)) == [], "nor does the fall when it comes at last"
    assert day.wait(10) == []


def test_a_later_fall_is_confirmed_also_while_the_one_before_it_stands(day: Day) -> None:
    day.hear(heard("fall", 0.6, 0))
    day.wait(1)
    assert day.hear(heard("fall_confirmed", 0.8, 60)) == [("fall", "raise")]


def test_a_confirmation_does_not_know_what_she_answered_on_her_own_page(day: Day) -> None:
    day.hear(heard("fall", 0.6, 0), heard("said_well", 1, 0.3, device=BUTTON))
    assert day.hear(heard("fall_confirmed", 0.8, 0.6)) == []
    assert day.hear(heard("fall_confirmed", 0.8, 30)) == [("fall", "raise")], "but of a fall half an hour later it does"


def test_a_confirmation_counts_though_one_of_two_wearables_felt_her_walk(day: Day) -> None:
    day.hear(heard("fall", 0.6, 0), heard("fall_recovered", 1, 0.3, device=BUTTON))
    assert day.hear(heard("fall_confirmed", 0.8, 0.6)) == [("fall", "raise")]


def test_a_long_lie_calls_at_once_and_each_time_it_is_told(day: Day) -> None:
    day.hear(heard("fall", 0.6, 0))
    day.wait(1)
    assert day.hear(heard("long_lie", 0.8, 10)) == [("fall.long_lie", "raise")]
    assert day.hear(heard("long_lie", 0.8, 30)) == [("fall.long_lie", "raise")]
    assert set(day.hear(heard("fall_recovered", 1, 31))) == {("fall.long_lie", "clear"), ("fall", "clear")}


def test_who_answered_on_her_own_page_does_not_lie_on_the_floor(day: Day) -> None:
    day.hear(heard("fall", 0.6, 0), heard("said_well", 1, 0.3, device=BUTTON))
    assert day.hear(heard("long_lie", 0.8, 60)) == []


def test_a_long_lie_whose_fall_never_came_calls(day: Day) -> None:
    assert day.hear(heard("said_well", 1, 0), heard("long_lie", 0.8, 10)) == [("fall.long_lie", "raise")]


def test_every_call_for_help_calls_at_once(day: Day) -> None:
    assert day.hear(heard("help_call", 1, 0, device=BUTTON)) == [("help_call", "raise")]
    assert day.hear(heard("help_call", 1, 1, device=BUTTON)) == [("help_call", "raise")]


def test_a_low_battery_is_a_task_until_it_is_changed(day: Day) -> None:
    assert day.hear(heard("battery", 15, 0, device=BUTTON)) == [("device.battery", "raise")]
    assert day.firings[0].evidence == {"battery": 15, "count": 1, "device": BUTTON}
    assert day.hear(heard("battery", 20, 60, device=BUTTON)) == []
    assert day.hear(heard("battery", 100, 90, device=BUTTON)) == [("device.battery", "clear")]


def test_another_devices_full_battery_clears_nothing(day: Day) -> None:
    day.hear(heard("battery", 10, 0, device=BUTTON))
    assert day.hear(heard("battery", 90, 1, device=CUFF), heard("battery", 9, 2, device=BUTTON)) == []


def test_another_devices_newer_battery_hides_none(day: Day) -> None:
    assert day.hear(heard("battery", 90, 1, device=CUFF), heard("battery", 9, 0, device=BUTTON, received=2)) == [
        ("device.battery", "raise")
    ]


def test_three_days_without_pressure_are_noticed_by_time_and_end_with_a_reading(day: Day) -> None:
    days = 24 * 60
    day.hear(*pressure(130, 80, 60))
    assert day.wait(60 + 3 * days) == []
    assert day.wait(61 + 3 * days) == [("bp.missing", "raise")]
    assert day.firings[0].at == when(60 + 3 * days)
    assert day.firings[0].evidence == {"hours": 72, "days": 3}
    old = pressure(130, 80, 0.5 * days, received=4 * days)
    assert day.hear(*old) == [], "what is itself older than three days ends no silence"
    assert day.hear(*pressure(130, 80, 4 * days)) == [("bp.missing", "clear")]


def test_who_never_measured_is_missed_from_her_enrolment_on(day: Day) -> None:
    assert day.wait(3 * 24 * 60 + 1) == [("bp.missing", "raise")]


@pytest.mark.parametrize(
    ("metric", "value", "rule"),
    [
        ("systolic", 89, "bp.low"),
        ("spo2", 91, "spo2.low"),
        ("pulse", 131, "pulse.high"),
        ("pulse", 39, "pulse.low"),
        ("body_temperature", 35.0, "temperature.low"),
    ],
)
def test_other_vital_signs_are_repeated_first(day: Day, metric: str, value: float, rule: str) -> None:
    assert day.hear(heard(metric, value, 0)) == [(rule, "ask")]
    assert (rule, "raise") in day.hear(heard(metric, value, 5))


def test_fever_calls_at_once_and_ends_below_37_and_a_half(day: Day) -> None:
    assert day.hear(heard("body_temperature", 38.0, 0)) == [("temperature.high", "raise")]
    assert day.hear(heard("body_temperature", 37.5, 9)) == []
    assert day.hear(heard("body_temperature", 37.4, 19)) == [("temperature.high", "clear")]


def test_what_is_not_over_says_nothing(day: Day) -> None:
    usual = {"pulse": 130, "spo2": 92, "body_temperature": 37.9, "battery": 16}
    assert day.hear(*pressure(179, 109, 0), *[heard(m, v, 0) for m, v in usual.items()]) == []


def test_state_goes_on_in_another_process() -> None:
    before = Day()
    before.hear(*pressure(192, 118, 0))
    after = Day()
    after.engine = Engine(SHIPPED)
    after.engine.load_rows(before.engine.dirty_rows())
    assert after.engine.wake_at() == when(30) + np.timedelta64(1, "us")
    assert after.hear(*pressure(188, 116, 6)) == [("bp.severe", "raise")]
    assert after.firings[0].evidence["first_systolic"] == 192


def test_half_a_measurement_goes_on_in_another_process() -> None:
    before = Day()
    before.hear(*pressure(192, 118, 0), heard("systolic", 158, 8))
    after = Day()
    after.engine = Engine(SHIPPED)
    after.engine.load_rows(before.engine.dirty_rows())
    assert after.hear(heard("diastolic", 90, 8, received=9)) == [("bp.severe", "answered")]
    assert after.firings[0].evidence == {"systolic": 158, "diastolic": 90}


def test_only_what_changed_is_saved() -> None:
    engine = Engine(SHIPPED)
    engine.enrol([WANG, LI], T0)
    assert set(engine.dirty_rows()) == {WANG, LI}
    engine.step(batch(pressure(120, 70, 0, resident=LI)), when(0))
    assert set(engine.dirty_rows()) == {LI}
    engine.step(Batch.empty(), when(1))
    assert engine.dirty_rows() == {}


def test_a_question_outlives_a_change_of_protocol_where_its_rule_is_the_same() -> None:
    old = Engine(Protocol("old", "", (SHIPPED.rules[0], rule("bp.severe"), rule("bp.missing")), SHIPPED.parameters))
    old.step(batch(pressure(192, 118, 0)), when(0))
    new = Engine(SHIPPED)
    new.load_rows(old.dirty_rows())
    assert [f.rule for f in new.step(Batch.empty(), when(31))] == ["bp.severe"]


def test_a_rule_that_judges_otherwise_begins_anew_and_its_silence_is_still_noticed() -> None:
    changed = protocol.parse_all(
        {"x": SHIPPED_TEXT.replace("value = 180", "value = 185").replace('within = "3 d"', 'within = "2 d"')}
    )
    old = Engine(SHIPPED)
    old.step(batch(pressure(192, 118, 0)), when(0))
    new = Engine(changed)
    new.load_rows(old.dirty_rows())
    assert new.step(Batch.empty(), when(31)) == []
    assert [(f.rule, f.at) for f in new.step(Batch.empty(), when(2 * 24 * 60 + 1))] == [
        ("bp.missing", when(2 * 24 * 60))
    ]


SAVED = """
eNorTyxJzigqN2JmYGBgZWBmYARDZgYQ//9/EIYBDaA4G5iPLGoAFGXHEGU4V9vvFs/GwHAgrANMQ8ADhlDBySh8BgdnBgYxZzCvRzA9N2vhseWM
DAjQIHF7ClgDTCOGAXhphrS0NPuGLdtWRiiU6jAxYAAFDH3oDsZhLtBn9QA7008f
"""
"""How a row was saved on the day the first residents were watched: a pressure over, one that raised, a question."""


def test_a_row_that_was_saved_long_ago_goes_on() -> None:
    counted = '[rule.count]\nover = 2\nof = 3\nwithin = "30 min"\nsource = "a guideline"\n'
    rules = (
        written("high", "高", "High", more=counted),
        written("low", "低", "Raised", level=140, priority="medium"),
        asking("fall", "您好吗", "Are you well"),
    )
    engine = Engine(protocol.parse_all(texts(*rules)))
    engine.load_rows({WANG: zlib.decompress(base64.b64decode(SAVED))})
    assert engine.raised(np.array([WANG], np.int32)) == [(WANG, "low")]
    said = engine.step(batch([heard("systolic", 188, 6), heard("systolic", 120, 8)]), when(8))
    assert [(f.rule, f.what, f.at) for f in said] == [
        ("fall", "raise", when(3)),
        ("high", "raise", when(6)),
        ("high", "clear", when(8)),
        ("low", "clear", when(8)),
    ]
    assert said[1].evidence == {"systolic": 188, "first_systolic": 192, "count": 2}


@pytest.mark.parametrize(("years", "remembered"), [(8, True), (9, False)])
def test_what_lies_nine_years_before_the_newest_is_forgotten(day: Day, years: int, remembered: bool) -> None:
    later = years * 365 * 24 * 60
    day.hear(heard("pulse", 96, 0), heard("pulse", 72, later))
    assert day.hear(*pressure(192, 118, 0, received=later), now=later) == [("bp.severe", "note")]
    assert ("pulse" in day.firings[0].evidence) == remembered


def test_a_strange_row_is_refused() -> None:
    with pytest.raises(ValueError, match="resident 7"):
        Engine(SHIPPED).load_rows({WANG: b"something else entirely"})


SHIPPED_TEXT = (protocol.SHIPPED / "hypertension.toml").read_text(encoding="utf-8")


def rule(rule_id: str) -> Rule:
    found = SHIPPED.rule(rule_id)
    assert found is not None
    return found
