"""Raw acceleration around events: written once by key (device, start), read by whoever may see the resident."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from store.postgres import Connection

_SAMPLE: Final = np.dtype("<i2")


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One stretch of acceleration without gaps. ``samples`` of shape ``(n, 3)``: x, y, z in mg, ``int16``."""

    device_id: int
    resident_id: int
    started_at: datetime
    rate_hz: float
    reason: str
    samples: NDArray[np.int16]


async def insert(c: Connection, gateway_id: int, received_at: datetime, recording: Recording) -> bool:
    """Store a recording; ``False`` when its device has one that began at the same moment already."""
    done = await c.execute(
        "INSERT INTO recording (device_id, started_at, resident_id, gateway_id, received_at, rate_hz, reason, samples) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [
            recording.device_id,
            recording.started_at,
            recording.resident_id,
            gateway_id,
            received_at,
            recording.rate_hz,
            recording.reason,
            recording.samples.astype(_SAMPLE).tobytes(),
        ],
    )
    return done.rowcount == 1


async def of_resident(c: Connection, resident_id: int, since: datetime, until: datetime) -> Sequence[Recording]:
    """A resident's recordings that began in ``since <= started_at < until``, in order."""
    cursor = await c.execute(
        "SELECT device_id, resident_id, started_at, rate_hz, reason, samples FROM recording "
        "WHERE resident_id = %s AND started_at >= %s AND started_at < %s ORDER BY started_at, device_id",
        [resident_id, since, until],
    )
    return [recording(*row) for row in await cursor.fetchall()]


def recording(
    device_id: int, resident_id: int, started_at: datetime, rate_hz: float, reason: str, samples: bytes
) -> Recording:
    """A recording from its row."""
    felt = np.frombuffer(samples, _SAMPLE).reshape(-1, 3).astype(np.int16)
    return Recording(device_id, resident_id, started_at, rate_hz, reason, felt)
