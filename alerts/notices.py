"""Notices: what somebody is told by message that is no alert, and wakes nobody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final

from alerts import reach, wording
from alerts.escalation import morning_after
from alerts.reach import Way
from store import messages
from store.messages import NewMessage
from store.people import Person
from store.postgres import Connection

PRIORITY: Final = "medium"
GOOD_FOR: Final = timedelta(hours=12)


async def give(c: Connection, person: Person, sentence: str, zone: tzinfo, now: datetime) -> None:
    """Tell somebody; at night it waits for the morning. ``sentence`` is in her language. Without any way she is not told."""
    ways = (await reach.ways(c, [person], PRIORITY))[person.id]
    await messages.add(c, written(person, ways, sentence, morning_after(now, zone) or now, now))


def written(person: Person, ways: Sequence[Way], sentence: str, due_at: datetime, now: datetime) -> list[NewMessage]:
    """The same by each of her ways; by a call only if there is no other."""
    quiet = [way for way in ways if way.channel != "voice"]
    return [_message(person, way, sentence, due_at, now) for way in quiet or ways]


def _message(person: Person, way: Way, sentence: str, due_at: datetime, now: datetime) -> NewMessage:
    said = wording.say("notice", way.channel, person.language, sentence=sentence, priority=PRIORITY)
    return NewMessage(
        purpose="notice",
        priority=PRIORITY,
        person_id=person.id,
        channel=way.channel,
        address=way.address,
        language=person.language,
        body=said.body,
        subject=said.subject,
        due_at=due_at + way.after,
        expires_at=due_at + GOOD_FOR,
        made_at=now,
    )
