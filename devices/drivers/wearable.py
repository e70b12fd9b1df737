"""Wearables that stream acceleration (``devices.gatt.motion``). Their link is kept for as long as it holds.

The fall detector counts samples; the driver knows when they were taken, and tells it where some are missing.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import ClassVar, Final

from devices.desk import Desk
from devices.drivers.driver import Configured, Title, Visited, keep_battery, read_battery, read_identity
from devices.falls import Detector, FallEvent
from devices.gatt import battery, motion
from devices.gatt.errors import DecodeError
from devices.gatt.motion import Motion
from devices.link import Link
from devices.outbox import OutboxFull
from devices.readings import Quality, Reading

log = logging.getLogger(__name__)

SILENT_S: Final = 15.0  # a stream that says nothing for so long is a dead link
_SAMPLE_MS: Final = 1000 / motion.RATE_HZ
_TOLERANCE_MS: Final = 2 * _SAMPLE_MS  # between the device's time and the number of samples
_CREEP: Final = timedelta(milliseconds=1)  # a packet: lets the estimate follow a clock that runs slow


class SampleClock:
    """When a sample was taken, from the device's own milliseconds and the arrival of its packets.

    A packet arrives some time after its last sample, never before it; the promptest packet tells best.
    """

    def __init__(self) -> None:
        self._switched_on: datetime | None = None

    def arrived(self, last_sample_ms: float, at: datetime) -> None:
        """Learn from a packet that arrived at ``at``."""
        found = at - timedelta(milliseconds=last_sample_ms)
        if self._switched_on is not None:
            found = min(found, self._switched_on + _CREEP)
        self._switched_on = found

    def time(self, sample_ms: float) -> datetime:
        """The instant of a sample at this time of the device."""
        assert self._switched_on is not None
        return self._switched_on + timedelta(milliseconds=sample_ms)


class Wearable(Visited):
    """One wearable of the home."""

    kind: ClassVar[str] = "wearable"
    title: ClassVar[Title] = Title("Wearable", "手环")
    service: ClassVar[str] = motion.SERVICE

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._detector = Detector(motion.RATE_HZ)
        self._clock = SampleClock()
        self._next: tuple[int, float] | None = None  # the sequence number and device time that should come next
        self._first_ms = 0.0  # device time of the sample the detector counts as 0
        self._presses: int | None = None

    async def collect(self, link: Link) -> None:
        """Listen to the stream until the link ends."""
        self._next = None
        if not await link.subscribe(motion.ACCELERATION, self.moved):
            self.desk.trouble(self.address, "this device offers no acceleration")
            return
        await link.subscribe(motion.I_AM_FINE, self.pressed)
        await link.subscribe(battery.UUID, lambda raw: keep_battery(self.address, raw, self.desk))
        await read_battery(link, self.desk)
        await read_identity(link, self.desk)
        await link.quiet_for(SILENT_S)
        if not link.ended.is_set():
            log.warning("%s streamed nothing for %.0f s: leaving it", self.address, SILENT_S)

    def moved(self, raw: bytes) -> None:
        """Take one packet of acceleration."""
        try:
            packet = motion.decode(raw)
        except DecodeError as error:
            self.desk.refuse(self.address, motion.ACCELERATION, raw, error.reason)
            return
        if not self._follows(packet):
            self._detector.reset()
            self._clock = SampleClock()
            self._first_ms = float(packet.at_ms)
        after = packet.at_ms + len(packet.samples) * _SAMPLE_MS
        # When the device's milliseconds wrap, after 49 days, that is one gap.
        self._next = (packet.sequence + 1) & 0xFFFF, after
        self._clock.arrived(after - _SAMPLE_MS, self.desk.now())
        for event in self._detector.feed(packet.samples):
            self._keep(event)

    def _follows(self, packet: Motion) -> bool:
        if self._next is None:
            return False
        sequence, at_ms = self._next
        whole = sequence == packet.sequence and abs(at_ms - packet.at_ms) <= _TOLERANCE_MS
        if not whole:
            log.info("%s: samples are missing before packet %d", self.address, packet.sequence)
        return whole

    def _keep(self, event: FallEvent) -> None:
        at = self._clock.time(self._first_ms + event.sample * _SAMPLE_MS)
        if event.kind == "recovered":
            self._keep_event("fall_recovered", 1.0, at, {})
            return
        detail = {
            "impact_g": event.impact_g,
            "free_fall_ms": event.free_fall_ms,
            "stillness_s": event.stillness_s,
            "posture_change_deg": event.posture_change_deg,
        }
        self._keep_event("fall", event.probability, at, detail)

    def pressed(self, raw: bytes) -> None:
        """Take one press of "I am fine"; a count already heard is a doubled notification."""
        try:
            presses = motion.decode_presses(raw)
        except DecodeError as error:
            self.desk.refuse(self.address, motion.I_AM_FINE, raw, error.reason)
            return
        if presses != self._presses:
            self._keep_event("fall_recovered", 1.0, self.desk.now(), {}, Quality.NO_DEVICE_TIME)
            self._presses = presses

    def _keep_event(
        self, metric: str, value: float, at: datetime, detail: dict[str, float], quality: Quality = Quality.NONE
    ) -> None:
        reading = Reading(self.address, metric, value, at, self.desk.now(), quality, detail=detail)
        try:
            self.desk.keep([reading])
        except OutboxFull as error:
            # A notification cannot be asked for again: say so, loudly.
            self.desk.trouble(self.address, f"{metric} could not be kept: {error}")
            raise
