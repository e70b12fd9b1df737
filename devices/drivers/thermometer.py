"""Clinical thermometers with the standard service (0x1809)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from devices.drivers.driver import Title
from devices.drivers.instrument import Instrument, Measured
from devices.gatt import thermometer


def measured(raw: bytes) -> Measured:
    """A temperature, wherever on the body it was taken."""
    m = thermometer.decode(raw)
    return Measured({"body_temperature": m.celsius}, m.timestamp)


class Thermometer(Instrument):
    """One thermometer of the home. Intermediate temperatures are not subscribed to: they are no measurement yet."""

    kind: ClassVar[str] = "thermometer"
    title: ClassVar[Title] = Title("Thermometer", "体温计")
    service: ClassVar[str] = thermometer.SERVICE
    measures: ClassVar[Mapping[str, Callable[[bytes], Measured]]] = {thermometer.MEASUREMENT: measured}
