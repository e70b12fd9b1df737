"""Blood Pressure Record (0x2B36) of the Blood Pressure Service (BLS 1.1): a stored measurement, in one or more segments.

Layout: GATT Specification Supplement, Blood Pressure Record: segmentation header (bit 0 first segment, bit 1 last,
bits 2-7 a counter that rolls over), sequence number, 16-bit UUID of the characteristic that was stored, a piece of its
value. Where the cuff has the feature E2E-CRC, the last segment ends with "the CRC over all the data of a complete
single or multi-message record"; that this means every byte of every segment before it was not checked against the
service's text or a real cuff.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from devices.gatt import blood_pressure, e2e_crc
from devices.gatt.blood_pressure import BloodPressure
from devices.gatt.errors import DecodeError
from devices.gatt.reader import Reader

UUID: Final = "00002b36-0000-1000-8000-00805f9b34fb"

_FIRST, _LAST = 1 << 0, 1 << 1
_COUNTER_SHIFT: Final = 2
_COUNTERS: Final = 64
_DECODERS: Final = {0x2A35: blood_pressure.decode, 0x2B34: blood_pressure.decode_enhanced}


@dataclass(frozen=True, slots=True)
class Segment:
    """One notification. ``sequence`` numbers the records of a user, ``characteristic`` is the short UUID of what was stored."""

    is_first: bool
    is_last: bool
    counter: int
    sequence: int
    characteristic: int
    piece: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A whole record: ``value`` is what the characteristic would have sent."""

    sequence: int
    characteristic: int
    value: bytes

    def measurement(self) -> BloodPressure:
        """What was measured. Raises :class:`DecodeError` for another characteristic and for what that one refuses."""
        decode = _DECODERS.get(self.characteristic)
        if decode is None:
            raise DecodeError("reserved_value", f"a record of 0x{self.characteristic:04X} is no blood pressure")
        return decode(self.value)


def decode_segment(data: bytes) -> Segment:
    """One segment. Raises :class:`DecodeError` where it ends before its piece."""
    reader = Reader(data)
    header = reader.u8("segmentation header")
    sequence, characteristic = reader.u16("sequence number"), reader.u16("UUID")
    piece = reader.take(reader.left, "value")
    return Segment(
        bool(header & _FIRST), bool(header & _LAST), header >> _COUNTER_SHIFT, sequence, characteristic, piece
    )


def encode_segment(segment: Segment) -> bytes:
    """The notification of this segment."""
    header = segment.is_first * _FIRST | segment.is_last * _LAST | segment.counter << _COUNTER_SHIFT
    numbers = segment.sequence.to_bytes(2, "little") + segment.characteristic.to_bytes(2, "little")
    return bytes((header,)) + numbers + segment.piece


def join(segments: Sequence[Segment], *, crc: bool) -> Record:
    """The record of these segments, in the order they came; ``crc`` where the cuff has the feature E2E-CRC.

    Raises :class:`DecodeError` where one is missing, where they are of two records, and for a wrong check sum.
    """
    if not segments or not segments[0].is_first or not segments[-1].is_last:
        raise DecodeError("truncated", "the record has not all its segments")
    first = segments[0]
    for place, segment in enumerate(segments):
        expected = (place == 0, place == len(segments) - 1, (first.counter + place) % _COUNTERS)
        if (segment.is_first, segment.is_last, segment.counter) != expected:
            raise DecodeError("truncated", "the record has not all its segments, or not in their order")
        if (segment.sequence, segment.characteristic) != (first.sequence, first.characteristic):
            raise DecodeError("mismatched", "segments that follow each other are not of one record")
    sent = b"".join(encode_segment(segment) for segment in segments)
    value = b"".join(segment.piece for segment in segments)
    if crc:
        Reader(segments[-1].piece).peek(e2e_crc.SIZE, "E2E-CRC")
        if e2e_crc.append(sent[: -e2e_crc.SIZE]) != sent:
            raise DecodeError("bad_crc", "the record is not as the cuff stored it: its check sum is another")
        value = value[: -e2e_crc.SIZE]
    return Record(first.sequence, first.characteristic, value)


def split(record: Record, *, size: int, crc: bool) -> list[Segment]:
    """The segments a cuff would send, with at most ``size`` bytes of the value in each."""
    pieces = [record.value[at : at + size] for at in range(0, max(len(record.value), 1), size)]
    last = len(pieces) - 1
    segments = [
        Segment(place == 0, place == last, place % _COUNTERS, record.sequence, record.characteristic, piece)
        for place, piece in enumerate(pieces)
    ]
    if crc:
        check = e2e_crc.of(b"".join(encode_segment(segment) for segment in segments))
        segments[-1] = replace(segments[-1], piece=pieces[-1] + check.to_bytes(e2e_crc.SIZE, "little"))
    return segments
