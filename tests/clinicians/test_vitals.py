"""Readings as people read them: nothing hidden, nothing older or better than it is."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from alerts.language import explain
from clinicians.vitals import latest_vitals, lines, metric_name, newest_sign, pressure, standing, value
from clinicians.words import Words
from devices.readings import METRICS, Quality
from store.readings import Latest, ReadingRow, Series, UnusableRow
from tests.clinicians.test_family import measured
from tests.clinicians.test_worklist import EN, NOW, TARGET, ZH


def series(*points: tuple[float, float], quality: int = 0, device: int = 1) -> Series:
    """Points as (hours ago, value), oldest first."""
    at = np.array([(NOW - timedelta(hours=h)).replace(tzinfo=None) for h, _ in points], "datetime64[us]")
    n = len(points)
    return Series(at, np.array([v for _, v in points]), np.full(n, quality, np.int32), np.full(n, device, np.int32))


@pytest.mark.parametrize(
    ("systolic", "diastolic", "expected"),
    [
        (135, 85, "within"),
        (136, 80, "above"),
        (130, 86, "above"),
        (109, 70, "below"),
        (120, 59, "below"),
        (140, 50, "above"),
    ],
)
def test_a_pressure_stands_to_the_doctor_s_target(systolic: float, diastolic: float, expected: str) -> None:
    assert standing(systolic, diastolic, TARGET) == expected


def test_two_numbers_of_different_measurements_are_no_blood_pressure() -> None:
    latest = {**measured(timedelta(hours=3)), "diastolic": Latest(78.0, NOW, NOW, 0, 1)}
    assert pressure(latest, TARGET, EN) is None
    assert [v.label for v in latest_vitals(latest, TARGET, EN)] == ["Systolic", "Diastolic"]


def test_a_value_grows_stale_after_a_day_and_a_half() -> None:
    fresh, old = (pressure(measured(timedelta(hours=h)), TARGET, EN) for h in (36, 37))
    assert fresh is not None
    assert old is not None
    assert (fresh.is_stale, old.is_stale) == (False, True)


def test_a_measurement_is_one_line_with_its_pulse_and_its_reservations() -> None:
    found = lines(
        {
            "systolic": series((2, 142), quality=Quality.IRREGULAR_PULSE | Quality.BODY_MOVEMENT),
            "diastolic": series((2, 84)),
            "pulse": series((2, 71)),
        },
        [],
        [],
        TARGET,
        EN,
        10,
    )
    assert [(line.text, line.remark, line.standing) for line in found] == [
        ("142/84 mmHg · pulse 71", "moved while measuring, irregular pulse", "above")
    ]


def test_a_pulse_from_another_device_is_a_line_of_its_own() -> None:
    found = lines({"systolic": series((2, 142)), "pulse": series((2, 71), device=2)}, [], [], TARGET, EN, 10)
    assert sorted(line.text for line in found) == ["142/? mmHg", "71 /min"]


def test_a_reading_of_unknown_time_is_never_shown_as_now() -> None:
    received = NOW - timedelta(hours=1)
    year_2000 = NOW.replace(year=2000)
    row = ReadingRow("systolic", 144.0, None, year_2000, received, int(Quality.CLOCK_SUSPECT), 1, 255)
    (line,) = lines({}, [row], [], TARGET, EN, 10)
    assert (line.kind, line.at, line.is_received) == ("time_unknown", received, True)
    assert line.remark == "the device's clock is wrong; it says 24 Nov 2000"


@pytest.mark.parametrize(
    ("reason", "english", "chinese"),
    [
        ("implausible_value", "this value cannot be right", "数值不合理"),
        ("diastolic_above_systolic", "diastolic is not below systolic", "舒张压不低于收缩压"),
        ("gateway_refused:truncated", "it was cut short", "数据不完整"),
        ("gateway_refused:something_new", "it could not be read", "无法读取"),
    ],
)
def test_what_is_not_usable_says_why(reason: str, english: str, chinese: str) -> None:
    row = UnusableRow("C0", "systolic", 20.0, NOW - timedelta(hours=2), NOW, reason)
    assert lines({}, [], [row], TARGET, EN, 10)[0].remark == english
    assert lines({}, [], [row], TARGET, ZH, 10)[0].remark == chinese


@pytest.mark.parametrize(
    ("ago", "believed"), [(timedelta(hours=2), True), (timedelta(days=9000), False), (-timedelta(days=1), False)]
)
def test_an_unusable_reading_stands_at_its_measured_time_only_if_that_can_be(ago: timedelta, believed: bool) -> None:
    row = UnusableRow("C0", "systolic", 20.0, NOW - ago, NOW, "implausible_value")
    (line,) = lines({}, [], [row], TARGET, EN, 10)
    assert line.is_received is not believed
    assert line.at == (NOW - ago if believed else NOW)


def test_the_newest_come_first_whatever_they_are_worth() -> None:
    row = UnusableRow("C0", "systolic", 20.0, NOW - timedelta(hours=2), NOW, "implausible_value")
    found = lines({"systolic": series((3, 120), (1, 125)), "fall": series((2.5, 0.93))}, [], [row], TARGET, EN, 10)
    assert [line.kind for line in found] == ["measured", "unusable", "measured", "measured"]
    assert found[2].text == "likelihood 93%"
    told = {metric: series((1, 1.0)) for metric in ("fall_confirmed", "said_well", "worn", "device_dropped")}
    assert {line.what: line.text for line in lines(told, [], [], TARGET, EN, 10)} == {
        "Fall confirmed": "likelihood 100%",
        "Said that all is well": "",
        "Wearable worn": "worn",
        "Device dropped": "",
    }
    assert [line.text for line in lines({"systolic": series((3, 120), (1, 125))}, [], [], TARGET, EN, 1)] == [
        "125/? mmHg"
    ]


def test_what_sensors_in_the_flat_see_is_no_vital_sign_but_movement_is_a_sign_of_life() -> None:
    at = NOW - timedelta(hours=2)
    of_the_flat = ("movement", "door", "bed", "device_silence", "worn", "not_worn")
    of_stillness = ("inactivity", "fall_confirmed", "long_lie")
    latest = {metric: Latest(1.0, at, at, 0, 1) for metric in (*of_the_flat, *of_stillness)}
    assert latest_vitals(latest, TARGET, EN) == []
    assert newest_sign(latest) is None
    assert newest_sign(latest, moved_at=at) == at
    pulse = Latest(70.0, NOW, NOW, 0, 1)
    assert newest_sign({**latest, "pulse": pulse}, moved_at=at) == NOW


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("words", [EN, ZH], ids=["en", "zh_Hans"])
def test_every_metric_has_its_words_in_both_languages(metric: str, words: Words) -> None:
    assert metric_name(metric, words) != metric
    assert not explain.metric_name(METRICS[metric], "zh_Hans").isascii()
    assert "_" not in value(metric, 1.0, words)


def test_a_state_is_said_and_not_numbered() -> None:
    assert [value("door", number, EN) for number in (0.0, 1.0)] == ["shut", "open"]
    assert value("bed", 1.0, ZH) == "有人"
    assert value("body_mass_index", 24.26, EN) == "24.3 kg/m²"
