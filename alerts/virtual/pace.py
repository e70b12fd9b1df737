"""How many requests Twilio takes in a second before it answers 429."""

from __future__ import annotations

from collections import deque


class Pace:
    """At most ``per_second`` in any second; ``None`` for as many as come."""

    def __init__(self, per_second: int | None) -> None:
        self._per_second = per_second
        self._taken: deque[float] = deque()

    def allows(self, now_s: float) -> bool:
        """Whether another is taken now, by a clock in seconds; one that is refused does not count."""
        if self._per_second is None:
            return True
        while self._taken and self._taken[0] <= now_s - 1:
            self._taken.popleft()
        if len(self._taken) >= self._per_second:
            return False
        self._taken.append(now_s)
        return True
