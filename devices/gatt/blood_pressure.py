"""Blood Pressure Service (0x1810, BLS 1.1): Measurement (0x2A35) and Feature (0x2A49).

Also reads Intermediate Cuff Pressure (0x2A36), which has the same layout with diastolic and mean NaN.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from enum import IntFlag
from typing import Final

from devices.gatt import date_time
from devices.gatt.errors import DecodeError
from devices.gatt.reader import Reader
from devices.gatt.sfloat import encode_sfloat

SERVICE: Final = "00001810-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a35-0000-1000-8000-00805f9b34fb"
INTERMEDIATE_CUFF_PRESSURE: Final = "00002a36-0000-1000-8000-00805f9b34fb"
FEATURE: Final = "00002a49-0000-1000-8000-00805f9b34fb"

MMHG_PER_KPA: Final = 7.50062
HIGHEST_MMHG: Final = 400
"""Beyond the scale of any instrument (ISO 81060-2 tests up to 260): a packet with more is no blood pressure."""
_KPA, _TIME, _PULSE, _USER, _STATUS = (1 << i for i in range(5))


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
    device's naive local time. ``pulse`` is in beats a minute.
    """

    systolic: float
    diastolic: float | None
    mean_arterial_pressure: float | None
    pulse: float | None = None
    timestamp: datetime | None = None
    user: int | None = None
    status: Status = _NO_STATUS
    unit_kpa: bool = False


def decode(data: bytes) -> BloodPressure:
    """A measurement, complete or refused.

    Reserved flag bits are ignored, as the specification asks. Raises :class:`DecodeError` for a packet shorter
    or longer than its flags promise, for a systolic pressure that is no number, for a pressure that no instrument
    can show, and for the reserved pulse range.
    """
    reader = Reader(data)
    flags = reader.u8("flags")
    pressures = [reader.sfloat(what) for what in ("systolic", "diastolic", "mean arterial pressure")]
    timestamp = reader.time() if flags & _TIME else None
    pulse = reader.sfloat("pulse rate") if flags & _PULSE else None
    user = reader.user() if flags & _USER else None
    status = _status(reader.u16("measurement status")) if flags & _STATUS else Status(0)
    reader.end()
    systolic, diastolic, mean = (_mmhg(p, kpa=bool(flags & _KPA)) for p in pressures)
    if systolic is None:
        raise DecodeError("no_value", "the cuff could not measure: it sent no systolic pressure")
    for pressure in (systolic, diastolic, mean):
        if pressure is not None and not 0 <= pressure <= HIGHEST_MMHG:
            raise DecodeError("implausible", f"no instrument shows {pressure:g} mmHg: this is something else")
    return BloodPressure(systolic, diastolic, mean, pulse, timestamp, user, status, bool(flags & _KPA))


def encode(m: BloodPressure) -> bytes:
    """The packet a cuff would send."""
    scale = MMHG_PER_KPA if m.unit_kpa else 1.0
    flags = m.unit_kpa * _KPA | (m.timestamp is not None) * _TIME | (m.pulse is not None) * _PULSE
    flags |= (m.user is not None) * _USER | bool(m.status) * _STATUS
    packet = bytes((flags,))
    for pressure in (m.systolic, m.diastolic, m.mean_arterial_pressure):
        packet += struct.pack("<H", encode_sfloat(None if pressure is None else round(pressure / scale, 1)))
    packet += b"" if m.timestamp is None else date_time.encode(m.timestamp)
    packet += b"" if m.pulse is None else struct.pack("<H", encode_sfloat(m.pulse))
    packet += b"" if m.user is None else bytes((m.user,))
    return packet + (struct.pack("<H", m.status) if m.status else b"")


def decode_feature(data: bytes) -> Feature:
    """What the cuff can do; reserved bits are ignored. A longer value belongs to a later version and is read as far as known."""
    if len(data) < 2:
        raise DecodeError("truncated", f"a blood pressure feature has 2 bytes, not {len(data)}")
    return Feature(int.from_bytes(data[:2], "little") & 0x01FF)


def _status(raw: int) -> Status:
    if raw >> 3 & 0b11 == 0b11:
        raise DecodeError("reserved_value", "the pulse is said to be above and below its range at once")
    return Status(raw & 0x3F)


def _mmhg(value: float | None, *, kpa: bool) -> float | None:
    return value * MMHG_PER_KPA if value is not None and kpa else value
