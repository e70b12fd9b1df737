"""Broadcasters in BTHome v2: what they say is opened exactly or refused, counted strictly, and kept sparingly."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import pytest
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bthome_ble import BTHomeBluetoothDeviceData
from bthome_ble.const import MEAS_TYPES
from habluetooth import BluetoothServiceInfoBleak
from hypothesis import given
from hypothesis import strategies as st

from devices.collector import Collector
from devices.desk import Desk
from devices.drivers import kinds
from devices.drivers.bthome import Broadcaster
from devices.drivers.driver import Configured
from devices.gatt import bthome
from devices.gatt.bthome import Object, Packet, Said
from devices.gatt.errors import DecodeError
from devices.outbox import Outbox, OutboxFull
from devices.readings import Reading
from devices.virtual.street import Street
from devices.virtual.twin import Plate
from devices.virtual.twins.bed_sensor import BedSensor
from devices.virtual.twins.door_sensor import DoorSensor
from devices.virtual.twins.motion_sensor import MotionSensor
from tests.devices.home import BINDKEY, home, until

ADDRESS = "54:48:E6:8F:80:A5"
KEY = bytes.fromhex(BINDKEY)
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
EXAMPLE = bytes.fromhex("41a47266c95f730011223378237214")
"""The packet of bthome.io/encryption, of 54:48:E6:8F:80:A5 with our key: 25.06 °C and 50.55 % humidity."""

BY_LENGTH = MappingProxyType({n: {i for i, length in bthome.LENGTHS.items() if length == n} for n in (1, 2, 3, 4)})
said = st.lists(
    st.integers(1, 4).flatmap(
        lambda n: st.tuples(st.sampled_from(sorted(BY_LENGTH[n])), st.integers(0, 2 ** (8 * n) - 1))
    ),
    max_size=5,
)
counters = st.integers(0, 2**32 - 1)


def advertisement(data: bytes | None, name: str | None = None) -> AdvertisementData:
    found = {} if data is None else {bthome.UUID: data}
    return AdvertisementData(name, {}, found, [bthome.UUID], None, -60, ())


def test_the_published_example_is_opened() -> None:
    counter, payload = bthome.unseal(ADDRESS, KEY, EXAMPLE)
    assert counter == 0x33221100
    assert [(thing.id, thing.number) for thing in bthome.read(payload).objects] == [(0x02, 2506), (0x03, 5055)]


@given(counter=counters, what=said)
def test_what_is_sealed_is_opened(counter: int, what: list[tuple[int, int]]) -> None:
    data = bthome.seal(ADDRESS, KEY, Packet(counter, bthome.encode(what)))
    opened = bthome.unseal(ADDRESS, KEY, data)
    assert opened.counter == counter
    assert [(thing.id, thing.number) for thing in bthome.read(opened.payload).objects] == what
    assert bthome.is_encrypted(data)


@given(raw=st.binary(max_size=40))
def test_any_bytes_are_a_packet_or_refused_with_a_reason(raw: bytes) -> None:
    try:
        bthome.unseal(ADDRESS, KEY, raw)
    except DecodeError as error:
        assert error.reason in ("truncated", "unknown_version", "not_encrypted", "wrong_key")  # noqa: PT017


@given(payload=st.binary(max_size=40))
def test_what_cannot_be_read_is_left_over_and_nothing_is_lost(payload: bytes) -> None:
    found, unread = bthome.read(payload)
    assert payload.endswith(unread)
    assert len(unread) + sum(len(thing.data) + 1 for thing in found) <= len(payload)


def test_a_press_before_an_object_nobody_knows_is_read() -> None:
    assert bthome.read(b"\x3a\x01\xee\x01\x02") == Said((Object(bthome.BUTTON, b"\x01"),), b"\xee\x01\x02")


@pytest.mark.parametrize("own", [b"\x3b\x00\x02", b"\x3b\x02\x03\x0a\x0b", b"\x53\x02hi", b"\x54\x01\xff"])
def test_an_object_that_tells_its_own_length_is_passed_over(own: bytes) -> None:
    found, unread = bthome.read(own + b"\xf1\x01\x02\x03\x04")
    assert ([thing.id for thing in found], unread) == ([own[0], 0xF1], b"")


def test_every_object_another_reader_knows_is_as_long_here() -> None:
    """Against Bluetooth-Devices/bthome-ble."""
    own = {0x3B, 0x53, 0x54}
    assert {number: kind.data_length for number, kind in MEAS_TYPES.items() if number not in own} == dict(
        bthome.LENGTHS
    )


@pytest.mark.parametrize("how", [1, 2, 3, 4, 5, 6, 0x80, 0x81])
def test_another_reader_opens_what_our_devices_say(how: int) -> None:
    """Against Bluetooth-Devices/bthome-ble, which reads what is sold."""
    data = bthome.seal(ADDRESS, KEY, Packet(7, bthome.encode([(0x00, 7), (bthome.BUTTON, how)])))
    reader = BTHomeBluetoothDeviceData(KEY)
    heard = advertisement(data, "SBBT-002C")
    info = BluetoothServiceInfoBleak(
        "SBBT-002C",
        ADDRESS,
        -60,
        {},
        heard.service_data,
        [],
        "test",
        BLEDevice(ADDRESS, None, {}),
        heard,
        False,
        0.0,
        None,
    )
    assert [key.key for key in reader.update(info).events] == ["button"]
    assert reader.bindkey_verified


@dataclass
class Bench:
    """One driver, and a device in the hand whose packets it hears."""

    kind: str
    outbox: Outbox
    now: datetime = NOW
    counter: int = 1000
    key: bytes = KEY
    desk: Desk = field(init=False)
    driver: Broadcaster = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start the gateway anew over the same disk."""
        self.desk = Desk(self.outbox, now=lambda: self.now)
        driver = kinds()[self.kind](Configured(ADDRESS, self.kind, BINDKEY), self.desk)
        assert isinstance(driver, Broadcaster)
        self.driver = driver

    def packet(self, *what: tuple[int, int]) -> bytes:
        self.counter += 1
        return bthome.seal(ADDRESS, self.key, Packet(self.counter, bthome.encode(what)))

    def say(self, *what: tuple[int, int]) -> bytes:
        data = self.packet(*what)
        self.hear(data)
        return data

    def hear(self, data: bytes) -> None:
        self.now += timedelta(milliseconds=1)
        self.driver.heard(advertisement(data))

    def kept(self) -> list[tuple[str, float]]:
        return [(r.metric, r.value) for r in self.readings()]

    def readings(self) -> list[Reading]:
        return [r for _, r in self.outbox.batch(10_000)]

    def reasons(self) -> list[str]:
        return [r.reason for r in self.outbox.refused(100)]

    @property
    def trouble(self) -> str:
        return self.desk.of(ADDRESS).trouble or ""


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with Outbox(tmp_path / "outbox") as it:
        yield it


@pytest.fixture
def button(outbox: Outbox) -> Bench:
    return Bench("help_button", outbox)


@pytest.fixture
def door(outbox: Outbox) -> Bench:
    return Bench("door_sensor", outbox)


@pytest.mark.parametrize("how", [*range(1, 8), 0x80, 0x81, 0xFE])
def test_any_press_is_one_call_for_help(button: Bench, how: int) -> None:
    data = button.say((bthome.BUTTON, how))
    button.hear(data)
    assert button.kept() == [("help_call", 1.0)]
    assert button.readings()[0].detail == {"button": 1, "press": how}


def test_none_of_several_buttons_is_no_call_and_any_of_them_is(button: Bench) -> None:
    button.say((bthome.BUTTON, 0), (bthome.BUTTON, 0))
    assert button.kept() == []
    button.say((bthome.BUTTON, 0), (bthome.BUTTON, 4))
    assert [r.detail["button"] for r in button.readings()] == [2]


def test_letting_go_is_the_end_of_the_same_call(button: Bench) -> None:
    button.say((bthome.BUTTON, bthome.HOLD))
    button.say((bthome.BUTTON, bthome.HOLD_RELEASE))
    assert len(button.kept()) == 1
    button.say((bthome.BUTTON, bthome.HOLD_RELEASE))
    assert len(button.kept()) == 2


def test_a_press_with_something_unknown_behind_it_is_a_call(button: Bench) -> None:
    button.counter += 1
    button.hear(bthome.seal(ADDRESS, KEY, Packet(button.counter, b"\x3a\x01\xee\x00")))
    assert button.kept() == [("help_call", 1.0)]
    assert button.reasons() == ["unknown_object"]
    assert "update the gateway" in button.trouble


@given(order=st.permutations(range(8)), restarts=st.sets(st.integers(0, 8)))
def test_no_press_counts_twice_in_whatever_order_and_after_whatever_restarts(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], restarts: set[int]
) -> None:
    with Outbox(tmp_path_factory.mktemp("button") / "outbox") as outbox:
        bench = Bench("help_button", outbox)
        packets = [bench.packet((bthome.BUTTON, 1)) for _ in order]
        highest, calls = -1, 0
        for turn, n in enumerate([*order, *order]):
            if turn in restarts:
                bench.start()
            bench.hear(packets[n])
            calls, highest = calls + (n > highest), max(highest, n)
        assert len(bench.kept()) == calls


def test_a_device_that_counts_from_the_start_again_is_refused_and_says_what_to_do(button: Bench) -> None:
    button.say((bthome.BUTTON, 1))
    button.counter = 0
    button.say((bthome.BUTTON, 1))
    assert len(button.kept()) == 1
    assert button.reasons() == ["replayed"]
    assert "remove it and add it again" in button.trouble


def test_a_device_that_is_removed_and_added_again_begins_anew(button: Bench) -> None:
    button.say((bthome.BUTTON, 1))
    button.driver.forget()
    button.start()
    button.counter = 0
    button.say((bthome.BUTTON, 1))
    assert len(button.kept()) == 2
    assert button.trouble == ""


def test_what_is_heard_once_more_a_little_later_is_no_new_battery(button: Bench) -> None:
    first = button.say((bthome.BUTTON, 1))
    button.say((bthome.BUTTON, 2))
    button.hear(first)
    assert button.reasons() == ["replayed"]
    assert button.trouble == ""


def test_a_wrong_key_and_no_encryption_are_named_until_all_is_well(button: Bench) -> None:
    button.key = bytes(16)
    button.say((bthome.BUTTON, 1))
    assert "its key does not fit" in button.trouble
    button.key = KEY
    button.say((bthome.BATTERY, 80))
    assert button.trouble == ""
    button.hear(b"\x44" + bytes(8))
    assert "switch encryption on" in button.trouble
    assert button.kept() == [("battery", 80.0)]


def test_a_flood_of_packets_with_another_key_does_not_fill_the_disk(button: Bench) -> None:
    button.key = bytes(16)
    for _ in range(200):
        button.say((bthome.BUTTON, 1))
    assert button.reasons() == ["wrong_key"]


def fill(outbox: Outbox) -> None:
    with contextlib.suppress(OutboxFull):
        for n in range(5000):
            outbox.put([Reading("C0:00:00:00:00:01", "fall", 1, NOW + n * MINUTE, NOW)], facts={str(n): "kept"})


def test_a_call_that_finds_the_disk_full_is_said_and_kept_when_there_is_room(tmp_path: Path) -> None:
    with Outbox(tmp_path / "outbox", max_bytes=120_000) as outbox:
        bench = Bench("help_button", outbox)
        fill(outbox)
        data = press_until_full(bench)
        assert "a call for help could not be kept" in bench.trouble
        outbox.done([number for number, _ in outbox.batch(5000)])
        bench.hear(data)
        assert bench.kept() == [("help_call", 1.0)]


def press_until_full(bench: Bench) -> bytes:
    for _ in range(5000):
        data = bench.packet((bthome.BUTTON, 1))
        try:
            bench.hear(data)
        except OutboxFull:
            return data
    pytest.fail("the outbox never became full")


@pytest.mark.parametrize(
    ("kind", "what", "metric"),
    [
        ("door_sensor", bthome.DOOR, "door"),
        ("door_sensor", bthome.WINDOW, "door"),
        ("door_sensor", bthome.OPENING, "door"),
        ("motion_sensor", bthome.MOTION, "movement"),
        ("motion_sensor", bthome.MOVING, "movement"),
        ("bed_sensor", bthome.OCCUPANCY, "bed"),
        ("bed_sensor", bthome.PRESENCE, "bed"),
    ],
)
def test_a_state_is_kept_at_each_change(outbox: Outbox, kind: str, what: int, metric: str) -> None:
    bench = Bench(kind, outbox)
    for state in (0, 1, 1, 0, 0, 1):
        bench.say((what, state))
    assert bench.kept() == [(metric, 0), (metric, 1), (metric, 0), (metric, 1)]


def test_a_state_that_stays_the_same_is_kept_every_quarter_of_an_hour(door: Bench) -> None:
    for _ in range(120):
        door.say((bthome.DOOR, 0))
        door.now += MINUTE
    assert 7 <= len(door.kept()) <= 8


def test_a_clock_that_steps_back_keeps_no_state_from_being_kept(door: Bench) -> None:
    door.say((bthome.DOOR, 0))
    door.now -= timedelta(days=400)
    door.say((bthome.DOOR, 0))
    assert len(door.kept()) == 2


def test_a_contact_that_chatters_fills_no_disk_and_is_named(door: Bench) -> None:
    for n in range(400):
        door.say((bthome.DOOR, n % 2))
    assert len(door.kept()) <= 22
    assert "changes too often" in door.trouble


def test_a_battery_is_kept_when_it_changes_and_twice_a_day(door: Bench) -> None:
    for level in (80, 80, 79, 79, 130):
        door.say((bthome.BATTERY, level))
    door.now += timedelta(hours=12)
    door.say((bthome.BATTERY, 79))
    assert door.kept() == [("battery", 80), ("battery", 79), ("battery", 79)]
    assert door.desk.of(ADDRESS).battery_pct == 79


def test_a_replayed_state_changes_nothing_after_a_restart(door: Bench) -> None:
    opened = door.say((bthome.DOOR, 1))
    door.say((bthome.DOOR, 0))
    door.start()
    door.hear(opened)
    assert door.kept() == [("door", 1), ("door", 0)]


@pytest.mark.parametrize(
    ("name", "guesses"),
    [
        (None, {"help_button", "door_sensor", "motion_sensor", "bed_sensor"}),
        ("SBBT-002C", {"help_button"}),
        ("SBDW-002C", {"door_sensor"}),
        ("SBMO-003Z", {"motion_sensor"}),
    ],
)
def test_a_maker_s_name_tells_kinds_apart_that_look_alike(name: str | None, guesses: set[str]) -> None:
    heard = advertisement(EXAMPLE, name)
    assert {kind for kind, driver in kinds().items() if driver.recognises(heard)} == guesses
    assert not any(driver.recognises(advertisement(b"\x40\x02\x00\x00", name)) for driver in kinds().values())


SENSORS = {
    "C0:FF:EE:00:01:01": ("door_sensor", DoorSensor, "door"),
    "C0:FF:EE:00:01:02": ("motion_sensor", MotionSensor, "movement"),
    "C0:FF:EE:00:01:03": ("bed_sensor", BedSensor, "bed"),
}


@pytest.mark.anyio
async def test_sensors_are_heard_over_a_real_radio_whatever_they_do(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        plates = [Plate(address=a, kind=k, name=k[:8], bindkey=BINDKEY) for a, (k, _, _) in SENSORS.items()]
        await h.street.stop()
        h.street = Street(plates)
        await h.open_street()
        configured = [Configured(a, k, BINDKEY) for a, (k, _, _) in SENSORS.items()]
        collector = h.start_gateway(*configured)
        for address, (_, kind, metric) in SENSORS.items():
            sensor = h.street.twins[address]
            assert isinstance(sensor, kind)
            await sensor.do_loss(0.3)
            await sensor.become(True)
            await until(lambda m=metric: h.values(m) == [1.0])  # type: ignore[misc]
            recorded = sensor.last
            await sensor.become(False)
            await until(lambda m=metric: h.values(m) == [1.0, 0.0])  # type: ignore[misc]
            await sensor.replay(recorded)
            await until(lambda a=address: a in [r.device for r in h.outbox.refused(9)])  # type: ignore[misc]
            await sensor.fall_silent()
            count_anew(collector, configured)
            await sensor.do_new_battery()
            await sensor.become(True)
            await until(lambda m=metric: h.values(m) == [1.0, 0.0, 1.0])  # type: ignore[misc]


def count_anew(collector: Collector, devices: list[Configured]) -> None:
    """Take the devices out of the home and add them again."""
    collector.set_devices([])
    collector.set_devices(devices)
