"""How a person is reached about an alert: by which channels, at which addresses, and how soon after being called.

Each may choose for herself (:func:`faults` says what cannot be chosen); who has not is reached as :data:`SHIPPED` says.
A choice that leaves nothing, because the service lost a channel or an address went dead, is never the last word: a way
that may fail is better than none, for its failure brings the next person at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final, get_args
from uuid import UUID

from alerts.channels import ChannelName
from store import contacts
from store.contacts import Profile
from store.people import Person
from store.postgres import Connection

CHANNELS: Final[tuple[ChannelName, ...]] = get_args(ChannelName)
TELEPHONE: Final[frozenset[ChannelName]] = frozenset({"sms", "voice"})

VOICE_AFTER: Final = timedelta(seconds=45)
"""A ringing telephone wakes whom an SMS did not; by then whoever reads it has answered (house default). With two minutes
a step it leaves a good minute for the call."""
LONGEST_AFTER: Final = timedelta(minutes=30)
LONGEST_AFTER_HIGH: Final = timedelta(minutes=1)
"""The first telephone way of a high alert must begin well within the two minutes of a step."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One channel, and how long after the call it is used."""

    channel: ChannelName
    after: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Way:
    """One message to be: by ``channel`` to ``address`` (push: the person's number), ``after`` she is called."""

    channel: ChannelName
    address: str
    after: timedelta


_SMS: Final = Choice("sms")
_PUSH: Final = Choice("push")
_EMAIL: Final = Choice("email")
_STAFF_HIGH: Final = (_SMS, _PUSH, Choice("voice", VOICE_AFTER))
_STAFF: Final = (_SMS, _PUSH, _EMAIL)
_LINE: Final = (_SMS, Choice("voice"))

SHIPPED: Final[Mapping[str, Mapping[str, tuple[Choice, ...]]]] = MappingProxyType(
    {
        # A centre's line may be a telephone on the wall, which reads no SMS: it rings at once.
        "fallback": MappingProxyType({"high": _LINE, "medium": _LINE, "low": _LINE}),
        "family": MappingProxyType(dict.fromkeys(("high", "medium", "low"), (_SMS, _PUSH))),
        "staff": MappingProxyType({"high": _STAFF_HIGH, "medium": _STAFF, "low": _STAFF}),
    }
)
"""How those are reached who have chosen nothing, by what they are and the priority."""


async def ways(c: Connection, persons: Sequence[Person], priority: str) -> dict[UUID, tuple[Way, ...]]:
    """The ways to each of ``persons``, soonest first; ``()`` for one whom nothing can reach."""
    found = await contacts.profiles(c, [person.id for person in persons], priority) if persons else []
    return {person.id: () for person in persons} | {p.person_id: ways_of(p, priority) for p in found}


def ways_of(profile: Profile, priority: str) -> tuple[Way, ...]:
    """The ways to one person. Pure."""
    wanted = shipped(profile.face, priority) if profile.ways is None else parse(profile.ways)
    able = addresses(profile)
    working = {channel: address for channel, address in able.items() if channel not in profile.failing}
    chosen = _usable(wanted, working)
    if priority == "high":
        chosen = _with_telephone(chosen, working)
    return chosen or _anything(working) or _anything(able)


def shipped(face: str, priority: str) -> tuple[Choice, ...]:
    """How somebody of this face is reached who has chosen nothing."""
    return SHIPPED[face if face in SHIPPED else "staff"][priority]


def faults(choices: Sequence[Choice], priority: str) -> tuple[str, ...]:
    """Why these cannot be chosen, as codes: twice, too_late, nothing, no_telephone, telephone_too_late."""
    telephone = [choice.after for choice in choices if choice.channel in TELEPHONE]
    high = priority == "high"
    wrong = {
        "twice": len({choice.channel for choice in choices}) < len(choices),
        "too_late": any(not timedelta() <= choice.after <= LONGEST_AFTER for choice in choices),
        "nothing": not choices,
        "no_telephone": high and bool(choices) and not telephone,
        "telephone_too_late": high and bool(telephone) and min(telephone) > LONGEST_AFTER_HIGH,
    }
    return tuple(code for code, is_wrong in wrong.items() if is_wrong)


def addresses(profile: Profile) -> dict[ChannelName, str]:
    """Where she could be reached by the service's channels. One that has not said which it has sends SMS."""
    channels: Collection[str] = profile.channels or ("sms",)
    all_of_hers: dict[ChannelName, str | None] = {
        "sms": profile.phone,
        "voice": profile.phone,
        "push": str(profile.person_id) if profile.has_push else None,
        "email": profile.email,
    }
    return {channel: address for channel, address in all_of_hers.items() if address and channel in channels}


def content(choices: Iterable[Choice]) -> list[dict[str, Any]]:
    """Choices as the record keeps them; :func:`parse` reads them back."""
    return [{"channel": choice.channel, "after_s": round(choice.after.total_seconds())} for choice in choices]


def parse(written: Iterable[Mapping[str, Any]]) -> tuple[Choice, ...]:
    """Choices as the record keeps them. A channel this release does not know is left out."""
    known: dict[str, ChannelName] = {channel: channel for channel in CHANNELS}
    return tuple(
        Choice(known[way["channel"]], timedelta(seconds=way["after_s"])) for way in written if way["channel"] in known
    )


def _usable(wanted: Iterable[Choice], able: Mapping[ChannelName, str]) -> tuple[Way, ...]:
    usable = (Way(choice.channel, able[choice.channel], choice.after) for choice in wanted if choice.channel in able)
    return tuple(sorted(usable, key=lambda way: way.after))


def _with_telephone(chosen: tuple[Way, ...], working: Mapping[ChannelName, str]) -> tuple[Way, ...]:
    """High is never without a telephone, nor does its telephone wait for one that does not work."""
    telephone = [way for way in chosen if way.channel in TELEPHONE]
    if not telephone:
        return (*_first(TELEPHONE, working), *chosen)
    if telephone[0].after > LONGEST_AFTER_HIGH or (telephone[0].channel == "voice" and "sms" not in working):
        first = Way(telephone[0].channel, telephone[0].address, timedelta())
        return (first, *(way for way in chosen if way != telephone[0]))
    return chosen


def _anything(able: Mapping[ChannelName, str]) -> tuple[Way, ...]:
    return _first(frozenset(CHANNELS), able)


def _first(channels: frozenset[ChannelName], able: Mapping[ChannelName, str]) -> tuple[Way, ...]:
    return tuple(Way(channel, able[channel], timedelta()) for channel in CHANNELS if channel in channels & able.keys())[
        :1
    ]
