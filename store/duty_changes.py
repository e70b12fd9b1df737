"""Writing what differs from the rota's shifts: changes of single hours, swaps between two people, absences.

Whether somebody is on duty at all in the hours that are to change, the rota knows: see :mod:`alerts.on_duty`. As in
:mod:`store.rosters`, what is of another centre raises :class:`~store.administration.NotAllowed`, and what makes no sense
is refused with a :class:`~store.rota.RotaError`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from store import audit
from store.administration import NotAllowed
from store.postgres import Connection, part, value
from store.rosters import require_callable, require_roster
from store.rota import RotaError, Swap, swap

ABSENCES: Final = ("sick", "leave", "on_visit")
LONGEST_CHANGE: Final = timedelta(days=92)
"""A change of more than a quarter of a year is another shift (house default)."""
LONGEST_WHY: Final = 200
"""Characters."""


@dataclass(frozen=True, slots=True)
class NewChange:
    """``person_id`` alone: she is added; ``instead_of`` alone: she is taken off; both: the one for the other."""

    roster_id: int
    starts_at: datetime
    ends_at: datetime
    person_id: UUID | None = None
    instead_of: UUID | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class NewSwap:
    """``asked_by`` asks ``asked_of`` to be on duty for her, and will be for the other in return, or for nothing."""

    roster_id: int
    asked_by: UUID
    asked_of: UUID
    gives_from: datetime
    gives_until: datetime
    takes_from: datetime | None = None
    takes_until: datetime | None = None


async def add_change(
    c: Connection,
    centre_id: int,
    new: NewChange,
    now: datetime,
    *,
    by: UUID | None = None,
    swap_id: int | None = None,
) -> int:
    """Lay a change over a roster's shifts; returns its number. Of several the newest has the last word.

    It holds from ``now`` on at the earliest: who was on duty before was.
    """
    await require_roster(c, centre_id, new.roster_id)
    if new.person_id is None and new.instead_of is None:
        raise RotaError("who", "say who is on duty, or who is not")
    if new.person_id == new.instead_of:
        raise RotaError("herself", "nobody can stand in for herself")
    require_hours(new.starts_at, new.ends_at, now)
    if len(new.why) > LONGEST_WHY:
        raise RotaError("why", f"the reason has {LONGEST_WHY} characters at most")
    if new.person_id is not None:
        await require_callable(c, centre_id, new.person_id)
    number = int(
        await value(
            c,
            "INSERT INTO duty_change (roster_id, starts_at, ends_at, person_id, instead_of, why, swap_id, made_by, made_at) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [
                new.roster_id,
                max(new.starts_at, now),
                new.ends_at,
                new.person_id,
                new.instead_of,
                new.why.strip(),
                swap_id,
                by,
                now,
            ],
        )
    )
    await audit.record(c, "duty_changed", by, change=number, roster=new.roster_id)
    return number


async def cancel_change(
    c: Connection, centre_id: int, change_id: int, now: datetime, *, by: UUID | None = None
) -> None:
    """Take a change back; both changes of a swap, for neither holds without the other. Once is as good as twice."""
    found = await value(
        c,
        "SELECT 1 FROM duty_change d JOIN roster r ON r.id = d.roster_id WHERE d.id = %s AND r.centre_id = %s",
        [change_id, centre_id],
    )
    if found is None:
        raise NotAllowed(f"there is no change {change_id} in centre {centre_id}")
    done = await c.execute(
        "UPDATE duty_change SET cancelled_at = %(now)s, cancelled_by = %(by)s WHERE cancelled_at IS NULL AND "
        "(id = %(change)s OR swap_id = (SELECT swap_id FROM duty_change WHERE id = %(change)s))",
        {"now": now, "by": by, "change": change_id},
    )
    if done.rowcount:
        await audit.record(c, "duty_change_cancelled", by, change=change_id)


async def ask_swap(c: Connection, centre_id: int, new: NewSwap, now: datetime) -> int:
    """Ask a colleague to take hours; returns the number of the request. Nothing changes until she accepts it."""
    await require_roster(c, centre_id, new.roster_id)
    if new.asked_by == new.asked_of:
        raise RotaError("herself", "nobody can stand in for herself")
    require_hours(new.gives_from, new.gives_until, now)
    if (new.takes_from is None) != (new.takes_until is None):
        raise RotaError("half_swap", "say from when to when she takes the other's hours")
    if new.takes_from is not None and new.takes_until is not None:
        require_hours(new.takes_from, new.takes_until, now)
    for person in (new.asked_by, new.asked_of):
        await require_callable(c, centre_id, person)
    number = int(
        await value(
            c,
            "INSERT INTO duty_swap (roster_id, asked_by, asked_of, gives_from, gives_until, takes_from, takes_until, asked_at) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [
                new.roster_id,
                new.asked_by,
                new.asked_of,
                new.gives_from,
                new.gives_until,
                new.takes_from,
                new.takes_until,
                now,
            ],
        )
    )
    await audit.record(c, "swap_asked", new.asked_by, swap=number, of=str(new.asked_of))
    return number


async def open_swap(c: Connection, swap_id: int, by: UUID, *, may: Literal["answer", "withdraw"]) -> Swap:
    """A request that nobody has settled yet, locked. ``answer``: only whom it asks may; ``withdraw``: only who asked.

    Raises :class:`NotAllowed` for anybody else, :class:`RotaError` when it is settled.
    """
    found = await swap(c, swap_id)
    if found is None or by != (found.asked_of if may == "answer" else found.asked_by):
        raise NotAllowed(f"there is no request {swap_id} which {by} could {may}")
    if found.state != "asked":
        raise RotaError(found.state, f"it has been {found.state} already")
    return found


async def accept_swap(c: Connection, centre_id: int, asked: Swap, now: datetime, by: UUID) -> None:
    """Do what a request asks: one change for the hours given, one for those taken; both or none."""
    async with part(c):
        gives = NewChange(asked.roster_id, asked.gives_from, asked.gives_until, asked.asked_of, asked.asked_by)
        await add_change(c, centre_id, gives, now, by=by, swap_id=asked.id)
        if asked.takes_from is not None and asked.takes_until is not None:
            takes = NewChange(asked.roster_id, asked.takes_from, asked.takes_until, asked.asked_by, asked.asked_of)
            await add_change(c, centre_id, takes, now, by=by, swap_id=asked.id)
        await _settle(c, asked.id, "accepted", now, by)


async def decline_swap(c: Connection, swap_id: int, now: datetime, by: UUID) -> None:
    """Whom it asks will not do it."""
    await open_swap(c, swap_id, by, may="answer")
    await _settle(c, swap_id, "declined", now, by)


async def withdraw_swap(c: Connection, swap_id: int, now: datetime, by: UUID) -> None:
    """Who asked does not ask any more."""
    await open_swap(c, swap_id, by, may="withdraw")
    await _settle(c, swap_id, "withdrawn", now, by)


async def begin_absence(
    c: Connection,
    centre_id: int,
    person_id: UUID,
    kind: str,
    starts_at: datetime,
    ends_at: datetime | None,
    now: datetime,
    *,
    by: UUID | None = None,
    alert_id: int | None = None,
) -> int:
    """Somebody is or will be away; without ``ends_at`` until :func:`end_absence`. Returns its number.

    Saying the same again while it lasts changes when it ends, and makes no second one.
    """
    if kind not in ABSENCES:
        raise RotaError("absence", f"nobody is absent for {kind!r}")
    if ends_at is not None and ends_at <= max(starts_at, now):
        raise RotaError("backwards", "it ends before it begins")
    if await value(c, "SELECT 1 FROM person WHERE id = %s AND centre_id = %s", [person_id, centre_id]) is None:
        raise NotAllowed(f"there is no person {person_id} in centre {centre_id}")
    same = await value(
        c,
        "UPDATE absence SET ends_at = %(ends)s, said_by = %(by)s, said_at = %(now)s, alert_id = coalesce(%(alert)s, alert_id) "
        "WHERE id = (SELECT id FROM absence WHERE person_id = %(person)s AND kind = %(kind)s AND starts_at <= %(starts)s "
        "AND (ends_at IS NULL OR ends_at > %(starts)s) AND kind <> 'on_visit' ORDER BY id DESC LIMIT 1) RETURNING id",
        {
            "ends": ends_at,
            "by": by,
            "now": now,
            "alert": alert_id,
            "person": person_id,
            "kind": kind,
            "starts": starts_at,
        },
    )
    if same is not None:
        return int(same)
    number = await value(
        c,
        "INSERT INTO absence (person_id, kind, starts_at, ends_at, said_by, said_at, alert_id) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
        [person_id, kind, starts_at, ends_at, by, now, alert_id],
    )
    await audit.record(c, "absence_begun", by, absence=number, person=str(person_id), kind=kind)
    return int(number)


async def end_absence(c: Connection, centre_id: int, person_id: UUID, now: datetime, *, by: UUID | None = None) -> bool:
    """She is back: whatever she is away for ends now. What is planned for later stays. Was she away?"""
    if await value(c, "SELECT 1 FROM person WHERE id = %s AND centre_id = %s", [person_id, centre_id]) is None:
        raise NotAllowed(f"there is no person {person_id} in centre {centre_id}")
    begun = await c.execute("DELETE FROM absence WHERE person_id = %s AND starts_at = %s", [person_id, now])
    ended = await c.execute(
        "UPDATE absence SET ends_at = %(now)s WHERE person_id = %(person)s AND starts_at < %(now)s "
        "AND (ends_at IS NULL OR ends_at > %(now)s)",
        {"now": now, "person": person_id},
    )
    was_away = begun.rowcount + ended.rowcount > 0
    if was_away:
        await audit.record(c, "absence_ended", by, person=str(person_id))
    return was_away


async def end_visits(c: Connection, alert_id: int, now: datetime) -> None:
    """Whoever is on a visit for this alert is back from it."""
    await c.execute("DELETE FROM absence WHERE alert_id = %s AND starts_at = %s", [alert_id, now])
    await c.execute(
        "UPDATE absence SET ends_at = %(now)s WHERE alert_id = %(alert)s AND starts_at < %(now)s "
        "AND (ends_at IS NULL OR ends_at > %(now)s)",
        {"now": now, "alert": alert_id},
    )


async def cancel_absence(
    c: Connection, centre_id: int, absence_id: int, now: datetime, *, by: UUID | None = None
) -> None:
    """A planned absence is not to be; one that has begun ends now."""
    person = await value(
        c,
        "SELECT person_id FROM absence a JOIN person p ON p.id = a.person_id WHERE a.id = %s AND p.centre_id = %s",
        [absence_id, centre_id],
    )
    if person is None:
        raise NotAllowed(f"there is no absence {absence_id} in centre {centre_id}")
    gone = await c.execute("DELETE FROM absence WHERE id = %s AND starts_at >= %s", [absence_id, now])
    if not gone.rowcount:
        await c.execute(
            "UPDATE absence SET ends_at = least(coalesce(ends_at, %(now)s), %(now)s) WHERE id = %(absence)s",
            {"absence": absence_id, "now": now},
        )
    await audit.record(c, "absence_cancelled", by, absence=absence_id, person=str(person))


async def _settle(c: Connection, swap_id: int, state: str, now: datetime, by: UUID) -> None:
    await c.execute(
        "UPDATE duty_swap SET state = %s, settled_at = %s, settled_by = %s WHERE id = %s", [state, now, by, swap_id]
    )
    await audit.record(c, f"swap_{state}", by, swap=swap_id)


def require_hours(starts_at: datetime, ends_at: datetime, now: datetime) -> None:
    """Raises :class:`RotaError` for hours that end before they begin, are over, or are too many for a change."""
    if ends_at <= starts_at:
        raise RotaError("backwards", "it ends before it begins")
    if ends_at <= now:
        raise RotaError("past", "that time is over")
    if ends_at - starts_at > LONGEST_CHANGE:
        raise RotaError("too_long", f"a change lasts {LONGEST_CHANGE.days} days at most; write a shift instead")
