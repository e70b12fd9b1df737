"""The BBC micro:bit's accelerometer service: one sample a packet, without a time, at a period that can be set.

Sources: lancaster-university/microbit-docs ``docs/resources/bluetooth/bluetooth_profile.html`` (UUIDs, three i16 in
mg, the valid periods; no battery service since version 1.6). The runtime takes the nearest period it can and shows it
when the period is read back (``MicroBitAccelerometerService.cpp``). Over Bluetooth the range can be neither set nor
read; the runtime's own is ±2 g, from general knowledge of it, not checked here. No packet was captured.
"""

from __future__ import annotations

from typing import Final

from devices.gatt.acceleration import AXES, Samples, in_counts, in_g
from devices.gatt.errors import DecodeError

SERVICE: Final = "e95d0753-251d-470a-a062-fa1922dfa9a8"
ACCELERATION: Final = "e95dca4b-251d-470a-a062-fa1922dfa9a8"
PERIOD: Final = "e95dfb24-251d-470a-a062-fa1922dfa9a8"

PERIODS_MS: Final = (1, 2, 5, 10, 20, 80, 160, 640)
RANGE_G: Final = 2.0
_MG: Final = 1000.0


def decode(data: bytes) -> Samples:
    """The sample of a packet, (1, 3) in g. :class:`DecodeError` when it is not six bytes."""
    if len(data) != 2 * AXES:
        raise DecodeError("bad_length", f"a sample is {2 * AXES} bytes, not {len(data)}")
    return in_g(data, "<i2", _MG)


def encode(samples: Samples) -> bytes:
    """The packet of one sample."""
    return in_counts(samples, "<i2", _MG).tobytes()


def decode_period(data: bytes) -> int:
    """Milliseconds between two samples. :class:`DecodeError` when it is not two bytes, or 0."""
    if len(data) != 2:
        raise DecodeError("bad_length", f"a period is 2 bytes, not {len(data)}")
    period_ms = int.from_bytes(data, "little")
    if not period_ms:
        raise DecodeError("implausible", "no time between two samples")
    return period_ms


def encode_period(period_ms: int) -> bytes:
    """Two bytes."""
    return period_ms.to_bytes(2, "little")
