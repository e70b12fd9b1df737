"""The heartbeat: how the gateway and its devices are, and in the answer what it is to collect.

The last answer is remembered, so that a gateway that starts without the service collects as before.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import logging
import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from devices.desk import Desk, Health
from devices.outbox import Outbox, OutboxFull
from devices.service import Configuration, Service, ServiceError, iso

log = logging.getLogger(__name__)

EVERY_S: Final = 30.0
UNCONFIGURED_S: Final = 3.0
"""While it does not know what to collect, a gateway asks this often."""
_CLOCK_S: Final = 60.0
_MEMORY: Final = "config"


class Heartbeat:
    """Beats, and hands each new configuration to ``configure`` and the home's time zone to the desk.

    ``admitted`` is called when the service answers again after it did not.
    """

    def __init__(
        self,
        outbox: Outbox,
        service: Service,
        desk: Desk,
        configure: Callable[[Configuration], None],
        admitted: Callable[[], None] = lambda: None,
    ) -> None:
        self.trouble: str | None = None
        self.configuration: Configuration | None = None
        self._outbox = outbox
        self._service = service
        self._desk = desk
        self._configure = configure
        self._admitted = admitted
        self._clock_wrong = False

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
            await self.beat()
            await asyncio.sleep(UNCONFIGURED_S if self.configuration is None else EVERY_S)

    async def beat(self) -> None:
        """Beat once. A service that does not answer is told of in the log and as ``trouble``."""
        self._service.key = self._outbox.recall("key")  # pairing anew needs no restart
        try:
            configuration = await self._service.heartbeat(self._say())
        except ServiceError as error:
            self._note_trouble(str(error))
            return
        if self.trouble is not None:
            log.info("the service answers again")
            self.trouble = None
            self._admitted()
        self._check_clock(configuration.now)
        self._learn(configuration)

    def _say(self) -> dict[str, Any]:
        return {
            "version": _version(),
            "clock": iso(self._desk.now()),
            "outbox_waiting": self._outbox.depth(),
            "quarantined": self._outbox.quarantined(),
            "devices": [_device(address, health) for address, health in self._desk.health.items()],
        }

    def _note_trouble(self, sentence: str) -> None:
        if sentence != self.trouble:
            log.warning("%s; collecting goes on", sentence)
        self.trouble = sentence

    def _check_clock(self, now: datetime | None) -> None:
        error_s = (self._desk.now() - now).total_seconds() if now else 0.0
        wrong = abs(error_s) > _CLOCK_S
        if wrong and not self._clock_wrong:
            log.warning("this machine's clock is wrong by %.0f seconds: does it reach a time server?", error_s)
        self._clock_wrong = wrong

    def _learn(self, configuration: Configuration) -> None:
        known = self.configuration
        configuration = msgspec.structs.replace(configuration, now=None)
        if configuration == known:
            return
        self._apply(configuration)
        try:
            self._outbox.remember(_MEMORY, msgspec.json.encode(configuration).decode())
        except (OutboxFull, sqlite3.OperationalError) as error:
            log.warning("the new configuration holds but cannot be remembered: %s", error)

    def _apply(self, configuration: Configuration) -> None:
        self.configuration = configuration
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


def _device(address: str, health: Health) -> dict[str, Any]:
    return {
        "address": address,
        "rssi_dbm": health.rssi_dbm,
        "last_seen_at": iso(health.last_seen_at) if health.last_seen_at else None,
        "clock_error_s": health.clock_error_s,
        "manufacturer": health.manufacturer,
        "model": health.model,
        "serial": health.serial,
        "firmware": health.firmware,
        "trouble": health.trouble,
    }


def _version() -> str:
    try:
        return importlib.metadata.version("hearthwatch")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
