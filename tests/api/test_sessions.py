"""Who signs in, stays in, and is kept out; and that no form is taken from elsewhere."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from api import sessions
from store import people
from store.postgres import Database, value
from tests.api.callers import PAGE, PASSWORD, form_token, give_account, sign_in, try_sign_in
from tests.household import Household

pytestmark = pytest.mark.anyio


_REAL = sessions._hasher


def test_passwords_cost_what_the_standard_asks() -> None:
    # RFC 9106, section 4, second recommended option: 64 MiB, 3 passes, 4 lanes.
    assert (_REAL.memory_cost, _REAL.time_cost, _REAL.parallelism) == (65536, 3, 4)


@pytest.fixture
async def doctor(database: Database, home: Household) -> str:
    await give_account(database, home.doctor, "dr.liu", "doctor")
    return "dr.liu"


async def actions(database: Database) -> list[str]:
    async with database.service() as c:
        return [a for (a,) in await (await c.execute("SELECT action FROM audit ORDER BY id")).fetchall()]


async def test_the_right_password_opens_her_own_pages(
    client: httpx.AsyncClient, database: Database, doctor: str
) -> None:
    answer = await try_sign_in(client, " Dr.Liu ")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert (await client.get("/doctor", headers=PAGE)).status_code == 200
    assert (await client.get("/care", headers=PAGE)).status_code == 403
    assert "signed_in" in await actions(database)


async def test_the_cookie_is_for_this_host_and_https_alone_and_out_of_reach_of_scripts(
    client: httpx.AsyncClient, doctor: str
) -> None:
    answer = await try_sign_in(client, doctor)
    [cookie] = [c for c in answer.headers.get_list("set-cookie") if c.startswith("__Host-hearthwatch=")]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"secure", "httponly", "samesite=lax", "path=/"} <= attributes
    assert not any(a.startswith("domain") for a in attributes)


async def test_neither_password_nor_cookie_lies_in_the_record(
    client: httpx.AsyncClient, database: Database, doctor: str
) -> None:
    await sign_in(client, doctor)
    async with database.service() as c:
        kept = str(await (await c.execute("SELECT * FROM account, session")).fetchall())
    assert PASSWORD not in kept
    assert client.cookies[sessions.COOKIE] not in kept
    assert "$argon2id$" in kept


@pytest.mark.parametrize(
    ("username", "password"), [("dr.liu", "wrong"), ("nobody", PASSWORD), ("", ""), ("dr.liu\0", "x")]
)
async def test_a_wrong_name_and_a_wrong_password_are_told_alike(
    client: httpx.AsyncClient, database: Database, doctor: str, username: str, password: str
) -> None:
    answer = await try_sign_in(client, username, password)
    assert answer.status_code == 401
    assert sessions.COOKIE not in client.cookies
    assert "The name or the password is not right" in answer.text
    assert "sign_in_refused" in await actions(database)


async def test_a_closed_account_opens_nothing_and_its_session_ends(
    client: httpx.AsyncClient, database: Database, doctor: str
) -> None:
    await sign_in(client, doctor)
    async with database.service() as c:
        await c.execute("UPDATE account SET disabled_at = now()")
    assert (await client.get("/doctor", headers=PAGE)).status_code == 303
    assert (await try_sign_in(client, doctor)).status_code == 401


async def test_guessing_is_slowed_down_even_with_the_right_password(client: httpx.AsyncClient, doctor: str) -> None:
    for _ in range(sessions.GUESSES_BY_NAME):
        assert (await try_sign_in(client, doctor, "wrong")).status_code == 401
    assert (await try_sign_in(client, doctor)).status_code == 429


async def test_many_guesses_at_once_are_counted_each(
    client: httpx.AsyncClient, database: Database, doctor: str
) -> None:
    token = await form_token(client)
    form = {"username": doctor, "password": "wrong", "csrf": token}
    answers = await asyncio.gather(*(client.post("/sign-in", data=form) for _ in range(20)))
    assert sum(a.status_code == 429 for a in answers) >= 20 - sessions.GUESSES_BY_NAME - 8
    assert (await try_sign_in(client, doctor)).status_code == 429


async def test_the_right_password_forgives_what_was_mistyped(
    client: httpx.AsyncClient, database: Database, doctor: str
) -> None:
    for _ in range(3):
        for _ in range(sessions.GUESSES_BY_NAME - 1):
            await try_sign_in(client, doctor, "wrong")
        await sign_in(client, doctor)


async def test_the_sign_in_form_is_taken_only_from_the_browser_that_asked_for_it(
    client: httpx.AsyncClient, doctor: str
) -> None:
    token = await form_token(client)
    client.cookies.clear()
    answer = await client.post("/sign-in", data={"username": doctor, "password": PASSWORD, "csrf": token}, headers=PAGE)
    assert answer.status_code == 401
    assert sessions.COOKIE not in client.cookies


async def test_signing_out_ends_the_session_in_the_record(
    client: httpx.AsyncClient, database: Database, doctor: str
) -> None:
    await sign_in(client, doctor)
    cookie = client.cookies[sessions.COOKIE]
    answer = await client.post("/sign-out", data={"csrf": await form_token(client, "/doctor")})
    assert answer.status_code == 303
    client.cookies.set(sessions.COOKIE, cookie, domain="hearthwatch.test")
    assert (await client.get("/doctor", headers=PAGE)).status_code == 303
    assert "signed_out" in await actions(database)


async def test_a_second_sign_in_ends_the_first_session_of_this_browser(
    client: httpx.AsyncClient, database: Database, doctor: str
) -> None:
    await sign_in(client, doctor)
    first = client.cookies[sessions.COOKIE]
    await sign_in(client, doctor)
    assert client.cookies[sessions.COOKIE] != first
    async with database.service() as c:
        assert await value(c, "SELECT count(*) FROM session") == 1


async def test_a_session_unused_for_a_shift_has_ended_and_one_in_use_lives_on(
    client: httpx.AsyncClient, database: Database, doctor: str
) -> None:
    await sign_in(client, doctor)
    async with database.service() as c:
        await c.execute(
            "UPDATE session SET expires_at = now() + interval '1 min', last_used_at = now() - interval '5 min'"
        )
    assert (await client.get("/doctor", headers=PAGE)).status_code == 200
    async with database.service() as c:
        session = await people.session(c, sessions.token_hash(client.cookies[sessions.COOKIE]), datetime.now(UTC))
        assert session is not None
        assert session.expires_at > datetime.now(UTC) + sessions.IDLE["doctor"] - timedelta(minutes=1)
        await c.execute("UPDATE session SET expires_at = now()")
    answer = await client.get("/doctor", headers=PAGE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?again=1")


async def test_after_signing_in_she_is_where_she_wanted_to_be(
    client: httpx.AsyncClient, doctor: str, home: Household
) -> None:
    wanted = f"/doctor/residents/{home.wang}"
    assert (await client.get(wanted, headers=PAGE)).status_code == 303
    answer = await try_sign_in(client, doctor)
    assert answer.headers["location"] == wanted


async def test_nobody_is_led_to_another_site(client: httpx.AsyncClient, doctor: str) -> None:
    await sign_in(client, doctor)
    token = await form_token(client, "/doctor")
    for elsewhere in ("https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "/a\r\nX: y"):
        answer = await client.post("/language", data={"language": "en", "next": elsewhere, "csrf": token})
        assert (answer.status_code, answer.headers["location"]) == (303, "/"), elsewhere


async def test_the_language_follows_the_person(
    client: httpx.AsyncClient, database: Database, doctor: str, home: Household
) -> None:
    await sign_in(client, doctor)
    token = await form_token(client, "/doctor")
    answer = await client.post("/language", data={"language": "en", "next": "/doctor", "csrf": token})
    assert answer.headers["location"] == "/doctor"
    page = await client.get("/doctor", headers={**PAGE, "Accept-Language": "zh-CN"})
    assert page.headers["content-language"].startswith("en")
    async with database.service() as c:
        person = await people.person(c, home.doctor.id)
    assert person is not None
    assert person.language == "en"


async def test_the_language_can_be_chosen_before_signing_in(client: httpx.AsyncClient, home: Household) -> None:
    answer = await client.post(
        "/language", data={"language": "zh_Hans", "next": "/sign-in", "csrf": await form_token(client)}
    )
    assert answer.status_code == 303
    page = await client.get("/sign-in", headers=PAGE)
    assert page.headers["content-language"].startswith("zh")


@pytest.mark.parametrize("path", ["/sign-out", "/language"])
async def test_a_form_without_the_session_s_token_is_refused(client: httpx.AsyncClient, doctor: str, path: str) -> None:
    await sign_in(client, doctor)
    for data in ({}, {"csrf": "guess"}):
        answer = await client.post(path, data={"language": "en", **data})
        assert (answer.status_code, answer.json()["type"]) == (403, "urn:hearthwatch:problem:csrf")
    assert (await client.get("/doctor", headers=PAGE)).status_code == 200


async def test_another_session_s_token_does_not_do(
    client: httpx.AsyncClient, database: Database, doctor: str, home: Household
) -> None:
    await give_account(database, home.li_na, "li.na", "care_worker")
    await sign_in(client, "li.na")
    stolen = await form_token(client, "/care")
    await sign_in(client, doctor)
    assert (await client.post("/sign-out", data={"csrf": stolen})).status_code == 403


async def test_without_a_sign_in_a_page_leads_to_it_and_a_program_is_told(
    client: httpx.AsyncClient, home: Household
) -> None:
    for path in ("/", "/doctor", "/care", "/family", "/me"):
        assert (await client.get(path, headers=PAGE)).status_code == 303
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["type"]) == (401, "urn:hearthwatch:problem:sign_in_needed")
