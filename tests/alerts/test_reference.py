"""The plain interpreter, word by word: every number here was worked out by hand.

The engine is held to the interpreter (``test_engine_properties.py``); this is what holds the interpreter itself.
Times are of 2026 in UTC.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from alerts.engine import Firing
from alerts.profiles import Profile
from alerts.protocol import Ask, Count, Limit, Missing, Protocol, Related, Rule
from alerts.rule import (
    DERIVED,
    POINTS,
    GroupValue,
    Lasting,
    Parameter,
    Required,
    Score,
    ScoreExtra,
    ScorePart,
    Statistic,
    StatisticKind,
)
from devices.readings import METRICS, Quality
from tests.alerts.reference import Heard, Interpreter

WANG = 7
CUFF, OTHER = 1, 2
HEARD = {**METRICS, **DERIVED}
MORE = float("inf")


def minutes(n: float) -> timedelta:
    return timedelta(minutes=n)


def days(n: int) -> timedelta:
    return timedelta(days=n)


def time(text: str) -> np.datetime64:
    """``11-02 08:00`` is a moment of 2026 in UTC."""
    return np.datetime64(f"2026-{text.replace(' ', 'T')}", "us")


def high(metric: str, level: float, clear: float, statistic: Statistic | None = None) -> Limit:
    return Limit(HEARD[metric], "at_least", level, "below", clear, "test", statistic)


def low(metric: str, level: float, clear: float) -> Limit:
    return Limit(HEARD[metric], "at_most", level, "above", clear, "test")


def average(window: int, needs: int = 1, *, drop_first_day: bool = False) -> Statistic:
    return Statistic("average", days(window), needs, drop_first_day)


def over(kind: StatisticKind, window: timedelta, needs: int = 1) -> Statistic:
    return Statistic(kind, window, needs)


def rule(*when: Limit, name: str = "rule", **more: Any) -> Rule:
    """A rule on these limits; ``expires`` after a day, so that only a test that is about it need say so."""
    return Rule(
        name, 1, "test", "high", more.pop("kind", "physiological"), True, {}, when, **{"expires": days(1), **more}
    )


def repeat(within: timedelta) -> Ask:
    return Ask("repeat_measurement", within, "test", {})


def event(metric: str, **more: Any) -> Rule:
    return rule(Limit(METRICS[metric], "at_least", 0.5, None, None, "test"), kind="event", **more)


def silence(metric: str, within: timedelta, after: str | None = None, **more: Any) -> Rule:
    missing = Missing(METRICS[metric], within, "test", METRICS[after] if after else None)
    return rule(missing=missing, kind="event" if after else "technical", **more)


def required(metric: str, level: float, within: timedelta) -> Required:
    return Required(HEARD[metric], "at_least", level, within, "test")


class Watch:
    """Rules at work on one resident: says what fired."""

    def __init__(self, *rules: Rule, profile: Profile | None = None, **more: Any) -> None:
        self.plain = Interpreter(Protocol("test", "", rules, **more))
        self.plain.assign({WANG: profile or Profile()})
        self.plain.enrol([WANG], time("11-01 00:00"))
        self.firings: list[Firing] = []

    def hear(
        self, at: str, *, received: str | None = None, device: int = CUFF, irregular: bool = False, **values: float
    ) -> list[str]:
        """One measurement, received when it was measured unless said."""
        quality = int(Quality.IRREGULAR_PULSE) if irregular else 0
        arrived = time(received or at)
        readings = [Heard(WANG, METRICS[m].code, time(at), v, device, arrived, quality) for m, v in values.items()]
        return self._said(self.plain.step(readings, arrived))

    def wait(self, until: str) -> list[str]:
        return self._said(self.plain.step([], time(until)))

    def close(self, name: str = "rule") -> None:
        self.plain.close([(WANG, name)])

    def assign(self, profile: Profile) -> None:
        self.plain.assign({WANG: profile})

    def _said(self, firings: list[Firing]) -> list[str]:
        self.firings = firings
        return [firing.what for firing in firings]

    @property
    def evidence(self) -> dict[str, float | str]:
        return self.firings[0].evidence

    @property
    def at(self) -> np.datetime64:
        return self.firings[0].at


# Values: 32 bits inside, what people write outside


def test_a_value_is_compared_to_seven_digits_and_told_as_it_was_written() -> None:
    watch = Watch(rule(high("body_temperature", 37.8, 37.3)))
    assert watch.hear("11-02 08:00", body_temperature=37.799999999) == ["raise"], "the same 32-bit number as 37.8"
    assert watch.evidence == {"body_temperature": 37.8, "count": 1}
    watch.close()
    assert watch.hear("11-02 08:01", body_temperature=37.79999) == []


def test_the_later_arrival_of_the_same_time_replaces_the_value() -> None:
    counting = rule(high("systolic", 140, 130), count=Count(2, 3, minutes(30), "test"))
    watch = Watch(counting)
    watch.hear("11-02 08:00", systolic=150)
    watch.hear("11-02 08:00", received="11-02 08:01", systolic=120)
    assert watch.hear("11-02 08:05", systolic=150) == []
    assert watch.hear("11-02 08:06", systolic=150) == ["raise"]
    assert watch.evidence == {"systolic": 150, "first_systolic": 150, "count": 2}


# What a measurement makes of itself


def test_an_irregular_pulse_is_made_of_the_cuffs_own_flag() -> None:
    watch = Watch(rule(high("irregular_pulse", 1, 0.5), also=(METRICS["pulse"],)))
    assert watch.hear("11-02 08:00", pulse=70) == []
    assert watch.hear("11-02 08:05", pulse=72, irregular=True) == ["raise"]
    assert watch.evidence == {"irregular_pulse": 1, "pulse": 72, "count": 1}
    assert watch.hear("11-02 08:10", pulse=71) == ["clear"]


def test_pulse_pressure_is_made_of_both_values_however_they_come() -> None:
    watch = Watch(rule(high("pulse_pressure", 80, 70)))
    assert watch.hear("11-02 08:00", systolic=160, diastolic=80) == ["raise"]
    assert watch.evidence["pulse_pressure"] == 80
    assert watch.hear("11-02 09:00", diastolic=80) == []
    assert watch.hear("11-02 09:00", received="11-02 09:01", systolic=149) == ["clear"]
    assert watch.hear("11-02 09:02", systolic=190) == [], "of another time"


# Counting, on days, persisting, clearing later


def test_an_alarm_of_several_days_counts_local_days_once_each() -> None:
    watch = Watch(rule(high("glucose", 11, 10), count=Count(1, 1, days(0), "test", 2, days(3))))
    assert watch.hear("11-02 08:00", glucose=12) == []
    assert watch.hear("11-02 20:00", glucose=12) == [], "the same day"
    assert watch.hear("11-05 08:00", glucose=12) == [], "the 2nd is not among the 3rd, 4th and 5th"
    assert watch.hear("11-06 08:00", glucose=9) == []
    assert watch.hear("11-07 08:00", glucose=12) == ["raise"], "the 5th and the 7th"
    assert watch.hear("11-07 09:00", glucose=9) == ["clear"]
    assert watch.hear("11-07 10:00", glucose=12) == [], "what was raised is forgotten"
    assert watch.hear("11-08 10:00", glucose=12) == ["raise"]


def test_the_day_is_that_of_her_home() -> None:
    counting = rule(high("glucose", 11, 10), count=Count(1, 1, days(0), "test", 2, days(3)))
    shanghai, utc = Watch(counting, profile=Profile("Asia/Shanghai")), Watch(counting)
    for watch in (shanghai, utc):
        watch.hear("11-02 15:59", glucose=12)
    assert utc.hear("11-02 16:00", glucose=12) == []
    assert shanghai.hear("11-02 16:00", glucose=12) == ["raise"], "midnight in Shanghai"


def test_a_condition_must_persist_unbroken() -> None:
    watch = Watch(rule(low("spo2", 88, 90), persists=Lasting(minutes(2), "test")))
    assert watch.hear("11-02 08:00", spo2=85) == []
    assert watch.hear("11-02 08:01", spo2=89) == [], "not over: the run ends, though it is not calm"
    assert watch.hear("11-02 08:02", spo2=85) == []
    assert watch.hear("11-02 08:03", spo2=85) == []
    assert watch.hear("11-02 08:04", spo2=85) == ["raise"]


def test_a_late_measurement_breaks_what_persisted() -> None:
    watch = Watch(rule(low("spo2", 88, 90), count=Count(1, 1), persists=Lasting(minutes(2), "test")), looking_back(4))
    watch.hear("11-02 08:00", spo2=85)
    watch.hear("11-02 08:01", spo2=85)
    assert watch.hear("11-02 08:00:30", received="11-02 08:01:30", spo2=95) == []
    assert watch.hear("11-02 08:02", spo2=85) == [], "counted from 8:01 again"
    assert watch.hear("11-02 08:03", spo2=85) == ["raise"]


def looking_back(n: int) -> Rule:
    """A rule that never fires, for which so many measurements are remembered."""
    return rule(high("spo2", 101, 100), low("pulse", 1, 2), name="memory", count=Count(n, n, minutes(1), "test"))


def test_half_a_measurement_neither_breaks_nor_ends_what_persists() -> None:
    both = rule(high("systolic", 180, 170), high("diastolic", 110, 105), persists=Lasting(minutes(5), "test"))
    watch = Watch(both)
    watch.hear("11-02 08:00", systolic=190, diastolic=90)
    assert watch.hear("11-02 08:04", systolic=150) == []
    assert watch.hear("11-02 08:05", systolic=190) == ["raise"]


def test_an_alarm_ends_only_after_it_was_calm_for_long_enough() -> None:
    watch = Watch(rule(high("pulse", 130, 120), clear_after=Lasting(minutes(10), "test")))
    assert watch.hear("11-02 08:00", pulse=140) == ["raise"]
    assert watch.hear("11-02 08:01", pulse=100) == []
    assert watch.hear("11-02 08:10", pulse=125) == [], "not over, but not calm"
    assert watch.hear("11-02 08:11", pulse=100) == []
    assert watch.hear("11-02 08:20", pulse=100) == []
    assert watch.hear("11-02 08:21", pulse=100) == ["clear"]


def test_half_a_measurement_neither_ends_nor_begins_calm_unless_it_is_not_calm_itself() -> None:
    both = rule(high("systolic", 180, 170), high("diastolic", 110, 100), clear_after=Lasting(minutes(10), "test"))
    watch = Watch(both)
    watch.hear("11-02 08:00", systolic=190, diastolic=90)
    watch.hear("11-02 08:05", systolic=150, diastolic=90)
    watch.hear("11-02 08:10", systolic=150)
    assert watch.hear("11-02 08:14", systolic=175) == []
    assert watch.hear("11-02 08:15", systolic=150, diastolic=90) == [], "begins at 8:15"
    watch.hear("11-02 08:20", systolic=150)
    assert watch.hear("11-02 08:25", systolic=150, diastolic=90) == ["clear"]


def test_a_late_measurement_that_is_not_calm_lets_calm_begin_anew() -> None:
    watch = Watch(rule(high("pulse", 130, 120), clear_after=Lasting(minutes(10), "test")), looking_back(4))
    watch.hear("11-02 08:00", pulse=140)
    watch.hear("11-02 08:01", pulse=100)
    watch.hear("11-02 08:09", pulse=100)
    watch.hear("11-02 08:05", received="11-02 08:10", pulse=125)
    assert watch.hear("11-02 08:12", pulse=100) == []
    assert watch.hear("11-02 08:19", pulse=100) == ["clear"]


# What must be so besides


def test_what_is_required_must_have_been_so_not_too_long_before() -> None:
    septic = rule(high("pulse", 90, 80), requires=(required("body_temperature", 38, minutes(60)),))
    watch = Watch(septic)
    assert watch.hear("11-02 08:00", body_temperature=38.5) == []
    assert watch.hear("11-02 09:01", pulse=100) == [], "an hour and a minute ago"
    assert watch.hear("11-02 09:10", body_temperature=38.0) == []
    assert watch.hear("11-02 09:20", pulse=100) == ["raise"]
    assert watch.hear("11-02 12:00", pulse=70) == ["clear"], "nothing is required to be well"


def test_the_newest_is_what_is_required_and_not_any() -> None:
    watch = Watch(rule(high("pulse", 90, 80), requires=(required("body_temperature", 38, minutes(60)),)))
    watch.hear("11-02 08:00", body_temperature=39)
    watch.hear("11-02 08:10", body_temperature=37)
    assert watch.hear("11-02 08:20", pulse=100) == []


def test_of_an_event_only_that_it_came_is_required() -> None:
    watch = Watch(event("help_call", requires=(required("fall", 0, minutes(30)),)))
    assert watch.hear("11-02 08:00", help_call=1) == []
    watch.hear("11-02 08:10", fall=0.1)
    assert watch.hear("11-02 08:20", help_call=1) == ["raise"]
    watch.close()
    assert watch.hear("11-02 08:41", help_call=1) == []


# What is past


def test_what_is_past_is_noted_once_in_a_day_of_measured_time() -> None:
    watch = Watch(rule(high("systolic", 180, 170), expires=minutes(120)))
    assert watch.hear("11-02 08:00", received="11-02 10:00", systolic=190) == ["raise"], "just not past"
    watch.close()
    assert watch.hear("11-02 08:30", received="11-05 10:00", systolic=195) == ["note"]
    assert (watch.at, watch.evidence) == (time("11-02 08:30"), {"systolic": 195, "count": 1})
    assert watch.hear("11-03 08:29", received="11-05 10:00", systolic=195) == []
    assert watch.hear("11-01 08:31", received="11-05 10:00", systolic=195) == [], "nor in the day before"
    assert watch.hear("11-03 08:30", received="11-05 10:00", systolic=195) == ["note"]


def test_what_is_past_is_noted_only_where_it_would_have_counted() -> None:
    watch = Watch(rule(high("systolic", 180, 170), count=Count(2, 3, minutes(30), "test"), expires=minutes(60)))
    assert watch.hear("11-02 08:00", received="11-05 10:00", systolic=190) == []
    assert watch.hear("11-02 08:20", received="11-05 10:00", systolic=191) == ["note"]
    assert watch.evidence == {"systolic": 191, "count": 1}


def test_of_what_is_no_longer_remembered_nobody_knows_whether_it_would_have_counted() -> None:
    watch = Watch(rule(high("systolic", 180, 170), count=Count(2, 2, minutes(30), "test"), expires=minutes(60)))
    watch.hear("11-05 09:00", systolic=120)
    watch.hear("11-05 09:50", systolic=120)
    assert watch.hear("11-02 08:00", received="11-05 10:00", systolic=190) == []
    assert watch.hear("11-02 08:20", received="11-05 10:00", systolic=191) == []


def test_only_one_of_those_counted_raises() -> None:
    watch = Watch(rule(high("spo2", 99, 90), count=Count(2, 2, minutes(30), "test")), looking_back(4))
    watch.hear("11-02 08:00", spo2=99)
    assert watch.hear("11-02 08:10", spo2=99) == ["raise"]
    watch.close()
    assert watch.hear("11-02 07:50", received="11-02 08:11", spo2=99) == [], "it is not among the newest two"


def test_a_rule_that_asks_notes_a_single_one() -> None:
    counting = Count(2, 3, minutes(30), "test")
    watch = Watch(rule(high("systolic", 180, 170), count=counting, ask=repeat(minutes(30)), expires=minutes(60)))
    assert watch.hear("11-02 08:00", received="11-05 10:00", systolic=190) == ["note"]


def test_nothing_is_noted_while_it_stands() -> None:
    watch = Watch(rule(high("systolic", 180, 170), expires=minutes(60)))
    watch.hear("11-05 10:00", systolic=190)
    assert watch.hear("11-02 08:00", received="11-05 10:01", systolic=190) == []


def test_what_is_past_and_no_longer_remembered_is_noted_all_the_same() -> None:
    watch = Watch(rule(high("systolic", 180, 170), expires=minutes(60)))
    watch.hear("11-05 10:00", systolic=120)
    assert watch.hear("11-02 08:00", received="11-05 10:01", systolic=190) == ["note"]


def test_a_past_normal_value_ends_what_stands_when_it_is_the_newest() -> None:
    watch = Watch(rule(high("systolic", 180, 170), expires=minutes(60)))
    watch.hear("11-02 08:00", systolic=190)
    assert watch.hear("11-02 09:00", received="11-02 12:00", systolic=150) == ["clear"]


def test_a_past_value_counts_beside_a_present_one() -> None:
    watch = Watch(rule(high("systolic", 180, 170), count=Count(2, 3, minutes(120), "test"), expires=minutes(60)))
    watch.hear("11-02 08:00", received="11-02 09:30", systolic=190)
    assert watch.hear("11-02 09:40", systolic=192) == ["raise"]
    assert watch.evidence == {"systolic": 192, "first_systolic": 190, "count": 2}


def test_a_past_event_is_noted() -> None:
    watch = Watch(event("help_call", expires=minutes(60)))
    assert watch.hear("11-02 08:00", received="11-02 10:00", help_call=1) == ["note"]
    assert watch.evidence == {"probability": 1, "count": 1}
    assert watch.hear("11-02 09:59", received="11-02 10:00", help_call=1) == ["raise"]


# Averages and the like


def test_an_average_is_of_all_readings_of_its_days() -> None:
    watch = Watch(rule(high("systolic", 135, 130, average(3, needs=3))))
    assert watch.hear("11-02 08:00", systolic=150) == []
    assert watch.hear("11-03 08:00", systolic=140) == [], "only two readings"
    assert watch.hear("11-04 08:00", systolic=124) == ["raise"]
    assert watch.evidence == {"systolic": 124, "average_systolic": 138, "readings": 3, "count": 1}
    assert watch.hear("11-04 09:00", systolic=124) == [], (
        "(150 + 140 + 124 + 124) / 4 = 134.5 is not over, but not calm"
    )
    assert watch.hear("11-05 08:00", systolic=126) == ["clear"], "the 2nd is out: (140 + 124 + 124 + 126) / 4 = 128.5"
    assert watch.evidence == {"systolic": 126, "average_systolic": 128.5, "readings": 4}


def test_the_first_day_is_left_out_of_a_home_series() -> None:
    watch = Watch(rule(high("systolic", 135, 130, average(7, needs=2, drop_first_day=True))))
    watch.hear("11-02 08:00", systolic=200)
    watch.hear("11-02 20:00", systolic=200)
    assert watch.hear("11-03 08:00", systolic=136) == [], "one reading is left"
    assert watch.hear("11-04 08:00", systolic=134.5) == ["raise"]
    assert watch.evidence == {"systolic": 134.5, "average_systolic": 135.25, "readings": 2, "count": 1}


def test_a_late_reading_finds_its_day() -> None:
    watch = Watch(rule(high("systolic", 135, 130, average(2, needs=3))))
    watch.hear("11-03 08:00", systolic=130)
    assert watch.hear("11-02 08:00", received="11-03 09:00", systolic=150) == [], "not the newest: nothing is judged"
    assert watch.hear("11-01 08:00", received="11-03 09:00", systolic=250) == []
    assert watch.hear("11-03 10:00", systolic=140) == ["raise"]
    assert watch.evidence["average_systolic"] == 140


def test_of_a_streaming_day_the_first_255_readings_count() -> None:
    watch = Watch(rule(high("pulse", 60.5, 60, average(2))))
    for n in range(255):
        watch.hear(f"11-02 {8 + n // 60:02}:{n % 60:02}", pulse=60)
    assert watch.hear("11-02 13:00", pulse=250) == []
    assert watch.hear("11-03 08:00", pulse=188) == ["raise"]
    assert watch.evidence == {"pulse": 188, "average_pulse": 60.5, "readings": 256, "count": 1}


def test_deviation_and_variation_are_of_daily_means() -> None:
    watch = Watch(
        rule(high("glucose", 2, 1, over("deviation", days(3), 3)), name="deviation"),
        rule(high("glucose", 25, 20, over("variation", days(3), 3)), name="variation"),
    )
    watch.hear("11-02 08:00", glucose=5)
    watch.hear("11-02 18:00", glucose=7)  # mean 6
    watch.hear("11-03 08:00", glucose=8)
    assert watch.hear("11-04 08:00", glucose=10) == ["raise", "raise"]
    deviation, variation = watch.firings
    assert deviation.evidence == {"glucose": 10, "deviation_glucose": 2, "days_known": 3, "count": 1}
    assert variation.evidence == {"glucose": 10, "variation_glucose": 25, "days_known": 3, "count": 1}


def test_a_trend_is_the_slope_of_daily_means_per_week() -> None:
    watch = Watch(rule(high("body_weight", 2.1, 1, over("trend", days(7), 3))))
    watch.hear("11-02 08:00", body_weight=70)
    watch.hear("11-03 08:00", body_weight=70.5)
    # days 0, 1, 5 with 70, 70.5, 71.5; means 2 and 70 2/3: slope (4/3 + 1/6 + 5/2) / 14 = 2/7 a day
    assert watch.hear("11-07 08:00", body_weight=71.5) == []
    assert watch.hear("11-07 20:00", body_weight=72.5) == ["raise"]
    # the day's mean is now 72; means 2 and 70 5/6: (5/3 + 1/3 + 7/2) / 14 = 11/28 a day, 2.75 a week
    assert watch.evidence == {"body_weight": 72.5, "trend_body_weight": 2.75, "days_known": 3, "count": 1}


def test_a_rise_over_days_is_above_the_lowest_daily_mean_before() -> None:
    watch = Watch(rule(high("body_weight", 2, 1, over("rise", days(3)))))
    watch.hear("11-02 08:00", body_weight=69)
    watch.hear("11-03 08:00", body_weight=70)
    watch.hear("11-03 18:00", body_weight=70.5)  # mean 70.25
    assert watch.hear("11-05 08:00", body_weight=70.75) == [], "1.75 above 69"
    assert watch.hear("11-06 08:00", body_weight=72.25) == ["raise"], "of the 3rd to the 5th: 2 above 70.25"
    assert watch.evidence == {"body_weight": 72.25, "rise_body_weight": 2, "before_body_weight": 70.25, "count": 1}


def test_a_drop_over_days_is_below_the_highest_daily_mean_before() -> None:
    watch = Watch(rule(high("body_weight", 2, 1, over("drop", days(1)))))
    watch.hear("11-02 08:00", body_weight=75)
    assert watch.hear("11-02 12:00", body_weight=72) == [], "today is not before"
    assert watch.hear("11-03 08:00", body_weight=71.5) == ["raise"], "73.5 was yesterday's mean"
    assert watch.evidence == {"body_weight": 71.5, "drop_body_weight": 2, "before_body_weight": 73.5, "count": 1}


def test_a_drop_within_minutes_is_below_the_highest_remembered() -> None:
    watch = Watch(rule(high("spo2", 4, 2, over("drop", minutes(10)))), looking_back(3))
    watch.hear("11-02 08:00", spo2=97)
    watch.hear("11-02 08:05", spo2=95)
    assert watch.hear("11-02 08:11", spo2=92) == [], "97 is eleven minutes ago"
    assert watch.hear("11-02 08:15", spo2=91) == ["raise"]
    assert watch.evidence == {"spo2": 91, "drop_spo2": 4, "before_spo2": 95, "count": 1}


def test_a_statistic_of_an_older_value_than_the_newest_of_the_rule_is_unknown() -> None:
    watch = Watch(rule(high("systolic", 20, 10, over("rise", days(1))), high("pulse", 20, 10, over("rise", days(1)))))
    watch.hear("11-02 08:00", systolic=120, pulse=70)
    assert watch.hear("11-03 08:00", systolic=150) == ["raise"]
    assert watch.hear("11-03 09:00", systolic=125) == [], "the pulse of nine o'clock is unknown"
    assert watch.hear("11-03 09:00", received="11-03 09:01", pulse=70) == ["clear"]


def test_a_statistic_asks_for_a_repeat_and_a_later_one_raises() -> None:
    asking = rule(
        high("systolic", 135, 130, average(2)), count=Count(2, 2, minutes(30), "test"), ask=repeat(minutes(60))
    )
    watch = Watch(asking)
    assert watch.hear("11-02 08:00", systolic=150) == ["ask"]
    assert watch.firings[0].until == time("11-02 09:00")
    assert watch.hear("11-02 08:05", systolic=150) == ["raise"]
    assert watch.evidence == {"systolic": 150, "average_systolic": 150, "readings": 2, "count": 2}
    assert watch.hear("11-02 08:10", systolic=60) == ["clear"]
    assert watch.hear("11-02 08:20", systolic=240) == ["ask"], "(150 + 150 + 60 + 240) / 4 = 150"
    assert watch.hear("11-02 08:30", systolic=60) == ["answered"], "660 / 5 = 132: not over, though not calm"
    assert watch.hear("11-02 08:40", systolic=180) == ["ask"], "840 / 6 = 140"
    assert watch.wait("11-02 09:41") == ["raise"]
    assert watch.evidence == {"systolic": 180, "average_systolic": 140, "readings": 6, "count": 1}


# What is usual for her


def usual(needs: int, level: float = 20, clear: float = 10) -> Rule:
    return rule(high("systolic", level, clear, Statistic("from_usual", needs=needs)))


def test_what_is_usual_is_learned_for_each_part_of_the_day() -> None:
    watch = Watch(usual(2))
    watch.hear("11-02 05:00", systolic=100)
    watch.hear("11-02 08:00", systolic=120)
    watch.hear("11-03 08:00", systolic=130)
    # morning: 120, then by half the way to 125, its spread half of 1.2533 * 10
    assert watch.hear("11-04 08:00", systolic=145) == ["raise"]
    assert watch.evidence == {
        "systolic": 145,
        "difference_systolic": 20,
        "usual_systolic": 125,
        "spread_systolic": pytest.approx(6.2665),
        "part_of_day": 1,
        "count": 1,
    }
    assert watch.hear("11-05 05:59", systolic=145) == [], "of the night only one reading is known"


def test_what_is_measured_during_an_alarm_is_not_taken_for_usual_for_a_fortnight() -> None:
    watch = Watch(usual(1))
    watch.hear("11-02 08:00", systolic=120)
    assert watch.hear("11-03 08:00", systolic=150) == ["raise"]
    watch.hear("11-16 08:00", systolic=150)
    assert watch.hear("11-17 07:59", systolic=148) == []
    assert watch.hear("11-17 08:00", systolic=140) == [], "still 120: 20 above; and from now on it is learned"
    assert watch.hear("11-18 08:00", systolic=138) == ["clear"], "(120 + 140) / 2 = 130, and 8 is calm"


def test_an_outlier_moves_what_is_usual_by_no_more_than_three_spreads() -> None:
    watch = Watch(usual(8, level=100, clear=10))
    for day in range(2, 10):
        watch.hear(f"11-{day:02} 08:00", systolic=120)
    assert watch.hear("11-10 08:00", systolic=210) == [], "90 above 120"
    # no spread, so at most 3 * (260 - 50) / 200 = 3.15, and of that a ninth; the spread a ninth of 1.2533 * 3.15
    assert watch.hear("11-11 08:00", systolic=221) == ["raise"]
    assert watch.evidence["usual_systolic"] == 120.35
    assert watch.evidence["spread_systolic"] == pytest.approx(0.438655)


def test_what_is_long_usual_still_moves_by_a_28th() -> None:
    watch = Watch(usual(1, level=50, clear=10))
    for day in range(1, 29):
        watch.hear(f"11-{day:02} 08:00", systolic=120)
    watch.hear("11-29 08:00", systolic=122.8)
    assert watch.hear("11-30 08:00", systolic=171) == ["raise"]
    assert watch.evidence["usual_systolic"] == 120.1


def test_other_alarms_than_on_her_body_hinder_no_learning() -> None:
    watch = Watch(usual(1), event("help_call", name="help"))
    watch.hear("11-02 07:00", help_call=1)
    watch.hear("11-02 08:00", systolic=100)
    assert watch.hear("11-03 08:00", systolic=120) == ["raise"]


# Scores


def score(**more: Any) -> Score:
    """Pulse up to 90: 0, to 110: 1, above 2; SpO2 up to 91: 3, to 95: 1, above 0, not for ``copd``; for them to 87: 3."""
    parts = (
        ScorePart(METRICS["pulse"], ((90, 0), (110, 1), (MORE, 2))),
        ScorePart(METRICS["spo2"], ((91, 3), (95, 1), (MORE, 0)), (), ("copd",)),
        ScorePart(METRICS["spo2"], ((87, 3), (MORE, 0)), ("copd",)),
        ScorePart(METRICS["body_temperature"], ((38.1, 0), (MORE, 1))),
    )
    extras = (ScoreExtra(2, ("home_oxygen",)),)
    return dataclasses.replace(Score("early", {}, parts, extras, timedelta(hours=12), 2, "test"), **more)


def points(level: float, clear: float, kind: StatisticKind = "score", **more: Any) -> Rule:
    return rule(Limit(POINTS, "at_least", level, "below", clear, "test", Statistic(kind), score(**more)), name=kind)


def test_a_score_sums_the_points_of_its_newest_parts() -> None:
    watch = Watch(points(4, 2))
    assert watch.hear("11-02 08:00", pulse=110) == [], "one part is not enough to judge by"
    assert watch.hear("11-02 09:00", spo2=91.5) == [], "1 and 1"
    assert watch.hear("11-02 10:00", spo2=91) == ["raise"], "1 and 3"
    assert watch.evidence == {"pulse": 110, "spo2": 91, "score": 4, "parts": 2, "of_parts": 3, "count": 1}
    assert watch.at == time("11-02 10:00")
    assert watch.hear("11-02 11:00", spo2=96, body_temperature=38.1) == ["clear"], "1, 0 and 0"
    assert watch.evidence == {"pulse": 110, "spo2": 96, "body_temperature": 38.1, "score": 1, "parts": 3, "of_parts": 3}


def test_what_is_no_longer_fresh_is_no_part() -> None:
    watch = Watch(points(4, 2))
    watch.hear("11-02 08:00", pulse=120)
    assert watch.hear("11-02 20:01", spo2=90) == [], "of the pulse nothing is known any more"
    watch.hear("11-02 20:02", pulse=80)
    assert watch.hear("11-02 20:03", pulse=100) == ["raise"]


def test_who_is_in_a_group_has_other_parts_and_more_points() -> None:
    both = Watch(points(3, 2), profile=Profile(groups=frozenset({"copd", "home_oxygen"})))
    none = Watch(points(3, 2))
    for watch in (both, none):
        watch.hear("11-02 08:00", pulse=80)
    assert none.hear("11-02 08:05", spo2=94) == [], "0 and 1"
    assert both.hear("11-02 08:05", spo2=88) == [], "0, 0 and 2 for her oxygen"
    assert both.hear("11-02 08:06", pulse=100) == ["raise"]
    assert both.evidence == {"pulse": 100, "spo2": 88, "score": 3, "parts": 2, "of_parts": 3, "count": 1}


def test_the_worst_part_alone_may_be_too_much() -> None:
    watch = Watch(points(3, 3, "worst_part"))
    watch.hear("11-02 08:00", pulse=120)
    assert watch.hear("11-02 08:05", spo2=93) == []
    assert watch.hear("11-02 08:10", spo2=90) == ["raise"]
    assert watch.evidence["worst_part"] == 3
    assert watch.hear("11-02 08:15", spo2=92) == ["clear"]


def test_a_score_speaks_as_of_the_newest_of_its_parts() -> None:
    watch = Watch(points(4, 2))
    watch.hear("11-02 10:00", pulse=120)
    assert watch.hear("11-02 09:00", received="11-02 10:30", spo2=90) == ["raise"]
    assert watch.at == time("11-02 10:00")
    assert watch.hear("11-02 08:00", received="11-02 10:40", spo2=99) == [], "a newer one is known"


# By whom she is: parameters, groups, time zones

LOW = Parameter("spo2.low", METRICS["spo2"], 91, 80, 95, {}, "test", {"copd": GroupValue(87, "test")})
BY_PARAMETER = dataclasses.replace(low("spo2", 91, 94), parameter="spo2.low", clear_by=3)


@pytest.mark.parametrize(("own", "over", "calm"), [((), 91, 95), ((("spo2.low", 87.0),), 87, 91)])
def test_a_level_may_be_her_own(own: tuple[tuple[str, float], ...], over: float, calm: float) -> None:
    watch = Watch(rule(BY_PARAMETER), profile=Profile(values=own), parameters=(LOW,))
    assert watch.hear("11-02 08:00", spo2=over + 1) == []
    assert watch.hear("11-02 08:05", spo2=over) == ["raise"]
    assert watch.hear("11-02 08:10", spo2=calm - 1) == [], "no more than three above it"
    assert watch.hear("11-02 08:15", spo2=calm) == ["clear"]


def test_a_new_level_judges_what_is_remembered_too() -> None:
    counting = rule(BY_PARAMETER, count=Count(2, 2, minutes(30), "test"))
    watch = Watch(counting, parameters=(LOW,), profile=Profile(values=(("spo2.low", 87.0),)))
    watch.hear("11-02 08:00", spo2=90)
    watch.assign(Profile())
    assert watch.hear("11-02 08:05", spo2=90) == ["raise"]


def test_a_rule_for_a_group_concerns_nobody_else() -> None:
    for_copd, for_others = (
        rule(low("spo2", 87, 90), name="copd", groups=("copd",)),
        rule(low("spo2", 91, 94), name="others", not_groups=("copd",)),
    )
    watch = Watch(for_copd, for_others, profile=Profile(groups=frozenset({"copd"})))
    assert watch.hear("11-02 08:00", spo2=89) == []
    assert watch.hear("11-02 08:05", spo2=87) == ["raise"]
    assert watch.firings[0].rule == "copd"
    watch.assign(Profile())
    assert watch.hear("11-02 08:10", spo2=95) == [], "what stood is forgotten without a word"
    assert watch.hear("11-02 08:15", spo2=89) == ["raise"]
    assert watch.firings[0].rule == "others"


def test_a_day_lasts_25_hours_when_the_clocks_go_back() -> None:
    watch = Watch(
        rule(high("glucose", 11, 10), count=Count(1, 1, days(0), "test", 2, days(2))), profile=Profile("Europe/Berlin")
    )
    assert watch.hear("10-24 22:00", glucose=12) == [], "midnight, summer time"
    assert watch.hear("10-25 22:59", glucose=12) == [], "a minute to the next, winter time"
    assert watch.hear("10-25 23:00", glucose=12) == ["raise"]


def test_a_day_lasts_23_hours_when_the_clocks_go_forward() -> None:
    watch = Watch(
        rule(high("glucose", 11, 10), count=Count(1, 1, days(0), "test", 2, days(2))), profile=Profile("Europe/Berlin")
    )
    assert watch.hear("03-28 23:00", glucose=12) == [], "midnight, winter time"
    assert watch.hear("03-29 21:59", glucose=12) == [], "a minute to the next, summer time"
    assert watch.hear("03-29 22:00", glucose=12) == ["raise"]


@pytest.mark.parametrize(("zone", "first"), [("UTC", "06:00"), ("Asia/Shanghai", "22:00"), ("Asia/Kathmandu", "00:15")])
def test_the_morning_begins_at_six_on_her_own_clock(zone: str, first: str) -> None:
    watch = Watch(usual(1), profile=Profile(zone))
    watch.hear(f"11-02 {first}", systolic=100)
    assert watch.hear(f"11-03 {first}", systolic=125) == ["raise"]
    assert watch.evidence["part_of_day"] == 1
    watch.close()
    before = str(time(f"11-04 {first}") - np.timedelta64(1, "s"))[5:].replace("T", " ")
    assert watch.hear(before, systolic=150) == [], "of the night nothing is known"


# Silence


def test_silence_counts_from_enrolment_or_from_the_newest_measured_time() -> None:
    watch = Watch(silence("systolic", days(3)))
    assert watch.wait("11-04 00:00") == []
    assert watch.wait("11-04 00:01") == ["raise"]
    assert (watch.at, watch.evidence) == (time("11-04 00:00"), {"hours": 72, "days": 3})
    assert watch.hear("11-01 06:00", received="11-04 08:00", systolic=120) == [], "too old itself"
    assert watch.hear("11-04 07:00", received="11-04 08:00", systolic=120) == ["clear"]
    assert watch.wait("11-07 07:00") == []
    assert watch.wait("11-07 07:01") == ["raise"]


def test_silence_after_an_event_counts_from_it() -> None:
    watch = Watch(silence("movement", minutes(30), after="fall"))
    assert watch.wait("11-02 07:00") == [], "without a fall there is no silence"
    watch.hear("11-02 08:00", fall=0.9)
    assert watch.wait("11-02 08:30") == []
    assert watch.wait("11-02 08:31") == ["raise"]
    assert (watch.at, watch.evidence) == (time("11-02 08:30"), {"hours": 0.5, "days": 0.5 / 24})
    assert watch.hear("11-02 08:40", fall=0.9) == [], "it stands already"
    assert watch.hear("11-02 08:50", movement=1) == ["clear"]


def test_what_is_heard_after_the_event_ends_the_waiting() -> None:
    watch = Watch(silence("movement", minutes(30), after="fall"))
    watch.hear("11-02 08:00", fall=0.9)
    watch.hear("11-02 08:00", received="11-02 08:01", movement=1)
    watch.hear("11-02 08:20", movement=1)
    assert watch.wait("11-02 12:00") == []


def test_in_the_instant_of_the_event_is_not_after_it() -> None:
    watch = Watch(silence("movement", minutes(30), after="fall"))
    watch.hear("11-02 08:00", fall=0.9, movement=1)
    assert watch.wait("11-02 08:31") == ["raise"]


def test_a_newer_event_lets_the_waiting_begin_anew() -> None:
    watch = Watch(silence("movement", minutes(30), after="fall"))
    watch.hear("11-02 08:00", fall=0.9)
    watch.hear("11-02 08:20", fall=0.9)
    watch.hear("11-02 08:10", received="11-02 08:21", fall=0.9)
    assert watch.wait("11-02 08:50") == []
    assert watch.wait("11-02 08:51") == ["raise"]


def test_an_event_that_is_past_or_of_before_the_last_movement_is_not_waited_after() -> None:
    watch = Watch(silence("movement", minutes(30), after="fall", expires=minutes(60)))
    watch.hear("11-02 08:00", received="11-02 09:01", fall=0.9)
    watch.hear("11-02 10:00", movement=1)
    watch.hear("11-02 09:59", received="11-02 10:01", fall=0.9)
    assert watch.wait("11-02 12:00") == []


# Events and devices, where they differ from levels


def test_an_event_speaks_whether_or_not_it_is_the_newest() -> None:
    watch = Watch(event("help_call"))
    assert watch.hear("11-02 08:10", help_call=0.2) == []
    assert watch.hear("11-02 08:00", received="11-02 08:11", help_call=1) == ["raise"]
    assert watch.at == time("11-02 08:00")
    assert watch.hear("11-02 07:50", received="11-02 08:12", help_call=1) == [], "it stands for a later one"
    assert watch.hear("11-02 08:05", received="11-02 08:13", help_call=1) == ["raise"]


def test_what_follows_is_taken_back_by_what_came_since_the_episode_began() -> None:
    well = METRICS["said_well"]
    watch = Watch(event("long_lie", unless=(well,), follows=Related(METRICS["fall"], minutes(60), "test", (well,))))
    watch.hear("11-02 08:00", fall=1)
    watch.hear("11-02 08:05", said_well=1)
    assert watch.hear("11-02 08:30", device=OTHER, long_lie=0.8) == []
    assert watch.hear("11-02 09:01", device=OTHER, long_lie=0.8) == ["raise"], "that fall is too long ago"


def test_a_device_is_judged_by_itself() -> None:
    watch = Watch(rule(low("battery", 15, 30), kind="technical"))
    assert watch.hear("11-02 08:00", battery=90) == []
    assert watch.hear("11-02 07:00", received="11-02 08:01", battery=10) == [], "it has been changed since"
    assert watch.hear("11-02 07:00", received="11-02 08:02", device=OTHER, battery=10) == ["raise"]
    assert watch.evidence == {"battery": 10, "device": OTHER, "count": 1}
    assert watch.hear("11-02 08:05", battery=90) == []
    assert watch.hear("11-02 06:59", received="11-02 08:06", device=OTHER, battery=90) == []
    assert watch.hear("11-02 07:01", received="11-02 08:07", device=OTHER, battery=90) == ["clear"]


def test_an_unanswered_question_is_of_the_newest_measurement_that_was_over() -> None:
    counting = rule(
        high("systolic", 180, 170),
        high("diastolic", 110, 105),
        count=Count(3, 3, minutes(20), "test"),
        ask=repeat(minutes(30)),
    )
    watch = Watch(counting)
    assert watch.hear("11-02 08:00", systolic=190, diastolic=100) == ["ask"]
    assert watch.hear("11-02 08:10", systolic=185) == []
    assert watch.hear("11-02 08:10", received="11-02 08:11", diastolic=112) == []
    assert watch.wait("11-02 08:31") == ["raise"]
    assert watch.at == time("11-02 08:10")
    assert watch.evidence == {
        "systolic": 185,
        "diastolic": 112,
        "first_systolic": 190,
        "first_diastolic": 100,
        "count": 2,
    }
