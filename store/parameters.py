"""By what each resident is judged: values a doctor has set for her or a centre for a group, and her conditions.

A value is never changed, only followed by another: of each name the newest counts, until its end. What a value means,
and what it is where nobody has set one, the protocol knows (:mod:`alerts.judging`).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, LiteralString
from uuid import UUID

from store.postgres import Connection, rows, value

LONGEST_WHY: Final = 400
"""Characters."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What of a resident decides which rules concern her, and by which clock."""

    resident_id: int
    centre_id: int
    time_zone: str
    conditions: list[str]
    born: date


@dataclass(frozen=True, slots=True)
class Setting:
    """What was set once: a value, or ``None`` for back to the usual. Whoever set it may be unknown.

    ``group`` is empty for a resident's own value.
    """

    name: str
    value: float | None
    set_at: datetime
    until: datetime | None
    why: str
    by_zh: str | None
    by_en: str | None
    group: str = ""

    def by(self, language: str) -> str:
        """Who set it, as it is written in ``language``; empty when that is not known."""
        return (self.by_zh if language == "zh_Hans" else self.by_en) or ""

    def holds(self, now: datetime) -> bool:
        """Whether it counts at ``now``, being the newest of its name."""
        return self.value is not None and (self.until is None or self.until > now)


@dataclass(frozen=True, slots=True)
class Noted:
    """A condition that was noted of a resident, or taken back (``holds`` false)."""

    code: str
    holds: bool
    set_at: datetime
    by_zh: str | None
    by_en: str | None

    def by(self, language: str) -> str:
        """Who noted it, as it is written in ``language``; empty when that is not known."""
        return (self.by_zh if language == "zh_Hans" else self.by_en) or ""


async def judged(c: Connection, resident_id: int | None = None) -> list[Judged]:
    """Everybody the connection may see who has not left; or this one resident, also when she has."""
    whom: LiteralString = "r.left_at IS NULL OR r.left_at > now()" if resident_id is None else "r.id = %(resident)s"
    return await rows(
        c,
        Judged,
        "SELECT r.id AS resident_id, r.centre_id, c.time_zone, r.conditions, r.born FROM resident r JOIN centre c ON c.id = r.centre_id "
        "WHERE " + whom,
        {"resident": resident_id},
    )


async def own_values(c: Connection, now: datetime, resident_id: int | None = None) -> dict[int, dict[str, float]]:
    """The values in force that are residents' own, by resident and name.

    Who is related to a resident and does not care for her sees only the target of her blood pressure.
    """
    whom: LiteralString = "" if resident_id is None else "AND resident_id = %(resident)s"
    cursor = await c.execute(
        "SELECT resident_id, name, value FROM newest_value WHERE value IS NOT NULL AND (until IS NULL OR until > %(now)s) "
        + whom,
        {"now": now, "resident": resident_id},
    )
    found: dict[int, dict[str, float]] = {}
    for number, name, number_set in await cursor.fetchall():
        found.setdefault(number, {})[name] = number_set
    return found


async def group_values(c: Connection, now: datetime) -> dict[int, dict[tuple[str, str], float]]:
    """The values in force that centres have set for groups: by centre, then by (group, name)."""
    cursor = await c.execute(
        "SELECT centre_id, group_code, name, value FROM (SELECT DISTINCT ON (centre_id, group_code, name) * FROM group_value "
        "ORDER BY centre_id, group_code, name, id DESC) newest WHERE value IS NOT NULL AND (until IS NULL OR until > %s)",
        [now],
    )
    found: dict[int, dict[tuple[str, str], float]] = {}
    for centre, group, name, number_set in await cursor.fetchall():
        found.setdefault(centre, {})[group, name] = number_set
    return found


async def revision(c: Connection) -> int:
    """A number that grows with every change of what anybody is judged by: a value, a condition, a time zone.

    What ends by itself changes nothing here: see :func:`next_end`. Listeners are told ``{"kind": "judging"}``.
    """
    return int(await value(c, "SELECT revision FROM judging"))


async def next_end(c: Connection, now: datetime) -> datetime | None:
    """When the next of the values in force ends by itself, or ``None``."""
    found: datetime | None = await value(
        c,
        "SELECT min(until) FROM (SELECT value, until FROM newest_value UNION ALL (SELECT DISTINCT ON (centre_id, group_code, name) "
        "value, until FROM group_value ORDER BY centre_id, group_code, name, id DESC)) newest WHERE value IS NOT NULL AND until > %s",
        [now],
    )
    return found


async def next_birthday(c: Connection, ages: Collection[int], now: datetime) -> datetime | None:
    """When the next of those who have not left becomes one of these ages, by her centre's clock, or ``None``."""
    found: datetime | None = await value(
        c,
        "SELECT min((day + (extract(day FROM day) <> extract(day FROM r.born))::int)::timestamp AT TIME ZONE c.time_zone) AS at "
        "FROM resident r JOIN centre c ON c.id = r.centre_id, unnest(%(ages)s::int[]) AS age, "
        "LATERAL (SELECT (r.born + make_interval(years => age))::date AS day) birthday "
        "WHERE (r.left_at IS NULL OR r.left_at > %(now)s) "
        "AND (day + (extract(day FROM day) <> extract(day FROM r.born))::int)::timestamp AT TIME ZONE c.time_zone > %(now)s",
        {"ages": list(ages), "now": now},
    )
    return found


async def set_own(
    c: Connection,
    resident_id: int,
    name: str,
    number: float | None,
    now: datetime,
    *,
    by: UUID | None,
    why: str,
    until: datetime | None = None,
) -> None:
    """Judge a resident by this value from now on, or with ``None`` by the usual one again."""
    await c.execute(
        "INSERT INTO resident_value (resident_id, name, value, set_by, set_at, until, why) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [resident_id, name, number, by, now, until, why],
    )


async def set_for_group(
    c: Connection,
    centre_id: int,
    group: str,
    name: str,
    number: float | None,
    now: datetime,
    *,
    by: UUID | None,
    why: str,
    until: datetime | None = None,
) -> None:
    """Judge all residents of a centre who are in this group by this value, or with ``None`` as the protocol says."""
    await c.execute(
        "INSERT INTO group_value (centre_id, group_code, name, value, set_by, set_at, until, why) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        [centre_id, group, name, number, by, now, until, why],
    )


async def change_conditions(
    c: Connection, resident_id: int, added: Collection[str], removed: Collection[str], *, by: UUID
) -> None:
    """Note conditions of a resident and take others back; what others note at the same time stays. Kept in history."""
    await c.execute("SELECT set_config('hearthwatch.person', %s, true)", [str(by)])
    await c.execute(
        "UPDATE resident SET conditions = ARRAY(SELECT code FROM unnest(conditions || %(added)s::text[]) WITH ORDINALITY AS t (code, n) "
        "WHERE code <> ALL (%(removed)s::text[]) GROUP BY code ORDER BY min(n)) WHERE id = %(resident)s",
        {"resident": resident_id, "added": list(added), "removed": list(removed)},
    )


async def history(c: Connection, resident_id: int) -> list[Setting]:
    """All that was ever set for this resident herself, newest first."""
    return await rows(
        c,
        Setting,
        "SELECT v.name, v.value, v.set_at, v.until, v.why, p.name_zh AS by_zh, p.name_en AS by_en "
        "FROM resident_value v LEFT JOIN person p ON p.id = v.set_by WHERE v.resident_id = %s ORDER BY v.id DESC",
        [resident_id],
    )


async def history_of_groups(c: Connection, centre_id: int) -> list[Setting]:
    """All that a centre ever set for its groups, newest first."""
    return await rows(
        c,
        Setting,
        "SELECT v.name, v.value, v.set_at, v.until, v.why, p.name_zh AS by_zh, p.name_en AS by_en, v.group_code AS group "
        "FROM group_value v LEFT JOIN person p ON p.id = v.set_by WHERE v.centre_id = %s ORDER BY v.id DESC",
        [centre_id],
    )


async def history_of_conditions(c: Connection, resident_id: int) -> list[Noted]:
    """Every condition that was noted of a resident or taken back, newest first."""
    return await rows(
        c,
        Noted,
        "SELECT h.code, h.holds, h.set_at, p.name_zh AS by_zh, p.name_en AS by_en "
        "FROM condition_history h LEFT JOIN person p ON p.id = h.set_by WHERE h.resident_id = %s ORDER BY h.id DESC",
        [resident_id],
    )


async def may_set(c: Connection, person_id: UUID, resident_id: int) -> bool:
    """Whether this person is a doctor of the resident today."""
    return bool(
        await value(
            c,
            "SELECT EXISTS (SELECT 1 FROM relation WHERE person_id = %s AND resident_id = %s AND kind = 'doctor' "
            "AND valid_from <= now() AND (valid_until IS NULL OR valid_until > now()))",
            [person_id, resident_id],
        )
    )
