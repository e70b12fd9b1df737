"""What the roles of a rota and its lines are called."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from clinicians.words import N_, Words

ROLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "care_worker": N_("care worker"),
        "volunteer": N_("volunteer"),
        "building_leader": N_("building leader"),
        "doctor_on_call": N_("doctor on call"),
        "supervisor": N_("supervisor"),
    }
)
LINES: Final = (
    N_("called first"),
    N_("called second"),
    N_("called third"),
    N_("called fourth"),
    N_("called fifth"),
)
"""The lines of a role, from 1 on."""


def duty(role: str, line: int, words: Words) -> str:
    """A role and its line, such as 'care worker, called first'."""
    comma = words.gettext(", ")
    return f"{words.gettext(ROLES[role])}{comma}{words.gettext(LINES[line - 1])}"
