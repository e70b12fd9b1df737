"""Packets are read exactly or refused with a reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from devices.gatt import (
    battery,
    blood_pressure,
    blood_pressure_record,
    body_composition,
    continuous_glucose,
    current_time,
    date_time,
    device_information,
    glucose,
    glucose_context,
    heart_rate,
    pulse_oximeter,
    record_access,
    thermometer,
    user_data,
    weight_scale,
)
from devices.gatt.blood_pressure import BloodPressure, Status
from devices.gatt.blood_pressure_record import Record
from devices.gatt.body_composition import BodyComposition
from devices.gatt.continuous_glucose import SessionStart
from devices.gatt.errors import DecodeError
from devices.gatt.glucose import Glucose
from devices.gatt.heart_rate import HeartRate
from devices.gatt.pulse_oximeter import Continuous, SensorStatus, SpotCheck
from devices.gatt.record_access import Operator, Request
from devices.gatt.sfloat import decode_float, decode_sfloat
from devices.gatt.thermometer import Temperature
from devices.gatt.weight_scale import Body, Weight
from tests.devices.gatt_packets import AT, CGM, OPS, PACKETS


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


@pytest.mark.parametrize(("decode", "packet", "value"), PACKETS.values(), ids=PACKETS)
def test_a_packet_means(decode: Callable[[bytes], object], packet: str, value: object) -> None:
    assert decode(bytes.fromhex(packet)) == value


REQUESTS: dict[str, tuple[bytes, str]] = {
    "every record": (record_access.encode_request(Request(OPS.REPORT)), "01 01"),
    "records up to number 256": (
        record_access.encode_request(Request(OPS.REPORT, Operator.AT_MOST, (256,))),
        "01 02 01 0001",
    ),
    "start a session": (continuous_glucose.encode_request(continuous_glucose.Request(CGM.START_SESSION)), "1a"),
    "register with 1234": (user_data.encode_request(user_data.Registration(1234)), "01 d204"),
}


@pytest.mark.parametrize(("written", "packet"), REQUESTS.values(), ids=REQUESTS)
def test_a_request_is_written(written: bytes, packet: str) -> None:
    assert written == bytes.fromhex(packet)


@pytest.mark.parametrize(
    "request_",
    [
        Request(OPS.REPORT, Operator.AT_LEAST),
        Request(OPS.REPORT, bounds=(1,)),
        Request(OPS.REPORT, Operator.WITHIN, (1, AT)),
    ],
)
def test_a_request_that_makes_no_sense_is_never_written(request_: Request) -> None:
    with pytest.raises(ValueError, match=r"bounds|range"):
        record_access.encode_request(request_)


def test_a_session_start_is_known_in_utc_where_the_sensor_knows_its_zone() -> None:
    assert SessionStart(AT, 480, 60).utc == datetime(2026, 11, 22, 22, 30, tzinfo=UTC)
    assert SessionStart(AT, None, 0).utc is None


def test_two_packets_of_a_body_composition_are_one_measurement() -> None:
    first = BodyComposition(24.4, AT, 3, muscle_mass_kg=30, multiple_packets=True)
    second = BodyComposition(24.4, weight_kg=70.2, height_m=1.7, multiple_packets=True)
    joined = body_composition.join(first, second)
    assert (joined.timestamp, joined.user, joined.muscle_mass_kg, joined.weight_kg) == (AT, 3, 30, 70.2)
    for other in (first, BodyComposition(25, weight_kg=70.2, multiple_packets=True)):
        with pytest.raises(DecodeError):
            body_composition.join(first, other)


def test_a_stored_record_is_the_measurement_that_was_stored() -> None:
    segment = blood_pressure_record.decode_segment(bytes.fromhex("03 0500 352a 00 7800 5000 5d00"))
    record = blood_pressure_record.join([segment], crc=False)
    assert record.sequence == 5
    assert record.measurement() == BloodPressure(120, 80, 93)
    with pytest.raises(DecodeError):
        Record(5, 0x2A18, record.value).measurement()


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
        (glucose_context.decode, "01 0500 08 3cd0", "reserved_value"),
        (glucose.decode, "0a 0500 ea070b17071e00 ff07 11 6000", "no_value"),
        (body_composition.decode, "0000 ffff", "no_value"),
        (body_composition.decode, "0000 e903", "implausible"),
        (continuous_glucose.decode, "", "truncated"),
        (continuous_glucose.decode, "05 00 6400 0a", "truncated"),
        (continuous_glucose.decode, "07 00 6400 0a00 00", "oversized"),
        (continuous_glucose.decode, "08 00 6400 0a00 0000", "bad_crc"),
        (continuous_glucose.decode, "06 00 fd07 0a00", "implausible"),
        (continuous_glucose.decode_session_start, "ea070b17071e00 39 00", "implausible"),
        (continuous_glucose.decode_request, "1c 1a 01", "reserved_value"),
        (continuous_glucose.decode_response, "1a", "reserved_value"),
        (record_access.decode_request, "06 00 01 01", "reserved_value"),
        (record_access.decode_response, "01 01", "reserved_value"),
        (record_access.decode_response, "06 00 01 0a", "reserved_value"),
        (heart_rate.decode_location, "07", "reserved_value"),
        (user_data.decode_request, "02 01 1027", "reserved_value"),
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


def test_a_vendor_frame_of_the_right_length_is_refused_as_implausible() -> None:
    vendor = bytes.fromhex("fe202700750055005f00e407091810093a690001")
    with pytest.raises(DecodeError) as refused:
        blood_pressure.decode(vendor[:-1])
    assert refused.value.reason in {"implausible", "reserved_value"}


def test_a_failed_measurement_is_refused_and_never_2047() -> None:
    with pytest.raises(DecodeError) as refused:
        blood_pressure.decode(bytes.fromhex("16ff07ff07ff07e80706170e230aff070000"))
    assert refused.value.reason == "no_value"


def test_reserved_flag_bits_are_ignored_and_a_reserved_pulse_range_is_refused() -> None:
    assert blood_pressure.decode(bytes.fromhex("e4780050005d004800")).systolic == 120
    with pytest.raises(DecodeError) as refused:
        blood_pressure.decode(bytes.fromhex("10780050005d001800"))
    assert refused.value.reason == "reserved_value"


def test_a_battery_above_100_percent_is_refused() -> None:
    with pytest.raises(DecodeError):
        battery.decode(b"\x65")


def test_names_are_read_without_their_padding() -> None:
    assert device_information.decode("欧姆龙 HEM\0\0\0".encode()) == "欧姆龙 HEM"
    assert device_information.decode(b"A\xff") == "A\\xff"
