"""Body Composition Service (0x181B, BCS 1.0): Body Composition Measurement (0x2A9C) and Feature (0x2A9B).

Layout: GATT Specification Supplement, Body Composition Measurement and Body Composition Feature.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import IntFlag
from typing import Final

from devices.gatt import date_time
from devices.gatt.errors import DecodeError
from devices.gatt.reader import Reader, optional
from devices.gatt.weight_scale import KG_PER_LB, M_PER_IN, UNSUCCESSFUL

SERVICE: Final = "0000181b-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a9c-0000-1000-8000-00805f9b34fb"
FEATURE: Final = "00002a9b-0000-1000-8000-00805f9b34fb"

HIGHEST_PCT: Final = 100
_IMPERIAL, _TIME, _USER, _METABOLISM, _MUSCLE_PCT = (1 << i for i in range(5))
_MASSES: Final = {
    "muscle_mass_kg": 1 << 5,
    "fat_free_mass_kg": 1 << 6,
    "soft_lean_mass_kg": 1 << 7,
    "body_water_mass_kg": 1 << 8,
}
_IMPEDANCE, _WEIGHT, _HEIGHT, _MULTIPLE = (1 << i for i in range(9, 13))


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


def decode(data: bytes) -> BodyComposition:
    """A packet, complete or refused.

    Reserved flag bits are ignored. Raises :class:`DecodeError` for a packet shorter or longer than its flags
    promise, for a measurement that the scale calls unsuccessful, and for more than 100 % of fat or muscle.
    """
    reader = Reader(data)
    flags = reader.u16("flags")
    imperial = bool(flags & _IMPERIAL)
    fat = reader.u16("body fat percentage")
    timestamp = reader.time() if flags & _TIME else None
    user = reader.user() if flags & _USER else None
    metabolism = reader.u16("basal metabolism") if flags & _METABOLISM else None
    muscle = reader.u16("muscle percentage") if flags & _MUSCLE_PCT else None
    muscle_mass, fat_free, soft_lean, water = (
        _kg(reader, imperial=imperial) if flags & bit else None for bit in _MASSES.values()
    )
    impedance = reader.u16("impedance") / 10 if flags & _IMPEDANCE else None
    weight = _kg(reader, imperial=imperial) if flags & _WEIGHT else None
    height = reader.u16("height") if flags & _HEIGHT else None
    reader.end()
    if fat == UNSUCCESSFUL:
        raise DecodeError("no_value", "the scale could not measure: it sent no body fat")
    height_m = None if height is None else height / 10 * M_PER_IN if imperial else height / 1000
    muscle_pct = None if muscle is None else _percent(muscle)
    several = bool(flags & _MULTIPLE)
    return BodyComposition(
        _percent(fat), timestamp, user, metabolism, muscle_pct, muscle_mass, fat_free, soft_lean, water,
        impedance, weight, height_m, imperial, several,
    )  # fmt: skip


def encode(m: BodyComposition) -> bytes:
    """The packet a scale would send, to 0.005 kg or 0.01 lb."""
    masses = [getattr(m, name) for name in _MASSES]
    flags = m.unit_imperial * _IMPERIAL | (m.timestamp is not None) * _TIME | (m.user is not None) * _USER
    flags |= (m.basal_metabolism_kj is not None) * _METABOLISM | (m.muscle_pct is not None) * _MUSCLE_PCT
    flags |= sum(bit for mass, bit in zip(masses, _MASSES.values(), strict=True) if mass is not None)
    flags |= (m.impedance_ohm is not None) * _IMPEDANCE | (m.weight_kg is not None) * _WEIGHT
    flags |= (m.height_m is not None) * _HEIGHT | m.multiple_packets * _MULTIPLE
    mass = 100 / KG_PER_LB if m.unit_imperial else 200
    height = 10 / M_PER_IN if m.unit_imperial else 1000
    packet = struct.pack("<HH", flags, round(m.fat_pct * 10)) + optional(m.timestamp, date_time.encode)
    packet += optional(m.user, struct.Struct("<B").pack) + _u16(m.basal_metabolism_kj, 1) + _u16(m.muscle_pct, 10)
    packet += b"".join(_u16(value, mass) for value in masses)
    return packet + _u16(m.impedance_ohm, 10) + _u16(m.weight_kg, mass) + _u16(m.height_m, height)


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
    reader = Reader(data)
    feature = Feature(reader.uint(4, "features") & 0x7FF)
    reader.end()
    return feature


def _kg(reader: Reader, *, imperial: bool) -> float:
    raw = reader.u16("mass")
    return raw / 100 * KG_PER_LB if imperial else raw / 200


def _percent(tenths: int) -> float:
    if tenths > HIGHEST_PCT * 10:
        raise DecodeError("implausible", f"no body is {tenths / 10:g} % fat or muscle: this is something else")
    return tenths / 10


def _u16(value: float | None, scale: float) -> bytes:
    return b"" if value is None else struct.pack("<H", round(value * scale))
