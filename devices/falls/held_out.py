"""Judging people, or whole sets, that the model has never seen. Pure: how a model is fitted is the caller's.

Recordings of one person resemble each other: nothing of somebody who is judged may have been learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from devices.falls.evaluation import AS_RECORDED, Judged, Sensor, judge
from devices.falls.model import Position
from devices.falls.recordings import Trial
from devices.falls.watch import Watch

FOLDS: Final = 5
_SEED: Final = 20_261_129

Sets = Mapping[str, Sequence[Trial]]
"""Recordings by the name of their set. Subjects of two sets are two people, whatever they are called."""
Fit = Callable[[list[Trial]], Callable[[], Watch]]
"""Learns from recordings, and gives new watches that know what was learned."""


class _Person(NamedTuple):
    source: str
    subject: str


def leave_subjects_out(
    sets: Sets, position: Position, fit: Fit, folds: int = FOLDS, sensor: Sensor = AS_RECORDED
) -> list[Judged]:
    """Every recording, judged by a model fitted on the people of the other folds, of all sets."""
    judged = [
        one
        for left_out in deal(sets, folds)
        for one in _judge(
            sets, position, fit([t for s, t in _each(sets) if _Person(s, t.subject) not in left_out]), left_out, sensor
        )
    ]
    place = {source: number for number, source in enumerate(sets)}
    return sorted(judged, key=lambda j: (place[j.source], j.index))


def leave_sets_out(sets: Sets, position: Position, fit: Fit, sensor: Sensor = AS_RECORDED) -> list[Judged]:
    """Every recording, judged by a model fitted on the other sets: another sensor, other people, another place."""
    return [
        one
        for source, trials in sets.items()
        for one in _judge(
            sets,
            position,
            fit([t for s, t in _each(sets) if s != source]),
            {_Person(source, t.subject) for t in trials},
            sensor,
        )
    ]


def deal(sets: Sets, folds: int = FOLDS) -> list[set[_Person]]:
    """All people in ``folds`` groups, always the same; those who fell and those who did not are dealt apart."""
    fell = {_Person(s, t.subject) for s, t in _each(sets) if t.is_fall}
    lived = {_Person(s, t.subject) for s, t in _each(sets)} - fell
    random = np.random.default_rng(_SEED)
    groups: list[set[_Person]] = [set() for _ in range(folds)]
    for people in (sorted(fell), sorted(lived)):
        for number, which in enumerate(random.permutation(len(people))):
            groups[number % folds].add(people[which])
    return [group for group in groups if group]


def _judge(
    sets: Sets, position: Position, watch: Callable[[], Watch], people: set[_Person], sensor: Sensor
) -> Iterable[Judged]:
    for source, trials in sets.items():
        for index, t in enumerate(trials):
            if _Person(source, t.subject) in people:
                events = judge([t.samples], t.rate_hz, watch(), sensor)
                yield Judged(source, index, t, position, len(t.samples) / t.rate_hz, events)


def _each(sets: Sets) -> Iterable[tuple[str, Trial]]:
    return ((source, t) for source, trials in sets.items() for t in trials)
