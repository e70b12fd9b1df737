"""Battery Level (0x2A19) of the Battery Service: percent in one byte."""

from __future__ import annotations

from typing import Final

from devices.gatt.errors import DecodeError

SERVICE: Final = "0000180f-0000-1000-8000-00805f9b34fb"
UUID: Final = "00002a19-0000-1000-8000-00805f9b34fb"


def decode(data: bytes) -> int:
    """Percent from 0 to 100; 101-255 are reserved and refused."""
    if len(data) != 1:
        raise DecodeError("truncated" if not data else "oversized", f"a battery level has 1 byte, not {len(data)}")
    if data[0] > 100:
        raise DecodeError("reserved_value", f"a battery cannot be at {data[0]} %")
    return data[0]


def encode(percent: int) -> bytes:
    """One byte for a level from 0 to 100."""
    return bytes((percent,))
