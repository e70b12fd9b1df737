"""Adding people who may sign in: every field is checked where it is written down, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import phonenumbers
import psycopg

from api.sessions import IDLE, hash_password
from store import audit, people
from store.postgres import Connection, Database

FACES: Final = tuple(IDLE)
LANGUAGES: Final = ("zh_Hans", "en")
_SHORTEST_PASSWORD: Final = 12
"""Length is what makes guessing slow; no rules about signs and digits (NIST SP 800-63B, 3.1.1.2)."""
_LONGEST_PASSWORD: Final = 256


class NotUsable(Exception):
    """What was entered cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person as entered, checked. ``phone`` is E.164."""

    username: str
    name_zh: str
    name_en: str
    face: str
    phone: str | None
    language: str


def check(
    username: str, name_zh: str, name_en: str, face: str, phone: str | None, region: str, language: str
) -> NewUser:
    """Everything but the password. Raises :class:`NotUsable`."""
    username = username.strip().lower()
    if not username or not username.isprintable() or any(c.isspace() for c in username):
        raise NotUsable("the sign-in name is one word without spaces")
    if not name_zh.strip() or not name_en.strip():
        raise NotUsable("a person has a name in both scripts; write the same twice if there is only one")
    if face not in FACES:
        raise NotUsable(f"the face is one of {', '.join(FACES)}; not {face!r}")
    if language not in LANGUAGES:
        raise NotUsable(f"the language is one of {', '.join(LANGUAGES)}; not {language!r}")
    if phone is None and face in ("doctor", "care_worker"):
        raise NotUsable("staff are called to alerts: give a telephone number (--phone)")
    number = e164(phone, region) if phone else None
    return NewUser(username, name_zh.strip(), name_en.strip(), face, number, language)


def e164(phone: str, region: str) -> str:
    """A telephone number in its international form. Raises :class:`NotUsable` when no such number can exist."""
    try:
        number = phonenumbers.parse(phone, region.upper())
    except phonenumbers.NumberParseException as error:
        raise NotUsable(f"{phone!r} is not a telephone number: {error}") from error
    if not phonenumbers.is_possible_number(number):
        reason = phonenumbers.is_possible_number_with_reason(number)
        short = reason == phonenumbers.ValidationResult.TOO_SHORT
        raise NotUsable(f"{phone!r} is too {'short' if short else 'long'} for a number of {region.upper()}")
    if not phonenumbers.is_valid_number(number):
        raise NotUsable(f"{phone!r} is not a number that can be called")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def check_password(password: str, username: str) -> None:
    """Raises :class:`NotUsable` for a password that would be guessed."""
    if len(password) < _SHORTEST_PASSWORD:
        raise NotUsable(f"a password has at least {_SHORTEST_PASSWORD} characters; a sentence is good")
    if len(password) > _LONGEST_PASSWORD:
        raise NotUsable(f"a password has at most {_LONGEST_PASSWORD} characters")
    if username.lower() in password.lower() or len(set(password)) < 4:
        raise NotUsable("this password would be guessed: it is the name, or the same few characters again")


async def add(database: Database, new: NewUser, password: str, centre: str | None) -> str:
    """Add a person, or give a known sign-in name a new password; returns what was done, in words."""
    hashed = hash_password(password)
    try:
        async with database.service() as c:
            known = await people.account(c, new.username)
            if known is not None:
                await people.set_password_hash(c, known.person_id, hashed)
                await people.close_sessions(c, known.person_id)
                await audit.record(c, "password_set", known.person_id)
                return f"{new.username} has a new password and is signed out everywhere; nothing else was changed"
            centre_id = await find_centre(c, centre, make=True)
            person = await people.add_person(c, centre_id, new.name_zh, new.name_en, new.phone, new.language)
            await people.add_account(c, person.id, new.username, hashed, new.face)
            await audit.record(c, "account_added", person.id, face=new.face)
    except psycopg.errors.UniqueViolation as error:
        raise NotUsable(f"the telephone number {new.phone} is somebody else's") from error
    return f"{new.username} may sign in and sees the residents to whom she is given a relation"


async def find_centre(c: Connection, name: str | None, *, make: bool = False) -> int:
    """The health centre of this name, or the only one; with ``make`` the first one is made."""
    known = await people.centres(c)
    if name is None and len(known) == 1:
        return known[0].id
    for centre in known:
        if name in (centre.name_zh, centre.name_en):
            return centre.id
    if not known and name and make:
        return await people.add_centre(c, name, name, None, "Asia/Shanghai")
    if not known:
        raise NotUsable("there is no health centre yet: 'hearthwatch user add ... --centre NAME' makes the first one")
    names = ", ".join(repr(c.name_en) for c in known)
    raise NotUsable(f"say which health centre with --centre: {names}")
