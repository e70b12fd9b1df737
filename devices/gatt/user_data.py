"""User Data Service (0x181C): User Index (0x2A9A) and User Control Point (0x2A9F).

Some scales and cuffs hand the measurements of a user slot only to whoever knows the slot's consent code. The layouts,
op codes and outcomes are from general knowledge of the service (UDS 1.0) and public code; they were not checked
against its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from devices.gatt.errors import DecodeError
from devices.gatt.layout import USER, one_of, whole
from devices.gatt.reader import Reader

SERVICE: Final = "0000181c-0000-1000-8000-00805f9b34fb"
USER_INDEX: Final = "00002a9a-0000-1000-8000-00805f9b34fb"
USER_CONTROL_POINT: Final = "00002a9f-0000-1000-8000-00805f9b34fb"

HIGHEST_CONSENT_CODE: Final = 9999


class OpCode(IntEnum):
    """What is asked, or answered."""

    REGISTER = 0x01
    CONSENT = 0x02
    DELETE = 0x03
    RESPONSE = 0x20


class Outcome(IntEnum):
    """How a request ended."""

    SUCCESS = 1
    OP_CODE_NOT_SUPPORTED = 2
    INVALID_PARAMETER = 3
    FAILED = 4
    NOT_AUTHORISED = 5


@dataclass(frozen=True, slots=True)
class Registration:
    """Ask for a new user slot, which this code from 0 to 9999 shall open."""

    consent_code: int


@dataclass(frozen=True, slots=True)
class Consent:
    """Open a user slot with its code."""

    user: int
    consent_code: int


@dataclass(frozen=True, slots=True)
class Response:
    """The answer; ``user`` is the slot that a registration was given."""

    request: OpCode
    outcome: Outcome
    user: int | None = None


def decode_user_index(data: bytes) -> int | None:
    """The slot that is open, or ``None`` where no user is chosen."""
    return whole(USER, data, "user index")


def encode_request(request: Registration | Consent) -> bytes:
    """What is written to the User Control Point. Raises ``ValueError`` for a code that is none."""
    if not 0 <= request.consent_code <= HIGHEST_CONSENT_CODE:
        raise ValueError(f"a consent code is a number from 0 to {HIGHEST_CONSENT_CODE}, not {request.consent_code}")
    code = request.consent_code.to_bytes(2, "little")
    if isinstance(request, Registration):
        return bytes((OpCode.REGISTER,)) + code
    return bytes((OpCode.CONSENT, request.user)) + code


def decode_request(data: bytes) -> Registration | Consent:
    """What an instrument is asked. Raises :class:`DecodeError` for what is no request known here."""
    reader = Reader(data)
    op_code = one_of(OpCode).read(reader, "op code", 0)
    if op_code not in (OpCode.REGISTER, OpCode.CONSENT):
        raise DecodeError("reserved_value", f"{op_code.name} is not asked here")
    user = reader.u8("user") if op_code is OpCode.CONSENT else None
    code = reader.u16("consent code")
    reader.end()
    if code > HIGHEST_CONSENT_CODE:
        raise DecodeError("reserved_value", f"a consent code ends at {HIGHEST_CONSENT_CODE}, and this is {code}")
    return Registration(code) if user is None else Consent(user, code)


def encode_response(response: Response) -> bytes:
    """What an instrument indicates."""
    user = b"" if response.user is None else bytes((response.user,))
    return bytes((OpCode.RESPONSE, response.request, response.outcome)) + user


def decode_response(data: bytes) -> Response:
    """The instrument's answer. Raises :class:`DecodeError` for what is none, and for a reserved outcome."""
    reader = Reader(data)
    if one_of(OpCode).read(reader, "op code", 0) is not OpCode.RESPONSE:
        raise DecodeError("reserved_value", "this is a request and answers nothing")
    request = one_of(OpCode).read(reader, "request", 0)
    outcome = one_of(Outcome).read(reader, "outcome", 0)
    user = reader.u8("user") if (request, outcome) == (OpCode.REGISTER, Outcome.SUCCESS) else None
    reader.end()
    return Response(request, outcome, user)
