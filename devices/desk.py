"""Where a driver lays down what it learned: readings, refusals, memories, and how each device is.

The one place through which drivers touch the outbox. Everything kept is on disk when the call returns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from devices.falls.model import Model, shipped
from devices.falls.wearer import Point
from devices.outbox import Outbox
from devices.readings import METRICS, Kind, Quality, Reading
from devices.recording import Recording
from devices.timekeeper import Timekeeper

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Health:
    """How a device is, as the heartbeat tells it. ``trouble`` is one sentence, or None when all is well.

    ``falls`` is how careful it is with its wearer, for one that watches for falls.
    """

    rssi_dbm: int | None = None
    last_seen_at: datetime | None = None
    last_reading_at: datetime | None = None
    battery_pct: float | None = None
    clock_error_s: float | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    trouble: str | None = None
    falls: Point | None = None


class Witnessed(NamedTuple):
    """Readings as whoever saw them would have them kept (their keys are the same), and what to remember with them."""

    readings: Sequence[Reading]
    facts: Mapping[str, str]


class Desk:
    """The gateway's desk. ``zone`` is the home's time zone (None: the machine's own) and may change at any time.

    ``nudge`` is called after readings were kept that may go to the service. ``timekeeper`` is for a machine that may not
    know the time (None: it does); without one ``now`` is. ``falls`` is what tells falls (None: the shipped model).
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        zone: tzinfo | None = None,
        nudge: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        timekeeper: Timekeeper | None = None,
        falls: Model | None = None,
    ) -> None:
        self.now = timekeeper.now if timekeeper else now
        self._timekeeper = timekeeper
        self._undated: set[tuple[str, str, datetime]] = set()
        self.health: dict[str, Health] = {}
        self._outbox = outbox
        self.zone = zone
        self._nudge = nudge
        self._falls = falls
        self.witness: Callable[[Sequence[Reading]], Witnessed] = lambda readings: Witnessed(readings, {})
        """Sees all that is kept and not held."""

    @property
    def falls(self) -> Model:
        """What tells a fall from another blow."""
        return self._falls or shipped()

    def check_room(self) -> None:
        """Raise ``OutboxFull`` when the disk would not take what a device may have to say."""
        self._outbox.check_room()

    def keep(self, readings: Sequence[Reading], *, held_s: float = 0, facts: Mapping[str, str] | None = None) -> None:
        """Keep readings until the service has them, and ``facts`` with them. ``OutboxFull`` when the disk is full.

        For ``held_s`` seconds, or until :meth:`release`, the service is not told of them.
        """
        if not held_s:
            readings, learned = self._witnessed(readings)
            facts = {**learned, **(facts or {})}
        new = self._put(readings, held_s, facts)
        if not new:
            return
        log.info("kept %d of %d values from %s", new, len(readings), readings[0].device)
        for reading in readings:
            if METRICS[reading.metric].kind is not Kind.DEVICE:
                self.of(reading.device).last_reading_at = self.now()
        if not held_s or not self.knows_time:
            self._nudge()

    def _witnessed(self, readings: Sequence[Reading]) -> Witnessed:
        try:
            return self.witness(readings)
        except Exception:
            log.exception("what was kept could not be followed")  # a call for help is not lost for that
            return Witnessed(readings, {})

    def _put(self, readings: Sequence[Reading], held_s: float, facts: Mapping[str, str] | None) -> int:
        if self._timekeeper is None or self._timekeeper.known:
            return self._outbox.put(readings, held_s=held_s, facts=facts)
        new = self._timekeeper.keep(readings, facts)
        if held_s:
            self._undated.update(r.key for r in readings)
        return new

    @property
    def knows_time(self) -> bool:
        """Whether :meth:`now` is the time. Until then no device's clock is to be set by it, nor judged."""
        return self._timekeeper is None or self._timekeeper.known

    def shift(self, error: timedelta) -> None:
        """The clock was wrong by so much: correct what was noted of the devices by it."""
        for health in self.health.values():
            health.last_seen_at = health.last_seen_at and health.last_seen_at + error
            health.last_reading_at = health.last_reading_at and health.last_reading_at + error

    def release(self, readings: Sequence[Reading]) -> None:
        """Let held readings go, with the quality they have by now; those that had no time are judged when they get one."""
        undated = {r.key for r in readings} & self._undated
        self._undated -= undated
        self._outbox.release([r for r in readings if r.key not in undated])
        self._nudge()

    def keep_recording(self, recording: Recording) -> None:
        """Keep raw acceleration for the service as long as there is room for it; readings come first."""
        if self._outbox.put_recording(recording):
            log.info("kept %d samples of %s around a %s", len(recording.samples), recording.device, recording.reason)
        self._nudge()

    def refuse(self, device: str, characteristic: str, raw: bytes, reason: str) -> None:
        """Keep what could not be read, with the reason (a short code), for whoever looks into it."""
        log.warning("refused %d bytes from %s: %s", len(raw), device, reason)
        self._outbox.put_refused(device, characteristic, raw, reason, self.now())

    def remember(self, key: str, value: str) -> None:
        """Keep a small thing across restarts."""
        self._outbox.remember(key, value)

    def recall(self, key: str) -> str | None:
        """What was remembered under this key, or None."""
        return self._outbox.recall(key)

    def of(self, address: str) -> Health:
        """How this device is; change it in place."""
        return self.health.setdefault(address, Health())

    def forget_all_but(self, addresses: Collection[str]) -> None:
        """These are the home's devices now: nothing is said of others any more."""
        self.health = {address: health for address, health in self.health.items() if address in addresses}

    def trouble(self, address: str, sentence: str) -> None:
        """Say what is wrong with a device; :meth:`well` takes it back."""
        health = self.of(address)
        if health.trouble != sentence:
            log.warning("%s: %s", address, sentence)
            health.trouble = sentence

    def well(self, address: str) -> None:
        """Nothing is wrong with a device, or no longer."""
        self.of(address).trouble = None

    def battery(self, address: str, percent: float) -> None:
        """Note and keep a battery level."""
        self.of(address).battery_pct = percent
        now = self.now()
        self.keep([Reading(address, "battery", percent, now, now, Quality.NO_DEVICE_TIME)])

    def local_now(self) -> datetime:
        """What a right clock on the wall of this home shows: local time without a zone."""
        return self.now().astimezone(self.zone).replace(tzinfo=None)

    def utc(self, local: datetime) -> datetime:
        """The instant meant by a device's local time without a zone. A year beyond the calendar's ends is taken as UTC."""
        try:
            return local.replace(tzinfo=self.zone).astimezone(UTC)
        except (OverflowError, ValueError, OSError):
            return local.replace(tzinfo=UTC)
