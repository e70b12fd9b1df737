"""Gateways, devices and types of device, as the administrator of their centre sees and changes them.

Read through the administrator's views, written by the service for her: see :mod:`store.administration`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Final, LiteralString, TypeVar
from uuid import UUID

import msgspec
from psycopg.errors import ForeignKeyViolation, UniqueViolation
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from store import audit
from store.administration import NotAllowed, Taken, centre_of, require_resident
from store.postgres import Connection, part, value

T = TypeVar("T")


class Machine(msgspec.Struct, frozen=True):
    """How a gateway's own machine is; ``None`` where it did not say."""

    disk_free_mb: int | None = None
    temperature_c: float | None = None
    memory_mb: float | None = None
    clock_synchronised: bool | None = None
    uptime_s: int | None = None
    scanning: str | None = None
    uplink: str | None = None
    recordings_waiting: int = 0
    recordings_dropped: int = 0


class DeviceKind(msgspec.Struct, frozen=True):
    """A kind of device that a gateway can collect from, in its own words."""

    kind: str
    title_en: str
    title_zh: str
    needs_key: bool = False


class Found(msgspec.Struct, frozen=True):
    """A device that a gateway heard while it looked for new ones. ``kinds`` are its guesses, the likeliest first."""

    address: str
    name: str | None
    rssi_dbm: int | None
    kinds: list[str]
    services: list[str]
    connectable: bool
    last_seen_at: datetime


class Gateway(msgspec.Struct, frozen=True):
    """A gateway with everything it says of itself."""

    id: int
    name: str
    pairing_expires: datetime | None
    paired_at: datetime | None
    revoked_at: datetime | None
    last_seen_at: datetime | None
    clock_error_s: float | None
    outbox_waiting: int | None
    quarantined: int | None
    version: str | None
    look_until: datetime | None
    machine: Machine
    troubles: list[str]
    kinds: list[DeviceKind]
    found: list[Found]
    found_at: datetime | None

    def kind(self, name: str) -> DeviceKind | None:
        """The kind of this name, if it can collect from it."""
        return next((kind for kind in self.kinds if kind.kind == name), None)


class Device(msgspec.Struct, frozen=True):
    """A registered device, with what its gateway last said about it."""

    id: int
    address: str
    resident_id: int
    gateway_id: int | None
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
    name: str | None
    kind_zh: str | None
    kind_en: str | None
    device_type_id: int | None
    last_reading_at: datetime | None


class DeviceType(msgspec.Struct, frozen=True):
    """A type that an administrator described: the name it advertises, its kind, and where it leaves the standard."""

    id: int
    label: str
    kind: str
    name_pattern: str
    habits: dict[str, Any]

    def matches(self, name: str | None) -> bool:
        """Whether a device that advertises this name is probably of this type."""
        return name is not None and fnmatchcase(name.casefold(), self.name_pattern.casefold())


@dataclass(frozen=True, slots=True)
class Registration:
    """A device to register. ``bindkey`` is 32 hexadecimal digits where its kind needs one."""

    address: str
    gateway_id: int
    resident_id: int
    kind: DeviceKind
    name: str | None
    bindkey: str | None
    device_type_id: int | None


_GATEWAYS: Final[LiteralString] = "SELECT * FROM administered_gateway "
_DEVICES: Final[LiteralString] = "SELECT * FROM administered_device "


async def gateways(c: Connection) -> list[Gateway]:
    """Every gateway of the reader's centre, by name."""
    return await _all(c, Gateway, _GATEWAYS + "ORDER BY name, id")


async def gateway(c: Connection, gateway_id: int) -> Gateway | None:
    """One of them."""
    return next(iter(await _all(c, Gateway, _GATEWAYS + "WHERE id = %s", [gateway_id])), None)


async def devices(c: Connection) -> list[Device]:
    """Every device of the reader's centre, by kind."""
    return await _all(c, Device, _DEVICES + "ORDER BY kind, id")


async def device(c: Connection, device_id: int) -> Device | None:
    """One of them."""
    return next(iter(await _all(c, Device, _DEVICES + "WHERE id = %s", [device_id])), None)


async def users(c: Connection, device_id: int) -> dict[int, int]:
    """Whose each user slot of a device is: the resident's number by slot."""
    cursor = await c.execute(
        "SELECT user_slot, resident_id FROM administered_device_user WHERE device_id = %s ORDER BY user_slot",
        [device_id],
    )
    return dict(await cursor.fetchall())


async def device_types(c: Connection) -> list[DeviceType]:
    """The types that were described in the reader's centre, by label."""
    return await _all(c, DeviceType, "SELECT * FROM administered_device_type ORDER BY label")


async def _all(c: Connection, cls: type[T], sql: LiteralString, params: list[Any] | None = None) -> list[T]:
    async with c.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql, params)
        return msgspec.convert(await cursor.fetchall(), list[cls])  # type: ignore[valid-type]


async def add_gateway(c: Connection, by: UUID, name: str) -> int:
    """Expect a gateway of this name; returns its number. Raises :class:`Taken` when the centre has one of this name."""
    centre = await centre_of(c, by)
    try:
        async with part(c):
            number = await value(
                c, "INSERT INTO gateway (centre_id, name) VALUES (%s, %s) RETURNING id", [centre.id, name]
            )
    except UniqueViolation:
        raise Taken(f"there is a gateway {name!r} already") from None
    await audit.record(c, "gateway_added", by, gateway=name)
    return int(number)


async def expect_code(c: Connection, by: UUID, gateway_id: int, code_hash: bytes, expires_at: datetime) -> None:
    """Let a gateway in by this code, once. It keeps its key till then; that of a revoked one is forgotten."""
    await _change_gateway(
        c,
        by,
        gateway_id,
        "pairing_code_issued",
        "pairing_hash = %(hash)s, pairing_expires = %(expires)s, "
        "key_hash = CASE WHEN revoked_at IS NULL THEN key_hash END, revoked_at = NULL",
        {"hash": code_hash, "expires": expires_at},
    )


async def revoke(c: Connection, by: UUID, gateway_id: int, now: datetime) -> None:
    """Refuse a gateway from now on."""
    await _change_gateway(
        c,
        by,
        gateway_id,
        "gateway_revoked",
        "revoked_at = %(now)s, look_until = NULL, pairing_hash = NULL, pairing_expires = NULL",
        {"now": now},
    )


async def look(c: Connection, by: UUID, gateway_id: int, until: datetime | None) -> None:
    """Let a gateway look for new devices until then; ``None``: no more."""
    await _change_gateway(
        c,
        by,
        gateway_id,
        "looking_for_devices" if until else "looking_ended",
        "look_until = %(until)s, found = CASE WHEN %(until)s::timestamptz IS NULL THEN found ELSE '[]' END",
        {"until": until},
    )


async def _change_gateway(
    c: Connection, by: UUID, gateway_id: int, action: str, setting: LiteralString, values: Mapping[str, Any]
) -> None:
    centre = await centre_of(c, by)
    name = await value(
        c,
        "UPDATE gateway SET " + setting + " WHERE id = %(id)s AND centre_id = %(centre)s RETURNING name",
        {"id": gateway_id, "centre": centre.id, **values},
    )
    if name is None:
        raise NotAllowed(f"there is no gateway {gateway_id} in centre {centre.id}")
    await audit.record(c, action, by, gateway=name)


async def register(c: Connection, by: UUID, new: Registration, now: datetime) -> int:
    """Say whose device this is; returns its number. One that was another resident's changes hands.

    Raises :class:`Taken` when it is in use at another centre.
    """
    centre = await centre_of(c, by)
    await require_resident(c, centre.id, new.resident_id)
    await _require(c, "SELECT 1 FROM gateway WHERE id = %s AND centre_id = %s", new.gateway_id, centre.id)
    await _require_type(c, centre.id, new.device_type_id, new.kind.kind)
    known = await (
        await c.execute(
            "SELECT d.id, d.removed_at IS NULL AND r.centre_id <> %s, d.resident_id = %s FROM device d "
            "JOIN resident r ON r.id = d.resident_id WHERE d.address = %s FOR UPDATE OF d",
            [centre.id, new.resident_id, new.address],
        )
    ).fetchone()
    if known and known[1]:
        raise Taken(f"{new.address} is in use at another centre")
    if known:
        # Registered again, for a new key or behind another gateway, it is still shared by those who share it.
        await _close(c, known[0], now, keeps_users=known[2])
    number = int(
        await value(
            c,
            "INSERT INTO device (address, resident_id, gateway_id, kind, kind_zh, kind_en, name, bindkey, device_type_id) "
            "VALUES (%(address)s, %(resident)s, %(gateway)s, %(kind)s, %(zh)s, %(en)s, %(name)s, %(key)s, %(type)s) "
            "ON CONFLICT (address) DO UPDATE SET resident_id = excluded.resident_id, gateway_id = excluded.gateway_id, kind = excluded.kind, "
            "kind_zh = excluded.kind_zh, kind_en = excluded.kind_en, name = excluded.name, bindkey = excluded.bindkey, "
            "device_type_id = excluded.device_type_id, trouble = NULL, removed_at = NULL RETURNING id",
            {
                "address": new.address,
                "resident": new.resident_id,
                "gateway": new.gateway_id,
                "kind": new.kind.kind,
                "zh": new.kind.title_zh,
                "en": new.kind.title_en,
                "name": new.name,
                "key": new.bindkey,
                "type": new.device_type_id,
            },
        )
    )
    await audit.record(c, "device_registered", by, new.resident_id, device=new.address, kind=new.kind.kind)
    return number


async def _close(c: Connection, device_id: int, now: datetime, *, keeps_users: bool = False) -> None:
    """Remember whose it was until now, and behind which gateway; unless it ``keeps_users``, nobody has a slot any more.

    What was measured before stays with whom it was measured, whenever it arrives.
    """
    await c.execute(
        "INSERT INTO device_past (device_id, gateway_id, resident_id, users, until) "
        "SELECT id, gateway_id, resident_id, coalesce((SELECT jsonb_object_agg(user_slot, u.resident_id) "
        "  FROM device_user u WHERE u.device_id = device.id), '{}'), %s "
        "FROM device WHERE id = %s AND gateway_id IS NOT NULL AND removed_at IS NULL",
        [now, device_id],
    )
    if not keeps_users:
        await c.execute("DELETE FROM device_user WHERE device_id = %s", [device_id])


async def describe(c: Connection, by: UUID, device_id: int, name: str | None, device_type_id: int | None) -> None:
    """Give a device a name of one's own and a type, or none."""
    centre_id, kind, resident_id = await _of_centre(c, by, device_id)
    await _require_type(c, centre_id, device_type_id, kind)
    await c.execute("UPDATE device SET name = %s, device_type_id = %s WHERE id = %s", [name, device_type_id, device_id])
    await audit.record(c, "device_described", by, resident_id, device=device_id, name=name, device_type=device_type_id)


async def move(c: Connection, by: UUID, device_id: int, resident_id: int, now: datetime) -> None:
    """Give a device to another resident."""
    centre_id, _, former = await _of_centre(c, by, device_id)
    await require_resident(c, centre_id, resident_id)
    if resident_id != former:
        await _close(c, device_id, now)
        await c.execute("UPDATE device SET resident_id = %s WHERE id = %s", [resident_id, device_id])
    await audit.record(c, "device_moved", by, resident_id, device=device_id, former_resident=former)


async def share(c: Connection, by: UUID, device_id: int, users: Mapping[int, int]) -> None:
    """Say whose each user slot is (0 to 254); with no user, every reading is the device's resident's again."""
    centre_id, _, resident_id = await _of_centre(c, by, device_id)
    for user in users.values():
        await require_resident(c, centre_id, user)
    await c.execute("DELETE FROM device_user WHERE device_id = %s", [device_id])
    for slot, user in users.items():
        await c.execute(
            "INSERT INTO device_user (device_id, user_slot, resident_id) VALUES (%s, %s, %s)", [device_id, slot, user]
        )
    whose = {str(slot): user for slot, user in users.items()}
    await audit.record(c, "device_shared", by, resident_id, device=device_id, users=whose)


async def remove(c: Connection, by: UUID, device_id: int, now: datetime) -> None:
    """Collect from a device no more. Its readings stay."""
    _, _, resident_id = await _of_centre(c, by, device_id)
    await _close(c, device_id, now)
    await c.execute("UPDATE device SET removed_at = %s WHERE id = %s", [now, device_id])
    await audit.record(c, "device_removed", by, resident_id, device=device_id)


async def of_residents(c: Connection, devices: Sequence[int]) -> set[tuple[int, int]]:
    """Those of these devices that are in use, as (device, resident)."""
    cursor = await c.execute(
        "SELECT id, resident_id FROM device WHERE id = ANY(%s) AND removed_at IS NULL", [list(devices)]
    )
    return set(await cursor.fetchall())


async def _of_centre(c: Connection, by: UUID, device_id: int) -> tuple[int, str, int]:
    """The administrator's centre, and the kind and resident of a device of it."""
    centre = await centre_of(c, by)
    cursor = await c.execute(
        "SELECT d.kind, d.resident_id FROM device d JOIN resident r ON r.id = d.resident_id "
        "WHERE d.id = %s AND r.centre_id = %s AND d.removed_at IS NULL FOR UPDATE OF d",
        [device_id, centre.id],
    )
    row = await cursor.fetchone()
    if row is None:
        raise NotAllowed(f"there is no device {device_id} in centre {centre.id}")
    return centre.id, row[0], row[1]


async def _require_type(c: Connection, centre_id: int, device_type_id: int | None, kind: str) -> None:
    if device_type_id is not None:
        sql: LiteralString = "SELECT 1 FROM device_type WHERE id = %s AND centre_id = %s AND kind = %s"
        await _require(c, sql, device_type_id, centre_id, kind)


async def _require(c: Connection, sql: LiteralString, *params: object) -> None:
    if await value(c, sql, list(params)) is None:
        raise NotAllowed(f"not of this centre: {params}")


async def add_device_type(
    c: Connection, by: UUID, label: str, kind: str, name_pattern: str, habits: Mapping[str, Any]
) -> int:
    """Describe a type of device; returns its number. Raises :class:`Taken` when there is one of this label."""
    centre = await centre_of(c, by)
    try:
        async with part(c):
            number = await value(
                c,
                "INSERT INTO device_type (centre_id, label, kind, name_pattern, habits) "
                "VALUES (%s, %s, %s, %s, %s) RETURNING id",
                [centre.id, label, kind, name_pattern, Jsonb(dict(habits))],
            )
    except UniqueViolation:
        raise Taken(f"there is a device type {label!r} already") from None
    await audit.record(c, "device_type_added", by, label=label, kind=kind, habits=dict(habits))
    return int(number)


async def remove_device_type(c: Connection, by: UUID, device_type_id: int) -> None:
    """Forget a type. Raises :class:`Taken` while a device is of it, whose habits it tells."""
    centre = await centre_of(c, by)
    try:
        async with part(c):
            # A removed device keeps its readings but needs no type any more.
            await c.execute(
                "UPDATE device SET device_type_id = NULL WHERE device_type_id = %s AND removed_at IS NOT NULL "
                "AND EXISTS (SELECT 1 FROM device_type WHERE id = %s AND centre_id = %s)",
                [device_type_id, device_type_id, centre.id],
            )
            label = await value(
                c,
                "DELETE FROM device_type WHERE id = %s AND centre_id = %s RETURNING label",
                [device_type_id, centre.id],
            )
    except ForeignKeyViolation:
        raise Taken(f"devices are of the type {device_type_id}") from None
    if label is None:
        raise NotAllowed(f"there is no device type {device_type_id} in centre {centre.id}")
    await audit.record(c, "device_type_removed", by, label=label)
