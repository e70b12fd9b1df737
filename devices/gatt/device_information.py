"""Device Information Service (0x180A): who made the instrument, and which one it is."""

from __future__ import annotations

from types import MappingProxyType
from typing import Final

SERVICE: Final = "0000180a-0000-1000-8000-00805f9b34fb"
CHARACTERISTICS: Final = MappingProxyType(
    {
        "manufacturer": "00002a29-0000-1000-8000-00805f9b34fb",
        "model": "00002a24-0000-1000-8000-00805f9b34fb",
        "serial": "00002a25-0000-1000-8000-00805f9b34fb",
        "firmware": "00002a26-0000-1000-8000-00805f9b34fb",
    }
)
"""The string characteristics worth keeping, by the name under which the record knows them."""


def decode(data: bytes) -> str:
    """UTF-8 text without the padding that instruments add; bytes that are not UTF-8 are shown as such."""
    return data.split(b"\0", 1)[0].decode("utf-8", errors="backslashreplace").strip()
