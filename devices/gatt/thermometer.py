"""Health Thermometer Service (0x1809, HTS 1.0): Temperature Measurement (0x2A1C).

Also reads Intermediate Temperature (0x2A1E), which has the same layout.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from devices.gatt import date_time
from devices.gatt.errors import DecodeError
from devices.gatt.reader import Reader, named, optional
from devices.gatt.sfloat import encode_float

SERVICE: Final = "00001809-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a1c-0000-1000-8000-00805f9b34fb"
INTERMEDIATE_TEMPERATURE: Final = "00002a1e-0000-1000-8000-00805f9b34fb"

LOWEST_CEL: Final = 0
HIGHEST_CEL: Final = 100
"""Far beyond the scale of a clinical thermometer (ISO 80601-2-56 asks for 34 to 43): a packet outside is no body temperature."""
_FAHRENHEIT, _TIME, _SITE = (1 << i for i in range(3))


class Site(IntEnum):
    """Temperature Type: where on the body it was measured."""

    ARMPIT = 1
    BODY = 2
    EAR = 3
    FINGER = 4
    GASTRO_INTESTINAL = 5
    MOUTH = 6
    RECTUM = 7
    TOE = 8
    TYMPANUM = 9


@dataclass(frozen=True, slots=True)
class Temperature:
    """One measurement in degrees Celsius whatever was sent; ``unit_fahrenheit`` says which unit the device used.

    ``timestamp`` is the device's naive local time.
    """

    celsius: float
    timestamp: datetime | None = None
    site: Site | None = None
    unit_fahrenheit: bool = False


def decode(data: bytes) -> Temperature:
    """A temperature, complete or refused.

    Reserved flag bits are ignored. Raises :class:`DecodeError` for a packet shorter or longer than its flags
    promise, for a temperature that is no number or that no thermometer shows, and for a reserved site.
    """
    reader = Reader(data)
    flags = reader.u8("flags")
    value = reader.medical_float("temperature")
    timestamp = reader.time() if flags & _TIME else None
    site = named(Site, reader.u8("temperature type"), "site of measurement") if flags & _SITE else None
    reader.end()
    if value is None:
        raise DecodeError("no_value", "the thermometer could not measure: it sent no temperature")
    celsius = (value - 32) * 5 / 9 if flags & _FAHRENHEIT else value
    if not LOWEST_CEL <= celsius <= HIGHEST_CEL:
        raise DecodeError("implausible", f"no clinical thermometer shows {celsius:g} °C: this is something else")
    return Temperature(celsius, timestamp, site, bool(flags & _FAHRENHEIT))


def encode(m: Temperature) -> bytes:
    """The packet a thermometer would send; in Fahrenheit to a ten-thousandth of a degree."""
    flags = m.unit_fahrenheit * _FAHRENHEIT | (m.timestamp is not None) * _TIME | (m.site is not None) * _SITE
    value = round(m.celsius * 9 / 5 + 32, 4) if m.unit_fahrenheit else m.celsius
    packet = struct.pack("<BI", flags, encode_float(value))
    return packet + optional(m.timestamp, date_time.encode) + optional(m.site, struct.Struct("<B").pack)
