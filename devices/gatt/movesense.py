"""Movesense's GATT SensorData Protocol: commands are written, answers and measurements notified, told apart by a
reference that the asker chose.

Sources: movesense.com/docs/esw/gatt_sensordata_protocol (UUIDs, HELLO, SUBSCRIBE, UNSUBSCRIBE, the response codes);
sokolmarek/movesense-commander ``docs/gsp-protocol.md`` and ``src/lib/gsp/layouts.hardware.test.ts``, which has payloads
captured from a Movesense Flash: paths end with a zero byte, GET is command 4, lists of an Info carry their length in a
byte, arrays of a measurement fill the packet, HELLO alone is answered without a status. That the time is that of the
first sample: Movesense's API (``meas/acc.yaml``, as quoted in AndyCW/MovesenseDotNet ``AccData``). Acceleration is in
m/s². A packet of ``/Meas/Acc`` is far smaller than one notification, so its continuation (code 3) is not read.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from devices.gatt.acceleration import Samples, in_g
from devices.gatt.errors import DecodeError
from devices.gatt.reader import Reader, named

SERVICE: Final = "34802252-7185-4d5d-b431-630e7050e8f0"
WRITE: Final = "34800001-7185-4d5d-b431-630e7050e8f0"
NOTIFY: Final = "34800002-7185-4d5d-b431-630e7050e8f0"

WRAPS_MS: Final = 1 << 32
STANDARD_G: Final = 9.80665
"""Metres a second squared in 1 g (CGPM 1901)."""
RATES_HZ: Final = (13, 26, 52, 104, 208, 416, 833, 1666)
OK: Final = 200
_TIME_BYTES: Final = 4


class Command(IntEnum):
    """What can be asked."""

    HELLO = 0
    SUBSCRIBE = 1
    UNSUBSCRIBE = 2
    GET = 4


class Code(IntEnum):
    """What a notification is."""

    ANSWER = 1
    DATA = 2
    DATA_CONTINUED = 3


@dataclass(frozen=True, slots=True)
class Request:
    """A command, with the path of what it is about."""

    command: Command
    reference: int
    path: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """A notification: what it is, the reference of the request it belongs to, and what it holds."""

    code: Code
    reference: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Hello:
    """Who the sensor is. ``firmware`` is its application and that one's version."""

    serial: str
    product: str
    firmware: str


@dataclass(frozen=True, slots=True)
class Acceleration:
    """``at_ms`` is the sensor's own time of the first of the samples, which are (n, 3) in g."""

    at_ms: int
    samples: Samples


def encode_request(request: Request) -> bytes:
    """What is written to the sensor."""
    path = request.path.encode() + b"\0" if request.path else b""
    return bytes((request.command, request.reference)) + path


def decode_request(data: bytes) -> Request:
    """What the sensor is asked. :class:`DecodeError` for an unknown command and for a path that is no text."""
    reader = Reader(data)
    command = named(Command, reader.u8("command"), "command")
    reference = reader.u8("reference")
    return Request(command, reference, _text(reader.take(reader.left, "path").split(b"\0")[0]))


def decode(data: bytes) -> Response:
    """A notification. :class:`DecodeError` for one of another kind, or too short."""
    reader = Reader(data)
    code = named(Code, reader.u8("response code"), "response")
    return Response(code, reader.u8("reference"), reader.take(reader.left, "content"))


def encode(response: Response) -> bytes:
    """The notification."""
    return bytes((response.code, response.reference)) + response.body


def decode_status(body: bytes) -> int:
    """The status in an answer to anything but HELLO, as in HTTP. :class:`DecodeError` when it is not there."""
    return Reader(body).u16("status")


def decode_hello(body: bytes) -> Hello:
    """Who the sensor is. :class:`DecodeError` when a part is missing or no text."""
    reader = Reader(body)
    reader.u8("version of the protocol")
    words = reader.take(reader.left, "names").split(b"\0")
    if len(words) < 5:
        raise DecodeError("truncated", "the answer to HELLO ends before the version of the application")
    serial, product, _address, application, version = (_text(word) for word in words[:5])
    return Hello(serial, product, f"{application} {version}".strip())


def encode_hello(hello: Hello, address: str) -> bytes:
    """The answer's content."""
    application, _, version = hello.firmware.rpartition(" ")
    words = (hello.serial, hello.product, address, application, version)
    return b"\x01" + b"".join(word.encode() + b"\0" for word in words)


def decode_acceleration(body: bytes) -> Acceleration:
    """A measurement of ``/Meas/Acc``. :class:`DecodeError` when it is not a time and whole samples."""
    reader = Reader(body)
    at_ms = reader.uint(_TIME_BYTES, "time")
    return Acceleration(at_ms, in_g(reader.take(reader.left, "samples"), "<f4", STANDARD_G))


def encode_acceleration(a: Acceleration) -> bytes:
    """The measurement."""
    return struct.pack("<I", a.at_ms % WRAPS_MS) + (a.samples * STANDARD_G).astype("<f4").tobytes()


def decode_range(body: bytes) -> int:
    """The range in ``/Meas/Acc/Config``, in g. :class:`DecodeError` when it is not one byte above 0."""
    if len(body) != 1 or not body[0]:
        raise DecodeError("bad_length", "the configuration of the accelerometer is its range, one byte")
    return body[0]


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise DecodeError("implausible", "a name that is no text") from error
