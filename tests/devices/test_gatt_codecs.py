"""What an instrument sends is read as it was meant, and any other bytes are refused with a reason."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.gatt import blood_pressure, blood_pressure_record, continuous_glucose, heart_rate, motion
from devices.gatt.blood_pressure_record import Record
from devices.gatt.continuous_glucose import Measurement
from devices.gatt.errors import DecodeError
from devices.gatt.heart_rate import HeartRate
from tests.devices.gatt_values import CODECS, PROTECTED, Codec, heart_rates, in_range, out_of_range, stored_records
from tests.fuzz.decoders import Decoder, every_decoder

every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
# After a record of a sensor another may follow, so more bytes are no fault of the first.
ends = {name: codec for name, codec in CODECS.items() if name != "sensor record"}
every_protected = pytest.mark.parametrize("name", PROTECTED)
DECODERS = every_decoder()
few = settings(max_examples=25, deadline=None)  # of each characteristic; the fuzzer tries the millions


@every_codec
@few
@given(data=st.data())
def test_what_an_instrument_sends_is_what_is_read(codec: Codec, data: st.DataObject) -> None:
    value = data.draw(codec.values)
    assert codec.decode(codec.encode(value)) == value


@every_codec
@few
@given(data=st.data())
def test_a_packet_cut_short_is_refused(codec: Codec, data: st.DataObject) -> None:
    packet = codec.encode(data.draw(codec.values))
    with pytest.raises(DecodeError) as refused:
        codec.decode(packet[: data.draw(st.integers(0, len(packet) - 1))])
    assert refused.value.reason == "truncated"


@pytest.mark.parametrize("codec", ends.values(), ids=ends)
@few
@given(data=st.data(), more=st.binary(min_size=3, max_size=8))
def test_a_packet_with_more_than_its_flags_promise_is_refused(codec: Codec, data: st.DataObject, more: bytes) -> None:
    with pytest.raises(DecodeError) as refused:
        codec.decode(codec.encode(data.draw(codec.values)) + more)
    assert refused.value.reason == "oversized"


@every_protected
@few
@given(data=st.data())
def test_a_check_sum_is_checked_and_a_changed_bit_refused(name: str, data: st.DataObject) -> None:
    codec = CODECS[name]
    value = data.draw(codec.values)
    packet = bytearray(PROTECTED[name](value))
    assert codec.decode(bytes(packet)) == value
    # A bit of the check sum itself: one of another field may change what the packet promises.
    packet[-1 - data.draw(st.integers(0, 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DecodeError) as refused:
        codec.decode(bytes(packet))
    assert refused.value.reason == "bad_crc"


@pytest.mark.parametrize("decoder", DECODERS, ids=[decoder.name for decoder in DECODERS])
@few
@given(st.binary(max_size=40))
def test_any_bytes_are_a_value_or_refused_and_a_value_is_written_as_it_was_read(decoder: Decoder, data: bytes) -> None:
    decoder.check(data)


@every_codec
@few
@given(data=st.data())
def test_a_packet_changed_in_the_air_is_a_value_or_refused(codec: Codec, data: st.DataObject) -> None:
    packet = bytearray(codec.encode(data.draw(codec.values)))
    packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 0xFF))
    Decoder("changed", codec.decode, codec.encode).check(bytes(packet))


@few
@given(heart_rates(intervals=9))
def test_the_times_between_beats_are_read_to_the_last(measurement: HeartRate) -> None:
    assert heart_rate.decode(heart_rate.encode(measurement)) == measurement


@few
@given(st.lists(in_range | out_of_range, min_size=1, max_size=5), st.booleans())
def test_all_the_records_of_one_notification_are_read(measurements: list[Measurement], crc: bool) -> None:
    assert continuous_glucose.decode(continuous_glucose.encode(measurements, crc=crc)) == tuple(measurements)


@few
@given(stored_records, st.integers(1, 18), st.booleans())
def test_a_stored_record_comes_whole_out_of_its_segments(record: Record, size: int, crc: bool) -> None:
    packets = [blood_pressure_record.encode_segment(s) for s in blood_pressure_record.split(record, size=size, crc=crc)]
    segments = [blood_pressure_record.decode_segment(packet) for packet in packets]
    assert blood_pressure_record.join(segments, crc=crc) == record


@few
@given(stored_records, st.data())
def test_a_stored_record_with_a_changed_byte_is_refused(record: Record, data: st.DataObject) -> None:
    segments = blood_pressure_record.split(record, size=10, crc=True)
    place = data.draw(st.integers(0, len(segments) - 1))
    piece = bytearray(segments[place].piece)
    piece[data.draw(st.integers(0, len(piece) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    segments[place] = replace(segments[place], piece=bytes(piece))
    with pytest.raises(DecodeError) as refused:
        blood_pressure_record.join(segments, crc=True)
    assert refused.value.reason == "bad_crc"


@few
@given(st.binary(min_size=21, max_size=100), st.data())
def test_a_stored_record_with_a_segment_lost_or_doubled_is_refused(value: bytes, data: st.DataObject) -> None:
    segments = blood_pressure_record.split(Record(7, 0x2A35, value), size=10, crc=False)
    lost = data.draw(st.integers(0, len(segments) - 1))
    for wrong in (segments[:lost] + segments[lost + 1 :], segments[: lost + 1] + segments[lost:]):
        with pytest.raises(DecodeError) as refused:
            blood_pressure_record.join(wrong, crc=False)
        assert refused.value.reason == "truncated"


@few
@given(st.binary(min_size=14, max_size=60))
def test_whatever_a_packet_claims_no_pressure_beyond_an_instruments_scale_is_read(data: bytes) -> None:
    try:
        found = blood_pressure.decode(data)
    except DecodeError:
        return
    pressures = (found.systolic, found.diastolic, found.mean_arterial_pressure)
    assert all(0 <= p <= blood_pressure.HIGHEST_MMHG for p in pressures if p is not None)


accelerations = st.lists(st.tuples(*[st.integers(-32768, 32767)] * 3), min_size=1, max_size=40)


@few
@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), accelerations)
def test_acceleration_is_read_as_it_was_sent(sequence: int, at_ms: int, milli_g: list[tuple[int, int, int]]) -> None:
    sent = motion.Motion(sequence, at_ms, np.array(milli_g) / 1000.0)
    read = motion.decode(motion.encode(sent))
    assert (read.sequence, read.at_ms) == (sequence, at_ms)
    assert np.allclose(read.samples, sent.samples, atol=1e-12)
