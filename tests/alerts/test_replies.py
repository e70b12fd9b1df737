"""What people type with one thumb, and what it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.replies import Reply, belongs_to_carrier, understand


@pytest.mark.parametrize(
    "text", ["1", " 1 ", "1.", "\uff11", "1。", "接", "接单", "接手", "我来", "Take", "TAKEN", "1!", "1！"]
)
def test_taking(text: str) -> None:
    assert understand(text) == Reply("take")


@pytest.mark.parametrize(
    "text",
    [
        "1 27",
        "127",
        "1,27",
        "1、27",
        "1:27",
        "\uff11 \uff12\uff17",
        "接单27",
        "take 27",
        "1 27.",
        "1-27",
        "1，27",
        "1：27",
        "1（27）",
        "接手（27）",
    ],
)
def test_taking_one_of_several(text: str) -> None:
    assert understand(text) == Reply("take", 27)


@pytest.mark.parametrize("text", ["2", "\uff12", "不能", "不行", "去不了", "来不了。", "busy", "Cannot"])
def test_declining(text: str) -> None:
    assert understand(text) == Reply("decline")


def test_declining_one_of_several() -> None:
    assert understand("2 27") == Reply("decline", 27)


@pytest.mark.parametrize("text", ["", "12345", "1 5", "我在路上堵车", "hello", "11", "3", "1 2 7", "1127x"])
def test_anything_else_is_not_guessed_at(text: str) -> None:
    assert understand(text).verb == "unknown"


@pytest.mark.parametrize("word", ["STOP", "stop ", "HELP", "yes", "Cancel", "END"])
def test_the_carriers_own_words_are_never_ours(word: str) -> None:
    assert belongs_to_carrier(word)
    assert understand(word).verb == "unknown"


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    reply = understand(text)
    assert reply.code is None or 10 <= reply.code <= 99
