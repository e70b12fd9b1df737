"""Nordic Thingy:52's motion service: raw acceleration, rotation and compass in one packet, without a time.

Sources: NordicSemiconductor/Nordic-Thingy52-FW ``source/ble_services/ble_tms.h`` (the configuration: nine bytes,
packed, and their bounds), ``source/drivers/drv_motion.c`` (10 samples a second unless configured; no range is ever set)
and ``libs/eMD6/core/driver/eMPL/inv_mpu.c`` (whose ``mpu_init`` sets ±2 g, as in other copies of this library). That the
raw characteristic is nine i16 with 1024 to the g is as several clients read it. No packet was captured.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from devices.gatt.acceleration import AXES, Samples, in_counts, in_g
from devices.gatt.errors import DecodeError

SERVICE: Final = "ef680400-9b35-4933-9b10-52ffa9740042"
CONFIGURATION: Final = "ef680401-9b35-4933-9b10-52ffa9740042"
RAW: Final = "ef680406-9b35-4933-9b10-52ffa9740042"
ADVERTISED: Final = "ef680100-9b35-4933-9b10-52ffa9740042"
"""The configuration service, which is what a Thingy advertises."""

RANGE_G: Final = 2.0
LOWEST_HZ, HIGHEST_HZ = 5, 200
_PER_G: Final = 1024.0
_RAW_BYTES: Final = 2 * AXES * 3
_CONFIGURATION: Final = struct.Struct("<HHHHB")


@dataclass(frozen=True, slots=True)
class Configuration:
    """How it measures: intervals of steps, temperature and compass in ms, motion in Hz, and waking on motion."""

    steps_ms: int = 1000
    temperature_ms: int = 500
    compass_ms: int = 500
    motion_hz: int = 10
    wake_on_motion: int = 1


def decode(data: bytes) -> Samples:
    """The acceleration of a packet, (1, 3) in g. :class:`DecodeError` when it is not 18 bytes."""
    if len(data) != _RAW_BYTES:
        raise DecodeError("bad_length", f"a raw packet is {_RAW_BYTES} bytes, not {len(data)}")
    return in_g(data[: 2 * AXES], "<i2", _PER_G)


def encode(samples: Samples) -> bytes:
    """The packet of one sample, with neither rotation nor compass."""
    return in_counts(samples, "<i2", _PER_G).tobytes() + np.zeros(2 * AXES, "<i2").tobytes()


def decode_configuration(data: bytes) -> Configuration:
    """How it measures. :class:`DecodeError` for another length, and for a frequency it cannot have."""
    if len(data) != _CONFIGURATION.size:
        raise DecodeError("bad_length", f"a configuration is {_CONFIGURATION.size} bytes, not {len(data)}")
    configuration = Configuration(*_CONFIGURATION.unpack(data))
    if not LOWEST_HZ <= configuration.motion_hz <= HIGHEST_HZ:
        raise DecodeError("implausible", f"a Thingy does not measure {configuration.motion_hz} times a second")
    return configuration


def encode_configuration(c: Configuration) -> bytes:
    """Nine bytes."""
    return _CONFIGURATION.pack(c.steps_ms, c.temperature_ms, c.compass_ms, c.motion_hz, c.wake_on_motion)
