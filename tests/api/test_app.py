"""What surrounds every answer, how the service says how it is, and how it meets a database that goes away."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import anyio
import httpx
import psycopg
import pytest
import structlog
from fastapi import FastAPI

from alerts.channels import utc_now
from api import logs
from api.app import create_app
from api.gateways import hash_token
from api.settings import Settings
from api.supervisor import supervise
from clinicians.pages import static
from store import alerts
from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from store.postgres import Database
from tests.alerts.clock import Clock
from tests.alerts.network import until
from tests.api.callers import KEY, PAGE, PUBLIC_URL, reading, send
from tests.api.conftest import running, settings_for
from tests.household import Household, furnish

pytestmark = pytest.mark.anyio


async def test_every_answer_carries_the_headers_that_keep_a_browser_safe(client: httpx.AsyncClient) -> None:
    for path in ("/healthz", "/sign-in", "/nothing/here", "/static/hearthwatch.css", "/v1/readings"):
        answer = await client.get(path, headers=PAGE)
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert answer.headers["x-content-type-options"] == "nosniff", path
        assert answer.headers["x-frame-options"] == "DENY", path
        assert "max-age" in answer.headers["strict-transport-security"], path


async def test_pages_are_not_kept_by_the_browser(client: httpx.AsyncClient) -> None:
    assert (await client.get("/sign-in", headers=PAGE)).headers["cache-control"] == "no-store"


async def test_a_static_file_is_kept_for_ever_at_the_address_that_bears_its_content(client: httpx.AsyncClient) -> None:
    kept = await client.get(static("hearthwatch.css"))
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    for other in ("/static/hearthwatch.css", "/static/hearthwatch.css?v=00000000", "/static/nothing.css?v=00000000"):
        assert (await client.get(other)).headers["cache-control"] == "no-store"


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_in_the_log_shows_no_values(as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(password: str) -> None:
        raise ValueError(f"wrong by {len(password)}")

    before = logging.getLogger().handlers[:]
    try:
        logs.configure(as_json=as_json)
        try:
            fail(" ".join(("correct", "horse")))
        except ValueError:
            structlog.get_logger("api.test").exception("went_wrong")
    finally:
        logging.getLogger().handlers[:] = before
        structlog.reset_defaults()
    written = capsys.readouterr().err
    assert "wrong by 13" in written
    assert "correct horse" not in written


async def test_without_https_nothing_claims_it(database_url: str) -> None:
    settings = Settings(database_url=database_url, public_url="http://127.0.0.1:8000", watch=False, dispatch=False)
    async with running(create_app(settings)) as app:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            answer = await client.get("/healthz")
    assert "strict-transport-security" not in answer.headers


async def test_an_unknown_path_is_a_page_for_people_and_a_problem_for_programs(client: httpx.AsyncClient) -> None:
    for_people = await client.get("/nothing/here", headers=PAGE)
    assert (for_people.status_code, for_people.headers["content-type"]) == (404, "text/html; charset=utf-8")
    for_programs = await client.get("/v1/nothing")
    assert (for_programs.status_code, for_programs.json()["type"]) == (404, "urn:hearthwatch:problem:not_found")
    assert (await client.get("/v1/readings")).status_code == 405


async def test_it_is_ready_only_in_the_shape_it_needs(client: httpx.AsyncClient, database_url: str) -> None:
    assert (await client.get("/healthz")).json() == {"status": "alive"}
    assert (await client.get("/readyz")).status_code == 200
    async with await psycopg.AsyncConnection.connect(database_url) as c:
        await c.execute("DELETE FROM migration WHERE name LIKE '0001%'")
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:hearthwatch:problem:not_migrated")
    assert "hearthwatch migrate" in answer.json()["detail"]


async def test_the_description_names_every_body_and_no_page(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert set(document["paths"]) == {"/v1/readings", "/v1/recordings", "/v1/pair", "/v1/heartbeat"}
    text = json.dumps(document)
    for reference in {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}:
        assert reference in document["components"]["schemas"], reference
    reading_schema = document["components"]["schemas"]["WireReading"]
    assert set(reading_schema["required"]) == {"device", "metric", "value", "measured_at", "collected_at"}


async def test_a_database_that_goes_away_is_waited_for_and_nothing_is_lost(scratch: Path) -> None:
    with EmbeddedPostgres(scratch / "away", settings=("-c", "fsync=off")) as server:
        migrate(server.dsn)
        async with running(create_app(settings_for(server.dsn))) as app:
            transport = httpx.ASGITransport(app=app)
            async with (
                httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client,
                Database(server.dsn) as db,
            ):
                await _furnish(db)
                item = reading("pulse", 70, datetime.now(UTC))
                assert (await send(client, item)).json()["accepted"] == 1
                server.kill()
                page = {**PAGE, "Cookie": "__Host-hearthwatch=x"}
                ready, figures, away, shown, alive = await asyncio.gather(
                    client.get("/readyz"),
                    client.get("/metrics"),
                    send(client, item, reading("pulse", 0, datetime.now(UTC))),
                    client.get("/doctor", headers=page),
                    client.get("/healthz"),
                )
                assert [a.status_code for a in (ready, away, shown, alive)] == [503, 503, 503, 200]
                assert away.json()["type"] == "urn:hearthwatch:problem:database_away"
                assert int(away.headers["retry-after"]) > 0
                assert shown.headers["content-type"].startswith("text/html")
                assert "hearthwatch_database_up 0.0" in figures.text
                server.start()
                said = (await _until_taken(client, item)).json()
                assert (said["accepted"], said["duplicate"]) == (0, 1)


async def _furnish(database: Database) -> None:
    async with database.service() as c:
        await furnish(c, datetime.now(UTC))
        await c.execute("UPDATE gateway SET key_hash = %s", [hash_token(KEY)])


async def _until_taken(client: httpx.AsyncClient, item: object) -> httpx.Response:
    with anyio.fail_after(30):
        while True:
            answer = await send(client, item)
            if answer.status_code != 503:
                return answer
            await anyio.sleep(0.1)


async def test_work_that_crashes_is_begun_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.supervisor._FIRST_PAUSE_S", 0.01)
    begun = 0
    again = anyio.Event()

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun == 1:
            raise RuntimeError("a fault")
        if begun == 3:
            again.set()
            await anyio.sleep_forever()

    async with anyio.create_task_group() as group:
        group.start_soon(supervise, "test", work)
        with anyio.fail_after(5):
            await again.wait()
        group.cancel_scope.cancel()
    assert begun == 3


async def test_the_whole_service_starts_watches_and_stops(database_url: str, home: Household) -> None:
    settings = settings_for(database_url).model_copy(update={"watch": True, "dispatch": True})
    async with running(create_app(settings)) as app:
        assert isinstance(app, FastAPI)
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
            assert (
                await send(client, reading("help_call", 1, datetime.now(UTC), "C0:00:00:00:00:03"))
            ).status_code == 200
            with anyio.fail_after(20):
                await _an_alert(database_url)


async def _an_alert(database_url: str) -> None:
    async with Database(database_url) as database:
        async for note in database.listen():
            async with database.service() as c:
                if note["kind"] in ("alert", "reconnected") and await alerts.open_alerts(c):
                    return


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"public_url": "hearthwatch.test"}, "public_url"),
        ({"public_url": "https://hearthwatch.test/app"}, "without a path"),
        ({"twilio_account_sid": "AC1"}, "together"),
        ({"port": 70000}, "port"),
        ({"push_private_key": "hunter2", "push_contact": "mailto:a@b.example"}, "push-keys"),
        ({"push_contact": "mailto:a@b.example"}, "together"),
        ({"push_contact": "office"}, "mailto:"),
        ({"smtp_host": "mail.example"}, "email_from"),
        ({"sms_gateway": "/nowhere/north.toml"}, "cannot be read"),
    ],
)
def test_settings_that_cannot_be_are_refused_in_words(given: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Settings(database_url="x", **given)  # type: ignore[arg-type]


def test_secrets_are_not_shown() -> None:
    assert "hunter2" not in repr(settings_for("postgresql://u:hunter2@host/db"))
    assert "telephone network" not in repr(settings_for("x"))


async def test_it_is_not_ready_while_no_probe_comes_through_from_a_reading_to_a_delivered_message(
    database_url: str,
) -> None:
    clock = Clock(utc_now())
    settings = settings_for(database_url).model_copy(
        update={"dispatch": True, "heartbeat_phone": "+8613900000099", "twilio_base_url": "http://127.0.0.1:9"}
    )
    async with running(create_app(settings, clock=clock)) as app:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:

            async def ready() -> bool:
                return (await client.get("/readyz")).status_code == 200

            await until(ready)
            clock.go_on(minutes=16)
            answer = await client.get("/readyz")
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:hearthwatch:problem:chain_not_proved")
            assert "delivered message (never)" in answer.json()["detail"]
            assert "hearthwatch_chain_proof_age_seconds 960" in (await client.get("/metrics")).text
