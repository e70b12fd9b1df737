"""Two days of two hundred residents while workers and database are killed: what is decided stays the same.

``make faults`` does it with a week of five thousand.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from store.embedded import EmbeddedPostgres
from tests.faults.fire import SETTINGS, Scale, under_fire, undisturbed
from tests.faults.week import record

pytestmark = [pytest.mark.anyio, pytest.mark.story]
SCALE = Scale(residents=200, days=2, kills=10, measured=2, tick_s=0.008)


async def test_what_the_watch_decides_is_the_same_whatever_is_done_to_it(scratch: Path) -> None:
    place = scratch / "fire"
    place.mkdir()
    place.chmod(0o755)
    week = record(SCALE.residents, SCALE.days)
    with EmbeddedPostgres(place / "postgres", settings=SETTINGS) as server:
        calm = await undisturbed(server, place, week)
        burnt, ledger = await under_fire(server, place, week, SCALE)
    assert burnt.alerts == calm.alerts
    assert burnt.trail == calm.trail
    assert burnt.twice == 0
    assert calm.alerts.total() > 50
    assert ledger.done.total() == SCALE.kills
    assert len(ledger.take_overs) == SCALE.measured
