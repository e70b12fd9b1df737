"""Packets worked out by hand from the specifications, with what they mean; seeds of the fuzzer too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from devices.gatt import (
    blood_pressure,
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
from devices.gatt.continuous_glucose import Measurement, SessionStart, State
from devices.gatt.glucose import Fluid, Glucose, Location, Sample
from devices.gatt.glucose_context import Carbohydrate, Context, Drug, Exercise, Food, Health, Meal, Medication
from devices.gatt.heart_rate import HeartRate
from devices.gatt.pulse_oximeter import Continuous, Saturation, SensorStatus
from devices.gatt.record_access import Operator, Request

AT = datetime(2026, 11, 23, 7, 30)  # noqa: DTZ001  instruments know no zone
FINGER = {"fluid": Fluid.CAPILLARY_WHOLE_BLOOD, "location": Location.FINGER}
OPS, CGM = record_access.OpCode, continuous_glucose.OpCode

PACKETS: dict[str, tuple[Callable[[bytes], object], str, object]] = {
    "a measurement with all its fields": (
        blood_pressure.decode,
        "1e 7800 5000 5d00 ea070b17071e00 4800 02 1100",
        BloodPressure(120, 80, 93, 72, AT, 2, Status.BODY_MOVEMENT | Status.PULSE_BELOW_RANGE),
    ),
    "a heart rate with all its fields": (
        heart_rate.decode,
        "1f 5000 0201 0004 8003",
        HeartRate(80, contact=True, energy_kj=258, rr_s=(1, 0.875)),
    ),
    "a running measurement of an oximeter with all its fields": (
        pulse_oximeter.decode_continuous,
        "1f 6200 4000 6100 4100 6000 ff07 0001 400000 0af0",
        Continuous(
            98,
            64,
            Saturation(97, 65),
            Saturation(96, None),
            pulse_oximeter.Status.FULLY_QUALIFIED,
            SensorStatus.ERRATIC_SIGNAL,
            1,
        ),
    ),
    "an enhanced measurement has UTC and what the cuff shows": (
        blood_pressure.decode_enhanced,
        "7e 7800 5000 5d00 78379632 4800 02 0400 f8a79632",
        BloodPressure(120, 80, 93, 72, AT, 2, Status.IRREGULAR_PULSE, utc=AT.replace(tzinfo=UTC) - timedelta(hours=8)),
    ),
    "seconds since 1900": (
        blood_pressure.decode_enhanced,
        "02 7800 ff07 ff07 80510100",
        BloodPressure(120, utc=datetime(1900, 1, 2, tzinfo=UTC)),
    ),
    "the pressure in the cuff": (blood_pressure.decode_enhanced_intermediate, "00 9c00", BloodPressure(156)),
    "body composition": (
        body_composition.decode,
        "240c f400 03 7017 d836 aa06",
        BodyComposition(24.4, user=3, muscle_mass_kg=30, weight_kg=70.2, height_m=1.706),
    ),
    "body composition in pounds": (
        body_composition.decode,
        "0114 b400 983a",
        BodyComposition(18, weight_kg=150 * 0.45359237, unit_imperial=True, multiple_packets=True),
    ),
    "a mass that could not be measured": (body_composition.decode, "0004 b400 ffff", BodyComposition(18)),
    "what a body composition scale can do": (
        body_composition.decode_feature,
        "0338 0000",
        body_composition.Feature.TIME_STAMP | body_composition.Feature.MULTIPLE_USERS,
    ),
    "what a scale can do": (weight_scale.decode_feature, "04000000", weight_scale.Feature.BMI),
    "glucose too high for the meter": (
        glucose.decode,
        "02 0500 ea070b17071e00 fe07 11",
        Glucose(5, AT, sample=Sample(None, **FINGER, beyond="high")),
    ),
    "glucose too low for the meter": (
        glucose.decode,
        "06 0500 ea070b17071e00 0208 11",
        Glucose(5, AT, sample=Sample(None, **FINGER, unit_molar=True, beyond="low")),
    ),
    "glucose that only the status calls too high": (
        glucose.decode,
        "0a 0500 ea070b17071e00 ff07 11 2000",
        Glucose(5, AT, sample=Sample(None, **FINGER, beyond="high"), status=glucose.Status.RESULT_TOO_HIGH),
    ),
    "what a meter can tell": (glucose.decode_feature, "2008", glucose.Feature.RESULT_HIGH_LOW),
    "a lunch of 60 g and 12 mg of insulin": (
        glucose_context.decode,
        "53 0500 02 3cd0 02 01 0ca0 41f0",
        Context(
            5,
            carbohydrate=Carbohydrate(Food.LUNCH, 60),
            meal=Meal.AFTER,
            medication=Medication(Drug.RAPID_ACTING, 12),
            hba1c_pct=6.5,
        ),
    ),
    "0.15 ml of insulin": (
        glucose_context.decode,
        "30 0600 04 0fb0",
        Context(6, medication=Medication(Drug.LONG_ACTING, 0.15, volume=True)),
    ),
    "an exercise, and a context with flags of a later version": (
        glucose_context.decode,
        "8c 0700 00 51 0807 3c",
        Context(
            7, tested=glucose_context.Tested(glucose_context.Tester.SELF, Health.NO_ISSUES), exercise=Exercise(1800, 60)
        ),
    ),
    "two records of a sensor in one notification": (
        continuous_glucose.decode,
        "06 00 6400 0a00  0d e3 7800 0f00 02 08 40 14f0 6200",
        (
            Measurement(100, 10),
            Measurement(
                120,
                15,
                status=continuous_glucose.Status.BATTERY_LOW
                | continuous_glucose.Status.CALIBRATION_REQUIRED
                | continuous_glucose.Status.RESULT_TOO_LOW,
                trend_mg_dl_min=2,
                quality_pct=98,
            ),
        ),
    ),
    "a sensor beyond its scale": (continuous_glucose.decode, "06 00 fe07 0a00", (Measurement(None, 10, "high"),)),
    "a sensor that warms up": (continuous_glucose.decode, "06 00 ff07 0a00", (Measurement(None, 10),)),
    "what a sensor can do": (
        continuous_glucose.decode_feature,
        "008001 59 ffff",
        continuous_glucose.Features(
            continuous_glucose.Feature.TREND | continuous_glucose.Feature.QUALITY,
            Fluid.INTERSTITIAL_FLUID,
            continuous_glucose.Location.SUBCUTANEOUS_TISSUE,
        ),
    ),
    "a sensor whose session is over": (
        continuous_glucose.decode_status,
        "0a00 010000",
        State(10, continuous_glucose.Status.SESSION_STOPPED),
    ),
    "a session in China": (continuous_glucose.decode_session_start, "ea070b17071e00 20 00", SessionStart(AT, 480, 0)),
    "a session of a sensor without a clock": (
        continuous_glucose.decode_session_start,
        "00000000000000 80 ff",
        SessionStart(None, None, None),
    ),
    "a sensor for ten days": (continuous_glucose.decode_session_run_time, "f000", 240),
    "start a session": (continuous_glucose.decode_request, "1a", continuous_glucose.Request(CGM.START_SESSION)),
    "a record every five minutes": (
        continuous_glucose.decode_request,
        "01 05",
        continuous_glucose.Request(CGM.SET_INTERVAL, 5),
    ),
    "the interval of a sensor": (continuous_glucose.decode_response, "03 05", continuous_glucose.Interval(5)),
    "a session was started": (
        continuous_glucose.decode_response,
        "1c 1a 01",
        continuous_glucose.Response(CGM.START_SESSION, continuous_glucose.Outcome.SUCCESS),
    ),
    "every record": (record_access.decode_request, "01 01", Request(OPS.REPORT)),
    "records from number 12 on": (
        record_access.decode_request,
        "01 03 01 0c00",
        Request(OPS.REPORT, Operator.AT_LEAST, (12,)),
    ),
    "records of a day": (
        record_access.decode_request,
        "04 04 02 ea070b17071e00 ea070b18071e00",
        Request(OPS.REPORT_NUMBER, Operator.WITHIN, (AT, AT + timedelta(days=1))),
    ),
    "stop sending": (record_access.decode_request, "03 00", record_access.ABORT),
    "sixty records": (record_access.decode_response, "05 00 3c00", record_access.RecordCount(60)),
    "no record": (
        record_access.decode_response,
        "06 00 01 06",
        record_access.Response(OPS.REPORT, record_access.Outcome.NO_RECORDS),
    ),
    "what an oximeter can do": (
        pulse_oximeter.decode_features,
        "0900 0002",
        pulse_oximeter.Features(pulse_oximeter.Feature.SPOT_CHECK_TIME_STAMP, pulse_oximeter.Status.FROM_STORAGE),
    ),
    "where a heart rate is felt": (heart_rate.decode_location, "01", heart_rate.Location.CHEST),
    "where a temperature is taken": (thermometer.decode_site, "03", thermometer.Site.EAR),
    "a temperature every minute": (thermometer.decode_interval, "3c00", 60),
    "a user slot": (user_data.decode_user_index, "02", 2),
    "no user slot": (user_data.decode_user_index, "ff", None),
    "open a user slot": (user_data.decode_request, "02 01 d204", user_data.Consent(1, 1234)),
    "a new user slot": (
        user_data.decode_response,
        "20 01 01 03",
        user_data.Response(user_data.OpCode.REGISTER, user_data.Outcome.SUCCESS, 3),
    ),
}
