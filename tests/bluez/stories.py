"""What must hold with a real kernel and a real bluetoothd. Each story raises, or returns what is worth telling."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from devices.gatt import blood_pressure
from devices.outbox import Outbox
from devices.virtual.twins.cuff import Measurement
from tests.bluez.bench import CUFF, OTHER, Bench, Gateway, RealCuff, until

Story = Callable[[Bench], Awaitable[Any]]
STORIES: list[Story] = []
_RIGHT: Final = timedelta(seconds=5)


def story(told: Story) -> Story:
    """Have this story run, in the order of the file."""
    STORIES.append(told)
    return told


async def collected(gateway: Gateway, cuff: RealCuff, count: int) -> None:
    """Wait until the outbox holds so many pressures of the cuff, and the cuff has let them go and switched off.

    Two links at once are too many for btvirt: it mixes up their handles.
    """
    await until(lambda: len(gateway.times(cuff.plate.address)) >= count and not cuff.memory and not cuff.connections)


@story
async def a_new_cuff_is_paired_its_clock_set_and_its_whole_memory_collected(bench: Bench) -> str:
    bench.cuff.set_clock(datetime.fromisoformat("2020-01-01T08:00"))
    taken = (await bench.cuff.do_fill(12))["measured_at"]
    async with bench.gateway(CUFF) as gateway:
        await collected(gateway, bench.cuff, 12)
        assert gateway.times(CUFF) == taken
        await until(lambda: gateway.values(CUFF, "battery") == [90.0])
        assert abs(bench.cuff.now() - datetime.now(UTC).replace(tzinfo=None)) < _RIGHT
        assert bench.cuff.pairings == 1
        known = await bench.bluetoothd.device(CUFF)
        assert known["Paired"]
        assert known["Bonded"]
        assert not gateway.trouble(CUFF)
        return f"BlueZ {known['AddressType']} address, visits: {bench.cuff.visits}"


@story
async def a_paired_cuff_is_collected_again_without_pairing(bench: Bench) -> None:
    pairings, visits = bench.cuff.pairings, bench.cuff.visits
    async with bench.gateway(CUFF) as gateway:
        await bench.cuff.measure(Measurement(systolic=151, diastolic=91))
        await collected(gateway, bench.cuff, 1)
        await bench.cuff.measure(Measurement(systolic=152, diastolic=92))
        await collected(gateway, bench.cuff, 2)
        assert gateway.values(CUFF, "systolic") == [151, 152]
    assert bench.cuff.pairings == pairings
    assert bench.cuff.visits == visits + 2


@story
async def a_device_of_another_home_is_neither_visited_nor_let_pair(bench: Bench) -> str:
    await bench.other.measure(Measurement(systolic=133, diastolic=83))
    async with bench.gateway(CUFF) as gateway:
        await until(lambda: bench.bluetoothd.device(OTHER))
        assert bench.other.visits == 0
        refusal = await bench.bluetoothd.subscribe(OTHER, blood_pressure.MEASUREMENT)
        assert refusal, "somebody else's cuff was let pair"
        assert gateway.times(OTHER) == []
    assert bench.other.pairings == 0
    assert len(bench.other.memory) == 1
    bench.other.memory.clear()
    await bench.other.fall_silent()
    assert not (await bench.bluetoothd.device(OTHER)).get("Paired")
    return refusal


@story
async def when_bluetoothd_dies_the_agent_is_registered_anew_and_collecting_goes_on(bench: Bench) -> None:
    async with bench.gateway(CUFF, OTHER) as gateway:
        await bench.cuff.measure(Measurement(systolic=141, diastolic=81))
        await collected(gateway, bench.cuff, 1)
        bench.bluetoothd.kill()
        await until(gateway.radio.lost.is_set)
        await bench.cuff.measure(Measurement(systolic=142, diastolic=82))
        await bench.bluetoothd.start()
        await collected(gateway, bench.cuff, 2)
        assert gateway.values(CUFF, "systolic") == [141, 142]
        # Only an agent that this bluetoothd knows can let a cuff pair.
        pairings = bench.other.pairings
        await gateway.radio.forget(OTHER)
        await bench.other.do_lose_bond()
        await bench.other.measure(Measurement(systolic=135, diastolic=85))
        await collected(gateway, bench.other, 1)
        assert bench.other.pairings == pairings + 1


@story
async def an_adapter_that_somebody_switched_off_is_switched_on_again(bench: Bench) -> None:
    async with bench.gateway(CUFF) as gateway:
        await bench.cuff.measure(Measurement(systolic=143, diastolic=83))
        await collected(gateway, bench.cuff, 1)
        await bench.bluetoothd.power(False)
        await bench.cuff.measure(Measurement(systolic=144, diastolic=84))
        await collected(gateway, bench.cuff, 2)
        assert gateway.values(CUFF, "systolic") == [143, 144]
        assert await bench.bluetoothd.powered()


@story
async def after_a_kill_in_mid_transfer_only_what_bluetoothd_confirmed_by_itself_is_missing(bench: Bench) -> str:
    taken: list[str] = (await bench.cuff.do_fill(60))["measured_at"]
    with tempfile.TemporaryDirectory() as folder:
        process = _gateway_process(folder)
        await until(lambda: len(bench.cuff.memory) <= 40, 30)
        process.kill()
        process.wait()
        kept = _kept(folder)
        # BlueZ keeps the link of a program that was killed, but unsubscribes for it: the cuff's memory stands still.
        before = -1
        while before != len(bench.cuff.memory):
            before = len(bench.cuff.memory)
            await asyncio.sleep(2)
        let_go = 60 - before
        assert set(kept) <= set(taken[:let_go])
        process = _gateway_process(folder)
        try:
            await until(lambda: not bench.cuff.memory and not bench.cuff.connections, 45)
        finally:
            process.kill()
            process.wait()
        assert set(_kept(folder)) == {*kept, *taken[let_go:]}
    return f"the cuff had let go of {let_go} of 60, {let_go - len(kept)} of which are lost"


def _kept(folder: str) -> list[str]:
    """When the pressures in the outbox of a gateway that is no more were measured."""
    with Outbox(Path(folder) / "outbox.sqlite") as outbox:
        found = [r.measured_at for _, r in outbox.batch(1000) if r.metric == "systolic"]
    return [at.replace(tzinfo=None).isoformat() for at in found]


def _gateway_process(folder: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "tests.bluez.stories", folder])


@story
async def an_adapter_pulled_out_and_put_back_is_taken_up_again(bench: Bench) -> None:
    async with bench.gateway(CUFF) as gateway:
        await bench.cuff.measure(Measurement(systolic=145, diastolic=85))
        await collected(gateway, bench.cuff, 1)
        bonds = bench.cuff.device.keystore
        await bench.pull_out()
        await asyncio.sleep(1)
        await bench.plug_in()
        bench.cuff.device.keystore = bonds
        await bench.cuff.measure(Measurement(systolic=146, diastolic=86))
        await collected(gateway, bench.cuff, 2)
        assert gateway.values(CUFF, "systolic") == [145, 146]
        assert bench.cuff.pairings == 0


@story
async def a_cuff_that_answers_nothing_is_left_in_time_and_collected_when_it_answers(bench: Bench) -> str:
    bench.cuff.answers_left = 0
    await bench.cuff.measure(Measurement(systolic=161, diastolic=93))
    async with bench.gateway(CUFF) as gateway:
        await until(lambda: gateway.trouble(CUFF))
        said = gateway.trouble(CUFF)
        bench.cuff.answers_left = None
        await collected(gateway, bench.cuff, 1)
        assert gateway.values(CUFF, "systolic") == [161]
    return said


@story
async def a_cuff_that_vanishes_while_its_services_are_discovered_is_called_again(bench: Bench) -> str:
    bench.cuff.answers_left, bench.cuff.hangs_up = 4, True
    await bench.cuff.measure(Measurement(systolic=163, diastolic=94))
    async with bench.gateway(CUFF) as gateway:
        await until(lambda: gateway.trouble(CUFF))
        said = gateway.trouble(CUFF)
        bench.cuff.answers_left, bench.cuff.hangs_up = None, False
        await collected(gateway, bench.cuff, 1)
        assert gateway.values(CUFF, "systolic") == [163]
    return said


@story
async def a_cuff_that_forgot_its_bond_is_forgotten_and_paired_anew_and_nothing_is_lost(bench: Bench) -> str:
    pairings = bench.cuff.pairings
    await bench.cuff.do_lose_bond()
    taken = (await bench.cuff.do_fill(3))["measured_at"]
    async with bench.gateway(CUFF) as gateway:
        troubles: list[str] = []

        def done() -> bool:
            if gateway.trouble(CUFF) not in ("", *troubles[-1:]):
                troubles.append(gateway.trouble(CUFF))
            return len(gateway.times(CUFF)) == 3 and not bench.cuff.memory

        await until(done, 40)
        assert gateway.times(CUFF) == taken
        assert bench.cuff.pairings == pairings + 1
        assert (await bench.bluetoothd.device(CUFF))["Paired"]
        await until(lambda: not gateway.trouble(CUFF))
    return " / ".join(troubles)


if __name__ == "__main__":  # a gateway of its own, to be killed
    asyncio.run(Gateway(Path(sys.argv[1]), CUFF).collector.run())
