"""Ways to reach a person: one module each, with ``send(message) -> Receipt`` and what can come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["sent", "delivered", "failed"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """The provider has the message. ``sid`` is its name there; ``error`` the provider's code when it failed."""

    sid: str
    outcome: Outcome = "sent"
    error: str | None = None


class SendError(Exception):
    """A message was not sent, or nobody knows. ``code`` is the provider's, or a word of ours."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Unreachable(SendError):
    """This person cannot be reached by this channel; trying again will not help."""


class TryAgain(SendError):
    """It was surely not sent, and may go through later."""


class Uncertain(SendError):
    """No answer came: it may have been sent. To be looked up before it is sent again."""
