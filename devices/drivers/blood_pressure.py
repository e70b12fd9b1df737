"""Blood-pressure cuffs with the standard service (0x1810).

Most send their memory when somebody subscribes. Some keep numbered records, which have to be asked for; where these
name users each user's numbers count by themselves, so that nobody's next number is known: then everything is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar, Final

from devices.desk import Desk
from devices.drivers.driver import Configured, Title
from devices.drivers.instrument import VISIT_S, Instrument, Measured
from devices.drivers.records import Memory, RecordAccess
from devices.gatt import blood_pressure, blood_pressure_record
from devices.gatt.blood_pressure import BloodPressure, Feature, Status
from devices.gatt.blood_pressure_record import Record, Segment
from devices.gatt.errors import DecodeError
from devices.link import Link
from devices.readings import Quality

log = logging.getLogger(__name__)

MEASURING_S: Final = 60.0  # from the last pressure in the cuff to the result
_QUALITY: Final = {
    Status.BODY_MOVEMENT: Quality.BODY_MOVEMENT,
    Status.CUFF_TOO_LOOSE: Quality.CUFF_TOO_LOOSE,
    Status.IRREGULAR_PULSE: Quality.IRREGULAR_PULSE,
    Status.PULSE_ABOVE_RANGE: Quality.PULSE_ABOVE_RANGE,
    Status.PULSE_BELOW_RANGE: Quality.PULSE_BELOW_RANGE,
    Status.IMPROPER_POSITION: Quality.IMPROPER_POSITION,
}
_PRESSURES: Final = (blood_pressure.INTERMEDIATE_CUFF_PRESSURE, blood_pressure.ENHANCED_INTERMEDIATE_CUFF_PRESSURE)
_USERS: Final = "users of "


def measured(m: BloodPressure) -> Measured:
    """A cuff's measurement, with what the cuff says against it. Its UTC, where it has one, is its time."""
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
    return Measured(values, m.utc or m.timestamp, m.user, quality)


class Cuff(Instrument):
    """One cuff of the home."""

    kind: ClassVar[str] = "blood_pressure"
    title: ClassVar[Title] = Title("Blood pressure monitor", "血压计")
    service: ClassVar[str] = blood_pressure.SERVICE
    measures: ClassVar[Mapping[str, Callable[[bytes], Measured]]] = {
        blood_pressure.ENHANCED_MEASUREMENT: lambda raw: measured(blood_pressure.decode_enhanced(raw)),
        blood_pressure.MEASUREMENT: lambda raw: measured(blood_pressure.decode(raw)),
    }

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self.is_measuring = False
        self._feature = Feature(0)
        self._memory = Memory(desk, self.address)
        self._segments: list[Segment] = []

    async def subscribe(self, link: Link) -> bool:
        """Subscribe to the one characteristic that tells most: with both, one measurement would come as two."""
        for uuid in self.measures:
            if await self.listen(link, uuid, partial(self._result, uuid)):
                for pressure in _PRESSURES:
                    await link.subscribe(pressure, self._measuring)
                return True
        return False

    async def ask(self, link: Link) -> None:
        """Note what the cuff can do."""
        raw = await link.read(blood_pressure.FEATURE)
        if raw is None:
            return
        try:
            self._feature = blood_pressure.decode_feature(raw)
            log.info("%s can: %s", self.address, self._feature)
        except DecodeError as error:
            self.refuse(blood_pressure.FEATURE, raw, error.reason)

    async def gather(self, link: Link) -> None:
        """Ask for its records where it has any; then stay until it has said everything."""
        if self.habits.records != "none":
            await self._fetch(link)
        await super().gather(link)
        while self.is_measuring and not link.ended.is_set():
            self.is_measuring = False
            await link.quiet_for(MEASURING_S, at_most=VISIT_S)

    async def _fetch(self, link: Link) -> None:
        access = RecordAccess(link)
        self._segments = []
        # Without records of its own, a Record Access on this device belongs to something else it measures.
        keeps_records = await self.listen(link, blood_pressure_record.UUID, self.record)
        if not (keeps_records or self.habits.records == "all") or not await access.open():
            return
        everything = self.habits.records == "all" or self.habits.delete or self._has_users
        if not await self._memory.fetch(access, everything=everything):
            self.desk.trouble(self.address, "its records did not all come: they are asked for again")
        elif self.habits.delete:
            await self._memory.delete(access)

    @property
    def _has_users(self) -> bool:
        return self.desk.recall(_USERS + self.address) is not None

    def _result(self, uuid: str, raw: bytes) -> None:
        self.is_measuring = False
        self.take(uuid, raw)

    def _measuring(self, raw: bytes) -> None:
        """A pressure in the cuff while it measures: no blood pressure, but a reason to stay."""
        if not self.is_measuring:
            log.info("%s is measuring (%s)", self.address, raw.hex(" "))
        self.is_measuring = True

    def record(self, raw: bytes) -> None:
        """Take one segment of a stored record; with its last one the record, or its refusal, is on the disk."""
        try:
            segment = blood_pressure_record.decode_segment(raw)
            self._segments = [segment] if segment.is_first else [*self._segments, segment]
            if not segment.is_last:
                return
            record = blood_pressure_record.join(self._segments, crc=Feature.E2E_CRC in self._feature)
            found = record.measurement()
        except DecodeError as error:
            self.refuse(blood_pressure_record.UUID, raw, error.reason)
            self._memory.unreadable()
            return
        self._keep_record(record, measured(found))

    def _keep_record(self, record: Record, found: Measured) -> None:
        # A measurement that came of itself, before, is the same record: its bytes are.
        known_by = record.value if found.at is not None else record.sequence.to_bytes(2, "little") + record.value
        if found.user is not None and not self._has_users:
            self.desk.remember(_USERS + self.address, "yes")
        self.keep(found, known_by, is_numbered=True)
        self._memory.came(record.sequence, record.value)
