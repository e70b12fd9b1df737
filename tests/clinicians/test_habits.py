"""The words for habits are those of the gateways' table, and an answered form is what a gateway can read."""

from __future__ import annotations

from typing import Any

import pytest

from clinicians import habits
from clinicians.habits import HABITS, Habit
from clinicians.words import Words
from devices.habits import VOCABULARY, Habits, checked

EN, ZH = Words.of("en"), Words.of("zh_Hans")


def standard() -> dict[str, str]:
    """The form as it is first shown."""
    shown = {
        h.word: next(iter(h.answers)) if h.answers else str(int(h.standard)) for h in HABITS if h.answers or h.unit
    }
    return {"label": "X", **shown}


def answers(habit: Habit) -> list[str]:
    return list(habit.answers) if habit.answers else ["0", "7"] if habit.unit else ["yes"]


def test_every_habit_is_asked_and_no_other() -> None:
    assert {h.word for h in HABITS} == set(VOCABULARY) - {"standard"}


def test_the_form_as_it_is_first_shown_is_the_standard() -> None:
    assert habits.answered(standard()) == {}
    assert Habits() == Habits(**{h.word: h.standard for h in HABITS if h.unit})  # type: ignore[arg-type]


@pytest.mark.parametrize("habit", HABITS, ids=[h.word for h in HABITS])
def test_every_answer_is_one_that_a_gateway_can_read(habit: Habit) -> None:
    for answer in answers(habit):
        found = habits.answered({**standard(), habit.word: answer})
        assert found is not None
        assert set(found) <= {habit.word}
        assert checked(found).keys() == found.keys()


@pytest.mark.parametrize(
    "wrong", [{"clock": "sundial"}, {"quiet_s": "-1"}, {"quiet_s": "1e3"}, {"quiet_s": "9999999"}, {"first_user": "2"}]
)
def test_what_is_no_answer_is_none(wrong: dict[str, str]) -> None:
    assert habits.answered({**standard(), **wrong}) is None


def test_habits_are_said_in_both_languages() -> None:
    found: dict[str, Any] = {"clock": "date_time", "pair_first": True, "quiet_s": 30}
    assert habits.in_words(found, EN) == [
        "How is its clock set? by Date Time only",
        "It must be paired before it answers anything",
        "Its memory is empty when it says nothing for 30 seconds",
    ]
    assert habits.in_words(found, ZH)[2] == "多久没有新记录就算读完 30 秒"
