"""Queries that serve one page at once instead of one resident at a time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from devices.readings import METRICS
from store.postgres import Connection, rows


@dataclass(frozen=True, slots=True)
class PressureSummary:
    """A resident's home blood pressure: means in mm[Hg] of the last 7 days and of the 7 before, and how many pairs.

    A mean is ``None`` where nothing usable was measured.
    """

    resident_id: int
    systolic_7d: float | None
    diastolic_7d: float | None
    systolic_before: float | None
    measurements_7d: int
    last_at: datetime | None


async def pressure_summaries(c: Connection, now: datetime) -> dict[int, PressureSummary]:
    """The blood-pressure summary of every resident the connection may see.

    The residents come first and each is looked up by the readings' key, so the size of the record does not matter.
    """
    found = await rows(
        c,
        PressureSummary,
        """
        SELECT r.id AS resident_id, s.systolic_7d, d.diastolic_7d, s.systolic_before, s.measurements_7d, s.last_at
        FROM resident r
        CROSS JOIN LATERAL (
            SELECT avg(value) FILTER (WHERE at >= %(now)s - interval '7 days') AS systolic_7d,
                   avg(value) FILTER (WHERE at < %(now)s - interval '7 days') AS systolic_before,
                   count(*) FILTER (WHERE at >= %(now)s - interval '7 days') AS measurements_7d, max(at) AS last_at
            FROM resident_reading q
            WHERE q.resident_id = r.id AND q.metric = %(systolic)s
              AND q.measured_at >= %(now)s - interval '14 days' AND q.measured_at <= %(now)s AND q.at IS NOT NULL
        ) s
        CROSS JOIN LATERAL (
            SELECT avg(value) AS diastolic_7d FROM resident_reading q
            WHERE q.resident_id = r.id AND q.metric = %(diastolic)s
              AND q.measured_at >= %(now)s - interval '7 days' AND q.measured_at <= %(now)s AND q.at IS NOT NULL
        ) d
        WHERE r.left_at IS NULL
        """,
        {"now": now, "systolic": METRICS["systolic"].code, "diastolic": METRICS["diastolic"].code},
    )
    return {row.resident_id: row for row in found}
