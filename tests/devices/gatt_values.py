"""What instruments may send, as values: one strategy for each characteristic that is written as well as read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from devices.gatt import (
    battery,
    blood_pressure,
    blood_pressure_record,
    body_composition,
    continuous_glucose,
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
from devices.gatt.body_composition import BodyComposition
from devices.gatt.glucose import Glucose, Sample
from devices.gatt.glucose_context import Carbohydrate, Context, Exercise, Medication, Tested
from devices.gatt.heart_rate import HeartRate
from devices.gatt.pulse_oximeter import Continuous, Saturation, SensorStatus, SpotCheck
from devices.gatt.thermometer import Temperature
from devices.gatt.weight_scale import KG_PER_LB, M_PER_IN, Body, Weight


@dataclass(frozen=True, slots=True)
class Codec:
    """A characteristic both ways, with values that it can hold."""

    decode: Callable[[bytes], object]
    encode: Callable[[Any], bytes]
    values: st.SearchStrategy[Any]


def tenths(low: int, high: int) -> st.SearchStrategy[float]:
    return st.integers(low, high).map(lambda n: n / 10)


def some(kind: type[Any]) -> st.SearchStrategy[Any]:
    """Any combination of named bits."""
    known = sum(kind)
    return st.integers(0, known).map(lambda n: kind(n & known))


moments = st.datetimes(datetime(1582, 1, 1), datetime(9999, 12, 31)).map(lambda t: t.replace(microsecond=0))  # noqa: DTZ001
seconds = st.datetimes(datetime(2000, 1, 1), datetime(2136, 1, 1)).map(lambda t: t.replace(microsecond=0))  # noqa: DTZ001
users = st.integers(0, 254)
bytes1, bytes2 = st.integers(0, 0xFF), st.integers(0, 0xFFFF)
none: st.SearchStrategy[Any] = st.none()

mmhg, kpa = tenths(0, 2040), tenths(0, 530).map(lambda n: n * blood_pressure.MMHG_PER_KPA)
statuses = some(Status).filter(lambda status: status & 0b11000 != 0b11000)


def pressures(values: st.SearchStrategy[float], **more: st.SearchStrategy[Any]) -> st.SearchStrategy[BloodPressure]:
    return st.builds(
        BloodPressure,
        systolic=values,
        **{
            "diastolic": none | values,
            "mean_arterial_pressure": none | values,
            "pulse": none | tenths(0, 2000),
            "timestamp": none | moments,
            "user": none | users,
            "status": statuses,
            "unit_kpa": st.just(values is kpa),
        }
        | more,
    )


enhanced = {"timestamp": none | seconds, "utc": none | seconds.map(lambda t: t.replace(tzinfo=UTC))}
in_the_cuff = enhanced | {"diastolic": none, "mean_arterial_pressure": none}

temperatures = {
    False: st.integers(0, 1_000_000).map(lambda n: n / 10_000),
    True: tenths(320, 2120).map(lambda n: (n - 32) * 5 / 9),
}


def heart_rates(intervals: int) -> st.SearchStrategy[HeartRate]:
    return st.builds(
        HeartRate,
        rate=st.integers(1, heart_rate.HIGHEST_PER_MIN),
        contact=none | st.booleans(),
        energy_kj=none | bytes2,
        rr_s=st.lists(bytes2.map(lambda n: n / 1024), max_size=intervals).map(tuple),
    )


saturations, pulses = tenths(0, 1000), none | st.integers(0, 300).map(float)
pairs = none | st.builds(Saturation, spo2=none | saturations, pulse=pulses)
plx = {
    "spo2": saturations,
    "pulse": pulses,
    "status": none | some(pulse_oximeter.Status),
    "sensor": none | some(SensorStatus),
    "amplitude": none | tenths(0, 2000),
}

masses = {
    False: st.integers(0, 0xFFFE).map(lambda n: n / 200),
    True: st.integers(0, 0xFFFE).map(lambda n: n / 100 * KG_PER_LB),
}
heights = {False: bytes2.map(lambda n: n / 1000), True: bytes2.map(lambda n: n / 10 * M_PER_IN)}


def weights(*, imperial: bool) -> st.SearchStrategy[Weight]:
    return st.builds(
        Weight,
        weight_kg=masses[imperial],
        timestamp=none | moments,
        user=none | users,
        body=none | st.builds(Body, bmi=tenths(0, 0xFFFF), height_m=heights[imperial]),
        unit_imperial=st.just(imperial),
    )


def bodies(*, imperial: bool) -> st.SearchStrategy[BodyComposition]:
    mass = none | masses[imperial]
    return st.builds(
        BodyComposition,
        fat_pct=tenths(0, 1000),
        timestamp=none | moments,
        user=none | users,
        basal_metabolism_kj=none | bytes2,
        muscle_pct=none | tenths(0, 1000),
        muscle_mass_kg=mass,
        fat_free_mass_kg=mass,
        soft_lean_mass_kg=mass,
        body_water_mass_kg=mass,
        impedance_ohm=none | tenths(0, 0xFFFF),
        weight_kg=mass,
        height_m=none | heights[imperial],
        unit_imperial=st.just(imperial),
        multiple_packets=st.booleans(),
    )


fluids = st.sampled_from(glucose.Fluid)
beyond = st.sampled_from(["high", "low"])
meter = {"fluid": fluids, "location": st.sampled_from(glucose.Location)}
mg_dl = st.integers(0, glucose.HIGHEST_MG_DL).map(float)
mmol = tenths(0, 1000).map(lambda n: n * glucose.MG_PER_MMOL)
samples = (
    st.builds(Sample, glucose_mg_dl=mg_dl, **meter)
    | st.builds(Sample, glucose_mg_dl=mmol, unit_molar=st.just(True), **meter)
    | st.builds(Sample, glucose_mg_dl=none, beyond=beyond, unit_molar=st.booleans(), **meter)
)
sensed = {
    "time_offset_min": bytes2,
    "status": some(continuous_glucose.Status),
    "trend_mg_dl_min": none | tenths(-500, 500),
    "quality_pct": none | tenths(0, 1000),
}
in_range = st.builds(continuous_glucose.Measurement, glucose_mg_dl=mg_dl, **sensed)
out_of_range = st.builds(continuous_glucose.Measurement, glucose_mg_dl=none, beyond=beyond, **sensed)
sensor_op_codes = st.sampled_from(continuous_glucose.OpCode)

amounts = none | tenths(0, 2000)
op_codes = st.sampled_from(record_access.OpCode)
requests = st.sampled_from([c for c in record_access.OpCode if c.value <= record_access.OpCode.REPORT_NUMBER])


def asked(operator: record_access.Operator) -> st.SearchStrategy[record_access.Request]:
    count = {"AT_MOST": 1, "AT_LEAST": 1, "WITHIN": 2}.get(operator.name, 0)
    bounds = st.lists(bytes2, min_size=count, max_size=count) | st.lists(moments, min_size=count, max_size=count)
    return st.builds(record_access.Request, requests, st.just(operator), bounds.map(tuple))


CODECS = {
    "battery": Codec(battery.decode, battery.encode, st.integers(0, 100)),
    "blood pressure": Codec(blood_pressure.decode, blood_pressure.encode, pressures(mmhg) | pressures(kpa)),
    "enhanced blood pressure": Codec(
        blood_pressure.decode_enhanced,
        blood_pressure.encode_enhanced,
        pressures(mmhg, **enhanced) | pressures(kpa, **enhanced),
    ),
    "enhanced cuff pressure": Codec(
        blood_pressure.decode_enhanced_intermediate,
        blood_pressure.encode_enhanced_intermediate,
        pressures(mmhg, **in_the_cuff) | pressures(kpa, **in_the_cuff),
    ),
    "heart rate": Codec(heart_rate.decode, heart_rate.encode, heart_rates(intervals=0)),
    "temperature": Codec(
        thermometer.decode,
        thermometer.encode,
        st.booleans().flatmap(
            lambda fahrenheit: st.builds(
                Temperature,
                celsius=temperatures[fahrenheit],
                timestamp=none | moments,
                site=none | st.sampled_from(thermometer.Site),
                unit_fahrenheit=st.just(fahrenheit),
            )
        ),
    ),
    "spot check": Codec(
        pulse_oximeter.decode_spot_check,
        pulse_oximeter.encode_spot_check,
        st.builds(SpotCheck, timestamp=none | moments, clock_set=st.booleans(), **plx),
    ),
    "continuous": Codec(
        pulse_oximeter.decode_continuous,
        pulse_oximeter.encode_continuous,
        st.builds(Continuous, fast=pairs, slow=pairs, **plx),
    ),
    "oximeter features": Codec(
        pulse_oximeter.decode_features,
        pulse_oximeter.encode_features,
        st.builds(
            pulse_oximeter.Features,
            some(pulse_oximeter.Feature),
            none | some(pulse_oximeter.Status),
            none | some(SensorStatus),
        ),
    ),
    "weight": Codec(weight_scale.decode, weight_scale.encode, weights(imperial=False) | weights(imperial=True)),
    "body composition": Codec(
        body_composition.decode, body_composition.encode, bodies(imperial=False) | bodies(imperial=True)
    ),
    "glucose": Codec(
        glucose.decode,
        glucose.encode,
        st.builds(
            Glucose,
            sequence=bytes2,
            base_time=none | moments,
            time_offset_min=none | st.integers(-0x7FFF, 0x7FFE),
            sample=none | samples,
            status=none | some(glucose.Status),
            context_follows=st.booleans(),
        ),
    ),
    "glucose context": Codec(
        glucose_context.decode,
        glucose_context.encode,
        st.builds(
            Context,
            sequence=bytes2,
            carbohydrate=none | st.builds(Carbohydrate, st.sampled_from(glucose_context.Food), amounts),
            meal=none | st.sampled_from(glucose_context.Meal),
            tested=none
            | st.builds(Tested, st.sampled_from(glucose_context.Tester), st.sampled_from(glucose_context.Health)),
            exercise=none | st.builds(Exercise, none | st.integers(0, 0xFFFE), bytes1),
            medication=none
            | st.builds(Medication, st.sampled_from(glucose_context.Drug), amounts, volume=st.booleans()),
            hba1c_pct=none | tenths(0, 2000),
        ),
    ),
    "sensor record": Codec(
        continuous_glucose.decode, lambda one: continuous_glucose.encode([one[0]]), st.tuples(in_range | out_of_range)
    ),
    "sensor features": Codec(
        continuous_glucose.decode_feature,
        continuous_glucose.encode_feature,
        st.builds(
            continuous_glucose.Features,
            some(continuous_glucose.Feature),
            fluids,
            st.sampled_from(continuous_glucose.Location),
        ),
    ),
    "sensor status": Codec(
        continuous_glucose.decode_status,
        continuous_glucose.encode_status,
        st.builds(continuous_glucose.State, bytes2, some(continuous_glucose.Status)),
    ),
    "session start": Codec(
        continuous_glucose.decode_session_start,
        continuous_glucose.encode_session_start,
        st.builds(
            continuous_glucose.SessionStart,
            none | moments,
            none | st.integers(-48, 56).map(lambda n: n * 15),
            none | st.integers(0, 8).map(lambda n: n * 15),
        ),
    ),
    "session run time": Codec(
        continuous_glucose.decode_session_run_time, continuous_glucose.encode_session_run_time, bytes2
    ),
    "sensor request": Codec(
        continuous_glucose.decode_request,
        continuous_glucose.encode_request,
        st.sampled_from([continuous_glucose.Request(c) for c in continuous_glucose.OpCode if c in (0x02, 0x1A, 0x1B)])
        | st.builds(continuous_glucose.Request, st.just(continuous_glucose.OpCode.SET_INTERVAL), bytes1),
    ),
    "sensor response": Codec(
        continuous_glucose.decode_response,
        continuous_glucose.encode_response,
        st.builds(continuous_glucose.Interval, bytes1)
        | st.builds(continuous_glucose.Response, sensor_op_codes, st.sampled_from(continuous_glucose.Outcome)),
    ),
    "records request": Codec(
        record_access.decode_request,
        record_access.encode_request,
        st.sampled_from(record_access.Operator).flatmap(asked),
    ),
    "records response": Codec(
        record_access.decode_response,
        record_access.encode_response,
        st.builds(record_access.RecordCount, bytes2)
        | st.builds(record_access.Response, op_codes, st.sampled_from(record_access.Outcome)),
    ),
    "user request": Codec(
        user_data.decode_request,
        user_data.encode_request,
        st.builds(user_data.Registration, st.integers(0, 9999))
        | st.builds(user_data.Consent, bytes1, st.integers(0, 9999)),
    ),
    "user response": Codec(
        user_data.decode_response,
        user_data.encode_response,
        st.builds(user_data.Response, st.just(user_data.OpCode.REGISTER), st.just(user_data.Outcome.SUCCESS), bytes1)
        | st.builds(user_data.Response, st.just(user_data.OpCode.CONSENT), st.sampled_from(user_data.Outcome)),
    ),
}
"""Characteristics whose packets end only where they say."""

PROTECTED = {
    "sensor record": lambda one: continuous_glucose.encode([one[0]], crc=True),
    "sensor status": lambda value: continuous_glucose.encode_status(value, crc=True),
    "session start": lambda value: continuous_glucose.encode_session_start(value, crc=True),
    "session run time": lambda value: continuous_glucose.encode_session_run_time(value, crc=True),
    "sensor request": lambda value: continuous_glucose.encode_request(value, crc=True),
    "sensor response": lambda value: continuous_glucose.encode_response(value, crc=True),
}
"""The same with a check sum behind them."""

stored_records = st.builds(blood_pressure_record.Record, bytes2, bytes2, st.binary(max_size=200))
