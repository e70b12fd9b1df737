"""Recordings are read whoever wrote them, and judged as a gateway would have judged them; every figure says how sure it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from devices.falls import evaluation, held_out, intervals, report, training
from devices.falls.evaluation import Event, Judged, Sensor, judge
from devices.falls.features import Samples
from devices.falls.recordings import About, Recordings, RecordingsError, Trial, read, write
from devices.falls.watch import Watch
from devices.virtual.body import RATE_HZ, Body, Doing

Columns = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def few_trees() -> Iterator[None]:
    """A tenth of the usual forest: as quick as a test should be, and enough for made-up bodies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_TREES", 30)
        yield


def life(seed: int, *, falls: bool, gets_up_after_s: int | None = None) -> Samples:
    """Twenty seconds on foot, perhaps a fall, and what follows."""
    body = Body(seed)
    body.doing = Doing.WALKING
    pieces = [body.take(20 * RATE_HZ)]
    if falls:
        body.fall()
    if gets_up_after_s is not None:
        pieces.append(body.take(gets_up_after_s * RATE_HZ))
        body.get_up()
    return np.concatenate([*pieces, body.take(20 * RATE_HZ)])


def trial(seed: int = 1, *, falls: bool = True, **about: Any) -> Trial:
    known: Columns = {"onset_s": 20.0, "end_s": 22.0} if falls else {}
    given = {"subject": f"S{seed}", "activity": "walk", "trial": seed, "elderly": False, "position": "wrist"}
    return Trial(**{"samples": life(seed, falls=falls), "rate_hz": 50.0, "is_fall": falls, **given, **known, **about})


def plain(**changed: Any) -> Columns:
    """The columns of a file of two recordings, in whole 1/512 g."""
    columns: Columns = {
        "acc": np.arange(30, dtype=np.int16).reshape(10, 3),
        "scale": np.float32(1 / 512),
        "fs": np.float32(50),
        "start": np.array([0, 4]),
        "length": np.array([4, 6]),
        "is_fall": np.array([True, False]),
    }
    return {name: value for name, value in {**columns, **changed}.items() if value is not None}


def saved(path: Path, columns: Columns) -> Path:
    np.savez(path, **columns)
    return path


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    trials = [trial(1, elderly=True), trial(2, falls=False, rate_hz=31.25, position="waist")]
    write(tmp_path / "own.npz", trials, "made up")
    for written, found in zip(trials, read(tmp_path / "own.npz"), strict=True):
        assert np.abs(found.samples - written.samples).max() <= 0.0005
        assert all(getattr(found, name) == getattr(written, name) for name in About.__slots__)


def test_nothing_is_written_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(RecordingsError, match="no recording"):
        write(tmp_path / "own.npz", [], "")


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"start": None},
        {"length": None},
        {"fs": np.array([50, 50])},
        {"scale": np.full(3, 1 / 512)},
        {"acc": np.asfortranarray(np.arange(30, dtype=np.int32).reshape(10, 3))},
        {"acc": np.arange(30).reshape(10, 3) / 512, "scale": None},
        {"gyroscope": np.zeros(7), "place": np.array(["here", "there"])},
        {"is_fall": np.array([1, 0])},
        {"trial": np.array(["R01", "R02"])},
    ],
)
def test_a_file_need_not_have_every_column_nor_each_in_one_way(tmp_path: Path, changed: Columns) -> None:
    first, second = read(saved(tmp_path / "theirs.npz", plain(**changed)))
    assert first.samples == pytest.approx(np.arange(12).reshape(4, 3) / 512)
    assert second.samples == pytest.approx(np.arange(12, 30).reshape(6, 3) / 512)
    assert (first.is_fall, second.is_fall, second.trial) == (True, False, 2)
    assert (first.rate_hz, first.onset_s, first.subject, first.elderly) == (50.0, None, "", False)


@pytest.mark.parametrize(
    ("position", "known"),
    [
        ("wrist", "wrist"),
        ("Left Wrist", "wrist"),
        ("smartwatch", "wrist"),
        ("right hip", "waist"),
        ("trouser back pocket", "pocket"),
        ("Sternum", "chest"),
        ("ankle", "ankle"),
    ],
)
def test_a_place_is_known_under_its_other_names(tmp_path: Path, position: str, known: str) -> None:
    assert [t.position for t in read(saved(tmp_path / "theirs.npz", plain(position=position)))] == [known, known]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"acc": None}, "column acc is missing"),
        ({"acc": np.zeros((10, 2))}, r"column acc is float64 \(10, 2\)"),
        ({"acc": np.array([["a"] * 3] * 10)}, "column acc is <U1"),
        ({"scale": None}, "column scale is missing"),
        ({"scale": np.zeros(1)}, "column scale is one number above 0"),
        ({"fs": None}, "column fs is missing"),
        ({"fs": 0.0}, "column fs holds a rate"),
        ({"fs": "fast"}, "column fs is <U4; numbers"),
        ({"start": None, "length": None}, "column length is missing, and so is start"),
        ({"length": np.array([4, 7])}, "lead out of the 10 samples"),
        ({"length": np.array([4, 3, 3])}, "column start has shape"),
        ({"is_fall": None}, "column is_fall is missing"),
        ({"is_fall": np.array([True] * 3)}, "column is_fall has shape"),
        ({"is_fall": np.array([1, np.nan])}, "column is_fall does not say"),
        ({"subject": np.array(["a", None], object)}, "column subject cannot be read without pickle"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_the_column(tmp_path: Path, changed: Columns, said: str) -> None:
    with pytest.raises(RecordingsError, match=said):
        read(saved(tmp_path / "theirs.npz", plain(**changed)))


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 and then nothing"])
def test_what_is_no_file_of_recordings_is_said_so(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "x.npz").write_bytes(content)
    with pytest.raises(RecordingsError, match="cannot be read as npz"):
        read(tmp_path / "x.npz")


def test_long_recordings_are_read_piece_by_piece_in_any_order(tmp_path: Path) -> None:
    samples = np.arange(600_000, dtype=np.int32).reshape(200_000, 3)
    columns = plain(acc=samples, scale=1.0, start=np.array([150_000, 0]), length=np.array([50_000, 150_000]))
    with Recordings(saved(tmp_path / "long.npz", columns)) as file:
        assert file.order == [1, 0]
        for index in (0, 1, 0):
            pieces = list(file.pieces(index))
            assert max(map(len, pieces)) < 70_000
            start, length = columns["start"][index], columns["length"][index]
            assert (np.concatenate(pieces) == samples[start : start + length]).all()


def judged(t: Trial, *, sensor: Sensor = evaluation.AS_RECORDED, threshold: float | None = None) -> Judged:
    events = judge([t.samples], t.rate_hz, Watch("wrist", threshold), sensor)
    return Judged("made up", 0, t, "wrist", len(t.samples) / t.rate_hz, events)


@pytest.mark.parametrize("seed", range(3))
def test_a_fall_is_found_where_it_is_and_reaches_staff(seed: int) -> None:
    found = judged(trial(seed))
    assert found.decision
    assert found.in_interval
    assert found.time_s == pytest.approx(20.9, abs=0.5)
    assert 0.5 <= found.probability <= 1
    assert found.for_staff == found.falls
    assert 3 <= found.falls[0].told_s - found.falls[0].time_s <= 9


def test_a_walk_is_no_fall() -> None:
    found = judged(trial(falls=False))
    assert (found.decision, found.for_staff, found.in_interval) == (False, [], None)


def test_whoever_is_up_again_in_time_does_not_reach_staff() -> None:
    found = judged(replace(trial(), samples=life(1, falls=True, gets_up_after_s=12)))
    assert [e.kind for e in found.events if e.kind != "dismissed"] == ["fall", "recovered"]
    assert found.decision
    assert found.for_staff == []


def test_the_events_do_not_depend_on_how_a_recording_is_cut_into_pieces() -> None:
    samples = trial().samples
    cut = np.split(samples, [1, 7, 700, 701, 1500])
    assert judge(cut, 50.0, Watch()) == judge([samples], 50.0, Watch())


def test_a_packet_that_holds_no_number_is_lost_and_the_rest_is_watched() -> None:
    t = trial()
    t.samples[300:303] = np.nan
    assert judged(t).decision


def test_a_coarser_sensor_feels_less() -> None:
    fine, coarse = judged(trial()), judged(trial(), sensor=Sensor(rate_hz=20, range_g=2.0))
    assert fine.events[0].impact_g > 3.5
    assert 0 < coarse.events[0].impact_g <= 2 * 3**0.5
    assert coarse.time_s == pytest.approx(fine.time_s, abs=1.0)


def event(kind: Any, time_s: float, told_s: float, probability: float = 0.9) -> Event:
    return Event(kind, time_s, told_s, probability, 3.0, 100.0, 2.0, 90.0)


FALL = event("fall", 10, 18)


@pytest.mark.parametrize(
    ("events", "reach"),
    [
        ((), 0),
        ((event("dismissed", 3, 11, 0.3),), 0),
        ((FALL,), 1),
        ((FALL, event("recovered", 40, 44)), 0),
        ((FALL, event("recovered", 44.5, 48.5)), 1),
        ((event("recovered", 5, 9), FALL), 1),
        ((FALL, event("recovered", 20, 24), event("fall", 30, 38)), 1),
    ],
)
def test_a_fall_reaches_staff_unless_it_is_taken_back_within_half_a_minute(
    events: tuple[Event, ...], reach: int
) -> None:
    assert len(told(*events).for_staff) == reach


def told(*events: Event, subject: str = "A", is_fall: bool = False, elderly: bool = False, **about: Any) -> Judged:
    person: Columns = {"rate_hz": 50.0, "subject": subject, "activity": "", "trial": 1, "position": "wrist"}
    known = About(**person, is_fall=is_fall, elderly=elderly, **about)
    return Judged("made up", 0, known, "wrist", 360.0, events)


LIVES = [
    told(FALL, subject="A", is_fall=True, onset_s=8.0, end_s=9.0),
    told(FALL, event("fall", 100, 108), subject="A", is_fall=True, onset_s=14.0, end_s=15.0),
    told(event("dismissed", 10, 18, 0.3), subject="B", is_fall=True),
    told(subject="B"),
    told(event("fall", 5, 13, 0.6), event("recovered", 14, 18), event("fall", 50, 58), subject="B", elderly=True),
]


def test_a_summary_counts_recordings_events_and_hours() -> None:
    everybody, elderly, younger = evaluation.summaries(LIVES)
    assert (everybody.age, elderly.age, younger.age) == ("all", "elderly", "younger")
    assert (everybody.subjects, everybody.falls, everybody.activities) == (2, 3, 2)
    assert everybody.hours == pytest.approx(0.2)
    values = {
        "sensitivity": 2 / 3,
        "specificity": 1 / 2,
        "precision": 2 / 3,
        "f1": 2 / 3,
        "found_by_staff": 2 / 3,
        "alarms_per_hour": 10.0,
        "staff_alarms_per_hour": 5.0,
        "event_sensitivity": 1 / 2,
        "event_precision": 1 / 5,
    }
    for name, value in values.items():
        figure = getattr(everybody, name)
        assert figure.value == pytest.approx(value), name
        assert figure.low <= value <= figure.high, name
    assert everybody.told_after_s == 8
    assert elderly.sensitivity is elderly.f1 is None


def test_the_operating_curve_falls_with_the_threshold() -> None:
    low, middle, high = evaluation.curve(LIVES, (0.2, 0.5, 0.8))
    assert (low.sensitivity, middle.sensitivity) == (1.0, pytest.approx(2 / 3))
    assert (low.specificity, high.specificity) == (0.5, 0.5)
    assert (middle.alarms_per_hour, high.alarms_per_hour) == (pytest.approx(10), pytest.approx(5))


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        (intervals.share(95, 100), (0.95, 0.8882, 0.9785)),
        (intervals.share(0, 10), (0.0, 0.0, 0.2775)),
        (intervals.share(0, 0), None),
        (intervals.rate(0, 2.0), (0.0, 0.0, 1.8444)),
        (intervals.rate(3, 1.0), (3.0, 0.6187, 8.7673)),
        (intervals.rate(100, 10.0), (10.0, 8.1364, 12.1627)),
        (intervals.rate(0, 0.0), None),
    ],
)
def test_intervals_are_those_of_the_books(interval: Any, expected: Any) -> None:
    assert interval == (None if expected is None else pytest.approx(expected, abs=1e-4))


def test_the_interval_of_f1_is_as_wide_as_persons_differ() -> None:
    alike = intervals.f1(np.array([[9, 1, 1]] * 10))
    unlike = intervals.f1(np.array([[10, 0, 0]] * 9 + [[0, 10, 10]]))
    assert alike == pytest.approx((0.9, 0.9, 0.9))
    assert unlike is not None
    assert unlike.value == pytest.approx(0.9)
    assert (unlike.low < 0.75, unlike.high) == (True, 1.0)
    assert intervals.f1(np.array([[0, 3, 0]])) is None


@pytest.mark.parametrize("make", [report.by_recording, report.by_event])
def test_a_table_has_a_cell_for_each_column(make: Callable[..., report.Table]) -> None:
    table = make(evaluation.summaries(LIVES))
    assert len(table.rows) == 3
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert len(report.markdown(table).splitlines()) == 5


@pytest.mark.shared
def test_every_file_of_the_reference_data_is_read(shared: Path) -> None:
    files = sorted((shared / "data" / "fall").glob("*.npz"))
    assert files
    for path in files:
        with Recordings(path) as file:
            assert all(about.position in ("wrist", "waist", "pocket", "chest") for about in file.abouts)
            for index in range(0, len(file.abouts), 50):
                samples = file.trial(index).samples
                assert len(samples) == file.lengths[index]
                assert 0.3 < np.median(np.linalg.norm(samples, axis=1)) < 2


def thrown(seed: int, **about: Any) -> Trial:
    """A walk, and the wearable thrown on the bed: daily life with a blow in it."""
    body = Body(seed)
    body.doing = Doing.WALKING
    before = body.take(7 * RATE_HZ)
    body.throw()
    return trial(seed, falls=False, samples=np.concatenate([before, body.take(9 * RATE_HZ)]), **about)


SETS = {
    "here": [t for s in range(5) for t in (trial(s), thrown(s, position="waist"), thrown(s))],
    "there": [t for s in range(5) for t in (trial(s + 5, subject=f"S{s}"), thrown(s + 5, subject=f"S{s}"))],
}


@pytest.fixture(scope="module")
def folds() -> list[held_out.Fold]:
    return list(held_out.leave_subjects_out(SETS, folds=2))


def test_nobody_is_judged_by_a_model_that_learned_from_her(folds: list[held_out.Fold]) -> None:
    assert folds[0].left_out | folds[1].left_out == held_out.people(SETS)
    assert not folds[0].left_out & folds[1].left_out
    for fold in folds:
        known = held_out.people(SETS) - fold.left_out
        for source, of in fold.model.card["learned from"].items():
            trials = [t for t in SETS[source] if (source, t.subject) in known]
            assert (of["people"], of["falls"]) == (len({t.subject for t in trials}), sum(t.is_fall for t in trials))


def test_each_recording_is_judged_once_where_its_sensor_was_worn(folds: list[held_out.Fold]) -> None:
    judged = held_out.judged(SETS, folds)
    assert [(j.source, j.index) for j in judged] == [(s, i) for s, trials in SETS.items() for i in range(len(trials))]
    assert all(j.decision is j.about.is_fall for j in judged)
    assert {(j.source, j.position) for j in judged} == {("here", "wrist"), ("here", "waist"), ("there", "wrist")}


def test_those_who_fell_are_dealt_apart_from_those_who_did_not() -> None:
    sets = {"here": [trial(s, falls=s < 4) for s in range(8)]}
    for group in held_out.deal(sets, 4):
        assert sorted(int(who.subject[1:]) < 4 for who in group) == [False, True]


def test_what_was_measured_of_all_is_chosen_for_some_as_if_they_alone_had_been_measured() -> None:
    some = {who for who in held_out.people(SETS) if who.subject in ("S1", "S4")}
    measured = training.gather([t for trials in SETS.values() for t in trials])
    alone = training.gather([t for trials in held_out.chosen(SETS, some).values() for t in trials])
    for chosen, measured_alone in zip(held_out._blows_of(SETS, measured, some), alone, strict=True):
        assert (chosen == measured_alone).all()


def test_a_set_is_judged_by_a_model_that_learned_from_the_others() -> None:
    folds = list(held_out.leave_sets_out(SETS))
    assert [{who.source for who in fold.left_out} for fold in folds] == [{"here"}, {"there"}]
    assert [set(fold.model.card["learned from"]) for fold in folds] == [{"there"}, {"here"}]
