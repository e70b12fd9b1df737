"""What every device has in common that only broadcasts, in encrypted BTHome v2 (Shelly BLU and their like).

A packet is repeated for a second or two, and whoever records it could send it again later. The packet's counter
settles both: a packet counts only when its counter is higher than any before. The highest is on the disk in one
transaction with the readings it brought, so a recorded packet that said something is refused after a restart too.

Some devices count from the start again, or from anywhere, with a new battery (Bluetooth-Devices/bthome-ble, issues 99,
116 and 338). What they say then cannot be told from a recording, so it is refused, and the trouble says what to do:
a device that is removed from the home is forgotten with its counter, and begins anew when it is added again.
"""

from __future__ import annotations

import hashlib
import logging
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import ClassVar, Final

from bleak.backends.scanner import AdvertisementData

from devices.desk import Desk
from devices.drivers.driver import Configured, Heard
from devices.gatt import bthome
from devices.gatt.bthome import Object, Packet
from devices.gatt.errors import DecodeError
from devices.outbox import OutboxFull
from devices.readings import Quality, Reading

log = logging.getLogger(__name__)

REPEATED_EVERY: Final = timedelta(minutes=15)
"""How often a state that stays the same is kept: weeks of it fit on a disk, and silence can be told from calm."""
_BATTERY_EVERY: Final = timedelta(hours=12)
_REPEATS_S: Final = 5.0  # longer than any of them repeats a packet
_REFUSE_EVERY_S: Final = 10.0  # whoever floods the air must not flood the disk
_REMEMBERED_PACKETS: Final = 16

# Encrypted broadcasts look alike; their makers' names tell them apart (Bluetooth-Devices/bthome-ble, parser.py).
_NAMED: Final = MappingProxyType({"SBBT-": "help_button", "SBDW-": "door_sensor", "SBMO-": "motion_sensor"})


class Broadcaster(Heard):
    """One broadcaster of the home."""

    needs_key: ClassVar[bool] = True

    @classmethod
    def recognises(cls, advertisement: AdvertisementData) -> bool:
        """Whether it broadcasts encrypted BTHome v2 and its name is not that of another kind."""
        if not bthome.is_encrypted(advertisement.service_data.get(bthome.UUID, b"")):
            return False
        name = advertisement.local_name or ""
        return next((kind for prefix, kind in _NAMED.items() if name.startswith(prefix)), cls.kind) == cls.kind

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._key = bytes.fromhex(device.bindkey) if device.bindkey else None
        # A new key is a new memory: under it nobody has recorded anything yet.
        self._memory = f"counter {device.address} {hashlib.sha256(self._key or b'').hexdigest()[:16]}"
        self._counter = int(desk.recall(self._memory) or -1)
        self._last = (b"", 0.0)  # the packet dealt with last, and when it was first heard
        self._taken: deque[bytes] = deque(maxlen=_REMEMBERED_PACKETS)
        self._kept: dict[str, Reading] = {}
        self._refused_at = -_REFUSE_EVERY_S

    @abstractmethod
    def readings(self, said: Sequence[Object], now: datetime) -> list[Reading]:
        """What these objects of a new packet mean."""

    def forget(self) -> None:
        """Forget how far it has counted."""
        try:
            self.desk.remember(self._memory, "")
        except OutboxFull as error:
            log.warning("%s keeps its counter: %s", self.address, error)

    def heard(self, advertisement: AdvertisementData) -> None:
        """Take one broadcast."""
        data = advertisement.service_data.get(bthome.UUID)
        if data is None or self._is_repetition(data):
            return
        if self._key is None:
            self.desk.trouble(self.address, "it has no key: enter the key from its maker's app")
            return
        try:
            packet = bthome.unseal(self.address, self._key, data)
        except DecodeError as error:
            self._say_why(error.reason)
            self._refuse(data, error.reason)
            return
        if packet.counter <= self._counter:
            self._refuse_old(packet, data)
        else:
            self._take(packet, data)

    def _is_repetition(self, data: bytes) -> bool:
        """A device says the same for some seconds; what says it later is no device."""
        last, first_heard = self._last
        return data == last and time.monotonic() - first_heard < _REPEATS_S

    def _take(self, packet: Packet, data: bytes) -> None:
        said, unread = bthome.read(packet.payload)
        now = self.desk.now()
        found = [*self.readings(said, now), *self._battery(said, now)]
        if found:
            self._keep(found, packet.counter)
        self._counter = packet.counter
        self._last = data, time.monotonic()
        self._taken.append(data)
        if unread:
            self.desk.trouble(self.address, "it says more than this gateway can read: update the gateway")
            self._refuse(data, "unknown_object")
        else:
            self._is_well()

    def _keep(self, found: Sequence[Reading], counter: int) -> None:
        try:
            self.desk.keep(found, facts={self._memory: str(counter)})
        except OutboxFull as error:
            self.say_lost(error)
            raise
        self._kept.update({reading.metric: reading for reading in found})

    def say_lost(self, error: OutboxFull) -> None:
        """Say that what it said could not be kept."""
        self.desk.trouble(self.address, str(error))

    def reading(self, metric: str, value: float, now: datetime, **detail: float) -> Reading:
        """What it says now; it has no clock of its own."""
        return Reading(self.address, metric, value, now, now, Quality.NO_DEVICE_TIME, detail=detail)

    def is_news(self, metric: str, value: float, now: datetime, every: timedelta) -> bool:
        """Whether this differs from what was kept last, or that is ``every`` old."""
        kept = self._kept.get(metric)
        return kept is None or kept.value != value or abs(now - kept.measured_at) >= every

    def _battery(self, said: Sequence[Object], now: datetime) -> list[Reading]:
        levels = [float(thing.number) for thing in said if thing.id == bthome.BATTERY and thing.number <= 100]
        if not levels:
            return []
        self.desk.of(self.address).battery_pct = levels[0]
        is_news = self.is_news("battery", levels[0], now, _BATTERY_EVERY)
        return [self.reading("battery", levels[0], now)] if is_news else []

    def _is_well(self) -> None:
        self.desk.well(self.address)

    def _refuse_old(self, packet: Packet, data: bytes) -> None:
        if packet.counter < self._counter and data not in self._taken:
            self.desk.trouble(
                self.address,
                "it counts from the start again, as with a new battery, and is not heard: remove it and add it again",
            )
        self._refuse(data, "replayed")

    def _say_why(self, reason: str) -> None:
        if reason == "wrong_key":
            self.desk.trouble(self.address, "its key does not fit: enter the key from its maker's app again")
        elif reason == "not_encrypted":
            self.desk.trouble(self.address, "it does not encrypt what it says: switch encryption on in its maker's app")

    def _refuse(self, data: bytes, reason: str) -> None:
        self._last = data, time.monotonic()
        if time.monotonic() - self._refused_at >= _REFUSE_EVERY_S:
            self._refused_at = time.monotonic()
            self.desk.refuse(self.address, bthome.UUID, data, reason)


class StateSensor(Broadcaster):
    """A sensor of which one state is of interest: kept at each change, and while it stays the same now and then.

    ``metric`` is what its state is called, ``says`` the objects that tell it; it is 1 when any of them is.
    """

    metric: ClassVar[str]
    says: ClassVar[frozenset[int]]

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._changes = _Allowance()

    def readings(self, said: Sequence[Object], now: datetime) -> list[Reading]:
        states = [bool(thing.number) for thing in said if thing.id in self.says]
        if not states:
            return []
        state = float(any(states))
        if not self.is_news(self.metric, state, now, REPEATED_EVERY) or not self._changes.take(time.monotonic()):
            return []
        return [self.reading(self.metric, state, now)]

    def _is_well(self) -> None:
        if self._changes.is_spent:
            self.desk.trouble(self.address, "it changes too often to be believed: look how it is mounted")
        else:
            super()._is_well()


_AT_ONCE: Final = 20
_CHANGE_EVERY_S: Final = 20.0


class _Allowance:
    """How many changes may be kept: 20 at once, then one every 20 seconds. A contact that chatters fills no disk."""

    def __init__(self) -> None:
        self._left = float(_AT_ONCE)
        self._at = 0.0
        self.is_spent = False

    def take(self, now_s: float) -> bool:
        """Whether there is one more at this monotonic time."""
        self._left = min(self._left + max(now_s - self._at, 0.0) / _CHANGE_EVERY_S, _AT_ONCE)
        self._at = now_s
        self.is_spent = self._left < 1
        if not self.is_spent:
            self._left -= 1
        return not self.is_spent
