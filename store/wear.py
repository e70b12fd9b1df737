"""Which wearables are on a body, as they have said themselves."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from devices.readings import METRICS
from store.postgres import Connection, rows

_REMEMBERED: Final = timedelta(days=28)


@dataclass(frozen=True, slots=True)
class Wearable:
    """A wearable that has said whether it is worn. ``off_since`` is ``None`` while it is.

    ``charging_since`` is ``None`` while it does not charge, ``unplugged_at`` when it last stopped.
    """

    device: int
    resident: int
    time_zone: str
    off_since: datetime | None
    charging_since: datetime | None
    unplugged_at: datetime | None


async def perhaps_unworn(c: Connection, now: datetime) -> list[Wearable]:
    """The wearables of everybody of whose wearables the newest word is that it came off, or fell by itself.

    Somebody may wear another of hers, so all that she has are there. A drop counts as taken off until it is worn again.
    """
    return await rows(
        c,
        Wearable,
        """
        WITH word AS (
            SELECT resident_id, max(at) AS at, max(at) FILTER (WHERE metric = %(worn)s AND value >= 0.5) AS worn_at
            FROM latest_reading WHERE metric IN (%(worn)s, %(dropped)s) GROUP BY resident_id
        )
        SELECT d.id AS device, d.resident_id AS resident, c.time_zone, w.off_since, w.charging_since, w.unplugged_at
        FROM word JOIN resident r ON r.id = word.resident_id JOIN centre c ON c.id = r.centre_id
        JOIN device d ON d.resident_id = r.id
        CROSS JOIN LATERAL (
            SELECT bool_or(metric <> %(charging)s) AS has_said,
                   min(at) FILTER (WHERE is_off AND at > coalesce(worn_at, '-infinity')) AS off_since,
                   min(at) FILTER (WHERE is_charging AND at > coalesce(unplugged_at, '-infinity')) AS charging_since,
                   max(unplugged_at) AS unplugged_at
            FROM (
                SELECT metric, at, metric = %(dropped)s OR (metric = %(worn)s AND value < 0.5) AS is_off,
                       metric = %(charging)s AND value >= 0.5 AS is_charging,
                       max(at) FILTER (WHERE metric = %(worn)s AND value >= 0.5) OVER () AS worn_at,
                       max(at) FILTER (WHERE metric = %(charging)s AND value < 0.5) OVER () AS unplugged_at
                FROM (
                    SELECT metric, value, happened_at(measured_at, collected_at, quality) AS at FROM reading
                    WHERE resident_id = d.resident_id AND metric IN (%(worn)s, %(dropped)s, %(charging)s)
                    AND device_id = d.id AND measured_at >= word.at - %(remembered)s
                ) said
            ) told
        ) w
        WHERE word.worn_at IS DISTINCT FROM word.at AND d.removed_at IS NULL AND (r.left_at IS NULL OR r.left_at > %(now)s)
        AND w.has_said ORDER BY d.id
        """,
        {
            "worn": METRICS["worn"].code,
            "dropped": METRICS["device_dropped"].code,
            "charging": METRICS["charging"].code,
            "remembered": _REMEMBERED,
            "now": now,
        },
    )
