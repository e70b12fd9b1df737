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
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bleak.exc import BleakError

from devices import machine, systemd
from devices.aloud import DEFAULT_COMMAND, SILENT, Aloud, Voice
from devices.collector import Collector, Configured
from devices.desk import Desk
from devices.falls.certainty import Ask, Enough
from devices.falls.model import Model, ModelError
from devices.heartbeat import Heartbeat, Report
from devices.homes import Homes
from devices.limits import for_ever, together
from devices.outbox import Outbox, OutboxFull, default_bound
from devices.radio import TROUBLES, AdapterHung, Radio, adapter
from devices.service import Answered, Configuration, NotAdmitted, Paired, Service, ServiceError
from devices.timekeeper import DIFFERS, Timekeeper
from devices.uplink import Uplink
from devices.watchdog import Watchdog
from devices.ways import Fallback

log = logging.getLogger(__name__)

NO_MODEL: Final = "the gateway's own model of falls cannot be read"

_OUTBOX: Final = "outbox.db"
_UNDATED: Final = "undated.db"
_LOCK: Final = "gateway.lock"
_CLOCK_EVERY_S: Final = 5.0
_ASKED_S: Final = 30.0  # so long the answer on her own page is asked for often
_RECENTLY: Final = timedelta(minutes=10)
_TOLD: Final = ("disk_free_mb", "temperature_c", "memory_mb", "uptime_s")
_NEAR: Final = ("localhost", "127.0.0.1", "::1")


class GatewayError(Exception):
    """The gateway cannot start or be paired. The text says to an administrator why, and what to do."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """Where the gateway works. ``server`` None: the one it was paired with. ``data`` is its folder.

    ``adapters`` are this machine's Bluetooth adapters to listen with; ``radio`` is ``unix:PATH`` of a virtual one in
    place of them. ``fallback`` is a second way to the service (:meth:`devices.ways.Fallback.parse`), ``say`` the command
    that speaks to the resident (:class:`devices.aloud.Voice`; ``off``: nothing is said aloud), ``disk_mb`` bounds what waits
    on the disk (:func:`devices.outbox.default_bound` when None), ``falls_model`` is the folder of a model that tells falls
    (None: the shipped one).
    """

    data: Path
    server: str | None = None
    radio: str | None = None
    adapters: Sequence[str] = ("hci0",)
    fallback: str | None = None
    say: str = DEFAULT_COMMAND
    disk_mb: int | None = None
    falls_model: Path | None = None


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
    """Work until cancelled. ``GatewayError`` when it cannot begin, or when only a new process may help."""
    with (
        _alone(settings.data),
        _open_outbox(settings.data, disk_mb=settings.disk_mb) as outbox,
        _open_outbox(settings.data, _UNDATED, disk_mb=settings.disk_mb) as undated,
    ):
        server, key = _pairing(outbox, settings)
        _warn_if_open(server)
        try:
            fallback = Fallback.parse(settings.fallback) if settings.fallback else None
            service = Service(server, key, fallback=fallback)
            voice = None if settings.say == SILENT else Voice(settings.say)
        except ValueError as error:
            raise GatewayError(str(error)) from error
        radios = _radios(settings)
        async with service:
            try:
                await _Gateway(settings, outbox, undated, service, voice, radios).work()
            except AdapterHung as error:
                raise GatewayError(f"{error}; the gateway ends, to be started anew") from error
            finally:
                for radio in radios:
                    await _close(radio)


class _Gateway:
    """Its parts, and how they are wired."""

    def __init__(
        self,
        settings: GatewaySettings,
        outbox: Outbox,
        undated: Outbox,
        service: Service,
        voice: Voice | None,
        radios: Sequence[Radio],
    ) -> None:
        self._data = settings.data
        self._outbox = outbox
        self._service = service
        self._watchdog = Watchdog()
        self._timekeeper = Timekeeper(outbox, undated)
        self._aloud = Aloud(outbox, voice, wall=self._timekeeper.now)
        self._uplink = Uplink(
            outbox,
            service,
            listener=self._aloud,
            now=self._timekeeper.now,
            dated=self._timekeeper.dated,
            life=self._watchdog.part("handing over to the service"),
            emergency_life=self._watchdog.part("handing over emergencies"),
        )
        falls, self._falls_trouble = _own_model(settings.falls_model)
        self._desk = Desk(outbox, nudge=self._nudge, timekeeper=self._timekeeper, falls=falls)
        self._homes = Homes(self._desk, ask=self._ask, enough=self._enough)
        self._collector = Collector(self._desk, *radios, watchdog=self._watchdog)
        self._timekeeper.shifted = self._shifted
        self._heartbeat = Heartbeat(
            outbox,
            service,
            self._desk,
            self._configure,
            report=self._report,
            told=self._timekeeper.told,
            look_for=self._collector.look_for,
            admitted=self._uplink.hurry,
            answered=self._answered,
            life=self._watchdog.part("asking the service"),
        )

    async def work(self) -> None:
        """Work until cancelled. :class:`AdapterHung` when only a new process may help."""
        self._heartbeat.recall()
        log.info("collecting for %s; %d readings wait from before", self._service.server, self._waiting())
        systemd.notify("READY=1")
        parts = (
            self._collector.run,
            self._uplink.run,
            self._aloud.run,
            self._heartbeat.run,
            self._keep_time,
            self._homes.run,
            lambda: systemd.report(self._watchdog.hung, self._status),
        )
        try:
            await together(*(for_ever(part, but=(AdapterHung,)) for part in parts))
        finally:
            systemd.notify("STOPPING=1")

    def _ask(self, _ask: Ask, devices: Collection[str]) -> None:
        self._aloud.ask()
        self._collector.buzz(devices, on=True)
        self._heartbeat.hurry(_ASKED_S)

    def _enough(self, enough: Enough, devices: Collection[str]) -> None:
        self._aloud.enough(enough.devices if enough.well else ())
        self._collector.buzz(devices, on=False)

    def _answered(self, answered: Sequence[Answered]) -> None:
        for one in answered:
            self._homes.answered(str(one.home), one.fell_at)

    def _nudge(self) -> None:
        self._uplink.nudge()
        self._aloud.nudge()

    def _configure(self, configuration: Configuration) -> None:
        self._aloud.emergency = configuration.emergency
        # The homes first: a wearable may have to tell of a fall as soon as it is known.
        self._homes.set_devices({d.address.upper(): str(d.home or "") for d in configuration.devices})
        self._collector.set_devices(
            Configured(d.address.upper(), d.kind, d.bindkey, d.habits) for d in configuration.devices
        )

    def _shifted(self, error: timedelta) -> None:
        self._desk.shift(error)
        self._homes.shift(error)
        if abs(error) > DIFFERS:
            self._collector.begin_anew()
        self._uplink.nudge()

    async def _keep_time(self) -> None:
        while True:
            self._timekeeper.look()
            await asyncio.sleep(_CLOCK_EVERY_S)

    def _waiting(self) -> int:
        return self._outbox.depth() + self._timekeeper.waiting()

    def _report(self) -> Report:
        seen = machine.look(self._data)
        told = {name: value for name, value in asdict(seen).items() if name in _TOLD}
        troubles = (self._timekeeper.trouble, self._aloud.trouble, self._falls_trouble)
        # While the heartbeat does not pass either, nothing is stuck: the service is away.
        stuck = self._uplink.stuck if self._heartbeat.trouble is None else []
        return Report(
            outbox_waiting=self._waiting(),
            machine={
                **told,
                "clock_synchronised": machine.synchronised(),
                "scanning": self._collector.scanning,
                "uplink": self._service.way,
                "recordings_waiting": self._outbox.recordings(),
                "recordings_dropped": self._outbox.recordings_dropped(),
            },
            troubles=[*machine.troubles(seen), *self._collector.troubles, *(t for t in troubles if t), *stuck],
            found=self._collector.found() if self._collector.looking else None,
        )

    def _status(self) -> str:
        """How the gateway is, for whoever asks ``systemctl status``."""
        devices = self._desk.health.values()
        recent = self._desk.now() - _RECENTLY
        heard = sum(1 for health in devices if health.last_seen_at is not None and health.last_seen_at > recent)
        answered_at = self._heartbeat.answered_at
        answered = "not yet" if answered_at is None else f"{time.monotonic() - answered_at:.0f} s ago"
        words = [
            f"{len(devices)} devices, {heard} heard within {_RECENTLY.seconds // 60} minutes",
            f"{self._waiting()} readings wait",
            f"the service answered {answered}",
            f"scanning: {self._collector.scanning}",
        ]
        clock = self._timekeeper.trouble
        return "; ".join([*words, *self._collector.troubles, *([clock] if clock else [])])


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
    except TROUBLES as error:
        log.warning("the Bluetooth adapter did not close: %s", error or type(error).__name__)


def _radios(settings: GatewaySettings) -> list[Radio]:
    if settings.radio is None:
        try:
            return [adapter(name) for name in dict.fromkeys(settings.adapters)]
        except BleakError as error:
            raise GatewayError(str(error)) from error
    try:
        from devices.virtual.backend import VirtualRadio
    except ImportError as error:
        raise GatewayError(f"a virtual radio needs hearthwatch[virtual] ({error})") from error
    return [VirtualRadio(settings.radio)]


def _own_model(folder: Path | None) -> tuple[Model | None, str | None]:
    """The model of that folder. Where it cannot be read, the shipped one watches rather than nothing, and the trouble is told."""
    try:
        return (None if folder is None else Model.load(folder)), None
    except ModelError as error:
        log.exception("the shipped model tells falls")
        return None, f"{NO_MODEL}: {error}"


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
def _open_outbox(data: Path, name: str = _OUTBOX, *, disk_mb: int | None = None) -> Iterator[Outbox]:
    """The outbox in ``data``, readable by its owner alone: it holds the key and people's readings."""
    path = data / name
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.chmod(0o600)  # SQLite gives its journal the same
        outbox = Outbox(path, max_bytes=default_bound(data) if disk_mb is None else disk_mb * 1024 * 1024)
    except OutboxFull as error:
        raise GatewayError(f"there is no room for the outbox {path}") from error
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
