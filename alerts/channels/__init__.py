"""Ways to reach a person: one module each, with :class:`Channel`'s four methods and what can come of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal, Protocol

from store.messages import MessageRow

ChannelName = Literal["sms", "voice", "push", "email"]
Outcome = Literal["sent", "delivered", "failed"]

SEND_TIMEOUT_S: Final = 8.0
"""From the first byte to the last: a sender that hangs longer has lost its answer. Every channel keeps to it."""

utc_now: Final = partial(datetime.now, UTC)
"""The clock of a channel that is given no other."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The provider has the message. ``sid`` is its name there; ``error`` the provider's code when it failed.

    ``provider`` says which took it, where a channel has several.
    """

    sid: str
    outcome: Outcome = "sent"
    error: str | None = None
    provider: str | None = None


class Channel(Protocol):
    """A way to reach a person. To be used within one event loop."""

    @property
    def confirms(self) -> bool:
        """Whether word of the delivery comes; without it, that a message was sent is the last that is heard of it."""
        ...

    async def send(self, message: MessageRow) -> Receipt:
        """Hand a message to the provider. Raises a :class:`SendError`."""
        ...

    async def find(self, message: MessageRow) -> list[Receipt]:
        """What the provider has that could be this message, newest first. Raises a :class:`SendError`."""
        ...

    async def status(self, sid: str) -> Receipt:
        """How a message fares that the provider knows by this name. Raises a :class:`SendError`."""
        ...

    async def close(self) -> None:
        """Close the connections to the provider."""
        ...


class SendError(Exception):
    """A message was not sent, or nobody knows. ``code`` is the provider's, or a word of ours."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Unreachable(SendError):
    """This person cannot be reached by this channel; trying again will not help."""


class TryAgain(SendError):
    """It was surely not sent, and may go through later: not before ``after_s`` seconds, where the provider says so."""

    def __init__(self, code: str, message: str, after_s: float | None = None) -> None:
        super().__init__(code, message)
        self.after_s = after_s


class Uncertain(SendError):
    """No answer came: it may have been sent. To be looked up before it is sent again."""
