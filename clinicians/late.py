"""What would have been an alarm, and was learned too late to call anybody, as its doctor reads it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from fastapi import APIRouter, Request, Response

from alerts.deployment import Protocols
from alerts.rule import Rule
from clinicians import vitals
from clinicians.pages import PageRoute, back_to
from clinicians.visitor import Doctor, Refused
from clinicians.words import Words
from store import alerts, audit, late_notes
from store.late_notes import LateNote
from store.postgres import Database

router = APIRouter(route_class=PageRoute, include_in_schema=False)

KEPT: Final = timedelta(days=30)
"""How long what has been seen still stands on the page."""
_WORST_FIRST: Final = MappingProxyType({"high": 0, "medium": 1, "low": 2})


@dataclass(frozen=True, slots=True)
class Late:
    """One of them. ``seen_by`` and ``seen_at`` say who has seen it; ``replaced`` as in :class:`clinicians.cases.Case`."""

    id: int
    resident_id: int
    priority: str
    sentence: str
    happened_at: datetime
    learned_at: datetime
    seen_at: datetime | None
    seen_by: str
    replaced: str


def late(note: LateNote, protocols: Protocols, words: Words) -> Late:
    """A note in the words of the rule that made it."""
    rule = protocols.rule(note.protocol, note.rule)
    return Late(
        id=note.id,
        resident_id=note.resident_id,
        priority=note.priority,
        sentence=_sentence(rule, note.evidence, words)
        if rule
        else words.gettext("An alert of a rule that is no longer in force: %(rule)s", rule=note.rule),
        happened_at=note.happened_at,
        learned_at=note.learned_at,
        seen_at=note.seen_at,
        seen_by=note.seer(words.language),
        replaced="" if protocols.is_present(note.protocol) else note.protocol,
    )


def _sentence(rule: Rule, evidence: Mapping[str, Any], words: Words) -> str:
    """What the rule says to staff; of one that asks first, its title and what was measured, for nobody has been asked."""
    if rule.ask is None:
        return rule.sentence("staff", words.language, evidence)
    title = rule.titles[words.language]
    said = "" if rule.on_event else _measured([limit.metric.name for limit in rule.when], evidence, words)
    return f"{title}{words.gettext(': ')}{said}" if said else title


def _measured(judged: Collection[str], evidence: Mapping[str, Any], words: Words) -> str:
    """The values that were judged; what a single one is, or a pressure, the rule's title says."""
    known = {name: evidence[name] for name in judged if name in evidence}
    if {"systolic", "diastolic"} == set(known):
        return f"{words.number(known['systolic'])}/{vitals.value('diastolic', known['diastolic'], words)}"
    if len(known) == 1:
        return "".join(vitals.value(name, number, words) for name, number in known.items())
    named = (
        words.gettext("%(name)s %(value)s", name=vitals.metric_name(n, words), value=vitals.value(n, v, words))
        for n, v in known.items()
    )
    return words.gettext(", ").join(named)


def worst_first(notes: Sequence[Late]) -> list[Late]:
    """The most urgent first, of those the one that happened last."""
    return sorted(notes, key=lambda one: (_WORST_FIRST[one.priority], -one.happened_at.timestamp()))


@router.post("/doctor/residents/{resident_id}/late/{note_id}/seen")
async def see(request: Request, visitor: Doctor, resident_id: int, note_id: int) -> Response:
    """She has seen it; whoever is first counts."""
    database: Database = request.app.state.database
    async with database.service() as c:
        if not await alerts.may_act(c, visitor.person_id, resident_id, None, visitor.now):
            raise Refused(404)
        if await late_notes.see(c, resident_id, note_id, visitor.person_id, visitor.now):
            await audit.record(c, "saw_late_note", visitor.person_id, resident_id, note=note_id)
    return back_to(f"/doctor/residents/{resident_id}")
