"""A bad night: hundreds of calls for help while everything between a button and a telephone breaks.

The service runs as two real processes over a real database, and speaks through the real Twilio client to the telephone
network's stand-in. Processes are killed, stopped and cut off, the database is killed, clocks jump, the provider refuses,
hangs, loses and doubles. The people on duty answer as people do: mostly, some late, some that they cannot come, some with
words that mean nothing, some never. Then every alert must have been taken by a person or be loudly red, with its whole trail.
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
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from multiprocessing.connection import Connection as Pipe
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psycopg
from psycopg.conninfo import make_conninfo

from alerts.policy import SHIPPED, Step, Target, content
from devices.readings import METRICS
from store import people, policies, readings
from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from store.postgres import Connection, Database, Unavailable, value
from store.readings import UNKNOWN_USER, Incoming
from tests.alerts.network import ACCOUNT, NUMBER, TOKEN, free_port
from tests.conftest import with_database
from tests.faults import house
from tests.faults import network as telephones
from tests.faults.fire import insist, socket_of
from tests.faults.house import Wrong
from tests.faults.network import Said
from tests.faults.way import Way
from tests.household import Household, furnish, put_on_duty

_PROCESSES = multiprocessing.get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.faults.house", "tests.faults.network"])
_STEP = timedelta(seconds=30)
_TAKEN = ("acknowledged", "attended", "resolved")
_MORE = 3
"""People on duty beside the household's three."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How bad the night is: so many calls for help, one every ``every_s``; something breaks every ``breaks_s``."""

    alerts: int
    every_s: float
    breaks_s: float
    seed: int = 5


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one call for help."""

    state: str
    is_red: bool
    trail: tuple[str, ...]
    calls: int

    @property
    def has_been_heard(self) -> bool:
        """Whether a person has taken it, or it is loud that nobody has."""
        return self.state in _TAKEN or self.is_red


@dataclass
class Morning:
    """What is found when the night is over."""

    fates: list[Fate] = field(default_factory=list)
    readings: int = 0
    sent: int = 0
    doubled: int = 0
    called_after_taken: int = 0
    done: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def silent(self) -> list[Fate]:
        """Those that nobody has taken and that nobody can see to be in vain."""
        return [fate for fate in self.fates if not fate.has_been_heard]

    @property
    def share_doubled(self) -> float:
        """How many messages went out more than once, of all that went out."""
        return self.doubled / max(self.sent, 1)


class House:
    """One process of the service: its ways to the database and to the telephone network, and what can happen to it."""

    def __init__(self, n: int, dsn: str, socket: str, network: int, door: int, place: Path) -> None:
        self.port = free_port()
        self.to_database = Way(lambda: asyncio.open_unix_connection(socket))
        self.to_network = Way(lambda: asyncio.open_connection("127.0.0.1", network))
        self._dsn, self._door = dsn, door
        self._log, self._clock = place / f"house-{n}.log", place / "clock"
        self._process: ForkServerProcess | None = None

    async def open(self) -> None:
        await self.to_database.start()
        await self.to_network.start()
        self.start()

    def start(self) -> None:
        dsn = make_conninfo(
            self._dsn, host="127.0.0.1", port=str(self.to_database.port), sslmode="disable", gssencmode="disable"
        )
        settings = {
            "database_url": dsn,
            "public_url": f"http://127.0.0.1:{self._door}",
            "port": self.port,
            "twilio_account_sid": ACCOUNT,
            "twilio_auth_token": TOKEN,
            "twilio_from": NUMBER,
            "twilio_base_url": f"http://127.0.0.1:{self.to_network.port}",
            "sms_per_s": 100.0,
            "voice_per_s": 100.0,
        }
        self._process = _PROCESSES.Process(target=house.main, args=(settings, self._clock, self._log))
        self._process.start()

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        assert self._process.pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)

    async def end(self) -> None:
        self.send(signal.SIGKILL)
        assert self._process is not None
        await asyncio.to_thread(self._process.join)

    def close(self) -> None:
        self.to_database.stop()
        self.to_network.stop()


class Trouble:
    """What breaks, at random but seeded."""

    def __init__(
        self, server: EmbeddedPostgres, houses: list[House], telephone: httpx.AsyncClient, wrong: Wrong, scale: Scale
    ) -> None:
        self.done: Counter[str] = Counter()
        self._server, self._houses, self._telephone, self._wrong = server, houses, telephone, wrong
        self._chance = random.Random(scale.seed)
        self._every_s = scale.breaks_s
        self._under_way: set[asyncio.Task[None]] = set()
        self._suffering: set[House] = set()

    async def go_on(self) -> None:
        """Break one thing after the other until cancelled; what is broken then is mended."""
        kinds = {
            self._kill: 30,
            self._stop: 15,
            self._cut_off_database: 10,
            self._hold_database: 10,
            self._cut_off_network: 10,
            self._restart_database: 5,
            self._clock_jumps: 10,
            self._provider_fails: 25,
        }
        try:
            while True:
                await asyncio.sleep(self._chance.uniform(0.5, 1.5) * self._every_s)
                [fate] = self._chance.choices(list(kinds), list(kinds.values()))
                free = [one for one in self._houses if one not in self._suffering]
                if free:
                    self._begin(fate, self._chance.choice(free))
        finally:
            await asyncio.gather(*self._under_way)
            self._wrong.by(0)
            await self._telephone.delete("/faults")

    def _begin(self, fate: Callable[[House], Awaitable[None]], victim: House) -> None:
        self.done[fate.__name__.strip("_")] += 1
        self._suffering.add(victim)

        async def suffer() -> None:
            try:
                await fate(victim)
            finally:
                self._suffering.discard(victim)

        task = asyncio.create_task(suffer())
        self._under_way.add(task)

    async def _kill(self, victim: House) -> None:
        await victim.end()
        await asyncio.sleep(self._chance.uniform(0, 2))
        victim.start()

    async def _stop(self, victim: House) -> None:
        victim.send(signal.SIGSTOP)
        await asyncio.sleep(self._chance.uniform(0.5, 14))
        victim.send(signal.SIGCONT)

    async def _cut_off_database(self, victim: House) -> None:
        await victim.to_database.cut(self._chance.uniform(0, 5))

    async def _hold_database(self, victim: House) -> None:
        await victim.to_database.hold(self._chance.uniform(0.5, 8))

    async def _cut_off_network(self, victim: House) -> None:
        await victim.to_network.cut(self._chance.uniform(0, 10))

    async def _restart_database(self, _: House) -> None:
        await asyncio.to_thread(self._server.kill)
        await asyncio.to_thread(self._server.start)

    async def _clock_jumps(self, _: House) -> None:
        self._wrong.by(self._chance.choice([-1, 1]) * self._chance.uniform(0.5, 40))

    async def _provider_fails(self, _: House) -> None:
        kinds = ["429", "500", "timeout_before_send", "timeout_after_send", "undelivered", "21610", "30005"]
        kinds += ["duplicate", "reordered", "lost", "slow:3", "busy", "no-answer", "machine", "hang_up"]
        for kind in self._chance.sample(kinds, 3):
            fault = {"always": kind, "share": self._chance.uniform(0.05, 0.5)}
            (await self._telephone.post("/faults", json=fault)).raise_for_status()
        await asyncio.sleep(self._chance.uniform(2, 8))
        (await self._telephone.delete("/faults")).raise_for_status()


async def bad_night(server: EmbeddedPostgres, place: Path, scale: Scale) -> Morning:
    """Live through it, and look in the morning what became of everything."""
    name = f"night_{scale.alerts}"
    with psycopg.connect(server.dsn, autocommit=True) as owner:
        owner.execute(f'CREATE DATABASE "{name}"'.encode())
    dsn = with_database(server.dsn, name)
    migrate(dsn)
    wrong = Wrong(place / "clock")
    async with Database(dsn, max_size=6) as database:
        home, first, phones = await _furnish(database, wrong, scale)
        door, network = free_port(), free_port()
        ours, theirs = _PROCESSES.Pipe()
        phones_of_all = _PROCESSES.Process(
            target=telephones.main, args=(network, f"http://127.0.0.1:{door}", phones, scale.seed, theirs)
        )
        phones_of_all.start()
        houses = [House(n, dsn, socket_of(server), network, door, place) for n in range(2)]
        at_the_door = Way(lambda: _any_of(houses), door)
        for one in houses:
            await one.open()
        await at_the_door.start()
        try:
            return await _live_through(database, home, first, server, houses, network, ours, wrong, scale)
        finally:
            at_the_door.stop()
            for one in houses:
                await one.end()
                one.close()
            phones_of_all.kill()
            phones_of_all.join()


async def _live_through(
    database: Database,
    home: Household,
    first: int,
    server: EmbeddedPostgres,
    houses: list[House],
    network: int,
    phones: Pipe[Any, Any],
    wrong: Wrong,
    scale: Scale,
) -> Morning:
    await _until(lambda: _is_watching(database), 60)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{network}", timeout=60) as client:
        trouble = Trouble(server, houses, client, wrong, scale)
        breaking = asyncio.create_task(trouble.go_on())
        try:
            for n in range(scale.alerts):
                await insist(lambda n=n: _press(database, home, first + n, wrong))  # type: ignore[misc]
                await asyncio.sleep(scale.every_s)
        finally:
            breaking.cancel()
            await asyncio.gather(breaking, return_exceptions=True)
    await _until(lambda: _all_heard(database, scale.alerts), 6 * _STEP.total_seconds() + 120)
    phones.send("what has been said?")
    said: Said = await asyncio.to_thread(phones.recv)
    async with database.service() as c:
        return Morning(
            fates=await _fates(c),
            readings=int(await value(c, "SELECT count(*) FROM reading")),
            sent=said.sent,
            doubled=said.doubled,
            called_after_taken=int(await value(c, _CALLED_AFTER_TAKEN)),
            done=trouble.done,
            answers=said.answers,
        )


async def _furnish(database: Database, wrong: Wrong, scale: Scale) -> tuple[Household, int, list[str]]:
    """A household, a resident for every call for help, and several people on each line of the rota."""
    now = wrong.clock()
    async with database.service() as c:
        home = await furnish(c, now)
        phones = [p.phone for p in (home.li_na, home.chen, home.supervisor) if p.phone]
        for n in range(_MORE):
            phone = f"+86138000{n:05}"
            person = await people.add_person(
                c, home.centre, f"护理员{n}", f"Worker {n}", phone, ("zh_Hans", "en")[n % 2]
            )
            await people.add_account(c, person.id, f"worker{n}", "!", "care_worker")
            role, line = (("care_worker", 1), ("care_worker", 2), ("supervisor", 1))[n % 3]
            await put_on_duty(c, home.centre, role, line, person, now)
            phones.append(phone)
        care_workers = (Target("duty", "care_worker", 1), Target("duty", "care_worker", 2))
        policy = replace(
            SHIPPED["high"],
            steps=(Step(care_workers, _STEP), Step((Target("duty", "supervisor", 1),), _STEP)),
            repeats=0,
            again=timedelta(minutes=3),
        )
        number = await policies.save(c, home.centre, "规则", "Rule", content(policy), home.administrator.id, now)
        await policies.use(c, home.centre, "high", number)
        first = await value(
            c,
            "WITH p AS (INSERT INTO person (centre_id, name_zh, name_en) SELECT %(centre)s, '住户' || n, 'Resident ' || n "
            "FROM generate_series(1, %(n)s) n RETURNING id), "
            "r AS (INSERT INTO resident (person_id, centre_id, born, sex, address_zh, address_en) "
            "SELECT id, %(centre)s, '1944-01-01', 'female', '1号楼', 'Building 1' FROM p RETURNING id) SELECT min(id) FROM r",
            {"centre": home.centre, "n": scale.alerts},
        )
    return home, int(first), phones


async def _press(database: Database, home: Household, resident: int, wrong: Wrong) -> None:
    """Somebody presses her help button: a reading that the service has accepted."""
    now = wrong.clock()
    at = np.array([now.replace(tzinfo=None)], "datetime64[us]")
    one = Incoming(
        home.gateway,
        now,
        np.array([resident], np.int32),
        np.array([METRICS["help_call"].code], np.int16),
        np.array([home.button], np.int32),
        at,
        at,
        np.array([1.0]),
        np.array([0], np.int32),
        np.array([UNKNOWN_USER], np.int16),
    )
    async with database.service() as c:
        await readings.insert(c, one)


async def _any_of(houses: list[House]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    for one in random.sample(houses, len(houses)):
        with contextlib.suppress(OSError):
            return await asyncio.open_connection("127.0.0.1", one.port)
    raise ConnectionRefusedError("nobody is at the door")


async def _is_watching(database: Database) -> bool:
    async with database.service() as c:
        return bool(await value(c, "SELECT (SELECT count(*) FROM watch_row) = (SELECT count(*) FROM resident)"))


async def _all_heard(database: Database, alerts: int) -> bool:
    async with database.service() as c:
        heard = await value(
            c, "SELECT count(*) FROM alert WHERE state = ANY(%s) OR exhausted_at IS NOT NULL", [list(_TAKEN)]
        )
        return int(heard) >= alerts


async def _until(condition: Callable[[], Awaitable[bool]], within_s: float) -> None:
    """Wait until something holds, at most so long: what is not so by then is found in the morning."""
    deadline = time.monotonic() + within_s
    while not await _or_away(condition) and time.monotonic() < deadline:  # noqa: ASYNC110  (another process tells nobody here)
        await asyncio.sleep(0.2)


async def _or_away(condition: Callable[[], Awaitable[bool]]) -> bool:
    try:
        return await condition()
    except Unavailable:
        return False


async def _fates(c: Connection) -> list[Fate]:
    cursor = await c.execute(
        "SELECT a.state, a.exhausted_at IS NOT NULL, array_agg(e.kind ORDER BY e.id), a.call FROM alert a "
        "JOIN alert_event e ON e.alert_id = a.id GROUP BY a.id ORDER BY a.id"
    )
    return [Fate(state, red, tuple(trail), calls) for state, red, trail, calls in await cursor.fetchall()]


_CALLED_AFTER_TAKEN = """
    SELECT count(*) FROM alert_event taken JOIN alert_event called
        ON called.alert_id = taken.alert_id AND called.id > taken.id AND called.kind IN ('called', 'climbed')
    WHERE taken.kind = 'acknowledged' AND NOT EXISTS (
        SELECT 1 FROM alert_event why WHERE why.alert_id = taken.alert_id AND why.id > taken.id AND why.id < called.id
        AND why.kind IN ('lapsed', 'declined', 'raised_again', 'worse'))
"""
