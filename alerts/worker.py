"""The watch: follows the record, steps the rules core, and commits what it decides together with its place.

One round is one transaction. Killed before its commit, nothing of the round happened and the next watch does the
same again; killed after it, all of it did. Only one watch works at a time, however many run.

A round that fails for another reason than the database's absence is done again one resident at a time
(:mod:`alerts.apart`): what made it fail is set aside, and everybody else is watched as before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import structlog
from prometheus_client import Counter, Histogram

from alerts.apart import Apart
from alerts.bell import Bell
from alerts.engine import Batch, Engine
from alerts.protocol import Protocol
from alerts.verdicts import Verdicts, let_go_of_closed
from store import alerts, feed
from store.feed import FeedBatch, Position, WatchState
from store.postgres import Connection, Database, Unavailable

log = structlog.get_logger(__name__)

NAME: Final = "live"

ROUNDS: Final = Counter("hearthwatch_watch_rounds_total", "Rounds of the watch that found something to judge.")
FAILED: Final = Counter("hearthwatch_watch_rounds_failed_total", "Rounds of the watch that failed and were done apart.")
JUDGED: Final = Counter("hearthwatch_watch_readings_total", "Readings the watch has judged.")
ROUND_SECONDS: Final = Histogram(
    "hearthwatch_watch_round_seconds",
    "Time for one round of the watch, from its lock to its commit.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)

_BATCHES: Final = 200
"""Accepted batches judged in one round at most, so that a backlog is worked off and a round stays short."""
_LOOK_S: Final = 1.0
"""How long to wait without a notification: one that was lost is made up for by looking."""
_UNSAFE_S: Final = (0.004, 0.1)
"""How soon to look again, at first and at most, when something is there and an earlier transaction still runs."""
_ENROL_EVERY: Final = timedelta(minutes=1)
_WAIT_S: Final = (0.2, 5.0)
_CLOCK_SLACK: Final = timedelta(minutes=1)
"""How far the server's clock may step back before the time it showed is no longer believed."""


def utc_now() -> datetime:
    """The time, timezone-aware."""
    return datetime.now(UTC)


class Watch:
    """Watches the record under one protocol. ``clock`` says what time it is."""

    def __init__(self, database: Database, protocol: Protocol, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._database = database
        self._protocol = protocol
        self._clock = clock
        self._bell = Bell()
        self._engine: Engine | None = None
        self._place = Position()
        self._judged_at: datetime | None = None
        self._enrolled_at: datetime | None = None
        self._received = np.datetime64(0, "us")
        self._unsafe_s = _UNSAFE_S[0]
        self._apart = False

    async def run(self) -> None:
        """Watch until cancelled. While the database is away it waits, and goes on where it stood."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            await self._watch()

    async def _watch(self) -> None:
        pause_s = _WAIT_S[0]
        while True:
            try:
                wait_s = await self.round()
                pause_s = _WAIT_S[0]
                await self._bell.heard(wait_s)
            except Unavailable as error:
                log.warning("watch_waits_for_database", error=str(error), retry_s=pause_s)
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, _WAIT_S[1])

    async def _listen(self) -> None:
        async for note in self._database.listen():
            if note["kind"] in ("feed", "reconnected"):
                self._bell.ring()

    async def round(self) -> float:
        """Judge what has come and let timers run. Returns for how many seconds there is nothing to do."""
        with ROUND_SECONDS.time():
            try:
                async with self._database.service() as c:
                    if not await feed.lock_watch(c):
                        self._engine = None
                        return _LOOK_S
                    place, wait_s = await (self._work_apart(c) if self._apart else self._work(c))
            except Unavailable:
                self._engine = None
                raise
            except Exception as error:
                self._engine = None
                if self._apart:
                    raise
                FAILED.inc()
                log.exception("watch_round_failed", error=type(error).__name__, hint="judging one resident at a time")
                self._apart = True
                return 0.0
            except BaseException:
                self._engine = None  # it may be ahead of the record: to be loaded again
                raise
            self._apart = False
            self._place = place
        return wait_s

    async def _work(self, c: Connection) -> tuple[Position, float]:
        now = self._clock()
        engine = await self._take_up(c, now)
        now = _onward(now, self._judged_at)
        await self._enrol(c, engine, now)
        batch = await feed.next_batch(c, self._place, _BATCHES)
        if batch is None and not _timer_due(engine, now):
            await self._save(c, engine, self._place, now, only_if_changed=True)
            return self._place, await self._idle_s(c, engine, now)
        place = self._place if batch is None else batch.position
        await self._judge(c, engine, batch, now)
        await self._save(c, engine, place, now)
        return place, 0.0

    async def _work_apart(self, c: Connection) -> tuple[Position, float]:
        """After a round that failed: one resident at a time, so that what made it fail stops nobody else's alerts."""
        self._engine = None
        state = await feed.load_state(c, NAME) or WatchState(0, 0, "", None)
        now = _onward(self._clock(), state.clock)
        place = Position(state.tx, state.seq)
        batch = await feed.next_batch(c, place, _BATCHES)
        place = place if batch is None else batch.position
        await feed.save_state(c, NAME, place, self._protocol.digest, now, {})
        await Apart(c, NAME, self._protocol, now).judge(batch, _columns(batch, self._received, _numpy(now)))
        ROUNDS.inc()
        if batch is not None:
            JUDGED.inc(len(batch))
            self._received = max(self._received, batch.received_at.max())
        return place, 0.0

    async def _judge(self, c: Connection, engine: Engine, batch: FeedBatch | None, now: datetime) -> None:
        columns = _columns(batch, self._received, _numpy(now))
        await let_go_of_closed(c, engine, columns)
        firings = engine.step(columns, _numpy(now))
        ROUNDS.inc()
        if batch is not None:
            JUDGED.inc(len(batch))
        await Verdicts(c, self._protocol, now).carry_out(firings)
        if batch is not None:
            self._received = max(self._received, batch.received_at.max())
            await feed.save_latest(c, batch)

    async def _take_up(self, c: Connection, now: datetime) -> Engine:
        """The rules core as the record has it: the one at hand, unless another watch has moved on meanwhile."""
        state = await feed.load_state(c, NAME) or WatchState(0, 0, "", None)
        place = Position(state.tx, state.seq)
        if self._engine is None or place != self._place or state.clock != self._judged_at:
            self._engine = Engine(self._protocol)
            self._engine.load_rows(await feed.load_rows(c, NAME))
            asked = await alerts.asking(c, state.clock or now)
            self._engine.ask_again((p.resident_id, p.rule, _numpy(p.asked_at), _numpy(p.until)) for p in asked)
            self._enrolled_at = None
            log.info("watch_takes_up", tx=place.tx, seq=place.seq, protocol=self._protocol.version)
        self._place, self._judged_at = place, state.clock
        return self._engine

    async def _enrol(self, c: Connection, engine: Engine, now: datetime) -> None:
        if self._enrolled_at is None or now >= self._enrolled_at + _ENROL_EVERY:
            engine.enrol(await feed.watched(c), _numpy(now))
            self._enrolled_at = now

    async def _save(
        self, c: Connection, engine: Engine, place: Position, now: datetime, *, only_if_changed: bool = False
    ) -> None:
        changed = engine.dirty_rows()
        if changed or not only_if_changed:
            await feed.save_state(c, NAME, place, self._protocol.digest, now, changed)
            self._judged_at = now

    async def _idle_s(self, c: Connection, engine: Engine, now: datetime) -> float:
        if await feed.waiting(c, self._place):
            pause_s, self._unsafe_s = self._unsafe_s, min(2 * self._unsafe_s, _UNSAFE_S[1])
            return pause_s
        self._unsafe_s = _UNSAFE_S[0]
        wake_at = engine.wake_at()
        if wake_at is None:
            return _LOOK_S
        return min(max((wake_at - _numpy(now)) / np.timedelta64(1, "s"), 0.0), _LOOK_S)


def _timer_due(engine: Engine, now: datetime) -> bool:
    wake_at = engine.wake_at()
    return wake_at is not None and bool(wake_at <= _numpy(now))


def _columns(batch: FeedBatch | None, after: np.datetime64, now: np.datetime64) -> Batch:
    """The batch as the rules core takes it: received in order, ``after`` what came before and not later than now.

    Two batches that were accepted at the same moment may be committed in the other order.
    """
    if batch is None:
        return Batch.empty()
    received = np.clip(np.maximum.accumulate(batch.received_at), min(after, now), now)
    return Batch(batch.resident_id, batch.metric, batch.at, batch.value, batch.quality, batch.device_id, received)


def _numpy(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _onward(now: datetime, judged_at: datetime | None) -> datetime:
    """The moment to judge at: time does not run backwards for the watch, unless the server's clock had run ahead.

    What was judged in a future that has been taken back must not make everything until then look too old to alert.
    """
    if judged_at is None or judged_at <= now:
        return now
    if judged_at - now <= _CLOCK_SLACK:
        return judged_at
    log.error("server_clock_was_ahead", judged_at=judged_at.isoformat(), now=now.isoformat())
    return now
