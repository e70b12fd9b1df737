"""A policy as a plain form: read from it, written into it, and its buttons that add, move and remove steps. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, Protocol
from uuid import UUID

from alerts import policy
from alerts.policy import MOST_STEPS, Policy, PolicyError, Target

UNITS: Final = MappingProxyType({"s": 1, "min": 60, "h": 3600})
"""Units of time in a form, in seconds."""
MOST_TARGETS: Final = 8
_LONGEST: Final = 100


class Fields(Protocol):
    """What a form sent: the last text of a name, and all of them."""

    def get(self, name: str, /) -> object: ...
    def getlist(self, name: str, /) -> Sequence[object]: ...


class StepError(PolicyError):
    """What is wrong with one step; ``step`` counts from 1."""

    def __init__(self, error: PolicyError, step: int) -> None:
        super().__init__(error.code, str(error))
        self.step = step


@dataclass(frozen=True, slots=True)
class Time:
    """A length of time as it is typed: a number and its unit."""

    number: str
    unit: str

    @classmethod
    def of(cls, length: timedelta) -> Time:
        """In the largest unit that needs no fraction."""
        seconds = round(length.total_seconds())
        unit = next(unit for unit in ("h", "min", "s") if seconds % UNITS[unit] == 0)
        return cls(str(seconds // UNITS[unit]), unit)

    @classmethod
    def read(cls, form: Fields, name: str) -> Time:
        """From the fields ``name`` and ``name-unit``."""
        unit = _text(form, f"{name}-unit")
        return cls(_text(form, name), unit if unit in UNITS else "min")

    @property
    def seconds(self) -> float:
        """Raises :class:`PolicyError` for what is no number."""
        try:
            return float(self.number.replace(",", ".")) * UNITS[self.unit]
        except ValueError:
            raise PolicyError("number", f"{self.number!r} is no number") from None


@dataclass(frozen=True, slots=True)
class StepForm:
    """One step as it is typed; ``who`` are targets as :func:`code` writes them."""

    who: tuple[str, ...]
    wait: Time
    in_turn: bool = False


_NEW_STEP: Final = StepForm((), Time("2", "min"))


@dataclass(frozen=True, slots=True)
class PolicyForm:
    """A whole policy as it is typed."""

    name_zh: str
    name_en: str
    steps: tuple[StepForm, ...]
    repeats: str
    again: Time
    attend: Time

    @classmethod
    def of(cls, written: Policy, name_zh: str, name_en: str) -> PolicyForm:
        """The form that shows a policy."""
        steps = tuple(StepForm(tuple(map(code, s.targets)), Time.of(s.wait), s.in_turn) for s in written.steps)
        again, attend = Time.of(written.again), Time.of(written.attend)
        return cls(name_zh, name_en, steps, str(written.repeats), again, attend)

    @classmethod
    def read(cls, form: Fields) -> PolicyForm:
        """What was sent, however much of it is nonsense."""
        return cls(
            name_zh=_text(form, "name_zh"),
            name_en=_text(form, "name_en"),
            steps=tuple(_steps(form)),
            repeats=_text(form, "repeats"),
            again=Time.read(form, "again"),
            attend=Time.read(form, "attend"),
        )

    def after(self, button: str) -> PolicyForm:
        """What a button of the form makes of it: ``add``, ``remove-2``, ``up-2``, ``down-2``; any other changes nothing."""
        verb, _, number = button.partition("-")
        steps = list(self.steps)
        place = int(number) - 1 if number.isdecimal() else -1
        if verb == "add" and len(steps) < MOST_STEPS:
            steps.append(_NEW_STEP)
        if verb == "remove" and 0 <= place < len(steps):
            del steps[place]
        other = place + {"up": -1, "down": 1}.get(verb, 0)
        if other != place and 0 <= place < len(steps) and 0 <= other < len(steps):
            steps[place], steps[other] = steps[other], steps[place]
        return replace(self, steps=tuple(steps))

    def policy(self) -> Policy:
        """The policy itself. Raises :class:`PolicyError`, and :class:`StepError` where one step is to blame."""
        steps = [_step(step, number) for number, step in enumerate(self.steps, start=1)]
        if not self.repeats.isdecimal():
            raise PolicyError("repeats", f"{self.repeats!r} is no number")
        whole = {"repeats": int(self.repeats), "again_s": self.again.seconds, "attend_s": self.attend.seconds}
        return policy.parse({"steps": steps, **whole})


def code(target: Target) -> str:
    """A target as a form's choice: ``duty care_worker 1``, ``person 1234...``, ``family``, ``everybody``."""
    if target.kind == "duty":
        return f"duty {target.role} {target.line}"
    return f"person {target.person}" if target.kind == "person" else target.kind


def target(text: str) -> Target:
    """The target of a choice. Raises :class:`PolicyError` for what no form offers."""
    return policy.parse(_alone({"targets": [_target(text)], "wait_s": 60})).steps[0].targets[0]


def persons(written: Policy) -> tuple[UUID, ...]:
    """Everybody whom a policy names by herself."""
    return tuple(t.person for step in written.steps for t in step.targets if t.person is not None)


def _step(step: StepForm, number: int) -> dict[str, Any]:
    """A step as the record keeps it; read alone first, so that an error bears its number."""
    try:
        seconds = step.wait.seconds
        written = {"targets": [_target(who) for who in step.who], "wait_s": seconds, "in_turn": step.in_turn}
        policy.parse(_alone(written))
    except PolicyError as error:
        raise StepError(error, number) from error
    return written


def _alone(step: dict[str, Any]) -> dict[str, Any]:
    return {"steps": [step], "repeats": 0, "again_s": 300, "attend_s": 900}


def _target(text: str) -> dict[str, Any]:
    kind, *more = text.split()
    if kind == "duty" and len(more) == 2 and more[1].isdecimal():
        return {"kind": kind, "role": more[0], "line": int(more[1])}
    return {"kind": kind, "person": more[0]} if kind == "person" and more else {"kind": kind}


def _steps(form: Fields) -> Iterator[StepForm]:
    count = _text(form, "steps")
    for number in range(1, min(int(count) if count.isdecimal() else 0, MOST_STEPS) + 1):
        who = dict.fromkeys(str(text)[:_LONGEST].strip() for text in form.getlist(f"who-{number}")[:MOST_TARGETS])
        yield StepForm(
            tuple(text for text in who if text),
            Time.read(form, f"wait-{number}"),
            form.get(f"in_turn-{number}") is not None,
        )


def _text(form: Fields, name: str) -> str:
    found = form.get(name)
    text = found if isinstance(found, str) else ""
    return " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())[:_LONGEST]
