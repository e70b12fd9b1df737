"""How many messages may be on their way at once, by channel and priority, and how fast a provider is fed. Pure.

Each channel has slots of its own: a mail server that hangs holds up no telephone. Of these, what can wait never takes
the last ones, so that a storm of it never makes what is urgent queue. Whatever a provider takes faster than its numbers
may send, it queues itself, the urgent behind the rest; so what can wait is fed at the pace of the number, and its queue
stays empty. High priority waits for no pace: it borrows from what comes later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from alerts.policy import PRIORITIES

SLOTS: Final = 48
"""Requests under way at once in one channel. Twilio refuses more than about a hundred of one account (429)."""
ROOM: Final[Mapping[str, int]] = MappingProxyType({"high": SLOTS, "medium": SLOTS * 5 // 6, "low": SLOTS * 2 // 3})
"""How many of the slots a priority may fill: low never takes the last third."""


@dataclass(slots=True)
class Pace:
    """A token bucket: ``per_s`` messages a second, after a rest ``burst`` at once. ``None``: as fast as they come."""

    per_s: float | None = None
    burst: float = 10.0
    _left: float = field(init=False)
    _as_of: datetime | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._left = self.burst

    def left(self, now: datetime) -> float:
        """How many may go now; negative while what has been borrowed is paid back. A clock set back gives nothing."""
        if self.per_s is None:
            return float("inf")
        if self._as_of is not None and now > self._as_of:
            self._left = min(self._left + (now - self._as_of).total_seconds() * self.per_s, self.burst)
        self._as_of = now
        return self._left

    def take(self, n: int) -> None:
        """So many go."""
        self._left -= n

    def next_at(self, now: datetime) -> datetime:
        """When the next may go."""
        left = self.left(now)
        if self.per_s is None or left >= 1:
            return now
        return now + timedelta(seconds=(1 - left) / self.per_s)


@dataclass(slots=True)
class Traffic:
    """What is under way in one channel."""

    pace: Pace = field(default_factory=Pace)
    under_way: int = 0
    _closed_until: datetime | None = None

    def room(self, priority: str, now: datetime) -> int:
        """How many messages of a priority may be begun now."""
        free = max(ROOM[priority] - self.under_way, 0)
        if priority == PRIORITIES[0]:
            return free
        if self._is_closed(now):
            return 0
        return int(max(min(free, self.pace.left(now)), 0))

    def opens_at(self, priority: str, now: datetime) -> datetime | None:
        """When there is room for this priority as far as time decides it; ``None``: when one that is under way ends."""
        if ROOM[priority] <= self.under_way:
            return None
        if priority == PRIORITIES[0]:
            return now
        closed_until = self._closed_until if self._closed_until and self._is_closed(now) else now
        return max(closed_until, self.pace.next_at(now))

    def begin(self) -> None:
        """One more is under way."""
        self.under_way += 1
        self.pace.take(1)

    def end(self) -> None:
        """One has its answer, or will have none."""
        self.under_way -= 1

    def close(self, until: datetime) -> None:
        """The provider has too much: what can wait is kept from it until then."""
        if self._closed_until is None or until > self._closed_until:
            self._closed_until = until

    def _is_closed(self, now: datetime) -> bool:
        """A pause that has become longer than any provider asks for is one of a clock that has been set back."""
        if self._closed_until is None:
            return False
        return now < self._closed_until <= now + LONGEST_PAUSE


LONGEST_PAUSE: Final = timedelta(minutes=5)
"""What a provider may ask for with Retry-After (house default)."""
