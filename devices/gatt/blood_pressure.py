"""Blood Pressure Service (0x1810, BLS 1.1): what cuffs send, and what they keep.

Blood Pressure Measurement (0x2A35) and Feature (0x2A49); Intermediate Cuff Pressure (0x2A36), which has the
measurement's layout with diastolic and mean NaN; Enhanced Blood Pressure Measurement (0x2B34) and Enhanced
Intermediate Cuff Pressure (0x2B35), whose times are seconds. Stored records: :mod:`devices.gatt.blood_pressure_record`.
Layouts: GATT Specification Supplement, the characteristics of these names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import IntFlag
from typing import Final

from devices.gatt.errors import DecodeError
from devices.gatt.layout import (
    SFLOAT,
    TIME,
    USER,
    Field,
    Kind,
    Packet,
    bits,
    either,
    flag,
    mapped,
    record,
    required,
    start,
    uint,
    within,
)

SERVICE: Final = "00001810-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a35-0000-1000-8000-00805f9b34fb"
INTERMEDIATE_CUFF_PRESSURE: Final = "00002a36-0000-1000-8000-00805f9b34fb"
FEATURE: Final = "00002a49-0000-1000-8000-00805f9b34fb"
ENHANCED_MEASUREMENT: Final = "00002b34-0000-1000-8000-00805f9b34fb"
ENHANCED_INTERMEDIATE_CUFF_PRESSURE: Final = "00002b35-0000-1000-8000-00805f9b34fb"

MMHG_PER_KPA: Final = 7.50062
HIGHEST_MMHG: Final = 400
"""Beyond the scale of any instrument (ISO 81060-2 tests up to 260): a packet with more is no blood pressure."""


class Status(IntFlag):
    """Measurement Status. The two bits of the pulse range are kept apart as the values they hold."""

    BODY_MOVEMENT = 1 << 0
    CUFF_TOO_LOOSE = 1 << 1
    IRREGULAR_PULSE = 1 << 2
    PULSE_ABOVE_RANGE = 1 << 3
    PULSE_BELOW_RANGE = 1 << 4
    IMPROPER_POSITION = 1 << 5


class Feature(IntFlag):
    """What a cuff can do."""

    MOVEMENT_DETECTION = 1 << 0
    CUFF_FIT = 1 << 1
    IRREGULAR_PULSE = 1 << 2
    PULSE_RANGE = 1 << 3
    POSITION = 1 << 4
    MULTIPLE_BONDS = 1 << 5
    E2E_CRC = 1 << 6
    USER_DATA = 1 << 7
    USER_FACING_TIME = 1 << 8


_NO_STATUS: Final = Status(0)


@dataclass(frozen=True, slots=True)
class BloodPressure:
    """One measurement. Pressures are in mm[Hg] whatever the cuff sent; ``unit_kpa`` says which unit it used.

    ``diastolic`` and ``mean_arterial_pressure`` are ``None`` where the cuff gave none. ``timestamp`` is the
    device's naive local time, ``utc`` the same moment in UTC, which only an enhanced measurement may have. ``pulse``
    is in beats a minute. ``user`` is the cuff's user slot, ``None`` where the cuff does not know.
    """

    systolic: float
    diastolic: float | None = None
    mean_arterial_pressure: float | None = None
    pulse: float | None = None
    timestamp: datetime | None = None
    user: int | None = None
    status: Status = _NO_STATUS
    unit_kpa: bool = False
    utc: datetime | None = None


def _possible(status: Status) -> Status:
    if Status.PULSE_ABOVE_RANGE in status and Status.PULSE_BELOW_RANGE in status:
        raise DecodeError("reserved_value", "the pulse is said to be above and below its range at once")
    return status


def _seconds_since(epoch: datetime) -> Kind[datetime]:
    return mapped(
        uint(4), lambda seconds: epoch + timedelta(seconds=seconds), lambda t: int((t - epoch).total_seconds())
    )


def _moment(zone: tzinfo | None) -> Kind[datetime]:
    early, late = (datetime(year, 1, 1, tzinfo=zone) for year in (1900, 2000))
    kind = either(_EPOCH_2000, _seconds_since(early), _seconds_since(late))
    # One flag is for both times of a packet, so the later epoch is chosen only where the earlier cannot do.
    return replace(kind, flags=lambda t: _EPOCH_2000 if t - early >= _FOUR_BYTES else 0)


_FOUR_BYTES: Final = timedelta(seconds=1 << 32)
_KPA, _TIME, _PULSE, _USER, _STATUS, _USER_FACING_TIME, _EPOCH_2000 = (1 << i for i in range(7))
_PRESSURE: Final = within(
    either(_KPA, SFLOAT, mapped(SFLOAT, lambda kpa: kpa * MMHG_PER_KPA, lambda mmhg: mmhg / MMHG_PER_KPA)),
    0,
    HIGHEST_MMHG,
    "no instrument shows {:g} mmHg",
)
_FIRST: Final = Field("systolic", required(_PRESSURE, "the cuff could not measure: it sent no systolic pressure"))
_OTHERS: Final = (Field("diastolic", _PRESSURE), Field("mean_arterial_pressure", _PRESSURE))
_UTC: Final = Field("utc", _moment(UTC), _TIME)
_REST: Final = (
    Field("pulse", SFLOAT, _PULSE),
    Field("user", USER, _USER),
    Field("status", mapped(bits(Status, 2), _possible, _possible), _STATUS),
    Field("unit_kpa", flag(_KPA)),
)
_LOCAL: Final = Field("timestamp", _moment(None), _USER_FACING_TIME)
_MEASUREMENT: Final = Packet(record(BloodPressure, _FIRST, *_OTHERS, Field("timestamp", TIME, _TIME), *_REST))
_ENHANCED: Final = Packet(record(BloodPressure, _FIRST, *_OTHERS, _UTC, *_REST, _LOCAL))
_ENHANCED_INTERMEDIATE: Final = Packet(record(BloodPressure, _FIRST, _UTC, *_REST, _LOCAL))
_FEATURE: Final = bits(Feature, 2)


def decode(data: bytes) -> BloodPressure:
    """A measurement, complete or refused.

    Reserved flag bits are ignored, as the specification asks. Raises :class:`DecodeError` for a packet shorter
    or longer than its flags promise, for a systolic pressure that is no number, for a pressure that no instrument
    can show, and for the reserved pulse range.
    """
    return _MEASUREMENT.decode(data)


def encode(m: BloodPressure) -> bytes:
    """The packet a cuff would send; a measurement of this kind has no UTC."""
    return _MEASUREMENT.encode(m)


def decode_enhanced(data: bytes) -> BloodPressure:
    """An enhanced measurement, complete or refused for the same reasons."""
    return _ENHANCED.decode(data)


def encode_enhanced(m: BloodPressure) -> bytes:
    """The packet a cuff with an enhanced measurement would send. Raises ``OverflowError`` for a time after 2136."""
    return _ENHANCED.encode(m)


def decode_enhanced_intermediate(data: bytes) -> BloodPressure:
    """The pressure in the cuff as ``systolic``, with diastolic and mean ``None``, refused for the same reasons."""
    return _ENHANCED_INTERMEDIATE.decode(data)


def encode_enhanced_intermediate(m: BloodPressure) -> bytes:
    """The packet a cuff would send while it measures."""
    return _ENHANCED_INTERMEDIATE.encode(m)


def decode_feature(data: bytes) -> Feature:
    """What the cuff can do; reserved bits are ignored. A longer value belongs to a later version and is read as far as known."""
    return start(_FEATURE, data, "feature")
