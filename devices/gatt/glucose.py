"""Glucose Service (0x1808, GLS 1.0): Glucose Measurement (0x2A18)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, IntFlag
from typing import Final

from devices.gatt import date_time
from devices.gatt.errors import DecodeError
from devices.gatt.reader import Reader, named, optional
from devices.gatt.sfloat import encode_sfloat

SERVICE: Final = "00001808-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a18-0000-1000-8000-00805f9b34fb"

MG_PER_MMOL: Final = 18.016
"""mg/dL of glucose in 1 mmol/L."""
HIGHEST_MG_DL: Final = 2000
"""Beyond the scale of any meter (those at home end at about 600): a packet with more is no blood glucose."""
_OFFSET, _SAMPLE, _MOLAR, _STATUS, _CONTEXT = (1 << i for i in range(5))
_OFFSET_OVERRUN, _OFFSET_UNDERRUN = 0x7FFF, -0x8000
# Exponents end at -8, so these are all the decimals a concentration can have: rounding to them undoes what
# multiplying by a power of ten adds.
_MG_DL_DECIMALS, _MMOL_DECIMALS = 3, 5


class Fluid(IntEnum):
    """Type: what was measured."""

    CAPILLARY_WHOLE_BLOOD = 1
    CAPILLARY_PLASMA = 2
    VENOUS_WHOLE_BLOOD = 3
    VENOUS_PLASMA = 4
    ARTERIAL_WHOLE_BLOOD = 5
    ARTERIAL_PLASMA = 6
    UNDETERMINED_WHOLE_BLOOD = 7
    UNDETERMINED_PLASMA = 8
    INTERSTITIAL_FLUID = 9
    CONTROL_SOLUTION = 10


class Location(IntEnum):
    """Sample Location: where the sample was taken."""

    FINGER = 1
    ALTERNATE_SITE = 2
    EARLOBE = 3
    CONTROL_SOLUTION = 4
    NOT_AVAILABLE = 15


class Status(IntFlag):
    """Sensor Status Annunciation; bits 12-15 are reserved."""

    BATTERY_LOW = 1 << 0
    SENSOR_MALFUNCTION = 1 << 1
    SAMPLE_TOO_SMALL = 1 << 2
    STRIP_INSERTION_ERROR = 1 << 3
    STRIP_TYPE_INCORRECT = 1 << 4
    RESULT_TOO_HIGH = 1 << 5
    RESULT_TOO_LOW = 1 << 6
    TEMPERATURE_TOO_HIGH = 1 << 7
    TEMPERATURE_TOO_LOW = 1 << 8
    READ_INTERRUPTED = 1 << 9
    DEVICE_FAULT = 1 << 10
    TIME_FAULT = 1 << 11


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured: glucose in mg/dL whatever was sent; ``unit_molar`` says that the meter uses mol/L."""

    glucose_mg_dl: float
    fluid: Fluid
    location: Location
    unit_molar: bool = False


@dataclass(frozen=True, slots=True)
class Glucose:
    """One record of a meter.

    ``sequence`` numbers the records of the meter. ``base_time`` is its naive local time, ``None`` where unknown;
    the wearer's time is that plus ``time_offset_min``, in minutes. ``sample`` is ``None`` for a record that only
    tells a status, ``status`` where the meter sends none. ``context_follows``: a Glucose Measurement Context
    (0x2A34) with the same sequence number comes next.
    """

    sequence: int
    base_time: datetime | None
    time_offset_min: int | None = None
    sample: Sample | None = None
    status: Status | None = None
    context_follows: bool = False


def decode(data: bytes) -> Glucose:
    """A record, complete or refused.

    Reserved bits are ignored. Raises :class:`DecodeError` for a packet shorter or longer than its flags promise,
    for a concentration that is no number or that no meter shows, for a reserved type or location, and for a time
    offset that ran over.
    """
    reader = Reader(data)
    flags = reader.u8("flags")
    sequence = reader.u16("sequence number")
    base_time = reader.time("base time")
    time_offset_min = _offset(reader) if flags & _OFFSET else None
    sample = _sample(reader, molar=bool(flags & _MOLAR)) if flags & _SAMPLE else None
    status = Status(reader.u16("sensor status") & 0x0FFF) if flags & _STATUS else None
    reader.end()
    return Glucose(sequence, base_time, time_offset_min, sample, status, bool(flags & _CONTEXT))


def encode(m: Glucose) -> bytes:
    """The packet a meter would send."""
    flags = (m.time_offset_min is not None) * _OFFSET | (m.sample is not None) * _SAMPLE
    flags |= (m.sample is not None and m.sample.unit_molar) * _MOLAR
    flags |= (m.status is not None) * _STATUS | m.context_follows * _CONTEXT
    packet = struct.pack("<BH", flags, m.sequence)
    packet += bytes(date_time.SIZE) if m.base_time is None else date_time.encode(m.base_time)
    packet += optional(m.time_offset_min, struct.Struct("<h").pack) + optional(m.sample, _encode_sample)
    return packet + optional(m.status, struct.Struct("<H").pack)


def _offset(reader: Reader) -> int:
    offset = int.from_bytes(reader.take(2, "time offset"), "little", signed=True)
    if offset in (_OFFSET_OVERRUN, _OFFSET_UNDERRUN):
        raise DecodeError("reserved_value", "the meter's time offset ran over: when it measured is not known")
    return offset


def _sample(reader: Reader, *, molar: bool) -> Sample:
    concentration = reader.sfloat("glucose concentration")
    nibbles = reader.u8("type and sample location")
    fluid, location = named(Fluid, nibbles & 0xF, "type"), named(Location, nibbles >> 4, "sample location")
    if concentration is None:
        raise DecodeError("no_value", "the meter could not measure: it sent no glucose concentration")
    mg_dl = _mg_dl(concentration, molar=molar)
    if not 0 <= mg_dl <= HIGHEST_MG_DL:
        raise DecodeError("implausible", f"no meter shows {mg_dl:g} mg/dL: this is something else")
    return Sample(mg_dl, fluid, location, molar)


def _mg_dl(concentration: float, *, molar: bool) -> float:
    if molar:
        return round(concentration * 1e3, _MMOL_DECIMALS) * MG_PER_MMOL
    return round(concentration * 1e5, _MG_DL_DECIMALS)


def _encode_sample(sample: Sample) -> bytes:
    mg_dl = sample.glucose_mg_dl
    concentration = round(mg_dl / MG_PER_MMOL, _MMOL_DECIMALS) / 1e3 if sample.unit_molar else mg_dl / 1e5
    return struct.pack("<HB", encode_sfloat(concentration), sample.location << 4 | sample.fluid)
