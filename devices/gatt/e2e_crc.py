"""E2E-CRC: the check sum that some services put behind a characteristic.

CRC-CCITT (x^16 + x^12 + x^5 + 1) with seed 0xFFFF, least significant bit first, also known as CRC-16/MCRF4XX:
Continuous Glucose Monitoring Service 1.0, section 3.11, as NordicSemiconductor/Android-BLE-Library computes it.
"""

from __future__ import annotations

from typing import Final

SIZE: Final = 2


def of(data: bytes) -> int:
    """The check sum of these bytes."""
    crc = 0xFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc


def append(data: bytes) -> bytes:
    """The bytes with their check sum behind them."""
    return data + of(data).to_bytes(SIZE, "little")


def _shifted(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (byte & 1) * 0x8408
    return byte


_TABLE: Final = tuple(_shifted(byte) for byte in range(256))
