"""Residents, and who stands around them. Through a reader, only those whom the relation shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, LiteralString
from uuid import UUID

from store.postgres import Connection, one, rows, value

_RESIDENT: Final[LiteralString] = """
    SELECT r.id, r.person_id, r.centre_id, p.name_zh, p.name_en, p.phone, p.language, r.born, r.sex, r.address_zh, r.address_en,
           r.conditions, c.time_zone, r.area_id, r.id IS NOT DISTINCT FROM (SELECT probe_resident_id()) AS is_probe
    FROM resident r JOIN person p ON p.id = r.person_id JOIN centre c ON c.id = r.centre_id
"""


@dataclass(frozen=True, slots=True)
class Resident:
    """Somebody watched over. By what she is judged: see :mod:`store.parameters`."""

    id: int
    person_id: UUID
    centre_id: int
    name_zh: str
    name_en: str
    phone: str | None
    language: str
    born: date
    sex: str
    address_zh: str
    address_en: str
    conditions: list[str]
    time_zone: str
    area_id: int | None = None
    is_probe: bool = False

    def name(self, language: str) -> str:
        """The name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en

    def address(self, language: str) -> str:
        """Where she lives, as it is written in ``language``."""
        return self.address_zh if language == "zh_Hans" else self.address_en

    def age(self, on: date) -> int:
        """Full years."""
        return full_years(self.born, on)


def full_years(born: date, on: date) -> int:
    """How old somebody is. Born on 29 February, she is a year older on 1 March where there is no 29th."""
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day))


@dataclass(frozen=True, slots=True)
class NewResident:
    """What is needed to enrol somebody."""

    person_id: UUID
    centre_id: int
    born: date
    sex: str
    address_zh: str
    address_en: str
    conditions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Related:
    """Somebody who stands around a resident, and how."""

    person_id: UUID
    name_zh: str
    name_en: str
    phone: str | None
    kind: str

    def name(self, language: str) -> str:
        """The name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


async def add(c: Connection, new: NewResident) -> int:
    """Enrol a resident and let her see herself; returns her number."""
    number = int(
        await value(
            c,
            "INSERT INTO resident (person_id, centre_id, born, sex, address_zh, address_en, conditions) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [
                new.person_id,
                new.centre_id,
                new.born,
                new.sex,
                new.address_zh,
                new.address_en,
                list(new.conditions),
            ],
        )
    )
    await c.execute(
        "INSERT INTO relation (person_id, resident_id, kind) VALUES (%s, %s, 'self')", [new.person_id, number]
    )
    return number


async def resident(c: Connection, resident_id: int) -> Resident | None:
    """One resident, or ``None`` when there is none or the connection may not see her."""
    return await one(c, Resident, _RESIDENT + "WHERE r.id = %s", [resident_id])


async def of_ids(c: Connection, resident_ids: Sequence[int]) -> list[Resident]:
    """These residents, in no order."""
    return await rows(c, Resident, _RESIDENT + "WHERE r.id = ANY(%s)", [list(resident_ids)])


async def residents(c: Connection) -> list[Resident]:
    """Every resident the connection may see who has not left, by name."""
    return await rows(c, Resident, _RESIDENT + "WHERE r.left_at IS NULL OR r.left_at > now() ORDER BY p.name_en, r.id")


async def left(c: Connection, resident_ids: Sequence[int], now: datetime) -> set[int]:
    """Those of these residents who are watched over no more."""
    cursor = await c.execute(
        "SELECT id FROM resident WHERE id = ANY(%s) AND left_at <= %s", [list(set(resident_ids)), now]
    )
    return {row[0] for row in await cursor.fetchall()}


async def around(c: Connection, resident_id: int) -> list[Related]:
    """The people who stand around a resident today."""
    return await rows(
        c,
        Related,
        "SELECT p.id AS person_id, p.name_zh, p.name_en, p.phone, r.kind FROM relation r JOIN person p ON p.id = r.person_id "
        "WHERE r.resident_id = %s AND r.kind <> 'self' AND r.valid_from <= now() AND (r.valid_until IS NULL OR r.valid_until > now()) "
        "ORDER BY array_position(ARRAY['doctor', 'care_worker', 'supervisor', 'family'], r.kind), p.name_en",
        [resident_id],
    )


async def around_each(c: Connection, resident_ids: Sequence[int]) -> dict[int, list[Related]]:
    """The people who stand around each of these residents today, in one round trip."""
    cursor = await c.execute(
        "SELECT r.resident_id, p.id, p.name_zh, p.name_en, p.phone, r.kind FROM relation r JOIN person p ON p.id = r.person_id "
        "WHERE r.resident_id = ANY(%s) AND r.kind <> 'self' AND r.valid_from <= now() AND (r.valid_until IS NULL OR r.valid_until > now()) "
        "ORDER BY array_position(ARRAY['family', 'doctor', 'care_worker', 'supervisor'], r.kind), p.name_en",
        [list(resident_ids)],
    )
    found: dict[int, list[Related]] = {}
    for resident_id, *columns in await cursor.fetchall():
        found.setdefault(resident_id, []).append(Related(*columns))
    return found


async def herself(c: Connection, person_id: UUID) -> Resident | None:
    """The resident who is this person, or ``None`` when nobody of that name is watched over here."""
    return await one(
        c, Resident, _RESIDENT + "WHERE r.person_id = %s AND (r.left_at IS NULL OR r.left_at > now())", [person_id]
    )


async def grant(
    c: Connection,
    person_id: UUID,
    resident_id: int,
    kind: str,
    *,
    called: tuple[str, str] | None = None,
    granted_by: UUID | None = None,
    valid_until: datetime | None = None,
) -> None:
    """Let a person in to a resident's data; granting again renews it. ``called``: what a relative calls her (zh, en)."""
    zh, en = called or (None, None)
    await c.execute(
        "INSERT INTO relation (person_id, resident_id, kind, called_zh, called_en, granted_by, valid_until) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (person_id, resident_id, kind) DO UPDATE SET valid_from = now(), "
        "valid_until = excluded.valid_until, granted_by = excluded.granted_by",
        [person_id, resident_id, kind, zh, en, granted_by, valid_until],
    )


async def end_relation(c: Connection, person_id: UUID, resident_id: int, kind: str) -> bool:
    """Close the door: from now on this person sees nothing of this resident by this relation. Was it open?"""
    done = await c.execute(
        "UPDATE relation SET valid_until = now() WHERE person_id = %s AND resident_id = %s AND kind = %s "
        "AND (valid_until IS NULL OR valid_until > now())",
        [person_id, resident_id, kind],
    )
    return done.rowcount > 0


@dataclass(frozen=True, slots=True)
class Relation:
    """One person's right to one resident."""

    resident_id: int
    kind: str
    called_zh: str | None
    called_en: str | None


async def relations(c: Connection, person_id: UUID) -> list[Relation]:
    """Whom a person may see today, and as what."""
    return await rows(
        c,
        Relation,
        "SELECT resident_id, kind, called_zh, called_en FROM relation WHERE person_id = %s AND valid_from <= now() "
        "AND (valid_until IS NULL OR valid_until > now()) ORDER BY resident_id",
        [person_id],
    )
