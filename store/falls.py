"""Falls: what was told of them and after them, the acceleration around them, and what staff found when they looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, LiteralString
from uuid import UUID

from devices.readings import METRICS, METRICS_BY_CODE
from store.postgres import Connection, rows, value
from store.recordings import Recording, recording

_FALL: Final = METRICS["fall"].code
_COURSE: Final = [METRICS[n].code for n in ("fall", "fall_confirmed", "fall_recovered", "said_well", "long_lie")]

# The recording in which a reading's moment lies; none lasts for longer than a minute (devices.recording.MOST_SAMPLES).
_IN_IT: Final[LiteralString] = (
    "rec.device_id = r.device_id AND rec.resident_id = r.resident_id AND rec.started_at <= r.measured_at "
    "AND rec.started_at > r.measured_at - interval '2 minutes' "
    "AND r.measured_at < rec.started_at + make_interval(secs => length(rec.samples) / 6 / rec.rate_hz)"
)


@dataclass(frozen=True, slots=True)
class Told:
    """One thing told of a fall. ``value`` is a probability, ``detail`` what explains it, empty when nothing was said.

    ``recording`` is the acceleration around it: of a fall alone, and only where it has come.
    """

    metric: str
    at: datetime
    measured_at: datetime
    value: float
    device_id: int
    detail: dict[str, Any]
    recording: Recording | None


async def course(c: Connection, resident_id: int, since: datetime, limit: int) -> list[Told]:
    """What was told of a resident's falls since then, in order of time; the newest ``limit`` of it."""
    cursor = await c.execute(
        "SELECT r.metric, r.at, r.measured_at, r.value, r.device_id, coalesce(d.detail, '{}'), "
        "rec.started_at, rec.rate_hz, rec.reason, rec.samples "
        "FROM resident_reading r LEFT JOIN resident_event_detail d USING (resident_id, metric, measured_at, device_id) "
        "LEFT JOIN LATERAL (SELECT * FROM recording rec WHERE r.metric = %(fall)s AND "
        + _IN_IT
        + " ORDER BY rec.started_at DESC LIMIT 1) rec ON true "
        "WHERE r.resident_id = %(resident)s AND r.metric = ANY(%(course)s) AND r.measured_at >= %(since)s "
        "AND r.at IS NOT NULL ORDER BY r.at DESC LIMIT %(limit)s",
        {"fall": _FALL, "resident": resident_id, "course": _COURSE, "since": since, "limit": limit},
    )
    return [_told(resident_id, *row) for row in reversed(await cursor.fetchall())]


def _told(
    resident_id: int,
    metric: int,
    at: datetime,
    measured_at: datetime,
    probability: float,
    device_id: int,
    detail: dict[str, Any],
    *felt: Any,
) -> Told:
    around = None if felt[0] is None else recording(device_id, resident_id, *felt)
    return Told(METRICS_BY_CODE[metric].name, at, measured_at, probability, device_id, detail, around)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a person found: ``verdict`` is ``fall``, ``no_fall`` or ``unclear``, ``what`` a code of the pages."""

    alert_id: int
    verdict: str
    what: str
    at: datetime
    name_zh: str
    name_en: str


async def judge(
    c: Connection, alert_id: int, resident_id: int, person_id: UUID, now: datetime, verdict: str, what: str
) -> None:
    """Write down what was found; it counts from now on, whatever was found before."""
    await c.execute(
        "INSERT INTO fall_verdict (alert_id, resident_id, person_id, at, verdict, what) VALUES (%s, %s, %s, %s, %s, %s)",
        [alert_id, resident_id, person_id, now, verdict, what],
    )


async def verdicts(c: Connection, alert_ids: Sequence[int]) -> dict[int, Verdict]:
    """The newest verdict about each of these alerts; one without any is absent."""
    found = await rows(
        c,
        Verdict,
        "SELECT DISTINCT ON (v.alert_id) v.alert_id, v.verdict, v.what, v.at, p.name_zh, p.name_en "
        "FROM fall_verdict v JOIN person p ON p.id = v.person_id WHERE v.alert_id = ANY(%s) ORDER BY v.alert_id, v.id DESC",
        [list(alert_ids)],
    )
    return {row.alert_id: row for row in found}


async def answered(c: Connection, resident_ids: Sequence[int], since: datetime) -> dict[int, datetime]:
    """Of each of these residents the newest fall since then of which she has said herself that she is well, or whose alert
    somebody has seen to and closed."""
    cursor = await c.execute(
        "SELECT resident_id, max(fell_at) FROM ("
        "  SELECT p.resident_id, p.asked_at AS fell_at FROM prompt p JOIN latest_reading l USING (resident_id) "
        "  WHERE p.resident_id = ANY(%(who)s) AND p.rule = 'fall' AND p.answer = 'well' AND p.asked_at >= %(since)s "
        "  AND l.metric = %(well)s AND l.at >= p.asked_at "
        "  UNION ALL "
        "  SELECT a.resident_id, CASE WHEN l.at <= a.resolved_at THEN greatest(a.happened_at, l.at) "
        "  ELSE a.happened_at END FROM alert a "
        "  LEFT JOIN latest_reading l ON l.resident_id = a.resident_id AND l.metric = %(fall)s "
        "  WHERE a.resident_id = ANY(%(who)s) AND a.rule IN ('fall', 'fall.long_lie') AND a.resolved_by IS NOT NULL "
        "  AND a.resolved_at >= %(since)s) AS known GROUP BY resident_id",
        {
            "who": list(resident_ids),
            "since": since,
            "well": METRICS["said_well"].code,
            "fall": METRICS["fall"].code,
        },
    )
    return dict(await cursor.fetchall())


@dataclass(frozen=True, slots=True)
class Labelled:
    """A recording of which staff have said whether it was a fall, and when its wearer was born."""

    recording: Recording
    is_fall: bool
    what: str
    born: date


# An alert is about the newest fall that was told up to it; another wearable may have felt the same one.
_LABELLED: Final[LiteralString] = (
    """
    SELECT rec.device_id, rec.resident_id, rec.started_at, rec.rate_hz, rec.reason, rec.samples,
           v.verdict = 'fall', v.what, p.born
    FROM (SELECT DISTINCT ON (alert_id) alert_id, verdict, what, id FROM fall_verdict ORDER BY alert_id, id DESC) v
    JOIN alert a ON a.id = v.alert_id
    JOIN resident p ON p.id = a.resident_id
    CROSS JOIN LATERAL (
        SELECT max(measured_at) AS at FROM reading WHERE resident_id = a.resident_id AND metric = %(fall)s
          AND measured_at > a.happened_at - interval '75 minutes' AND measured_at <= a.happened_at + interval '1 second'
    ) newest
    JOIN reading r ON r.resident_id = a.resident_id AND r.metric = %(fall)s
     AND r.measured_at > newest.at - interval '10 seconds' AND r.measured_at <= newest.at
    JOIN recording rec ON """
    + _IN_IT
    + """
    WHERE v.verdict <> 'unclear' AND rec.started_at >= %(since)s
    ORDER BY v.id
    """
)


async def labelled(c: Connection, since: datetime) -> list[Labelled]:
    """Every recording since then of which staff have said whether it was a fall, each once, by its newest verdict."""
    cursor = await c.execute(_LABELLED, {"fall": _FALL, "since": since})
    found = [Labelled(recording(*row[:6]), *row[6:]) for row in await cursor.fetchall()]
    return list({(one.recording.device_id, one.recording.started_at): one for one in found}.values())


async def recorded(c: Connection, since: datetime) -> int:
    """How many recordings around falls are kept since then, with a verdict or without."""
    return int(await value(c, "SELECT count(*) FROM recording WHERE reason = 'fall' AND started_at >= %s", [since]))
