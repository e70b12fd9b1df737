"""Random protocols, residents and streams, in every word of the rule language that ``alerts.language.checks`` allows.

Grids are small, so that times, levels and days meet often. Everything of one example is reckoned in one ``pace``: a
stream may last for minutes or for weeks, and the times in its rules lie in the same range.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import combinations
from typing import Any, TypeVar

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from alerts.engine import Batch, Firing
from alerts.language.checks import faults
from alerts.language.number_checks import faults_of_limit, faults_of_required
from alerts.profiles import Profile
from alerts.protocol import Ask, Count, Limit, Missing, Protocol, Related, Rule
from alerts.rule import (
    IRREGULAR_PULSE,
    POINTS,
    PULSE_PRESSURE,
    Group,
    GroupValue,
    Lasting,
    Parameter,
    Required,
    Score,
    ScoreExtra,
    ScorePart,
    Statistic,
    Word,
)
from devices.readings import METRICS, Kind, Metric, Quality
from tests.alerts.reference import Heard
from tests.alerts.reference.memory import MADE_OF, heard_by


def examples(everyday: int) -> settings:
    """So many examples, or ``HEARTHWATCH_EXAMPLES`` times as many."""
    return settings(max_examples=everyday * int(os.environ.get("HEARTHWATCH_EXAMPLES", "1")), deadline=None)


T = TypeVar("T")
Draw = st.DrawFn

GROUPS = ("copd", "dialysis")
ZONES = ("UTC", "Asia/Shanghai", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns")
STARTS = (
    np.datetime64("2026-11-02T08:00:00", "us"),
    np.datetime64("2026-11-01T15:50:00", "us"),  # ten minutes to midnight in Shanghai
    np.datetime64("2026-10-24T21:45:00", "us"),  # the night in which Berlin's clocks go back
    np.datetime64("2026-03-28T22:50:00", "us"),  # ... and forward
)
PACES = (timedelta(minutes=1), timedelta(minutes=20), timedelta(hours=3), timedelta(hours=12))

VALUES: Mapping[str, tuple[float, ...]] = {
    "systolic": (100, 120, 140, 160),
    "diastolic": (60, 70, 80, 90),
    "pulse": (50, 70, 90, 110),
    "body_temperature": (36.1, 37.3, 37.8, 39.1),
    "fall": (0.25, 0.5, 0.75),
    "help_call": (0.25, 0.5, 0.75),
    "long_lie": (0.25, 0.75),
    "fall_confirmed": (0.25, 0.7),
    "fall_recovered": (1,),
    "activity_resumed": (1,),
    "said_well": (1,),
    "stood_up": (1,),
    "movement": (0, 1),
    "battery": (10, 20, 30, 40),
    "not_worn": (1, 2, 3, 4),
}
LEVELS: Mapping[Metric, tuple[float, ...]] = {
    **{METRICS[name]: values for name, values in VALUES.items()},
    METRICS["systolic"]: (100, 120, 130, 140, 160),
    METRICS["body_temperature"]: (36.1, 37.3, 37.8, 39.1),
    IRREGULAR_PULSE: (0.25, 0.5, 1),
    PULSE_PRESSURE: (20, 40, 50, 60, 80),
}
STATISTIC_LEVELS: Mapping[str, tuple[float, ...]] = {
    "deviation": (0, 5, 10, 20),
    "variation": (0, 5, 10, 20),
    "trend": (-70, -20, 0, 20, 70),
    "rise": (0, 10, 20, 30),
    "drop": (0, 10, 20, 30),
    "from_usual": (-20, -10, -5, 0, 5, 10, 20),
    "score": (0, 1, 2, 3, 4, 5),
    "worst_part": (0, 1, 2),
}
VITAL = tuple(METRICS[name] for name in ("systolic", "diastolic", "pulse"))
MEASURED = (*VITAL, METRICS["body_temperature"], IRREGULAR_PULSE, PULSE_PRESSURE)
TOGETHER: Sequence[tuple[str, ...]] = (
    *4 * [("systolic", "diastolic", "pulse")],
    *3 * [("systolic", "diastolic"), ("fall",), ("pulse",), ("body_temperature",), ("help_call",)],
    ("systolic", "pulse"),
    ("diastolic", "systolic"),
    ("battery", "not_worn"),
    ("stood_up", "fall"),
    ("fall", "fall_recovered"),
    *[(name,) for name in VALUES],
)


def limits_on(
    metric: Metric, levels: Sequence[float], make: Callable[[Limit], Limit] = lambda limit: limit
) -> list[Limit]:
    """Every limit with two of these levels that the language allows."""
    found = []
    for low, high in combinations(sorted(levels), 2):
        for word, clear in (("at_least", "below"), ("above", "at_most"), ("at_least", "at_most"), ("above", "below")):
            found.append(make(Limit(metric, word, high, clear, low, "test")))
        for word, clear in (("at_most", "above"), ("below", "at_least"), ("at_most", "at_least"), ("below", "above")):
            found.append(make(Limit(metric, word, low, clear, high, "test")))
    return [limit for limit in found if not any(faults_of_limit(limit))]


PLAIN = {metric: limits_on(metric, LEVELS[metric]) for metric in (*MEASURED, METRICS["battery"], METRICS["not_worn"])}
ONE_DAY = timedelta(days=1)


def parameter_of(metric: Metric) -> Parameter:
    """A parameter for levels of this metric, which differs for one group."""
    low, *_, high = sorted(LEVELS[metric])
    return Parameter(f"{metric.name}.level", metric, high, low, high, {}, "test", {GROUPS[0]: GroupValue(low, "test")})


PARAMETERS = {metric: parameter_of(metric) for metric in MEASURED}


@dataclass(frozen=True)
class Pace:
    """When an example begins, and its unit of time."""

    start: np.datetime64
    unit: timedelta

    def when(self, units: float) -> np.datetime64:
        return self.start + np.timedelta64(round(units * self.unit.total_seconds() * 1e6), "us")

    def times(self, most: int = 20) -> st.SearchStrategy[timedelta]:
        return st.integers(1, most).map(lambda n: n * self.unit)


paces = st.builds(Pace, st.sampled_from(STARTS), st.sampled_from(PACES))


# -- what a resident is judged by


@st.composite
def profiles(draw: Draw) -> Profile:
    groups = frozenset(g for g in GROUPS if draw(st.booleans()))
    values = tuple(
        (PARAMETERS[metric].name, draw(st.sampled_from(LEVELS[metric])))
        for metric in sorted(PARAMETERS, key=lambda m: PARAMETERS[m].name)
        if draw(st.integers(0, 3)) == 0
    )
    return Profile(draw(st.sampled_from(ZONES)), groups, values)


# -- rules


@st.composite
def limits(draw: Draw, metric: Metric) -> Limit:
    """A level of one metric: a number, or one that differs by resident."""
    limit = draw(st.sampled_from(PLAIN[metric]))
    return draw(by_parameter(limit)) if metric in PARAMETERS and draw(st.integers(0, 3)) == 0 else limit


def by_parameter(limit: Limit) -> st.SearchStrategy[Limit]:
    """The same limit with a parameter's level. Its clear level may lie out of reach: no harm to a test."""
    clear: Word = {"at_least": "below", "above": "at_most", "at_most": "above", "below": "at_least"}[limit.word]
    named = replace(limit, clear_word=clear, parameter=PARAMETERS[limit.metric].name, clear_by=1.0)
    return st.sampled_from([0.25, 5, 10, 20]).map(
        lambda by: replace(named, clear_by=by).at_level(PARAMETERS[limit.metric].value)
    )


WINDOWS = st.sampled_from([2, 2, 3, 4, 8, 30]).map(lambda n: n * ONE_DAY)


@st.composite
def statistics(draw: Draw, pace: Pace) -> Statistic:
    kind = draw(
        st.sampled_from(["average", "average", "deviation", "variation", "trend", "rise", "drop", "from_usual"])
    )
    match kind:
        case "average":
            return Statistic(kind, draw(WINDOWS), draw(st.integers(1, 4)), draw(st.booleans()))
        case "deviation" | "variation" | "trend":
            return Statistic(kind, draw(WINDOWS), draw(st.integers(2, 3)))
        case "rise" | "drop":
            under_a_day = pace.times(10).filter(lambda t: t <= timedelta(hours=23)) if pace.unit < ONE_DAY / 2 else None
            days = st.sampled_from([1, 2, 3, 7, 29]).map(lambda n: n * ONE_DAY)
            return Statistic(kind, draw(under_a_day if under_a_day is not None and draw(st.booleans()) else days))
    return Statistic("from_usual", needs=draw(st.sampled_from([1, 1, 2, 3, 8])))


@st.composite
def statistic_limits(draw: Draw, pace: Pace) -> Limit:
    statistic, metric = draw(statistics(pace)), draw(st.sampled_from(MEASURED))
    levels = LEVELS[metric] if statistic.kind == "average" else STATISTIC_LEVELS[statistic.kind]
    if metric in (IRREGULAR_PULSE, METRICS["body_temperature"]) and statistic.kind not in ("average", "variation"):
        levels = tuple(level / 20 for level in levels)
    limit = draw(st.sampled_from(limits_on(metric, levels, lambda limit: replace(limit, statistic=statistic))))
    if statistic.kind == "average" and draw(st.integers(0, 3)) == 0:
        return draw(by_parameter(limit))
    return limit


@st.composite
def scores(draw: Draw, pace: Pace, number: int) -> Score:
    parts = []
    for metric in draw(st.lists(st.sampled_from(MEASURED), min_size=1, max_size=3, unique=True)):
        edges = sorted(draw(st.sets(st.sampled_from(LEVELS[metric]), min_size=1, max_size=2)))
        bands = [(edge, draw(st.integers(0, 2))) for edge in (*edges, float("inf"))]
        parts.append(ScorePart(metric, tuple(bands), *draw(concerned)))
    extras = (ScoreExtra(1, (GROUPS[1],)),) if draw(st.booleans()) else ()
    return Score(f"score{number}", {}, tuple(parts), extras, draw(pace.times(10)), draw(st.integers(1, 2)), "test")


concerned: st.SearchStrategy[tuple[tuple[str, ...], tuple[str, ...]]] = st.sampled_from(
    [*5 * [((), ())], ((GROUPS[0],), ()), ((), (GROUPS[0],)), ((GROUPS[0],), (GROUPS[1],)), (GROUPS, ())]
)


@st.composite
def score_limits(draw: Draw, pace: Pace, number: int) -> tuple[Limit, ...]:
    score = draw(scores(pace, number))
    kinds = draw(st.sampled_from([("score",), ("worst_part",), ("score", "worst_part")]))
    found = []
    for kind in kinds:
        make = lambda limit, kind=kind: replace(limit, statistic=Statistic(kind), score=score)  # noqa: E731
        possible = limits_on(POINTS, STATISTIC_LEVELS[kind], make)
        found += [draw(st.sampled_from(possible))] if possible else []
    return tuple(found)


@st.composite
def required(draw: Draw, pace: Pace) -> Required:
    metric = draw(st.sampled_from([*MEASURED, METRICS["fall"], METRICS["battery"], METRICS["movement"]]))
    within = draw(pace.times())
    if metric.kind is Kind.EVENT:
        return Required(metric, "at_least", 0, within, "test")
    possible = [
        Required(metric, word, level, within, "test")
        for level in LEVELS[metric]
        for word in ("at_least", "above", "at_most", "below")
    ]
    return draw(st.sampled_from([r for r in possible if not any(faults_of_required(r))]))


@st.composite
def level_words(draw: Draw, pace: Pace) -> dict[str, Any]:
    """Vital signs, each judged by itself or counted, on several days, after a delay, with more that must be so."""
    metrics = draw(st.lists(st.sampled_from(MEASURED), min_size=1, max_size=2, unique=True))
    more: dict[str, Any] = {
        "when": tuple(draw(limits(m)) for m in metrics),
        "also": tuple(m for m in VITAL if m not in metrics and draw(st.booleans())),
    }
    way = draw(st.sampled_from(["each", "count", "ask", "days", "persists"]))
    if way in ("count", "ask"):
        n = draw(st.integers(2, 4))
        more["count"] = Count(draw(st.integers(2, n)), n, draw(pace.times()), "test")
    if way == "ask":
        more["ask"] = draw(asks(pace, "repeat_measurement"))
    if way == "days":
        n = draw(st.integers(1, 3))
        days, within = draw(st.integers(2, 3)), draw(st.sampled_from([3, 7, 30])) * ONE_DAY
        more["count"] = Count(draw(st.integers(1, n)), n, draw(pace.times()), "test", days, within)
    if way == "persists":
        more["persists"] = Lasting(draw(pace.times(6)), "test")
    if draw(st.integers(0, 2)) == 0:
        more["clear_after"] = Lasting(draw(pace.times(6)), "test")
    return more


def asks(pace: Pace, kind: Any) -> st.SearchStrategy[Ask]:
    return pace.times().map(lambda within: Ask(kind, min(within, ONE_DAY), "test", {}))


@st.composite
def statistic_words(draw: Draw, pace: Pace, number: int) -> dict[str, Any]:
    if draw(st.integers(0, 2)) == 0:
        when = draw(score_limits(pace, number))
    else:
        when = tuple(
            draw(
                st.lists(
                    statistic_limits(pace), min_size=1, max_size=2, unique_by=lambda li: (li.metric, li.statistic.kind)
                )
            )
        )
    more: dict[str, Any] = {"when": when}
    judged = {metric for limit in when for metric in judged_by(limit)}
    more["also"] = tuple(m for m in VITAL if m not in judged and draw(st.booleans()))
    if draw(st.booleans()):
        more["count"], more["ask"] = Count(2, 2, draw(pace.times()), "test"), draw(asks(pace, "repeat_measurement"))
    return more


def judged_by(limit: Limit) -> list[Metric]:
    return [part.metric for part in limit.score.parts] if limit.score else [limit.metric]


TAKEN_BACK = st.sampled_from(
    [tuple(METRICS[name] for name in names) for names in (("fall_recovered",), ("fall_recovered", "said_well"))]
)


@st.composite
def event_words(draw: Draw, pace: Pace) -> dict[str, Any]:
    event = METRICS[draw(st.sampled_from(["fall", "fall", "help_call", "long_lie"]))]
    more: dict[str, Any] = {"when": (Limit(event, "at_least", 0.5, None, None, "test"),)}
    if draw(st.integers(0, 3)) == 0:
        more["also"] = (METRICS["pulse"],)
    if event.name == "long_lie":
        unless = draw(TAKEN_BACK)
        more["unless"], more["follows"] = unless, Related(METRICS["fall"], draw(pace.times()), "test", unless[:1])
    elif draw(st.integers(0, 2)):
        more["unless"], more["ask"] = draw(TAKEN_BACK), draw(asks(pace, "are_you_well"))
        if draw(st.booleans()):
            unless = more["unless"][: draw(st.integers(0, 2))]
            more["confirmed_by"] = Related(METRICS["fall_confirmed"], draw(pace.times()), "test", unless)
    return more


@st.composite
def device_words(draw: Draw) -> dict[str, Any]:
    metrics = draw(st.sampled_from([("battery",), ("battery",), ("battery", "not_worn")]))
    return {"when": tuple(draw(st.sampled_from(PLAIN[METRICS[m]])) for m in metrics)}


@st.composite
def silence_words(draw: Draw, pace: Pace) -> dict[str, Any]:
    after = METRICS[draw(st.sampled_from(["fall", "help_call"]))] if draw(st.booleans()) else None
    metric = METRICS[draw(st.sampled_from(["systolic", "pulse", "battery", "movement", "stood_up"]))]
    return {"missing": Missing(metric, draw(pace.times()), "test", after)}


@st.composite
def rules(draw: Draw, pace: Pace, number: int) -> Rule:
    form = draw(
        st.sampled_from(["level", "level", "level", "statistic", "statistic", "event", "event", "device", "silence"])
    )
    words: Mapping[str, st.SearchStrategy[dict[str, Any]]] = {
        "level": level_words(pace),
        "statistic": statistic_words(pace, number),
        "event": event_words(pace),
        "device": device_words(),
        "silence": silence_words(pace),
    }
    more = draw(words[form].filter(lambda found: found.get("when") != ()))
    more["groups"], more["not_groups"] = draw(concerned)
    more["expires"] = draw(st.sampled_from([3, 3, 20, 1000])) * pace.unit
    if form != "silence" and draw(st.integers(0, 3)) == 0:
        more["requires"] = tuple(
            draw(st.lists(required(pace), min_size=1, max_size=2, unique_by=lambda r: (r.metric, r.sign)))
        )
    kind = {"event": "event", "device": "technical", "silence": "technical"}.get(form, "physiological")
    if form == "silence" and more["missing"].after:
        kind = "event"
    calls = draw(st.integers(0, 3)) > 0
    rule = Rule(f"rule{number}", 1, "test", "high" if calls else "low", kind, calls, {}, **more)
    return rule if not any(faults(rule)) else replace(rule, requires=())


@st.composite
def protocols(draw: Draw, pace: Pace) -> Protocol:
    return protocol_of(draw(rules(pace, n)) for n in range(draw(st.integers(1, 5))))


def protocol_of(found: Iterator[Rule] | Sequence[Rule]) -> Protocol:
    """These rules, with everything that they name."""
    found = tuple(found)
    by_id = {limit.score.id: limit.score for rule in found for limit in rule.when if limit.score}
    return Protocol(
        "test", "", found, tuple(PARAMETERS.values()), tuple(Group(g, {}) for g in GROUPS), tuple(by_id.values())
    )


# -- streams


@st.composite
def streams(draw: Draw, pace: Pace, protocol: Protocol) -> list[list[Heard]]:
    """Measurements in order of arrival: one to three readings each, late, repeated and divided ones among them."""
    fewest = draw(st.sampled_from([0, 10, 25]))
    received = sorted(draw(st.lists(st.integers(0, 40), min_size=fewest, max_size=40)))
    told = st.sampled_from(worth_telling(protocol))
    stream: list[list[Heard]] = []
    for units in received:
        stream.append(draw(arrivals(pace, units, told, stream[-1] if stream else None)))
    return stream


def worth_telling(protocol: Protocol) -> list[tuple[str, ...]]:
    """What may come together, most of it heard by a rule."""
    heard = {metric for rule in protocol.rules for metric in heard_by(rule)}
    names = {part.name for metric in heard for part in (metric, *MADE_OF.get(metric, ()))}
    return [*3 * [together for together in TOGETHER if names & set(together)], ("pulse",), ("fall",)]


RESIDENTS = (*6 * (1,), 2, 300)
DEVICES = (1, 1, 1, 2)
GATEWAY = 9
LATE = (0, 0, 0, 0, 0, 1, 2, 5, 15, 30, -1)
AGAIN = "again"


@st.composite
def arrivals(
    draw: Draw, pace: Pace, units: int, told: st.SearchStrategy[tuple[str, ...]], before: list[Heard] | None
) -> list[Heard]:
    """One measurement, or a part of the one before it that comes by itself."""
    late, names = draw(st.sampled_from((*LATE, AGAIN, AGAIN))), draw(told)
    if before is not None and isinstance(late, str):
        resident, at, device = before[0].resident, before[0].at, before[0].device
    else:
        resident, device = draw(st.sampled_from(RESIDENTS)), draw(st.sampled_from(DEVICES))
        at = pace.when(units if isinstance(late, str) else units - late)
    if names[0] in ("fall_confirmed", "long_lie"):
        device = GATEWAY  # of another device, so that it is no part of the measurement that it confirms
    quality = draw(st.sampled_from(QUALITIES)) if "pulse" in names else 0
    return [
        Heard(resident, METRICS[name].code, at, draw(st.sampled_from(VALUES[name])), device, pace.when(units), quality)
        for name in names
    ]


QUALITIES = (0, 0, int(Quality.IRREGULAR_PULSE), int(Quality.FROM_MEMORY))


@dataclass(frozen=True)
class Chapter:
    """What happens between two looks at the clock: other profiles, alarms closed by a person, readings."""

    profiles: Mapping[int, Profile]
    closes: bool
    readings: list[Heard]


@dataclass(frozen=True)
class Story:
    """A protocol at work: residents 1 and 2 are enrolled at the beginning, 300 only by a reading."""

    pace: Pace
    protocol: Protocol
    profiles: Mapping[int, Profile]
    chapters: list[Chapter]

    @property
    def readings(self) -> list[Heard]:
        return [reading for chapter in self.chapters for reading in chapter.readings]

    @property
    def end(self) -> np.datetime64:
        return self.pace.when(100)


assigned = st.dictionaries(st.sampled_from([1, 1, 2, 300]), profiles(), max_size=2)


@st.composite
def stories(draw: Draw) -> Story:
    """Chapters are cut where no measurement is divided."""
    pace = draw(paces)
    protocol, first = draw(protocols(pace)), draw(assigned)
    readings = [reading for measurement in draw(streams(pace, protocol)) for reading in measurement]
    edges = sorted({0, *draw(st.lists(st.sampled_from(whole_measurements(readings)), max_size=5)), len(readings)})
    chapters = [
        Chapter(draw(assigned) if draw(st.integers(0, 2)) == 0 else {}, draw(st.booleans()), readings[begin:end])
        for begin, end in itertools.pairwise(edges)
    ]
    return Story(pace, protocol, first, chapters)


def batch(readings: Sequence[Heard]) -> Batch:
    """Readings as the engine takes them."""
    if not readings:
        return Batch.empty()
    resident, metric, at, value, device, received, quality = zip(*readings, strict=True)
    return Batch(
        np.array(resident, np.int32),
        np.array(metric, np.int16),
        np.array(at, "datetime64[us]"),
        np.array(value, np.float64),
        np.array(quality, np.int32),
        np.array(device, np.int32),
        np.array(received, "datetime64[us]"),
    )


def by_rule(firings: Sequence[Firing]) -> dict[tuple[int, str], list[Firing]]:
    """What each rule said of each resident, in order; between them there is none."""
    told: dict[tuple[int, str], list[Firing]] = {}
    for firing in firings:
        told.setdefault((firing.resident, firing.rule), []).append(firing)
    return told


def whole_measurements(readings: Sequence[Heard]) -> list[int]:
    """Where the stream can be cut without dividing what one resident's device said at one time."""
    edges = [0]
    for edge in range(1, len(readings)):
        before = {r.resident: r for r in readings[:edge]}
        after = {r.resident: r for r in reversed(readings[edge:])}
        if all(_moment(before[who]) != _moment(after[who]) for who in before.keys() & after.keys()):
            edges.append(edge)
    return edges


def _moment(reading: Heard) -> tuple[Any, ...]:
    return reading.at, reading.received, reading.device
