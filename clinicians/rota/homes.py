"""A resident and a moment to ask about. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Final

from alerts.shifts import instant
from clinicians.words import Words
from store.team import Home

_NIGHT: Final = time(3, 10)


def choices(homes: Sequence[Home], words: Words) -> list[tuple[int, str]]:
    """Everybody by name and address: two may bear one name."""
    language, comma = words.language, words.gettext(", ")
    return [(h.resident_id, f"{h.name(language)}{comma}{h.address(language)}") for h in homes]


def chosen(typed: str, homes: Sequence[Home]) -> Home | None:
    """The resident whom a form names, else the first by name."""
    return next((h for h in homes if str(h.resident_id) == typed), homes[0] if homes else None)


def next_night(words: Words) -> datetime:
    """The next ten past three at night: when a rota has to prove itself."""
    tonight = instant(words.today, _NIGHT, words.zone)
    return tonight if tonight > words.now else instant(words.today + timedelta(days=1), _NIGHT, words.zone)
