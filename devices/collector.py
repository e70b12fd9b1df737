"""Collects from the devices of this home: connects to them when they call, and lets their drivers take what they say.

One collector, however many adapters: each listens at its own :class:`~devices.station.Station`, and a device is visited
through one of them at a time, from the advertisement just heard.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData

from devices.desk import Desk
from devices.drivers import kinds
from devices.drivers.driver import Configured, Driver, Heard, Visited
from devices.finder import Finder, Found
from devices.limits import Stuck, together
from devices.link import Link, LinkLost
from devices.outbox import OutboxFull
from devices.radio import TROUBLES, AdapterHung, Radio
from devices.station import Mode, Patience, Station, in_words
from devices.watchdog import Watchdog

__all__ = ["Collector", "Configured", "Patience"]

log = logging.getLogger(__name__)

_KEY_MISSING: Final = (
    "PIN_OR_KEY_MISSING",
    "AUTHENTICATION_FAILURE",
    "AuthenticationFailed",
    "Authentication Failed",
    "INSUFFICIENT_AUTHENTICATION",
    "INSUFFICIENT_ENCRYPTION",
    "Insufficient Authentication",
    "Insufficient Encryption",
    "connection-abort-by-local: key missing",
)
_WEAK_DBM: Final = -90  # most adapters lose packets below
_NOT_HEARD_DBM: Final = -127  # what bleak says when BlueZ names no signal strength


class _Hearing(NamedTuple):
    """A device as one station heard it last."""

    device: BLEDevice
    at: float
    rssi_dbm: int


@dataclass(slots=True)
class _Device:
    driver: Driver
    heard: dict[Station, _Hearing] = field(default_factory=dict)
    heard_at: float = 0.0
    not_before: float = 0.0
    rests_until: float = 0.0
    idle: int = 0
    failures: int = 0
    keys_missing: int = 0
    links_lost: int = 0
    visit: asyncio.Task[None] | None = None
    through: Station | None = None


class Collector:
    """Collects from ``devices`` over one or more ``radios`` onto ``desk`` until :meth:`run` is cancelled."""

    def __init__(
        self,
        desk: Desk,
        *radios: Radio,
        devices: Iterable[Configured] = (),
        patience: Patience | None = None,
        watchdog: Watchdog | None = None,
    ) -> None:
        self._desk = desk
        self._patience = patience or Patience()
        self._devices: dict[str, _Device] = {}
        self._finder = Finder(kinds())
        self._look_until = 0.0
        self._buzzing: set[asyncio.Task[None]] = set()
        watchdog = watchdog or Watchdog()
        self._stations = [
            Station(
                radio,
                self._patience,
                watchdog.part(f"listening with {radio.name}"),
                heard=self._heard,
                linked=self._linked,
                end_visits=self._end_visits,
            )
            for radio in radios
        ]
        self.set_devices(devices)

    def set_devices(self, devices: Iterable[Configured]) -> None:
        """Collect from these devices and from no other, from now on. Links to others end."""
        wanted = {d.address.upper(): replace(d, address=d.address.upper()) for d in devices}
        for address, known in list(self._devices.items()):
            if known.driver.device != wanted.get(address):
                del self._devices[address]
                if address not in wanted:
                    known.driver.forget()
                if known.visit is not None:
                    known.visit.cancel()
        self._desk.forget_all_but(wanted)
        for address, device in wanted.items():
            if address not in self._devices:
                self._add(device)
        for station in self._stations:
            station.radio.expect(list(self._devices))

    def _add(self, device: Configured) -> None:
        self._finder.forget(device.address)
        driver = kinds().get(device.kind)
        if driver is None:
            self._desk.trouble(device.address, f"this gateway does not know devices of the kind {device.kind}")
            return
        try:
            self._devices[device.address] = _Device(driver(device, self._desk))
        except ValueError as error:
            self._desk.trouble(device.address, f"the configuration of this device cannot be read: {error}")

    def look_for(self, seconds: float) -> None:
        """Look for devices that are not of this home for so long from now on; 0 ends it."""
        self._look_until = time.monotonic() + seconds
        if seconds <= 0:
            self._finder.clear()
        for station in self._stations:
            station.look(self.looking)

    @property
    def looking(self) -> bool:
        """Whether somebody is about to give this home a new device."""
        return time.monotonic() < self._look_until

    def found(self) -> list[Found]:
        """Who is there that is not of this home, the loudest first; empty while nobody looks."""
        if not self.looking:
            self.look_for(0)
        return self._finder.found()

    def buzz(self, addresses: Iterable[str], *, on: bool) -> None:
        """Let those of these devices that can be felt by whoever wears them, or be still again; it is not waited for."""
        for address in addresses:
            known = self._devices.get(address)
            if known is not None and isinstance(known.driver, Visited):
                task = asyncio.get_running_loop().create_task(_buzz(known.driver, on=on))
                self._buzzing.add(task)
                task.add_done_callback(self._buzzing.discard)

    @property
    def scanning(self) -> Mode:
        """How it listens: "off" while no adapter does."""
        modes = {station.scanning for station in self._stations}
        return "active" if "active" in modes else "passive" if "passive" in modes else "off"

    @property
    def troubles(self) -> list[str]:
        """What is wrong with the adapters, a sentence each."""
        return [station.trouble for station in self._stations if station.trouble is not None]

    async def run(self) -> None:
        """Collect until cancelled. :class:`AdapterHung` when no adapter answers any more."""
        try:
            await together(*(self._listen(station) for station in self._stations))
        finally:
            await self._end_visits()

    async def _listen(self, station: Station) -> None:
        while True:
            try:
                await station.run()
            except AdapterHung:
                if all(s.hung for s in self._stations):
                    raise
                log.exception("one adapter hangs; the home is left to the others")

    def _linked(self, station: Station) -> bool:
        return any(d.visit is not None and d.through is station for d in self._devices.values())

    def _heard(self, station: Station, device: BLEDevice, advertisement: AdvertisementData) -> None:
        address = device.address.upper()
        known = self._devices.get(address)
        if known is None:
            if self.looking and address not in self._desk.health:
                self._finder.hear(address, advertisement.local_name or device.name, advertisement, self._desk.now())
            return
        health = self._desk.of(address)
        if advertisement.rssi > _NOT_HEARD_DBM:
            health.rssi_dbm = advertisement.rssi
        self._seen(known.driver)
        now = time.monotonic()
        if now - known.heard_at > self._patience.away:
            known.idle, known.rests_until = 0, 0.0  # it has come back, so it has something
        known.heard_at = now
        known.heard[station] = _Hearing(device, now, advertisement.rssi)
        if isinstance(known.driver, Heard):
            self._broadcast(known.driver, advertisement)
        elif isinstance(known.driver, Visited) and known.visit is None and known.driver.calls(advertisement):
            self._answer(known, known.driver)

    def _seen(self, driver: Driver) -> None:
        if not driver.seen_by_stream:
            self._desk.of(driver.address).last_seen_at = self._desk.now()

    def _broadcast(self, driver: Heard, advertisement: AdvertisementData) -> None:
        try:
            driver.heard(advertisement)
        except OutboxFull as error:
            log.error("%s: %s", driver.address, error)  # noqa: TRY400  the driver has said what was lost

    def _answer(self, device: _Device, driver: Visited) -> None:
        if time.monotonic() < max(device.not_before, device.rests_until):
            return
        device.visit = asyncio.get_running_loop().create_task(
            self._visit(device, driver), name=f"visit {driver.address}"
        )

    async def _visit(self, device: _Device, driver: Visited) -> None:
        try:
            await self._collect(device, driver)
        except OutboxFull as error:
            self._desk.trouble(driver.address, str(error))
            device.not_before = time.monotonic() + self._patience.full
        except TROUBLES as error:
            await self._failed(device, driver, error)
        except Exception as error:
            # What nobody foresaw in one device's visit must not end the collecting of the others.
            log.exception("a visit to %s failed", driver.address)
            await self._failed(device, driver, error)
        else:
            device.failures = device.keys_missing = device.links_lost = 0
            self._let_rest(device, driver)
        finally:
            device.visit = device.through = None

    def _let_rest(self, device: _Device, driver: Visited) -> None:
        """Spare the battery of a device that always calls and had nothing new at the last visits."""
        now, patience = time.monotonic(), self._patience
        device.not_before = now + patience.between
        idle = min(patience.between * 2.0 ** min(device.idle, 32), patience.idle_most) if device.idle else 0.0
        device.rests_until = now + max(idle, driver.visit_every_s)

    async def _collect(self, device: _Device, driver: Visited) -> None:
        if not driver.seen_by_stream:  # a stream that is not heard keeps nothing for later
            self._desk.check_room()
        health = self._desk.of(driver.address)
        before = health.last_reading_at
        station = device.through = await self._choose(device)
        link = Link(driver.address)
        try:
            if station is None or not await station.connect(link, lambda: self._calling(device, station)):
                return
            self._desk.well(driver.address)
            self._remember(driver.address, station)
            await driver.collect(link)
            self._seen(driver)
            # Who hung up first tells a device that had nothing more to say from a link that was lost.
            idle = health.last_reading_at == before and not link.ended.is_set()
            device.idle = device.idle + 1 if idle else 0
        finally:
            await link.end()

    def _calling(self, device: _Device, station: Station) -> BLEDevice | None:
        """The device to connect to, or None when it went back to sleep."""
        hearing = device.heard.get(station)
        fresh = hearing is not None and time.monotonic() - hearing.at <= self._patience.fresh
        return hearing.device if hearing is not None and fresh else None

    async def _choose(self, device: _Device) -> Station | None:
        """The adapter to visit a device through: the one that it is paired with if that hears it, else the loudest."""
        if len(self._stations) > 1:
            await asyncio.sleep(self._patience.compare)
        able = [s for s in self._stations if self._calling(device, s) is not None and not s.radio.lost.is_set()]
        last = self._desk.recall(_memory(device.driver.address))
        return max(able, key=lambda s: (s.radio.name == last, device.heard[s].rssi_dbm), default=None)

    def _remember(self, address: str, station: Station) -> None:
        """A bond belongs to one adapter: with another one the device would have to be paired anew."""
        if len(self._stations) > 1 and self._desk.recall(_memory(address)) != station.radio.name:
            self._desk.remember(_memory(address), station.radio.name)

    async def _failed(self, device: _Device, driver: Visited, error: Exception) -> None:
        station = device.through
        if station is None or station.radio.lost.is_set():
            return  # not the device's fault
        if isinstance(error, Stuck):
            station.give_up(f"a visit to {driver.address} hangs")
            return
        device.failures += 1
        device.not_before = time.monotonic() + self._patience.after(device.failures)
        self._desk.trouble(driver.address, f"could not be collected: {in_words(error)}")
        is_weak = (self._desk.of(driver.address).rssi_dbm or 0) <= _WEAK_DBM
        if is_weak:
            self._desk.trouble(driver.address, "is heard too weakly to be collected: bring it nearer to the gateway")
        device.keys_missing += any(said in str(error) for said in _KEY_MISSING)
        device.links_lost = device.links_lost + 1 if isinstance(error, LinkLost) and not is_weak else 0
        if device.keys_missing >= self._patience.key_missing or (
            device.links_lost >= self._patience.links_lost and await station.is_bonded(driver.address)
        ):
            device.keys_missing = device.links_lost = 0
            self._desk.trouble(driver.address, "its pairing is lost: pair it again, as its manual says")
            await station.forget(driver.address)

    async def _end_visits(self, station: Station | None = None) -> None:
        """End the visits through this station, or all."""
        visits = self._visits(station)
        for visit in visits:
            visit.cancel()
        if visits:
            await asyncio.wait(visits)

    def begin_anew(self) -> None:
        """End every visit; whoever has more to say calls again. For when the clock has moved under their feet."""
        for visit in self._visits(None):
            visit.cancel()

    def _visits(self, station: Station | None) -> list[asyncio.Task[None]]:
        return [
            d.visit for d in self._devices.values() if d.visit is not None and (station is None or d.through is station)
        ]


async def _buzz(driver: Visited, *, on: bool) -> None:
    try:
        if await driver.buzz(on=on):
            log.info("%s was told to %s", driver.address, "vibrate" if on else "be still")
    except TROUBLES as error:
        log.warning("%s could not be told to vibrate: %s", driver.address, error or type(error).__name__)


def _memory(address: str) -> str:
    return f"adapter of {address}"
