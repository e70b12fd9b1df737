"""Pulse oximeters with the standard service (0x1822): spot checks with a memory, and running measurements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from devices.desk import Desk
from devices.drivers.driver import Configured, Title
from devices.drivers.instrument import Instrument, Measured
from devices.drivers.running import Refusals, Running, Summary
from devices.gatt import pulse_oximeter
from devices.gatt.errors import DecodeError
from devices.gatt.pulse_oximeter import Continuous, SensorStatus, SpotCheck, Status
from devices.link import Link
from devices.readings import Quality

# What the oximeter itself says is no measurement of a person, and what it only doubts. (The names are those of PLXS
# 1.0, tables 3.4 and 3.5; that the former must not be shown as a value is our reading of them.)
_NO_MEASUREMENT: Final = (
    Status.INVALID | Status.UNAVAILABLE | Status.CALIBRATION_ONGOING | Status.TESTING | Status.DEMONSTRATION
)
_NO_PERSON: Final = (
    SensorStatus.EQUIPMENT_MALFUNCTION
    | SensorStatus.SENSOR_UNCONNECTED_TO_USER
    | SensorStatus.UNKNOWN_SENSOR
    | SensorStatus.SENSOR_MALFUNCTIONING
    | SensorStatus.SENSOR_DISCONNECTED
)
_DOUBTED: Final = Status.QUESTIONABLE
_POOR: Final = (
    SensorStatus.SIGNAL_IRREGULARITY
    | SensorStatus.INADEQUATE_SIGNAL
    | SensorStatus.POOR_SIGNAL
    | SensorStatus.LOW_PERFUSION
    | SensorStatus.ERRATIC_SIGNAL
    | SensorStatus.NONPULSATILE_SIGNAL
    | SensorStatus.QUESTIONABLE_PULSE
    | SensorStatus.SENSOR_INTERFERENCE
    | SensorStatus.SENSOR_DISPLACED
)


def spot_check(raw: bytes) -> Measured:
    """A finished measurement. Raises :class:`DecodeError` (``device_says_invalid``) for one that the oximeter disowns."""
    m = pulse_oximeter.decode_spot_check(raw)
    if _is_none(m):
        raise DecodeError("device_says_invalid", "the oximeter itself says that this is no measurement")
    quality = Quality.QUESTIONABLE if _is_doubted(m) else Quality.NONE
    if m.status is not None and m.status & Status.FROM_STORAGE:
        quality |= Quality.FROM_MEMORY
        if m.timestamp is None:
            quality |= Quality.CLOCK_SUSPECT  # when it was measured nobody knows; not now
    if m.timestamp is not None and not m.clock_set:
        quality |= Quality.CLOCK_SUSPECT
    return Measured(_values(m), m.timestamp, quality=quality)


class Oximeter(Instrument):
    """One oximeter of the home. A running measurement becomes one reading a minute, of values nobody doubts."""

    kind: ClassVar[str] = "oximeter"
    title: ClassVar[Title] = Title("Oximeter", "血氧仪")
    service: ClassVar[str] = pulse_oximeter.SERVICE
    measures: ClassVar[Mapping[str, Callable[[bytes], Measured]]] = {pulse_oximeter.SPOT_CHECK: spot_check}

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._running = Running()
        self._refusals = Refusals()

    async def subscribe(self, link: Link) -> bool:
        """Both ways of measuring, or the one it has."""
        spot_checks = await super().subscribe(link)
        return await self.listen(link, pulse_oximeter.CONTINUOUS, self.ran) or spot_checks

    async def gather(self, link: Link) -> None:
        """Stay for as long as the finger is in the clip."""
        try:
            await link.quiet_for(self.habits.quiet_s)
        finally:
            self._keep(self._running.end())

    def ran(self, raw: bytes) -> None:
        """Take one value of a running measurement."""
        try:
            m = pulse_oximeter.decode_continuous(raw)
        except DecodeError as error:
            if self._refusals.is_kept(error.reason, self.desk.now()):
                self.desk.refuse(self.address, pulse_oximeter.CONTINUOUS, raw, error.reason)
            return
        if not (_is_none(m) or _is_doubted(m) or (m.status is not None and m.status & Status.EARLY_ESTIMATE)):
            self._keep(self._running.add(self.desk.now(), _values(m)))

    def _keep(self, summary: Summary | None) -> None:
        if summary is not None:
            self.desk.keep(summary.readings(self.address, self.desk.now()))


def _values(m: SpotCheck | Continuous) -> dict[str, float | None]:
    return {"spo2": m.spo2, "pulse": m.pulse, "perfusion_index": m.amplitude}


def _is_none(m: SpotCheck | Continuous) -> bool:
    return bool((m.status or Status(0)) & _NO_MEASUREMENT or (m.sensor or SensorStatus(0)) & _NO_PERSON)


def _is_doubted(m: SpotCheck | Continuous) -> bool:
    return bool((m.status or Status(0)) & _DOUBTED or (m.sensor or SensorStatus(0)) & _POOR)
