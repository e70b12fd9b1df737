"""A home heard with two adapters."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from devices.virtual.backend import VirtualRadio
from devices.virtual.twins.cuff import Measurement
from tests.devices.home import CUFF, QUICK, WEARABLE, Home, home, until

pytestmark = pytest.mark.anyio

TWO = replace(QUICK, compare=0.35)  # longer than the devices' interval, so that both have heard


class Placed(VirtualRadio):
    """An adapter that hears every device so loud."""

    def __init__(self, folder: Path, name: str, rssi_dbm: int) -> None:
        super().__init__(f"unix:{folder / 'radio'}")
        self.name = name
        self.rssi_dbm = rssi_dbm

    def _heard(self, advertisement: Any) -> None:
        advertisement.rssi = self.rssi_dbm
        super()._heard(advertisement)


async def measured(h: Home, systolic: float) -> None:
    await h.cuff.measure(Measurement(systolic=systolic, diastolic=80))


async def collected(h: Home, *systolic: float) -> None:
    await until(lambda: h.values("systolic") == list(systolic))
    await until(lambda: not h.cuff.connections)


async def test_a_device_is_visited_through_the_adapter_that_hears_it_loudest(tmp_path: Path) -> None:
    async with home(tmp_path, TWO) as h:
        far, near = Placed(tmp_path, "hci0", -85), Placed(tmp_path, "hci1", -50)
        h.start_gateway(radio=far, others=[near])
        await measured(h, 120)
        await collected(h, 120)
        assert await near.is_bonded(CUFF)
        assert not await far.is_bonded(CUFF)


async def test_it_stays_with_the_adapter_it_is_paired_with_even_when_the_other_hears_it_louder(tmp_path: Path) -> None:
    async with home(tmp_path, TWO) as h:
        first, second = Placed(tmp_path, "hci0", -60), Placed(tmp_path, "hci1", -70)
        h.start_gateway(radio=first, others=[second])
        await measured(h, 120)
        await collected(h, 120)
        second.rssi_dbm = -40
        await measured(h, 130)
        await collected(h, 120, 130)
        assert not await second.is_bonded(CUFF)


async def test_when_one_adapter_goes_the_home_is_heard_with_the_other(tmp_path: Path) -> None:
    class Pulled(Placed):
        """Taken out of its socket at some time."""

        pulled = False

        async def reset(self) -> None:
            if self.pulled:
                raise OSError("no such adapter")
            await super().reset()

    async with home(tmp_path, TWO) as h:
        pulled, other = Pulled(tmp_path, "hci0", -50), Placed(tmp_path, "hci1", -70)
        collector = h.start_gateway(radio=pulled, others=[other])
        await until(lambda: h.wearable.connections and pulled.clients)
        pulled.pulled = True
        await pulled.close()
        await until(lambda: h.wearable.connections and other.clients)
        await measured(h, 120)
        await collected(h, 120)
        assert collector.scanning != "off"
        assert collector.troubles == ["the Bluetooth adapter hci0 fails: no such adapter"]


async def test_a_press_heard_by_both_is_one_call_for_help(tmp_path: Path) -> None:
    async with home(tmp_path, TWO) as h:
        h.start_gateway(radio=Placed(tmp_path, "hci0", -50), others=[Placed(tmp_path, "hci1", -50)])
        await until(lambda: h.wearable.connections)
        await h.button.press()
        await until(lambda: h.values("help_call"))
        await asyncio.sleep(0.6)  # the press is repeated meanwhile
        assert h.values("help_call") == [1]
        assert h.reasons() == []
        assert h.desk.of(WEARABLE).trouble is None


async def test_an_adapter_that_hangs_does_not_end_what_the_other_hears(tmp_path: Path) -> None:
    class Hung(Placed):
        async def reset(self) -> None:
            raise TimeoutError("bluetoothd did not answer")

    async with home(tmp_path, replace(TWO, hung=2, backoff=0.01)) as h:
        h.start_gateway(radio=Hung(tmp_path, "hci0", -50), others=[Placed(tmp_path, "hci1", -70)])
        await until(lambda: h.wearable.connections)
        await measured(h, 120)
        await collected(h, 120)
        assert h.gateway is not None
        assert not h.gateway.done()
