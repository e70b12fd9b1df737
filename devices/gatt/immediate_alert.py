"""Alert Level (0x2A06) of the Immediate Alert Service (0x1802): a device that vibrates, blinks or beeps when told to.

Source: Immediate Alert Service 1.0, 3.1: written without response; a device goes on until told "no alert", until
somebody stops it on the device, or for as long as it thinks right. The Link Loss Service has a characteristic with the
same UUID, which means another thing: whoever writes must take this service's.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from devices.gatt.errors import DecodeError
from devices.gatt.layout import U8, whole

SERVICE: Final = "00001802-0000-1000-8000-00805f9b34fb"
ALERT_LEVEL: Final = "00002a06-0000-1000-8000-00805f9b34fb"


class Level(IntEnum):
    """How urgently it calls."""

    NONE = 0
    MILD = 1
    HIGH = 2


def decode(data: bytes) -> Level:
    """The level; 3-255 are reserved and refused."""
    level = whole(U8, data, "alert level")
    if level not in list(Level):
        raise DecodeError("reserved_value", f"{level} is reserved and names no alert level")
    return Level(level)


def encode(level: Level) -> bytes:
    """One byte."""
    return bytes((level,))
