"""The street's slow life after the story: now and then somebody measures, goes for a walk, or sits down."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime
from typing import Final

import numpy as np

from api.demo import history
from api.demo.seed import Seeded
from devices.virtual.control import Street

_PAUSE_S: Final = (25.0, 70.0)


async def go_on(street: Street, seeded: Seeded) -> None:
    """Live on, until cancelled. A street that is away for a moment is lived in later."""
    rng = np.random.default_rng()
    homes = [h.home for h in seeded.homes.values() if not h.home.pattern.silent_days]
    while True:
        await asyncio.sleep(rng.uniform(*_PAUSE_S))
        home = homes[int(rng.integers(len(homes)))]
        usual = history.usual(home, datetime.now(UTC))
        cuff = home.twin("blood_pressure").address
        with contextlib.suppress(OSError):
            await street.do(cuff, "measure", systolic=usual.systolic, diastolic=usual.diastolic, pulse=usual.pulse)
