"""Packets are decoded exactly or refused with a reason."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.gatt import battery, blood_pressure, current_time, date_time, device_information, motion
from devices.gatt.blood_pressure import BloodPressure, Status
from devices.gatt.errors import DecodeError
from devices.gatt.sfloat import decode_float, decode_sfloat, encode_sfloat

moments = st.datetimes(datetime(1582, 1, 1), datetime(9999, 12, 31)).map(lambda t: t.replace(microsecond=0))  # noqa: DTZ001


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (0x0078, 120.0),
        (0xF586, 141.4 - 0.0),
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


@given(st.integers(0, 0xFFFF))
def test_every_sfloat_survives_being_written_again(raw: int) -> None:
    value = decode_sfloat(raw)
    if value is not None:
        assert decode_sfloat(encode_sfloat(value)) == pytest.approx(value, rel=1e-12)


NOT_READ_YET = {"2A37", "2A1C", "2A5E", "2A5F", "2A9D", "2A18", "2B34", "2A34"}
"""Heart rate, thermometer, oximeters, scale and glucose: no driver yet, so nothing decodes them."""


def test_every_reference_vector_of_what_is_implemented(shared: Path) -> None:
    vectors = json.loads((shared / "reference" / "gatt_vectors.json").read_text())
    checks = {
        "2A35": check_blood_pressure,
        "2A36": check_blood_pressure,
        "2A19": check_battery,
        "SFLOAT": check_sfloat,
        "FLOAT": check_float,
        "2A2B": check_current_time,
        "2A08": check_date_time,
    }
    unknown = {v["characteristic"] for v in vectors} - checks.keys() - NOT_READ_YET
    assert not unknown, f"vectors that are neither checked nor listed as not read yet: {unknown}"
    checked = [v for v in vectors if v["characteristic"] in checks]
    for vector in checked:
        checks[vector["characteristic"]](bytes.fromhex(vector["hex"]), vector["expect"])
    assert len(checked) >= 20


def check_battery(data: bytes, expect: dict[str, object]) -> None:
    assert battery.decode(data) == expect["battery_percent"]


def check_current_time(data: bytes, expect: dict[str, object]) -> None:
    found = current_time.decode(data)
    assert found is not None
    assert found.replace(microsecond=0) == datetime.fromisoformat(str(expect["timestamp"]))


def check_date_time(data: bytes, expect: dict[str, object]) -> None:
    assert date_time.decode(data) == datetime.fromisoformat(str(expect["timestamp"]))


def check_sfloat(data: bytes, expect: dict[str, object]) -> None:
    check_number(decode_sfloat(int.from_bytes(data, "little")), expect["value"])


def check_float(data: bytes, expect: dict[str, object]) -> None:
    check_number(decode_float(int.from_bytes(data, "little")), expect["value"])


def check_number(found: float | None, expect: object) -> None:
    names = {"NaN": None, "NRes": None, "reserved": None, "+INF": float("inf"), "-INF": float("-inf")}
    if isinstance(expect, str):
        assert found == names[expect]
    else:
        assert found == pytest.approx(expect, rel=1e-12)


def check_blood_pressure(data: bytes, expect: dict[str, object]) -> None:
    if "error" in expect or expect.get("systolic", 0) is None:
        with pytest.raises(DecodeError):
            blood_pressure.decode(data)
        return
    found = blood_pressure.decode(data)
    names = {"systolic_mmHg": "systolic", "diastolic_mmHg": "diastolic", "pulse_rate": "pulse", "user_id": "user"}
    for name, value in expect.items():
        field = names.get(name, name)
        if name == "timestamp":
            assert found.timestamp == datetime.fromisoformat(str(value))
        elif name == "unit":
            assert found.unit_kpa == (value == "kPa")
        elif name == "status":
            assert int(found.status) == value
        elif name == "irregular_pulse":
            assert bool(found.status & Status.IRREGULAR_PULSE) == value
        elif value is None:
            assert getattr(found, field) is None, name
        elif hasattr(found, field):
            assert getattr(found, field) == pytest.approx(value, abs=0.01), name


pressures = st.integers(300, 2600).map(lambda n: n / 10)
measurements = st.builds(
    BloodPressure,
    systolic=pressures.filter(lambda p: p < 204),
    diastolic=st.none() | pressures.filter(lambda p: p < 204),
    mean_arterial_pressure=st.none() | pressures.filter(lambda p: p < 204),
    pulse=st.none() | st.integers(20, 250).map(float),
    timestamp=st.none() | moments,
    user=st.none() | st.integers(0, 254),
    status=st.sampled_from(
        [Status(0), Status.BODY_MOVEMENT, Status.IRREGULAR_PULSE | Status.CUFF_TOO_LOOSE, Status.PULSE_ABOVE_RANGE]
    ),
)


@given(measurements)
def test_what_a_cuff_sends_is_what_is_read(measurement: BloodPressure) -> None:
    assert blood_pressure.decode(blood_pressure.encode(measurement)) == measurement


@given(measurements, st.data())
def test_a_packet_cut_short_is_refused(measurement: BloodPressure, data: st.DataObject) -> None:
    packet = blood_pressure.encode(measurement)
    with pytest.raises(DecodeError) as refused:
        blood_pressure.decode(packet[: data.draw(st.integers(0, len(packet) - 1))])
    assert refused.value.reason == "truncated"


@given(measurements, st.binary(min_size=1, max_size=8))
def test_a_packet_with_more_than_its_flags_promise_is_refused(measurement: BloodPressure, more: bytes) -> None:
    with pytest.raises(DecodeError) as refused:
        blood_pressure.decode(blood_pressure.encode(measurement) + more)
    assert refused.value.reason == "oversized"


@given(st.binary(max_size=30))
def test_no_bytes_at_all_do_more_than_be_refused(data: bytes) -> None:
    for decode in (
        blood_pressure.decode,
        battery.decode,
        date_time.decode,
        current_time.decode,
        blood_pressure.decode_feature,
        motion.decode,
        motion.decode_presses,
    ):
        try:
            decode(data)  # type: ignore[operator]
        except DecodeError as error:
            assert error.reason  # noqa: PT017


@given(st.binary(min_size=14, max_size=60))
def test_whatever_a_packet_claims_no_pressure_beyond_an_instruments_scale_is_read(data: bytes) -> None:
    with contextlib.suppress(DecodeError):
        found = blood_pressure.decode(data)
        pressures = (found.systolic, found.diastolic, found.mean_arterial_pressure)
        assert all(0 <= p <= blood_pressure.HIGHEST_MMHG for p in pressures if p is not None)


def test_a_vendor_frame_of_the_right_length_is_refused_as_implausible() -> None:
    vendor = bytes.fromhex("fe202700750055005f00e407091810093a690001")
    with pytest.raises(DecodeError) as refused:
        blood_pressure.decode(vendor[:-1])
    assert refused.value.reason in {"implausible", "reserved_value"}


samples = st.lists(st.tuples(*[st.integers(-32768, 32767)] * 3), min_size=1, max_size=40)


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF), samples)
def test_acceleration_is_read_as_it_was_sent(sequence: int, at_ms: int, milli_g: list[tuple[int, int, int]]) -> None:
    sent = motion.Motion(sequence, at_ms, np.array(milli_g) / 1000.0)
    read = motion.decode(motion.encode(sent))
    assert (read.sequence, read.at_ms) == (sequence, at_ms)
    assert np.allclose(read.samples, sent.samples, atol=1e-12)


@given(st.integers(0, 100))
def test_every_battery_level_is_read_as_it_was_sent(percent: int) -> None:
    assert battery.decode(battery.encode(percent)) == percent


def test_a_failed_measurement_is_refused_and_never_2047() -> None:
    with pytest.raises(DecodeError) as refused:
        blood_pressure.decode(bytes.fromhex("16ff07ff07ff07e80706170e230aff070000"))
    assert refused.value.reason == "no_value"


def test_reserved_flag_bits_are_ignored_and_a_reserved_pulse_range_is_refused() -> None:
    assert blood_pressure.decode(bytes.fromhex("e4780050005d004800")).systolic == 120
    with pytest.raises(DecodeError) as refused:
        blood_pressure.decode(bytes.fromhex("10780050005d001800"))
    assert refused.value.reason == "reserved_value"


@given(moments)
def test_a_clock_that_is_set_reads_back_the_same(moment: datetime) -> None:
    assert date_time.decode(date_time.encode(moment)) == moment
    assert current_time.decode(current_time.encode(moment)) == moment


def test_an_unknown_date_is_unknown_and_an_impossible_one_refused() -> None:
    assert date_time.decode(bytes(7)) is None
    with pytest.raises(DecodeError):
        date_time.decode(bytes.fromhex("ea070d01000000"))


def test_a_battery_above_100_percent_is_refused() -> None:
    with pytest.raises(DecodeError):
        battery.decode(b"\x65")


def test_names_are_read_without_their_padding() -> None:
    assert device_information.decode("欧姆龙 HEM\0\0\0".encode()) == "欧姆龙 HEM"
    assert device_information.decode(b"A\xff") == "A\\xff"
