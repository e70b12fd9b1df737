"""The gateway: a small computer in a home that collects from its devices and hands over to the service.

Wires radio, collector, outbox, uplink and heartbeat. Whatever the service says and whatever becomes of the adapter,
the process goes on; what it holds is on its disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import signal
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bleak.exc import BleakError

from devices import systemd
from devices.collector import Collector, Configured
from devices.desk import Desk
from devices.heartbeat import Heartbeat
from devices.outbox import Outbox, OutboxFull
from devices.radio import Radio, machine
from devices.service import Configuration, NotAdmitted, Paired, Service, ServiceError
from devices.uplink import Uplink

log = logging.getLogger(__name__)

_OUTBOX: Final = "outbox.db"
_LOCK: Final = "gateway.lock"
_AGAIN_S: Final = (1.0, 60.0)
_NEAR: Final = ("localhost", "127.0.0.1", "::1")


class GatewayError(Exception):
    """The gateway cannot start or be paired. The text says to an administrator why, and what to do."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where the gateway works. ``server`` None: the one it was paired with. ``data`` is its folder.

    ``radio`` is ``unix:PATH`` of a virtual radio; None is this machine's Bluetooth adapter.
    """

    data: Path
    server: str | None = None
    radio: str | None = None


def run(settings: GatewaySettings) -> None:
    """Work until SIGTERM or SIGINT. ``GatewayError`` when it cannot begin."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    for library in ("httpx", "httpcore", "bumble", "bleak_retry_connector"):
        logging.getLogger(library).setLevel(logging.WARNING)
    asyncio.run(_until_signalled(settings))


def pair(server: str, code: str, data: Path) -> str:
    """Exchange a one-time code for this gateway's key, keep it in ``data``, and return the gateway's name.

    A gateway that runs takes up the new key by itself. ``GatewayError`` in words when it fails.
    """
    with _open_outbox(data) as outbox:
        try:
            outbox.check_room()  # fails before the code is spent, not after
            paired = asyncio.run(_exchange(server, code))
            _keep(outbox, server, paired)
        except OutboxFull as error:
            raise GatewayError(f"{error}; pair again when there is room") from error
    return paired.gateway


async def live(settings: GatewaySettings) -> None:
    """Work until cancelled. ``GatewayError`` when it cannot begin."""
    with _alone(settings.data), _open_outbox(settings.data) as outbox:
        server, key = _pairing(outbox, settings)
        _warn_if_open(server)
        try:
            service = Service(server, key)
        except ValueError as error:
            raise GatewayError(str(error)) from error
        radio = _radio(settings.radio)
        async with service:
            try:
                await _work(outbox, service, radio)
            finally:
                await _close(radio)


async def _work(outbox: Outbox, service: Service, radio: Radio) -> None:
    uplink = Uplink(outbox, service)
    desk = Desk(outbox, nudge=uplink.nudge)
    collector = Collector(desk, radio)

    def configure(configuration: Configuration) -> None:
        collector.set_devices(Configured(d.address.upper(), d.kind, d.bindkey) for d in configuration.devices)

    heartbeat = Heartbeat(outbox, service, desk, configure, uplink.hurry)
    heartbeat.recall()
    log.info("collecting for %s; %d readings wait from before", service.server, outbox.depth())
    systemd.notify("READY=1")
    try:
        async with asyncio.TaskGroup() as group:
            for work in (collector.run, uplink.run, heartbeat.run):
                group.create_task(_supervise(work))
            group.create_task(systemd.keep_watchdog_quiet())
    finally:
        systemd.notify("STOPPING=1")


async def _supervise(work: Callable[[], Awaitable[None]]) -> None:
    """Run one of the gateway's parts for ever: what it did not expect is logged, and it begins anew."""
    shortest, longest = _AGAIN_S
    pause = shortest
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        try:
            await work()
        except Exception:
            log.exception("a part of the gateway failed and begins anew in %.0f s", pause)
        if loop.time() - began > longest:
            pause = shortest
        await asyncio.sleep(pause)
        pause = min(pause * 2, longest)


async def _until_signalled(settings: GatewaySettings) -> None:
    work = asyncio.ensure_future(live(settings))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work
    log.info("ended; what was not yet handed over waits in the outbox")


async def _close(radio: Radio) -> None:
    try:
        async with asyncio.timeout(5):
            await radio.close()
    except (BleakError, OSError, EOFError, TimeoutError) as error:
        log.warning("the Bluetooth adapter did not close: %s", error or type(error).__name__)


def _radio(spec: str | None) -> Radio:
    if spec is None:
        try:
            return machine()
        except BleakError as error:
            raise GatewayError(str(error)) from error
    try:
        from devices.virtual.backend import VirtualRadio
    except ImportError as error:
        raise GatewayError(f"a virtual radio needs hearthwatch[virtual] ({error})") from error
    return VirtualRadio(spec)


def _pairing(outbox: Outbox, settings: GatewaySettings) -> tuple[str, str]:
    """The service's address and this gateway's key."""
    key = outbox.recall("key")
    server = settings.server or outbox.recall("server")
    if key is None or server is None:
        raise GatewayError(
            "this gateway is not paired: get a code with 'hearthwatch gateway code NAME' on the service, then here run "
            f"'hearthwatch gateway pair CODE --server URL --data {settings.data}'"
        )
    return server, key


def _warn_if_open(server: str) -> None:
    address = urlsplit(server)
    if address.scheme == "http" and address.hostname not in _NEAR:
        log.warning("%s is not https: readings and the gateway's key can be read on the way", server)


async def _exchange(server: str, code: str) -> Paired:
    try:
        async with Service(server) as service:
            return await service.pair(code.strip())
    except ValueError as error:
        raise GatewayError(str(error)) from error
    except NotAdmitted as error:
        raise GatewayError(f"{error}; get a new code with 'hearthwatch gateway code NAME' on the service") from error
    except ServiceError as error:
        raise GatewayError(f"not paired: {error}") from error


def _keep(outbox: Outbox, server: str, paired: Paired) -> None:
    if (outbox.recall("server"), outbox.recall("gateway")) != (server, paired.gateway):
        outbox.remember("config", "")  # another home's devices
    outbox.remember("server", server)
    outbox.remember("gateway", paired.gateway)
    outbox.remember("key", paired.key)


@contextlib.contextmanager
def _open_outbox(data: Path) -> Iterator[Outbox]:
    """The outbox in ``data``, readable by its owner alone: it holds the key and people's readings."""
    path = data / _OUTBOX
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.chmod(0o600)  # SQLite gives its journal the same
        outbox = Outbox(path)
    except OSError as error:
        raise GatewayError(f"the folder {data} cannot be used: {error.strerror or error}") from error
    except sqlite3.DatabaseError as error:
        raise GatewayError(f"the outbox {path} cannot be opened: {error}; what it holds is not touched") from error
    with outbox:
        yield outbox


@contextlib.contextmanager
def _alone(data: Path) -> Iterator[None]:
    """Only one gateway works in a folder."""
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (data / _LOCK).open("w")
    except OSError as error:
        raise GatewayError(f"the folder {data} cannot be used: {error.strerror or error}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GatewayError(f"another gateway is already working in {data}") from None
        yield
