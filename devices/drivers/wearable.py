"""Wearables with our own service (``devices.gatt.motion``): they number their packets, and have a button "I am fine"."""

from __future__ import annotations

from typing import ClassVar, Final

from devices.desk import Desk
from devices.drivers.driver import Configured, Title
from devices.drivers.pace import Sensor
from devices.drivers.stream import Stream
from devices.falls.times import SECOND
from devices.gatt import motion
from devices.link import Link
from devices.readings import Quality

_MS: Final = SECOND // 1000
_SENSOR: Final = Sensor(motion.RATE_HZ, timed=True, wraps_ns=motion.WRAPS_MS * _MS)


class Wearable(Stream):
    """One wearable of the home."""

    kind: ClassVar[str] = "wearable"
    title: ClassVar[Title] = Title("Wearable", "手环")
    service: ClassVar[str] = motion.SERVICE

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._next: int | None = None
        self._presses: int | None = None
        self.expect(_SENSOR)

    async def start(self, link: Link) -> bool:
        """It streams to whoever subscribes."""
        self.expect(_SENSOR)
        if not await self.listen(link, motion.ACCELERATION, self.moved):
            return False
        await link.subscribe(motion.I_AM_FINE, self.pressed)
        return True

    def moved(self, raw: bytes) -> None:
        """Take one packet of acceleration."""
        packet = self.decoded(motion.decode, motion.ACCELERATION, raw)
        if packet is None:
            return
        last_ms = packet.at_ms + (len(packet.samples) - 1) * 1000 // motion.RATE_HZ
        follows = self._next in (None, packet.sequence)
        self._next = (packet.sequence + 1) & 0xFFFF
        self.arrived(packet.samples, last_ms * _MS, follows=follows)

    def pressed(self, raw: bytes) -> None:
        """Take one press of "I am fine"; a count already heard is a doubled notification."""
        presses = self.decoded(motion.decode_presses, motion.I_AM_FINE, raw)
        if presses is not None and presses != self._presses:
            self.keep_event("said_well", 1.0, self.desk.now(), {}, Quality.NO_DEVICE_TIME)
            self._presses = presses
