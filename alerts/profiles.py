"""By what one resident is judged: time zone, groups, and the parameters in which she differs. Pure.

She is in the groups that are noted of her, and in those that follow by themselves: from these, or from her age. A
parameter's value is the resident's own, else that of the first of her groups that has one, else the protocol's. A
centre may give a group another value than the protocol does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Literal

from alerts.protocol import Protocol
from alerts.rule import Group, Parameter


@dataclass(frozen=True, slots=True)
class Profile:
    """What the rules core needs to know of a resident: her IANA time zone, her groups' codes, and her values.

    ``values`` holds, by parameter name and sorted, only what differs from the protocol's own. Many residents share a
    profile: it is a value, and can be a key.
    """

    zone: str = "UTC"
    groups: frozenset[str] = frozenset()
    values: tuple[tuple[str, float], ...] = ()

    def value(self, parameter: Parameter) -> float:
        """The value of a parameter for her."""
        return dict(self.values).get(parameter.name, parameter.value)

    def concerns(self, groups: Collection[str], not_groups: Collection[str]) -> bool:
        """Whether what is said for these groups (all residents, when empty), and not for those, is said of her."""
        return (not groups or not self.groups.isdisjoint(groups)) and self.groups.isdisjoint(not_groups)


def groups_of(protocol: Protocol, noted: Collection[str], age: int | None) -> frozenset[str]:
    """The groups of whoever has these conditions noted and is ``age`` full years old (``None``: of no age in particular).

    Noting a group that follows by itself makes nobody a member of it.
    """
    old = age if age is not None else -1
    held = {group.code for group in protocol.groups if group.code in noted and not group.follows}
    held |= {group.code for group in protocol.groups if group.from_age is not None and old >= group.from_age}
    return frozenset(held | {group.code for group in protocol.groups if group.all_of and held.issuperset(group.all_of)})


def likeness(protocol: Protocol, group: Group) -> tuple[frozenset[str], int | None]:
    """What is noted of whoever is in this group and in no other that she need not be in, and how old she is."""
    parts = [one for one in protocol.groups if one.code in (group.code, *group.all_of)]
    ages = [one.from_age for one in parts if one.from_age is not None]
    return frozenset(one.code for one in parts if not one.follows), max(ages, default=None)


Origin = Literal["own", "centre", "group", "protocol"]


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of a parameter and whence it is: her own, her centre's or the protocol's for a ``group``, or the protocol's."""

    origin: Origin
    value: float
    group: str = ""


def profile(
    protocol: Protocol,
    zone: str,
    noted: Collection[str],
    of_groups: Mapping[tuple[str, str], float],
    own: Mapping[str, float],
    *,
    age: int | None = None,
) -> Profile:
    """A resident's profile, from a centre's values by (group, parameter) and her own by parameter.

    ``noted`` are her conditions, ``age`` is in full years; the groups that follow from them are added.

    What the protocol does not know, or what lies outside a parameter's bounds, is passed over: another protocol may
    have been in force when it was set.
    """
    groups, values = groups_of(protocol, noted, age), {}
    for parameter in protocol.parameters:
        found = choices(protocol, parameter, groups, of_groups, own)[0].value
        if found != parameter.value:
            values[parameter.name] = found
    return Profile(zone, groups, tuple(sorted(values.items())))


def choices(
    protocol: Protocol,
    parameter: Parameter,
    groups: Collection[str],
    of_groups: Mapping[tuple[str, str], float],
    own: Mapping[str, float],
) -> list[Choice]:
    """Every value that a parameter could have for whoever is in ``groups``, each within its bounds.

    The first one counts, the last is usual.
    """
    found = [Choice("own", own[parameter.name])] if parameter.name in own else []
    for code in (group.code for group in protocol.groups if group.code in groups):
        if (code, parameter.name) in of_groups:
            found.append(Choice("centre", of_groups[code, parameter.name], code))
        if code in parameter.groups:
            found.append(Choice("group", parameter.groups[code].value, code))
    within = [choice for choice in found if parameter.low <= choice.value <= parameter.high]
    return [*within, Choice("protocol", parameter.value)]
