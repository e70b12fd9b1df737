"""Glucose Service (0x1808, GLS 1.0): Glucose Measurement (0x2A18) and Glucose Feature (0x2A51).

The Glucose Measurement Context (0x2A34) has its own module. The bits of the feature are from general knowledge of the
service and public code; they were not checked against its text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime
from enum import IntEnum, IntFlag
from typing import Any, Final, Literal

from devices.gatt.errors import DecodeError
from devices.gatt.layout import (
    SFLOAT,
    TIME,
    U16,
    Field,
    Kind,
    Packet,
    bits,
    either,
    flag,
    mapped,
    nibbles,
    record,
    sint,
    start,
    within,
)
from devices.gatt.reader import Reader
from devices.gatt.sfloat import decode_sfloat, encode_sfloat

SERVICE: Final = "00001808-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a18-0000-1000-8000-00805f9b34fb"
FEATURE: Final = "00002a51-0000-1000-8000-00805f9b34fb"

MG_PER_MMOL: Final = 18.016
"""mg/dL of glucose in 1 mmol/L."""
HIGHEST_MG_DL: Final = 2000
"""Beyond the scale of any meter (those at home end at about 600): a packet with more is no blood glucose."""
# Exponents end at -8, so these are all the decimals a concentration can have: rounding to them undoes what
# multiplying by a power of ten adds.
_MG_DL_DECIMALS, _MMOL_DECIMALS = 3, 5

Beyond = Literal["high", "low"]
"""On which side of the instrument's scale a value lies of which it gives no number (it shows "HI" or "LO")."""


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


class Feature(IntFlag):
    """What a meter can tell."""

    LOW_BATTERY = 1 << 0
    SENSOR_MALFUNCTION = 1 << 1
    SAMPLE_SIZE = 1 << 2
    STRIP_INSERTION = 1 << 3
    STRIP_TYPE = 1 << 4
    RESULT_HIGH_LOW = 1 << 5
    TEMPERATURE_HIGH_LOW = 1 << 6
    READ_INTERRUPTED = 1 << 7
    DEVICE_FAULT = 1 << 8
    TIME_FAULT = 1 << 9
    MULTIPLE_BONDS = 1 << 10


@dataclass(frozen=True, slots=True)
class Sample:
    """What was measured: glucose in mg/dL whatever was sent; ``unit_molar`` says that the meter uses mol/L.

    A value beyond the meter's scale has no number: then ``glucose_mg_dl`` is ``None`` and ``beyond`` says on which
    side it lies. Otherwise ``beyond`` is ``None``.
    """

    glucose_mg_dl: float | None
    fluid: Fluid
    location: Location
    unit_molar: bool = False
    beyond: Beyond | None = None


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


_OVERRUN, _UNDERRUN = 0x7FFF, -0x8000
_INFINITE: Final[dict[float | None, Beyond]] = {math.inf: "high", -math.inf: "low"}
_NUMBER: Final = {beyond: number for number, beyond in _INFINITE.items()}


def concentration(kind: Kind[Any]) -> Kind[tuple[float | None, Beyond | None]]:
    """Glucose as an SFLOAT: a number, or the side of the scale beyond which it lies, or neither.

    ``kind`` reads the number in mg/dL. A number that no instrument shows is refused.
    """
    number = within(kind, 0, HIGHEST_MG_DL, "no instrument shows {:g} mg/dL")

    def read(reader: Reader, what: str, flags: int) -> tuple[float | None, Beyond | None]:
        infinite = _INFINITE.get(decode_sfloat(reader.peek(2, what)))
        return number.read(reader, what, flags), infinite

    def write(value: tuple[float | None, Beyond | None], flags: int) -> bytes:
        mg_dl, beyond = value
        return number.write(mg_dl, flags) if beyond is None else encode_sfloat(_NUMBER[beyond]).to_bytes(2, "little")

    return Kind(read, write)


def _in_range(offset: int) -> int:
    if offset in (_OVERRUN, _UNDERRUN):
        raise DecodeError("reserved_value", "the meter's time offset ran over: when it measured is not known")
    return offset


_OFFSET, _SAMPLE, _MOLAR, _STATUS, _CONTEXT = (1 << i for i in range(5))
_KG_L: Final = mapped(SFLOAT, lambda kg: round(kg * 1e5, _MG_DL_DECIMALS), lambda mg_dl: mg_dl / 1e5)
_MOL_L: Final = mapped(
    SFLOAT,
    lambda mol: round(mol * 1e3, _MMOL_DECIMALS) * MG_PER_MMOL,
    lambda mg_dl: round(mg_dl / MG_PER_MMOL, _MMOL_DECIMALS) / 1e3,
)
_MEASUREMENT: Final = Packet(
    record(
        Glucose,
        Field("sequence", U16),
        Field("base_time", TIME),
        Field("time_offset_min", mapped(sint(2), _in_range, int), _OFFSET),
        Field(
            "sample",
            record(
                Sample,
                Field(("glucose_mg_dl", "beyond"), concentration(either(_MOLAR, _KG_L, _MOL_L))),
                Field(("fluid", "location"), nibbles(Fluid, Location)),
                Field("unit_molar", flag(_MOLAR)),
            ),
            _SAMPLE,
        ),
        Field("status", bits(Status, 2), _STATUS),
        Field("context_follows", flag(_CONTEXT)),
    )
)
_FEATURE: Final = bits(Feature, 2)


def decode(data: bytes) -> Glucose:
    """A record, complete or refused.

    Reserved bits are ignored. Raises :class:`DecodeError` for a packet shorter or longer than its flags promise,
    for a concentration that is no number or that no meter shows, for a reserved type or location, and for a time
    offset that ran over. A value above or below the meter's scale is no number and yet a measurement.
    """
    found = _MEASUREMENT.decode(data)
    sample = found.sample
    if sample is None or sample.glucose_mg_dl is not None or sample.beyond is not None:
        return found
    status = found.status or Status(0)
    beyond = side(too_high=Status.RESULT_TOO_HIGH in status, too_low=Status.RESULT_TOO_LOW in status)
    if beyond is None:
        raise DecodeError("no_value", "the meter could not measure: it sent no glucose concentration")
    return replace(found, sample=replace(sample, beyond=beyond))


def encode(m: Glucose) -> bytes:
    """The packet a meter would send."""
    return _MEASUREMENT.encode(m)


def decode_feature(data: bytes) -> Feature:
    """What the meter can tell; reserved bits are ignored."""
    return start(_FEATURE, data, "feature")


def side(*, too_high: bool, too_low: bool) -> Beyond | None:
    """The side of the scale that a status names; none where it names both."""
    if too_high == too_low:
        return None
    return "high" if too_high else "low"
