"""A virtual Movesense: hello, subscribe, and 32-bit floats in m/s² with its own milliseconds, four samples a packet."""

from __future__ import annotations

from typing import ClassVar, Final

from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Characteristic, CharacteristicValue, Service

from devices.gatt import movesense
from devices.gatt.acceleration import Samples
from devices.gatt.errors import DecodeError
from devices.gatt.movesense import Acceleration, Code, Command, Hello, Request, Response
from devices.virtual.radio import Air
from devices.virtual.streamer import Streamer
from devices.virtual.twin import Answer, Perms, Plate, Props

_PACKET: Final = 4
_RANGE_G: Final = 8
_STREAM: Final = "/Meas/Acc/"
_CONFIGURATION: Final = "/Meas/Acc/Config"
_OK, _BAD_REQUEST, _NOT_FOUND = 200, 400, 404
_MS: Final = 1_000_000


class Movesense(Streamer):
    """A sensor. It advertises its name only: its service does not fit beside it."""

    kind: ClassVar[str] = "movesense"
    asked_for: ClassVar[bool] = True

    def __init__(self, air: Air, plate: Plate) -> None:
        self._reference = 0
        self._failing: int | None = None
        stream: Characteristic[bytes] = Characteristic(UUID(movesense.NOTIFY), Props.NOTIFY, Perms.READABLE)
        command: Characteristic[bytes] = Characteristic(
            UUID(movesense.WRITE), Props.WRITE, Perms.WRITEABLE, CharacteristicValue(write=self._asked)
        )
        service = Service(UUID(movesense.SERVICE), [command, stream])
        super().__init__(air, plate, service, stream, rate_hz=52, per_packet=_PACKET, range_g=_RANGE_G)

    def _asked(self, connection: Connection, value: bytes) -> None:
        try:
            request = movesense.decode_request(value)
        except DecodeError:
            request = Request(Command.GET, value[1] if len(value) > 1 else 0)
        self.spawn(self._say(connection, Response(Code.ANSWER, request.reference, self._answer(connection, request))))

    async def _say(self, connection: Connection, response: Response) -> None:
        await self.send(connection, self.acceleration, movesense.encode(response))

    def _answer(self, connection: Connection, request: Request) -> bytes:
        if request.command is Command.HELLO:
            plate = self.plate
            hello = Hello(plate.address.replace(":", ""), plate.model, f"gatt_sensordata_app {plate.firmware}")
            return movesense.encode_hello(hello, plate.address)
        status, more = self._do(connection, request)
        return status.to_bytes(2, "little") + more

    def _do(self, connection: Connection, request: Request) -> tuple[int, bytes]:
        if self._failing is not None:
            return self._failing, b""
        if request.command is Command.GET and request.path == _CONFIGURATION:
            return _OK, bytes((_RANGE_G,))
        if request.command is Command.SUBSCRIBE and request.path.startswith(_STREAM):
            return self._subscribed(connection, request), b""
        if request.command is Command.UNSUBSCRIBE and request.reference == self._reference:
            self.end()
            return _OK, b""
        return _NOT_FOUND, b""

    def _subscribed(self, connection: Connection, request: Request) -> int:
        rate = request.path.removeprefix(_STREAM)
        if not rate.isdecimal() or int(rate) not in movesense.RATES_HZ:
            return _BAD_REQUEST
        self._reference = request.reference
        self.set_rate(int(rate))
        self.begin(connection)
        return _OK

    def packet(self, samples: Samples, first_ns: int, last_ns: int) -> bytes:
        """With the time of its first sample."""
        measured = movesense.encode_acceleration(Acceleration(first_ns // _MS, samples))
        return movesense.encode(Response(Code.DATA, self._reference, measured))

    async def do_refuse(self, status: int | None = None) -> Answer:
        """Answer every request but HELLO with this status from now on; without one, do as asked again."""
        self._failing = status
        return {}
