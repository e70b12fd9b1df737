"""The command, as an administrator types it."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import psycopg
import pytest
from typer.testing import CliRunner, Result

from alerts.channels.push import PushKeys
from api import users
from api.cli import app
from api.sessions import token_hash
from store import contacts, gateways, people, self_watch
from store.pairing import code_hash
from store.postgres import Database
from tests.api.callers import PASSWORD
from tests.household import Household, furnish

PROJECT = Path(__file__).resolve().parents[2]


def run(*words: str, database: str | None = None, typed: str | None = None, **environment: str) -> Result:
    given = {"HEARTHWATCH_DATABASE_URL": database, **{f"HEARTHWATCH_{k}": v for k, v in environment.items()}}
    return CliRunner().invoke(app, list(words), input=typed, env=given)


async def furnished(database_url: str) -> Household:
    async with Database(database_url) as database, database.service() as c:
        return await furnish(c, datetime.now(UTC))


@pytest.fixture
def home(database_url: str) -> Household:
    return anyio.run(furnished, database_url)


def ask(database_url: str, query: bytes) -> object:
    with psycopg.connect(database_url) as c:
        return c.execute(query).fetchall()


def test_the_gateway_s_commands_need_none_of_the_service_s_libraries() -> None:
    program = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'fastapi', 'starlette', 'uvicorn', 'psycopg', 'psycopg_pool', 'twilio', 'jinja2', 'babel',\n"
        "                                  'argon2', 'phonenumbers', 'prometheus_client', 'multipart', 'bumble'}:\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "from api.cli import main\n"
        "main()\n"
    )
    for words in (
        ["--help"],
        ["gateway", "--help"],
        ["gateway", "pair", "--help"],
        ["gateway", "--data", "/nonexistent/x"],
        ["falls", "evaluate", "/nonexistent/x.npz"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, *words], capture_output=True, text=True, cwd=PROJECT, check=False
        )
        assert "ModuleNotFoundError" not in done.stderr, done.stderr
        assert "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize("words", [["serve"], ["migrate"], ["status"], ["gateway", "code", "x"]])
def test_a_missing_setting_is_named_in_words(words: list[str]) -> None:
    done = run(*words)
    assert done.exit_code == 1
    assert "HEARTHWATCH_DATABASE_URL: is not set" in done.output


@pytest.mark.parametrize("words", [["migrate"], ["status"]])
def test_a_database_that_is_away_is_said_in_words(words: list[str], tmp_path: Path) -> None:
    done = run(*words, database=f"host={tmp_path} user=postgres dbname=postgres")
    assert done.exit_code == 1
    assert "the database cannot be reached" in done.output


def test_migrating_says_what_it_did(database_url: str) -> None:
    done = run("migrate", database=database_url)
    assert (done.exit_code, done.output.strip()) == (0, "the database is up to date")


def test_a_code_is_issued_with_the_command_to_type(database_url: str, home: Household) -> None:
    done = run("gateway", "code", "stairway 3", database=database_url, PUBLIC_URL="https://care.example")
    assert done.exit_code == 0
    words = done.output.split()
    code = words[words.index("pair") + 1]
    assert words[-2:] == ["--server", "https://care.example"]
    assert ask(database_url, b"SELECT pairing_hash FROM gateway WHERE name = 'stairway 3'") == [(code_hash(code),)]


def test_a_gateway_is_revoked_by_name(database_url: str, home: Household) -> None:
    assert run("gateway", "revoke", "stairway 9", database=database_url).exit_code == 0
    assert ask(database_url, b"SELECT revoked_at IS NOT NULL FROM gateway") == [(True,)]
    unknown = run("gateway", "revoke", "attic", database=database_url)
    assert unknown.exit_code == 1
    assert "there is no gateway 'attic'" in unknown.output


ADD = ("user", "add", "Zhang.Wei", "--name-zh", "张伟", "--name-en", "Zhang Wei")


def test_a_person_is_added_with_a_number_in_its_international_form(database_url: str, home: Household) -> None:
    done = run(
        *ADD,
        "--face",
        "care_worker",
        "--phone",
        "139 0000 0088",
        database=database_url,
        typed=f"{PASSWORD}\n{PASSWORD}\n",
    )
    assert done.exit_code == 0, done.output
    assert PASSWORD not in done.output
    assert ask(
        database_url,
        b"SELECT p.phone, a.face FROM person p JOIN account a ON a.person_id = p.id WHERE username = 'zhang.wei'",
    ) == [("+8613900000088", "care_worker")]
    assert ask(database_url, b"SELECT left(password_hash, 10) FROM account WHERE username = 'zhang.wei'") == [
        ("$argon2id$",)
    ]


def test_a_known_name_gets_a_new_password_and_is_signed_out(database_url: str, home: Household) -> None:
    typed = f"{PASSWORD}\n{PASSWORD}\n"
    assert run(*ADD, "--face", "family", database=database_url, typed=typed).exit_code == 0

    async def open_session() -> None:
        async with Database(database_url) as database, database.service() as c:
            account = await people.account(c, "zhang.wei")
            assert account is not None
            await people.open_session(c, token_hash("t"), account.person_id, "csrf", datetime(2100, 1, 1, tzinfo=UTC))

    anyio.run(open_session)
    before = ask(database_url, b"SELECT password_hash FROM account WHERE username = 'zhang.wei'")
    done = run(*ADD, "--face", "family", database=database_url, typed="another good one\n" * 2)
    assert "new password" in done.output
    assert ask(database_url, b"SELECT password_hash FROM account WHERE username = 'zhang.wei'") != before
    assert ask(database_url, b"SELECT count(*) FROM session") == [(0,)]


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (["--face", "janitor"], "", "the face is one of"),
        (["--face", "care_worker"], "", "give a telephone number"),
        (["--face", "family", "--phone", "12"], "", "too short"),
        (["--face", "family", "--phone", "call me"], "", "not a telephone number"),
        (["--face", "family", "--phone", "+861390000000000000"], "", "too long"),
        (["--face", "family", "--phone", "139 0000 0002"], f"{PASSWORD}\n{PASSWORD}\n", "somebody else's"),
        (["--face", "family", "--language", "fr"], "", "the language is one of"),
        (["--face", "family"], "short\nshort\n", "at least 12"),
        (["--face", "family"], "zhang.wei.1980\nzhang.wei.1980\n", "would be guessed"),
        (["--face", "family", "--centre", "Elsewhere"], f"{PASSWORD}\n{PASSWORD}\n", "which health centre"),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_is_added(
    database_url: str, home: Household, words: list[str], typed: str, said: str
) -> None:
    done = run(*ADD, *words, database=database_url, typed=typed)
    assert done.exit_code == 1
    assert said in done.output
    assert ask(database_url, b"SELECT count(*) FROM account WHERE username = 'zhang.wei'") == [(0,)]


def test_the_first_person_brings_the_health_centre(database_url: str) -> None:
    typed = f"{PASSWORD}\n{PASSWORD}\n"
    without = run(*ADD, "--face", "family", database=database_url, typed=typed)
    assert "there is no health centre yet" in without.output
    done = run(*ADD, "--face", "family", "--centre", "梧桐里", database=database_url, typed=typed)
    assert done.exit_code == 0
    assert ask(database_url, b"SELECT name_zh FROM centre") == [("梧桐里",)]


def test_the_status_shows_gateways_and_says_when_one_is_silent(database_url: str, home: Household) -> None:
    done = run("status", database=database_url)
    assert done.exit_code == 1
    assert "silent" in done.output

    async def beat() -> None:
        async with Database(database_url) as database, database.service() as c:
            said = gateways.Beat("1", clock_error_s=0.2, outbox_waiting=3, quarantined=0)
            await gateways.note_heartbeat(c, home.gateway, datetime.now(UTC), said)

    anyio.run(beat)
    done = run("status", database=database_url)
    assert done.exit_code == 0, done.output
    for words in ("stairway 9", "well", "0.0 s behind", "none", "0.0 a day"):
        assert words in done.output


def test_the_status_needs_somebody_when_no_call_has_arrived_for_long(database_url: str, home: Household) -> None:
    async def an_hour_of_silence() -> None:
        async with Database(database_url) as database, database.service() as c:
            now = datetime.now(UTC)
            await gateways.note_heartbeat(
                c, home.gateway, now, gateways.Beat("1", clock_error_s=0.0, outbox_waiting=0, quarantined=0)
            )
            await self_watch.switch_on(c, "+8613900000999", timedelta(minutes=5), now - timedelta(hours=1))

    anyio.run(an_hour_of_silence)
    done = run("status", database=database_url)
    assert "never proved" in done.output
    assert done.exit_code == 1


def test_a_number_of_another_country_keeps_its_code() -> None:
    assert users.e164("+44 20 7946 0958", "CN") == "+442079460958"


def test_keys_for_messages_in_browsers_are_printed_as_they_are_set() -> None:
    first, second = run("push-keys"), run("push-keys")
    assert first.exit_code == 0
    key = first.output.splitlines()[0].removeprefix("HEARTHWATCH_PUSH_PRIVATE_KEY=")
    assert PushKeys.parse(key).public in first.output
    assert first.output != second.output


def test_the_status_says_by_what_people_are_reached_and_whom_nothing_reaches(
    database_url: str, home: Household
) -> None:
    assert "nobody is called" in run("status", database=database_url).output
    anyio.run(stop_sms, database_url, home)
    done = run("status", database=database_url)
    assert done.exit_code == 1
    assert "by sms, voice; 1 do not get every message" in done.output


async def stop_sms(database_url: str, home: Household) -> None:
    now = datetime.now(UTC)
    async with Database(database_url) as database, database.service() as c:
        await contacts.set_channels(c, {"sms": ["twilio"], "voice": ["twilio"]}, now)
        await contacts.note_unreachable(c, home.li_na.id, home.li_na.phone or "", "sms", "opted_out", "21610", now)
