"""What an administrator sees and changes of her own centre: its residents' names and who stands around them.

She has no relation to anybody, so she reads through the views of ``migrations/0002_homes.sql``, which show her own
centre alone. What she changes is written by the service: every function here finds her centre first, touches
nothing of another, and leaves a line in the audit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final
from uuid import UUID

from psycopg.errors import UniqueViolation

from store import audit, people, residents
from store.people import Centre
from store.postgres import Connection, one, part, rows, value

FACE_OF: Final[Mapping[str, str]] = MappingProxyType(
    {"doctor": "doctor", "care_worker": "care_worker", "supervisor": "care_worker", "family": "family"}
)
"""Which pages somebody must have to stand in a relation of this kind."""


class NotAllowed(Exception):
    """There is no such thing in the centre that this person administers, or she administers none."""


class Taken(Exception):
    """This name, number or device is somebody else's already."""


@dataclass(frozen=True, slots=True)
class Resident:
    """A resident as her administrator knows her."""

    id: int
    name_zh: str
    name_en: str
    address_zh: str
    address_en: str

    def name(self, language: str) -> str:
        """The name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en

    def address(self, language: str) -> str:
        """Where she lives, as it is written in ``language``."""
        return self.address_zh if language == "zh_Hans" else self.address_en


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the centre who may sign in and can be given a resident. ``face``: doctor, care_worker, family."""

    id: UUID
    name_zh: str
    name_en: str
    face: str

    def name(self, language: str) -> str:
        """The name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


@dataclass(frozen=True, slots=True)
class Relation:
    """Who sees a resident's data today, and as what."""

    person_id: UUID
    resident_id: int
    kind: str
    name_zh: str
    name_en: str

    def name(self, language: str) -> str:
        """The person's name as it is written in ``language``."""
        return self.name_zh if language == "zh_Hans" else self.name_en


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What is entered to enrol somebody. ``phone`` is E.164."""

    name_zh: str
    name_en: str
    phone: str | None
    language: str
    born: date
    sex: str
    address_zh: str
    address_en: str


async def residents_of_centre(c: Connection) -> list[Resident]:
    """Everybody watched over in the reader's centre, by name."""
    return await rows(
        c,
        Resident,
        "SELECT id, name_zh, name_en, address_zh, address_en FROM administered_resident ORDER BY name_en, id",
    )


async def resident(c: Connection, resident_id: int) -> Resident | None:
    """One of them."""
    return await one(
        c,
        Resident,
        "SELECT id, name_zh, name_en, address_zh, address_en FROM administered_resident WHERE id = %s",
        [resident_id],
    )


async def people_of_centre(c: Connection) -> list[Person]:
    """Everybody of the reader's centre who can be given a resident, by face and name."""
    return await rows(
        c, Person, "SELECT id, name_zh, name_en, face FROM administered_person ORDER BY face, name_en, id"
    )


async def relations(c: Connection) -> dict[int, list[Relation]]:
    """Who stands around each resident of the reader's centre today, by the resident's number."""
    found = await rows(
        c,
        Relation,
        "SELECT person_id, resident_id, kind, name_zh, name_en FROM administered_relation "
        "ORDER BY array_position(ARRAY['doctor', 'care_worker', 'supervisor', 'family'], kind), name_en",
    )
    by_resident: dict[int, list[Relation]] = {}
    for relation in found:
        by_resident.setdefault(relation.resident_id, []).append(relation)
    return by_resident


async def administered_centre(c: Connection) -> int | None:
    """The number of the centre that the reader herself administers, if she does."""
    found = await value(c, "SELECT administered_centre()")
    return None if found is None else int(found)


async def centre_of(c: Connection, by: UUID) -> Centre:
    """The centre that this person administers. Raises :class:`NotAllowed` when she administers none."""
    centre = await one(
        c,
        Centre,
        "SELECT c.id, c.name_zh, c.name_en, c.phone, c.time_zone FROM account a JOIN person p ON p.id = a.person_id "
        "JOIN centre c ON c.id = p.centre_id "
        "WHERE a.person_id = %s AND a.face = 'administrator' AND a.disabled_at IS NULL",
        [by],
    )
    if centre is None:
        raise NotAllowed(f"{by} administers no centre")
    return centre


async def require_resident(c: Connection, centre_id: int, resident_id: int) -> None:
    """Raises :class:`NotAllowed` unless this is somebody of the centre who is still watched over."""
    found = await value(
        c,
        "SELECT 1 FROM resident WHERE id = %s AND centre_id = %s AND (left_at IS NULL OR left_at > now())",
        [resident_id, centre_id],
    )
    if found is None:
        raise NotAllowed(f"there is no resident {resident_id} in centre {centre_id}")


async def enrol(c: Connection, by: UUID, new: Enrolment) -> int:
    """Watch over somebody from now on; returns her number. Raises :class:`Taken` when the telephone is another's."""
    centre = await centre_of(c, by)
    try:
        async with part(c):
            person = await people.add_person(c, centre.id, new.name_zh, new.name_en, new.phone, new.language)
    except UniqueViolation:
        raise Taken(f"the telephone number {new.phone} is somebody else's") from None
    number = await residents.add(
        c, residents.NewResident(person.id, centre.id, new.born, new.sex, new.address_zh, new.address_en)
    )
    await audit.record(c, "resident_enrolled", by, number)
    return number


async def grant(
    c: Connection, by: UUID, resident_id: int, person_id: UUID, kind: str, called: tuple[str, str] | None = None
) -> None:
    """Let somebody of the centre in to a resident's data. ``called``: what a relative calls her (zh, en)."""
    centre = await centre_of(c, by)
    await require_resident(c, centre.id, resident_id)
    face = await value(
        c,
        "SELECT a.face FROM person p JOIN account a ON a.person_id = p.id "
        "WHERE p.id = %s AND p.centre_id = %s AND a.disabled_at IS NULL",
        [person_id, centre.id],
    )
    if face is None or face != FACE_OF.get(kind):
        raise NotAllowed(f"{person_id} cannot be {kind} in centre {centre.id}")
    await residents.grant(c, person_id, resident_id, kind, called=called, granted_by=by)
    await audit.record(c, "relation_granted", by, resident_id, to=str(person_id), kind=kind)


async def end_relation(c: Connection, by: UUID, resident_id: int, person_id: UUID, kind: str) -> None:
    """From now on this person sees nothing of this resident by this relation. A resident always sees herself."""
    centre = await centre_of(c, by)
    await require_resident(c, centre.id, resident_id)
    if kind not in FACE_OF:
        raise NotAllowed(f"a relation of the kind {kind} cannot be ended")
    if await residents.end_relation(c, person_id, resident_id, kind):
        await audit.record(c, "relation_ended", by, resident_id, of=str(person_id), kind=kind)


async def set_time_zone(c: Connection, by: UUID, time_zone: str) -> None:
    """Where the centre's homes are. ``time_zone`` is a known IANA name."""
    centre = await centre_of(c, by)
    await c.execute("UPDATE centre SET time_zone = %s WHERE id = %s", [time_zone, centre.id])
    await audit.record(c, "time_zone_set", by, time_zone=time_zone)
