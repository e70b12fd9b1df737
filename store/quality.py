"""Figures of alarm quality, counted over many residents at once; and of one alert how often it has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, LiteralString

from store.postgres import Connection, one, rows


@dataclass(frozen=True, slots=True)
class Episodes:
    """How often the condition of one alert has come since ``since``; ``chatters``: three times or more within half an hour."""

    alert_id: int
    times: int
    since: datetime
    chatters: bool


@dataclass(frozen=True, slots=True)
class Line:
    """What was raised in some days of one rule, of one priority, or of all (those fields are ``None``).

    ``raised`` and ``called``: alerts, and those about which a person was sent a message. Of these ``taken`` by somebody,
    who needed ``median_s`` and in nine cases of ten ``ninety_s`` seconds from the first call. ``closed`` by a person,
    who found it ``worth_it``, ``all_well`` or a ``false_alarm``; or wrote something else. ``chattering`` as in
    :class:`Episodes`; ``stale`` stood for more than 24 hours.
    """

    rule: str | None
    kind: str | None
    priority: str | None
    raised: int
    called: int
    taken: int
    median_s: float | None
    ninety_s: float | None
    closed: int
    worth_it: int
    all_well: int
    false_alarm: int
    chattering: int
    stale: int


@dataclass(frozen=True, slots=True)
class Often:
    """A resident with many alerts: how many were ``raised``, and in how many of them people were ``called``."""

    resident_id: int
    raised: int
    called: int


@dataclass(frozen=True, slots=True)
class Exposure:
    """For how many days residents were watched over, all together, how many they are, and how many messages staff were
    sent about them."""

    residents: int
    resident_days: float
    messages: int


# The residents a figure is about: of one centre; else all where the service asks, and those in her own care of a reader.
_WHOSE: Final[LiteralString] = """
    whose AS MATERIALIZED (
        SELECT id, greatest(enrolled_at, %(since)s) AS begins, least(left_at, %(until)s) AS ends FROM resident
        WHERE id IS DISTINCT FROM (SELECT probe_resident_id()) AND CASE WHEN %(centre)s::int IS NOT NULL
            THEN centre_id = %(centre)s
            ELSE current_user = 'hearthwatch_service' OR id = ANY (ARRAY(SELECT residents_in_care())) END
    )
"""
_CHATTERS: Final[LiteralString] = """
    SELECT alert_id FROM (
        SELECT alert_id, at - lag(at, %(raises)s - 1) OVER (PARTITION BY alert_id ORDER BY at) AS span FROM raise
    ) spans WHERE span <= %(within)s GROUP BY alert_id
"""


async def lines(
    c: Connection,
    since: datetime,
    until: datetime,
    *,
    centre: int | None,
    chatter: tuple[int, timedelta],
    stale: timedelta,
    worth_it: Sequence[str],
) -> list[Line]:
    """Of all, of each priority and of each rule, the most frequent first. ``centre``: its residents; ``None``: those in the
    reader's care, everybody where the service asks.

    ``chatter``: so many raises within so long; ``worth_it``: the codes of outcomes that say so.
    """
    return await rows(
        c,
        Line,
        "WITH "
        + _WHOSE
        + """,
        told AS MATERIALIZED (
            SELECT a.id, a.rule, a.kind, a.priority, a.raised_at, a.resolved_by IS NOT NULL AS closed,
                   split_part(a.outcome, ': ', 1) AS outcome, coalesce(a.resolved_at, %(until)s) - a.raised_at > %(stale)s AS stale
            FROM alert a JOIN whose ON whose.id = a.resident_id WHERE a.raised_at >= %(since)s AND a.raised_at < %(until)s
        ),
        call AS MATERIALIZED (
            SELECT alert_id, min(created_at) AS at FROM message
            WHERE purpose = 'alert' AND created_at >= %(since)s AND created_at < %(until)s GROUP BY alert_id
        ),
        taking AS MATERIALIZED (
            SELECT alert_id, min(at) AS at FROM alert_event
            WHERE kind = 'acknowledged' AND at >= %(since)s AND at < %(until)s GROUP BY alert_id
        ),
        again AS MATERIALIZED (
            SELECT alert_id, at FROM alert_event WHERE kind = 'raised_again' AND at >= %(since)s AND at < %(until)s
        ),
        raise AS (
            SELECT alert_id, at FROM again
            UNION ALL SELECT id, raised_at FROM told WHERE id IN (SELECT alert_id FROM again)
        ),
        chatter AS ("""
        + _CHATTERS
        + """),
        known AS (
            SELECT told.rule, told.kind, told.priority, told.closed, told.outcome, told.stale, call.at IS NOT NULL AS called, extract(epoch FROM taking.at - call.at) AS took_s,
                   chatter.alert_id IS NOT NULL AS chatters
            FROM told LEFT JOIN call ON call.alert_id = told.id LEFT JOIN taking ON taking.alert_id = told.id
            LEFT JOIN chatter ON chatter.alert_id = told.id
        )
        SELECT rule, kind, priority, count(*) AS raised, count(*) FILTER (WHERE called) AS called,
               count(took_s) AS taken,
               percentile_cont(0.5) WITHIN GROUP (ORDER BY took_s)::float8 AS median_s,
               percentile_cont(0.9) WITHIN GROUP (ORDER BY took_s)::float8 AS ninety_s,
               count(*) FILTER (WHERE closed) AS closed,
               count(*) FILTER (WHERE closed AND outcome = ANY(%(worth_it)s)) AS worth_it,
               count(*) FILTER (WHERE closed AND outcome = 'well') AS all_well,
               count(*) FILTER (WHERE closed AND outcome = 'false_alarm') AS false_alarm,
               count(*) FILTER (WHERE chatters) AS chattering, count(*) FILTER (WHERE stale) AS stale
        FROM known GROUP BY GROUPING SETS ((), (priority), (rule, kind, priority)) ORDER BY raised DESC, rule
        """,
        {
            "since": since,
            "until": until,
            "centre": centre,
            "raises": chatter[0],
            "within": chatter[1],
            "stale": stale,
            "worth_it": list(worth_it),
        },
    )


async def most_often(
    c: Connection, since: datetime, until: datetime, *, centre: int | None, kinds: Sequence[str], limit: int
) -> list[Often]:
    """The residents with most alerts of these kinds; whose as in :func:`lines`."""
    return await rows(
        c,
        Often,
        "WITH "
        + _WHOSE
        + """
        SELECT a.resident_id, count(*) AS raised, count(*) FILTER (WHERE a.step > 0) AS called
        FROM alert a JOIN whose ON whose.id = a.resident_id
        WHERE a.raised_at >= %(since)s AND a.raised_at < %(until)s AND a.kind = ANY(%(kinds)s)
        GROUP BY a.resident_id ORDER BY raised DESC, called DESC, a.resident_id LIMIT %(limit)s
        """,
        {"since": since, "until": until, "centre": centre, "kinds": list(kinds), "limit": limit},
    )


async def exposure(c: Connection, since: datetime, until: datetime, *, centre: int | None) -> Exposure:
    """How much was watched, and how many messages staff were sent; whose as in :func:`lines`."""
    found = await one(
        c,
        Exposure,
        "WITH "
        + _WHOSE
        + """,
        sent AS MATERIALIZED (
            SELECT resident_id FROM message WHERE created_at >= %(since)s AND created_at < %(until)s
            AND state IN ('sending', 'uncertain', 'sent', 'delivered')
        )
        SELECT count(*) AS residents, coalesce(sum(extract(epoch FROM ends - begins) / 86400), 0)::float8 AS resident_days,
            (SELECT count(*) FROM sent JOIN whose ON whose.id = sent.resident_id) AS messages
        FROM whose WHERE ends > begins
        """,
        {"since": since, "until": until, "centre": centre},
    )
    assert found is not None, "a count is always one row"
    return found


async def episodes(c: Connection, alert_ids: Sequence[int], *, chatter: tuple[int, timedelta]) -> dict[int, Episodes]:
    """How often the condition of each of these alerts has come; ``chatter`` as in :func:`lines`."""
    found = await rows(
        c,
        Episodes,
        """
        WITH raise AS MATERIALIZED (
            SELECT alert_id, at FROM alert_event WHERE alert_id = ANY(%(alerts)s) AND kind IN ('raised', 'raised_again')
        ),
        chatter AS ("""
        + _CHATTERS
        + """)
        SELECT alert_id, count(*) AS times, min(at) AS since, alert_id IN (SELECT alert_id FROM chatter) AS chatters
        FROM raise GROUP BY alert_id
        """,
        {"alerts": list(alert_ids), "raises": chatter[0], "within": chatter[1]},
    )
    return {row.alert_id: row for row in found}
