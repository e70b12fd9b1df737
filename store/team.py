"""The people of a centre who can be put on duty, what they can do, and in which area each resident lives."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from psycopg.errors import UniqueViolation

from store import people
from store.administration import Taken
from store.postgres import Connection, part, rows

SKILLS: Final = ("first_aid", "lifting", "nursing", "dementia", "driver", "keys")
LANGUAGES: Final = ("zh-CN", "yue", "wuu", "nan", "hak", "en")
"""What is spoken with people, in BCP 47."""


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody who can be put on duty. ``face``: doctor, care_worker, or empty for a helper without an account."""

    id: UUID
    name_zh: str
    name_en: str
    face: str
    phone: str | None
    skills: list[str]
    languages: list[str]

    def name(self, language: str) -> str:
        """The name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


@dataclass(frozen=True, slots=True)
class Home:
    """Where a resident lives; ``area_id`` is ``None`` while nobody has said in which area."""

    resident_id: int
    name_zh: str
    name_en: str
    address_zh: str
    address_en: str
    area_id: int | None

    def name(self, language: str) -> str:
        """The name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en

    def address(self, language: str) -> str:
        """The address as it is written in ``language``."""
        return self.address_zh if language == "zh_Hans" else self.address_en


async def members(c: Connection, centre_id: int) -> list[Member]:
    """Everybody of the centre who can be put on duty, by name: staff who can sign in, and helpers."""
    return await rows(
        c,
        Member,
        "SELECT p.id, p.name_zh, p.name_en, coalesce(a.face, '') AS face, p.phone, coalesce(s.skills, '{}') AS skills, "
        "coalesce(s.languages, '{}') AS languages FROM person p LEFT JOIN account a ON a.person_id = p.id "
        "LEFT JOIN staff s ON s.person_id = p.id WHERE p.centre_id = %s AND ((a.face IN ('doctor', 'care_worker') "
        "AND a.disabled_at IS NULL) OR (a.person_id IS NULL AND s.person_id IS NOT NULL)) ORDER BY p.name_en, p.id",
        [centre_id],
    )


async def add_helper(c: Connection, centre_id: int, name_zh: str, name_en: str, phone: str, language: str) -> UUID:
    """Somebody who helps and never signs in: a volunteer, a building leader. ``phone`` is E.164.

    Raises :class:`Taken` when the number is somebody else's.
    """
    try:
        async with part(c):
            person = await people.add_person(c, centre_id, name_zh, name_en, phone, language)
    except UniqueViolation:
        raise Taken(f"the telephone number {phone} is somebody else's") from None
    await c.execute("INSERT INTO staff (person_id) VALUES (%s)", [person.id])
    return person.id


async def describe(
    c: Connection, centre_id: int, person_id: UUID, skills: Collection[str], languages: Collection[str]
) -> None:
    """What a member can do and speaks; codes that are not known are left out."""
    await c.execute(
        "INSERT INTO staff (person_id, skills, languages) SELECT id, %s, %s FROM person WHERE id = %s AND centre_id = %s "
        "ON CONFLICT (person_id) DO UPDATE SET skills = excluded.skills, languages = excluded.languages",
        [[s for s in SKILLS if s in skills], [one for one in LANGUAGES if one in languages], person_id, centre_id],
    )


async def homes(c: Connection, centre_id: int) -> list[Home]:
    """Every resident of the centre who has not left, by name, and where she lives."""
    return await rows(
        c,
        Home,
        "SELECT r.id AS resident_id, p.name_zh, p.name_en, r.address_zh, r.address_en, r.area_id FROM resident r "
        "JOIN person p ON p.id = r.person_id WHERE r.centre_id = %s AND (r.left_at IS NULL OR r.left_at > now()) "
        "ORDER BY p.name_en, r.id",
        [centre_id],
    )


async def settle(c: Connection, centre_id: int, resident_ids: Sequence[int], area_id: int | None) -> None:
    """From now on these residents live in this area of the centre; ``None``: it is not known where."""
    await c.execute(
        "UPDATE resident SET area_id = %(area)s WHERE centre_id = %(centre)s AND id = ANY(%(residents)s) AND (%(area)s::int IS NULL "
        "OR EXISTS (SELECT FROM area WHERE id = %(area)s AND centre_id = %(centre)s AND removed_at IS NULL))",
        {"area": area_id, "centre": centre_id, "residents": list(resident_ids)},
    )


async def languages(c: Connection, centre_id: int) -> dict[UUID, frozenset[str]]:
    """What each of the centre's people speaks, as the first part of a BCP 47 tag; those of whom it is not known are missing."""
    cursor = await c.execute(
        "SELECT s.person_id, s.languages FROM staff s JOIN person p ON p.id = s.person_id "
        "WHERE p.centre_id = %s AND s.languages <> '{}'",
        [centre_id],
    )
    return {person: frozenset(tag.partition("-")[0] for tag in spoken) for person, spoken in await cursor.fetchall()}
