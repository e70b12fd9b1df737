"""The gateways' door: who speaks, pairing by a code used once, and the heartbeat that answers with what to collect."""

from __future__ import annotations

import hashlib
import math
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
import structlog
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from api.batches import Devices, Time, malformed
from api.metrics import PAIRINGS
from api.problems import Problem
from store import audit, falls, gateways, people
from store.gateways import Beat, DeviceRef, Gateway, Place
from store.pairing import code_hash
from store.postgres import Connection, Database

log = structlog.get_logger(__name__)
T = TypeVar("T")
router = APIRouter(prefix="/v1", tags=["gateways"])

REMEMBER_S: Final = 1.0
"""How long a key is believed without asking the record again: a revoked gateway is refused after that."""
GUESSES: Final = 20
"""Wrong pairing codes from one address within :data:`api.sessions.GUESS_WINDOW` before it must wait."""


def hash_token(key: str) -> bytes:
    """What the record keeps of a gateway's key."""
    return hashlib.sha256(key.encode()).digest()


@dataclass(frozen=True, slots=True)
class Known:
    """A gateway that has shown its key, and the devices it may speak for by address."""

    gateway: Gateway
    lookup: Devices

    @property
    def here(self) -> Mapping[str, DeviceRef]:
        """Those it has now: what it is to collect from."""
        return {address: device for address, device in self.devices.items() if device.is_here}

    @property
    def devices(self) -> Mapping[str, DeviceRef]:
        return self.lookup.by_address


class Gatekeeper:
    """Knows the gateways by their keys. Keys are looked up by their hash, so timing tells nothing of a key."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, tuple[float, Known]] = {}

    async def admit(self, request: Request, *, fresh: bool = False) -> Known:
        """Who is speaking. Raises :class:`Problem` 401 without a known key and 403 when it was revoked."""
        key = _bearer(request)
        hashed = hash_token(key)
        at, known = self._known.get(hashed, (0.0, None))
        if known is None or fresh or time.monotonic() - at > REMEMBER_S:
            known = await self._look_up(request, hashed)
            self._known[hashed] = (time.monotonic(), known)
        return known

    async def _look_up(self, request: Request, hashed: bytes) -> Known:
        self._known.pop(hashed, None)
        async with self._database.service() as c:
            gateway = await gateways.by_key(c, hashed)
            if gateway is None:
                log.warning("unknown_gateway_key", address=address_of(request), path=request.url.path)
                raise _unauthorised("this key is not known; pair the gateway")
            if gateway.revoked_at is not None:
                log.warning("revoked_gateway", gateway=gateway.name, address=address_of(request))
                raise Problem(403, "gateway_revoked", f"the gateway {gateway.name!r} was revoked; pair it again")
            return Known(gateway, Devices(await gateways.devices_of(c, gateway.id)))


def _bearer(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise _unauthorised("a gateway must show its key: Authorization: Bearer <key>")
    return key.strip()


def _unauthorised(words: str) -> Problem:
    return Problem(401, "key_needed", words, headers={"WWW-Authenticate": "Bearer"})


def address_of(request: Request) -> str:
    """Where a request comes from, as far as the server knows."""
    return request.client.host if request.client else "unknown"


class Pairing(msgspec.Struct):
    """A code, as typed on the gateway."""

    code: Annotated[str, Meta(max_length=40)]


class Paired(msgspec.Struct):
    """The key a gateway shows from now on."""

    key: str
    gateway: str


@router.post("/pair", summary="Exchange a pairing code for a key")
async def pair(request: Request) -> Response:
    """``{"code": "7KQ2-M9XD"}`` gives ``{"key", "gateway"}``, once. 403 for a code that is wrong, used or expired."""
    sent = _decode(_pairing, await request.body())
    database: Database = request.app.state.database
    now, address = datetime.now(UTC), address_of(request)
    key = "hw_" + secrets.token_urlsafe(32)
    async with database.service() as c:
        await _slow_down(c, address, now)
        gateway = await gateways.redeem(c, code_hash(sent.code), hash_token(key), now)
        if gateway is None:
            await people.note_failed_sign_in(c, _PAIRING, address, now)
        else:
            await audit.record(c, "gateway_paired", gateway=gateway.name, address=address)
    PAIRINGS.labels("refused" if gateway is None else "paired").inc()
    if gateway is None:
        log.warning("pairing_refused", address=address)
        raise Problem(403, "bad_code", "this pairing code is wrong, was used already, or has expired")
    log.info("gateway_paired", gateway=gateway.name, address=address)
    return _json(Paired(key, gateway.name))


_PAIRING: Final = "(pairing)"


async def _slow_down(c: Connection, address: str, now: datetime) -> None:
    from api.sessions import GUESS_WINDOW

    _, wrong = await people.failed_sign_ins(c, _PAIRING, address, now - GUESS_WINDOW)
    if wrong >= GUESSES:
        wait = str(int(GUESS_WINDOW.total_seconds()))
        raise Problem(429, "too_many_guesses", "too many wrong codes; try again later", headers={"Retry-After": wait})


Share = Annotated[float, Meta(ge=0, le=100)]
Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]


class FallPoint(msgspec.Struct):
    """How careful a gateway is with a wearable's wearer: its operating point and the usual one (probabilities).

    Why: movements a day that look nearly like a fall, false alarms to expect in an hour, and the hours worn that it is
    learned from.
    """

    threshold: Annotated[float, Meta(ge=0, le=1)]
    usual: Annotated[float, Meta(ge=0, le=1)]
    near_per_day: Annotated[float, Meta(ge=0, le=1e6)]
    false_per_h: Annotated[float, Meta(ge=0, le=1e6)]
    worn_h: Annotated[float, Meta(ge=0, le=1e6)]


class DeviceHealth(msgspec.Struct):
    """How a device is, as its gateway sees it."""

    address: str
    rssi_dbm: float | None = None
    last_seen_at: Time | None = None
    last_reading_at: Time | None = None
    battery_pct: Share | None = None
    clock_error_s: float | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    trouble: str | None = None
    falls: FallPoint | None = None


class AnnouncedKind(msgspec.Struct):
    """A kind of device that a gateway can collect from, and what people call it."""

    kind: Annotated[str, Meta(pattern="^[a-z][a-z_]{0,39}$")]
    title_en: Annotated[str, Meta(max_length=80)]
    title_zh: Annotated[str, Meta(max_length=80)]
    needs_key: bool = False


class Machine(msgspec.Struct):
    """How the gateway's own machine is; ``None`` where it cannot tell."""

    disk_free_mb: int | None = None
    temperature_c: float | None = None
    memory_mb: float | None = None
    clock_synchronised: bool | None = None
    uptime_s: int | None = None
    scanning: Literal["active", "passive", "off"] | None = None
    uplink: Literal["main", "fallback"] | None = None
    recordings_waiting: Count = 0
    recordings_dropped: Count = 0


class FoundDevice(msgspec.Struct):
    """A device that no home has yet, heard while the gateway looks for new ones. ``kinds`` are guesses."""

    address: str
    name: str | None = None
    rssi_dbm: float | None = None
    kinds: Annotated[list[str], Meta(max_length=40)] = []
    services: Annotated[list[str], Meta(max_length=40)] = []
    connectable: bool = True
    last_seen_at: Time | None = None


class Heartbeat(msgspec.Struct):
    """How a gateway is. ``clock`` is its own time now; ``found`` is told only while it looks for new devices."""

    version: str
    clock: Time
    outbox_waiting: Count = 0
    quarantined: Count = 0
    kinds: Annotated[list[AnnouncedKind], Meta(max_length=100)] | None = None
    machine: Machine | None = None
    troubles: Annotated[list[str], Meta(max_length=100)] = []
    devices: Annotated[list[DeviceHealth], Meta(max_length=1_000)] = []
    found: Annotated[list[FoundDevice], Meta(max_length=1_000)] | None = None


class Configured(msgspec.Struct):
    """A device to collect from. ``habits``: where this type of device leaves the standard.

    ``home`` is the same number for all devices of one resident, so that a gateway of several homes keeps them apart.
    """

    address: str
    kind: str
    bindkey: str | None
    habits: dict[str, Any] = {}
    home: int | None = None


class Emergency(msgspec.Struct):
    """Whom to name aloud to a resident in need while the service cannot be reached (``None``: nobody is known), and in
    which language."""

    phone: str | None
    language: str


class Answered(msgspec.Struct):
    """Who lives in this ``home`` has said that she is well, or staff have seen to her: of the fall told as of ``fell_at``."""

    home: int
    fell_at: datetime


class Configuration(msgspec.Struct):
    """What a gateway is to do. ``time_zone`` is the homes' IANA zone, ``now`` the service's time.

    Until ``look_until`` it looks for new devices; it beats every ``beat_s`` seconds. ``answered`` are the falls that were
    answered lately, so that it asks no more.
    """

    gateway: str
    time_zone: str
    now: datetime
    devices: list[Configured]
    look_until: datetime | None
    beat_s: int
    emergency: Emergency
    answered: list[Answered]


BEAT_S: Final = 30
LOOKING_BEAT_S: Final = 3
"""While somebody stands in the flat and waits for a device to be found."""
_ANSWERED_WITHIN: Final = timedelta(hours=2)
"""For so long a gateway is told of an answer: the last long lie is told an hour after a fall."""
_MOST_FOUND: Final = 100
_ADDRESS: Final = re.compile("([0-9A-F]{2}:){5}[0-9A-F]{2}")


@router.post("/heartbeat", summary="Say that a gateway is well, and learn what to collect")
async def heartbeat(request: Request) -> Response:
    """The answer is the gateway's configuration: its home's time zone and the devices it is to collect from."""
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    known = await gatekeeper.admit(request, fresh=True)
    beat = _decode(_heartbeat, await request.body())
    now = request.app.state.clock()
    database: Database = request.app.state.database
    looking = known.gateway.look_until is not None and now < known.gateway.look_until
    health = sorted((d for d in beat.devices if d.address in known.here), key=lambda d: d.address)
    async with database.service() as c:
        await gateways.note_heartbeat(c, known.gateway.id, now, _beat(beat, now, looking=looking))
        await gateways.note_device_health(c, known.gateway.id, now, [_health(d, now) for d in health])
        place = await gateways.place(c, known.gateway.id)
        answered = await falls.answered(c, [d.resident_id for d in known.here.values()], now - _ANSWERED_WITHIN)
    return _json(_configuration(known, place, answered, now, looking=looking))


def _configuration(
    known: Known, place: Place, answered: Mapping[int, datetime], now: datetime, *, looking: bool
) -> Configuration:
    return Configuration(
        gateway=known.gateway.name,
        time_zone=place.time_zone,
        now=now,
        devices=[Configured(a, d.kind, d.bindkey, dict(d.habits), d.resident_id) for a, d in known.here.items()],
        look_until=known.gateway.look_until if looking else None,
        beat_s=LOOKING_BEAT_S if looking else BEAT_S,
        emergency=Emergency(place.phone or None, place.language),
        answered=[Answered(home, fell_at) for home, fell_at in answered.items()],
    )


def _beat(beat: Heartbeat, now: datetime, *, looking: bool) -> Beat:
    return Beat(
        version=_text(beat.version),
        clock_error_s=(beat.clock - now).total_seconds(),
        outbox_waiting=beat.outbox_waiting,
        quarantined=beat.quarantined,
        troubles=[_clean(sentence) for sentence in beat.troubles],
        machine=None if beat.machine is None else msgspec.to_builtins(beat.machine),
        kinds=None if beat.kinds is None else [_kind(kind) for kind in beat.kinds],
        found=_found(beat.found, now) if looking and beat.found is not None else None,
    )


def _kind(kind: AnnouncedKind) -> dict[str, Any]:
    return {
        "kind": kind.kind,
        "title_en": _clean(kind.title_en),
        "title_zh": _clean(kind.title_zh),
        "needs_key": kind.needs_key,
    }


def _found(found: list[FoundDevice], now: datetime) -> list[dict[str, Any]]:
    """The loudest; what has no Bluetooth address cannot be given to anybody."""
    heard = [d for d in found if _ADDRESS.fullmatch(d.address)]
    heard.sort(key=lambda d: math.inf if d.rssi_dbm is None else -d.rssi_dbm)
    return [
        {
            "address": d.address,
            "name": _text(d.name),
            "rssi_dbm": _dbm(d.rssi_dbm),
            "kinds": [_clean(kind) for kind in d.kinds],
            "services": [_clean(service) for service in d.services],
            "connectable": d.connectable,
            "last_seen_at": min(d.last_seen_at or now, now).isoformat(),
        }
        for d in heard[:_MOST_FOUND]
    ]


def _health(device: DeviceHealth, now: datetime) -> dict[str, object]:
    seen, read = device.last_seen_at, device.last_reading_at
    return {
        "address": device.address,
        "rssi_dbm": _dbm(device.rssi_dbm),
        "last_seen_at": None if seen is None else min(seen, now),
        "last_reading_at": None if read is None else min(read, now),
        "battery_pct": None if device.battery_pct is None else round(device.battery_pct),
        "clock_error_s": device.clock_error_s,
        "falls": None if device.falls is None else msgspec.structs.asdict(device.falls),
        **{n: _text(getattr(device, n)) for n in ("manufacturer", "model", "serial", "firmware", "trouble")},
    }


def _dbm(rssi: float | None) -> int | None:
    """As a small whole number, whatever was sent."""
    return None if rssi is None else round(max(-200.0, min(rssi, 100.0)))


def _text(text: str | None) -> str | None:
    return None if text is None else _clean(text)


def _clean(text: str) -> str:
    """What a device says of itself, as a page can show it: a stranger's name may hold what turns the words around it."""
    return "".join(c for c in text if c.isprintable())[:200]


_pairing: Final = msgspec.json.Decoder(Pairing)
_heartbeat: Final = msgspec.json.Decoder(Heartbeat)


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(body, error) from error


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
