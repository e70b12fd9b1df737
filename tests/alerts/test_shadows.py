"""A rule that can never say anything which another has not said already is refused, and no other is."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alerts import protocol
from alerts.protocol import ProtocolError
from alerts.shadows import shadowed
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


def asks(within: str) -> str:
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
        (rule("one", HIGH + count(2, 3) + asks("20 min")), rule("two", HIGH + count(2, 3))),
        (rule("one", HIGH + count(2, 3) + asks("20 min")), rule("two", HIGH + count(2, 3) + asks("30 min"))),
        (rule("one", HIGH), rule("two", HIGH + count(2, 3) + asks("30 min"))),
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
        (rule("one", HIGH + count(2, 3) + asks("30 min")), rule("two", WORSE + count(2, 3) + asks("20 min"))),
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
