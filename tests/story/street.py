"""A street of fifty homes' devices, a gateway that is killed again and again, and a network that is mostly away.

The parts are real processes: the street, the gateway, the service on its own database. Between the last two stands a
network that can be cut. What the devices recorded is decoded here once more, from their own bytes, and must be what
lies in the service: each reading, once, with its value and its time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import psycopg

from api.gateways import hash_token
from devices.gatt import blood_pressure, glucose, pulse_oximeter, thermometer, weight_scale
from devices.gatt.errors import DecodeError
from devices.outbox import Outbox
from devices.readings import METRICS_BY_CODE
from devices.virtual.control import Street
from store import gateways, people, residents
from store.embedded import EmbeddedPostgres
from store.migrate import migrate
from store.postgres import Database
from tests.story.demo import free_port

KEY = "street-key"
BINDKEY = "231d39c1d7cc1ab1aee224cd096db932"
ZONE = ZoneInfo("Asia/Shanghai")
KILL_EVERY_S = 20.0
_UP_S = 6.0  # how long after a start a gateway surely listens: who only broadcasts is not heard before

Key = tuple[str, str, datetime, float]
"""A reading as both sides must tell it: device, metric, measured time, value."""


Record = tuple[datetime | None, dict[str, float | None]]


@dataclass(frozen=True)
class Kind:
    """How many devices of a kind the street has, and what a record of theirs says: local time, and metric -> value."""

    name: str
    count: int
    read: Callable[[bytes], Record] | None = None


def _blood_pressure(record: bytes) -> Record:
    m = blood_pressure.decode(record)
    names = ("systolic", "diastolic", "mean_arterial_pressure", "pulse")
    return m.timestamp, {name: getattr(m, name) for name in names}


def _spot_check(record: bytes) -> Record:
    m = pulse_oximeter.decode_spot_check(record)
    if m.status is not None and m.status & pulse_oximeter.Status.INVALID:
        raise DecodeError("invalid", "the oximeter says so itself")
    return m.timestamp, {"spo2": m.spo2, "pulse": m.pulse, "perfusion_index": m.amplitude}


def _temperature(record: bytes) -> Record:
    m = thermometer.decode(record)
    return m.timestamp, {"body_temperature": m.celsius}


def _weight(record: bytes) -> Record:
    m = weight_scale.decode(record)
    return m.timestamp, {"body_weight": m.weight_kg, "body_mass_index": m.body.bmi if m.body else None}


def _glucose(record: bytes) -> Record:
    m = glucose.decode(record)
    assert m.sample is not None
    assert m.sample.glucose_mg_dl is not None
    if m.status:
        raise DecodeError("spoilt", "the meter says so itself")
    return m.base_time, {"glucose": round(m.sample.glucose_mg_dl / 18.016, 2)}


KINDS = (
    Kind("blood_pressure", 16, _blood_pressure),
    Kind("oximeter", 9, _spot_check),
    Kind("glucose_meter", 5, _glucose),
    Kind("thermometer", 5, _temperature),
    Kind("scale", 5, _weight),
    Kind("wearable", 4),
    Kind("help_button", 6),
)


@dataclass
class Ledger:
    """What was done: the calls for help that were pressed while somebody listened, the kills and cuts, the mischief."""

    presses: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    gateway_mb: float = 0.0
    cuts: int = 0
    done: dict[str, int] = field(default_factory=dict)


class Network:
    """The way from the gateway to the service, which can be cut in the middle of everything."""

    def __init__(self, service_port: int) -> None:
        self.port = 0
        self._service_port = service_port
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self.is_cut = False

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """From now on nothing gets through; what was under way is torn."""
        self.is_cut = True
        for writer in list(self._open):
            writer.transport.abort()

    def mend(self) -> None:
        self.is_cut = False

    async def stop(self) -> None:
        self.cut()
        assert self._server is not None
        self._server.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_cut:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._service_port)
        except OSError:
            writer.transport.abort()
            return
        self._open |= {writer, far_writer}
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        self._open -= {writer, far_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


class Neighbourhood:
    """The running whole. ``street`` moves its devices."""

    def __init__(self, place: Path, kinds: Iterable[Kind]) -> None:
        self.place = place
        self.kinds = tuple(kinds)
        self.addresses = {k.name: [address(number, n) for n in range(k.count)] for number, k in enumerate(self.kinds)}
        self.street = Street(place / "control")
        self.ledger = Ledger()
        self.postgres = EmbeddedPostgres(place / "postgres")
        self.network = Network(free_port())
        self._port = self.network._service_port
        self._gateway: asyncio.subprocess.Process | None = None
        self._gateway_since = 0.0
        self.pending: list[asyncio.Task[None]] = []

    @property
    def everybody(self) -> list[str]:
        return [a for addresses in self.addresses.values() for a in addresses]

    async def furnish(self) -> None:
        """Residents, their devices, and the gateway's key."""
        now = datetime.now(UTC)
        async with Database(self.postgres.dsn) as database, database.service() as c:
            centre = await people.add_centre(c, "街道中心", "Street Centre", "+8621555001", str(ZONE))
            await gateways.issue_pairing_code(c, centre, "street", b"code", now + timedelta(hours=1))
            gateway = await gateways.redeem(c, b"code", hash_token(KEY), now)
            assert gateway is not None
            for kind, addresses in self.addresses.items():
                for n, device in enumerate(addresses):
                    person = await people.add_person(c, centre, f"{kind}{n}", f"{kind} {n}", None, "en")
                    new = residents.NewResident(person.id, centre, date(1944, 1, 1), "female", "1号楼", "Building 1")
                    resident = await residents.add(c, new)
                    key = BINDKEY if kind == "help_button" else None
                    await gateways.add_device(c, device, resident, kind, gateway.id, bindkey=key)

    def homes(self) -> str:
        plates = [
            {"address": a, "kind": kind, "name": kind[:8], "bindkey": BINDKEY}
            for kind, addresses in self.addresses.items()
            for a in addresses
        ]
        return json.dumps({"devices": plates, "time_zone": str(ZONE)})

    async def start_process(self, name: str, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        with (self.place / f"{name}.log").open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", *arguments), stdout=log, stderr=log, env={**os.environ, **environment}
            )

    async def start_service(self) -> asyncio.subprocess.Process:
        names = {"DATABASE_URL": self.postgres.dsn, "PORT": str(self._port), "DISPATCH": "false"}
        environment = {f"HEARTHWATCH_{name}": value for name, value in names.items()}
        service = await self.start_process("service", "api.cli", "serve", **environment)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}") as client:
            await until(lambda: _answers(client, "/healthz"), 60, self.place)
        return service

    async def start_street(self) -> asyncio.subprocess.Process:
        homes = self.place / "homes.json"
        homes.write_text(self.homes())
        sockets = ("--radio", f"unix:{self.place / 'radio'}", "--control", str(self.place / "control"))
        street = await self.start_process("street", "devices.virtual.street", "--homes", str(homes), *sockets)
        await until(lambda: self._street_is_up(), 60, self.place)
        return street

    async def _street_is_up(self) -> bool:
        try:
            await self.street.do(self.everybody[-1], "state")
        except OSError:
            return False
        return True

    async def start_gateway(self) -> None:
        data = self.place / "gateway"
        if not data.exists():
            data.mkdir()
            with Outbox(data / "outbox.db") as outbox:
                outbox.remember("key", KEY)
                outbox.remember("server", "")
        server = f"http://127.0.0.1:{self.network.port}"
        options = ("--server", server, "--data", str(data), "--radio", f"unix:{self.place / 'radio'}")
        self._gateway = await self.start_process("gateway", "api.cli", "gateway", *options)
        self._gateway_since = asyncio.get_running_loop().time()

    async def kill_gateway(self) -> None:
        """Pull its plug and put it in again."""
        assert self._gateway is not None
        assert self._gateway.returncode is None, _last_words(self.place)
        self.weigh_gateway()
        self._gateway.send_signal(signal.SIGKILL)
        await self._gateway.wait()
        self.ledger.kills += 1
        await self.start_gateway()

    def weigh_gateway(self) -> None:
        """Note the most memory it has had, in MB."""
        assert self._gateway is not None
        status = Path(f"/proc/{self._gateway.pid}/status").read_text()
        most_kb = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        self.ledger.gateway_mb = max(self.ledger.gateway_mb, most_kb / 1024)

    async def end_gateway(self) -> None:
        if self._gateway is not None and self._gateway.returncode is None:
            self._gateway.terminate()
            await self._gateway.wait()

    @property
    def gateway_listens(self) -> bool:
        """Whether the gateway has been up long enough to hear a broadcast, and will be for as long as one lasts."""
        up = asyncio.get_running_loop().time() - self._gateway_since
        return _UP_S < up < KILL_EVERY_S - 4

    def waiting(self) -> int:
        """How many readings the gateway still holds."""
        with contextlib.closing(sqlite3.connect(self.place / "gateway" / "outbox.db", timeout=10)) as db:
            return int(db.execute("SELECT count(*) FROM waiting").fetchone()[0])

    async def sent(self) -> tuple[set[Key], int]:
        """What the devices recorded, as readings, and how many of their records are none."""
        found: set[Key] = set()
        failures = 0
        for kind in self.kinds:
            for device in self.addresses[kind.name] if kind.read else ():
                for record in (await self.street.do(device, "recorded"))["records"]:
                    assert kind.read is not None
                    try:
                        local, values = kind.read(bytes.fromhex(record))
                    except DecodeError:
                        failures += 1
                        continue
                    assert local is not None
                    at = local.replace(tzinfo=ZONE).astimezone(UTC)
                    found |= {(device, m, at, round(v, 6)) for m, v in values.items() if v is not None}
        return found, failures

    def stored(self) -> list[Key]:
        """What the service has of everything but batteries."""
        with psycopg.connect(self.postgres.dsn) as c:
            rows = c.execute(
                "SELECT d.address, r.metric, r.measured_at, r.value FROM reading r JOIN device d ON d.id = r.device_id"
            ).fetchall()
        named = [(a, METRICS_BY_CODE[m].name, at.astimezone(UTC), round(v, 6)) for a, m, at, v in rows]
        return [key for key in named if key[1] != "battery"]

    def refused(self) -> dict[str, int]:
        """What lies in quarantine, by reason."""
        with psycopg.connect(self.postgres.dsn) as c:
            return dict(c.execute("SELECT reason, count(*) FROM reading_quarantine GROUP BY reason").fetchall())


def address(kind: int, n: int) -> str:
    return f"C0:FF:EE:{kind:02X}:00:{n:02X}"


async def _answers(client: httpx.AsyncClient, path: str) -> bool:
    try:
        return (await client.get(path)).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


async def until(what: Callable[[], Any], seconds: float, place: Path) -> None:
    """Wait until something is so; fails with the last words of every process."""
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = what()
        if await found if asyncio.iscoroutine(found) else found:
            return
        assert asyncio.get_running_loop().time() < deadline, f"not within {seconds} s; {_last_words(place)}"
        await asyncio.sleep(0.2)


def _last_words(place: Path) -> str:
    logs = sorted(place.glob("*.log"))
    return "\n".join(
        f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-12:]) for log in logs
    )


@asynccontextmanager
async def neighbourhood(place: Path, kinds: Iterable[Kind] = KINDS) -> AsyncIterator[Neighbourhood]:
    """The whole, running; ended afterwards whatever happens."""
    whole = Neighbourhood(place, kinds)
    async with contextlib.AsyncExitStack() as stack:
        whole.postgres.start()
        stack.callback(whole.postgres.stop)
        migrate(whole.postgres.dsn)
        await whole.furnish()
        await whole.network.start()
        stack.push_async_callback(whole.network.stop)
        for start in (whole.start_service, whole.start_street):
            process = await start()
            stack.push_async_callback(_end, process)
        await whole.start_gateway()
        stack.push_async_callback(whole.end_gateway)
        yield whole


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(10):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


class Mischief:
    """Every bad habit in turn, on one device after another. Seeded: the same street misbehaves the same way."""

    def __init__(self, whole: Neighbourhood) -> None:
        self._whole = whole
        self._dice = random.Random(20_26)
        self._recorders = [a for k in whole.kinds if k.read for a in whole.addresses[k.name]]
        self._turn = 0

    async def go_on(self, seconds: float) -> None:
        """Misbehave for so long."""
        habits = (
            self._memory_of_sixty, self._drops_the_link, self._forgets_the_bond, self._wrong_clock, self._fails,
            self._doubles, self._falls_silent, self._floods, self._is_far_away, self._loses, self._walks_off,
        )  # fmt: skip
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            device = self._recorders[self._turn % len(self._recorders)]
            habit = habits[self._turn % len(habits)]
            self._turn += 1
            name = habit.__name__.strip("_")
            self._whole.ledger.done[name] = self._whole.ledger.done.get(name, 0) + 1
            await habit(device)
            await self._press()
            await asyncio.sleep(self._dice.uniform(0.1, 0.6))

    async def behave(self) -> None:
        """Everybody is within range, awake and honest again, and calls once more."""
        for device in self._whole.everybody:
            for what, more in (("come_back", {}), ("hush", {"on": False}), ("loss", {"share": 0.0})):
                await self._do(device, what, **more)
        for device in self._recorders:
            for what in ("flood", "double"):
                await self._do(device, what, on=False)
            await self._do(device, "fill", count=1)

    async def _do(self, device: str, what: str, **more: Any) -> None:
        await self._whole.street.do(device, what, **more)

    async def _measure(self, device: str) -> None:
        await self._do(device, "fill", count=1)

    async def _memory_of_sixty(self, device: str) -> None:
        await self._do(device, "fill", count=60)

    async def _drops_the_link(self, device: str) -> None:
        await self._do(device, "drop_link", after=self._dice.randrange(1, 9))
        await self._do(device, "fill", count=12)

    async def _forgets_the_bond(self, device: str) -> None:
        await self._do(device, "lose_bond")
        await self._measure(device)

    async def _wrong_clock(self, device: str) -> None:
        wrong = datetime.now(ZONE).replace(tzinfo=None) + timedelta(days=self._dice.randrange(-4000, 400))
        await self._do(device, "set_clock", iso=wrong.replace(microsecond=0).isoformat())
        await self._measure(device)

    async def _fails(self, device: str) -> None:
        await self._do(device, "fail")
        await self._measure(device)

    async def _doubles(self, device: str) -> None:
        await self._do(device, "double", on=True)
        await self._do(device, "fill", count=5)

    async def _falls_silent(self, device: str) -> None:
        await self._do(device, "hush", on=True)
        await self._measure(device)
        self._later(device, "hush", on=False)

    async def _floods(self, device: str) -> None:
        await self._do(device, "flood", on=True)
        await self._measure(device)
        self._later(device, "flood", on=False)

    async def _is_far_away(self, device: str) -> None:
        await self._do(device, "rssi", dbm=-97)
        await self._measure(device)

    async def _loses(self, device: str) -> None:
        await self._do(device, "loss", share=0.6)
        await self._do(device, "fill", count=5)
        self._later(device, "loss", share=0.0)

    async def _walks_off(self, device: str) -> None:
        await self._do(device, "fill", count=12)
        await self._do(device, "leave")
        self._later(device, "come_back")

    def _later(self, device: str, what: str, **more: Any) -> None:
        async def do() -> None:
            await asyncio.sleep(self._dice.uniform(2, 6))
            await self._do(device, what, **more)

        self._whole.pending.append(asyncio.create_task(do()))

    async def _press(self) -> None:
        """A button is pressed now and then while somebody listens: nobody confirms a broadcast."""
        buttons = self._whole.addresses.get("help_button", [])
        if buttons and self._whole.gateway_listens and self._turn % 5 == 0:
            button = self._dice.choice(buttons)
            await self._do(button, "press")
            presses = self._whole.ledger.presses
            presses[button] = presses.get(button, 0) + 1
