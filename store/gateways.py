"""Gateways, their keys, and the devices behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, LiteralString

from store.postgres import Connection, one, rows, value

_GATEWAY: Final[LiteralString] = (
    "id, centre_id, name, paired_at, revoked_at, last_seen_at, clock_error_s, outbox_waiting, quarantined, version"
)
_DEVICE: Final[LiteralString] = (
    "id, address, resident_id, kind, manufacturer, model, serial, firmware, battery_pct, battery_at, rssi_dbm, "
    "clock_error_s, last_seen_at, trouble"
)


@dataclass(frozen=True, slots=True)
class Gateway:
    """A small computer in a home or stairway."""

    id: int
    centre_id: int
    name: str
    paired_at: datetime | None
    revoked_at: datetime | None
    last_seen_at: datetime | None
    clock_error_s: float | None
    outbox_waiting: int | None
    quarantined: int | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Device:
    """An instrument in a resident's home, with what its gateway last said about it."""

    id: int
    address: str
    resident_id: int
    kind: str
    manufacturer: str | None
    model: str | None
    serial: str | None
    firmware: str | None
    battery_pct: int | None
    battery_at: datetime | None
    rssi_dbm: int | None
    clock_error_s: float | None
    last_seen_at: datetime | None
    trouble: str | None


@dataclass(frozen=True, slots=True)
class DeviceRef:
    """What ingest and the gateway itself need to know of a device. ``bindkey`` is 32 hexadecimal digits."""

    id: int
    resident_id: int
    kind: str
    bindkey: str | None


async def issue_pairing_code(c: Connection, centre_id: int, name: str, code_hash: bytes, expires_at: datetime) -> None:
    """Expect a gateway of this name to present a one-time code; a known name gets a new code and keeps its key till then.

    The key of a revoked gateway is forgotten: whoever holds it does not come in again with the new one's permission.
    """
    await c.execute(
        "INSERT INTO gateway (centre_id, name, pairing_hash, pairing_expires) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (name) DO UPDATE SET pairing_hash = excluded.pairing_hash, pairing_expires = excluded.pairing_expires, "
        "key_hash = CASE WHEN gateway.revoked_at IS NULL THEN gateway.key_hash END, revoked_at = NULL",
        [centre_id, name, code_hash, expires_at],
    )


async def redeem(c: Connection, code_hash: bytes, key_hash: bytes, now: datetime) -> Gateway | None:
    """Exchange a one-time code for a key, once and before it expires; ``None`` when the code is not good."""
    return await one(
        c,
        Gateway,
        "UPDATE gateway SET key_hash = %s, pairing_hash = NULL, pairing_expires = NULL, paired_at = %s "
        "WHERE pairing_hash = %s AND pairing_expires > %s AND revoked_at IS NULL RETURNING " + _GATEWAY,
        [key_hash, now, code_hash, now],
    )


async def by_key(c: Connection, key_hash: bytes) -> Gateway | None:
    """The gateway that holds this key, revoked or not."""
    return await one(c, Gateway, "SELECT " + _GATEWAY + " FROM gateway WHERE key_hash = %s", [key_hash])


async def gateways(c: Connection) -> list[Gateway]:
    """Every gateway, by name."""
    return await rows(c, Gateway, "SELECT " + _GATEWAY + " FROM gateway ORDER BY name")


async def revoke(c: Connection, name: str, now: datetime) -> bool:
    """Refuse a gateway from now on; ``False`` when there is none of this name."""
    done = await c.execute("UPDATE gateway SET revoked_at = %s WHERE name = %s", [now, name])
    return done.rowcount == 1


async def add_device(
    c: Connection, address: str, resident_id: int, kind: str, gateway_id: int | None, *, bindkey: str | None = None
) -> int:
    """Say whose device this is; returns its number. A known device may change hands."""
    return int(
        await value(
            c,
            "INSERT INTO device (address, resident_id, kind, gateway_id, bindkey) VALUES (%s, %s, %s, %s, %s) "
            "ON CONFLICT (address) DO UPDATE SET resident_id = excluded.resident_id, kind = excluded.kind, "
            "gateway_id = excluded.gateway_id, bindkey = excluded.bindkey, removed_at = NULL RETURNING id",
            [address.upper(), resident_id, kind, gateway_id, bindkey],
        )
    )


async def devices_of(c: Connection, gateway_id: int) -> dict[str, DeviceRef]:
    """The devices a gateway may speak for, by address."""
    cursor = await c.execute(
        "SELECT address, id, resident_id, kind, bindkey FROM device WHERE gateway_id = %s AND removed_at IS NULL",
        [gateway_id],
    )
    return {address: DeviceRef(*rest) for address, *rest in await cursor.fetchall()}


async def time_zone(c: Connection, gateway_id: int) -> str:
    """The IANA time zone of the homes behind a gateway."""
    return str(
        await value(
            c, "SELECT c.time_zone FROM gateway g JOIN centre c ON c.id = g.centre_id WHERE g.id = %s", [gateway_id]
        )
    )


async def devices(c: Connection, resident_id: int) -> list[Device]:
    """A resident's devices."""
    return await rows(
        c,
        Device,
        "SELECT " + _DEVICE + " FROM device WHERE resident_id = %s AND removed_at IS NULL ORDER BY kind, id",
        [resident_id],
    )


async def note_heartbeat(c: Connection, gateway_id: int, now: datetime, beat: Mapping[str, Any]) -> None:
    """Remember what a gateway says of itself: version, clock_error_s, outbox_waiting, quarantined."""
    await c.execute(
        "UPDATE gateway SET last_seen_at = %(now)s, version = %(version)s, clock_error_s = %(clock_error_s)s, "
        "outbox_waiting = %(outbox_waiting)s, quarantined = %(quarantined)s WHERE id = %(id)s",
        {"now": now, "id": gateway_id, **beat},
    )


async def note_device_health(c: Connection, gateway_id: int, health: Sequence[Mapping[str, Any]]) -> None:
    """Remember what a gateway says of its devices; what it does not say stays as it was."""
    async with c.cursor() as cursor:
        await cursor.executemany(
            "UPDATE device SET rssi_dbm = coalesce(%(rssi_dbm)s, rssi_dbm), last_seen_at = greatest(%(last_seen_at)s, last_seen_at), "
            "clock_error_s = coalesce(%(clock_error_s)s, clock_error_s), manufacturer = coalesce(%(manufacturer)s, manufacturer), "
            "model = coalesce(%(model)s, model), serial = coalesce(%(serial)s, serial), firmware = coalesce(%(firmware)s, firmware), "
            "trouble = %(trouble)s WHERE address = %(address)s AND gateway_id = %(gateway_id)s",
            [{**h, "gateway_id": gateway_id} for h in health],
        )


async def note_batteries(c: Connection, levels: Mapping[int, tuple[int, datetime]]) -> None:
    """The battery level in percent and when it was read, by device number; an older reading changes nothing."""
    async with c.cursor() as cursor:
        await cursor.executemany(
            "UPDATE device SET battery_pct = %(pct)s, battery_at = %(at)s WHERE id = %(id)s AND (battery_at IS NULL OR battery_at < %(at)s)",
            [{"id": number, "pct": pct, "at": at} for number, (pct, at) in levels.items()],
        )
