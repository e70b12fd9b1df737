"""Record Access Control Point (0x2A52): asking an instrument for its records.

Cuffs, meters and glucose sensors that keep records hand them over only when asked here: the request is written,
the records come as notifications of the measurement, and the answer is indicated when the last of them is out.
GATT Specification Supplement, Record Access Control Point; Glucose Service 1.0, section 3.5. The filter types and
what follows them are from general knowledge of those texts and of the Continuous Glucose Monitoring Service, whose
filter type 1 is the time offset in minutes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from devices.gatt import date_time
from devices.gatt.errors import DecodeError
from devices.gatt.reader import Reader, named

UUID: Final = "00002a52-0000-1000-8000-00805f9b34fb"

Bound = int | datetime
"""Where a range of records ends: a sequence number (of a glucose sensor: minutes) or the instrument's local time."""


class OpCode(IntEnum):
    """What is asked, or answered."""

    REPORT = 1
    DELETE = 2
    ABORT = 3
    REPORT_NUMBER = 4
    NUMBER_RESPONSE = 5
    RESPONSE = 6


class Operator(IntEnum):
    """Of which records."""

    NULL = 0
    ALL = 1
    AT_MOST = 2
    AT_LEAST = 3
    WITHIN = 4
    FIRST = 5
    LAST = 6


class Filter(IntEnum):
    """By what the records of a range are told apart."""

    SEQUENCE_NUMBER = 1
    USER_FACING_TIME = 2


class Outcome(IntEnum):
    """How a request ended."""

    SUCCESS = 1
    OP_CODE_NOT_SUPPORTED = 2
    INVALID_OPERATOR = 3
    OPERATOR_NOT_SUPPORTED = 4
    INVALID_OPERAND = 5
    NO_RECORDS = 6
    ABORT_UNSUCCESSFUL = 7
    NOT_COMPLETED = 8
    OPERAND_NOT_SUPPORTED = 9


_BOUNDS: Final = {Operator.AT_MOST: 1, Operator.AT_LEAST: 1, Operator.WITHIN: 2}
_REQUESTS: Final = frozenset({OpCode.REPORT, OpCode.DELETE, OpCode.ABORT, OpCode.REPORT_NUMBER})


@dataclass(frozen=True, slots=True)
class Request:
    """A request: one bound for ``AT_MOST`` and ``AT_LEAST``, the lower and the upper for ``WITHIN``, else none."""

    op_code: OpCode
    operator: Operator = Operator.ALL
    bounds: tuple[Bound, ...] = ()


ABORT: Final = Request(OpCode.ABORT, Operator.NULL)


@dataclass(frozen=True, slots=True)
class RecordCount:
    """The answer to ``REPORT_NUMBER``."""

    records: int


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to every other request, and to one that failed."""

    request: OpCode
    outcome: Outcome


def encode_request(request: Request) -> bytes:
    """What is written to the instrument. Raises ``ValueError`` for a wrong number of bounds or bounds of two kinds."""
    if len(request.bounds) != _BOUNDS.get(request.operator, 0):
        raise ValueError(f"{request.operator.name} cannot have the bounds {request.bounds}")
    return bytes((request.op_code, request.operator)) + _encode_bounds(request.bounds)


def decode_request(data: bytes) -> Request:
    """What an instrument is asked. Raises :class:`DecodeError` for what is no request."""
    reader = Reader(data)
    op_code = named(OpCode, reader.u8("op code"), "op code")
    if op_code not in _REQUESTS:
        raise DecodeError("reserved_value", f"{op_code.name} is an answer and asks for nothing")
    operator = named(Operator, reader.u8("operator"), "operator")
    request = Request(op_code, operator, _bounds(reader, _BOUNDS.get(operator, 0)))
    reader.end()
    return request


def encode_response(response: Response | RecordCount) -> bytes:
    """What an instrument indicates."""
    if isinstance(response, RecordCount):
        return struct.pack("<BBH", OpCode.NUMBER_RESPONSE, Operator.NULL, response.records)
    return bytes((OpCode.RESPONSE, Operator.NULL, response.request, response.outcome))


def decode_response(data: bytes) -> Response | RecordCount:
    """The instrument's answer. Raises :class:`DecodeError` for what is none, and for a reserved outcome."""
    reader = Reader(data)
    op_code = reader.u8("op code")
    named(Operator, reader.u8("operator"), "operator")
    response: Response | RecordCount
    if op_code == OpCode.NUMBER_RESPONSE:
        response = RecordCount(reader.u16("number of records"))
    elif op_code == OpCode.RESPONSE:
        request = named(OpCode, reader.u8("request"), "op code")
        response = Response(request, named(Outcome, reader.u8("outcome"), "outcome"))
    else:
        raise DecodeError("reserved_value", f"op code {op_code} answers nothing")
    reader.end()
    return response


def _encode_bounds(bounds: tuple[Bound, ...]) -> bytes:
    moments = [bound for bound in bounds if isinstance(bound, datetime)]
    numbers = [bound for bound in bounds if isinstance(bound, int)]
    if moments and numbers:
        raise ValueError(f"a range cannot lie between a time and a number: {bounds}")
    if moments:
        return bytes((Filter.USER_FACING_TIME,)) + b"".join(map(date_time.encode, moments))
    return struct.pack(f"<B{len(numbers)}H", Filter.SEQUENCE_NUMBER, *numbers) if numbers else b""


def _bounds(reader: Reader, count: int) -> tuple[Bound, ...]:
    if not count:
        return ()
    by_time = named(Filter, reader.u8("filter type"), "filter type") is Filter.USER_FACING_TIME
    return tuple(_moment(reader) if by_time else reader.u16("bound") for _ in range(count))


def _moment(reader: Reader) -> datetime:
    moment = reader.time("bound")
    if moment is None:
        raise DecodeError("no_value", "a range of records cannot end at an unknown time")
    return moment
