"""A virtual door contact, as a Shelly BLU Door/Window broadcasts."""

from __future__ import annotations

from typing import ClassVar

from devices.gatt import bthome
from devices.virtual.bthome import Sensor
from devices.virtual.twin import Answer


class DoorSensor(Sensor):
    """A door: on while it is open."""

    kind: ClassVar[str] = "door_sensor"
    tells: ClassVar[int] = bthome.DOOR

    async def do_open(self) -> Answer:
        """Be opened."""
        await self.become(True)
        return {}

    async def do_close(self) -> Answer:
        """Be closed."""
        await self.become(False)
        return {}
