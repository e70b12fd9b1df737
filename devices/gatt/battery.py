"""Battery Level (0x2A19) of the Battery Service: percent in one byte."""

from __future__ import annotations

from typing import Final

from devices.gatt.errors import DecodeError
from devices.gatt.layout import U8, whole

SERVICE: Final = "0000180f-0000-1000-8000-00805f9b34fb"
UUID: Final = "00002a19-0000-1000-8000-00805f9b34fb"


def decode(data: bytes) -> int:
    """Percent from 0 to 100; 101-255 are reserved and refused."""
    percent = whole(U8, data, "battery level")
    if percent > 100:
        raise DecodeError("reserved_value", f"a battery cannot be at {percent} %")
    return percent


def encode(percent: int) -> bytes:
    """One byte for a level from 0 to 100."""
    return bytes((percent,))
