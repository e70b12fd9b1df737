"""Blood-pressure cuffs with the standard service (0x1810).

A cuff sends its whole memory as indications and switches itself off, so a measurement is on the disk before its
callback returns. What the cuff's clock is worth is known only a moment later: until then the readings are held
back from the service, on the disk.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from bleak.exc import BleakError

from devices.desk import Desk
from devices.drivers.driver import Configured, Title, Visited, read_battery, read_identity
from devices.gatt import blood_pressure, current_time, date_time
from devices.gatt.blood_pressure import BloodPressure, Status
from devices.gatt.errors import DecodeError
from devices.link import Link
from devices.outbox import OutboxFull
from devices.readings import Quality, Reading

log = logging.getLogger(__name__)

QUIET_S: Final = 10.0  # after so long without an indication the memory is empty
VISIT_S: Final = 120.0  # no memory takes longer
_HELD_S: Final = 30.0
_RIGHT: Final = timedelta(minutes=5)  # a clock within this is right; a reading within this was taken just now
_MEMORY: Final = timedelta(minutes=10)  # a reading older than this comes from the memory
_OLDEST: Final = datetime(2015, 1, 1, tzinfo=UTC)
_DOUBLED: Final = timedelta(seconds=30)

_QUALITY: Final = {
    Status.BODY_MOVEMENT: Quality.BODY_MOVEMENT,
    Status.CUFF_TOO_LOOSE: Quality.CUFF_TOO_LOOSE,
    Status.IRREGULAR_PULSE: Quality.IRREGULAR_PULSE,
    Status.PULSE_ABOVE_RANGE: Quality.PULSE_ABOVE_RANGE,
    Status.PULSE_BELOW_RANGE: Quality.PULSE_BELOW_RANGE,
    Status.IMPROPER_POSITION: Quality.IMPROPER_POSITION,
}


@dataclass(frozen=True, slots=True)
class Clock:
    """What is known of a cuff's clock: how far it was ahead of the gateway's, None where it could not be read."""

    ahead: timedelta | None = None

    def quality(self, measured_at: datetime, collected_at: datetime) -> Quality:
        """How far a time that the cuff gave may be believed."""
        impossible = measured_at > collected_at + _RIGHT or measured_at < _OLDEST
        if self.ahead is None:
            suspect, age = impossible, collected_at - measured_at
        else:
            suspect, age = impossible or abs(self.ahead) > _RIGHT, collected_at - (measured_at - self.ahead)
        quality = Quality.CLOCK_SUSPECT if suspect else Quality.NONE
        if suspect and self.ahead is not None and abs(age) <= _RIGHT:
            quality |= Quality.CLOCK_JUST_SET
        if age > _MEMORY and (self.ahead is not None or not suspect):
            quality |= Quality.FROM_MEMORY
        return quality


def readings(device: str, m: BloodPressure, measured_at: datetime, collected_at: datetime) -> list[Reading]:
    """One measurement as readings that share its time; what the cuff did not give is left out."""
    quality = Quality.NO_DEVICE_TIME if m.timestamp is None else Quality.NONE
    for status, flag in _QUALITY.items():
        if m.status & status:
            quality |= flag
    values = {
        "systolic": m.systolic,
        "diastolic": m.diastolic,
        "mean_arterial_pressure": m.mean_arterial_pressure,
        "pulse": m.pulse,
    }
    return [
        Reading(device, metric, value, measured_at, collected_at, quality, m.user)
        for metric, value in values.items()
        if value is not None
    ]


class Cuff(Visited):
    """One cuff of the home."""

    kind: ClassVar[str] = "blood_pressure"
    title: ClassVar[Title] = Title("Blood pressure monitor", "血压计")
    service: ClassVar[str] = blood_pressure.SERVICE

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._clock: Clock | None = None
        self._held: list[Reading] = []
        self._last_untimed: tuple[bytes, datetime] | None = None

    async def collect(self, link: Link) -> None:
        """Subscribe first, set the clock, ask how the cuff is, and wait for the end of its memory."""
        self.desk.check_room()
        self._clock, self._held = None, []
        full = False

        def indicated(raw: bytes) -> None:
            nonlocal full
            try:
                self.indicated(raw)
            except OutboxFull:
                full = True
                link.ended.set()  # nothing more can be kept: leave, so that the cuff keeps the rest
                raise

        try:
            if not await link.subscribe(blood_pressure.MEASUREMENT, indicated):
                self.desk.trouble(self.address, "this device offers no blood pressure measurement")
                return
            await self._ask(link)
        except BleakError:
            if not link.ended.is_set():
                raise
            log.info("%s switched itself off", self.address)
        finally:
            self._settle(self._clock or Clock())
        if full:
            raise OutboxFull("the gateway's disk is full: readings stay on the cuff until there is room")

    async def _ask(self, link: Link) -> None:
        self._settle(await self._set_clock(link))
        await read_battery(link, self.desk)
        await read_identity(link, self.desk)
        feature = await link.read(blood_pressure.FEATURE)
        if feature is not None:
            self._note_feature(feature)
        await link.quiet_for(QUIET_S, at_most=VISIT_S)

    def _note_feature(self, raw: bytes) -> None:
        try:
            log.info("%s can: %s", self.address, blood_pressure.decode_feature(raw))
        except DecodeError as error:
            self.desk.refuse(self.address, blood_pressure.FEATURE, raw, error.reason)

    def indicated(self, raw: bytes) -> None:
        """Take one indication. When this returns the measurement, or its refusal, is on the disk."""
        now = self.desk.now()
        try:
            measurement = blood_pressure.decode(raw)
        except DecodeError as error:
            self.desk.refuse(self.address, blood_pressure.MEASUREMENT, raw, error.reason)
            return
        if measurement.timestamp is None:
            self._keep_untimed(raw, measurement, now)
            return
        found = readings(self.address, measurement, self.desk.utc(measurement.timestamp), now)
        if self._clock is not None:
            self.desk.keep([self._judged(r, self._clock) for r in found])
            return
        self.desk.keep(found, held_s=_HELD_S)
        self._held += found

    def _keep_untimed(self, raw: bytes, measurement: BloodPressure, now: datetime) -> None:
        # Without a time there is no key by which the outbox could know a doubled indication.
        if self._last_untimed is not None and self._last_untimed[0] == raw and now - self._last_untimed[1] < _DOUBLED:
            return
        self.desk.keep(readings(self.address, measurement, now, now))
        self._last_untimed = raw, now

    def _settle(self, clock: Clock) -> None:
        """From now on the clock is known: let go of what was held."""
        self._clock = clock
        held, self._held = self._held, []
        if held:
            self.desk.release([self._judged(r, clock) for r in held])

    def _judged(self, reading: Reading, clock: Clock) -> Reading:
        return replace(reading, quality=reading.quality | clock.quality(reading.measured_at, reading.collected_at))

    async def _set_clock(self, link: Link) -> Clock:
        """Read the cuff's clock, set it, read it back."""
        before = await self._read_clock(link)
        if not await self._write_clock(link):
            return Clock(before)
        after = await self._read_clock(link)
        health = self.desk.of(self.address)
        known = before if before is not None else after
        health.clock_error_s = None if known is None else known.total_seconds()
        if after is not None and abs(after) > _RIGHT:
            self.desk.trouble(self.address, f"its clock cannot be set: it stays {after} from the right time")
        return Clock(before)

    async def _write_clock(self, link: Link) -> bool:
        now = self.desk.local_now()
        return await link.write(current_time.UUID, current_time.encode(now)) or await link.write(
            date_time.UUID, date_time.encode(now)
        )

    async def _read_clock(self, link: Link) -> timedelta | None:
        """How far the cuff's clock is ahead; None where it has none or does not know the time."""
        for uuid, decode in ((current_time.UUID, current_time.decode), (date_time.UUID, date_time.decode)):
            raw = await link.read(uuid)
            if raw is None:
                continue
            try:
                shows = decode(raw)
            except DecodeError as error:
                self.desk.refuse(self.address, uuid, raw, error.reason)
                continue
            return None if shows is None else self.desk.utc(shows) - self.desk.now()
        return None
