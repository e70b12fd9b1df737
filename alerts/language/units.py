"""Units in which people write what the catalogue has in another: the number that was meant. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

_FACTORS: Final[Mapping[tuple[str, str], tuple[float, float]]] = MappingProxyType(
    {
        ("mg/dL", "mmol/L"): (1 / 18.016, 0),
        ("kPa", "mmHg"): (7.50062, 0),
        ("°F", "°C"): (5 / 9, -160 / 9),
        ("lb", "kg"): (0.45359237, 0),
        ("g", "kg"): (0.001, 0),
        ("斤", "kg"): (0.5, 0),
        ("min", "h"): (1 / 60, 0),
        ("s", "ms"): (1000, 0),
        ("d", "h"): (24, 0),
    }
)
"""From one unit to another: factor and offset. Glucose has 180.16 g/mol; a jin is half a kilogram."""
_SAME: Final = MappingProxyType(
    {
        "mg/dl": "mg/dL",
        "mg%": "mg/dL",
        "kpa": "kPa",
        "f": "°F",
        "°f": "°F",
        "[degf]": "°F",
        "℉": "°F",
        "lbs": "lb",
        "[lb_av]": "lb",
        "jin": "斤",
    }
)


def converted(numbers: Sequence[float], unit: str, wanted: str, *, difference: bool = False) -> str:
    """The end of a sentence about a wrong unit: what ``numbers`` are in the ``wanted`` one, where that is known.

    ``difference``: the numbers are distances, to which no offset belongs.
    """
    known = _FACTORS.get((_SAME.get(unit.lower(), unit), wanted))
    if known is None:
        return ""
    factor, offset = known
    pairs = [f"{x:g} {unit} is {round(x * factor + (0 if difference else offset), 1):g} {wanted}" for x in numbers]
    return f"; {', '.join(pairs)}"
