"""Instruments that measure once and keep it: cuffs, thermometers, scales, meters.

They send their memory and switch themselves off, so a measurement is on the disk before its callback returns. What
the instrument's clock is worth is known only a moment later: until then its readings are held back from the service,
on the disk. A new instrument of a standard service says which characteristics it measures with and what their bytes
mean; everything else is here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from bleak.exc import BleakError

from devices.desk import Desk
from devices.drivers.clock import Clock, set_clock
from devices.drivers.driver import Configured, Visited, read_battery, read_identity
from devices.drivers.taken import Taken
from devices.gatt.errors import DecodeError
from devices.link import Link
from devices.outbox import OutboxFull
from devices.readings import Quality, Reading

log = logging.getLogger(__name__)

QUIET_S: Final = 10.0  # after so long without a record the memory is empty
VISIT_S: Final = 120.0  # no memory takes longer
_HELD_S: Final = 30.0
_DOUBLED: Final = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement as an instrument tells it.

    ``values`` are by metric, in its unit; ``None`` where the instrument gave none. ``at`` is its naive local time, or
    UTC where it knows that, or ``None`` where it gave no time. ``user`` is the instrument's user slot.
    """

    values: Mapping[str, float | None]
    at: datetime | None
    user: int | None = None
    quality: Quality = Quality.NONE
    detail: Mapping[str, float] = field(default_factory=dict)

    def readings(self, device: str, measured_at: datetime, collected_at: datetime) -> list[Reading]:
        """Readings that share their time; what the instrument did not give is left out."""
        return [
            Reading(device, metric, value, measured_at, collected_at, self.quality, self.user, dict(self.detail))
            for metric, value in self.values.items()
            if value is not None
        ]


class Instrument(Visited):
    """One instrument of the home.

    ``measures`` are the characteristics that carry its measurements, each with what its bytes mean (which raises
    :class:`DecodeError`). An instrument without the first of them is not one of this kind; the others may be missing.
    """

    measures: ClassVar[Mapping[str, Callable[[bytes], Measured]]]

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._clock: Clock | None = None
        self._held: list[Reading] = []
        self._untimed: dict[int | None, tuple[bytes, datetime]] = {}
        self._taken = Taken(desk, self.address)
        self._full = False

    async def collect(self, link: Link) -> None:
        """Subscribe first, set the clock, ask how the instrument is, and wait for the end of its memory."""
        self.desk.check_room()
        self._clock, self._held, self._full = None, [], False
        try:
            if not await self._subscribe(link):
                self.desk.trouble(self.address, "this device does not offer what its kind measures")
                return
            self.settle(await set_clock(link, self.desk))
            await read_battery(link, self.desk)
            await read_identity(link, self.desk)
            await self.ask(link)
            await self.gather(link)
        except BleakError:
            if not link.ended.is_set():
                raise
            log.info("%s switched itself off", self.address)
        finally:
            self.settle(self._clock or Clock())
        if self._full:
            raise OutboxFull("the gateway's disk is full: readings stay on the device until there is room")

    async def ask(self, link: Link) -> None:
        """Ask for what this kind of instrument has to tell beside its measurements."""

    async def gather(self, link: Link) -> None:
        """Stay until the instrument has said everything: until it hangs up or has been silent for a while."""
        await link.quiet_for(QUIET_S, at_most=VISIT_S)

    async def _subscribe(self, link: Link) -> bool:
        first, *others = self.measures
        if not await self.listen(link, first, lambda raw: self.take(first, raw)):
            return False
        for uuid in others:
            await self.listen(link, uuid, lambda raw, uuid=uuid: self.take(uuid, raw))  # type: ignore[misc]
        return True

    async def listen(self, link: Link, uuid: str, callback: Callable[[bytes], None]) -> bool:
        """Subscribe; whether the instrument has this characteristic. A full disk ends the link."""

        def told(raw: bytes) -> None:
            try:
                callback(raw)
            except OutboxFull:
                self._full = True
                link.ended.set()  # nothing more can be kept: leave, so that the instrument keeps the rest
                raise

        return await link.subscribe(uuid, told)

    def take(self, uuid: str, raw: bytes) -> None:
        """Take one packet. When this returns the measurement, or its refusal, is on the disk."""
        try:
            measured = self.measures[uuid](raw)
        except DecodeError as error:
            self.refuse(uuid, raw, error.reason)
        else:
            self.keep(measured, raw)

    def refuse(self, uuid: str, raw: bytes, reason: str) -> None:
        """Keep a packet that is no measurement, once."""
        if raw not in self._taken:
            self.desk.refuse(self.address, uuid, raw, reason)
            self._taken.refused(raw)

    def keep(self, measured: Measured, raw: bytes) -> None:
        """Keep a measurement that came as these bytes, once."""
        now = self.desk.now()
        if measured.at is None:
            self._keep_untimed(measured, raw, now)
            return
        if raw in self._taken:
            return
        found = measured.readings(self.address, self._utc(measured.at), now)
        held = self._clock is None
        if self._clock is not None:
            found = [_judged(reading, self._clock) for reading in found]
        self.desk.keep(found, held_s=_HELD_S if held else 0, facts=self._taken.facts(raw))
        self._taken.add(raw)
        self._held += found if held else []

    def _keep_untimed(self, measured: Measured, raw: bytes, now: datetime) -> None:
        # Without a time there is no key by which the outbox could know a doubled packet.
        last, at = self._untimed.get(measured.user, (b"", now))
        if last == raw and now - at < _DOUBLED:
            return
        untimed = replace(measured, quality=measured.quality | Quality.NO_DEVICE_TIME)
        self.desk.keep(untimed.readings(self.address, now, now))
        self._untimed[measured.user] = raw, now

    def _utc(self, at: datetime) -> datetime:
        return self.desk.utc(at) if at.tzinfo is None else at.astimezone(UTC)

    def settle(self, clock: Clock) -> None:
        """From now on the clock is known: let go of what was held."""
        self._clock = clock
        held, self._held = self._held, []
        if held:
            self.desk.release([_judged(reading, clock) for reading in held])


def _judged(reading: Reading, clock: Clock) -> Reading:
    return replace(reading, quality=reading.quality | clock.quality(reading.measured_at, reading.collected_at))
