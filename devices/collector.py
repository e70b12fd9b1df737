"""Owns the adapter: listens, connects to the devices of this home when they call, lets their drivers collect.

One owner, one connection attempt at a time, a limit on every await, and a device is called from the advertisement
just heard: what real adapters and real cuffs ask for (``docs/devices.md`` names the troubles one by one).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from bleak import BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError
from bleak_retry_connector import establish_connection

from devices.desk import Desk
from devices.drivers import kinds
from devices.drivers.driver import Configured, Driver, Heard, Visited
from devices.link import Link
from devices.outbox import OutboxFull
from devices.radio import Radio

__all__ = ["Collector", "Configured", "Patience"]

log = logging.getLogger(__name__)

_TROUBLES: Final = (BleakError, OSError, EOFError, TimeoutError)
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the collector waits for what, in seconds (``key_missing`` counts failures)."""

    scanner: float = 10.0
    connect: float = 30.0
    reset: float = 30.0
    fresh: float = 10.0
    """An advertisement older than this is no ground for calling: the device has gone back to sleep."""
    silence: float = 90.0
    """A scanner that hears nothing at all for so long is deaf."""
    silence_most: float = 1800.0
    between: float = 3.0
    """Between two visits to one device."""
    backoff: float = 2.0
    """After the first failure; doubled with each one, up to ``backoff_most``."""
    backoff_most: float = 120.0
    key_missing: int = 2
    full: float = 30.0
    """After the outbox was found full."""


@dataclass(slots=True)
class _Device:
    driver: Driver
    heard: BLEDevice | None = None
    heard_at: float = 0.0
    not_before: float = 0.0
    failures: int = 0
    keys_missing: int = 0
    visit: asyncio.Task[None] | None = None


@dataclass(slots=True)
class _Ear:
    """When anything was heard at last, and how many silences there were since."""

    heard_at: float = field(default_factory=time.monotonic)
    silences: int = 0


class Collector:
    """Collects from ``devices`` over ``radio`` onto ``desk`` until :meth:`run` is cancelled."""

    def __init__(
        self, desk: Desk, radio: Radio, devices: Iterable[Configured] = (), *, patience: Patience | None = None
    ) -> None:
        self._desk = desk
        self._radio = radio
        self._patience = patience or Patience()
        self._devices: dict[str, _Device] = {}
        self._connecting = asyncio.Lock()
        self._ear = _Ear()
        self.set_devices(devices)

    def set_devices(self, devices: Iterable[Configured]) -> None:
        """Collect from these devices and from no other, from now on. Links to others end."""
        wanted = {d.address.upper(): replace(d, address=d.address.upper()) for d in devices}
        for address, known in list(self._devices.items()):
            if known.driver.device != wanted.get(address):
                del self._devices[address]
                self._desk.health.pop(address, None)
                if known.visit is not None:
                    known.visit.cancel()
        for address, device in wanted.items():
            if address not in self._devices:
                self._add(device)
        self._radio.expect(list(self._devices))

    def _add(self, device: Configured) -> None:
        driver = kinds().get(device.kind)
        if driver is None:
            self._desk.trouble(device.address, f"this gateway does not know devices of the kind {device.kind}")
            return
        try:
            self._devices[device.address] = _Device(driver(device, self._desk))
        except ValueError as error:
            self._desk.trouble(device.address, f"the configuration of this device cannot be read: {error}")

    async def run(self) -> None:
        """Collect until cancelled. An adapter that is away is waited for."""
        failures = 0
        try:
            while True:
                try:
                    await self._open()
                    async with self._listening():
                        failures = 0
                        await self._stay_awake()
                except _TROUBLES as error:
                    failures += 1
                    log.warning("the Bluetooth adapter fails: %s", _words(error))
                    await asyncio.sleep(self._backoff(failures))
        finally:
            await self._end_visits()

    async def _open(self) -> None:
        if self._radio.lost.is_set():
            await self._reset()

    async def _reset(self) -> None:
        await self._end_visits()
        async with asyncio.timeout(self._patience.reset):
            await self._radio.reset()
        log.info("the Bluetooth adapter is ready")

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        scanner = BleakScanner(self._heard, **self._radio.scanner_options)
        async with asyncio.timeout(self._patience.scanner):
            await scanner.start()
        self._ear.heard_at = time.monotonic()
        try:
            yield
        finally:
            with contextlib.suppress(*_TROUBLES):
                async with asyncio.timeout(self._patience.scanner):
                    await scanner.stop()

    async def _stay_awake(self) -> None:
        """Return when the scanner should be started anew: after a silence, or with the adapter lost."""
        while not self._radio.lost.is_set():
            left = self._ear.heard_at + self._silence_limit() - time.monotonic()
            if left <= 0:
                await self._end_silence()
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._radio.lost.wait()
        raise BleakError("the adapter is gone")

    def _silence_limit(self) -> float:
        return min(self._patience.silence * 2.0 ** max(self._ear.silences - 1, 0), self._patience.silence_most)

    async def _end_silence(self) -> None:
        """A quiet home and a deaf scanner sound alike: begin gently, and cost nobody a link that lives."""
        self._ear.silences += 1
        log.warning("nothing was heard for %.0f s", time.monotonic() - self._ear.heard_at)
        linked = any(d.visit is not None for d in self._devices.values())
        if self._ear.silences % (6 if linked else 2) == 0:
            await self._reset()

    def _heard(self, device: BLEDevice, advertisement: AdvertisementData) -> None:
        self._ear.heard_at = time.monotonic()
        self._ear.silences = 0
        known = self._devices.get(device.address.upper())
        if known is None:
            return
        health = self._desk.of(known.driver.address)
        health.rssi_dbm = advertisement.rssi
        health.last_seen_at = self._desk.now()
        known.heard, known.heard_at = device, time.monotonic()
        if isinstance(known.driver, Heard):
            self._broadcast(known.driver, advertisement)
        elif isinstance(known.driver, Visited) and known.visit is None and known.driver.calls(advertisement):
            self._answer(known, known.driver)

    def _broadcast(self, driver: Heard, advertisement: AdvertisementData) -> None:
        try:
            driver.heard(advertisement)
        except OutboxFull as error:
            log.error("%s: %s", driver.address, error)  # noqa: TRY400  the driver has said what was lost

    def _answer(self, device: _Device, driver: Visited) -> None:
        if time.monotonic() < device.not_before:
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
        except _TROUBLES as error:
            await self._failed(device, driver, error)
        except Exception as error:
            # What nobody foresaw in one device's visit must not end the collecting of the others.
            log.exception("a visit to %s failed", driver.address)
            await self._failed(device, driver, error)
        else:
            device.failures = device.keys_missing = 0
            device.not_before = time.monotonic() + self._patience.between
        finally:
            device.visit = None

    async def _collect(self, device: _Device, driver: Visited) -> None:
        self._desk.check_room()
        link = Link(driver.address)
        try:
            if not await self._connect(device, link):
                return
            self._desk.well(driver.address)
            await driver.collect(link)
            self._desk.of(driver.address).last_seen_at = self._desk.now()
        finally:
            await link.end()

    async def _connect(self, device: _Device, link: Link) -> bool:
        """Connect, one device at a time; False when the device went back to sleep while others had their turn."""
        async with self._connecting:
            if device.heard is None or time.monotonic() - device.heard_at > self._patience.fresh:
                return False
            async with asyncio.timeout(self._patience.connect):
                client = await establish_connection(
                    BleakClient,
                    device.heard,
                    link.address,
                    disconnected_callback=link.on_disconnected,
                    max_attempts=1,  # whoever went away must not keep the others waiting: it will advertise again
                    use_services_cache=False,
                    **self._radio.client_options,
                )
            link.take(client)
        return True

    async def _failed(self, device: _Device, driver: Visited, error: Exception) -> None:
        if self._radio.lost.is_set():
            return  # not the device's fault
        device.failures += 1
        pause = self._backoff(device.failures)
        device.not_before = time.monotonic() + pause
        self._desk.trouble(driver.address, f"could not be collected: {_words(error)}")
        if not any(said in str(error) for said in _KEY_MISSING):
            return
        device.keys_missing += 1
        if device.keys_missing >= self._patience.key_missing:
            device.keys_missing = 0
            self._desk.trouble(driver.address, "its pairing is lost: pair it again, as its manual says")
            with contextlib.suppress(*_TROUBLES):
                async with asyncio.timeout(self._patience.scanner):
                    await self._radio.forget(driver.address)

    def _backoff(self, failures: int) -> float:
        pause = min(self._patience.backoff * 2.0 ** (failures - 1), self._patience.backoff_most)
        return pause * random.uniform(0.8, 1.2)

    async def _end_visits(self) -> None:
        visits = [d.visit for d in self._devices.values() if d.visit is not None]
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)


def _words(error: Exception) -> str:
    return str(error) or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
