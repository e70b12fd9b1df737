"""``hearthwatch backtest``, as an administrator types it before a protocol goes live."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from typer.testing import CliRunner, Result

from alerts import protocol
from api.cli import app
from store import readings
from store.postgres import Database
from tests.household import Household, batch, furnish


def run(database_url: str, *words: str | Path) -> Result:
    given = {"HEARTHWATCH_DATABASE_URL": database_url, "COLUMNS": "200"}
    return CliRunner().invoke(app, ["backtest", *map(str, words)], env=given)


async def lived(database_url: str) -> Household:
    """Mrs Wang has measured twice severe a week ago, and called for help yesterday; Mr Zhao is well."""
    now = datetime.now(UTC)
    async with Database(database_url) as database, database.service() as c:
        home = await furnish(c, now)
        await c.execute("UPDATE resident SET enrolled_at = %s", [now - timedelta(days=60)])
        for hours in (170.0, 169.9):
            at = now - timedelta(hours=hours)
            pair = [(home.wang, home.cuff, "systolic", 192.0, at), (home.wang, home.cuff, "diastolic", 118.0, at)]
            await readings.insert(c, batch(home, *pair, received_at=at))
        at = now - timedelta(hours=24)
        await readings.insert(c, batch(home, (home.wang, home.button, "help_call", 1.0, at), received_at=at))
    return home


@pytest.fixture
def record(database_url: str) -> str:
    anyio.run(lived, database_url)
    return database_url


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """The shipped protocol with another name for calls for help."""
    for name, text in protocol.texts_in(protocol.SHIPPED).items():
        (tmp_path / name).write_text(
            text.replace('title.en = "Call for help"', 'title.en = "Help button"'), encoding="utf-8"
        )
    return tmp_path


def test_two_protocols_stand_side_by_side(record: str, other: Path) -> None:
    done = run(record, "--protocol", other, "--against", "shipped", "--days", "30", "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert "2 residents, 60 resident-days" in done.output
    assert re.search(r"Messages to staff per resident and week +0\.23.*aim: at most 1", done.output)
    assert re.search(r"Help button +1\.67 .* 1 +1\.67 .* 1 +Urgent, only other words", done.output)
    assert re.search(r"Blood pressure very high +1\.67 .* 1", done.output)


def test_the_page_needs_nothing_else_and_names_nobody(record: str, other: Path, tmp_path: Path) -> None:
    for language, title in (("en", "Backtest of a protocol"), ("zh_Hans", "规程回测")):
        file = tmp_path / f"{language}.html"
        done = run(record, "--protocol", other, "--days", "30", "--html", file, "--language", language, "--jobs", "1")
        assert done.exit_code == 0, done.output
        html = file.read_text(encoding="utf-8")
        assert title in html
        assert "王秀英" not in html
        assert "Wang" not in html
        assert not re.search(r"(src|href)=", html)
        assert set(re.findall(r"https?://[^\"]+", html)) == {"http://www.w3.org/2000/svg"}


def test_the_current_protocol_is_the_one_in_force(record: str) -> None:
    done = run(record, "--protocol", "current", "--days", "8", "--jobs", "1")
    assert done.exit_code == 0, done.output
    assert "Both protocols would have raised about as many alerts." in done.output


def test_several_processes_share_the_work(record: str) -> None:
    done = run(record, "--protocol", "shipped", "--days", "8", "--jobs", "2")
    assert done.exit_code == 0, done.output
    assert "2 residents, 16 resident-days" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--protocol", "2020-01-01-00000000"], "there is no protocol '2020-01-01-00000000'"),
        (
            ["--protocol", "shipped", "--centre", "Nowhere"],
            "say which health centre with --centre: 'Huaishu Street Health Centre'",
        ),
        (["--protocol", "shipped", "--language", "fr"], "the language is one of zh_Hans, en"),
        (["--protocol", "shipped", "--days", "5", "--html", "/nowhere/x.html", "--jobs", "1"], "cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(record: str, words: list[str], said: str) -> None:
    done = run(record, *words)
    assert done.exit_code == 1
    assert said in done.output


def test_a_protocol_with_a_fault_is_refused_with_file_and_line(record: str, other: Path) -> None:
    (other / "own.toml").write_text('protocol = "own"\nversion = 2026-11-29\n[[rule]]\nid = "X"\n', encoding="utf-8")
    done = run(record, "--protocol", other)
    assert done.exit_code == 1
    assert "own.toml, line 4" in done.output


def test_nobody_watched_over_is_said(database_url: str) -> None:
    done = run(database_url, "--protocol", "shipped")
    assert done.exit_code == 1
    assert "nobody was watched over in these days" in done.output
