"""What a call is in the record: a message for every way to every person it reaches, and what the trail says of it.

Nothing is looked up here, and nothing written: people, ways and words are known by now.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import structlog
from prometheus_client import Counter

from alerts import wording
from alerts.deployment import Protocols
from alerts.escalation import Plan
from alerts.lifecycle import Alert
from alerts.reach import Way
from alerts.rule import Audience
from alerts.whom import Whom
from store.alerts import AlertRow, NewEvent
from store.messages import MessageRow, NewMessage
from store.people import Person
from store.residents import Resident

log = structlog.get_logger(__name__)

UNMANNED: Final = Counter("hearthwatch_calls_unmanned_total", "Calls for which nobody on duty could be named.")
EXHAUSTED: Final = Counter("hearthwatch_alerts_exhausted_total", "Alerts to which everybody was called in vain.")

# A stale alert must not arrive tomorrow: a message lives about as long as its policy takes for two rounds.
_GOOD_FOR: Final = MappingProxyType(
    {"high": timedelta(minutes=15), "medium": timedelta(hours=1), "low": timedelta(hours=4)}
)
_NEWS_GOOD_FOR: Final = timedelta(hours=1)


def about(resident: Resident, language: str) -> wording.About:
    """The resident as a message in ``language`` names her to staff."""
    return wording.About(resident.name(language), resident.address(language), resident.phone)


@dataclass(frozen=True, slots=True)
class Going:
    """An alert that goes on: as it stood, as it stands before the call, and who had promised to come and did not."""

    row: AlertRow
    alert: Alert
    broken: UUID | None = None

    @property
    def promised_min(self) -> int | None:
        """How many minutes ago she promised to come who has not."""
        if self.broken is None or self.row.acknowledged_at is None or self.row.climb_at is None:
            return None
        return round((self.row.climb_at - self.row.acknowledged_at).total_seconds() / 60)


@dataclass(frozen=True, slots=True)
class Call:
    """One call that is made: the alert it is about, whom it reaches, and who of them is told something else."""

    going: Going
    plan: Plan
    after: Alert
    taker: UUID | None = None


@dataclass(frozen=True, slots=True)
class Letters:
    """Writes for one moment, knowing the people of ``whom``."""

    whom: Whom
    now: datetime

    def messages(
        self,
        call: Call,
        person: Person,
        ways: Iterable[Way],
        protocols: Protocols,
        resident: Resident,
        code: int,
        in_vain: Sequence[UUID],
    ) -> list[NewMessage]:
        """A message for each of ``ways`` to a person; ``in_vain`` are those who were called before and did not answer."""
        row, waits_until = call.going.row, call.plan.climb_at
        kind, audience, named = self._kind(call, person, resident)
        sentence = protocols.sentence(row, audience, person.language) or wording.without_rule(row.rule, person.language)
        if resident.is_probe:
            kind, sentence = "heartbeat", ""
        named_in_vain = [self.whom.person(p).name(person.language) for p in in_vain]
        made = []
        for way in ways:
            due_at = min(self.now + way.after, self.now + (waits_until - self.now) / 2)
            said = wording.say(
                kind,
                way.channel,
                person.language,
                named,
                sentence=sentence,
                code=code,
                person=self._broken_by(call, person),
                minutes=call.going.promised_min,
                priority=row.priority,
                calls=named_in_vain,
            )
            made.append(
                NewMessage(
                    purpose="also" if kind == "also" else "alert",
                    priority=row.priority,
                    person_id=person.id,
                    channel=way.channel,
                    address=way.address,
                    language=person.language,
                    subject=said.subject,
                    body=said.body,
                    due_at=due_at,
                    expires_at=self.now + _GOOD_FOR[row.priority],
                    made_at=self.now,
                    alert_id=row.id,
                    resident_id=row.resident_id,
                    step=call.after.call,
                    code=code,
                )
            )
        return made

    def _kind(self, call: Call, person: Person, resident: Resident) -> tuple[str, Audience, wording.About]:
        """In which words a person is called, for whom they are meant, and how the resident is named to her."""
        named = self.named(resident, person)
        if self.is_relative(resident, person.id):
            return "family", "family", named
        if call.taker == person.id:
            return "also", "staff", named
        if call.going.broken is not None:
            return "lapsed", "staff", named
        return ("exhausted" if call.plan.exhausted else "alert"), "staff", named

    def named(self, resident: Resident, person: Person) -> wording.About:
        """The resident as this person calls her; where she lives and her telephone are for staff."""
        relative = self.whom.relative(resident.id, person.id)
        if relative is None or not self.is_relative(resident, person.id):
            return about(resident, person.language)
        called = relative.called_zh if person.language == wording.ZH else relative.called_en
        return wording.About(called or resident.name(person.language), "")

    def is_relative(self, resident: Resident, person_id: UUID) -> bool:
        is_staff = self.whom.is_staff(resident, person_id)
        return self.whom.relative(resident.id, person_id) is not None and not is_staff

    def _broken_by(self, call: Call, reader: Person) -> str:
        """Who promised to come and has not, as ``reader`` reads it; empty when that is she herself."""
        if call.going.broken in (None, reader.id):
            return ""
        return self.whom.person(call.going.broken).name(reader.language)

    def told_of(self, call: Call) -> list[NewEvent]:
        """What the trail says of a call beside whom it reaches: who was passed over, and that nobody is left."""
        row, plan = call.going.row, call.plan
        events = [self.event(row, "skipped", skipped.person, {"why": skipped.why}) for skipped in plan.skipped]
        detail = {"called_instead": len(plan.persons)}
        if plan.unmanned:
            UNMANNED.inc()
            log.error("nobody_on_duty", alert=row.id, **detail)
            events.append(self.event(row, "unmanned", None, detail))
        if plan.exhausted and call.going.alert.exhausted_at is None:
            EXHAUSTED.inc()
            log.error("everybody_called_in_vain", alert=row.id, **detail)
            events.append(self.event(row, "exhausted", None, detail))
        return events

    def called(self, call: Call, person_id: UUID, ways: Sequence[Way]) -> NewEvent:
        """What the trail says of a person whom the call reaches."""
        kind = "called" if call.going.row.call == 0 else "climbed"
        detail = {"step": call.plan.step, "round": call.plan.rounds, "ways": [way.channel for way in ways]}
        event = self.event(call.going.row, kind, person_id, detail)
        return replace(event, channel=ways[0].channel if ways else None)

    def event(
        self, row: AlertRow, kind: str, person_id: UUID | None = None, detail: Mapping[str, Any] | None = None
    ) -> NewEvent:
        """A line of an alert's trail."""
        return NewEvent(row.id, row.resident_id, kind, self.now, person_id, detail=detail or {})

    def news(self, kind: str, row: AlertRow, named: wording.About, to: MessageRow, taker: Person | None) -> NewMessage:
        """What somebody who was called by the message ``to`` learns since: it is taken, or closed."""
        by = taker.name(to.language) if taker else ""
        said = wording.say(kind, to.channel, to.language, named, person=by, code=to.code)
        return NewMessage(
            purpose=kind,
            priority="low",
            person_id=to.person_id,
            channel=to.channel,
            address=to.address,
            language=to.language,
            subject=said.subject,
            body=said.body,
            due_at=self.now,
            expires_at=self.now + _NEWS_GOOD_FOR,
            made_at=self.now,
            alert_id=row.id,
            resident_id=row.resident_id,
            step=row.call,
        )
