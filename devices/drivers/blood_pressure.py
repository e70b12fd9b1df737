"""Blood-pressure cuffs with the standard service (0x1810)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from devices.drivers.driver import Title
from devices.drivers.instrument import Instrument, Measured
from devices.gatt import blood_pressure
from devices.gatt.blood_pressure import BloodPressure, Status
from devices.gatt.errors import DecodeError
from devices.link import Link
from devices.readings import Quality

log = logging.getLogger(__name__)

_QUALITY: Final = {
    Status.BODY_MOVEMENT: Quality.BODY_MOVEMENT,
    Status.CUFF_TOO_LOOSE: Quality.CUFF_TOO_LOOSE,
    Status.IRREGULAR_PULSE: Quality.IRREGULAR_PULSE,
    Status.PULSE_ABOVE_RANGE: Quality.PULSE_ABOVE_RANGE,
    Status.PULSE_BELOW_RANGE: Quality.PULSE_BELOW_RANGE,
    Status.IMPROPER_POSITION: Quality.IMPROPER_POSITION,
}


def measured(m: BloodPressure) -> Measured:
    """A cuff's measurement, with what the cuff says against it."""
    values = {
        "systolic": m.systolic,
        "diastolic": m.diastolic,
        "mean_arterial_pressure": m.mean_arterial_pressure,
        "pulse": m.pulse,
    }
    quality = Quality.NONE
    for status, flag in _QUALITY.items():
        if m.status & status:
            quality |= flag
    return Measured(values, m.timestamp, m.user, quality)


class Cuff(Instrument):
    """One cuff of the home."""

    kind: ClassVar[str] = "blood_pressure"
    title: ClassVar[Title] = Title("Blood pressure monitor", "血压计")
    service: ClassVar[str] = blood_pressure.SERVICE
    measures: ClassVar[Mapping[str, Callable[[bytes], Measured]]] = {
        blood_pressure.MEASUREMENT: lambda raw: measured(blood_pressure.decode(raw)),
    }

    async def ask(self, link: Link) -> None:
        """Note what the cuff can do."""
        raw = await link.read(blood_pressure.FEATURE)
        if raw is None:
            return
        try:
            log.info("%s can: %s", self.address, blood_pressure.decode_feature(raw))
        except DecodeError as error:
            self.refuse(blood_pressure.FEATURE, raw, error.reason)
