"""Heart Rate Service (0x180D, HRS 1.0): Heart Rate Measurement (0x2A37) and Body Sensor Location (0x2A38)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

from devices.gatt.layout import (
    U8,
    U16,
    Field,
    Kind,
    Packet,
    either,
    one_of,
    record,
    required,
    scaled,
    to_the_end,
    unless,
    whole,
    within,
)

SERVICE: Final = "0000180d-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a37-0000-1000-8000-00805f9b34fb"
BODY_SENSOR_LOCATION: Final = "00002a38-0000-1000-8000-00805f9b34fb"

HIGHEST_PER_MIN: Final = 400
"""Faster than any heart: a packet with more is no heart rate."""
RR_PER_S: Final = 1024


class Location(IntEnum):
    """Body Sensor Location: where the sensor is worn."""

    OTHER = 0
    CHEST = 1
    WRIST = 2
    FINGER = 3
    HAND = 4
    EAR_LOBE = 5
    FOOT = 6


@dataclass(frozen=True, slots=True)
class HeartRate:
    """One notification.

    ``rate`` is in beats a minute. ``contact`` says whether the sensor touches skin, ``None`` where it cannot tell.
    ``energy_kj`` is the energy expended since it was last reset, in kJ. ``rr_s`` are the times between beats in
    seconds, the oldest first.
    """

    rate: int
    contact: bool | None = None
    energy_kj: int | None = None
    rr_s: tuple[float, ...] = ()


_WIDE, _CONTACT, _CONTACT_SUPPORTED, _ENERGY, _RR = (1 << i for i in range(5))
_RATE: Final = replace(either(_WIDE, U8, U16), flags=lambda rate: (rate > 0xFF) * _WIDE)
_TOUCHES: Final[Kind[bool | None]] = Kind(
    lambda reader, what, flags: bool(flags & _CONTACT) if flags & _CONTACT_SUPPORTED else None,
    lambda *_: b"",
    lambda contact: 0 if contact is None else _CONTACT_SUPPORTED | contact * _CONTACT,
)
_MEASUREMENT: Final = Packet(
    record(
        HeartRate,
        Field(
            "rate",
            required(
                within(unless(_RATE, 0), 0, HIGHEST_PER_MIN, "no heart beats {:g} times a minute"),
                "the sensor felt no pulse: it sent a heart rate of 0",
            ),
        ),
        Field("contact", _TOUCHES),
        Field("energy_kj", U16, _ENERGY),
        Field("rr_s", to_the_end(scaled(U16, RR_PER_S), 2), _RR),
    )
)


def decode(data: bytes) -> HeartRate:
    """A heart rate, complete or refused.

    Raises :class:`DecodeError` for a packet shorter or longer than its flags promise, for a rate of 0, which
    sensors send that feel no pulse, and for a rate that no heart has.
    """
    return _MEASUREMENT.decode(data)


def encode(m: HeartRate) -> bytes:
    """The packet a sensor would send."""
    return _MEASUREMENT.encode(m)


def decode_location(data: bytes) -> Location:
    """Where the sensor is worn. Raises :class:`DecodeError` for a reserved place."""
    return whole(one_of(Location), data, "body sensor location")
