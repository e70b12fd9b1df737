"""Figures for ``/metrics``: counted as things happen, and asked of the record when somebody looks."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

from alerts import deployment
from store import feed, gateways, messages, readings, self_watch
from store.postgres import Database, Unavailable

router = APIRouter(include_in_schema=False)

REQUESTS: Final = Histogram(
    "hearthwatch_request_seconds",
    "Time to answer a request, by route.",
    ["method", "route", "status"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
READINGS: Final = Counter(
    "hearthwatch_readings_total",
    "Readings by what became of them: accepted, duplicate, quarantined, rejected.",
    ["outcome"],
)
UNUSABLE: Final = Counter(
    "hearthwatch_readings_unusable_total", "Quarantined and rejected readings by reason.", ["reason"]
)
REFUSED: Final = Counter(
    "hearthwatch_packets_refused_total", "Packets the gateways could not read, by reason.", ["reason"]
)
PAIRINGS: Final = Counter("hearthwatch_pairings_total", "Pairing codes presented.", ["outcome"])
SIGN_INS: Final = Counter(
    "hearthwatch_sign_ins_total", "Sign-ins by outcome: signed_in, wrong, throttled.", ["outcome"]
)
CRASHES: Final = Counter(
    "hearthwatch_task_crashes_total", "Times a background task ended unexpectedly and was started again.", ["task"]
)
STREAMS: Final = Gauge("hearthwatch_live_streams", "Pages that are listening now.")
_DATABASE_UP: Final = Gauge("hearthwatch_database_up", "1 when the record answers, else 0.")
_WATCH_LAG: Final = Gauge("hearthwatch_watch_lag_seconds", "Age of the oldest accepted batch the watch has not judged.")
_OLDEST_DUE: Final = Gauge(
    "hearthwatch_message_oldest_due_seconds", "How long the longest waiting message has been due."
)
_OLDEST_HIGH: Final = Gauge(
    "hearthwatch_message_oldest_undelivered_high_seconds",
    "How long the oldest call of high priority waits of which nobody knows that it was delivered, and which nobody took.",
)
_PROOF_AGE: Final = Gauge(
    "hearthwatch_chain_proof_age_seconds",
    "Since when no probe has come through from a reading to a delivered message; NaN where none are sent.",
)
_SILENT: Final = Gauge("hearthwatch_gateways_silent", "Paired gateways not heard of for two minutes.")
_OUTBOX: Final = Gauge("hearthwatch_gateways_outbox_waiting", "Readings waiting on all gateways, as they last said.")
_QUARANTINE: Final = Gauge("hearthwatch_quarantine_size", "Readings and packets in quarantine.")
_PROTOCOL_WAITS: Final = Gauge(
    "hearthwatch_protocol_needs_somebody",
    "1 while the protocol that came with this release waits for a decision, or the one in force cannot be read.",
)
_OLDEST_TRANSACTION: Final = Gauge(
    "hearthwatch_oldest_transaction_seconds",
    "Age of the oldest open writing transaction: while it lasts the watch must wait.",
)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """All figures in Prometheus' text format. They hold no personal data."""
    try:
        await _ask_the_record(request.app.state.database, request.app.state.clock())
        _DATABASE_UP.set(1)
    except Unavailable:
        _DATABASE_UP.set(0)
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


async def _ask_the_record(database: Database, now: datetime) -> None:
    async with database.service() as c:
        _WATCH_LAG.set(await feed.lag_s(c))
        due = await messages.oldest_due(c, now)
        _OLDEST_DUE.set(_age_s(due, now))
        chain = await self_watch.standing(c, now)
        _OLDEST_HIGH.set(_age_s(chain.oldest_high, now))
        _PROOF_AGE.set(float("nan") if chain.due_by is None else _age_s(chain.proved_at or chain.since, now))
        paired = [g for g in await gateways.gateways(c) if g.paired_at and not g.revoked_at]
        _QUARANTINE.set(await readings.quarantine_size(c))
        _OLDEST_TRANSACTION.set(await feed.oldest_transaction_s(c))
        _PROTOCOL_WAITS.set((await deployment.standing(c, now)).needs_somebody)
    _SILENT.set(sum(g.last_seen_at is None or g.last_seen_at < now - gateways.SILENT_AFTER for g in paired))
    _OUTBOX.set(sum(g.outbox_waiting or 0 for g in paired))


def _age_s(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max((now - since).total_seconds(), 0.0)
