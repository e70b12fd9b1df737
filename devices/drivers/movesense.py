"""Movesense sensors with the GATT SensorData Protocol (``devices.gatt.movesense``)."""

from __future__ import annotations

import contextlib
from typing import ClassVar, Final

from devices.drivers.dialogue import Dialogue
from devices.drivers.driver import Title
from devices.drivers.pace import Sensor
from devices.drivers.stream import Stream
from devices.falls.model import Position
from devices.falls.times import SECOND
from devices.gatt import movesense
from devices.gatt.movesense import Acceleration, Code, Command, Request, Response
from devices.link import Link

_HZ: Final = 52
_MS: Final = SECOND // 1000
_STATUS_BYTES: Final = 2
_HELLO, _CONFIGURATION, _STREAM = 1, 2, 3  # references


class Movesense(Stream):
    """One sensor of the home."""

    kind: ClassVar[str] = "movesense"
    title: ClassVar[Title] = Title("Movesense sensor", "Movesense 传感器")
    service: ClassVar[str] = movesense.SERVICE
    names: ClassVar[tuple[str, ...]] = ("Movesense",)
    worn_at: ClassVar[Position] = "chest"

    async def start(self, link: Link) -> bool:
        """Say hello, ask for the range, and subscribe to 52 samples a second."""
        dialogue: Dialogue[Response] = Dialogue(link, movesense.WRITE)
        if not await self.listen(link, movesense.NOTIFY, lambda raw: self._said(raw, dialogue)):
            return False
        self._meet(await self._ask(dialogue, Request(Command.HELLO, _HELLO)))
        range_g = await self._range(dialogue)
        self.expect(Sensor(_HZ, range_g, timed=True, wraps_ns=movesense.WRAPS_MS * _MS))
        answer = await self._ask(dialogue, Request(Command.SUBSCRIBE, _STREAM, f"/Meas/Acc/{_HZ}"))
        status = self._status(answer)
        return status == movesense.OK or self.cannot_start(f"it answers {status}")

    async def _ask(self, dialogue: Dialogue[Response], request: Request) -> Response:
        return await dialogue.ask(movesense.encode_request(request), lambda r: r.reference == request.reference)

    def _meet(self, answer: Response) -> None:
        hello = self.decoded(movesense.decode_hello, movesense.NOTIFY, answer.body)
        if hello is not None:
            health = self.desk.of(self.address)
            health.model, health.serial, health.firmware = hello.product, hello.serial, hello.firmware

    async def _range(self, dialogue: Dialogue[Response]) -> int | None:
        """None where it does not tell: not every version is known to."""
        with contextlib.suppress(TimeoutError):
            answer = await self._ask(dialogue, Request(Command.GET, _CONFIGURATION, "/Meas/Acc/Config"))
            if self._status(answer) == movesense.OK:
                return self.decoded(movesense.decode_range, movesense.NOTIFY, answer.body[_STATUS_BYTES:])
        return None

    def _status(self, answer: Response) -> int | None:
        return self.decoded(movesense.decode_status, movesense.NOTIFY, answer.body)

    def _said(self, raw: bytes, dialogue: Dialogue[Response]) -> None:
        response = self.decoded(movesense.decode, movesense.NOTIFY, raw)
        if response is None:
            return
        if response.code is Code.ANSWER:
            dialogue.heard(response)
        elif response.reference == _STREAM:
            self.moved(raw)

    def moved(self, raw: bytes) -> None:
        """Take one packet of acceleration, whose time is that of its first sample."""
        packet = self.decoded(_acceleration, movesense.NOTIFY, raw)
        if packet is not None:
            last_ns = packet.at_ms * _MS + (len(packet.samples) - 1) * SECOND // _HZ
            self.arrived(packet.samples, last_ns)


def _acceleration(raw: bytes) -> Acceleration:
    return movesense.decode_acceleration(movesense.decode(raw).body)
