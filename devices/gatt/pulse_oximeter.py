"""Pulse Oximeter Service (0x1822, PLXS 1.0).

PLX Spot-Check (0x2A5E), PLX Continuous Measurement (0x2A5F) and PLX Features (0x2A60).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import IntFlag
from typing import Final

from devices.gatt.layout import SFLOAT, TIME, U16, Field, Kind, Packet, bits, flag, record, required, within

SERVICE: Final = "00001822-0000-1000-8000-00805f9b34fb"
SPOT_CHECK: Final = "00002a5e-0000-1000-8000-00805f9b34fb"
CONTINUOUS: Final = "00002a5f-0000-1000-8000-00805f9b34fb"
FEATURES: Final = "00002a60-0000-1000-8000-00805f9b34fb"


class Status(IntFlag):
    """Measurement Status; bits 0-4 are reserved."""

    ONGOING = 1 << 5
    EARLY_ESTIMATE = 1 << 6
    VALIDATED = 1 << 7
    FULLY_QUALIFIED = 1 << 8
    FROM_STORAGE = 1 << 9
    DEMONSTRATION = 1 << 10
    TESTING = 1 << 11
    CALIBRATION_ONGOING = 1 << 12
    UNAVAILABLE = 1 << 13
    QUESTIONABLE = 1 << 14
    INVALID = 1 << 15


class SensorStatus(IntFlag):
    """Device and Sensor Status; bits 16-23 are reserved."""

    EXTENDED_DISPLAY_UPDATE = 1 << 0
    EQUIPMENT_MALFUNCTION = 1 << 1
    SIGNAL_IRREGULARITY = 1 << 2
    INADEQUATE_SIGNAL = 1 << 3
    POOR_SIGNAL = 1 << 4
    LOW_PERFUSION = 1 << 5
    ERRATIC_SIGNAL = 1 << 6
    NONPULSATILE_SIGNAL = 1 << 7
    QUESTIONABLE_PULSE = 1 << 8
    SIGNAL_ANALYSIS_ONGOING = 1 << 9
    SENSOR_INTERFERENCE = 1 << 10
    SENSOR_UNCONNECTED_TO_USER = 1 << 11
    UNKNOWN_SENSOR = 1 << 12
    SENSOR_DISPLACED = 1 << 13
    SENSOR_MALFUNCTIONING = 1 << 14
    SENSOR_DISCONNECTED = 1 << 15


@dataclass(frozen=True, slots=True)
class Saturation:
    """Oxygen saturation in % and pulse in beats a minute, each ``None`` where the oximeter gave none."""

    spo2: float | None
    pulse: float | None


@dataclass(frozen=True, slots=True)
class SpotCheck:
    """One finished measurement: ``spo2`` in %, ``pulse`` in beats a minute, ``amplitude`` (pulse amplitude index) in %.

    ``timestamp`` is the device's naive local time; it means nothing where ``clock_set`` is false. A status is
    ``None`` where the device sends none.
    """

    spo2: float
    pulse: float | None
    timestamp: datetime | None = None
    status: Status | None = None
    sensor: SensorStatus | None = None
    amplitude: float | None = None
    clock_set: bool = True


@dataclass(frozen=True, slots=True)
class Continuous:
    """One value of a running measurement, in the units of :class:`SpotCheck`.

    ``fast`` and ``slow`` are the same averaged over a shorter and a longer time, where the device gives them.
    """

    spo2: float
    pulse: float | None
    fast: Saturation | None = None
    slow: Saturation | None = None
    status: Status | None = None
    sensor: SensorStatus | None = None
    amplitude: float | None = None


class Feature(IntFlag):
    """PLX Features, without the two bits that announce the fields after them."""

    SPOT_CHECK_STORAGE = 1 << 2
    SPOT_CHECK_TIME_STAMP = 1 << 3
    FAST = 1 << 4
    SLOW = 1 << 5
    PULSE_AMPLITUDE = 1 << 6
    MULTIPLE_BONDS = 1 << 7


@dataclass(frozen=True, slots=True)
class Features:
    """What an oximeter can do, and which bits of its two statuses mean anything; ``None`` where it has no such status."""

    can: Feature
    status: Status | None = None
    sensor: SensorStatus | None = None


_SPO2: Final = within(SFLOAT, 0, 100, "no oxygen saturation is {:g} %")
_PULSE: Final = within(SFLOAT, 0, math.inf, "no pulse is {:g} a minute")
_PAIR: Final = record(Saturation, Field("spo2", _SPO2), Field("pulse", _PULSE))
_NORMAL: Final = (
    Field("spo2", required(_SPO2, "the oximeter could not measure: it sent no oxygen saturation")),
    Field("pulse", _PULSE),
)
_STATUS: Final = bits(Status, 2)
_SENSOR: Final = bits(SensorStatus, 3)
_SPOT_CHECK: Final = Packet(
    record(
        SpotCheck,
        *_NORMAL,
        Field("timestamp", TIME, 1 << 0),
        Field("status", _STATUS, 1 << 1),
        Field("sensor", _SENSOR, 1 << 2),
        Field("amplitude", SFLOAT, 1 << 3),
        Field("clock_set", flag(1 << 4, when=False)),
    )
)
_CONTINUOUS: Final = Packet(
    record(
        Continuous,
        *_NORMAL,
        Field("fast", _PAIR, 1 << 0),
        Field("slow", _PAIR, 1 << 1),
        Field("status", _STATUS, 1 << 2),
        Field("sensor", _SENSOR, 1 << 3),
        Field("amplitude", SFLOAT, 1 << 4),
    )
)
_CAN: Final[Kind[Feature]] = Kind(lambda reader, what, flags: Feature(flags & 0xFC), lambda *_: b"", int)
_FEATURES: Final = Packet(
    record(Features, Field("can", _CAN), Field("status", _STATUS, 1 << 0), Field("sensor", _SENSOR, 1 << 1)), flags=U16
)


def decode_spot_check(data: bytes) -> SpotCheck:
    """A spot check, complete or refused.

    Reserved bits are ignored. Raises :class:`DecodeError` for a packet shorter or longer than its flags promise,
    for a saturation that is no number or not from 0 to 100 %, and for a pulse below 0.
    """
    return _SPOT_CHECK.decode(data)


def encode_spot_check(m: SpotCheck) -> bytes:
    """The packet an oximeter would send when it has measured."""
    return _SPOT_CHECK.encode(m)


def decode_continuous(data: bytes) -> Continuous:
    """A value of a running measurement, complete or refused for the same reasons as a spot check."""
    return _CONTINUOUS.decode(data)


def encode_continuous(m: Continuous) -> bytes:
    """The packet an oximeter would send while it measures."""
    return _CONTINUOUS.encode(m)


def decode_features(data: bytes) -> Features:
    """What the oximeter can do; reserved bits are ignored."""
    return _FEATURES.decode(data)


def encode_features(features: Features) -> bytes:
    """What an oximeter answers when its features are read."""
    return _FEATURES.encode(features)
