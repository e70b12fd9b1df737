"""The heartbeat: how the gateway and its devices are, and in the answer what it is to collect.

The last answer is remembered, so that a gateway that starts without the service collects as before.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from devices.desk import Desk, Health
from devices.drivers import kinds
from devices.finder import Found
from devices.outbox import Outbox, OutboxFull
from devices.service import Answered, Configuration, Service, ServiceError, iso
from devices.waiting import wait_at_most
from devices.watchdog import Life

log = logging.getLogger(__name__)

EAGER_S: Final = 3.0
"""While it does not know what to collect or what time it is, while somebody looks for a new device, and while a resident is
asked whether she is well, a gateway asks this often."""
_LIFE_S: Final = 120.0  # longer than any request may take
_MEMORY: Final = "config"
_MOST_LOOKING: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What there is to say beside the devices. ``machine`` as the wire has it, ``troubles`` a sentence each."""

    outbox_waiting: int = 0
    machine: Mapping[str, object] = field(default_factory=dict)
    troubles: Sequence[str] = ()
    found: Sequence[Found] | None = None


class Heartbeat:
    """Beats, and hands each new configuration to ``configure`` and the home's time zone to the desk.

    ``report`` says how the gateway is. ``told`` is given the service's clock and how long the answer took (seconds),
    ``look_for`` for how many seconds to look for new devices. ``admitted`` is called when the service answers again after
    it did not, ``answered`` with the falls that were answered on a resident's page.
    """

    def __init__(
        self,
        outbox: Outbox,
        service: Service,
        desk: Desk,
        configure: Callable[[Configuration], None],
        *,
        report: Callable[[], Report] = Report,
        told: Callable[[datetime, float], None] = lambda _now, _took_s: None,
        look_for: Callable[[float], None] = lambda _seconds: None,
        admitted: Callable[[], None] = lambda: None,
        answered: Callable[[Sequence[Answered]], None] = lambda _answered: None,
        life: Life | None = None,
    ) -> None:
        self.trouble: str | None = None
        self.answered_at: float | None = None
        self.configuration: Configuration | None = None
        self._outbox = outbox
        self._service = service
        self._desk = desk
        self._configure = configure
        self._report = report
        self._told = told
        self._look_for = look_for
        self._admitted = admitted
        self._answered = answered
        self._hurried = asyncio.Event()
        self._hurry_until = 0.0
        self._life = life or Life("heartbeat")
        self._look_until = 0.0

    def recall(self) -> None:
        """Take up the last configuration again, if there was one."""
        remembered = self._outbox.recall(_MEMORY)
        if not remembered:
            return
        try:
            self._apply(msgspec.json.decode(remembered, type=Configuration))
        except msgspec.DecodeError as error:
            log.warning("the remembered configuration cannot be read, waiting for the service: %s", error)

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            self._life.promise(_LIFE_S)
            await self.beat()
            pause_s = self.pause_s
            self._life.promise(pause_s + _LIFE_S)
            await wait_at_most(pause_s, self._hurried)
            self._hurried.clear()

    def hurry(self, seconds: float) -> None:
        """For so long beat often, for an answer is waited for."""
        self._hurry_until = time.monotonic() + seconds
        self._hurried.set()

    @property
    def pause_s(self) -> float:
        """How long to wait before the next beat."""
        is_hurried = time.monotonic() < max(self._look_until, self._hurry_until)
        if self.configuration is None or not self._desk.knows_time or is_hurried:
            return EAGER_S
        return max(self.configuration.beat_s, EAGER_S)

    async def beat(self) -> None:
        """Beat once. A service that does not answer is told of in the log and as ``trouble``."""
        self._service.key = self._outbox.recall("key")  # pairing anew needs no restart
        began = time.monotonic()
        try:
            configuration = await self._service.heartbeat(self._say())
        except ServiceError as error:
            self._note_trouble(str(error))
            return
        if self.trouble is not None:
            log.info("the service answers again")
            self.trouble = None
            self._admitted()
        self.answered_at = time.monotonic()
        if configuration.now is not None:
            self._told(configuration.now, self.answered_at - began)
        self._learn(configuration)
        self._answered(configuration.answered)
        self._look(configuration)

    def _say(self) -> dict[str, Any]:
        report = self._report()
        knows_time = self._desk.knows_time
        said = {
            "version": _version(),
            "clock": iso(self._desk.now()),
            "outbox_waiting": report.outbox_waiting,
            "quarantined": self._outbox.quarantined(),
            "kinds": _kinds(),
            "machine": report.machine,
            "troubles": report.troubles,
            "devices": [_device(address, health, knows_time) for address, health in self._desk.health.items()],
        }
        if report.found is not None:
            said["found"] = [_found(f, knows_time) for f in report.found]
        return said

    def _note_trouble(self, sentence: str) -> None:
        if sentence != self.trouble:
            log.warning("%s; collecting goes on", sentence)
        self.trouble = sentence

    def _look(self, configuration: Configuration) -> None:
        """Look for new devices as long as the service asks for it; by its own clock, for this one may be wrong."""
        now, until = configuration.now, configuration.look_until
        left = timedelta() if now is None or until is None else min(until - now, _MOST_LOOKING)
        seconds = max(left.total_seconds(), 0.0)
        self._look_until = time.monotonic() + seconds
        self._look_for(seconds)

    def _learn(self, configuration: Configuration) -> None:
        known = self.configuration
        configuration = msgspec.structs.replace(configuration, now=None, look_until=None, answered=[])
        if configuration == known:
            return
        self._apply(configuration)
        try:
            self._outbox.remember(_MEMORY, msgspec.json.encode(configuration).decode())
        except (OutboxFull, sqlite3.OperationalError) as error:
            log.warning("the new configuration holds but cannot be remembered: %s", error)

    def _apply(self, configuration: Configuration) -> None:
        """Take it up. It counts as known only when all of it is, so that what fails is tried again with the next beat."""
        log.info(
            "this is %s: %d devices, time zone %s",
            configuration.gateway,
            len(configuration.devices),
            configuration.time_zone,
        )
        try:
            self._desk.zone = ZoneInfo(configuration.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            log.warning("this machine does not know the time zone %r", configuration.time_zone)
        self._configure(configuration)
        self.configuration = configuration


def _device(address: str, health: Health, knows_time: bool) -> dict[str, Any]:
    said: dict[str, Any] = {
        "address": address,
        "rssi_dbm": health.rssi_dbm,
        "last_seen_at": _moment(health.last_seen_at, knows_time),
        "last_reading_at": _moment(health.last_reading_at, knows_time),
        "battery_pct": health.battery_pct,
        "clock_error_s": health.clock_error_s,
        "manufacturer": health.manufacturer,
        "model": health.model,
        "serial": health.serial,
        "firmware": health.firmware,
        "trouble": health.trouble,
    }
    if health.falls is not None:
        said["falls"] = asdict(health.falls)
    return said


def _found(found: Found, knows_time: bool) -> dict[str, Any]:
    return {
        "address": found.address,
        "name": found.name,
        "rssi_dbm": found.rssi_dbm,
        "kinds": found.kinds,
        "services": found.services,
        "connectable": found.connectable,
        "last_seen_at": _moment(found.last_seen_at, knows_time),
    }


def _moment(moment: datetime | None, knows_time: bool) -> str | None:
    """A provisional time is nobody else's business."""
    return iso(moment) if moment is not None and knows_time else None


def _kinds() -> list[dict[str, object]]:
    """The kinds of device that this version of the gateway can collect from."""
    return [
        {
            "kind": kind,
            "title_en": driver.title.en,
            "title_zh": driver.title.zh_hans,
            "needs_key": driver.needs_key,
        }
        for kind, driver in sorted(kinds().items())
    ]


def _version() -> str:
    try:
        return importlib.metadata.version("hearthwatch")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
