"""A virtual bed sensor, as a pressure mat on a BTHome board broadcasts."""

from __future__ import annotations

from typing import ClassVar

from devices.gatt import bthome
from devices.virtual.bthome import Sensor
from devices.virtual.twin import Answer


class BedSensor(Sensor):
    """A bed: on while somebody lies in it."""

    kind: ClassVar[str] = "bed_sensor"
    tells: ClassVar[int] = bthome.OCCUPANCY

    async def do_lie_down(self) -> Answer:
        """Feel somebody lie down."""
        await self.become(True)
        return {}

    async def do_get_up(self) -> Answer:
        """Feel the bed empty."""
        await self.become(False)
        return {}
