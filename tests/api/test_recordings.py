"""Raw acceleration is stored once, as it was felt, and seen by those who may see the resident."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest

from api.recordings import MOST_BYTES
from devices.recording import MOST_SAMPLES, pack
from store import equipment, recordings
from store.postgres import Database, value
from tests.api.callers import GATEWAY, WEARABLE, iso
from tests.household import Household

pytestmark = pytest.mark.anyio

FELT = np.random.default_rng(1).integers(-16000, 16000, (600, 3), dtype=np.int16)


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=123457)


def recording(at: datetime, samples: Any = FELT, **more: Any) -> dict[str, Any]:
    packed = base64.b64encode(pack(samples)).decode()
    said = {"device": WEARABLE, "started_at": iso(at), "rate_hz": 50.0, "reason": "fall", "samples": packed}
    return said | more


async def send(client: httpx.AsyncClient, body: Any) -> httpx.Response:
    return await client.post("/v1/recordings", json=body, headers=GATEWAY)


async def seen(database: Database, person: Any, resident: int, now: datetime) -> Sequence[recordings.Recording]:
    hour = timedelta(hours=1)
    async with database.reader(person) as c:
        return await recordings.of_resident(c, resident, now - hour, now + hour)


async def test_a_recording_is_stored_as_it_was_felt(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    answer = await send(client, recording(now))
    assert (answer.status_code, answer.json()) == (200, {"stored": True})
    [found] = await seen(database, home.doctor.id, home.wang, now)
    assert (found.started_at, found.rate_hz, found.reason) == (now, 50.0, "fall")
    assert (found.device_id, found.resident_id) == (home.wearable, home.wang)
    assert np.array_equal(found.samples, FELT)


async def test_what_is_sent_twice_is_stored_once(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    await send(client, recording(now))
    answer = await send(client, recording(now, FELT[:10]))
    assert answer.json() == {"stored": False}
    [found] = await seen(database, home.doctor.id, home.wang, now)
    assert len(found.samples) == len(FELT)


async def test_it_is_seen_by_those_related_to_the_resident_and_by_nobody_else(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    await send(client, recording(now))
    assert len(await seen(database, home.daughter.id, home.wang, now)) == 1
    async with database.service() as c:
        await c.execute("DELETE FROM relation WHERE person_id = %s", [home.daughter.id])
    assert await seen(database, home.daughter.id, home.wang, now) == []


async def test_what_the_former_wearer_felt_stays_hers(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    async with database.service() as c:
        await equipment.move(c, home.administrator.id, home.wearable, home.zhao, now)
    await send(client, recording(now - timedelta(minutes=1)))
    await send(client, recording(now + timedelta(minutes=1)))
    assert len(await seen(database, home.doctor.id, home.wang, now)) == 1
    assert len(await seen(database, home.doctor.id, home.zhao, now)) == 1


async def test_a_stranger_s_device_is_refused(
    client: httpx.AsyncClient, database: Database, home: Household, now: datetime
) -> None:
    answer = await send(client, recording(now, device="C0:FF:FF:FF:FF:FF"))
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["type"], answer.json()["field"]) == ("urn:hearthwatch:problem:unknown_devices", "device")
    async with database.service() as c:
        assert await value(c, "SELECT count(*) FROM recording") == 0


async def test_without_a_key_nothing_is_taken(client: httpx.AsyncClient, home: Household, now: datetime) -> None:
    answer = await client.post("/v1/recordings", json=recording(now))
    assert (answer.status_code, answer.json()["type"]) == (401, "urn:hearthwatch:problem:key_needed")


WRONG = (
    ("samples", "not base 64!"),
    ("samples", base64.b64encode(b"not deflated").decode()),
    ("samples", base64.b64encode(pack(np.zeros((MOST_SAMPLES + 1, 3), np.int16))).decode()),
    ("samples", None),
    ("rate_hz", 0),
    ("rate_hz", 1e9),
    ("reason", "Fall; DROP TABLE"),
    ("reason", "a\0b"),
    ("started_at", "2026-11-24T10:00:00"),
    ("started_at", "0001-01-01T00:00:00Z"),
    ("started_at", "0001-01-01T00:00:00+10:00"),
    ("started_at", "yesterday"),
)


async def test_what_is_wrong_is_named(client: httpx.AsyncClient, home: Household, now: datetime) -> None:
    for field, wrong in WRONG:
        answer = await send(client, recording(now) | {field: wrong})
        assert answer.status_code == 400, (wrong, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["field"] == field, answer.text
    for body in (b"", b"[", b"[]", b"\xff", b"[" * 100_000):
        answer = await client.post("/v1/recordings", content=body, headers=GATEWAY)
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:hearthwatch:problem:malformed")


async def test_the_largest_recording_is_taken_and_a_larger_body_is_not(
    client: httpx.AsyncClient, home: Household, now: datetime
) -> None:
    noise = np.random.default_rng(2).integers(-32768, 32767, (MOST_SAMPLES, 3), dtype=np.int16)
    assert (await send(client, recording(now, noise))).json() == {"stored": True}
    body = json.dumps(recording(now)).encode() + b" " * MOST_BYTES
    answer = await client.post("/v1/recordings", content=body, headers=GATEWAY)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
