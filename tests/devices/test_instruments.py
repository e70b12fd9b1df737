"""Oximeters, thermometers, scales and heart rate sensors: what becomes of their bytes, and of their bad habits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.desk import Desk
from devices.drivers.clock import Clock
from devices.drivers.driver import Configured
from devices.drivers.heart_rate import HeartRateSensor, standard_deviation_ms
from devices.drivers.instrument import Instrument
from devices.drivers.oximeter import Oximeter
from devices.drivers.running import Refusals, Running
from devices.drivers.scale import Scale
from devices.drivers.thermometer import Thermometer
from devices.gatt import body_composition, heart_rate, pulse_oximeter, thermometer, weight_scale
from devices.gatt.body_composition import BodyComposition
from devices.gatt.heart_rate import HeartRate
from devices.gatt.pulse_oximeter import Continuous, SensorStatus, SpotCheck, Status
from devices.gatt.weight_scale import Body, Weight
from devices.outbox import Outbox
from devices.readings import Quality, Reading
from devices.virtual.twin import Plate
from tests.devices.home import home, until

ADDRESS = "C0:FF:EE:00:00:07"
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
LOCAL = datetime(2026, 11, 24, 12, 0)  # noqa: DTZ001  an instrument's time has no zone
INSTRUMENTS: dict[str, tuple[type[Instrument], str]] = {
    "oximeter": (Oximeter, pulse_oximeter.SPOT_CHECK),
    "thermometer": (Thermometer, thermometer.MEASUREMENT),
    "scale": (Scale, weight_scale.MEASUREMENT),
}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(Outbox(tmp_path / "outbox"), zone=UTC, now=lambda: NOON)


def instrument(desk: Desk, kind: type[Instrument]) -> Any:
    """One whose clock is known to be right: nothing is held back."""
    found = kind(Configured(ADDRESS, kind.kind), desk)
    found.settle(Clock(timedelta()))
    return found


def kept(desk: Desk) -> dict[str, Reading]:
    return {r.metric: r for _, r in desk._outbox.batch(100)}


def values(desk: Desk) -> dict[str, float]:
    return {metric: r.value for metric, r in kept(desk).items()}


def reasons(desk: Desk) -> list[str]:
    return [r.reason for r in desk._outbox.refused(100)]


@pytest.mark.parametrize("kind", INSTRUMENTS)
@settings(max_examples=30, deadline=None)
@given(raw=st.binary(max_size=30))
def test_no_bytes_do_more_than_be_kept_or_refused(
    tmp_path_factory: pytest.TempPathFactory, kind: str, raw: bytes
) -> None:
    driver, uuid = INSTRUMENTS[kind]
    with Outbox(tmp_path_factory.mktemp("one") / "outbox") as outbox:
        instrument(Desk(outbox), driver).take(uuid, raw)
        assert outbox.depth() > 0 or [r.raw for r in outbox.refused(2)] == [raw]


def test_a_value_that_the_oximeter_disowns_is_no_reading(desk: Desk) -> None:
    for disowned in (
        SpotCheck(62, 40, LOCAL, status=Status.INVALID),
        SpotCheck(97, 70, LOCAL, status=Status.DEMONSTRATION),
        SpotCheck(97, 70, LOCAL, sensor=SensorStatus.SENSOR_UNCONNECTED_TO_USER),
    ):
        raw = pulse_oximeter.encode_spot_check(disowned)
        instrument(desk, Oximeter).take(pulse_oximeter.SPOT_CHECK, raw)
    assert values(desk) == {}
    assert reasons(desk) == ["device_says_invalid"] * 3


def test_a_value_that_the_oximeter_doubts_says_so(desk: Desk) -> None:
    doubted = SpotCheck(84, 70, LOCAL, sensor=SensorStatus.POOR_SIGNAL, amplitude=0.4)
    instrument(desk, Oximeter).take(pulse_oximeter.SPOT_CHECK, pulse_oximeter.encode_spot_check(doubted))
    assert values(desk) == {"spo2": 84, "pulse": 70, "perfusion_index": 0.4}
    assert kept(desk)["spo2"].quality & Quality.QUESTIONABLE


def test_a_stored_value_without_a_time_is_not_taken_for_one_of_now(desk: Desk) -> None:
    stored = SpotCheck(88, 70, None, status=Status.FROM_STORAGE)
    instrument(desk, Oximeter).take(pulse_oximeter.SPOT_CHECK, pulse_oximeter.encode_spot_check(stored))
    assert kept(desk)["spo2"].quality & Quality.CLOCK_SUSPECT


def test_a_value_of_a_clock_that_was_never_set_is_not_believed_in_its_time(desk: Desk) -> None:
    raw = pulse_oximeter.encode_spot_check(SpotCheck(97, 70, LOCAL, clock_set=False))
    instrument(desk, Oximeter).take(pulse_oximeter.SPOT_CHECK, raw)
    assert kept(desk)["spo2"].quality & Quality.CLOCK_SUSPECT


def test_a_minute_on_the_finger_is_one_reading_of_its_median(tmp_path: Path) -> None:
    moment = [NOON]
    desk = Desk(Outbox(tmp_path / "outbox"), zone=UTC, now=lambda: moment[0])
    oximeter = instrument(desk, Oximeter)
    for second in range(62):
        moment[0] = NOON + timedelta(seconds=second)
        moved = second in (20, 21, 22)
        oximeter.ran(pulse_oximeter.encode_continuous(Continuous(70 if moved else 95, 68)))
    assert values(desk) == {"spo2": 95, "pulse": 68}
    assert kept(desk)["spo2"].measured_at == NOON + timedelta(seconds=59)


def test_early_doubted_and_absent_values_do_not_enter_the_minute(desk: Desk) -> None:
    oximeter = instrument(desk, Oximeter)
    for value in (
        Continuous(60, 68, status=Status.EARLY_ESTIMATE),
        Continuous(60, 68, sensor=SensorStatus.SENSOR_DISPLACED),
    ):
        for _ in range(20):
            oximeter.ran(pulse_oximeter.encode_continuous(value))
    for _ in range(20):
        oximeter.ran(b"\x00\xff\x07\xff\x07")
    assert oximeter._running.end() is None
    assert reasons(desk) == []


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(60, 100)), max_size=200))
def test_no_minute_is_longer_than_a_minute_and_none_spans_a_gap(steps: list[tuple[int, int]]) -> None:
    running, at = Running(), NOON
    seen: list[tuple[datetime, int]] = []
    for gap, value in steps:
        at += timedelta(seconds=gap)
        summary = running.add(at, {"spo2": value})
        if summary is not None:
            inside = [v for t, v in seen if t <= summary.at]
            assert min(v for _, v in seen) <= summary.values["spo2"] <= max(v for _, v in seen)
            assert summary.at < at
            assert len(inside) >= 10
        if seen and (at - seen[0][0] >= timedelta(minutes=1) or at - seen[-1][0] > timedelta(seconds=15)):
            seen = []
        seen.append((at, value))


def test_nonsense_every_second_does_not_fill_the_disk() -> None:
    refusals = Refusals()
    assert sum(refusals.is_kept("truncated", NOON + timedelta(seconds=s)) for s in range(60)) == 6
    assert not refusals.is_kept("no_value", NOON + timedelta(hours=1))


def test_fahrenheit_is_kept_as_celsius(desk: Desk) -> None:
    raw = thermometer.encode(thermometer.Temperature(38.5, LOCAL, unit_fahrenheit=True))
    instrument(desk, Thermometer).take(thermometer.MEASUREMENT, raw)
    assert values(desk)["body_temperature"] == pytest.approx(38.5, abs=0.01)


def test_a_scale_without_a_height_gives_no_body_mass_index(desk: Desk) -> None:
    for body, taken in ((Body(0, 0), LOCAL), (Body(24.1, 1.59), LOCAL + timedelta(minutes=1))):
        raw = weight_scale.encode(Weight(61.5, taken, 1, body))
        instrument(desk, Scale).take(weight_scale.MEASUREMENT, raw)
    assert [r.value for _, r in desk._outbox.batch(9) if r.metric == "body_mass_index"] == [24.1]


def test_a_body_composition_in_two_packets_is_one_measurement_each_half_on_the_disk_as_it_comes(desk: Desk) -> None:
    scale = instrument(desk, Scale)
    first = body_composition.encode(BodyComposition(31.5, LOCAL, 2, multiple_packets=True))
    second = body_composition.encode(BodyComposition(31.5, muscle_mass_kg=24, multiple_packets=True))
    scale.take(body_composition.MEASUREMENT, first)
    assert values(desk) == {"body_fat": 31.5}
    for _ in range(2):  # the second half arrives twice
        scale.take(body_composition.MEASUREMENT, second)
    assert values(desk) == {"body_fat": 31.5, "muscle_mass": 24}
    assert {(r.user, r.measured_at) for r in kept(desk).values()} == {(2, NOON)}


def test_halves_of_two_measurements_are_not_put_together(desk: Desk) -> None:
    scale = instrument(desk, Scale)
    for fat, at in ((31.5, LOCAL), (29.0, None)):
        raw = body_composition.encode(BodyComposition(fat, at, muscle_mass_kg=24, multiple_packets=True))
        scale.take(body_composition.MEASUREMENT, raw)
    assert reasons(desk) == ["mismatched"]


def test_a_strap_that_lies_on_the_table_measures_nobody(desk: Desk) -> None:
    strap = HeartRateSensor(Configured(ADDRESS, "heart_rate"), desk)
    for raw in (heart_rate.encode(HeartRate(180, contact=False)), b"\x00\x00"):
        for _ in range(30):
            strap.beat(raw)
    assert strap._running.end() is None
    assert reasons(desk) == []


def test_the_spread_of_beats_is_that_of_normal_ones() -> None:
    steady = [0.8, 0.82] * 150
    assert standard_deviation_ms(steady) == pytest.approx(10, abs=0.1)
    with_a_skipped_beat = [*steady[:100], 1.6, *steady[100:]]
    assert standard_deviation_ms(with_a_skipped_beat) == pytest.approx(10, abs=0.2)
    assert standard_deviation_ms([0.8, 1.3] * 150) is None
    assert standard_deviation_ms(steady[:100]) is None


@given(st.lists(st.floats(0, 64), max_size=600))
def test_no_beats_break_the_spread(rr_s: list[float]) -> None:
    found = standard_deviation_ms(rr_s)
    assert found is None or 0 <= found <= 2000


STREET = tuple(
    Plate(address=f"C0:FF:EE:00:01:{n:02X}", kind=kind, name=kind)
    for n, kind in enumerate(("oximeter", "thermometer", "scale", "heart_rate"))
)
OXIMETER, THERMOMETER, SCALE, STRAP = (p.address for p in STREET)


@pytest.mark.anyio
async def test_what_the_instruments_of_a_home_measured_is_on_the_gateways_disk_though_their_links_break(
    tmp_path: Path,
) -> None:
    async with home(tmp_path, plates=STREET) as h:
        twins: dict[str, Any] = dict(h.street.twins)
        for address in (OXIMETER, THERMOMETER, SCALE):
            await twins[address].do_drop_link(after=2)
            await twins[address].do_fill(count=5)
            await twins[address].do_fail()
        await twins[SCALE].do_measure(kg=62.5, user=2, fat_pct=31.5)
        h.start_gateway()
        await until(lambda: [len(h.values(m)) for m in ("spo2", "body_temperature", "body_weight")] == [5, 5, 6], 40)
        await until(lambda: len(h.values("body_fat")) == len(h.values("muscle_mass")) == 1)
        assert {r.user for r in h.readings("muscle_mass")} == {2}
        await until(lambda: sorted(h.reasons()) == ["device_says_invalid", "no_value", "no_value"])
        assert h.values("battery")


@pytest.mark.anyio
async def test_running_measurements_are_collected_for_as_long_as_they_run(tmp_path: Path) -> None:
    async with home(tmp_path, plates=STREET) as h:
        twins: dict[str, Any] = dict(h.street.twins)
        h.start_gateway()
        await twins[STRAP].do_wear(rate=71, every_s=0.05)
        await twins[OXIMETER].do_wear(spo2=94, pulse=70, values=40, every_s=0.1)
        await until(lambda: twins[STRAP].connections and twins[OXIMETER].connections)
        await until(lambda: h.values("spo2") == [94], 30)
        await twins[STRAP].do_take_off()
        await until(lambda: 71 in h.values("pulse"))
