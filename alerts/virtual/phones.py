"""Phones: whose they are, and what they and their owners do with what arrives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from alerts.virtual.refusals import REFUSALS, UNDELIVERED

_CALLS: Final = frozenset({"ring", "answer", "unknown", "hang_up", "machine", "busy", "no-answer", "failed"})
_SMS: Final = frozenset({"deliver", "hold"})
KEYS: Final = frozenset("0123456789*#")


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose phone it is."""

    name_zh: str
    name_en: str
    role: str


@dataclass(frozen=True, slots=True)
class Habit:
    """What becomes of everything that comes to a phone, until it is changed.

    ``sms``: ``deliver``; ``hold``, as while a phone is off, until it is on or the message is too old; or an error code,
    of a refusal or of a delivery that fails.

    ``calls``: ``ring`` until the owner does something or the caller gives up; ``answer``, and press one of ``keys`` at
    each question; ``unknown``, answered so silently that nobody can tell whether it is a machine; ``hang_up`` at once;
    ``machine``, a mailbox; ``busy``, ``no-answer``, ``failed``; or the error code of a refusal.
    """

    sms: str = "deliver"
    calls: str = "ring"
    keys: str = ""

    def __post_init__(self) -> None:
        codes = {str(code) for code in REFUSALS}
        _check("sms", self.sms, _SMS | codes | {str(code) for code in UNDELIVERED})
        _check("calls", self.calls, _CALLS | codes)
        if not set(self.keys) <= KEYS:
            raise ValueError(f"no such keys: {self.keys!r}")


def _check(what: str, given: str, known: frozenset[str] | set[str]) -> None:
    if given not in known:
        raise ValueError(f"no such habit of {what}: {given!r}; there are {', '.join(sorted(known))}")


HABITS: Final[Mapping[str, Habit]] = {
    "on": Habit(),
    "off": Habit("hold", "no-answer"),
    "dead": Habit("30005", "failed"),
    "landline": Habit("30006", "ring"),
    "voicemail": Habit("deliver", "machine"),
}
"""Habits by name."""
