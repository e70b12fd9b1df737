"""Body Composition Service (0x181B, BCS 1.0): Body Composition Measurement (0x2A9C) and Feature (0x2A9B).

Layout: GATT Specification Supplement, Body Composition Measurement and Body Composition Feature. What the second
packet of a measurement repeats is from public code that follows section 3.2 of the service (it was not checked
against its text).
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import IntFlag
from typing import Final

from devices.gatt.errors import DecodeError
from devices.gatt.layout import (
    TIME,
    U16,
    USER,
    Field,
    Packet,
    bits,
    flag,
    record,
    required,
    scaled,
    start,
    unless,
    within,
)
from devices.gatt.weight_scale import HEIGHT_M, IMPERIAL, MASS_KG, UNSUCCESSFUL

SERVICE: Final = "0000181b-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a9c-0000-1000-8000-00805f9b34fb"
FEATURE: Final = "00002a9b-0000-1000-8000-00805f9b34fb"


class Feature(IntFlag):
    """What a scale can measure. The resolutions of mass and height in bits 11-17 bind only the display."""

    TIME_STAMP = 1 << 0
    MULTIPLE_USERS = 1 << 1
    BASAL_METABOLISM = 1 << 2
    MUSCLE_PERCENTAGE = 1 << 3
    MUSCLE_MASS = 1 << 4
    FAT_FREE_MASS = 1 << 5
    SOFT_LEAN_MASS = 1 << 6
    BODY_WATER_MASS = 1 << 7
    IMPEDANCE = 1 << 8
    WEIGHT = 1 << 9
    HEIGHT = 1 << 10


@dataclass(frozen=True, slots=True)
class BodyComposition:
    """One packet. Masses are in kg and heights in m whatever was sent; ``unit_imperial`` says what it was.

    ``fat_pct`` and ``muscle_pct`` are in %, ``basal_metabolism_kj`` in kJ, ``impedance_ohm`` in ohm. ``timestamp`` is
    the scale's naive local time, ``user`` its user slot, ``None`` where unknown. ``multiple_packets``: the
    measurement comes in two packets; :func:`join` makes them one.
    """

    fat_pct: float
    timestamp: datetime | None = None
    user: int | None = None
    basal_metabolism_kj: int | None = None
    muscle_pct: float | None = None
    muscle_mass_kg: float | None = None
    fat_free_mass_kg: float | None = None
    soft_lean_mass_kg: float | None = None
    body_water_mass_kg: float | None = None
    impedance_ohm: float | None = None
    weight_kg: float | None = None
    height_m: float | None = None
    unit_imperial: bool = False
    multiple_packets: bool = False


_PERCENT: Final = within(scaled(unless(U16, UNSUCCESSFUL), 10), 0, 100, "no body is {:g} % fat or muscle")
_MEASUREMENT: Final = Packet(
    record(
        BodyComposition,
        Field("fat_pct", required(_PERCENT, "the scale could not measure: it sent no body fat")),
        Field("timestamp", TIME, 1 << 1),
        Field("user", USER, 1 << 2),
        Field("basal_metabolism_kj", U16, 1 << 3),
        Field("muscle_pct", _PERCENT, 1 << 4),
        Field("muscle_mass_kg", MASS_KG, 1 << 5),
        Field("fat_free_mass_kg", MASS_KG, 1 << 6),
        Field("soft_lean_mass_kg", MASS_KG, 1 << 7),
        Field("body_water_mass_kg", MASS_KG, 1 << 8),
        Field("impedance_ohm", scaled(U16, 10), 1 << 9),
        Field("weight_kg", MASS_KG, 1 << 10),
        Field("height_m", HEIGHT_M, 1 << 11),
        Field("unit_imperial", flag(IMPERIAL)),
        Field("multiple_packets", flag(1 << 12)),
    ),
    flags=U16,
)
_FEATURE: Final = bits(Feature, 4)


def decode(data: bytes) -> BodyComposition:
    """A packet, complete or refused.

    Reserved flag bits are ignored. Raises :class:`DecodeError` for a packet shorter or longer than its flags
    promise, for a measurement that the scale calls unsuccessful, and for more than 100 % of fat or muscle.
    """
    return _MEASUREMENT.decode(data)


def encode(m: BodyComposition) -> bytes:
    """The packet a scale would send, to 0.005 kg or 0.01 lb."""
    return _MEASUREMENT.encode(m)


def join(first: BodyComposition, second: BodyComposition) -> BodyComposition:
    """One measurement from its two packets, which follow each other; both repeat the fat, only the first has time and user.

    Raises :class:`DecodeError` where they are not two halves of one measurement.
    """
    if second.fat_pct != first.fat_pct or second.timestamp is not None or second.user is not None:
        raise DecodeError("mismatched", "two packets that follow each other are not of one measurement")
    missing = {f.name: getattr(second, f.name) for f in fields(first) if getattr(first, f.name) is None}
    return replace(first, **missing)


def decode_feature(data: bytes) -> Feature:
    """What the scale can measure; reserved bits and resolutions are ignored."""
    return start(_FEATURE, data, "feature")
