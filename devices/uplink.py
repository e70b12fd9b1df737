"""The way from the outbox to the service: in batches, in order, again and again until acknowledged.

A reading leaves the outbox only when the service has said what became of it. Nothing the service says loses one:
while it is away or does not admit this gateway, readings wait; what it cannot read is found by halving the batch
and put aside with its reason, so that it does not hold up the others. What it fails at by an error of its own is found
so too, but stays in the outbox and is tried again, while the others overtake it.

Two queues. Emergencies go at once, by themselves, whatever the other queue is doing or waiting for, and are tried again
every few seconds by every way there is. Everything else goes strictly in the order collected, because the service takes a
reading that is older than the newest it has judged as a late one, which raises nothing; but at a bounded rate, and after
an outage not at the moment at which every other gateway comes back too. Six weeks of a home with everything
(200,000 readings) are handed over in a quarter of an hour: nothing new waits longer behind them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from devices.emergencies import Emergencies, Listener
from devices.limits import for_ever, together
from devices.outbox import Outbox, OutboxFull
from devices.overtaken import Overtaken
from devices.readings import Reading
from devices.service import Failing, NotAdmitted, Service, ServiceAway, ServiceError, UnknownDevices, Unreadable
from devices.waiting import LOOK_EVERY_S, wait_at_most
from devices.watchdog import Life
from devices.ways import WayName

log = logging.getLogger(__name__)

BATCH: Final = 500
READINGS_STUCK: Final = "readings are not taken by the service"
EMERGENCIES_STUCK: Final = "calls for help are not taken by the service"
NOT_ADMITTED_S: Final = 60.0
"""How often a gateway that is not admitted tries again."""
_PROBE: Final = 20  # readings sent to see whether the service is back
_RECORDING_AGAIN_S: Final = 60.0
_EMERGENCIES_ANEW_S: Final = 5.0
_LIFE_S: Final = 180.0  # longer than one attempt by two ways
_FIRST_S: Final = 0.25
_LONGEST_S: Final = 15.0
_FAILINGS: Final = 3  # of the service at the same batch before it gets a smaller one
_STUCK_S: Final = 180.0  # longer than a restart of the service
_EMERGENCY_STUCK_S: Final = 15.0  # as long as until the resident is told


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast what is no emergency goes: ``readings_per_s``, and after an outage only after a random share of a tenth of
    its length, at most ``spread_s``, so that ten thousand gateways do not come back in the same second.
    """

    readings_per_s: float = 250.0
    spread_s: float = 300.0


class Uplink:
    """Sends what waits in the outbox.

    ``not_admitted_s`` is the time between attempts of a gateway that the service refuses. ``dated`` gives a reading the
    time that was not yet known when it was put into the outbox. ``listener`` learns what became of emergencies.
    """

    def __init__(
        self,
        outbox: Outbox,
        service: Service,
        *,
        pace: Pace | None = None,
        not_admitted_s: float = NOT_ADMITTED_S,
        listener: Listener | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        dated: Callable[[Reading], Reading] = lambda reading: reading,
        life: Life | None = None,
        emergency_life: Life | None = None,
    ) -> None:
        self._outbox = outbox
        self._service = service
        self._pace = pace or Pace()
        self._not_admitted_s = not_admitted_s
        self._now = now
        self._dated = dated
        self._life = life or Life("uplink")
        self._emergencies = Emergencies(
            outbox, service, through=self.hurry, listener=listener, now=now, dated=dated, life=emergency_life
        )
        self._trouble: str | None = None
        self._overtaken = Overtaken(first_s=_LONGEST_S, longest_s=3600.0)
        self._tried: list[int] = []
        self._failings = 0
        self._nudged = asyncio.Event()
        self._hurried = asyncio.Event()
        self._readings_at_once = BATCH
        self._refusals_at_once = BATCH
        self._failures = 0
        self._failing_since = 0.0
        self._recordings_from = 0.0

    @property
    def trouble(self) -> str | None:
        """One sentence on why something cannot be sent, or ``None``."""
        return self._emergencies.trouble or self._trouble

    @property
    def stuck(self) -> list[str]:
        """What has been waiting so long that an administrator must look, a sentence each."""
        now_s = asyncio.get_running_loop().time()
        found = []
        if now_s - self._emergencies.failing_since_s >= _EMERGENCY_STUCK_S:
            found.append(f"{EMERGENCIES_STUCK}: {self._emergencies.trouble}")
        failing_since_s = math.inf if self._trouble is None else self._failing_since
        if now_s - min(failing_since_s, self._overtaken.since_s) >= _STUCK_S:
            found.append(f"{READINGS_STUCK}: {self._trouble or f'it fails at {len(self._overtaken)} of them'}")
        return found

    def nudge(self) -> None:
        """There is something new in the outbox: send it now."""
        self._nudged.set()
        self._emergencies.nudge()

    def hurry(self) -> None:
        """What was in the way may be gone: do not wait any longer."""
        self._hurried.set()

    async def run(self) -> None:
        """Send for ever. What goes wrong in one queue does not hold up the other."""
        await together(for_ever(self._emergencies.run, longest_s=_EMERGENCIES_ANEW_S), for_ever(self._run))

    async def _run(self) -> None:
        while True:
            self._nudged.clear()
            await self._send_all()
            self._life.promise(_LIFE_S)
            await wait_at_most(LOOK_EVERY_S, self._nudged)

    async def _send_all(self) -> None:
        """Send until nothing waits, however long that takes."""
        waiting = True
        while waiting:
            self._life.promise(_LIFE_S)
            try:
                waiting = await self._send_readings() or await self._send_refusals() or await self._send_recording()
            except Failing as error:
                if not self._let_overtake(error):
                    await self._wait_after(error)
            except (ServiceAway, NotAdmitted, OutboxFull) as error:
                self._failings = 0
                await self._wait_after(error)
            else:
                await self._note_well(waiting)

    async def _send_readings(self) -> bool:
        """Send one batch of readings; whether there was one."""
        batch = self._next_batch()
        self._tried = numbers = [number for number, _ in batch]
        if not batch:
            return False
        try:
            outcome = await self._service.deliver([self._dated(reading) for _, reading in batch])
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
            await asyncio.sleep(len(batch) / self._pace.readings_per_s)
        self._failings = 0
        self._overtaken.answered(numbers, asyncio.get_running_loop().time())
        return True

    def _next_batch(self) -> list[tuple[int, Reading]]:
        resting = self._overtaken.resting(asyncio.get_running_loop().time())
        batch = self._outbox.batch(self._readings_at_once, urgent=False, but=resting)
        return batch[: self._overtaken.alone([number for number, _ in batch])]

    def _let_overtake(self, error: Failing) -> bool:
        """Find what the service fails at by halving the batch; whether the next may be sent now, overtaking this one."""
        if len(self._tried) == 1 and self._tried[0] in self._overtaken:
            self._overtaken.failed(self._tried[0], asyncio.get_running_loop().time())
            return True
        self._failings += 1
        if not self._tried or self._failings < _FAILINGS:
            return False
        self._failings = 0
        if len(self._tried) > 1:
            self._readings_at_once = len(self._tried) // 2
            return False
        log.warning("the service fails at a reading, which others overtake now: %s", error)
        self._overtaken.failed(self._tried[0], asyncio.get_running_loop().time())
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

    async def _send_recording(self) -> bool:
        """Send the oldest stretch of raw acceleration; whether one went. It can wait, and troubles nobody."""
        if self._service.way != WayName.MAIN.value or asyncio.get_running_loop().time() < self._recordings_from:
            return False
        found = self._outbox.recording()
        if found is None:
            return False
        number, recording = found
        try:
            await self._service.record(recording)
        except (UnknownDevices, Unreadable) as error:
            log.warning("the service does not take a recording of %s: %s", recording.device, error)
        except (ServiceAway, NotAdmitted) as error:
            log.info("a recording waits: %s", error)
            self._recordings_from = asyncio.get_running_loop().time() + _RECORDING_AGAIN_S
            return False
        await asyncio.to_thread(self._outbox.recording_done, number)
        return True

    async def _wait_after(self, error: ServiceError | OutboxFull) -> None:
        sentence = f"{error}; {self._outbox.depth()} readings wait here"
        if self._trouble is None or not self._trouble.startswith(str(error)):
            log.warning("%s", sentence)
        if self._trouble is None:
            self._failing_since = asyncio.get_running_loop().time()
        self._trouble = sentence
        self._failures += 1
        self._readings_at_once = min(self._readings_at_once, _PROBE)
        self._hurried.clear()
        pause_s = self._pause_s(error)
        self._life.promise(pause_s + _LIFE_S)
        await wait_at_most(pause_s, self._hurried)

    def _pause_s(self, error: ServiceError | OutboxFull) -> float:
        if isinstance(error, NotAdmitted):
            return self._not_admitted_s * random.uniform(0.9, 1.1)
        return pause_s(self._failures, error.retry_after_s if isinstance(error, ServiceAway) else None)

    async def _note_well(self, sent: bool) -> None:
        self._failures = 0
        if self._trouble is None or not sent:
            return
        outage_s = asyncio.get_running_loop().time() - self._failing_since
        log.info("the service takes readings again")
        self._trouble = None
        pause_s = random.uniform(0, min(outage_s / 10, self._pace.spread_s))
        self._life.promise(pause_s + _LIFE_S)
        await asyncio.sleep(pause_s)


def pause_s(failures: int, asked_s: float | None = None) -> float:
    """How long to wait after so many failures in a row: doubling, with jitter, at most a quarter of a minute.

    When the service asked for a time (``Retry-After``), that long and up to a tenth more.
    """
    if asked_s is not None:
        return asked_s * random.uniform(1.0, 1.1)
    return random.uniform(0.5, 1.0) * min(_FIRST_S * 2.0 ** min(failures - 1, 10), _LONGEST_S)
