"""Weight Scale Service (0x181D, WSS 1.0): Weight Measurement (0x2A9D)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from devices.gatt import date_time
from devices.gatt.errors import DecodeError
from devices.gatt.reader import Reader, optional

SERVICE: Final = "0000181d-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002a9d-0000-1000-8000-00805f9b34fb"

KG_PER_LB: Final = 0.45359237
M_PER_IN: Final = 0.0254
UNSUCCESSFUL: Final = 0xFFFF
_IMPERIAL, _TIME, _USER, _BODY = (1 << i for i in range(4))


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


def decode(data: bytes) -> Weight:
    """A weight, complete or refused.

    Reserved flag bits are ignored. Raises :class:`DecodeError` for a packet shorter or longer than its flags
    promise and for a measurement that the scale calls unsuccessful.
    """
    reader = Reader(data)
    flags = reader.u8("flags")
    raw = reader.u16("weight")
    timestamp = reader.time() if flags & _TIME else None
    user = reader.user() if flags & _USER else None
    body = _body(reader, imperial=bool(flags & _IMPERIAL)) if flags & _BODY else None
    reader.end()
    if raw == UNSUCCESSFUL:
        raise DecodeError("no_value", "the scale could not measure: it sent no weight")
    weight_kg = raw / 100 * KG_PER_LB if flags & _IMPERIAL else raw / 200
    return Weight(weight_kg, timestamp, user, body, bool(flags & _IMPERIAL))


def encode(m: Weight) -> bytes:
    """The packet a scale would send, to 0.005 kg or 0.01 lb."""
    flags = m.unit_imperial * _IMPERIAL | (m.timestamp is not None) * _TIME
    flags |= (m.user is not None) * _USER | (m.body is not None) * _BODY
    raw = round(m.weight_kg / KG_PER_LB * 100 if m.unit_imperial else m.weight_kg * 200)
    packet = struct.pack("<BH", flags, raw) + optional(m.timestamp, date_time.encode)
    packet += optional(m.user, struct.Struct("<B").pack)
    return packet + optional(m.body, lambda body: _encode_body(body, imperial=m.unit_imperial))


def _body(reader: Reader, *, imperial: bool) -> Body:
    bmi = reader.u16("body mass index") / 10
    height = reader.u16("height")
    return Body(bmi, height / 10 * M_PER_IN if imperial else height / 1000)


def _encode_body(body: Body, *, imperial: bool) -> bytes:
    height = body.height_m / M_PER_IN * 10 if imperial else body.height_m * 1000
    return struct.pack("<HH", round(body.bmi * 10), round(height))
