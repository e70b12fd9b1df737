"""Date Time (0x2A08): seven bytes of local time without a zone. The gateway knows the zone."""

from __future__ import annotations

import struct
from datetime import datetime
from typing import Final

from devices.gatt.errors import DecodeError

UUID: Final = "00002a08-0000-1000-8000-00805f9b34fb"
SIZE: Final = 7
_LAYOUT: Final = struct.Struct("<HBBBBB")


def decode(data: bytes) -> datetime | None:
    """The naive local time, or ``None`` where year, month or day is 0, which means unknown."""
    if len(data) != SIZE:
        raise DecodeError(
            "truncated" if len(data) < SIZE else "oversized", f"a date and time has 7 bytes, not {len(data)}"
        )
    year, month, day, *clock = _LAYOUT.unpack(data)
    if 0 in (year, month, day):
        return None
    try:
        moment = datetime(year, month, day, *clock)  # noqa: DTZ001  the specification gives local time
    except ValueError as error:
        raise DecodeError("reserved_value", f"not a date and time: {data.hex(' ')} ({error})") from error
    if year < 1582:
        raise DecodeError("reserved_value", f"year {year} is before the Gregorian calendar")
    return moment


def encode(moment: datetime) -> bytes:
    """Seven bytes for a local time; what is finer than a second is dropped."""
    return _LAYOUT.pack(moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)
