"""The dispatcher: sends what is due, finds out what became of it, and climbs the ladder.

Nothing is held in a transaction while the network is asked: a message is marked as being sent, sent, and marked
with what came of it. Whoever dies in between leaves a message whose fate is then looked up.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from prometheus_client import Counter, Histogram

from alerts import actions, deliveries
from alerts.bell import Bell
from alerts.calls import Caller
from alerts.channels import SendError, TryAgain, Uncertain, Unreachable
from alerts.channels.sms import SEND_TIMEOUT_S, SmsChannel
from alerts.worker import utc_now
from store import alerts, feed, messages
from store.messages import MessageRow
from store.postgres import Database, Unavailable, part

log = structlog.get_logger(__name__)

REQUEST_SECONDS: Final = Histogram(
    "hearthwatch_message_request_seconds",
    "From the commit of a message to the request at the provider.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)

FAILED: Final = Counter(
    "hearthwatch_dispatch_failures_total",
    "Alerts and messages at which the dispatcher failed, by what it did.",
    ["work"],
)

_AFTER_FAILURE: Final = timedelta(seconds=30)
"""When an alert at which the dispatcher failed is tried again."""
_AT_ONCE: Final = 32
"""Requests under way at the same time: a provider that hangs must not hold up the rest."""
_LOOK_S: Final = 1.0
_STUCK: Final = timedelta(seconds=SEND_TIMEOUT_S + 4)
"""A message that has been on its way for longer has lost its sender."""
_LOOK_UP_AFTER: Final = timedelta(seconds=2)
"""Time for the provider's list to show what it has just taken."""
_LAST_MOMENT: Final = timedelta(seconds=6)
"""Twilio recommends a validity of more than 5 s: with less left it is too late to send."""
_LONGEST_PAUSE_S: Final = 30.0
_FEED_KEPT: Final = timedelta(days=1)
_TIDY_EVERY_S: Final = 600.0
_GRACE_S: Final = 3.0


class Dispatcher:
    """Sends by ``channels`` (by name, such as ``sms``)."""

    def __init__(
        self,
        database: Database,
        channels: Mapping[str, SmsChannel],
        *,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._channels = channels
        self._clock = clock
        self._post = Bell()
        self._ladder = Bell()
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send, look up and climb until cancelled. While the database is away it waits."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(_keep(self.send_due, self._post))
                group.create_task(_keep(self.climb, self._ladder))
                group.create_task(_keep(self.look_up, Bell()))
                group.create_task(_keep(self.ask_after, Bell()))
                group.create_task(_keep(self.tidy, Bell()))
        finally:
            await self._let_finish()

    async def send_due(self) -> float:
        """Begin to send what is due; returns how many seconds until something else is."""
        free = _AT_ONCE - len(self._sending)
        if free == 0:
            await asyncio.wait(self._sending, return_when=asyncio.FIRST_COMPLETED)
            return 0.0
        async with self._database.service() as c:
            now = self._clock()
            claimed = await messages.claim_due(c, now, free)
            next_due = None if claimed else await messages.next_due(c)
        for message in claimed:
            task = asyncio.create_task(self._send(message))
            self._sending.add(task)
            task.add_done_callback(self._sent)
        return 0.0 if claimed else _seconds_until(next_due, now)

    async def sent_all(self) -> None:
        """Wait until every request under way has its answer."""
        while self._sending:
            await asyncio.wait(self._sending)

    async def climb(self) -> float:
        """Call the next rung of every ladder that is due; returns how many seconds until the next is."""
        async with self._database.service() as c:
            now = self._clock()
            await actions.end_of_who_left(c, now, _AT_ONCE)
            caller = Caller(c, now)
            for row in await alerts.due_to_climb(c, now, _AT_ONCE):
                try:
                    async with part(c):
                        await caller.call_next(row)
                except Unavailable:
                    raise
                except Exception:
                    # One alert that cannot be called about must not keep the others' ladders from climbing.
                    FAILED.labels("climb").inc()
                    log.exception("climb_failed", alert=row.id)
                    await alerts.update(c, row.id, {"climb_at": now + _AFTER_FAILURE})
            return _seconds_until(await alerts.next_climb(c), now)

    async def look_up(self) -> float:
        """Find out about messages of which nobody knows whether they were sent."""
        async with self._database.service() as c:
            now = self._clock()
            doubtful = await messages.claim_uncertain(c, now, now - _STUCK, _AT_ONCE)
        await self._each(self._resolve, doubtful)
        return _LOOK_S

    async def ask_after(self) -> float:
        """Ask after messages whose callback never came."""
        async with self._database.service() as c:
            unheard = await messages.claim_unconfirmed(c, self._clock(), _AT_ONCE)
        await self._each(self._ask_after, unheard)
        return _LOOK_S

    async def tidy(self) -> float:
        """Drop from the feed what every watch has passed."""
        async with self._database.service() as c:
            await feed.prune(c, self._clock() - _FEED_KEPT)
        return _TIDY_EVERY_S

    async def _listen(self) -> None:
        async for note in self._database.listen():
            if note["kind"] in ("message", "reconnected"):
                self._post.ring()
            if note["kind"] in ("alert", "reconnected"):
                self._ladder.ring()

    async def _send(self, message: MessageRow) -> None:
        now = self._clock()
        if message.expires_at - now < _LAST_MOMENT:
            await self._record(lambda c: deliveries.fail(c, message, "expired", now))
            return
        if message.attempts == 1:
            REQUEST_SECONDS.observe(max((now - message.created_at).total_seconds(), 0.0))
        try:
            receipt = await self._channels[message.channel].send(message)
        except SendError as error:
            await self._not_sent(message, error)
        else:
            await self._record(lambda c: deliveries.settle(c, message, receipt, self._clock()))

    async def _not_sent(self, message: MessageRow, error: SendError) -> None:
        now = self._clock()
        log.warning("send_failed", message=message.id, attempt=message.attempts, error=str(error))
        match error:
            case Unreachable():
                await self._record(lambda c: deliveries.fail(c, message, error.code, now))
            case TryAgain():
                due_at = now + timedelta(seconds=_pause_s(message.attempts))
                await self._record(lambda c: deliveries.again(c, message, due_at, error.code))
            case Uncertain():
                await self._record(lambda c: deliveries.doubt(c, message, now + _LOOK_UP_AFTER, error.code))

    async def _resolve(self, message: MessageRow) -> None:
        try:
            found = await self._channels[message.channel].find(message)
        except SendError as error:
            log.warning("look_up_failed", message=message.id, error=str(error))
            if message.expires_at <= self._clock():
                await self._record(lambda c: deliveries.fail(c, message, "no_answer", self._clock()))
            return
        async with self._database.service() as c:
            for receipt in found:
                if await messages.by_sid(c, receipt.sid) is None:
                    await deliveries.settle(c, message, receipt, self._clock())
                    return
            await deliveries.again(c, message, self._clock(), "not_found")
        self._post.ring()

    async def _ask_after(self, message: MessageRow) -> None:
        assert message.provider_sid is not None, "what was sent has the provider's name"
        try:
            receipt = await self._channels[message.channel].status(message.provider_sid)
        except SendError as error:
            log.warning("status_unknown", message=message.id, error=str(error))
            return
        if receipt.outcome != "sent":
            await self._record(lambda c: deliveries.settle(c, message, receipt, self._clock()))

    async def _each(self, ask: Callable[[MessageRow], Awaitable[None]], asked: Sequence[MessageRow]) -> None:
        """Ask about each; one about which that fails is asked about again later, and keeps nobody from the others."""
        outcomes = await asyncio.gather(*(ask(message) for message in asked), return_exceptions=True)
        for message, outcome in zip(asked, outcomes, strict=True):
            if isinstance(outcome, Unavailable) or (outcome and not isinstance(outcome, Exception)):
                raise outcome
            if outcome:
                FAILED.labels("look_up").inc()
                log.error("look_up_crashed", message=message.id, kind=type(outcome).__name__, exc_info=outcome)

    async def _record(self, write: Callable[..., Awaitable[None]]) -> None:
        async with self._database.service() as c:
            await write(c)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # It stays marked as being sent, and so is looked up.
            log.error("send_not_recorded", error=str(error), kind=type(error).__name__)

    async def _let_finish(self) -> None:
        if not self._sending:
            return
        _, late = await asyncio.wait(self._sending, timeout=_GRACE_S)
        for task in late:
            task.cancel()


async def _keep(work: Callable[[], Awaitable[float]], bell: Bell) -> None:
    while True:
        try:
            wait_s = await work()
        except Unavailable as error:
            log.warning("dispatcher_waits_for_database", error=str(error), retry_s=_LOOK_S)
            wait_s = _LOOK_S
        await bell.heard(wait_s)


def _seconds_until(moment: datetime | None, now: datetime) -> float:
    return _LOOK_S if moment is None else min(max((moment - now).total_seconds(), 0.0), _LOOK_S)


def _pause_s(attempts: int) -> float:
    """Doubling from one second, with a fifth of chance so that many do not come back at once."""
    return min(2.0 ** (attempts - 1), _LONGEST_PAUSE_S) * random.uniform(0.8, 1.2)
