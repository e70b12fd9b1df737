"""The gateway as a process: a real radio link to a street in another process, a real service's door, power cuts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from devices.desk import Desk
from devices.finder import Found
from devices.gateway import NO_MODEL, GatewayError, GatewaySettings, live, pair
from devices.heartbeat import Heartbeat, Report
from devices.outbox import Outbox, OutboxFull
from devices.readings import Quality, Reading
from devices.service import Configuration, Emergency, Service
from devices.timekeeper import NOT_KNOWN
from devices.uplink import READINGS_STUCK
from devices.virtual.control import Street
from tests.devices.door import Door, open_door, problem

pytestmark = pytest.mark.anyio

CUFF = "C0:00:00:00:00:01"
BUTTON = "C0:00:00:00:00:02"
WEARABLE = "C0:00:00:00:00:03"
KEY = "231d39c1d7cc1ab1aee224cd096db932"
KINDS = {CUFF: ("blood_pressure", None), BUTTON: ("help_button", KEY), WEARABLE: ("wearable", None)}
NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@dataclass
class Program:
    """A child process, its output kept."""

    process: asyncio.subprocess.Process
    said: list[str] = field(default_factory=list)
    reader: asyncio.Task[None] | None = None

    async def read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.said.append(line.decode().rstrip())

    async def end(self, number: int = signal.SIGTERM) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        async with asyncio.timeout(20):
            code = await self.process.wait()
        if self.reader is not None:
            await self.reader
        return code


async def start(*command: str, **environment: str) -> Program:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, **environment},
    )
    program = Program(process)
    program.reader = asyncio.create_task(program.read())
    return program


async def until(condition: Callable[[], object], program: Program | None = None) -> None:
    try:
        async with asyncio.timeout(40):
            while not condition():  # noqa: ASYNC110  any condition, not an event
                await asyncio.sleep(0.02)
    except TimeoutError:
        pytest.fail("it did not come to pass; the gateway said:\n" + "\n".join(program.said if program else []))


class Home:
    """A street of one home, a service's door, and a gateway's folder."""

    def __init__(self, folder: Path, door: Door) -> None:
        self.folder = folder
        self.door = door
        self.data = folder / "gateway"
        self.radio = folder / "radio"
        self.people = Street(folder / "control")
        self.programs: list[Program] = []
        self.door.devices = [{"address": a, "kind": k, "bindkey": b} for a, (k, b) in KINDS.items()]
        plates = [{"address": a, "kind": k, "bindkey": b, "name": k[:8]} for a, (k, b) in KINDS.items()]
        (folder / "homes.json").write_text(json.dumps({"devices": plates}))

    async def open_street(self) -> Program:
        street = await start(
            *("-m", "devices.virtual.street", "--homes", str(self.folder / "homes.json")),
            *("--radio", f"unix:{self.radio}", "--control", str(self.folder / "control")),
        )
        self.programs.append(street)
        await until(lambda: "ready" in street.said, street)
        return street

    async def pair(self) -> None:
        await asyncio.to_thread(pair, self.door.url, self.door.code, self.data)

    async def start_gateway(self, **environment: str) -> Program:
        script = (
            "import sys; from pathlib import Path; from devices.gateway import *; "
            "run(GatewaySettings(Path(sys.argv[1]), radio=sys.argv[2]))"
        )
        gateway = await start("-c", script, str(self.data), f"unix:{self.radio}", **environment)
        self.programs.append(gateway)
        return gateway

    def values(self, metric: str) -> list[float]:
        return [r["value"] for r in self.door.stored.values() if r["metric"] == metric]

    def waiting(self) -> int:
        with Outbox(self.data / "outbox.db") as outbox:
            return outbox.depth()

    async def close(self) -> None:
        for program in self.programs:
            if program.process.returncode is None:
                await program.end(signal.SIGKILL)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as it:
        yield it


@pytest.fixture
async def home(scratch: Path, tmp_path: Path, door: Door) -> AsyncIterator[Home]:
    folder = scratch / f"home-{tmp_path.name[-20:]}"  # a unix socket's path is short
    folder.mkdir()
    it = Home(folder, door)
    try:
        yield it
    finally:
        await it.close()


async def test_what_happens_in_the_home_reaches_the_service(home: Home) -> None:
    await home.open_street()
    await home.pair()
    gateway = await home.start_gateway()
    await home.people.do(CUFF, "measure", systolic=192, diastolic=118, pulse=96)
    await home.people.do(WEARABLE, "battery", level=8)
    await until(lambda: home.values("systolic") == [192], gateway)
    await until(lambda: 8 in home.values("battery"), gateway)
    await home.people.do(BUTTON, "press")
    await until(lambda: len(home.values("help_call")) == 1, gateway)
    assert (home.values("diastolic"), home.values("pulse")) == ([118], [96])
    await until(lambda: home.waiting() == 0, gateway)
    assert await gateway.end() == 0
    assert not any("Traceback" in line for line in gateway.said), "\n".join(gateway.said)


async def test_a_fall_in_the_home_reaches_the_service_with_what_spoke_for_it(home: Home) -> None:
    await home.open_street()
    await home.pair()
    gateway = await home.start_gateway()
    await until(lambda: 90 in home.values("battery"), gateway)
    await asyncio.sleep(5)  # the detector must have seen the wearer upright
    await home.people.do(WEARABLE, "fall")
    await until(lambda: home.values("fall"), gateway)
    [fall] = [r for r in home.door.stored.values() if r["metric"] == "fall"]
    assert fall["value"] >= 0.5
    assert fall["detail"]["impact_g"] > 3
    assert set(fall["detail"]) == {"impact_g", "free_fall_ms", "stillness_s", "posture_change_deg"}
    asked = await home.people.do(WEARABLE, "state")
    while not asked["vibrates"]:
        asked = await home.people.do(WEARABLE, "state")
    await home.people.do(WEARABLE, "get_up")
    await until(lambda: home.values("fall_recovered"), gateway)
    [up] = [r for r in home.door.stored.values() if r["metric"] == "fall_recovered"]
    assert up["detail"].keys() == {"after_fall_s"}
    assert home.values("fall_confirmed") == []
    assert not (await home.people.do(WEARABLE, "state"))["vibrates"]


async def test_kill_9_in_mid_story_loses_nothing_and_doubles_nothing(home: Home) -> None:
    await home.open_street()
    await home.pair()
    gateway = await home.start_gateway()
    measured = []
    for n in range(6):
        measured.append(100.0 + n)
        await home.people.do(CUFF, "measure", systolic=100 + n, diastolic=70, pulse=60)
        if n % 2:
            await until(lambda: len(home.values("systolic")) > 0, gateway)
            await gateway.end(signal.SIGKILL)
            gateway = await home.start_gateway()
        await asyncio.sleep(1.1)  # a cuff's clock counts seconds: two measurements are never of the same one
    await until(lambda: sorted(home.values("systolic")) == measured, gateway)
    assert home.values("diastolic") == [70] * 6
    await until(lambda: home.waiting() == 0, gateway)


async def test_what_is_measured_while_the_service_is_away_waits_and_goes_out_when_it_is_back(home: Home) -> None:
    await home.open_street()
    await home.pair()
    gateway = await home.start_gateway()
    await until(lambda: home.door.beats, gateway)
    await home.door.slam()
    await home.people.do(CUFF, "measure", systolic=131, diastolic=80, pulse=60)
    await until(lambda: any("readings wait here" in line for line in gateway.said), gateway)
    assert await gateway.end(signal.SIGKILL) == -signal.SIGKILL
    gateway = await home.start_gateway()  # the service is still away: it knows what to collect
    await until(lambda: any("3 devices, time zone Asia/Shanghai" in line for line in gateway.said), gateway)
    await home.people.do(CUFF, "measure", systolic=132, diastolic=80, pulse=60)
    await asyncio.sleep(3)
    await home.door.open()
    await until(lambda: sorted(home.values("systolic")) == [131, 132], gateway)


async def test_a_radio_that_goes_away_is_found_again(home: Home) -> None:
    street = await home.open_street()
    await home.pair()
    gateway = await home.start_gateway()
    await until(lambda: 90 in home.values("battery"), gateway)
    await street.end(signal.SIGKILL)
    await until(lambda: any("adapter" in line and "fail" in line for line in gateway.said), gateway)
    await home.open_street()
    await home.people.do(WEARABLE, "battery", level=7)
    await until(lambda: 7 in home.values("battery"), gateway)


async def test_it_tells_systemd_that_it_is_ready_alive_and_ending(home: Home) -> None:
    await home.pair()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(home.folder / "notify"))
        s.setblocking(False)
        gateway = await home.start_gateway(NOTIFY_SOCKET=str(home.folder / "notify"), WATCHDOG_USEC="200000")
        told: list[str] = []

        def hear() -> list[str]:
            with contextlib.suppress(BlockingIOError):
                told.extend(s.recv(2000).decode().split("\n"))
            return told

        await until(lambda: hear().count("WATCHDOG=1") >= 3, gateway)
        assert told[0] == "READY=1"
        await until(lambda: any("the service answered" in one and "fails" in one for one in hear()), gateway)
        assert await gateway.end() == 0
        await until(lambda: "STOPPING=1" in hear(), gateway)


async def test_it_is_light_and_has_none_of_the_services_libraries() -> None:
    script = (
        "import sys, pathlib; import devices.gateway, devices.drivers; devices.drivers.kinds(); "
        "print([m for m in ('fastapi', 'starlette', 'psycopg', 'twilio', 'jinja2', 'bumble') if m in sys.modules], "
        # Its own high-water mark: getrusage would tell that of the process it was forked from.
        "int(pathlib.Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0]) // 1024)"
    )
    program = await start("-c", script)
    await program.process.wait()
    assert program.reader is not None
    await program.reader
    loaded, megabytes = program.said[-1].rsplit(" ", 1)
    assert loaded == "[]"
    assert int(megabytes) < 120


async def test_pairing_keeps_the_key_where_only_the_gateway_reads_it(home: Home) -> None:
    assert await asyncio.to_thread(pair, home.door.url, home.door.code, home.data) == "stairway 3"
    assert stat.S_IMODE((home.data / "outbox.db").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.data.stat().st_mode) == 0o700
    with Outbox(home.data / "outbox.db") as outbox:
        assert outbox.recall("key") == "hw_right"


async def test_a_wrong_code_an_absent_service_and_a_wrong_address_are_said_in_words(home: Home) -> None:
    for server, code, words in [
        (home.door.url, "WRONG", "was used already.*get a new code"),
        ("http://127.0.0.1:9", "ABCD-EFGH", "cannot be reached"),
        ("care.example.org", "ABCD-EFGH", "looks like https"),
    ]:
        with pytest.raises(GatewayError, match=words):
            await asyncio.to_thread(pair, server, code, home.data)


async def test_pairing_anew_is_taken_up_by_a_gateway_that_runs(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("devices.heartbeat.EAGER_S", 0.2)
    home.door.beat_s = 0.0
    await home.pair()
    home.door.key = "hw_new"  # as if the old key was revoked
    with Outbox(home.data / "outbox.db") as outbox:
        outbox.put([Reading(CUFF, "systolic", 120.0, NOW, NOW)])
    work = asyncio.create_task(live(GatewaySettings(home.data, radio=f"unix:{home.radio}")))
    await asyncio.sleep(0.5)
    assert home.door.stored == {}
    await home.pair()
    await until(lambda: home.values("systolic") == [120])
    work.cancel()
    await asyncio.wait([work])


async def test_a_gateway_whose_model_of_falls_cannot_be_read_works_with_the_shipped_one_and_says_so(
    home: Home, tmp_path: Path
) -> None:
    home.door.beat_s = 0.0
    await home.pair()
    settings = GatewaySettings(home.data, radio=f"unix:{home.radio}", falls_model=tmp_path)
    work = asyncio.create_task(live(settings))
    await until(lambda: bool(home.door.beats))
    assert any(t.startswith(f"{NO_MODEL}: {tmp_path} holds no model") for t in home.door.beats[0]["troubles"])
    work.cancel()
    await asyncio.wait([work])


async def test_readings_that_are_stuck_while_heartbeats_pass_are_told_with_the_heartbeat(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.heartbeat.EAGER_S", 0.2)
    monkeypatch.setattr("devices.uplink._STUCK_S", 0.5)
    home.door.beat_s = 0.0
    await home.pair()

    async def fail(_request: Request, _body: dict[str, Any]) -> Response:
        return problem(500, "internal", "oh")

    home.door.temper(*[fail] * 10_000)
    with Outbox(home.data / "outbox.db") as outbox:
        outbox.put([Reading(CUFF, "systolic", 120.0, NOW, NOW)])

    def told() -> bool:
        return any(t.startswith(READINGS_STUCK) for beat in home.door.beats[-1:] for t in beat["troubles"])

    work = asyncio.create_task(live(GatewaySettings(home.data, radio=f"unix:{home.radio}")))
    await until(told)
    home.door.tempers.clear()
    await until(lambda: home.values("systolic") == [120])
    await until(lambda: not told())
    work.cancel()
    await asyncio.wait([work])


async def test_without_network_and_time_a_call_for_help_waits_for_neither_and_the_rest_gets_its_right_time(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut: the clock stands where it stood, no time server is reached, and the service is away."""
    monkeypatch.setattr("devices.machine._kernel_maxerror_us", lambda: 16_000_000)
    monkeypatch.setattr("devices.heartbeat.EAGER_S", 0.3)
    ahead = timedelta(hours=7)  # of the machine's clock is the truth
    home.door.now = lambda: datetime.now(UTC) + ahead
    await home.open_street()
    await home.pair()
    with Outbox(home.data / "outbox.db") as outbox:
        devices = [{"address": a, "kind": k, "bindkey": b} for a, (k, b) in KINDS.items()]
        outbox.remember("config", json.dumps({"gateway": "x", "time_zone": "UTC", "devices": devices}))
    await home.door.slam()
    work = asyncio.create_task(live(GatewaySettings(home.data, radio=f"unix:{home.radio}")))
    with Outbox(home.data / "outbox.db") as outbox, Outbox(home.data / "undated.db") as undated:
        await until(undated.depth)  # the wearable's battery: it is listening
        await home.people.do(BUTTON, "press")
        await until(outbox.depth)
        assert [r.metric for _, r in outbox.batch(10)] == ["help_call"]
        assert {r.metric for _, r in undated.batch(10)} == {"battery"}
    await home.door.open()
    await until(lambda: home.values("help_call") and home.values("battery"))
    sent = {r["metric"]: r for r in home.door.stored.values()}
    truth = datetime.now(UTC) + ahead
    assert abs(datetime.fromisoformat(sent["battery"]["measured_at"]) - truth) < timedelta(minutes=2)
    assert sent["help_call"]["quality"] & (Quality.CLOCK_SUSPECT | Quality.CLOCK_JUST_SET) == 3
    at = datetime.fromisoformat(sent["help_call"]["collected_at"])
    assert at == NOT_KNOWN or abs(at - truth) < timedelta(minutes=2)  # whichever of service and time came first
    work.cancel()
    await asyncio.wait([work])


async def test_a_gateway_that_is_not_paired_says_how_to_pair_it(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"not paired.*hearthwatch gateway pair CODE"):
        await live(GatewaySettings(tmp_path / "new", server="http://127.0.0.1:9"))


async def test_a_second_gateway_in_the_same_folder_is_refused(home: Home) -> None:
    await home.pair()
    settings = GatewaySettings(home.data, radio=f"unix:{home.radio}")
    first = asyncio.create_task(live(settings))
    await until(lambda: home.door.beats)
    with pytest.raises(GatewayError, match="already working"):
        await live(settings)
    first.cancel()
    await asyncio.wait([first])


async def test_a_damaged_outbox_is_said_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "outbox.db").write_bytes(b"not a database" * 1000)
    with pytest.raises(GatewayError, match=r"cannot be opened.*not touched"):
        await live(GatewaySettings(tmp_path))
    assert (tmp_path / "outbox.db").read_bytes().startswith(b"not a database")


async def test_a_folder_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(GatewayError, match="cannot be used"):
        await live(GatewaySettings(tmp_path / "data"))


@dataclass
class Beating:
    """A heartbeat, and what it has configured."""

    heartbeat: Heartbeat
    desk: Desk
    configured: list[Configuration] = field(default_factory=list)
    admitted: int = 0


@pytest.fixture
def outbox(tmp_path: Path) -> Any:
    with Outbox(tmp_path / "outbox.db") as box:
        box.remember("key", "hw_right")
        yield box


def beating(outbox: Outbox, service: Service, now: datetime = NOW) -> Beating:
    desk = Desk(outbox, now=lambda: now)
    report = Report(
        outbox_waiting=1,
        machine={"disk_free_mb": 900, "scanning": "active"},
        troubles=["the gateway is too hot (84 degrees): give it air"],
    )
    heartbeat = Heartbeat(
        outbox,
        service,
        desk,
        lambda c: it.configured.append(c),
        report=lambda: report,
        admitted=lambda: admit(),
    )
    it = Beating(heartbeat, desk)

    def admit() -> None:
        it.admitted += 1

    return it


async def test_a_heartbeat_says_how_the_gateway_and_its_devices_are(outbox: Outbox, door: Door) -> None:
    outbox.put([Reading(CUFF, "systolic", 120.0, NOW, NOW)])
    outbox.put_refused(CUFF, "2a35", b"\x00", "no_value", NOW)
    async with Service(door.url, "hw_right") as service:
        it = beating(outbox, service)
        health = it.desk.of(CUFF)
        health.rssi_dbm, health.last_seen_at, health.clock_error_s = -61, NOW - timedelta(seconds=9), -3.5
        health.manufacturer, health.trouble = "Andon", "could not be collected"
        health.battery_pct, health.last_reading_at = 77, NOW - timedelta(hours=1)
        await it.heartbeat.beat()
    [beat] = door.beats
    [device] = beat.pop("devices")
    kinds = beat.pop("kinds")
    assert beat.pop("version")
    assert beat == {
        "clock": "2026-11-24T10:00:00Z",
        "outbox_waiting": 1,
        "quarantined": 1,
        "machine": {"disk_free_mb": 900, "scanning": "active"},
        "troubles": ["the gateway is too hot (84 degrees): give it air"],
    }
    assert {"kind": "help_button", "title_en": "Help button", "title_zh": "呼救按钮", "needs_key": True} in kinds
    assert device == {
        "address": CUFF,
        "rssi_dbm": -61,
        "last_seen_at": "2026-11-24T09:59:51Z",
        "last_reading_at": "2026-11-24T09:00:00Z",
        "battery_pct": 77,
        "clock_error_s": -3.5,
        "manufacturer": "Andon",
        "model": None,
        "serial": None,
        "firmware": None,
        "trouble": "could not be collected",
    }


async def test_the_answer_is_the_configuration_and_survives_a_start_without_the_service(
    outbox: Outbox, door: Door
) -> None:
    door.devices = [{"address": BUTTON, "kind": "help_button", "bindkey": KEY}]
    async with Service(door.url, "hw_right") as service:
        first = beating(outbox, service)
        await first.heartbeat.beat()
        await first.heartbeat.beat()
        later = beating(outbox, service)
        later.heartbeat.recall()
    assert len(first.configured) == 1
    assert first.configured == later.configured
    assert later.configured[0].devices[0].bindkey == KEY
    assert str(later.desk.zone) == "Asia/Shanghai"


@pytest.mark.parametrize(
    "nonsense",
    [
        PlainTextResponse("oh", 500),
        PlainTextResponse("<html>hotel</html>"),
        Response(b"\xff" * 10),
        Response('{"gateway":"x","time_zone":"Asia/Shanghai","devices":[{"address":"../../etc","kind":"x"}]}'),
        Response(
            '{"gateway":"x","time_zone":"Asia/Shanghai","devices":[{"address":"C0:00:00:00:00:02","kind":"x","bindkey":"zz"}]}'
        ),
        Response("[" * 100_000),
    ],
)
async def test_nonsense_for_an_answer_changes_nothing(outbox: Outbox, door: Door, nonsense: Response) -> None:
    async with Service(door.url, "hw_right") as service:
        it = beating(outbox, service)
        await it.heartbeat.beat()
        door.beat_answer = nonsense
        await it.heartbeat.beat()
        assert it.heartbeat.trouble is not None
        assert len(it.configured) == 1
        door.beat_answer = None
        await it.heartbeat.beat()
    assert (it.heartbeat.trouble, it.admitted, len(it.configured)) == (None, 1, 1)


async def test_a_configuration_that_could_not_be_taken_up_is_tried_again(outbox: Outbox, door: Door) -> None:
    tried: list[Configuration] = []

    def configure(configuration: Configuration) -> None:
        tried.append(configuration)
        if len(tried) == 1:
            raise OutboxFull

    async with Service(door.url, "hw_right") as service:
        heartbeat = Heartbeat(outbox, service, Desk(outbox), configure)
        with pytest.raises(OutboxFull):
            await heartbeat.beat()
        await heartbeat.beat()
        await heartbeat.beat()
    assert len(tried) == 2


@pytest.mark.parametrize("zone", ["Middle/Earth", "", "../../etc/passwd", "/etc/passwd"])
async def test_an_unknown_time_zone_does_not_hinder_collecting(outbox: Outbox, door: Door, zone: str) -> None:
    door.beat_answer = Response(json.dumps({"gateway": "x", "time_zone": zone, "devices": []}))
    async with Service(door.url, "hw_right") as service:
        it = beating(outbox, service)
        await it.heartbeat.beat()
    assert len(it.configured) == 1
    assert it.desk.zone is None


async def test_while_somebody_looks_for_a_device_it_says_what_it_found_and_beats_eagerly(
    outbox: Outbox, door: Door
) -> None:
    found = Found("C0:00:00:00:00:09", "SBBT", -50, ("help_button",), ("fcd2",), False, NOW)
    looked: list[float] = []
    async with Service(door.url, "hw_right") as service:
        desk = Desk(outbox, now=lambda: NOW)
        heartbeat = Heartbeat(
            outbox,
            service,
            desk,
            lambda _c: None,
            report=lambda: Report(found=[found] if looked else None),
            look_for=looked.append,
        )
        door.beat_s = 45
        door.now, door.look_until = lambda: NOW, NOW + timedelta(seconds=80)  # by the service's clock, not by ours
        await heartbeat.beat()
        eager = heartbeat.pause_s
        door.look_until = NOW - timedelta(seconds=1)
        await heartbeat.beat()
    assert (looked, eager, heartbeat.pause_s) == ([80, 0], 3, 45)
    assert "found" not in door.beats[0]
    assert door.beats[1]["found"] == [
        {
            "address": "C0:00:00:00:00:09",
            "name": "SBBT",
            "rssi_dbm": -50,
            "kinds": ["help_button"],
            "services": ["fcd2"],
            "connectable": False,
            "last_seen_at": "2026-11-24T10:00:00Z",
        }
    ]


async def test_habits_and_the_number_to_call_come_with_the_configuration_and_are_remembered(
    outbox: Outbox, door: Door
) -> None:
    door.beat_answer = JSONResponse(
        {
            "gateway": "x",
            "time_zone": "UTC",
            "devices": [{"address": CUFF, "kind": "blood_pressure", "habits": {"visit_every_s": 60}}],
            "emergency": {"phone": "+8613800000000", "language": "zh_Hans"},
            "look_until": "2999-01-01T00:00:00Z",
        }
    )
    async with Service(door.url, "hw_right") as service:
        await beating(outbox, service).heartbeat.beat()
        later = beating(outbox, service)
        later.heartbeat.recall()
    [configuration] = later.configured
    assert configuration.devices[0].habits == {"visit_every_s": 60}
    assert configuration.emergency == Emergency("+8613800000000", "zh_Hans")
    assert configuration.look_until is None  # nobody looks any more after a restart


async def test_the_service_s_clock_is_told_with_the_time_the_answer_took(outbox: Outbox, door: Door) -> None:
    told: list[tuple[datetime, float]] = []
    door.now = lambda: NOW
    async with Service(door.url, "hw_right") as service:
        heartbeat = Heartbeat(
            outbox, service, Desk(outbox), lambda _c: None, told=lambda now, took_s: told.append((now, took_s))
        )
        await heartbeat.beat()
    [(now, took_s)] = told
    assert now == NOW
    assert 0 < took_s < 30
