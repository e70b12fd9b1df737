"""The street in a process of its own: gateways attach and are killed, people move, and it ends cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from devices.outbox import Outbox
from devices.virtual.backend import open_radio
from devices.virtual.control import Street
from devices.virtual.radio import Air
from devices.virtual.street import read_homes
from devices.virtual.twins.cuff import Cuff
from tests.conftest import PROJECT
from tests.devices.home import BINDKEY, BUTTON, CUFF, WEARABLE, until

pytestmark = pytest.mark.anyio

GATEWAY = """
import asyncio, logging, sys
from pathlib import Path
from devices.collector import Collector, Configured
from devices.desk import Desk
from devices.outbox import Outbox
from devices.virtual.backend import VirtualRadio

logging.basicConfig(level=logging.INFO)

async def main(radio, outbox, address, kind):
    await Collector(Desk(Outbox(Path(outbox))), VirtualRadio(radio), devices=[Configured(address, kind)]).run()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
async def street(tmp_path: Path) -> AsyncIterator[tuple[Street, Process, Path]]:
    homes = tmp_path / "homes.json"
    devices = [
        {"address": CUFF, "kind": "blood_pressure", "name": "BPM", "model": "BPM One", "bindkey": None, "battery": 77},
        {"address": WEARABLE, "kind": "wearable", "name": "Band", "model": "Band", "bindkey": None, "battery": 60},
        {
            "address": BUTTON,
            "kind": "help_button",
            "name": "SBBT-002C",
            "model": "B1",
            "bindkey": BINDKEY,
            "battery": 9,
        },
    ]
    homes.write_text(json.dumps({"devices": devices}))
    sockets = ("--radio", f"unix:{tmp_path}/radio", "--control", f"{tmp_path}/control")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "devices.virtual.street", "--homes", str(homes), *sockets, stdout=PIPE, cwd=PROJECT
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        assert await process.stdout.readline() == b"ready\n"
    yield Street(tmp_path / "control"), process, tmp_path
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.wait()


async def gateway(folder: Path, name: str, address: str, kind: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", GATEWAY, f"unix:{folder}/radio", str(folder / name), address, kind, cwd=PROJECT
    )


async def test_a_measurement_crosses_from_process_to_process_though_the_gateway_is_killed(
    street: tuple[Street, Process, Path],
) -> None:
    people, _, folder = street
    first = await gateway(folder, "outbox", CUFF, "blood_pressure")
    with Outbox(folder / "outbox") as outbox:
        answer = await people.do(CUFF, "measure", systolic=192, diastolic=118, pulse=96)
        await until(lambda: [r.value for _, r in outbox.batch(9) if r.metric == "systolic"] == [192])
        first.kill()
        await first.wait()
        await people.do(CUFF, "measure", systolic=188, diastolic=116, pulse=94)
        second = await gateway(folder, "outbox", CUFF, "blood_pressure")
        await until(lambda: [r.value for _, r in outbox.batch(99) if r.metric == "systolic"] == [192, 188])
        second.kill()
        await second.wait()
    assert answer.keys() == {"measured_at"}


async def test_two_gateways_share_the_air_and_a_killed_ones_links_end(street: tuple[Street, Process, Path]) -> None:
    people, _, folder = street
    one = await gateway(folder, "one", WEARABLE, "wearable")
    two = await gateway(folder, "two", CUFF, "blood_pressure")
    async with asyncio.timeout(20):
        while (await people.do(WEARABLE, "state"))["links"] != 1:  # noqa: ASYNC110  another process
            await asyncio.sleep(0.05)
        one.kill()
        await one.wait()
        while (await people.do(WEARABLE, "state"))["links"] != 0:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    await people.do(CUFF, "measure", systolic=120, diastolic=80)
    with Outbox(folder / "two") as outbox:
        await until(lambda: outbox.depth() >= 4)
    two.kill()
    await two.wait()


async def test_what_cannot_be_done_is_said_in_words(street: tuple[Street, Process, Path]) -> None:
    people, _, _ = street
    for device, what, more, words in (
        ("C0:00:00:00:00:00", "measure", {}, "no such device"),
        (BUTTON, "measure", {"systolic": 1, "diastolic": 1}, "a help_button cannot measure"),
        (CUFF, "measure", {"systolic": 120}, "diastolic"),
        (CUFF, "measure", {"systolic": 120, "diastolic": 80, "colour": "red"}, "colour"),
        (CUFF, "measure", {"systolic": "high", "diastolic": 80}, "float"),
        (CUFF, "raw", {"hex": "xyz"}, "hex"),
        (CUFF, "set_clock", {"iso": "2000-01-01T00:00:00Z"}, "without a zone"),
        (CUFF, "battery", {"level": 101}, "101 %"),
        (BUTTON, "replay", {}, "nothing was broadcast"),
    ):
        with pytest.raises(RuntimeError, match=words):
            await people.do(device, what, **more)
    assert (await people.do(BUTTON, "state"))["battery"] == 9


async def test_it_ends_cleanly_when_told_to_even_with_a_gateway_attached(street: tuple[Street, Process, Path]) -> None:
    _, process, folder = street
    radio = await open_radio(f"unix:{folder}/radio")
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(10):
        assert await process.wait() == 0
        await radio.lost.wait()
    await radio.close()


async def test_a_radio_nobody_offers_is_said(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        await open_radio(f"unix:{tmp_path}/radio")


def test_a_list_of_homes_that_is_none_is_refused_with_the_place(tmp_path: Path) -> None:
    homes = tmp_path / "homes.json"
    homes.write_text('{"devices": [{"address": "C0:FF:EE:00:00:01", "kind": 3, "name": "T"}]}')
    with pytest.raises(ValueError, match=r"devices\[0\]\.kind|devices"):
        read_homes(homes)
    homes.write_text('{"devices": [{"address": "C0:FF:EE:00:00:01", "kind": "toaster", "name": "T"}]}')
    with pytest.raises(ValueError, match="no virtual toaster"):
        read_homes(homes)


async def test_a_cuff_shows_the_time_of_its_home_wherever_the_street_runs(tmp_path: Path) -> None:
    homes = tmp_path / "homes.json"
    device = {"address": CUFF, "kind": "blood_pressure", "name": "BPM"}
    homes.write_text(json.dumps({"devices": [device], "time_zone": "Asia/Shanghai"}))
    (plate,) = read_homes(homes)
    shows = Cuff(Air(), plate).now()
    assert abs(shows - datetime.now(ZoneInfo("Asia/Shanghai")).replace(tzinfo=None)) < timedelta(seconds=2)
    homes.write_text(json.dumps({"devices": [device], "time_zone": "Asia/Atlantis"}))
    with pytest.raises(ValueError, match="Atlantis"):
        read_homes(homes)
