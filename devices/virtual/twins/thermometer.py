"""A virtual clinical thermometer: Health Thermometer Service 1.0 with a memory."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from devices.gatt import thermometer
from devices.gatt.thermometer import Site, Temperature
from devices.virtual.radio import Air
from devices.virtual.recorder import Recorder
from devices.virtual.twin import Answer, Plate


class Thermometer(Recorder):
    """A thermometer for the ear."""

    kind: ClassVar[str] = "thermometer"

    def __init__(self, air: Air, plate: Plate) -> None:
        super().__init__(air, plate, thermometer.SERVICE, thermometer.MEASUREMENT)

    def usual(self, number: int, taken: datetime) -> bytes:
        """A record of 36.4 to 37.1 °C."""
        return thermometer.encode(Temperature(round(36.4 + number % 8 / 10, 1), taken, Site.EAR))

    def failed(self, taken: datetime) -> bytes:
        """The temperature is no number (FLOAT NaN)."""
        return self.usual(0, taken)[:1] + b"\xff\xff\x7f\x00" + self.usual(0, taken)[5:]

    async def do_measure(self, celsius: float, fahrenheit: bool = False) -> Answer:
        """Measure; the answer is the thermometer's time of it."""
        taken = self.next_moment()
        await self.remember(thermometer.encode(Temperature(celsius, taken, Site.EAR, unit_fahrenheit=fahrenheit)))
        return {"measured_at": taken.isoformat()}
