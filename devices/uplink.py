"""The way from the outbox to the service: in batches, in order, again and again until acknowledged.

A reading leaves the outbox only when the service has said what became of it. Nothing the service says loses one:
while it is away or does not admit this gateway, readings wait; what it cannot read is found by halving the batch
and put aside with its reason, so that it does not hold up the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from devices.outbox import Outbox, OutboxFull
from devices.service import NotAdmitted, Service, ServiceAway, ServiceError, UnknownDevices, Unreadable

log = logging.getLogger(__name__)

BATCH: Final = 500
LOOK_EVERY_S: Final = 1.0
"""How often the outbox is looked into unasked: readings that were held back become due, refusals nudge nobody."""
NOT_ADMITTED_S: Final = 60.0
"""How often a gateway that is not admitted tries again."""
_FIRST_S: Final = 0.25
_LONGEST_S: Final = 15.0


class Uplink:
    """Sends what waits in the outbox. ``trouble`` is one sentence on why it cannot, or ``None``.

    ``not_admitted_s`` is the time between attempts of a gateway that the service refuses.
    """

    def __init__(
        self,
        outbox: Outbox,
        service: Service,
        *,
        not_admitted_s: float = NOT_ADMITTED_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.trouble: str | None = None
        self._outbox = outbox
        self._service = service
        self._not_admitted_s = not_admitted_s
        self._now = now
        self._nudged = asyncio.Event()
        self._hurried = asyncio.Event()
        self._readings_at_once = BATCH
        self._refusals_at_once = BATCH
        self._failures = 0

    def nudge(self) -> None:
        """There is something new in the outbox: send it now."""
        self._nudged.set()

    def hurry(self) -> None:
        """What was in the way may be gone: do not wait any longer."""
        self._hurried.set()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            self._nudged.clear()
            await self._send_all()
            await _wait_at_most(LOOK_EVERY_S, self._nudged)

    async def _send_all(self) -> None:
        """Send until nothing waits, however long that takes."""
        waiting = True
        while waiting:
            try:
                waiting = await self._send_readings() or await self._send_refusals()
            except (ServiceAway, NotAdmitted, OutboxFull) as error:
                await self._wait_after(error)
            else:
                self._note_well(waiting)

    async def _send_readings(self) -> bool:
        """Send one batch of readings; whether there was one."""
        batch = self._outbox.batch(self._readings_at_once)
        if not batch:
            return False
        numbers = [number for number, _ in batch]
        try:
            outcome = await self._service.deliver([reading for _, reading in batch])
        except UnknownDevices as error:
            await self._reject(dict.fromkeys(numbers, "unknown_device"), str(error))
        except Unreadable as error:
            if len(batch) > 1:
                self._readings_at_once = len(batch) // 2
            else:
                await self._reject({numbers[0]: "unreadable"}, str(error))
        else:
            rejected = {numbers[r.index]: r.reason for r in outcome.rejected}
            if rejected:
                await self._reject(rejected, "; ".join({r.detail for r in outcome.rejected if r.detail}))
            await asyncio.to_thread(self._outbox.done, [n for n in numbers if n not in rejected])
            self._readings_at_once = min(self._readings_at_once * 2, BATCH)
        return True

    async def _reject(self, reasons: dict[int, str], words: str) -> None:
        log.warning("the service does not take %d readings, put aside: %s", len(reasons), words)
        await asyncio.to_thread(self._outbox.reject, reasons, self._now())

    async def _send_refusals(self) -> bool:
        """Tell of packets that could not be read, once; whether there were any."""
        refused = self._outbox.refused(self._refusals_at_once)
        if not refused:
            return False
        try:
            await self._service.report(refused)
        except (UnknownDevices, Unreadable) as error:
            if isinstance(error, Unreadable) and len(refused) > 1:
                self._refusals_at_once = len(refused) // 2
                return True
            log.warning("the service takes no report of %d packets: %s", len(refused), error)
        await asyncio.to_thread(self._outbox.told, [r.id for r in refused])
        self._refusals_at_once = min(self._refusals_at_once * 2, BATCH)
        return True

    async def _wait_after(self, error: ServiceError | OutboxFull) -> None:
        sentence = f"{error}; {self._outbox.depth()} readings wait here"
        if self.trouble is None or not self.trouble.startswith(str(error)):
            log.warning("%s", sentence)
        self.trouble = sentence
        self._failures += 1
        self._hurried.clear()
        await _wait_at_most(self._pause_s(error), self._hurried)

    def _pause_s(self, error: ServiceError | OutboxFull) -> float:
        if isinstance(error, NotAdmitted):
            return self._not_admitted_s * random.uniform(0.9, 1.1)
        return pause_s(self._failures, error.retry_after_s if isinstance(error, ServiceAway) else None)

    def _note_well(self, sent: bool) -> None:
        if self.trouble is not None and sent:
            log.info("the service takes readings again")
            self.trouble = None
        self._failures = 0


def pause_s(failures: int, asked_s: float | None = None) -> float:
    """How long to wait after so many failures in a row: doubling, with jitter, at most a quarter of a minute.

    When the service asked for a time (``Retry-After``), that long and up to a tenth more.
    """
    if asked_s is not None:
        return asked_s * random.uniform(1.0, 1.1)
    return random.uniform(0.5, 1.0) * min(_FIRST_S * 2.0 ** min(failures - 1, 10), _LONGEST_S)


async def _wait_at_most(seconds: float, event: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
