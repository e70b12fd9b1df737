"""Bed sensors that broadcast BTHome v2, encrypted (a pressure mat on a small board): 1 while somebody lies in it."""

from __future__ import annotations

from typing import ClassVar

from devices.drivers.bthome import StateSensor
from devices.drivers.driver import Title
from devices.gatt import bthome


class BedSensor(StateSensor):
    """One bed sensor of the home."""

    kind: ClassVar[str] = "bed_sensor"
    title: ClassVar[Title] = Title("Bed sensor", "床垫传感器")
    metric: ClassVar[str] = "bed"
    says: ClassVar[frozenset[int]] = frozenset((bthome.OCCUPANCY, bthome.PRESENCE))
