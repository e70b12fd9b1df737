"""InfiniTime's motion service (the PineTime watch): raw acceleration as it is polled, without a time.

Sources: InfiniTimeOrg/InfiniTime ``doc/MotionService.md`` (UUIDs, three i16), ``src/drivers/Bma421.cpp`` (a range of
±2 g), pull request 1950 (1024 is 1 g), issues 1949 and 2328 (polled every 100 ms: about ten values a second). Pull
request 1133, not merged, sends several samples in a packet, oldest first; such packets are read too. No packet was
captured: the layout is as documented.
"""

from __future__ import annotations

from typing import Final

from devices.gatt.acceleration import Samples, in_counts, in_g

SERVICE: Final = "00030000-78fc-48fe-8e23-433b3a1942d0"
ACCELERATION: Final = "00030002-78fc-48fe-8e23-433b3a1942d0"

RATE_HZ: Final = 10.0
RANGE_G: Final = 2.0
_PER_G: Final = 1024.0


def decode(data: bytes) -> Samples:
    """The samples of a packet, (n, 3) in g. :class:`DecodeError` when they are none or not whole."""
    return in_g(data, "<i2", _PER_G)


def encode(samples: Samples) -> bytes:
    """The packet of these samples."""
    return in_counts(samples, "<i2", _PER_G).tobytes()
