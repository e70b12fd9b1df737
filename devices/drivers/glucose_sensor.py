"""Continuous glucose sensors (Continuous Glucose Monitoring Service, 0x181F). Their link is kept for as long as it holds.

A sensor counts minutes since its session began: a record's time is the session's start and that offset. What was
measured while nobody was connected is asked for at the next visit. While a sensor warms up, and when it says that it is
out of order, it measures nothing; a value beyond its scale is an event, once until the next value within it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, TypeVar

from devices.desk import Desk
from devices.drivers.clock import Clock, note_error
from devices.drivers.driver import Configured, Title
from devices.drivers.glucose_meter import BEYOND
from devices.drivers.instrument import Instrument, Measured
from devices.drivers.records import Memory, RecordAccess
from devices.gatt import continuous_glucose
from devices.gatt.continuous_glucose import Feature, Measurement, SessionStart, Status
from devices.gatt.errors import DecodeError
from devices.gatt.glucose import MG_PER_MMOL
from devices.link import Link
from devices.readings import Reading

log = logging.getLogger(__name__)

SILENT_S: Final = 1200.0  # four records of five minutes: a sensor that says nothing for so long has left
_SAME_SESSION: Final = timedelta(minutes=10)
_QUARTER_MIN: Final = 15
_OUT_OF_ORDER: Final = (
    Status.SESSION_STOPPED,
    Status.SENSOR_TYPE_INCORRECT,
    Status.SENSOR_MALFUNCTION,
    Status.DEVICE_FAULT,
)
_T = TypeVar("_T")


class GlucoseSensor(Instrument):
    """One glucose sensor of the home."""

    kind: ClassVar[str] = "glucose_sensor"
    title: ClassVar[Title] = Title("Continuous glucose sensor", "动态血糖传感器")
    service: ClassVar[str] = continuous_glucose.SERVICE
    measures: ClassVar[Mapping[str, Callable[[bytes], Measured]]] = {}

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._memory = Memory(desk, self.address)
        self._session = f"session of {self.address}"
        self._began: datetime | None = None
        self._beyond = desk.recall(f"beyond of {self.address}") or ""
        self._crc = self._is_ill = False
        self._early: list[bytes] = []

    async def subscribe(self, link: Link) -> bool:
        """Subscribe to its records; those that come before its session is known wait for that."""
        self._began, self._early = None, []
        return await self.listen(link, continuous_glucose.MEASUREMENT, self.record)

    async def judge_clock(self, link: Link) -> Clock:
        """Learn when its session began, and from how old that is how far its clock is ahead."""
        features = await self._read(link, continuous_glucose.FEATURE, continuous_glucose.decode_feature)
        self._crc = features is not None and Feature.E2E_CRC in features.can
        start = await self._read(link, continuous_glucose.SESSION_START_TIME, continuous_glucose.decode_session_start)
        state = await self._read(link, continuous_glucose.STATUS, continuous_glucose.decode_status)
        if state is not None:
            self._heed(state.status)
        now = self.desk.now()
        by_offset = None if state is None else now - timedelta(minutes=state.time_offset_min)
        told = start and self._told(start)
        if told is None and by_offset is not None:
            await self._write_start(link, by_offset)
        self._began = told or self._remembered(by_offset)
        if self._began is None:
            return Clock()
        self.desk.remember(self._session, self._began.isoformat())
        ahead = self._began - by_offset if told and by_offset and self.desk.knows_time else None
        note_error(self.address, self.desk, ahead)
        return Clock(ahead)

    def _told(self, start: SessionStart) -> datetime | None:
        if start.utc is not None:
            return start.utc
        return None if start.local is None else self.desk.utc(start.local)

    def _remembered(self, by_offset: datetime | None) -> datetime | None:
        """When a session of a sensor without a clock began: what was found at an earlier visit, if it is the same one."""
        before = self.desk.recall(self._session)
        if by_offset is None or before is None:
            return by_offset
        known = datetime.fromisoformat(before)
        return known if abs(known - by_offset) < _SAME_SESSION else by_offset

    async def _write_start(self, link: Link, began: datetime) -> None:
        """Tell a sensor that does not know the time when its session began."""
        if not self.desk.knows_time:
            return
        local = began.astimezone(self.desk.zone)
        offset = local.utcoffset() or timedelta()
        minutes = round(offset.total_seconds() / 60 / _QUARTER_MIN) * _QUARTER_MIN
        start = SessionStart(local.replace(tzinfo=None), minutes, 0)
        packet = continuous_glucose.encode_session_start(start, crc=self._crc)
        await link.write(continuous_glucose.SESSION_START_TIME, packet)

    async def _read(self, link: Link, uuid: str, decode: Callable[[bytes], _T]) -> _T | None:
        raw = await link.read(uuid)
        if raw is None:
            return None
        try:
            return decode(raw)
        except DecodeError as error:
            self.refuse(uuid, raw, error.reason)
            return None

    async def gather(self, link: Link) -> None:
        """Ask for what was missed; then listen until the link ends."""
        if self._began is None:
            self.desk.trouble(self.address, "this device does not offer what its kind measures")
            return
        early, self._early = self._early, []
        for raw in early:
            self.record(raw)
        access = RecordAccess(link)
        if await access.open():
            epoch = self._began.isoformat(timespec="minutes")
            everything = self.habits.records == "all"
            if not await self._memory.fetch(access, everything=everything, epoch=epoch):
                self.desk.trouble(self.address, "its records did not all come: they are asked for again")
        await link.quiet_for(SILENT_S)

    def record(self, raw: bytes) -> None:
        """Take one notification. Its values, or its refusal, are on the disk when this returns."""
        if self._began is None:
            self._early.append(raw)  # a sensor keeps its records: nothing is lost when this is
            return
        try:
            found = continuous_glucose.decode(raw)
        except DecodeError as error:
            self.refuse(continuous_glucose.MEASUREMENT, raw, error.reason)
            self._memory.unreadable()
            return
        for one in found:
            self._keep_record(one, raw)

    def _keep_record(self, one: Measurement, raw: bytes) -> None:
        assert self._began is not None
        self._heed(one.status)
        if any(one.status & status for status in _OUT_OF_ORDER):
            if one.glucose_mg_dl is not None:
                self.refuse(continuous_glucose.MEASUREMENT, raw, "sensor_malfunction")
        elif one.glucose_mg_dl is not None:
            self._keep_value("interstitial_glucose", round(one.glucose_mg_dl / MG_PER_MMOL, 2), one, "")
        elif one.beyond is not None and one.beyond != self._beyond:
            self._keep_value(BEYOND[one.beyond], 1.0, one, one.beyond)
        self._memory.came(one.time_offset_min, one.time_offset_min.to_bytes(2, "little"))

    def _keep_value(self, metric: str, value: float, one: Measurement, beyond: str) -> None:
        assert self._began is not None
        now = self.desk.now()
        at = self._began + timedelta(minutes=one.time_offset_min)
        detail = {} if one.trend_mg_dl_min is None else {"trend": round(one.trend_mg_dl_min / MG_PER_MMOL, 3)}
        reading = Reading(self.address, metric, value, at.astimezone(UTC), now, detail=detail)
        facts = {} if beyond == self._beyond else {f"beyond of {self.address}": beyond}
        self.desk.keep([self.judged(reading)], facts=facts)
        self._beyond = beyond

    def _heed(self, status: Status) -> None:
        """Say what is wrong with the sensor, or that it is well again."""
        was_ill, self._is_ill = self._is_ill, any(status & flag for flag in _OUT_OF_ORDER)
        if status & Status.SESSION_STOPPED:
            self.desk.trouble(self.address, "its session has ended: a new sensor is needed")
        elif self._is_ill:
            self.desk.trouble(self.address, "its sensor does not work, as it says itself")
        elif was_ill:
            self.desk.well(self.address)
