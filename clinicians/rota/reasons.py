"""Why somebody is on duty, or is not, in plain words. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final
from uuid import UUID

from alerts.rota import Change, OnChange, OnShift, Turn
from clinicians.rota import times
from clinicians.words import N_, Words

ABSENCES: Final = {
    "sick": N_("off sick"),
    "leave": N_("on leave"),
    "on_visit": N_("on a visit"),
    "no_phone": N_("without a telephone"),
    "left": N_("no longer of this centre"),
}
"""Why somebody on duty cannot be called."""
_ABSENT: Final = {
    "sick": N_("%(name)s is on duty but off sick."),
    "leave": N_("%(name)s is on duty but on leave."),
    "on_visit": N_("%(name)s is on duty but on a visit."),
    "no_phone": N_("%(name)s is on duty but has no telephone number."),
    "left": N_("%(name)s is on duty but has left the centre."),
}
"""The same as a sentence."""


@dataclass(frozen=True, slots=True)
class Named:
    """What everything in a rota is called, in the reader's language."""

    persons: Mapping[UUID, str] = field(default_factory=dict)
    rosters: Mapping[int, str] = field(default_factory=dict)
    rotations: Mapping[int, str] = field(default_factory=dict)
    areas: Mapping[int, str] = field(default_factory=dict)
    holidays: Mapping[date, str] = field(default_factory=dict)

    def person(self, person_id: UUID | None, words: Words) -> str:
        """Somebody's name; one who is not known any more keeps none."""
        found = None if person_id is None else self.persons.get(person_id)
        return found or words.gettext("somebody no longer here")


def absence(turn: Turn, named: Named, words: Words) -> str:
    """That somebody is on duty but cannot be called."""
    assert turn.absence is not None, "only of somebody absent"
    return words.gettext(_ABSENT[turn.absence], name=named.person(turn.person, words))


def why(turn: Turn, named: Named, words: Words) -> tuple[str, ...]:
    """Every reason, the nearest first: a sentence each."""
    return tuple(_why(turn.why, turn.person, named, words))


def _why(reason: OnShift | OnChange, person: UUID, named: Named, words: Words) -> Iterator[str]:
    if isinstance(reason, OnShift):
        yield from _shift(reason, named, words)
        return
    yield change(reason.change, named, words)
    if reason.place is not None:
        replaced = reason.change.instead_of or person
        name = named.person(replaced, words)
        for sentence in _why(reason.place, replaced, named, words):
            yield words.gettext("%(name)s would be on duty: %(why)s", name=name, why=sentence)


def _shift(reason: OnShift, named: Named, words: Words) -> Iterator[str]:
    hours = times.stretch(reason.begins, reason.ends, words)
    turn = reason.turn
    if turn is None:
        yield words.gettext("The shift of %(hours)s.", hours=hours)
    else:
        yield words.gettext(
            "The shift of %(hours)s goes by the rotation %(rotation)s: turn %(place)s of %(places)s, until %(until)s.",
            hours=hours,
            rotation=named.rotations.get(turn.rotation, ""),
            place=turn.place,
            places=turn.places,
            until=times.moment(turn.ends, words),
        )
    if reason.holiday is not None and reason.holiday in named.holidays:
        yield words.gettext("It begins on a holiday: %(name)s.", name=named.holidays[reason.holiday])


def change(one: Change, named: Named, words: Words) -> str:
    """What a change does, by whom and why."""
    what = _WHAT[one.person is not None, one.instead_of is not None]
    parts = [
        words.gettext(
            what,
            name=named.person(one.person, words) if one.person else "",
            other=named.person(one.instead_of, words) if one.instead_of else "",
        )
    ]
    if one.swap is not None:
        parts.append(words.gettext("They have swapped."))
    elif one.made_by is not None and one.made_at is not None:
        parts.append(
            words.gettext(
                "Entered by %(name)s, %(when)s.",
                name=named.person(one.made_by, words),
                when=words.when(one.made_at),
            )
        )
    if one.why:
        parts.append(words.gettext("Why: %(why)s", why=one.why))
    return words.sentences(parts)


_WHAT: Final = {
    (True, False): N_("%(name)s is on duty besides."),
    (False, True): N_("%(other)s is taken off duty."),
    (True, True): N_("%(name)s is on duty in place of %(other)s."),
}
"""By whether somebody is put on, and whether somebody is taken off."""
