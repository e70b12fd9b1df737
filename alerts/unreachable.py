"""Addresses that take nothing: found out by what becomes of messages, a task for the administrator until they do again.

What a phone that is switched off or out of reach says is not here: that passes by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

import structlog
from prometheus_client import Counter

from store import audit, contacts, people
from store.messages import MessageRow
from store.postgres import Connection

log = structlog.get_logger(__name__)

UNREACHABLE: Final = Counter("hearthwatch_unreachable_total", "Addresses found to take nothing.", ["channel", "why"])

OPTED_OUT: Final = "opted_out"
DEAD: Final = "dead"
"""The words by which channels of ours say why an address takes nothing; providers have numbers for it."""

_BOTH: Final = ("sms", "voice")
_LEAVE: Final = frozenset({"stop", "stopall", "unsubscribe", "cancel", "end", "quit"})
_RETURN: Final = frozenset({"start", "unstop", "yes"})
"""Words that the carrier itself acts on (https://help.twilio.com, advanced opt-out)."""

# What Twilio's numbers mean for an address, by channel (https://www.twilio.com/docs/api/errors). A landline (21614,
# 30006) takes no SMS but can be rung; a number that does not exist takes neither.
_MEANING: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "21610": (OPTED_OUT, ("sms",)),
        "21211": (DEAD, _BOTH),
        "21214": (DEAD, _BOTH),
        "21217": (DEAD, _BOTH),
        "21265": (DEAD, _BOTH),
        "13223": (DEAD, _BOTH),
        "13224": (DEAD, _BOTH),
        "30005": (DEAD, _BOTH),
        "21614": (DEAD, ("sms",)),
        "21408": (DEAD, ("sms",)),
        "21612": (DEAD, ("sms",)),
        "30004": (DEAD, ("sms",)),
        "30006": (DEAD, ("sms",)),
        "21215": (DEAD, ("voice",)),
        "21216": (DEAD, ("voice",)),
    }
)


def meaning(channel: str, error: str) -> tuple[str, tuple[str, ...]] | None:
    """Why an address takes nothing and by which channels; ``None`` for what may pass by itself."""
    if error in (OPTED_OUT, DEAD):
        return error, (channel,)
    return _MEANING.get(error) if channel in _BOTH else None


async def note(c: Connection, message: MessageRow, error: str, now: datetime) -> None:
    """A message has failed: remember it of its address if that means that nothing will arrive there."""
    found = meaning(message.channel, error)
    if found is None:
        return
    why, channels = found
    for channel in channels:
        if await contacts.note_unreachable(c, message.person_id, message.address, channel, why, error, now):
            UNREACHABLE.labels(channel, why).inc()
            log.error("unreachable", person=str(message.person_id), channel=channel, why=why, error=error)


async def heard(c: Connection, message: MessageRow) -> None:
    """A message has arrived: its address takes them after all."""
    if message.channel != "push" and await contacts.reachable_again(c, message.address, [message.channel]):
        log.info("reachable_again", person=str(message.person_id), channel=message.channel)


async def carrier_word(c: Connection, phone: str, word: str, now: datetime) -> None:
    """Somebody has said STOP or START, on which the carrier acts: no SMS reaches her from now on, or again."""
    said = word.strip().lower()
    person = await people.person_by_phone(c, phone)
    if person is None:
        return
    if said in _LEAVE and await contacts.note_unreachable(c, person.id, phone, "sms", OPTED_OUT, said.upper(), now):
        UNREACHABLE.labels("sms", OPTED_OUT).inc()
        log.error("unreachable", person=str(person.id), channel="sms", why=OPTED_OUT, error=said.upper())
        await audit.record(c, "sms_stopped", person.id)
    elif said in _RETURN and await contacts.reachable_again(c, phone, ["sms"], OPTED_OUT):
        log.info("reachable_again", person=str(person.id), channel="sms")
        await audit.record(c, "sms_started", person.id)
