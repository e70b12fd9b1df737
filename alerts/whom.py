"""Who can be called at one moment: policies, people on duty, everybody of the centre, relatives who may be.

Looked up once for as many residents as are asked about together, then answered from memory.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from prometheus_client import Counter

from alerts import on_duty
from alerts.escalation import Around, Found, Skipped, in_quiet_hours
from alerts.policy import SHIPPED, Policy, PolicyError, Target, parse
from alerts.rota import Rota
from store import people, policies, team
from store.people import Person
from store.policies import Relative, Use
from store.postgres import Connection
from store.residents import Resident

log = structlog.get_logger(__name__)

UNREADABLE: Final = Counter(
    "hearthwatch_policies_unreadable_total", "Times the shipped policy stood in for one that cannot be read."
)


@dataclass(frozen=True, slots=True)
class _Centre:
    rota: Rota
    staff: tuple[UUID, ...]
    uses: tuple[tuple[Use, Policy], ...]
    fallback: UUID | None
    languages: Mapping[UUID, frozenset[str]]

    def first_who_speak(self, language: str, persons: Sequence[UUID]) -> tuple[UUID, ...]:
        """The same people, those first who speak ``language``, or of whom it is not known that they do not."""
        wanted = language.partition("_")[0]
        return tuple(sorted(persons, key=lambda person: wanted not in self.languages.get(person, (wanted,))))


@dataclass(slots=True)
class Whom:
    """Answers for ``now``, within one transaction; with ``until`` for every moment from then on to which ``now`` is moved."""

    c: Connection
    now: datetime
    until: datetime | None = None
    _centres: dict[int, _Centre] = field(default_factory=dict)
    _relatives: dict[int, list[Relative]] = field(default_factory=dict)
    _people: dict[UUID, Person] = field(default_factory=dict)
    _left: set[UUID] = field(default_factory=set)

    async def look_up(self, residents: Iterable[Resident]) -> None:
        """Get to know everybody who could be called about these residents."""
        new = [resident for resident in residents if resident.id not in self._relatives]
        for centre_id in {resident.centre_id for resident in new} - set(self._centres):
            self._centres[centre_id] = await self._centre(centre_id)
        self._relatives |= {resident.id: [] for resident in new}
        for relative in await policies.relatives(self.c, [resident.id for resident in new], self.now) if new else ():
            self._relatives[relative.resident_id].append(relative)
        await self._know({relative.person_id for found in self._relatives.values() for relative in found})

    def policy(self, resident: Resident, priority: str) -> Policy:
        """What holds for alerts of this priority: the resident's own, her area's (the nearer first), the centre's."""
        centre = self._centres[resident.centre_id]
        areas = centre.rota.areas_of(resident.area_id)
        ranked = {
            (len(areas) + 1 if use.resident_id else len(areas) - areas.index(use.area_id) if use.area_id else 0): policy
            for use, policy in centre.uses
            if use.priority == priority
            and (use.resident_id in (None, resident.id))
            and (use.area_id is None or use.area_id in areas)
        }
        return ranked[max(ranked)] if ranked else SHIPPED[priority]

    def around(self, resident: Resident, out: Collection[Skipped]) -> Around:
        """Everybody about this resident; ``out``: who cannot be reached about this alert, or cannot come."""
        centre = self._centres[resident.centre_id]
        gone = frozenset(skipped.person for skipped in out)
        return Around(lambda target: self._find(resident, target, gone), centre.staff, centre.fallback, out)

    def rota(self, centre_id: int) -> Rota:
        """The rota of a centre about whose residents was asked."""
        return self._centres[centre_id].rota

    def person(self, person_id: UUID) -> Person:
        """Somebody who was found."""
        return self._people[person_id]

    def relative(self, resident_id: int, person_id: UUID) -> Relative | None:
        """This person as a relative who may be called, if she is one."""
        return next((r for r in self._relatives.get(resident_id, ()) if r.person_id == person_id), None)

    def is_staff(self, resident: Resident, person_id: UUID) -> bool:
        """Whether this person works for the resident's centre: has its pages, or is on duty."""
        centre = self._centres[resident.centre_id]
        return person_id in centre.staff or any(turn.person == person_id for turn in centre.rota.everybody(self.now))

    def has_left(self, person_id: UUID) -> bool:
        """Whether the account of somebody who was found is closed."""
        return person_id in self._left

    def is_off(self, resident: Resident, person_id: UUID) -> bool:
        """Whether somebody who was found cannot be counted on: she has left, is sick or on leave."""
        return self._away(resident, person_id) in ("left", "sick", "leave")

    async def know(self, person_ids: Collection[UUID]) -> None:
        """Get to know these people too."""
        await self._know(set(person_ids))

    def _find(self, resident: Resident, target: Target, gone: Collection[UUID]) -> Found:
        if target.kind == "everybody":
            return Found(self._centres[resident.centre_id].staff)
        if target.kind == "person":
            return self._by_name(resident, target.person) if target.person else Found()
        if target.kind == "family":
            return self._family(resident)
        assert target.role is not None, "a target on duty has a role"
        answer = self._centres[resident.centre_id].rota.of(target.role, target.line, resident.area_id, self.now, gone)
        away = tuple(Skipped(turn.person, turn.absence or "leave") for turn in answer.absent)
        centre = self._centres[resident.centre_id]
        persons = centre.first_who_speak(resident.language, [turn.person for turn in answer.turns])
        return Found(self._with_phone(persons), away)

    def _by_name(self, resident: Resident, person_id: UUID) -> Found:
        if why := self._away(resident, person_id):
            return Found(skipped=(Skipped(person_id, why),))
        return Found(self._with_phone([person_id]))

    def _away(self, resident: Resident, person_id: UUID) -> str | None:
        if person_id in self._left:
            return "left"
        absences = self._centres[resident.centre_id].rota.absences
        held = [absence for absence in absences if absence.person == person_id and absence.holds(self.now)]
        return max(held, key=lambda absence: absence.starts_at).kind if held else None

    def _family(self, resident: Resident) -> Found:
        zone = ZoneInfo(resident.time_zone)
        quiet = {
            r.person_id: in_quiet_hours(self.now, zone, r.quiet_from, r.quiet_until)
            for r in self._relatives.get(resident.id, ())
        }
        awake = self._with_phone([person for person, is_quiet in quiet.items() if not is_quiet])
        return Found(awake, tuple(Skipped(person, "quiet") for person, is_quiet in quiet.items() if is_quiet))

    def _with_phone(self, person_ids: Sequence[UUID]) -> tuple[UUID, ...]:
        callable_by_phone = (p for p in person_ids if p in self._people and self._people[p].phone is not None)
        return tuple(p for p in callable_by_phone if p not in self._left)

    async def _centre(self, centre_id: int) -> _Centre:
        rota = await on_duty.rota(self.c, centre_id, self.now, self.until or self.now)
        staff = await people.staff(self.c, centre_id)
        uses = tuple((use, _readable(use)) for use in await policies.uses(self.c, centre_id))
        fallback = await policies.fallback(self.c, centre_id)
        self._people |= {person.id: person for person in staff}
        named = {t.person for _, policy in uses for step in policy.steps for t in step.targets if t.person}
        await self._know(
            named | {turn.person for turn in rota.everybody(self.now)} | ({fallback} if fallback else set())
        )
        line = self._people.get(fallback) if fallback else None
        spoken = await team.languages(self.c, centre_id)
        return _Centre(rota, tuple(p.id for p in staff), uses, line.id if line and line.phone else None, spoken)

    async def _know(self, person_ids: set[UUID]) -> None:
        if new := person_ids - set(self._people):
            self._people |= await people.people(self.c, list(new))
            self._left |= await people.left(self.c, new)


def _readable(use: Use) -> Policy:
    """What is written, or the shipped policy where that cannot be read: people are called all the same, and it is told loudly."""
    try:
        return parse(use.content)
    except PolicyError as error:
        UNREADABLE.inc()
        log.exception("policy_unreadable", policy=use.policy_id, priority=use.priority, why=error.code)
        return SHIPPED[use.priority]
