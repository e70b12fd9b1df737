"""``hearthwatch demo``: the whole service on this machine, each part a process, and the story of the first minutes."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import httpx

from alerts.channels.push import PushKeys
from api.demo import life, story
from api.demo.neighbourhood import (
    ADMINISTRATOR,
    BUILDING_LEADERS,
    CENTRE_PHONE,
    DOCTORS,
    DUTY_LINE,
    GATEWAY,
    HOMES,
    SELF_TEST,
    STAFF,
    TIME_ZONE,
    VOLUNTEERS,
)
from api.demo.observer import Journal, Observer
from api.demo.processes import Child, Program, tail
from api.demo.seed import PASSWORD, Seeded, first_on_duty, seed
from api.demo.story import Stage
from api.demo.terminal import Terminal
from api.demo.waiting import until
from devices.virtual.control import Street
from store import gateways
from store.embedded import EmbeddedError, EmbeddedPostgres
from store.migrate import MigrationError, migrate
from store.pairing import issue_code
from store.postgres import Database

_HOST: Final = "127.0.0.1"
_READY_S: Final = 60.0
_LOOK_S: Final = 0.1
_PAIR_S: Final = 30.0


class DemoError(Exception):
    """The demo cannot run; the message says why, for whoever typed the command."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the demo keeps its data and which ports it uses."""

    data: Path
    port: int
    phones_port: int
    secrets: dict[str, str]

    @property
    def service_url(self) -> str:
        return f"http://{_HOST}:{self.port}"

    @property
    def phones_url(self) -> str:
        return f"http://{_HOST}:{self.phones_port}"

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def radio(self) -> str:
        return f"unix:{_short_path(self.data / 'radio.sock')}"

    @property
    def control(self) -> Path:
        return _short_path(self.data / "street.sock")

    @property
    def gateway_data(self) -> Path:
        return self.data / "gateway"


def main(*, data: Path, port: int, phones_port: int, record: Path | None, once: bool) -> int:
    """Run until Ctrl-C, or with ``once`` until the story has been told. The answer is the exit code."""
    terminal = Terminal()
    try:
        data.mkdir(parents=True, exist_ok=True)
        with _alone(data):
            for wanted in (port, phones_port):
                _require_free(wanted)
            place = Place(data.resolve(), port, phones_port, _secrets(data))
            return asyncio.run(_run(place, terminal, record, once))
    except (DemoError, EmbeddedError) as error:
        terminal.failed(str(error))
        return 1


async def _run(place: Place, terminal: Terminal, record: Path | None, once: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        journal = Journal(record, terminal.event)
        whole = asyncio.create_task(_whole(place, terminal, journal, stack, once))
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait({whole, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            terminal.step("stopping")
        for task in (whole, stopped):
            task.cancel()
        results = await asyncio.gather(whole, stopped, return_exceptions=True)
    failure = results[0]
    if isinstance(failure, DemoError):
        raise failure
    if isinstance(failure, BaseException) and not isinstance(failure, asyncio.CancelledError):
        raise failure
    return 0


async def _whole(place: Place, terminal: Terminal, journal: Journal, stack: AsyncExitStack, once: bool) -> None:
    place.logs.mkdir(exist_ok=True)
    server = EmbeddedPostgres(place.data / "postgres")
    server.start()
    stack.callback(server.stop)
    terminal.step("database")
    try:
        await asyncio.to_thread(migrate, server.dsn)
    except MigrationError as error:
        raise DemoError(f"{error}. To begin anew, remove {place.data} or choose another --data.") from error
    database = await stack.enter_async_context(Database(server.dsn, max_size=4))
    terminal.step("seeding")
    seeded = await seed(database, datetime.now(UTC))
    terminal.homes = {h.resident_id: h.home for h in seeded.homes.values()}
    terminal.step("starting")
    await stack.enter_async_context(_kept(server, terminal.restarted))
    await _start_all(place, server.dsn, database, seeded, terminal, stack)
    street = Street(place.control)
    observer = Observer(database, journal)
    await observer.begin()
    stage = Stage(database, journal, street, seeded, place.phones_url, place.data / "story.json")
    sign_ins = [
        ("doctor", DOCTORS[HOMES[0].doctor].username),
        ("care_worker", await first_on_duty(database, seeded, datetime.now(UTC))),
        ("family", HOMES[0].relatives[0].human.username),
        ("resident", HOMES[0].human.username),
        ("administrator", ADMINISTRATOR.username),
    ]
    terminal.addresses(place.service_url, place.phones_url, str(place.logs), sign_ins, PASSWORD)
    async with asyncio.TaskGroup() as group:
        looking = group.create_task(observer.run())
        await journal.add("ready", service=place.service_url, phones=place.phones_url)
        await _tell(stage)
        if once:
            looking.cancel()
            return
        group.create_task(life.go_on(street, seeded))


async def _tell(stage: Stage) -> None:
    try:
        await story.tell(stage)
    except* TimeoutError as errors:
        raise DemoError(f"the story stopped: something that had to follow did not ({errors.exceptions[0]})") from errors


async def _start_all(
    place: Place, dsn: str, database: Database, seeded: Seeded, terminal: Terminal, stack: AsyncExitStack
) -> None:
    for program in (_telephone(place), _service(place, dsn), _street(place)):
        await _start(program, place, terminal, stack)
    await asyncio.gather(
        _until_answers(f"{place.service_url}/readyz", place.logs / "service.log"),
        _until_answers(f"{place.phones_url}/phones.json", place.logs / "telephone.log"),
        _until_there(place.control, place.logs / "street.log"),
    )
    await _pair(place, database, seeded)
    await _start(_gateway(place), place, terminal, stack)


async def _start(program: Program, place: Place, terminal: Terminal, stack: AsyncExitStack) -> None:
    child = Child(program, place.logs, on_restart=terminal.restarted)
    await child.start()
    stack.push_async_callback(child.stop)


def _telephone(place: Place) -> Program:
    book = place.data / "people.json"
    helpers = (*VOLUNTEERS, *BUILDING_LEADERS.values(), DUTY_LINE, SELF_TEST)
    humans = [*STAFF, *helpers, *(r.human for home in HOMES for r in home.relatives)]
    book.write_text(
        json.dumps(
            {h.phone: {"name_zh": h.name_zh, "name_en": h.name_en, "role": h.face} for h in humans}, ensure_ascii=False
        )
    )
    arguments = {
        "port": str(place.phones_port),
        "account": place.secrets["account_sid"],
        "token": place.secrets["auth_token"],
        "number": CENTRE_PHONE,
        "service-url": place.service_url,
        "people": str(book),
    }
    words = (word for name, value in arguments.items() for word in (f"--{name}", value))
    return Program.module("telephone", "alerts.virtual.telephone", *words)


def _service(place: Place, dsn: str) -> Program:
    return Program.module(
        "service",
        "api.cli",
        "serve",
        HEARTHWATCH_DATABASE_URL=dsn,
        HEARTHWATCH_HOST=_HOST,
        HEARTHWATCH_PORT=str(place.port),
        HEARTHWATCH_PUBLIC_URL=place.service_url,
        HEARTHWATCH_TWILIO_ACCOUNT_SID=place.secrets["account_sid"],
        HEARTHWATCH_TWILIO_AUTH_TOKEN=place.secrets["auth_token"],
        HEARTHWATCH_TWILIO_FROM=CENTRE_PHONE,
        HEARTHWATCH_TWILIO_BASE_URL=place.phones_url,
        HEARTHWATCH_PUSH_PRIVATE_KEY=place.secrets["push_private_key"],
        HEARTHWATCH_PUSH_CONTACT="mailto:office@hearthwatch.example",
        HEARTHWATCH_HEARTBEAT_PHONE=SELF_TEST.phone,
    )


def _street(place: Place) -> Program:
    homes = place.data / "homes.json"
    twins = [twin for home in HOMES for twin in home.twins]
    fields = ("address", "kind", "name", "model", "bindkey", "battery")
    plates = [{name: getattr(twin, name) for name in fields} for twin in twins]
    homes.write_text(json.dumps({"time_zone": TIME_ZONE, "devices": plates}))
    arguments = ("--homes", str(homes), "--radio", place.radio, "--control", str(place.control))
    place.control.unlink(missing_ok=True)
    return Program.module("street", "devices.virtual.street", *arguments)


def _gateway(place: Place) -> Program:
    arguments = ("gateway", "--server", place.service_url, "--data", str(place.gateway_data), "--radio", place.radio)
    return Program.module("gateway", "api.cli", *arguments)


async def _pair(place: Place, database: Database, seeded: Seeded) -> None:
    """Introduce the gateway with a one-time code, as an administrator does, unless it has its key already."""
    async with database.service() as c:
        known = next(g for g in await gateways.gateways(c) if g.id == seeded.gateway_id)
        if known.paired_at is not None and (place.gateway_data / "outbox.db").exists():
            return
        code = await issue_code(c, seeded.centre_id, GATEWAY, datetime.now(UTC))
    command = (sys.executable, "-m", "api.cli", "gateway", "pair", code, "--server", place.service_url)
    pairing = await asyncio.create_subprocess_exec(
        *command,
        "--data",
        str(place.gateway_data),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(_PAIR_S):
        said, _ = await pairing.communicate()
    if pairing.returncode:
        raise DemoError(f"the gateway could not be paired: {said.decode(errors='replace').strip()}")


@asynccontextmanager
async def _kept(server: EmbeddedPostgres, tell: Callable[[str, int], None]) -> AsyncIterator[None]:
    """Start the database server again whenever it has fallen."""

    async def keep() -> None:
        while True:
            await asyncio.sleep(0.5)
            if not server.running:
                tell("postgres", -1)
                with contextlib.suppress(EmbeddedError):  # its orphans may still hold the folder: try again
                    server.start()

    keeper = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _until_answers(url: str, log: Path) -> None:
    async with httpx.AsyncClient(timeout=2) as client:

        async def answers() -> bool:
            try:
                return (await client.get(url)).status_code == httpx.codes.OK
            except httpx.TransportError:
                return False

        await _until(answers, log)


async def _until_there(path: Path, log: Path) -> None:
    async def there() -> bool:
        return path.exists()

    await _until(there, log)


async def _until(condition: Callable[[], Awaitable[bool]], log: Path) -> None:
    try:
        await until(condition, _READY_S, _LOOK_S)
    except TimeoutError:
        raise DemoError(f"{log.stem} did not get ready. Its log {log} ends:\n{tail(log)}") from None


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    with (data / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(f"another demo is running on {data}; end it first, or choose another --data") from None
        yield


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError:
            raise DemoError(f"port {port} is in use; choose others with --port and --phones-port") from None


def _secrets(data: Path) -> dict[str, str]:
    """The account at the telephone network and the key at push services, made once, so that both stay good from start to start."""
    file = data / "telephone.json"
    found: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
    made = {
        "account_sid": "AC" + secrets.token_hex(16),
        "auth_token": secrets.token_hex(16),
        "push_private_key": PushKeys.generate().private,
    } | found
    if made != found:
        file.touch(mode=0o600)
        file.write_text(json.dumps(made))
    return made


def _short_path(path: Path) -> Path:
    """The path of a unix socket, which may have 107 bytes: relative where that is shorter."""
    relative = Path(os.path.relpath(path))
    return min(path, relative, key=lambda p: len(str(p)))
