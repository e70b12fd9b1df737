"""Ninety days of blood pressure as a drawing that says what it shows."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.judging import Target
from clinicians.charts import NARROW, WIDE, Frame, blood_pressure, sparkline, trailing_means
from clinicians.words import Words
from store.readings import Series

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
EN, ZH = Words.of("en", now=NOW), Words.of("zh_Hans", now=NOW)
TARGET = Target(110, 135, 60, 85)
SVG = "{http://www.w3.org/2000/svg}"


def series(days_ago: list[int], value: float = 130.0) -> Series:
    """One measurement at 08:00 in Shanghai on each of these days, oldest first."""
    ordered = sorted(days_ago, reverse=True)
    at = np.array([(NOW - timedelta(days=d, hours=10)).replace(tzinfo=None) for d in ordered], "datetime64[us]")
    none = np.zeros(len(at), np.int32)
    return Series(at, np.full(len(at), value), none, none)


def drawn(
    days_ago: list[int], *, systolic: float = 130.0, words: Words = EN, frame: Frame = WIDE, target: Target = TARGET
) -> ET.Element:
    return ET.fromstring(blood_pressure(series(days_ago, systolic), series(days_ago, 80.0), target, words, frame, "c"))


def mean_lines(svg: ET.Element) -> list[str]:
    """The systolic mean's unbroken parts."""
    return [line.get("points", "") for line in svg.iter(f"{SVG}polyline") if line.get("stroke-dasharray") is None]


def test_the_mean_line_joins_days_that_follow_each_other() -> None:
    assert len(mean_lines(drawn(list(range(30))))) == 1


def test_one_missed_day_does_not_break_the_line() -> None:
    assert len(mean_lines(drawn([d for d in range(30) if d != 12]))) == 1


def test_a_gap_is_not_joined() -> None:
    lines = mean_lines(drawn([d for d in range(30) if d not in (12, 13)]))
    assert [line.count(",") for line in lines] == [16, 12]


def test_a_single_day_between_gaps_still_shows() -> None:
    lines = mean_lines(drawn([0, 10, 20]))
    assert len(lines) == 3
    assert all(line for line in lines)


def test_every_measurement_is_a_point() -> None:
    svg = drawn(list(range(90)))
    points = [path for path in svg.iter(f"{SVG}path") if path.get("stroke-linecap") in ("round", "square")]
    assert [path.get("d", "").count("h0") for path in points] == [90, 90]


def test_systolic_and_diastolic_differ_by_shape_and_not_by_colour_alone() -> None:
    svg = drawn(list(range(90)))
    caps = {path.get("stroke-linecap") for path in svg.iter(f"{SVG}path")} - {None}
    assert caps == {"round", "square"}
    assert any(line.get("stroke-dasharray") for line in svg.iter(f"{SVG}polyline"))


def test_points_follow_each_other_without_drift() -> None:
    svg = drawn(list(range(90)), systolic=121.0)
    path = next(p for p in svg.iter(f"{SVG}path") if p.get("stroke-linecap") == "round").get("d", "")
    start = int(path[1:].split(" ")[0])
    steps = [int(step) for step in re.findall(r"m(-?\d+)", path)]
    assert start + sum(steps) == pytest.approx(
        WIDE.left + (WIDE.width - WIDE.left - WIDE.right) * (89 + 8 / 24) / 90, abs=1
    )


def test_the_band_lies_at_the_target() -> None:
    svg = drawn(list(range(10)))
    upper, lower = list(svg.iter(f"{SVG}rect"))
    # The plot runs from 40 to 180 mmHg.
    scale = (WIDE.height - WIDE.top - WIDE.bottom) / 140
    assert float(upper.get("height", "0")) == pytest.approx(25 * scale, abs=1)
    assert float(upper.get("y", "0")) == pytest.approx(WIDE.top + (180 - 135) * scale, abs=1)
    assert float(lower.get("y", "0")) == pytest.approx(WIDE.top + (180 - 85) * scale, abs=1)


def test_a_high_value_widens_the_scale_instead_of_leaving_it() -> None:
    svg = drawn([0, 1], systolic=214.0)
    assert "220" in [text.text for text in svg.iter(f"{SVG}text")]


def test_what_lies_outside_the_ninety_days_is_neither_drawn_nor_counted() -> None:
    svg = drawn([0, 1, 95, 200])
    assert "2 measurements" in (svg.findtext(f"{SVG}desc") or "")


@pytest.mark.parametrize(
    ("words", "title", "month", "monday"),
    [(EN, "Blood pressure of the last 90 days", "Oct", "Mon 23"), (ZH, "最近90天的血压", "10月", "周一 23")],
)
def test_it_says_in_words_what_it_shows(words: Words, title: str, month: str, monday: str) -> None:
    svg = drawn(list(range(90)), words=words)
    assert svg.findtext(f"{SVG}title") == title
    assert "130/80" in (svg.findtext(f"{SVG}desc") or "")
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby") == "c-title c-desc"
    labels = [text.text for text in svg.iter(f"{SVG}text")]
    assert month in labels
    assert monday in labels


def test_nothing_measured_is_said() -> None:
    svg = ET.fromstring(blood_pressure(None, None, TARGET, EN, WIDE, "c"))
    assert "Nothing measured in these 90 days" in [text.text for text in svg.iter(f"{SVG}text")]


@pytest.mark.parametrize("frame", [WIDE, NARROW])
def test_it_holds_to_the_strict_content_policy_and_stays_small(frame: Frame) -> None:
    four_a_day = np.sort(np.concatenate([series(list(range(90))).at + np.timedelta64(h, "h") for h in (0, 1, 2, 3)]))
    none = np.zeros(len(four_a_day), np.int32)
    rng = np.random.default_rng(1)
    upper = Series(four_a_day, rng.normal(140, 9, len(four_a_day)), none, none)
    lower = Series(four_a_day, rng.normal(80, 7, len(four_a_day)), none, none)
    svg = blood_pressure(upper, lower, TARGET, ZH, frame, "c")
    assert " style=" not in svg
    assert " class=" not in svg
    assert len(svg.encode()) < 12_000


@given(
    st.lists(st.tuples(st.integers(0, 40), st.floats(50, 250)), min_size=1, max_size=60).map(
        lambda pairs: sorted(pairs, key=lambda p: p[0])
    )
)
def test_the_seven_day_mean_is_the_mean_of_seven_days(pairs: list[tuple[int, float]]) -> None:
    days = np.array([day for day, _ in pairs], np.int64)
    means = trailing_means(days, np.array([value for _, value in pairs]))
    assert means.day.tolist() == sorted(set(days.tolist()))
    for day, mean in zip(means.day.tolist(), means.value.tolist(), strict=True):
        week = [value for d, value in pairs if day - 7 < d <= day]
        assert mean == pytest.approx(sum(week) / len(week))


def test_a_sparkline_leaves_its_gaps_open_too() -> None:
    days = np.array([0, 1, 2, 20, 21], np.int64)
    svg = ET.fromstring(sparkline(days, np.full(5, 130.0), 110, 135, 30))
    assert len(list(svg.iter("polyline"))) == 2


def test_a_sparkline_of_nothing_is_only_the_band() -> None:
    svg = ET.fromstring(sparkline(np.array([], np.int64), np.array([], np.float64), 110, 135, 30))
    assert [child.tag for child in svg] == ["rect"]
