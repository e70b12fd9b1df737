"""From a firing to the request at the telephone network, and how late the ladder goes on, on a busy night and in a storm.

    python -m bench.escalation [--rate 100] [--seconds 30] [--storm 5000] [--per-s 1]

The service and the telephone network are processes of their own on an embedded PostgreSQL. First ``rate`` people a second
press a help button, each a resident of her own, and nobody answers: from the alert to the request for the first person,
and from the deadline of her step to the request for the second. Then, of ``storm`` residents at once, the pulse is too
fast, of which nobody need be told within a second; meanwhile a help button is pressed every half second. What can wait is
sent as fast as the network takes it here: an installation holds it to the pace of its number.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from api.demo.processes import Child, Program
from api.gateways import hash_token
from store import contacts, gateways, people
from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from store.postgres import Connection, Database
from tests.household import put_on_duty
from tests.story.demo import free_port

KEY = "bench-key"
ACCOUNT = {"account": "AC" + "0" * 32, "token": "t" * 32, "number": "+8621555001"}
NAME = re.compile(r"Resident (\d{5})")
POST_EVERY_S = 0.1
PRESS_EVERY_S = 0.5
IN_ONE_POST = 250
STEP_S = 120.0
"""The shipped policy for high priority goes on after two minutes."""
TOO_FAST = 128.0


@dataclass(frozen=True)
class Call:
    """A message as the record has it: to which telephone, about whom, its number among the alert's calls, and when."""

    phone: str
    resident: int
    number: int
    priority: str
    raised_at: datetime
    made_at: datetime


async def furnish(database: Database, residents_n: int) -> None:
    """A centre in whose zone it is noon, so that nothing waits for a morning; three people on duty, reached by SMS alone."""
    now = datetime.now(UTC)
    zone = f"Etc/GMT{now.hour - 12:+d}" if now.hour != 12 else "Etc/GMT"
    async with database.service() as c:
        centre = await people.add_centre(c, "基准中心", "Bench Centre", "+8621555001", zone)
        for n, (role, line) in enumerate((("care_worker", 1), ("care_worker", 2), ("supervisor", 1))):
            worker = await people.add_person(c, centre, f"护理{n}", f"Worker {n}", f"+861990000000{n}", "en")
            await put_on_duty(c, centre, role, line, worker, now)
            for priority in ("high", "medium", "low"):
                await contacts.set_preference(c, worker.id, priority, [{"channel": "sms", "after_s": 0}], now)
        await gateways.issue_pairing_code(c, centre, "bench", b"code", now + timedelta(hours=1))
        gateway = await gateways.redeem(c, b"code", hash_token(KEY), now)
        assert gateway is not None
        await move_in(c, centre, gateway.id, residents_n)


async def move_in(c: Connection, centre: int, gateway: int, many: int) -> None:
    """So many residents, each with an oximeter and a help button: all at once, for one by one takes minutes."""
    await c.execute(
        "INSERT INTO person (centre_id, name_zh, name_en, language) "
        "SELECT %s, '居民' || lpad(n::text, 5, '0'), 'Resident ' || lpad(n::text, 5, '0'), 'en' FROM generate_series(0, %s) n",
        [centre, many - 1],
    )
    await c.execute(
        "INSERT INTO resident (person_id, centre_id, born, sex, address_zh, address_en) "
        "SELECT id, centre_id, '1944-01-01', 'female', '1号楼', 'Building 1' FROM person WHERE name_en LIKE 'Resident %'"
    )
    devices = [(address(kind, n), kind, n) for n in range(many) for kind in ("AA", "BB")]
    await c.execute(
        "INSERT INTO device (address, resident_id, gateway_id, kind) SELECT d.address, r.id, %s, "
        "CASE d.kind WHEN 'AA' THEN 'oximeter' ELSE 'help_button' END "
        "FROM unnest(%s::text[], %s::text[], %s::int[]) d (address, kind, n) "
        "JOIN person p ON p.name_en = 'Resident ' || lpad(d.n::text, 5, '0') JOIN resident r ON r.person_id = p.id",
        [gateway, *map(list, zip(*devices, strict=True))],
    )


def address(kind: str, n: int) -> str:
    return f"C0:{kind}:00:00:{n >> 8:02X}:{n & 255:02X}"


def reading(device: str, metric: str, value: float, at: datetime) -> dict[str, object]:
    moment = at.isoformat().replace("+00:00", "Z")
    return {"device": device, "metric": metric, "value": value, "measured_at": moment, "collected_at": moment}


async def post(client: httpx.AsyncClient, readings: list[dict[str, object]]) -> None:
    (await client.post("/v1/readings", json={"readings": readings})).raise_for_status()


async def press(client: httpx.AsyncClient, who: Iterable[int]) -> None:
    now = datetime.now(UTC)
    await post(client, [reading(address("BB", n), "help_call", 1.0, now) for n in who])


async def presses(client: httpx.AsyncClient, first: int, rate: int, seconds: float) -> int:
    """``rate`` presses a second, a post every 100 ms; returns how many."""
    each, began, posts = round(rate * POST_EVERY_S), time.monotonic(), 0
    while time.monotonic() - began < seconds:
        await press(client, range(first + posts * each, first + (posts + 1) * each))
        posts += 1
        await asyncio.sleep(max(began + posts * POST_EVERY_S - time.monotonic(), 0))
    return posts * each


async def fast_pulses(client: httpx.AsyncClient, who: Sequence[int], at: datetime) -> None:
    for begin in range(0, len(who), IN_ONE_POST):
        some = who[begin : begin + IN_ONE_POST]
        await post(client, [reading(address("AA", n), "pulse", TOO_FAST, at) for n in some])


async def storm(client: httpx.AsyncClient, many: Sequence[int], pressing: Sequence[int]) -> dict[int, float]:
    """All ``many`` at once by the third fast pulse, and beside it single presses; when each was answered (1970)."""
    now = datetime.now(UTC)
    for minutes in (4, 2):
        await fast_pulses(client, many, now - timedelta(minutes=minutes))
    await asyncio.sleep(10)
    answered: dict[int, float] = {}

    async def press_on() -> None:
        for n in pressing:
            await press(client, [n])
            answered[n] = time.time()
            await asyncio.sleep(PRESS_EVERY_S)

    await asyncio.gather(fast_pulses(client, many, datetime.now(UTC)), press_on())
    return answered


async def requests(phones: httpx.AsyncClient) -> dict[tuple[str, int], float]:
    """When the network got the first request for each (telephone, resident), in seconds since 1970."""
    found: dict[tuple[str, int], float] = {}
    for phone in (await phones.get("/phones.json")).json()["phones"]:
        for message in phone["messages"]:
            about = NAME.search(message["body"]) if message["direction"] == "outbound-api" else None
            if about:
                key = (phone["number"], int(about.group(1)))
                moment = datetime.fromisoformat(message["received_at"]).timestamp()
                found[key] = min(found.get(key, moment), moment)
    return found


async def calls(database: Database) -> list[Call]:
    async with database.service() as c:
        cursor = await c.execute(
            "SELECT m.address, right(p.name_en, 5)::int, m.step, m.priority, a.raised_at, m.created_at FROM message m "
            "JOIN alert a ON a.id = m.alert_id JOIN resident r ON r.id = m.resident_id JOIN person p ON p.id = r.person_id "
            "WHERE m.purpose = 'alert'"
        )
        return [Call(*row) for row in await cursor.fetchall()]


async def main(rate: int, seconds: float, storm_n: int, per_s: float = 1.0) -> None:
    pressing_n, warm_n = 60, 40
    steady_n = round(rate * (seconds + 1))
    everybody = steady_n + storm_n + pressing_n
    place = Path(tempfile.mkdtemp(prefix="hearthwatch-bench-"))
    place.chmod(0o755)
    port, phones_port = free_port(), free_port()
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        server = EmbeddedPostgres(place / "postgres")
        server.start()
        stack.callback(server.stop)
        migrate(server.dsn)
        database = await stack.enter_async_context(Database(server.dsn))
        await furnish(database, everybody + warm_n)
        await start(stack, place, server.dsn, port, phones_port, per_s)
        client = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {KEY}"}, timeout=60
            )
        )
        phones = await stack.enter_async_context(
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{phones_port}", timeout=60)
        )
        await until_up(client, "/readyz")
        await until_up(phones, "/phones.json")
        for n in range(warm_n):  # its first calls find nothing prepared
            await press(client, [everybody + n])
            await asyncio.sleep(PRESS_EVERY_S / 2)
        pressed = await presses(client, 0, rate, seconds)
        await asyncio.sleep(STEP_S + 5)
        steady_calls, steady_requests = await calls(database), await requests(phones)
        report_steady([c for c in steady_calls if c.resident < steady_n], steady_requests, pressed, rate)
        async with database.service() as c:
            await c.execute("UPDATE alert SET state = 'resolved', climb_at = NULL, resolved_at = now()")
        many = range(steady_n, steady_n + storm_n)
        pressing = range(steady_n + storm_n, steady_n + storm_n + pressing_n)
        answered = await storm(client, many, pressing)
        await asyncio.sleep(5)
        report_storm(answered, await requests(phones), await calls(database), storm_n)


async def start(stack: AsyncExitStack, place: Path, dsn: str, port: int, phones_port: int, per_s: float) -> None:
    environment = {
        "DATABASE_URL": dsn,
        "PORT": str(port),
        "PUBLIC_URL": f"http://127.0.0.1:{port}",
        "TWILIO_ACCOUNT_SID": ACCOUNT["account"],
        "TWILIO_AUTH_TOKEN": ACCOUNT["token"],
        "TWILIO_FROM": ACCOUNT["number"],
        "TWILIO_BASE_URL": f"http://127.0.0.1:{phones_port}",
        "SMS_PER_S": str(per_s),
    }
    telephone = ("--port", str(phones_port), "--service-url", f"http://127.0.0.1:{port}")
    telephone += tuple(word for name, value in ACCOUNT.items() for word in (f"--{name}", value))
    for program in (
        Program.module("telephone", "alerts.virtual.telephone", *telephone),
        Program.module("service", "api.cli", "serve", **{f"HEARTHWATCH_{k}": v for k, v in environment.items()}),
    ):
        child = Child(program, place, on_restart=lambda name, code: print(f"{name} ended with {code}"))
        await child.start()
        stack.push_async_callback(child.stop)


async def until_up(client: httpx.AsyncClient, path: str) -> None:
    for _ in range(600):
        try:
            if (await client.get(path)).status_code == httpx.codes.OK:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)
    raise SystemExit(f"{client.base_url} did not come up")


def report_steady(made: list[Call], arrived: dict[tuple[str, int], float], pressed: int, rate: int) -> None:
    first = [call for call in made if call.number == 1]
    print(f"{rate} calls for help a second, {pressed} in all, {os.cpu_count()} cores")
    line(
        "alert -> request", [at - c.raised_at.timestamp() for c in first if (at := arrived.get((c.phone, c.resident)))]
    )
    began = {call.resident: call.made_at.timestamp() for call in first}
    second = [call for call in made if call.number == 2]
    late = [at - began[c.resident] - STEP_S for c in second if (at := arrived.get((c.phone, c.resident)))]
    line("deadline -> request", late)
    unasked = sum((call.phone, call.resident) not in arrived for call in (*first, *second))
    print(f"{len(first)} first calls, {len(second)} second, {unasked} without a request")


def report_storm(
    answered: dict[int, float], arrived: dict[tuple[str, int], float], made: list[Call], storm_n: int
) -> None:
    about = {resident: at for (_, resident), at in sorted(arrived.items(), reverse=True)}
    medium = sum(call.priority == "medium" for call in made)
    print(
        f"storm: {storm_n} at once of which nobody need know at once, {medium} messages; {len(answered)} calls for help"
    )
    line("accepted -> request", [about[n] - at for n, at in answered.items() if n in about])
    print(f"{sum(n not in about for n in answered)} calls for help without a request")


def line(name: str, seconds: list[float]) -> None:
    if not seconds:
        print(f"{name:20s} nothing to measure")
        return
    values = sorted(1000 * s for s in seconds)
    p99 = values[int(0.99 * (len(values) - 1))]
    print(f"{name:20s} p50 {statistics.median(values):6.0f} ms   p99 {p99:6.0f} ms   max {values[-1]:6.0f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--storm", type=int, default=5000)
    parser.add_argument("--per-s", type=float, default=1.0, help="the pace of the number for what can wait")
    arguments = parser.parse_args()
    asyncio.run(main(arguments.rate, arguments.seconds, arguments.storm, arguments.per_s))
