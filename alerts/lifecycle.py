"""The life of one alert, from the moment it is raised until a person has closed it; or shelved for a while. Pure.

Each verb takes an :class:`Alert` and returns it as it stands afterwards, or raises :class:`TransitionError` in
words that can be shown to the person who tried. One promise holds in every state that can be reached: an alert
to which staff are called has a ``climb_at`` until somebody is with the resident, so it can never lie unheard. Taking
it is a promise with a deadline; whoever does not keep it is called again, with the others. Whatever begins to wait again
has one too: whether anybody is called to it is decided when it goes on (:func:`rest`), and not by its being forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

State = Literal["raised", "notifying", "acknowledged", "attended", "shelved", "cancelled", "resolved", "expired"]

ENDS: Final = ("resolved", "expired")
"""States from which nothing leads on: the next time it is a new alert."""
WAITS: Final = ("raised", "notifying")
"""States in which nobody has taken it."""

LONGEST_SHELF: Final = timedelta(hours=24)
"""Silencing is limited in time (IEC 60601-1-8); one day, the age at which ISA-18.2 calls an alarm stale."""

CHATTER_RAISES: Final = 3
CHATTER_WITHIN: Final = timedelta(minutes=30)
"""The same alert three times in half an hour chatters (ISA-18.2's three in a minute, at a home's pace)."""

VISIT_LASTS: Final = timedelta(hours=1)
"""How long whoever has attended is taken to be there still (house default): an alert that nobody closes must not keep the
next trouble of the same kind from being heard."""

TASK_KEPT: Final = timedelta(days=7)
"""A task whose reason has been over for so long has expired (house default): nobody can do anything about it."""


class TransitionError(Exception):
    """What was asked cannot be done to an alert in this state. ``code`` is for translation, the text is English."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Alert:
    """The part of an alert that changes; its fields bear the names of the record's columns.

    ``step`` is the step of the policy last called (0: nobody is called, a task on the board), ``rounds`` how often the
    policy has been begun anew since the alert began to wait, ``call`` how many calls were made in its whole life.
    ``raised`` with a ``step`` means that the first call since it waits again is due. ``exhausted_at``: everybody has
    been called in vain.
    """

    state: State
    raised_at: datetime
    step: int = 0
    rounds: int = 0
    call: int = 0
    climb_at: datetime | None = None
    exhausted_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: UUID | None = None
    attended_at: datetime | None = None
    attended_by: UUID | None = None
    shelved_until: datetime | None = None
    cancelled_at: datetime | None = None
    cleared_at: datetime | None = None
    resolved_at: datetime | None = None
    resolved_by: UUID | None = None
    outcome: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether a person still has to close it."""
        return self.state not in ENDS

    @property
    def waits(self) -> bool:
        """Whether nobody has taken it."""
        return self.state in WAITS

    @property
    def calls_staff(self) -> bool:
        """Whether people are called to it; a task waits on the board without a message."""
        return self.step > 0

    def changes_from(self, before: Alert) -> dict[str, Any]:
        """The columns in which it differs from ``before``."""
        names = (f.name for f in fields(self))
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(before, name)}


def notify(alert: Alert, step: int, rounds: int, climb_at: datetime, exhausted_at: datetime | None = None) -> Alert:
    """People of ``step`` are being called; the next step follows at ``climb_at`` unless somebody takes it.

    ``exhausted_at`` says that nobody is left to call who has not been called in vain.
    """
    if not alert.waits:
        raise TransitionError("not_waiting", f"nobody needs to be called: the alert is {alert.state}")
    return replace(
        alert,
        state="notifying",
        step=step,
        rounds=rounds,
        call=alert.call + 1,
        climb_at=climb_at,
        exhausted_at=alert.exhausted_at or exhausted_at,
    )


def rest(alert: Alert) -> Alert:
    """Nobody is called to it: it is a task on the board, or over before the morning in which somebody would have been."""
    if not alert.waits or alert.calls_staff:
        raise TransitionError("called", "somebody has been called already")
    return replace(alert, climb_at=None)


def call_later(alert: Alert, at: datetime) -> Alert:
    """Nobody is called before ``at``, unless it is over or somebody takes it before."""
    if not alert.waits:
        raise TransitionError("not_waiting", f"nobody needs to be called: the alert is {alert.state}")
    return replace(alert, climb_at=at)


def acknowledge(alert: Alert, person: UUID, now: datetime, attend_by: datetime) -> Alert:
    """A person promises to attend by ``attend_by``: the climb stops until then, the alert stays.

    Taking twice what is one's own changes nothing: a promise is not put off by repeating it.
    """
    _require_open(alert)
    if alert.state in ("acknowledged", "attended"):
        if alert.acknowledged_by == person:
            return alert
        raise TransitionError("taken", "somebody else has taken the alert already")
    return replace(
        alert,
        state="acknowledged",
        acknowledged_at=now,
        acknowledged_by=person,
        climb_at=attend_by if alert.calls_staff or (alert.waits and alert.climb_at is not None) else None,
        exhausted_at=None,
        shelved_until=None,
        cancelled_at=None,
    )


def lapse(alert: Alert, now: datetime) -> Alert:
    """Nobody attended by the time that was promised: it calls again from the first step on."""
    if alert.state != "acknowledged":
        raise TransitionError("not_yours", f"nobody has promised to come: the alert is {alert.state}")
    return _wait_again(alert, now)


def attend(alert: Alert, person: UUID, now: datetime) -> Alert:
    """A person is with the resident, or speaks to her. She need not have taken it before; a second changes nothing."""
    _require_open(alert)
    if alert.state == "attended":
        return alert
    return replace(
        alert,
        state="attended",
        attended_at=now,
        attended_by=person,
        acknowledged_at=alert.acknowledged_at or now,
        acknowledged_by=person,
        climb_at=None,
        exhausted_at=None,
        shelved_until=None,
        cancelled_at=None,
    )


def release(alert: Alert, person: UUID, now: datetime) -> Alert:
    """She who had taken it cannot come after all: it calls again at once."""
    if alert.state not in ("acknowledged", "attended") or alert.acknowledged_by != person:
        raise TransitionError("not_yours", "only the person who has taken an alert can give it back")
    return _wait_again(alert, now)


def shelve(alert: Alert, now: datetime, until: datetime) -> Alert:
    """Put it aside until ``until``, at most a day; then it waits again by itself, and calls if it calls at all."""
    _require_open(alert)
    if not now < until <= now + LONGEST_SHELF:
        raise TransitionError("shelf_time", "an alert can be put aside for up to 24 hours")
    return replace(alert, state="shelved", shelved_until=until, climb_at=until, exhausted_at=None, cancelled_at=None)


def unshelve(alert: Alert, now: datetime) -> Alert:
    """Take it from the shelf: it waits for somebody again, and calls at once if it calls at all."""
    if alert.state != "shelved":
        raise TransitionError("not_shelved", f"the alert is not put aside: it is {alert.state}")
    return _wait_again(alert, now)


def raise_again(alert: Alert, now: datetime, *, raises_lately: int, is_event: bool = False) -> Alert:
    """Its rule fires anew while it is open.

    What somebody had taken calls again: she may believe it was over. Not so when a value chatters (``raises_lately``
    counts this one), nor while somebody is with the resident; and one that is waiting is being called already, unless it
    was over before the morning in which it would have been. On the shelf a value that is still too high stays silent. A new event is never silent: nobody has taken, attended or put
    aside a fall or a call for help that had not happened yet, and a person who presses a third time does not chatter.
    What a resident had taken back calls again whatever it is.
    """
    _require_open(alert)
    alert = replace(alert, cleared_at=None)
    if alert.waits:
        return alert if alert.climb_at is not None else replace(alert, climb_at=now)
    if is_event or alert.state == "cancelled" or _was_left(alert, now):
        return _wait_again(alert, now)
    if alert.state != "acknowledged" or raises_lately >= CHATTER_RAISES:
        return alert
    return _wait_again(alert, now)


def urge(alert: Alert, now: datetime) -> Alert:
    """It has become worse. Whoever has taken it, or put it aside, is called anew with the others: she may be late.

    One that waits goes on to the next step at once instead of waiting any longer.
    """
    _require_open(alert)
    alert = replace(alert, cleared_at=None)
    if not alert.waits:
        return _wait_again(alert, now)
    return replace(alert, climb_at=now if alert.calls_staff else alert.climb_at)


def clear(alert: Alert, now: datetime) -> Alert:
    """The condition ended by itself. Latched: it is still for a person to say that all is well.

    Whom nobody has called yet, because it was night, nobody needs to call any more. One whose call is due already is
    called about all the same.
    """
    if not alert.is_open or alert.cleared_at is not None:
        return alert
    put_off = alert.state == "raised" and not alert.calls_staff and alert.climb_at is not None and alert.climb_at > now
    return replace(alert, cleared_at=now, climb_at=None if put_off else alert.climb_at)


def cancel(alert: Alert, now: datetime) -> Alert:
    """The resident takes it back before anybody was called: nobody is, and it stays for a person to ask after.

    Once somebody has been called it cannot be taken back: she who says that she is well may not be.
    """
    _require_open(alert)
    if alert.state == "cancelled":
        return alert
    if alert.state != "raised" or alert.call:
        raise TransitionError("called", "somebody has been called already and will ask")
    return replace(alert, state="cancelled", cancelled_at=now, climb_at=None)


def resolve(alert: Alert, person: UUID, now: datetime, outcome: str) -> Alert:
    """A person closes it and says what came of it. Closing twice is refused."""
    _require_open(alert)
    if not outcome.strip():
        raise TransitionError("no_outcome", "say what came of it before closing the alert")
    return replace(_ended(alert), state="resolved", resolved_at=now, resolved_by=person, outcome=outcome.strip())


def end(alert: Alert, now: datetime, outcome: str) -> Alert:
    """It ends without a person: nobody is watched over any more."""
    if not alert.is_open:
        return alert
    return replace(_ended(alert), state="resolved", resolved_at=now, outcome=outcome)


def expire(alert: Alert, now: datetime) -> Alert:
    """A task whose reason has long been over ends by itself. Never one to which somebody was called."""
    _require_open(alert)
    if alert.calls_staff or alert.cleared_at is None or now < alert.cleared_at + TASK_KEPT:
        raise TransitionError("still_counts", "only a task whose reason has been over for a week expires")
    return replace(_ended(alert), state="expired", resolved_at=now)


def _require_open(alert: Alert) -> None:
    if not alert.is_open:
        raise TransitionError("resolved", "the alert is closed already")


def _was_left(alert: Alert, now: datetime) -> bool:
    """Whether it was attended so long ago that nobody is known to be there still."""
    return alert.state == "attended" and (alert.attended_at is None or now >= alert.attended_at + VISIT_LASTS)


def _ended(alert: Alert) -> Alert:
    return replace(alert, climb_at=None, shelved_until=None, exhausted_at=None)


def _wait_again(alert: Alert, now: datetime) -> Alert:
    """From the first step on; its calls are counted on, so that a call to the same person is a new call."""
    return replace(
        alert,
        state="raised",
        rounds=0,
        climb_at=now,
        exhausted_at=None,
        acknowledged_at=None,
        acknowledged_by=None,
        attended_at=None,
        attended_by=None,
        shelved_until=None,
        cancelled_at=None,
    )
