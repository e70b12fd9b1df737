"""A virtual blood-pressure cuff: Blood Pressure Service 1.1 with a memory, as cuffs for the home have it.

It is silent until a measurement is made. Then it advertises, indicates everything in its memory to whoever
subscribes, forgets each record when its indication is confirmed, and switches its radio off.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from bumble.att import ATT_Error, ErrorCode
from bumble.core import UUID, BaseBumbleError
from bumble.device import Connection, Device
from bumble.gatt import (
    GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR,
    Characteristic,
    CharacteristicValue,
    Descriptor,
    Service,
)

from devices.gatt import blood_pressure, current_time
from devices.gatt.errors import DecodeError
from devices.virtual.radio import Air
from devices.virtual.twin import Perms, Plate, Props, Twin

_SERVICE: Final = b"\x03\x03\x10\x18"  # advertising structure: complete list of services, 0x1810
_FEATURES: Final = b"\x37\x00"  # movement, cuff fit, irregular pulse, position, multiple bonds
_LINGER_S: Final = 0.6  # how long a cuff stays on after its memory is empty
_WAITS_S: Final = 120.0  # how long it calls for the gateway before it gives up until the next measurement


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What the person's arm shows: mmHg, mmHg, beats a minute; ``user`` is the cuff's user slot."""

    systolic: float
    diastolic: float
    pulse: float | None = 72
    user: int | None = 1
    status: int = 0
    timestamped: bool = True


class Cuff(Twin):
    """A cuff. ``memory`` holds the records nobody has confirmed yet, as they go over the air."""

    def __init__(self, air: Air, plate: Plate) -> None:
        super().__init__(air, plate)
        self.memory: list[bytes] = []
        self.doubled = False
        self._calls = 0
        self._zone = ZoneInfo(plate.time_zone) if plate.time_zone else None
        self._clock_error = timedelta()
        self._last: datetime | None = None
        encrypted = Perms.READ_REQUIRES_ENCRYPTION | Perms.WRITE_REQUIRES_ENCRYPTION
        self._measurement: Characteristic[bytes] = Characteristic(
            UUID(blood_pressure.MEASUREMENT), Props.INDICATE, encrypted
        )
        # As real cuffs do: who is not paired may not even subscribe.
        self._measurement.descriptors = (
            Descriptor(
                GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR,
                Perms.READABLE | Perms.WRITEABLE | Perms.WRITE_REQUIRES_ENCRYPTION,
                self.device.gatt_server.make_descriptor_value(self._measurement),
            ),
        )
        self._measurement.on(Characteristic.EVENT_SUBSCRIPTION, self._on_subscription)
        feature: Characteristic[bytes] = Characteristic(
            UUID(blood_pressure.FEATURE), Props.READ, Perms.READABLE, _FEATURES
        )
        clock: Characteristic[bytes] = Characteristic(
            UUID(current_time.UUID),
            Props.READ | Props.WRITE,
            Perms.READABLE | Perms.WRITEABLE | encrypted,
            CharacteristicValue(read=self._read_clock, write=self._write_clock),
        )
        self.device.add_services(
            [
                Service(UUID(blood_pressure.SERVICE), [self._measurement, feature]),
                Service(UUID(current_time.SERVICE), [clock]),
                *self.standard_services(),
            ]
        )
        self.device.on(Device.EVENT_CONNECTION, self._on_connection)

    def now(self) -> datetime:
        """The cuff's own clock: local time without a zone, to the second."""
        return (self._wall_clock() + self._clock_error).replace(microsecond=0)

    def set_clock(self, shows: datetime) -> None:
        """Let the cuff's clock show this local time, as after a change of battery."""
        self._clock_error = shows - self._wall_clock()

    def _wall_clock(self) -> datetime:
        return datetime.now(UTC).astimezone(self._zone).replace(tzinfo=None)

    async def measure(self, measurement: Measurement) -> datetime:
        """Measure, keep the record and call for the gateway. The answer is the cuff's time of it."""
        taken = self.now()
        if self._last is not None and taken <= self._last:
            taken = self._last + timedelta(seconds=1)  # no arm is measured twice in one second
        self._last = taken
        await self.remember(_record(measurement, taken))
        return taken

    async def remember(self, record: bytes) -> None:
        """Put a record into the memory as it is, and call for the gateway."""
        self.memory.append(record)
        await self.call()

    async def call(self) -> None:
        """Switch the radio on and wait for the gateway, as after a measurement."""
        if not self.connections:
            self._calls += 1
            await self.advertise(_SERVICE)
            self.spawn(self._stop_calling(self._calls))

    async def set_battery(self, level: int) -> None:
        """Wear the battery down and synchronise, as a press of the cuff's button does."""
        await super().set_battery(level)
        await self.call()

    async def lose_bond(self) -> None:
        """Forget whom it is paired with."""
        if self.device.keystore is not None:
            await self.device.keystore.delete_all()

    async def _stop_calling(self, calls: int) -> None:
        await asyncio.sleep(_WAITS_S)
        if calls == self._calls and not self.connections:
            await self.fall_silent()

    def _on_connection(self, connection: Connection) -> None:
        connection.on(Connection.EVENT_DISCONNECTION, lambda _reason: self.spawn(self._after_disconnection()))

    async def _after_disconnection(self) -> None:
        # An advertising set ends with the connection it led to; whoever still has something to say calls again.
        if self.memory:
            await self.call()

    def _on_subscription(self, connection: Connection, _notify: bool, indicate: bool) -> None:
        if indicate:
            self.spawn(self._empty_memory(connection))

    async def _empty_memory(self, connection: Connection) -> None:
        await asyncio.sleep(0)  # the answer to the subscription goes first
        # An indication that is not confirmed, or a link that ends, leaves the record where it is.
        with contextlib.suppress(TimeoutError, BaseBumbleError, asyncio.CancelledError):
            while True:
                while self.memory:
                    if not await self._indicate(connection, self.memory[0]):
                        return
                    del self.memory[0]
                await asyncio.sleep(_LINGER_S)
                if not self.memory:
                    break
            await connection.disconnect()

    async def _indicate(self, connection: Connection, record: bytes) -> bool:
        """Send a record; whether its receiver has confirmed it. bumble says nothing when there is none."""
        for _ in range(2 if self.doubled else 1):
            if connection not in self.connections:
                return False
            sent = self.device.gatt_server.indicate_subscriber(connection, self._measurement, record)
            await connection.cancel_on_disconnection(sent)
        return connection in self.connections

    def _read_clock(self, _connection: Connection) -> bytes:
        return current_time.encode(self.now())

    def _write_clock(self, _connection: Connection, value: bytes) -> None:
        try:
            shows = current_time.decode(value)
        except DecodeError:
            shows = None
        if shows is None:
            raise ATT_Error(ErrorCode.VALUE_NOT_ALLOWED)
        self.set_clock(shows)


def _record(measurement: Measurement, taken: datetime) -> bytes:
    mean = measurement.diastolic + (measurement.systolic - measurement.diastolic) / 3
    return blood_pressure.encode(
        blood_pressure.BloodPressure(
            systolic=measurement.systolic,
            diastolic=measurement.diastolic,
            mean_arterial_pressure=round(mean),
            unit_kpa=False,
            timestamp=taken if measurement.timestamped else None,
            pulse=measurement.pulse,
            user=measurement.user,
            status=blood_pressure.Status(measurement.status),
        )
    )
