"""The heartbeat: a call for help that nobody made takes the whole way of a real one, and proves that it is open.

It enters the feed as a reading, is judged by the rules core, raises an alert, climbs the ladder of a centre of its own,
goes through the outbox to the provider, and has come through when the provider says that it is delivered. Then it closes
itself, and an address outside is told: whoever listens there (a dead-man's switch) raises the alarm when that stops, also
when this whole machine is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import httpx
import structlog
from prometheus_client import Counter, Histogram

from alerts import lifecycle
from alerts.bell import Bell
from alerts.calls import move, standing
from alerts.channels import utc_now
from store import alerts, messages, self_watch
from store.postgres import Connection, Database, Unavailable
from store.self_watch import Progress, Taken

log = structlog.get_logger(__name__)

PROBES: Final = Counter(
    "hearthwatch_chain_probes_total", "Probes by how far they came: proved, or what did not happen.", ["outcome"]
)
PROBE_SECONDS: Final = Histogram(
    "hearthwatch_chain_probe_seconds",
    "From a probe's reading to the word that its message was delivered.",
    buckets=(0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300),
)
PINGS_FAILED: Final = Counter(
    "hearthwatch_chain_pings_failed_total", "Times the address outside could not be told of a proof."
)

PROVED: Final = "proved"
"""The outcome of an alert that was a probe's and came through; others end as :data:`GIVEN_UP`."""
GIVEN_UP: Final = "given_up"
_PING_S: Final = 10.0
_LOOK_S: Final = 0.5
_IDLE_S: Final = 5.0
_AWAY_S: Final = 5.0
_KEPT: Final = timedelta(days=90)


class Heartbeat:
    """Sends a probe to ``phone`` every so often, and tells ``ping_url`` of each that came through.

    Without ``phone`` none are sent, and the chain is not held to prove itself.
    """

    def __init__(
        self,
        database: Database,
        phone: str | None,
        every: timedelta,
        *,
        ping_url: str | None = None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._database = database
        self._phone = phone
        self._every = every
        self._ping_url = ping_url
        self._clock = clock
        self._is_on = False
        self._bell = Bell()

    async def run(self) -> None:
        """Beat until cancelled. While the database is away it waits."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            while True:
                try:
                    wait_s = await self.round()
                except Unavailable as error:
                    log.warning("heartbeat_waits_for_database", error=str(error), retry_s=_AWAY_S)
                    wait_s = _AWAY_S
                await self._bell.heard(wait_s)

    async def round(self) -> float:
        """See how far probes have come, and send the next when it is due. Returns for how many seconds nothing is to do."""
        if not self._is_on and not await self._switch():
            return _IDLE_S
        if self._phone is None:
            return _IDLE_S
        async with self._database.service() as c:
            now = self._clock()
            proved = [progress for progress in await self_watch.under_way(c) if await self._is_proved(c, progress, now)]
            if (resident := await self_watch.claim(c, now)) is not None:
                await self._begin(c, resident, now)
            waiting = bool(await self_watch.under_way(c))
        if proved:
            await self._tell_outside()
        return _LOOK_S if waiting else _IDLE_S

    async def _switch(self) -> bool:
        async with self._database.service() as c:
            if self._phone is None:
                await self_watch.switch_off(c)
            else:
                try:
                    await self_watch.switch_on(c, self._phone, self._every, self._clock())
                except Taken as error:
                    log.warning("heartbeat_cannot_begin", error=str(error), hint="give it a number that no person has")
                    return False
        self._is_on = True
        return True

    async def _is_proved(self, c: Connection, progress: Progress, now: datetime) -> bool:
        if progress.delivered_at is None or not await self_watch.prove(c, progress, now):
            return False
        took_s = (progress.delivered_at - progress.begun_at).total_seconds()
        PROBES.labels(PROVED).inc()
        PROBE_SECONDS.observe(max(took_s, 0.0))
        log.info("chain_proved", took_s=round(took_s, 2))
        await _close(c, PROVED, now)
        return True

    async def _begin(self, c: Connection, resident: int, now: datetime) -> None:
        for progress in await self_watch.under_way(c):
            stuck = stage(progress)
            if await self_watch.give_up(c, progress, stuck, now):
                PROBES.labels(stuck).inc()
                log.error("chain_not_proved", stuck=stuck, error=progress.error, begun_at=progress.begun_at.isoformat())
        await _close(c, GIVEN_UP, now)
        await self_watch.forget(c, now - _KEPT)
        await self_watch.begin(c, resident, now)

    async def _tell_outside(self) -> None:
        if self._ping_url is None:
            return
        try:
            async with httpx.AsyncClient(timeout=_PING_S, follow_redirects=True) as client:
                (await client.get(self._ping_url)).raise_for_status()
        except httpx.HTTPError as error:
            PINGS_FAILED.inc()
            log.warning("proof_not_told_outside", error=type(error).__name__)

    async def _listen(self) -> None:
        async for note in self._database.listen():
            if note["kind"] in ("message", "reconnected"):
                self._bell.ring()


def stage(progress: Progress) -> str:
    """What has not happened to a probe yet: ``not_judged``, ``not_called``, ``not_sent`` or ``not_delivered``."""
    if progress.alert_id is None:
        return "not_judged"
    if progress.called_at is None:
        return "not_called"
    return "not_sent" if progress.sent_at is None else "not_delivered"


async def _close(c: Connection, outcome: str, now: datetime) -> None:
    """Close the probe's alert: nobody is called to it any more."""
    for number in await self_watch.open_alerts(c):
        row = await alerts.for_update(c, number)
        assert row is not None, "alerts are never deleted"
        await move(c, row, lifecycle.end(standing(row), now, outcome))
        await alerts.add_event(c, row.id, row.resident_id, "resolved", at=now, detail={"outcome": outcome})
        await messages.cancel_unsent(c, row.id)
