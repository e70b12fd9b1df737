"""A virtual device that keeps numbered records and hands them over when asked (Record Access Control Point)."""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from bumble.att import ATT_Error
from bumble.core import UUID, BaseBumbleError
from bumble.device import Connection
from bumble.gatt import Characteristic, CharacteristicValue

from devices.gatt import record_access
from devices.gatt.errors import DecodeError
from devices.gatt.record_access import OpCode, Operator, Outcome, RecordCount, Request, Response
from devices.virtual.radio import Air
from devices.virtual.recorder import Recorder
from devices.virtual.twin import Answer, Perms, Plate, Props, Refused

_INDICATED: Final = b"\x02\x00"
_NOT_SUBSCRIBED: Final = 0xFD  # ATT errors: Core Supplement, part B
_IN_PROGRESS: Final = 0xFE


@dataclass(frozen=True, slots=True)
class Packet:
    """What goes over the air, and by which characteristic."""

    characteristic: Characteristic[bytes]
    value: bytes


class Keeper(Recorder):
    """A device that keeps its records, ``kept`` by their numbers, until it is told to delete them."""

    def __init__(
        self, air: Air, plate: Plate, service: str, measurement: str, others: Sequence[Characteristic[bytes]] = ()
    ) -> None:
        self.kept: dict[int, list[Packet]] = {}
        self.asked: list[Request] = []
        self._next = 1
        self._has_news = False
        self._is_busy = False
        self._is_aborted = False
        self._never_finishes = False
        self._will_answer: Outcome | None = None
        self._loses: set[int] = set()
        self._access: Characteristic[bytes] = Characteristic(
            UUID(record_access.UUID),
            Props.WRITE | Props.INDICATE,
            Perms.WRITEABLE | Perms.WRITE_REQUIRES_ENCRYPTION,
            CharacteristicValue(write=self._write),
        )
        super().__init__(air, plate, service, measurement, [self._access, *others])

    def measurement(self, uuid: str) -> Characteristic[bytes]:
        """The characteristic that carries a record: notified, for the answer says that all of them are out."""
        return self.private(uuid, Props.NOTIFY)

    @abstractmethod
    def packets(self, number: int, record: bytes) -> Iterable[Packet]:
        """What goes over the air for this record, numbered."""

    async def remember(self, *records: bytes) -> None:
        """Keep records, numbered, and call for the gateway."""
        for record in records:
            self.keep(self._next, record)
            self._next += 1
        await self.call()

    def keep(self, number: int, record: bytes) -> None:
        """Keep a record under this number."""
        self.kept[number] = list(self.packets(number, record))
        self.recorded += [packet.value for packet in self.kept[number]]
        self._has_news = True

    async def _after_disconnection(self) -> None:
        if self._has_news:
            await self.call()

    def on_subscription(self, connection: Connection, notify: bool, indicate: bool) -> None:
        """Its records have to be asked for."""

    def _write(self, connection: Connection, value: bytes) -> None:
        if self.device.gatt_server.subscribers.get(connection, {}).get(self._access.handle) != _INDICATED:
            raise ATT_Error(_NOT_SUBSCRIBED)
        if self._is_busy and value[:1] != bytes((OpCode.ABORT,)):
            raise ATT_Error(_IN_PROGRESS)
        self.spawn(self._answer(connection, value))

    async def _answer(self, connection: Connection, value: bytes) -> None:
        try:
            request = record_access.decode_request(value)
        except DecodeError:
            op_code = OpCode(value[0]) if value[:1] and value[0] in list(OpCode) else OpCode.RESPONSE
            answer: Response | RecordCount = Response(op_code, Outcome.OP_CODE_NOT_SUPPORTED)
        else:
            self.asked.append(request)
            done = await self._do(connection, request)
            if done is None:
                return
            answer = done
        with contextlib.suppress(TimeoutError, BaseBumbleError, asyncio.CancelledError):
            await self.send(connection, self._access, record_access.encode_response(answer))

    async def _do(self, connection: Connection, request: Request) -> Response | RecordCount | None:
        """Do what was asked; None where there is no answer, as when the link broke."""
        if request.op_code is OpCode.ABORT:
            self._is_aborted, self._is_busy = True, False
            return Response(OpCode.ABORT, Outcome.SUCCESS)
        if self._will_answer is not None:
            outcome, self._will_answer = self._will_answer, None
            return Response(request.op_code, outcome)
        numbers = [number for number in sorted(self.kept) if _is_meant(number, request)]
        if request.op_code is OpCode.REPORT_NUMBER:
            return RecordCount(len(numbers))
        if not numbers:
            return Response(request.op_code, Outcome.NO_RECORDS)
        if request.op_code is OpCode.DELETE:
            for number in numbers:
                del self.kept[number]
            return Response(OpCode.DELETE, Outcome.SUCCESS)
        return await self._report(connection, numbers)

    async def _report(self, connection: Connection, numbers: Sequence[int]) -> Response | None:
        self._is_busy, self._is_aborted = True, False
        try:
            with contextlib.suppress(TimeoutError, BaseBumbleError, asyncio.CancelledError):
                for number in numbers:
                    if number in self._loses:
                        self._loses.discard(number)
                        continue
                    for packet in self.kept[number]:
                        if self._is_aborted or not await self._send(connection, packet):
                            return None
                if self._never_finishes:
                    return None
                self._has_news = False
                return Response(OpCode.REPORT, Outcome.SUCCESS)
        finally:
            self._is_busy = self._never_finishes and not self._is_aborted
        return None

    async def _send(self, connection: Connection, packet: Packet) -> bool:
        for _ in range(2 if self.doubled else 1):
            if not await self.send(connection, packet.characteristic, packet.value):
                return False
        return True

    def told(self) -> Answer:
        return {**super().told(), "memory": len(self.kept)}

    async def do_never_finish(self, on: bool = True) -> Answer:
        """Send every record that is asked for, and then not say that it was the last."""
        self._never_finishes = on
        return {}

    async def do_answer(self, outcome: int) -> Answer:
        """Answer the next request so, whatever it is."""
        if outcome not in list(Outcome):
            raise Refused(f"{outcome} is no outcome")
        self._will_answer = Outcome(outcome)
        return {}

    async def do_lose(self, number: int) -> Answer:
        """Lose the notification of this record once, as a full queue does."""
        self._loses.add(number)
        return {}

    async def do_begin_anew(self) -> Answer:
        """Forget everything and number from the beginning, as after a change of battery."""
        self.kept.clear()
        self._next = 1
        return {}


def _is_meant(number: int, request: Request) -> bool:
    low, high = request.bounds[:1], request.bounds[-1:]
    above = request.operator in (Operator.AT_LEAST, Operator.WITHIN)
    below = request.operator in (Operator.AT_MOST, Operator.WITHIN)
    return not (above and number < _int(low[0])) and not (below and number > _int(high[0]))


def _int(bound: record_access.Bound) -> int:
    if not isinstance(bound, int):
        raise ATT_Error(_NOT_SUBSCRIBED)
    return bound
