"""What would have been an alarm, and was learned too late to call anybody, as its doctor reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
    measured = [] if rule.on_event else [metric.name for metric in rule.measured if metric.name in evidence]
    said = [f"{vitals.metric_name(name, words)} {vitals.value(name, evidence[name], words)}" for name in measured]
    return f"{title}{words.gettext(': ')}{words.gettext(', ').join(said)}" if said else title


def worst_first(notes: Sequence[Late]) -> list[Late]:
    """The most urgent first, of those the one that happened last."""
    return sorted(notes, key=lambda one: (_WORST_FIRST[one.priority], -one.happened_at.timestamp()))


@router.post("/doctor/residents/{resident_id}/late/{note_id}/seen")
async def see(request: Request, visitor: Doctor, resident_id: int, note_id: int) -> Response:
    """She has seen it; whoever is first counts."""
    database: Database = request.app.state.database
    async with database.service() as c:
        if not await alerts.may_act(c, visitor.person_id, resident_id, None):
            raise Refused(404)
        if await late_notes.see(c, resident_id, note_id, visitor.person_id, datetime.now(UTC)):
            await audit.record(c, "saw_late_note", visitor.person_id, resident_id, note=note_id)
    return back_to(f"/doctor/residents/{resident_id}")
