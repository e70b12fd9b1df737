"""A fall in a virtual home: she is asked aloud and by what she wears, answers or calls for help, and it is kept."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from devices import gateway
from devices.desk import Desk
from devices.gateway import GatewaySettings, live, pair
from devices.gatt.immediate_alert import Level
from devices.readings import Reading
from devices.virtual.street import Street
from devices.virtual.twin import Plate
from devices.virtual.twins.infinitime import InfiniTime
from devices.virtual.twins.wearable import Wearable
from tests.devices.door import Door, open_door
from tests.devices.home import until

pytestmark = pytest.mark.anyio

BAND, WATCH = "C0:FF:EE:00:02:01", "C0:FF:EE:00:02:02"
PLATES = [Plate(address=BAND, kind="wearable", name="Band"), Plate(address=WATCH, kind="infinitime", name="InfiniTime")]
SAY = "import json, sys; open(sys.argv[1], 'a').write(json.dumps(sys.argv[2:]) + chr(10))"
DESKS: list[Desk] = []


class SeenDesk(Desk):
    """The gateway's desk, which a test can lay something on."""

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        DESKS.append(self)


@dataclass
class Home:
    """Two wearables, a service's door, and a gateway in this process."""

    folder: Path
    door: Door
    street: Street = field(default_factory=lambda: Street(PLATES))

    @property
    def desk(self) -> Desk:
        return DESKS[-1]

    @property
    def band(self) -> Wearable:
        twin = self.street.twins[BAND]
        assert isinstance(twin, Wearable)
        return twin

    @property
    def watch(self) -> InfiniTime:
        twin = self.street.twins[WATCH]
        assert isinstance(twin, InfiniTime)
        return twin

    @property
    def said(self) -> list[list[str]]:
        path = self.folder / "said"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def happens(self, metric: str, device: str = BAND) -> None:
        now = self.desk.now()
        self.desk.keep([Reading(device, metric, 0.9, now, now)])

    def stored(self, metric: str) -> list[dict[str, Any]]:
        return [r for r in self.door.stored.values() if r["metric"] == metric]


@pytest.fixture
async def home(scratch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Home]:
    folder = scratch / f"fall-{tmp_path.name[-20:]}"  # a unix socket's path is short
    folder.mkdir()
    monkeypatch.setattr(gateway, "Desk", SeenDesk)
    (folder / "say.py").write_text(SAY)
    say = f"{sys.executable} {folder / 'say.py'} {folder / 'said'} {{what}} {{text}}"
    async with open_door() as door:
        door.devices = [{"address": p.address, "kind": p.kind, "bindkey": None, "home": 7} for p in PLATES]
        door.emergency = {"phone": "120", "language": "en"}
        it = Home(folder, door)
        await it.street.start(folder / "radio", folder / "control")
        await asyncio.to_thread(pair, door.url, door.code, folder / "data")
        settings = GatewaySettings(folder / "data", radio=f"unix:{folder / 'radio'}", say=say)
        working = asyncio.create_task(live(settings))
        try:
            await until(lambda: it.band.sent > 1 and it.watch.sent > 1)
            yield it
        finally:
            working.cancel()
            await asyncio.wait([working])
            await it.street.stop()


async def test_who_may_have_fallen_is_asked_aloud_and_by_what_she_wears_until_she_presses_her_button(
    home: Home,
) -> None:
    home.happens("fall")
    await until(lambda: home.said and home.band.alert is Level.HIGH and home.watch.shown)
    assert home.said[0][0].startswith("asked")
    assert "If you are well, press the button" in home.said[0][1]
    assert home.watch.shown == ["Did you fall?"]
    await until(lambda: home.stored("fall"))
    await home.band.i_am_fine()
    await until(lambda: home.stored("said_well"))
    assert home.stored("said_well")[0]["detail"].keys() == {"after_fall_s"}
    assert home.stored("fall_confirmed") == []

    home.happens("fall", WATCH)
    await until(lambda: home.band.alert is Level.HIGH)
    home.happens("help_call")
    await until(lambda: home.stored("fall_confirmed"))
    assert home.stored("fall_confirmed")[0]["device"] == WATCH
    await until(lambda: home.band.alert is Level.NONE)
    assert (home.band.buzzed, len(home.watch.shown)) == (2, 2)


async def test_who_answers_on_her_own_page_is_asked_no_more(home: Home) -> None:
    home.happens("fall")
    await until(lambda: home.band.alert is Level.HIGH and home.stored("fall"))
    home.door.answered = [{"home": 7, "fell_at": home.stored("fall")[0]["measured_at"]}]
    await until(lambda: home.band.alert is Level.NONE)
    assert home.stored("fall_confirmed") == []
