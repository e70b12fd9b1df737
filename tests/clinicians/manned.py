"""The small household with a rota written by shifts, on a Friday morning: Li Na by day, Chen Jing by night, Zhou Min behind both."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from html import unescape
from uuid import UUID

import httpx
from fastapi import FastAPI

from api.app import create_app
from api.settings import Settings
from store import people, rosters
from store.rosters import NewShift
from tests.clinicians.lived import visit
from tests.household import Household, furnish

FRIDAY = datetime(2026, 11, 27, 2, 0, tzinfo=UTC)
"""Ten in the morning in Shanghai."""
SINCE = date(2026, 11, 1)
DAILY = range(1, 8)


@dataclass
class Centre:
    """The service on a clock that the test moves."""

    app: FastAPI
    home: Household
    now: datetime

    def passes(self, span: timedelta) -> None:
        """Time goes by."""
        self.now += span

    @property
    def first(self) -> int:
        """The roster of those called first."""
        return self.home.rosters["care_worker_1"]

    async def window(self, person: UUID, language: str = "en") -> Window:
        """A browser in which this person has signed in, for as long as the test's clock may run."""
        client = await visit(self.app, person, language)
        async with self.app.state.database.service() as c:
            await c.execute("UPDATE session SET expires_at = '2100-01-01'")
        return Window(client)

    async def office(self, language: str = "en") -> Window:
        """The administrator's."""
        return await self.window(self.home.administrator.id, language)


@dataclass(frozen=True)
class Window:
    """A browser, and pages as they are read."""

    client: httpx.AsyncClient

    async def read(self, path: str, status: int = 200) -> str:
        """A page's words, one space between."""
        return words(await self.client.get(path), status)

    async def send(self, path: str, fields: object = None, status: int = 303, **more: object) -> str:
        """Send a form, follow where it leads, and read what is there."""
        data: dict[str, object] = {"csrf": "csrf", **(fields or {}), **more}  # type: ignore[dict-item]
        sent = {
            name: [str(one) for one in value] if isinstance(value, list) else str(value) for name, value in data.items()
        }
        answer = await self.client.post(path, data=sent)
        if status == 303:
            assert answer.status_code == 303, words(answer, answer.status_code)
            return await self.read(answer.headers["location"])
        return words(answer, status)


def words(answer: httpx.Response, status: int) -> str:
    """What is read on a page, without its tags."""
    assert answer.status_code == status, f"{answer.status_code}: {text_of(answer.text)[:600]}"
    return text_of(answer.text)


def text_of(html: str) -> str:
    """A page's own words: its head, its drawings and what is typed in its fields left out."""
    body = re.sub(r"<(head|svg|option|button class=\"unseen\")\b.*?</(head|svg|option|button)>", " ", html, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


@asynccontextmanager
async def open_centre(database_url: str) -> AsyncIterator[Centre]:
    """The real service, the household, and its rota."""
    clock: list[Centre] = []
    app = create_app(
        Settings(database_url=database_url, watch=False, dispatch=False),
        clock=lambda: clock[0].now if clock else FRIDAY,
    )
    async with app.router.lifespan_context(app):
        async with app.state.database.service() as c:
            home = await furnish(c, FRIDAY)
            await c.execute("DELETE FROM shift")
            first, second, third = (home.rosters[name] for name in ("care_worker_1", "care_worker_2", "supervisor"))
            for roster, starts, ends, person in (
                (first, 8, 20, home.li_na),
                (first, 20, 8, home.chen),
                (second, 0, 0, home.supervisor),
                (third, 0, 0, home.supervisor),
            ):
                shift = NewShift(roster, DAILY, time(starts), time(ends), SINCE, person_id=person.id)
                await rosters.add_shift(c, home.centre, shift)
        clock.append(Centre(app, home, FRIDAY))
        yield clock[0]


async def elsewhere(centre: Centre) -> Window:
    """The browser of another centre's administrator."""
    async with centre.app.state.database.service() as c:
        other = await people.add_centre(c, "别处中心", "Another Centre", None, "Asia/Shanghai")
        person = await people.add_person(c, other, "外人", "An Outsider", None, "en")
        await people.add_account(c, person.id, "outsider", "!", "administrator")
    return await centre.window(person.id)
