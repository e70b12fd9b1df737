"""A virtual scale: Weight Scale Service 1.0 with a memory, and a body composition beside the weight when asked."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar

from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Characteristic, Service

from devices.gatt import body_composition, weight_scale
from devices.gatt.body_composition import BodyComposition
from devices.gatt.weight_scale import Body, Weight
from devices.virtual.radio import Air
from devices.virtual.recorder import Recorder
from devices.virtual.twin import Answer, Plate, Props


class Scale(Recorder):
    """A scale. ``compositions`` are the packets of body compositions that nobody has confirmed yet."""

    kind: ClassVar[str] = "scale"

    def __init__(self, air: Air, plate: Plate) -> None:
        super().__init__(air, plate, weight_scale.SERVICE, weight_scale.MEASUREMENT)
        self.compositions: list[bytes] = []
        self._composition = self.private(body_composition.MEASUREMENT, Props.INDICATE)
        self._composition.on(Characteristic.EVENT_SUBSCRIPTION, self._on_composition)
        self.device.add_service(Service(UUID(body_composition.SERVICE), [self._composition]))

    def usual(self, number: int, taken: datetime) -> bytes:
        """A record of 61 to 62 kg by user 1, with her height."""
        return weight_scale.encode(Weight(61 + number % 20 / 20, taken, 1, Body(24.1, 1.59)))

    def failed(self, taken: datetime) -> bytes:
        """The weight is 0xFFFF: measurement unsuccessful."""
        return self.usual(0, taken)[:1] + b"\xff\xff" + self.usual(0, taken)[3:]

    async def do_measure(self, kg: float, user: int | None = 1, fat_pct: float | None = None) -> Answer:
        """Weigh, and with ``fat_pct`` tell the body composition in two packets; the answer is the scale's time of it."""
        taken = self.next_moment()
        if fat_pct is not None:
            first = BodyComposition(fat_pct, taken, user, weight_kg=kg, multiple_packets=True)
            second = BodyComposition(fat_pct, muscle_mass_kg=round(kg * 0.4), multiple_packets=True)
            self.compositions += [body_composition.encode(first), body_composition.encode(second)]
        await self.remember(weight_scale.encode(Weight(kg, taken, user)))
        return {"measured_at": taken.isoformat()}

    def _on_composition(self, connection: Connection, _notify: bool, indicate: bool) -> None:
        if indicate:
            self.spawn(self._tell_compositions(connection))

    async def _tell_compositions(self, connection: Connection) -> None:
        while self.compositions and await self.send(connection, self._composition, self.compositions[0]):
            del self.compositions[0]
