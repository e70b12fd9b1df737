"""Gateways, their keys, and the devices behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString

from psycopg.types.json import Jsonb

from store.postgres import Connection, one, rows, value

SILENT_AFTER: Final = timedelta(minutes=2)
"""A gateway beats every half minute; after four beats missed it counts as silent."""

_GATEWAY: Final[LiteralString] = (
    "id, centre_id, name, paired_at, revoked_at, last_seen_at, clock_error_s, outbox_waiting, quarantined, version, "
    "look_until"
)
_DEVICE: Final[LiteralString] = (
    "id, address, resident_id, kind, manufacturer, model, serial, firmware, battery_pct, battery_at, rssi_dbm, "
    "clock_error_s, last_seen_at, trouble, name, kind_zh, kind_en, last_reading_at, falls"
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
    look_until: datetime | None


@dataclass(frozen=True, slots=True)
class Device:
    """An instrument in a resident's home, with what its gateway last said about it.

    ``name`` is the administrator's own word for it; ``kind_zh`` and ``kind_en`` are its gateway's for the kind.
    ``falls`` is how careful its gateway is with its wearer, and why (``api.gateways.FallPoint``).
    """

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
    name: str | None = None
    kind_zh: str | None = None
    kind_en: str | None = None
    last_reading_at: datetime | None = None
    falls: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """Whose a device was, ``until`` when; ``users`` as in :class:`DeviceRef`."""

    until: datetime
    resident_id: int
    users: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DeviceRef:
    """What ingest and the gateway itself need to know of a device. ``bindkey`` is 32 hexadecimal digits.

    ``users`` says whose each user slot is; empty where all its readings are the resident's. ``past`` is whose it was
    before, the newest first: behind any gateway, for it keeps its memory when it is carried to another. One that ``is_here`` no more is the gateway's only for what it measured then.
    """

    id: int
    resident_id: int
    kind: str
    bindkey: str | None
    habits: Mapping[str, Any] = field(default_factory=dict)
    users: Mapping[int, int] = field(default_factory=dict)
    past: tuple[Past, ...] = ()
    is_here: bool = True


@dataclass(frozen=True, slots=True)
class Place:
    """What a gateway must know of where it stands: its homes' IANA time zone, the centre's telephone, and the
    language that most of its residents speak."""

    time_zone: str
    phone: str | None
    language: str


@dataclass(frozen=True, slots=True)
class Beat:
    """What a gateway says of itself. ``None``: it does not say, and what it said before stands.

    ``machine``, ``kinds`` and ``found`` are JSON as it is kept (:mod:`store.equipment` reads it).
    """

    version: str | None
    clock_error_s: float
    outbox_waiting: int
    quarantined: int
    troubles: Sequence[str] = ()
    machine: Mapping[str, Any] | None = None
    kinds: Sequence[Mapping[str, Any]] | None = None
    found: Sequence[Mapping[str, Any]] | None = None


async def issue_pairing_code(c: Connection, centre_id: int, name: str, code_hash: bytes, expires_at: datetime) -> None:
    """Expect a gateway of this name to present a one-time code; a known name gets a new code and keeps its key till then.

    The key of a revoked gateway is forgotten: whoever holds it does not come in again with the new one's permission.
    """
    await c.execute(
        "INSERT INTO gateway (centre_id, name, pairing_hash, pairing_expires) VALUES (%s, %s, %s, %s) "
        "ON CONFLICT (centre_id, name) DO UPDATE SET pairing_hash = excluded.pairing_hash, pairing_expires = excluded.pairing_expires, "
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


async def revoke(c: Connection, centre_id: int, name: str, now: datetime) -> bool:
    """Refuse the centre's gateway of this name from now on; ``False`` when there is none."""
    done = await c.execute(
        "UPDATE gateway SET revoked_at = %s WHERE centre_id = %s AND name = %s", [now, centre_id, name]
    )
    return done.rowcount > 0


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
    """The devices a gateway may speak for, by address: those it has, and those it had for what they measured then."""
    users = await _users_of(c, gateway_id)
    past = await _past_of(c, gateway_id)
    cursor = await c.execute(
        "SELECT d.address, d.id, d.resident_id, d.kind, d.bindkey, t.habits, "
        "  coalesce(d.gateway_id = %s AND d.removed_at IS NULL, false) "
        "FROM device d LEFT JOIN device_type t ON t.id = d.device_type_id "
        "WHERE (d.gateway_id = %s AND d.removed_at IS NULL) OR d.id = ANY (%s)",
        [gateway_id, gateway_id, list(past)],
    )
    found: dict[str, DeviceRef] = {}
    for address, number, resident, kind, bindkey, habits, is_here in await cursor.fetchall():
        before = past.get(number, ())
        if is_here:
            ref = DeviceRef(number, resident, kind, bindkey, habits or {}, users.get(number, {}), before)
        else:
            ref = DeviceRef(number, before[0].resident_id, kind, None, {}, before[0].users, before, is_here=False)
        found[address] = ref
    return found


async def _past_of(c: Connection, gateway_id: int) -> dict[int, tuple[Past, ...]]:
    cursor = await c.execute(
        "SELECT device_id, until, resident_id, users FROM device_past WHERE gateway_id = %s "
        "OR device_id IN (SELECT id FROM device WHERE gateway_id = %s AND removed_at IS NULL) ORDER BY until DESC",
        [gateway_id, gateway_id],
    )
    past: dict[int, tuple[Past, ...]] = {}
    for device, until, resident, users in await cursor.fetchall():
        then = Past(until, resident, {int(slot): user for slot, user in users.items()})
        past[device] = (*past.get(device, ()), then)
    return past


async def _users_of(c: Connection, gateway_id: int) -> dict[int, dict[int, int]]:
    cursor = await c.execute(
        "SELECT u.device_id, u.user_slot, u.resident_id FROM device_user u JOIN device d ON d.id = u.device_id "
        "WHERE d.gateway_id = %s",
        [gateway_id],
    )
    users: dict[int, dict[int, int]] = {}
    for device, slot, resident in await cursor.fetchall():
        users.setdefault(device, {})[slot] = resident
    return users


async def place(c: Connection, gateway_id: int) -> Place:
    """Where a gateway stands."""
    found = await one(
        c,
        Place,
        "SELECT c.time_zone, c.phone, coalesce(("
        "  SELECT p.language FROM device d JOIN resident r ON r.id = d.resident_id JOIN person p ON p.id = r.person_id "
        "  WHERE d.gateway_id = g.id AND d.removed_at IS NULL "
        "  GROUP BY p.language ORDER BY count(DISTINCT r.id) DESC, p.language DESC LIMIT 1), 'zh_Hans') AS language "
        "FROM gateway g JOIN centre c ON c.id = g.centre_id WHERE g.id = %s",
        [gateway_id],
    )
    assert found is not None
    return found


async def devices(c: Connection, resident_id: int) -> list[Device]:
    """A resident's devices, those she shares with somebody among them."""
    return await rows(
        c,
        Device,
        "SELECT " + _DEVICE + " FROM device WHERE (resident_id = %s OR id IN (SELECT device_id FROM device_user "
        "WHERE resident_id = %s)) AND removed_at IS NULL ORDER BY kind, id",
        [resident_id, resident_id],
    )


async def note_heartbeat(c: Connection, gateway_id: int, now: datetime, beat: Beat) -> None:
    """Remember what a gateway says of itself."""
    await c.execute(
        "UPDATE gateway SET last_seen_at = %(now)s, version = %(version)s, clock_error_s = %(clock_error_s)s, "
        "outbox_waiting = %(outbox_waiting)s, quarantined = %(quarantined)s, troubles = %(troubles)s, "
        "machine = coalesce(%(machine)s, machine), kinds = coalesce(%(kinds)s, kinds), "
        "found = coalesce(%(found)s, found), found_at = CASE WHEN %(found)s::jsonb IS NULL THEN found_at ELSE %(now)s END "
        "WHERE id = %(id)s",
        {
            "now": now,
            "id": gateway_id,
            "version": beat.version,
            "clock_error_s": beat.clock_error_s,
            "outbox_waiting": beat.outbox_waiting,
            "quarantined": beat.quarantined,
            "troubles": list(beat.troubles),
            "machine": _json(beat.machine),
            "kinds": _json(beat.kinds),
            "found": _json(beat.found),
        },
    )


def _json(content: object) -> Jsonb | None:
    return None if content is None else Jsonb(content)


async def note_device_health(
    c: Connection, gateway_id: int, now: datetime, health: Sequence[Mapping[str, Any]]
) -> None:
    """Remember what a gateway says of its devices; what it does not say stays as it was."""
    async with c.cursor() as cursor:
        await cursor.executemany(
            "UPDATE device SET rssi_dbm = coalesce(%(rssi_dbm)s, rssi_dbm), last_seen_at = greatest(%(last_seen_at)s, last_seen_at), "
            "last_reading_at = greatest(%(last_reading_at)s, last_reading_at), "
            "battery_at = CASE WHEN %(battery_pct)s::smallint IS DISTINCT FROM battery_pct AND %(battery_pct)s::smallint IS NOT NULL "
            "THEN %(now)s ELSE battery_at END, battery_pct = coalesce(%(battery_pct)s, battery_pct), "
            "clock_error_s = coalesce(%(clock_error_s)s, clock_error_s), manufacturer = coalesce(%(manufacturer)s, manufacturer), "
            "model = coalesce(%(model)s, model), serial = coalesce(%(serial)s, serial), firmware = coalesce(%(firmware)s, firmware), "
            "trouble = %(trouble)s, falls = coalesce(%(falls)s, falls) WHERE address = %(address)s AND gateway_id = %(gateway_id)s",
            [{**h, "falls": _json(h["falls"]), "gateway_id": gateway_id, "now": now} for h in health],
        )


async def note_batteries(c: Connection, levels: Mapping[int, tuple[int, datetime]]) -> None:
    """The battery level in percent and when it was read, by device number; an older reading changes nothing."""
    async with c.cursor() as cursor:
        await cursor.executemany(
            "UPDATE device SET battery_pct = %(pct)s, battery_at = %(at)s WHERE id = %(id)s AND (battery_at IS NULL OR battery_at < %(at)s)",
            [{"id": number, "pct": pct, "at": at} for number, (pct, at) in levels.items()],
        )
