"""Motion sensors that broadcast BTHome v2, encrypted (Shelly BLU Motion and its like): 1 while something moves."""

from __future__ import annotations

from typing import ClassVar

from devices.drivers.bthome import StateSensor
from devices.drivers.driver import Title
from devices.gatt import bthome


class MotionSensor(StateSensor):
    """One motion sensor of the home."""

    kind: ClassVar[str] = "motion_sensor"
    title: ClassVar[Title] = Title("Motion sensor", "人体移动传感器")
    metric: ClassVar[str] = "movement"
    says: ClassVar[frozenset[int]] = frozenset((bthome.MOTION, bthome.MOVING))
