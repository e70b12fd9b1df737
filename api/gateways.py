"""The gateways' door: who speaks, pairing by a code used once, and the heartbeat that answers with what to collect."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final, TypeVar

import msgspec
import structlog
from fastapi import APIRouter, Request, Response
from msgspec import Meta

from api.batches import Devices, Time, malformed
from api.metrics import PAIRINGS
from api.problems import Problem
from store import audit, gateways, people
from store.gateways import DeviceRef, Gateway
from store.postgres import Connection, Database

log = structlog.get_logger(__name__)
T = TypeVar("T")
router = APIRouter(prefix="/v1", tags=["gateways"])

REMEMBER_S: Final = 1.0
"""How long a key is believed without asking the record again: a revoked gateway is refused after that."""
CODE_LASTS: Final = timedelta(hours=24)
GUESSES: Final = 20
"""Wrong pairing codes from one address within :data:`api.sessions.GUESS_WINDOW` before it must wait."""
_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Crockford's base 32: no I, L, O or U to mistake when read out on the telephone."""


def new_code() -> str:
    """A pairing code such as ``7KQ2-M9XD``: 40 bits."""
    code = "".join(secrets.choice(_LETTERS) for _ in range(8))
    return f"{code[:4]}-{code[4:]}"


async def issue_code(c: Connection, centre_id: int, name: str, now: datetime) -> str:
    """Expect a gateway of this name and return the code it must show once, within :data:`CODE_LASTS`."""
    code = new_code()
    await gateways.issue_pairing_code(c, centre_id, name, code_hash(code), now + CODE_LASTS)
    await audit.record(c, "pairing_code_issued", gateway=name)
    return code


def code_hash(code: str) -> bytes:
    """What the record keeps of a code. Case, spaces and hyphens do not matter, nor O for 0, I and L for 1."""
    plain = "".join(c for c in code.upper() if c.isalnum()).translate(str.maketrans("OIL", "011"))
    return hashlib.sha256(b"hearthwatch pairing " + plain.encode()).digest()


def hash_token(key: str) -> bytes:
    """What the record keeps of a gateway's key."""
    return hashlib.sha256(key.encode()).digest()


@dataclass(frozen=True, slots=True)
class Known:
    """A gateway that has shown its key, and the devices it may speak for by address."""

    gateway: Gateway
    lookup: Devices

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


class DeviceHealth(msgspec.Struct):
    """How a device is, as its gateway sees it."""

    address: str
    rssi_dbm: float | None = None
    last_seen_at: Time | None = None
    clock_error_s: float | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    firmware: str | None = None
    trouble: str | None = None


class Heartbeat(msgspec.Struct):
    """How a gateway is. ``clock`` is its own time now."""

    version: str
    clock: Time
    outbox_waiting: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    quarantined: Annotated[int, Meta(ge=0, le=2**31 - 1)] = 0
    devices: Annotated[list[DeviceHealth], Meta(max_length=1_000)] = []


class Configured(msgspec.Struct):
    """A device to collect from."""

    address: str
    kind: str
    bindkey: str | None


class Configuration(msgspec.Struct):
    """What a gateway is to do. ``time_zone`` is the homes' IANA zone, ``now`` the service's time."""

    gateway: str
    time_zone: str
    now: datetime
    devices: list[Configured]


@router.post("/heartbeat", summary="Say that a gateway is well, and learn what to collect")
async def heartbeat(request: Request) -> Response:
    """The answer is the gateway's configuration: its home's time zone and the devices it is to collect from."""
    gatekeeper: Gatekeeper = request.app.state.gatekeeper
    known = await gatekeeper.admit(request, fresh=True)
    beat = _decode(_heartbeat, await request.body())
    now = datetime.now(UTC)
    database: Database = request.app.state.database
    async with database.service() as c:
        await gateways.note_heartbeat(
            c,
            known.gateway.id,
            now,
            {
                "version": _text(beat.version),
                "clock_error_s": (beat.clock - now).total_seconds(),
                "outbox_waiting": beat.outbox_waiting,
                "quarantined": beat.quarantined,
            },
        )
        health = sorted((d for d in beat.devices if d.address in known.devices), key=lambda d: d.address)
        await gateways.note_device_health(c, known.gateway.id, [_health(d, now) for d in health])
        zone = await gateways.time_zone(c, known.gateway.id)
    devices = [Configured(address, d.kind, d.bindkey) for address, d in known.devices.items()]
    return _json(Configuration(known.gateway.name, zone, now, devices))


def _health(device: DeviceHealth, now: datetime) -> dict[str, object]:
    seen = device.last_seen_at
    return {
        "address": device.address,
        "rssi_dbm": None if device.rssi_dbm is None else round(max(-32768.0, min(device.rssi_dbm, 32767.0))),
        "last_seen_at": None if seen is None else min(seen, now),
        "clock_error_s": device.clock_error_s,
        **{n: _text(getattr(device, n)) for n in ("manufacturer", "model", "serial", "firmware", "trouble")},
    }


def _text(text: str | None) -> str | None:
    """What a device says of itself, as a column can hold it: PostgreSQL's text has no NUL."""
    return None if text is None else text.replace("\0", "")[:200]


_pairing: Final = msgspec.json.Decoder(Pairing)
_heartbeat: Final = msgspec.json.Decoder(Heartbeat)


def _decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(body, error) from error


def _json(content: object) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
