"""What was asked of Twilio's API and what it answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Exchange:
    """One request to Twilio's API and its answer. ``fields`` are those of its form: a name may come several times."""

    method: str
    path: str
    query: dict[str, str]
    fields: list[tuple[str, str]]
    status: int
    answer: dict[str, Any]

    @property
    def form(self) -> dict[str, str]:
        return dict(self.fields)
