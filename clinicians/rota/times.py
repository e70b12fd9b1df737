"""Moments of a rota as they are read and written: on the centre's clock, with the weekday, for duty is known by it. Pure."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

from alerts.shifts import instant
from clinicians.words import Words


def moment(at: datetime, words: Words) -> str:
    """Weekday, day and time."""
    day = words.local(at).date()
    return words.gettext(
        "%(weekday)s %(day)s %(time)s", weekday=words.weekday(day), day=words.day(day), time=words.clock(at)
    )


def day(on: date, words: Words) -> str:
    """Weekday and day."""
    return words.gettext("%(weekday)s %(day)s", weekday=words.weekday(on), day=words.day(on))


def until(end: datetime, words: Words) -> str:
    """When something ends: only the time if that is today, else with its day."""
    return words.clock(end) if words.local(end).date() == words.today else moment(end, words)


def stretch(begins: datetime, ends: datetime, words: Words) -> str:
    """From when to when; the day is said twice only where it changes, and midnight is the end of a day."""
    first, last = words.local(begins).date(), words.local(ends)
    if last.date() == first:
        end = words.clock(ends)
    elif last.date() - first == timedelta(days=1) and not (last.hour or last.minute):
        end = "24:00"
    else:
        end = moment(ends, words)
    return words.gettext("%(begins)s to %(ends)s", begins=moment(begins, words), ends=end)


def local(text: str, words: Words) -> datetime | None:
    """The moment of a form's ``datetime-local`` on the centre's clock, in UTC; ``None`` for what is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return None if found.tzinfo else instant(found.date(), found.time().replace(second=0, microsecond=0), words.zone)


def field(at: datetime, words: Words) -> str:
    """A moment as a ``datetime-local`` shows it."""
    return words.local(at).strftime("%Y-%m-%dT%H:%M")


def clock(text: str) -> time | None:
    """The time of day of a form's ``time``; ``None`` for what is none."""
    try:
        found = time.fromisoformat(text)
    except ValueError:
        return None
    return None if found.tzinfo else found.replace(second=0, microsecond=0)


def on(text: str) -> date | None:
    """The day of a form's ``date``; ``None`` for what is none."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
