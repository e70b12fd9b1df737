"""The words of the rule language for statistics, scores, parameters, groups and delays: read, and refused where senseless."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest

from alerts import protocol
from alerts.protocol import Limit, Missing, ProtocolError
from alerts.rule import IRREGULAR_PULSE, POINTS, GroupValue, Lasting, Required, ScoreExtra, ScorePart, Statistic
from alerts.wording import LANGUAGES
from devices.readings import METRICS
from tests.alerts.trial import (
    ASK,
    FOLLOWING,
    GROUPS,
    HEAD,
    NEWS2,
    OXYGEN,
    PARAMETER,
    SCORE,
    TRIAL,
    besides,
    count,
    missing,
    rule,
    when,
)


def refusal(text: str, *, old: str = "", new: str = "") -> ProtocolError:
    """How the language refuses ``text``, once ``old`` in it is ``new``."""
    assert old in text
    with pytest.raises(ProtocolError) as caught:
        protocol.parse(text.replace(old, new, 1), "trial.toml")
    return caught.value


def test_every_new_word_is_read() -> None:
    found = protocol.parse_all({"trial.toml": TRIAL}, whole=True)
    rules = {one.id: one for one in found.rules}
    assert [group.code for group in found.groups] == ["copd", "hypercapnic", "home_oxygen"]
    (oxygen,) = found.parameters
    assert (oxygen.name, oxygen.metric.name, oxygen.value, oxygen.low, oxygen.high) == (
        "oxygen.alarm",
        "spo2",
        91,
        80,
        95,
    )
    assert oxygen.groups == {"hypercapnic": GroupValue(83, "NEWS2, scale 2")}
    low = rules["oxygen.low"]
    assert (low.groups, low.not_groups) == (("copd",), ("home_oxygen",))
    assert low.persists == Lasting(timedelta(minutes=1), "a study")
    assert low.clear_after == Lasting(timedelta(minutes=10), "another study")
    assert low.when == (
        Limit(METRICS["spo2"], "at_most", 91, "above", 94, "a guideline", parameter="oxygen.alarm", clear_by=3),
    )
    assert rules["pulse.after_fall"].requires == (
        Required(METRICS["fall"], "at_least", 0, timedelta(hours=2), "a habit"),
        Required(METRICS["body_temperature"], "at_least", 37.8, timedelta(days=1), "a habit"),
    )
    irregular = rules["pulse.irregular"]
    assert irregular.when[0].metric is IRREGULAR_PULSE
    assert (irregular.count.days, irregular.count.days_within) == (2, timedelta(days=14))
    assert rules["fall.still"].missing == Missing(
        METRICS["movement"], timedelta(minutes=30), "a habit", METRICS["fall"]
    )


def test_statistics_are_read_with_their_windows() -> None:
    rules = {one.id: one for one in protocol.parse(TRIAL, "trial.toml").rules}
    found = {
        limit.statistic for name in ("pressure.average", "weight.gain", "oxygen.unusual") for limit in rules[name].when
    }
    assert found == {
        Statistic("average", timedelta(days=7), 12, drop_first_day=True),
        Statistic("rise", timedelta(days=3)),
        Statistic("trend", timedelta(days=14), 6),
        Statistic("from_usual", needs=14),
        Statistic("drop", timedelta(hours=2)),
    }


def test_a_score_is_read_with_its_bands_and_whom_they_are_for() -> None:
    found = protocol.parse(TRIAL, "trial.toml")
    (score,) = found.scores
    assert (score.id, score.fresh, score.needs) == ("news2", timedelta(hours=12), 2)
    assert score.parts[1] == ScorePart(
        METRICS["spo2"], ((91, 3), (95.5, 1), (float("inf"), 0)), not_groups=("hypercapnic",)
    )
    assert score.extras == (ScoreExtra(2, ("home_oxygen",)),)
    high = found.rule("news2.high")
    assert high is not None
    assert [(limit.metric, limit.score) for limit in high.when] == [(POINTS, score), (POINTS, score)]
    assert {"score", "worst_part", "parts", "of_parts", "pulse"} <= set(protocol.evidence_names(high))


def test_the_examples_of_the_manual_are_protocols() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    whole, average, numbers, points, events = re.findall(r"```toml\n(.*?)```", manual, re.DOTALL)
    said = "\n".join(f'{who}.{language} = "..."' for who in ("family", "resident") for language in LANGUAGES)
    assert protocol.parse(whole + said, "manual").rules
    definitions, level = numbers.split("[[rule.when]]")
    score, judged = points.split("[[rule.when]]")
    after_a_fall, still = events.split("[rule.missing]")
    other_group = GROUPS[GROUPS.index('[[group]]\ncode = "home_oxygen"') :]
    text = definitions.replace("[[parameter]]", f"{other_group}\n[[parameter]]", 1) + score
    for number, body in enumerate((average, f"[[rule.when]]{level}", f"[[rule.when]]{judged}", after_a_fall)):
        text += rule(f"rule{number}", body)
    text += rule("still", f"[rule.missing]{still}", kind="event")
    assert len(protocol.parse_all({"manual": HEAD + text}, whole=True).rules) == 5


def test_a_level_by_parameter_is_over_again_behind_a_distance() -> None:
    (low,) = (one for one in protocol.parse(TRIAL, "trial.toml").rules if one.id == "oxygen.low")
    for level in (91, 83):
        limit = low.when[0].at_level(level)
        assert [limit.over(level), limit.over(level + 0.1)] == [True, False]
        assert [limit.calm(level + 3), limit.calm(level + 3.1)] == [False, True]


def test_groups_parameters_and_scores_may_stand_in_any_file() -> None:
    others = {"a.toml": HEAD + OXYGEN + NEWS2, "z.toml": HEAD + PARAMETER + SCORE, "m.toml": HEAD + GROUPS}
    found = protocol.parse_all(others, whole=True)
    assert [one.id for one in found.rules] == ["oxygen.low", "news2.high"]
    assert (len(found.groups), len(found.parameters), len(found.scores)) == (3, 1, 1)
    assert protocol.parse_all(dict(reversed(others.items()))) == found


SILENCE = rule("trial", missing("pulse", "1 d"), kind="technical")


def test_a_group_may_follow_from_others_or_from_age() -> None:
    found = {group.code: group for group in protocol.parse(HEAD + FOLLOWING + GROUPS + SILENCE, "trial.toml").groups}
    assert (found["on_oxygen"].all_of, found["old"].from_age) == (("hypercapnic", "home_oxygen"), 80)
    assert [code for code, group in found.items() if group.follows] == ["on_oxygen", "old"]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"home_oxygen"]', '"home_oxigen"]', "there is no group 'home_oxigen'; did you mean home_oxygen?"),
        ('"home_oxygen"]', '"on_oxygen"]', "on_oxygen cannot follow from itself"),
        (', "home_oxygen"]', "]", "all_of names two groups or more, each once"),
        ('"home_oxygen"]', '"hypercapnic"]', "all_of names two groups or more, each once"),
        ("from_age = 80", "from_age = 0", "from_age counts from 1"),
        ("from_age = 80", "from_age = 800", "nobody is 800 years old"),
        ("from_age = 80", 'from_age = 80\nall_of = ["copd", "hypercapnic"]', "a group follows from others or from age"),
        ("from_age = 80", 'all_of = ["copd", "on_oxygen"]', "on_oxygen follows from others itself: name those in old"),
    ],
)
def test_a_group_that_cannot_follow_is_refused(old: str, new: str, sentence: str) -> None:
    error = refusal(HEAD + GROUPS + FOLLOWING + SILENCE, old=old, new=new)
    assert sentence in error.message
    assert error.line > 20


def test_all_that_is_wrong_with_the_rules_is_told_at_once() -> None:
    texts = {
        "b.toml": HEAD + rule("one", when("pulse", "Hz", "at_least = 130", "clear_below = 110")),
        "a.toml": HEAD
        + rule("two", when("puls", "/min", "at_least = 130", "clear_below = 110"))
        + rule("three", when("pulse", "/min", "at_least = 130", "clear_below = 130")),
    }
    wrong = protocol.check(texts)
    assert [(error.file, error.line) for error in wrong] == [("a.toml", 13), ("a.toml", 36), ("b.toml", 14)]
    with pytest.raises(ProtocolError) as caught:
        protocol.parse_all(texts)
    assert str(caught.value) == str(wrong[0])


# Refused in the trial protocol: which words, with what in their place, at which words, and what the sentence must help with.
REFUSED_WORDS = [
    ('for = "copd"', 'for = "cpod"', 'for = "cpod"', "there is no group 'cpod'; did you mean copd?"),
    ('for = "copd"', "for = []", "for = []", "leave it out"),
    ('not_for = ["home_oxygen"]', 'not_for = "copd"', "not_for =", "stands under for already"),
    ('code = "home_oxygen"', 'code = "copd"', 'code = "copd"', "the group copd is there already, in protocol trial"),
    ('code = "copd"', 'code = "COPD"', 'code = "COPD"', "lower-case words"),
    ('title.en = "COPD"', "", "title.zh_Hans", "en is missing"),
    ('at_most = "oxygen.alarm"', 'at_most = "oxygen.alrm"', "alrm", "no parameter 'oxygen.alrm'; did you mean"),
    ("clear_by = 3", "clear_by = 0", "clear_by = 0", "more than 0"),
    ("clear_by = 3", "clear_by = 7", "clear_by =", "may be set to 95, and then nothing would ever end this alarm"),
    ("clear_by = 3", "clear_at_least = 94", "clear_at_least", "differs by resident: say in clear_by"),
    ("clear_by = 3", "", "[[rule.when]]", "clear_by is missing"),
    ("clear_below = 130", "clear_by = 5", "clear_by", "beside a number write clear_below"),
    (
        'metric = "spo2"\nunit = "%"\nat_most',
        'metric = "pulse"\nunit = "/min"\nat_most',
        "at_most =",
        "a level of spo2, not of",
    ),
    ("value = 91", "value = 96", "value = 96", "lies outside between, from 80 to 95"),
    ("value = 83", "value = 79", "value = 79", "lies outside between, from 80 to 95"),
    ("between = [80, 95]", "between = [95, 80]", "between", "the lowest value allowed comes first"),
    ("between = [80, 95]", "between = [80]", "between", "such as [80, 95]"),
    ("between = [80, 95]", 'between = [80, "95"]', "between", "should be a number"),
    ("between = [80, 95]", "between = [80, 100]", "at_most =", "may be set to 100, and then this would fire always"),
    ("between = [80, 95]", "between = [49, 95]", "at_most =", "may be set to 49, and then this can never fire"),
    ('group = "hypercapnic"', 'group = "copdd"', "copdd", "did you mean copd?"),
    ('source = "NEWS2, scale 2"', "", "[[parameter.group]]", "where the number comes from"),
    (
        '"spo2"\nunit = "%"\nvalue',
        '"fall"\nunit = "probability"\nvalue',
        'metric = "fall"',
        "decided where it is noticed",
    ),
    ("at_least = 3\n", "at_least = 4\n", "at_least = 4", "can never fire: news2 gives from 0 to 3 points"),
    ("at_least = 5\n", "at_least = 12\n", "at_least = 12", "can never fire: news2 gives from 0 to 11 points"),
    ('score = "news2"', 'score = "news"', 'score = "news"', "did you mean news2?"),
    ('score = "news2"', 'score = "news2"\nmetric = "pulse"', 'metric = "pulse"\nunit', "leave out metric, or score"),
    ('statistic = {kind = "score"}', 'statistic = {kind = "rise"}', '"rise"}', 'write kind = "score"'),
    ('statistic = {kind = "score"}', "", "[[rule.when]]", "statistic is missing"),
    (
        'unit = "points"',
        'unit = "mmHg"',
        'unit = "mmHg"\nstatistic = {kind = "score"}',
        "is measured in points, not in mmHg",
    ),
    ("[40, 3], [90, 0]", "[90, 3], [40, 0]", "bands", "the edges must ascend"),
    ('[90, 0], ["more", 3]]', "[90, 0]]", "bands", 'write ["more", points] at the end'),
    ('["more", 3]]', '["more", -1]]', "bands", "is no band"),
    ("[40, 3], [90, 0]", '["low", 3], [90, 0]', "bands", "should be a number"),
    ("[40, 3], [90, 0]", "[40, 3], [250, 0]", "bands", "leaves nothing to itself or the next"),
    ("[40, 3], [90, 0]", "[40, 3], [90, 3]", "bands", "this part tells nothing"),
    ("needs = 2", "needs = 4", "needs = 4", "4 parts can never be known: of a resident of no group only 3 are judged"),
    ('not_for = ["hypercapnic"]\n', "", "[[score]]", "spo2 would count twice for a resident of hypercapnic"),
    ('for = ["home_oxygen"]\n', "", "[[score.extra]]", "say in for which group"),
    ("points = 2", "points = 60", "[[score]]", "could give 69 points; at most 60"),
    (
        'metric = "body_temperature"\nbands',
        'metric = "battery"\nbands',
        'metric = "battery"',
        "a score is made of measurements",
    ),
    ("needs = 12", "needs = 0", 'statistic = {kind = "average"', "counts from 1"),
    ("needs = 12, ", "", "statistic =", "of how many readings average is made at least"),
    ('window = "7 d"', 'window = "1 d"', "statistic =", "whole days, from 2 d to 30 d"),
    ('window = "7 d"', 'window = "36 h"', "statistic =", "whole days, from 2 d to 30 d"),
    ('window = "7 d"', 'window = "31 d"', "statistic =", "whole days, from 2 d to 30 d"),
    (
        '"variation", window = "14 d", needs = 5',
        '"variation", window = "14 d", needs = 15',
        "variation",
        "in 14 days there are from 2 to 14 days",
    ),
    (
        '"deviation", window = "14 d", needs = 5',
        '"deviation", window = "14 d", needs = 1',
        "deviation",
        "from 2 to 14 days",
    ),
    ('"rise", window = "3 d"', '"rise", window = "30 d"', '"rise"', "over whole days, from 1 d to 29 d"),
    ('"drop", window = "2 h"', '"drop", window = "1 s"', '"drop"', "from 2 s to 23 h"),
    ('"drop", window = "2 h"', '"drop", window = "2 h", needs = 2', '"drop"', "leave out needs"),
    ('"from_usual"', '"from_usual", window = "7 d"', '"from_usual"', "has no window"),
    ('"from_usual"', '"from_usual", needs = 256', '"from_usual"', "readings are counted up to 255"),
    (
        '"trend", window',
        '"trend", drop_first_day = true, window',
        '"trend"',
        "only an average leaves out its first day",
    ),
    ('kind = "variation"', 'kind = "variance"', "variance", "kind is one of average"),
    ("above = 12\n", "above = 101\n", "above = 101", "can never fire: the variation of systolic lies from 0 to 100 %"),
    ("at_most = -4", "at_most = 4", "at_most = 4", "this would fire always"),
    ("clear_above = -2", "clear_above = 1", "clear_above = 1", "nothing would ever end this alarm"),
    (
        'unit = "%"\nstatistic = {kind = "variation"',
        'unit = "mmHg"\nstatistic = {kind = "variation"',
        'unit = "mmHg"\nstatistic = {kind = "variation"',
        "is measured in %",
    ),
    ('time = "60 s"', 'time = "0 s"', "persists", "from one second to a year"),
    ('source = "a study"', 'source = ""', "persists", "where the number comes from"),
    ('metric = "fall"\nwithin', 'metric = "fal"\nwithin', '"fal"', "did you mean fall?"),
    ("at_least = 37.8", "at_least = 46", "at_least = 46", "this can never be so: body_temperature is plausible"),
    ("at_least = 37.8", "at_least = 25", "at_least = 25", "this is always so"),
    ("at_least = 37.8", 'at_least = "fever"', 'at_least = "fever"', "should be a number"),
    ('days = 2, within = "14 d"', 'days = 1, within = "14 d"', "on_days", "leave out on_days"),
    ('days = 2, within = "14 d"', 'days = 15, within = "14 d"', "[rule.count]", "from 15 d to 30 d"),
    ('days = 2, within = "14 d"', 'days = 2, within = "36 h"', "[rule.count]", "whole days, from 2 d to 30 d"),
    ('after = "fall"', 'after = "pulse"', 'after = "pulse"', "after names an event"),
    ('metric = "movement"', 'metric = "pulse_pressure"', "pulse_pressure", "no device sends pulse_pressure"),
    ('metric = "movement"', 'metric = "fall"', "[rule.missing]", "cannot end the silence after itself"),
    ('kind = "event"', 'kind = "technical"', "technical", 'write kind = "event"'),
]


@pytest.mark.parametrize(("old", "new", "at", "helps"), REFUSED_WORDS)
def test_what_the_new_words_cannot_mean_is_refused_at_its_line(old: str, new: str, at: str, helps: str) -> None:
    error = refusal(TRIAL, old=old, new=new)
    assert helps in error.message
    assert error.line == _lines_from(TRIAL.replace(old, new, 1), at, since=TRIAL.index(old))


def _lines_from(text: str, words: str, *, since: int) -> int:
    """The line of the occurrence of ``words`` nearest to the place ``since``."""
    places = [found.start() for found in re.finditer(re.escape(words), text)]
    return text[: min(places, key=lambda place: abs(place - since))].count("\n") + 1


PULSE = when("pulse", "/min", "at_least = 130", "clear_below = 110")
AVERAGE = when(
    "pulse", "/min", "at_least = 100", "clear_below = 90", statistic='kind = "average", window = "7 d", needs = 3'
)
FALL = when("fall", "probability", "at_least = 0.5", "")
BATTERY = when("battery", "%", "at_most = 15", "clear_at_least = 25")
PERSISTS = 'persists = {time = "1 min", source = "x"}'
CLEARS = 'clear_after = {time = "1 min", source = "x"}'


@pytest.mark.parametrize(
    ("body", "head", "kind", "helps"),
    [
        (PULSE + AVERAGE, "", "physiological", "judged at other times"),
        (AVERAGE + count(2, 3) + ASK, "", "physiological", "write 2 of 2 with ask"),
        (AVERAGE + count(2, 2), "", "physiological", "write 2 of 2 with ask"),
        (AVERAGE, PERSISTS, "physiological", "leave out persists"),
        (AVERAGE, CLEARS, "physiological", "leave out clear_after"),
        (PULSE + count(2, 3), PERSISTS, "physiological", "leave out persists, or [rule.count]"),
        (FALL, PERSISTS, "event", "leave out persists"),
        (FALL, CLEARS, "event", "leave out clear_after"),
        (
            when("body_weight", "kg", "at_most = -2", "clear_above = -1", statistic='kind = "rise", window = "3 d"'),
            "",
            "physiological",
            "this can never fire: the rise of body_weight lies from 0",
        ),
        (BATTERY, CLEARS, "technical", "leave out clear_after"),
        (BATTERY + count(1, 1, on_days='days = 2, within = "7 d"'), "", "technical", "only measurements are counted"),
        (PULSE + count(2, 3, on_days='days = 2, within = "7 d"') + ASK, "", "physiological", "cannot stand for days"),
        (
            PULSE + besides("pulse", "1 h", unit="/min", level="above = 100"),
            "",
            "physiological",
            "judged by this rule already",
        ),
        (FALL + besides("fall", "1 h"), "", "event", "this rule's own event"),
        (PULSE + besides("fall", "1 h") * 2, "", "physiological", "required twice"),
        (
            PULSE
            + besides("spo2", "1 h", unit="%", level="above = 95")
            + besides("spo2", "1 h", unit="%", level="below = 90"),
            "",
            "physiological",
            "nothing lies beyond both levels",
        ),
        (
            PULSE
            + when("spo2", "%", "at_most = 88", "clear_above = 90")
            + besides("pulse", "1 h", unit="/min", level="at_least = 130"),
            "",
            "physiological",
            "this level of pulse stands in [[rule.when]] already",
        ),
        (missing("pulse", "3 d") + besides("fall", "1 h"), "", "technical", "leave out [[rule.and]]"),
        (
            when("battery", "%", "above = 5", "clear_at_most = 4", statistic='kind = "rise", window = "1 d"'),
            "",
            "technical",
            "statistics are made of measurements",
        ),
        (
            when(
                "spo2",
                "%",
                'at_most = "spo2.fall"',
                "clear_by = 1",
                statistic='kind = "variation", window = "7 d", needs = 3',
            ),
            "",
            "physiological",
            "there is no parameter 'spo2.fall': write [[parameter]]",
        ),
    ],
)
def test_words_that_do_not_go_together_are_refused(body: str, head: str, kind: str, helps: str) -> None:
    assert helps in refusal(HEAD + rule("trial", body, head=head, kind=kind)).message


@pytest.mark.parametrize(
    ("metric", "unit", "level", "helps"),
    [
        ("glucose", "mg/dL", "at_least = 250", "glucose is measured in mmol/L, not in mg/dL; 250 mg/dL is 13.9 mmol/L"),
        ("systolic", "kPa", "at_least = 24", "systolic is measured in mmHg, not in kPa; 24 kPa is 180 mmHg"),
        ("body_temperature", "°F", "at_least = 100.4", "in °C, not in °F; 100.4 °F is 38 °C"),
        ("body_weight", "斤", "at_least = 130", "in kg, not in 斤; 130 斤 is 65 kg"),
        ("pulse", "Hz", "at_least = 2", "pulse is measured in /min, not in Hz"),
    ],
)
def test_another_unit_is_refused_and_the_number_that_was_meant_is_offered(
    metric: str, unit: str, level: str, helps: str
) -> None:
    number = level.split()[-1]
    message = refusal(HEAD + rule("trial", when(metric, unit, level, f"clear_below = {number}"))).message
    assert helps in message


def test_a_distance_in_another_unit_is_converted_without_its_offset() -> None:
    usual = when("body_temperature", "°F", "at_least = 1.8", "clear_below = 0.9", statistic='kind = "from_usual"')
    assert "1.8 °F is 1 °C" in refusal(HEAD + rule("trial", usual)).message


def test_a_score_out_of_reach_for_whom_the_rule_concerns_is_refused() -> None:
    most = when("news2", "points", "at_least = 11", "clear_below = 4", statistic='kind = "score"', what="score")
    for head, works in (("", True), ('for = "home_oxygen"', True), ('not_for = "home_oxygen"', False)):
        text = HEAD + GROUPS + SCORE + rule("trial", most, head=head)
        if works:
            assert protocol.parse(text, "trial.toml").rules
        else:
            assert "nobody whom this rule concerns" in refusal(text).message


def test_numbers_that_no_rule_judges_by_are_refused() -> None:
    for definition, helps in ((PARAMETER, "parameter oxygen.alarm"), (SCORE, "score news2")):
        text = HEAD + GROUPS + definition + rule("trial", PULSE)
        assert protocol.parse(text, "trial.toml").rules
        with pytest.raises(ProtocolError, match=f"no rule judges by the {helps}"):
            protocol.parse_all({"trial.toml": text}, whole=True)


def test_a_number_beyond_all_measure_is_refused() -> None:
    assert "far beyond" in refusal(HEAD + rule("trial", when("pulse", "/min", "at_least = 1e300", ""))).message
