"""Pulse Oximeter Service (0x1822, PLXS 1.0): PLX Spot-Check (0x2A5E) and PLX Continuous Measurement (0x2A5F)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from enum import IntFlag
from typing import Final

from devices.gatt import date_time
from devices.gatt.errors import DecodeError
from devices.gatt.reader import Reader, optional
from devices.gatt.sfloat import encode_sfloat

SERVICE: Final = "00001822-0000-1000-8000-00805f9b34fb"
SPOT_CHECK: Final = "00002a5e-0000-1000-8000-00805f9b34fb"
CONTINUOUS: Final = "00002a5f-0000-1000-8000-00805f9b34fb"

_SPOT_TIME, _SPOT_STATUS, _SPOT_SENSOR, _SPOT_AMPLITUDE, _CLOCK_NOT_SET = (1 << i for i in range(5))
_FAST, _SLOW, _STATUS, _SENSOR, _AMPLITUDE = (1 << i for i in range(5))


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


def decode_spot_check(data: bytes) -> SpotCheck:
    """A spot check, complete or refused.

    Reserved bits are ignored. Raises :class:`DecodeError` for a packet shorter or longer than its flags promise,
    for a saturation that is no number or not from 0 to 100 %, and for a pulse below 0.
    """
    reader = Reader(data)
    flags = reader.u8("flags")
    normal = _saturation(reader)
    timestamp = reader.time() if flags & _SPOT_TIME else None
    status = _status(reader) if flags & _SPOT_STATUS else None
    sensor = _sensor(reader) if flags & _SPOT_SENSOR else None
    amplitude = reader.sfloat("pulse amplitude index") if flags & _SPOT_AMPLITUDE else None
    reader.end()
    clock_set = not flags & _CLOCK_NOT_SET
    return SpotCheck(_spo2(normal), normal.pulse, timestamp, status, sensor, amplitude, clock_set)


def decode_continuous(data: bytes) -> Continuous:
    """A value of a running measurement, complete or refused for the same reasons as a spot check."""
    reader = Reader(data)
    flags = reader.u8("flags")
    normal = _saturation(reader)
    fast = _saturation(reader) if flags & _FAST else None
    slow = _saturation(reader) if flags & _SLOW else None
    status = _status(reader) if flags & _STATUS else None
    sensor = _sensor(reader) if flags & _SENSOR else None
    amplitude = reader.sfloat("pulse amplitude index") if flags & _AMPLITUDE else None
    reader.end()
    return Continuous(_spo2(normal), normal.pulse, fast, slow, status, sensor, amplitude)


def encode_spot_check(m: SpotCheck) -> bytes:
    """The packet an oximeter would send when it has measured."""
    flags = (m.timestamp is not None) * _SPOT_TIME | (m.status is not None) * _SPOT_STATUS
    flags |= (m.sensor is not None) * _SPOT_SENSOR | (m.amplitude is not None) * _SPOT_AMPLITUDE
    flags |= (not m.clock_set) * _CLOCK_NOT_SET
    packet = bytes((flags,)) + _pack(m.spo2, m.pulse) + optional(m.timestamp, date_time.encode)
    return packet + _pack_status(m)


def encode_continuous(m: Continuous) -> bytes:
    """The packet an oximeter would send while it measures."""
    flags = (m.fast is not None) * _FAST | (m.slow is not None) * _SLOW | (m.status is not None) * _STATUS
    flags |= (m.sensor is not None) * _SENSOR | (m.amplitude is not None) * _AMPLITUDE
    pairs = (Saturation(m.spo2, m.pulse), m.fast, m.slow)
    return bytes((flags,)) + b"".join(optional(s, lambda s: _pack(s.spo2, s.pulse)) for s in pairs) + _pack_status(m)


def _saturation(reader: Reader) -> Saturation:
    found = Saturation(reader.sfloat("oxygen saturation"), reader.sfloat("pulse rate"))
    if found.spo2 is not None and not 0 <= found.spo2 <= 100:
        raise DecodeError("implausible", f"no oxygen saturation is {found.spo2:g} %: this is something else")
    if found.pulse is not None and found.pulse < 0:
        raise DecodeError("implausible", f"no pulse is {found.pulse:g} a minute: this is something else")
    return found


def _spo2(normal: Saturation) -> float:
    if normal.spo2 is None:
        raise DecodeError("no_value", "the oximeter could not measure: it sent no oxygen saturation")
    return normal.spo2


def _status(reader: Reader) -> Status:
    return Status(reader.u16("measurement status") & 0xFFE0)


def _sensor(reader: Reader) -> SensorStatus:
    return SensorStatus(reader.uint(3, "device and sensor status") & 0xFFFF)


def _pack(*values: float | None) -> bytes:
    return b"".join(struct.pack("<H", encode_sfloat(value)) for value in values)


def _pack_status(m: SpotCheck | Continuous) -> bytes:
    status = optional(m.status, struct.Struct("<H").pack)
    sensor = optional(m.sensor, lambda sensor: sensor.to_bytes(3, "little"))
    return status + sensor + optional(m.amplitude, _pack)
