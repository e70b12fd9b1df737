"""A call for help from the button to whoever can be reached: two servers, real processes, power cuts."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.devices.door import Door, open_door
from tests.devices.test_gateway import BUTTON, Home, Program, start, until

pytestmark = pytest.mark.anyio

GATEWAY = """
import sys
from functools import partial
from pathlib import Path
import devices.aloud
from devices.gateway import GatewaySettings, run
devices.aloud.Patience = partial(devices.aloud.Patience, first_s=1.0, every_s=2.0)
run(GatewaySettings(Path(sys.argv[1]), radio=sys.argv[2], fallback=sys.argv[3], say=sys.argv[4]))
"""
SAY = "import json, sys; open(sys.argv[1], 'a').write(json.dumps(sys.argv[2:]) + chr(10))"


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with open_door() as it:
        yield it


@pytest.fixture
async def other() -> AsyncIterator[Door]:
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


async def start_gateway(home: Home, fallback: str) -> Program:
    (home.folder / "say.py").write_text(SAY)
    say = f"{sys.executable} {home.folder / 'say.py'} {home.folder / 'said'} {{what}} {{text}}"
    gateway = await start("-c", GATEWAY, str(home.data), f"unix:{home.radio}", fallback, say)
    home.programs.append(gateway)
    return gateway


def heard(home: Home) -> list[list[str]]:
    path = home.folder / "said"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


async def test_a_call_for_help_finds_another_way_and_without_any_the_resident_is_told(
    home: Home, door: Door, other: Door
) -> None:
    door.emergency = {"phone": "120", "language": "en"}
    await home.open_street()
    await home.pair()
    gateway = await start_gateway(home, other.url)
    await until(lambda: home.values("battery"), gateway)

    await door.slam()
    await home.people.do(BUTTON, "press")
    await until(lambda: other.arrivals == [["help_call"]], gateway)

    await other.slam()
    await home.people.do(BUTTON, "press")
    await until(lambda: heard(home), gateway)
    assert heard(home)[0][0] == "waiting_help_call"
    assert "ring 1 2 0 yourself" in heard(home)[0][1]

    await gateway.end(signal.SIGKILL)
    gateway = await start_gateway(home, other.url)  # the number to ring is known, the service unreachable
    spoken = len(heard(home))
    await until(lambda: len(heard(home)) > spoken, gateway)
    assert "ring 1 2 0 yourself" in heard(home)[-1][1]
    await other.open()
    await until(lambda: heard(home)[-1][0] == "taken_help_call", gateway)
    assert [m for batch in other.arrivals for m in batch] == ["help_call", "help_call"]
    assert await gateway.end() == 0
