"""What the collector does with a home's devices, over the real virtual radio."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from bleak.exc import BleakError
from bumble.device import Connection

from devices.collector import Configured
from devices.gatt.blood_pressure import Status
from devices.outbox import Outbox
from devices.radio import AdapterHung
from devices.readings import Quality
from devices.virtual.backend import BumbleClient, BumbleScanner, VirtualRadio
from devices.virtual.twins.button import Button
from devices.virtual.twins.cuff import Measurement
from tests.devices.home import BINDKEY, BUTTON, CUFF, DEVICES, PLATES, QUICK, WEARABLE, home, until

pytestmark = pytest.mark.anyio

SMALL = 100 * 1024
"""An outbox that holds some measurements, but not a whole memory of them."""


def measured(systolic: float, diastolic: float = 80, **more: object) -> Measurement:
    return Measurement(systolic=systolic, diastolic=diastolic, **more)  # type: ignore[arg-type]


async def test_a_measurement_reaches_the_outbox_whole_and_leaves_the_cuff(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.start_gateway()
        taken = await h.cuff.measure(
            measured(192, 118, pulse=96, user=2, status=Status.IRREGULAR_PULSE | Status.PULSE_ABOVE_RANGE)
        )
        await until(lambda: h.values("pulse") and not h.cuff.memory)
        found = {r.metric: r for _, r in h.outbox.batch(100) if r.device == CUFF and r.metric != "battery"}
    assert {m: r.value for m, r in found.items()} == {
        "systolic": 192,
        "diastolic": 118,
        "mean_arterial_pressure": 143,
        "pulse": 96,
    }
    assert {r.measured_at for r in found.values()} == {taken.astimezone(UTC)}
    assert {r.user for r in found.values()} == {2}
    assert {r.quality for r in found.values()} == {Quality.IRREGULAR_PULSE | Quality.PULSE_ABOVE_RANGE}


async def test_a_cuff_is_asked_who_it_is_and_how_its_battery_and_clock_are(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.start_gateway()
        h.cuff.set_clock(_local() - timedelta(minutes=2))
        await h.cuff.measure(measured(120))
        await until(lambda: h.desk.of(CUFF).firmware)
        health = h.desk.of(CUFF)
        assert (health.model, health.manufacturer, health.serial) == ("BPM One", "Hearthwatch street", "C0FFEE000001")
        assert health.battery_pct == 77
        assert health.rssi_dbm == -60
        assert health.last_seen_at is not None
        assert health.clock_error_s == pytest.approx(-120, abs=3)
        assert abs(h.cuff.now() - _local()) < timedelta(seconds=3)
        assert health.trouble is None


async def test_the_whole_memory_is_collected_as_from_memory(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        now = _local()
        for minutes in (180, 120, 60):
            h.cuff.set_clock(now - timedelta(minutes=minutes))
            await h.cuff.measure(measured(100 + minutes / 10))
        h.cuff.set_clock(_local())
        await h.cuff.measure(measured(150))
        h.start_gateway()
        await until(lambda: len(h.values("systolic")) == 4)
        found = h.readings("systolic")
    assert [(r.value, r.quality) for r in found] == [
        (118, Quality.FROM_MEMORY),
        (112, Quality.FROM_MEMORY),
        (106, Quality.FROM_MEMORY),
        (150, Quality.NONE),
    ]


async def test_a_gateway_killed_in_the_middle_of_a_transfer_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.cuff.set_clock(_local() - timedelta(minutes=4))
        for n in range(40):
            await h.cuff.measure(measured(100 + n))
        h.start_gateway()
        await until(lambda: len(h.values("systolic")) >= 3)
        await h.stop_gateway()
        assert h.cuff.memory
        h.start_gateway()
        await until(lambda: not h.cuff.memory and len(h.values("systolic")) == 40)
        assert sorted(h.values("systolic")) == [100.0 + n for n in range(40)]


async def test_a_bond_the_cuff_has_lost_is_made_anew(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.start_gateway()
        await h.cuff.measure(measured(120))
        await until(lambda: len(h.values("systolic")) == 1 and not h.cuff.connections)
        await h.cuff.do_lose_bond()
        await h.cuff.measure(measured(130))
        await until(lambda: len(h.values("systolic")) == 2)
        await until(lambda: h.desk.of(CUFF).trouble is None)


async def test_a_device_that_walks_away_does_not_keep_the_others_waiting(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.start_gateway()
        await until(lambda: h.wearable.connections)
        h.street.air.leave(WEARABLE)
        await h.cuff.measure(measured(120))
        await h.button.press()
        await until(lambda: h.values("systolic") and h.values("help_call"))
        h.street.air.come_back(WEARABLE)
        await until(lambda: h.wearable.connections)


async def test_doubled_indications_are_kept_once(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.cuff.doubled = True
        h.start_gateway()
        await h.cuff.measure(measured(120))
        await h.cuff.measure(measured(130, timestamped=False))
        await until(lambda: not h.cuff.memory and not h.cuff.connections and h.values("systolic"))
        untimed = h.readings("systolic")[-1]
        assert sorted(h.values("systolic")) == [120, 130]
        assert untimed.quality is Quality.NO_DEVICE_TIME
        assert untimed.measured_at == untimed.collected_at


async def test_a_reading_under_a_wrong_clock_is_kept_flagged_and_known_to_be_just_taken(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.cuff.set_clock(datetime(2000, 1, 1, 0, 3))  # noqa: DTZ001  a cuff's clock has no zone
        taken = await h.cuff.measure(measured(185))
        h.start_gateway()
        await until(lambda: h.values("systolic"))
        first = h.readings("systolic")[0]
        assert first.measured_at == taken.astimezone(UTC)
        assert first.quality == Quality.CLOCK_SUSPECT | Quality.CLOCK_JUST_SET
        await until(lambda: not h.cuff.connections)
        await h.cuff.measure(measured(181))
        await until(lambda: len(h.values("systolic")) == 2)
        assert h.readings("systolic")[1].quality is Quality.NONE


async def test_an_old_reading_under_a_clock_in_the_future_is_not_taken_for_a_new_one(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.cuff.set_clock(_local() + timedelta(days=2))
        await h.cuff.measure(measured(185))
        h.cuff.set_clock(_local() + timedelta(days=3))
        h.start_gateway()
        await until(lambda: h.values("systolic"))
        assert h.readings("systolic")[0].quality == Quality.CLOCK_SUSPECT | Quality.FROM_MEMORY


async def test_a_full_disk_leaves_the_records_on_the_cuff_and_is_said(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        small = Outbox(tmp_path / "small.sqlite", max_bytes=SMALL)
        await h.cuff.measure(measured(120))
        h.start_gateway(outbox=small)
        await until(lambda: h.desk.of(CUFF).trouble)
        assert "disk is full" in str(h.desk.of(CUFF).trouble)
        assert len(h.cuff.memory) == 1
        await h.stop_gateway()
        small.close()
        h.start_gateway(outbox=Outbox(tmp_path / "roomy.sqlite"))
        await until(lambda: h.values("systolic") == [120] and not h.cuff.memory)


async def test_an_indication_that_does_not_fit_is_not_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fills between the gateway's look at it and the cuff's indications."""
    monkeypatch.setattr("devices.outbox._ROOM_BYTES", 0)
    async with home(tmp_path) as h:
        small = Outbox(tmp_path / "small.sqlite", max_bytes=SMALL)
        h.cuff.set_clock(_local() - timedelta(minutes=4))
        for n in range(60):
            await h.cuff.measure(measured(100 + n))
        h.start_gateway(outbox=small)
        await until(lambda: "disk is full" in str(h.desk.of(CUFF).trouble))
        await h.stop_gateway()
        kept = h.values("systolic")
        assert 0 < len(kept) < 60
        assert len(h.cuff.memory) >= 60 - len(kept)
        small.close()
        h.outbox = Outbox(tmp_path / "small.sqlite")
        h.start_gateway()
        await until(lambda: not h.cuff.memory and len(h.values("systolic")) == 60)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        ("00780050005d0000", "oversized"),
        ("00202700750055", "implausible"),
        ("16ff07ff07ff07e80706170e230aff070000", "no_value"),
        ("1e78005000", "truncated"),
    ],
)
async def test_what_is_no_reading_is_quarantined_with_its_bytes_and_the_gateway_goes_on(
    tmp_path: Path, packet: str, reason: str
) -> None:
    async with home(tmp_path) as h:
        h.start_gateway()
        await h.cuff.remember(bytes.fromhex(packet))
        await h.cuff.measure(measured(120))
        await until(lambda: h.values("systolic") and h.outbox.quarantined())
        (refused,) = h.outbox.refused(10)
        assert (refused.device, refused.raw.hex(), refused.reason) == (CUFF, packet, reason)
        assert h.values("systolic") == [120]
        assert not h.cuff.memory


async def test_a_press_is_one_call_for_help_and_its_replay_is_refused_even_after_a_restart(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        button = Configured(BUTTON, "help_button", BINDKEY)
        h.start_gateway(button)
        await until(lambda: h.radio.scanners)
        await h.button.press()
        first = h.button.last
        await until(lambda: h.values("help_call"))
        await h.button.press()
        await until(lambda: len(h.values("help_call")) == 2)
        await h.button.replay(first)
        await until(lambda: h.reasons() == ["replayed"])
        await h.stop_gateway()
        h.start_gateway(button)
        await h.button.replay(h.button.last)
        await until(lambda: h.reasons() == ["replayed", "replayed"])
        assert h.values("help_call") == [1, 1]
        assert h.desk.of(BUTTON).rssi_dbm == -60


async def test_a_button_with_another_key_calls_nobody(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.start_gateway(Configured(BUTTON, "help_button", "00" * 16))
        await until(lambda: h.radio.scanners)
        await h.button.press()
        await until(lambda: h.reasons() == ["wrong_key"])
        assert not h.values("help_call")


async def test_a_button_tells_its_battery(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.start_gateway()
        await until(lambda: h.radio.scanners)
        await h.button.set_battery(8)
        await until(lambda: 8 in h.values("battery"))
        assert not h.values("help_call")


async def test_a_fall_in_the_stream_becomes_a_reading_at_the_time_of_the_impact(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.start_gateway()
        await until(lambda: h.wearable.connections and h.desk.of(WEARABLE).firmware)
        await asyncio.sleep(1)
        h.wearable.body.fall()
        fell_at = datetime.now(UTC)
        await until(lambda: h.values("fall"))
        (fall,) = h.readings("fall")
        assert fall.value > 0.5
        assert abs(fall.measured_at - fell_at) < timedelta(seconds=3)
        assert fall.detail.keys() == {"impact_g", "free_fall_ms", "stillness_s", "posture_change_deg"}
        await h.wearable.i_am_fine()
        await until(lambda: h.values("said_well") == [1])
        await h.wearable.set_battery(8)
        await until(lambda: h.values("battery")[-1] == 8)


async def test_only_devices_of_the_home_are_touched_and_they_may_change_at_any_time(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        collector = h.start_gateway(Configured(BUTTON, "help_button", BINDKEY))
        await until(lambda: h.radio.scanners)
        await h.cuff.measure(measured(120))
        await h.button.press()
        await until(lambda: h.values("help_call"))
        assert not h.cuff.connections
        assert not h.wearable.connections
        collector.set_devices(DEVICES)
        await until(lambda: h.values("systolic") and h.wearable.connections)
        collector.set_devices([Configured(CUFF, "blood_pressure")])
        await until(lambda: not h.wearable.connections)


async def test_a_street_that_ends_and_begins_anew_is_collected_again(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.start_gateway()
        await until(lambda: h.wearable.connections)
        await h.street.stop()
        await until(h.radio.lost.is_set)
        h.street = type(h.street)(t.plate for t in h.street.twins.values())
        await h.open_street()
        await h.cuff.measure(measured(120))
        await until(lambda: h.values("systolic") and h.wearable.connections)


async def test_a_kind_the_gateway_does_not_know_is_said(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.start_gateway(Configured(CUFF, "toaster"), Configured(BUTTON, "help_button", "no key"))
        assert "toaster" in str(h.desk.of(CUFF).trouble)
        assert "configuration" in str(h.desk.of(BUTTON).trouble)


def _local() -> datetime:
    return datetime.now().astimezone().replace(tzinfo=None)


class Deaf(VirtualRadio):
    """A real virtual radio whose scanner can go deaf; counts how often it was power-cycled."""

    resets = 0
    deaf = True

    async def reset(self) -> None:
        self.resets += 1
        self.deaf = self.resets < 3  # opened, then power-cycled in vain, then heard again
        await super().reset()

    def _heard(self, advertisement: object) -> None:
        if not self.deaf:
            super()._heard(advertisement)


async def test_a_scanner_that_goes_deaf_is_started_anew_and_the_adapter_power_cycled(tmp_path: Path) -> None:
    impatient = replace(QUICK, silence=0.15, silence_most=0.3)
    async with home(tmp_path, impatient) as h:
        radio = Deaf(f"unix:{tmp_path / 'radio'}")
        h.start_gateway(radio=radio)
        await h.cuff.measure(measured(120))
        await until(lambda: h.values("systolic"))
        assert radio.resets == 3


async def test_a_silence_does_not_cost_a_link_that_lives(tmp_path: Path) -> None:
    async with home(tmp_path, replace(QUICK, silence=0.2, silence_most=0.2)) as h:
        h.start_gateway()
        await until(lambda: h.wearable.connections)
        link = h.wearable.connections[0]
        await asyncio.sleep(0.9)  # the only device on the air is linked, so nothing is heard
        assert h.wearable.connections == [link]


async def test_a_device_that_connects_and_then_says_nothing_costs_the_others_nothing(tmp_path: Path) -> None:
    async with home(tmp_path, replace(QUICK, connect=0.5)) as h:
        h.cuff.device.gatt_server.on_gatt_pdu = lambda *_: None  # deaf to every request
        h.start_gateway()
        await h.cuff.measure(measured(120))
        await until(lambda: "could not be collected" in str(h.desk.of(CUFF).trouble))
        await h.button.press()
        await until(lambda: h.values("help_call") and h.wearable.connections)
        assert len(h.cuff.memory) == 1


async def test_a_device_that_floods_the_air_costs_the_others_nothing(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        strangers = [Button(h.street.air, replace(PLATES[2], address=f"C0:FF:EE:00:01:0{n}")) for n in range(3)]
        for stranger in strangers:
            await stranger.start()
            await stranger.do_flood()  # as often as the standard allows, 50 times a second
            await stranger.advertise()
        collector = h.start_gateway()
        collector.look_for(60)
        await h.cuff.do_flood()
        await h.cuff.measure(measured(120))
        await h.button.press()
        await until(lambda: h.values("systolic") and h.values("help_call") == [1] and h.wearable.connections)
        assert {f.address for f in collector.found()} == {s.plate.address for s in strangers}
        for stranger in strangers:
            await stranger.stop()


async def test_a_device_heard_too_weakly_is_named_as_such_and_tried_ever_more_seldom(tmp_path: Path) -> None:
    async with home(tmp_path, replace(QUICK, connect=0.3)) as h:
        await h.cuff.do_rssi(-96)
        h.cuff.device.gatt_server.on_gatt_pdu = lambda *_: None  # nothing gets through
        h.start_gateway()
        await h.cuff.measure(measured(120))
        await until(lambda: "heard too weakly" in str(h.desk.of(CUFF).trouble))
        assert len(h.cuff.memory) == 1


async def test_an_adapter_that_vanishes_in_mid_visit_loses_and_doubles_nothing(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.cuff.set_clock(_local() - timedelta(minutes=4))
        for n in range(40):
            await h.cuff.measure(measured(100 + n))
        h.start_gateway()
        await until(lambda: len(h.values("systolic")) >= 3)
        for adapter in list(h.street._sockets):
            adapter.hang_up()
        assert h.cuff.memory
        await until(lambda: not h.cuff.memory)
        assert sorted(h.values("systolic")) == [100.0 + n for n in range(40)]


class Hanging(VirtualRadio):
    """A real virtual radio in which one thing or another never returns and does not let itself be cancelled."""

    resets = 0
    hangs_in_reset = False

    def __init__(self, spec: str) -> None:
        super().__init__(spec)
        radio = self

        class Client(BumbleClient):
            async def connect(self, pair: bool, **options: object) -> None:
                if radio.resets == 1:
                    await never()
                await super().connect(pair, **options)

        Client.radio = self
        self.client_options = {"backend": Client}

    async def reset(self) -> None:
        self.resets += 1
        if self.hangs_in_reset:
            await never()
        await super().reset()


async def never() -> None:
    """Until the end of the test, whoever cancels it."""
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if asyncio.current_task() not in LEFT_BEHIND:
                LEFT_BEHIND.add(asyncio.current_task())
                continue
            raise


LEFT_BEHIND: set[asyncio.Task[object] | None] = set()


async def test_a_connection_attempt_that_never_returns_has_the_adapter_opened_anew(tmp_path: Path) -> None:
    async with home(tmp_path, replace(QUICK, connect=2, grace=0.05)) as h:
        radio = Hanging(f"unix:{tmp_path / 'radio'}")
        h.start_gateway(Configured(CUFF, "blood_pressure"), radio=radio)
        await h.cuff.measure(measured(120))
        await until(lambda: h.values("systolic"))
        assert radio.resets == 2


async def test_an_adapter_that_never_answers_ends_the_collecting_so_that_the_process_may_begin_anew(
    tmp_path: Path,
) -> None:
    async with home(tmp_path, replace(QUICK, reset=0.05, grace=0.05, hung=3, backoff=0.01)) as h:
        radio = Hanging(f"unix:{tmp_path / 'radio'}")
        radio.hangs_in_reset = True
        collector = h.start_gateway(radio=radio)
        assert h.gateway is not None
        await asyncio.wait([h.gateway])
        assert isinstance(h.gateway.exception(), AdapterHung)
        assert radio.resets == 3
        assert "fails" in collector.troubles[0]


async def test_it_listens_without_asking_until_somebody_looks_for_a_new_device(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        collector = h.start_gateway(Configured(BUTTON, "help_button", BINDKEY))
        await until(lambda: collector.scanning == "passive")
        assert [s.active for s in h.radio.scanners] == [False]
        await h.cuff.measure(measured(120))
        assert collector.found() == []
        collector.look_for(60)
        await until(lambda: {f.address for f in collector.found()} == {CUFF, WEARABLE})
        assert [s.active for s in h.radio.scanners] == [True]
        guesses = {f.address: f.kinds for f in collector.found()}
        assert guesses == {CUFF: ("blood_pressure",), WEARABLE: ("wearable",)}
        assert not h.cuff.connections
        collector.set_devices([Configured(CUFF, "blood_pressure")])  # somebody has said that it is the resident's
        await until(lambda: h.values("systolic"))
        assert CUFF not in {f.address for f in collector.found()}
        collector.look_for(0)
        await until(lambda: collector.scanning == "passive")
        assert collector.found() == []


async def test_a_device_that_is_not_of_the_home_may_not_pair_even_while_somebody_looks(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        collector = h.start_gateway(Configured(BUTTON, "help_button", BINDKEY))
        collector.look_for(60)
        await h.cuff.measure(measured(120))
        await until(lambda: CUFF in {f.address for f in collector.found()})
        assert not h.radio.may_pair(CUFF)
        assert h.radio.may_pair(BUTTON)


@pytest.mark.parametrize("refuses", [True, False])
async def test_an_adapter_that_cannot_listen_passively_asks_actively(tmp_path: Path, refuses: bool) -> None:
    class Limited(VirtualRadio):
        """An adapter whose passive scan is refused, or hears nothing."""

        async def scan(self, scanner: BumbleScanner, on: bool) -> None:
            if refuses and not scanner.active:
                raise BleakError("passive scanning on Linux requires BlueZ >= 5.56")
            await super().scan(scanner, on)

        def _heard(self, advertisement: object) -> None:
            if any(s.active for s in self.scanners):
                super()._heard(advertisement)

    async with home(tmp_path, replace(QUICK, silence=0.2)) as h:
        collector = h.start_gateway(radio=Limited(f"unix:{tmp_path / 'radio'}"))
        await h.cuff.measure(measured(120))
        await until(lambda: h.values("systolic") and collector.scanning == "active")


async def test_a_device_that_always_calls_and_has_nothing_new_is_visited_ever_more_seldom(tmp_path: Path) -> None:
    async with home(tmp_path, replace(QUICK, between=0.1, idle_most=60)) as h:
        visited: list[float] = []

        def visit(connection: Connection) -> None:
            visited.append(time.monotonic())
            connection.on("disconnection", lambda _reason: h.cuff.spawn(h.cuff.call()))

        h.cuff.device.on("connection", visit)
        h.start_gateway(Configured(CUFF, "blood_pressure", habits={"quiet_s": 0.05}))
        await h.cuff.call()
        await until(lambda: len(visited) == 4)
        assert visited[3] - visited[2] >= 0.8  # doubled for the third time
        await h.cuff.measure(measured(120))
        await until(lambda: h.values("systolic"))


async def test_a_type_of_instrument_that_is_to_be_visited_seldom_is(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        visited: list[float] = []

        def visit(connection: Connection) -> None:
            visited.append(time.monotonic())
            connection.on("disconnection", lambda _reason: h.cuff.spawn(h.cuff.call()))

        h.cuff.device.on("connection", visit)
        h.start_gateway(Configured(CUFF, "blood_pressure", habits={"quiet_s": 0.05, "visit_every_s": 1.5}))
        await h.cuff.call()
        await until(lambda: len(visited) == 2)
        assert visited[1] - visited[0] >= 1.5


async def test_a_wearable_that_calls_and_does_not_stream_has_not_been_seen(tmp_path: Path) -> None:
    async with home(tmp_path) as h:
        h.start_gateway(Configured(WEARABLE, "infinitime"))
        await until(lambda: h.desk.of(WEARABLE).trouble == "this device offers no acceleration")
        assert h.desk.of(WEARABLE).rssi_dbm is not None
        assert h.desk.of(WEARABLE).last_seen_at is None
