"""Weight Scale Service (0x181D, WSS 1.0): Weight Measurement (0x2A9D) and Weight Scale Feature (0x2A9E)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntFlag
from typing import Final

from devices.gatt.layout import (
    TIME,
    U16,
    USER,
    Field,
    Packet,
    bits,
    either,
    flag,
    record,
    required,
    scaled,
    start,
    unless,
)

SERVICE: Final = "0000181d-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a9d-0000-1000-8000-00805f9b34fb"
FEATURE: Final = "00002a9e-0000-1000-8000-00805f9b34fb"

KG_PER_LB: Final = 0.45359237
M_PER_IN: Final = 0.0254
UNSUCCESSFUL: Final = 0xFFFF


class Feature(IntFlag):
    """What a scale can do. The resolutions of weight and height in bits 3-9 bind only the display."""

    TIME_STAMP = 1 << 0
    MULTIPLE_USERS = 1 << 1
    BMI = 1 << 2


@dataclass(frozen=True, slots=True)
class Body:
    """What a scale that knows its user adds: body mass index in kg/m2 and height in m."""

    bmi: float
    height_m: float


@dataclass(frozen=True, slots=True)
class Weight:
    """One measurement in kg whatever the scale sent; ``unit_imperial`` says whether it used pounds and inches.

    ``timestamp`` is the device's naive local time, ``user`` the scale's user slot, ``None`` where unknown.
    """

    weight_kg: float
    timestamp: datetime | None = None
    user: int | None = None
    body: Body | None = None
    unit_imperial: bool = False


IMPERIAL: Final = 1 << 0
"""The flag bit of a scale that weighs in pounds and inches, here and in a body composition."""
_TIME, _USER, _BODY = (1 << i for i in range(1, 4))
_RAW: Final = unless(U16, UNSUCCESSFUL)
MASS_KG: Final = either(IMPERIAL, scaled(_RAW, 200), scaled(_RAW, 100, KG_PER_LB))
HEIGHT_M: Final = either(IMPERIAL, scaled(U16, 1000), scaled(U16, 10, M_PER_IN))

_MEASUREMENT: Final = Packet(
    record(
        Weight,
        Field("weight_kg", required(MASS_KG, "the scale could not measure: it sent no weight")),
        Field("timestamp", TIME, _TIME),
        Field("user", USER, _USER),
        Field("body", record(Body, Field("bmi", scaled(U16, 10)), Field("height_m", HEIGHT_M)), _BODY),
        Field("unit_imperial", flag(IMPERIAL)),
    )
)
_FEATURE: Final = bits(Feature, 4)


def decode(data: bytes) -> Weight:
    """A weight, complete or refused.

    Reserved flag bits are ignored. Raises :class:`DecodeError` for a packet shorter or longer than its flags
    promise and for a measurement that the scale calls unsuccessful.
    """
    return _MEASUREMENT.decode(data)


def encode(m: Weight) -> bytes:
    """The packet a scale would send, to 0.005 kg or 0.01 lb."""
    return _MEASUREMENT.encode(m)


def decode_feature(data: bytes) -> Feature:
    """What the scale can do; reserved bits and resolutions are ignored."""
    return start(_FEATURE, data, "feature")
