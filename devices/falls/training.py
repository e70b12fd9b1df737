"""Learning from recordings what tells a fall from another blow. scikit-learn grows the trees; nothing else needs it.

One way for all: the recordings run through the gateway's own detector, and what it measures of each blow is learned from. How sure the trees may be, and from where on a fall is told, comes from people they have not seen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt

from devices.falls.detector import IMPACT_G, Detector, FallEvent
from devices.falls.features import RATE_HZ
from devices.falls.model import POSITIONS, Forest, Model, Position, log_odds
from devices.falls.recordings import Trial
from devices.falls.resample import Resampler
from devices.falls.times import SECOND

SPECIFICITY: Final = 0.997
"""The share of recordings of daily life, of people left out, in which nothing may be told at the usual operating point."""

FOLDS: Final = 5
"""So many groups of people take turns at being left out."""

_TREES: Final = 300
_TRIED: Final = 0.4  # share of the measurements that a node chooses from
_SEED: Final = 20_261_129
_NEAR_FALL_S: Final = 0.3  # a blow so near to the fall's interval is of the fall
_TRIMMED_S: Final = 1.5  # a recording that ends so soon after its hardest blow does not show what followed it
_SOFT_G: Final = 1.8  # nor does one whose hardest blow is softer show the fall

_FALL, _OTHER, _UNKNOWN = 1, 0, -1

Who = TypeVar("Who")


class TooLittle(ValueError):
    """From these recordings nothing can be learned; the text says what is missing."""


class Blows(NamedTuple):
    """What there is to learn from: blows (n) of recordings.

    ``measured`` (n, measurements), ``label`` (n,) 1 of a fall, 0 of none, -1 not known; ``trial`` (n,) is the index of
    the recording.
    """

    measured: npt.NDArray[np.float32]
    label: npt.NDArray[np.int8]
    trial: npt.NDArray[np.int32]


class _Gatherer:
    """A judge that remembers what it is shown, and takes nothing for a fall."""

    thresholds: Final[Mapping[Position, float]] = dict.fromkeys(POSITIONS, 2.0)

    def __init__(self) -> None:
        self.shown: list[npt.NDArray[np.float32]] = []

    def probability(self, measured: npt.NDArray[np.float32]) -> float:
        self.shown.append(measured)
        return 0.0


Sets = Mapping[str, Sequence[Trial]]
"""Recordings by the name of their set. Subjects of two sets are two people, whatever they are called."""


def gather(trials: Sequence[Trial]) -> Blows:
    """Every blow of these recordings, as the gateway's watch measures it."""
    measured, label, of = [], [], []
    for index, trial in enumerate(trials):
        gatherer = _Gatherer()
        label += _labels(trial, _blows(trial, gatherer))
        measured += gatherer.shown
        of += [index] * len(gatherer.shown)
    return Blows(np.array(measured, np.float32), np.array(label, np.int8), np.array(of, np.int32))


def fit(sets: Sets, blows: Blows | None = None, card: Mapping[str, Any] | None = None) -> Model:
    """A model of these recordings. ``blows`` are theirs, one set after the other, when they were gathered before; ``card``
    is what else its card shall say.

    Raises :class:`TooLittle` without recordings of five people, of whom two show falls and two show blows of daily life, and
    without both of one position.
    """
    trials = [t for of_set in sets.values() for t in of_set]
    who = [f"{source} {t.subject}" for source, of_set in sets.items() for t in of_set]
    blows = gather(trials) if blows is None else blows
    _check_enough(trials, blows, who)
    votes = _votes_of_unseen(trials, blows, who)
    calibration = _calibration(votes, blows.label)
    surest = _surest(len(trials), blows, np.array([_calibrated(v, calibration) for v in votes]))
    thresholds = _thresholds(trials, surest)
    told = [s >= thresholds.get(cast("Position", t.position), 1.0) for s, t in zip(surest, trials, strict=True)]
    known = {"learned from": _described(sets), "judged on people left out": _judged(sets, told), **(card or {})}
    return Model(_grow(blows, blows.label != _UNKNOWN), calibration, thresholds, known)


def _check_enough(trials: Sequence[Trial], blows: Blows, who: Sequence[str]) -> None:
    everybody = len(set(who))
    fell, knocked = (len({who[t] for t in blows.trial[blows.label == label]}) for label in (_FALL, _OTHER))
    if everybody < FOLDS or min(fell, knocked) < 2:
        raise TooLittle(
            f"to learn takes recordings of {FOLDS} people, with falls of 2 of them and blows of daily life, such as sitting "
            f"down hard, of 2: here are recordings of {everybody}, with falls of {fell} and blows of daily life of {knocked}"
            f" (a blow is one of {IMPACT_G:g} g or more; a fall counts when {_TRIMMED_S:g} s after it are recorded)"
        )
    fallen, lived = ({t.position for t in trials if t.is_fall is is_fall} for is_fall in (True, False))
    if not fallen & lived & {*POSITIONS}:
        raise TooLittle("to learn takes falls and daily life of one position at least: wrist, waist, pocket or chest")


def _blows(trial: Trial, gatherer: _Gatherer) -> list[FallEvent]:
    taken = np.flatnonzero(np.isfinite(trial.samples).all(axis=1))
    times = np.rint(taken * (SECOND / trial.rate_hz)).astype(np.int64)
    detector = Detector(judge=gatherer, glances=False)
    return detector.feed(Resampler(RATE_HZ).feed(times, trial.samples[taken])) + detector.finish()


def _labels(trial: Trial, events: Sequence[FallEvent]) -> list[int]:
    if not trial.is_fall:
        return [_OTHER] * len(events)
    if trial.onset_s is not None and trial.end_s is not None:
        begin, end = trial.onset_s - _NEAR_FALL_S, trial.end_s + _NEAR_FALL_S
        return [_FALL if begin <= event.sample / RATE_HZ <= end else _OTHER for event in events]
    hardest = max((event.impact_g for event in events), default=0.0)
    shown_s = len(trial.samples) / trial.rate_hz - _TRIMMED_S
    return [
        _FALL if event.impact_g == hardest and hardest >= _SOFT_G and event.sample / RATE_HZ <= shown_s else _UNKNOWN
        for event in events
    ]


def _votes_of_unseen(trials: Sequence[Trial], blows: Blows, who: Sequence[str]) -> npt.NDArray[np.float64]:
    """For each blow the vote of trees that have learned nothing from its person."""
    people = np.array(who)[blows.trial]
    votes = np.zeros(len(blows.label))
    fell = {name for name, trial in zip(who, trials, strict=True) if trial.is_fall}
    for left_out in deal(sorted(fell), sorted(set(who) - fell)):
        unseen = np.isin(people, left_out)
        forest = _grow(blows, ~unseen & (blows.label != _UNKNOWN))
        votes[unseen] = [forest.vote(measured) for measured in blows.measured[unseen]]
    return votes


def deal(fell: Sequence[Who], lived: Sequence[Who], folds: int = FOLDS) -> list[list[Who]]:
    """All people in ``folds`` groups, always the same; those who fell and those who did not are dealt apart."""
    random = np.random.default_rng(_SEED)
    groups: list[list[Who]] = [[] for _ in range(folds)]
    for people in (fell, lived):
        for number, which in enumerate(random.permutation(len(people))):
            groups[number % folds].append(people[which])
    return [group for group in groups if group]


def _grow(blows: Blows, known: npt.NDArray[np.bool_]) -> Forest:
    from sklearn.ensemble import ExtraTreesClassifier

    if len(set(blows.label[known].tolist())) < 2:
        raise TooLittle("the falls, or the blows of daily life, are of too few people to judge the rest by the others")
    grower = ExtraTreesClassifier(_TREES, max_features=_TRIED, class_weight="balanced", random_state=0, n_jobs=-1)
    grower.fit(blows.measured[known], blows.label[known])
    return _planted([one.tree_ for one in grower.estimators_])


def _planted(trees: Sequence[Any]) -> Forest:
    """The trees in one row, each renumbered so that what lies above a bound comes right after what lies below."""
    parts = [_in_order(tree) for tree in trees]
    roots = np.cumsum([0, *(len(part[0]) for part in parts[:-1])])
    below = [np.where(part[0] >= 0, part[2] + root, 0) for part, root in zip(parts, roots, strict=True)]
    return Forest(
        roots.astype(np.int32),
        np.concatenate([part[0] for part in parts]).astype(np.int16),
        np.concatenate([part[1] for part in parts]).astype(np.float32),
        np.concatenate(below).astype(np.int32),
        np.concatenate([part[3] for part in parts]).astype(np.float32),
    )


def _in_order(tree: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """Feature, bound, first child and share of falls of each node, level by level: children lie side by side."""
    order, children = [0], []
    for node in order:  # grows as it goes
        children.append(len(order))
        if tree.children_left[node] >= 0:
            order += [tree.children_left[node], tree.children_right[node]]
    inner = tree.children_left[order] >= 0
    share = tree.value[order, 0, 1] / tree.value[order, 0].sum(axis=1)
    return np.where(inner, tree.feature[order], -1), tree.threshold[order], np.array(children), share


def _calibration(votes: npt.NDArray[np.float64], label: npt.NDArray[np.int8]) -> tuple[float, float]:
    """Steepness and offset of the logistic that makes the votes probabilities."""
    from sklearn.linear_model import LogisticRegression

    known = label != _UNKNOWN
    odds = np.array([[log_odds(v)] for v in votes[known]])
    fitted = LogisticRegression(class_weight="balanced").fit(odds, label[known])
    return round(float(fitted.coef_[0, 0]), 4), round(float(fitted.intercept_[0]), 4)


def _calibrated(vote: float, calibration: tuple[float, float]) -> float:
    return float(1.0 / (1.0 + np.exp(-(calibration[0] * log_odds(vote) + calibration[1]))))


def _surest(trials: int, blows: Blows, probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Of each recording the surest blow; 0 without one."""
    surest = np.zeros(trials)
    np.maximum.at(surest, blows.trial, probabilities)
    return surest


def _thresholds(trials: Sequence[Trial], surest: npt.NDArray[np.float64]) -> dict[Position, float]:
    """For each position the lowest that keeps :data:`SPECIFICITY`; the most careful of those for places never seen."""
    found: dict[Position, float] = {}
    for position in POSITIONS:
        here = np.array([t.position == position for t in trials])
        fell = np.array([t.is_fall for t in trials])
        lived = np.sort(surest[here & ~fell])
        if (here & fell).any() and len(lived):
            may_be_told = int((1 - SPECIFICITY) * len(lived))
            found[position] = _just_above(lived[-1 - may_be_told])
    return {position: found.get(position, max(found.values())) for position in POSITIONS}


def _just_above(probability: float) -> float:
    return round(min(max(float(probability) + 0.0005, 0.01), 0.99), 3)


def _described(sets: Sets) -> dict[str, Any]:
    return {
        source: {
            "people": len({t.subject for t in trials}),
            "of whom old": len({t.subject for t in trials if t.elderly}),
            "positions": dict(Counter(t.position for t in trials)),
            "falls": sum(t.is_fall for t in trials),
            "daily life": sum(not t.is_fall for t in trials),
            "hours": round(sum(len(t.samples) / t.rate_hz for t in trials) / 3600, 2),
        }
        for source, trials in sets.items()
    }


def _judged(sets: Sets, told: Sequence[bool]) -> dict[str, dict[str, str]]:
    """How it did, recording by recording, at the usual operating points."""
    rest = iter(told)
    found = {}
    for source, trials in sets.items():
        mine = [(t.is_fall, next(rest)) for t in trials]
        fell, lived = ([said for is_fall, said in mine if is_fall is wanted] for wanted in (True, False))
        found[source] = {
            "falls told": f"{sum(fell)} of {len(fell)}",
            "daily life in which a fall was told": f"{sum(lived)} of {len(lived)}",
        }
    return found
