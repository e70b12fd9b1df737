"""Emergencies on their way to the service: at once, by themselves, and again every few seconds by every way there is.

A reading is an emergency when its metric's kind is ``EVENT``. What the service asks for (``Retry-After``) and how long it
has been away do not matter to one.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from devices.outbox import Outbox, OutboxFull
from devices.overtaken import Overtaken
from devices.readings import Reading
from devices.service import Failing, NotAdmitted, Outcome, Service, ServiceError, UnknownDevices, Unreadable
from devices.waiting import LOOK_EVERY_S, wait_at_most
from devices.watchdog import Life
from devices.ways import Haste

log = logging.getLogger(__name__)

AGAIN_S: Final = 2.0
"""How long an emergency waits after an attempt that failed, give or take a quarter."""
_NOT_ADMITTED_S: Final = 10.0
_OVERTAKEN_S: Final = 10.0
_AT_ONCE: Final = 50
_LIFE_S: Final = 180.0  # longer than one attempt by two ways


class Listener(Protocol):
    """Who wants to know what became of emergencies, by their numbers in the outbox. Told before they leave it."""

    def taken(self, numbers: Sequence[int]) -> None:
        """The service has them."""

    def not_taken(self, numbers: Sequence[int]) -> None:
        """The service refuses them, and they are not tried again."""


class Emergencies:
    """Sends emergencies. ``trouble`` is one sentence on why it cannot, or ``None``.

    ``through`` is called when the service has answered.
    """

    def __init__(
        self,
        outbox: Outbox,
        service: Service,
        *,
        through: Callable[[], None] = lambda: None,
        listener: Listener | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        dated: Callable[[Reading], Reading] = lambda reading: reading,
        life: Life | None = None,
    ) -> None:
        self.trouble: str | None = None
        self.listener = listener
        self._outbox = outbox
        self._service = service
        self._through = through
        self._now = now
        self._dated = dated
        self._life = life or Life("emergencies")
        self._nudged = asyncio.Event()
        self._at_once = _AT_ONCE
        self._failing_since_s = math.inf
        self._overtaken = Overtaken(first_s=AGAIN_S, longest_s=_OVERTAKEN_S)

    @property
    def failing_since_s(self) -> float:
        """Since when (time of the loop) an emergency waits that could not be handed over; infinite for never."""
        return min(self._failing_since_s, self._overtaken.since_s)

    def nudge(self) -> None:
        """There may be a new one."""
        self._nudged.set()

    async def run(self) -> None:
        """Send for ever."""
        while True:
            self._nudged.clear()
            await self._send_all()
            self._life.promise(_LIFE_S)
            await wait_at_most(LOOK_EVERY_S, self._nudged)

    async def _send_all(self) -> None:
        while batch := self._next_batch():
            self._life.promise(_LIFE_S)
            try:
                await self._send(batch)
            except Failing as error:
                self._note_trouble(error, len(batch))
                self._make_way([number for number, _ in batch])
            except (ServiceError, OutboxFull) as error:
                self._note_trouble(error, len(batch))
                await self._wait_after(error, batch[-1][0])
            else:
                self._note_well([number for number, _ in batch])

    def _next_batch(self) -> list[tuple[int, Reading]]:
        resting = self._overtaken.resting(asyncio.get_running_loop().time())
        batch = self._outbox.batch(self._at_once, urgent=True, but=resting)
        return batch[: self._overtaken.alone([number for number, _ in batch])]

    def _note_well(self, numbers: Sequence[int]) -> None:
        self._overtaken.answered(numbers, asyncio.get_running_loop().time())
        self._failing_since_s = math.inf
        if not self._overtaken:
            self.trouble = None

    async def _send(self, batch: Sequence[tuple[int, Reading]]) -> None:
        numbers = [number for number, _ in batch]
        try:
            outcome = await self._service.deliver([self._dated(r) for _, r in batch], Haste.EMERGENCY)
        except UnknownDevices as error:
            await self._reject(dict.fromkeys(numbers, "unknown_device"), str(error))
        except Unreadable as error:
            self._at_once = max(len(batch) // 2, 1)
            if len(batch) == 1:
                await self._reject({numbers[0]: "unreadable"}, str(error))
        else:
            await self._settle(numbers, outcome)
            self._at_once = min(self._at_once * 2, _AT_ONCE)
        self._through()

    async def _settle(self, numbers: Sequence[int], outcome: Outcome) -> None:
        rejected = {numbers[r.index]: r.reason for r in outcome.rejected}
        if rejected:
            await self._reject(rejected, "; ".join(sorted({r.detail for r in outcome.rejected if r.detail})))
        done = [number for number in numbers if number not in rejected]
        if self.listener is not None and done:
            # Which of them the service has set aside it does not say: then nobody is told that help was called.
            (self.listener.not_taken if outcome.quarantined else self.listener.taken)(done)
        await asyncio.to_thread(self._outbox.done, done)

    async def _reject(self, reasons: dict[int, str], words: str) -> None:
        log.error("the service does not take %d emergencies, put aside: %s", len(reasons), words)
        if self.listener is not None:
            self.listener.not_taken(list(reasons))
        await asyncio.to_thread(self._outbox.reject, reasons, self._now())

    def _note_trouble(self, error: Exception, waiting: int) -> None:
        sentence = str(error)
        if self.trouble != sentence:
            log.error("%d emergencies could not be handed over, trying on: %s", waiting, sentence)
        self.trouble = sentence
        self._failing_since_s = min(self._failing_since_s, asyncio.get_running_loop().time())

    def _make_way(self, tried: Sequence[int]) -> None:
        """Find the one that the service fails at, and let the others overtake it at once: their order does not matter."""
        self._at_once = max(len(tried) // 2, 1)
        if len(tried) == 1:
            self._overtaken.failed(tried[0], asyncio.get_running_loop().time())

    async def _wait_after(self, error: Exception, tried: int) -> None:
        """Wait, but not when one comes that has not been tried: ``tried`` is the number of the last that was."""
        again_s = _NOT_ADMITTED_S if isinstance(error, NotAdmitted) else AGAIN_S
        loop = asyncio.get_running_loop()
        until = loop.time() + again_s * random.uniform(0.75, 1.25)
        while (left_s := until - loop.time()) > 0:
            self._nudged.clear()
            await wait_at_most(left_s, self._nudged)
            newest = self._outbox.newest_emergencies(1)
            if newest and newest[0][0] > tried:
                return
