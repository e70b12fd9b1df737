"""Polar Measurement Data (PMD): acceleration of Polar's sensors, in raw and in compressed frames.

Source: polarofficial/polar-ble-sdk, ``sources/Android/android-communications/library/src/main/java/com/polar/
androidcommunications/api/ble/model/gatt/client/pmd/``: ``BlePMDClient`` (UUIDs, compressed blocks), ``PmdDataFrame``,
``AccData`` (frame types and units), ``PmdSetting`` (settings and their widths), ``PmdControlPointResponse`` (answers and
error codes), ``PmdControlPointCommand``. The frames in ``tests/devices/test_gatt_streams.py`` are those of that SDK's
own tests. A frame's time is that of its last sample, in nanoseconds since 2000 (issues 149 and 403 there).

A compressed frame is a reference sample, then blocks: bits of a difference, number of samples, and the differences, the
lowest bit first, the three axes of a sample after each other, each block filled up to whole bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from devices.gatt.acceleration import AXES, Samples, in_counts, plausible
from devices.gatt.errors import DecodeError
from devices.gatt.reader import Reader, named

SERVICE: Final = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
CONTROL: Final = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA: Final = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"

ACCELERATION: Final = 2
"""The type of measurement that is acceleration."""

_TYPE_BITS: Final = 0x3F
_ANSWER: Final = 0xF0
_COMPRESSED: Final = 0x80
_MG: Final = 1000.0
_RAW_BYTES: Final = (1, 2, 3)  # of a number, by the frame's type
_REFERENCE_BYTES: Final = 2
_WIDEST: Final = 32
_BLOCK: Final = 255  # samples


class Op(IntEnum):
    """What is written to the control point."""

    SETTINGS = 1
    START = 2
    STOP = 3


class Outcome(IntEnum):
    """How a request ended."""

    SUCCESS = 0
    INVALID_OP_CODE = 1
    INVALID_MEASUREMENT_TYPE = 2
    NOT_SUPPORTED = 3
    INVALID_LENGTH = 4
    INVALID_PARAMETER = 5
    ALREADY_IN_STATE = 6
    INVALID_RESOLUTION = 7
    INVALID_SAMPLE_RATE = 8
    INVALID_RANGE = 9
    INVALID_MTU = 10
    INVALID_NUMBER_OF_CHANNELS = 11
    INVALID_STATE = 12
    DEVICE_IN_CHARGER = 13
    DISK_FULL = 14


class Setting(IntEnum):
    """What can be chosen: Hz, bits, g, mg, number; the factor is the device's answer, a float as its 32 bits."""

    SAMPLE_RATE = 0
    RESOLUTION = 1
    RANGE = 2
    RANGE_MILLI = 3
    CHANNELS = 4
    FACTOR = 5


Settings = Mapping[Setting, tuple[int, ...]]
_WIDTHS: Final = {
    Setting.SAMPLE_RATE: 2,
    Setting.RESOLUTION: 2,
    Setting.RANGE: 2,
    Setting.RANGE_MILLI: 4,
    Setting.CHANNELS: 1,
    Setting.FACTOR: 4,
}


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked: the kind of measurement, and for START one value of every setting the device offers."""

    op: Op
    measurement: int = ACCELERATION
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The device's answer. ``more`` announces another with the rest of ``parameters``."""

    op: Op
    measurement: int
    outcome: Outcome
    more: bool = False
    parameters: bytes = b""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The device has ended measurements of these types by itself."""

    measurements: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """Acceleration: ``last_ns`` is the device's own time of the last sample, ``samples`` are (n, 3) in g."""

    last_ns: int
    samples: Samples


def encode_request(request: Request) -> bytes:
    """What is written to the control point."""
    return bytes((request.op, request.measurement)) + encode_settings(request.settings)


def decode_request(data: bytes) -> Request:
    """What a device is asked. :class:`DecodeError` for an unknown request."""
    reader = Reader(data)
    op = named(Op, reader.u8("op code"), "request")
    measurement = reader.u8("type of measurement")
    return Request(op, measurement, decode_settings(reader.take(reader.left, "settings")))


def decode_answer(data: bytes) -> Answer | Stopped:
    """What the control point says. :class:`DecodeError` for what is no answer."""
    reader = Reader(data)
    first = reader.u8("response code")
    if first != _ANSWER:
        named(Op, first, "message")
        return Stopped(tuple(reader.take(reader.left, "types of measurement")))
    op = named(Op, reader.u8("op code"), "request")
    measurement = reader.u8("type of measurement")
    outcome = named(Outcome, reader.u8("outcome"), "outcome")
    more = bool(reader.left and reader.u8("more"))
    return Answer(op, measurement, outcome, more, reader.take(reader.left, "parameters"))


def encode_answer(answer: Answer | Stopped) -> bytes:
    """What the control point indicates."""
    if isinstance(answer, Stopped):
        return bytes((1, *answer.measurements))
    return bytes((_ANSWER, answer.op, answer.measurement, answer.outcome, answer.more)) + answer.parameters


def decode_settings(data: bytes) -> dict[Setting, tuple[int, ...]]:
    """Every setting with its possible values. :class:`DecodeError` for an unknown setting, and when one is cut off."""
    reader = Reader(data)
    found: dict[Setting, tuple[int, ...]] = {}
    while reader.left:
        setting = named(Setting, reader.u8("setting"), "setting")
        count = reader.u8("number of values")
        found[setting] = tuple(reader.uint(_WIDTHS[setting], setting.name.lower()) for _ in range(count))
    return found


def encode_settings(settings: Settings) -> bytes:
    """The settings with their values."""
    return b"".join(
        bytes((setting, len(values))) + b"".join(v.to_bytes(_WIDTHS[setting], "little") for v in values)
        for setting, values in settings.items()
    )


def factor(settings: Settings) -> float:
    """What the numbers of compressed frames are multiplied by; 1 where the device names nothing usable."""
    bits = settings.get(Setting.FACTOR, ())
    value = struct.unpack("<f", struct.pack("<I", bits[0]))[0] if bits else 1.0
    return float(value) if np.isfinite(value) and value > 0 else 1.0


def decode(data: bytes, factor: float = 1.0) -> Frame:
    """A frame of acceleration. ``factor`` is that of the answer to START.

    Raises :class:`DecodeError` for another measurement, an unknown type of frame, anything cut off, and what no sensor
    feels.
    """
    reader = Reader(data)
    measurement = reader.u8("type of measurement") & _TYPE_BITS
    if measurement != ACCELERATION:
        raise DecodeError("reserved_value", f"a frame of measurement {measurement} is no acceleration")
    last_ns = reader.uint(8, "time")
    kind = reader.u8("type of frame")
    content = reader.take(reader.left, "samples")
    if kind & _COMPRESSED:
        return Frame(last_ns, plausible(_compressed(content, kind & ~_COMPRESSED, factor)))
    return Frame(last_ns, plausible(_raw(content, kind)))


def _raw(content: bytes, kind: int) -> Samples:
    if kind >= len(_RAW_BYTES):
        raise DecodeError("reserved_value", f"there is no raw frame of type {kind}")
    size = _RAW_BYTES[kind]
    if not content or len(content) % (size * AXES):
        raise DecodeError("bad_length", f"{len(content)} bytes are no whole samples of {size * AXES}")
    return _signed(content, size).reshape(-1, AXES) / _MG


def _signed(content: bytes, size: int) -> npt.NDArray[np.int64]:
    """Little-endian signed integers of ``size`` bytes, one to four."""
    numbers = np.zeros((len(content) // size, 4), np.uint8)
    numbers[:, 4 - size :] = np.frombuffer(content, np.uint8).reshape(-1, size)
    return numbers.view("<i4").ravel().astype(np.int64) >> (8 * (4 - size))


def _compressed(content: bytes, kind: int, factor: float) -> Samples:
    if kind > 1:
        raise DecodeError("reserved_value", f"there is no compressed frame of type {kind}")
    reader = Reader(content)
    reference = _signed(reader.take(_REFERENCE_BYTES * AXES, "reference sample"), _REFERENCE_BYTES)
    steps = np.concatenate([reference.reshape(1, AXES), *_blocks(reader)])
    # Type 0 counts in factors of a g, type 1 in factors of a thousandth.
    return np.cumsum(steps, axis=0) * factor / (1.0 if kind == 0 else _MG)


def _blocks(reader: Reader) -> Iterator[npt.NDArray[np.int64]]:
    while reader.left:
        width, count = reader.u8("bits of a difference"), reader.u8("number of samples")
        if not 1 <= width <= _WIDEST:
            raise DecodeError("implausible", f"differences of {width} bits")
        packed = reader.take(-(-width * count * AXES // 8), "differences")
        yield _unpack(packed, width, count * AXES).reshape(-1, AXES)


def _unpack(packed: bytes, width: int, count: int) -> npt.NDArray[np.int64]:
    bits = np.unpackbits(np.frombuffer(packed, np.uint8), count=width * count, bitorder="little").reshape(count, width)
    numbers = bits.astype(np.int64) @ (1 << np.arange(width, dtype=np.int64))
    return np.where(bits[:, -1], numbers - (1 << width), numbers)


def encode(frame: Frame) -> bytes:
    """The frame with the widest numbers, which hold what any other holds."""
    return encode_raw(frame.last_ns, frame.samples, 2)


def encode_raw(last_ns: int, samples: Samples, kind: int = 1) -> bytes:
    """The raw frame of these samples; type 0 has 8, 1 has 16, 2 has 24 bits."""
    size = _RAW_BYTES[kind]
    limit = 1 << (8 * size - 1)
    counts = np.clip(np.rint(samples * _MG), -limit, limit - 1).astype("<i4")
    content: bytes = counts.reshape(-1, 1).view(np.uint8)[:, :size].tobytes()
    return _header(last_ns, kind) + content


def encode_compressed(last_ns: int, samples: Samples, kind: int = 1, factor: float = 1.0) -> bytes:
    """The compressed frame of these samples, its blocks as narrow as they can be."""
    counts = in_counts(samples, "<i2", (1.0 if kind == 0 else _MG) / factor).astype(np.int64)
    steps = np.diff(counts, axis=0)
    reference: bytes = counts[0].astype("<i2").tobytes()
    blocks = (_block(steps[i : i + _BLOCK]) for i in range(0, len(steps), _BLOCK))
    return _header(last_ns, kind | _COMPRESSED) + reference + b"".join(blocks)


def _header(last_ns: int, kind: int) -> bytes:
    return struct.pack("<BQB", ACCELERATION, last_ns, kind)


def _block(steps: npt.NDArray[np.int64]) -> bytes:
    width = 1 + max(int(np.where(steps < 0, ~steps, steps).max()).bit_length(), 1)
    bits: npt.NDArray[Any] = (steps.reshape(-1, 1) >> np.arange(width)) & 1
    packed: bytes = np.packbits(bits.astype(np.uint8), bitorder="little").tobytes()
    return bytes((width, len(steps))) + packed
