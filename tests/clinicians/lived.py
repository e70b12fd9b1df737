"""The small household after ninety days of use: what the pages are looked at with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import numpy as np
from fastapi import FastAPI

from alerts import protocol
from api.app import create_app
from api.sessions import COOKIE, token_hash
from api.settings import Settings
from store import alerts, feed, people, readings
from store.postgres import Connection, Database
from tests.household import Household, batch, furnish
from tests.opened import opened

PROTOCOL = protocol.load()


@dataclass(frozen=True)
class Lived:
    """The household, its alerts, and the moment at which everything stands."""

    home: Household
    now: datetime
    severe: int
    """Wang's open high alert, which Li Na was called to."""
    battery: int
    """Wang's open task."""


async def live_in(database: Database, now: datetime) -> Lived:
    """Wang measures daily, 15 above the target of those over 80, with a week missing; Zhao is on target and stopped five days ago."""
    async with database.service() as c:
        home = await furnish(c, now)
        await readings.insert(c, _history(home, home.wang, home.cuff, 165.0, now, missing=range(40, 47)))
        await readings.insert(c, _history(home, home.zhao, home.zhao_cuff, 125.0, now, missing=range(5)))
        await readings.quarantine(
            c,
            [
                readings.Quarantined(
                    "C0:00:00:00:00:01",
                    "systolic",
                    20.0,
                    now - timedelta(hours=3),
                    None,
                    "implausible_value",
                    home.gateway,
                    home.wang,
                    {},
                )
            ],
        )
        year_2000 = datetime.fromisoformat("2000-01-01T08:00:00Z")
        await readings.insert(
            c, batch(home, (home.wang, home.cuff, "systolic", 244.0, year_2000), quality=1, received_at=now)
        )
        evidence = {
            "systolic": 188.0,
            "diastolic": 116.0,
            "first_systolic": 192.0,
            "first_diastolic": 118.0,
            "count": 2,
        }
        severe = await raise_alert(c, home.wang, "bp.severe", now - timedelta(minutes=5), evidence, step=1)
        battery = await raise_alert(c, home.wang, "device.battery", now - timedelta(hours=2), {"battery": 9.0})
    await settle(database)
    return Lived(home, now, severe, battery)


def _history(
    home: Household, resident: int, cuff: int, systolic: float, now: datetime, *, missing: range
) -> readings.Incoming:
    rng = np.random.default_rng(resident)
    items = []
    for day in range(90):
        if day in missing:
            continue
        for hours in (3, 15):
            at = now - timedelta(days=day, hours=hours)
            for metric, level in (("systolic", systolic), ("diastolic", 80.0), ("pulse", 72.0)):
                items.append((resident, cuff, metric, float(round(rng.normal(level, 2))), at))
    return batch(home, *items, received_at=now)


async def raise_alert(
    c: Connection, resident: int, rule: str, at: datetime, evidence: Mapping[str, Any], *, step: int = 0
) -> int:
    """An alert as the watch leaves it: called when ``step`` says so."""
    known = PROTOCOL.rule(rule)
    assert known is not None
    number = await opened(
        c,
        resident_id=resident,
        rule=rule,
        protocol=PROTOCOL.version,
        priority=known.priority,
        kind=known.kind,
        happened_at=at,
        raised_at=at,
        evidence=evidence,
    )
    assert number is not None
    await alerts.add_event(c, number, resident, "raised", at=at)
    if step:
        await alerts.update(c, number, {"state": "notifying", "step": step, "climb_at": at + timedelta(hours=1)})
    return number


async def settle(database: Database) -> None:
    """What the watch does with accepted readings beside judging them: keep the newest of each metric."""
    async with database.service() as c:
        if fed := await feed.next_batch(c, feed.Position(), 10_000):
            await feed.save_latest(c, fed)


@asynccontextmanager
async def open_service(database_url: str) -> AsyncIterator[FastAPI]:
    """The real service without its background work."""
    app = create_app(Settings(database_url=database_url, watch=False, dispatch=False))
    async with app.router.lifespan_context(app):
        yield app


async def visit(app: FastAPI, person_id: UUID, language: str | None = None) -> httpx.AsyncClient:
    """A browser in which this person has signed in."""
    token = f"token of {person_id}"
    database: Database = app.state.database
    async with database.service() as c:
        await people.close_session(c, token_hash(token))
        await people.open_session(c, token_hash(token), person_id, "csrf", datetime.now(UTC) + timedelta(hours=1))
        if language:
            await people.set_language(c, person_id, language)
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app, raise_app_exceptions=False),
        base_url="https://hearthwatch.test",
        headers={"Cookie": f"{COOKIE}={token}", "Accept": "text/html"},
    )
