"""Nobody reaches a resident without a relation, by whatever route: every route of a page is tried, also those not yet written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute

import clinicians
from store import alerts, people, residents
from store.postgres import Database, value
from tests.api.callers import PAGE, form_token, give_account, sign_in
from tests.household import Household
from tests.opened import opened

pytestmark = pytest.mark.anyio


def routes() -> Iterator[tuple[str, str]]:
    """Every route of the faces that names a resident or an alert."""
    for route in _flat(clinicians.router.routes):
        if "{" in route.path:
            for method in sorted(route.methods - {"HEAD"}):
                yield method, route.path


def _flat(found: Any) -> Iterator[APIRoute]:
    for route in found:
        if isinstance(route, APIRoute):
            yield route
        else:
            yield from _flat(route.original_router.routes)


def test_there_are_such_routes() -> None:
    assert len(list(routes())) >= 7


async def an_alert(database: Database, resident: int) -> int:
    now = datetime.now(UTC)
    async with database.service() as c:
        alert = await opened(
            c, resident_id=resident, rule="help_call", protocol="test", priority="high", kind="event",
            happened_at=now, raised_at=now, evidence={},
        )  # fmt: skip
    assert alert is not None
    return alert


async def stranger(database: Database, home: Household, face: str) -> people.Person:
    """Somebody of this face who is related to Zhao alone."""
    async with database.service() as c:
        who = await people.add_person(c, home.centre, "陌生人", "Stranger", "+8613900000099", "en")
        await residents.grant(c, who.id, home.zhao, "family" if face == "family" else face)
    await give_account(database, who, "stranger", face)
    return who


def filled(path: str, alert: int, resident: int) -> str:
    """The route's path with the number of the alert or the resident in it."""
    number = alert if "alert" in path else resident
    return "/".join(str(number) if part.startswith("{") else part for part in path.split("/"))


@pytest.mark.parametrize("face", ["doctor", "care_worker"])
async def test_a_colleague_without_a_relation_gets_nothing_and_changes_nothing(
    client: httpx.AsyncClient, database: Database, home: Household, face: str
) -> None:
    alert = await an_alert(database, home.wang)
    await stranger(database, home, face)
    await sign_in(client, "stranger")
    token = await form_token(client, "/doctor" if face == "doctor" else "/care")
    form = {"csrf": token, "outcome": "well", "text": "seen", "hours": "1"}
    for method, path in routes():
        url = filled(path, alert, home.wang)
        answer = await client.request(method, url, data=form if method == "POST" else None, headers=PAGE)
        own = method == "GET" and answer.headers.get("location") == "/care/duty"  # the page of her own duties
        assert own or answer.status_code in (400, 403, 404), (method, url, answer.status_code)
        assert "Wang Xiuying" not in answer.text, url
        assert "王秀英" not in answer.text, url
        async with database.service() as c:
            found = await alerts.alert(c, alert)
            assert await value(c, "SELECT count(*) FROM note") == 0, url
            assert await value(c, "SELECT count(*) FROM alert_event") == 0, url
        assert found is not None
        assert found.state == "raised", url


async def test_nobody_gets_in_without_signing_in(client: httpx.AsyncClient, home: Household) -> None:
    for method, path in routes():
        assert (await client.request(method, filled(path, 1, home.wang))).status_code == 401, (method, path)


async def test_every_form_needs_the_session_s_token(
    client: httpx.AsyncClient, database: Database, home: Household
) -> None:
    alert = await an_alert(database, home.wang)
    await give_account(database, home.li_na, "li.na", "care_worker")
    await sign_in(client, "li.na")
    for method, path in routes():
        if method == "POST":
            form = {"outcome": "well", "text": "seen", "hours": "1"}
            answer = await client.post(filled(path, alert, home.wang), data=form)
            assert (answer.status_code, answer.json()["type"]) == (403, "urn:hearthwatch:problem:csrf"), path


async def test_a_daughter_sees_her_mother_s_name_and_not_the_neighbour_s(
    client: httpx.AsyncClient, app: FastAPI, database: Database, home: Household
) -> None:
    await give_account(database, home.daughter, "xiaoyan", "family")
    await sign_in(client, "xiaoyan")
    page = await client.get("/family", headers=PAGE)
    assert page.status_code == 200
    assert "Zhao Deming" not in page.text
    for elsewhere in ("/doctor", "/care", "/me", f"/doctor/residents/{home.wang}", f"/care/residents/{home.wang}"):
        assert (await client.get(elsewhere, headers=PAGE)).status_code == 403, elsewhere
