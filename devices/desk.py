"""Where a driver lays down what it learned: readings, refusals, memories, and how each device is.

The one place through which drivers touch the outbox. Everything kept is on disk when the call returns.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

from devices.outbox import Outbox
from devices.readings import Quality, Reading

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Health:
    """How a device is, as the heartbeat tells it. ``trouble`` is one sentence, or None when all is well."""

    rssi_dbm: int | None = None
    last_seen_at: datetime | None = None
    battery_pct: float | None = None
    clock_error_s: float | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    trouble: str | None = None


class Desk:
    """The gateway's desk. ``zone`` is the home's time zone (None: the machine's own).

    ``nudge`` is called after readings were kept. ``bindkeys`` are 32 hexadecimal digits by address.
    """

    def __init__(
        self,
        outbox: Outbox,
        *,
        zone: tzinfo | None = None,
        nudge: Callable[[], None] = lambda: None,
        bindkeys: Mapping[str, str] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.now = now
        self.health: dict[str, Health] = {}
        self._outbox = outbox
        self._zone = zone
        self._nudge = nudge
        self._bindkeys = {a.upper(): bytes.fromhex(k) for a, k in (bindkeys or {}).items()}

    def keep(self, readings: Sequence[Reading]) -> None:
        """Keep readings until the service has them. Raises ``OutboxFull`` when the disk is full."""
        new = self._outbox.put(readings)
        if new:
            log.info("kept %d of %d values from %s", new, len(readings), readings[0].device)
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

    def trouble(self, address: str, sentence: str) -> None:
        """Say what is wrong with a device."""
        health = self.of(address)
        if health.trouble != sentence:
            log.warning("%s: %s", address, sentence)
            health.trouble = sentence

    def battery(self, address: str, percent: float) -> None:
        """Note and keep a battery level."""
        self.of(address).battery_pct = percent
        now = self.now()
        self.keep([Reading(address, "battery", percent, now, now, Quality.NO_DEVICE_TIME)])

    def bindkey(self, address: str) -> bytes | None:
        """The key of an encrypting broadcaster, or None when it was never told."""
        return self._bindkeys.get(address)

    def local_now(self) -> datetime:
        """What a right clock on the wall of this home shows: local time without a zone."""
        return self.now().astimezone(self._zone).replace(tzinfo=None)

    def utc(self, local: datetime) -> datetime:
        """The instant meant by a device's local time without a zone."""
        return local.replace(tzinfo=self._zone).astimezone(UTC)
