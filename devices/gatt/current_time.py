"""Current Time (0x2A2B) of the Current Time Service: Date Time, day of week, 1/256 seconds, reason of change."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from devices.gatt import date_time
from devices.gatt.errors import DecodeError

SERVICE: Final = "00001805-0000-1000-8000-00805f9b34fb"
UUID: Final = "00002a2b-0000-1000-8000-00805f9b34fb"
SIZE: Final = 10
_EXTERNAL_REFERENCE: Final = 1 << 1


def decode(data: bytes) -> datetime | None:
    """The naive local time to 1/256 s, or ``None`` where the date is unknown."""
    if len(data) != SIZE:
        raise DecodeError(
            "truncated" if len(data) < SIZE else "oversized", f"a current time has 10 bytes, not {len(data)}"
        )
    moment = date_time.decode(data[: date_time.SIZE])
    return None if moment is None else moment.replace(microsecond=data[8] * 1_000_000 // 256)


def encode(moment: datetime) -> bytes:
    """Ten bytes that set a clock from an external reference."""
    fractions = moment.microsecond * 256 // 1_000_000
    return date_time.encode(moment) + bytes((moment.isoweekday(), fractions, _EXTERNAL_REFERENCE))
