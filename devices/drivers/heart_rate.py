"""Heart rate sensors with the standard service (0x180D): straps and bands that tell every second while worn.

The rate becomes one reading a minute; the times between beats (RR intervals) the standard deviation of five minutes,
the length of a short-term recording (Task Force of the European Society of Cardiology, Circulation 1996;93:1043-1065).
"""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Final

from devices.desk import Desk
from devices.drivers.driver import Configured, Title, Visited, read_battery, read_identity
from devices.drivers.running import Refusals, Running, Summary
from devices.gatt import heart_rate
from devices.gatt.errors import DecodeError
from devices.link import Link
from devices.outbox import OutboxFull

SILENT_S: Final = 15.0  # a sensor that says nothing for so long was taken off
_RECORDING: Final = timedelta(minutes=5)
_CLEAN_SHARE: Final = 0.9
_FEWEST: Final = 150  # five minutes of the slowest heart that is still one: 30 a minute
_SHORTEST_S, _LONGEST_S = 0.3, 2.0
_JUMP: Final = 0.2
"""An interval that differs by more than a fifth from the one before is ectopic or an artefact (the Malik criterion)."""


def standard_deviation_ms(rr_s: Sequence[float]) -> float | None:
    """The standard deviation of normal intervals in ms; ``None`` for too few, or where too many are no normal beats."""
    clean = list(_normal(rr_s))
    if len(clean) < max(_FEWEST, _CLEAN_SHARE * len(rr_s)):
        return None
    return round(1000 * statistics.stdev(clean), 1)


def _normal(rr_s: Iterable[float]) -> Iterable[float]:
    before: float | None = None
    for rr in rr_s:
        if _SHORTEST_S <= rr <= _LONGEST_S and (before is None or abs(rr - before) <= _JUMP * before):
            yield rr
        before = rr


class HeartRateSensor(Visited):
    """One sensor of the home. Its link is kept for as long as it is worn."""

    kind: ClassVar[str] = "heart_rate"
    title: ClassVar[Title] = Title("Heart rate sensor", "心率传感器")
    service: ClassVar[str] = heart_rate.SERVICE

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._running = Running()
        self._beats: deque[float] = deque(maxlen=2000)
        self._beats_since: datetime | None = None
        self._refusals = Refusals()

    async def collect(self, link: Link) -> None:
        """Listen until it is taken off."""
        self.desk.check_room()

        def told(raw: bytes) -> None:
            try:
                self.beat(raw)
            except OutboxFull as error:
                self.desk.trouble(self.address, str(error))
                link.ended.set()
                raise

        if not await link.subscribe(heart_rate.MEASUREMENT, told):
            self.desk.trouble(self.address, "this device does not offer what its kind measures")
            return
        await read_battery(link, self.desk)
        await read_identity(link, self.desk)
        try:
            await link.quiet_for(SILENT_S)
        finally:
            self._keep(self._running.end())
            self._beats.clear()
            self._beats_since = None

    def beat(self, raw: bytes) -> None:
        """Take one notification."""
        now = self.desk.now()
        try:
            m = heart_rate.decode(raw)
        except DecodeError as error:
            if self._refusals.is_kept(error.reason, now):
                self.desk.refuse(self.address, heart_rate.MEASUREMENT, raw, error.reason)
            return
        if m.contact is False:
            return
        self._keep(self._running.add(now, {"pulse": float(m.rate)}))
        self._count(m.rr_s, now)

    def _count(self, rr_s: Sequence[float], now: datetime) -> None:
        self._beats_since = self._beats_since or now
        self._beats.extend(rr_s)
        if now - self._beats_since < _RECORDING:
            return
        deviation = standard_deviation_ms(list(self._beats))
        self._beats.clear()
        self._beats_since = now
        if deviation is not None:
            self._keep(Summary({"rr_standard_deviation": deviation}, now))

    def _keep(self, summary: Summary | None) -> None:
        if summary is not None:
            self.desk.keep(summary.readings(self.address, self.desk.now()))
