"""A virtual blood glucose meter: numbered records with their contexts, handed over when asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import ClassVar, Literal

from bumble.core import UUID
from bumble.gatt import Characteristic

from devices.gatt import glucose, glucose_context
from devices.gatt.errors import DecodeError
from devices.gatt.glucose import MG_PER_MMOL, Fluid, Glucose, Location, Sample, Status
from devices.gatt.glucose_context import Context, Meal
from devices.virtual.keeper import Keeper, Packet
from devices.virtual.radio import Air
from devices.virtual.twin import Answer, Perms, Plate, Props, Refused


class GlucoseMeter(Keeper):
    """A meter."""

    kind: ClassVar[str] = "glucose_meter"

    def __init__(self, air: Air, plate: Plate) -> None:
        self._context: Characteristic[bytes] = Characteristic(UUID(glucose_context.UUID), Props.NOTIFY, Perms.READABLE)
        feature: Characteristic[bytes] = Characteristic(UUID(glucose.FEATURE), Props.READ, Perms.READABLE, b"\x20\x00")
        self._meals: dict[bytes, Meal] = {}
        self._offset_min = 0
        super().__init__(air, plate, glucose.SERVICE, glucose.MEASUREMENT, [self._context, feature])

    def packets(self, number: int, record: bytes) -> Iterable[Packet]:
        """The record, numbered, and its context."""
        meal = self._meals.pop(record, None)
        try:
            numbered = replace(glucose.decode(record), sequence=number, context_follows=meal is not None)
        except DecodeError:
            yield Packet(self._measurement, record)
            return
        yield Packet(self._measurement, glucose.encode(numbered))
        if meal is not None:
            yield Packet(self._context, glucose_context.encode(Context(number, meal=meal)))

    def usual(self, number: int, taken: datetime) -> bytes:
        """A record of 5.0 to 6.9 mmol/L."""
        return self._record(5 + number % 20 / 10, taken)

    def failed(self, taken: datetime) -> bytes:
        """The sample was too small, and a number comes all the same."""
        return glucose.encode(replace(glucose.decode(self._record(5, taken)), status=Status.SAMPLE_TOO_SMALL))

    def _record(self, mmol_l: float | None, taken: datetime, fluid: Fluid = Fluid.CAPILLARY_WHOLE_BLOOD) -> bytes:
        mg_dl = None if mmol_l is None else mmol_l * MG_PER_MMOL
        sample = Sample(mg_dl, fluid, Location.FINGER, unit_molar=True)
        return glucose.encode(Glucose(0, taken, self._offset_min or None, sample))

    async def do_measure(
        self,
        mmol_l: float | None = None,
        meal: int | None = None,
        beyond: Literal["high", "low"] | None = None,
        control: bool = False,
    ) -> Answer:
        """Measure; ``beyond`` the scale there is no number. The answer is the meter's time of it."""
        taken = self.next_moment()
        fluid = Fluid.CONTROL_SOLUTION if control else Fluid.CAPILLARY_WHOLE_BLOOD
        record = self._record(mmol_l, taken, fluid)
        if beyond is not None:
            made = glucose.decode(self._record(1, taken))
            assert made.sample is not None
            record = glucose.encode(replace(made, sample=replace(made.sample, glucose_mg_dl=None, beyond=beyond)))
        elif mmol_l is None:
            raise Refused("a measurement has a value, or lies beyond the scale")
        if meal is not None:
            self._meals[record] = Meal(meal)
        await self.remember(record)
        return {"measured_at": taken.isoformat()}

    async def do_offset(self, minutes: int) -> Answer:
        """Let its wearer set her time by so much: its base time goes on as it was."""
        self._offset_min = minutes
        return {}
