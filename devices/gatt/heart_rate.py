"""Heart Rate Service (0x180D, HRS 1.0): Heart Rate Measurement (0x2A37)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from devices.gatt.errors import DecodeError
from devices.gatt.reader import Reader, optional

SERVICE: Final = "0000180d-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a37-0000-1000-8000-00805f9b34fb"

HIGHEST_PER_MIN: Final = 400
"""Faster than any heart: a packet with more is no heart rate."""
RR_PER_S: Final = 1024
_WIDE, _CONTACT, _CONTACT_SUPPORTED, _ENERGY, _RR = (1 << i for i in range(5))


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


def decode(data: bytes) -> HeartRate:
    """A heart rate, complete or refused.

    Raises :class:`DecodeError` for a packet shorter or longer than its flags promise, for a rate of 0, which
    sensors send that feel no pulse, and for a rate that no heart has.
    """
    reader = Reader(data)
    flags = reader.u8("flags")
    rate = reader.uint(2 if flags & _WIDE else 1, "heart rate")
    contact = bool(flags & _CONTACT) if flags & _CONTACT_SUPPORTED else None
    energy_kj = reader.u16("energy expended") if flags & _ENERGY else None
    rr_s = _intervals(reader) if flags & _RR else ()
    reader.end()
    if rate == 0:
        raise DecodeError("no_value", "the sensor felt no pulse: it sent a heart rate of 0")
    if rate > HIGHEST_PER_MIN:
        raise DecodeError("implausible", f"no heart beats {rate} times a minute: this is something else")
    return HeartRate(rate, contact, energy_kj, rr_s)


def encode(m: HeartRate) -> bytes:
    """The packet a sensor would send."""
    is_wide = m.rate > 0xFF
    flags = is_wide * _WIDE | bool(m.contact) * _CONTACT | (m.contact is not None) * _CONTACT_SUPPORTED
    flags |= (m.energy_kj is not None) * _ENERGY | bool(m.rr_s) * _RR
    packet = struct.pack("<BH" if is_wide else "<BB", flags, m.rate)
    packet += optional(m.energy_kj, struct.Struct("<H").pack)
    return packet + b"".join(struct.pack("<H", round(rr * RR_PER_S)) for rr in m.rr_s)


def _intervals(reader: Reader) -> tuple[float, ...]:
    count = max(1, (reader.left + 1) // 2)
    return tuple(reader.u16("RR interval") / RR_PER_S for _ in range(count))
