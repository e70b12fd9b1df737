"""From a reading's acceptance to the request at the telephone network, under a steady load.

    python -m bench.latency [--seconds 60] [--rate 500]

The service and the telephone network are processes of their own on an embedded PostgreSQL. A steady stream of
ordinary readings (``rate`` a second, a post every 100 ms, 1,000 residents) runs beside it; twice a second somebody
presses a help button. For each press: from the moment the service answered that it has the reading to the moment
the telephone network got the request. The second figure counts from before the press was posted.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import numpy as np

from api.demo.processes import Child, Program
from api.gateways import hash_token
from store import gateways, people, residents
from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from store.postgres import Database
from tests.household import put_on_duty
from tests.story.demo import free_port

RESIDENTS = 1000
POST_EVERY_S = 0.1
PRESS_EVERY_S = 0.5
KEY = "bench-key"


@dataclass
class Presses:
    """When each press was posted and answered, by the resident's name in the SMS."""

    posted: dict[str, float] = field(default_factory=dict)
    answered: dict[str, float] = field(default_factory=dict)


async def furnish(database: Database) -> None:
    now = datetime.now(UTC)
    async with database.service() as c:
        centre = await people.add_centre(c, "基准中心", "Bench Centre", "+8621555001", "Asia/Shanghai")
        for step, (role, line) in enumerate((("care_worker", 1), ("care_worker", 2), ("supervisor", 1)), start=1):
            worker = await people.add_person(c, centre, f"护理{step}", f"Worker {step}", f"+861990000000{step}", "en")
            await put_on_duty(c, centre, role, line, worker, now)
        await gateways.issue_pairing_code(c, centre, "bench", b"code", now + timedelta(hours=1))
        gateway = await gateways.redeem(c, b"code", hash_token(KEY), now)
        assert gateway is not None
        for n in range(RESIDENTS):
            person = await people.add_person(c, centre, f"居民{n:04d}", f"Resident {n:04d}", None, "en")
            new = residents.NewResident(person.id, centre, date(1944, 1, 1), "female", "1号楼", "Building 1")
            resident = await residents.add(c, new)
            await gateways.add_device(c, address("AA", n), resident, "blood_pressure", gateway.id)
            await gateways.add_device(c, address("BB", n), resident, "help_button", gateway.id)


def address(kind: str, n: int) -> str:
    return f"C0:{kind}:00:00:{n >> 8:02X}:{n & 255:02X}"


def reading(device: str, metric: str, value: float, at: datetime) -> dict[str, object]:
    moment = at.isoformat().replace("+00:00", "Z")
    return {"device": device, "metric": metric, "value": value, "measured_at": moment, "collected_at": moment}


async def load(client: httpx.AsyncClient, rate: int, seconds: float) -> int:
    """Ordinary measurements, systolic, diastolic and pulse together, at an even pace."""
    rng = np.random.default_rng(1)
    each = max(round(rate * POST_EVERY_S / 3), 1)
    began, posts = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        at = datetime.now(UTC)
        batch = []
        for n in rng.choice(RESIDENTS, each, replace=False):
            values = ("systolic", rng.normal(128, 8)), ("diastolic", rng.normal(78, 5)), ("pulse", rng.normal(72, 6))
            batch += [reading(address("AA", int(n)), metric, round(float(value)), at) for metric, value in values]
        (await client.post("/v1/readings", json={"readings": batch})).raise_for_status()
        posts += 1
        await asyncio.sleep(max(began + posts * POST_EVERY_S - time.monotonic(), 0))
    return posts * each * 3


async def press(client: httpx.AsyncClient, seconds: float, presses: Presses) -> None:
    for n in range(int(seconds / PRESS_EVERY_S)):
        name = f"Resident {n:04d}"
        presses.posted[name] = time.time()
        body = {"readings": [reading(address("BB", n), "help_call", 1.0, datetime.now(UTC))]}
        (await client.post("/v1/readings", json=body)).raise_for_status()
        presses.answered[name] = time.time()
        await asyncio.sleep(PRESS_EVERY_S)


async def requests(client: httpx.AsyncClient) -> dict[str, float]:
    """When the telephone network got the first request about each resident (seconds since 1970)."""
    found: dict[str, float] = {}
    answer = (await client.get("/phones.json")).json()
    for phone in answer["phones"]:
        for message in phone["messages"]:
            if message["direction"] == "outbound-api":
                name = message["body"].split(": ")[1].split(",")[0].split(":")[0]
                moment = datetime.fromisoformat(message["received_at"]).timestamp()
                found[name] = min(found.get(name, moment), moment)
    return found


async def main(seconds: float, rate: int) -> None:
    place = Path(tempfile.mkdtemp(prefix="hearthwatch-bench-"))
    place.chmod(0o755)
    port, phones_port = free_port(), free_port()
    account = {"account": "AC" + "0" * 32, "token": "t" * 32, "number": "+8621555001"}
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        server = EmbeddedPostgres(place / "postgres")
        server.start()
        stack.callback(server.stop)
        migrate(server.dsn)
        async with Database(server.dsn) as database:
            await furnish(database)
        environment = {
            "DATABASE_URL": server.dsn,
            "PORT": str(port),
            "PUBLIC_URL": f"http://127.0.0.1:{port}",
            "TWILIO_ACCOUNT_SID": account["account"],
            "TWILIO_AUTH_TOKEN": account["token"],
            "TWILIO_FROM": account["number"],
            "TWILIO_BASE_URL": f"http://127.0.0.1:{phones_port}",
        }
        telephone = ("--port", str(phones_port), "--service-url", f"http://127.0.0.1:{port}")
        telephone += tuple(word for name, value in account.items() for word in (f"--{name}", value))
        for program in (
            Program.module("telephone", "alerts.virtual.telephone", *telephone),
            Program.module("service", "api.cli", "serve", **{f"HEARTHWATCH_{k}": v for k, v in environment.items()}),
        ):
            child = Child(program, place, on_restart=lambda name, code: print(f"{name} ended with {code}"))
            await child.start()
            stack.push_async_callback(child.stop)
        headers = {"Authorization": f"Bearer {KEY}"}
        client = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30)
        )
        phones = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{phones_port}"))
        await until_up(client, "/readyz")
        await until_up(phones, "/phones.json")
        await load(client, rate, 5)
        presses = Presses()
        stored, _ = await asyncio.gather(load(client, rate, seconds), press(client, seconds - 3, presses))
        await asyncio.sleep(2)
        arrived = await requests(phones)
    report(presses, arrived, stored / seconds)


async def until_up(client: httpx.AsyncClient, path: str) -> None:
    for _ in range(300):
        try:
            if (await client.get(path)).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit(f"{client.base_url} did not come up")


def report(presses: Presses, arrived: dict[str, float], rate: float) -> None:
    missing = presses.answered.keys() - arrived.keys()
    after_answer = sorted(1000 * (arrived[n] - t) for n, t in presses.answered.items() if n in arrived)
    after_post = sorted(1000 * (arrived[n] - t) for n, t in presses.posted.items() if n in arrived)
    print(
        f"load {rate:.0f} readings/s, {len(presses.answered)} calls for help, {len(missing)} not called, {os.cpu_count()} cores"
    )
    for name, limit, values in (
        ("accepted -> request", "150 / 500", after_answer),
        ("posted -> request", "", after_post),
    ):
        p99 = values[int(0.99 * (len(values) - 1))]
        print(
            f"{name:20s} p50 {statistics.median(values):6.0f} ms   p99 {p99:6.0f} ms   max {values[-1]:6.0f} ms   {limit}"
        )
    print(
        json.dumps(
            {"p50_ms": statistics.median(after_answer), "p99_ms": after_answer[int(0.99 * (len(after_answer) - 1))]}
        )
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=int, default=500)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.seconds, arguments.rate))
