"""A virtual pulse oximeter: Pulse Oximeter Service 1.0, spot checks with a memory and a running measurement."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import ClassVar

from bumble.core import UUID
from bumble.gatt import Characteristic

from devices.gatt import pulse_oximeter
from devices.gatt.pulse_oximeter import Continuous, SensorStatus, SpotCheck, Status
from devices.virtual.radio import Air
from devices.virtual.recorder import ENCRYPTED, Recorder
from devices.virtual.twin import Answer, Plate, Props


class Oximeter(Recorder):
    """An oximeter."""

    kind: ClassVar[str] = "oximeter"

    def __init__(self, air: Air, plate: Plate) -> None:
        self._running: Characteristic[bytes] = Characteristic(UUID(pulse_oximeter.CONTINUOUS), Props.NOTIFY, ENCRYPTED)
        super().__init__(air, plate, pulse_oximeter.SERVICE, pulse_oximeter.SPOT_CHECK, [self._running])

    def usual(self, number: int, taken: datetime) -> bytes:
        """A record of 95 to 98 % and a pulse about 70."""
        return pulse_oximeter.encode_spot_check(SpotCheck(95 + number % 4, 66 + number % 9, taken, amplitude=4.2))

    def failed(self, taken: datetime) -> bytes:
        """A number that the oximeter itself calls invalid."""
        return pulse_oximeter.encode_spot_check(SpotCheck(62, 40, taken, status=Status.INVALID))

    async def do_measure(self, spo2: float, pulse: float = 70, status: int = 0, sensor: int = 0) -> Answer:
        """Measure; the answer is the oximeter's time of it."""
        taken = self.next_moment()
        statuses = Status(status) if status else None, SensorStatus(sensor) if sensor else None
        await self.remember(pulse_oximeter.encode_spot_check(SpotCheck(spo2, pulse, taken, *statuses)))
        return {"measured_at": taken.isoformat()}

    async def do_wear(self, spo2: float, pulse: float = 70, values: int = 30, every_s: float = 1.0) -> Answer:
        """Stay on the finger for so many values, one every ``every_s`` seconds, calling for the gateway."""
        self.measuring = True
        await self.call()
        self.spawn(self._run(pulse_oximeter.encode_continuous(Continuous(spo2, pulse)), values, every_s))
        return {}

    async def _run(self, value: bytes, values: int, every_s: float) -> None:
        for _ in range(values):
            await asyncio.sleep(every_s)
            for connection in self.connections:
                await self.send(connection, self._running, value)
        self.measuring = False
