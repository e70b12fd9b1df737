"""Raw acceleration comes in: one stretch around an event in one body, stored once."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import structlog
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from api.batches import Time, malformed
from api.gateways import Gatekeeper, Known
from api.problems import Problem
from devices.recording import HIGHEST_RATE_HZ, MOST_SAMPLES, RecordingError, unpack
from store import recordings
from store.gateways import DeviceRef
from store.postgres import Database

log = structlog.get_logger(__name__)
router = APIRouter(prefix="/v1", tags=["recordings"])

_MOST_PACKED: Final = MOST_SAMPLES * 6 + 1024  # what cannot be deflated grows by a few bytes
MOST_BYTES: Final = _MOST_PACKED * 4 // 3 + 4096
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9998, 1, 1, tzinfo=UTC)
"""Beyond these a moment cannot be told in every place that must show it."""


class WireRecording(msgspec.Struct):
    """One stretch of acceleration: ``samples`` are as :func:`devices.recording.pack` makes them, in base 64."""

    device: str
    started_at: Time
    rate_hz: Annotated[float, Meta(gt=0, le=HIGHEST_RATE_HZ)]
    reason: Annotated[str, Meta(pattern="^[a-z][a-z_]{0,39}$")]
    samples: Annotated[bytes, Meta(max_length=_MOST_PACKED)]


class Recorded(msgspec.Struct):
    """Whether it was stored now; if not, one of this device and moment is there already."""

    stored: bool


_decoder: Final = msgspec.json.Decoder(WireRecording)


@router.post("/recordings", summary="Hand over raw acceleration around an event", max_body_size=sys.maxsize)
async def post_recording(request: Request) -> Response:
    """Store one recording; what is answered is durable. 403 ``unknown_devices`` when its device is not the gateway's."""
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    await gatekeeper.admit(request)
    body = await _body(request)
    try:
        sent = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(body, error) from error
    if not _EARLIEST <= sent.started_at < _LATEST:
        raise Problem(400, "malformed", "this date lies outside the years 1900 to 9997", field="started_at")
    # A gateway lets go of what is refused: a device is not called unknown by a remembered list.
    known = await gatekeeper.admit(request, fresh=True)
    recording = _recording(known, sent)
    database: Database = request.app.state.database
    async with database.service() as c:
        stored = await recordings.insert(c, known.gateway.id, datetime.now(UTC), recording)
    if stored:
        log.info("recording_stored", gateway=known.gateway.name, reason=sent.reason, samples=len(recording.samples))
    return Response(msgspec.json.encode(Recorded(stored)), media_type="application/json")


async def _body(request: Request) -> bytes:
    """The body, read no further than a recording may be long."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            raise Problem(413, "too_large", f"a recording has at most {MOST_BYTES} bytes")
    return bytes(body)


def _recording(known: Known, sent: WireRecording) -> recordings.Recording:
    device = known.devices.get(sent.device)
    if device is None:
        raise Problem(403, "unknown_devices", _not_its(known, sent), field="device")
    try:
        samples = unpack(sent.samples)
    except RecordingError as error:
        raise Problem(400, "malformed", str(error), field="samples") from error
    resident = _wearer(device, sent.started_at)
    if resident is None:
        raise Problem(403, "unknown_devices", _not_its(known, sent), field="device")
    return recordings.Recording(device.id, resident, sent.started_at, sent.rate_hz, sent.reason, samples)


def _wearer(device: DeviceRef, at: datetime) -> int | None:
    """Whose it was at that moment, behind this gateway."""
    then = [past.resident_id for past in device.past if at < past.until]
    return then[-1] if then else device.resident_id if device.is_here else None


def _not_its(known: Known, sent: WireRecording) -> str:
    return f"the device {sent.device[:40]!r} is not one of the gateway {known.gateway.name!r}; nothing was stored"
