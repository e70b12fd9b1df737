"""Health Thermometer Service (0x1809, HTS 1.0): Temperature Measurement (0x2A1C).

Also reads Intermediate Temperature (0x2A1E), which has the same layout, and what the thermometer says of all its
measurements: Temperature Type (0x2A1D) and Measurement Interval (0x2A21). That an interval of 0 means none is from
general knowledge of the service and was not checked against its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from devices.gatt.layout import (
    FLOAT,
    TIME,
    U16,
    Field,
    Packet,
    either,
    flag,
    mapped,
    one_of,
    record,
    required,
    whole,
    within,
)

SERVICE: Final = "00001809-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a1c-0000-1000-8000-00805f9b34fb"
TEMPERATURE_TYPE: Final = "00002a1d-0000-1000-8000-00805f9b34fb"
INTERMEDIATE_TEMPERATURE: Final = "00002a1e-0000-1000-8000-00805f9b34fb"
MEASUREMENT_INTERVAL: Final = "00002a21-0000-1000-8000-00805f9b34fb"

LOWEST_CEL: Final = 0
HIGHEST_CEL: Final = 100
"""Far beyond the scale of a clinical thermometer (ISO 80601-2-56 asks for 34 to 43): a packet outside is no body temperature."""


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


_FAHRENHEIT, _TIME, _SITE = (1 << i for i in range(3))
_CELSIUS: Final = within(
    either(_FAHRENHEIT, FLOAT, mapped(FLOAT, lambda f: (f - 32) * 5 / 9, lambda c: c * 9 / 5 + 32)),
    LOWEST_CEL,
    HIGHEST_CEL,
    "no clinical thermometer shows {:g} °C",
)
_MEASUREMENT: Final = Packet(
    record(
        Temperature,
        Field("celsius", required(_CELSIUS, "the thermometer could not measure: it sent no temperature")),
        Field("timestamp", TIME, _TIME),
        Field("site", one_of(Site), _SITE),
        Field("unit_fahrenheit", flag(_FAHRENHEIT)),
    )
)


def decode(data: bytes) -> Temperature:
    """A temperature, complete or refused.

    Reserved flag bits are ignored. Raises :class:`DecodeError` for a packet shorter or longer than its flags
    promise, for a temperature that is no number or that no thermometer shows, and for a reserved site.
    """
    return _MEASUREMENT.decode(data)


def encode(m: Temperature) -> bytes:
    """The packet a thermometer would send."""
    return _MEASUREMENT.encode(m)


def decode_site(data: bytes) -> Site:
    """Where this thermometer always measures. Raises :class:`DecodeError` for a reserved site."""
    return whole(one_of(Site), data, "temperature type")


def decode_interval(data: bytes) -> int:
    """Seconds between two measurements; 0 where the thermometer measures only when asked."""
    return whole(U16, data, "measurement interval")
