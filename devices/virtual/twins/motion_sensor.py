"""A virtual motion sensor, as a Shelly BLU Motion broadcasts."""

from __future__ import annotations

from typing import ClassVar

from devices.gatt import bthome
from devices.virtual.bthome import Sensor
from devices.virtual.twin import Answer


class MotionSensor(Sensor):
    """A room: on while somebody moves in it."""

    kind: ClassVar[str] = "motion_sensor"
    tells: ClassVar[int] = bthome.MOTION

    async def do_move(self) -> Answer:
        """See somebody move."""
        await self.become(True)
        return {}

    async def do_rest(self) -> Answer:
        """See nobody move any more."""
        await self.become(False)
        return {}
