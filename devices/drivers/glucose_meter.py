"""Blood glucose meters (Glucose Service, 0x1808). They hand their numbered records over when asked.

A value beyond the meter's scale is no number, and may be an emergency: it becomes an event. What a meter itself says
against a measurement (too small a sample, a wrong strip) makes it one that is refused, visibly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Final

from devices.desk import Desk
from devices.drivers.driver import Configured, Title
from devices.drivers.instrument import Instrument, Measured
from devices.drivers.records import Memory, RecordAccess
from devices.gatt import glucose, glucose_context
from devices.gatt.errors import DecodeError
from devices.gatt.glucose import MG_PER_MMOL, Beyond, Fluid, Glucose, Location, Sample, Status
from devices.gatt.glucose_context import Context
from devices.link import Link
from devices.readings import Quality

BEYOND: Final[dict[Beyond, str]] = {"high": "glucose_above_scale", "low": "glucose_below_scale"}
"""The event that a value beyond an instrument's scale is."""

_SPOILT: Final = {
    Status.SENSOR_MALFUNCTION: "sensor_malfunction",
    Status.SAMPLE_TOO_SMALL: "sample_too_small",
    Status.STRIP_INSERTION_ERROR: "strip_insertion_error",
    Status.STRIP_TYPE_INCORRECT: "strip_type_incorrect",
    Status.TEMPERATURE_TOO_HIGH: "temperature_too_high",
    Status.TEMPERATURE_TOO_LOW: "temperature_too_low",
    Status.READ_INTERRUPTED: "read_interrupted",
    Status.DEVICE_FAULT: "device_fault",
}


def measured(m: Glucose, context: Context | None = None) -> Measured:
    """A record as readings, in mmol/L at the wearer's time. Raises :class:`DecodeError` for what is nobody's blood glucose."""
    sample = _usable(m)
    at = None if m.base_time is None else m.base_time + timedelta(minutes=m.time_offset_min or 0)
    quality = Quality.CLOCK_SUSPECT if Status.TIME_FAULT & (m.status or Status(0)) else Quality.NONE
    detail = {"fluid": float(sample.fluid), "location": float(sample.location)} | _noted(context)
    if sample.beyond is not None:
        return Measured({BEYOND[sample.beyond]: 1.0}, at, None, quality, detail)
    assert sample.glucose_mg_dl is not None
    return Measured({"glucose": round(sample.glucose_mg_dl / MG_PER_MMOL, 2)}, at, None, quality, detail)


def _usable(m: Glucose) -> Sample:
    for status, reason in _SPOILT.items():
        if m.status is not None and m.status & status:
            raise DecodeError(reason, f"the meter itself says against it: {reason.replace('_', ' ')}")
    if m.sample is None:
        raise DecodeError("no_value", "the record has no glucose concentration")
    if m.sample.fluid is Fluid.CONTROL_SOLUTION or m.sample.location is Location.CONTROL_SOLUTION:
        raise DecodeError("control_solution", "the meter was tested with control solution")
    return m.sample


def _noted(context: Context | None) -> dict[str, float]:
    """What was noted beside a measurement, as far as numbers hold it; ``docs/devices.md`` says what each means."""
    if context is None:
        return {}
    noted: dict[str, float | None] = {"meal": context.meal}
    if context.carbohydrate is not None:
        noted |= {"food": context.carbohydrate.food, "carbohydrate_g": context.carbohydrate.grams}
    if context.tested is not None:
        noted |= {"tester": context.tested.tester, "health": context.tested.health}
    if context.exercise is not None:
        noted |= {"exercise_s": context.exercise.duration_s, "exercise_pct": context.exercise.intensity_pct}
    if context.medication is not None:
        unit = "ml" if context.medication.volume else "mg"
        noted |= {"drug": context.medication.drug, f"drug_{unit}": context.medication.amount}
    return {name: float(value) for name, value in noted.items() if value is not None}


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A record whose context has still to come."""

    record: Glucose
    raw: bytes


class GlucoseMeter(Instrument):
    """One glucose meter of the home."""

    kind: ClassVar[str] = "glucose_meter"
    title: ClassVar[Title] = Title("Blood glucose meter", "血糖仪")
    service: ClassVar[str] = glucose.SERVICE
    measures: ClassVar[Mapping[str, Callable[[bytes], Measured]]] = {
        glucose.MEASUREMENT: lambda raw: measured(glucose.decode(raw)),
    }

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._memory = Memory(desk, self.address)
        self._waiting: _Waiting | None = None

    async def subscribe(self, link: Link) -> bool:
        """Subscribe to records and to what belongs to them."""
        self._waiting = None
        if not await super().subscribe(link):
            return False
        await self.listen(link, glucose_context.UUID, self.context)  # a meter may do without
        return True

    async def gather(self, link: Link) -> None:
        """Ask for the records that are new."""
        access = RecordAccess(link)
        if not await access.open():
            self.desk.trouble(self.address, "this device does not offer what its kind measures")
            return
        everything = self.habits.records == "all" or self.habits.delete
        try:
            complete = await self._memory.fetch(access, everything=everything)
        finally:
            self._keep_waiting(None)
        if not complete:
            self.desk.trouble(self.address, "its records did not all come: they are asked for again")
        elif self.habits.delete:
            await self._memory.delete(access)

    def take(self, uuid: str, raw: bytes) -> None:
        """Take one record. It is on the disk when this returns, or when its context has come."""
        self._keep_waiting(None)
        try:
            record = glucose.decode(raw)
        except DecodeError as error:
            self.refuse(uuid, raw, error.reason)
            self._memory.unreadable()
            return
        self._waiting = _Waiting(record, raw)
        if not record.context_follows:
            self._keep_waiting(None)

    def context(self, raw: bytes) -> None:
        """Take the context of the record that came before it."""
        try:
            found = glucose_context.decode(raw)
        except DecodeError as error:
            self.refuse(glucose_context.UUID, raw, error.reason)
            return
        if self._waiting is not None and self._waiting.record.sequence == found.sequence:
            self._keep_waiting(found)

    def _keep_waiting(self, context: Context | None) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is None:
            return
        try:
            found = measured(waiting.record, context)
        except DecodeError as error:
            self.refuse(glucose.MEASUREMENT, waiting.raw, error.reason)
        else:
            self.keep(found, waiting.raw, is_numbered=True)
        self._memory.came(waiting.record.sequence, waiting.raw)
