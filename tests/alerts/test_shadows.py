"""A rule that can never say anything which another has not said already is refused, and no other is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import groupby

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from alerts import protocol
from alerts.language.shadows import shadowed
from alerts.protocol import Count, ProtocolError, Rule
from alerts.rule import Lasting
from devices.readings import METRICS
from tests.alerts.reference import Heard, Interpreter
from tests.alerts.streams import (
    PARAMETERS,
    QUALITIES,
    VALUES,
    Pace,
    asks,
    examples,
    limits,
    paces,
    profiles,
    protocol_of,
)
from tests.alerts.trial import ASK, GROUPS, HEAD, PARAMETER, SCORE, besides, count, missing, rule, when

HIGH = when("pulse", "/min", "at_least = 130", "clear_below = 110")
WORSE = when("pulse", "/min", "at_least = 140", "clear_below = 110")
PRESSURE = when("systolic", "mmHg", "at_least = 180", "clear_below = 170")
PRESSURES = PRESSURE + when("diastolic", "mmHg", "at_least = 110", "clear_below = 105")
OXYGEN = when("spo2", "%", 'at_most = "oxygen.alarm"', "clear_by = 3")
FALL = when("fall", "probability", "at_least = 0.5", "")
BATTERY = when("battery", "%", "at_most = 15", "clear_at_least = 25")
EMPTY = when("battery", "%", "at_most = 5", "clear_at_least = 25")


def oxygen(level: float) -> str:
    return when("spo2", "%", f"at_most = {level}", "clear_at_least = 98")


def score(level: int, kind: str = "score") -> str:
    return when("news2", "points", f"at_least = {level}", "clear_below = 1", statistic=f'kind = "{kind}"', what="score")


def average(level: int, *, window: str = "7 d", needs: int = 5) -> str:
    judged = f'kind = "average", window = "{window}", needs = {needs}'
    return when("systolic", "mmHg", f"at_least = {level}", "clear_below = 120", statistic=judged)


def asked(within: str) -> str:
    return ASK.replace("20 min", within)


def persists(time: str) -> str:
    return f'persists = {{time = "{time}", source = "x"}}'


def pair(one: str, two: str) -> str:
    return HEAD + GROUPS + PARAMETER + SCORE + one + two


@pytest.mark.parametrize(
    ("all_said", "nothing_new"),
    [
        (rule("one", HIGH), rule("two", WORSE)),
        (rule("one", HIGH), rule("two", HIGH)),
        (rule("one", HIGH, priority="high"), rule("two", WORSE)),
        (rule("one", HIGH), rule("two", HIGH, head="calls = false")),
        (rule("one", HIGH), rule("two", HIGH, head="calls_at_night = false")),
        (rule("one", HIGH), rule("two", HIGH, head='expires = "1 h"')),
        (rule("one", HIGH), rule("two", HIGH, head='cause = ["one"]')),
        (rule("one", HIGH), rule("two", HIGH + count(2, 3))),
        (rule("one", HIGH), rule("two", HIGH, head=persists("1 min"))),
        (rule("one", HIGH, head=persists("1 min")), rule("two", HIGH, head=persists("2 min"))),
        (rule("one", HIGH), rule("two", HIGH + count(1, 1, on_days='days = 2, within = "7 d"'))),
        (rule("one", HIGH + count(2, 3)), rule("two", HIGH + count(3, 3))),
        (rule("one", HIGH + count(2, 3)), rule("two", HIGH + count(3, 4))),
        (rule("one", HIGH + count(2, 3, "60 min")), rule("two", HIGH + count(2, 2))),
        (rule("one", HIGH + count(2, 3) + asked("20 min")), rule("two", HIGH + count(2, 3))),
        (rule("one", HIGH + count(2, 3) + asked("20 min")), rule("two", HIGH + count(2, 3) + asked("30 min"))),
        (rule("one", HIGH), rule("two", HIGH + count(2, 3) + asked("30 min"))),
        (rule("one", HIGH), rule("two", HIGH, head='for = "copd"')),
        (rule("one", HIGH, head='for = ["copd", "hypercapnic"]'), rule("two", HIGH, head='for = "copd"')),
        (rule("one", HIGH, head='not_for = "copd"'), rule("two", HIGH, head='not_for = ["copd", "hypercapnic"]')),
        (rule("one", HIGH), rule("two", HIGH + besides("fall", "2 h"))),
        (rule("one", HIGH + besides("fall", "2 h")), rule("two", HIGH + besides("fall", "1 h"))),
        (rule("one", PRESSURES), rule("two", PRESSURE)),
        (rule("one", OXYGEN), rule("two", OXYGEN.replace("at_most", "below"))),
        (rule("one", OXYGEN), rule("two", oxygen(80))),
        (rule("one", oxygen(95)), rule("two", OXYGEN)),
        (rule("one", score(5)), rule("two", score(7))),
        (rule("one", average(135, needs=5)), rule("two", average(140, needs=6))),
        (rule("one", FALL, kind="event"), rule("two", FALL.replace("0.5", "0.9"), kind="event")),
        (
            rule("one", missing("pulse", "2 d"), kind="technical"),
            rule("two", missing("pulse", "3 d"), kind="technical"),
        ),
    ],
)
def test_what_adds_nothing_is_refused_and_both_are_named(all_said: str, nothing_new: str) -> None:
    for text in (pair(all_said, nothing_new), pair(nothing_new, all_said)):
        if all_said.replace('"one"', '"two"') == nothing_new and text.index('id = "two"') < text.index('id = "one"'):
            continue  # of two that say the same, the later is refused
        with pytest.raises(ProtocolError, match=r"two can never say anything that one has not said already") as caught:
            protocol.parse(text, "trial.toml")
        assert caught.value.line == text[: text.index('id = "two"')].count("\n") + 1


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (rule("one", HIGH), rule("two", WORSE, priority="high")),
        (rule("one", HIGH, head="calls = false"), rule("two", WORSE)),
        (rule("one", HIGH, head="calls_at_night = false"), rule("two", WORSE)),
        (rule("one", HIGH, head='expires = "1 h"'), rule("two", WORSE)),
        (rule("one", HIGH, head='cause = ["two"]'), rule("two", WORSE)),
        (rule("one", HIGH + count(2, 3)), rule("two", WORSE)),
        (rule("one", HIGH + count(2, 2)), rule("two", WORSE + count(2, 3))),
        (rule("one", HIGH + count(2, 3, "20 min")), rule("two", WORSE + count(2, 3))),
        (rule("one", HIGH + count(2, 3)), rule("two", WORSE + count(2, 3) + ASK)),
        (rule("one", HIGH + count(2, 3) + asked("30 min")), rule("two", WORSE + count(2, 3) + asked("20 min"))),
        (rule("one", HIGH, head=persists("1 min")), rule("two", WORSE)),
        (rule("one", HIGH, head=persists("1 min")), rule("two", WORSE + count(2, 3))),
        (rule("one", HIGH + count(2, 3)), rule("two", WORSE, head=persists("1 min"))),
        (
            rule("one", HIGH + count(1, 1, on_days='days = 2, within = "7 d"')),
            rule("two", WORSE + count(1, 1, on_days='days = 2, within = "14 d"')),
        ),
        (rule("one", HIGH, head='for = "copd"'), rule("two", WORSE)),
        (rule("one", HIGH, head='not_for = "copd"'), rule("two", WORSE)),
        (rule("one", HIGH, head='for = "copd"'), rule("two", WORSE, head='for = "hypercapnic"')),
        (rule("one", HIGH + besides("fall", "2 h")), rule("two", WORSE)),
        (rule("one", HIGH + besides("fall", "1 h")), rule("two", WORSE + besides("fall", "2 h"))),
        (rule("one", HIGH), rule("two", when("pulse", "/min", "at_most = 40", "clear_at_least = 50"))),
        (rule("one", HIGH + when("spo2", "%", "at_most = 90", "clear_at_least = 94")), rule("two", WORSE)),
        (rule("one", OXYGEN), rule("two", oxygen(85))),
        (rule("one", oxygen(90)), rule("two", OXYGEN)),
        (rule("one", score(5)), rule("two", score(3, "worst_part"))),
        (rule("one", average(135)), rule("two", average(140, window="14 d"))),
        (rule("one", average(135, needs=6)), rule("two", average(140, needs=5))),
        (rule("one", average(135)), rule("two", when("systolic", "mmHg", "at_least = 190", "clear_below = 170"))),
        (rule("one", BATTERY, kind="technical"), rule("two", EMPTY, kind="technical")),
        (
            rule("one", missing("pulse", "2 d"), kind="technical"),
            rule("two", missing("pulse", "3 d"), kind="technical", priority="high"),
        ),
        (
            rule("one", missing("movement", "20 min", after="fall"), kind="event"),
            rule("two", missing("movement", "3 d"), kind="technical"),
        ),
    ],
)
def test_what_may_say_something_new_is_let_through(one: str, two: str) -> None:
    for text in (pair(one, two), pair(two, one)):
        assert len(protocol.parse(text, "trial.toml").rules) == 2


def test_of_three_each_that_adds_nothing_is_told_once() -> None:
    text = HEAD + rule("one", HIGH) + rule("two", WORSE) + rule("three", WORSE)
    assert [error.line for error in protocol.check({"trial.toml": text})] == [
        text[: text.index(f'id = "{name}"')].count("\n") + 1 for name in ("two", "three")
    ]


def test_the_shipped_rules_all_have_something_to_say() -> None:
    found = protocol.load()
    parameters = {parameter.name: parameter for parameter in found.parameters}
    assert not list(shadowed(found.rules, parameters))
    twice = [replace(rule, id=f"{rule.id}.again") for rule in found.rules if not rule.on_device]
    assert len(list(shadowed((*found.rules, *twice), parameters))) == len(twice)


@st.composite
def on_pulse(draw: st.DrawFn, pace: Pace) -> Rule:
    """A rule on the pulse, which counts, counts days, asks, waits, or does nothing of these."""
    count, ask, persists = Count(), None, None
    match draw(st.sampled_from(["each", "count", "ask", "days", "persists"])):
        case "count" | "ask" as way:
            count = Count(draw(st.integers(2, 3)), draw(st.integers(3, 4)), draw(pace.times()), "test")
            ask = draw(asks(pace, "repeat_measurement")) if way == "ask" else None
        case "days":
            count = Count(1, 1, timedelta(0), "test", draw(st.integers(2, 3)), timedelta(days=draw(st.integers(3, 9))))
        case "persists":
            persists = Lasting(draw(pace.times(6)), "test")
    return Rule(
        id="rule",
        version=1,
        protocol="test",
        priority="high",
        kind="physiological",
        calls=True,
        titles={},
        when=(draw(limits(METRICS["pulse"])),),
        count=count,
        ask=ask,
        persists=persists,
        expires=draw(st.sampled_from([3, 20, 1000])) * pace.unit,
    )


@st.composite
def likely_milder(draw: st.DrawFn, rule: Rule) -> Rule:
    """The same rule with some of its words changed, most of them to say more, or sooner."""
    count, ask, persists = rule.count, rule.ask, rule.persists
    if count.k > 1:
        k = draw(st.integers(1, count.k))
        count = replace(count, k=k, n=max(k, count.n + draw(st.integers(-1, 1))), within=count.within * 2)
    if count.days > 1:
        count = replace(count, days=draw(st.integers(1, count.days)))
    if ask and (count.k == 1 or draw(st.booleans())):
        ask = None if count.k == 1 else replace(ask, within=ask.within / 2)
    if persists and draw(st.booleans()):
        persists = draw(st.sampled_from([None, Lasting(persists.time / 2, "test")]))
    when = (draw(limits(METRICS["pulse"])),) if draw(st.booleans()) else rule.when
    return replace(rule, id="other", when=when, count=count, ask=ask, persists=persists)


@st.composite
def pulses(draw: st.DrawFn, pace: Pace) -> list[Heard]:
    """Measurements of one resident's pulse, some of them late."""
    stream, now = [], 0
    for step in draw(st.lists(st.sampled_from([0, 1, 1, 1, 2, 5]), min_size=5, max_size=30)):
        now += step
        at = pace.when(now - draw(st.sampled_from([0, 0, 0, 0, 1, 2, 5])))
        value, quality = draw(st.sampled_from(VALUES["pulse"])), draw(st.sampled_from(QUALITIES))
        stream.append(Heard(1, METRICS["pulse"].code, at, value, 1, pace.when(now), quality))
    return stream


@settings(examples(40), suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(st.data())
def test_whenever_a_rule_that_adds_nothing_raises_the_other_stands(data: st.DataObject) -> None:
    pace = data.draw(paces)
    rule = data.draw(on_pulse(pace))
    other = data.draw(likely_milder(rule))
    parameters = {parameter.name: parameter for parameter in PARAMETERS.values()}
    assume(any(nothing_new is rule for nothing_new, _ in shadowed((other, rule), parameters)))
    plain = Interpreter(protocol_of(data.draw(st.permutations([rule, other]))))
    plain.assign({1: data.draw(profiles())})
    stream = data.draw(pulses(pace))
    told = [plain.step(list(same), now) for now, same in groupby(stream, key=lambda heard: heard.received)]
    told.append(plain.step([], pace.when(1000)))
    stands = False
    for firings in told:
        before = stands
        for firing in firings:
            if firing.rule == "other" and firing.what in ("raise", "clear"):
                stands = firing.what == "raise"
        raised = {firing.rule for firing in firings if firing.what == "raise"}
        assert "rule" not in raised or before or "other" in raised
