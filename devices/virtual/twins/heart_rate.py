"""A virtual heart rate strap: Heart Rate Service 1.0 with RR intervals. It calls while it is worn."""

from __future__ import annotations

import asyncio
from typing import ClassVar, Final

from bumble.core import UUID
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, Service

from devices.gatt import heart_rate
from devices.gatt.heart_rate import HeartRate
from devices.virtual.radio import Air
from devices.virtual.twin import Answer, Perms, Plate, Props, Twin, listed

_SERVICE: Final = listed(heart_rate.SERVICE)


class HeartRateStrap(Twin):
    """A strap. ``rate`` is what its wearer's heart does, 0 where it feels none; ``every_s`` how often it tells."""

    kind: ClassVar[str] = "heart_rate"

    def __init__(self, air: Air, plate: Plate) -> None:
        super().__init__(air, plate)
        self.rate = 0
        self.contact = True
        self.every_s = 1.0
        self._measurement: Characteristic[bytes] = Characteristic(
            UUID(heart_rate.MEASUREMENT), Props.NOTIFY, Perms.READABLE
        )
        self._measurement.on(Characteristic.EVENT_SUBSCRIPTION, self._on_subscription)
        self.device.add_services([Service(UUID(heart_rate.SERVICE), [self._measurement]), *self.standard_services()])
        self.device.on(Device.EVENT_CONNECTION, self._on_connection)

    async def do_wear(self, rate: int, contact: bool = True, every_s: float = 1.0) -> Answer:
        """Be put on; a rate of 0 is a strap that feels no pulse."""
        self.rate, self.contact, self.every_s = rate, contact, every_s
        if not self.connections:
            await self.advertise(_SERVICE)
        return {}

    async def do_take_off(self) -> Answer:
        """Be taken off: the strap hangs up and sleeps."""
        self.rate = 0
        await self.fall_silent()
        for connection in self.connections:
            await connection.disconnect()
        return {}

    def _on_connection(self, connection: Connection) -> None:
        connection.on(Connection.EVENT_DISCONNECTION, lambda _reason: self.spawn(self._call_again()))

    async def _call_again(self) -> None:
        if self.rate:
            await self.advertise(_SERVICE)

    def _on_subscription(self, connection: Connection, notify: bool, _indicate: bool) -> None:
        if notify:
            self.spawn(self._stream(connection))

    async def _stream(self, connection: Connection) -> None:
        while connection in self.connections:
            await asyncio.sleep(self.every_s)
            if not await self.send(connection, self._measurement, self._beat()):
                return

    def _beat(self) -> bytes:
        if not self.rate:
            return b"\x00\x00"
        return heart_rate.encode(HeartRate(self.rate, self.contact, rr_s=(round(60 / self.rate * 1024) / 1024,)))

    def told(self) -> Answer:
        return {"rate": self.rate}
