"""``hearthwatch falls``, as somebody types it who brings recordings of her own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from devices.falls import training
from devices.falls.recordings import Trial, write
from devices.virtual.body import RATE_HZ, Body, Doing

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def few_trees() -> Iterator[None]:
    """A tenth of the usual forest: as quick as a test should be, and enough for made-up bodies."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_TREES", 30)
        yield


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["falls", *map(str, words)])


def trial(seed: int, *, falls: bool, position: str = "wrist") -> Trial:
    body = Body(seed)
    body.doing = Doing.WALKING
    before = body.take(10 * RATE_HZ)
    if falls:
        body.fall()
    samples = np.concatenate([before, body.take(15 * RATE_HZ)])
    return Trial(
        samples=samples,
        rate_hz=50.0,
        subject=f"S{seed}",
        activity="F1" if falls else "D1",
        trial=1,
        is_fall=falls,
        elderly=seed > 1,
        position=position,
    )


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("falls") / "own.npz"
    write(path, [trial(seed, falls=falls) for seed in range(4) for falls in (True, False)], "made up")
    return path


def evaluated(*words: str | Path) -> dict[str, Any]:
    done = run("evaluate", *words, "--json")
    assert done.exit_code == 0, done.output
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_every_recording_is_told_with_decision_probability_and_time(recordings: Path) -> None:
    document = evaluated(recordings)
    assert [r["index"] for r in document["recordings"]] == list(range(8))
    for r in document["recordings"]:
        assert r["decision"] is r["is_fall"] is r["reaches_staff"]
        assert r["position"] == "wrist"
        assert (r["time_s"] is not None and 10 < r["time_s"] < 12) or not r["is_fall"]
        told = {"kind", "time_s", "probability", "impact_g", "free_fall_ms", "stillness_s", "posture_change_deg"}
        assert all(told <= set(e) for e in r["events"])
    assert document["summary"]["groups"][0]["sensitivity"]["value"] == 1.0
    assert 0 < document["model"]["thresholds"]["wrist"] < 1


def test_several_processes_say_what_one_says(recordings: Path) -> None:
    assert evaluated(recordings, "--jobs", "2") == evaluated(recordings, "--jobs", "1")


def test_two_files_of_one_name_are_told_apart(recordings: Path, tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_bytes(recordings.read_bytes())
    document = evaluated(recordings, tmp_path / "own.npz")
    assert [r["set"] for r in document["recordings"]] == [str(recordings)] * 8 + [str(tmp_path / "own.npz")] * 8


def test_a_coarser_sensor_and_another_operating_point_may_be_asked_for(recordings: Path) -> None:
    document = evaluated(recordings, "--rate", "20", "--range", "2", "--threshold", "1")
    assert document["summary"]["sensor"] == {"rate_hz": 20, "range_g": 2.0}
    assert document["model"]["thresholds"] == {"wrist": 1.0}
    assert not any(r["decision"] for r in document["recordings"])


@pytest.mark.parametrize("words", [[], ["--markdown"]])
def test_people_get_tables(recordings: Path, words: list[str]) -> None:
    done = run("evaluate", recordings, *words)
    assert done.exit_code == 0, done.output
    for said in ("sensitivity", "false alarms/h", "100.0", "elderly", "Operating curve"):
        assert said in done.stdout


def test_a_sensor_whose_place_is_unknown_needs_a_word(tmp_path: Path) -> None:
    write(tmp_path / "own.npz", [trial(1, falls=True, position="ankle")], "")
    done = run("evaluate", tmp_path / "own.npz", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "worn at 'ankle'" in done.stderr
    assert evaluated(tmp_path / "own.npz", "--position", "pocket")["recordings"][0]["position"] == "pocket"


def test_what_is_no_file_of_recordings_is_said_on_the_error_channel(tmp_path: Path) -> None:
    (tmp_path / "notes.npz").write_text("not recordings")
    done = run("evaluate", tmp_path / "notes.npz", "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "cannot be read as npz" in done.stderr


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A centre's recordings: eight people who fall and who throw the wearable on the bed."""
    path = tmp_path_factory.mktemp("own") / "ours.npz"
    write(path, [t for seed in range(8) for t in (trial(seed, falls=True), thrown(seed))], "acted in our gym")
    return path


def thrown(seed: int) -> Trial:
    body = Body(seed)
    body.doing = Doing.WALKING
    before = body.take(7 * RATE_HZ)
    body.throw()
    return replace(trial(seed, falls=False), samples=np.concatenate([before, body.take(10 * RATE_HZ)]))


@pytest.fixture(scope="module")
def model(own: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "gym"
    done = run("train", own, "--out", folder, "--leave-out", "S6", "--leave-out", "S7", "--position", "pocket")
    assert done.exit_code == 0, done.output
    assert "judged on people left out" in done.stdout
    assert "ours, pocket" in done.stdout
    assert "100.0" in done.stdout
    return folder


def test_a_centre_s_own_model_says_of_whom_it_learned(model: Path) -> None:
    done = run("card", "--model", model)
    assert done.exit_code == 0, done.output
    for said in ("name: gym, 20", "ours: acted in our gym", "people: 6", "pocket: 12", "- S6", "falls told: 6 of 6"):
        assert said in done.stdout


def test_a_centre_s_own_model_judges(own: Path, model: Path) -> None:
    document = evaluated(own, "--model", model)
    assert all(r["decision"] is r["is_fall"] for r in document["recordings"])
    assert document["model"]["card"]["nothing learned of"] == ["S6", "S7"]
    assert document["model"]["thresholds"] != evaluated(own)["model"]["thresholds"]


def test_people_are_left_out_in_turn(own: Path, tmp_path: Path) -> None:
    done = run("train", own, "--out", tmp_path, "--folds", "4")
    assert done.exit_code == 0
    for said in (f"card are in {tmp_path}", "judged on people left out", "ours, wrist", "100.0", "Operating curve"):
        assert said in done.stdout


def test_too_few_to_learn_anew_without_half_of_them_are_judged_as_on_the_card(own: Path, tmp_path: Path) -> None:
    done = run("train", own, "--out", tmp_path, "--folds", "2")
    assert done.exit_code == 0
    assert "too few people to learn anew without some of them" in done.stderr
    assert "ours: falls told 8 of 8, daily life in which a fall was told 0 of 8" in done.stdout
    assert (tmp_path / "falls.npz").exists()


def test_the_card_of_the_shipped_model_is_said(recordings: Path) -> None:
    done = run("card")
    assert done.exit_code == 0
    for said in ("name: Hearthwatch falls", "sisfall_waist50", "licence: none stated", "limits:", "  wrist: 9"):
        assert said in done.stdout


def test_too_little_to_learn_from_says_what_is_missing(recordings: Path, tmp_path: Path) -> None:
    done = run("train", recordings, "--out", tmp_path / "model")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "recordings of 5 people" in done.stderr
    assert "recordings of 4, with falls of 4 and blows of daily life of 0" in done.stderr
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--leave-out", "Mary"], "no recording of Mary"),
        (["evaluate", "--model", "nowhere"], "nowhere holds no model"),
    ],
)
def test_what_is_not_there_is_said(own: Path, tmp_path: Path, words: list[str], said: str) -> None:
    done = run(*words, own)
    assert (done.exit_code, done.stdout) == (1, "")
    assert said in done.stderr


def test_to_learn_without_scikit_learn_is_answered_with_how_to_get_it(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    done = run("train", own)
    assert (done.exit_code, done.stdout) == (1, "")
    assert "pip install 'hearthwatch[training]'" in done.stderr


def test_the_commands_are_listed_without_loading_what_they_need() -> None:
    program = "import sys; from api.cli import app; sys.exit('numpy' in sys.modules or 'devices' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], cwd=PROJECT, check=False).returncode == 0
