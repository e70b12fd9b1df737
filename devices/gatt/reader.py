"""Reading a characteristic field by field, each named for whoever must learn what was missing."""

from __future__ import annotations

import math
from datetime import datetime
from enum import IntEnum
from typing import TypeVar

from devices.gatt import date_time, e2e_crc
from devices.gatt.errors import DecodeError
from devices.gatt.sfloat import decode_float, decode_sfloat

_Named = TypeVar("_Named", bound=IntEnum)


class Reader:
    """The bytes of one packet, from the first to the last. Every ``what`` is the field's name in words."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are still to be read."""
        return len(self._data) - self._at

    def take(self, size: int, what: str) -> bytes:
        """The next ``size`` bytes. Raises :class:`DecodeError` where the packet ends before them."""
        piece = self._data[self._at : self._at + size]
        if len(piece) < size:
            raise DecodeError("truncated", f"the packet ends before its {what}")
        self._at += size
        return piece

    def peek(self, size: int, what: str) -> int:
        """The next ``size`` bytes as an unsigned integer, which is still to be read."""
        value = self.uint(size, what)
        self._at -= size
        return value

    def uint(self, size: int, what: str) -> int:
        """An unsigned integer of ``size`` bytes."""
        return int.from_bytes(self.take(size, what), "little")

    def u8(self, what: str) -> int:
        """An unsigned byte."""
        return self.uint(1, what)

    def u16(self, what: str) -> int:
        """An unsigned integer of two bytes."""
        return self.uint(2, what)

    def sfloat(self, what: str) -> float | None:
        """An SFLOAT, or ``None`` where it is no finite number."""
        return _finite(decode_sfloat(self.u16(what)))

    def medical_float(self, what: str) -> float | None:
        """A FLOAT, or ``None`` where it is no finite number."""
        return _finite(decode_float(self.uint(4, what)))

    def time(self, what: str = "time stamp") -> datetime | None:
        """A Date Time: naive local time, or ``None`` where the date is unknown."""
        return date_time.decode(self.take(date_time.SIZE, what))

    def end(self) -> None:
        """Raises :class:`DecodeError` where bytes are left."""
        if self.left:
            raise DecodeError("oversized", f"{self.left} bytes more than the flags promise")

    def end_or_crc(self) -> None:
        """The end, or the E2E-CRC of all bytes before it. Raises :class:`DecodeError` for anything else."""
        if self.left != e2e_crc.SIZE:
            self.end()
            return
        computed = e2e_crc.of(self._data[: self._at])
        if self.u16("E2E-CRC") != computed:
            raise DecodeError("bad_crc", "the packet is not as its sender made it: its check sum is another")


def named(kind: type[_Named], raw: int, what: str) -> _Named:
    """The member of ``kind`` with this value. Raises :class:`DecodeError` for a reserved one."""
    try:
        return kind(raw)
    except ValueError as error:
        raise DecodeError("reserved_value", f"{raw} is reserved and names no {what}") from error


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
