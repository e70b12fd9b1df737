"""An open page is told what changes, about nobody but those it may show, and the server stops without waiting for it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx
import pytest

from api import live, sessions
from api.server import Server, make_server
from store import alerts, equipment, notes, people, residents
from store.people import Person
from store.postgres import Database
from tests.api.callers import give_account
from tests.api.conftest import settings_for
from tests.clinicians.lived import raise_alert
from tests.household import Household, put_on_duty

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def serving(database_url: str) -> AsyncIterator[tuple[Server, str]]:
    """The real server on a port of its own."""
    server = make_server(settings_for(database_url).model_copy(update={"port": 0}))
    task = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
        await anyio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield server, f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 20)


async def cookie_of(database: Database, person: Person, face: str) -> dict[str, str]:
    """A browser in which she is signed in."""
    await give_account(database, person, person.name_en.split()[0].lower(), face)
    token = f"session of {person.name_en}"
    async with database.service() as c:
        ends = datetime.now(UTC) + sessions.IDLE[face]
        await people.open_session(c, sessions.token_hash(token), person.id, "csrf", ends)
    return {"Cookie": f"{sessions.COOKIE}={token}"}


class Page:
    """An open page's events, as they come."""

    def __init__(self, lines: AsyncIterator[str]) -> None:
        self._lines = lines

    async def next(self) -> tuple[str, dict[str, Any]]:
        """The next event and its data."""
        name = ""
        with anyio.fail_after(10):
            async for line in self._lines:
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    return name, json.loads(line.removeprefix("data: "))
        raise EOFError

    async def change(self) -> dict[str, Any]:
        """The next change about a resident."""
        while True:
            name, data = await self.next()
            if name == "change" and data["resident_id"] is not None:
                return data


@asynccontextmanager
async def open_page(url: str, headers: dict[str, str]) -> AsyncIterator[Page]:
    async with httpx.AsyncClient(timeout=30) as client, client.stream("GET", f"{url}/live", headers=headers) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        page = Page(answer.aiter_lines())
        while (await page.next())[0] != "beat":
            pass
        yield page


async def write_note(database: Database, home: Household, resident: int) -> None:
    async with database.service() as c:
        await notes.add(c, resident, home.doctor.id, "seen", datetime.now(UTC))


async def test_a_daughter_hears_of_her_mother_and_of_nobody_else(
    database: Database, database_url: str, home: Household
) -> None:
    cookie = await cookie_of(database, home.daughter, "family")
    async with serving(database_url) as (_, url), open_page(url, cookie) as page:
        await write_note(database, home, home.zhao)
        await write_note(database, home, home.wang)
        assert await page.change() == {"kind": "note", "resident_id": home.wang}


async def test_a_change_of_a_hundred_things_at_once_is_told_once(
    database: Database, database_url: str, home: Household
) -> None:
    cookie = await cookie_of(database, home.doctor, "doctor")
    async with serving(database_url) as (_, url), open_page(url, cookie) as page:
        async with database.service() as c:
            for n in range(100):
                await notes.add(c, home.wang, home.doctor.id, f"note {n}", datetime.now(UTC))
        await write_note(database, home, home.zhao)
        assert [await page.change(), await page.change()] == [
            {"kind": "note", "resident_id": home.wang},
            {"kind": "note", "resident_id": home.zhao},
        ]


async def test_a_relation_that_ends_ends_what_is_told(
    database: Database, database_url: str, home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_RECHECK_S", 0.0)
    cookie = await cookie_of(database, home.doctor, "doctor")
    async with serving(database_url) as (_, url), open_page(url, cookie) as page:
        async with database.service() as c:
            await residents.end_relation(c, home.doctor.id, home.wang, "doctor")
        await write_note(database, home, home.wang)
        await write_note(database, home, home.zhao)
        assert (await page.change())["resident_id"] == home.zhao


async def test_signing_out_ends_the_stream(
    database: Database, database_url: str, home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_RECHECK_S", 0.0)
    cookie = await cookie_of(database, home.doctor, "doctor")
    async with serving(database_url) as (_, url), open_page(url, cookie) as page:
        async with database.service() as c:
            await people.close_sessions(c, home.doctor.id)
        await write_note(database, home, home.wang)
        with pytest.raises(EOFError):
            await page.next()


async def test_it_beats_while_nothing_happens(
    database: Database, database_url: str, home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "BEAT_S", 0.05)
    cookie = await cookie_of(database, home.doctor, "doctor")
    async with serving(database_url) as (_, url), open_page(url, cookie) as page:
        for _ in range(3):
            assert (await page.next())[0] == "beat"


async def test_nobody_signed_in_hears_anything(database_url: str, home: Household) -> None:
    async with serving(database_url) as (_, url), httpx.AsyncClient() as client:
        assert (await client.get(f"{url}/live")).status_code == 401


async def test_the_server_stops_without_waiting_for_open_pages(
    database: Database, database_url: str, home: Household
) -> None:
    cookie = await cookie_of(database, home.doctor, "doctor")
    async with serving(database_url) as (server, url), open_page(url, cookie) as page:
        began = time.monotonic()
        server.should_exit = True
        with pytest.raises(EOFError):
            await page.next()
        assert time.monotonic() - began < server.config.timeout_graceful_shutdown  # type: ignore[operator]


async def test_ten_megabytes_are_refused_by_the_real_server_too(database_url: str, home: Household) -> None:
    async with serving(database_url) as (_, url), httpx.AsyncClient(timeout=30) as client:
        headers = {"Authorization": "Bearer hw_a-key-for-tests"}
        answer = await client.post(f"{url}/v1/readings", content=b" " * 10_000_000, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


async def test_an_administrator_is_told_of_her_own_centre_s_gateways_and_of_nobody_s_health(
    database: Database, database_url: str, home: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "_RECHECK_S", 0.0)
    async with database.service() as c:
        centre = await people.add_centre(c, "别处", "Elsewhere", None, "Asia/Shanghai")
        other = await people.add_person(c, centre, "外人", "Outsider Abroad", None, "en")
    await cookie_of(database, other, "administrator")
    cookie = await cookie_of(database, home.administrator, "administrator")
    async with serving(database_url) as (_, url), open_page(url, cookie) as page:
        async with database.service() as c:
            far = await equipment.add_gateway(c, other.id, "far away")
            await equipment.look(c, other.id, far, datetime.now(UTC))
        await write_note(database, home, home.wang)
        async with database.service() as c:
            await equipment.look(c, home.administrator.id, home.gateway, datetime.now(UTC))
        told: list[dict[str, Any]] = []
        while not told or told[-1]["kind"] != "gateway":
            name, data = await page.next()
            told += [data] if name == "change" else []
        assert [t["kind"] for t in told if t["kind"] != "reconnected"] == ["gateway"]
        async with database.service() as c:
            await equipment.look(c, other.id, far, None)
            await equipment.revoke(c, home.administrator.id, home.gateway, datetime.now(UTC))
        assert (await page.next())[1]["kind"] == "gateway"


async def test_all_staff_of_a_centre_are_told_that_its_wall_has_changed_and_families_are_not(
    database: Database, database_url: str, home: Household
) -> None:
    """An urgent alert, and one that nobody answers, concern who has no tie to the resident; what is less waits for its people."""
    administrator = await cookie_of(database, home.administrator, "administrator")
    daughter = await cookie_of(database, home.daughter, "family")
    now = datetime.now(UTC)
    async with (
        serving(database_url) as (_, url),
        open_page(url, administrator) as hers,
        open_page(url, daughter) as family,
    ):
        async with database.service() as c:
            low = await raise_alert(c, home.wang, "device.battery", now, {"battery": 9.0})
            await alerts.update(c, low, {"state": "notifying", "step": 1, "climb_at": now})
        await write_note(database, home, home.wang)
        assert (await family.change())["kind"] == "alert"
        async with database.service() as c:
            high = await raise_alert(c, home.zhao, "fall", now, {"probability": 0.9}, step=1)
        assert await next_change(hers) == {"kind": "wall", "resident_id": None}
        async with database.service() as c:
            await alerts.update(c, low, {"exhausted_at": now})
        assert await next_change(hers) == {"kind": "wall", "resident_id": None}
        async with database.service() as c:
            await alerts.update(c, high, {"state": "acknowledged"})
            await put_on_duty(c, home.centre, "volunteer", 1, home.chen)
        assert {(await next_change(hers))["kind"] for _ in range(2)} == {"wall", "rota"}
        await write_note(database, home, home.wang)
        while (told := await next_change(family))["kind"] != "note" or told["resident_id"] != home.wang:
            assert told["kind"] in ("alert", "note")


async def next_change(page: Page) -> dict[str, Any]:
    """The next change of whatever kind."""
    while True:
        name, data = await page.next()
        if name == "change" and data["kind"] != "reconnected":
            return data
