"""Who needs the doctor comes first, and the reason stands beside the name."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import pytest

from alerts.judging import Target
from clinicians.cases import Case
from clinicians.late import Late
from clinicians.vitals import Vital
from clinicians.words import Words
from clinicians.worklist import Entry, entry, grouped, headline
from store.portal import PressureSummary
from store.residents import Resident

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
EN, ZH = Words.of("en", now=NOW), Words.of("zh_Hans", now=NOW)

WANG = Resident(
    id=1,
    person_id=uuid4(),
    centre_id=1,
    name_zh="王秀英",
    name_en="Wang Xiuying",
    phone=None,
    language="zh_Hans",
    born=date(1944, 3, 2),
    sex="female",
    address_zh="",
    address_en="",
    conditions=[],
    time_zone="Asia/Shanghai",
)
TARGET = Target(110, 135, 60, 85)
WELL = PressureSummary(1, 128.0, 78.0, 127.0, 28, NOW - timedelta(hours=3))
ALERT = Case(
    id=1,
    resident_id=1,
    rule="bp.severe",
    priority="high",
    priority_word="Urgent",
    is_task=False,
    sentence="Blood pressure 192/118",
    standing="waiting",
    raised_at=NOW,
    cleared_at=None,
    taken_by="",
    is_mine=False,
    taken_at=None,
    climb_at=None,
    shelved_until=None,
    closed_at=None,
    closed_by="",
    outcome="",
)
TAKEN = replace(ALERT, standing="taken", taken_by="Li Na")
TASK = replace(ALERT, priority="low", is_task=True, sentence="Battery at 9 %")


def of(summary: PressureSummary | None = WELL, *cases: Case, words: Words = EN, last: Vital | None = None) -> Entry:
    return entry(WANG, TARGET, cases, summary, last, words)


def texts(e: Entry) -> list[str]:
    return [reason.text for reason in e.reasons]


def test_within_target_and_measuring_is_as_planned() -> None:
    assert of().group == "well"
    assert of().reasons == ()
    assert of().mean == "128/78"


def test_an_open_alert_is_for_today_in_the_rule_s_own_words() -> None:
    e = of(WELL, ALERT)
    assert e.group == "today"
    assert texts(e) == ["Blood pressure 192/118"]


def test_a_taken_alert_says_by_whom_and_comes_after_one_that_waits() -> None:
    taken = of(WELL, TAKEN)
    assert taken.group == "today"
    assert texts(taken) == ["Blood pressure 192/118 (taken by Li Na)"]
    assert taken.weight < of(WELL, ALERT).weight


def test_a_task_is_not_a_reason_for_today() -> None:
    assert of(WELL, TASK).group == "well"
    assert texts(of(WELL, TASK)) == ["Battery at 9 %"]


def test_a_mean_above_target_is_for_this_week() -> None:
    e = of(replace(WELL, systolic_7d=144.4, diastolic_7d=88.0, systolic_before=143.0))
    assert e.group == "week"
    assert texts(e) == ["week's mean systolic 9 mmHg above target", "week's mean diastolic 3 mmHg above target"]
    assert texts(of(replace(WELL, systolic_7d=144.4, systolic_before=144.0), words=ZH)) == [
        "收缩压周均值比目标高9 mmHg"
    ]


def test_a_mean_far_above_target_is_for_today() -> None:
    assert of(replace(WELL, systolic_7d=156.0, systolic_before=155.0)).group == "today"


def test_a_mean_below_target_is_a_reason_too() -> None:
    e = of(replace(WELL, systolic_7d=102.0, systolic_before=103.0))
    assert e.group == "week"
    assert texts(e) == ["week's mean systolic 8 mmHg below target"]


def test_a_rise_within_the_target_is_seen() -> None:
    e = of(replace(WELL, systolic_7d=130.0, systolic_before=119.0))
    assert e.group == "week"
    assert texts(e) == ["systolic up 11 mmHg in a week"]
    assert e.reasons[0].mark == "up"


def test_a_few_measurements_make_no_mean_to_judge() -> None:
    assert of(replace(WELL, systolic_7d=170.0, measurements_7d=3)).reasons == ()


@pytest.mark.parametrize(("days", "group"), [(2, "well"), (3, "silent"), (9, "silent")])
def test_three_days_of_silence_are_a_reason(days: int, group: str) -> None:
    e = of(PressureSummary(1, None, None, None, 0, NOW - timedelta(days=days)))
    assert e.group == group
    if group == "silent":
        assert texts(e) == [f"no blood pressure for {days} days"]


def test_silence_longer_than_the_summary_looks_back_is_told_by_the_last_value() -> None:
    last = Vital("Blood pressure", "131/85", "mmHg", NOW - timedelta(days=33), True, "within")
    assert texts(of(None, last=last)) == ["no blood pressure for 33 days"]


def test_one_who_never_measured_is_not_called_well() -> None:
    e = of(None)
    assert e.group == "silent"
    assert texts(e) == ["blood pressure has never been measured"]


def test_an_alert_outweighs_silence() -> None:
    assert of(PressureSummary(1, None, None, None, 0, NOW - timedelta(days=9)), ALERT).group == "today"


def test_groups_come_in_order_of_need_and_the_neediest_first() -> None:
    high = of(WELL, ALERT)
    medium = of(WELL, replace(ALERT, priority="medium"))
    week = of(replace(WELL, systolic_7d=140.0, systolic_before=140.0))
    found = grouped([of(), week, medium, high])
    assert [group for group, _, _, _ in found] == ["today", "week", "well"]
    assert found[0][3] == [high, medium]


def test_the_headline_is_the_whole_list_in_a_sentence() -> None:
    assert headline([of(), of(WELL, ALERT)], EN) == "1 resident needs you today."
    assert headline([of(WELL, ALERT), of(WELL, ALERT)], ZH) == "今天有2位老人需要您。"
    assert headline([of()], EN) == "All is as planned."
    assert headline([of(None)], EN) == "Nobody needs you today; a few want a look this week."
    assert headline([], EN) == "Nobody is in your care yet."


def learned_late(priority: str, sentence: str, **ago: float) -> Late:
    happened_at = NOW - timedelta(**ago)
    return Late(1, WANG.id, priority, sentence, happened_at, NOW, None, "", "")


def test_an_emergency_learned_late_is_for_today_and_says_when_it_was() -> None:
    e = entry(WANG, TARGET, [], WELL, None, EN, [learned_late("high", "Blood pressure 192/118", days=2)])
    assert e.group == "today"
    assert texts(e) == ["learned late, of 22 Nov 18:00: Blood pressure 192/118"]
    assert e.weight < of(WELL, TAKEN).weight


def test_of_several_things_learned_late_the_worst_is_named() -> None:
    known = [learned_late("medium", "Pulse 131", days=1), learned_late("high", "Blood pressure 192/118", days=2)]
    e = entry(WANG, TARGET, [], WELL, None, ZH, known)
    assert texts(e) == ["事后才得知，11月22日18:00：Blood pressure 192/118，另有1条"]
    assert entry(WANG, TARGET, [], WELL, None, EN, known[:1]).group == "week"
