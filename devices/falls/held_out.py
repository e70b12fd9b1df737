"""Judging people, or whole sets, that the model has never seen. Pure.

Recordings of one person resemble each other: nothing of somebody who is judged may have been learned from. All blows are
measured once; for each fold a model learns from those of the others, its operating points too, and what is left out
runs through the gateway's watch with that model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from typing import NamedTuple

import numpy as np

from devices.falls import training
from devices.falls.evaluation import AS_RECORDED, Judged, Sensor, judge, worn_at
from devices.falls.model import Model
from devices.falls.recordings import Trial
from devices.falls.training import FOLDS, Blows, Sets
from devices.falls.watch import Watch


class Person(NamedTuple):
    """Somebody of a set. Subjects of two sets are two people, whatever they are called."""

    source: str
    subject: str


class Fold(NamedTuple):
    """A model, and the people of whom it has seen nothing."""

    model: Model
    left_out: Set[Person]


def leave_subjects_out(sets: Sets, folds: int = FOLDS, blows: Blows | None = None) -> Iterator[Fold]:
    """Models that have learned from all but one group of people. ``blows`` as of :func:`devices.falls.training.fit`.

    Raises ``TooLittle`` when those who are left are too few to learn from.
    """
    return _without_each(sets, deal(sets, folds), blows)


def leave_sets_out(sets: Sets, blows: Blows | None = None) -> Iterator[Fold]:
    """Models that have learned from all sets but one: for another sensor, other people, another place."""
    return _without_each(sets, [{p for p in people(sets) if p.source == source} for source in sets], blows)


def judged(sets: Sets, folds: Iterable[Fold], sensor: Sensor = AS_RECORDED) -> list[Judged]:
    """Every recording of those left out, judged where its sensor was worn by the model that has not seen them."""
    found = [one for fold in folds for one in _judged(sets, fold, sensor)]
    place = {source: number for number, source in enumerate(sets)}
    return sorted(found, key=lambda j: (place[j.source], j.index))


def people(sets: Sets) -> set[Person]:
    """Everybody of whom there is a recording."""
    return {who for who, _ in _each(sets)}


def deal(sets: Sets, folds: int = FOLDS) -> list[set[Person]]:
    """All people in ``folds`` groups, as they are dealt for training."""
    fell = {who for who, t in _each(sets) if t.is_fall}
    return [set(group) for group in training.deal(sorted(fell), sorted(people(sets) - fell), folds)]


def chosen(sets: Sets, wanted: Set[Person]) -> dict[str, list[Trial]]:
    """The recordings of these people, without the sets of which nobody is left."""
    found = {s: [t for t in trials if Person(s, t.subject) in wanted] for s, trials in sets.items()}
    return {source: trials for source, trials in found.items() if trials}


def _without_each(sets: Sets, groups: Iterable[Set[Person]], blows: Blows | None) -> Iterator[Fold]:
    everybody = people(sets)
    measured = training.gather([t for _, t in _each(sets)]) if blows is None else blows
    for left_out in groups:
        known = everybody - left_out
        yield Fold(training.fit(chosen(sets, known), _blows_of(sets, measured, known)), left_out)


def _blows_of(sets: Sets, blows: Blows, wanted: Set[Person]) -> Blows:
    """Their blows, with the recordings counted anew among theirs alone."""
    known = np.array([who in wanted for who, _ in _each(sets)])
    kept = known[blows.trial]
    anew = np.cumsum(known, dtype=np.int32) - 1
    return Blows(blows.measured[kept], blows.label[kept], anew[blows.trial[kept]])


def _judged(sets: Sets, fold: Fold, sensor: Sensor) -> Iterator[Judged]:
    for source, trials in sets.items():
        for index, t in enumerate(trials):
            if Person(source, t.subject) in fold.left_out:
                position = worn_at(t, None)
                events = judge([t.samples], t.rate_hz, Watch(position, judge=fold.model), sensor)
                yield Judged(source, index, t, position, len(t.samples) / t.rate_hz, events)


def _each(sets: Sets) -> Iterator[tuple[Person, Trial]]:
    return ((Person(source, t.subject), t) for source, trials in sets.items() for t in trials)
