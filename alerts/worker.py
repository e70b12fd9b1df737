"""The watch: follows the record, steps the rules core, and commits what it decides together with its place.

Residents are dealt into partitions, and each is watched by one worker at a time, however many run
(:mod:`store.partitions`, :mod:`alerts.tenure`). One round is one transaction about those of a worker's partitions that
stand at the same place: all of them, nearly always, by one rules core. Killed before its commit, nothing of the round
happened and the next worker does the same again; killed after it, all of it did. A worker that lost a partition
meanwhile finds that out before it writes.

A round that fails for another reason than the database's absence is done again for each partition, and for the one
that fails by itself one resident at a time (:mod:`alerts.apart`): what made it fail is set aside, and everybody else is
watched as before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from types import MappingProxyType
from typing import Final, Literal
from uuid import UUID

import numpy as np
import structlog
from prometheus_client import Counter, Histogram

from alerts import deployment, judging, machine_code
from alerts.apart import Apart
from alerts.bell import Bell
from alerts.engine import Batch, Engine, compile_ahead
from alerts.protocol import Protocol
from alerts.tenure import LEASE_S, Tenure
from alerts.verdicts import Verdicts, let_go_of_closed
from devices.readings import METRICS
from store import alerts, feed, parameters, partitions
from store.feed import FeedBatch, Position
from store.partitions import Partition, Share
from store.postgres import Connection, Database, Unavailable
from store.readings import utc

log = structlog.get_logger(__name__)

ROUNDS: Final = Counter("hearthwatch_watch_rounds_total", "Rounds of the watch that found something to judge.")
FAILED: Final = Counter("hearthwatch_watch_rounds_failed_total", "Rounds of the watch that failed and were done apart.")
JUDGED: Final = Counter("hearthwatch_watch_readings_total", "Readings the watch has judged.")
ROUND_SECONDS: Final = Histogram(
    "hearthwatch_watch_round_seconds",
    "Time for one round of the watch, from its beginning to its commit.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)

_BATCHES: Final = 200
"""Accepted batches judged in one round at most, so that a backlog is worked off and a round stays short."""
_LONG: Final = 20_000
"""So many readings are judged beside the loop: leases are renewed meanwhile."""
_LOOK_S: Final = 1.0
"""How long to wait without a notification: one that was lost is made up for by looking."""
_UNSAFE_S: Final = (0.004, 0.1)
"""How soon to look again, at first and at most, when something is there and an earlier transaction still runs."""
_WAIT_S: Final = (0.1, 1.0)
_ROUND_S: Final = 60.0
_ROUND_APART_S: Final = 600.0
"""A round that lasts longer hangs on a connection that says nothing any more."""
_CLOCK_SLACK: Final = timedelta(minutes=1)
"""How far the server's clock may step back before the time it showed is no longer believed."""
_LONG_AGO: Final = np.datetime64(0, "us")

Care = Literal["together", "alone", "apart"]
_MORE_CARE: Final[Mapping[Care, Care]] = MappingProxyType({"together": "alone", "alone": "apart"})
"""How a round that failed is done again: each partition alone, then of the one that fails each resident apart."""


def utc_now() -> datetime:
    """The time, timezone-aware."""
    return datetime.now(UTC)


def warm_up(protocol: Protocol) -> None:
    """Let the rules core's machine code be made, or read: that takes seconds, which must be over when somebody waits."""
    try:
        _run_through(protocol)
    except Exception as error:
        removed = machine_code.throw_away()
        log.exception("watch_makes_machine_code_anew", error=type(error).__name__, removed=list(map(str, removed)))
        _run_through(protocol)


def _run_through(protocol: Protocol) -> None:
    compile_ahead()
    now, ones = np.array(["2026-01-01"], "datetime64[us]"), np.ones(1, np.int32)
    one = Batch(ones, np.full(1, METRICS["systolic"].code, np.int16), now, np.ones(1), np.zeros(1, np.int32), ones, now)
    engine = Engine(protocol)
    engine.step(one, now[0])
    engine.load_rows(engine.dirty_rows())


@dataclass(slots=True)
class Group:
    """Partitions that stand at one place, and the rules core that judges their residents.

    Their profiles are those of this ``revision`` of the record, and some end by themselves at ``until``.
    """

    engine: Engine
    partitions: list[Partition]
    of: int
    revision: int | None = None
    until: datetime | None = None
    received: np.datetime64 = _LONG_AGO

    @property
    def protocol(self) -> Protocol:
        return self.engine.protocol

    @property
    def share(self) -> Share:
        return _share(self.partitions, self.of)

    def moved(self, place: Position, clock: datetime) -> None:
        """They have been judged up to this place and as of ``clock``."""
        digest = self.protocol.digest
        self.partitions = [
            replace(p, tx=place.tx, seq=place.seq, protocol=digest, clock=clock) for p in self.partitions
        ]


@dataclass(frozen=True, slots=True)
class Turn:
    """What a round is about: partitions at one place, and what has come for them up to ``place``.

    ``now`` is the time, and ``upto`` the moment up to which everything received has been read: timers run no further.
    ``has_more``: something is there that has not been read.
    """

    partitions: list[Partition]
    share: Share
    place: Position
    batch: FeedBatch | None
    now: datetime
    upto: datetime
    has_more: bool

    @property
    def start(self) -> Position:
        return self.partitions[0].place

    @property
    def moves(self) -> bool:
        return self.place != self.start

    @property
    def judged_at(self) -> datetime | None:
        return _judged_at(self.partitions)

    def columns(self, after: np.datetime64) -> tuple[Batch, datetime]:
        """What the rules core is to step, ``after`` what was received before, and until when."""
        columns = _columns(self.batch, after, _numpy(self.now))
        last = self.upto if columns.received is None else utc(columns.received[-1])
        return columns, max(self.upto, last)

    def entries(self, after: np.datetime64) -> tuple[list[Batch], datetime]:
        """The same, each accepted batch by itself."""
        columns, upto = self.columns(after)
        if self.batch is None:
            return [], upto
        bounds = [0, *(np.flatnonzero(np.diff(self.batch.entry)) + 1).tolist(), len(self.batch)]
        return [columns[begin:end] for begin, end in pairwise(bounds)], upto


class Watch:
    """Watches the record, as one worker among others. ``clock`` says what time it is.

    Judges by the protocol in force, or by ``protocol`` alone where one is given.
    """

    def __init__(
        self,
        database: Database,
        protocol: Protocol | None = None,
        *,
        clock: Callable[[], datetime] = utc_now,
        lease_s: float = LEASE_S,
    ) -> None:
        self._database = database
        self._protocol = protocol
        self._clock = clock
        self._bell = Bell()
        self._tenure = Tenure(database, lease_s, self._bell.ring)
        self._of = 0
        self._groups: list[Group] = []
        self._unsafe_s = _UNSAFE_S[0]
        self._care: Care = "together"
        self._by_itself: set[int] = set()
        self._batches = _BATCHES

    @property
    def id(self) -> UUID:
        """Its name in the record."""
        return self._tenure.id

    async def run(self) -> None:
        """Watch until cancelled. While the database is away it waits, and goes on where it stood."""
        await asyncio.to_thread(warm_up, self._protocol or deployment.shipped())
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._tenure.run())
                await self._watch()
        finally:
            await self.leave()

    async def leave(self) -> None:
        """Give up what it watches, so that others can go on at once."""
        self._groups.clear()
        await self._tenure.leave()

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
            if note["kind"] in ("watch_partition", "reconnected"):
                self._tenure.look_again()
            if note["kind"] in ("feed", "judging", "protocol_decision", "reconnected"):
                self._bell.ring()

    async def round(self) -> float:
        """Judge what has come and let timers run. Returns for how many seconds there is nothing to do."""
        await self._tenure.keep()
        await self._tenure.give_up_surplus()
        try:
            with ROUND_SECONDS.time():
                async with (
                    asyncio.timeout(_ROUND_APART_S if self._care == "apart" else _ROUND_S),
                    self._database.service() as c,
                ):
                    wait_s, care = await self._round(c)
        except TimeoutError as error:
            self._ask_less_of_a_round()
            self._care = "alone" if self._care == "together" else self._care
            raise Unavailable("a round took too long") from error
        except Unavailable:
            self._ask_less_of_a_round()
            raise
        except Exception as error:
            self._groups.clear()
            if self._care == "apart":
                raise
            self._care = _MORE_CARE[self._care]
            FAILED.inc()
            log.exception("watch_round_failed", error=type(error).__name__, again=self._care)
            return 0.0
        except BaseException:
            self._groups.clear()  # they may be ahead of the record: to be loaded again
            raise
        self._care, self._batches = care, min(2 * self._batches, _BATCHES)
        return wait_s

    def _ask_less_of_a_round(self) -> None:
        """One that was too much, or so long that others took this worker for dead, would be so again."""
        self._groups.clear()
        self._batches = max(self._batches // 10, 1)

    async def _round(self, c: Connection) -> tuple[float, Care]:
        owned = await partitions.owned(c, self._tenure.id)
        self._groups = [group for group in self._groups if all(p in owned for p in group.partitions)]
        if not owned:
            return min(self._tenure.due_in_s, _LOOK_S), "together"
        turn = await self._turn(c, owned)
        wait_s = await (self._work_apart(c, turn) if self._care == "apart" else self._work(c, turn))
        if self._care == "together":
            return wait_s, "together"
        self._by_itself.update(turn.share.numbers)
        if any(p.place == turn.start and p.number not in self._by_itself for p in owned):
            return 0.0, "alone"
        self._by_itself.clear()
        return wait_s, "together"

    async def _turn(self, c: Connection, owned: list[Partition]) -> Turn:
        """Who lags furthest, and what has come for them, up to where the next ones stand."""
        self._of = self._of or await partitions.count(c)
        behind = [p for p in owned if p.place == owned[0].place]
        if self._care != "together":
            behind = [next((p for p in behind if p.number not in self._by_itself), behind[0])]
        until = min((p.place for p in owned if p.place > behind[0].place), default=None)
        # The time before reading: all that was received until then, and is in the record, is read or known to wait.
        now, judged_at = self._clock(), _judged_at(behind)
        batch = await feed.next_batch(c, behind[0].place, self._batches, until)
        place = batch.position if batch else until or behind[0].place
        if batch and (received := utc(batch.received_at.max())) > now:
            now = min(received, self._clock())
        now = _onward(now, judged_at)
        ahead = await feed.unread(c, place)
        share = Share(tuple(p.number for p in behind), self._of)
        if batch and not share.is_everybody:
            batch = batch.where(np.flatnonzero(share.holds(batch.resident_id)))
        return Turn(behind, share, place, batch or None, now, _upto(now, ahead, judged_at), ahead is not None)

    async def _work(self, c: Connection, turn: Turn) -> float:
        group = await self._take_up(c, turn)
        await _know(c, group, turn.upto)
        present = await self._in_force(c, turn.upto)
        entries, upto = turn.entries(group.received)
        if not (turn.moves or _timer_due(group.engine, upto) or present.digest != group.protocol.digest):
            return await self._rest(c, group, turn)
        if not await self._hold(c, turn):
            return 0.0
        await self._judge(c, group, entries, turn, upto, present)
        if turn.batch is not None:
            await feed.save_latest(c, turn.batch)
            group.received = max(group.received, turn.batch.received_at.max())
        await self._save(c, group, turn.place, upto)
        return 0.0

    async def _rest(self, c: Connection, group: Group, turn: Turn) -> float:
        """Nothing to judge: keep what else has changed. Returns how long it may rest."""
        if changed := group.engine.dirty_rows():
            if not await self._hold(c, turn):
                return 0.0
            await partitions.save_rows(c, changed)
            await self._save(c, group, turn.place, turn.upto)
        if turn.has_more:
            pause_s, self._unsafe_s = self._unsafe_s, min(2 * self._unsafe_s, _UNSAFE_S[1])
            return pause_s
        self._unsafe_s = _UNSAFE_S[0]
        wake_at = group.engine.wake_at()
        if wake_at is None:
            return _LOOK_S
        return min(max((wake_at - _numpy(turn.now)) / np.timedelta64(1, "s"), 0.0), _LOOK_S)

    async def _work_apart(self, c: Connection, turn: Turn) -> float:
        """After a round that failed: one resident at a time, so that what made it fail stops nobody else's alerts."""
        if not await self._hold(c, turn):
            return 0.0
        protocol = await self._in_force(c, turn.upto)
        columns, upto = turn.columns(_LONG_AGO)
        await partitions.save(c, turn.share.numbers, turn.place, protocol.digest, upto)
        profiles = await judging.profiles(c, protocol, upto)
        asked = await alerts.asking(c, turn.judged_at or upto)
        await Apart(c, turn.share, protocol, profiles, asked, turn.now, upto).judge(turn.batch, columns)
        _count(turn.batch)
        return 0.0

    async def _hold(self, c: Connection, turn: Turn) -> bool:
        """Whether this round may write: nobody has taken over any of its partitions."""
        if await partitions.hold(c, self._tenure.id, self._tenure.lease_s, turn.partitions):
            return True
        self._groups.clear()
        log.warning("watch_has_lost", partitions=turn.share.numbers)
        return False

    async def _judge(
        self, c: Connection, group: Group, entries: list[Batch], turn: Turn, upto: datetime, present: Protocol
    ) -> None:
        if present.digest != group.protocol.digest:
            entries = await self._change(c, group, entries, turn, upto)
        await _step(c, group, entries, turn.now, upto)
        _count(turn.batch)

    async def _change(
        self, c: Connection, group: Group, entries: list[Batch], turn: Turn, upto: datetime
    ) -> list[Batch]:
        """Judge by each protocol what was received while it was in force; returns what is left for the last one."""
        at = turn.judged_at or upto
        await self._judge_by(c, group, await self._in_force(c, at), at, turn.now)
        while (change := await deployment.next_change(c, at)) and change <= upto:
            before = sum(bool(_received(entry) < _numpy(change)) for entry in entries)
            await _step(c, group, entries[:before], turn.now, change)
            await self._judge_by(c, group, await self._in_force(c, change), change, turn.now)
            entries, at = entries[before:], change
        return entries

    async def _judge_by(self, c: Connection, group: Group, protocol: Protocol, at: datetime, now: datetime) -> None:
        """Go on under another protocol as of ``at``; where a rule is the same, so is its state.

        What a rule has asked that there is no more, nobody would raise if no answer came: it is raised now.
        """
        if protocol.digest == group.protocol.digest:
            return
        gone = {rule.id for rule in group.protocol.rules}.difference(rule.id for rule in protocol.rules)
        unanswered = group.engine.call_about_what_is_asked_by(gone)
        await Verdicts(c, group.protocol, now).carry_out(unanswered)
        await partitions.save_rows(c, group.engine.dirty_rows())
        group.engine = Engine(protocol)
        await _load(c, group, group.partitions, at)
        log.info("watch_changes_protocol", protocol=protocol.version, partitions=group.share.numbers)

    async def _in_force(self, c: Connection, at: datetime) -> Protocol:
        return self._protocol or await deployment.in_force(c, at)

    async def _take_up(self, c: Connection, turn: Turn) -> Group:
        """The rules core as the record has it: the one at hand, with whatever it does not have yet."""
        known = [group for group in self._groups if all(p in turn.partitions for p in group.partitions)]
        group = max(known, key=lambda g: len(g.partitions), default=None)
        if group is None:
            group = Group(Engine(await self._in_force(c, turn.judged_at or turn.upto)), [], turn.share.of)
            self._groups.append(group)
        if new := [p for p in turn.partitions if p not in group.partitions]:
            self._groups = [g for g in self._groups if g is group or g not in known]
            group.partitions = turn.partitions
            await _load(c, group, new, turn.upto)
            log.info("watch_takes_up", partitions=[p.number for p in new], protocol=group.protocol.version)
        return group

    async def _save(self, c: Connection, group: Group, place: Position, clock: datetime) -> None:
        await partitions.save_rows(c, group.engine.dirty_rows())
        await partitions.save(c, group.share.numbers, place, group.protocol.digest, clock)
        group.moved(place, clock)


async def _know(c: Connection, group: Group, at: datetime) -> None:
    """Let the rules core know everybody who is watched, and by what each is judged, where that may have changed."""
    revision = await parameters.revision(c)
    if revision == group.revision and (group.until is None or at < group.until):
        return
    group.engine.enrol(await partitions.residents(c, group.share), _numpy(at))
    known = await judging.profiles(c, group.protocol, at)
    hers = group.share.holds(np.fromiter(known, np.int32, len(known)))
    group.engine.assign(
        {resident: profile for (resident, profile), is_hers in zip(known.items(), hers, strict=True) if is_hers}
    )
    group.revision, group.until = revision, await judging.next_change(c, group.protocol, at)


async def _step(c: Connection, group: Group, entries: list[Batch], now: datetime, upto: datetime) -> None:
    """Judge each accepted batch by itself, after the timers that ran out before it, however many came at once.

    What is let go of before one, because a person has closed it or it was not worth an alert, counts for that one.
    """
    for entry in entries:
        await _run_timers(c, group, now, _received(entry))
        await let_go_of_closed(c, group.engine, entry)
        step, at = group.engine.step, _received(entry)
        firings = await asyncio.to_thread(step, entry, at) if len(entry) > _LONG else step(entry, at)
        await Verdicts(c, group.protocol, now).carry_out(firings)
    await _run_timers(c, group, now, _numpy(upto))


async def _run_timers(c: Connection, group: Group, now: datetime, at: np.datetime64) -> None:
    wake_at = group.engine.wake_at()
    if wake_at is not None and wake_at <= at:
        await Verdicts(c, group.protocol, now).carry_out(group.engine.step(Batch.empty(), at))


def _received(entry: Batch) -> np.datetime64:
    assert entry.received is not None
    received: np.datetime64 = entry.received[0]
    return received


async def _load(c: Connection, group: Group, new: Sequence[Partition], at: datetime) -> None:
    """Take up what the record has of the residents of these partitions: beside the loop, leases are renewed meanwhile.

    Of whom there is no row, or one by another protocol, it goes on asking what they are being asked.
    """
    saved = await partitions.load_rows(c, _share(new, group.of))
    await asyncio.to_thread(group.engine.load_rows, saved)
    group.revision = None
    await _know(c, group, at)
    same = {p.number: p.protocol == group.protocol.digest for p in new}
    group.engine.ask_again(
        (p.resident_id, p.rule, _numpy(p.asked_at), _numpy(p.until))
        for p in await alerts.asking(c, _judged_at(new) or at)
        if (number := p.resident_id % group.of) in same and not (same[number] and p.resident_id in saved)
    )


def _count(batch: FeedBatch | None) -> None:
    ROUNDS.inc()
    JUDGED.inc(0 if batch is None else len(batch))


def _share(of_these: Sequence[Partition], of: int) -> Share:
    return Share(tuple(p.number for p in of_these), of)


def _judged_at(of_these: Sequence[Partition]) -> datetime | None:
    return max((p.clock for p in of_these if p.clock), default=None)


def _timer_due(engine: Engine, at: datetime) -> bool:
    wake_at = engine.wake_at()
    return wake_at is not None and bool(wake_at <= _numpy(at))


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


def _upto(now: datetime, ahead: datetime | None, judged_at: datetime | None) -> datetime:
    """How far timers may run: not past what was received next and is not read yet, nor back."""
    if ahead is None:
        return now
    return min(now, max(ahead, judged_at or ahead))


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
