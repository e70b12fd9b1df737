"""Current Time (0x2A2B) of the Current Time Service: Date Time, day of week, 1/256 seconds, reason of change."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from devices.gatt import date_time
from devices.gatt.reader import Reader

SERVICE: Final = "00001805-0000-1000-8000-00805f9b34fb"
UUID: Final = "00002a2b-0000-1000-8000-00805f9b34fb"
_EXTERNAL_REFERENCE: Final = 1 << 1
_PER_S: Final = 256


def decode(data: bytes) -> datetime | None:
    """The naive local time to 1/256 s, or ``None`` where the date is unknown.

    The day of the week and the reason of the last change say nothing that the gateway needs and are skipped.
    """
    reader = Reader(data)
    moment = reader.time("current time")
    reader.u8("day of week")
    fractions = reader.u8("fractions of a second")
    reader.u8("reason of change")
    reader.end()
    # Rounded up to a microsecond, as encoding rounds down: so a time that is read is written as it was.
    return None if moment is None else moment.replace(microsecond=-(-fractions * 1_000_000 // _PER_S))


def encode(moment: datetime) -> bytes:
    """Ten bytes that set a clock from an external reference."""
    fractions = moment.microsecond * _PER_S // 1_000_000
    return date_time.encode(moment) + bytes((moment.isoweekday(), fractions, _EXTERNAL_REFERENCE))
