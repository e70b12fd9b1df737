"""One connection to one device, in which nothing waits for ever.

A GATT operation on a real adapter may never return (a write to an encrypted characteristic without an agent
hung for minutes), so every await here has a limit. Values that a device does not have are None, not errors.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.exc import BleakError, BleakGATTProtocolError

from devices.limits import Stuck, heed, within
from devices.radio import TROUBLES

log = logging.getLogger(__name__)

_T = TypeVar("_T")

OPERATION_S: Final = 10.0
PAIRING_S: Final = 30.0
_INSUFFICIENT: Final = (0x05, 0x08, 0x0C, 0x0F)  # ATT errors: authentication, authorization, key size, encryption


class LinkLost(BleakError):
    """A link came and went while it was being made: the device is far away, or has forgotten whom it is paired with."""


class Link:
    """A connection. ``ended`` is set when it has ended, whoever ended it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.ended = asyncio.Event()
        self._client: BleakClient | None = None
        self._alive_at = time.monotonic()

    def take(self, client: BleakClient) -> None:
        """Work with this connected client from now on."""
        self._client = client
        if not client.is_connected:
            self.ended.set()

    def on_disconnected(self, _client: BleakClient) -> None:
        """What bleak calls when the connection ends."""
        self.ended.set()

    async def made(self, attempt: Coroutine[Any, Any, BleakClient]) -> None:
        """Wait for the client that this attempt connects. :class:`LinkLost` when the link ends before.

        On BlueZ bleak would try such a link again without end, and one whose key the device has lost ends each time.
        """
        making, ended = asyncio.ensure_future(attempt), asyncio.ensure_future(self.ended.wait())
        making.add_done_callback(heed)
        try:
            await asyncio.wait({making, ended}, return_when=asyncio.FIRST_COMPLETED)
            if not making.done():
                raise LinkLost(f"{self.address} hung up while it was being connected to")
            self.take(making.result())
        finally:
            ended.cancel()
            if not making.done():
                making.cancel()
                await asyncio.wait({making})

    async def read(self, uuid: str) -> bytes | None:
        """The value of a characteristic, or None when the device does not have it or does not let it be read."""
        characteristic = self._characteristic(uuid, "read")
        if characteristic is None:
            return None
        return bytes(await self._encrypted(lambda: self.client.read_gatt_char(characteristic), OPERATION_S))

    async def write(self, uuid: str, value: bytes) -> bool:
        """Write a characteristic; False when the device does not have it."""
        characteristic = self._characteristic(uuid, "write")
        if characteristic is None:
            return False
        await self._encrypted(lambda: self.client.write_gatt_char(characteristic, value, response=True), OPERATION_S)
        return True

    async def command(self, service: str, uuid: str, value: bytes) -> bool:
        """Write a characteristic of this service without being answered; False when the device does not have it."""
        found = self.client.services.get_service(service)
        characteristic = None if found is None else found.get_characteristic(uuid)
        if characteristic is None or "write-without-response" not in characteristic.properties:
            return False
        await within(OPERATION_S, self.client.write_gatt_char(characteristic, value, response=False))
        return True

    async def subscribe(self, uuid: str, callback: Callable[[bytes], None]) -> bool:
        """Subscribe to indications or notifications; False when the device does not have them.

        The callback must have kept what it was given when it returns. Pairs when the device asks for it.
        """
        characteristic = self._characteristic(uuid, "indicate", "notify")
        if characteristic is None:
            return False

        def deliver(_characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
            self._alive_at = time.monotonic()
            callback(bytes(data))

        # BlueZ pairs inside this call when the device asks for it.
        await self._encrypted(lambda: self.client.start_notify(characteristic, deliver), PAIRING_S)
        return True

    async def pair(self) -> None:
        """Pair with the device; a device already paired stays so."""
        log.info("pairing with %s", self.address)
        await within(PAIRING_S, self.client.pair())

    async def end(self) -> None:
        """Disconnect. Subscriptions are left as they are: writing them off has cost devices their bond.

        ``Stuck`` when not even that returns; any other trouble only means that the link has ended before.
        """
        try:
            if self._client is not None:
                await within(OPERATION_S, self._client.disconnect())
        except Stuck:
            raise
        except TROUBLES as error:
            log.debug("%s: %s", self.address, error)
        finally:
            self.ended.set()

    async def quiet_for(self, seconds: float, *, at_most: float | None = None) -> None:
        """Wait until the link ends, until nothing has come over it for so long, or ``at_most`` so long in all."""
        self._alive_at = began = time.monotonic()
        while not self.ended.is_set():
            now = time.monotonic()
            until = self._alive_at + seconds if at_most is None else min(self._alive_at + seconds, began + at_most)
            if now >= until:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(until - now):
                    await self.ended.wait()

    @property
    def client(self) -> BleakClient:
        """bleak's client; ``BleakError`` when the link has ended."""
        if self._client is None or self.ended.is_set():
            raise BleakError(f"{self.address} disconnected")
        return self._client

    async def _encrypted(self, operation: Callable[[], Coroutine[Any, Any, _T]], seconds: float) -> _T:
        """Do something within its time; when the device asks for encryption, pair and do it again."""
        try:
            return await within(seconds, operation())
        except BleakGATTProtocolError as error:
            if error.code not in _INSUFFICIENT:
                raise
        await self.pair()
        return await within(seconds, operation())

    def _characteristic(self, uuid: str, *properties: str) -> BleakGATTCharacteristic | None:
        found = self.client.services.get_characteristic(uuid)
        return found if found and set(properties) & set(found.properties) else None
