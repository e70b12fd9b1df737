"""Wearables are started, timed and watched; what they cannot show is said."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count, islice, pairwise
from pathlib import Path

import numpy as np
import pytest
from bleak.backends.scanner import AdvertisementData
from hypothesis import given, settings
from hypothesis import strategies as st

from devices.desk import Desk
from devices.drivers import kinds
from devices.drivers.driver import Configured
from devices.drivers.infinitime import InfiniTime
from devices.drivers.pace import SampleClock, Sensor
from devices.drivers.polar import Polar as PolarDriver
from devices.drivers.polar import choose
from devices.drivers.stream import Stream
from devices.drivers.wearable import Wearable
from devices.falls.model import shipped
from devices.falls.times import SECOND
from devices.gatt import infinitime, motion
from devices.gatt.acceleration import Samples
from devices.gatt.polar import Setting
from devices.outbox import Outbox, OutboxFull
from devices.readings import Quality, Reading
from devices.recording import Recording
from devices.virtual.body import Accelerometer, Body
from devices.virtual.control import Controls
from devices.virtual.streamer import Streamer
from devices.virtual.street import Street
from devices.virtual.twin import Plate
from devices.virtual.twins import kinds as twins
from devices.virtual.twins.microbit import Microbit
from devices.virtual.twins.movesense import Movesense
from devices.virtual.twins.polar import Polar
from devices.virtual.twins.thingy import Thingy
from tests.devices.home import CUFF, WEARABLE, Home, home, until

pytestmark = pytest.mark.anyio

ADDRESS = "C0:FF:EE:00:00:02"
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
STREAMS = {"wearable", "polar", "infinitime", "microbit", "movesense", "thingy"}
MS = timedelta(milliseconds=1)


class Gateway:
    """A desk whose clock is moved by hand."""

    def __init__(self, folder: Path) -> None:
        self.at = NOW
        self.outbox = Outbox(folder / "outbox")
        self.desk = Desk(self.outbox, now=lambda: self.at)

    @property
    def kept(self) -> list[Reading]:
        return [reading for _, reading in self.outbox.batch(100)]

    @property
    def happened(self) -> list[Reading]:
        """What was kept but whether it is worn."""
        return [reading for reading in self.kept if reading.metric != "worn"]

    @property
    def recording(self) -> Recording | None:
        found = self.outbox.recording()
        return found and found[1]

    @property
    def trouble(self) -> str | None:
        return self.desk.of(ADDRESS).trouble


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    found = Gateway(tmp_path)
    yield found
    found.outbox.close()


def life(rate_hz: float, seed: int = 7) -> Samples:
    """Ten seconds of sitting, a fall, twelve seconds on the floor, then up and walking."""
    body = Body(seed)
    sensor = Accelerometer(body, rate_hz)
    pieces = [sensor.take(round(10 * rate_hz))]
    body.fall()
    pieces.append(sensor.take(round(12 * rate_hz)))
    body.get_up()
    pieces.append(sensor.take(round(20 * rate_hz)))
    return np.concatenate(pieces)


def packets(samples: Samples, cuts: list[int], *, at_ms: int = 0) -> list[tuple[int, bytes]]:
    """Our own wearable's packets of this stream, cut so, each with the number of samples sent up to its end."""
    ends = [0, *sorted({cut for cut in cuts if 0 < cut < len(samples)}), len(samples)]
    return [
        (b, motion.encode(motion.Motion(n, at_ms + 20 * a, samples[a:b]))) for n, (a, b) in enumerate(pairwise(ends))
    ]


def every(count: int) -> list[int]:
    return list(range(0, 5000, count))


def hear(
    gateway: Gateway,
    sent: list[tuple[int, bytes]],
    *,
    ppm: float = 0,
    late: Callable[[], float] = lambda: 0.0,
) -> Wearable:
    """The driver, after it has heard these packets from a device that samples so much too fast."""
    wearable = Wearable(Configured(ADDRESS, "wearable"), gateway.desk)
    for end, raw in sent:
        gateway.at = max(NOW + end * 20 * MS / (1 + ppm / 1e6) + late() * MS, gateway.at)
        wearable.moved(raw)
    return wearable


def test_a_fall_is_told_once_with_what_surrounds_it_and_getting_up_after_it(gateway: Gateway) -> None:
    samples = life(50)
    wearable = hear(gateway, packets(samples, every(25)))
    fall, recovered = gateway.happened
    assert (fall.metric, recovered.metric) == ("fall", "fall_recovered")
    assert fall.detail.keys() == {"impact_g", "free_fall_ms", "stillness_s", "posture_change_deg"}
    assert fall.quality is Quality.NONE
    impact = round((fall.measured_at - NOW) / (20 * MS))
    assert np.linalg.norm(samples[impact - 3 : impact + 3], axis=1).max() == pytest.approx(
        fall.detail["impact_g"], abs=2e-3
    )
    recording = gateway.recording
    assert recording is not None
    assert (recording.device, recording.rate_hz, recording.reason) == (ADDRESS, 50, "fall")
    assert abs(recording.started_at - (fall.measured_at - timedelta(seconds=4))) <= 20 * MS
    assert len(recording.samples) == 600
    expected = np.rint(samples[impact - 201 : impact + 401] * 1000).astype(np.int16).tolist()
    assert recording.samples.tolist() in (expected[:600], expected[1:601], expected[2:602])
    assert wearable.gaps == 0


def test_a_centre_s_own_model_tells_falls_in_place_of_the_shipped_one(gateway: Gateway) -> None:
    never = replace(shipped(), calibration=(1.0, -100.0))
    gateway.desk = Desk(gateway.outbox, now=lambda: gateway.at, falls=never)
    hear(gateway, packets(life(50), every(25)))
    assert gateway.happened == []


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 2100), min_size=30, max_size=120), st.integers(0, 3))
def test_the_same_stream_cut_differently_is_the_same_to_whoever_watches(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int], seed: int
) -> None:
    samples = life(50, seed)
    found = []
    for cut in (every(25), cuts):
        gateway = Gateway(tmp_path_factory.mktemp("cut"))
        hear(gateway, packets(samples, cut))
        recording = gateway.recording
        assert recording is not None
        found.append(([(r.metric, r.value, r.detail) for r in gateway.kept], recording.samples.tobytes()))
        gateway.outbox.close()
    assert found[0] == found[1]


@pytest.mark.parametrize("ppm", [-200, 0, 200])
@pytest.mark.parametrize("seed", [1, 2])
def test_neither_drift_nor_a_late_radio_is_a_gap_or_moves_a_fall(gateway: Gateway, ppm: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    samples = life(50, seed)
    wearable = hear(gateway, packets(samples, every(25)), ppm=ppm, late=lambda: float(random.uniform(0, 400)))
    assert wearable.gaps == 0
    fall = gateway.kept[0]
    blow = int(np.linalg.norm(samples, axis=1).argmax())
    assert abs(fall.measured_at - (NOW + blow * 20 * MS)) < 60 * MS
    assert gateway.trouble is None


@pytest.mark.parametrize("at_ms", [0, 2**32 - 15_000])
def test_a_clock_that_wraps_hides_no_fall(gateway: Gateway, at_ms: int) -> None:
    wearable = hear(gateway, packets(life(50), every(25), at_ms=at_ms))
    assert [r.metric for r in gateway.happened] == ["fall", "fall_recovered"]
    assert wearable.gaps == 0


@given(lost=st.integers(2, 80), count=st.integers(1, 3))
@settings(max_examples=8, deadline=None)
def test_every_lost_packet_is_a_gap_that_is_counted(
    tmp_path_factory: pytest.TempPathFactory, lost: int, count: int
) -> None:
    gateway = Gateway(tmp_path_factory.mktemp("lost"))
    sent = packets(life(50), every(25))
    assert hear(gateway, sent[:lost] + sent[lost + count :]).gaps == (1 if lost + count < len(sent) else 0)
    gateway.outbox.close()


@pytest.mark.parametrize("lost", range(21, 26))
def test_a_fall_is_not_pieced_together_over_a_gap(gateway: Gateway, lost: int) -> None:
    """The blow before the gap, the stillness after it: that they belong together nobody knows."""
    sent = packets(life(50), every(25))
    hear(gateway, sent[:lost] + sent[lost + 4 : 44])
    assert gateway.kept == []
    assert gateway.recording is None


def test_a_doubled_packet_is_heard_once(gateway: Gateway) -> None:
    sent = packets(life(50), every(25))
    wearable = hear(gateway, [packet for packet in sent for _ in range(2)])
    assert [r.metric for r in gateway.happened] == ["fall", "fall_recovered"]
    assert wearable.gaps == 0


def test_a_gap_after_a_blow_lets_the_fall_be_told_at_once_with_the_recording_as_far_as_it_came(
    gateway: Gateway,
) -> None:
    sent = packets(life(50), every(25))
    wearable = Wearable(Configured(ADDRESS, "wearable"), gateway.desk)
    last = 16 * 50 // 25  # some five seconds after the blow
    for n, (end, raw) in enumerate(sent[: last + 5]):
        gateway.at = NOW + end * 20 * MS
        if not last <= n < last + 4:
            wearable.moved(raw)
    [fall] = gateway.happened
    assert (fall.metric, fall.collected_at) == ("fall", gateway.at)
    recording = gateway.recording
    assert recording is not None
    assert 200 < len(recording.samples) < 600
    assert recording.started_at + (len(recording.samples) - 1) * 20 * MS == NOW + sent[last - 1][0] * 20 * MS


def test_missing_samples_are_said_when_they_are_many_and_taken_back_when_it_is_better(gateway: Gateway) -> None:
    samples = np.tile([0.0, 0.0, 1.0], (50 * 150, 1))
    sent = packets(samples, every(25) + list(range(5000, 7500, 25)))
    wearable = Wearable(Configured(ADDRESS, "wearable"), gateway.desk)
    said = []
    for n, (end, raw) in enumerate(sent):
        gateway.at = NOW + end * 20 * MS
        if n not in (20, 40, 60):
            wearable.moved(raw)
        said.append(gateway.trouble)
    assert wearable.gaps == 3
    assert said[59] is None
    assert said[61] == "parts of its movement data are missing: a fall may not be noticed"
    assert said[-1] is None


def test_a_wearable_is_seen_for_as_long_as_falls_would_be_noticed(gateway: Gateway) -> None:
    wearable = Wearable(Configured(ADDRESS, "wearable", habits={"visit_every_s": 86400}), gateway.desk)
    assert wearable.visit_every_s == 0
    for end, raw in packets(life(50), every(25)):
        gateway.at = NOW + end * 20 * MS
        wearable.moved(raw)
    assert gateway.desk.of(ADDRESS).last_seen_at == gateway.at
    gateway.desk.of(ADDRESS).last_seen_at = None
    wearable.expect(Sensor(5))
    for _, raw in packets(life(50), every(25)):
        wearable.moved(raw)
    assert gateway.desk.of(ADDRESS).last_seen_at is None


def test_a_trouble_that_is_not_the_streams_is_left_alone(gateway: Gateway) -> None:
    wearable = hear(gateway, packets(life(50), every(25))[:10])
    gateway.desk.trouble(ADDRESS, "its pairing is lost")
    for end, raw in packets(life(50), every(25))[10:20]:
        gateway.at = NOW + end * 20 * MS
        wearable.moved(raw)
    assert gateway.trouble == "its pairing is lost"


def test_acceleration_that_is_none_is_refused_but_not_fifty_times_a_second(gateway: Gateway) -> None:
    hear(gateway, [(end, bytes(9)) for end in range(0, 50 * 25, 5)])
    assert [r.reason for r in gateway.outbox.refused(9)] == ["bad_length"] * 3


def test_a_doubled_press_of_i_am_fine_is_one(gateway: Gateway) -> None:
    wearable = Wearable(Configured(ADDRESS, "wearable"), gateway.desk)
    for raw in (b"\x01\x00", b"\x01\x00", b"\x02\x00", b"\x02"):
        gateway.at += MS
        wearable.pressed(raw)
    assert [r.metric for r in gateway.kept] == ["said_well", "said_well"]
    assert len(gateway.outbox.refused(9)) == 1


@given(st.lists(st.tuples(st.sampled_from(sorted(STREAMS)), st.binary(max_size=60)), min_size=1, max_size=40))
@settings(max_examples=12, deadline=None)
def test_no_bytes_a_wearable_may_send_do_more_than_be_heard_or_refused(
    tmp_path_factory: pytest.TempPathFactory, sent: list[tuple[str, bytes]]
) -> None:
    gateway = Gateway(tmp_path_factory.mktemp("bytes"))
    heard: dict[str, Callable[[bytes], None]] = {}
    for kind in STREAMS:
        driver = kinds()[kind](Configured(ADDRESS, kind), gateway.desk)
        assert isinstance(driver, Stream)
        driver.expect(Sensor(50, timed=kind in ("wearable", "polar", "movesense"), wraps_ns=None))
        heard[kind] = driver.moved  # type: ignore[attr-defined]
        if isinstance(driver, PolarDriver):
            driver._factor = 1.0
    whole = {"polar": b"\x02" + bytes(6) + b"\xff\xff\x01", "infinitime": bytes(6), "movesense": b"\x02\x03"}
    for kind, raw in sent:
        gateway.at += 20 * MS
        for packet in (raw, whole.get(kind, b"") + raw[: len(raw) // 12 * 12]):
            heard[kind](packet)
    gateway.outbox.close()


def watch(gateway: Gateway, rate_hz: float, seed: int = 7) -> InfiniTime:
    """A watch at this rate, whose packets come up to 60 ms late."""
    random = np.random.default_rng(seed)
    found = InfiniTime(Configured(ADDRESS, "infinitime"), gateway.desk)
    found.expect(Sensor(infinitime.RATE_HZ, infinitime.RANGE_G))
    for n, sample in enumerate(life(rate_hz, seed).clip(-2, 2)):
        gateway.at = max(NOW + n / rate_hz * 1000 * MS + random.uniform(0, 60) * MS, gateway.at)
        found.moved(infinitime.encode(sample[None]))
    return found


@pytest.mark.parametrize("seed", [6, 7])
def test_a_coarse_watch_tells_the_falls_it_sees_and_that_it_misses_others(gateway: Gateway, seed: int) -> None:
    assert watch(gateway, 10, seed).gaps == 0
    assert gateway.trouble == "its movement sensor is coarse: some falls are not noticed"
    fall = gateway.kept[0]
    assert fall.metric == "fall"
    assert fall.quality is Quality.NO_DEVICE_TIME
    assert timedelta(seconds=10) < fall.measured_at - NOW < timedelta(seconds=12.5)


def test_a_watch_that_is_too_slow_is_not_believed_to_watch(gateway: Gateway) -> None:
    watch(gateway, 6)
    assert gateway.trouble == "its movement data come too slowly: falls are not noticed"
    assert gateway.kept == []


def test_the_promptest_packet_tells_when_samples_were_taken() -> None:
    clock = SampleClock()
    for n, late_ms in enumerate((300, 20, 900, 150)):
        clock.arrived(n * SECOND // 2, NOW + (500 * n + late_ms) * MS)
    assert abs(clock.time(SECOND) - (NOW + 1020 * MS)) < 5 * MS


@pytest.mark.parametrize("set_by", [timedelta(hours=1), timedelta(hours=-1)])
def test_a_gateway_whose_clock_is_set_times_samples_by_it_at_once(set_by: timedelta) -> None:
    clock = SampleClock()
    for n in range(10):
        clock.arrived(n * SECOND, NOW + n * 1000 * MS + (set_by if n >= 5 else timedelta()))
    assert clock.time(9 * SECOND) - (NOW + 9000 * MS) == set_by


@pytest.mark.parametrize(
    ("rates", "chosen"), [((25, 50, 100, 200), 50), ((52,), 52), ((26, 52, 104), 52), ((13, 26), 26)]
)
def test_a_polar_sensor_is_started_next_to_fifty_a_second_with_its_widest_range(
    rates: tuple[int, ...], chosen: int
) -> None:
    offered = {Setting.SAMPLE_RATE: rates, Setting.RESOLUTION: (16,), Setting.RANGE: (2, 4, 8), Setting.FACTOR: (1,)}
    assert choose(offered) == {Setting.SAMPLE_RATE: (chosen,), Setting.RESOLUTION: (16,), Setting.RANGE: (8,)}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Polar H10 12345678", "polar"),
        ("Polar Sense 0A1B2C3D", "polar"),
        ("InfiniTime", "infinitime"),
        ("BBC micro:bit [tagog]", "microbit"),
        ("Movesense 174630000192", "movesense"),
        ("Thingy", "thingy"),
        ("BPM One", None),
        (None, None),
    ],
)
def test_a_wearable_is_recognised_by_its_name(name: str | None, kind: str | None) -> None:
    heard = AdvertisementData(name, {}, {}, ["0000180d-0000-1000-8000-00805f9b34fb"], None, -60, ())
    streams = {k: driver for k, driver in kinds().items() if issubclass(driver, Stream)}
    assert streams.keys() == STREAMS <= twins().keys()
    assert [k for k, driver in streams.items() if driver.recognises(heard)] == ([kind] if kind else [])


PLATES = [
    Plate(address="C0:FF:EE:00:01:01", kind="polar", name="Polar H10 1", model="H10"),
    Plate(address="C0:FF:EE:00:01:02", kind="polar", name="Polar Sense", model="Verity Sense"),
    Plate(address="C0:FF:EE:00:01:03", kind="infinitime", name="InfiniTime"),
    Plate(address="C0:FF:EE:00:01:04", kind="microbit", name="BBC micro:bi"),
    Plate(address="C0:FF:EE:00:01:05", kind="movesense", name="Movesense 1", model="Movesense Flash"),
    Plate(address="C0:FF:EE:00:01:06", kind="thingy", name="Thingy"),
]
H10, VERITY, PINETIME, MICROBIT, MOVESENSE, THINGY = (plate.address for plate in PLATES)
PATIENT = 60.0  # seconds: six streams and a loaded machine


def devices() -> list[Configured]:
    return [Configured(plate.address, plate.kind) for plate in PLATES]


def twin(h: Home, address: str) -> Streamer:
    found = h.street.twins[address]
    assert isinstance(found, Streamer)
    return found


@pytest.mark.parametrize(
    ("kind", "request_", "words"),
    [
        ("polar", {"do": "refuse", "outcome": 99}, "has no error 99"),
        ("microbit", {"do": "slow", "period_ms": 81}, "no period of 81 ms"),
        ("infinitime", {"do": "drift", "ppm": 1e9}, "no clock is wrong by 1e+09"),
        ("thingy", {"do": "i_am_fine"}, "cannot i_am_fine"),
    ],
)
async def test_what_a_twin_cannot_do_is_said_in_words(kind: str, request_: dict[str, object], words: str) -> None:
    plate = Plate(address=ADDRESS, kind=kind, name=kind)
    controls = Controls(Street([plate]).twins)
    answer = await controls.answer(json.dumps({"device": ADDRESS, **request_}).encode())
    assert not answer["ok"]
    assert words in answer["error"]


async def test_every_wearable_streams_when_asked_and_a_fall_of_its_wearer_is_told(tmp_path: Path) -> None:
    async with home(tmp_path, plates=PLATES) as h:
        h.start_gateway(*devices())
        everybody = [twin(h, plate.address) for plate in PLATES]
        await until(lambda: all(t.streams and t.sent for t in everybody), PATIENT)
        await asyncio.sleep(1.5)  # what was before a fall is part of it
        for t in everybody:
            t.body.fall()
        fell_at = datetime.now(UTC)
        await until(
            lambda: {r.device for r in h.readings("fall")} >= {H10, VERITY, MOVESENSE, MICROBIT, THINGY}, PATIENT
        )
        for fall in h.readings("fall"):
            assert abs(fall.measured_at - fell_at) < timedelta(seconds=3.5)
        assert {t.rate_hz for t in everybody} == {50, 52, 10}
        troubles = {address: h.desk.of(address).trouble for address in h.desk.health}
        assert troubles[H10] is troubles[VERITY] is troubles[MOVESENSE] is None
        assert troubles[PINETIME] == troubles[MICROBIT] == troubles[THINGY]
        health = h.desk.of(MOVESENSE)
        assert (health.model, health.firmware) == ("Movesense Flash", "gatt_sensordata_app 1.0")
        await until(lambda: {r.device for r in h.readings("battery")} >= {H10, MOVESENSE}, PATIENT)


async def test_a_wearable_that_does_not_do_as_it_is_asked_is_said_to(tmp_path: Path) -> None:
    async with home(tmp_path, plates=PLATES) as h:
        polar, verity, microbit = twin(h, H10), twin(h, VERITY), twin(h, MICROBIT)
        movesense, thingy = twin(h, MOVESENSE), twin(h, THINGY)
        assert isinstance(polar, Polar)
        assert isinstance(verity, Polar)
        assert isinstance(microbit, Microbit)
        assert isinstance(movesense, Movesense)
        assert isinstance(thingy, Thingy)
        await polar.do_refuse(13)
        await verity.do_offer_nothing()
        await microbit.do_slow(160)
        await movesense.do_refuse(503)
        await thingy.do_stubborn()
        h.start_gateway(*devices()[:2], Configured(PINETIME, "wearable"), *devices()[3:])
        expected = {
            H10: "its movement sensor could not be started: device in charger",
            VERITY: "its movement sensor could not be started: it does not tell how often it measures",
            PINETIME: "this device offers no acceleration",
            MICROBIT: "its movement data come too slowly: falls are not noticed",
            MOVESENSE: "its movement sensor could not be started: it answers 503",
            THINGY: "its movement sensor could not be started: it does not measure as often as it was asked to",
        }
        for address, sentence in expected.items():
            await until(lambda a=address, s=sentence: h.desk.of(a).trouble == s, PATIENT)  # type: ignore[misc]
        await polar.do_refuse(None)
        await until(lambda: polar.streams, PATIENT)
        await until(lambda: h.desk.of(H10).trouble is None, PATIENT)


async def test_gaps_jumps_and_a_stream_left_running_are_overcome(tmp_path: Path) -> None:
    async with home(tmp_path, plates=PLATES) as h:
        polar, movesense = twin(h, H10), twin(h, MOVESENSE)
        polar.set_rate(50, per_packet=9)
        collector = h.start_gateway(Configured(H10, "polar"), Configured(MOVESENSE, "movesense"))
        drivers = {a: known.driver for a, known in collector._devices.items()}
        await until(lambda: polar.sent > 1 and movesense.sent > 5, PATIENT)
        await polar.do_drift(200)
        await polar.do_skip(2)
        await movesense.do_jump(-0.5)
        gaps: Callable[[str], int] = lambda address: drivers[address].gaps  # type: ignore[attr-defined]  # noqa: E731
        await until(lambda: gaps(H10) == 1 and gaps(MOVESENSE) == 1, PATIENT)
        await polar.do_drop_link(0)
        await until(lambda: not polar.connections, PATIENT)
        polar._session = object()  # it has not noticed that the link broke off
        await until(lambda: polar.connections and polar.streams, PATIENT)
        before = polar.sent
        await until(lambda: polar.sent > before + 1, PATIENT)
        assert gaps(H10) == 1


def through(gateway: Gateway, driver: Wearable, samples: Samples, *, begin: int = 0) -> None:
    """Our wearable's packets of these samples, the first of them so many samples after the beginning."""
    for n, start in enumerate(range(0, len(samples), 100)):
        gateway.at = NOW + (begin + start) * 20 * MS
        at_ms = 20 * (begin + start)
        driver.moved(motion.encode(motion.Motion(begin // 100 + n, at_ms, samples[start : start + 100])))


def test_what_lies_on_a_table_is_told_not_to_be_worn_and_forgets_it_over_no_restart(gateway: Gateway) -> None:
    table = np.tile([0.0, 0.0, 1.0], (50 * 2800, 1))
    through(gateway, Wearable(Configured(ADDRESS, "wearable"), gateway.desk), table)
    [told] = gateway.kept
    assert (told.metric, told.value) == ("worn", 0)
    assert gateway.trouble == "is not worn: falls are not noticed"
    again = Wearable(Configured(ADDRESS, "wearable"), gateway.desk)
    through(gateway, again, table[: 50 * 60])
    assert gateway.kept == [told]
    body = Body(3)
    body.put_on()
    through(gateway, again, body.take(50 * 60), begin=50 * 60)
    assert [(r.metric, r.value) for r in gateway.kept] == [("worn", 0), ("worn", 1)]
    assert gateway.trouble is None


def test_a_blow_that_nobody_judged_because_the_power_failed_is_told_once_when_the_gateway_is_back(
    gateway: Gateway,
) -> None:
    hear(gateway, packets(life(50)[: 16 * 50], every(25)))  # some five seconds after the blow
    assert "fall" not in [r.metric for r in gateway.kept]
    for _ in range(2):  # and it is not told anew by the restart after that
        Wearable(Configured(ADDRESS, "wearable"), gateway.desk)
    [fall] = [r for r in gateway.kept if r.metric == "fall"]
    assert NOW + timedelta(seconds=10) < fall.measured_at < NOW + timedelta(seconds=12)
    assert fall.value > 0.7
    assert fall.detail["impact_g"] > 3


def test_what_was_judged_is_not_told_again_after_a_restart(gateway: Gateway) -> None:
    hear(gateway, packets(life(50), every(25)))
    Wearable(Configured(ADDRESS, "wearable"), gateway.desk)
    assert [r.metric for r in gateway.kept].count("fall") == 1


def test_a_device_that_was_dropped_is_no_fall_after_a_restart_either(gateway: Gateway) -> None:
    body = Body(1)
    pieces = [body.take(30 * 50)]
    body.drop()
    through(
        gateway, Wearable(Configured(ADDRESS, "wearable"), gateway.desk), np.concatenate([*pieces, body.take(1000)])
    )
    Wearable(Configured(ADDRESS, "wearable"), gateway.desk)
    assert [r.metric for r in gateway.kept if r.metric != "worn"] == ["device_dropped"]


def keep_for_ever(desk: Desk, readings: Iterator[Reading], at_once: int) -> None:
    while True:
        desk.keep(list(islice(readings, at_once)))


def test_a_disk_with_room_for_falls_only_loses_none_to_what_is_told_of_the_device(tmp_path: Path) -> None:
    with Outbox(tmp_path / "full", max_bytes=1_000_000) as outbox:
        gateway = Gateway(tmp_path)
        gateway.desk = Desk(outbox, now=lambda: gateway.at)
        pulses = (Reading(ADDRESS, "pulse", 70, NOW + n * MS, NOW) for n in count())
        for at_once in (500, 1):
            with pytest.raises(OutboxFull):
                keep_for_ever(gateway.desk, pulses, at_once)
        hear(gateway, packets(np.concatenate([Body(3).take(50), life(50)]), every(25)))
        kept = [reading.metric for _, reading in outbox.batch(100_000)]
        assert "fall" in kept
        assert "worn" not in kept
    gateway.outbox.close()


async def test_who_wears_a_stream_is_watched_though_the_disk_is_full(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        full = Outbox(tmp_path / "full.sqlite", max_bytes=100 * 1024)
        pulses = (Reading(CUFF, "pulse", 70, NOW + n * MS, NOW) for n in count())
        with pytest.raises(OutboxFull):
            keep_for_ever(Desk(full), pulses, 1)
        h.start_gateway(Configured(WEARABLE, "wearable"), outbox=full)
        await until(lambda: h.wearable.sent > 4)
        assert h.desk.of(WEARABLE).trouble is None


def test_a_fall_that_no_disk_takes_is_sent_and_ends_nothing(tmp_path: Path) -> None:
    with Outbox(tmp_path / "full", max_bytes=300_000) as outbox:
        gateway = Gateway(tmp_path)
        gateway.desk = Desk(outbox, now=lambda: gateway.at)
        calls = (Reading(ADDRESS, "help_call", 1, NOW + n * MS, NOW) for n in count())
        with pytest.raises(OutboxFull):
            keep_for_ever(gateway.desk, calls, 1)
        hear(gateway, packets(np.concatenate([Body(3).take(50), life(50)]), every(25)))
        assert "fall" in [reading.metric for _, reading in outbox.batch(100_000)]
        assert "could not be kept: the gateway's disk is full" in str(gateway.trouble)
    gateway.outbox.close()


def test_a_battery_that_rises_is_told_as_charging_until_the_device_is_worn(gateway: Gateway) -> None:
    wearable = Wearable(Configured(ADDRESS, "wearable"), gateway.desk)
    for minute, percent in enumerate((50, 51, 53, 56)):
        gateway.at = NOW + timedelta(minutes=minute)
        wearable.battery(bytes([percent]))
    assert [(r.metric, r.value) for r in gateway.kept if r.metric == "charging"] == [("charging", 1)]
    body = Body(3)
    body.put_on()
    through(gateway, wearable, body.take(50 * 60), begin=50 * 600)
    told = [(r.metric, r.value) for r in gateway.kept if r.metric != "battery"]
    assert told == [("charging", 1), ("worn", 1), ("charging", 0)]


def test_how_careful_it_is_with_its_wearer_is_told_with_its_health(gateway: Gateway) -> None:
    Wearable(Configured(ADDRESS, "wearable"), gateway.desk)
    point = gateway.desk.of(ADDRESS).falls
    assert point is not None
    assert point.threshold == pytest.approx(point.usual)


@pytest.mark.parametrize(
    ("driver", "name", "habits", "position"),
    [
        (PolarDriver, "Polar H10 12345678", {}, "chest"),
        (PolarDriver, "Polar Sense 12345678", {}, "wrist"),
        (InfiniTime, "InfiniTime", {}, "wrist"),
        (InfiniTime, "InfiniTime", {"worn_at": "waist"}, "waist"),
    ],
)
def test_where_it_is_worn_is_known_by_its_kind_its_type_or_its_administrator(
    gateway: Gateway, driver: type[Stream], name: str, habits: dict[str, object], position: str
) -> None:
    found = driver(Configured(ADDRESS, driver.kind, habits=habits), gateway.desk)
    found.calls(AdvertisementData(name, {}, {}, [], None, -60, ()))
    assert found.position == position
