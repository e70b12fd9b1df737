"""A model learns from recordings of any centre, says when they are too few, and is the same wherever it is loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.ensemble import ExtraTreesClassifier

from devices.falls import evaluation, features, model, training
from devices.falls.model import POSITIONS, Model, ModelError
from devices.falls.recordings import Recordings, Trial
from devices.falls.watch import Watch
from devices.virtual.body import RATE_HZ, Body, Doing


@pytest.fixture(scope="module", autouse=True)
def few_trees() -> Iterator[None]:
    """A tenth of the usual forest: as quick as a test should be, and enough for made-up bodies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_TREES", 30)
        yield


def trial(seed: int, *, falls: bool, subject: int, **about: Any) -> Trial:
    """Some steps, then a fall or a wearable thrown on the bed, and what follows."""
    body = Body(seed)
    body.doing = Doing.WALKING
    before = body.take(7 * RATE_HZ)
    if falls:
        body.fall()
    else:
        body.throw()
    samples = np.concatenate([before, body.take(9 * RATE_HZ)])
    given = {"subject": f"S{subject}", "activity": "", "trial": 1, "elderly": False, "position": "wrist"}
    return Trial(**{"samples": samples, "rate_hz": 50.0, "is_fall": falls, **given, **about})


def recorded(people: range, *, falls: int = 1, lives: int = 1) -> list[Trial]:
    return [
        trial(10 * subject + number, falls=number < falls, subject=subject)
        for subject in people
        for number in range(falls + lives)
    ]


@pytest.fixture(scope="module")
def learned() -> Model:
    sets = {"here": recorded(range(4)), "there": [replace(t, position="waist") for t in recorded(range(4, 7))]}
    return training.fit(sets, card={"name": "made up"})


def test_what_was_learned_tells_falls_of_people_never_seen(learned: Model) -> None:
    for t in recorded(range(20, 24)):
        events = evaluation.judge([t.samples], t.rate_hz, Watch("wrist", judge=learned))
        assert [e.kind for e in events if e.kind == "fall"] == ["fall"] * t.is_fall


def test_the_card_says_from_whom_it_learned_and_how_it_did_on_people_left_out(learned: Model) -> None:
    here = {"people": 4, "of whom old": 0, "positions": {"wrist": 8}, "falls": 4, "daily life": 4, "hours": 0.04}
    assert learned.card["learned from"]["here"] == here
    assert learned.card["judged on people left out"]["there"] == {
        "falls told": "3 of 3",
        "daily life in which a fall was told": "0 of 3",
    }
    assert learned.card["name"] == "made up"


def test_each_place_has_an_operating_point_and_one_never_seen_the_most_careful(learned: Model) -> None:
    points = learned.thresholds
    assert set(points) == set(POSITIONS)
    assert points["pocket"] == points["chest"] == max(points["wrist"], points["waist"])


measurements = arrays(np.float32, len(features.names()), elements=st.floats(-20, 200, width=32))


@pytest.fixture(scope="module")
def loaded(learned: Model, tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("model") / "new"
    learned.save(folder)
    return Model.load(folder)


@settings(max_examples=40, deadline=None)
@given(measured=measurements)
def test_a_model_that_was_kept_says_the_same_to_the_last_bit(
    learned: Model, loaded: Model, measured: np.ndarray[Any, np.dtype[np.float32]]
) -> None:
    assert loaded.probability(measured) == learned.probability(measured)
    assert (loaded.thresholds, loaded.card) == (learned.thresholds, learned.card)


def test_planted_trees_vote_as_those_that_scikit_learn_grew() -> None:
    random = np.random.default_rng(1)
    seen = random.normal(size=(300, 5)).astype(np.float32)
    grown = ExtraTreesClassifier(20, random_state=0, class_weight="balanced").fit(seen, seen[:, 0] * seen[:, 1] > 0.3)
    forest = training._planted([one.tree_ for one in grown.estimators_])
    fresh = np.concatenate([seen, random.normal(size=(300, 5)).astype(np.float32)])
    assert [forest.vote(one) for one in fresh] == pytest.approx(grown.predict_proba(fresh)[:, 1], abs=1e-6)


def test_every_blow_is_gathered_with_its_recording_and_whether_it_was_of_a_fall() -> None:
    gathered = training.gather(recorded(range(5)))
    assert gathered.label.tolist() == [1, 0] * 5
    assert gathered.trial.tolist() == list(range(10))
    assert gathered.measured.shape == (10, len(features.names()))


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ([], "here are recordings of 0, with falls of 0 and blows of daily life of 0"),
        (recorded(range(4)), "here are recordings of 4, with falls of 4 and blows of daily life of 4"),
        (recorded(range(5), falls=0), "here are recordings of 5, with falls of 0 and blows of daily life of 5"),
        (recorded(range(5), lives=0), "here are recordings of 5, with falls of 5 and blows of daily life of 0"),
        (recorded(range(1)) + recorded(range(1, 6), falls=0), "with falls of 1 and blows of daily life of 6"),
    ],
)
def test_what_is_missing_to_learn_is_said(trials: list[Trial], said: str) -> None:
    with pytest.raises(training.TooLittle, match=said):
        training.fit({"here": trials})


def test_falls_and_daily_life_of_different_places_do_not_teach_where_to_tell_a_fall() -> None:
    trials = [replace(t, position="waist" if t.is_fall else "wrist") for t in recorded(range(5))]
    with pytest.raises(training.TooLittle, match="of one position at least"):
        training.fit({"here": trials})


def test_blows_that_may_or_may_not_be_of_the_fall_are_not_learned_from() -> None:
    whole = trial(1, falls=True, subject=1)
    trimmed = replace(whole, samples=whole.samples[: 9 * RATE_HZ])
    known = replace(trimmed, onset_s=7.0, end_s=9.0)
    assert [training.gather([t]).label.tolist() for t in (whole, trimmed, known)] == [[1], [-1], [1]]


def test_what_is_no_model_is_refused(tmp_path: Path, learned: Model) -> None:
    with pytest.raises(ModelError, match="holds no model"):
        Model.load(tmp_path)
    learned.save(tmp_path)
    card = tmp_path / "falls.json"
    card.write_text(json.dumps(json.loads(card.read_text("utf-8")) | {"measurements": ["pulse"]}), "utf-8")
    with pytest.raises(ModelError, match="another version"):
        Model.load(tmp_path)


def test_the_shipped_model_has_a_point_for_each_place_and_says_what_it_is_made_of() -> None:
    shipped = model.shipped()
    assert set(shipped.thresholds) == set(POSITIONS)
    assert all(0.5 < point < 1 for point in shipped.thresholds.values())
    assert set(shipped.card["made of"]) == set(shipped.card["learned from"])
    assert all(of["source"] and of["licence"] for of in shipped.card["made of"].values())
    assert shipped.card["limits"]


@pytest.mark.shared
def test_the_shipped_model_was_learned_from_the_recordings_that_its_card_names(shared: Path) -> None:
    """It has seen these people: that it tells them apart shows that it is the model of its card, and nothing more."""
    told: dict[bool, list[bool]] = {True: [], False: []}
    for path in sorted((shared / "data" / "fall").glob("*.npz")):
        with Recordings(path) as file:
            of = model.shipped().card["learned from"][path.stem.removesuffix("_dev")]
            assert of["falls"] == sum(about.is_fall for about in file.abouts)
            assert of["falls"] + of["daily life"] == len(file.abouts)
            for index in file.order[::60]:
                about = file.abouts[index]
                watch = Watch(evaluation.worn_at(about, None))
                events = evaluation.judge(file.pieces(index), about.rate_hz, watch)
                if "smartfallmm" not in path.stem:  # its falls are cut off
                    told[about.is_fall].append(any(e.kind == "fall" for e in events))
    assert np.mean(told[True]) > 0.9
    assert not any(told[False])
