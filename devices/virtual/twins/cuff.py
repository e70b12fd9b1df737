"""A virtual blood-pressure cuff: Blood Pressure Service 1.1 with a memory, as cuffs for the home have it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from bumble.core import UUID
from bumble.gatt import Characteristic

from devices.gatt import blood_pressure
from devices.gatt.blood_pressure import BloodPressure, Status
from devices.virtual.radio import Air
from devices.virtual.recorder import Recorder
from devices.virtual.twin import Answer, Perms, Plate, Props

_FEATURES: Final = b"\x37\x00"  # movement, cuff fit, irregular pulse, position, multiple bonds
_NAN: Final = b"\xff\x07"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What the person's arm shows: mmHg, mmHg, beats a minute; ``user`` is the cuff's user slot."""

    systolic: float
    diastolic: float
    pulse: float | None = 72
    user: int | None = 1
    status: int = 0
    timestamped: bool = True


class Cuff(Recorder):
    """A cuff that sends its memory to whoever subscribes."""

    kind: ClassVar[str] = "blood_pressure"

    def __init__(self, air: Air, plate: Plate) -> None:
        feature: Characteristic[bytes] = Characteristic(
            UUID(blood_pressure.FEATURE), Props.READ, Perms.READABLE, _FEATURES
        )
        self._pressure: Characteristic[bytes] = Characteristic(
            UUID(blood_pressure.INTERMEDIATE_CUFF_PRESSURE), Props.NOTIFY, Perms.READABLE
        )
        super().__init__(air, plate, blood_pressure.SERVICE, blood_pressure.MEASUREMENT, [feature, self._pressure])

    def usual(self, number: int, taken: datetime) -> bytes:
        """A record of a pressure a little above 120/75 mmHg."""
        return record(Measurement(systolic=121 + number % 17, diastolic=74 + number % 9), taken)

    def failed(self, taken: datetime) -> bytes:
        """No pressure is a number, and no status says so."""
        good = record(Measurement(systolic=120, diastolic=80), taken)
        return good[:1] + 3 * _NAN + good[7:]

    async def measure(self, measurement: Measurement) -> datetime:
        """Measure, keep the record and call for the gateway. The answer is the cuff's time of it."""
        taken = self.next_moment()
        self.measuring = False
        await self.remember(record(measurement, taken))
        return taken

    async def do_inflate(self, mmhg: float) -> Answer:
        """Begin to measure: tell whoever is connected the pressure in the cuff, and stay on until the result."""
        self.measuring = True
        pressure = blood_pressure.encode(BloodPressure(systolic=mmhg))
        for connection in self.connections:
            await self.send(connection, self._pressure, pressure)
        return {}

    async def do_measure(
        self,
        systolic: float,
        diastolic: float,
        pulse: float | None = 72,
        user: int | None = 1,
        status: int = 0,
        timestamped: bool = True,
    ) -> Answer:
        """Measure; the answer is the cuff's time of it."""
        shown = Measurement(
            systolic=systolic, diastolic=diastolic, pulse=pulse, user=user, status=status, timestamped=timestamped
        )
        return {"measured_at": (await self.measure(shown)).isoformat()}


def record(measurement: Measurement, taken: datetime) -> bytes:
    """The packet of a measurement."""
    mean = measurement.diastolic + (measurement.systolic - measurement.diastolic) / 3
    return blood_pressure.encode(
        BloodPressure(
            systolic=measurement.systolic,
            diastolic=measurement.diastolic,
            mean_arterial_pressure=round(mean),
            unit_kpa=False,
            timestamp=taken if measurement.timestamped else None,
            pulse=measurement.pulse,
            user=measurement.user,
            status=Status(measurement.status),
        )
    )
