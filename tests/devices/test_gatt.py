"""Packets are decoded exactly or refused with a reason."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices.gatt import (
    battery,
    blood_pressure,
    current_time,
    date_time,
    device_information,
    glucose,
    heart_rate,
    motion,
    pulse_oximeter,
    thermometer,
    weight_scale,
)
from devices.gatt.blood_pressure import BloodPressure, Status
from devices.gatt.errors import DecodeError
from devices.gatt.glucose import Glucose, Sample
from devices.gatt.heart_rate import HeartRate
from devices.gatt.pulse_oximeter import Continuous, Saturation, SensorStatus, SpotCheck
from devices.gatt.sfloat import decode_float, decode_sfloat, encode_float, encode_sfloat
from devices.gatt.thermometer import Temperature
from devices.gatt.weight_scale import Body, Weight

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


def test_every_sfloat_survives_being_written_again() -> None:
    values = [decode_sfloat(raw) for raw in range(0x10000)]
    assert [decode_sfloat(encode_sfloat(value)) for value in values] == values


@given(st.integers(0, 0xFFFFFFFF))
def test_every_float_survives_being_written_again(raw: int) -> None:
    value = decode_float(raw)
    assert decode_float(encode_float(value)) == (None if value is None else pytest.approx(value, rel=1e-12))


def blood_pressure_named(m: BloodPressure) -> dict[str, object]:
    return {
        "unit": "kPa" if m.unit_kpa else "mmHg",
        "systolic": m.systolic,
        "diastolic": m.diastolic,
        "mean_arterial_pressure": m.mean_arterial_pressure,
        "systolic_mmHg": round(m.systolic, 2),
        "diastolic_mmHg": None if m.diastolic is None else round(m.diastolic, 2),
        "systolic_kPa": m.systolic / blood_pressure.MMHG_PER_KPA,
        "diastolic_kPa": None if m.diastolic is None else m.diastolic / blood_pressure.MMHG_PER_KPA,
        "pulse_rate": m.pulse,
        "timestamp": m.timestamp,
        "user_id": m.user,
        "status": int(m.status),
        "irregular_pulse": bool(m.status & Status.IRREGULAR_PULSE),
    }


def heart_rate_named(m: HeartRate) -> dict[str, object]:
    return {"heart_rate": m.rate, "rr_s": list(m.rr_s), "contact": m.contact}


def temperature_named(m: Temperature) -> dict[str, object]:
    return {"unit": "degF" if m.unit_fahrenheit else "degC", "temperature": m.celsius}


def spot_check_named(m: SpotCheck) -> dict[str, object]:
    return {"spo2": m.spo2, "pulse_rate": m.pulse, "timestamp": m.timestamp}


def continuous_named(m: Continuous) -> dict[str, object]:
    return {"spo2": m.spo2, "pulse_rate": m.pulse}


def weight_named(m: Weight) -> dict[str, object]:
    assert m.body is not None
    return {"weight_kg": m.weight_kg, "user_id": m.user, "bmi": m.body.bmi, "height_m": m.body.height_m}


def glucose_named(m: Glucose) -> dict[str, object]:
    assert m.sample is not None
    return {"sequence": m.sequence, "glucose_mg_dl": m.sample.glucose_mg_dl, "time_offset_min": m.time_offset_min}


def number_named(data: bytes) -> dict[str, object]:
    decode = decode_sfloat if len(data) == 2 else decode_float
    return {"value": decode(int.from_bytes(data, "little"))}


IN_THE_VECTORS_NAMES: dict[str, Callable[[bytes], dict[str, object]]] = {
    "2A35": lambda data: blood_pressure_named(blood_pressure.decode(data)),
    "2A36": lambda data: blood_pressure_named(blood_pressure.decode(data)),
    "2A37": lambda data: heart_rate_named(heart_rate.decode(data)),
    "2A1C": lambda data: temperature_named(thermometer.decode(data)),
    "2A5E": lambda data: spot_check_named(pulse_oximeter.decode_spot_check(data)),
    "2A5F": lambda data: continuous_named(pulse_oximeter.decode_continuous(data)),
    "2A9D": lambda data: weight_named(weight_scale.decode(data)),
    "2A18": lambda data: glucose_named(glucose.decode(data)),
    "2A19": lambda data: {"battery_percent": battery.decode(data)},
    "2A2B": lambda data: {"timestamp": current_time.decode(data)},
    "2A08": lambda data: {"timestamp": date_time.decode(data)},
    "SFLOAT": number_named,
    "FLOAT": number_named,
}
NOT_NUMBERS = {"NaN": None, "NRes": None, "reserved": None, "+INF": float("inf"), "-INF": float("-inf")}


def test_every_reference_vector_is_read_as_it_says_or_refused(shared: Path) -> None:
    vectors = json.loads((shared / "reference" / "gatt_vectors.json").read_text())
    for vector in vectors:
        check_vector(vector["characteristic"], bytes.fromhex(vector["hex"]), vector["expect"])
    assert len(vectors) >= 34


def check_vector(characteristic: str, data: bytes, expect: dict[str, Any]) -> None:
    read = IN_THE_VECTORS_NAMES[characteristic]
    if "error" in expect or expect.get("systolic", 0) is None:
        with pytest.raises(DecodeError):
            read(data)
        return
    wanted = {name: expected(name, value) for name, value in expect.items() if name != "note"}
    assert wanted
    found = read(data)
    for name, value in wanted.items():
        assert found[name] == value, f"{characteristic} {data.hex()}: {name}"


def expected(name: str, value: Any) -> object:
    if name == "timestamp":
        return datetime.fromisoformat(value)
    if name == "value" and isinstance(value, str):
        return NOT_NUMBERS[value]
    return value if value is None or isinstance(value, str) else pytest.approx(value, rel=1e-12)


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


saturations = st.integers(0, 1000).map(lambda n: n / 10)
pulses = st.none() | st.integers(0, 300).map(float)
amplitudes = st.none() | st.integers(0, 2000).map(lambda n: n / 100)
plx_statuses = st.none() | st.integers(0, 0x7FF).map(lambda n: pulse_oximeter.Status(n << 5))
sensor_statuses = st.none() | st.integers(0, 0xFFFF).map(SensorStatus)
users = st.none() | st.integers(0, 254)


def heart_rates(intervals: int) -> st.SearchStrategy[HeartRate]:
    return st.builds(
        HeartRate,
        rate=st.integers(1, heart_rate.HIGHEST_PER_MIN),
        contact=st.none() | st.booleans(),
        energy_kj=st.none() | st.integers(0, 0xFFFF),
        rr_s=st.lists(st.integers(0, 0xFFFF).map(lambda n: n / 1024), max_size=intervals).map(tuple),
    )


temperatures = st.builds(
    Temperature,
    celsius=st.integers(0, 1_000_000).map(lambda n: n / 10_000),
    timestamp=st.none() | moments,
    site=st.none() | st.sampled_from(thermometer.Site),
)
fahrenheit = st.builds(
    Temperature,
    celsius=st.integers(320, 2120).map(lambda n: (n / 10 - 32) * 5 / 9),
    timestamp=st.none() | moments,
    site=st.none() | st.sampled_from(thermometer.Site),
    unit_fahrenheit=st.just(True),
)
spot_checks = st.builds(
    SpotCheck,
    spo2=saturations,
    pulse=pulses,
    timestamp=st.none() | moments,
    status=plx_statuses,
    sensor=sensor_statuses,
    amplitude=amplitudes,
    clock_set=st.booleans(),
)
pairs = st.none() | st.builds(Saturation, spo2=st.none() | saturations, pulse=pulses)
continuous = st.builds(
    Continuous,
    spo2=saturations,
    pulse=pulses,
    fast=pairs,
    slow=pairs,
    status=plx_statuses,
    sensor=sensor_statuses,
    amplitude=amplitudes,
)
tenths = st.integers(0, 0xFFFF).map(lambda n: n / 10)
metric_weights = st.builds(
    Weight,
    weight_kg=st.integers(0, 0xFFFE).map(lambda n: n / 200),
    timestamp=st.none() | moments,
    user=users,
    body=st.none() | st.builds(Body, bmi=tenths, height_m=st.integers(0, 0xFFFF).map(lambda n: n / 1000)),
)
imperial_weights = st.builds(
    Weight,
    weight_kg=st.integers(0, 0xFFFE).map(lambda n: n / 100 * weight_scale.KG_PER_LB),
    timestamp=st.none() | moments,
    user=users,
    body=st.none() | st.builds(Body, bmi=tenths, height_m=tenths.map(lambda n: n * weight_scale.M_PER_IN)),
    unit_imperial=st.just(True),
)
fluids, locations = st.sampled_from(glucose.Fluid), st.sampled_from(glucose.Location)
mg_dl_samples = st.builds(
    Sample,
    glucose_mg_dl=st.integers(0, glucose.HIGHEST_MG_DL).map(float),
    fluid=fluids,
    location=locations,
)
molar_samples = st.builds(
    Sample,
    glucose_mg_dl=st.integers(0, 1000).map(lambda n: n / 10 * glucose.MG_PER_MMOL),
    fluid=fluids,
    location=locations,
    unit_molar=st.just(True),
)
records = st.builds(
    Glucose,
    sequence=st.integers(0, 0xFFFF),
    base_time=st.none() | moments,
    time_offset_min=st.none() | st.integers(-0x7FFF, 0x7FFE),
    sample=st.none() | mg_dl_samples | molar_samples,
    status=st.none() | st.integers(0, 0xFFF).map(glucose.Status),
    context_follows=st.booleans(),
)


@dataclass(frozen=True, slots=True)
class Codec:
    """A characteristic both ways, with measurements whose packets end only where they say."""

    decode: Callable[[bytes], object]
    encode: Callable[[Any], bytes]
    measurements: st.SearchStrategy[Any]


CODECS = {
    "blood pressure": Codec(blood_pressure.decode, blood_pressure.encode, measurements),
    "heart rate": Codec(heart_rate.decode, heart_rate.encode, heart_rates(intervals=0)),
    "temperature": Codec(thermometer.decode, thermometer.encode, temperatures | fahrenheit),
    "spot check": Codec(pulse_oximeter.decode_spot_check, pulse_oximeter.encode_spot_check, spot_checks),
    "continuous": Codec(pulse_oximeter.decode_continuous, pulse_oximeter.encode_continuous, continuous),
    "weight": Codec(weight_scale.decode, weight_scale.encode, metric_weights | imperial_weights),
    "glucose": Codec(glucose.decode, glucose.encode, records),
}
every_codec = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)


@every_codec
@given(data=st.data())
def test_what_an_instrument_sends_is_what_is_read(codec: Codec, data: st.DataObject) -> None:
    measurement = data.draw(codec.measurements)
    assert codec.decode(codec.encode(measurement)) == measurement


@given(heart_rates(intervals=9))
def test_the_times_between_beats_are_read_to_the_last(measurement: HeartRate) -> None:
    assert heart_rate.decode(heart_rate.encode(measurement)) == measurement


@every_codec
@given(data=st.data())
def test_a_packet_cut_short_is_refused(codec: Codec, data: st.DataObject) -> None:
    packet = codec.encode(data.draw(codec.measurements))
    with pytest.raises(DecodeError) as refused:
        codec.decode(packet[: data.draw(st.integers(0, len(packet) - 1))])
    assert refused.value.reason == "truncated"


@every_codec
@given(data=st.data(), more=st.binary(min_size=1, max_size=8))
def test_a_packet_with_more_than_its_flags_promise_is_refused(codec: Codec, data: st.DataObject, more: bytes) -> None:
    with pytest.raises(DecodeError) as refused:
        codec.decode(codec.encode(data.draw(codec.measurements)) + more)
    assert refused.value.reason == "oversized"


@pytest.mark.parametrize(
    ("decode", "packet", "reason"),
    [
        (heart_rate.decode, "0000", "no_value"),
        (heart_rate.decode, "01ffff", "implausible"),
        (heart_rate.decode, "1050", "truncated"),
        (heart_rate.decode, "10500004 80", "truncated"),
        (thermometer.decode, "00ffff7f00", "no_value"),
        (thermometer.decode, "00feff7f00", "no_value"),
        (thermometer.decode, "0072010000", "implausible"),
        (thermometer.decode, "046c0100ff00", "reserved_value"),
        (thermometer.decode, "046c0100ff0a", "reserved_value"),
        (pulse_oximeter.decode_spot_check, "00ff073d00", "no_value"),
        (pulse_oximeter.decode_spot_check, "0065003d00", "implausible"),
        (pulse_oximeter.decode_continuous, "00fe074000", "no_value"),
        (pulse_oximeter.decode_continuous, "006200ff0f", "implausible"),
        (weight_scale.decode, "00ffff", "no_value"),
        (weight_scale.decode, "01ffff", "no_value"),
        (glucose.decode, "020500ea070b17071e00ff0711", "no_value"),
        (glucose.decode, "020500ea070b17071e0063b01f", "reserved_value"),
        (glucose.decode, "020500ea070b17071e0063b051", "reserved_value"),
        (glucose.decode, "020500ea070b17071e00630011", "implausible"),
        (glucose.decode, "010500ea070b17071e00ff7f", "reserved_value"),
    ],
)
def test_what_is_no_measurement_is_refused(decode: Callable[[bytes], object], packet: str, reason: str) -> None:
    with pytest.raises(DecodeError) as refused:
        decode(bytes.fromhex(packet))
    assert refused.value.reason == reason


def test_other_units_are_turned_into_ours() -> None:
    assert thermometer.decode(bytes.fromhex("01da0300ff")) == Temperature(pytest.approx(37.0), unit_fahrenheit=True)
    pounds = weight_scale.decode(bytes.fromhex("09983af400a002"))
    assert pounds.weight_kg == pytest.approx(150 * 0.45359237)
    assert pounds.body == Body(24.4, pytest.approx(67.2 * 0.0254))
    molar = glucose.decode(bytes.fromhex("060500ea070b17071e0037c011"))
    assert molar.sample is not None
    assert molar.sample.glucose_mg_dl == pytest.approx(5.5 * 18.016)


def test_reserved_bits_of_every_instrument_are_ignored() -> None:
    assert heart_rate.decode(bytes.fromhex("e050")) == HeartRate(80)
    assert heart_rate.decode(bytes.fromhex("0250")) == HeartRate(80), "contact means nothing where it is not supported"
    assert thermometer.decode(bytes.fromhex("f86c0100ff")) == Temperature(36.4)
    assert weight_scale.decode(bytes.fromhex("f0d836")) == Weight(70.2)
    spot = pulse_oximeter.decode_spot_check(bytes.fromhex("e661003d001f80010080"))
    assert spot == SpotCheck(97, 61, status=pulse_oximeter.Status.INVALID, sensor=SensorStatus(1))
    record = glucose.decode(bytes.fromhex("e80500ea070b17071e0020f0"))
    assert record.status == glucose.Status.RESULT_TOO_HIGH


@given(st.binary(max_size=40))
def test_no_bytes_at_all_do_more_than_be_refused(data: bytes) -> None:
    for decode in (
        *(codec.decode for codec in CODECS.values()),
        battery.decode,
        date_time.decode,
        current_time.decode,
        blood_pressure.decode_feature,
        motion.decode,
        motion.decode_presses,
    ):
        try:
            decode(data)
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
