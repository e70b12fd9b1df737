"""Two providers of one channel: the second sends what the first cannot.

What is urgent goes to the second in the same breath; the rest waits until the first has proved broken (:class:`Breaker`).
A message of which nobody knows whether the first has it is looked up before the second sends it, unless it is urgent
and the first does not answer that either: a duplicate is better than a miss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from alerts.channels import Channel, Receipt, SendError, TryAgain, Uncertain, Unreachable, utc_now
from alerts.channels.gateway_sms import GatewaySms
from alerts.unreachable import DEAD, OPTED_OUT
from store.messages import MessageRow

log = structlog.get_logger(__name__)

FIRST: Final = "twilio"
FELL_BACK: Final = Counter("hearthwatch_fallback_total", "Messages that went by the second provider.")
BROKEN: Final = Gauge("hearthwatch_first_provider_broken", "1 while the first provider is passed over.")

_ITS_OWN: Final = frozenset({"21408", "21612"})
"""Refusals that say more about the first provider's routes than about the person's telephone."""


@dataclass(slots=True)
class Breaker:
    """Whether a provider is worth asking. Pure: time is an argument.

    Broken after ``failures`` in a row, or when the row has lasted ``longest``; then one message every ``pause`` tries it,
    and the first that goes through mends it.
    """

    failures: int = 3
    longest: timedelta = timedelta(seconds=30)
    pause: timedelta = timedelta(seconds=30)
    in_a_row: int = 0
    since: datetime | None = None
    try_at: datetime | None = None

    @property
    def is_broken(self) -> bool:
        """Whether only a try now and then lets a message through."""
        return self.try_at is not None

    def lets_through(self, now: datetime) -> bool:
        """Whether to ask the provider now; while it is broken, ``True`` makes this message the try."""
        if self.try_at is None:
            return True
        if now < self.try_at:
            return False
        self.try_at = now + self.pause
        return True

    def failed(self, now: datetime) -> None:
        """It did not take a message, through no fault of the message."""
        self.in_a_row += 1
        self.since = self.since or now
        if self.in_a_row >= self.failures or now - self.since >= self.longest:
            self.try_at = now + self.pause

    def worked(self) -> None:
        """It answered."""
        self.in_a_row, self.since, self.try_at = 0, None, None


class WithFallback:
    """One channel of two providers."""

    def __init__(
        self,
        first: Channel,
        second: GatewaySms,
        *,
        breaker: Breaker | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.confirms = first.confirms
        self.second: Final = second.name
        self._first, self._second = first, second
        self._breaker = breaker or Breaker()
        self._clock = clock

    async def send(self, message: MessageRow) -> Receipt:
        """Hand a message to the first provider, or to the second. Raises a :class:`~alerts.channels.SendError`."""
        urgent = message.priority == "high"
        if (urgent and message.attempts > 1) or not self._breaker.lets_through(self._clock()):
            return await self._by_second(message, then_first=urgent)
        try:
            return await self._by_first(message)
        except (TryAgain, Unreachable) as error:
            if not urgent and not self._breaker.is_broken:
                raise
            if isinstance(error, Unreachable) and error.code not in _ITS_OWN:
                raise
            return await self._by_second(message, then_first=False)

    async def find(self, message: MessageRow) -> list[Receipt]:
        """What either has that could be this message. Raises when the first cannot be asked and it can wait."""
        try:
            found = await self._first.find(message)
        except SendError as error:
            if message.priority != "high":
                raise
            log.warning("first_provider_not_asked", message=message.id, code=error.code)
            found = []
        return found + await self._second.find(message)

    async def status(self, sid: str) -> Receipt:
        """How a message fares at the provider that has it."""
        return await (self._second if self._second.sent(sid) else self._first).status(sid)

    async def close(self) -> None:
        """Close the connections to both."""
        await self._first.close()
        await self._second.close()

    async def _by_first(self, message: MessageRow) -> Receipt:
        try:
            receipt = await self._first.send(message)
        except Unreachable:
            self._works()
            raise
        except (TryAgain, Uncertain) as error:
            if not (isinstance(error, TryAgain) and error.after_s is not None):  # busy is not broken
                self._fails(error)
            raise
        self._works()
        return Receipt(receipt.sid, receipt.outcome, receipt.error, FIRST)

    async def _by_second(self, message: MessageRow, *, then_first: bool) -> Receipt:
        try:
            receipt = await self._second.send(message)
        except (TryAgain, Unreachable) as error:
            if not then_first or error.code in (OPTED_OUT, DEAD):
                raise
            log.warning("second_provider_failed", message=message.id, code=error.code)
            return await self._by_first(message)
        FELL_BACK.inc()
        return receipt

    def _works(self) -> None:
        if self._breaker.is_broken:
            log.info("first_provider_mended")
        self._breaker.worked()
        BROKEN.set(0)

    def _fails(self, error: SendError) -> None:
        was_broken = self._breaker.is_broken
        self._breaker.failed(self._clock())
        if self._breaker.is_broken and not was_broken:
            log.error("first_provider_broken", code=error.code)
        BROKEN.set(self._breaker.is_broken)
