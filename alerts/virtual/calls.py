"""Calls as Twilio's Call resource (https://www.twilio.com/docs/voice/api/call-resource) has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from secrets import token_hex
from typing import Any, Final

from alerts.virtual.refusals import Refused
from alerts.virtual.resources import API_VERSION, E164, callback_of, check_callback, rfc2822, whole_number

_FINAL: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
_EVENTS: Final = frozenset({"initiated", "ringing", "answered", "completed"})
_SUBRESOURCES: Final = (
    "Events", "Notifications", "Payments", "Recordings", "Siprec", "Streams", "Transcriptions", "UserDefinedMessages",
    "UserDefinedMessageSubscriptions",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    """Words spoken to whoever had answered, and the language they were read in."""

    words: str
    language: str


@dataclass(slots=True)
class Call:
    """One call from the account to a phone. Times are UTC."""

    sid: str
    from_: str
    to: str
    url: str
    created_at: datetime
    updated_at: datetime
    events: frozenset[str]
    status_callback: str | None
    fallback_url: str | None
    ring_s: int
    limit_s: int
    detects: bool
    status: str = "queued"
    started_at: datetime | None = None
    ended_at: datetime | None = None
    answered_by: str | None = None
    heard: list[Said] = field(default_factory=list)
    pressed: list[str] = field(default_factory=list)
    error: str | None = None
    """What Twilio's own log would say went wrong with the service's answers."""

    @property
    def is_final(self) -> bool:
        """Whether it is over."""
        return self.status in _FINAL

    @property
    def duration_s(self) -> int | None:
        """Whole seconds, at least one; ``None`` if it was not answered or is not over."""
        if self.started_at is None or self.ended_at is None:
            return None
        return max(int((self.ended_at - self.started_at).total_seconds()), 1)

    def resource(self, account: str) -> dict[str, Any]:
        """The Call resource as Twilio's API shows it."""
        uri = f"/{API_VERSION}/Accounts/{account}/Calls/{self.sid}"
        return {
            "account_sid": account,
            "answered_by": self.answered_by,
            "api_version": API_VERSION,
            "caller_name": None,
            "date_created": rfc2822(self.created_at),
            "date_updated": rfc2822(self.updated_at),
            "direction": "outbound-api",
            "duration": None if self.duration_s is None else str(self.duration_s),
            "end_time": rfc2822(self.ended_at),
            "forwarded_from": None,
            "from": self.from_,
            "from_formatted": self.from_,
            "group_sid": None,
            "parent_call_sid": None,
            "phone_number_sid": None,
            "price": None,
            "price_unit": "USD",
            "queue_time": "0",
            "sid": self.sid,
            "start_time": rfc2822(self.started_at),
            "status": self.status,
            "subresource_uris": {_snake(name): f"{uri}/{name}.json" for name in _SUBRESOURCES},
            "to": self.to,
            "to_formatted": self.to,
            "trunk_sid": None,
            "uri": f"{uri}.json",
        }


def check(form: Mapping[str, str], events: list[str], number: str) -> None:
    """Raise :class:`~alerts.virtual.refusals.Refused` where Twilio would refuse to make this call."""
    to, from_ = form.get("To", ""), form.get("From", "")
    if not to:
        raise Refused(21201)
    if not E164.fullmatch(to):
        raise Refused(21211, f"The phone number you are attempting to call, {to}, is not valid.")
    if not from_:
        raise Refused(21213)
    if from_ != number:
        raise Refused(21212, f"The source phone number provided, {from_}, is not a number of this account.")
    if to == from_:
        raise Refused(21266)
    if callback_of(form, "Url") is None:
        raise Refused(21205)
    _check_options(form, events)


def _check_options(form: Mapping[str, str], events: list[str]) -> None:
    check_callback(form)
    if unknown := set(events) - _EVENTS:
        raise Refused(20422, f"no such StatusCallbackEvent: {', '.join(sorted(unknown))}")
    whole_number(form, "Timeout", range(1, 601))
    whole_number(form, "MachineDetectionTimeout", range(3, 60))
    whole_number(form, "MachineDetectionSilenceTimeout", range(2000, 10_001))
    if form.get("MachineDetection", "Enable") not in ("Enable", "DetectMessageEnd"):
        raise Refused(20422, "MachineDetection must be Enable or DetectMessageEnd")


def create(form: Mapping[str, str], events: list[str], now: datetime) -> Call:
    """A call that waits to be made, from a form that :func:`check` has passed."""
    return Call(
        "CA" + token_hex(16),
        form["From"],
        form["To"],
        form["Url"],
        now,
        now,
        frozenset(events or ["completed"]),
        callback_of(form, "StatusCallback"),
        callback_of(form, "FallbackUrl"),
        int(form.get("Timeout", 60)),
        int(form.get("TimeLimit", 14_400)),
        "MachineDetection" in form,
    )


def matches(call: Call, query: Mapping[str, str]) -> bool:
    """Whether a list asked for by ``To``, ``From`` and ``Status`` has this call."""
    shown = {"To": call.to, "From": call.from_, "Status": call.status}
    return all(query.get(name, value) == value for name, value in shown.items())


def _snake(name: str) -> str:
    return "".join("_" + ch.lower() if ch.isupper() else ch for ch in name).lstrip("_")
