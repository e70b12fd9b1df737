"""What is open about one resident, as somebody who was called to it can answer it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from alerts import wording
from alerts.lifecycle import ENDS, WAITS
from alerts.replies import Verb
from store.replies import CalledTo

_NO_CODE: Final = 10_000
"""From here on no number names a conversation in a message."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """The alerts about one resident to which ``person_id`` has been called, the worst first."""

    person_id: UUID
    alerts: tuple[CalledTo, ...]

    @property
    def code(self) -> int:
        """The number with which a reply names it; 0 while it has none."""
        return next(
            (alert.code for alert in self.alerts if alert.code and alert.state not in ENDS), self.alerts[0].code or 0
        )

    @property
    def resident_id(self) -> int:
        """Whom it is about."""
        return self.alerts[0].resident_id

    @property
    def is_open(self) -> bool:
        """Whether any of its alerts is."""
        return any(alert.state not in ENDS for alert in self.alerts)

    @property
    def waiting(self) -> CalledTo | None:
        """The worst of its alerts that nobody has taken."""
        return next((alert for alert in self.alerts if alert.state in WAITS), None)

    @property
    def hers(self) -> CalledTo | None:
        """One that she has taken or attends herself; one she still has to go to before one she is at."""
        return self._taken(by_her=True)

    @property
    def others(self) -> CalledTo | None:
        """One that somebody else has taken or attends."""
        return self._taken(by_her=False)

    @property
    def declined(self) -> bool:
        """Whether she has said of all that waits that she cannot come."""
        return all(alert.declined for alert in self.alerts if alert.state in WAITS)

    @property
    def told_at(self) -> datetime:
        """When she last heard of it."""
        return max(alert.told_at for alert in self.alerts)

    def about(self, language: str) -> wording.About:
        """The resident as this person may know her."""
        resident = self.alerts[0]
        zh = language == wording.ZH
        name, address = (resident.name_zh, resident.address_zh) if zh else (resident.name_en, resident.address_en)
        if resident.is_relative:
            return wording.About((resident.called_zh if zh else resident.called_en) or name)
        return wording.About(name, address, resident.phone)

    @property
    def not_taken(self) -> CalledTo | None:
        """One that is open and nobody's, though it does not wait: put aside, or taken back by the resident."""
        return next((alert for alert in self.alerts if alert.state in ("shelved", "cancelled")), None)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do for her about it, because of what others have done."""
        return self.hers is None and self.waiting is None

    def _taken(self, *, by_her: bool) -> CalledTo | None:
        for state in ("acknowledged", "attended"):
            for alert in self.alerts:
                if alert.state == state and (alert.taker_id == self.person_id) is by_her:
                    return alert
        return None


def conversations(person_id: UUID, called_to: Iterable[CalledTo]) -> list[Conversation]:
    """The alerts to which this person has been called, by resident, in their order."""
    found: dict[int, list[CalledTo]] = {}
    for alert in called_to:
        found.setdefault(alert.resident_id, []).append(alert)
    return [Conversation(person_id, tuple(alerts)) for alerts in found.values()]


def by_code(known: Iterable[Conversation]) -> dict[int, Conversation]:
    """Each under the number that names it. One that is closed, and whose number another bears by now, gets one of its own."""
    found: dict[int, Conversation] = {}
    for conversation in sorted(known, key=lambda one: not one.is_open):
        taken = not conversation.code or conversation.code in found
        found[_NO_CODE + len(found) if taken else conversation.code] = conversation
    return found


def waiting(known: Iterable[Conversation]) -> list[Conversation]:
    """Those in which something waits."""
    return [conversation for conversation in known if conversation.waiting is not None]


def possible(verb: Verb, known: Sequence[Conversation]) -> list[Conversation]:
    """Those that ``verb`` can be about: what she has refused already only if there is nothing else."""
    waits = waiting(known)
    fresh = [conversation for conversation in waits if not conversation.declined]
    taken = [one for one in known if one.hers is not None and one.hers.state == "acknowledged"]
    if verb == "take":
        return fresh or waits
    return fresh or taken if verb == "decline" else taken or waits
