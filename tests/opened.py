"""An alert that stands open in the record, as a test needs it."""

from __future__ import annotations

from typing import Any

from store import alerts
from store.postgres import Connection


async def opened(c: Connection, **columns: Any) -> int | None:
    """Open an alert; its number, or ``None`` when this rule has one open for this resident, or had one of this moment."""
    made = await alerts.insert(c, [alerts.NewAlert(**columns)])
    return made[0].id if made else None
