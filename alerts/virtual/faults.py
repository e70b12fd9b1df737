"""What goes wrong on the network, once or until further notice, for everybody or for one phone."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Final, Literal

from alerts.virtual.pace import Pace
from alerts.virtual.refusals import REFUSALS, UNDELIVERED, Refused

Stage = Literal["request", "delivery", "callback"]
Service = Literal["sms", "voice"]

_REQUEST: Final = frozenset({"429", "500", "timeout_before_send", "timeout_after_send"})
_DELIVERY: Final = frozenset({"undelivered"})
CALL_ENDS: Final = frozenset({"busy", "no-answer", "failed", "machine", "hang_up"})
_CALLBACK: Final = frozenset({"duplicate", "reordered", "lost"})
_KINDS: Final = _REQUEST | _DELIVERY | CALL_ENDS | _CALLBACK
_SLOW: Final = "slow:"


@dataclass(frozen=True, slots=True)
class Fault:
    """One of the names below, or an error code; with ``to``, only for that number.

    *At the request*: ``429``, ``500`` and codes below 30000 refuse it. ``timeout_before_send``,
    ``timeout_after_send``: no answer comes, and nothing happens or it happens all the same. ``slow:2.5``: the answer
    takes so many seconds more.

    *On the way*: ``undelivered`` (30003) and codes from 30000 on leave a message undelivered; ``busy``, ``no-answer``,
    ``failed``, ``machine`` (a mailbox answers), ``hang_up`` (at once) become of a call.

    *Afterwards*: callbacks come twice (``duplicate``; a reply too), last first (``reordered``) or never (``lost``).

    ``share`` is how often a standing fault befalls, from 0 to 1.
    """

    kind: str
    to: str | None = None
    share: float = 1.0

    @classmethod
    def parse(cls, kind: str, to: str | None = None, share: float = 1.0) -> Fault:
        """Raises :class:`ValueError` for a fault the network does not know."""
        code = int(kind) if kind.isdecimal() else None
        if kind not in _KINDS and code not in REFUSALS and code not in UNDELIVERED and _slow_s(kind) is None:
            raise ValueError(f"no such fault: {kind!r}; there are {', '.join(sorted(_KINDS))}, slow:S and error codes")
        if not 0 <= share <= 1:
            raise ValueError(f"a share is between 0 and 1: {share}")
        return cls(kind, to, share)

    @property
    def stage(self) -> Stage:
        """When it befalls."""
        if self.kind in _CALLBACK:
            return "callback"
        return "delivery" if self.kind in _DELIVERY | CALL_ENDS or self.error_code is not None else "request"

    def befalls(self, service: Service) -> bool:
        """Whether it can befall a message or a call."""
        if self.stage != "delivery":
            return True
        return (self.kind in CALL_ENDS) == (service == "voice")

    @property
    def refusal(self) -> Refused | None:
        """The refusal it makes, if it makes one."""
        code = {"429": 20429, "500": 20500}.get(self.kind) or (int(self.kind) if self.kind.isdecimal() else 0)
        return Refused(code) if code in REFUSALS else None

    @property
    def error_code(self) -> int | None:
        """The error code with which a message stays undelivered, if it does."""
        if self.kind == "undelivered":
            return 30003
        return int(self.kind) if self.kind.isdecimal() and int(self.kind) in UNDELIVERED else None

    @property
    def slow_s(self) -> float:
        """How many seconds the answer takes more."""
        return _slow_s(self.kind) or 0.0


def _slow_s(kind: str) -> float | None:
    try:
        return float(kind.removeprefix(_SLOW)) if kind.startswith(_SLOW) else None
    except ValueError:
        return None


@dataclass(slots=True)
class Faults:
    """What is to go wrong: each of ``once`` befalls one message, call or reply; ``standing`` every one, by its share."""

    once: list[Fault] = field(default_factory=list)
    standing: list[Fault] = field(default_factory=list)
    pace: Pace = field(default_factory=lambda: Pace(None))
    chance: Random = field(default_factory=lambda: Random(0))

    def take(self, stage: Stage, service: Service, phone: str) -> Fault | None:
        """The fault that befalls now."""
        for at, fault in enumerate(self.once):
            if _fits(fault, stage, service, phone):
                return self.once.pop(at)
        for fault in self.standing:
            if _fits(fault, stage, service, phone) and self.chance.random() < fault.share:
                return fault
        return None

    def clear(self) -> None:
        """Let nothing go wrong any more."""
        self.once.clear()
        self.standing.clear()


def _fits(fault: Fault, stage: Stage, service: Service, phone: str) -> bool:
    return fault.stage == stage and fault.to in (None, phone) and fault.befalls(service)
