"""What every virtual device is: one battery, one name plate, one place in the air, and a few bad habits.

What a street may be asked to do with a device are its methods ``do_...``; their arguments are what the request brings.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from bumble.core import UUID, AdvertisingData, BaseBumbleError
from bumble.device import AdvertisingType, Connection, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.profiles.device_information_service import DeviceInformationService

from devices.virtual.radio import Air, new_device

Answer = dict[str, Any]
Props = Characteristic.Properties
Perms = Characteristic.Permissions
_BATTERY_SERVICE: Final = UUID.from_16_bits(0x180F)
_BATTERY_LEVEL: Final = UUID.from_16_bits(0x2A19)
_BASE: Final = "-0000-1000-8000-00805f9b34fb"
_FLOOD_MS: Final = 20.0  # the shortest interval the Core Specification allows (Vol 6, Part B, 4.4.2.2)


class Refused(Exception):
    """A request that cannot be done, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """One virtual device as the list of homes names it.

    ``bindkey`` is 32 hexadecimal digits. ``time_zone`` is that of its home (None: this machine's own): a new cuff's
    clock shows its local time. ``traits`` are lasting ways of its type, which its twin documents.
    """

    address: str
    kind: str
    name: str
    model: str = "Virtual 1"
    manufacturer: str = "Hearthwatch street"
    firmware: str = "1.0"
    battery: int = 90
    bindkey: str | None = None
    rssi_dbm: int = -60
    time_zone: str | None = None
    traits: frozenset[str] = frozenset()


def listed(uuid: str) -> bytes:
    """The advertising structure that names this one service."""
    if uuid.endswith(_BASE):
        return b"\x03\x03" + bytes.fromhex(uuid[4:8])[::-1]
    return b"\x11\x07" + bytes.fromhex(uuid.replace("-", ""))[::-1]


class Twin:
    """A virtual device. ``battery`` is in per cent; ``plate`` says what it is."""

    kind: ClassVar[str]

    def __init__(self, air: Air, plate: Plate, *, advertise_every_ms: float = 250) -> None:
        self.air = air
        self.plate = plate
        self.battery = plate.battery
        self.device: Device = new_device(air, plate.address, plate.name, advertise_every_ms=advertise_every_ms)
        air.rssi[plate.address] = plate.rssi_dbm
        self._every_ms = advertise_every_ms
        self._said: tuple[AdvertisingType, tuple[bytes, ...]] | None = None
        self._hushed = False
        self._packets_left: int | None = None
        self._off = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._advertising = asyncio.Lock()  # bumble's advertising must not be started and stopped at once
        self._battery_level: Characteristic[bytes] = Characteristic(
            _BATTERY_LEVEL,
            Props.READ | Props.NOTIFY,
            Perms.READABLE,
            CharacteristicValue(read=lambda _connection: bytes([self.battery])),
        )

    async def start(self) -> None:
        """Switch the device on."""
        await self.device.power_on()

    async def stop(self) -> None:
        """Switch the device off."""
        self._off = True
        async with self._advertising:  # nothing is left half said to the controller
            await self.device.stop_advertising()
            for task in self._tasks:
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def set_battery(self, level: int) -> None:
        """Wear the battery down (per cent), and tell whoever has subscribed."""
        self.battery = level
        await self.device.gatt_server.notify_subscribers(self._battery_level, bytes([level]))

    @property
    def connections(self) -> list[Connection]:
        """Who is connected now."""
        return list(self.device.connections.values())

    def standard_services(self) -> list[Service]:
        """Battery and Device Information."""
        plate = self.plate
        name_plate = DeviceInformationService(
            manufacturer_name=plate.manufacturer,
            model_number=plate.model,
            serial_number=plate.address.replace(":", ""),
            firmware_revision=plate.firmware,
        )
        return [Service(_BATTERY_SERVICE, [self._battery_level]), name_plate]

    async def advertise(self, *structures: bytes) -> None:
        """Let itself be found, by its name and the advertising structures given."""
        # The name stands in the advertisement itself: the virtual air carries no scan responses.
        name = self.plate.name.encode()[:12]
        called = struct.pack("<BB", len(name) + 1, AdvertisingData.COMPLETE_LOCAL_NAME) + name
        await self.broadcast(*structures, called, kind=AdvertisingType.UNDIRECTED_CONNECTABLE_SCANNABLE)

    async def broadcast(self, *structures: bytes, kind: AdvertisingType = AdvertisingType.UNDIRECTED) -> None:
        """Repeat these advertising structures until :meth:`fall_silent`."""
        self._said = kind, structures
        flags = struct.pack("<BBB", 2, AdvertisingData.FLAGS, 0x06)
        if self._hushed:
            return
        async with self._advertising:
            await self.device.start_advertising(
                kind,
                advertising_data=b"".join((flags, *structures)),
                advertising_interval_min=self._every_ms,
                advertising_interval_max=self._every_ms,
            )

    async def fall_silent(self) -> None:
        """Advertise no more."""
        self._said = None
        async with self._advertising:
            await self.device.stop_advertising()

    async def send(self, connection: Connection, characteristic: Characteristic[bytes], value: bytes) -> bool:
        """Indicate or notify, as the characteristic can; whether it arrived, as far as a device can know.

        An indication has arrived when it is confirmed. Without a subscriber nothing is sent, of which bumble says nothing.
        """
        if self._packets_left == 0:
            self._packets_left = None
            await self._hang_up(connection)
        if connection not in self.connections:
            return False
        if self._packets_left is not None:
            self._packets_left -= 1
        server = self.device.gatt_server
        if not any(server.read_cccd(connection, characteristic)):
            return False  # BlueZ, too, unsubscribes for a program that ended
        if characteristic.properties & Props.INDICATE:
            await connection.cancel_on_disconnection(server.indicate_subscriber(connection, characteristic, value))
        else:
            await server.notify_subscriber(connection, characteristic, value)
        return connection in self.connections

    async def _hang_up(self, connection: Connection) -> None:
        with contextlib.suppress(BaseBumbleError, asyncio.CancelledError):
            await connection.disconnect()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside; it ends with the device."""
        if self._off:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def told(self) -> Answer:
        """What there is to tell of this kind of device beside what every one has."""
        return {}

    async def do_state(self) -> Answer:
        """How the device is."""
        plate = self.plate
        links = len(self.connections)
        return {"kind": plate.kind, "name": plate.name, "battery": self.battery, "links": links, **self.told()}

    async def do_battery(self, level: int) -> Answer:
        """Wear the battery down to ``level`` per cent."""
        if not 0 <= level <= 100:
            raise Refused(f"a battery cannot be at {level} %")
        await self.set_battery(level)
        return {}

    async def do_leave(self) -> Answer:
        """Be carried out of range."""
        self.air.leave(self.plate.address)
        return {}

    async def do_come_back(self) -> Answer:
        """Be in range again."""
        self.air.come_back(self.plate.address)
        return {}

    async def do_rssi(self, dbm: int) -> Answer:
        """Be heard this loud from now on."""
        self.air.rssi[self.plate.address] = dbm
        return {}

    async def do_loss(self, share: float) -> Answer:
        """Let the air lose this share (0 to 1) of what the device says."""
        if not 0 <= share < 1:
            raise Refused("a share lies from 0 to below 1")
        self.air.loss[self.plate.address] = share
        return {}

    async def do_hush(self, on: bool = True) -> Answer:
        """Say nothing to anybody, as with a dead battery; or speak again."""
        self._hushed = on
        said = self._said
        if on:
            await self.fall_silent()
            self._said = said
            for connection in self.connections:
                await self._hang_up(connection)
        elif said is not None:
            await self.broadcast(*said[1], kind=said[0])
        return {}

    async def do_flood(self, on: bool = True) -> Answer:
        """Advertise fifty times a second."""
        self._every_ms = _FLOOD_MS if on else self.device.config.advertising_interval_min
        if self._said is not None and self.device.is_advertising:
            kind, structures = self._said
            await self.fall_silent()
            await self.broadcast(*structures, kind=kind)
        return {}

    async def do_drop_link(self, after: int = 1) -> Answer:
        """Hang up once, when so many more packets have been sent."""
        self._packets_left = after
        return {}

    async def do_lose_bond(self) -> Answer:
        """Forget whom it is paired with."""
        if self.device.keystore is not None:
            await self.device.keystore.delete_all()
        return {}
