"""Fifty devices that misbehave in every way there is, a gateway killed every 20 s, a network away half of the time."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.story.street import KILL_EVERY_S, Mischief, Neighbourhood, neighbourhood, until

pytestmark = [pytest.mark.anyio, pytest.mark.story]

SOAK_S = float(os.environ.get("HEARTHWATCH_SOAK_S", "22"))
"""How long the street misbehaves: ``make soak`` takes ten minutes."""
SETTLE_S = 180
MOST_MB = 120
NOT_MEASURED = {
    *("help_call", "fall", "fall_recovered", "fall_confirmed", "said_well", "long_lie"),
    *("worn", "charging", "device_dropped"),
}
"""What the street does not count one by one."""
REFUSED = {"no_value", "device_says_invalid", "sample_too_small"}
"""What each kind's failed measurement is refused for."""


async def kill(whole: Neighbourhood) -> None:
    while True:
        await asyncio.sleep(KILL_EVERY_S)
        await whole.kill_gateway()


async def cut(whole: Neighbourhood) -> None:
    """Away half of the time, for three to twelve seconds each."""
    dice = random.Random(11)
    while True:
        seconds = dice.uniform(3, 12)
        await asyncio.sleep(seconds)
        whole.network.cut()
        whole.ledger.cuts += 1
        await asyncio.sleep(seconds)
        whole.network.mend()


@pytest.mark.timeout(SOAK_S + 2 * SETTLE_S + 120)
async def test_what_the_devices_recorded_is_what_the_service_has_exactly(scratch: Path) -> None:
    place = scratch / "street"
    place.mkdir()
    place.chmod(0o755)
    async with neighbourhood(place) as whole:
        mischief = Mischief(whole)
        troubles = [asyncio.create_task(work(whole)) for work in (kill, cut)]
        await mischief.go_on(SOAK_S)
        for task in troubles:
            task.cancel()
        await asyncio.gather(*troubles, return_exceptions=True)
        whole.network.mend()
        await asyncio.gather(*whole.pending)
        await mischief.behave()
        sent, failures = await whole.sent()
        await until(lambda: len(whole.stored()) >= len(sent) + sum(whole.ledger.presses.values()), SETTLE_S, place)
        await until(lambda: whole.waiting() == 0, 60, place)

        whole.weigh_gateway()

        stored = whole.stored()
        calls = Counter(device for device, metric, _, _ in stored if metric == "help_call")
        measured = [key for key in stored if key[1] not in NOT_MEASURED]
        sys.stdout.write(
            f"\n{len(whole.everybody)} devices, {SOAK_S:.0f} s, {whole.ledger.kills} kills, {whole.ledger.cuts} cuts, "
            f"{sum(whole.ledger.done.values())} pieces of mischief of {len(whole.ledger.done)} kinds: sent {len(sent)}, "
            f"stored {len(measured)}, calls {sum(whole.ledger.presses.values())}, refused {whole.refused()}, "
            f"gateway {whole.ledger.gateway_mb:.0f} MB\n"
        )
        assert len(measured) == len(set(measured))
        assert set(measured) == sent
        assert calls == whole.ledger.presses
        refused = whole.refused()
        assert {reason.removeprefix("gateway_refused:") for reason in refused} <= REFUSED
        assert sum(refused.values()) >= failures > 0
        assert whole.ledger.gateway_mb < MOST_MB
        assert whole.ledger.kills >= max(SOAK_S // KILL_EVERY_S - 1, 1)
        assert whole.ledger.cuts >= max(SOAK_S // 30, 1)
