"""Where a type of device leaves the standard: the words of its gateway's table, put to an administrator. Pure.

The vocabulary is that of ``devices.habits``, which the service may not know; ``tests/clinicians/test_habits.py``
holds the two together. ``standard`` is not asked: a device without a standard service needs a driver, not a habit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from clinicians.words import N_, Words


@dataclass(frozen=True, slots=True)
class Habit:
    """One question. With ``answers`` one of them is chosen, the first being the standard's; with ``unit`` a number
    from 0 is entered, ``standard`` being the standard's; else it is yes or no."""

    word: str
    question: str
    answers: Mapping[str, str] = field(default_factory=dict)
    unit: str = ""
    standard: float = 0


HABITS: Final = (
    Habit(
        "clock",
        N_("How is its clock set?"),
        MappingProxyType(
            {
                "either": N_("as the standard says"),
                "current_time": N_("by Current Time only"),
                "date_time": N_("by Date Time only"),
                "none": N_("it cannot be set"),
            }
        ),
    ),
    Habit("clock_wrong_min", N_("Its clock is set only when it is wrong by at least"), unit=N_("minutes")),
    Habit("pair_first", N_("It must be paired before it answers anything")),
    Habit("passkey", N_("It pairs only with digits from its display (a gateway cannot do that)")),
    Habit(
        "first_user",
        N_("What does it send for user 1?"),
        MappingProxyType({"": N_("1, as its display shows"), "0": "0", "1": "1"}),
    ),
    Habit("keeps", N_("It sends everything it remembers at every visit")),
    Habit(
        "records",
        N_("What is asked of its memory?"),
        MappingProxyType({"new": N_("what is new"), "all": N_("everything, each time"), "none": N_("nothing at all")}),
    ),
    Habit("delete", N_("Its memory is deleted once everything is safe on the gateway")),
    Habit("quiet_s", N_("Its memory is empty when it says nothing for"), unit=N_("seconds"), standard=10),
    Habit("visit_every_s", N_("It is visited at most every"), unit=N_("seconds")),
    Habit(
        "worn_at",
        N_("Where is it worn, if it watches for falls?"),
        MappingProxyType(
            {
                "usual": N_("where its kind usually is"),
                "wrist": N_("on the wrist"),
                "waist": N_("at the waist"),
                "pocket": N_("in a pocket"),
                "chest": N_("on the chest"),
            }
        ),
    ),
)


def answered(form: Mapping[str, str]) -> dict[str, Any] | None:
    """The habits that leave the standard, by word; ``None`` when an answer is none of those asked for."""
    found: dict[str, Any] = {}
    for habit in HABITS:
        text = form.get(habit.word, "").strip()
        if habit.answers:
            if text not in habit.answers:
                return None
            if text != next(iter(habit.answers)):
                found[habit.word] = int(text) if text.isdecimal() else text
        elif habit.unit:
            if not text:
                continue
            if not text.isdecimal() or int(text) > 1_000_000:
                return None
            if int(text) != habit.standard:
                found[habit.word] = int(text)
        elif text:
            found[habit.word] = True
    return found


def in_words(habits: Mapping[str, Any], words: Words) -> list[str]:
    """Where a type leaves the standard, a line for each habit."""
    return [_line(habit, habits[habit.word], words) for habit in HABITS if habit.word in habits]


def _line(habit: Habit, value: object, words: Words) -> str:
    question = words.gettext(habit.question)
    if habit.answers:
        answer = habit.answers.get(str(value), str(value))
        return f"{question} {words.gettext(answer)}"
    return f"{question} {value} {words.gettext(habit.unit)}" if habit.unit else question
