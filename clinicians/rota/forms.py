"""What the rota's forms say, as the record takes it. Pure; what makes no sense is a :class:`store.rota.RotaError`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final
from uuid import UUID

from starlette.datastructures import FormData

from clinicians.rota import times
from clinicians.words import Words
from store.duty_changes import NewChange
from store.rosters import NewRotation, NewShift
from store.rota import RotaError

LONGEST_HOLIDAY: Final = timedelta(days=31)
PLACES: Final = 12
"""People in one rotation's form."""
_LONGEST: Final = 200


def text(form: FormData, name: str) -> str:
    """What was typed, without what nobody can see or what turns the words around it."""
    found = form.get(name)
    typed = found if isinstance(found, str) else ""
    return " ".join("".join(c for c in typed if c.isprintable() or c.isspace()).split())[:_LONGEST]


def entered(form: FormData) -> dict[str, str]:
    """Everything that was typed, to be shown again; of several under one name all, with spaces between."""
    return {name: " ".join(text_of(one) for one in form.getlist(name)) for name in form if name != "csrf"}


def text_of(one: object) -> str:
    """One field as text."""
    return str(one)[:_LONGEST] if isinstance(one, str) else ""


def names(form: FormData) -> tuple[str, str]:
    """A name in both scripts, Chinese first; what is missing is left to the record to refuse."""
    return text(form, "name_zh"), text(form, "name_en")


def person(typed: str) -> UUID | None:
    """Whom a choice names; ``None``: nobody."""
    if not typed:
        return None
    try:
        return UUID(typed)
    except ValueError:
        raise RotaError("no_person", f"nobody is {typed!r}") from None


def number(typed: str, code: str) -> int | None:
    """A number that a choice names; ``None`` for the empty choice."""
    if typed and not typed.isdecimal():
        raise RotaError(code, f"{typed!r} is no number")
    return int(typed) if typed else None


def shift(form: FormData, roster_id: int, words: Words) -> NewShift:
    """A shift; ``who`` is a person, or ``rotation 7``."""
    kind, _, rotation = text(form, "who").partition(" ")
    is_rotation = kind == "rotation"
    return NewShift(
        roster_id=roster_id,
        weekdays=tuple(int(day) for day in map(text_of, form.getlist("weekday")) if day in tuple("1234567")),
        starts=_clock(form, "starts"),
        ends=_clock(form, "ends"),
        valid_from=day(text(form, "valid_from")) or words.today,
        valid_until=day(text(form, "valid_until")),
        holidays=text(form, "holidays"),
        person_id=None if is_rotation else person(kind),
        rotation_id=number(rotation, "who") if is_rotation else None,
    )


def rotation(form: FormData, roster_id: int) -> NewRotation:
    """A rotation; its people in the order of the fields ``person``."""
    length, first = number(text(form, "length"), "turn_length"), day(text(form, "first_day"))
    if first is None:
        raise RotaError("day", "a rotation needs a first day")
    begins = datetime.combine(first, _clock(form, "first_time"))
    return NewRotation(roster_id, *names(form), text(form, "every"), length or 0, begins, turns(form))


def turns(form: FormData) -> tuple[UUID, ...]:
    """Who takes turns, in order; one who is chosen twice has two turns."""
    return tuple(found for typed in form.getlist("person")[:PLACES] if (found := person(text_of(typed))))


def change(form: FormData, roster_id: int, words: Words) -> NewChange:
    """A change of some hours."""
    begins, ends = stretch(form, words)
    if begins is None or ends is None:
        raise RotaError("times", "a change needs a beginning and an end")
    comes, goes = person(text(form, "person")), person(text(form, "instead_of"))
    return NewChange(roster_id, begins, ends, comes, goes, text(form, "why"))


def stretch(form: FormData, words: Words) -> tuple[datetime | None, datetime | None]:
    """From when to when, as far as it was said."""
    begins, ends = (times.local(text(form, name), words) for name in ("begins", "ends"))
    return begins, ends


def holiday_days(form: FormData) -> list[date]:
    """Every day of a holiday that was entered by its first and last."""
    first = day(text(form, "first"))
    last = day(text(form, "last")) or first
    if first is None or last is None:
        raise RotaError("day", "a holiday needs a day")
    if last < first:
        raise RotaError("backwards", "it ends before it begins")
    if last - first >= LONGEST_HOLIDAY:
        raise RotaError("holiday", "a holiday of more than a month is none")
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]


def chosen(form: FormData, name: str) -> list[int]:
    """The numbers that were ticked."""
    return [int(typed) for typed in map(text_of, form.getlist(name)) if typed.isdecimal()]


def ticked(typed: Mapping[str, str], name: str) -> Sequence[str]:
    """What had been ticked under a name, to be shown again."""
    return typed.get(name, "").split()


def day(typed: str) -> date | None:
    """The day that was typed; ``None``: none was."""
    found = times.on(typed)
    if typed and found is None:
        raise RotaError("day", f"{typed!r} is no day")
    return found


def _clock(form: FormData, name: str) -> time:
    found = times.clock(text(form, name))
    if found is None:
        raise RotaError("times", "it needs a time of day")
    return found
