"""Those who call the service: a gateway, and people in browsers."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any, Final

import httpx

from api.sessions import hash_password
from store import people
from store.postgres import Database

PUBLIC_URL: Final = "https://hearthwatch.test"
ACCOUNT, TOKEN, NUMBER = "AC" + "1" * 32, "a secret of the telephone network", "+8610555500"
KEY: Final = "hw_a-key-for-tests"
PASSWORD: Final = "correct horse battery"
GATEWAY: Final = {"Authorization": f"Bearer {KEY}"}
CUFF, WEARABLE, BUTTON, ZHAO_CUFF = (f"C0:00:00:00:00:0{n}" for n in (1, 2, 3, 4))
PAGE: Final = {"Accept": "text/html,application/xhtml+xml", "Accept-Language": "en"}


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def reading(metric: str, value: float, at: datetime, device: str = CUFF, **more: Any) -> dict[str, Any]:
    """A reading as a gateway sends it, collected as it was measured unless ``more`` says otherwise."""
    return {
        "device": device,
        "metric": metric,
        "value": value,
        "measured_at": iso(at),
        "collected_at": iso(at),
        **more,
    }


async def send(client: httpx.AsyncClient, *readings: Any, refused: Any = ()) -> httpx.Response:
    """Hand a batch over as the household's gateway."""
    return await client.post("/v1/readings", json={"readings": readings, "refused": list(refused)}, headers=GATEWAY)


async def give_account(database: Database, person: people.Person, username: str, face: str) -> None:
    async with database.service() as c:
        await people.add_account(c, person.id, username, hash_password(PASSWORD), face)


async def form_token(client: httpx.AsyncClient, path: str = "/sign-in") -> str:
    """The hidden token of a page's forms."""
    page = await client.get(path, headers=PAGE)
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text[:2000]
    return found[1]


async def try_sign_in(client: httpx.AsyncClient, username: str, password: str = PASSWORD) -> httpx.Response:
    form = {"username": username, "password": password, "csrf": await form_token(client)}
    return await client.post("/sign-in", data=form, headers=PAGE)


async def sign_in(client: httpx.AsyncClient, username: str) -> None:
    answer = await try_sign_in(client, username)
    assert answer.status_code == 303, answer.text[:2000]
