"""Numbers, times and check sums are read as the specifications say, and written back as they were."""

from __future__ import annotations

import binascii
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.gatt import current_time, date_time, e2e_crc
from devices.gatt.errors import DecodeError
from devices.gatt.sfloat import decode_float, decode_sfloat, encode_float, encode_sfloat
from tests.devices.gatt_values import moments


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (0x0078, 120.0),
        (0xF586, 141.4),
        (0xF06B, 10.7),
        (0x07FF, None),
        (0x0800, None),
        (0x0801, None),
        (0x17FF, 20470.0),
    ],
)
def test_an_sfloat_is_mantissa_times_ten_to_the_exponent(raw: int, value: float | None) -> None:
    assert decode_sfloat(raw) == (None if value is None else pytest.approx(value))


def test_infinities_are_told_apart_from_numbers() -> None:
    assert decode_sfloat(0x07FE) == float("inf")
    assert decode_sfloat(0x0802) == float("-inf")


def test_a_float_has_24_bits_of_mantissa() -> None:
    assert decode_float(0xFF00016C) == 36.4
    assert decode_float(0x007FFFFF) is None


@given(st.integers(0, 2000).map(lambda n: n / 10))
def test_every_pressure_to_a_tenth_survives_an_sfloat(value: float) -> None:
    assert decode_sfloat(encode_sfloat(value)) == value


def test_every_sfloat_survives_being_written_again() -> None:
    values = [decode_sfloat(raw) for raw in range(0x10000)]
    assert [decode_sfloat(encode_sfloat(value)) for value in values] == values


@given(st.integers(0, 0xFFFFFFFF))
def test_every_float_survives_being_written_again(raw: int) -> None:
    value = decode_float(raw)
    assert decode_float(encode_float(value)) == (None if value is None else pytest.approx(value, rel=1e-12))


@given(moments)
def test_a_clock_that_is_set_reads_back_the_same(moment: datetime) -> None:
    assert date_time.decode(date_time.encode(moment)) == moment
    assert current_time.decode(current_time.encode(moment)) == moment


@given(st.integers(0, 255))
def test_every_fraction_of_a_second_is_written_as_it_was_read(fraction: int) -> None:
    packet = bytes.fromhex("ea070b17071e0001") + bytes((fraction, 2))
    moment = current_time.decode(packet)
    assert moment is not None
    assert current_time.encode(moment) == packet


def test_an_unknown_date_is_unknown_and_an_impossible_one_refused() -> None:
    assert date_time.decode(bytes(7)) is None
    with pytest.raises(DecodeError):
        date_time.decode(bytes.fromhex("ea070d01000000"))


def test_the_check_sum_is_the_one_that_is_published_for_its_parameters() -> None:
    assert e2e_crc.of(b"123456789") == 0x6F91


@given(st.binary(max_size=40))
def test_the_check_sum_is_a_crc_ccitt_with_its_bits_the_other_way_round(data: bytes) -> None:
    turned = bytes(int(f"{byte:08b}"[::-1], 2) for byte in data)
    assert e2e_crc.of(data) == int(f"{binascii.crc_hqx(turned, 0xFFFF):016b}"[::-1], 2)
