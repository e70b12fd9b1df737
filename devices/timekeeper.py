"""What time it is, on a machine that may not know.

A Raspberry Pi has no battery for its clock: after a power cut it starts in the past, and is right only when a time
server or the service has told it the time. Until then nobody's reading is given a time that may be wrong. The time
since switching on is always right, so readings wait with a provisional time and are moved by the error once it is known.
Only an emergency goes at once, with a time so marked that the service dates it by its own clock.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from devices import machine
from devices.outbox import Outbox
from devices.readings import METRICS, Kind, Quality, Reading

log = logging.getLogger(__name__)

NOT_KNOWN: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The collected time of an emergency that could not be dated: the service takes the time of its arrival."""
_MEMORY: Final = "clock"
DIFFERS: Final = timedelta(seconds=2)
"""Less is the network's doing, and of no concern to anybody."""
_SLOW_S: Final = 10.0  # an answer that took longer tells the time badly
_WRONG: Final = timedelta(minutes=1)
_HEARD: Final = timedelta(minutes=1)  # a reading measured within this of its collection has its time from the gateway
_AHEAD: Final = timedelta(minutes=5)
_FROM_MEMORY: Final = timedelta(minutes=10)
_OLDEST: Final = datetime(2015, 1, 1, tzinfo=UTC)
_BY_THE_CLOCK: Final = Quality.CLOCK_SUSPECT | Quality.CLOCK_JUST_SET | Quality.FROM_MEMORY
_AT_ONCE: Final = 500


class _State(msgspec.Struct, frozen=True):
    """What is remembered of one run of the machine: when it was thought to have begun, when it did, and the error."""

    boot: str
    guess: datetime
    started: datetime
    error: timedelta | None


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the time comes from: the machine's own, unless a test has another."""

    wall: Callable[[], datetime] = lambda: datetime.now(UTC)
    since_boot: Callable[[], float] = machine.since_boot
    synchronised: Callable[[], bool | None] = machine.synchronised
    boot: Callable[[], str] = machine.boot


class Timekeeper:
    """Knows the time, or knows that it does not (``known``).

    ``undated`` is a second outbox for readings that have no time yet. ``shifted`` is called with the error once it is
    known, and with every later correction. ``ahead`` is how far the machine's clock is ahead of the service's, when told.
    """

    def __init__(
        self,
        outbox: Outbox,
        undated: Outbox,
        *,
        sources: Sources | None = None,
        shifted: Callable[[timedelta], None] = lambda _error: None,
    ) -> None:
        self.shifted = shifted
        self.ahead: timedelta | None = None
        self._outbox = outbox
        self._undated = undated
        self._sources = sources or Sources()
        self._boot = self._sources.boot()
        self._guess = self._started = self._sources.wall() - self._since_boot()  # when this run of the machine began
        self._error: timedelta | None = None  # of the guess; settled once for each run, so that nothing is moved twice
        self._recall()
        self.look()

    @property
    def known(self) -> bool:
        """Whether :meth:`now` is the time."""
        return self._error is not None

    def now(self) -> datetime:
        """The time; provisional as long as it is not known."""
        return self._started + self._since_boot()

    def look(self) -> None:
        """Believe the machine's clock if a time server keeps it."""
        if self._sources.synchronised():
            self._set(self._sources.wall() - self._since_boot())

    def told(self, now: datetime, took_s: float) -> None:
        """The service's clock showed ``now`` in an answer that took so long to come."""
        if took_s > _SLOW_S:
            return
        started = now + timedelta(seconds=took_s / 2) - self._since_boot()
        self.ahead = self._started - started
        if self._sources.synchronised():
            return
        if not self.known or abs(self.ahead) > DIFFERS:
            self._set(started)

    @property
    def trouble(self) -> str | None:
        """What is wrong with the machine's clock, or None."""
        if not self.known:
            return "the gateway does not know the time: readings wait until a time server or the service tells it"
        if self.ahead is not None and abs(self.ahead) > _WRONG and self._sources.synchronised():
            return f"the gateway's clock is {self.ahead.total_seconds():.0f} s ahead of the service's: one of them is wrong"
        return None

    def waiting(self) -> int:
        """How many readings wait for their time."""
        return self._undated.depth()

    def keep(self, readings: Sequence[Reading], facts: Mapping[str, str] | None = None) -> int:
        """Keep readings whose time is provisional, and ``facts``; how many are new. Emergencies go to the service at once."""
        emergencies = [_by_the_service(r) for r in readings if METRICS[r.metric].kind is Kind.EVENT]
        others = [r for r in readings if METRICS[r.metric].kind is not Kind.EVENT]
        new = self._outbox.put(emergencies, facts=facts) if emergencies else 0
        new += self._undated.put(others) if others else 0
        if facts and not emergencies:
            self._outbox.put(
                [], facts=facts
            )  # after what they were learned with: it may be heard again, but is not lost
        return new

    def dated(self, reading: Reading) -> Reading:
        """An emergency of this run that still waits, collected when it was; anything else as it is."""
        if reading.collected_at != NOT_KNOWN or self._error is None:
            return reading
        at = reading.measured_at + self._error
        return replace(reading, collected_at=at) if self._started <= at <= self.now() else reading

    def _since_boot(self) -> timedelta:
        return timedelta(seconds=self._sources.since_boot())

    def _recall(self) -> None:
        """Go on from what was known in this run of the machine; what waits from an earlier one is never dated."""
        remembered = self._remembered()
        if remembered is None or remembered.boot != self._boot:
            self._release(_undatable)
            self._remember()
            return
        self._guess, self._started, self._error = remembered.guess, remembered.started, remembered.error
        self._release_dated()

    def _remembered(self) -> _State | None:
        try:
            return msgspec.json.decode(self._outbox.recall(_MEMORY) or "", type=_State)
        except msgspec.DecodeError:
            return None

    def _remember(self) -> None:
        state = _State(self._boot, self._guess, self._started, self._error)
        self._outbox.remember(_MEMORY, msgspec.json.encode(state).decode())

    def _set(self, started: datetime) -> None:
        moved, first = started - self._started, not self.known
        self._started = started
        if self._error is None:
            self._error = started - self._guess
        if first or abs(moved) > DIFFERS:
            log.info("the time is known; the clock went wrong by %.1f s", moved.total_seconds())
            self._remember()
            self.shifted(moved)
        self._release_dated()

    def _release_dated(self) -> None:
        if self._error is not None and self._undated.depth():
            error = self._error
            self._release(lambda reading: _corrected(reading, error))

    def _release(self, dated: Callable[[Reading], Reading]) -> None:
        """Hand over what waited. If that is interrupted the next attempt gives the same times, so nothing is doubled."""
        while batch := self._undated.batch(_AT_ONCE):
            self._outbox.put([dated(r) for _, r in batch])
            self._undated.done([number for number, _ in batch])


def _by_the_service(emergency: Reading) -> Reading:
    """An emergency that nobody here can date. Its measured time stays what it is: it is part of its key."""
    quality = emergency.quality | Quality.CLOCK_SUSPECT | Quality.CLOCK_JUST_SET
    return replace(emergency, collected_at=NOT_KNOWN, quality=quality)


def _undatable(reading: Reading) -> Reading:
    return replace(reading, quality=reading.quality & ~_BY_THE_CLOCK | Quality.CLOCK_SUSPECT)


def _corrected(reading: Reading, error: timedelta) -> Reading:
    """A reading with its right times; what the device's own clock said is judged anew."""
    collected_at = reading.collected_at + error
    if reading.quality & Quality.NO_DEVICE_TIME or abs(reading.collected_at - reading.measured_at) <= _HEARD:
        return replace(reading, measured_at=reading.measured_at + error, collected_at=collected_at)
    quality, age = reading.quality & ~_BY_THE_CLOCK, collected_at - reading.measured_at
    if age < -_AHEAD or reading.measured_at < _OLDEST:
        quality |= Quality.CLOCK_SUSPECT
    elif age > _FROM_MEMORY:
        quality |= Quality.FROM_MEMORY
    return replace(reading, collected_at=collected_at, quality=quality)
