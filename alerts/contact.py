"""A person sees to how she is reached: she proves that an address is hers, and tries whether messages arrive.

Each in the caller's transaction; what cannot be done is an outcome to be told, not an error: what was counted stays counted.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from psycopg.errors import UniqueViolation

from alerts import reach, wording
from alerts.channels import ChannelName
from store import audit, contacts, messages
from store.contacts import Verification
from store.messages import NewMessage
from store.people import Person
from store.postgres import Connection, part

Kind = Literal["phone", "email"]
Asked = Literal["sent", "taken", "too_often"]
Proved = Literal["proved", "wrong", "over", "taken"]
Tested = Literal["sent", "too_often", "no_way"]

CODE_DIGITS: Final = 6
GOOD_FOR: Final = timedelta(minutes=10)
MOST_TRIES: Final = 5
"""Five guesses at six digits find one in 200,000 (NIST SP 800-63B, 3.1.3.2, allows a hundred failures at six digits)."""
MOST_ASKED: Final = 5
"""Codes in an hour for one person, and to one address: nobody can have the centre pay for a flood, or annoy a stranger."""
_HOUR: Final = timedelta(hours=1)

TEST_GOOD_FOR: Final = timedelta(minutes=5)
MOST_TESTS: Final = 20
"""Test messages of one person in a day."""
TEST_AGAIN_AFTER: Final = timedelta(seconds=20)


async def ask_for_proof(
    c: Connection, person: Person, kind: Kind, address: str, now: datetime, *, by: ChannelName | None = None
) -> Asked:
    """Send a code to ``address``, to be entered on the page; a telephone gets it by SMS, or read aloud (``by`` voice)."""
    if kind == "phone" and not await contacts.phone_is_free(c, address, person.id):
        return "taken"
    if await contacts.asked_lately(c, person.id, address, now - _HOUR) >= MOST_ASKED:
        return "too_often"
    code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}}"
    await contacts.ask(c, person.id, kind, address, _hash(person.id, code), now, now + GOOD_FOR)
    channel = by or ("sms" if kind == "phone" else "email")
    minutes = int(GOOD_FOR.total_seconds()) // 60
    said = wording.say("verify", channel, person.language, code=code, minutes=minutes)
    await messages.add(c, [_message("verify", person, channel, address, said, now, GOOD_FOR)])
    return "sent"


async def prove(c: Connection, person_id: UUID, kind: Kind, code: str, now: datetime) -> Proved:
    """She enters the code that was sent: the address is hers from now on. A few wrong codes end it (``over``)."""
    tried = await contacts.try_code(c, person_id, kind, now)
    if tried is None:
        return "over"
    if not hmac.compare_digest(tried.code_hash, _hash(person_id, "".join(filter(str.isdigit, code)))):
        if tried.tries < MOST_TRIES:
            return "wrong"
        await contacts.end_verification(c, tried.id, now)
        return "over"
    await contacts.end_verification(c, tried.id, now)
    return await _keep(c, person_id, tried, now)


async def test(c: Connection, person: Person, channel: ChannelName, now: datetime) -> Tested:
    """Send her a message that says that it is a test, as an alert would come."""
    lately = await contacts.tests_since(c, person.id, now - timedelta(days=1))
    if len(lately) >= MOST_TESTS or any(t.channel == channel and t.created_at > now - TEST_AGAIN_AFTER for t in lately):
        return "too_often"
    profiles = await contacts.profiles(c, [person.id], "high")
    address = reach.addresses(profiles[0]).get(channel) if profiles else None
    if address is None:
        return "no_way"
    said = wording.say("test", channel, person.language)
    await messages.add(c, [_message("test", person, channel, address, said, now, TEST_GOOD_FOR)])
    return "sent"


async def _keep(c: Connection, person_id: UUID, proved: Verification, now: datetime) -> Proved:
    if proved.kind == "email":
        await contacts.set_email(c, person_id, proved.address, now)
    else:
        try:
            async with part(c):
                await contacts.set_phone(c, person_id, proved.address, now)
        except UniqueViolation:
            return "taken"
    # The code came to it: messages arrive there.
    await contacts.reachable_again(c, proved.address, why="dead")
    await audit.record(c, f"{proved.kind}_proved", person_id)
    return "proved"


def _message(
    purpose: str,
    person: Person,
    channel: ChannelName,
    address: str,
    said: wording.Said,
    now: datetime,
    good_for: timedelta,
) -> NewMessage:
    return NewMessage(
        purpose=purpose,
        # She waits for it with the page before her; a real call goes before it all the same.
        priority="medium",
        person_id=person.id,
        channel=channel,
        address=address,
        language=person.language,
        body=said.body,
        subject=said.subject,
        due_at=now,
        expires_at=now + good_for,
        made_at=now,
    )


def _hash(person_id: UUID, code: str) -> bytes:
    return hashlib.sha256(f"{person_id} {code}".encode()).digest()
