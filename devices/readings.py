"""The vocabulary of measurement: what a home can say, in which unit, and how far it may be believed.

Everything a device reports is a :class:`Reading`. A measurement with several values (a cuff gives systolic,
diastolic, mean arterial pressure and pulse) is several readings with the same device and measured time. An
event (a fall, a call for help) is a reading too: its metric's ``kind`` is ``EVENT`` and its value is a
probability between 0 and 1. What a sensor in the flat sees (a door, a bed) is ``AMBIENT``, 0 or 1. So one key, one
store and one rules core serve them all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, IntFlag
from types import MappingProxyType
from typing import Final


class Kind(Enum):
    """What a metric's value means."""

    VITAL = "vital"
    EVENT = "event"
    AMBIENT = "ambient"
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that can be measured.

    ``code`` is the small integer by which the record and the rules core know it: it is never reused.
    ``unit`` is UCUM. ``loinc`` is the observation code, or ``None`` where LOINC has none. ``low`` and
    ``high`` bound what is plausible for a person or device; outside them a reading is not usable.
    """

    code: int
    name: str
    unit: str
    loinc: str | None
    low: float
    high: float
    kind: Kind = Kind.VITAL


class Quality(IntFlag):
    """What is known against a reading; 0 is a reading without reservation.

    The cuff's own flags follow Blood Pressure Measurement Status (GATT Specification Supplement 3.33).
    """

    NONE = 0
    CLOCK_SUSPECT = 1 << 0
    """The measured time cannot be true: in the future, or before the device was made."""
    CLOCK_JUST_SET = 1 << 1
    """The gateway had just set the device's clock when it took this reading: it was measured just now."""
    NO_DEVICE_TIME = 1 << 2
    """The device sends no time of its own; the measured time is when the gateway heard it."""
    FROM_MEMORY = 1 << 3
    """The device kept this reading and sent it later."""
    BODY_MOVEMENT = 1 << 4
    CUFF_TOO_LOOSE = 1 << 5
    IRREGULAR_PULSE = 1 << 6
    PULSE_ABOVE_RANGE = 1 << 7
    PULSE_BELOW_RANGE = 1 << 8
    IMPROPER_POSITION = 1 << 9
    QUESTIONABLE = 1 << 10
    """The device itself doubts the value: a poor signal, a sensor that does not sit well."""


# Plausible ranges of blood pressure: the engineering bounds of the clinical reference (systolic 50-260,
# diastolic 30-160). The others are the widest values the Bluetooth services' instruments can show.
_CATALOGUE: Final = (
    Metric(1, "systolic", "mm[Hg]", "8480-6", 50, 260),
    Metric(2, "diastolic", "mm[Hg]", "8462-4", 30, 160),
    Metric(3, "mean_arterial_pressure", "mm[Hg]", "8478-0", 35, 200),
    Metric(4, "pulse", "/min", "8867-4", 20, 250),
    Metric(5, "spo2", "%", "59408-5", 50, 100),
    Metric(6, "body_temperature", "Cel", "8310-5", 25, 45),
    Metric(7, "body_weight", "kg", "29463-7", 20, 300),
    Metric(8, "glucose", "mmol/L", "15074-8", 0.5, 40),
    Metric(9, "respiratory_rate", "/min", "9279-1", 3, 70),
    Metric(10, "body_mass_index", "kg/m2", "39156-5", 8, 100),
    Metric(11, "body_fat", "%", "41982-0", 1, 80),
    Metric(12, "muscle_mass", "kg", "73964-9", 5, 150),
    Metric(13, "rr_standard_deviation", "ms", "80404-7", 0, 500),
    Metric(14, "perfusion_index", "%", "61006-3", 0, 30),
    Metric(15, "interstitial_glucose", "mmol/L", "105272-9", 0.5, 40),
    Metric(40, "fall", "1", None, 0, 1, Kind.EVENT),
    Metric(41, "help_call", "1", None, 0, 1, Kind.EVENT),
    Metric(42, "fall_recovered", "1", None, 0, 1, Kind.EVENT),
    Metric(43, "inactivity", "1", None, 0, 1, Kind.EVENT),
    Metric(46, "activity_resumed", "1", None, 0, 1, Kind.EVENT),
    Metric(44, "glucose_above_scale", "1", None, 0, 1, Kind.EVENT),
    Metric(45, "glucose_below_scale", "1", None, 0, 1, Kind.EVENT),
    Metric(47, "fall_confirmed", "1", None, 0, 1, Kind.EVENT),
    Metric(48, "said_well", "1", None, 0, 1, Kind.EVENT),
    Metric(49, "long_lie", "1", None, 0, 1, Kind.EVENT),
    Metric(53, "stood_up", "1", None, 0, 1, Kind.EVENT),
    Metric(50, "movement", "1", None, 0, 1, Kind.AMBIENT),
    Metric(51, "door", "1", None, 0, 1, Kind.AMBIENT),
    Metric(52, "bed", "1", None, 0, 1, Kind.AMBIENT),
    Metric(60, "battery", "%", None, 0, 100, Kind.DEVICE),
    Metric(61, "gateway_silence", "h", None, 0, 100_000, Kind.DEVICE),
    Metric(62, "device_silence", "1", None, 0, 100_000, Kind.DEVICE),
    Metric(63, "worn", "1", None, 0, 1, Kind.DEVICE),
    Metric(64, "charging", "1", None, 0, 1, Kind.DEVICE),
    Metric(65, "device_dropped", "1", None, 0, 1, Kind.DEVICE),
    Metric(66, "not_worn", "h", None, 0, 100_000, Kind.DEVICE),
)

METRICS: Final = MappingProxyType({m.name: m for m in _CATALOGUE})
"""Every metric by its name."""

METRICS_BY_CODE: Final = MappingProxyType({m.code: m for m in _CATALOGUE})
"""Every metric by its stored code."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one metric from one device.

    ``device`` is the Bluetooth address in upper case. ``value`` is in the metric's unit. ``measured_at`` is
    what the device says, ``collected_at`` when the gateway held it in its hands; both are timezone-aware
    UTC. The key is (device, metric, measured_at). ``user`` is the cuff's user slot. ``detail`` carries
    what explains an event (for a fall: impact_g, free_fall_ms, stillness_s, posture_change_deg).
    """

    device: str
    metric: str
    value: float
    measured_at: datetime
    collected_at: datetime
    quality: Quality = Quality.NONE
    user: int | None = None
    detail: dict[str, float] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, datetime]:
        """What makes two deliveries of this reading the same reading."""
        return self.device, self.metric, self.measured_at
