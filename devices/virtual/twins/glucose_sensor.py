"""A virtual continuous glucose sensor: a record every few minutes of a session, sent as it comes and kept for who missed it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal
from zoneinfo import ZoneInfo

from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Characteristic, CharacteristicValue

from devices.gatt import continuous_glucose
from devices.gatt.continuous_glucose import Feature, Features, Location, Measurement, SessionStart, State, Status
from devices.gatt.glucose import MG_PER_MMOL, Fluid
from devices.virtual.keeper import Keeper, Packet
from devices.virtual.radio import Air
from devices.virtual.twin import Answer, Perms, Plate, Props


class GlucoseSensor(Keeper):
    """A sensor. Its records are numbered by their minutes. Trait ``no_clock``: it does not know when its session began."""

    kind: ClassVar[str] = "glucose_sensor"

    def __init__(self, air: Air, plate: Plate) -> None:
        self.began = datetime.now(UTC) - timedelta(hours=2)
        self.session: SessionStart | None = None
        self.status = Status(0)
        can = Features(Feature.E2E_CRC | Feature.TREND, Fluid.INTERSTITIAL_FLUID, Location.SUBCUTANEOUS_TISSUE)
        feature = continuous_glucose.encode_feature(can)
        super().__init__(
            air,
            plate,
            continuous_glucose.SERVICE,
            continuous_glucose.MEASUREMENT,
            [
                _readable(continuous_glucose.FEATURE, CharacteristicValue(read=lambda _connection: feature)),
                _readable(continuous_glucose.STATUS, CharacteristicValue(read=self._read_status)),
                _readable(
                    continuous_glucose.SESSION_START_TIME,
                    CharacteristicValue(read=self._read_start, write=self._write_start),
                ),
            ],
        )
        if "no_clock" not in plate.traits:
            self.session = self._start_of(self.began)

    @property
    def minutes(self) -> int:
        """How old its session is."""
        return int((datetime.now(UTC) - self.began).total_seconds() // 60)

    def packets(self, number: int, record: bytes) -> Iterable[Packet]:
        """The record as it is: it has its number already."""
        yield Packet(self._measurement, record)

    def usual(self, number: int, taken: datetime) -> bytes:
        """A record of 6.0 to 6.9 mmol/L, ``number`` times five minutes after the session began."""
        return self._record(number * 5, 6 + number % 10 / 10)

    def failed(self, taken: datetime) -> bytes:
        """No value at all, as while it warms up."""
        return self._record(self.minutes, None)

    async def do_fill(self, count: int) -> Answer:
        """Have measured ``count`` times, every five minutes until some minutes ago, while no gateway was near."""
        newest = self.minutes // 5
        for number in range(newest - count, newest):
            self.keep(number * 5, self.usual(number, self.now()))
        await self.call()
        return {}

    async def do_measure(
        self, mmol_l: float | None = None, beyond: Literal["high", "low"] | None = None, minute: int | None = None
    ) -> Answer:
        """Measure, and tell whoever is connected; without a value it warms up, ``beyond`` its scale it has no number."""
        minute = self.minutes if minute is None else minute
        measured = Measurement(None if mmol_l is None else mmol_l * MG_PER_MMOL, minute, beyond, self.status)
        self.keep(minute, continuous_glucose.encode([measured], crc=True))
        for connection in self.connections:
            for packet in self.kept[minute]:
                await self.send(connection, packet.characteristic, packet.value)
        await self.call()
        return {}

    async def do_status(self, bits: int) -> Answer:
        """Say so of itself from now on."""
        self.status = Status(bits)
        return {}

    async def do_new_session(self) -> Answer:
        """Be replaced by a new one: a session that begins now, without records."""
        self.kept.clear()
        self.began = datetime.now(UTC)
        self.session = None if "no_clock" in self.plate.traits else self._start_of(self.began)
        return {}

    def _record(self, minute: int, mmol_l: float | None) -> bytes:
        mg_dl = None if mmol_l is None else mmol_l * MG_PER_MMOL
        return continuous_glucose.encode([Measurement(mg_dl, minute, status=self.status)], crc=True)

    def _start_of(self, began: datetime) -> SessionStart:
        local = began.astimezone(ZoneInfo(self.plate.time_zone) if self.plate.time_zone else None)
        offset = local.utcoffset() or timedelta()
        return SessionStart(local.replace(tzinfo=None, microsecond=0), int(offset.total_seconds() // 60), 0)

    def _read_status(self, _connection: Connection) -> bytes:
        return continuous_glucose.encode_status(State(self.minutes, self.status), crc=True)

    def _read_start(self, _connection: Connection) -> bytes:
        return continuous_glucose.encode_session_start(self.session or SessionStart(None, None, None), crc=True)

    def _write_start(self, _connection: Connection, value: bytes) -> None:
        self.session = continuous_glucose.decode_session_start(value)


def _readable(uuid: str, value: CharacteristicValue[bytes]) -> Characteristic[bytes]:
    properties = Props.READ | Props.WRITE if uuid == continuous_glucose.SESSION_START_TIME else Props.READ
    return Characteristic(UUID(uuid), properties, Perms.READABLE | Perms.WRITEABLE, value)
