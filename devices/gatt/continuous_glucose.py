"""Continuous Glucose Monitoring Service (0x181F, CGMS 1.0): a sensor under the skin that measures every few minutes.

CGM Measurement (0x2AA7), Feature (0x2AA8), Status (0x2AA9), Session Start Time (0x2AAA), Session Run Time (0x2AAB) and
as much of the Specific Ops Control Point (0x2AAC) as a collector needs. Stored records come through the Record Access
Control Point. Layouts: GATT Specification Supplement, the characteristics of these names; op codes and outcomes: public
code that follows section 3.7 of the service (not checked against its text).

The octets of a sensor's status come in the order of the supplement: status, calibration, warning. Sensors built on
Nordic's nRF5 SDK send them the other way round (``nrf_ble_cgms``; its successor, the nRF Connect SDK, does not); only
a record with more than one octet can differ by that.

Every characteristic may end with an E2E-CRC, which is checked where it is sent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import IntEnum, IntFlag
from typing import Final, TypeVar

from devices.gatt import e2e_crc
from devices.gatt.errors import DecodeError
from devices.gatt.glucose import Beyond, Fluid, concentration, side
from devices.gatt.layout import (
    SFLOAT,
    TIME,
    U8,
    U16,
    Field,
    Kind,
    bits,
    mapped,
    nibbles,
    one_of,
    record,
    sint,
    unless,
    within,
)
from devices.gatt.reader import Reader

SERVICE: Final = "0000181f-0000-1000-8000-00805f9b34fb"
MEASUREMENT: Final = "00002aa7-0000-1000-8000-00805f9b34fb"
FEATURE: Final = "00002aa8-0000-1000-8000-00805f9b34fb"
STATUS: Final = "00002aa9-0000-1000-8000-00805f9b34fb"
SESSION_START_TIME: Final = "00002aaa-0000-1000-8000-00805f9b34fb"
SESSION_RUN_TIME: Final = "00002aab-0000-1000-8000-00805f9b34fb"
SPECIFIC_OPS_CONTROL_POINT: Final = "00002aac-0000-1000-8000-00805f9b34fb"

INTERVAL_OFF: Final = 0
INTERVAL_FASTEST: Final = 0xFF

_T = TypeVar("_T")


class Status(IntFlag):
    """Sensor Status Annunciation: the octets for the sensor, its calibration, and warnings."""

    SESSION_STOPPED = 1 << 0
    BATTERY_LOW = 1 << 1
    SENSOR_TYPE_INCORRECT = 1 << 2
    SENSOR_MALFUNCTION = 1 << 3
    DEVICE_ALERT = 1 << 4
    DEVICE_FAULT = 1 << 5
    TIME_SYNCHRONISATION_REQUIRED = 1 << 8
    CALIBRATION_NOT_ALLOWED = 1 << 9
    CALIBRATION_RECOMMENDED = 1 << 10
    CALIBRATION_REQUIRED = 1 << 11
    TEMPERATURE_TOO_HIGH = 1 << 12
    TEMPERATURE_TOO_LOW = 1 << 13
    CALIBRATION_PENDING = 1 << 14
    BELOW_PATIENT_LOW = 1 << 16
    ABOVE_PATIENT_HIGH = 1 << 17
    BELOW_HYPO = 1 << 18
    ABOVE_HYPER = 1 << 19
    FALLING_TOO_FAST = 1 << 20
    RISING_TOO_FAST = 1 << 21
    RESULT_TOO_LOW = 1 << 22
    RESULT_TOO_HIGH = 1 << 23


class Feature(IntFlag):
    """What a sensor can do."""

    CALIBRATION = 1 << 0
    PATIENT_ALERTS = 1 << 1
    HYPO_ALERTS = 1 << 2
    HYPER_ALERTS = 1 << 3
    RATE_ALERTS = 1 << 4
    DEVICE_ALERT = 1 << 5
    SENSOR_MALFUNCTION = 1 << 6
    TEMPERATURE_HIGH_LOW = 1 << 7
    RESULT_HIGH_LOW = 1 << 8
    LOW_BATTERY = 1 << 9
    SENSOR_TYPE_ERROR = 1 << 10
    DEVICE_FAULT = 1 << 11
    E2E_CRC = 1 << 12
    MULTIPLE_BONDS = 1 << 13
    MULTIPLE_SESSIONS = 1 << 14
    TREND = 1 << 15
    QUALITY = 1 << 16


class Location(IntEnum):
    """Sample Location: where the sensor sits."""

    FINGER = 1
    ALTERNATE_SITE = 2
    EARLOBE = 3
    CONTROL_SOLUTION = 4
    SUBCUTANEOUS_TISSUE = 5
    NOT_AVAILABLE = 15


class OpCode(IntEnum):
    """What a sensor is asked, or answers."""

    SET_INTERVAL = 0x01
    GET_INTERVAL = 0x02
    INTERVAL_RESPONSE = 0x03
    START_SESSION = 0x1A
    STOP_SESSION = 0x1B
    RESPONSE = 0x1C


class Outcome(IntEnum):
    """How a request ended."""

    SUCCESS = 1
    OP_CODE_NOT_SUPPORTED = 2
    INVALID_OPERAND = 3
    NOT_COMPLETED = 4
    OUT_OF_RANGE = 5


_NO_STATUS: Final = Status(0)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One record of a sensor, ``time_offset_min`` minutes after its session began.

    ``glucose_mg_dl`` is ``None`` for a value beyond the sensor's scale, when ``beyond`` says on which side, and for
    none at all, as while it warms up. ``trend_mg_dl_min`` is in mg/dL a minute, ``quality_pct`` in %.
    """

    glucose_mg_dl: float | None
    time_offset_min: int
    beyond: Beyond | None = None
    status: Status = _NO_STATUS
    trend_mg_dl_min: float | None = None
    quality_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Features:
    """What a sensor can do, what it measures and where it sits."""

    can: Feature
    fluid: Fluid
    location: Location


@dataclass(frozen=True, slots=True)
class State:
    """How a sensor is, ``time_offset_min`` minutes after its session began."""

    time_offset_min: int
    status: Status


@dataclass(frozen=True, slots=True)
class SessionStart:
    """When a session began: the sensor's naive local time and how far its zone and its summer time lie from UTC, in minutes.

    Each is ``None`` where the sensor does not know.
    """

    local: datetime | None
    zone_min: int | None
    summer_time_min: int | None

    @property
    def utc(self) -> datetime | None:
        """The same moment in UTC, where the sensor knows enough."""
        if self.local is None or self.zone_min is None or self.summer_time_min is None:
            return None
        try:
            return self.local.replace(tzinfo=UTC) - timedelta(minutes=self.zone_min + self.summer_time_min)
        except OverflowError:
            return None


@dataclass(frozen=True, slots=True)
class Request:
    """A request; ``SET_INTERVAL`` needs the minutes between two notifications."""

    op_code: OpCode
    interval_min: int | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """The answer to ``GET_INTERVAL``: minutes between two notifications."""

    minutes: int


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to every other request, and to one that failed."""

    request: OpCode
    outcome: Outcome


# Flag bit of each octet of the status, in the order of the octets.
_OCTETS: Final = ((1 << 7, 0), (1 << 6, 8), (1 << 5, 16))
_TREND, _QUALITY = 1 << 0, 1 << 1
_SMALLEST: Final = 6
_KNOWN: Final = sum(Status)


def _octets(reader: Reader, what: str, flags: int) -> Status:
    raw = sum(reader.u8(what) << shift for bit, shift in _OCTETS if flags & bit)
    return Status(raw & _KNOWN)


def _encode_octets(status: Status, flags: int) -> bytes:
    return bytes(status >> shift & 0xFF for bit, shift in _OCTETS if flags & bit)


def _announced(status: Status) -> int:
    return sum(bit for bit, shift in _OCTETS if status >> shift & 0xFF)


_RECORD: Final = record(
    Measurement,
    Field(("glucose_mg_dl", "beyond"), concentration(SFLOAT)),
    Field("time_offset_min", U16),
    Field("status", Kind(_octets, _encode_octets, _announced)),
    Field("trend_mg_dl_min", SFLOAT, _TREND),
    Field("quality_pct", SFLOAT, _QUALITY),
)
_FEATURES: Final = record(
    Features, Field("can", bits(Feature, 3)), Field(("fluid", "location"), nibbles(Fluid, Location))
)
_STATE: Final = record(State, Field("time_offset_min", U16), Field("status", bits(Status, 3)))
_ZONE: Final = mapped(
    within(unless(sint(1), -128), -48, 56, "no time zone is {:g} quarters of an hour from UTC"),
    lambda quarters: quarters * 15,
    lambda minutes: minutes // 15,
)
_SUMMER_TIME: Final = mapped(
    within(unless(U8, 0xFF), 0, 8, "no summer time is {:g} quarters of an hour"),
    lambda quarters: quarters * 15,
    lambda minutes: minutes // 15,
)
_START: Final = record(
    SessionStart, Field("local", TIME), Field("zone_min", _ZONE), Field("summer_time_min", _SUMMER_TIME)
)


def decode(data: bytes) -> tuple[Measurement, ...]:
    """The records of one notification, complete or refused.

    Reserved bits are ignored. Raises :class:`DecodeError` for a record shorter or longer than its flags promise, for
    a wrong E2E-CRC, and for a concentration that no sensor shows.
    """
    reader = Reader(data)
    found = [_one(reader)]
    while reader.left:
        found.append(_one(reader))
    return tuple(found)


def encode(measurements: Sequence[Measurement], *, crc: bool = False) -> bytes:
    """The notification a sensor would send."""
    return b"".join(_encode_one(measurement, crc=crc) for measurement in measurements)


def decode_feature(data: bytes) -> Features:
    """What the sensor can do. Raises :class:`DecodeError` for a reserved fluid or place and for a wrong E2E-CRC."""
    reader = Reader(data)
    features = _FEATURES.read(reader, "feature", 0)
    if Feature.E2E_CRC in features.can:
        reader.peek(e2e_crc.SIZE, "E2E-CRC")
        reader.end_or_crc()
    else:
        reader.take(e2e_crc.SIZE, "E2E-CRC")  # 0xFFFF, which means nothing
        reader.end()
    return features


def encode_feature(features: Features) -> bytes:
    """What a sensor answers when its features are read."""
    packet = _FEATURES.write(features, 0)
    return e2e_crc.append(packet) if Feature.E2E_CRC in features.can else packet + b"\xff\xff"


def decode_status(data: bytes) -> State:
    """How the sensor is; reserved bits are ignored."""
    return _whole(_STATE, data, "status")


def encode_status(state: State, *, crc: bool = False) -> bytes:
    """What a sensor answers when its status is read."""
    return _sealed(_STATE.write(state, 0), crc=crc)


def decode_session_start(data: bytes) -> SessionStart:
    """When the session began. Raises :class:`DecodeError` for what is no time, no zone or no summer time."""
    return _whole(_START, data, "session start time")


def encode_session_start(start: SessionStart, *, crc: bool = False) -> bytes:
    """What a sensor answers, and what a collector writes when it has begun a session."""
    return _sealed(_START.write(start, 0), crc=crc)


def decode_session_run_time(data: bytes) -> int:
    """For how many hours the sensor measures after its session began."""
    return _whole(U16, data, "session run time")


def encode_session_run_time(hours: int, *, crc: bool = False) -> bytes:
    """What a sensor answers when its run time is read."""
    return _sealed(U16.write(hours, 0), crc=crc)


def encode_request(request: Request, *, crc: bool = False) -> bytes:
    """What is written to the Specific Ops Control Point; with a check sum where the sensor has the feature."""
    operand = b"" if request.interval_min is None else U8.write(request.interval_min, 0)
    return _sealed(U8.write(request.op_code, 0) + operand, crc=crc)


def decode_request(data: bytes) -> Request:
    """What a sensor is asked. Raises :class:`DecodeError` for what is no request known here."""
    reader = Reader(data)
    op_code = _OP_CODE.read(reader, "op code", 0)
    if op_code in (OpCode.INTERVAL_RESPONSE, OpCode.RESPONSE):
        raise DecodeError("reserved_value", f"{op_code.name} is an answer and asks for nothing")
    interval_min = reader.u8("interval") if op_code is OpCode.SET_INTERVAL else None
    reader.end_or_crc()
    return Request(op_code, interval_min)


def encode_response(response: Interval | Response, *, crc: bool = False) -> bytes:
    """What a sensor indicates."""
    if isinstance(response, Interval):
        return _sealed(bytes((OpCode.INTERVAL_RESPONSE, response.minutes)), crc=crc)
    return _sealed(bytes((OpCode.RESPONSE, response.request, response.outcome)), crc=crc)


def decode_response(data: bytes) -> Interval | Response:
    """The sensor's answer. Raises :class:`DecodeError` for what is none, and for a reserved outcome."""
    reader = Reader(data)
    op_code = _OP_CODE.read(reader, "op code", 0)
    response: Interval | Response
    if op_code is OpCode.INTERVAL_RESPONSE:
        response = Interval(reader.u8("interval"))
    elif op_code is OpCode.RESPONSE:
        request = _OP_CODE.read(reader, "request", 0)
        response = Response(request, one_of(Outcome).read(reader, "outcome", 0))
    else:
        raise DecodeError("reserved_value", f"{op_code.name} answers nothing")
    reader.end_or_crc()
    return response


_OP_CODE: Final = one_of(OpCode)


def _one(reader: Reader) -> Measurement:
    size = reader.peek(1, "size")
    if size < _SMALLEST:
        raise DecodeError("truncated", f"a record has at least {_SMALLEST} bytes, not {size}")
    inside = Reader(reader.take(size, "record"))
    inside.u8("size")
    found = _RECORD.read(inside, "record", inside.u8("flags"))
    inside.end_or_crc()
    if found.glucose_mg_dl is not None or found.beyond is not None:
        return found
    too_high, too_low = Status.RESULT_TOO_HIGH in found.status, Status.RESULT_TOO_LOW in found.status
    return replace(found, beyond=side(too_high=too_high, too_low=too_low))


def _encode_one(measurement: Measurement, *, crc: bool) -> bytes:
    flags = _RECORD.flags(measurement)
    body = bytes((flags,)) + _RECORD.write(measurement, flags)
    return _sealed(bytes((1 + len(body) + crc * e2e_crc.SIZE,)) + body, crc=crc)


def _whole(kind: Kind[_T], data: bytes, what: str) -> _T:
    reader = Reader(data)
    value = kind.read(reader, what, 0)
    reader.end_or_crc()
    return value


def _sealed(packet: bytes, *, crc: bool) -> bytes:
    return e2e_crc.append(packet) if crc else packet
