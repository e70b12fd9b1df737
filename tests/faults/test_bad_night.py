"""Forty calls for help while everything breaks: nobody is left unheard. ``make nights`` does it with a thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

from store.embedded import EmbeddedPostgres
from tests.faults.bad_night import Scale, bad_night
from tests.faults.fire import SETTINGS

pytestmark = [pytest.mark.anyio, pytest.mark.story, pytest.mark.timeout(480)]


async def test_every_call_for_help_is_taken_or_loudly_red_whatever_breaks(scratch: Path) -> None:
    place = scratch / "night"
    place.mkdir()
    place.chmod(0o755)
    with EmbeddedPostgres(place / "postgres", settings=SETTINGS) as server:
        morning = await bad_night(server, place, Scale(alerts=40, every_s=0.5, breaks_s=1.5))
    assert morning.readings == len(morning.fates) == 40
    assert morning.silent == []
    assert all(fate.trail[0] == "raised" and "called" in fate.trail for fate in morning.fates)
    assert all("acknowledged" in fate.trail for fate in morning.fates if fate.state == "acknowledged")
    assert all("exhausted" in fate.trail for fate in morning.fates if fate.is_red)
    assert morning.called_after_taken == 0
    assert morning.share_doubled < 0.02
    assert morning.done.total() > 5
