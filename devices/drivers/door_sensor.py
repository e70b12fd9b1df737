"""Door and window contacts that broadcast BTHome v2, encrypted (Shelly BLU Door/Window and its like): 1 open, 0 closed."""

from __future__ import annotations

from typing import ClassVar

from devices.drivers.bthome import StateSensor
from devices.drivers.driver import Title
from devices.gatt import bthome


class DoorSensor(StateSensor):
    """One door sensor of the home."""

    kind: ClassVar[str] = "door_sensor"
    title: ClassVar[Title] = Title("Door sensor", "门磁")
    metric: ClassVar[str] = "door"
    says: ClassVar[frozenset[int]] = frozenset((bthome.DOOR, bthome.WINDOW, bthome.OPENING))
