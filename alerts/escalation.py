"""Who is called next, and when the ones after. Pure: people on duty and the moment are arguments.

An empty step is passed over at once, and so is whoever is away, cannot be reached or cannot come. When no step names
anybody who can be called, everybody of the centre is: that is itself a fault to be told loudly. When nobody of the centre
can be reached either, it is exhausted at once. It goes on until a person takes the alert: it never ends in silence
(:mod:`alerts.policy`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo
from typing import Final
from uuid import UUID

from alerts.policy import Policy, Target

MORNING: Final = time(7)
EVENING: Final = time(21)
"""The hours between which people are rung about what can wait (house default)."""

BEFORE: Final = -1
"""The round before the first: nobody but whoever is at it already is called."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Somebody a step names who is passed over.

    ``why``: sick, leave, on_visit (away); unreachable, declined (to this alert); quiet (a relative's quiet hours).
    """

    person: UUID
    why: str


@dataclass(frozen=True, slots=True)
class Found:
    """Whom a target names at one moment: those who can be called, and those passed over."""

    persons: tuple[UUID, ...] = ()
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True)
class Around:
    """Everything about people that decides whom a call reaches, at one moment and for one resident.

    ``find`` names the people of a target. ``everybody`` are those of the centre who can be called at all, ``fallback``
    is its line for when nobody else answers. ``out`` proved unreachable for this alert or cannot come, and why.
    """

    find: Callable[[Target], Found]
    everybody: Sequence[UUID]
    fallback: UUID | None = None
    out: Collection[Skipped] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """One call: these people now, the next at ``climb_at``.

    ``unmanned``: no step names anybody who can be called, so everybody is. ``exhausted``: everybody the policy names has
    been called in vain.
    """

    persons: tuple[UUID, ...]
    step: int
    rounds: int
    climb_at: datetime
    unmanned: bool = False
    exhausted: bool = False
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """Where a climb stands: the ``step`` last called (0: none yet), the ``rounds`` begun anew, whom this step has called."""

    step: int = 0
    rounds: int = 0
    called: Collection[UUID] = ()


def next_call(policy: Policy, at: Position, around: Around, now: datetime) -> Plan:
    """The call that follows ``at``."""
    if at.rounds > policy.repeats:
        return _exhausted(policy, at.rounds + 1, around, now, ())
    skipped: list[Skipped] = []
    for number, rounds in _steps_after(policy, at):
        persons, passed_over = _people(policy, number, around)
        skipped += passed_over
        same_step = number == at.step and rounds == at.rounds
        if policy.steps[number - 1].in_turn:
            persons = tuple(p for p in persons if not (same_step and p in at.called))[:1]
        elif same_step:
            continue
        if persons:
            climb_at = now + policy.steps[number - 1].wait
            return Plan(persons, number, rounds, climb_at, skipped=tuple(dict.fromkeys(skipped)))
    if (at.step == 0 or (at.rounds < policy.repeats and not _anybody(policy, around))) and _others(around):
        return _unmanned(policy, at, around, now, tuple(dict.fromkeys(skipped)))
    return _exhausted(policy, policy.repeats + 1, around, now, tuple(dict.fromkeys(skipped)))


def ask_taker(policy: Policy, taker: UUID, now: datetime) -> Plan:
    """Before anybody else: she who has taken another alert of this resident, as long as the first step has.

    It stands before the first round, so that the next call begins it whole.
    """
    wait = policy.steps[0].wait if policy.steps else policy.again
    return Plan((taker,), max(len(policy.steps), 1), BEFORE, now + wait)


def simulate(
    policy: Policy, around_at: Callable[[datetime], Around], start: datetime, most_calls: int = 200
) -> Iterator[tuple[datetime, Plan]]:
    """Every call that would be made if everybody were silent, from ``start`` to the first one after exhaustion."""
    at, now = Position(), start
    for _ in range(most_calls):
        plan = next_call(policy, at, around_at(now), now)
        yield now, plan
        if plan.exhausted:
            return
        same_step = (plan.step, plan.rounds) == (at.step, at.rounds)
        at = Position(plan.step, plan.rounds, (*(at.called if same_step else ()), *plan.persons))
        now = plan.climb_at


def morning_after(now: datetime, zone: tzinfo) -> datetime | None:
    """When the night ends in which ``now`` lies, in this zone; ``None`` by day. In the zone of ``now``."""
    local = now.astimezone(zone)
    if MORNING <= local.time() < EVENING:
        return None
    day = local.date() + timedelta(days=local.time() >= EVENING)
    return datetime.combine(day, MORNING, zone).astimezone(now.tzinfo)


def in_quiet_hours(now: datetime, zone: tzinfo, quiet_from: time, quiet_until: time) -> bool:
    """Whether ``now`` lies between two local times of day; equal ones mean never."""
    local = now.astimezone(zone).time()
    if quiet_from <= quiet_until:
        return quiet_from <= local < quiet_until
    return local >= quiet_from or local < quiet_until


def _steps_after(policy: Policy, at: Position) -> Iterator[tuple[int, int]]:
    """The steps that may follow, as (number, round): the rest of this round (a step in turn goes on), then one more round."""
    for number in range(max(at.step, 1), len(policy.steps) + 1) if at.rounds != BEFORE else ():
        yield number, at.rounds
    if at.step and at.rounds < policy.repeats:
        for number in range(1, len(policy.steps) + 1):
            yield number, at.rounds + 1


def _people(policy: Policy, number: int, around: Around) -> tuple[tuple[UUID, ...], list[Skipped]]:
    found = [around.find(target) for target in policy.steps[number - 1].targets]
    out = {skipped.person: skipped for skipped in around.out}
    named = _once(person for one in found for person in one.persons)
    passed_over = [skipped for one in found for skipped in one.skipped] + [out[p] for p in named if p in out]
    return tuple(p for p in named if p not in out), passed_over


def _anybody(policy: Policy, around: Around) -> bool:
    return any(_people(policy, number, around)[0] for number in range(1, len(policy.steps) + 1))


def _others(around: Around) -> bool:
    """Whether anybody of the centre is left who has not proved unreachable and could come."""
    return not {skipped.person for skipped in around.out}.issuperset(around.everybody)


def _all_of(around: Around) -> tuple[UUID, ...]:
    """Everybody who can be called; those who cannot be reached or come too, if there is nobody else: better than no one."""
    out = {skipped.person for skipped in around.out}
    return _once(p for p in around.everybody if p not in out) or _once(around.everybody)


def _unmanned(policy: Policy, at: Position, around: Around, now: datetime, skipped: tuple[Skipped, ...]) -> Plan:
    wait = policy.steps[-1].wait if policy.steps else policy.again
    rounds = at.rounds if at.step == 0 else at.rounds + 1
    return Plan(_all_of(around), max(len(policy.steps), 1), rounds, now + wait, unmanned=True, skipped=skipped)


def _exhausted(policy: Policy, rounds: int, around: Around, now: datetime, skipped: tuple[Skipped, ...]) -> Plan:
    fallback = (around.fallback,) if around.fallback else ()
    persons = _once((*fallback, *_all_of(around)))
    step = max(len(policy.steps), 1)
    return Plan(persons, step, rounds, now + policy.again, exhausted=True, skipped=skipped)


def _once(persons: Iterable[UUID]) -> tuple[UUID, ...]:
    return tuple(dict.fromkeys(persons))
