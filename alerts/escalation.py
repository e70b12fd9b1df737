"""Who is called next, and when the one after. Pure.

The ladder has three rungs: the care worker on duty, the second, the supervisor. An empty rung is passed over.
After the last rung a new round begins, and its first call goes to everybody on duty; with nobody on duty, to
everybody of the centre. It goes on until a person takes the alert: it never ends in silence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from types import MappingProxyType
from typing import Final
from uuid import UUID

RUNGS: Final = 3
MORNING: Final = time(7)
EVENING: Final = time(21)
"""The hours between which people are rung about what can wait (house default)."""

# High: social alarm services answer 99 % of calls within 180 s (TSA); two minutes a rung bring the second
# person in before that. Medium and low stretch it as far as "prompt" and "delayed" of IEC 60601-1-8 allow.
_WAITS: Final = MappingProxyType(
    {"high": timedelta(minutes=2), "medium": timedelta(minutes=10), "low": timedelta(hours=2)}
)


@dataclass(frozen=True, slots=True)
class Duty:
    """Who can be called: on duty by rung (1 to 3), and everybody of the centre for when nobody is."""

    rungs: Mapping[int, Sequence[UUID]]
    everybody: Sequence[UUID]

    @property
    def on_duty(self) -> tuple[UUID, ...]:
        """Everybody on duty, first rung first, each once."""
        return _once(person for rung in sorted(self.rungs) for person in self.rungs[rung])

    def without(self, persons: Collection[UUID]) -> Duty:
        """The same without those who have just proved unreachable or cannot come.

        Unless that is everybody: then nobody is left out, for it is better to try again than to call no one.
        """
        if not (set(self.everybody) | set(self.on_duty)) - set(persons):
            return self
        rungs = {rung: tuple(p for p in on_rung if p not in persons) for rung, on_rung in self.rungs.items()}
        return Duty(rungs, tuple(p for p in self.everybody if p not in persons))


@dataclass(frozen=True, slots=True)
class Plan:
    """One call: these people now, the next rung at ``climb_at``.

    ``unmanned`` says that nobody on duty can be called, which is itself a fault to be told loudly.
    """

    persons: tuple[UUID, ...]
    step: int
    rounds: int
    climb_at: datetime
    unmanned: bool = False

    @property
    def call(self) -> int:
        """The number of this call in the life of the alert."""
        return call_number(self.step, self.rounds)


def wait(priority: str) -> timedelta:
    """How long a rung has to answer before the next is called; ``priority`` is high, medium or low."""
    return _WAITS[priority]


def morning_after(now: datetime, zone: tzinfo) -> datetime | None:
    """When the night ends in which ``now`` lies, in this zone; ``None`` by day. In the zone of ``now``."""
    local = now.astimezone(zone)
    if MORNING <= local.time() < EVENING:
        return None
    day = local.date() + timedelta(days=local.time() >= EVENING)
    return datetime.combine(day, MORNING, zone).astimezone(now.tzinfo)


def call_number(step: int, rounds: int) -> int:
    """Calls of one alert, counted through its rounds: what tells a second call to the same person from the first."""
    return rounds * RUNGS + step


def next_step(priority: str, step: int, rounds: int, duty: Duty, now: datetime) -> Plan:
    """The call that follows rung ``step`` of round ``rounds``; step 0 begins the round at its first rung."""
    climb_at = now + wait(priority)
    for rung in range(step + 1, RUNGS + 1):
        if persons := _once(duty.rungs.get(rung, ())):
            return Plan(persons, rung, rounds, climb_at)
    on_duty = duty.on_duty
    rounds = rounds if step == 0 else rounds + 1
    return Plan(on_duty or _once(duty.everybody), 1, rounds, climb_at, unmanned=not on_duty)


def _once(persons: Iterable[UUID]) -> tuple[UUID, ...]:
    return tuple(dict.fromkeys(persons))
