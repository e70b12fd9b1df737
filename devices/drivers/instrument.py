"""Instruments that measure once and keep it: cuffs, thermometers, scales, meters.

They send their memory and switch themselves off, so a measurement is on the disk before its callback returns. What
the instrument's clock is worth is known only a moment later: until then its readings are held back from the service,
on the disk. A new instrument of a standard service says which characteristics it measures with and what their bytes
mean; everything else is here.
"""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar, Final

from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError

from devices.desk import Desk
from devices.drivers.clock import Clock, set_clock
from devices.drivers.driver import Configured, Visited, read_battery, read_identity
from devices.drivers.taken import Taken
from devices.gatt.errors import DecodeError
from devices.habits import Habits
from devices.link import Link
from devices.outbox import OutboxFull
from devices.readings import Quality, Reading

log = logging.getLogger(__name__)

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


class Instrument(Visited):
    """One instrument of the home.

    ``measures`` are the characteristics that carry its measurements, each with what its bytes mean (which raises
    :class:`DecodeError`). An instrument that has none of them is not one of this kind.
    """

    measures: ClassVar[Mapping[str, Callable[[bytes], Measured]]]

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._clock: Clock | None = None
        self._held: list[Reading] = []
        self._untimed: dict[int | None, tuple[bytes, datetime]] = {}
        self._repeats: Counter[bytes] = Counter()
        self._taken = Taken(desk, self.address)
        self._full = False
        self._name: str | None = None
        self.habits = self._know_habits()

    def calls(self, advertisement: AdvertisementData) -> bool:
        """Whether it asks for a visit; by its name it is known for what habits it has."""
        if advertisement.local_name and advertisement.local_name != self._name:
            self._name = advertisement.local_name
            self.habits = self._know_habits()
        return super().calls(advertisement)

    @property
    def visit_every_s(self) -> float:
        """As its habits say."""
        return self.habits.visit_every_s

    def _know_habits(self) -> Habits:
        """What is known of its type, now or from an earlier visit. Raises ``ValueError`` for a habit that there is not."""
        memory = f"type of {self.address}"
        name, manufacturer, model = json.loads(self.desk.recall(memory) or "[null, null, null]")
        health = self.desk.of(self.address)
        known = self._name or name, health.manufacturer or manufacturer, health.model or model
        if known != (name, manufacturer, model):
            try:
                self.desk.remember(memory, json.dumps(known))
            except OutboxFull as error:
                log.warning("what %s is cannot be remembered: %s", self.address, error)
        return Habits.of(*known, configured=self.device.habits)

    async def collect(self, link: Link) -> None:
        """Subscribe first, set the clock, ask how the instrument is, and wait for the end of its memory."""
        self.desk.check_room()
        self._clock, self._held, self._full = None, [], False
        self._repeats.clear()
        try:
            if not await self._may_begin(link):
                return
            self.settle(await self.judge_clock(link))
            await read_battery(link, self.desk)
            await read_identity(link, self.desk)
            self.habits = self._know_habits()
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

    async def _may_begin(self, link: Link) -> bool:
        """Pair where that must come first, and subscribe; if it cannot be done for good, say so."""
        if self.habits.pair_first and not await self._pair(link):
            return False
        if await self.subscribe(link):
            return True
        if self.habits.standard:
            self.desk.trouble(self.address, "this device does not offer what its kind measures")
        else:
            self.desk.trouble(self.address, "this type speaks no standard service, only its maker's own")
        return False

    async def _pair(self, link: Link) -> bool:
        try:
            await link.pair()
        except (BleakError, TimeoutError):
            if link.ended.is_set() or not self.habits.passkey:
                raise
            self.desk.trouble(self.address, "this type pairs only with digits that have to be typed in by hand")
            return False
        return True

    async def judge_clock(self, link: Link) -> Clock:
        """How its clock is found; set it."""
        return await set_clock(link, self.desk, self.habits)

    async def ask(self, link: Link) -> None:
        """Ask for what this kind of instrument has to tell beside its measurements."""

    async def gather(self, link: Link) -> None:
        """Stay until the instrument has said everything: until it hangs up or has been silent for a while."""
        await link.quiet_for(self.habits.quiet_s, at_most=VISIT_S)

    async def subscribe(self, link: Link) -> bool:
        """Subscribe to what it measures with; whether it has any of that."""
        offered = [await self.listen(link, uuid, partial(self.take, uuid)) for uuid in self.measures]
        return any(offered)

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

    def keep(self, measured: Measured, record: bytes, *, is_numbered: bool = False) -> None:
        """Keep a measurement, once. ``record`` is what it is known by; ``is_numbered``: also where it has no time."""
        now = self.desk.now()
        if measured.at is None and not is_numbered:
            self._keep_untimed(measured, record, now)
        elif record not in self._taken:
            self._keep_new(measured, record, now)

    def _keep_untimed(self, measured: Measured, record: bytes, now: datetime) -> None:
        # Without a time there is no key by which the outbox could know a doubled packet.
        last, at = self._untimed.get(measured.user, (b"", now))
        if last == record and now - at < _DOUBLED:
            return
        if self.habits.keeps:
            self._keep_nth(measured, record, now)
        else:
            self.desk.keep(self._readings(measured, now))
        self._untimed[measured.user] = record, now

    def _keep_nth(self, measured: Measured, record: bytes, now: datetime) -> None:
        # In a memory that is told whole each time, the second such record is the second at the next visit too.
        self._repeats[record] += 1
        known_by = record + self._repeats[record].to_bytes(2, "little")
        if known_by not in self._taken:
            self._keep_new(measured, known_by, now)

    def _keep_new(self, measured: Measured, record: bytes, now: datetime) -> None:
        found = self._readings(measured, now)
        held = measured.at is not None and self._clock is None
        if measured.at is not None:
            found = [self.judged(reading) for reading in found]
        self.desk.keep(found, held_s=_HELD_S if held else 0, facts=self._taken.facts(record))
        self._taken.add(record)
        self._held += found if held else []

    def _readings(self, measured: Measured, now: datetime) -> list[Reading]:
        """Readings that share their time; what the instrument did not give is left out."""
        at = now if measured.at is None else self._utc(measured.at)
        untimed = Quality.NO_DEVICE_TIME if measured.at is None else Quality.NONE
        user = None if measured.user is None else measured.user - self.habits.first_user + 1
        return [
            Reading(self.address, metric, value, at, now, measured.quality | untimed, user, dict(measured.detail))
            for metric, value in measured.values.items()
            if value is not None
        ]

    def _utc(self, at: datetime) -> datetime:
        return self.desk.utc(at) if at.tzinfo is None else at.astimezone(UTC)

    def settle(self, clock: Clock) -> None:
        """From now on the clock is known: let go of what was held."""
        self._clock = clock
        held, self._held = self._held, []
        if held:
            self.desk.release([self.judged(reading) for reading in held])

    def judged(self, reading: Reading) -> Reading:
        """A reading whose time the instrument gave, believed as far as its clock is, once that is known."""
        if self._clock is None:
            return reading
        quality = self._clock.quality(reading.measured_at, reading.collected_at)
        return replace(reading, quality=reading.quality | quality)
