"""A virtual blood-pressure cuff of the newer kind (BLS 1.1): it keeps numbered records until somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import ClassVar, Final

from bumble.core import UUID
from bumble.gatt import Characteristic

from devices.gatt import blood_pressure, blood_pressure_record
from devices.gatt.blood_pressure import Feature
from devices.gatt.blood_pressure_record import Record
from devices.virtual.keeper import Keeper, Packet
from devices.virtual.radio import Air
from devices.virtual.twin import Answer, Perms, Plate, Props
from devices.virtual.twins.cuff import Measurement, record

_SEGMENT: Final = 15  # bytes of a value: the segments of one packet of the shortest kind there is
_MEASUREMENT: Final = 0x2A35


class RecordCuff(Keeper):
    """A cuff that keeps its records."""

    kind: ClassVar[str] = "record_cuff"

    def __init__(self, air: Air, plate: Plate) -> None:
        can = Feature.IRREGULAR_PULSE | Feature.MULTIPLE_BONDS | Feature.E2E_CRC
        feature: Characteristic[bytes] = Characteristic(
            UUID(blood_pressure.FEATURE), Props.READ, Perms.READABLE, can.to_bytes(2, "little")
        )
        result: Characteristic[bytes] = Characteristic(UUID(blood_pressure.MEASUREMENT), Props.INDICATE, Perms.READABLE)
        super().__init__(air, plate, blood_pressure.SERVICE, blood_pressure_record.UUID, [feature, result])

    def packets(self, number: int, record: bytes) -> Iterable[Packet]:
        """Its segments."""
        whole = Record(number, _MEASUREMENT, record)
        for segment in blood_pressure_record.split(whole, size=_SEGMENT, crc=True):
            yield Packet(self._measurement, blood_pressure_record.encode_segment(segment))

    def usual(self, number: int, taken: datetime) -> bytes:
        """A record of a pressure a little above 120/75 mmHg, of nobody in particular."""
        return record(Measurement(systolic=121 + number % 17, diastolic=74 + number % 9, user=None), taken)

    def failed(self, taken: datetime) -> bytes:
        """No pressure is a number."""
        good = self.usual(0, taken)
        return good[:1] + 3 * b"\xff\x07" + good[7:]

    async def do_measure(
        self, systolic: float, diastolic: float, user: int | None = None, timestamped: bool = True
    ) -> Answer:
        """Measure; the answer is the cuff's time of it."""
        taken = self.next_moment()
        shown = Measurement(systolic=systolic, diastolic=diastolic, user=user, timestamped=timestamped)
        await self.remember(record(shown, taken))
        return {"measured_at": taken.isoformat()}
