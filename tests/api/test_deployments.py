"""Protocols from the command line, and what administrators and doctors see of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import httpx
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from alerts import deployment
from alerts.deployment import shipped
from api.cli import app
from store import alerts
from store.postgres import Connection, Database
from tests.alerts.protocols import rule, texts
from tests.clinicians.lived import open_service, visit
from tests.household import Household, furnish
from tests.opened import opened

OWN = texts(rule("bp.severe", "血压过高{systolic}", "Pressure {systolic}"))
STRICTER = texts(rule("bp.severe", "血压过高{systolic}", "Pressure {systolic}", level=175), day="2026-11-30")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return folder(tmp_path / "own", OWN)


@pytest.fixture
def stricter(tmp_path: Path) -> Path:
    return folder(tmp_path / "stricter", STRICTER)


def folder(path: Path, files: Mapping[str, str]) -> Path:
    path.mkdir()
    for name, text in files.items():
        (path / name).write_text(text, encoding="utf-8")
    return path


def run(database: str, *words: str, typed: str | None = None) -> Result:
    given = {"HEARTHWATCH_DATABASE_URL": database, "USER": "sun.lihua"}
    return CliRunner().invoke(app, ["protocol", *words], input=typed, env=given)


def done(database: str, *words: str) -> str:
    result = run(database, *words)
    assert result.exit_code == 0, result.output
    return result.output


def refused(database: str, *words: str) -> str:
    result = run(database, *words)
    assert result.exit_code == 1
    return result.output


def staged(database: str, path: Path) -> str:
    """The version under which it is kept."""
    return done(database, "stage", str(path), "--why", "signed by Dr Liu").split()[2]


def test_a_protocol_is_staged_compared_brought_into_force_and_replaced(
    database_url: str, own: Path, stricter: Path
) -> None:
    first = staged(database_url, own)
    assert f"from {shipped().version} to {first}" in done(database_url, "diff")
    assert f"{first} is in force from" in done(database_url, "activate", first, "--yes")

    second = staged(database_url, stricter)
    compared = done(database_url, "diff", first, second)
    assert "judges otherwise: bp.severe\n  begins anew with every resident" in compared
    assert "at least 180 mmHg" in compared
    assert "+ Fires when systolic blood pressure is at least 175 mmHg." in compared

    done(database_url, "activate", second, "--at", "2126-12-01T08:00+08:00", "--why", "the round of autumn", "--yes")
    listed = done(database_url, "list")
    assert f"{first}\n  staged" in listed
    assert "sun.lihua: signed by Dr Liu\n  in force since" in listed
    assert "comes into force" in listed
    assert "sun.lihua: the round of autumn" in listed

    assert f"{second} comes into force at" in refused(database_url, "activate", shipped().version, "--yes")
    done(database_url, "cancel", second)
    done(database_url, "activate", second, "--yes")
    assert "was in force from" in done(database_url, "list")


def test_whoever_activates_reads_the_difference_and_is_asked(database_url: str, own: Path) -> None:
    version = staged(database_url, own)
    result = run(database_url, "activate", version, typed="n\n")
    assert "gone: help_call" in result.output
    assert f"Bring {version} into force now?" in result.output
    assert result.exit_code == 1
    assert "waits for a decision" in done(database_url, "list")


def test_folders_are_compared_without_a_record(own: Path, stricter: Path) -> None:
    assert "judges otherwise: bp.severe" in done("", "diff", str(own), str(stricter))
    assert "不低于175 mmHg" in done("", "diff", str(own), str(stricter), "--language", "zh_Hans")
    assert "no rule is another" in done("", "diff", str(own), str(own))


def test_a_folder_is_compared_with_what_is_in_force(database_url: str, own: Path) -> None:
    assert "gone: help_call" in done(database_url, "diff", str(own))


def test_each_fault_of_a_refused_protocol_is_said(database_url: str, own: Path) -> None:
    (own / "own.toml").write_text(OWN["own.toml"].replace("at_least = 180", "at_leest = 180"), encoding="utf-8")
    said = refused(database_url, "stage", str(own), "--why", "a try")
    assert "own.toml, line" in said
    assert "at_leest" in said
    assert "waits" not in done(database_url, "list")


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2020-01-01T08:00+08:00", "is over: a protocol comes into force now or later"),
        ("2126-12-01T08:00", "names no time zone"),
        ("tomorrow", "'tomorrow' is no instant"),
    ],
)
def test_an_instant_that_cannot_be_is_refused_in_words(database_url: str, own: Path, at: str, words: str) -> None:
    assert words in refused(database_url, "activate", staged(database_url, own), "--at", at, "--yes")


@pytest.mark.parametrize("words", [["activate", "2020-01-01-00000000", "--yes"], ["show", "x"], ["diff", "x"]])
def test_a_version_that_is_not_there_is_named(database_url: str, words: list[str]) -> None:
    assert "there is no protocol" in refused(database_url, *words)


def test_nothing_waits_in_a_fresh_record(database_url: str) -> None:
    assert "nothing waits" in refused(database_url, "diff")
    assert f"{shipped().version}\n  staged" in done(database_url, "list")


def test_a_protocol_is_shown_and_written_out_to_begin_another_from(
    database_url: str, own: Path, tmp_path: Path
) -> None:
    version = staged(database_url, own)
    shown = done(database_url, "show", version, "--out", str(tmp_path / "copy"))
    assert "Fires when systolic blood pressure is at least 180 mmHg." in shown
    assert (tmp_path / "copy" / "own.toml").read_text(encoding="utf-8") == OWN["own.toml"]
    assert "is there already" in refused(database_url, "show", version, "--out", str(tmp_path / "copy"))


async def upgraded(c: Connection) -> str:
    """A centre that runs what an earlier release brought, after this release has started once."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    kept = await deployment.stage(c, OWN, by="an earlier release", why="came with it", now=now)
    await deployment.activate(c, kept.version, now, instead_of=None, by="an earlier release", now=now)
    await deployment.register_shipped(c, now)
    return kept.version


def test_the_status_says_what_is_in_force_and_that_a_newer_one_waits(database_url: str) -> None:
    async def prepare() -> str:
        async with Database(database_url) as database, database.service() as c:
            return await upgraded(c)

    def status() -> Result:
        given = {"HEARTHWATCH_DATABASE_URL": database_url, "COLUMNS": "200"}
        return CliRunner().invoke(app, ["status"], env=given)

    assert "none yet" in status().output
    version = anyio.run(prepare)
    said = status()
    assert said.exit_code == 1
    assert f"{version}, in force since" in said.output
    assert f"{shipped().version} came with this release and waits" in said.output
    done(database_url, "decline", shipped().version, "--why", "ours is stricter")
    assert (status().exit_code, "waits" in status().output.replace("messages waiting", "")) == (0, False)


@pytest.fixture
async def home(database: Database) -> Household:
    async with database.service() as c:
        return await furnish(c, datetime.now(UTC))


async def page(service: FastAPI, person: object, path: str, language: str) -> str:
    browser: httpx.AsyncClient = await visit(service, person, language)  # type: ignore[arg-type]
    return (await browser.get(path)).text


@pytest.mark.anyio
async def test_an_administrator_sees_what_is_in_force_and_what_waits(
    database_url: str, database: Database, home: Household
) -> None:
    async with database.service() as c:
        version = await upgraded(c)
    async with open_service(database_url) as service:
        english = await page(service, home.administrator.id, "/admin", "en")
        assert f"Protocol {version} is in force since" in english
        assert f"Protocol {shipped().version} came with this release and waits for a decision" in english
        chinese = await page(service, home.administrator.id, "/admin", "zh_Hans")
        assert f"本次升级带来的规程{shipped().version}有待决定" in chinese


@pytest.mark.anyio
async def test_an_alert_keeps_its_words_on_every_page_and_the_doctor_reads_who_made_it(
    database_url: str, database: Database, home: Household
) -> None:
    async with database.service() as c:
        version, now = await upgraded(c), datetime.now(UTC)
        await opened(
            c, resident_id=home.wang, rule="bp.severe", protocol=version, priority="high", kind="physiological",
            happened_at=now, raised_at=now, evidence={"systolic": 182.0},
        )  # fmt: skip
        (row,) = await alerts.open_alerts(c, home.wang)
        await alerts.add_event(c, row.id, home.wang, "raised", at=now)
    async with open_service(database_url) as service:
        doctor_s = f"/doctor/residents/{home.wang}"
        assert "no longer in force" not in await page(service, home.doctor.id, doctor_s, "en")
        async with database.service() as c:
            now = datetime.now(UTC)
            await deployment.activate(c, shipped().version, now, instead_of=version, by="Sun Lihua", now=now)
        for person, path in (
            (home.doctor, "/doctor"), (home.doctor, doctor_s),
            (home.li_na, "/care"), (home.li_na, f"/care/residents/{home.wang}"),
        ):  # fmt: skip
            assert "Pressure 182" in await page(service, person.id, path, "en")
        assert f"Raised by protocol {version}, which is no longer in force." in await page(
            service, home.doctor.id, doctor_s, "en"
        )
        assert "血压过高182" in await page(service, home.wang_person, "/me", "zh_Hans")
