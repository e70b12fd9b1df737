"""An alert as its reader meets it: one sentence, who comes and by when, and its trail in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Literal
from uuid import UUID

from alerts.deployment import Protocols
from alerts.lifecycle import ENDS
from alerts.quality import STALE
from clinicians.words import N_, Words
from store.alerts import AlertRow, TrailRow
from store.portal import Call, Lapse, Named
from store.quality import Episodes

Audience = Literal["staff", "family", "resident"]
Outcome = Literal["well", "helped", "doctor", "hospital", "false_alarm", "device"]

PRIORITIES: Final = MappingProxyType({"high": N_("Urgent"), "medium": N_("Soon"), "low": N_("Task")})

# The codes are stored as an alert's outcome; a text that is none of them was written by a person.
OUTCOMES: Final = MappingProxyType(
    {
        "well": N_("Spoke to her or him: all is well"),
        "helped": N_("Helped on the spot"),
        "doctor": N_("Told the doctor"),
        "hospital": N_("Went to hospital"),
        "false_alarm": N_("It was a false alarm"),
        "device": N_("The device has been put right"),
    }
)

# Beside those, what came of a fall alert of which nobody can say whether it was a fall (clinicians.falls).
_OF_FALLS: Final = MappingProxyType({"unclear": N_("Nobody can say whether it was a fall")})

# What closes an alert without a person.
_ENDS: Final = MappingProxyType({"left": N_("The resident is no longer watched over here")})

_TRAIL: Final = {
    "raised": N_("raised"),
    "raised_again": N_("happened again"),
    "confirmed": N_("confirmed"),
    "worse": N_("has become worse"),
    "notified": N_("staff are being called"),
    "called": N_("called"),
    "climbed": N_("called because nobody had taken it"),
    "unmanned": N_("nobody is on duty: everybody is called"),
    "exhausted": N_("everybody has been called in vain"),
    "skipped": N_("passed over"),
    "acknowledged": N_("taken"),
    "lapsed": N_("has not come by the time that was promised"),
    "attended": N_("is there"),
    "declined": N_("cannot come"),
    "released": N_("cannot come after all"),
    "cancelled": N_("taken back by the resident"),
    "shelved": N_("put aside"),
    "unshelved": N_("no longer put aside"),
    "cleared": N_("the values are back by themselves"),
    "resolved": N_("closed"),
    "expired": N_("ended by itself"),
    "judged": N_("said anew whether it was a fall"),
    "note": N_("note"),
    "sent": N_("message sent"),
    "delivered": N_("message delivered"),
    "failed": N_("message could not be delivered"),
    "answered": N_("answered"),
}
_CALL_STATES: Final = {
    "due": N_("still to come"),
    "sending": N_("being sent"),
    "uncertain": N_("not known whether it arrived"),
    "sent": N_("sent"),
    "delivered": N_("delivered"),
    "failed": N_("not delivered"),
    "cancelled": N_("no longer needed"),
}
_CHANNELS: Final = {
    "sms": N_("by SMS"),
    "page": N_("on this page"),
    "web": N_("on this page"),
    "voice": N_("by telephone"),
    "push": N_("by push message"),
    "email": N_("by e-mail"),
}
_WAYS: Final = {
    "sms": N_("SMS"),
    "voice": N_("telephone"),
    "push": N_("push message"),
    "email": N_("e-mail"),
}
# Why somebody whose turn it was is not called.
_PASSED_OVER: Final = {
    "sick": N_("off sick"),
    "leave": N_("on leave"),
    "on_visit": N_("on a visit"),
    "unreachable": N_("cannot be reached"),
    "declined": N_("cannot come"),
    "quiet": N_("quiet hours"),
    "no_phone": N_("no telephone"),
    "left": N_("has left"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """One line of a trail."""

    at: datetime
    who: str
    text: str
    detail: str


@dataclass(frozen=True, slots=True)
class Called:
    """Somebody who was called, by which channel, and how far the message came."""

    who: str
    how: str
    state: str
    has_arrived: bool
    has_failed: bool


@dataclass(frozen=True, slots=True)
class Case:
    """One alert for one reader.

    ``standing``: ``waiting``, ``taken`` (somebody is on the way, to be there ``by``), ``attended`` (is there), ``cancelled``
    (the resident took it back: to be asked after), ``shelved`` or ``closed``. ``exhausted_at``: since when everybody has been
    called in vain. ``lapsed_by`` had taken it and has not come. ``held_until``: nobody is called before. ``replaced`` is the protocol that made it, when another is in force by now. ``times``: how often its condition has
    come since ``first_at``, so often in so short a time that it ``chatters``. ``is_stale``: open for more than a day.
    """

    id: int
    resident_id: int
    rule: str
    priority: str
    priority_word: str
    is_task: bool
    sentence: str
    standing: str
    raised_at: datetime
    cleared_at: datetime | None
    taken_by: str
    is_mine: bool
    taken_at: datetime | None
    climb_at: datetime | None
    shelved_until: datetime | None
    closed_at: datetime | None
    closed_by: str
    outcome: str
    called: tuple[Called, ...] = ()
    trail: tuple[Step, ...] = ()
    replaced: str = ""
    times: int = 1
    first_at: datetime | None = None
    chatters: bool = False
    is_stale: bool = False
    by: datetime | None = None
    exhausted_at: datetime | None = None
    attended_at: datetime | None = None
    cancelled_at: datetime | None = None
    lapsed_by: str = ""
    held_until: datetime | None = None

    @property
    def is_fall(self) -> bool:
        """Whether staff are asked, when they close it, whether it was a fall."""
        return is_fall(self.rule)


_STANDINGS: Final = {
    "raised": "waiting",
    "notifying": "waiting",
    "acknowledged": "taken",
    "attended": "attended",
    "cancelled": "cancelled",
    "shelved": "shelved",
    "resolved": "closed",
    "expired": "closed",
}


def sentence(protocols: Protocols, alert: AlertRow, audience: Audience, words: Words) -> str:
    """What happened, in the words of the rule that made it; an alert of a rule that nobody knows says that much."""
    said = protocols.sentence(alert, audience, words.language)
    if said is None:
        return words.gettext("An alert of a rule that is no longer in force: %(rule)s", rule=alert.rule)
    return said


def is_fall(rule: str) -> bool:
    """Whether an alert of this rule is about a fall."""
    return rule == "fall" or rule.startswith("fall.")


def outcomes(words: Words) -> dict[str, str]:
    """What can have come of an alert, by its code."""
    return {code: words.gettext(text) for code, text in OUTCOMES.items()}


def outcome(text: str | None, words: Words, *, for_staff: bool) -> str:
    """What came of an alert. What staff wrote in their own words stays among staff."""
    if not text:
        return ""
    if text in _ENDS:
        return words.gettext(_ENDS[text])
    code, _, rest = text.partition(": ")
    if code in OUTCOMES or code in _OF_FALLS:
        known = words.gettext(OUTCOMES.get(code) or _OF_FALLS[code])
        return f"{known} · {rest}" if rest and for_staff else known
    return text if for_staff else ""


def case(
    alert: AlertRow,
    protocols: Protocols,
    audience: Audience,
    words: Words,
    people: Mapping[UUID, Named],
    reader: UUID,
    *,
    calls: Sequence[Call] = (),
    trail: Sequence[TrailRow] = (),
    episodes: Episodes | None = None,
    lapse: Lapse | None = None,
) -> Case:
    """An alert for one reader. ``people`` holds those whom the reader may see by name."""
    staff = audience == "staff"
    rule = protocols.rule(alert.protocol, alert.rule)
    return Case(
        id=alert.id,
        resident_id=alert.resident_id,
        rule=alert.rule,
        priority=alert.priority,
        priority_word=words.gettext(PRIORITIES[alert.priority]),
        is_task=alert.priority == "low" or (rule is not None and not rule.calls),
        sentence=sentence(protocols, alert, audience, words),
        standing=_STANDINGS[alert.state],
        raised_at=alert.raised_at,
        cleared_at=alert.cleared_at,
        taken_by=_name(alert.acknowledged_by, people, words),
        is_mine=alert.acknowledged_by == reader,
        taken_at=alert.acknowledged_at,
        climb_at=alert.climb_at,
        by=alert.climb_at if alert.state == "acknowledged" else None,
        exhausted_at=alert.exhausted_at,
        attended_at=alert.attended_at,
        cancelled_at=alert.cancelled_at,
        shelved_until=alert.shelved_until,
        closed_at=alert.resolved_at,
        closed_by=_name(alert.resolved_by, people, words),
        outcome=outcome(alert.outcome, words, for_staff=staff),
        called=tuple(_called(call, words) for call in calls),
        trail=tuple(_step(row, words) for row in trail),
        replaced="" if protocols.is_present(alert.protocol) else alert.protocol,
        times=episodes.times if episodes else 1,
        first_at=episodes.since if episodes else None,
        chatters=episodes is not None and episodes.chatters,
        is_stale=alert.state not in ENDS and words.now - alert.raised_at > STALE,
        held_until=alert.climb_at if alert.state == "raised" and alert.call == 0 else None,
        lapsed_by=lapse.name(words.language) if lapse else "",
    )


def named(alerts: Sequence[AlertRow]) -> list[UUID]:
    """Everybody whose name these alerts need."""
    people = {person for a in alerts for person in (a.acknowledged_by, a.attended_by, a.resolved_by) if person}
    return sorted(people)


def _name(person_id: UUID | None, people: Mapping[UUID, Named], words: Words) -> str:
    if person_id is None:
        return ""
    person = people.get(person_id)
    return person.name(words.language) if person else words.gettext("a colleague at the health centre")


def _called(call: Call, words: Words) -> Called:
    state = words.gettext(_CALL_STATES.get(call.state, N_("being sent")))
    how = words.gettext(_WAYS[call.channel]) if call.channel in _WAYS else call.channel
    return Called(call.name(words.language), how, state, call.state == "delivered", call.state == "failed")


def _step(row: TrailRow, words: Words) -> Step:
    who = (row.name_zh if words.language == "zh_Hans" else row.name_en) or ""
    text = words.gettext(_TRAIL[row.kind]) if row.kind in _TRAIL else row.kind.replace("_", " ")
    if row.channel in _CHANNELS:
        text = words.gettext("%(what)s %(how)s", what=text, how=words.gettext(_CHANNELS[row.channel]))
    return Step(row.at, who, text, _detail(row.detail, words))


def _detail(detail: Mapping[str, Any], words: Words) -> str:
    if isinstance(text := detail.get("outcome"), str):
        return outcome(text, words, for_staff=True)
    if passed_over := _PASSED_OVER.get(str(detail.get("why"))):
        return words.gettext(passed_over)
    return str(detail["error"]) if detail.get("error") else ""
