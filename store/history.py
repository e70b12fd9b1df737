"""The record read back in bulk: the readings of many residents over months as they were received, and what came of alerts.

Readings come as one array of each column and resident, looked up by the readings' key: on one core about 0.7 million a
second, against 0.3 million row by row by COPY, and with no sorting on disk however long the record is. Every function
takes a connection of either role: the service's reads all, a reader's what she may see and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from store.columns import use_columns
from store.postgres import Connection, rows

UNRECORDED: Final = frozenset({"gateway_silence", "device_silence", "not_worn"})
"""Metrics that only the watch hears while they last: no resident's record holds them (:mod:`alerts.silence`)."""

_LATEST: Final = timedelta(days=60)
"""What was measured so long before a period is not looked for among what was received in it."""
_ASKED_AT_ONCE: Final = 64
_WHOLE: Final = 4_000_000
"""Readings held at once: about 0.3 GB while they are put in order."""


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """Readings in order of arrival: columns of shape ``(n,)``, times ``datetime64[us]`` in UTC, values in their unit."""

    resident: NDArray[np.int32]
    metric: NDArray[np.int16]
    at: NDArray[np.datetime64]
    received: NDArray[np.datetime64]
    value: NDArray[np.float64]
    quality: NDArray[np.int32]
    device: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.resident)

    def in_order(self) -> Received:
        """The same by when they were received; what came together by resident, moment and device, then as it lies here.

        So the readings of one measurement are never apart.
        """
        order = np.argsort(self.received, kind="stable")
        together = np.diff(self.received[order]).astype(np.int64) == 0
        keys = [getattr(self, name)[order] for name in ("device", "at", "resident")]
        backwards = np.zeros(len(together), np.bool_)
        for key in keys:
            backwards = (key[1:] < key[:-1]) | ((key[1:] == key[:-1]) & backwards)
        if (backwards & together).any():
            run = np.concatenate(([0], np.cumsum(~together)))
            mixed = np.flatnonzero(np.isin(run, run[1:][backwards & together]))
            order[mixed] = order[mixed][np.lexsort((*(key[mixed] for key in keys), run[mixed]))]
        return Received(*(getattr(self, name)[order] for name in self.__slots__))


# Residents one by one: each one's rows are found by the key, and the arrays of one are small.
_READINGS: Final[LiteralString] = """
SELECT asked.resident, q.* FROM unnest(%(residents)s::int[]) AS asked(resident) CROSS JOIN LATERAL (
    SELECT array_agg(metric) AS metric, array_agg(at), array_agg(received_at), array_agg(value), array_agg(quality),
           array_agg(device_id)
    FROM (SELECT metric, {} AS at, received_at, value, quality, device_id FROM {}
          WHERE resident_id = asked.resident AND metric = ANY(%(metrics)s) AND measured_at >= %(since)s - %(latest)s
            AND received_at >= %(since)s AND received_at < %(until)s) r
    WHERE at IS NOT NULL
) q WHERE q.metric IS NOT NULL
"""
_ALL_READINGS: Final = _READINGS.format("happened_at(measured_at, collected_at, quality)", "reading")
_READINGS_SEEN: Final = _READINGS.format("at", "resident_reading")


async def readings(
    c: Connection,
    residents: Sequence[int],
    metrics: Sequence[int],
    since: datetime,
    until: datetime,
    *,
    as_reader: bool = False,
) -> tuple[Received, int]:
    """What was received in ``since <= received < until`` and whose time is believed, of the first of these residents.

    Returns it with of how many: of all, unless it is more than one should hold at once.
    """
    found: list[tuple[Any, ...]] = []
    taken = held = 0
    async with c.cursor(binary=True) as cursor:
        use_columns(cursor)
        while taken < len(residents) and held < _WHOLE:
            asked = list(residents[taken : taken + _ASKED_AT_ONCE])
            span = {"residents": asked, "metrics": list(metrics), "since": since, "until": until, "latest": _LATEST}
            await cursor.execute(_READINGS_SEEN if as_reader else _ALL_READINGS, span)
            came = await cursor.fetchall()
            found += came
            held += sum(len(row[1]) for row in came)
            taken += len(asked)
    return _joined(found), taken


def _joined(found: list[tuple[Any, ...]]) -> Received:
    if not found:
        ints, times = np.zeros(0, np.int32), np.zeros(0, "datetime64[us]")
        return Received(ints, ints.astype(np.int16), times, times, np.zeros(0), ints, ints)
    resident = np.repeat(np.array([row[0] for row in found], np.int32), [len(row[1]) for row in found])
    return Received(resident, *(np.concatenate(column) for column in list(zip(*found, strict=True))[1:])).in_order()


@dataclass(frozen=True, slots=True)
class WatchedRow:
    """A resident who was watched over in a period, in whose time zone, and how she is called."""

    resident_id: int
    enrolled_at: datetime
    left_at: datetime | None
    time_zone: str
    name_zh: str
    name_en: str


async def watched(c: Connection, since: datetime, until: datetime, centre_id: int | None = None) -> list[WatchedRow]:
    """Everybody watched over at any time in a period, of one centre or of all, by number."""
    return await rows(
        c,
        WatchedRow,
        "SELECT r.id AS resident_id, r.enrolled_at, r.left_at, c.time_zone, p.name_zh, p.name_en "
        "FROM resident r JOIN centre c ON c.id = r.centre_id JOIN person p ON p.id = r.person_id "
        "WHERE r.enrolled_at < %(until)s AND (r.left_at IS NULL OR r.left_at > %(since)s) "
        "AND (%(centre)s::int IS NULL OR r.centre_id = %(centre)s) ORDER BY r.id",
        {"since": since, "until": until, "centre": centre_id},
    )


@dataclass(frozen=True, slots=True)
class PastAlert:
    """An alert and what came of it; ``verdict`` is the newest of a fall: ``fall``, ``no_fall``, ``unclear`` or ``None``."""

    resident_id: int
    rule: str
    kind: str
    happened_at: datetime
    raised_at: datetime
    resolved_at: datetime | None
    called: bool
    outcome: str | None
    verdict: str | None


async def alerts(c: Connection, residents: Sequence[int], since: datetime, until: datetime) -> list[PastAlert]:
    """Every alert of these residents that was raised in a period or open in it, by when it was raised."""
    return await rows(
        c,
        PastAlert,
        "SELECT a.resident_id, a.rule, a.kind, a.happened_at, a.raised_at, a.resolved_at, a.step > 0 AS called, a.outcome, "
        "(SELECT v.verdict FROM fall_verdict v WHERE v.alert_id = a.id ORDER BY v.id DESC LIMIT 1) AS verdict "
        "FROM alert a WHERE a.resident_id = ANY(%s) AND a.raised_at < %s "
        "AND (a.resolved_at IS NULL OR a.resolved_at >= %s) ORDER BY a.raised_at, a.id",
        [list(residents), until, since],
    )


@dataclass(frozen=True, slots=True)
class HospitalVisit:
    """When a resident went to hospital, why, and who has noted it."""

    resident_id: int
    went_at: datetime
    reason: str
    name_zh: str
    name_en: str

    def noted_by(self, language: str) -> str:
        """Who has noted it, as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


async def note_hospital_visit(
    c: Connection, resident_id: int, went_at: datetime, reason: str, person_id: UUID, now: datetime
) -> None:
    """Write down that a resident went to hospital."""
    await c.execute(
        "INSERT INTO hospital_visit (resident_id, went_at, reason, noted_by, noted_at) VALUES (%s, %s, %s, %s, %s)",
        [resident_id, went_at, reason, person_id, now],
    )


async def hospital_visits(
    c: Connection, residents: Sequence[int], since: datetime, until: datetime
) -> list[HospitalVisit]:
    """When these residents went to hospital in a period, in order."""
    return await rows(
        c,
        HospitalVisit,
        "SELECT v.resident_id, v.went_at, v.reason, p.name_zh, p.name_en FROM hospital_visit v "
        "JOIN person p ON p.id = v.noted_by WHERE v.resident_id = ANY(%s) AND v.went_at >= %s AND v.went_at < %s "
        "ORDER BY v.went_at, v.id",
        [list(residents), since, until],
    )
