"""The watch under fire: a recorded week is replayed through a real database while its workers are killed at random.

Workers are real processes, each with its own way to the database. They are killed, stopped and continued, cut off and
left hanging; every session is ended; the database itself is killed and started again. What the watch has decided then
must be what it decides undisturbed: every alert with its time and evidence and all that became of it, each once.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from store import readings
from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from store.postgres import Connection, Database, Unavailable, value
from tests.conftest import with_database
from tests.faults import worker
from tests.faults.way import Way
from tests.faults.week import BEGINS, TICKS_A_DAY, Week
from tests.household import furnish

_SLOWER = 5
"""How much slower the week goes by while it is measured how long a take-over lasts: the workers are not behind then."""
SETTINGS = ("-c", "fsync=off", "-c", "max_connections=100")
_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.faults.worker"])


@dataclass(frozen=True, slots=True)
class Decided:
    """All that the watch decided, counted: alerts, and what became of each."""

    alerts: Counter[Any]
    trail: Counter[Any]
    twice: int


@dataclass
class Ledger:
    """What was done to the workers, and how long each partition of a killed one was without one, in seconds."""

    done: Counter[str] = field(default_factory=Counter)
    take_overs: list[float] = field(default_factory=list)


T = TypeVar("T")


async def insist(work: Callable[[], Awaitable[T]]) -> T:
    """Try until the database is there."""
    while True:
        try:
            return await work()
        except Unavailable:
            await asyncio.sleep(0.05)


async def _until(condition: Callable[[], Awaitable[bool]], within_s: float, every_s: float = 0.02) -> None:
    """Wait until something holds, whatever the database does meanwhile."""
    deadline = time.monotonic() + within_s
    while not await insist(condition):
        assert time.monotonic() < deadline, f"did not come true within {within_s} s"
        await asyncio.sleep(every_s)


class Record:
    """One database, and the hand that writes the week into it."""

    def __init__(self, database: Database, week: Week) -> None:
        self.database = database
        self.week = week
        self._first = 0
        self._gateway = 0

    async def furnish(self) -> None:
        async with self.database.service() as c:
            home = await furnish(c, BEGINS)
            self._gateway = home.gateway
            self._first = int(
                await value(
                    c,
                    "WITH p AS (INSERT INTO person (centre_id, name_zh, name_en) SELECT %(centre)s, '住户' || n, 'Resident ' || n "
                    "FROM generate_series(1, %(n)s) n RETURNING id), "
                    "r AS (INSERT INTO resident (person_id, centre_id, born, sex, address_zh, address_en) "
                    "SELECT id, %(centre)s, '1944-01-01', 'female', '1号楼', 'Building 1' FROM p RETURNING id) SELECT min(id) FROM r",
                    {"centre": home.centre, "n": self.week.residents},
                )
            )

    async def begun(self) -> bool:
        """Whether everybody is watched."""
        async with self.database.service() as c:
            return bool(await value(c, "SELECT (SELECT count(*) FROM watch_row) = (SELECT count(*) FROM resident)"))

    async def pour(self, tick_s: Callable[[], float]) -> None:
        """Write the week, tick by tick; at each day's end, when all is judged, staff close what is open."""
        for n, (_, batch) in enumerate(self.week.batches(self._first, self._gateway)):
            if len(batch.value):
                await insist(lambda batch=batch: self._store(batch))  # type: ignore[misc]
            if n % TICKS_A_DAY == 0 and n:
                await self.judged()
                await insist(self._close)
            await asyncio.sleep(tick_s())
        await self.judged()

    async def _store(self, batch: readings.Incoming) -> None:
        async with self.database.service() as c:
            await readings.insert(c, batch)

    async def _close(self) -> None:
        async with self.database.service() as c:
            await c.execute(
                "UPDATE alert SET state = 'resolved', climb_at = NULL, resolved_at = raised_at WHERE state <> 'resolved'"
            )

    async def judged(self) -> None:
        """Wait until everything that was written is judged."""
        await _until(self._is_judged, 120)

    async def _is_judged(self) -> bool:
        async with self.database.service() as c:
            return bool(
                await value(
                    c,
                    "SELECT bool_and((p.tx, p.seq) >= (f.tx, f.seq) AND p.clock >= f.received_at) FROM watch_partition p, "
                    "(SELECT tx, seq, received_at FROM feed ORDER BY tx DESC, seq DESC LIMIT 1) f",
                )
            )

    async def decided(self) -> Decided:
        async with self.database.service() as c:
            alert = "a.resident_id, a.rule, a.happened_at"
            alerts = await _counted(c, f"SELECT {alert}, a.evidence::text, a.cleared_at IS NULL FROM alert a")
            trail = await _counted(
                c,
                f"SELECT {alert}, e.kind, e.detail::text FROM alert a JOIN alert_event e ON e.alert_id = a.id "
                "WHERE e.kind IN ('raised', 'raised_again', 'worse', 'confirmed', 'cleared', 'note', 'noted')",
            )
            twice = await value(
                c,
                "SELECT count(*) FROM (SELECT 1 FROM alert_event WHERE kind IN ('raised', 'called') "
                "GROUP BY alert_id, kind, person_id, detail HAVING count(*) > 1) twice",
            )
        return Decided(alerts, trail, int(twice))


async def _counted(c: Connection, query: str) -> Counter[Any]:
    return Counter(await (await c.execute(query.encode())).fetchall())


class Worker:
    """A process that watches, and what can happen to it."""

    def __init__(self, dsn: str, log: Path, way: Way | None = None) -> None:
        self._dsn = dsn
        self._log = log
        self._way = way
        self._process: ForkServerProcess | None = None

    @property
    def way(self) -> Way:
        """What lies between it and the database."""
        assert self._way is not None
        return self._way

    @property
    def id(self) -> str:
        """Its name in the record."""
        return self._log.with_suffix(".id").read_text()

    def start(self) -> None:
        dsn = self._dsn
        if self._way is not None:
            dsn = make_conninfo(
                dsn, host="127.0.0.1", port=str(self._way.port), sslmode="disable", gssencmode="disable"
            )
        self._process = _PROCESSES.Process(target=worker.main, args=(dsn, self._dsn, self._log))
        self._process.start()

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):  # it has ended before
            os.kill(self._process.pid, number)

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        self.send(number)
        assert self._process is not None
        await asyncio.to_thread(self._process.join)


class Fire:
    """Everything that is done to the workers and their database, at random but seeded."""

    def __init__(self, server: EmbeddedPostgres, record: Record, workers: list[Worker], kills: int) -> None:
        self.ledger = Ledger()
        self._server = server
        self._record = record
        self._workers = workers
        self._kills = kills
        self.is_measuring = True
        self._chance = random.Random(7)
        self._busy: set[Worker] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def burn(self, measured: int) -> None:
        """First ``measured`` kills of which each is watched to its end, then all kinds of things across each other."""
        for _ in range(measured):
            await self._kill_measured()
        self.is_measuring = False
        kinds = {
            self._kill: 50,
            self._leave: 5,
            self._stop: 15,
            self._cut: 10,
            self._hold: 10,
            self._end_sessions: 5,
            self._restart_database: 8,
        }
        plan = self._chance.choices(list(kinds), list(kinds.values()), k=self._kills - measured)
        for fate in plan:
            await asyncio.sleep(self._chance.uniform(0.2, 1.0))
            free = [w for w in self._workers if w not in self._busy]
            while not free:
                await asyncio.sleep(0.05)
                free = [w for w in self._workers if w not in self._busy]
            self._begin(fate, self._chance.choice(free))
        await asyncio.gather(*self._tasks)

    def _begin(self, fate: Callable[[Worker], Awaitable[None]], victim: Worker) -> None:
        self.ledger.done[fate.__name__.strip("_")] += 1
        self._busy.add(victim)

        async def suffer() -> None:
            try:
                await fate(victim)
            finally:
                self._busy.discard(victim)

        task = asyncio.create_task(suffer())
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is None:
            self._tasks.discard(task)

    async def _kill_measured(self) -> None:
        """Kill -9 of a worker, and how long until all whom it watched have been judged by others."""
        victim = self._chance.choice(self._workers)
        numbers: list[int] = []
        while not numbers:
            await asyncio.sleep(self._chance.uniform(0.05, 0.5))
            numbers = await self._watched_by(victim)
        began = time.monotonic()
        await victim.end()
        await _until(lambda: self._taken_over(victim, numbers, time.monotonic() - began), 60, 0.01)
        self.ledger.take_overs.append(time.monotonic() - began)
        self.ledger.done["kill"] += 1
        victim.start()
        await asyncio.sleep(0.5)

    async def _watched_by(self, worker: Worker) -> list[int]:
        async with self._record.database.service() as c:
            cursor = await c.execute("SELECT number FROM watch_partition WHERE owner::text = %s", [worker.id])
            return [row[0] for row in await cursor.fetchall()]

    async def _taken_over(self, worker: Worker, numbers: list[int], since_s: float) -> bool:
        async with self._record.database.service() as c:
            return bool(
                await value(
                    c,
                    "SELECT bool_and(owner::text <> %s AND worked_at > clock_timestamp() - %s) "
                    "FROM watch_partition WHERE number = ANY(%s)",
                    [worker.id, timedelta(seconds=since_s), numbers],
                )
            )

    async def _kill(self, victim: Worker) -> None:
        await victim.end()
        await asyncio.sleep(self._chance.uniform(0, 1))
        victim.start()

    async def _leave(self, victim: Worker) -> None:
        await victim.end(signal.SIGTERM)
        victim.start()

    async def _stop(self, victim: Worker) -> None:
        victim.send(signal.SIGSTOP)
        await asyncio.sleep(self._chance.uniform(0.1, 3))
        victim.send(signal.SIGCONT)

    async def _cut(self, victim: Worker) -> None:
        await victim.way.cut(self._chance.uniform(0, 2))

    async def _hold(self, victim: Worker) -> None:
        await victim.way.hold(self._chance.uniform(0.2, 3))

    async def _end_sessions(self, _: Worker) -> None:
        with contextlib.suppress(psycopg.Error):
            async with await psycopg.AsyncConnection.connect(self._server.dsn, autocommit=True) as c:
                await c.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
                )

    async def _restart_database(self, _: Worker) -> None:
        self._server.kill()
        self._server.start()


@dataclass(frozen=True, slots=True)
class Scale:
    """How much there is of everything. ``tick_s``: seconds for five minutes of the record."""

    residents: int
    days: int
    kills: int
    measured: int
    tick_s: float
    workers: int = 3


async def undisturbed(server: EmbeddedPostgres, place: Path, week: Week) -> Decided:
    """One worker whom nobody disturbs."""
    async with _record(server, "calm", week) as record:
        alone = Worker(record.database.dsn, place / "alone.log")
        alone.start()
        await _until(record.begun, 60)
        await record.pour(lambda: 0.0)
        await alone.end()
        return await record.decided()


async def under_fire(server: EmbeddedPostgres, place: Path, week: Week, scale: Scale) -> tuple[Decided, Ledger]:
    """Several workers, and everything that can be done to them."""
    async with _record(server, "fire", week) as record:
        workers = []
        for n in range(scale.workers):
            way = Way(lambda: asyncio.open_unix_connection(socket_of(server)))
            await way.start()
            workers.append(Worker(record.database.dsn, place / f"worker-{n}.log", way))
            workers[-1].start()
        await _until(record.begun, 60)
        fire = Fire(server, record, workers, scale.kills)
        burning = asyncio.create_task(fire.burn(scale.measured))
        pouring = asyncio.create_task(record.pour(lambda: scale.tick_s * (_SLOWER if fire.is_measuring else 1)))
        try:
            await asyncio.gather(burning, pouring)
        finally:
            for one in workers:
                await one.end()
                one.way.stop()
        return await record.decided(), fire.ledger


@asynccontextmanager
async def _record(server: EmbeddedPostgres, name: str, week: Week) -> AsyncIterator[Record]:
    with psycopg.connect(server.dsn, autocommit=True) as owner:
        owner.execute(f'CREATE DATABASE "{name}"'.encode())
    dsn = with_database(server.dsn, name)
    migrate(dsn)
    async with Database(dsn, max_size=6) as database:
        record = Record(database, week)
        await record.furnish()
        yield record


def socket_of(server: EmbeddedPostgres) -> str:
    """Where its database listens."""
    return f"{conninfo_to_dict(server.dsn)['host']}/.s.PGSQL.5432"
