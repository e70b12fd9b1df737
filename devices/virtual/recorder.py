"""A virtual device with a memory, as instruments for the home have it.

It is silent until something is measured. Then it advertises, sends everything in its memory to whoever subscribes,
forgets each record when it has arrived, and switches its radio off. Its clock may be wrong, its link may break.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Callable, Sequence
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
from bumble.pairing import PairingConfig, PairingDelegate

from devices.gatt import current_time, date_time
from devices.gatt.errors import DecodeError
from devices.virtual.radio import Air
from devices.virtual.twin import Answer, Perms, Plate, Props, Refused, Twin, listed

ENCRYPTED: Final = Perms.READ_REQUIRES_ENCRYPTION | Perms.WRITE_REQUIRES_ENCRYPTION
_LINGER_S: Final = 0.6  # how long it stays on after its memory is empty
_WAITS_S: Final = 120.0  # how long it calls for the gateway before it gives up until the next measurement
_FILLED_EVERY: Final = timedelta(hours=1)


class _AsksForDigits(PairingDelegate):
    """Lets nobody pair, as nobody types in the digits."""

    async def accept(self) -> bool:
        return False


class Recorder(Twin):
    """A device with a memory. ``memory`` holds the records nobody has confirmed yet, as they go over the air, and
    ``recorded`` every one there ever was. While it is ``measuring`` it does not switch itself off.

    ``measurement`` is the characteristic that carries a record; ``others`` belong to the same ``service``. Traits:
    ``date_time``: its clock is a Date Time in that service; ``keeps``: it forgets nothing and tells all at each visit;
    ``passkey``: it pairs with nobody who cannot type in the digits that it shows.
    """

    def __init__(
        self, air: Air, plate: Plate, service: str, measurement: str, others: Sequence[Characteristic[bytes]] = ()
    ) -> None:
        super().__init__(air, plate)
        self.memory: list[bytes] = []
        self.recorded: list[bytes] = []
        self.measuring = False
        self.doubled = False
        self._service = listed(service)
        self._calls = 0
        self._zone = ZoneInfo(plate.time_zone) if plate.time_zone else None
        self._clock_error = timedelta()
        self._last: datetime | None = None
        self._kept: list[bytes] = []
        if "passkey" in plate.traits:
            self.device.pairing_config_factory = lambda _connection: PairingConfig(delegate=_AsksForDigits())
        self._measurement = self.measurement(measurement)
        self._measurement.on(Characteristic.EVENT_SUBSCRIPTION, self.on_subscription)
        own, beside = [self._measurement, *others], []
        if "date_time" in plate.traits:
            own.append(self._clock(date_time.UUID, date_time.encode, date_time.decode))
        else:
            clock = self._clock(current_time.UUID, current_time.encode, current_time.decode)
            beside.append(Service(UUID(current_time.SERVICE), [clock]))
        self.device.add_services([Service(UUID(service), own), *beside, *self.standard_services()])
        self.device.on(Device.EVENT_CONNECTION, self._on_connection)

    def measurement(self, uuid: str) -> Characteristic[bytes]:
        """The characteristic that carries a record."""
        return self.private(uuid, Props.INDICATE)

    def private(self, uuid: str, properties: Props) -> Characteristic[bytes]:
        """A characteristic to which, as with real instruments, who is not paired may not even subscribe."""
        made: Characteristic[bytes] = Characteristic(UUID(uuid), properties, ENCRYPTED)
        made.descriptors = (
            Descriptor(
                GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR,
                Perms.READABLE | Perms.WRITEABLE | Perms.WRITE_REQUIRES_ENCRYPTION,
                self.device.gatt_server.make_descriptor_value(made),
            ),
        )
        return made

    @abstractmethod
    def usual(self, number: int, taken: datetime) -> bytes:
        """A plausible record; equal numbers give equal values."""

    @abstractmethod
    def failed(self, taken: datetime) -> bytes:
        """The record of a measurement that failed: NaN, or what this kind of device sends instead."""

    def now(self) -> datetime:
        """The device's own clock: local time without a zone, to the second."""
        return (self._wall_clock() + self._clock_error).replace(microsecond=0)

    def next_moment(self) -> datetime:
        """The device's time for a new measurement: nobody is measured twice in one second."""
        taken = self.now()
        if self._last is not None and taken <= self._last:
            taken = self._last + timedelta(seconds=1)
        self._last = taken
        return taken

    def set_clock(self, shows: datetime) -> None:
        """Let the device's clock show this local time, as after a change of battery."""
        self._clock_error = shows - self._wall_clock()

    def _wall_clock(self) -> datetime:
        return datetime.now(UTC).astimezone(self._zone).replace(tzinfo=None)

    async def remember(self, *records: bytes) -> None:
        """Put records into the memory as they are, and call for the gateway."""
        self.memory += records
        self.recorded += records
        await self.call()

    async def call(self) -> None:
        """Switch the radio on and wait for the gateway, as after a measurement."""
        if not self.connections:
            self._calls += 1
            await self.advertise(self._service)
            self.spawn(self._stop_calling(self._calls))

    async def set_battery(self, level: int) -> None:
        """Wear the battery down and synchronise, as a press of the device's button does."""
        await super().set_battery(level)
        await self.call()

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

    def on_subscription(self, connection: Connection, notify: bool, indicate: bool) -> None:
        """Somebody wants the measurements, or wants them no more."""
        if notify or indicate:
            self.spawn(self._empty_memory(connection))

    async def _empty_memory(self, connection: Connection) -> None:
        await asyncio.sleep(0)  # the answer to the subscription goes first
        # A record that does not arrive, or a link that ends, leaves it where it is.
        with contextlib.suppress(TimeoutError, BaseBumbleError, asyncio.CancelledError):
            for record in self._kept:
                if not await self._tell(connection, record):
                    return
            while True:
                while self.memory:
                    if not await self._tell(connection, self.memory[0]):
                        return
                    told = self.memory.pop(0)
                    self._kept += [told] if "keeps" in self.plate.traits else []
                await asyncio.sleep(_LINGER_S)
                if not self.memory and not self.measuring:
                    break
            await connection.disconnect()

    async def _tell(self, connection: Connection, record: bytes) -> bool:
        """Send a record; whether it has arrived."""
        if self.doubled and not await self.send(connection, self._measurement, record):
            return False
        return await self.send(connection, self._measurement, record)

    def _clock(
        self, uuid: str, encode: Callable[[datetime], bytes], decode: Callable[[bytes], datetime | None]
    ) -> Characteristic[bytes]:
        def write(_connection: Connection, value: bytes) -> None:
            try:
                shows = decode(value)
            except DecodeError:
                shows = None
            if shows is None:
                raise ATT_Error(ErrorCode.VALUE_NOT_ALLOWED)
            self.set_clock(shows)

        value = CharacteristicValue(read=lambda _connection: encode(self.now()), write=write)
        permissions = Perms.READABLE | Perms.WRITEABLE | ENCRYPTED
        return Characteristic(UUID(uuid), Props.READ | Props.WRITE, permissions, value)

    def told(self) -> Answer:
        return {"memory": len(self.memory), "clock": self.now().isoformat()}

    async def do_recorded(self) -> Answer:
        """Every record there ever was, as it goes over the air."""
        return {"records": [record.hex() for record in self.recorded]}

    async def do_raw(self, hex: str) -> Answer:  # noqa: A002  the request's own word
        """Put these bytes into the memory."""
        await self.remember(bytes.fromhex(hex))
        return {}

    async def do_fill(self, count: int) -> Answer:
        """Have measured ``count`` times, hourly until now, while no gateway was near. The answer is when, each."""
        until = self.next_moment()
        taken = [until - n * _FILLED_EVERY for n in reversed(range(count))]
        await self.remember(*(self.usual(number, at) for number, at in enumerate(taken)))
        return {"measured_at": [at.isoformat() for at in taken]}

    async def do_fail(self) -> Answer:
        """Try to measure and fail."""
        await self.remember(self.failed(self.next_moment()))
        return {}

    async def do_set_clock(self, iso: str) -> Answer:
        """Show this local time."""
        shows = datetime.fromisoformat(iso)
        if shows.tzinfo is not None:
            raise Refused("a device's clock shows local time, without a zone")
        self.set_clock(shows)
        return {}

    async def do_double(self, on: bool = True) -> Answer:
        """Send every record twice."""
        self.doubled = on
        return {}
