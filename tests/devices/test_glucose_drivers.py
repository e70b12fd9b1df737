"""Blood glucose meters and continuous glucose sensors, collected over the real virtual radio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from devices.desk import Desk
from devices.drivers import records
from devices.drivers.driver import Configured
from devices.drivers.glucose_meter import GlucoseMeter, measured
from devices.gatt import glucose, glucose_context
from devices.gatt.continuous_glucose import Status as SensorStatus
from devices.gatt.errors import DecodeError
from devices.gatt.glucose import Fluid, Glucose, Location, Sample, Status
from devices.gatt.glucose_context import Carbohydrate, Context, Drug, Food, Meal, Medication
from devices.gatt.record_access import OpCode, Operator, Outcome, Request
from devices.outbox import Outbox
from devices.readings import Quality
from devices.virtual.twin import Plate
from devices.virtual.twins.glucose_meter import GlucoseMeter as MeterTwin
from devices.virtual.twins.glucose_sensor import GlucoseSensor as SensorTwin
from tests.devices.home import QUICK, Home, home, until

pytestmark = pytest.mark.anyio

METER = "C0:FF:EE:00:00:20"
SENSOR = "C0:FF:EE:00:00:21"
UNSURE = "C0:FF:EE:00:00:22"
PLATES = (
    Plate(address=METER, kind="glucose_meter", name="Meter"),
    Plate(address=SENSOR, kind="glucose_sensor", name="Sensor", time_zone="Asia/Shanghai"),
    Plate(address=UNSURE, kind="glucose_sensor", name="Unsure", traits=frozenset({"no_clock"})),
)
TEN = datetime(2026, 11, 24, 10, 0)  # noqa: DTZ001  a meter's time has no zone
BLOOD = Sample(99.088, Fluid.CAPILLARY_WHOLE_BLOOD, Location.FINGER)


@pytest.fixture
async def h(tmp_path: Path) -> AsyncIterator[Home]:
    async with home(tmp_path, QUICK, PLATES) as found:
        for twin in found.street.twins.values():
            await twin.do_flood()  # found at once
        yield found


def meter(h: Home) -> MeterTwin:
    twin = h.street.twins[METER]
    assert isinstance(twin, MeterTwin)
    return twin


def sensor(h: Home, address: str = SENSOR) -> SensorTwin:
    twin = h.street.twins[address]
    assert isinstance(twin, SensorTwin)
    return twin


def reports(twin: MeterTwin | SensorTwin) -> list[tuple[Operator, tuple[object, ...]]]:
    return [(r.operator, r.bounds) for r in twin.asked if r.op_code is OpCode.REPORT]


async def idle(h: Home, twin: MeterTwin) -> None:
    await until(lambda: not twin.connections and not twin._has_news)


def test_a_record_is_in_mmol_at_the_wearers_time() -> None:
    found = measured(Glucose(7, TEN, 90, BLOOD))
    assert (found.values, found.at) == ({"glucose": 5.5}, TEN + timedelta(minutes=90))


def test_what_was_noted_beside_it_is_its_detail() -> None:
    context = Context(
        7, Carbohydrate(Food.LUNCH, 45.0), Meal.AFTER, medication=Medication(Drug.RAPID_ACTING, 4.0, volume=True)
    )
    noted = {"meal": 2, "food": 2, "carbohydrate_g": 45, "drug": 1, "drug_ml": 4, "fluid": 1, "location": 1}
    assert measured(Glucose(7, TEN, None, BLOOD), context).detail == noted


@pytest.mark.parametrize(("beyond", "event"), [("high", "glucose_above_scale"), ("low", "glucose_below_scale")])
def test_a_value_beyond_the_scale_is_an_event_and_no_number(beyond: glucose.Beyond, event: str) -> None:
    sample = Sample(None, Fluid.CAPILLARY_WHOLE_BLOOD, Location.FINGER, beyond=beyond)
    assert measured(Glucose(7, TEN, None, sample)).values == {event: 1.0}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (Glucose(7, TEN), "no_value"),
        (Glucose(7, TEN, None, Sample(99, Fluid.CONTROL_SOLUTION, Location.FINGER)), "control_solution"),
        (Glucose(7, TEN, None, Sample(99, Fluid.VENOUS_PLASMA, Location.CONTROL_SOLUTION)), "control_solution"),
        (Glucose(7, TEN, None, BLOOD, Status.SAMPLE_TOO_SMALL), "sample_too_small"),
        (Glucose(7, TEN, None, BLOOD, Status.STRIP_TYPE_INCORRECT | Status.BATTERY_LOW), "strip_type_incorrect"),
    ],
)
def test_what_is_nobodys_blood_glucose_is_refused_with_its_reason(record: Glucose, reason: str) -> None:
    with pytest.raises(DecodeError) as refused:
        measured(record)
    assert refused.value.reason == reason


def test_a_meter_that_doubts_its_own_time_is_not_believed_it(tmp_path: Path) -> None:
    assert measured(Glucose(7, TEN, None, BLOOD, Status.TIME_FAULT)).quality is Quality.CLOCK_SUSPECT
    assert measured(Glucose(7, TEN, None, BLOOD, Status.BATTERY_LOW)).quality is Quality.NONE


def test_a_context_of_another_record_is_not_joined(tmp_path: Path) -> None:
    desk = Desk(Outbox(tmp_path / "outbox"))
    one = GlucoseMeter(Configured(METER, "glucose_meter"), desk)
    one.take(glucose.MEASUREMENT, glucose.encode(Glucose(7, TEN, None, BLOOD, context_follows=True)))
    one.context(glucose_context.encode(Context(8, meal=Meal.FASTING)))
    assert desk._outbox.depth() == 0
    one.context(glucose_context.encode(Context(7, meal=Meal.BEFORE)))
    assert desk._outbox.depth() == 1


async def test_records_are_asked_for_once_and_then_only_what_is_new(h: Home) -> None:
    await meter(h).do_fill(60)
    h.start_gateway()
    await until(lambda: len(h.values("glucose")) == 60)
    await idle(h, meter(h))
    await meter(h).do_measure(mmol_l=7.1, meal=2)
    await until(lambda: len(h.values("glucose")) == 61)
    assert reports(meter(h)) == [(Operator.ALL, ()), (Operator.AT_LEAST, (60,))]
    newest = h.readings("glucose")[-1]
    assert (newest.value, newest.detail) == (7.1, {"meal": 2.0, "fluid": 1.0, "location": 1.0})
    assert abs(newest.measured_at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_meter_whose_numbers_begin_anew_loses_nothing(h: Home) -> None:
    """The number known is another record now, with new ones below it; then it does not reach it any more."""
    await meter(h).do_fill(3)
    h.start_gateway()
    await until(lambda: len(h.values("glucose")) == 3)
    await idle(h, meter(h))
    await meter(h).do_begin_anew()
    await meter(h).do_fill(5)
    await until(lambda: len(h.values("glucose")) == 8)
    await idle(h, meter(h))
    await meter(h).do_begin_anew()
    await meter(h).do_measure(mmol_l=9.1)
    await until(lambda: 9.1 in h.values("glucose"))
    assert len(h.values("glucose")) == 9


async def test_a_link_cut_in_mid_transfer_costs_nothing_and_doubles_nothing(h: Home) -> None:
    await meter(h).do_fill(40)
    await meter(h).do_drop_link(after=25)
    h.start_gateway()
    await until(lambda: len(h.values("glucose")) == 40)
    await idle(h, meter(h))
    first, second = reports(meter(h))
    assert first == (Operator.ALL, ())
    assert second[0] is Operator.AT_LEAST  # it went on where it was cut
    assert len({r.key for r in h.readings("glucose")}) == 40


async def test_a_gateway_killed_in_mid_transfer_costs_nothing_and_doubles_nothing(h: Home) -> None:
    await meter(h).do_double()
    await meter(h).do_fill(40)
    h.start_gateway()
    await until(lambda: len(h.values("glucose")) >= 5)
    await h.stop_gateway()
    h.start_gateway()
    await until(lambda: len(h.values("glucose")) == 40)
    await idle(h, meter(h))
    assert len(h.values("glucose")) == 40


async def test_a_record_lost_on_the_way_is_missed_and_asked_for_again(h: Home) -> None:
    await meter(h).do_fill(10)
    await meter(h).do_lose(4)
    h.start_gateway()
    await until(lambda: len(h.values("glucose")) == 9)
    await until(lambda: "did not all come" in str(h.desk.of(METER).trouble))
    await meter(h).call()
    await until(lambda: len(h.values("glucose")) == 10)
    await until(lambda: h.desk.of(METER).trouble is None)


async def test_a_procedure_that_never_completes_is_aborted_and_what_came_is_kept(
    h: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "SILENT_S", 0.3)
    await meter(h).do_never_finish()
    await meter(h).do_fill(5)
    h.start_gateway()
    await until(lambda: len(h.values("glucose")) == 5)
    await until(lambda: Request(OpCode.ABORT, Operator.NULL) in meter(h).asked)
    await until(lambda: "did not all come" in str(h.desk.of(METER).trouble))
    await meter(h).do_never_finish(on=False)
    await until(lambda: not meter(h)._has_news and h.desk.of(METER).trouble is None)
    assert len(h.values("glucose")) == 5


async def test_a_meter_that_cannot_tell_its_records_apart_is_asked_for_all(h: Home) -> None:
    await meter(h).do_fill(3)
    h.start_gateway()
    await until(lambda: len(h.values("glucose")) == 3)
    await idle(h, meter(h))
    await meter(h).do_answer(Outcome.OPERATOR_NOT_SUPPORTED)
    await meter(h).do_measure(mmol_l=9.9)
    await until(lambda: 9.9 in h.values("glucose"))
    assert len(h.values("glucose")) == 4


async def test_beyond_the_scale_and_control_solution_reach_staff_as_what_they_are(h: Home) -> None:
    await meter(h).do_measure(beyond="low")
    await meter(h).do_measure(mmol_l=6.0, control=True)
    await meter(h).do_fail()
    await meter(h).do_offset(60)
    await meter(h).do_measure(mmol_l=6.5)
    h.start_gateway()
    await until(lambda: h.values("glucose") == [6.5])
    assert h.values("glucose_below_scale") == [1.0]
    await until(lambda: h.reasons() == ["control_solution", "sample_too_small"])
    [reading] = h.readings("glucose")
    assert reading.measured_at - reading.collected_at > timedelta(minutes=55)
    await idle(h, meter(h))
    await meter(h).call()
    await until(lambda: len(reports(meter(h))) == 2 and not meter(h).connections)
    assert len(h.reasons()) == 2


async def test_a_meters_records_are_deleted_only_if_its_habits_say_so(h: Home) -> None:
    await meter(h).do_fill(3)
    h.start_gateway(Configured(METER, "glucose_meter"))
    await until(lambda: len(h.values("glucose")) == 3)
    await idle(h, meter(h))
    assert len(meter(h).kept) == 3
    await h.stop_gateway()
    h.start_gateway(Configured(METER, "glucose_meter", habits={"delete": True}))
    await meter(h).do_measure(mmol_l=9.9)
    await until(lambda: not meter(h).kept)
    assert len(h.values("glucose")) == 4


async def test_a_sensor_tells_what_was_missed_and_then_each_new_value(h: Home) -> None:
    await sensor(h).do_fill(12)
    h.start_gateway(Configured(SENSOR, "glucose_sensor"))
    await until(lambda: len(h.values("interstitial_glucose")) == 12)
    await until(lambda: not sensor(h)._has_news)
    await sensor(h).do_measure(mmol_l=4.4)
    await until(lambda: 4.4 in h.values("interstitial_glucose"))
    newest = h.readings("interstitial_glucose")[-1]
    assert abs(newest.measured_at - datetime.now(UTC)) < timedelta(minutes=2)
    assert newest.quality is Quality.NONE
    assert h.desk.of(SENSOR).clock_error_s == pytest.approx(0, abs=120)
    assert sensor(h).connections


async def test_a_sensor_is_not_asked_again_for_what_it_told_by_itself(h: Home) -> None:
    await sensor(h).do_fill(3)
    h.start_gateway(Configured(SENSOR, "glucose_sensor"))
    await until(lambda: len(h.values("interstitial_glucose")) == 3)
    # Until the gateway has asked how many there are: one more in that moment, and it would ask for all again.
    await until(lambda: h.outbox.recall(f"last record of {SENSOR}"))
    newest = max(sensor(h).kept)
    await sensor(h).do_measure(mmol_l=4.4, minute=newest + 5)
    await until(lambda: 4.4 in h.values("interstitial_glucose"))
    await sensor(h).connections[0].disconnect()
    await until(lambda: len(reports(sensor(h))) == 2)
    assert reports(sensor(h))[-1] == (Operator.AT_LEAST, (newest + 5,))


async def test_a_sensors_link_cut_in_mid_transfer_goes_on_where_it_was_cut(h: Home) -> None:
    await sensor(h).do_fill(20)
    await sensor(h).do_drop_link(after=9)
    h.start_gateway(Configured(SENSOR, "glucose_sensor"))
    await until(lambda: len(h.values("interstitial_glucose")) == 20)
    assert len({r.key for r in h.readings("interstitial_glucose")}) == 20


async def test_warming_up_is_no_value_and_beyond_the_scale_one_event(h: Home) -> None:
    h.start_gateway(Configured(SENSOR, "glucose_sensor"))
    await sensor(h).do_measure(minute=20)
    await until(lambda: sensor(h).connections and not sensor(h)._has_news)
    for minute in (25, 30, 35):
        await sensor(h).do_measure(beyond="high", minute=minute)
    await sensor(h).do_measure(mmol_l=20.0, minute=40)
    await sensor(h).do_measure(beyond="high", minute=45)
    await sensor(h).do_measure(mmol_l=19.0, minute=50)
    await until(lambda: len(h.values("interstitial_glucose")) == 2)
    assert h.values("interstitial_glucose") == pytest.approx([20, 19], abs=0.03)  # it tells whole mg/dL
    assert h.values("glucose_above_scale") == [1.0, 1.0]
    assert h.reasons() == []


async def test_a_sensor_that_calls_itself_out_of_order_is_not_believed(h: Home) -> None:
    h.start_gateway(Configured(SENSOR, "glucose_sensor"))
    await sensor(h).do_status(SensorStatus.SENSOR_MALFUNCTION)
    await sensor(h).do_measure(mmol_l=3.0)
    await until(lambda: h.reasons() == ["sensor_malfunction"])
    assert h.values("interstitial_glucose") == []
    assert "does not work" in str(h.desk.of(SENSOR).trouble)


async def test_a_new_sensor_begins_a_new_session(h: Home) -> None:
    await sensor(h).do_fill(3)
    h.start_gateway(Configured(SENSOR, "glucose_sensor"))
    await until(lambda: len(h.values("interstitial_glucose")) == 3)
    await until(lambda: not sensor(h)._has_news)
    await sensor(h).do_new_session()
    await sensor(h).connections[0].disconnect()
    await sensor(h).do_measure(mmol_l=5.1, minute=0)
    await until(lambda: 5.1 in h.values("interstitial_glucose"))
    newest = h.readings("interstitial_glucose")[-1]
    assert abs(newest.measured_at - datetime.now(UTC)) < timedelta(minutes=2)


async def test_a_sensor_without_a_clock_is_told_when_its_session_began_and_keeps_to_it(h: Home) -> None:
    await sensor(h, UNSURE).do_fill(3)
    h.start_gateway(Configured(UNSURE, "glucose_sensor"))
    await until(lambda: len(h.values("interstitial_glucose")) == 3)
    session = sensor(h, UNSURE).session
    assert session is not None
    assert session.utc is not None
    assert abs(session.utc - sensor(h, UNSURE).began) < timedelta(minutes=2)
    before = [r.key for r in h.readings("interstitial_glucose")]
    sensor(h, UNSURE).session = None
    await sensor(h, UNSURE).connections[0].disconnect()
    await sensor(h, UNSURE).do_measure(mmol_l=5.5)
    await until(lambda: 5.5 in h.values("interstitial_glucose"))
    assert [r.key for r in h.readings("interstitial_glucose")][:3] == before
