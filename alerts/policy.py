"""Escalation policies: who is called to an alert, in which order, how long each has, and what comes after the last. Pure.

A policy is a list of steps. Each names people by what they are (on duty in a role, the family, everybody of the centre)
or by themselves, all at once or one after the other, and how long they have before the next step. After the last step it
begins anew, ``repeats`` times. Then it is exhausted: the centre's fallback line and everybody of the centre are called
again and again, every ``again``, and every screen is red, until a person takes it. So no policy ends in silence; one that
could never reach a person of the centre is refused (:func:`faults`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, Literal, get_args
from uuid import UUID

Role = Literal["care_worker", "volunteer", "building_leader", "doctor_on_call", "supervisor"]
Kind = Literal["duty", "person", "family", "everybody"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
PRIORITIES: Final = ("high", "medium", "low")

MOST_STEPS: Final = 10
MOST_REPEATS: Final = 9
SHORTEST_WAIT: Final = timedelta(seconds=30)
LONGEST_WAIT: Final = timedelta(hours=24)
LONGEST_WAIT_HIGH: Final = timedelta(minutes=10)
"""Social alarm services answer 99 % of calls within 180 s (TSA): a first step longer than this has lost the emergency."""
AGAIN: Final = (timedelta(minutes=1), timedelta(hours=12))
ATTEND: Final = (timedelta(minutes=5), timedelta(days=2))


class PolicyError(ValueError):
    """What was written is no policy. ``code`` is for translation, the text is English."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a step names: those on ``duty`` in a role and line, a ``person``, the ``family``, or ``everybody`` of the centre."""

    kind: Kind
    role: Role | None = None
    line: int = 1
    person: UUID | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its people, called at once or ``in_turn``, have ``wait`` (in turn: each) before the next."""

    targets: tuple[Target, ...]
    wait: timedelta
    in_turn: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """``repeats``: how often it is begun anew; ``attend``: by when whoever takes it must be with the resident."""

    steps: tuple[Step, ...]
    repeats: int
    again: timedelta
    attend: timedelta


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a policy is refused; ``step`` counts from 1, 0 means the whole."""

    code: Literal["no_steps", "no_staff", "no_fallback", "empty_step", "no_roster", "no_phone", "too_slow"]
    step: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """What a centre has: the (role, line) of its rosters, the people who can be called, whether it has a fallback line."""

    rosters: Collection[tuple[str, int]]
    persons: Collection[UUID]
    has_fallback: bool


def _on_duty(role: Role, line: int, wait: timedelta) -> Step:
    return Step((Target("duty", role, line),), wait)


def _ladder(wait: timedelta, attend: timedelta, again: timedelta) -> Policy:
    steps = (_on_duty("care_worker", 1, wait), _on_duty("care_worker", 2, wait), _on_duty("supervisor", 1, wait))
    return Policy(steps, repeats=1, again=again, attend=attend)


# High: social alarm services answer 99 % of calls within 180 s (TSA); two minutes a step bring the second person in
# before that. Medium and low stretch it as far as "prompt" and "delayed" of IEC 60601-1-8 allow. A quarter of an hour on
# foot reaches any flat of a neighbourhood (house default).
SHIPPED: Final[Mapping[str, Policy]] = MappingProxyType(
    {
        "high": _ladder(timedelta(minutes=2), timedelta(minutes=15), timedelta(minutes=5)),
        "medium": _ladder(timedelta(minutes=10), timedelta(hours=2), timedelta(minutes=30)),
        "low": _ladder(timedelta(hours=2), timedelta(hours=24), timedelta(hours=4)),
    }
)
"""What holds where a centre has written nothing of its own, by priority."""


def faults(policy: Policy, priority: str, known: Known) -> tuple[Fault, ...]:
    """Why this policy could end with nobody, or too late; empty when it may be used for alerts of ``priority``."""
    return tuple(_faults(policy, priority, known))


def _faults(policy: Policy, priority: str, known: Known) -> Iterator[Fault]:
    if not known.has_fallback:
        yield Fault("no_fallback")
    if not policy.steps:
        yield Fault("no_steps")
    elif not any(t.kind in ("duty", "everybody") for step in policy.steps for t in step.targets):
        yield Fault("no_staff")
    for number, step in enumerate(policy.steps, start=1):
        if not step.targets:
            yield Fault("empty_step", number)
        if any(t.kind == "duty" and (t.role, t.line) not in known.rosters for t in step.targets):
            yield Fault("no_roster", number)
        if any(t.kind == "person" and t.person not in known.persons for t in step.targets):
            yield Fault("no_phone", number)
        if priority == "high" and step.wait > LONGEST_WAIT_HIGH:
            yield Fault("too_slow", number)


def content(policy: Policy) -> dict[str, Any]:
    """The policy as the record keeps it; :func:`parse` reads it back."""
    return {
        "steps": [
            {
                "targets": [_target_content(target) for target in step.targets],
                "wait_s": round(step.wait.total_seconds()),
                "in_turn": step.in_turn,
            }
            for step in policy.steps
        ],
        "repeats": policy.repeats,
        "again_s": round(policy.again.total_seconds()),
        "attend_s": round(policy.attend.total_seconds()),
    }


def _target_content(target: Target) -> dict[str, Any]:
    if target.kind == "duty":
        return {"kind": "duty", "role": target.role, "line": target.line}
    if target.kind == "person":
        return {"kind": "person", "person": str(target.person)}
    return {"kind": target.kind}


def parse(written: Mapping[str, Any]) -> Policy:
    """Read what the record or a form gives. Raises :class:`PolicyError` for what cannot be a policy at all."""
    try:
        steps = tuple(_step(step) for step in written["steps"])
        repeats = int(written["repeats"])
        again, attend = _seconds(written["again_s"]), _seconds(written["attend_s"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, PolicyError):
            raise
        raise PolicyError("unreadable", f"this is no policy: {error}") from error
    if len(steps) > MOST_STEPS:
        raise PolicyError("too_many_steps", f"a policy has at most {MOST_STEPS} steps")
    if not 0 <= repeats <= MOST_REPEATS:
        raise PolicyError("repeats", f"it can be begun anew 0 to {MOST_REPEATS} times")
    if not AGAIN[0] <= again <= AGAIN[1]:
        raise PolicyError("again", "after the last step it calls again every 1 minute to 12 hours")
    if not ATTEND[0] <= attend <= ATTEND[1]:
        raise PolicyError("attend", "whoever takes it has 5 minutes to 2 days to be there")
    return Policy(steps, repeats, again, attend)


def _step(written: Mapping[str, Any]) -> Step:
    wait = _seconds(written["wait_s"])
    if not SHORTEST_WAIT <= wait <= LONGEST_WAIT:
        raise PolicyError("wait", "a step waits 30 seconds to 24 hours")
    return Step(tuple(_target(target) for target in written["targets"]), wait, bool(written.get("in_turn", False)))


def _target(written: Mapping[str, Any]) -> Target:
    kind = written["kind"]
    if kind not in get_args(Kind):
        raise PolicyError("target", f"nobody can be named by {kind!r}")
    if kind == "person":
        return Target(kind, person=UUID(written["person"]))
    if kind != "duty":
        return Target(kind)
    role, line = written["role"], int(written.get("line", 1))
    if role not in ROLES or not 1 <= line <= 5:
        raise PolicyError("target", f"there is no duty {role!r}, line {line}")
    return Target(kind, role, line)


def _seconds(written: float) -> timedelta:
    return timedelta(seconds=float(written))
