"""The shipped protocols: one story for each rule, where each number comes from, and that the doctor's document says the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alerts import protocol
from alerts.engine import Batch, Engine, Firing
from alerts.profiles import profile
from alerts.protocol import Rule
from alerts.rule import AUDIENCES, PRIORITIES, Limit, Parameter, ScorePart, Statistic
from alerts.wording import LANGUAGES, ZH
from devices.readings import METRICS, Kind, Quality
from docs.protocol_tables import DOCUMENT, GUIDELINES, HOUSE, Tables

SHIPPED = protocol.load()
RULES = {rule.id: rule for rule in SHIPPED.rules}
PARAMETERS = {parameter.name: parameter for parameter in SHIPPED.parameters}
T0 = np.datetime64("2026-11-02T00:00:00", "us")
"""Eight in the morning in Shanghai, where she lives."""
WANG, CUFF, OTHER = 7, 1, 2
DAY, HOUR = 24 * 60, 60


def when(minutes: float) -> np.datetime64:
    return T0 + np.timedelta64(round(minutes * 60e6), "us")


class Home:
    """The shipped protocol at work for one resident of these groups, with these values of her own."""

    def __init__(self, *groups: str, age: int = 70, **own: float) -> None:
        values = {name.replace("__", "."): value for name, value in own.items()}
        self.engine = Engine(SHIPPED)
        self.engine.enrol([WANG], T0)
        self.engine.assign({WANG: profile(SHIPPED, "Asia/Shanghai", groups, {}, values, age=age)})
        self.firings: list[Firing] = []

    def measure(
        self, at: float, *, device: int = CUFF, irregular: bool = False, late: float = 0, **values: float
    ) -> list[tuple[str, str]]:
        """One measurement ``at`` minutes, received ``late`` minutes after it: what fired as (rule, what)."""
        n = len(values)
        quality = Quality.IRREGULAR_PULSE if irregular else Quality.NONE
        batch = Batch(
            np.full(n, WANG, np.int32),
            np.array([METRICS[metric].code for metric in values], np.int16),
            np.full(n, when(at)),
            np.array(list(values.values()), np.float64),
            np.full(n, int(quality), np.int32),
            np.full(n, device, np.int32),
            np.full(n, when(at + late)),
        )
        self.firings = self.engine.step(batch, when(at + late))
        return [(firing.rule, firing.what) for firing in self.firings]

    def wait(self, until: float) -> list[tuple[str, str]]:
        self.firings = self.engine.step(Batch.empty(), when(until))
        return [(firing.rule, firing.what) for firing in self.firings]

    def evidence(self, rule: str) -> Mapping[str, float | str]:
        return next(firing.evidence for firing in self.firings if firing.rule == rule)


def of(rule: str, told: Sequence[tuple[str, str]]) -> list[str]:
    """What one rule said."""
    return [what for fired, what in told if fired == rule]


# Rules on levels. ``over`` is the mildest that is over, ``fine`` the worst that is not; ``calm`` ends it, ``still`` does not.


@dataclass(frozen=True)
class Story:
    rule: str
    over: Mapping[str, float]
    fine: Mapping[str, float]
    calm: Mapping[str, float]
    still: Mapping[str, float]
    groups: tuple[str, ...] = ()
    before: Mapping[str, float] | None = None
    """What has happened five minutes earlier, from another device."""

    def home(self) -> Home:
        home = Home(*self.groups)
        if self.before:
            home.measure(-5, device=OTHER, **self.before)
        return home


def pressure(systolic: float, diastolic: float) -> dict[str, float]:
    return {"systolic": systolic, "diastolic": diastolic}


def one(
    rule: str, metric: str, over: float, fine: float, calm: float, still: float, *groups: str, **more: Any
) -> Story:
    return Story(rule, {metric: over}, {metric: fine}, {metric: calm}, {metric: still}, groups, **more)


def beside(systolic: float, pulse: float) -> dict[str, float]:
    return {"systolic": systolic, "pulse": pulse}


FELL = {"before": {"fall": 0.9}}
REPEATED_FIRST = [
    Story("bp.severe", pressure(180, 90), pressure(179, 109), pressure(169, 104), pressure(170, 104)),
    Story("bp.severe", pressure(150, 110), pressure(150, 109), pressure(150, 104), pressure(150, 105)),
    Story("bp.shock", beside(89, 111), beside(90, 130), beside(100, 111), beside(99, 111)),
    one("bp.low", "systolic", 89, 90, 100, 99),
    one("bp.low_after_fall", "systolic", 99, 100, 110, 109, **FELL),
    one("fall.fast_pulse", "pulse", 111, 110, 100, 101, **FELL),
    one("pulse.high", "pulse", 131, 130, 110, 111),
    one("pulse.low", "pulse", 39, 40, 50, 49),
    one("spo2.low", "spo2", 91, 92, 94, 93),
    one("spo2.low", "spo2", 83, 84, 86, 85, "hypercapnic"),
    one("spo2.low", "spo2", 83, 84, 86, 85, "hypercapnic", "home_oxygen"),
    one("spo2.too_high", "spo2", 97, 96, 94, 95, "hypercapnic", "home_oxygen"),
    one("respiration.high", "respiratory_rate", 25, 24, 20, 21),
    one("respiration.low", "respiratory_rate", 8, 9, 12, 11),
    one("temperature.low", "body_temperature", 35.0, 35.1, 35.6, 35.5),
    one("glucose.falling", "glucose", 3.8, 3.9, 4.4, 4.3),
    one("glucose.high", "glucose", 16.8, 16.7, 13.9, 14.0),
]
COUNTED = [
    one("spo2.watch", "spo2", 93, 94, 95, 94),
    one("spo2.watch", "spo2", 85, 86, 87, 86, "hypercapnic"),
    one("pulse.fast", "pulse", 111, 110, 100, 101),
    one("glucose.raised", "glucose", 14.0, 13.9, 12.9, 13.0),
    one("infection.fast_pulse", "body_temperature", 37.3, 37.2, 37.0, 37.1, before={"pulse": 111}),
    one("glucose.sensor_low", "interstitial_glucose", 2.9, 3.0, 3.9, 3.8),
]
AT_ONCE = [
    one("temperature.high", "body_temperature", 38.0, 37.9, 37.4, 37.5),
    one("temperature.very_high", "body_temperature", 39.1, 39.0, 38.4, 38.5),
    one("glucose.low", "glucose", 2.9, 3.0, 3.9, 3.8),
    one("device.battery", "battery", 15, 16, 25, 24),
    one("gateway.silent", "gateway_silence", 1, 0.9, 0.2, 0.25),
    one("gateway.unwatched", "gateway_silence", 4, 3.9, 0.2, 0.25),
    one("device.silent", "device_silence", 1.5, 1.4, 0.9, 1),
    one("device.unworn", "not_worn", 2, 1.9, 0.4, 0.5),
]


def named(story: Story) -> str:
    return "-".join((story.rule, *story.groups, *(metric for metric in story.over if len(story.over) == 1)))


@pytest.mark.parametrize("story", REPEATED_FIRST, ids=named)
def test_it_is_repeated_first_and_calls_when_it_is_so_again(story: Story) -> None:
    home = story.home()
    assert of(story.rule, home.measure(0, **story.fine)) == []
    assert of(story.rule, home.measure(40, **story.over)) == ["ask"]
    assert of(story.rule, home.measure(45, **story.over)) == ["raise"]
    assert home.evidence(story.rule)["count"] == 2
    assert of(story.rule, home.measure(60, **story.still)) == []
    assert of(story.rule, home.measure(80, **story.calm)) == ["clear"]


@pytest.mark.parametrize("story", REPEATED_FIRST, ids=named)
def test_a_repeat_that_is_fine_answers_and_none_in_time_calls(story: Story) -> None:
    ask = RULES[story.rule].ask
    assert ask is not None
    limit = ask.within / timedelta(minutes=1)
    home = story.home()
    home.measure(0, **story.over)
    assert of(story.rule, home.measure(5, **story.fine)) == ["answered"]
    home = story.home()
    assert of(story.rule, home.measure(0, **story.over)) == ["ask"]
    assert [firing.until for firing in home.firings if firing.rule == story.rule] == [when(limit)]
    assert of(story.rule, home.wait(limit)) == []
    assert of(story.rule, home.wait(limit + 0.01)) == ["raise"]
    assert home.evidence(story.rule)["count"] == 1


@pytest.mark.parametrize("story", COUNTED, ids=named)
def test_the_second_of_three_calls_and_one_alone_does_not(story: Story) -> None:
    within = RULES[story.rule].count.within / timedelta(minutes=1)
    home = story.home()
    assert of(story.rule, home.measure(0, **story.over)) == []
    assert of(story.rule, home.measure(1, **story.fine)) == []
    assert of(story.rule, home.measure(2, **story.over)) == ["raise"]
    assert of(story.rule, home.measure(3, **story.still)) == []
    assert of(story.rule, home.measure(4, **story.calm)) == ["clear"]
    home = story.home()
    home.measure(0, **story.over)
    if story.before:
        home.measure(within - 1, device=OTHER, **story.before)
    assert of(story.rule, home.measure(within + 0.1, **story.over)) == [], "that was too long ago to count together"
    assert of(story.rule, story.home().measure(0, **story.fine)) == []


@pytest.mark.parametrize("story", AT_ONCE, ids=named)
def test_it_calls_at_once_and_ends_behind_its_clear_level(story: Story) -> None:
    home = story.home()
    assert of(story.rule, home.measure(0, **story.fine)) == []
    assert of(story.rule, home.measure(5, **story.over)) == ["raise"]
    assert of(story.rule, home.measure(10, **story.still)) == []
    assert of(story.rule, home.measure(15, **story.calm)) == ["clear"]


@pytest.mark.parametrize(
    ("rule", "event"),
    [
        ("help_call", "help_call"),
        ("glucose.below_scale", "glucose_below_scale"),
        ("glucose.above_scale", "glucose_above_scale"),
        ("fall.long_lie", "long_lie"),
    ],
)
def test_an_event_calls_at_once(rule: str, event: str) -> None:
    assert of(rule, Home().measure(0, **{event: 1})) == ["raise"]


@pytest.mark.parametrize(
    ("rule", "event", "seconds"), [("fall", "fall", 30), ("inactivity.morning", "inactivity", 900)]
)
def test_she_is_asked_whether_she_is_well_and_called_for_without_an_answer(rule: str, event: str, seconds: int) -> None:
    home = Home()
    assert of(rule, home.measure(0, **{event: 1})) == ["ask"]
    assert of(rule, home.wait(seconds / 60)) == []
    assert of(rule, home.wait(seconds / 60 + 0.01)) == ["raise"]
    home = Home()
    home.measure(0, **{event: 1})
    assert of(rule, home.measure(0.2, device=OTHER, said_well=1)) == ["answered"]


def test_a_low_pressure_or_a_fast_pulse_without_a_fall_before_it_is_none_of_these() -> None:
    assert Home().measure(0, systolic=99, pulse=112) == []
    home = Home()
    home.measure(0, device=OTHER, fall=0.9)
    assert of("fall.fast_pulse", home.measure(2 * HOUR + 1, pulse=120)) == []
    assert of("bp.low_after_fall", home.measure(DAY, systolic=99)) == ["ask"]
    home = Home()
    home.measure(0, device=OTHER, fall=0.9)
    assert of("bp.low_after_fall", home.measure(DAY + 1, systolic=99)) == []


def test_a_warm_temperature_with_an_ordinary_pulse_is_no_infection() -> None:
    home = Home()
    home.measure(-5, device=OTHER, pulse=110)
    assert [home.measure(at, body_temperature=37.5) for at in (0, 60)] == [[], []]


def test_oxygen_too_high_concerns_only_those_on_oxygen_who_retain_carbon_dioxide() -> None:
    for groups in ((), ("hypercapnic",), ("home_oxygen",), ("copd", "heart_failure")):
        assert Home(*groups).measure(0, spo2=98) == []


def test_a_low_pressure_with_an_ordinary_pulse_is_low_and_no_shock() -> None:
    home = Home()
    said = home.measure(0, **beside(80, 110)) + home.measure(5, **beside(80, 110))
    assert [rule for rule, what in said if what == "raise"] == ["bp.low"]


def test_a_sensor_that_stays_high_for_half_an_hour_calls_and_a_peak_does_not() -> None:
    rule, home = "glucose.sensor_high", Home()
    assert [of(rule, home.measure(at, interstitial_glucose=16.8)) for at in range(0, 30, 5)] == [[]] * 6
    assert of(rule, home.measure(30, interstitial_glucose=16.8)) == ["raise"]
    assert of(rule, home.measure(35, interstitial_glucose=14.0)) == []
    assert of(rule, home.measure(40, interstitial_glucose=13.9)) == ["clear"]
    home = Home()
    peak = [16.8, 18, 18, 16.7, 16.8, 17, 17]
    assert [of(rule, home.measure(5 * i, interstitial_glucose=x)) for i, x in enumerate(peak)] == [[]] * 7


def test_a_sensor_that_stays_low_for_half_an_hour_calls_and_is_over_after_a_quarter_above() -> None:
    rule, home = "glucose.sensor_falling", Home()
    low = [of(rule, home.measure(at, interstitial_glucose=3.8)) for at in range(0, 30, 5)]
    assert low == [[]] * 6
    assert of(rule, home.measure(30, interstitial_glucose=3.8)) == ["raise"]
    assert [of(rule, home.measure(at, interstitial_glucose=4.4)) for at in (35, 40, 45, 50)] == [[], [], [], ["clear"]]
    home = Home()
    broken = [3.8, 3.8, 3.8, 3.9, 3.8, 3.8, 3.8]
    assert [of(rule, home.measure(5 * i, interstitial_glucose=x)) for i, x in enumerate(broken)] == [[]] * 7


# Rules on what is made of many readings.


def days(home: Home, rule: str, first: int, last: int, **values: float) -> list[str]:
    """Measured morning and evening from day ``first`` to day ``last``: what the rule said."""
    said = []
    for day in range(first, last + 1):
        for hour in (0, 12):
            said += of(rule, home.measure(day * DAY + hour * HOUR, **values))
    return said


@pytest.mark.parametrize(
    ("groups", "age", "own", "over", "fine"),
    [
        ((), 79, {}, (135, 70), (134.9, 84.9)),
        ((), 79, {}, (120, 85), (120, 84.9)),
        (("frail",), 70, {}, (150, 70), (149.9, 70)),
        (("hypertension",), 80, {}, (150, 70), (149.9, 70)),
        ((), 90, {"bp__target__systolic": 140.0}, (140, 70), (139.9, 70)),
    ],
)
def test_the_home_average_is_a_task_from_the_target_on(
    groups: tuple[str, ...], age: int, own: dict[str, float], over: tuple[float, float], fine: tuple[float, float]
) -> None:
    assert days(Home(*groups, age=age, **own), "bp.average", 0, 8, **pressure(*fine)) == []
    home = Home(*groups, age=age, **own)
    assert days(home, "bp.average", 0, 5, **pressure(*over)) == [], "ten readings without the first day are too few"
    assert days(home, "bp.average", 6, 6, **pressure(*over)) == ["raise"]


def test_the_home_average_says_of_how_many_readings_it_is_and_ends_five_below() -> None:
    home = Home()
    days(home, "bp.average", 0, 5, systolic=141, diastolic=80)
    home.measure(6 * DAY, systolic=141, diastolic=80)
    home.measure(6 * DAY + 12 * HOUR, systolic=141, diastolic=80)
    evidence = home.evidence("bp.average")
    assert (evidence["average_systolic"], evidence["average_diastolic"], evidence["readings"]) == (141, 80, 12)
    said = RULES["bp.average"].sentence("staff", "en", evidence)
    assert said == "7-day average 141/80 of 12 readings, above target"
    assert days(home, "bp.average", 7, 20, systolic=130, diastolic=80) == []
    assert "clear" in days(home, "bp.average", 21, 28, systolic=129, diastolic=79)


def test_a_wide_pulse_pressure_is_one_by_its_average() -> None:
    assert days(Home(), "bp.pulse_pressure", 0, 8, systolic=129, diastolic=70) == []
    assert days(Home(), "bp.pulse_pressure", 0, 8, systolic=130, diastolic=70) == ["raise"]


def test_a_pressure_that_differs_from_day_to_day_is_a_task() -> None:
    def said(low: float, high: float, until: int) -> list[str]:
        home = Home()
        return [
            what
            for day in range(until)
            for what in days(home, "bp.variability", day, day, systolic=(low, high)[day % 2])
        ]

    assert said(110, 140, 7) == [], "seven days are too few"
    assert said(110, 140, 8) == ["raise"], "15 either way of 125, by a sample of eight"
    assert said(112, 138, 14) == []


def test_far_below_her_own_usual_is_repeated_first_and_only_if_it_is_low_besides() -> None:
    def said(usual: float, *now: float, hour: int = 0) -> list[str]:
        home = Home("frail")  # whose average is no task: while one stands nothing is learned
        for day in range(7):
            for at in (0, 1):
                home.measure(day * DAY + at, systolic=usual)
        found = [
            w for i, x in enumerate(now) for w in of("bp.drop", home.measure(7 * DAY + hour * HOUR + 5 * i, systolic=x))
        ]
        if "raise" in found:
            found.append(RULES["bp.drop"].sentence("staff", "en", home.evidence("bp.drop")))
        return found

    asked, raised, sentence = said(140, 110, 105)
    assert (asked, raised) == ("ask", "raise")
    assert re.fullmatch(r"Systolic 105, usually (139|140) \+/- \d+(\.\d)? in the morning", sentence)
    assert said(140, 111, 110.5) == [], "not quite 30"
    assert said(145, 111, 111) == [], "34 below, and nothing to worry about"
    assert said(140, 105, 105, hour=12) == [], "of her evenings nothing is known yet"


def slow(usual: float, *now: float) -> list[str]:
    """What is said of a pulse on the eighth morning, after seven on which it was measured twice."""
    home = Home()
    for day in range(7):
        for at in (0, 1):
            home.measure(day * DAY + at, pulse=usual)
    found = [what for i, x in enumerate(now) for what in of("pulse.slow", home.measure(7 * DAY + 5 * i, pulse=x))]
    if "raise" in found:
        found.append(RULES["pulse.slow"].sentence("staff", "en", home.evidence("pulse.slow")))
    return found


def test_a_slow_pulse_calls_only_where_it_is_new() -> None:
    assert slow(60, 49, 48) == ["ask", "raise", "Pulse 48 per minute, usually 60 in the morning"]
    assert slow(60, 49, 56) == ["ask", "answered"]
    assert slow(60, 50, 50) == [], "not yet below 50"
    assert slow(54, 45, 45) == [], "not quite 10 below her usual"
    assert slow(48, 46, 46) == [], "always slow"


def test_who_is_always_slow_is_a_task_of_the_week_until_her_doctor_sets_her_value() -> None:
    def said(pulse: float, **own: float) -> list[str]:
        home = Home(**own)
        return [what for day in range(5) for what in of("pulse.slow_week", home.measure(day * DAY, pulse=pulse))]

    assert said(49.9) == ["raise"]
    assert said(50) == []
    assert said(47, pulse__slow=45.0) == []


@pytest.mark.parametrize(
    ("sitting", "stood_at", "standing", "said"),
    [
        (0, 4, (120, 80), ["raise"]),
        (0, 4, (121, 71), []),
        (0, 4, (140, 70), ["raise"]),
        (0, 1.9, (110, 60), []),
        (-0.1, 4, (110, 60), []),
    ],
)
def test_a_fall_of_pressure_within_three_minutes_of_standing_up_is_a_task(
    sitting: float, stood_at: float, standing: tuple[float, float], said: list[str]
) -> None:
    home = Home()
    home.measure(sitting, **pressure(140, 80))
    home.measure(stood_at, device=OTHER, stood_up=1)
    assert of("bp.standing", home.measure(5, **pressure(*standing))) == said


def test_supine_hypertension_is_a_value_of_her_own() -> None:
    home = Home(bp__standing__systolic=30)
    home.measure(0, **pressure(170, 80))
    home.measure(1, device=OTHER, stood_up=1)
    assert of("bp.standing", home.measure(2, **pressure(145, 80))) == []


def test_an_irregular_pulse_on_two_days_asks_for_an_ecg_but_not_in_known_atrial_fibrillation() -> None:
    def said(home: Home, day: int, *flags: bool) -> list[str]:
        return [
            w for i, flag in enumerate(flags) for w in of(rule, home.measure(day * DAY + i, pulse=72, irregular=flag))
        ]

    rule, home = "pulse.irregular", Home()
    assert said(home, 0, True, False, True) == []
    assert said(home, 3, True, False, False) == [], "one of three is no such day"
    assert said(home, 13, True, True) == ["raise"]
    assert said(home, 13, True, True) == []
    home = Home("atrial_fibrillation")
    assert said(home, 0, True, True) + said(home, 1, True, True) == []
    home = Home()
    assert said(home, 0, True, True) + said(home, 14, True, True) == [], "two weeks are over"


def weigh(home: Home, rule: str, *weights: float) -> list[str]:
    """Weighed once on each of these mornings: what the rule said on the last."""
    said: list[str] = []
    for day, weight in enumerate(weights):
        said = of(rule, home.measure(day * DAY, body_weight=weight))
    return said


@pytest.mark.parametrize(
    ("rule", "over", "fine"),
    [
        ("weight.day", (70, 71), (70, 70.9)),
        ("weight.three_days", (70, 70.6, 71.3, 72), (70, 70.6, 71.3, 71.9)),
        ("weight.three_days", (70, 72), (70, 71, 71, 71, 72.9)),
        ("weight.week", (70, 70.4, 70.8, 71.2, 71.6, 72, 72.2, 72.5), (70, 70.4, 70.8, 71.2, 71.6, 72, 72.2, 72.4)),
    ],
)
def test_a_gain_of_weight_is_weighed_again_first(rule: str, over: tuple[float, ...], fine: tuple[float, ...]) -> None:
    assert weigh(Home("heart_failure"), rule, *fine) == []
    home = Home("heart_failure")
    assert weigh(home, rule, *over) == ["ask"]
    last = (len(over) - 1) * DAY
    assert of(rule, home.measure(last + 10, body_weight=over[-1])) == ["raise"]
    assert float(home.evidence(rule)["rise_body_weight"]) > 0.9
    assert of(rule, home.measure(last + DAY, body_weight=over[0])) == ["clear"]
    home = Home("heart_failure")
    weigh(home, rule, *over)
    assert of(rule, home.measure(last + 10, body_weight=over[0])) == ["answered"]


def test_weight_is_watched_only_in_heart_failure_and_not_in_dialysis() -> None:
    for groups in ((), ("hypertension",), ("heart_failure", "dialysis")):
        assert weigh(Home(*groups), "weight.day", 70, 74) == []
        assert weigh(Home(*groups), "weight.three_days", 70, 74) == []


def test_a_doctor_sets_how_much_weight_counts() -> None:
    assert weigh(Home("heart_failure", weight__gain__day=1.5), "weight.day", 70, 71.4) == []


def test_a_little_weight_and_a_little_oxygen_together_are_congestion() -> None:
    rule = "heart_failure.congestion"

    def said(oxygen: float, *groups: str, gain: float = 1) -> list[str]:
        home = Home("heart_failure", *groups)
        home.measure(-30, device=OTHER, spo2=oxygen)
        home.measure(0, body_weight=70)
        home.measure(DAY - 30, device=OTHER, spo2=oxygen)
        return of(rule, home.measure(DAY, body_weight=70 + gain)) + of(
            rule, home.measure(DAY + 5, body_weight=70 + gain)
        )

    assert said(93) == ["ask", "raise"]
    assert said(94) == []
    assert said(93, gain=0.9) == []
    assert said(88, "hypercapnic") == []


def test_a_fast_heart_for_days_is_a_task_in_heart_failure() -> None:
    rule = "heart_failure.pulse"

    def said(pulse: float, *groups: str) -> list[str]:
        home = Home(*groups)
        return [w for day in (0, 3) for at in (0, 1) for w in of(rule, home.measure(day * DAY + at, pulse=pulse))]

    assert said(101, "heart_failure") == ["raise"]
    assert said(100, "heart_failure") == []
    assert said(105, "heart_failure", "atrial_fibrillation") == []
    assert said(105) == []


def test_a_temperature_far_above_her_usual_is_repeated_first() -> None:
    rule, home = "temperature.above_usual", Home()
    for day in range(14):
        home.measure(day * DAY, body_temperature=36.0)
    assert of(rule, home.measure(14 * DAY, body_temperature=37.0)) == []
    assert of(rule, home.measure(15 * DAY, body_temperature=37.3)) == ["ask"]
    assert of(rule, home.measure(15 * DAY + 40, body_temperature=37.3)) == ["raise"]
    assert "usually 36" in RULES[rule].sentence("staff", "en", home.evidence(rule))
    assert of(rule, home.measure(16 * DAY, body_temperature=36.4)) == ["clear"]


@pytest.mark.parametrize(
    ("rule", "metric", "after", "groups"),
    [
        ("bp.missing", "systolic", 3, ()),
        ("weight.missing", "body_weight", 3, ("heart_failure",)),
        ("spo2.missing", "spo2", 3, ("home_oxygen",)),
        ("spo2.missing", "spo2", 3, ("hypercapnic",)),
        ("glucose.missing", "glucose", 2, ("insulin",)),
    ],
)
def test_what_has_to_be_measured_is_missed(rule: str, metric: str, after: int, groups: tuple[str, ...]) -> None:
    home = Home(*groups)
    value = {"systolic": 130.0, "body_weight": 70.0, "spo2": 97.0, "glucose": 7.0}[metric]
    home.measure(HOUR, **{metric: value})
    assert of(rule, home.wait(HOUR + after * DAY)) == []
    assert of(rule, home.wait(HOUR + after * DAY + 1)) == ["raise"]
    assert of(rule, home.measure(HOUR + after * DAY + 2, **{metric: value})) == ["clear"]


def test_only_those_are_missed_who_have_to_measure() -> None:
    assert [rule for rule, _ in Home().wait(10 * DAY)] == ["bp.missing"]
    assert of("glucose.missing", Home("insulin", "glucose_sensor").wait(10 * DAY)) == []


# Early warning points.

SEVEN = {"respiratory_rate": 25, "spo2": 93, "pulse": 111}


def test_seven_points_call_at_once_and_end_below_five() -> None:
    home = Home()
    assert of("points.high", home.measure(0, **SEVEN)) == ["raise"]
    assert (home.evidence("points.high")["score"], home.evidence("points.high")["parts"]) == (7, 3)
    assert of("points.high", home.measure(30, respiratory_rate=24, spo2=94, pulse=111)) == [], "five"
    assert of("points.high", home.measure(60, respiratory_rate=20, spo2=93, pulse=111)) == ["clear"], "four"
    assert of("points.high", Home().measure(0, respiratory_rate=24, spo2=93, pulse=111)) == [], "six"


def test_five_points_are_repeated_first() -> None:
    home, five = Home(), {"respiratory_rate": 21, "spo2": 93, "pulse": 91}
    assert of("points.medium", home.measure(0, respiratory_rate=21, spo2=93, pulse=90)) == [], "four"
    assert of("points.medium", home.measure(10, **five)) == ["ask"]
    assert of("points.medium", home.measure(20, **five)) == ["raise"]
    assert RULES["points.medium"].sentence("staff", ZH, home.evidence("points.medium")) == "预警分5分（6项中测得3项）"
    assert of("points.medium", home.measure(30, respiratory_rate=21, spo2=94, pulse=91)) == [], "four"
    assert of("points.medium", home.measure(40, respiratory_rate=20, spo2=93, pulse=91)) == ["clear"], "three"


def test_a_cuff_alone_makes_no_points_and_what_is_hours_old_counts_no_more() -> None:
    assert Home().measure(0, systolic=91, pulse=125) == []
    home = Home()
    home.measure(0, device=OTHER, spo2=92)
    assert of("points.medium", home.measure(6 * HOUR + 1, systolic=95, pulse=112)) == []
    home = Home()
    home.measure(0, device=OTHER, spo2=92)
    assert of("points.medium", home.measure(6 * HOUR, systolic=95, pulse=112)) == ["ask"]


@pytest.mark.parametrize(
    ("groups", "oxygen", "points"),
    [
        ((), 88, 3),
        (("hypercapnic",), 88, 0),
        (("hypercapnic",), 98, 0),
        (("hypercapnic", "copd"), 84, 2),
        (("home_oxygen",), 96, 2),
        (("home_oxygen", "hypercapnic"), 92, 2),
        (("home_oxygen", "hypercapnic", "copd"), 98, 5),
    ],
)
def test_oxygen_is_scored_by_her_scale(groups: tuple[str, ...], oxygen: float, points: int) -> None:
    home = Home(*groups)
    home.measure(0, respiratory_rate=25, pulse=131, spo2=oxygen)
    scores = [firing.evidence["score"] for firing in home.firings if firing.rule in ("points.high", "points.medium")]
    assert scores
    assert set(scores) == {6 + points}


# One condition, one alert.


def opened(home: Home, *measurements: tuple[float, dict[str, float]]) -> list[str]:
    """The alerts on the board after these measurements, as the watch opens them: none beside its cause."""
    board: list[str] = []
    for at, values in measurements:
        for rule, what in home.measure(at, **values):
            if what == "raise" and rule not in board and not set(RULES[rule].cause) & set(board):
                board.append(rule)
    return board


@pytest.mark.parametrize(
    ("what", "readings", "board"),
    [
        ("a pulse of 140", {"pulse": 140}, ["pulse.high"]),
        ("oxygen of 88", {"spo2": 88}, ["spo2.low"]),
        ("a pulse of 38", {"pulse": 38}, ["pulse.low"]),
        ("fever of 39.5", {"body_temperature": 39.5}, ["temperature.very_high"]),
        ("glucose of 2.5", {"glucose": 2.5}, ["glucose.low"]),
        ("glucose of 20", {"glucose": 20}, ["glucose.high"]),
        ("a shock", {"systolic": 84, "diastolic": 50, "pulse": 118, "spo2": 95}, ["bp.shock"]),
        (
            "a bad pneumonia",
            {
                "body_temperature": 38.6,
                "spo2": 90,
                "respiratory_rate": 26,
                "systolic": 105,
                "diastolic": 60,
                "pulse": 118,
            },
            ["points.high", "spo2.low", "respiration.high"],
        ),
    ],
)
def test_one_condition_is_one_alert(what: str, readings: dict[str, float], board: list[str]) -> None:
    assert opened(Home(), (0, readings), (5, readings)) == board


@pytest.mark.parametrize("rule", SHIPPED.rules, ids=lambda rule: rule.id)
def test_a_cause_is_as_urgent_and_judged_before(rule: Rule) -> None:
    order = [found.id for found in SHIPPED.rules]
    heard = {limit.metric for limit in rule.when}
    for name in rule.cause:
        cause = RULES[name]
        assert PRIORITIES.index(cause.priority) <= PRIORITIES.index(rule.priority) or cause.kind == "technical"
        if heard & {limit.metric for limit in cause.when}:
            assert order.index(name) < order.index(rule.id), "or one measurement would raise both"


def test_every_sign_that_scores_three_has_a_rule_of_its_own_that_calls() -> None:
    (score,) = SHIPPED.scores
    for part in score.parts:
        groups = frozenset(part.groups)
        for found in _values(part):
            if _points(part, found) == 3 and (part.metric.name, found) not in (("systolic", 90), ("pulse", 40)):
                assert any(_calls_about(rule, part, found, groups) for rule in SHIPPED.rules), (part.metric.name, found)


def _calls_about(rule: Rule, part: ScorePart, value: float, groups: frozenset[str]) -> bool:
    noted = {part for group in SHIPPED.groups for part in group.all_of if group.code in groups} | groups
    who = profile(SHIPPED, "UTC", noted, {}, {})
    if not rule.calls or rule.requires or rule.on_statistic or not who.concerns(rule.groups, rule.not_groups):
        return False
    for limit in rule.when:
        at_hers = limit.at_level(who.value(PARAMETERS[limit.parameter])) if limit.parameter else limit
        if limit.metric == part.metric and at_hers.over(value):
            return True
    return False


# What the shipped rules are as a whole.


def test_there_are_enough_rules_and_most_of_what_waits_is_a_task() -> None:
    by_priority = {p: [r for r in SHIPPED.rules if r.priority == p] for p in PRIORITIES}
    assert len(SHIPPED.rules) >= 30
    assert all(not rule.calls for rule in by_priority["low"])
    assert all(rule.calls for priority in ("high", "medium") for rule in by_priority[priority])


def test_what_is_remembered_of_a_resident_stays_small() -> None:
    limits = [limit for rule in SHIPPED.rules for limit in rule.when]
    statistics = [(limit.metric.name, limit.statistic) for limit in limits if limit.statistic]
    assert max(rule.count.n for rule in SHIPPED.rules) <= 3
    assert max(statistic.days for _, statistic in statistics) <= 14
    assert len({metric for metric, statistic in statistics if statistic.kind == "from_usual"}) <= 3


def test_no_partial_score_is_called_a_news2() -> None:
    for rule in SHIPPED.rules:
        words = [
            *rule.titles.values(),
            *(rule.say[audience][language] for audience in AUDIENCES for language in LANGUAGES),
        ]
        assert not [text for text in words if "NEWS" in text.upper()]


@pytest.mark.parametrize("rule", SHIPPED.rules, ids=lambda rule: rule.id)
def test_whoever_is_in_danger_reads_whom_to_ring(rule: Rule) -> None:
    if rule.priority == "high":
        for language in LANGUAGES:
            assert "120" in rule.say["resident"][language]


@pytest.mark.parametrize("rule", [rule for rule in SHIPPED.rules if rule.ask], ids=lambda rule: rule.id)
def test_whoever_is_asked_to_measure_again_where_harm_is_near_reads_when_not_to_wait(rule: Rule) -> None:
    assert rule.ask is not None
    if rule.priority == "high" and rule.ask.kind == "repeat_measurement":
        for language in LANGUAGES:
            assert "120" in rule.ask.sentence(language)


def test_no_alert_keeps_one_of_high_priority_quiet() -> None:
    assert [rule.id for rule in SHIPPED.rules if rule.priority == "high" and rule.cause] == []


@pytest.mark.parametrize("rule", [rule for rule in SHIPPED.rules if rule.ask], ids=lambda rule: rule.id)
def test_what_is_said_without_a_repeat_differs_from_what_is_said_with_one(rule: Rule) -> None:
    assert rule.ask is not None
    if rule.ask.kind == "repeat_measurement" and rule.calls and not rule.id.startswith(("weight.", "heart_failure.")):
        assert rule.say_unanswered is not None
        for language in LANGUAGES:
            assert rule.say_unanswered["staff"][language] != rule.say["staff"][language]


# Where each number comes from.


def numbers(rule: Rule) -> Iterator[tuple[str, list[float], str]]:
    """Every number of a rule: what it is, the numbers, and the source that stands beside them."""
    for limit in rule.when:
        yield "level", [limit.level], _whole_source(limit)
        if limit.clear_level is not None:
            yield "clear level", [limit.clear_level if limit.clear_by is None else limit.clear_by], limit.source
    for required in rule.requires:
        yield "requirement", [required.level], required.source
    if rule.count.k > 1 or rule.count.days > 1:
        yield "count", [rule.count.k, rule.count.n], rule.count.source
    times = (rule.ask, rule.missing, rule.confirmed_by, rule.follows)
    for found in times:
        if found is not None:
            yield "time", [found.within.total_seconds()], found.source
    for lasting in (rule.persists, rule.clear_after):
        if lasting is not None:
            yield "lasting", [lasting.time.total_seconds()], lasting.source


def _whole_source(limit: Limit) -> str:
    named = PARAMETERS.get(limit.parameter or "")
    made = limit.score.source if limit.score else ""
    return " ".join((limit.source, named.source if named else "", made))


@pytest.mark.parametrize("rule", SHIPPED.rules, ids=lambda rule: rule.id)
def test_every_number_of_a_rule_is_covered_by_a_source(rule: Rule) -> None:
    found = list(numbers(rule)) or [("answer", [], rule.sources[0])]
    for what, _, source in found:
        assert _is_whence(source), f"{rule.id}: the {what} has no guideline and no reason of the house: {source}"
    for what, values, source in found:
        if what in ("level", "requirement") and rule.kind == "physiological" and values[0]:
            assert _states(values[0], source), f"{rule.id}: {values[0]:g} does not stand in its source: {source}"
        if what == "clear level" and rule.when[0].metric.kind is not Kind.EVENT:
            assert re.search(r"[Cc]lear level|ends|is over", source), f"{rule.id}: nothing says why it ends there"


def _is_whence(source: str) -> bool:
    return (
        HOUSE in source
        or any(re.search(pattern, source) for pattern, _, _ in GUIDELINES)
        or "cuff's own flag" in source
    )


def _states(value: float, source: str) -> bool:
    """Whether a number stands in a text: 38 as 38.0 too, -30 as a drop of 30, above 130 as 131."""
    texts = {f"{abs(value):g}", f"{abs(value):.1f}", f"{abs(value) + 1:g}"}
    return any(re.search(rf"(?<![\d.]){re.escape(text)}(?![\d]|\.\d)", source) for text in texts)


@pytest.mark.parametrize("parameter", SHIPPED.parameters, ids=lambda parameter: parameter.name)
def test_every_parameter_states_its_number_in_its_source(parameter: Parameter) -> None:
    own = [(value.value, value.source) for value in parameter.groups.values()]
    for value, source in ((parameter.value, parameter.source), *own):
        assert _is_whence(source)
        assert _states(value, source)


def test_a_source_from_general_knowledge_bears_its_star() -> None:
    unread = (
        r"(ESC 2024|ESC heart failure|ESC screening practice|ESH 2023|ESH|NICE NG136|consensus 2011|consensus 2017|"
        r"common practice|IDSA, long-term care|ADA Standards of Care, older adults|Chinese guideline 2024)(?!\*)"
    )
    for rule in SHIPPED.rules:
        for source in rule.sources:
            assert not re.search(unread + r"(?! 2021)", source), source


# Against the clinical reference.


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, tuple[str, str]]:
    """The rows of the reference's tables: value and source by item."""
    text = (shared / "reference" / "clinical.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|\n ").split("|")] for line in text.splitlines() if line.startswith("| ")
    ]
    return {cells[0]: (cells[1], cells[2]) for cells in rows if len(cells) == 3}


def level(rule: str, metric: str = "") -> str:
    """The level of a rule, as the reference writes it."""
    found = next(limit for limit in RULES[rule].when if not metric or limit.metric.name == metric)
    return f"{abs(found.level):g}"


def tenths(rule: str) -> str:
    return f"{RULES[rule].when[0].level:.1f}"


def value(name: str, group: str = "") -> str:
    found = PARAMETERS[name]
    return f"{found.groups[group].value if group else found.value:g}"


def statistic(rule: str) -> Statistic:
    found = RULES[rule].when[0].statistic
    assert found is not None
    return found


def minutes(rule: str) -> int:
    """Within how many minutes what a rule requires has to come."""
    return RULES[rule].requires[0].within // timedelta(minutes=1)


FLAGS = RULES["pulse.irregular"].count
CLAIMS = [
    ("Hypertension, home average", f"≥ {value('bp.target.systolic')}/{value('bp.target.diastolic')}", "bp.average"),
    ("Target ≥ 80 years or frail", f"systolic 130-{value('bp.target.systolic', 'frail')}", "bp.average"),
    ("Target ≥ 80 years or frail", f"systolic 130-{value('bp.target.systolic', 'over_80')}", "bp.average"),
    ("Severe", f"≥ {level('bp.severe')}/{level('bp.severe', 'diastolic')} (Europe, China grade 3)", "bp.severe"),
    ("Low", f"systolic < {level('bp.low')}, or", "bp.low"),
    ("Low", f"< {level('bp.low_after_fall')} with symptoms or after a fall", "bp.low_after_fall"),
    ("Low", f"drop ≥ {level('bp.drop')} below own mean", "bp.drop"),
    ("Orthostatic hypotension", f"fall ≥ {level('bp.standing')} systolic", "bp.standing"),
    ("Orthostatic hypotension", f"≥ {level('bp.standing', 'diastolic')} diastolic", "bp.standing"),
    ("Orthostatic hypotension", f"within {minutes('bp.standing')} min of standing", "bp.standing"),
    ("Wide pulse pressure", f"≥ {level('bp.pulse_pressure')} in older people", "bp.pulse_pressure"),
    ('Home protocol "722"', f"{statistic('bp.average').days} days", "bp.average"),
    ('Home protocol "722"', f"average without day 1; ≥ {statistic('bp.average').needs} readings", "bp.average"),
    ("Variability", f"systolic > 12-{level('bp.variability')}", "bp.variability"),
    ("Irregular pulse flag", f"≥ {FLAGS.k} of {FLAGS.n} consecutive, on {FLAGS.days} days", "pulse.irregular"),
    ("Pulse at rest", f"< {level('pulse.low')} or > {level('pulse.high')} high", "pulse.high"),
    ("Pulse at rest", f"< {level('pulse.slow_week')} or > {level('pulse.fast')} medium", "pulse.fast"),
    ("SpO2", f"≤ {level('spo2.low')} % high, 92-{level('spo2.watch')} % medium", "spo2.low"),
    ("SpO2", f"scale 2 (hypercapnic): target 88-92, ≤ {value('spo2.low', 'hypercapnic')} high", "spo2.low"),
    ("Temperature", f"≥ {level('temperature.very_high')} or", "temperature.very_high"),
    ("Temperature", f"or ≤ {tenths('temperature.low')} °C high", "temperature.low"),
    ("Temperature", f"≥ {tenths('temperature.high')}, or", "temperature.high"),
    ("Temperature", f"≥ {level('temperature.above_usual')} above own baseline", "temperature.above_usual"),
    ("Respiratory rate", f"≤ {level('respiration.low')} or ≥ {level('respiration.high')} high", "respiration.high"),
    ("Glucose", f"< {tenths('glucose.low')} mmol/L (54 mg/dL) high", "glucose.low"),
    ("Glucose", f"< {tenths('glucose.sensor_low')} mmol/L (54 mg/dL) high", "glucose.sensor_low"),
    ("Glucose", f"< {level('glucose.falling')} (70) medium", "glucose.falling"),
    ("Glucose", f"< {level('glucose.sensor_falling')} (70) medium", "glucose.sensor_falling"),
    ("Glucose", f"> {level('glucose.high')} (300) high", "glucose.high"),
    ("Glucose", f"> {level('glucose.sensor_high')} (300) high", "glucose.sensor_high"),
    ("Glucose", f"> {level('glucose.raised')} (250) twice medium", "glucose.raised"),
    ("Weight in heart failure", f"+ {level('weight.day')} kg in a day*", "weight.day"),
    (
        "Weight in heart failure",
        f"+ {level('weight.three_days')} kg in {statistic('weight.three_days').days} days",
        "weight.three_days",
    ),
    ("Weight in heart failure", f"+ {level('weight.week')} kg in a week", "weight.week"),
]


@pytest.mark.shared
@pytest.mark.parametrize(("item", "claim", "rule"), CLAIMS, ids=[f"{rule}: {claim[:40]}" for _, claim, rule in CLAIMS])
def test_a_threshold_is_that_of_the_reference(
    reference: dict[str, tuple[str, str]], item: str, claim: str, rule: str
) -> None:
    said, whence = reference[item]
    assert claim in said
    if "*" in whence and "NEWS2" not in whence:
        assert "*" in " ".join(_whole_source(limit) + RULES[rule].count.source for limit in RULES[rule].when)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("item", "word", "rules"),
    [
        ("Pulse at rest", "high", ["pulse.low", "pulse.high"]),
        ("Pulse at rest", "medium", ["pulse.slow", "pulse.fast"]),
        ("SpO2", "high", ["spo2.low"]),
        ("SpO2", "medium", ["spo2.watch"]),
        ("Temperature", "high", ["temperature.very_high", "temperature.low"]),
        ("Temperature", "medium", ["temperature.high", "temperature.above_usual"]),
        ("Respiratory rate", "high", ["respiration.low", "respiration.high"]),
        ("Glucose", "high", ["glucose.low", "glucose.high", "glucose.sensor_low", "glucose.sensor_high"]),
        ("Glucose", "medium", ["glucose.falling", "glucose.raised", "glucose.sensor_falling"]),
    ],
)
def test_a_priority_is_that_of_the_reference(
    reference: dict[str, tuple[str, str]], item: str, word: str, rules: list[str]
) -> None:
    assert word in reference[item][0]
    assert [RULES[rule].priority for rule in rules] == [word] * len(rules)


@pytest.mark.shared
def test_persistence_is_that_of_the_reference(shared: Path) -> None:
    text = (shared / "reference" / "alarms.md").read_text(encoding="utf-8")
    severe, fall = RULES["bp.severe"], RULES["fall"]
    assert severe.ask is not None
    assert fall.ask is not None
    within, asked = severe.count.within.seconds // 60, severe.ask.within.seconds // 60
    assert (
        f"{severe.count.k} of {severe.count.n} severe in {within} min, or no repeat within {asked} min → staff" in text
    )
    assert f'For a fall: none, but a {fall.ask.within.seconds} s "I am fine"' in text
    assert "For a help button: none at all" in text
    assert (RULES["help_call"].ask, RULES["help_call"].count.k) == (None, 1)


NEWS2_ROWS = {
    "respiratory_rate": "respiration /min",
    "systolic": "systolic mmHg",
    "pulse": "pulse /min",
    "body_temperature": "temperature °C",
}
COLUMNS = (3, 2, 1, 0, 1, 2, 3)


@pytest.mark.shared
def test_the_points_are_those_of_news2_cell_by_cell(shared: Path) -> None:
    text = (shared / "reference" / "clinical.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines() if "|" in line]
    cells = {row[0]: row[1:] for row in rows if len(row) == 8}
    (score,) = SHIPPED.scores
    for part in score.parts:
        if part.metric.name != "spo2":
            row, oxygen = NEWS2_ROWS[part.metric.name], None
        elif part.groups:
            row, oxygen = "SpO2 scale 2 %", "hypercapnic_oxygen" in part.groups
        else:
            row, oxygen = "SpO2 scale 1 %", None
        for found in _values(part):
            assert _points(part, found) == _news2(cells[row], found, oxygen), (row, found)
    (extra,) = score.extras
    assert extra.points == COLUMNS[cells["air or oxygen"].index("oxygen")]


def _values(part: ScorePart) -> Iterator[float]:
    """Every value that NEWS2 tells apart: whole ones, of a temperature tenths."""
    step = 10 if part.metric.name == "body_temperature" else 1
    for number in range(round(part.metric.low * step), round(part.metric.high * step) + 1):
        yield number / step


def _points(part: ScorePart, found: float) -> int:
    return next(points for edge, points in part.bands if found <= edge)


def _news2(cells: Sequence[str], found: float, oxygen: bool | None) -> int:
    (points,) = {points for points, cell in zip(COLUMNS, cells, strict=True) if _lies_in(cell, found, oxygen)}
    return points


def _lies_in(cell: str, found: float, oxygen: bool | None) -> bool:
    """Whether a value lies in a cell such as ``88-92, or ≥ 93 on air``."""
    for part in cell.split(", or "):
        if not part or (" on air" in part and oxygen) or (" on oxygen" in part and oxygen is False):
            continue
        ends = [float(number) for number in re.findall(r"[\d.]+", part)]
        if ("≤" in part and found <= ends[0]) or ("≥" in part and found >= ends[0]):
            return True
        if len(ends) == 2 and ends[0] <= found <= ends[1]:
            return True
    return False


@pytest.mark.shared
def test_the_response_is_that_of_news2(shared: Path) -> None:
    text = (shared / "reference" / "clinical.md").read_text(encoding="utf-8")
    assert f"{level('points.medium')}-6 medium" in text
    assert f"≥ {level('points.high')} high" in text
    assert (RULES["points.medium"].priority, RULES["points.high"].priority) == ("medium", "high")


# The doctor's document.


def test_the_doctors_document_says_what_is_shipped() -> None:
    written = DOCUMENT.read_text(encoding="utf-8")
    assert Tables(SHIPPED).fill(written) == written, "run python docs/protocol_tables.py"


def test_the_doctors_document_has_every_rule_group_and_parameter_in_both_languages() -> None:
    english, chinese = DOCUMENT.read_text(encoding="utf-8").split("\n# 规程\n")
    names = [*RULES, *PARAMETERS, *(group.code for group in SHIPPED.groups)]
    for text in (english, chinese):
        assert [name for name in names if f"`{name}`" not in text] == []
