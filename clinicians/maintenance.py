"""Maintenance as the pages show it: who works on the equipment until when, and what waits meanwhile."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from alerts.protocol import Protocol
from clinicians.words import Words
from store import maintenance
from store.maintenance import Maintenance
from store.postgres import Connection

HOURS: Final = (1, 4, 8, 24)
"""For how long it can be set; :data:`alerts.maintenance.LONGEST` is the most that the record takes."""


@dataclass(frozen=True, slots=True)
class Work:
    """One that lasts: until when, who set it and why. ``is_gateway_s``: of a gateway and everything behind it."""

    until: datetime
    by: str
    why: str
    is_gateway_s: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """All that a page shows. ``held``: the alarms that wait, by the titles of their rules."""

    works: tuple[Work, ...]
    held: tuple[str, ...] = ()

    @property
    def is_own(self) -> bool:
        """Whether one of them is the resident's own, and can be ended on her page."""
        return any(not work.is_gateway_s for work in self.works)


async def of_resident(c: Connection, resident_id: int, protocol: Protocol, words: Words) -> Shown:
    """What stands of one resident, for those in whose care she is."""
    works = await maintenance.of_resident(c, resident_id, words.now)
    held = await maintenance.held_of(c, resident_id)
    rules = [protocol.rule(one.rule) for one in held]
    return Shown(_works(works, words), tuple(rule.titles[words.language] for rule in rules if rule))


async def of_equipment(
    c: Connection, words: Words, *, resident: int | None = None, gateways: Iterable[int | None] = ()
) -> Shown:
    """What stands of one resident or of gateways, for the administrator of their centre."""
    known = await maintenance.current(c, words.now)
    numbers = {number for number in gateways if number is not None}
    here = [one for one in known if one.resident_id == resident is not None or one.gateway_id in numbers]
    return Shown(_works(here, words))


def _works(known: Iterable[Maintenance], words: Words) -> tuple[Work, ...]:
    return tuple(Work(one.until, one.set_by(words.language), one.why, one.gateway_id is not None) for one in known)
