"""What staff said of a fall becomes the label of its recording, and nobody can be found in the file."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from api.falls_export import trials
from devices.falls.recordings import read
from store import falls
from store.postgres import Connection, Database
from tests.clinicians.fallen import fall, felt, tell
from tests.household import Household, furnish

NOW = datetime.now(UTC)
HOURS_AGO = [NOW - timedelta(hours=n) for n in range(30, 0, -5)]


async def judged(c: Connection, home: Household, at: datetime, verdict: str, what: str) -> int:
    number = await fall(c, home, at)
    await c.execute("UPDATE alert SET state = 'resolved', resolved_at = %s WHERE id = %s", [at, number])
    await falls.judge(c, number, home.wang, home.li_na.id, at, verdict, what)
    return number


async def lived_through(url: str) -> Household:
    """Six falls of Wang were told: one true, two not, one unclear, one nobody spoke of, one she answered herself."""
    async with Database(url) as database, database.service() as c:
        home = await furnish(c, NOW)
        await judged(c, home, HOURS_AGO[0], "fall", "helped")
        await judged(c, home, HOURS_AGO[1], "no_fall", "arm")
        corrected = await judged(c, home, HOURS_AGO[2], "fall", "well")
        await falls.judge(c, corrected, home.wang, home.li_na.id, NOW, "no_fall", "sat_down")
        await judged(c, home, HOURS_AGO[3], "unclear", "")
        unspoken = await fall(c, home, HOURS_AGO[4])
        await c.execute("UPDATE alert SET state = 'resolved' WHERE id = %s", [unspoken])
        await tell(c, home, "fall", HOURS_AGO[5], 0.6, {})
    return home


@pytest.fixture
def home(database_url: str) -> Household:
    return anyio.run(lived_through, database_url)


def run(database: str, *words: Any, typed: str = "y\n") -> Result:
    given = ["falls", "export", *map(str, words)]
    return CliRunner().invoke(app, given, input=typed, env={"HEARTHWATCH_DATABASE_URL": database})


def audited(database: str) -> list[Any]:
    with psycopg.connect(database) as c:
        return c.execute("SELECT resident_id, detail FROM audit WHERE action = 'exported_falls'").fetchall()


def test_recordings_are_written_with_the_newest_word_of_staff(
    database_url: str, home: Household, tmp_path: Path
) -> None:
    out = tmp_path / "falls.npz"
    answer = run(database_url, out, "--consented")
    assert answer.exit_code == 0, answer.output
    assert "3 of 5 recordings, 1 of them falls" in answer.output
    found = read(out)
    assert [(t.activity, t.is_fall, t.trial) for t in found] == [
        ("fall", True, 1),
        ("arm", False, 2),
        ("sat_down", False, 3),
    ]
    assert {(t.rate_hz, t.elderly, t.position, t.onset_s) for t in found} == {(50.0, True, "wrist", None)}
    assert np.allclose(found[0].samples, felt() / 1000)
    assert out.stat().st_mode & 0o077 == 0
    [(resident, detail)] = audited(database_url)
    assert (resident, detail["recordings"]) == (home.wang, 3)


def test_nothing_is_written_unless_its_consent_is_said_twice(
    database_url: str, home: Household, tmp_path: Path
) -> None:
    out = tmp_path / "falls.npz"
    for words, typed in (([out], "y\n"), ([out, "--consented"], "n\n")):
        assert run(database_url, *words, typed=typed).exit_code == 1
    assert not out.exists()
    assert audited(database_url) == []


@pytest.mark.parametrize("words", [["--resident", "99"], ["--since", (NOW + timedelta(days=2)).strftime("%Y-%m-%d")]])
def test_what_was_not_asked_for_is_not_written(
    database_url: str, home: Household, tmp_path: Path, words: list[str]
) -> None:
    answer = run(database_url, tmp_path / "falls.npz", "--consented", *words)
    assert answer.exit_code == 1
    assert "staff have said of none of" in answer.output


def test_a_file_that_is_there_is_left_alone(database_url: str, home: Household, tmp_path: Path) -> None:
    out = tmp_path / "falls.npz"
    out.write_text("of somebody else")
    assert run(database_url, out, "--consented").exit_code == 1
    assert out.read_text() == "of somebody else"
    assert audited(database_url) == []


@pytest.mark.anyio
async def test_a_wearer_bears_another_name_in_each_export(database: Database) -> None:
    async with database.service() as c:
        home = await furnish(c, NOW)
        await judged(c, home, HOURS_AGO[0], "fall", "helped")
        chosen = await falls.labelled(c, HOURS_AGO[0] - timedelta(minutes=1))
    [one], [again], [other] = (trials(chosen, key, "wrist") for key in (b"one", b"one", b"other"))
    assert one.subject == again.subject != other.subject
    assert str(home.wang) not in (one.subject, other.subject)
