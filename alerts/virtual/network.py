"""A telephone network's memory: phones, what was said, and what it was told to do wrong.

It knows Twilio's Messages resource (https://www.twilio.com/docs/messaging/api/message-resource) and what
Twilio refuses. It sends nothing itself: :mod:`alerts.virtual.telephone` speaks HTTP.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from email.utils import format_datetime
from secrets import token_hex
from typing import Any, Final
from urllib.parse import urlsplit

from alerts.wording import GSM_SEGMENT, UCS2_SEGMENT, gsm, septets, ucs2_units

API_VERSION: Final = "2010-04-01"
_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_LONGEST_BODY: Final = 1600
_VALIDITY_S: Final = range(1, 36_001)
_FINAL: Final = frozenset({"delivered", "undelivered", "failed", "received"})

STOP_WORDS: Final = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit"})
START_WORDS: Final = frozenset({"start", "unstop", "yes"})

# https://www.twilio.com/docs/api/errors
_ERRORS: Final[Mapping[int, tuple[int, str]]] = {
    20003: (401, "Authenticate"),
    20404: (404, "The requested resource was not found"),
    20422: (400, "Invalid parameter"),
    20429: (429, "Too Many Requests"),
    20500: (500, "Internal Server Error"),
    21211: (400, "The 'To' number is not a valid phone number"),
    21266: (400, "'To' and 'From' number cannot be the same"),
    21408: (400, "Permission to send an SMS has not been enabled for the region indicated by the 'To' number"),
    21602: (400, "Message body is required"),
    21603: (400, "A 'From' phone number is required"),
    21604: (400, "A 'To' phone number is required"),
    21606: (400, "The 'From' phone number is not a valid, message-capable number of this account"),
    21609: (400, "The 'StatusCallback' URL is not a valid URL"),
    21610: (400, "Attempt to send to unsubscribed recipient"),
    21612: (400, "Message cannot be sent with the current combination of 'To' and/or 'From' parameters"),
    21614: (400, "'To' number is not a valid mobile number"),
    21617: (400, "The concatenated message body exceeds the 1600 character limit"),
}
_UNDELIVERED: Final[Mapping[int, str]] = {
    30003: "Unreachable destination handset",
    30004: "Message blocked",
    30005: "Unknown destination handset",
    30006: "Landline or unreachable carrier",
    30007: "Message filtered",
    30008: "Unknown error",
}
_NAMED_FAULTS: Final = frozenset({"429", "500", "timeout_after_send", "timeout_before_send", "undelivered"})


class Refused(Exception):
    """Twilio's answer to a request it does not carry out: an error code, its HTTP status, its words."""

    def __init__(self, code: int, message: str | None = None) -> None:
        self.code = code
        self.status, words = _ERRORS[code]
        self.message = message or words
        super().__init__(self.message)

    def body(self) -> dict[str, Any]:
        """The answer's JSON."""
        more = f"https://www.twilio.com/docs/errors/{self.code}"
        return {"code": self.code, "message": self.message, "more_info": more, "status": self.status}


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
    sent_at: datetime | None = None
    error_code: int | None = None

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
        """Whether its status will not change any more."""
        return self.status in _FINAL

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
            "error_message": None if self.error_code is None else _UNDELIVERED.get(self.error_code, "Unknown error"),
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


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong next: one of the names below, or an error code; with ``to``, only for that number.

    ``429``, ``500``: refused. ``timeout_before_send``, ``timeout_after_send``: no answer comes, and the message
    is lost or goes out all the same. ``undelivered``: taken, then not delivered (30003). A code below 30000
    refuses the message, one above leaves it undelivered.
    """

    kind: str
    to: str | None = None

    @classmethod
    def parse(cls, kind: str, to: str | None) -> Fault:
        """Raises :class:`ValueError` for a fault the network does not know."""
        code = int(kind) if kind.isdecimal() else None
        if kind not in _NAMED_FAULTS and code not in _ERRORS and code not in _UNDELIVERED:
            raise ValueError(f"no such fault: {kind!r}; there are {', '.join(sorted(_NAMED_FAULTS))} and error codes")
        return cls(kind, to)

    @property
    def hangs(self) -> bool:
        """Whether the sender never gets an answer."""
        return self.kind.startswith("timeout")

    @property
    def refuses(self) -> Refused | None:
        """The refusal it makes, if it makes one."""
        named = {"429": 20429, "500": 20500}
        code = named.get(self.kind) or (int(self.kind) if self.kind.isdecimal() else 0)
        return Refused(code) if code in _ERRORS else None

    @property
    def undelivered(self) -> int | None:
        """The error code with which the message stays undelivered, if it does."""
        if self.kind == "undelivered":
            return 30003
        return int(self.kind) if self.kind.isdecimal() and int(self.kind) in _UNDELIVERED else None


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose phone it is."""

    name_zh: str
    name_en: str
    role: str


@dataclass(slots=True)
class Network:
    """One account with one number, and every phone that it has talked to or that is known by name."""

    account: str
    number: str
    owners: Mapping[str, Owner] = field(default_factory=dict)
    messages: list[Sms] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    opted_out: set[str] = field(default_factory=set)

    def check(self, form: Mapping[str, str]) -> None:
        """Raise :class:`Refused` where Twilio would refuse to create this message."""
        to, from_, body = form.get("To", ""), form.get("From", ""), form.get("Body", "")
        if not to:
            raise Refused(21604)
        if not _E164.fullmatch(to):
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
        _check_options(form)
        if to in self.opted_out:
            raise Refused(21610)

    def next_fault(self, to: str) -> Fault | None:
        """The fault that befalls a message to this number now; each happens once."""
        for at, fault in enumerate(self.faults):
            if fault.to in (None, to):
                return self.faults.pop(at)
        return None

    def create(self, form: Mapping[str, str], now: datetime) -> Sms:
        """Queue a message from the account to a phone."""
        callback = form.get("StatusCallback") or None
        sid = "SM" + token_hex(16)
        sms = Sms(sid, "outbound-api", form["From"], form["To"], form["Body"], "queued", now, now, callback)
        self.messages.append(sms)
        return sms

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
        """The message of this identifier; :class:`Refused` as not found."""
        for sms in reversed(self.messages):
            if sms.sid == sid:
                return sms
        raise Refused(
            20404, f"The requested resource /{API_VERSION}/Accounts/{self.account}/Messages/{sid}.json was not found"
        )

    def listed(self, query: Mapping[str, str]) -> list[Sms]:
        """Messages by ``To``, ``From`` and ``DateSent`` (``DateSent<``, ``DateSent>`` inclusive), newest first."""
        return [sms for sms in reversed(self.messages) if _matches(sms, query)]

    def conversations(self) -> Iterator[tuple[str, Owner | None, Sequence[Sms]]]:
        """Each phone, its owner if known, and what was said, oldest first."""
        talks: dict[str, list[Sms]] = {number: [] for number in self.owners}
        for sms in self.messages:
            talks.setdefault(sms.from_ if sms.direction == "inbound" else sms.to, []).append(sms)
        for number, said in talks.items():
            yield number, self.owners.get(number), said


def _check_options(form: Mapping[str, str]) -> None:
    callback = urlsplit(form.get("StatusCallback", "http://none"))
    if callback.scheme not in ("http", "https") or not callback.hostname:
        raise Refused(21609)
    validity = form.get("ValidityPeriod", "36000")
    if not validity.isdecimal() or int(validity) not in _VALIDITY_S:
        raise Refused(20422, "ValidityPeriod must be between 1 and 36000 seconds")


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


def rfc2822(moment: datetime | None) -> str | None:
    """A time as Twilio writes it: ``Thu, 24 Aug 2023 05:01:45 +0000``."""
    return None if moment is None else format_datetime(moment.astimezone(UTC))
