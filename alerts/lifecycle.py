"""The life of one alert: raised, notified, acknowledged, resolved; or shelved for a while. Pure.

Each verb takes an :class:`Alert` and returns it as it stands afterwards, or raises :class:`TransitionError` in
words that can be shown to the person who tried. One promise holds in every state that can be reached: an alert
to which staff are called, and which nobody has taken, has a ``climb_at``, so it can never lie unheard.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

State = Literal["raised", "notified", "acknowledged", "shelved", "resolved"]

LONGEST_SHELF: Final = timedelta(hours=24)
"""Silencing is limited in time (IEC 60601-1-8); one day, the age at which ISA-18.2 calls an alarm stale."""

CHATTER_RAISES: Final = 3
CHATTER_WITHIN: Final = timedelta(minutes=30)
"""The same alert three times in half an hour chatters (ISA-18.2's three in a minute, at a home's pace)."""


class TransitionError(Exception):
    """What was asked cannot be done to an alert in this state. ``code`` is for translation, the text is English."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Alert:
    """The part of an alert that changes; its fields bear the names of the record's columns.

    ``step`` is the rung of the ladder last called (0: nobody is called, a task on the board) and ``rounds`` how
    often the ladder has been begun anew. ``raised`` with a ``step`` means that this round's first call is due.
    """

    state: State
    raised_at: datetime
    step: int = 0
    rounds: int = 0
    climb_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: UUID | None = None
    shelved_until: datetime | None = None
    cleared_at: datetime | None = None
    resolved_at: datetime | None = None
    resolved_by: UUID | None = None
    outcome: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether a person still has to resolve it."""
        return self.state != "resolved"

    @property
    def calls_staff(self) -> bool:
        """Whether people are called to it; a task waits on the board without a message."""
        return self.step > 0

    def changes_from(self, before: Alert) -> dict[str, Any]:
        """The columns in which it differs from ``before``."""
        names = (f.name for f in fields(self))
        return {name: getattr(self, name) for name in names if getattr(self, name) != getattr(before, name)}


def notify(alert: Alert, step: int, rounds: int, climb_at: datetime) -> Alert:
    """People of ``step`` are being called; the next step follows at ``climb_at`` unless somebody takes it."""
    if alert.state not in ("raised", "notified"):
        raise TransitionError("not_waiting", f"nobody needs to be called: the alert is {alert.state}")
    return replace(alert, state="notified", step=step, rounds=rounds, climb_at=climb_at)


def call_later(alert: Alert, at: datetime) -> Alert:
    """Nobody is called before ``at``, unless it is over or somebody takes it before."""
    if alert.state != "raised":
        raise TransitionError("not_waiting", f"nobody needs to be called: the alert is {alert.state}")
    return replace(alert, climb_at=at)


def acknowledge(alert: Alert, person: UUID, now: datetime) -> Alert:
    """A person takes it: the climb stops, the alert stays. Taking twice what is one's own changes nothing."""
    if alert.state == "resolved":
        raise TransitionError("resolved", "the alert is closed already")
    if alert.state == "acknowledged":
        if alert.acknowledged_by == person:
            return alert
        raise TransitionError("taken", "somebody else has taken the alert already")
    return replace(
        alert, state="acknowledged", acknowledged_at=now, acknowledged_by=person, climb_at=None, shelved_until=None
    )


def release(alert: Alert, person: UUID, now: datetime) -> Alert:
    """She who had taken it cannot come after all: it calls again at once."""
    if alert.state != "acknowledged" or alert.acknowledged_by != person:
        raise TransitionError("not_yours", "only the person who has taken an alert can give it back")
    return _wait_again(alert, now)


def shelve(alert: Alert, now: datetime, until: datetime) -> Alert:
    """Put it aside until ``until``, at most a day; then it waits again by itself, and calls if it calls at all."""
    if alert.state == "resolved":
        raise TransitionError("resolved", "the alert is closed already")
    if not now < until <= now + LONGEST_SHELF:
        raise TransitionError("shelf_time", "an alert can be put aside for up to 24 hours")
    return replace(alert, state="shelved", shelved_until=until, climb_at=until)


def unshelve(alert: Alert, now: datetime) -> Alert:
    """Take it from the shelf: it waits for somebody again, and calls at once if it calls at all."""
    if alert.state != "shelved":
        raise TransitionError("not_shelved", f"the alert is not put aside: it is {alert.state}")
    return _wait_again(alert, now)


def raise_again(alert: Alert, now: datetime, *, raises_lately: int, is_event: bool = False) -> Alert:
    """Its rule fires anew while it is open.

    What somebody had taken calls again: she may believe it was over. Not so when a value chatters (``raises_lately``
    counts this one); and one that is waiting is being called already. On the shelf a value that is still too high
    stays silent. A new event is never silent: nobody has taken or put aside a fall or a call for help that had not
    happened yet, and a person who presses a third time does not chatter.
    """
    if alert.state == "resolved":
        raise TransitionError("resolved", "a closed alert is not raised again; it is a new one")
    alert = replace(alert, cleared_at=None)
    if is_event:
        return _wait_again(alert, now) if alert.state in ("acknowledged", "shelved") else alert
    if alert.state != "acknowledged" or raises_lately >= CHATTER_RAISES:
        return alert
    return _wait_again(alert, now)


def urge(alert: Alert, now: datetime) -> Alert:
    """It has become worse. Whoever has taken it, or put it aside, is called anew with the others: she may be late.

    One that waits goes on to the next rung at once instead of waiting any longer.
    """
    if alert.state == "resolved":
        raise TransitionError("resolved", "a closed alert is not raised again; it is a new one")
    alert = replace(alert, cleared_at=None)
    if alert.state in ("acknowledged", "shelved"):
        return _wait_again(alert, now)
    return replace(alert, climb_at=now if alert.calls_staff else alert.climb_at)


def clear(alert: Alert, now: datetime) -> Alert:
    """The condition ended by itself. Latched: it is still for a person to say that all is well.

    Whom nobody has called yet, because it was night, nobody needs to call any more.
    """
    if alert.state == "resolved" or alert.cleared_at is not None:
        return alert
    not_called_yet = alert.state == "raised" and not alert.calls_staff
    return replace(alert, cleared_at=now, climb_at=None if not_called_yet else alert.climb_at)


def resolve(alert: Alert, person: UUID, now: datetime, outcome: str) -> Alert:
    """A person closes it and says what came of it. Closing twice is refused."""
    if alert.state == "resolved":
        raise TransitionError("resolved", "the alert is closed already")
    if not outcome.strip():
        raise TransitionError("no_outcome", "say what came of it before closing the alert")
    return replace(
        alert,
        state="resolved",
        resolved_at=now,
        resolved_by=person,
        outcome=outcome.strip(),
        climb_at=None,
        shelved_until=None,
    )


def end(alert: Alert, now: datetime, outcome: str) -> Alert:
    """It ends without a person: nobody is watched over any more."""
    if alert.state == "resolved":
        return alert
    return replace(alert, state="resolved", resolved_at=now, outcome=outcome, climb_at=None, shelved_until=None)


def _wait_again(alert: Alert, now: datetime) -> Alert:
    """A new round, so that a call to the same person is a new call and not the one she had."""
    return replace(
        alert,
        state="raised",
        rounds=alert.rounds + 1,
        climb_at=now if alert.calls_staff else None,
        acknowledged_at=None,
        acknowledged_by=None,
        shelved_until=None,
    )
