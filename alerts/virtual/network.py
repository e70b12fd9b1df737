"""A telephone network's memory: phones, what was said, and what it was told to do wrong.

It knows Twilio's Messages and Calls resources (https://www.twilio.com/docs/messaging/api/message-resource,
https://www.twilio.com/docs/voice/api/call-resource) and what Twilio refuses. It sends nothing itself:
:mod:`alerts.virtual.telephone` speaks HTTP, :mod:`alerts.virtual.exchange` puts calls through.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from secrets import token_hex
from typing import Any, Final, TypeVar

from alerts.virtual import calls
from alerts.virtual.calls import Call
from alerts.virtual.faults import Faults
from alerts.virtual.phones import Habit, Owner
from alerts.virtual.refusals import REFUSALS, UNDELIVERED, Refused
from alerts.virtual.resources import API_VERSION, E164, callback_of, check_callback, rfc2822, whole_number
from alerts.wording import GSM_SEGMENT, UCS2_SEGMENT, gsm, septets, ucs2_units

T = TypeVar("T", "Sms", Call)

_LONGEST_BODY: Final = 1600
_LONGEST_VALIDITY_S: Final = 36_000
_FINAL: Final = frozenset({"delivered", "undelivered", "failed", "received"})

STOP_WORDS: Final = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit"})
START_WORDS: Final = frozenset({"start", "unstop", "yes"})


@dataclass(slots=True)
class Sms:
    """One message on the network, in either direction. Numbers are E.164, times UTC."""

    sid: str
    direction: str
    from_: str
    to: str
    body: str
    status: str
    created_at: datetime
    updated_at: datetime
    status_callback: str | None = None
    validity_s: int = _LONGEST_VALIDITY_S
    sent_at: datetime | None = None
    error_code: int | None = None
    held: bool = False
    """The phone is off: it is delivered when it is on again, if it is still valid then."""

    @property
    def segments(self) -> int:
        """How many SMS it takes: 160 or 153 each in the GSM alphabet, 70 or 67 each in UCS-2."""
        if gsm(self.body) == self.body:
            length, single, joined = septets(self.body), GSM_SEGMENT, 153
        else:
            length, single, joined = ucs2_units(self.body), UCS2_SEGMENT, 67
        return 1 if length <= single else -(-length // joined)

    @property
    def is_final(self) -> bool:
        """Whether its status will not change any more, unless somebody turns a phone on."""
        return self.status in _FINAL or self.held

    def resource(self, account: str) -> dict[str, Any]:
        """The Message resource as Twilio's API shows it."""
        uri = f"/{API_VERSION}/Accounts/{account}/Messages/{self.sid}"
        return {
            "account_sid": account,
            "api_version": API_VERSION,
            "body": self.body,
            "date_created": rfc2822(self.created_at),
            "date_sent": rfc2822(self.sent_at),
            "date_updated": rfc2822(self.updated_at),
            "direction": self.direction,
            "error_code": self.error_code,
            "error_message": None if self.error_code is None else UNDELIVERED.get(self.error_code, "Unknown error"),
            "from": self.from_,
            "messaging_service_sid": None,
            "num_media": "0",
            "num_segments": str(self.segments),
            "price": None,
            "price_unit": None,
            "sid": self.sid,
            "status": self.status,
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": self.to,
            "uri": f"{uri}.json",
        }


@dataclass(slots=True)
class Network:
    """One account with one number, and every phone that it has talked to or that is known by name."""

    account: str
    number: str
    owners: Mapping[str, Owner] = field(default_factory=dict)
    messages: list[Sms] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    habits: dict[str, Habit] = field(default_factory=dict)
    opted_out: set[str] = field(default_factory=set)

    def habit(self, phone: str) -> Habit:
        """What becomes of everything that comes to this phone."""
        return self.habits.get(phone, Habit())

    def check(self, form: Mapping[str, str]) -> None:
        """Raise :class:`~alerts.virtual.refusals.Refused` where Twilio would refuse to create this message."""
        to, from_, body = form.get("To", ""), form.get("From", ""), form.get("Body", "")
        if not to:
            raise Refused(21604)
        if not E164.fullmatch(to):
            raise Refused(21211, f"The 'To' number {to} is not a valid phone number.")
        if not from_:
            raise Refused(21603)
        if from_ != self.number:
            raise Refused(21606, f"The 'From' phone number {from_} is not a number of this account.")
        if to == from_:
            raise Refused(21266)
        if not body:
            raise Refused(21602)
        if len(body) > _LONGEST_BODY:
            raise Refused(21617)
        check_callback(form)
        whole_number(form, "ValidityPeriod", range(1, _LONGEST_VALIDITY_S + 1))
        if to in self.opted_out:
            raise Refused(21610)
        _refuse_by_habit(self.habit(to).sms)

    def check_call(self, form: Mapping[str, str], events: list[str]) -> None:
        """Raise :class:`~alerts.virtual.refusals.Refused` where Twilio would refuse to make this call."""
        calls.check(form, events, self.number)
        _refuse_by_habit(self.habit(form["To"]).calls)

    def create(self, form: Mapping[str, str], now: datetime) -> Sms:
        """Queue a message from the account to a phone."""
        sms = Sms(
            "SM" + token_hex(16),
            "outbound-api",
            form["From"],
            form["To"],
            form["Body"],
            "queued",
            now,
            now,
            callback_of(form, "StatusCallback"),
            int(form.get("ValidityPeriod", _LONGEST_VALIDITY_S)),
        )
        self.messages.append(sms)
        return sms

    def create_call(self, form: Mapping[str, str], events: list[str], now: datetime) -> Call:
        """Queue a call from the account to a phone."""
        call = calls.create(form, events, now)
        self.calls.append(call)
        return call

    def receive(self, phone: str, body: str, now: datetime) -> Sms:
        """A phone writes to the account's number. The carrier's own words opt the phone out and in again."""
        word = body.strip().lower()
        if word in STOP_WORDS:
            self.opted_out.add(phone)
        elif word in START_WORDS:
            self.opted_out.discard(phone)
        sms = Sms("SM" + token_hex(16), "inbound", phone, self.number, body, "received", now, now, sent_at=now)
        self.messages.append(sms)
        return sms

    def answer(self, phone: str, body: str, now: datetime) -> Sms:
        """The account's TwiML answer to what a phone wrote."""
        sms = Sms("SM" + token_hex(16), "outbound-reply", self.number, phone, body, "delivered", now, now, sent_at=now)
        self.messages.append(sms)
        return sms

    def find(self, sid: str) -> Sms:
        """The message of this identifier; :class:`~alerts.virtual.refusals.Refused` as not found."""
        return self._find(self.messages, "Messages", sid)

    def find_call(self, sid: str) -> Call:
        """The call of this identifier; :class:`~alerts.virtual.refusals.Refused` as not found."""
        return self._find(self.calls, "Calls", sid)

    def _find(self, kept: list[T], kind: str, sid: str) -> T:
        for one in reversed(kept):
            if one.sid == sid:
                return one
        raise Refused(
            20404, f"The requested resource /{API_VERSION}/Accounts/{self.account}/{kind}/{sid}.json was not found"
        )

    def listed(self, query: Mapping[str, str]) -> list[Sms]:
        """Messages by ``To``, ``From`` and ``DateSent`` (``DateSent<``, ``DateSent>`` inclusive), newest first."""
        return [sms for sms in reversed(self.messages) if _matches(sms, query)]

    def listed_calls(self, query: Mapping[str, str]) -> list[Call]:
        """Calls by ``To``, ``From`` and ``Status``, newest first."""
        return [call for call in reversed(self.calls) if calls.matches(call, query)]

    def conversations(self) -> Iterator[tuple[str, Owner | None, Sequence[Sms], Sequence[Call]]]:
        """Each phone, its owner if known, what was written and each call, oldest first."""
        written: dict[str, list[Sms]] = {number: [] for number in self.owners}
        for sms in self.messages:
            written.setdefault(sms.from_ if sms.direction == "inbound" else sms.to, []).append(sms)
        for call in self.calls:
            written.setdefault(call.to, [])
        for number, said in written.items():
            yield number, self.owners.get(number), said, [call for call in self.calls if call.to == number]


def _refuse_by_habit(kind: str) -> None:
    if kind.isdecimal() and int(kind) in REFUSALS:
        raise Refused(int(kind))


def _matches(sms: Sms, query: Mapping[str, str]) -> bool:
    if query.get("To", sms.to) != sms.to or query.get("From", sms.from_) != sms.from_:
        return False
    wanted = {name: query[name] for name in ("DateSent", "DateSent<", "DateSent>") if name in query}
    if not wanted:
        return True
    if sms.sent_at is None:
        return False
    return all(_within(sms.sent_at, name, text) for name, text in wanted.items())


def _within(sent_at: datetime, name: str, text: str) -> bool:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(20422, f"{name} is not a date: {text}") from None
    whole_day = len(text) == len("2026-11-24")
    sent: date | datetime = sent_at.date() if whole_day else sent_at
    bound: date | datetime = moment.date() if whole_day else moment.astimezone(UTC)
    if name == "DateSent":
        return sent_at.date() == moment.date()
    return sent <= bound if name.endswith("<") else sent >= bound
