"""A fall in the record as the gateway tells it: the reading, what explains it, and what the wearable felt."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from store import readings, recordings
from store.postgres import Connection
from tests.clinicians.lived import raise_alert
from tests.household import Household, batch

RATE_HZ = 50
BEFORE_S = 4
DETAIL = {"impact_g": 4.8, "free_fall_ms": 320.0, "stillness_s": 6.5, "posture_change_deg": 78.0}


def felt() -> NDArray[np.int16]:
    """Twelve seconds around a blow of 4.8 g at 4 s: at rest, a third of a second of free fall, the blow, at rest."""
    g = np.full(12 * RATE_HZ, 1000.0)
    blow = BEFORE_S * RATE_HZ
    g[blow - 16 : blow] = 200
    g[blow] = 4800
    samples = np.zeros((len(g), 3))
    samples[:blow, 2], samples[blow:, 0] = g[:blow], g[blow:]
    return samples.astype(np.int16)


async def tell(
    c: Connection, home: Household, metric: str, at: datetime, value: float, detail: Mapping[str, float]
) -> None:
    """A reading of Wang's wearable, with what explains it."""
    one = batch(home, (home.wang, home.wearable, metric, value, at), received_at=at)
    await readings.insert(c, replace(one, details={0: dict(detail)}) if detail else one)


async def fall(
    c: Connection, home: Household, at: datetime, detail: Mapping[str, float] = DETAIL, *, is_recorded: bool = True
) -> int:
    """Wang falls, does not answer, and an alert is raised; its number."""
    await tell(c, home, "fall", at, 0.93, detail)
    if is_recorded:
        started_at = at - timedelta(seconds=BEFORE_S)
        kept = recordings.Recording(home.wearable, home.wang, started_at, RATE_HZ, "fall", felt())
        await recordings.insert(c, home.gateway, at, kept)
    return await raise_alert(c, home.wang, "fall", at, {"probability": 0.93, **detail}, step=1)
