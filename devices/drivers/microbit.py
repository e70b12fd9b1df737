"""BBC micro:bits with the accelerometer service (``devices.gatt.microbit``)."""

from __future__ import annotations

from typing import ClassVar, Final

from devices.drivers.driver import Title
from devices.drivers.pace import Sensor
from devices.drivers.stream import Stream
from devices.falls.model import Position
from devices.gatt import microbit
from devices.link import Link

_PERIOD_MS: Final = 20


class Microbit(Stream):
    """One micro:bit of the home."""

    kind: ClassVar[str] = "microbit"
    title: ClassVar[Title] = Title("BBC micro:bit", "BBC micro:bit")
    service: ClassVar[str] = microbit.SERVICE
    names: ClassVar[tuple[str, ...]] = ("BBC micro:bit",)
    worn_at: ClassVar[Position] = "waist"

    async def start(self, link: Link) -> bool:
        """Ask for fifty samples a second; it takes the nearest period it can, and tells which."""
        self.expect(Sensor(1000 / _PERIOD_MS, microbit.RANGE_G))
        if not await self.listen(link, microbit.ACCELERATION, self.moved):
            return False
        await link.write(microbit.PERIOD, microbit.encode_period(_PERIOD_MS))
        raw = await link.read(microbit.PERIOD)
        period_ms = None if raw is None else self.decoded(microbit.decode_period, microbit.PERIOD, raw)
        if period_ms is None:
            return self.cannot_start("it does not tell how often it measures")
        if period_ms != _PERIOD_MS:
            self.expect(Sensor(1000 / period_ms, microbit.RANGE_G))
        return True

    def moved(self, raw: bytes) -> None:
        """Take one packet of acceleration."""
        samples = self.decoded(microbit.decode, microbit.ACCELERATION, raw)
        if samples is not None:
            self.arrived(samples)
