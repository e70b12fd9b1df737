"""By what residents are judged, as the record and the protocol together say: profiles, and targets of blood pressure.

The protocol has the parameters and their usual values, the record what doctors and centres have set otherwise. Nobody
else puts the two together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import structlog

from alerts.profiles import Choice, Profile, choices, groups_of, likeness, profile
from alerts.protocol import Protocol
from alerts.rule import DIASTOLIC_HIGH, DIASTOLIC_LOW, SYSTOLIC_HIGH, SYSTOLIC_LOW, Group
from store import parameters
from store.parameters import Judged
from store.people import Centre
from store.postgres import Connection
from store.residents import full_years

log = structlog.get_logger(__name__)

_WITHOUT: Final = MappingProxyType(
    {SYSTOLIC_LOW: 100.0, SYSTOLIC_HIGH: 135.0, DIASTOLIC_LOW: 60.0, DIASTOLIC_HIGH: 85.0}
)
"""Where the protocol in force has no such parameter: below 135/85 at home (ESH 2023), and not too low."""


@dataclass(frozen=True, slots=True)
class Target:
    """Within which a resident's blood pressure at home is meant to lie, in mm[Hg]; the ends belong to it."""

    systolic_low: float
    systolic_high: float
    diastolic_low: float
    diastolic_high: float


@dataclass(frozen=True, slots=True)
class Grounds:
    """By what somebody is judged, and whence it is.

    ``choices`` holds of each parameter the values it could have for her, the one that counts first. ``own`` are all her
    own values in force, those among them too that the protocol has no use for.
    """

    profile: Profile
    choices: Mapping[str, tuple[Choice, ...]]
    own: Mapping[str, float]


async def profiles(c: Connection, protocol: Protocol, now: datetime | None = None) -> dict[int, Profile]:
    """The profile of everybody the connection may see who has not left, by resident, as of ``now``."""
    return await _profiles(c, protocol, now or datetime.now(UTC))


async def profile_of(c: Connection, protocol: Protocol, resident_id: int, now: datetime) -> Profile:
    """One resident's profile; the usual one of nobody whom the connection may not see."""
    return (await _profiles(c, protocol, now, resident_id)).get(resident_id, Profile())


async def grounds(c: Connection, protocol: Protocol, resident_id: int, now: datetime) -> Grounds | None:
    """By what one resident is judged and why; ``None`` for nobody whom the connection may see."""
    found = await parameters.judged(c, resident_id)
    if not found:
        return None
    judged = found[0]
    own = (await parameters.own_values(c, now, resident_id)).get(resident_id, {})
    of_groups = (await parameters.group_values(c, now)).get(judged.centre_id, {})
    return _grounds(protocol, judged.time_zone, judged.conditions, of_groups, own, _age(judged, now))


async def grounds_of_group(c: Connection, protocol: Protocol, centre: Centre, group: Group, now: datetime) -> Grounds:
    """By what a resident of the centre is judged who is in this group alone and has no value of her own.

    Where the group follows from others she is in these too.
    """
    of_groups = (await parameters.group_values(c, now)).get(centre.id, {})
    noted, age = likeness(protocol, group)
    return _grounds(protocol, centre.time_zone, noted, of_groups, {}, age)


def _grounds(
    protocol: Protocol,
    zone: str,
    conditions: Collection[str],
    of_groups: Mapping[tuple[str, str], float],
    own: Mapping[str, float],
    age: int | None,
) -> Grounds:
    groups = groups_of(protocol, conditions, age)
    chosen = {p.name: tuple(choices(protocol, p, groups, of_groups, own)) for p in protocol.parameters}
    return Grounds(profile(protocol, zone, conditions, of_groups, own, age=age), chosen, own)


async def next_change(c: Connection, protocol: Protocol, now: datetime) -> datetime | None:
    """When somebody will next be judged otherwise without anything having been set: a value ends, or she has a birthday.

    ``None`` if that is never.
    """
    ages = [group.from_age for group in protocol.groups if group.from_age is not None]
    moments = (
        await parameters.next_end(c, now),
        await parameters.next_birthday(c, ages, now) if ages else None,
    )
    return min((moment for moment in moments if moment is not None), default=None)


async def targets(c: Connection, protocol: Protocol, now: datetime) -> dict[int, Target]:
    """The target of everybody the connection may see who has not left, by resident."""
    return {number: target(protocol, found) for number, found in (await profiles(c, protocol, now)).items()}


async def target_of(c: Connection, protocol: Protocol, resident_id: int, now: datetime) -> Target:
    """One resident's target."""
    return target(protocol, await profile_of(c, protocol, resident_id, now))


def target(protocol: Protocol, of: Profile) -> Target:
    """The target of whoever has this profile."""
    known = {parameter.name: of.value(parameter) for parameter in protocol.parameters if parameter.name in _WITHOUT}
    value = {**_WITHOUT, **known}
    return Target(value[SYSTOLIC_LOW], value[SYSTOLIC_HIGH], value[DIASTOLIC_LOW], value[DIASTOLIC_HIGH])


async def _profiles(
    c: Connection, protocol: Protocol, now: datetime, resident_id: int | None = None
) -> dict[int, Profile]:
    everybody = await parameters.judged(c, resident_id)
    own = await parameters.own_values(c, now, resident_id)
    of_groups = await parameters.group_values(c, now)
    made = _Profiles(protocol, of_groups, now)
    return {one.resident_id: made.of(_in_a_zone(one), own.get(one.resident_id, {})) for one in everybody}


def _in_a_zone(judged: Judged) -> Judged:
    """With her centre's time zone, or by UTC: one that this server does not know must not keep everybody unwatched."""
    return judged if _is_known(judged.time_zone) else replace(judged, time_zone="UTC")


@cache
def _is_known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        log.exception("time_zone_unknown", time_zone=zone, hint="its residents' days are counted by UTC")
        return False
    return True


class _Profiles:
    """Makes profiles. Who has no value of her own shares one with all of her centre who are in the same groups."""

    def __init__(
        self, protocol: Protocol, of_groups: Mapping[int, Mapping[tuple[str, str], float]], now: datetime
    ) -> None:
        self._protocol = protocol
        self._of_groups = of_groups
        self._now = now
        self._shared: dict[tuple[int, frozenset[str]], Profile] = {}

    def of(self, judged: Judged, own: Mapping[str, float]) -> Profile:
        if own:
            return self._made(judged, own)
        key = judged.centre_id, groups_of(self._protocol, judged.conditions, _age(judged, self._now))
        if key not in self._shared:
            self._shared[key] = self._made(judged, {})
        return self._shared[key]

    def _made(self, judged: Judged, own: Mapping[str, float]) -> Profile:
        of_groups = self._of_groups.get(judged.centre_id, {})
        age = _age(judged, self._now)
        return profile(self._protocol, judged.time_zone, judged.conditions, of_groups, own, age=age)


def _age(judged: Judged, now: datetime) -> int:
    return full_years(judged.born, now.astimezone(ZoneInfo(judged.time_zone)).date())
