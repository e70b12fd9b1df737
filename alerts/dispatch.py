"""The dispatcher: sends what is due, finds out what became of it, and climbs the ladder.

Nothing is held in a transaction while the network is asked: a message is marked as being sent, sent, and marked
with what came of it. Whoever dies in between leaves a message whose fate is then looked up.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from types import MappingProxyType
from typing import Final

import structlog
from prometheus_client import Counter, Histogram

from alerts import actions, deliveries
from alerts.bell import Bell
from alerts.calls import Caller
from alerts.channels import (
    SEND_TIMEOUT_S,
    Channel,
    ChannelName,
    SendError,
    TryAgain,
    Uncertain,
    Unreachable,
)
from alerts.lanes import LONGEST_PAUSE, ROOM, Pace, Traffic
from alerts.last_resort import cry_out
from alerts.policy import PRIORITIES
from alerts.worker import utc_now
from store import alerts, feed, messages
from store.alerts import AlertRow
from store.messages import Lane, MessageRow
from store.postgres import Connection, Database, Unavailable, part

log = structlog.get_logger(__name__)

REQUEST_SECONDS: Final = Histogram(
    "hearthwatch_message_request_seconds",
    "From the moment a message is due to the request at the provider.",
    ["priority"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
FAILED: Final = Counter(
    "hearthwatch_dispatch_failures_total",
    "Alerts and messages at which the dispatcher failed, by what it did.",
    ["work"],
)
LATE_SECONDS: Final = Histogram(
    "hearthwatch_climb_late_seconds",
    "How long after its time an alert went on to its next call.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
SENT_LATE: Final = Counter("hearthwatch_dispatch_busy_total", "Times a provider asked for a pause.", ["channel"])

URGENT: Final = PRIORITIES[:1]
CAN_WAIT: Final = PRIORITIES[1:]
"""Each goes on by itself, so that what is urgent waits for nothing that is under way for the rest."""

_CLIMB_AT_ONCE: Final = 32
"""Alerts that go on in one transaction: the next high one waits no longer than that lasts."""
_LOOK_AT_ONCE: Final = 8
"""Questions to a provider at the same time: one that is too slow to take messages is not to drown in questions too."""
_LOOK_S: Final = 1.0
_SHORTEST_S: Final = 0.01
_LEASE_S: Final = 2 * SEND_TIMEOUT_S + 2
"""How long one send may take in all, with a second provider after the first."""
_STUCK: Final = timedelta(seconds=_LEASE_S + 2)
"""A message that has been on its way for longer has lost its sender."""
_LOOK_UP_AFTER: Final = timedelta(seconds=2)
"""Time for the provider's list to show what it has just taken."""
_LOOK_UP_AGAIN: Final = timedelta(seconds=5)
_NO_ANSWER: Final = timedelta(seconds=20)
"""When even the look-up has had no answer for so long, a call of high priority is sent again: twice rather than never."""
_ASK_AGAIN: Final = timedelta(seconds=10)
_LAST_MOMENT: Final = timedelta(seconds=6)
"""Twilio recommends a validity of more than 5 s: with less left it is too late to send."""
_LONGEST_PAUSE_S: Final = 30.0
_LONGEST_PAUSE_HIGH_S: Final = 5.0
"""Whatever the provider asks for: the next person is called after two minutes, and this one is to have a chance before."""
_BUSY_S: Final = 5.0
"""How long what can wait is kept from a provider that has too much and does not say for how long."""
_TOO_MUCH: Final = frozenset({"429", "20429"})
_SET_BACK: Final = timedelta(minutes=1)
"""What was made later than this from now was made by a clock that has been set back since."""
_FEED_KEPT: Final = timedelta(days=1)
_TIDY_EVERY_S: Final = 600.0
_GRACE_S: Final = 3.0
_TRY_AGAIN_S: Final = (0.1, 0.3, 1.0, 2.0)


class Dispatcher:
    """Sends by ``channels``, what can wait at most at the ``paces`` of each (messages a second)."""

    def __init__(
        self,
        database: Database,
        channels: Mapping[ChannelName, Channel],
        *,
        clock: Callable[[], datetime] = utc_now,
        paces: Mapping[str, float] = MappingProxyType({}),
    ) -> None:
        self._database = database
        self._channels = {str(name): channel for name, channel in channels.items()}
        self._clock = clock
        self._traffic = {name: Traffic(Pace(paces.get(name))) for name in self._channels}
        self._post = Bell()
        self._urgent, self._ladder = Bell(), Bell()
        self._sending: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Send, look up and climb until cancelled. While the database is away it waits."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(_keep(self.send_due, self._post))
                for urgency, ladder in ((URGENT, self._urgent), (CAN_WAIT, self._ladder)):
                    group.create_task(_keep(partial(self.climb, urgency), ladder))
                    group.create_task(_keep(partial(self.look_up, urgency), Bell()))
                    group.create_task(_keep(partial(self.ask_after, urgency), Bell()))
                group.create_task(_keep(self.tidy, Bell()))
        finally:
            await self._let_finish()

    async def send_due(self) -> float:
        """Begin to send what is due and has room; returns how many seconds until something else may be."""
        now = self._clock()
        lanes = [
            Lane(name, priority, traffic.room(priority, now))
            for name, traffic in self._traffic.items()
            for priority in PRIORITIES
        ]
        async with self._database.service() as c:
            claimed = await messages.claim_due(c, now, lanes)
            coming = {} if claimed else await messages.next_due(c)
        for message in claimed:
            self._begin(message)
        return 0.0 if claimed else self._idle_s(coming, now)

    async def sent_all(self) -> None:
        """Wait until every request under way has its answer."""
        while self._sending:
            await asyncio.wait(self._sending)

    async def climb(self, priorities: Sequence[str] = PRIORITIES) -> float:
        """Make the next call of every alert that is due, the worst first; returns how many seconds until the next is."""
        async with self._database.service() as c:
            now = self._clock()
            await actions.end_of_who_left(c, now, _CLIMB_AT_ONCE)
            due = await alerts.due_to_climb(c, now, _CLIMB_AT_ONCE, priorities)
            await self._go_on(c, due, now)
            return _seconds_until(await alerts.next_climb(c, priorities), now)

    async def _go_on(self, c: Connection, due: Sequence[AlertRow], now: datetime) -> None:
        """All together; when that fails, each by itself: one that cannot be called about keeps no other from climbing."""
        for row in due:
            if row.climb_at is not None:
                LATE_SECONDS.observe(max((now - row.climb_at).total_seconds(), 0.0))
        if len(due) > 1 and await self._can(c, due, now):
            return
        for row in due:
            if not await self._can(c, [row], now):
                await cry_out(c, row, now)

    async def _can(self, c: Connection, due: Sequence[AlertRow], now: datetime) -> bool:
        try:
            async with part(c):
                await Caller(c, now).go_on(due)
        except Unavailable:
            raise
        except Exception:
            FAILED.labels("climb").inc()
            log.exception("climb_failed", alerts=[row.id for row in due])
            return False
        return True

    async def look_up(self, priorities: Sequence[str] = PRIORITIES) -> float:
        """Find out about messages of which nobody knows whether they were sent."""
        async with self._database.service() as c:
            now = self._clock()
            if moved := await messages.bring_back(c, now, _SET_BACK):
                log.warning("clock_was_set_back", messages=moved)
                self._post.ring()
            if brought := await alerts.bring_back(c, now, _SET_BACK):
                log.warning("clock_was_set_back", alerts=brought)
                self._urgent.ring()
            stranded = await messages.stranded(c, now, self._channels.keys(), _LOOK_AT_ONCE)
            doubtful = await messages.claim_uncertain(
                c, now, priorities, now - _STUCK, _LOOK_AT_ONCE, now + _LOOK_UP_AGAIN
            )
        await self._each(self._resolve, doubtful)
        await self._each(self._strand, stranded)
        return _LOOK_S

    async def ask_after(self, priorities: Sequence[str] = PRIORITIES) -> float:
        """Ask after messages whose callback never came."""
        channels = [name for name, channel in self._channels.items() if channel.confirms]
        async with self._database.service() as c:
            now = self._clock()
            unheard = await messages.claim_unconfirmed(c, now, priorities, channels, _LOOK_AT_ONCE, now + _ASK_AGAIN)
        await self._each(self._ask_after, unheard)
        return _LOOK_S

    async def tidy(self) -> float:
        """Drop from the feed what every watch has passed."""
        async with self._database.service() as c:
            await feed.prune(c, self._clock() - _FEED_KEPT)
        return _TIDY_EVERY_S

    def _idle_s(self, coming: Mapping[tuple[str, str], datetime], now: datetime) -> float:
        """How long there is nothing to send: not before something is due and there is room for it."""
        moments = [
            max(due_at, opens_at)
            for (channel, priority), due_at in coming.items()
            if channel in self._traffic and (opens_at := self._traffic[channel].opens_at(priority, now))
        ]
        return max(_seconds_until(min(moments, default=None), now), _SHORTEST_S)

    async def _listen(self) -> None:
        async for note in self._database.listen():
            if note["kind"] in ("message", "reconnected"):
                self._post.ring()
            if note["kind"] in ("alert", "reconnected"):
                self._urgent.ring()
                self._ladder.ring()

    def _begin(self, message: MessageRow) -> None:
        traffic = self._traffic[message.channel]
        traffic.begin()
        task = asyncio.create_task(self._send(message))
        self._sending.add(task)
        task.add_done_callback(self._sent)
        task.add_done_callback(lambda _: self._make_room(traffic))

    def _make_room(self, traffic: Traffic) -> None:
        was_full = traffic.under_way >= min(ROOM.values())
        traffic.end()
        if was_full:
            self._post.ring()

    async def _send(self, message: MessageRow) -> None:
        now = self._clock()
        if message.expires_at - now < _LAST_MOMENT:
            await self._record(lambda c: deliveries.fail(c, message, "expired", now))
            return
        if message.attempts == 1:
            REQUEST_SECONDS.labels(message.priority).observe(max((now - message.due_at).total_seconds(), 0.0))
        try:
            async with asyncio.timeout(_LEASE_S):
                receipt = await self._channels[message.channel].send(message)
        except SendError as error:
            await self._not_sent(message, error)
        except TimeoutError:
            await self._not_sent(message, Uncertain("no_answer", "the channel took too long"))
        else:
            await self._record(lambda c: deliveries.settle(c, message, receipt, self._clock()))

    async def _not_sent(self, message: MessageRow, error: SendError) -> None:
        now = self._clock()
        # A provider's own sentences hold telephone numbers: its code says enough.
        log.warning("send_failed", message=message.id, attempt=message.attempts, error=error.code)
        match error:
            case Unreachable():
                await self._record(lambda c: deliveries.fail(c, message, error.code, now))
            case TryAgain():
                self._heed(message.channel, error, now)
                due_at = now + timedelta(seconds=_pause_s(message, error.after_s))
                await self._record(lambda c: deliveries.again(c, message, due_at, error.code))
            case Uncertain():
                await self._record(lambda c: deliveries.doubt(c, message, now + _LOOK_UP_AFTER, error.code))

    def _heed(self, channel: str, error: TryAgain, now: datetime) -> None:
        """A provider that has too much is left alone, but for what is urgent."""
        if error.after_s is None and error.code not in _TOO_MUCH:
            return
        SENT_LATE.labels(channel).inc()
        pause = timedelta(seconds=_BUSY_S if error.after_s is None else error.after_s)
        self._traffic[channel].close(now + min(pause, LONGEST_PAUSE))

    async def _resolve(self, message: MessageRow) -> None:
        try:
            found = await self._channels[message.channel].find(message)
        except SendError as error:
            log.warning("look_up_failed", message=message.id, error=error.code)
            await self._unknown(message)
            return
        async with self._database.service() as c:
            for receipt in found:
                if await messages.by_sid(c, receipt.sid) is None:
                    await deliveries.settle(c, message, receipt, self._clock())
                    return
        await self._not_found(message)

    async def _strand(self, message: MessageRow) -> None:
        await self._record(lambda c: deliveries.fail(c, message, "no_channel", self._clock()))

    async def _not_found(self, message: MessageRow) -> None:
        """The provider does not have it. High priority is sent again, the rest at most once: the next person is called."""
        now = self._clock()
        if message.priority == "high":
            await self._record(lambda c: deliveries.again(c, message, now, "not_found"))
            self._post.ring()
        else:
            await self._record(lambda c: deliveries.fail(c, message, "not_found", now))

    async def _unknown(self, message: MessageRow) -> None:
        """Nobody can say whether the provider has it. High priority is not left at that for long."""
        now = self._clock()
        if message.expires_at <= now:
            await self._record(lambda c: deliveries.fail(c, message, "no_answer", now))
        elif message.priority == "high" and now - (message.sending_at or message.created_at) >= _NO_ANSWER:
            await self._record(lambda c: deliveries.again(c, message, now, "no_answer"))
            self._post.ring()

    async def _ask_after(self, message: MessageRow) -> None:
        assert message.provider_sid is not None, "what was sent has the provider's name"
        try:
            receipt = await self._channels[message.channel].status(message.provider_sid)
        except SendError as error:
            log.warning("status_unknown", message=message.id, error=error.code)
        else:
            if receipt.outcome != "sent":
                await self._record(lambda c: deliveries.settle(c, message, receipt, self._clock()))
                return
        now = self._clock()
        if deliveries.is_overdue(message, now):
            await self._record(lambda c: deliveries.fail(c, message, deliveries.UNHEARD, now))

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
        """Write down what the provider said; tried again while the database is away, for it says so only once."""
        for pause_s in _TRY_AGAIN_S:
            try:
                async with self._database.service() as c:
                    await write(c)
            except Unavailable:
                await asyncio.sleep(pause_s)
            else:
                return
        async with self._database.service() as c:
            await write(c)

    def _sent(self, task: asyncio.Task[None]) -> None:
        self._sending.discard(task)
        if not task.cancelled() and (error := task.exception()):
            # It stays marked as being sent, and so is looked up. The database's own words may hold a whole row.
            log.error("send_not_recorded", kind=type(error).__name__)

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


def _pause_s(message: MessageRow, asked_s: float | None) -> float:
    """Doubling from one second, with a fifth of chance so that many do not come back at once; no sooner than ``asked_s``."""
    pause_s = min(2.0 ** (message.attempts - 1), _LONGEST_PAUSE_S) * random.uniform(0.8, 1.2)
    pause_s = max(pause_s, min(asked_s or 0.0, LONGEST_PAUSE.total_seconds()))
    return min(pause_s, _LONGEST_PAUSE_HIGH_S) if message.priority == "high" else pause_s
