"""Maintenance: while somebody works on a home's equipment, its technical alarms are held back until a set time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from store import audit
from store.administration import NotAllowed, centre_of, require_resident
from store.postgres import Connection, rows, value


@dataclass(frozen=True, slots=True)
class Maintenance:
    """Of one resident's equipment, or of a gateway with what is behind it. ``why`` is empty where it is not the reader's."""

    id: int
    resident_id: int | None
    gateway_id: int | None
    set_at: datetime
    until: datetime
    name_zh: str
    name_en: str
    why: str

    def set_by(self, language: str) -> str:
        """Who set it, as the name is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


@dataclass(frozen=True, slots=True)
class Held:
    """A technical alarm that is held back: what an alert of it would be made of."""

    resident_id: int
    rule: str
    protocol: str
    happened_at: datetime
    held_at: datetime
    evidence: dict[str, Any]


async def current(c: Connection, now: datetime) -> list[Maintenance]:
    """All that the reader may know of and that is not over, what ends first coming first."""
    return await rows(
        c,
        Maintenance,
        "SELECT id, resident_id, gateway_id, set_at, until, name_zh, name_en, why FROM known_maintenance "
        "WHERE until > %s ORDER BY until, id",
        [now],
    )


async def of_resident(c: Connection, resident_id: int, now: datetime) -> list[Maintenance]:
    """What the reader may know of that concerns this resident: of her, and of the gateways she is watched through."""
    return await rows(
        c,
        Maintenance,
        "SELECT id, resident_id, gateway_id, set_at, until, name_zh, name_en, why FROM known_maintenance "
        "WHERE until > %(now)s AND (resident_id = %(resident)s OR gateway_id IN (SELECT gateway_id FROM device "
        "WHERE resident_id = %(resident)s AND removed_at IS NULL)) ORDER BY until, id",
        {"now": now, "resident": resident_id},
    )


async def held_of(c: Connection, resident_id: int) -> list[Held]:
    """What is held back of one resident, oldest first."""
    return await rows(
        c,
        Held,
        "SELECT resident_id, rule, protocol, happened_at, held_at, evidence FROM held_alarm "
        "WHERE resident_id = %s ORDER BY held_at, rule",
        [resident_id],
    )


async def begin_of_resident(
    c: Connection, by: UUID, resident_id: int, until: datetime, why: str, now: datetime
) -> None:
    """Hold back the technical alarms of one resident; what was set for her before ends. The caller has asked who may."""
    await _end(c, by, now, resident_id=resident_id)
    await c.execute(
        "INSERT INTO maintenance (resident_id, set_by, set_at, until, why) VALUES (%s, %s, %s, %s, %s)",
        [resident_id, by, now, until, why],
    )
    await audit.record(c, "maintenance_begun", by, resident_id, until=until.isoformat(), why=why)


async def end_of_resident(c: Connection, by: UUID, resident_id: int, now: datetime) -> None:
    """End it before its time. The caller has asked who may."""
    if await _end(c, by, now, resident_id=resident_id):
        await audit.record(c, "maintenance_ended", by, resident_id)


async def begin_of_gateway(c: Connection, by: UUID, gateway_id: int, until: datetime, why: str, now: datetime) -> None:
    """The same for a gateway of the centre that ``by`` administers; raises :class:`NotAllowed` for any other."""
    await _require_gateway(c, by, gateway_id)
    await _end(c, by, now, gateway_id=gateway_id)
    await c.execute(
        "INSERT INTO maintenance (gateway_id, set_by, set_at, until, why) VALUES (%s, %s, %s, %s, %s)",
        [gateway_id, by, now, until, why],
    )
    await audit.record(c, "maintenance_begun", by, gateway=gateway_id, until=until.isoformat(), why=why)


async def end_of_gateway(c: Connection, by: UUID, gateway_id: int, now: datetime) -> None:
    """End it before its time; raises :class:`NotAllowed` as above."""
    await _require_gateway(c, by, gateway_id)
    if await _end(c, by, now, gateway_id=gateway_id):
        await audit.record(c, "maintenance_ended", by, gateway=gateway_id)


async def require_administered(c: Connection, by: UUID, resident_id: int) -> None:
    """Raises :class:`NotAllowed` unless this is a resident of the centre that ``by`` administers."""
    await require_resident(c, (await centre_of(c, by)).id, resident_id)


async def _require_gateway(c: Connection, by: UUID, gateway_id: int) -> None:
    centre = await centre_of(c, by)
    if await value(c, "SELECT 1 FROM gateway WHERE id = %s AND centre_id = %s", [gateway_id, centre.id]) is None:
        raise NotAllowed(f"there is no gateway {gateway_id} in centre {centre.id}")


async def _end(
    c: Connection, by: UUID, now: datetime, *, resident_id: int | None = None, gateway_id: int | None = None
) -> bool:
    done = await c.execute(
        "UPDATE maintenance SET until = greatest(%(now)s, set_at), ended_by = %(by)s WHERE until > %(now)s "
        "AND (resident_id = %(resident)s OR gateway_id = %(gateway)s)",
        {"now": now, "by": by, "resident": resident_id, "gateway": gateway_id},
    )
    return done.rowcount > 0


async def of(c: Connection, resident_ids: Sequence[int], now: datetime) -> set[int]:
    """Those of these residents on whose equipment, or a part of it, somebody may be working now."""
    cursor = await c.execute(
        "SELECT id FROM resident WHERE id = ANY(%(residents)s) AND EXISTS (SELECT 1 FROM maintenance m WHERE m.until > %(now)s "
        "AND m.set_at <= %(now)s AND (m.resident_id = resident.id OR m.gateway_id IS NOT NULL))",
        {"residents": list(resident_ids), "now": now},
    )
    return {row[0] for row in await cursor.fetchall()}


async def holds(c: Connection, resident_id: int, device: int | None, now: datetime) -> bool:
    """Whether a technical alarm of this resident is to be held back now.

    ``device`` is what it is about, a gateway as its number below zero; ``None``: about none of them by itself.
    """
    return bool(await value(c, "SELECT is_in_maintenance(%s, %s, %s)", [resident_id, device, now]))


async def hold_back(
    c: Connection,
    *,
    resident_id: int,
    rule: str,
    protocol: str,
    happened_at: datetime,
    evidence: Mapping[str, Any],
    now: datetime,
) -> None:
    """Keep an alarm for the end of the maintenance; of one rule the newest."""
    await c.execute(
        "INSERT INTO held_alarm (resident_id, rule, protocol, happened_at, held_at, evidence) VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (resident_id, rule) DO UPDATE SET protocol = excluded.protocol, happened_at = excluded.happened_at, "
        "evidence = excluded.evidence",
        [resident_id, rule, protocol, happened_at, now, Jsonb(dict(evidence))],
    )


async def let_go(c: Connection, resident_id: int, rule: str) -> None:
    """It is over: nothing is left to be raised at the end."""
    await c.execute("DELETE FROM held_alarm WHERE resident_id = %s AND rule = %s", [resident_id, rule])


async def held_rules(c: Connection, resident_ids: Sequence[int]) -> set[tuple[int, str]]:
    """What is held back of these residents, as (resident, rule)."""
    cursor = await c.execute(
        "SELECT resident_id, rule FROM held_alarm WHERE resident_id = ANY(%s)", [list(resident_ids)]
    )
    return set(await cursor.fetchall())


async def take_due(c: Connection, now: datetime, limit: int) -> list[Held]:
    """What nothing holds back any more, taken out, the oldest first; another process's is passed over."""
    return await rows(
        c,
        Held,
        "DELETE FROM held_alarm h USING (SELECT resident_id, rule FROM held_alarm "
        "WHERE NOT is_in_maintenance(resident_id, (evidence ->> 'device')::float8::int, %s) "
        "ORDER BY held_at LIMIT %s FOR UPDATE SKIP LOCKED) AS due "
        "WHERE h.resident_id = due.resident_id AND h.rule = due.rule "
        "RETURNING h.resident_id, h.rule, h.protocol, h.happened_at, h.held_at, h.evidence",
        [now, limit],
    )
