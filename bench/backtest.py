"""A year of ten thousand residents under two protocols, and how fast such a year is read from the record.

    python -m bench.backtest [--residents 10000] [--days 365] [--stored 300] [--processes 2]

Judged is what ``hearthwatch backtest`` judges, in the same parts and by the same function, from columns of numpy: a cuff
morning and evening (systolic, diastolic, pulse), an oximeter, a scale, a thermometer or a glucose meter with some, every
battery once a day, falls and calls for help now and then; one day in a hundred a gateway sends two days late. Making them
is not counted, nor starting the processes. Reading is measured on an embedded PostgreSQL with fewer residents over the
same number of days, by one connection, and from it follows what all of them would take.

Figures are of processor time, that of the database too: the machine is shared, and what else runs on it is not what is
asked about.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import platform
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import psycopg
from numpy.typing import NDArray

from alerts import protocol
from alerts.backtest.counts import SIDES, Watched, compare
from alerts.backtest.replay import Assumed, Past, Replay, Told
from alerts.engine import Batch
from alerts.profiles import Profile
from devices.readings import METRICS
from store import history
from store.embedded import EmbeddedPostgres
from store.history import Received
from store.migrate import migrate
from store.postgres import Database

BEGIN: Final = datetime(2025, 11, 1, tzinfo=UTC)
ZONE: Final = "Asia/Shanghai"
_PART: Final = 1_250
_HOUR: Final = 3_600_000_000
_DAY: Final = 24 * _HOUR
_LATE: Final = 0.01

# Device, share of residents who have it, hours of use, and of each metric its mean and how it varies within and between people.
_USES: Final = (
    (1, 1.0, (23.2, 11.3), {"systolic": (130, 8, 8), "diastolic": (76, 5, 5), "pulse": (72, 5, 7)}),
    (2, 0.3, (0.5,), {"spo2": (95, 1.2, 1.2), "pulse": (74, 6, 8)}),
    (3, 0.3, (22.9,), {"body_weight": (66, 0.4, 11)}),
    (4, 0.2, (12.0,), {"body_temperature": (36.5, 0.3, 0.1)}),
    (5, 0.1, (23.1, 9.5), {"glucose": (7.2, 1.6, 1.0)}),
    (1, 1.0, (3.0,), {"battery": (70, 3, 15)}),
)
_EVENTS: Final = {"fall": 1.5 / 365, "help_call": 1.0 / 365}
"""How often in a day."""


class Timed(NamedTuple):
    """What one process has judged, how much of a core's time it took, and how much it was."""

    told: dict[str, Told]
    of_a_core: float
    readings: int


def year(first: int, count: int, days: int) -> Received:
    """What the devices of ``count`` residents, from number ``first`` on, send in so many days, in order of arrival."""
    rng = np.random.default_rng([20_261_129, first])
    parts = [part for use in _USES for part in _used(rng, first, count, days, *use)]
    parts += [_events(rng, first, count, days, name, often) for name, often in _EVENTS.items()]
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    resident, metric, at, received, value, device = columns
    times = (moment.astype("datetime64[us]") for moment in (at, received))
    return Received(
        resident,
        metric,
        *times,
        value,
        np.zeros(len(at), np.int32),
        device,  # type: ignore[arg-type]
    ).in_order()


def _used(
    rng: np.random.Generator, first: int, count: int, days: int, kind: int, share: float, hours: Any, metrics: Any
) -> Iterator[tuple[NDArray[Any], ...]]:
    users = np.flatnonzero(rng.random(count) < share)
    shape = (len(users), days, len(hours))
    start = int(BEGIN.timestamp()) * 1_000_000
    clock = start + (np.arange(days)[:, None] * _DAY + np.array(hours) * _HOUR).astype(np.int64)
    at = (clock + rng.integers(0, _HOUR, shape)) // 1_000_000 * 1_000_000
    received = _received(rng, at, np.broadcast_to(rng.random((len(users), days, 1)) < _LATE, shape))
    resident = np.broadcast_to((users + first)[:, None, None], shape).astype(np.int32).ravel()
    for name, (mean, within, between) in metrics.items():
        usual = rng.normal(mean, between, len(users))[:, None, None]
        value = np.clip(rng.normal(usual, within, shape), METRICS[name].low, METRICS[name].high).round(1).ravel()
        metric = np.full(len(resident), METRICS[name].code, np.int16)
        yield resident, metric, at.ravel(), received.ravel(), value, resident * 8 + kind


def _received(rng: np.random.Generator, at: NDArray[Any], late: NDArray[np.bool_]) -> NDArray[Any]:
    """When each measurement came, all its values at once: within a minute and a half, or with a gateway that was away."""
    soon = at + rng.integers(2_000_000, 90_000_000, at.shape) // 1_000_000 * 1_000_000
    return np.where(late, (at // _DAY + 3) * _DAY, soon)


def _events(
    rng: np.random.Generator, first: int, count: int, days: int, name: str, often: float
) -> tuple[NDArray[Any], ...]:
    number = rng.poisson(often * days * count)
    resident = (first + rng.integers(0, count, number)).astype(np.int32)
    at = int(BEGIN.timestamp()) * 1_000_000 + rng.integers(0, days * _DAY, number)
    metric = np.full(number, METRICS[name].code, np.int16)
    received = _received(rng, at, np.zeros(number, np.bool_))
    return resident, metric, at, received, np.full(number, 0.9), resident * 8 + 6


def judge(first: int, count: int, days: int) -> Timed:
    """One part under both protocols; here both are the shipped one."""
    found = year(first, count, days)
    batch = Batch(found.resident, found.metric, found.at, found.value, found.quality, found.device, found.received)
    rules = protocol.load()
    begin = np.datetime64(BEGIN.replace(tzinfo=None), "us")
    who = range(first, first + count)
    profiles, enrolled = dict.fromkeys(who, Profile(ZONE)), dict.fromkeys(who, begin)
    _warm(batch[: min(len(batch), 2_000)])
    started, told = time.process_time(), {}
    for side in SIDES:
        told[side] = Replay(rules, profiles, Past(), Assumed()).run(batch, (begin, batch_end(begin, days)), enrolled)
    return Timed(told, time.process_time() - started, len(batch))


def batch_end(begin: np.datetime64, days: int) -> np.datetime64:
    """The end of the record: three days on, when the last late readings have come."""
    return begin + np.timedelta64(days + 3, "D")


def _warm(batch: Batch) -> None:
    """Whatever is compiled when first used is compiled by then."""
    begin = np.datetime64(BEGIN.replace(tzinfo=None), "us")
    Replay(protocol.load(), {}, Past()).run(batch, (begin, begin + np.timedelta64(400, "D")), {})


def judged(residents: int, days: int, processes: int) -> tuple[float, float]:
    """Judge and count everything; returns seconds of a core for the one, by how many processes it may be, and for the other."""
    firsts = range(1, residents + 1, _PART)
    parts = [(first, min(_PART, residents + 1 - first), days) for first in firsts]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        done = [found.result() for found in [pool.submit(judge, *part) for part in parts]]
    spent, readings = sum(one.of_a_core for one in done), sum(one.readings for one in done)
    started = time.process_time()
    told = {side: Told.joined([one.told[side] for one in done]) for side in SIDES}
    since, until = BEGIN, BEGIN + timedelta(days=days)
    bounds = (round(moment.timestamp() * 1e6) for moment in (since, until))
    columns = (np.full(residents, bound, np.int64) for bound in bounds)
    watched = Watched(np.arange(1, residents + 1, dtype=np.int32), *columns, (ZONE,) * residents)
    rules = protocol.load()
    found = compare(dict.fromkeys(SIDES, rules), told, watched, [], (since, until), readings, Assumed())
    counted = time.process_time() - started
    print(f"{len(rules.rules)} rules; {readings:,} readings of {residents:,} residents in {days} days")
    print(f"{found.new.alerts.count:,} alerts and {found.new.asked.count:,} questions under each protocol")
    print(f"judged twice: {spent:.1f} s of one core, {2 * readings / spent:,.0f} readings/s on each")
    print(f"counted: {counted:.1f} s")
    return spent, counted


def stored(residents: int, days: int, all_readings: int) -> float:
    """Copy a smaller record into a database of its own, read it back as a backtest does; returns seconds of a core for all."""
    folder = Path(tempfile.mkdtemp(prefix="hearthwatch-bench-"))
    folder.chmod(0o755)
    try:
        settings = ("-c", "shared_buffers=256MB", "-c", "max_wal_size=4GB", "-c", "synchronous_commit=off")
        with EmbeddedPostgres(folder / "pg", settings=settings) as server:
            migrate(server.dsn)
            _copy(server.dsn, year(1, residents, days))
            readings, spent = asyncio.run(_read(server.dsn, residents, days))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(f"read from PostgreSQL: {readings:,} readings, {readings / spent:,.0f} a second of a core; ", end="")
    print(f"{all_readings:,} would take {all_readings * spent / readings:.1f} s of one core")
    return all_readings * spent / readings


_ROW: Final = (
    ("resident_id", ">i4", "resident"), ("metric", ">i2", "metric"), ("measured_at", ">i8", "at"), ("device_id", ">i4", "device"),
    ("value", ">f8", "value"), ("collected_at", ">i8", "at"), ("received_at", ">i8", "received"), ("quality", ">i4", "quality"),
)  # fmt: skip
_EPOCH_US: Final = 946_684_800_000_000


def _copy(dsn: str, found: Received) -> None:
    kinds = [(name, kind) for name, kind, _ in _ROW] + [("gateway_id", ">i4")]
    rows = np.zeros(
        len(found), [("columns", ">i2"), *(p for name, kind in kinds for p in ((f"{name}_size", ">i4"), (name, kind)))]
    )
    rows["columns"] = len(kinds)
    for name, kind in kinds:
        rows[f"{name}_size"] = np.dtype(kind).itemsize
    for name, _, column in _ROW:
        values = getattr(found, column)
        rows[name] = values.astype(np.int64) - _EPOCH_US if values.dtype.kind == "M" else values
    names = ", ".join(name for name, _ in kinds)
    with psycopg.connect(dsn, autocommit=True) as c:
        with c.cursor().copy(f"COPY reading ({names}) FROM STDIN (FORMAT binary)".encode()) as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0))
            for first in range(0, len(rows), 100_000):
                copy.write(rows[first : first + 100_000].tobytes())
            copy.write(struct.pack(">h", -1))
        c.execute("VACUUM (ANALYZE) reading")


async def _read(dsn: str, residents: int, days: int) -> tuple[int, float]:
    """How many readings there were, and the seconds of a core that it took here and in the database."""
    codes = [metric.code for metric in METRICS.values()]
    waiting, count = list(range(1, residents + 1)), 0
    async with Database(dsn, max_size=1) as database:
        async with database.service() as c:
            server = c.info.backend_pid
        began = time.process_time() + _spent_by(server)
        while waiting:
            async with database.service() as c:
                found, taken = await history.readings(c, waiting, codes, BEGIN, BEGIN + timedelta(days=days + 3))
            waiting, count = waiting[taken:], count + len(found)
        return count, time.process_time() + _spent_by(server) - began


def _spent_by(process: int) -> float:
    """Seconds of processor time a process has had (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--residents", type=int, default=10_000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--stored", type=int, default=300, help="residents whose readings are put into a database")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} cores")
    spent, counted = judged(given.residents, given.days, given.processes)
    whole = sum(share * len(hours) * len(metrics) for _, share, hours, metrics in _USES) * given.residents * given.days
    spent += stored(given.stored, given.days, round(whole))
    print(f"all of it on {given.processes} cores to itself: {spent / given.processes + counted:.1f} s")


if __name__ == "__main__":
    main()
