"""Escalation policies as a centre has written them, for whom each holds, and which relatives may be called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from typing import Any
from uuid import UUID

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from store.administration import Taken
from store.postgres import Connection, one, part, rows, value


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """A policy as written; ``content`` is read by :mod:`alerts.policy`."""

    id: int
    centre_id: int
    name_zh: str
    name_en: str
    content: dict[str, Any]
    saved_at: datetime

    def name(self, language: str) -> str:
        """The name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


@dataclass(frozen=True, slots=True)
class Use:
    """A policy holds for alerts of ``priority``: of a resident, of an area, or (neither) of the centre."""

    priority: str
    area_id: int | None
    resident_id: int | None
    policy_id: int
    content: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Relative:
    """A relative whom the resident lets be called, and what she calls her: Mum, 妈妈.

    The quiet hours are local times; equal ones mean none.
    """

    person_id: UUID
    resident_id: int
    quiet_from: time
    quiet_until: time
    called_zh: str | None
    called_en: str | None


async def of_centre(c: Connection, centre_id: int) -> list[PolicyRow]:
    """The policies of a centre."""
    return await rows(
        c,
        PolicyRow,
        "SELECT id, centre_id, name_zh, name_en, content, saved_at FROM policy WHERE centre_id = %s AND removed_at IS NULL ORDER BY id",
        [centre_id],
    )


async def policy(c: Connection, policy_id: int) -> PolicyRow | None:
    """One policy."""
    return await one(
        c,
        PolicyRow,
        "SELECT id, centre_id, name_zh, name_en, content, saved_at FROM policy WHERE id = %s AND removed_at IS NULL",
        [policy_id],
    )


async def uses(c: Connection, centre_id: int) -> list[Use]:
    """For whom the policies of a centre hold."""
    return await rows(
        c,
        Use,
        "SELECT u.priority, u.area_id, u.resident_id, u.policy_id, p.content FROM policy_use u JOIN policy p ON p.id = u.policy_id "
        "WHERE u.centre_id = %s AND p.removed_at IS NULL ORDER BY u.id",
        [centre_id],
    )


async def save(
    c: Connection,
    centre_id: int,
    name_zh: str,
    name_en: str,
    content: Mapping[str, Any],
    by: UUID,
    now: datetime,
    policy_id: int | None = None,
) -> int:
    """Write a policy down, or write ``policy_id`` of the same centre anew; returns its number."""
    if policy_id is None:
        return int(
            await value(
                c,
                "INSERT INTO policy (centre_id, name_zh, name_en, content, saved_by, saved_at) VALUES (%s, %s, %s, %s, %s, %s) RETURNING id",
                [centre_id, name_zh, name_en, Jsonb(dict(content)), by, now],
            )
        )
    await c.execute(
        "UPDATE policy SET name_zh = %s, name_en = %s, content = %s, saved_by = %s, saved_at = %s WHERE id = %s AND centre_id = %s",
        [name_zh, name_en, Jsonb(dict(content)), by, now, policy_id, centre_id],
    )
    return policy_id


async def remove(c: Connection, centre_id: int, policy_id: int, now: datetime) -> None:
    """A policy holds for nobody any more."""
    await c.execute("DELETE FROM policy_use WHERE policy_id = %s AND centre_id = %s", [policy_id, centre_id])
    await c.execute("UPDATE policy SET removed_at = %s WHERE id = %s AND centre_id = %s", [now, policy_id, centre_id])


async def use(
    c: Connection,
    centre_id: int,
    priority: str,
    policy_id: int | None,
    *,
    area_id: int | None = None,
    resident_id: int | None = None,
) -> None:
    """From now on this policy holds for these alerts; ``None``: whatever holds around them does."""
    await c.execute(
        "DELETE FROM policy_use WHERE centre_id = %s AND priority = %s AND area_id IS NOT DISTINCT FROM %s "
        "AND resident_id IS NOT DISTINCT FROM %s",
        [centre_id, priority, area_id, resident_id],
    )
    if policy_id is not None:
        await c.execute(
            "INSERT INTO policy_use (centre_id, priority, area_id, resident_id, policy_id) VALUES (%s, %s, %s, %s, %s)",
            [centre_id, priority, area_id, resident_id, policy_id],
        )


async def fallback(c: Connection, centre_id: int) -> UUID | None:
    """The centre's line that is called when nobody else answers, as a person."""
    found: UUID | None = await value(c, "SELECT fallback_id FROM centre WHERE id = %s", [centre_id])
    return found


async def set_fallback(c: Connection, centre_id: int, phone: str) -> None:
    """Let the centre's last line have this number (E.164). Raises :class:`Taken` when it is somebody's own."""
    try:
        async with part(c):
            await _set_line(c, centre_id, phone)
    except UniqueViolation:
        raise Taken(f"the telephone number {phone} is somebody else's") from None


async def _set_line(c: Connection, centre_id: int, phone: str) -> None:
    line = await fallback(c, centre_id)
    if line is not None:
        await c.execute("UPDATE person SET phone = %s WHERE id = %s", [phone, line])
        return
    await c.execute(
        "WITH line AS (INSERT INTO person (centre_id, name_zh, name_en, phone) SELECT id, name_zh || '值班电话', "
        "'Duty line of ' || name_en, %s FROM centre WHERE id = %s RETURNING id) UPDATE centre SET fallback_id = line.id FROM line "
        "WHERE centre.id = %s",
        [phone, centre_id, centre_id],
    )


async def relatives(c: Connection, resident_ids: Sequence[int], now: datetime) -> list[Relative]:
    """The relatives of these residents who may be called, while they still stand in that relation."""
    return await rows(
        c,
        Relative,
        "SELECT f.person_id, f.resident_id, f.quiet_from, f.quiet_until, r.called_zh, r.called_en FROM family_call f JOIN relation r "
        "ON r.person_id = f.person_id AND r.resident_id = f.resident_id AND r.kind = 'family' "
        "WHERE f.resident_id = ANY(%(residents)s) AND (f.ended_at IS NULL OR f.ended_at > %(now)s) "
        "AND (r.valid_until IS NULL OR r.valid_until > %(now)s) ORDER BY f.consented_at, f.person_id",
        {"residents": list(resident_ids), "now": now},
    )


async def let_call(
    c: Connection, person_id: UUID, resident_id: int, by: UUID, now: datetime, quiet: tuple[time, time] | None = None
) -> None:
    """The resident lets this relative be called, outside the ``quiet`` hours (as they were, at first from 22 to 7)."""
    await c.execute(
        "INSERT INTO family_call (person_id, resident_id, consented_at, consented_by) VALUES (%(person)s, %(resident)s, %(now)s, %(by)s) "
        "ON CONFLICT (person_id, resident_id) DO UPDATE SET consented_at = excluded.consented_at, "
        "consented_by = excluded.consented_by, ended_at = NULL",
        {"person": person_id, "resident": resident_id, "now": now, "by": by},
    )
    if quiet is not None:
        await set_quiet_hours(c, person_id, resident_id, quiet)


async def set_quiet_hours(c: Connection, person_id: UUID, resident_id: int, quiet: tuple[time, time]) -> None:
    """When this relative is not called."""
    await c.execute(
        "UPDATE family_call SET quiet_from = %s, quiet_until = %s WHERE person_id = %s AND resident_id = %s",
        [*quiet, person_id, resident_id],
    )


async def stop_calling(c: Connection, person_id: UUID, resident_id: int, now: datetime) -> None:
    """The resident, or the relative, ends that consent."""
    await c.execute(
        "UPDATE family_call SET ended_at = %s WHERE person_id = %s AND resident_id = %s AND ended_at IS NULL",
        [now, person_id, resident_id],
    )
