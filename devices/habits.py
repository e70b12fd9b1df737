"""How a type of instrument departs from the standard it speaks: one table, ``habits.toml``. Pure.

An administrator who meets a type that the table lacks says its habits in the configuration, in the same words; so a
device of a standard service needs no code.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cache
from importlib import resources
from typing import Final, Literal, Self, get_args, get_type_hints

import msgspec

_SUBJECTS: Final = ("name", "manufacturer", "model")
_ABOUT: Final = frozenset({*_SUBJECTS, "type", "source", "note"})


@dataclass(frozen=True, slots=True)
class Habits:
    """What a driver has to know of one instrument. The defaults are the standard's."""

    clock: Literal["either", "current_time", "date_time", "none"] = "either"
    """By which characteristic its clock is set: Current Time where it has that and else Date Time, one of them, or none."""
    clock_wrong_min: int = 0
    """Its clock is set only when it is wrong by at least so many minutes."""
    pair_first: bool = False
    """It has to be paired before it is asked for anything."""
    passkey: bool = False
    """It pairs only with digits from its display, which nobody can type into a gateway."""
    first_user: Literal[0, 1] = 1
    """The number it sends for what its display calls user 1."""
    keeps: bool = False
    """It sends everything it remembers at every visit: also a record without a time is then known again."""
    records: Literal["new", "all", "none"] = "new"
    """What it is asked for through Record Access, where it has that: what is new, everything each time, or nothing."""
    delete: bool = False
    """Its records are deleted once all of them are on the gateway's disk."""
    quiet_s: float = 10.0
    """After so many seconds without a record its memory is empty."""
    visit_every_s: float = 0.0
    """It is visited at most this often, in seconds, however often it advertises."""
    worn_at: Literal["usual", "wrist", "waist", "pocket", "chest"] = "usual"
    """Where a wearable is worn: as its kind usually is, or at one of these."""
    standard: bool = True
    """It speaks a service of the Bluetooth SIG at all. Otherwise the table only serves to say so."""

    @classmethod
    def of(
        cls,
        name: str | None,
        manufacturer: str | None,
        model: str | None,
        configured: Mapping[str, object],
    ) -> Self:
        """The habits of what advertises ``name`` and says these two of itself; ``configured`` counts before the table.

        Raises ``ValueError`` in words for a configured habit that there is not, or that cannot be so.
        """
        subject = dict(zip(_SUBJECTS, (name, manufacturer, model), strict=True))
        found: dict[str, object] = {}
        for row in table():
            if _is_of(row, subject):
                found |= _habits_of(row)
        return cls(**(found | checked(configured)))  # type: ignore[arg-type]  # each has its type


def checked(configured: Mapping[str, object]) -> dict[str, object]:
    """The same, each of its type. Raises ``ValueError`` in words for what is no habit."""
    types = get_type_hints(Habits)
    found = {}
    for word, value in configured.items():
        if word not in types:
            near = difflib.get_close_matches(word, types, n=1)
            raise ValueError(f"there is no habit {word!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        try:
            found[word] = msgspec.convert(value, types[word])
        except msgspec.ValidationError as error:
            raise ValueError(f"the habit {word!r} cannot be {value!r}: {_allowed(types[word])}") from error
        if isinstance(value, int | float) and value < 0:
            raise ValueError(f"the habit {word!r} cannot be less than 0")
    return found


def _allowed(kind: object) -> str:
    """What a habit of this type can be, in words."""
    if choices := get_args(kind):
        return "it is one of " + ", ".join(repr(choice) for choice in choices)
    return {bool: "it is true or false", int: "it is a whole number"}.get(kind, "it is a number")  # type: ignore[call-overload, no-any-return]


@cache
def table() -> tuple[Mapping[str, object], ...]:
    """The types of ``habits.toml``, in its order. Raises ``ValueError`` for a row without subject or source."""
    text = resources.files(__package__).joinpath("habits.toml").read_text(encoding="utf-8")
    rows = tuple(tomllib.loads(text)["type"])
    for row in rows:
        if not row.get("source") or not any(row.get(subject) for subject in _SUBJECTS):
            raise ValueError(f"{row.get('type')!r} in habits.toml needs a source and something to be known by")
        checked(_habits_of(row))
    return rows


def _habits_of(row: Mapping[str, object]) -> dict[str, object]:
    return {word: value for word, value in row.items() if word not in _ABOUT}


def _is_of(row: Mapping[str, object], subject: Mapping[str, str | None]) -> bool:
    return all(_matches(row[key], subject[key]) for key in _SUBJECTS if key in row)


def _matches(patterns: object, value: str | None) -> bool:
    assert isinstance(patterns, list)
    return value is not None and any(fnmatch(value.lower(), pattern.lower()) for pattern in patterns)


VOCABULARY: Final = tuple(field.name for field in dataclasses.fields(Habits))
"""Every word that the table and a configuration may use of an instrument."""
