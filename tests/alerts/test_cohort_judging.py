"""What a protocol did against labels, counted by hand; and how its questions are answered and its alerts closed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from alerts import protocol
from alerts.cohort.cohort import Chunk, Labels, Plan
from alerts.cohort.instruments import Fault
from alerts.cohort.judging import Judged, Load, Pair, Sight, judge, kinds_seen_by
from alerts.measurements import Batch
from alerts.protocol import Protocol
from api.cli import app
from api.cohort_tables import in_brief, tables
from devices.readings import METRICS

PLAN = Plan(3, 14, seed=1)
WORDS = """
title.zh_Hans = "血压高"
title.en = "Pressure high"
"""
SAY = """
[rule.say]
staff.zh_Hans = "血压高"
staff.en = "Pressure high"
family.zh_Hans = "血压高"
family.en = "Pressure high"
resident.zh_Hans = "血压高"
resident.en = "Pressure high"
"""
HEAD = 'protocol = "test"\nversion = 2026-11-29\n'
HIGH = f"""
[[rule]]
id = "pressure.high"
version = 1
priority = "high"
kind = "physiological"
{WORDS}
[[rule.when]]
metric = "systolic"
unit = "mmHg"
at_least = 180
clear_below = 170
source = "a test"
{SAY}"""
TWICE = (
    HIGH.replace("pressure.high", "pressure.twice")
    + """
[rule.count]
over = 2
of = 3
within = "30 min"
source = "a test"

[rule.ask]
kind = "repeat_measurement"
within = "30 min"
source = "a test"
say.zh_Hans = "请再量一次。"
say.en = "Please measure again."
"""
)
MISSING = """
[rule.missing]
metric = "systolic"
within = "3 d"
source = "a test"
"""
SCORE = f"""
[[score]]
id = "score"
fresh = "12 h"
needs = 1
source = "a test"
title.zh_Hans = "评分"
title.en = "Score"
[[score.part]]
metric = "body_temperature"
bands = [[36, 1], [38, 0], ["more", 2]]

[[rule]]
id = "score.high"
version = 1
priority = "medium"
kind = "physiological"
{WORDS}
[[rule.when]]
score = "score"
statistic = {{ kind = "score" }}
unit = "points"
at_least = 2
clear_below = 1
source = "a test"
{SAY}"""


def moment(day: int, hour: float) -> np.datetime64:
    """A day (from 0 on) and hour where they live."""
    return PLAN.start + np.timedelta64(round((24 * day + hour) * 3600), "s")


def readings(*measured: tuple[int, float, np.datetime64], metric: str = "systolic") -> Batch:
    """Readings of (resident, value, measured), each received ten seconds later, in order of arrival."""
    kept = sorted(measured, key=lambda one: one[2])
    at = np.array([one[2] for one in kept], "datetime64[us]")
    resident = np.array([one[0] for one in kept], np.int32)
    return Batch(
        resident,
        np.full(len(kept), METRICS[metric].code, np.int16),
        at,
        np.array([one[1] for one in kept], np.float64),
        np.zeros(len(kept), np.int32),
        resident,
        at + np.timedelta64(10, "s"),
    )


def chunk(
    batch: Batch,
    labels: Sequence[tuple[int, str, np.datetime64, np.datetime64]] = (),
    *,
    answers: Batch | None = None,
    wrong: Sequence[np.datetime64] = (),
    groups: dict[int, frozenset[str]] | None = None,
) -> Chunk:
    onset, end = (np.array([one[i] for one in labels], "datetime64[us]") for i in (2, 3))
    kind = np.array([one[1] for one in labels], np.str_)
    return Chunk(
        np.array([1, 2, 3], np.int32),
        {1: frozenset(), 2: frozenset(), 3: frozenset()} | (groups or {}),
        {1: 70, 2: 75, 3: 80},
        batch,
        np.where(np.isin(batch.at, np.array(wrong, "datetime64[us]")), Fault.LOOSE, Fault.NONE).astype(np.int8),
        answers or readings(),
        Labels(np.array([one[0] for one in labels], np.int32), kind, onset, onset, end),
    )


def judged(text: str, one: Chunk) -> Judged:
    return judge(protocol.parse(HEAD + text, "test.toml"), PLAN, [one])


def pair(found: Judged, rule: str, kind: str) -> Pair:
    return next(p for p in found.pairs if (p.rule, p.kind) == (rule, kind))


def load(found: Judged, rule: str) -> Load:
    return next(one for one in found.loads if one.rule == rule)


def sight(found: Judged, kind: str) -> Sight:
    return next(one for one in found.sights if one.kind == kind)


CRISES = (
    (1, "crisis", moment(1, 8), moment(2, 8)),
    (2, "crisis", moment(3, 8), moment(4, 8)),
    (3, "crisis", moment(3, 8), moment(4, 8)),
)


@pytest.fixture(scope="module")
def week() -> Judged:
    """Of three crises one is measured and high, one measured and not high, one not measured; two false alarms beside."""
    batch = readings(
        (1, 190, moment(1, 10)),
        (1, 150, moment(2, 10)),
        (1, 195, moment(6, 23)),
        (2, 150, moment(3, 12)),
        (3, 200, moment(6, 10)),
    )
    return judged(HIGH, chunk(batch, CRISES, wrong=[moment(6, 10)], groups={3: frozenset({"hypertension"})}))


def test_what_was_seen_is_counted_against_all_that_happened(week: Judged) -> None:
    found = pair(week, "pressure.high", "crisis")
    assert (found.episodes, found.measured, found.seen) == (3, 2, 1)
    assert found.after == pytest.approx([2.0], abs=0.1)


def test_what_was_raised_beside_an_episode_is_false(week: Judged) -> None:
    found = load(week, "pressure.high")
    assert (found.alerts, found.true, found.false) == (3, 1, 2)
    assert found.false_by_resident.tolist() == [1, 0, 1]
    assert found.messages == 3
    assert found.at_night == 1


def test_a_false_alarm_may_have_a_lasting_condition_or_a_wrong_reading_behind_it(week: Judged) -> None:
    found = load(week, "pressure.high")
    assert (found.lasting, found.wrong) == (1, 1)


def test_all_rules_together_are_asked_too_and_what_chance_would_have_seen(week: Judged) -> None:
    found = sight(week, "crisis")
    assert (found.episodes, found.measured, found.seen, found.called) == (3, 2, 1, 1)
    # Seven days later, in a window of a day and a day's grace, nobody's pressure was high, but for none of the three.
    assert (found.windows, found.by_chance) == (3, 0.0)


def test_an_alert_counts_for_a_day_after_the_end_and_no_longer() -> None:
    for late, seen in ((23.5, 1), (24.5, 0)):
        batch = readings((1, 190, moment(2, 8) + np.timedelta64(round(late * 3600), "s")))
        assert pair(judged(HIGH, chunk(batch, CRISES[:1])), "pressure.high", "crisis").seen == seen


def test_an_alert_before_the_onset_is_not_true() -> None:
    found = judged(HIGH, chunk(readings((1, 190, moment(1, 7))), CRISES[:1]))
    assert (load(found, "pressure.high").true, pair(found, "pressure.high", "crisis").seen) == (0, 0)


def test_what_arrives_late_is_seen_late() -> None:
    batch = readings((1, 190, moment(1, 9)))
    late = Batch(batch.resident, batch.metric, batch.at, batch.value, batch.quality, batch.device, batch.at + np.timedelta64(90, "m"))  # fmt: skip
    assert pair(judged(HIGH, chunk(late, CRISES[:1])), "pressure.high", "crisis").after == pytest.approx([2.5], abs=0.1)


def test_a_rule_is_asked_about_what_it_watches_and_nothing_else() -> None:
    def kinds(text: str) -> set[str]:
        parsed: Protocol = protocol.parse(HEAD + text, "test.toml")
        return {kind.code for kind in kinds_seen_by(parsed, parsed.rules[-1])}

    assert kinds(HIGH) == {"crisis"}
    low = HIGH.replace("at_least = 180", "at_most = 90").replace("clear_below = 170", "clear_above = 95")
    assert kinds(low) == {"overtreated", "infection"}
    assert kinds(SCORE) == {"infection", "exacerbation"}


def test_who_is_asked_measures_again_and_is_calm() -> None:
    batch, answers = readings((1, 190, moment(1, 10))), readings((1, 140, moment(1, 10.15)))
    found = judged(TWICE, chunk(batch, answers=answers))
    assert (found.asked, load(found, "pressure.twice").alerts) == (1, 0)


def test_who_is_asked_and_still_high_is_an_alert_at_once() -> None:
    batch, answers = readings((1, 190, moment(1, 10))), readings((1, 188, moment(1, 10.15)))
    found = pair(judged(TWICE, chunk(batch, CRISES[:1], answers=answers)), "pressure.twice", "crisis")
    assert found.after == pytest.approx([2.2], abs=0.1)


def test_who_does_not_answer_is_an_alert_when_the_time_is_over() -> None:
    found = pair(judged(TWICE, chunk(readings((1, 190, moment(1, 10))), CRISES[:1])), "pressure.twice", "crisis")
    assert found.after == pytest.approx([2.5], abs=0.1)


def test_who_measures_twice_by_herself_is_not_asked_again() -> None:
    batch = readings((1, 190, moment(1, 10)), (1, 140, moment(1, 10.02)))
    answers = readings((1, 195, moment(1, 10.2)))
    assert load(judged(TWICE, chunk(batch, answers=answers)), "pressure.twice").alerts == 0


def test_an_alert_is_closed_after_a_day_and_what_is_still_high_raises_anew() -> None:
    batch = readings(*((1, 190, moment(day, 10)) for day in range(1, 5)))
    assert load(judged(HIGH, chunk(batch)), "pressure.high").alerts == 4
    often = readings(*((1, 190, moment(1, 10 + hour)) for hour in range(12)))
    assert load(judged(HIGH, chunk(often)), "pressure.high").alerts == 1


def test_a_task_is_done_after_a_week() -> None:
    task = HIGH.replace('"high"', '"low"').replace('kind = "phys', 'calls = false\nkind = "phys')
    batch = readings(*((1, 190, moment(day, 10)) for day in range(1, 11)))
    found = load(judged(task, chunk(batch)), "pressure.high")
    assert (found.alerts, found.messages) == (2, 0)


def test_a_silence_that_goes_on_after_its_alert_was_closed_is_no_new_one() -> None:
    silence = (
        HIGH.replace("pressure.high", "pressure.missing")
        .split("[[rule.when]]")[0]
        .replace("physiological", "technical")
    )
    silence += MISSING + SAY
    found = load(
        judged(silence, chunk(readings((1, 130, moment(4, 10)), (2, 130, moment(13, 10))))), "pressure.missing"
    )
    # One of each before day 4 and 13, of the first another after it, and of the third all the time.
    assert found.false_by_resident.tolist() == [2, 1, 1]


def test_who_may_not_be_called_at_night_is_called_in_the_morning_if_it_still_stands() -> None:
    waits = HIGH.replace('"high"', '"medium"').replace('kind = "phys', 'calls_at_night = false\nkind = "phys')
    still = load(judged(waits, chunk(readings((1, 190, moment(1, 23))))), "pressure.high")
    assert (still.messages, still.at_night) == (1, 0)
    over = readings((1, 190, moment(1, 23)), (1, 140, moment(2, 5)))
    assert load(judged(waits, chunk(over)), "pressure.high").messages == 0


def test_the_tables_say_it(week: Judged) -> None:
    seen, by_rule, costs, by_priority = tables(week)
    assert seen.rows[0][:6] == ("hypertensive crisis", "3", "2", "33 (6–79)", "50 (9–91)", "33 (6–79)")
    assert by_rule.rows[0][:4] == ("pressure.high", "hypertensive crisis", "3", "2")
    assert costs.rows[0][:5] == ("pressure.high", "high", "3", "1", "2")
    assert by_priority.rows[-1][0] == "all"


def test_the_manual_has_its_tables_in_both_languages(week: Judged) -> None:
    seen, costs = in_brief(week, "zh_Hans")
    assert seen.rows[0] == ("高血压危象", "3", "33 (6–79)", "33 (6–79)", "0", "2.1小时")
    assert costs.rows == [("`pressure.high`", "50", "33", "50", "17")]
    assert in_brief(week, "en")[0].rows[0][0] == "hypertensive crisis"


def test_the_commands_make_and_judge(tmp_path: Path) -> None:
    out, rules = tmp_path / "c.npz", tmp_path / "rules"
    rules.mkdir()
    (rules / "test.toml").write_text(HEAD + HIGH, encoding="utf-8")
    made = CliRunner().invoke(app, ["cohort", "make", "--residents", "20", "--days", "10", "--out", str(out)])
    assert made.exit_code == 0
    assert "20 residents, 10 days" in made.output
    again = CliRunner().invoke(app, ["cohort", "make", "--out", str(out)])
    assert again.exit_code == 1
    shown = CliRunner().invoke(app, ["cohort", "judge", str(out), "--protocol", str(rules), "--markdown"])
    assert shown.exit_code == 0
    assert "| pressure.high | high |" in shown.output
    assert (
        "Alerts of each rule" in CliRunner().invoke(app, ["cohort", "judge", str(out), "--protocol", str(rules)]).output
    )


def test_a_wrong_file_and_a_wrong_protocol_are_said(tmp_path: Path) -> None:
    (tmp_path / "c.npz").write_bytes(b"no")
    assert "is not a cohort" in CliRunner().invoke(app, ["cohort", "judge", str(tmp_path / "c.npz")]).output
    nothing = CliRunner().invoke(app, ["cohort", "judge", str(tmp_path / "c.npz"), "--protocol", str(tmp_path)])
    assert "there is no protocol here" in nothing.output
