"""The wearable's own service: acceleration, and the button that says "I am fine".

No Bluetooth SIG service carries acceleration or a fall, so this one is ours (``docs/devices.md``):

- service ``5ae60000-7f1c-4b52-9d3a-0c9a6f6b2e41``
- acceleration ``5ae60001-…``, notify: u16 sequence number (counts packets, wraps), u32 milliseconds since the
  device was switched on at the first sample (wraps), then for each sample x, y, z as i16 in mg; 50 samples
  a second. Little-endian, as all of GATT.
- I am fine ``5ae60002-…``, notify: u16 number of presses since the device was switched on (wraps).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from devices.gatt.acceleration import Samples, in_counts, in_g
from devices.gatt.errors import DecodeError

SERVICE: Final = "5ae60000-7f1c-4b52-9d3a-0c9a6f6b2e41"
ACCELERATION: Final = "5ae60001-7f1c-4b52-9d3a-0c9a6f6b2e41"
I_AM_FINE: Final = "5ae60002-7f1c-4b52-9d3a-0c9a6f6b2e41"

RATE_HZ: Final = 50
WRAPS_MS: Final = 1 << 32
_HEADER: Final = struct.Struct("<HI")
_MG: Final = 1000.0


@dataclass(frozen=True, slots=True)
class Motion:
    """One packet: ``samples`` is (n, 3) in g, ``at_ms`` the device's own time of the first of them."""

    sequence: int
    at_ms: int
    samples: Samples


def decode(data: bytes) -> Motion:
    """Read an acceleration packet. :class:`DecodeError` when it is not whole samples after a header."""
    if len(data) < _HEADER.size:
        raise DecodeError("bad_length", f"an acceleration packet of {len(data)} bytes has no header")
    sequence, at_ms = _HEADER.unpack_from(data)
    return Motion(sequence, at_ms, in_g(data[_HEADER.size :], "<i2", _MG))


def encode(motion: Motion) -> bytes:
    """The packet of these samples; values beyond ±32 g are cut off there."""
    header = _HEADER.pack(motion.sequence & 0xFFFF, motion.at_ms & 0xFFFFFFFF)
    return header + in_counts(motion.samples, "<i2", _MG).tobytes()


def decode_presses(data: bytes) -> int:
    """Read how often "I am fine" was pressed. :class:`DecodeError` when it is not two bytes."""
    if len(data) != 2:
        raise DecodeError("bad_length", f"a count of presses is 2 bytes, not {len(data)}")
    return int.from_bytes(data, "little")


def encode_presses(presses: int) -> bytes:
    """The packet of so many presses; the count wraps."""
    return (presses & 0xFFFF).to_bytes(2, "little")
