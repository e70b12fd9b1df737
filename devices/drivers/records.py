"""Asking an instrument for what it remembers, by the Record Access Control Point, and knowing where to go on.

Where to go on is the newest record up to which everything is on the disk. It is asked for again at the next visit: if
it comes as it was, the numbers still mean the same; if not, as after a change of battery, everything is asked for.
What comes twice by that is known (:mod:`devices.drivers.taken`).
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from bleak.exc import BleakGATTProtocolError

from devices.desk import Desk
from devices.drivers.taken import mark
from devices.gatt import record_access
from devices.gatt.errors import DecodeError
from devices.gatt.record_access import ABORT, OpCode, Operator, Outcome, RecordCount, Request, Response
from devices.link import Link

log = logging.getLogger(__name__)

SILENT_S: Final = 15.0  # an instrument that sends nothing for so long has forgotten what it was asked
TRANSFER_S: Final = 300.0  # no memory takes longer
_ALREADY_IN_PROGRESS: Final = 0xFE  # ATT error, Core Supplement, part B

Answer = Outcome | RecordCount


class RecordAccess:
    """The control point of one connected instrument. One question at a time."""

    def __init__(self, link: Link, *, silent_s: float | None = None) -> None:
        self._link = link
        self._silent_s = SILENT_S if silent_s is None else silent_s
        self._request = ABORT
        self._answer: Answer | None = None
        self._came = asyncio.Event()

    async def open(self) -> bool:
        """Listen for answers; False when the instrument has no Record Access."""
        return await self._link.subscribe(record_access.UUID, self._answered)

    async def ask(self, request: Request) -> Answer | None:
        """Ask, and wait for the answer, which comes after the records. None when there is none: then it was aborted.

        ``BleakError`` when the link ends before.
        """
        try:
            await self._write(request)
        except BleakGATTProtocolError as error:
            if error.code != _ALREADY_IN_PROGRESS:
                raise
            await self._abort()
            await self._write(request)
        answer = await self._wait(self._silent_s)
        if answer is None:
            log.warning("%s does not finish what it was asked (%s)", self._link.address, request)
            await self._abort()
        return answer

    async def _abort(self) -> None:
        await self._write(ABORT)
        await self._wait(min(self._silent_s, 5.0))

    async def _write(self, request: Request) -> None:
        self._request, self._answer = request, None
        self._came.clear()
        await self._link.write(record_access.UUID, record_access.encode_request(request))

    async def _wait(self, silent_s: float) -> Answer | None:
        waits = [
            asyncio.ensure_future(self._came.wait()),
            asyncio.ensure_future(self._link.quiet_for(silent_s, at_most=TRANSFER_S)),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._answer is None:
            self._link.client  # noqa: B018  raises when the link has ended
        return self._answer

    def _answered(self, raw: bytes) -> None:
        try:
            answer = record_access.decode_response(raw)
        except DecodeError as error:
            log.warning("%s answered %s: %s", self._link.address, raw.hex(" "), error)
            return
        if isinstance(answer, RecordCount):
            self._answer = answer
        elif self._is_for_us(answer):
            self._answer = answer.outcome
        else:
            return
        self._came.set()

    def _is_for_us(self, answer: Response) -> bool:
        return answer.request is self._request.op_code


@dataclass(slots=True)
class _Transfer:
    """The records that came for one question. ``unbroken`` is the last of those that came one after the other.

    ``step`` is the least that two neighbours' numbers differed by: of a sensor, minutes.
    """

    count: int = 0
    first: int = 0
    newest: tuple[int, str] | None = None
    unbroken: tuple[int, str] | None = None
    previous: int | None = None
    step: int | None = None
    is_broken: bool = False
    met: bool = False

    def came(self, number: int, marked: str) -> None:
        self.first = number if not self.count else min(self.first, number)
        self.count += 1
        if self.newest is None or number > self.newest[0]:
            self.newest = number, marked
        if self.previous is not None:
            step = abs(number - self.previous)
            self.step = min(step, self.step or step) or None
            self.is_broken = self.is_broken or number != self.previous + 1
            if not self.is_broken:
                self.unbroken = number, marked
        self.previous = number

    @property
    def has_gaps(self) -> bool:
        return self.newest is not None and self.newest[0] - self.first + 1 != self.count


class Memory:
    """An instrument's numbered records, and which of them was the last. ``epoch`` names what the numbers count in."""

    def __init__(self, desk: Desk, address: str) -> None:
        self._desk = desk
        self._key = f"last record of {address}"
        self._epoch, number, self._mark = (desk.recall(self._key) or "||").split("|")
        self._number = int(number) if number else None
        self._transfer = _Transfer()
        self._is_asking = False
        self._step: int | None = None

    def came(self, number: int, record: bytes) -> None:
        """This record is on the disk. One that came unasked is the last if nothing can lie between it and the last one."""
        marked = mark(record)
        if not self._is_asking:
            if self._number is not None and self._step is not None and number == self._number + self._step:
                self._remember((number, marked))
            return
        self._transfer.met = self._transfer.met or (number, marked) == (self._number, self._mark)
        self._transfer.came(number, marked)

    def unreadable(self) -> None:
        """A record came that nobody can read, and that is on the disk."""
        self._transfer.count += 1

    async def fetch(self, access: RecordAccess, *, everything: bool = False, epoch: str = "") -> bool:
        """Ask for what is new, or for everything; whether all of it came. ``BleakError`` when the link ends before."""
        if epoch != self._epoch:
            self._epoch, self._number, self._mark = epoch, None, ""
        if self._number is not None and not everything:
            request = Request(OpCode.REPORT, Operator.AT_LEAST, (self._number,))
            outcome = await self._ask(access, request)
            if outcome is None:
                return False
            if outcome is Outcome.SUCCESS and self._transfer.met:
                return await self._is_complete(access, request)
            log.info("the records do not go on from number %d (%s): asking for all", self._number, outcome)
        request = Request(OpCode.REPORT)
        outcome = await self._ask(access, request)
        if outcome is Outcome.SUCCESS:
            return await self._is_complete(access, request)
        return outcome is Outcome.NO_RECORDS

    async def delete(self, access: RecordAccess) -> None:
        """Let the instrument forget the records that came last, if they are all it has of these numbers."""
        if self._transfer.newest is None:
            return
        until = (self._transfer.newest[0],)
        answer = await access.ask(Request(OpCode.REPORT_NUMBER, Operator.AT_MOST, until))
        if answer == RecordCount(self._transfer.count):
            await access.ask(Request(OpCode.DELETE, Operator.AT_MOST, until))

    async def _ask(self, access: RecordAccess, request: Request) -> Answer | None:
        self._transfer, self._is_asking = _Transfer(), True
        try:
            return await access.ask(request)
        finally:
            self._is_asking = False
            if self._transfer.unbroken is not None:
                self._remember(self._transfer.unbroken)

    async def _is_complete(self, access: RecordAccess, request: Request) -> bool:
        """Whether nothing is missing; if so, go on after it."""
        transfer = self._transfer
        if transfer.has_gaps:  # deleted by its owner, or lost on the way
            answer = await access.ask(Request(OpCode.REPORT_NUMBER, request.operator, request.bounds))
            if isinstance(answer, RecordCount) and answer.records > transfer.count:
                log.warning("of %d records only %d came", answer.records, transfer.count)
                return False
        self._step = transfer.step or self._step
        if transfer.newest is not None:
            self._remember(transfer.newest)
        return True

    def _remember(self, last: tuple[int, str]) -> None:
        if last == (self._number, self._mark):
            return
        self._number, self._mark = last
        self._desk.remember(self._key, f"{self._epoch}|{self._number}|{self._mark}")
