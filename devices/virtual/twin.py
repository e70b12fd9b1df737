"""What every virtual device is: one battery, one name plate, one place in the air."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final, Literal

from bumble.core import UUID, AdvertisingData
from bumble.device import AdvertisingType, Connection, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.profiles.device_information_service import DeviceInformationService

from devices.virtual.radio import Air, new_device

Kind = Literal["blood_pressure", "wearable", "help_button"]
Props = Characteristic.Properties
Perms = Characteristic.Permissions
_BATTERY_SERVICE: Final = UUID.from_16_bits(0x180F)
_BATTERY_LEVEL: Final = UUID.from_16_bits(0x2A19)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """One virtual device as the list of homes names it.

    ``bindkey`` is 32 hexadecimal digits. ``time_zone`` is that of its home (None: this machine's own): a new cuff's
    clock shows its local time.
    """

    address: str
    kind: Kind
    name: str
    model: str = "Virtual 1"
    manufacturer: str = "Hearthwatch street"
    firmware: str = "1.0"
    battery: int = 90
    bindkey: str | None = None
    rssi_dbm: int = -60
    time_zone: str | None = None


class Twin:
    """A virtual device. ``battery`` is in per cent; ``plate`` says what it is."""

    def __init__(self, air: Air, plate: Plate, *, advertise_every_ms: float = 250) -> None:
        self.air = air
        self.plate = plate
        self.battery = plate.battery
        self.device: Device = new_device(air, plate.address, plate.name, advertise_every_ms=advertise_every_ms)
        air.rssi[plate.address] = plate.rssi_dbm
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
        flags = struct.pack("<BBB", 2, AdvertisingData.FLAGS, 0x06)
        async with self._advertising:
            await self.device.start_advertising(kind, advertising_data=b"".join((flags, *structures)))

    async def fall_silent(self) -> None:
        """Advertise no more."""
        async with self._advertising:
            await self.device.stop_advertising()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something beside; it ends with the device."""
        if self._off:
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
