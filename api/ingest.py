"""Readings come in: one body, one transaction, an exact count of what became of every one."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np
import structlog
from fastapi import APIRouter, Request, Response
from numpy.typing import NDArray

from api import batches, metrics
from api.batches import Columns, Received, Rejection, WireRefused
from api.gateways import Gatekeeper, Known
from api.plausibility import REASONS, Inflations, judge_clocks, unusable
from api.problems import Problem
from devices.readings import METRICS, METRICS_BY_CODE, Quality
from store import gateways, readings
from store.postgres import Connection, Database
from store.readings import AlreadyThere, Incoming, Quarantined

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/v1", tags=["readings"])

_CONTRADICTED: Final = "same_time_other_value"
_BATTERY: Final = METRICS["battery"].code


class Outcome(msgspec.Struct, omit_defaults=True):
    """What became of a batch: ``accepted + duplicate + quarantined + len(rejected)`` is what was sent."""

    accepted: int
    duplicate: int
    quarantined: int
    rejected: list[Rejection]
    rejected_refusals: list[Rejection] = []


@router.post("/readings", summary="Hand over readings", max_body_size=sys.maxsize)
async def post_readings(request: Request) -> Response:
    """Store ``readings`` (and note ``refused`` packets) and say what became of each; what is answered is durable."""
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    known = await gatekeeper.admit(request)
    received = batches.decode(await _body(request))
    if _names_a_stranger(received, known):
        # A rejected reading leaves the gateway's queue: a device is not called unknown by a remembered list.
        known = await gatekeeper.admit(request, fresh=True)
    outcome = await accept(request.app.state.database, known, received, request.app.state.clock())
    return Response(msgspec.json.encode(outcome), media_type="application/json")


async def _body(request: Request) -> bytes:
    """The body, read no further than a batch may be long."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > batches.MOST_BYTES:
            raise Problem(413, "too_large", f"a batch has at most {batches.MOST_BYTES} bytes; send it in parts")
    return bytes(body)


def _names_a_stranger(received: Received, known: Known) -> bool:
    knows = known.devices.__contains__
    return not all(knows(item.device) for items in (received.readings, received.refused) for item in items)


async def accept(database: Database, known: Known, received: Received, now: datetime) -> Outcome:
    """Judge and store a batch as of ``now``. Raises :class:`Problem` 403 when no device in it is the gateway's."""
    columns, rejected = batches.columns(received, known.lookup)
    rejected = sorted([*received.rejected, *rejected], key=lambda r: r.index)
    refused = [r for r in received.refused if r.device in known.devices]
    _require_a_known_device(known, received, rejected, columns, refused)
    judge_clocks(columns, now)
    try:
        async with database.service() as c:
            reason = await _judge(c, columns)
            stored = await _store(c, known, received, columns, reason, refused, now, all_new=True)
    except AlreadyThere:
        async with database.service() as c:
            reason = await _judge(c, columns)
            stored = await _store(c, known, received, columns, reason, refused, now)
    outcome = Outcome(
        stored.accepted,
        stored.duplicate,
        stored.quarantined,
        rejected,
        sorted([*received.rejected_refusals, *_unknown_refusals(received, known)], key=lambda r: r.index),
    )
    _count(known, outcome, reason, refused)
    return outcome


def _require_a_known_device(
    known: Known, received: Received, rejected: Sequence[Rejection], columns: Columns, refused: Sequence[WireRefused]
) -> None:
    strangers = sum(r.reason == "unknown_device" for r in rejected)
    named = strangers or len(received.refused)
    others = len(columns) + len(refused) + sum(r.reason not in ("unknown_device", "malformed") for r in rejected)
    if named and not others:
        log.warning("unknown_devices", gateway=known.gateway.name, readings=strangers, refused=len(received.refused))
        raise Problem(
            403,
            "unknown_devices",
            f"none of these devices belongs to the gateway {known.gateway.name!r}; nothing was stored",
            rejected=list(rejected),
        )


def _unknown_refusals(received: Received, known: Known) -> list[Rejection]:
    words = "this device is not one of this gateway's"
    return [
        Rejection(place, "unknown_device", words, "device")
        for place, r in zip(received.refused_places, received.refused, strict=True)
        if r.device not in known.devices
    ]


@dataclass(frozen=True, slots=True)
class _Stored:
    accepted: int = 0
    duplicate: int = 0
    quarantined: int = 0


async def _judge(c: Connection, columns: Columns) -> NDArray[np.int8]:
    """Why each reading is not usable. A batch may end in the middle of a measurement: then the record has its other half."""
    inflations = Inflations(columns)
    alone = inflations.without_partner()
    if not len(alone):
        return unusable(columns, inflations)
    halves = columns.where(alone)
    stored = await readings.pressures_at(c, halves.resident_id, halves.device_id, halves.measured_at)
    if not stored:
        return unusable(columns, inflations)
    row, metric, value = (np.array(column) for column in zip(*stored, strict=True))
    beside = halves.where(row)
    beside.metric[:], beside.value[:] = metric, value
    # What came with the batch stands behind, where it counts if the record has the same.
    both = beside.with_more(columns)
    return unusable(both, Inflations(both))[len(beside) :]


async def _store(
    c: Connection,
    known: Known,
    received: Received,
    columns: Columns,
    reason: NDArray[np.int8],
    refused: Sequence[WireRefused],
    now: datetime,
    *,
    all_new: bool = False,
) -> _Stored:
    good = columns if not reason.any() else columns.where(reason == 0)
    bad = np.flatnonzero(reason)
    gateway = known.gateway.id
    accepted = duplicate = quarantined = 0
    if len(good):
        incoming = _incoming(gateway, now, received, good)
        if all_new:
            await readings.insert_new(c, incoming)
            accepted = len(good)
        else:
            inserted = await readings.insert(c, incoming)
            accepted, duplicate = inserted.accepted, inserted.duplicate
            if duplicate:
                quarantined = await _keep_contradicted(c, gateway, received, good, incoming)
                duplicate -= quarantined
        await _note_batteries(c, good, now)
    if len(bad):
        items = [_quarantined(gateway, received, columns, row, REASONS[reason[row]]) for row in bad.tolist()]
        added = await readings.quarantine(c, items)
        quarantined += added
        duplicate += len(items) - added
    if refused:
        await readings.quarantine(c, [_refusal(known, r) for r in refused])
    return _Stored(accepted, duplicate, quarantined)


async def _keep_contradicted(
    c: Connection, gateway_id: int, received: Received, good: Columns, incoming: Incoming
) -> int:
    """What has the key of a stored reading but another value is no repetition: it is kept aside, not dropped."""
    rows = await readings.contradicted(c, incoming)
    return await readings.quarantine(c, [_quarantined(gateway_id, received, good, row, _CONTRADICTED) for row in rows])


def _incoming(gateway_id: int, now: datetime, received: Received, good: Columns) -> Incoming:
    return Incoming(
        gateway_id,
        now,
        good.resident_id,
        good.metric,
        good.device_id,
        good.measured_at,
        good.collected_at,
        good.value,
        good.quality,
        good.user_slot,
        _details(received, good),
    )


def _details(received: Received, good: Columns) -> dict[int, dict[str, float]]:
    if not any(r.detail for r in received.readings):
        return {}
    told = {int(place): r.detail for place, r in zip(received.places, received.readings, strict=True) if r.detail}
    return {row: told[place] for row, place in enumerate(good.place.tolist()) if place in told}


async def _note_batteries(c: Connection, good: Columns, now: datetime) -> None:
    rows = np.flatnonzero(good.metric == _BATTERY)
    if not len(rows):
        return
    rows = rows[np.argsort(good.measured_at[rows], kind="stable")]
    levels: dict[int, tuple[int, datetime]] = {}
    for row in rows.tolist():
        suspect = int(good.quality[row]) & Quality.CLOCK_SUSPECT
        at = now if suspect else readings.utc(good.measured_at[row])
        levels[int(good.device_id[row])] = (round(float(good.value[row])), at)
    # In order of their numbers, so that two batches never wait for each other.
    await gateways.note_batteries(c, dict(sorted(levels.items())))


def _quarantined(gateway_id: int, received: Received, columns: Columns, row: int, reason: str) -> Quarantined:
    sent = received.readings[int(np.searchsorted(received.places, columns.place[row]))]
    return Quarantined(
        sent.device,
        METRICS_BY_CODE[int(columns.metric[row])].name,
        sent.value,
        readings.utc(columns.measured_at[row]),
        readings.utc(columns.collected_at[row]),
        reason,
        gateway_id,
        int(columns.resident_id[row]),
        msgspec.to_builtins(sent),
    )


def _refusal(known: Known, packet: WireRefused) -> Quarantined:
    characteristic, reason = _clean(packet.characteristic), _clean(packet.reason)
    return Quarantined(
        packet.device,
        characteristic,
        None,
        packet.at,
        packet.at,
        f"gateway_refused:{reason}",
        known.gateway.id,
        known.devices[packet.device].resident_id,
        {"characteristic": characteristic, "hex": packet.raw, "reason": reason},
    )


def _clean(text: str) -> str:
    """As a column can hold it: PostgreSQL's text has no NUL."""
    return text.replace("\0", "")[:200]


def _count(known: Known, outcome: Outcome, reason: NDArray[np.int8], refused: Sequence[WireRefused]) -> None:
    for name in ("accepted", "duplicate", "quarantined"):
        metrics.READINGS.labels(name).inc(getattr(outcome, name))
    metrics.READINGS.labels("rejected").inc(len(outcome.rejected))
    why = Counter[str](REASONS[r] for r in reason[reason != 0].tolist())
    why.update(r.reason for r in outcome.rejected)
    for name, times in why.items():
        metrics.UNUSABLE.labels(name).inc(times)
    for packet in refused:
        metrics.REFUSED.labels(packet.reason if packet.reason.isidentifier() else "other").inc()
    if why or refused or outcome.rejected_refusals:
        log.warning(
            "not_usable",
            gateway=known.gateway.name,
            reasons=dict(why),
            packets=len(refused),
            rejected=[_short(r) for r in outcome.rejected[:5]],
        )


def _short(rejection: Rejection) -> dict[str, Any]:
    return {"index": rejection.index, "field": rejection.field, "reason": rejection.reason}
