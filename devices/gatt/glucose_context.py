"""Glucose Measurement Context (0x2A34) of the Glucose Service: what a person noted beside a measurement.

Layout: GATT Specification Supplement, Glucose Measurement Context. It gives a carbohydrate and a medication in
kilograms (or litres); here they are in g, mg and ml. The values of the enumerations are from general knowledge of the
service and public code; they were not checked against its text.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from devices.gatt.layout import (
    SFLOAT,
    U8,
    U16,
    Field,
    Kind,
    Packet,
    either,
    flag,
    mapped,
    nibbles,
    one_of,
    record,
    unless,
)
from devices.gatt.reader import Reader

UUID: Final = "00002a34-0000-1000-8000-00805f9b34fb"


class Food(IntEnum):
    """Carbohydrate ID: what was eaten."""

    BREAKFAST = 1
    LUNCH = 2
    DINNER = 3
    SNACK = 4
    DRINK = 5
    SUPPER = 6
    BRUNCH = 7


class Meal(IntEnum):
    """Meal: how the measurement lay to a meal."""

    BEFORE = 1
    AFTER = 2
    FASTING = 3
    CASUAL = 4
    BEDTIME = 5


class Tester(IntEnum):
    """Tester: who measured."""

    SELF = 1
    HEALTH_CARE_PROFESSIONAL = 2
    LABORATORY = 3
    NOT_AVAILABLE = 15


class Health(IntEnum):
    """Health: how the person was."""

    MINOR_ISSUES = 1
    MAJOR_ISSUES = 2
    DURING_MENSES = 3
    UNDER_STRESS = 4
    NO_ISSUES = 5
    NOT_AVAILABLE = 15


class Drug(IntEnum):
    """Medication ID: the kind of insulin."""

    RAPID_ACTING = 1
    SHORT_ACTING = 2
    INTERMEDIATE_ACTING = 3
    LONG_ACTING = 4
    PREMIXED = 5


@dataclass(frozen=True, slots=True)
class Carbohydrate:
    """What was eaten, in g; ``None`` where the amount is not known."""

    food: Food
    grams: float | None


@dataclass(frozen=True, slots=True)
class Tested:
    """Who measured, and how the person was."""

    tester: Tester
    health: Health


@dataclass(frozen=True, slots=True)
class Exercise:
    """For how long, in seconds (``None`` where it ran over), and how hard, in %."""

    duration_s: int | None
    intensity_pct: int


@dataclass(frozen=True, slots=True)
class Medication:
    """A drug and its amount in mg, or in ml where it is a ``volume``; ``None`` where the amount is not known."""

    drug: Drug
    amount: float | None
    volume: bool = False


@dataclass(frozen=True, slots=True)
class Context:
    """What belongs to the measurement with the same ``sequence`` number; ``hba1c_pct`` is in %."""

    sequence: int
    carbohydrate: Carbohydrate | None = None
    meal: Meal | None = None
    tested: Tested | None = None
    exercise: Exercise | None = None
    medication: Medication | None = None
    hba1c_pct: float | None = None


_CARBOHYDRATE, _MEAL, _TESTED, _EXERCISE, _MEDICATION, _LITRES, _HBA1C, _EXTENDED = (1 << i for i in range(8))


def _sequence(reader: Reader, what: str, flags: int) -> int:
    sequence = reader.u16(what)
    if flags & _EXTENDED:
        reader.u8("extended flags")  # all of them reserved
    return sequence


def _amount(per_unit: float, decimals: int) -> Kind[float | None]:
    # An exponent ends at -8: with these decimals the rounding only undoes what the multiplication adds.
    return mapped(SFLOAT, lambda theirs: round(theirs * per_unit, decimals), lambda ours: ours / per_unit)


_CONTEXT: Final = Packet(
    record(
        Context,
        Field("sequence", Kind(_sequence, U16.write)),
        Field(
            "carbohydrate",
            record(Carbohydrate, Field("food", one_of(Food)), Field("grams", _amount(1e3, 5))),
            _CARBOHYDRATE,
        ),
        Field("meal", one_of(Meal), _MEAL),
        Field("tested", record(Tested, Field(("tester", "health"), nibbles(Tester, Health))), _TESTED),
        Field(
            "exercise",
            record(Exercise, Field("duration_s", unless(U16, 0xFFFF)), Field("intensity_pct", U8)),
            _EXERCISE,
        ),
        Field(
            "medication",
            record(
                Medication,
                Field("drug", one_of(Drug)),
                Field("amount", either(_LITRES, _amount(1e6, 2), _amount(1e3, 5))),
                Field("volume", flag(_LITRES)),
            ),
            _MEDICATION,
        ),
        Field("hba1c_pct", SFLOAT, _HBA1C),
    )
)


def decode(data: bytes) -> Context:
    """A context, complete or refused.

    Raises :class:`DecodeError` for a packet shorter or longer than its flags promise and for a reserved value.
    """
    return _CONTEXT.decode(data)


def encode(context: Context) -> bytes:
    """The packet a meter would send."""
    return _CONTEXT.encode(context)
