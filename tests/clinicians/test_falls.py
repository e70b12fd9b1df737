"""A fall is told in words first, as far as it is known, and drawn where it was recorded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinicians import fall_chart
from clinicians.falls import CODES, Fall, choices, explain, outcome_of
from clinicians.words import Words
from store.alerts import AlertRow
from store.falls import Told
from store.recordings import Recording
from tests.clinicians.fallen import BEFORE_S, DETAIL, RATE_HZ, felt

AT = datetime(2026, 11, 24, 6, 2, tzinfo=UTC)
NOW = AT + timedelta(minutes=20)
EN, ZH = Words.of("en", now=NOW), Words.of("zh_Hans", now=NOW)
SVG = "{http://www.w3.org/2000/svg}"


def told(metric: str, after_s: float, value: float = 1.0, **detail: float) -> Told:
    at = AT + timedelta(seconds=after_s)
    return Told(metric, at, at, value, 1, detail, None)


FALL = told("fall", 0, 0.93, **DETAIL)


def alert(closed: datetime | None = None, rule: str = "fall") -> AlertRow:
    state = "resolved" if closed else "notifying"
    nothing: tuple[Any, ...] = (None, 1, 0, 1, *[None] * 9, closed, None, None)
    return AlertRow(7, 1, rule, "p", "high", "event", state, AT, AT, {}, *nothing)


def one(course: Sequence[Told], words: Words = EN, row: AlertRow | None = None) -> Fall:
    (found,) = explain([row or alert()], course, words)[7]
    return found


def facts(detail: Mapping[str, float], words: Words = EN) -> list[str]:
    return [fact.text for fact in one([told("fall", 0, 0.93, **detail)], words).facts]


def test_words_come_before_figures() -> None:
    found = one([FALL])
    assert found.sure == "Very likely a fall, 93%"
    assert [fact.text for fact in found.facts] == [
        "4.8 g, as hard as most falls",
        "320 ms: fell freely for a moment",
        "It turned by 78°, as from upright to lying",
        "6.5 s without moving",
    ]
    assert one([FALL], ZH).sure == "极可能是跌倒，93%"


@pytest.mark.parametrize(("value", "said"), [(0.999, "99%"), (1.0, "99%"), (0.72, "Probably a"), (0.3, "Probably not")])
def test_no_detector_is_entirely_sure(value: float, said: str) -> None:
    assert said in one([told("fall", 0, value, impact_g=5.0)]).sure


def test_what_is_sure_by_now_stands_beside_the_movement_alone() -> None:
    confirmed = told("fall_confirmed", 31, 0.97, waited_s=30.0, pulse=118.0)
    found = one([FALL, confirmed])
    assert found.sure == "Very likely a fall, 97%; 93% by the movement alone"
    assert found.after == (
        "14:02: asked whether all is well, no answer in 30 s. Pulse then 118 a minute.",
        "So far nothing says that she or he is up again.",
    )


def test_a_wearable_that_gives_no_figures_gets_none() -> None:
    found = one([told("fall", 0, 1.0)])
    assert "no figures" in found.sure
    assert (found.facts, found.chart) == ((), None)


@pytest.mark.parametrize("wrong", [900.0, -3.0, float("nan"), float("inf"), None, "4.8", True])
def test_a_figure_that_cannot_be_is_left_out(wrong: Any) -> None:
    assert facts({**DETAIL, "impact_g": wrong}) == facts({k: v for k, v in DETAIL.items() if k != "impact_g"})


@given(st.dictionaries(st.sampled_from([*DETAIL, "waited_s", "minutes", "pulse"]), st.floats()))
@settings(max_examples=30)
def test_no_detail_breaks_the_page(detail: dict[str, float]) -> None:
    course = [told(metric, n, 0.9, **detail) for n, metric in enumerate(("fall", "fall_confirmed", "long_lie"))]
    assert one(course).sure


def test_of_how_long_she_lay_only_the_last_is_said() -> None:
    lies = [told("long_lie", 60 * minutes, minutes=minutes) for minutes in (10.0, 15.0)]
    assert one([FALL, *lies]).after[0] == "14:17: 15 minutes after the fall, no sign of getting up."


def test_what_the_gateway_told_before_it_knew_of_her_answer_is_not_said_of_her() -> None:
    answered = told("said_well", 20)
    found = one([FALL, answered, told("fall_confirmed", 38, 0.97, waited_s=30.0), told("long_lie", 600, minutes=10.0)])
    assert found.sure == one([FALL, answered]).sure
    assert found.after == one([FALL, answered]).after


@pytest.mark.parametrize(("metric", "said"), [("fall_recovered", "up again"), ("said_well", "said that all is well")])
def test_who_is_up_again_is_not_said_to_lie(metric: str, said: str) -> None:
    (sentence,) = one([FALL, told(metric, 65, after_fall_s=65.0)]).after
    assert sentence.startswith("14:03: ")
    assert said in sentence


def test_who_is_known_to_be_well_is_not_said_to_lie_still() -> None:
    assert one([FALL], row=alert(closed=NOW)).after == ()
    assert one([FALL], row=alert(rule="fall.answered")).after == ()
    first, second = explain([alert()], [FALL, told("fall", 300, 0.8)], EN)[7]
    assert (len(first.after), len(second.after)) == (0, 1)


def test_an_alert_is_explained_by_the_newest_fall_told_up_to_it_and_by_those_since() -> None:
    course = [told("fall", -600, 0.6), told("said_well", -590), FALL, told("fall", 300, 0.8), told("fall", 86_400)]
    found = explain([alert()], course, EN)[7]
    assert [fall.at for fall in found] == [AT, AT + timedelta(minutes=5)]


def test_two_wearables_that_tell_one_fall_are_one() -> None:
    assert one([told("fall", -2, 0.6), FALL]).at == AT


def test_an_alert_whose_readings_are_not_there_is_explained_by_nothing() -> None:
    assert explain([alert()], [], EN) == {7: ()}


def recorded(rate_hz: float = RATE_HZ, samples: Any = None) -> Told:
    kept = Recording(1, 1, AT - timedelta(seconds=BEFORE_S), rate_hz, "fall", felt() if samples is None else samples)
    return Told("fall", AT, AT, 0.93, 1, DETAIL, kept)


def test_what_was_felt_is_drawn_with_the_blow_at_nought() -> None:
    chart = one([recorded()]).chart
    assert chart is not None
    svg = ET.fromstring(chart.drawing)
    texts = [text.text for text in svg.iter(f"{SVG}text")]
    assert {"the blow", "seconds from the blow", "at rest", "0", "-4", "6"} <= set(texts)
    assert "The blow: 4.8 g." in (svg.findtext(f"{SVG}desc") or "")
    assert [(s.at_s, s.least_g, s.most_g) for s in chart.seconds if s.at_s in (-1, 0)] == [(-1, 1, 1), (0, 0.2, 4.8)]
    assert len(chart.drawing) < 10_000


@pytest.mark.parametrize("rate_hz", [10, 50, 500])
def test_the_drawing_stays_small_and_keeps_the_blow_however_it_was_sampled(rate_hz: int) -> None:
    samples = np.random.default_rng(1).integers(-900, 900, (12 * rate_hz, 3)).astype(np.int16)
    samples[4 * rate_hz] = (0, 0, 9000)
    around = fall_chart.felt(samples, rate_hz, 4.0)
    drawing = fall_chart.draw(around, EN, "f")
    assert around.blow_g == 9.0
    assert len(drawing) < 10_000


@given(st.integers(1, 40), st.floats(-100, 100), st.sampled_from([0.5, 9.0, 50.0]))
@settings(max_examples=25)
def test_a_piece_of_a_recording_is_drawn_too(count: int, blow_s: float, rate_hz: float) -> None:
    around = fall_chart.felt(np.full((count, 3), 600, np.int16), rate_hz, blow_s)
    ET.fromstring(fall_chart.draw(around, ZH, "f"))
    assert fall_chart.seconds(around)


def test_a_blow_beyond_the_sensor_is_not_told_as_its_size() -> None:
    samples = felt()
    samples[200:203, 0] = 3995
    found = one([recorded(samples=samples)])
    assert found.facts[0].text == "4.8 g or more: harder than its sensor can feel"
    assert not fall_chart.is_cut_off(felt())


def test_every_finding_has_a_button_and_an_outcome() -> None:
    for words in (EN, ZH):
        assert [choice.code for group in choices(words).values() for choice in group] == list(CODES)
    assert {outcome_of(code) for code in CODES} == {"well", "helped", "doctor", "hospital", "false_alarm", "unclear"}
