"""Readings made durable over HTTP, beside raw binary COPY of the same rows on the same server in the same run.

    python -m bench.ingest [--rounds 7] [--batches 200] [--connections 4]

The service is a process of its own on an embedded PostgreSQL with its usual durability (``fsync`` and synchronous
commit on). Each round measures, one after the other and with fresh rows: posting batches of 1,000 readings over
several keep-alive connections until the last is answered; COPY of the same rows, ready in binary form, into a table of the same shape and index, in one
transaction; and the same COPY with a transaction for every 1,000 rows. The first ratio, to one great COPY, is the strict one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import statistics
import struct
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import psycopg

from api.demo.processes import Child, Program
from api.gateways import hash_token
from devices.readings import METRICS
from store import gateways, people, residents
from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from store.postgres import Database, session_options
from tests.story.demo import free_port

PER_BATCH = 1000
RESIDENTS = 1000
KEY = "bench-key"
SHOWN = ("systolic", "diastolic", "mean_arterial_pressure", "pulse")
_EPOCH_2000 = datetime(2000, 1, 1, tzinfo=UTC)
_COPY_HEAD = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_COPY_END = struct.pack(">h", -1)
_FIELDS = (
    ("resident", ">i4"), ("metric", ">i2"), ("measured", ">i8"), ("device", ">i4"), ("value", ">f8"),
    ("collected", ">i8"), ("received", ">i8"), ("quality", ">i4"), ("gateway", ">i4"), ("user", ">i2"),
)  # fmt: skip
_ROW = np.dtype(
    [("fields", ">i2"), *(part for name, kind in _FIELDS for part in ((f"{name}_size", ">i4"), (name, kind)))]
)


@dataclass(frozen=True)
class Round:
    """The same rows in both forms: bodies to post, and parts of a binary COPY."""

    bodies: list[bytes]
    copies: list[bytes]


def address(n: int) -> str:
    return f"C0:AA:00:00:{n >> 8:02X}:{n & 255:02X}"


def make_round(number: int, batches: int, devices: list[tuple[int, int]], gateway: int) -> Round:
    """Measurements of systolic, diastolic, mean and pulse by every resident's cuff in turn, newer from round to round."""
    rng = np.random.default_rng(number)
    began = datetime.now(UTC).replace(microsecond=0) - timedelta(days=300) + timedelta(days=number)
    bodies, copies = [], []
    for batch in range(batches):
        items, rows = [], np.zeros(PER_BATCH, _ROW)
        for inflation in range(PER_BATCH // len(SHOWN)):
            n = (batch * (PER_BATCH // len(SHOWN)) + inflation) % RESIDENTS
            turn = (batch * (PER_BATCH // len(SHOWN)) + inflation) // RESIDENTS
            at = began + timedelta(seconds=turn * 600 + n % 60)
            text = at.isoformat().replace("+00:00", "Z")
            resident, device = devices[n]
            diastolic, apart, pulse = (int(v) for v in rng.integers((65, 35, 55), (95, 60, 95)))
            values = (diastolic + apart, diastolic, diastolic + apart // 3, pulse)
            for place, (metric, value) in enumerate(zip(SHOWN, values, strict=True)):
                items.append(
                    {"device": address(n), "metric": metric, "value": value, "measured_at": text, "collected_at": text,
                     "quality": 0, "user": None, "detail": {}}
                )  # fmt: skip
                us = (at - _EPOCH_2000) // timedelta(microseconds=1)
                row = rows[inflation * len(SHOWN) + place]
                row["resident"], row["metric"], row["device"] = resident, METRICS[metric].code, device
                row["measured"] = row["collected"] = row["received"] = us
                row["value"], row["gateway"], row["user"] = value, gateway, 255
        rows["fields"] = 10
        for name in _ROW.names or ():
            if name.endswith("_size"):
                rows[name] = rows.dtype[name.removesuffix("_size")].itemsize
        bodies.append(json.dumps({"readings": items}).encode())
        copies.append(rows.tobytes())
    return Round(bodies, copies)


async def furnish(database: Database) -> tuple[list[tuple[int, int]], int]:
    now = datetime.now(UTC)
    async with database.service() as c:
        centre = await people.add_centre(c, "基准中心", "Bench Centre", None, "Asia/Shanghai")
        await gateways.issue_pairing_code(c, centre, "bench", b"code", now + timedelta(hours=1))
        gateway = await gateways.redeem(c, b"code", hash_token(KEY), now)
        assert gateway is not None
        devices = []
        for n in range(RESIDENTS):
            person = await people.add_person(c, centre, f"居民{n:04d}", f"Resident {n:04d}", None, "en")
            new = residents.NewResident(person.id, centre, date(1944, 1, 1), "female", "1号楼", "Building 1")
            resident = await residents.add(c, new)
            devices.append((resident, await gateways.add_device(c, address(n), resident, "blood_pressure", gateway.id)))
    return devices, gateway.id


async def post_all(port: int, bodies: list[bytes], connections: int) -> float:
    """Seconds until every body was answered 200 with all of it accepted. A plain socket: the client costs little."""
    waiting = iter(bodies)

    async def one() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for body in waiting:
            writer.write(
                b"POST /v1/readings HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %b\r\n"
                b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (KEY.encode(), len(body))
            )
            writer.write(body)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            answer = json.loads(await reader.readexactly(length))
            if answer.get("accepted") != PER_BATCH:
                raise RuntimeError(f"not all was accepted: {answer}")
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(connections)))
    return time.perf_counter() - began


def copy_all(dsn: str, copies: list[bytes], *, at_once: bool) -> float:
    """Seconds for COPY of ready binary rows, in one transaction or in one for every part."""
    columns = (
        "resident_id, metric, measured_at, device_id, value, collected_at, received_at, quality, gateway_id, user_slot"
    )
    with psycopg.connect(dsn, autocommit=True, options=session_options("hearthwatch_owner")) as c:
        c.execute("DROP TABLE IF EXISTS copied")
        c.execute("CREATE TABLE copied (LIKE reading INCLUDING ALL)")
        parts = [b"".join(copies)] if at_once else copies
        began = time.perf_counter()
        for part in parts:
            with c.cursor() as cursor, cursor.copy(f"COPY copied ({columns}) FROM STDIN BINARY".encode()) as copy:
                copy.write(_COPY_HEAD)
                copy.write(part)
                copy.write(_COPY_END)
        seconds = time.perf_counter() - began
        [(found,)] = c.execute("SELECT count(*) FROM copied").fetchall()
        assert found == len(copies) * PER_BATCH
    return seconds


async def main(rounds: int, batches: int, connections: int) -> None:
    place = Path(tempfile.mkdtemp(prefix="hearthwatch-bench-"))
    place.chmod(0o755)
    port, n = free_port(), batches * PER_BATCH
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, place, ignore_errors=True)
        server = EmbeddedPostgres(place / "postgres")
        server.start()
        stack.callback(server.stop)
        migrate(server.dsn)
        async with Database(server.dsn) as database:
            devices, gateway = await furnish(database)
        environment = {"DATABASE_URL": server.dsn, "PORT": str(port), "WATCH": "false", "DISPATCH": "false"}
        program = Program.module(
            "service", "api.cli", "serve", **{f"HEARTHWATCH_{k}": v for k, v in environment.items()}
        )
        child = Child(program, place, on_restart=lambda name, code: print(f"{name} ended with {code}"))
        await child.start()
        stack.push_async_callback(child.stop)
        await until_up(port)
        ratios: list[float] = []
        for number in range(rounds + 1):
            work = make_round(number, batches if number else 20, devices, gateway)
            http_s = await post_all(port, work.bodies, connections)
            if number == 0:
                continue  # warms caches, plans and connections
            great_s = await asyncio.to_thread(copy_all, server.dsn, work.copies, at_once=True)
            small_s = await asyncio.to_thread(copy_all, server.dsn, work.copies, at_once=False)
            ratios.append(great_s / http_s)
            print(
                f"round {number}: HTTP {n / http_s:8,.0f}/s   COPY, one transaction {n / great_s:8,.0f}/s ({great_s / http_s:.2f})"
                f"   COPY, {batches} transactions {n / small_s:8,.0f}/s ({small_s / http_s:.2f})",
                flush=True,
            )
    print(f"median ratio to one great COPY: {statistics.median(ratios):.2f} (at least 0.35), {os.cpu_count()} cores")


async def until_up(port: int) -> None:
    for _ in range(300):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
    raise SystemExit("the service did not come up")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--connections", type=int, default=4)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.rounds, arguments.batches, arguments.connections))
