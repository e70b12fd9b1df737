"""A virtual Polar sensor: asked by its control point, it streams raw or compressed frames.

By its model it offers what an H10 (four rates, ±2, 4 and 8 g, raw frames of 16 bits) or a Verity Sense (52 Hz, ±8 g,
compressed frames with a factor) offers, as the makers' product pages say.
"""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import ClassVar, Final

from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Characteristic, CharacteristicValue, Service

from devices.gatt import polar
from devices.gatt.acceleration import Samples
from devices.gatt.errors import DecodeError
from devices.gatt.polar import Answer as Said
from devices.gatt.polar import Op, Outcome, Request, Setting, Settings, Stopped
from devices.virtual.radio import Air
from devices.virtual.streamer import Streamer
from devices.virtual.twin import Answer, Perms, Plate, Props, Refused, listed

_H10: Final = MappingProxyType(
    {Setting.SAMPLE_RATE: (25, 50, 100, 200), Setting.RESOLUTION: (16,), Setting.RANGE: (2, 4, 8)}
)
_VERITY: Final = MappingProxyType(
    {Setting.SAMPLE_RATE: (52,), Setting.RESOLUTION: (16,), Setting.RANGE: (8,), Setting.CHANNELS: (3,)}
)
_FACTOR: Final = struct.unpack("<f", struct.pack("<f", 2.44140625e-4))[0]
_PACKET: Final = 36  # samples: 226 bytes raw, as an H10 sends
_HEART_RATE: Final = "0000180d-0000-1000-8000-00805f9b34fb"
_REFUSALS: Final = MappingProxyType(
    {
        Setting.SAMPLE_RATE: Outcome.INVALID_SAMPLE_RATE,
        Setting.RESOLUTION: Outcome.INVALID_RESOLUTION,
        Setting.RANGE: Outcome.INVALID_RANGE,
        Setting.CHANNELS: Outcome.INVALID_NUMBER_OF_CHANNELS,
    }
)


class Polar(Streamer):
    """A sensor; a plate whose model says ``Sense`` is a Verity Sense."""

    kind: ClassVar[str] = "polar"
    asked_for: ClassVar[bool] = True

    def __init__(self, air: Air, plate: Plate) -> None:
        self._compressed = "Sense" in plate.model
        self._offers: Settings = _VERITY if self._compressed else _H10
        self._failing: Outcome | None = None
        self._control: Characteristic[bytes] = Characteristic(
            UUID(polar.CONTROL),
            Props.READ | Props.WRITE | Props.INDICATE,
            Perms.READABLE | Perms.WRITEABLE,
            CharacteristicValue(read=lambda _connection: b"\x0f\x04\x00", write=self._asked),
        )
        stream: Characteristic[bytes] = Characteristic(UUID(polar.DATA), Props.NOTIFY, Perms.READABLE)
        service = Service(UUID(polar.SERVICE), [self._control, stream])
        super().__init__(air, plate, service, stream, advertises=(listed(_HEART_RATE),), per_packet=_PACKET)

    def _asked(self, connection: Connection, value: bytes) -> None:
        try:
            answer = self._answer(connection, polar.decode_request(value))
        except DecodeError:
            answer = Said(Op.START, polar.ACCELERATION, Outcome.INVALID_PARAMETER)
        self.spawn(self._say(connection, answer))

    def _answer(self, connection: Connection, request: Request) -> Said:
        outcome, parameters = self._do(connection, request)
        return Said(request.op, request.measurement, outcome, parameters=parameters)

    def _do(self, connection: Connection, request: Request) -> tuple[Outcome, bytes]:
        if self._failing is not None:
            return self._failing, b""
        if request.measurement != polar.ACCELERATION:
            return Outcome.INVALID_MEASUREMENT_TYPE, b""
        if request.op is Op.SETTINGS:
            return Outcome.SUCCESS, polar.encode_settings(self._offers)
        if request.op is Op.STOP:
            return self._stopped()
        return self._started(connection, request.settings)

    def _stopped(self) -> tuple[Outcome, bytes]:
        if not self.streams:
            return Outcome.ALREADY_IN_STATE, b""
        self.end()
        return Outcome.SUCCESS, b""

    def _started(self, connection: Connection, wanted: Settings) -> tuple[Outcome, bytes]:
        if self.streams:
            return Outcome.ALREADY_IN_STATE, b""
        if wanted.keys() != self._offers.keys():
            return Outcome.INVALID_PARAMETER, b""
        for setting, values in wanted.items():
            if len(values) != 1 or values[0] not in self._offers[setting]:
                return _REFUSALS[setting], b""
        self._range_g = float(wanted[Setting.RANGE][0])
        self.set_rate(wanted[Setting.SAMPLE_RATE][0])
        self.begin(connection)
        factor = struct.unpack("<I", struct.pack("<f", _FACTOR))[0]
        return Outcome.SUCCESS, polar.encode_settings({Setting.FACTOR: (factor,)}) if self._compressed else b""

    async def _say(self, connection: Connection, answer: Said | Stopped) -> None:
        await self.send(connection, self._control, polar.encode_answer(answer))

    def packet(self, samples: Samples, first_ns: int, last_ns: int) -> bytes:
        """A frame with the time of its last sample."""
        if self._compressed:
            return polar.encode_compressed(last_ns, samples, 0, _FACTOR)
        return polar.encode_raw(last_ns, samples)

    async def do_refuse(self, outcome: int | None = None) -> Answer:
        """Answer every request with this error code from now on; without one, do as asked again."""
        try:
            self._failing = None if outcome is None else Outcome(outcome)
        except ValueError as error:
            raise Refused(f"a Polar sensor has no error {outcome}") from error
        return {}

    async def do_offer_nothing(self) -> Answer:
        """Name no setting that could be chosen."""
        self._offers = {}
        return {}

    async def do_stop_by_itself(self) -> Answer:
        """End the stream, as when it is put into its charger."""
        self.end()
        for connection in self.connections:
            await self._say(connection, Stopped((polar.ACCELERATION,)))
        return {}
