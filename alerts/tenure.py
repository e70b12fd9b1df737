"""A worker's tenure: the lease it keeps up, the partitions it claims, and what it gives up to newcomers.

All by the clock of the database. A worker that cannot renew in time is taken for dead by the others; what it holds is
theirs then, and it finds that out at the fence (:func:`store.partitions.hold`), not by its own clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

import structlog
from prometheus_client import Counter, Gauge

from alerts.bell import Bell
from store import partitions
from store.partitions import Holding, Roll
from store.postgres import Database, Lifeline, Unavailable

log = structlog.get_logger(__name__)

OWNED: Final = Gauge("hearthwatch_watch_partitions", "Partitions of residents that this process watches.")
WORKERS: Final = Gauge(
    "hearthwatch_watch_workers", "Workers that are alive by their leases, as this process sees them."
)
TAKEN_OVER: Final = Counter("hearthwatch_watch_taken_over_total", "Partitions taken over from a worker that died.")

LEASE_S: Final = 1.0
"""How long a worker is believed to be alive without a sign of life."""
_AGAIN_S: Final = 0.05
_JUST_AFTER_S: Final = 0.01
_LEAVE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Deal:
    """What one worker may do now: take ``take`` of the ``free``, and give up ``give``. ``dead`` is whose some were."""

    free: list[Holding]
    take: int
    give: list[int]
    dead: frozenset[UUID]


def deal(roll: Roll, me: UUID) -> Deal:
    """Each has its share, rounded up: one alone has all of them, and nobody has none while another has two more."""
    most = -(-len(roll.held) // max(roll.alive, 1))
    mine = [h.number for h in roll.held if h.owner == me]
    free = [h for h in roll.held if h.owner != me and not h.is_alive]
    take = min(max(most - len(mine), 0), len(free))
    dead = frozenset(h.owner for h in free if h.owner is not None) if take else frozenset()
    return Deal(free, take, mine[most:], dead)


class Tenure:
    """Keeps one worker's place among the others; ``on_claim`` is called when it has got something."""

    def __init__(self, database: Database, lease_s: float, on_claim: Callable[[], None]) -> None:
        self.id = uuid4()
        self.lease_s = lease_s
        self._database: Database | Lifeline = database
        self._on_claim = on_claim
        self._surplus: list[int] = []
        self._turn = asyncio.Lock()
        self._bell = Bell()
        self._due = 0.0

    def look_again(self) -> None:
        """Somebody has given something up."""
        self._due = 0.0
        self._bell.ring()

    async def run(self) -> None:
        """Keep it until cancelled. While the database is away it tries again and again: so does everybody.

        By a connection of its own: a lease is not lost because others have taken all there are.
        """
        shared, own = self._database, Lifeline(self._database.dsn)
        self._database = own
        try:
            await self._keep_on()
        finally:
            self._database = shared
            await own.close()

    async def _keep_on(self) -> None:
        while True:
            try:
                await self.keep()
            except Unavailable as error:
                log.warning("watch_lease_not_renewed", error=str(error))
                self._due = asyncio.get_running_loop().time() + _AGAIN_S
            await self._bell.heard(self.due_in_s)

    @property
    def due_in_s(self) -> float:
        """In how many seconds the lease is to be renewed."""
        return max(self._due - asyncio.get_running_loop().time(), 0.0)

    async def keep(self) -> None:
        """Renew the lease and claim a share, if that is due. Raises :class:`Unavailable`."""
        async with self._turn:
            if self.due_in_s == 0.0:
                await self._renew()

    async def _renew(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self.lease_s):
                async with self._database.service() as c:
                    own = isinstance(self._database, Lifeline)
                    roll = await partitions.renew(c, self.id, self.lease_s, by_own_session=own)
                dealt = deal(roll, self.id)
                taken = await self._claim(dealt) if dealt.take else []
        except TimeoutError as error:
            raise Unavailable("the database does not answer in time to renew the lease") from error
        self._surplus = dealt.give
        OWNED.set(sum(h.owner == self.id for h in roll.held) + len(taken))
        WORKERS.set(roll.alive)
        pause_s = min(self.lease_s / 3, _JUST_AFTER_S + (roll.next_end_s or self.lease_s))
        self._due = began + (pause_s if len(taken) == dealt.take else _AGAIN_S)

    async def _claim(self, dealt: Deal) -> list[int]:
        """First end what the dead have left open, so that it keeps nobody waiting."""
        if dealt.dead:
            async with self._database.service() as c:
                ended = await partitions.end_sessions(c, dealt.dead)
                await partitions.forget_dead(c)
            log.warning("watch_takes_over", workers=[str(w) for w in dealt.dead], sessions_ended=ended)
        async with self._database.service() as c:
            taken = await partitions.claim(c, self.id, dealt.free, dealt.take)
        TAKEN_OVER.inc(sum(h.owner is not None for h in dealt.free if h.number in taken))
        if taken:
            log.info("watch_claims", partitions=sorted(taken))
            self._on_claim()
        return taken

    async def give_up_surplus(self) -> None:
        """Let newcomers have what is theirs; to be called between rounds."""
        if given := self._surplus:
            async with self._turn, self._database.service() as c:
                await partitions.release(c, self.id, given)
            self._surplus = []
            log.info("watch_gives_up", partitions=given)

    async def leave(self) -> None:
        """Give everything up at once, so that the others need not wait for the lease to end; best effort."""
        try:
            async with asyncio.timeout(_LEAVE_S), self._turn, self._database.service() as c:
                await partitions.release(c, self.id)
        except (Unavailable, TimeoutError) as error:
            log.warning("watch_left_in_silence", error=str(error))
        self._due, self._surplus = 0.0, []
        OWNED.set(0)
