"""What another protocol changes, told apart by how much it matters, in the words of both."""

from __future__ import annotations

from alerts.changes import Change, changes, told, values_told
from alerts.protocol import Protocol, parse_all
from tests.alerts.protocols import rule, texts

PLAIN = rule("bp.severe", "血压过高", "Pressure high")


def protocol(*rules: str) -> Protocol:
    return parse_all(texts(*rules))


def the_change(after: str) -> tuple[Change, list[str]]:
    """The only change from the plain rule to ``after``, and how it is told in English."""
    before, other = protocol(PLAIN), protocol(after)
    (change,) = changes(before, other)
    return change, told(change, before, other, "en")


def test_the_same_rules_are_no_change() -> None:
    assert changes(protocol(PLAIN), parse_all(texts(PLAIN, day="2027-01-01"))) == []


def test_another_level_judges_otherwise_and_begins_anew() -> None:
    change, lines = the_change(rule("bp.severe", "血压过高", "Pressure high", level=185))
    assert (change.kind, change.keeps_state) == ("judges", False)
    assert [line[0] for line in lines] == ["-", "+"] * (len(lines) // 2)
    assert "at least 180 mmHg" in lines[0]
    assert "at least 185 mmHg" in lines[1]


def test_another_priority_calls_otherwise_and_goes_on() -> None:
    change, lines = the_change(rule("bp.severe", "血压过高", "Pressure high", priority="medium"))
    assert (change.kind, change.keeps_state) == ("calls", True)
    assert [line.partition("priority")[0][-7:] for line in lines] == [", high ", "medium "]


def test_other_words_are_only_words_and_shown_in_their_own_language() -> None:
    change, lines = the_change(rule("bp.severe", "血压太高", "Pressure high"))
    assert (change.kind, change.keeps_state) == ("words", True)
    assert "- staff (zh_Hans): 血压过高" in lines
    assert "+ staff (zh_Hans): 血压太高" in lines
    assert not any("(en)" in line for line in lines)


def test_another_source_is_told_too() -> None:
    change, lines = the_change(PLAIN.replace("a guideline", "a newer guideline"))
    assert change.kind == "words"
    assert lines == ["- Sources: a guideline", "+ Sources: a newer guideline"]


def test_a_new_rule_and_one_that_is_gone_are_explained_in_full_in_either_language() -> None:
    before, after = protocol(PLAIN), protocol(rule("bp.other", "别的", "Another", level=190))
    new, gone = changes(before, after)
    assert [(new.rule, new.kind), (gone.rule, gone.kind)] == [("bp.other", "new"), ("bp.severe", "gone")]
    assert not new.keeps_state
    assert all(line.startswith("+ ") for line in told(new, before, after, "en"))
    assert any("at least 180 mmHg" in line for line in told(gone, before, after, "en"))
    assert any(line.startswith("- ") and "不低于180 mmHg" in line for line in told(gone, before, after, "zh_Hans"))


PARAMETER = """
[[group]]
code = "copd"
title = {zh_Hans = "慢阻肺", en = "COPD"}

[[parameter]]
name = "systolic.high"
metric = "systolic"
unit = "mmHg"
value = 180
between = [150, 200]
title = {zh_Hans = "收缩压警戒值", en = "Pressure alarm level"}
source = "a guideline"
[[parameter.group]]
group = "copd"
value = 170
source = "a guideline"
"""
BY_PARAMETER = PLAIN.replace("at_least = 180", 'at_least = "systolic.high"').replace(
    "clear_below = 170", "clear_by = 10"
)


def test_what_changes_of_numbers_that_may_be_set_and_of_groups_is_told() -> None:
    before = protocol(PARAMETER, BY_PARAMETER)
    after = protocol(PARAMETER.replace("value = 170", "value = 165"), BY_PARAMETER)
    gone, come = (line for line in values_told(before, after, "en") if "systolic.high" in line)
    assert (gone[0], come[0]) == ("-", "+")
    assert "170 mmHg" in gone
    assert "165 mmHg" in come
    assert changes(before, after) == []
    assert any("COPD (copd)" in line for line in values_told(protocol(PLAIN), before, "en"))
