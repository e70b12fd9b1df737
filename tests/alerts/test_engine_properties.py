"""What the rules core must fulfil under any protocol and any stream.

The engine and the plain interpreter say the same; and nobody can tell how the stream was cut, how residents were
interleaved, or whether the state was saved and taken up between. ``HEARTHWATCH_EXAMPLES=50`` runs fifty times as many.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from alerts.engine import Batch, Engine, Firing
from alerts.profiles import Profile
from alerts.protocol import Protocol, Rule
from devices.readings import METRICS_BY_CODE, Kind
from tests.alerts.reference import Heard, Interpreter
from tests.alerts.reference.memory import Kept
from tests.alerts.streams import (
    Story,
    batch,
    by_rule,
    examples,
    protocol_of,
    rules,
    stories,
    whole_measurements,
)

ENROLLED = (1, 2)
EVERYBODY = np.array([1, 2, 300], np.int32)


def engine_of(story: Story) -> Engine:
    engine = Engine(story.protocol)
    engine.assign(story.profiles)
    engine.enrol(ENROLLED, story.pace.start)
    return engine


def interpreter_of(story: Story) -> Interpreter:
    plain = Interpreter(story.protocol)
    plain.assign(story.profiles)
    plain.enrol(ENROLLED, story.pace.start)
    return plain


def same_step(engine: Engine, plain: Interpreter, readings: Sequence[Heard], now: np.datetime64) -> None:
    """Both judge the same and say the same, of what stands and of when to wake too."""
    assert by_rule(engine.step(batch(readings), now)) == by_rule(plain.step(readings, now))
    assert sorted(engine.raised(EVERYBODY)) == sorted(plain.raised(EVERYBODY))
    theirs = plain.wake_at()
    if theirs is not None:
        mine = engine.wake_at()
        assert mine is not None
        assert now < mine <= theirs


def close_all(engine: Engine, plain: Interpreter) -> None:
    alarms = plain.raised(EVERYBODY)
    engine.close(alarms)
    plain.close(alarms)


@examples(150)
@given(stories())
def test_columns_and_plain_python_say_the_same(story: Story) -> None:
    engine, plain, now = engine_of(story), interpreter_of(story), story.pace.start
    for chapter in story.chapters:
        engine.assign(chapter.profiles)
        plain.assign(chapter.profiles)
        if chapter.closes:
            close_all(engine, plain)
        now = chapter.readings[-1].received
        same_step(engine, plain, chapter.readings, now)
    same_step(engine, plain, [], story.end)


def at_once(story: Story) -> list[Firing]:
    return engine_of(story).step(batch(story.readings), story.end)


def in_pieces(story: Story, cuts: Sequence[int], restarts: Sequence[int]) -> Iterator[Firing]:
    """Cut before the readings at ``cuts``; before those also in ``restarts`` another process takes over."""
    engine, stream = engine_of(story), story.readings
    saved: dict[int, bytes] = {}
    edges = [0, *sorted(cut for cut in set(cuts) if 0 < cut < len(stream)), len(stream)]
    for start, end in itertools.pairwise(edges):
        if start in restarts:
            saved |= engine.dirty_rows()
            engine = Engine(story.protocol)
            engine.load_rows(saved)
            engine.assign(story.profiles)
        piece = stream[start:end]
        yield from engine.step(batch(piece), piece[-1].received if piece else story.pace.start)
    yield from engine.step(Batch.empty(), story.end)


@examples(100)
@given(stories(), st.data())
def test_nobody_can_tell_how_the_stream_was_cut_and_restarted(story: Story, data: st.DataObject) -> None:
    edges = st.lists(st.sampled_from(whole_measurements(story.readings)))
    cuts, restarts = data.draw(edges), data.draw(edges)
    assert by_rule(list(in_pieces(story, cuts, restarts))) == by_rule(at_once(story))


def told_once(story: Story) -> Story:
    """Without what is said again of the same moment: what replaces what, depends on what is taken for one measurement."""
    seen: set[tuple[Any, ...]] = set()
    chapters = []
    for chapter in story.chapters:
        first = [r for r in chapter.readings if (key := (r.resident, r.metric, r.at)) not in seen and not seen.add(key)]
        chapters += [replace(chapter, readings=first)] if first else []
    return replace(story, chapters=chapters)


def divisible(story: Story) -> list[int]:
    """Where a measurement may be cut: not between events, one of which may take back the other before anybody asks, nor
    where it comes so late that its first half is forgotten before the other comes."""
    readings = story.readings
    whole = set(whole_measurements(readings))
    forgotten = {_moment(r) for i, r in enumerate(readings) if is_forgotten(story.protocol, readings[:i], r)}
    event = [METRICS_BY_CODE[reading.metric].kind is Kind.EVENT for reading in readings]
    return [
        i
        for i, reading in enumerate(readings)
        if i in whole or not (event[i - 1] or event[i] or _moment(reading) in forgotten)
    ]


def is_forgotten(protocol: Protocol, before: Sequence[Heard], reading: Heard) -> bool:
    """Whether as many newer ones are remembered of its metric as a rule needs."""
    newer = {r.at for r in before if (r.resident, r.metric) == (reading.resident, reading.metric) and r.at > reading.at}
    return len(newer) >= Kept.by(protocol).times.get(METRICS_BY_CODE[reading.metric], 1)


def _moment(reading: Heard) -> tuple[Any, ...]:
    return reading.resident, reading.at, reading.received


def judges_one_time(rule: Rule) -> bool:
    """Whether a rule asks of a measurement only what has come with it, and not what has been before and beside it."""
    return not (rule.on_statistic or rule.requires or rule.persists)


@examples(100)
@given(stories().map(told_once), st.data())
def test_a_cut_through_a_measurement_changes_no_more_than_what_is_named(story: Story, data: st.DataObject) -> None:
    plain = {rule.id for rule in story.protocol.rules if judges_one_time(rule)}
    cuts = data.draw(st.lists(st.sampled_from(divisible(story) or [0])))

    def told(firings: Sequence[Firing]) -> dict[tuple[int, str], list[Any]]:
        theirs = by_rule([firing for firing in firings if firing.rule in plain])
        return {key: [(f.what, f.at, f.until) for f in fired] for key, fired in theirs.items()}

    assert told(list(in_pieces(story, cuts, cuts))) == told(at_once(story))


@examples(100)
@given(stories(), st.lists(st.permutations(range(3)), min_size=1, max_size=8))
def test_residents_do_not_concern_each_other(story: Story, turns: list[list[int]]) -> None:
    streams = [[r for r in story.readings if r.resident == resident] for resident in (1, 2, 300)]
    together = by_rule(at_once(story))
    assert by_rule(engine_of(story).step(batch(interleaved(streams, turns)), story.end)) == together
    for theirs in streams:
        alone = by_rule(engine_of(story).step(batch(theirs), story.end))
        for resident in {r.resident for r in theirs}:
            assert of_resident(alone, resident) == of_resident(together, resident)


def interleaved(streams: Sequence[Sequence[Heard]], turns: Sequence[Sequence[int]]) -> list[Heard]:
    """The same streams in another order, each resident's own and that of receiving as before.

    Who comes first among those received at the same time takes turns.
    """
    times = sorted({reading.received for theirs in streams for reading in theirs})
    return [
        reading
        for number, received in enumerate(times)
        for who in turns[number % len(turns)]
        for reading in streams[who]
        if reading.received == received
    ]


def of_resident(told: Mapping[tuple[int, str], list[Firing]], resident: int) -> dict[tuple[int, str], list[Firing]]:
    return {key: fired for key, fired in told.items() if key[0] == resident}


@st.composite
def changed(draw: st.DrawFn) -> tuple[Story, Protocol, int]:
    """A story, and another protocol from one of its chapters on: some rules stay, some go, some come."""
    story = draw(stories())
    kept = [rule for rule in story.protocol.rules if draw(st.booleans())]
    came = [draw(rules(story.pace, 10 + n)) for n in range(draw(st.integers(0 if kept else 1, 2)))]
    return story, protocol_of(draw(st.permutations([*kept, *came]))), draw(st.integers(0, len(story.chapters)))


@examples(100)
@given(changed())
def test_what_a_changed_protocol_leaves_as_it_was_goes_on(change: tuple[Story, Protocol, int]) -> None:
    story, other, when = change
    engine, plain, now = engine_of(story), interpreter_of(story), story.pace.start
    for number, chapter in enumerate(story.chapters):
        if number == when:
            engine, plain = taken_up(engine, other, story.profiles), plain.under(other)
        now = chapter.readings[-1].received
        same_step(engine, plain, chapter.readings, now)
    same_step(engine, plain, [], story.end)


def taken_up(engine: Engine, protocol: Protocol, profiles: Mapping[int, Profile]) -> Engine:
    after = Engine(protocol)
    after.load_rows(engine.dirty_rows())
    after.assign(profiles)
    return after
