"""A resident's page with ninety days of readings, in a store of five million.

    python -m bench.page [--readings 5000000] [--visits 300]

Builds the store on an embedded PostgreSQL: residents who measure blood pressure and pulse four times a day for 90
days, copied in order of time, so that one resident's rows lie scattered as in life. Then a doctor with 200 of them
opens page after page through the real app (sign-in check, queries, audit, rendering; no network). The page itself
says how long its queries and its rendering took (Server-Timing).
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shutil
import statistics
import struct
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import httpx
import numpy as np
import psycopg

from api.app import create_app
from api.sessions import COOKIE, token_hash
from api.settings import Settings
from devices.readings import METRICS
from store import alerts, gateways, notes, people, residents
from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from store.postgres import Database

DAYS, TIMES_A_DAY = 90, (7.2, 7.3, 20.1, 20.2)
VITALS = {"systolic": (138.0, 9.0), "diastolic": (80.0, 6.0), "pulse": (72.0, 6.0)}
A_DAY = len(TIMES_A_DAY) * len(VITALS)
IN_CARE = 200
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)

# PostgreSQL's binary COPY: each row its number of columns, each column its length and its big-endian value.
_COLUMNS = (
    ("resident_id", ">i4"), ("metric", ">i2"), ("measured_at", ">i8"), ("device_id", ">i4"), ("value", ">f8"),
    ("collected_at", ">i8"), ("received_at", ">i8"), ("quality", ">i4"), ("gateway_id", ">i4"), ("user_slot", ">i2"),
)  # fmt: skip
_ROW = np.dtype(
    [("columns", ">i2"), *(part for name, kind in _COLUMNS for part in ((f"{name}_size", ">i4"), (name, kind)))]
)


def one_day(day: datetime, count: int, rng: np.random.Generator) -> bytes:
    """Everything all residents measure on one day, in order of time."""
    rows = np.zeros(count * A_DAY, _ROW)
    rows["columns"] = len(_COLUMNS)
    for name, kind in _COLUMNS:
        rows[f"{name}_size"] = np.dtype(kind).itemsize
    start = int((day - _EPOCH).total_seconds() * 1e6)
    order = rng.permutation(count) + 1
    at = 0
    for hour in TIMES_A_DAY:
        moments = start + int(hour * 3.6e9) + np.sort(rng.integers(0, 1_800_000_000, count))
        for metric, (level, spread) in VITALS.items():
            part = rows[at : at + count]
            part["resident_id"] = part["device_id"] = order
            part["metric"] = METRICS[metric].code
            part["measured_at"] = part["collected_at"] = part["received_at"] = moments
            part["value"] = np.rint(rng.normal(level, spread, count))
            part["gateway_id"], part["user_slot"] = 1, 255
            at += count
    return rows.tobytes()


def fill(dsn: str, count: int, now: datetime) -> int:
    """Copy 90 days of ``count`` residents; returns how many readings that made."""
    rng = np.random.default_rng(7)
    first = now.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=DAYS)
    names = ", ".join(name for name, _ in _COLUMNS)
    with psycopg.connect(dsn, autocommit=True) as c:
        with c.cursor().copy(f"COPY reading ({names}) FROM STDIN (FORMAT binary)".encode()) as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0))
            for n in range(DAYS):
                copy.write(one_day(first + timedelta(days=n), count, rng))
            copy.write(struct.pack(">h", -1))
        c.execute(
            "INSERT INTO latest_reading SELECT DISTINCT ON (resident_id, metric) resident_id, metric, measured_at, measured_at, "
            "value, quality, device_id FROM reading WHERE measured_at > %s - interval '2 days' ORDER BY resident_id, metric, measured_at DESC",
            [now],
        )
        c.execute("VACUUM (ANALYZE)")
        found = c.execute("SELECT count(*) FROM reading").fetchone()
    return found[0] if found else 0


async def furnish(database: Database, count: int, now: datetime) -> UUID:
    """The residents, and a doctor who cares for some of them; each of those has alerts, notes and a cuff."""
    async with database.service() as c:
        centre = await people.add_centre(c, "基准中心", "Bench Centre", "+8621555001", "Asia/Shanghai")
        doctor = await people.add_person(c, centre, "陈医生", "Dr Chen", None, "zh_Hans")
        await people.add_account(c, doctor.id, "doctor", "!", "doctor")
        await gateways.issue_pairing_code(c, centre, "bench", b"code", now + timedelta(hours=1))
        for n in range(1, count + 1):
            person = await people.add_person(c, centre, f"老人{n}", f"Resident {n}", None, "zh_Hans")
            new = residents.NewResident(
                person.id, centre, date(1944, 3, 2), "female", "9号楼", "Bldg 9", ("hypertension",)
            )
            number = await residents.add(c, new)
            await gateways.add_device(c, f"C0:00:00:00:{n // 256:02X}:{n % 256:02X}", number, "blood_pressure", 1)
            if n <= IN_CARE:
                await residents.grant(c, doctor.id, number, "doctor")
                await _past(c, number, doctor.id, now)
    return doctor.id


async def _past(c: psycopg.AsyncConnection[tuple[object, ...]], resident: int, doctor: UUID, now: datetime) -> None:
    evidence = {"systolic": 188.0, "diastolic": 116.0, "first_systolic": 192.0, "first_diastolic": 118.0, "count": 2}
    for n in range(8):
        at = now - timedelta(days=5 * n + 1)
        number = await alerts.insert(
            c, resident_id=resident, rule="bp.severe", protocol="bench", priority="high", kind="physiological",
            happened_at=at, raised_at=at, evidence=evidence,
        )  # fmt: skip
        assert number is not None
        for kind in ("raised", "called", "acknowledged", "resolved"):
            await alerts.add_event(c, number, resident, kind, at=at, person_id=doctor, channel="sms")
        closed = {"state": "resolved", "resolved_at": at, "resolved_by": doctor, "outcome": "well"}
        await alerts.update(c, number, closed)
        await notes.add(c, resident, doctor, "血压偏高，已调整用药。", at)


async def visit(dsn: str, doctor: UUID, visits: int) -> None:
    app = create_app(Settings(database_url=dsn, watch=False, dispatch=False))
    async with app.router.lifespan_context(app):
        database: Database = app.state.database
        async with database.service() as c:
            await people.open_session(c, token_hash("bench"), doctor, "csrf", datetime.now(UTC) + timedelta(hours=8))
        headers = {"Cookie": f"{COOKIE}=bench", "Accept": "text/html"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="https://bench.test", headers=headers) as browser:
            await _measure("doctor's list of 200", browser, ["/doctor"] * 20)
            await browser.get("/doctor/residents/1")
            paths = [f"/doctor/residents/{n % IN_CARE + 1}" for n in range(1, visits + 1)]
            await _measure("resident's page", browser, paths)


async def _measure(what: str, browser: httpx.AsyncClient, paths: list[str]) -> None:
    spent: dict[str, list[float]] = {"whole": []}
    size = 0
    for path in paths:
        began = time.perf_counter()
        page = await browser.get(path)
        spent["whole"].append(1000 * (time.perf_counter() - began))
        page.raise_for_status()
        size = len(page.content)
        for name, duration in re.findall(r"(\w+);dur=([\d.]+)", page.headers.get("server-timing", "")):
            spent.setdefault(name, []).append(float(duration))
    print(f"{what}: {len(paths)} visits, {size / 1000:.0f} kB")
    for name, times in spent.items():
        p95 = sorted(times)[int(0.95 * (len(times) - 1))]
        print(f"  {name:7} median {statistics.median(times):6.1f} ms   p95 {p95:6.1f} ms   worst {max(times):6.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readings", type=int, default=5_000_000)
    parser.add_argument("--visits", type=int, default=300)
    wanted = parser.parse_args()
    count = -(-wanted.readings // (DAYS * A_DAY))
    folder = Path(tempfile.mkdtemp(prefix="hearthwatch-bench-"))
    folder.chmod(0o755)
    now = datetime.now(UTC)
    try:
        settings = ("-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB", "-c", "synchronous_commit=off")
        with EmbeddedPostgres(folder / "pg", settings=settings) as server:
            migrate(server.dsn)
            doctor = asyncio.run(_furnished(server.dsn, count, now))
            began = time.perf_counter()
            made = fill(server.dsn, count, now)
            print(f"{made:,} readings of {count:,} residents copied in {time.perf_counter() - began:.0f} s")
            asyncio.run(visit(server.dsn, doctor, wanted.visits))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _furnished(dsn: str, count: int, now: datetime) -> UUID:
    async with Database(dsn) as database:
        return await furnish(database, count, now)


if __name__ == "__main__":
    main()
