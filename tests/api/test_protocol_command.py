"""``hearthwatch protocol check`` and ``explain``, as a doctor types them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from alerts import protocol
from alerts.wording import ZH
from api.cli import app
from tests.alerts.trial import HEAD, TRIAL, rule, when


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["protocol", *map(str, words)])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "trial.toml").write_text(TRIAL, encoding="utf-8")
    return tmp_path


def test_a_protocol_that_can_be_used_is_counted(directory: Path) -> None:
    done = run("check", directory)
    assert done.exit_code == 0
    assert done.stdout == f"{protocol.load(directory).version}: 9 rules, 1 parameter, 3 groups, 1 score\n"


def test_without_a_folder_the_shipped_protocol_is_checked() -> None:
    done = run("check")
    assert done.exit_code == 0
    assert done.stdout.startswith(protocol.load().version)


def test_everything_wrong_is_told_with_file_and_line(directory: Path) -> None:
    other = HEAD + rule("slow", when("pulse", "/min", "at_least = 10", "clear_below = 5"))
    (directory / "other.toml").write_text(other, encoding="utf-8")
    (directory / "trial.toml").write_text(TRIAL.replace("at_least = 135", "at_least = 300"), encoding="utf-8")
    done = run("check", directory)
    assert done.exit_code == 1
    assert done.stdout == ""
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == [
        "other.toml, line 15",
        f"trial.toml, line {TRIAL[: TRIAL.index('at_least = 135')].count(chr(10)) + 1}",
    ]


def test_a_folder_without_a_protocol_is_refused(tmp_path: Path) -> None:
    for command in ("check", "explain"):
        done = run(command, tmp_path / "nowhere")
        assert done.exit_code == 1
        assert "there is no protocol here" in done.stderr


@pytest.mark.parametrize("language", ["en", ZH])
def test_a_protocol_is_explained_in_both_languages(directory: Path, language: str) -> None:
    done = run("explain", directory, "--language", language)
    assert done.exit_code == 0
    assert done.stdout == protocol.explain_protocol(protocol.load(directory), language) + "\n"


def test_one_rule_is_explained_with_the_numbers_of_its_protocol(directory: Path) -> None:
    done = run("explain", directory, "--rule", "oxygen.low", "--language", "en")
    assert done.stdout.startswith("Some matter (oxygen.low, version 1), high priority.")
    assert "83% for the group “Hypercapnia”" in done.stdout


def test_an_unknown_rule_is_refused_with_the_nearest(directory: Path) -> None:
    done = run("explain", directory, "--rule", "oxygen.lo")
    assert done.exit_code == 1
    assert done.stderr == "there is no rule 'oxygen.lo'; did you mean oxygen.low?\n"
