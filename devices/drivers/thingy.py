"""Nordic Thingy:52 (``devices.gatt.thingy``)."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Final

from devices.drivers.driver import Title
from devices.drivers.pace import Sensor
from devices.drivers.stream import Stream
from devices.falls.model import Position
from devices.gatt import thingy
from devices.link import Link

_HZ: Final = 50


class Thingy(Stream):
    """One Thingy of the home."""

    kind: ClassVar[str] = "thingy"
    title: ClassVar[Title] = Title("Nordic Thingy:52", "Nordic Thingy:52")
    service: ClassVar[str] = thingy.ADVERTISED
    names: ClassVar[tuple[str, ...]] = ("Thingy",)
    worn_at: ClassVar[Position] = "pocket"

    async def start(self, link: Link) -> bool:
        """Ask for fifty samples a second and leave the rest of its configuration as it is."""
        self.expect(Sensor(_HZ, thingy.RANGE_G))
        if not await self.listen(link, thingy.RAW, self.moved):
            return False
        raw = await link.read(thingy.CONFIGURATION)
        now = None if raw is None else self.decoded(thingy.decode_configuration, thingy.CONFIGURATION, raw)
        if now is None:
            return self.cannot_start("it does not tell how often it measures")
        if now.motion_hz != _HZ:
            wanted = thingy.encode_configuration(replace(now, motion_hz=_HZ))
            await link.write(thingy.CONFIGURATION, wanted)
            if await link.read(thingy.CONFIGURATION) != wanted:
                return self.cannot_start("it does not measure as often as it was asked to")
        return True

    def moved(self, raw: bytes) -> None:
        """Take one packet of acceleration."""
        samples = self.decoded(thingy.decode, thingy.RAW, raw)
        if samples is not None:
            self.arrived(samples)
