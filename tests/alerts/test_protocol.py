"""The rule language: what it reads, what it refuses and where, and what the shipped rules say to whom."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import protocol, wording
from alerts.protocol import Answered, Limit, ProtocolError, Related, Rule
from alerts.rule import AUDIENCES, Word
from alerts.wording import LANGUAGES, ZH, About, one_segment
from devices.readings import METRICS
from tests.alerts.trial import TRIAL

SHIPPED = protocol.load()
RULES = {rule.id: rule for rule in SHIPPED.rules}

GOOD = """\
protocol = "trial"
version = 2026-11-24

[[rule]]
id = "bp.severe"
version = 1
priority = "high"
kind = "physiological"
also = ["pulse"]
title.zh_Hans = "血压过高"
title.en = "Blood pressure very high"

[[rule.when]]
metric = "systolic"
unit = "mmHg"
at_least = 180
clear_below = 170
source = "a guideline"

[[rule.when]]
metric = "diastolic"
unit = "mm[Hg]"
above = 110
clear_at_most = 104.5
source = "a guideline"

[rule.count]
over = 2
of = 3
within = "30 min"
source = "a habit"

[rule.ask]
kind = "repeat_measurement"
within = "20 min"
source = "another habit"
say.zh_Hans = "请再量一次。"
say.en = "Please measure again."

[rule.say]
staff.zh_Hans = "血压{first_systolic}/{first_diastolic}，复测{systolic}/{diastolic}"
staff.en = "Blood pressure {first_systolic}/{first_diastolic}, repeated {systolic}/{diastolic}"
family.zh_Hans = "血压偏高。"
family.en = "Blood pressure is high."
resident.zh_Hans = "您的血压偏高。"
resident.en = "Your blood pressure is high."
"""


def refusal(text: str, *, old: str = "", new: str = "") -> ProtocolError:
    """How the language refuses ``text``, once ``old`` in it is ``new``."""
    assert old in text
    with pytest.raises(ProtocolError) as caught:
        protocol.parse(text.replace(old, new, 1), "trial.toml")
    return caught.value


def line_of(text: str, words: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if words in line)


def test_a_rule_is_read_with_all_its_parts() -> None:
    (rule,) = protocol.parse(GOOD, "trial.toml").rules
    assert (rule.id, rule.version, rule.protocol) == ("bp.severe", 1, "trial")
    assert (rule.priority, rule.kind, rule.calls, rule.expires) == (
        "high",
        "physiological",
        True,
        timedelta(hours=2),
    )
    assert rule.when[1] == Limit(METRICS["diastolic"], "above", 110, "at_most", 104.5, "a guideline")
    assert (rule.count.k, rule.count.n, rule.count.within) == (2, 3, timedelta(minutes=30))
    assert rule.ask is not None
    assert (rule.ask.kind, rule.ask.within) == ("repeat_measurement", timedelta(minutes=20))
    assert rule.ask.sentence("en") == "Please measure again."
    assert rule.sources == ("a guideline", "a habit", "another habit")
    assert [metric.name for metric in rule.also] == ["pulse"]


@pytest.mark.parametrize(
    ("word", "over", "not_over"),
    [("at_least", 180, 179.9), ("above", 180.1, 180), ("at_most", 180, 180.1), ("below", 179.9, 180)],
)
def test_a_level_is_over_exactly_as_its_word_says(word: Word, over: float, not_over: float) -> None:
    limit = Limit(METRICS["systolic"], word, 180, None, None, "test")
    assert limit.over(over)
    assert not limit.over(not_over)


@given(st.floats(50, 260))
def test_no_value_is_both_over_and_calm(value: float) -> None:
    for rule in SHIPPED.rules:
        for limit in rule.when:
            assert not (limit.over(value) and limit.calm(value))


# Refused, at which words, and what the sentence must help with.
REFUSED = [
    ('id = "bp.severe"', 'id = "bp.severe"\nprioritys = "x"', "prioritys", "did you mean priority?"),
    ("at_least = 180", "at_lest = 180", "at_lest", "meant to be at_least?"),
    ("clear_below = 170", "", "[[rule.when]]", "clear_below, clear_at_most"),
    ("at_least = 180", "at_least = 180\nabove = 179", "above = 179", "only one"),
    ('metric = "systolic"', 'metric = "systolik"', "systolik", "did you mean systolic?"),
    ('metric = "diastolic"', 'metric = "systolic"', "[[rule.when]]", "only once"),
    ('unit = "mmHg"', 'unit = "kPa"', "kPa", "measured in mmHg, not in kPa"),
    ("at_least = 180", 'at_least = "180"', 'at_least = "180"', "should be a number"),
    ("at_least = 180", "at_least = true", "at_least = true", "should be a number"),
    ("at_least = 180", "at_least = nan", "at_least = nan", "can never fire"),
    ("at_least = 180", "at_least = 261", "at_least = 261", "can never fire: systolic is plausible from 50 to 260 mmHg"),
    ("at_least = 180", "at_least = 50", "at_least = 50", "would fire always"),
    ("clear_below = 170", "clear_below = 185", "clear_below = 185", "must lie below 180"),
    ("clear_below = 170", "clear_below = 180", "clear_below = 180", "must lie below 180"),
    ("clear_below = 170", "clear_below = 50", "clear_below = 50", "nothing would ever end this alarm"),
    ('source = "a guideline"', "", "[[rule.when]]", "where the number comes from"),
    ('source = "a habit"', 'source = " "', 'source = " "', "where the number comes from"),
    ("over = 2", "over = 4", "[rule.count]", "4 of 3 is impossible"),
    ("over = 2", "over = 1", "over = 1", "one is no count"),
    ("of = 3", "of = 9", "[rule.count]", "at most 8"),
    ('within = "30 min"', 'within = "0 min"', "0 min", "from one second to a year"),
    ('within = "30 min"', 'within = "9999999999 d"', "9999999999 d", "from one second to a year"),
    ('within = "30 min"', 'within = "half an hour"', "half an hour", "write 30 s, 30 min, 2 h or 3 d"),
    ('within = "30 min"', "within = 30", "within = 30", "should be text in quotes"),
    ('within = "20 min"', 'within = "25 h"', "[rule.ask]", "at most 24 hours"),
    ('"repeat_measurement"', '"are_you_well"', "[rule.ask]", "needs unless"),
    ('priority = "high"', 'priority = "urgent"', "urgent", "one of high, medium, low"),
    ('priority = "high"', 'priority = "high"\ncalls = false', "calls", "has to call somebody"),
    ('priority = "high"', 'priority = "high"\ncalls_at_night = false', "calls_at_night", "wait for the morning"),
    ('also = ["pulse"]', 'cause = ["bp.severe"]', "cause", "no cause of itself"),
    ('kind = "physiological"', 'kind = "technical"', 'kind = "technical"', 'write kind = "physiological"'),
    ('id = "bp.severe"', 'id = "BP severe"', "BP severe", "lower-case words"),
    ("version = 1", "version = 0", "version = 0", "counts from 1"),
    ("version = 2026-11-24", 'version = "today"', "version =", "a date such as"),
    ('also = ["pulse"]', 'also = ["fall"]', "also =", "only vital signs"),
    ('also = ["pulse"]', 'unless = "fall"', "unless", "only an event"),
    ('also = ["pulse"]', 'unless = "pulse"', "unless", "names an event"),
    ('title.en = "Blood pressure very high"', "", 'title.zh_Hans = "血压过高"', "en is missing"),
    ('{systolic}/{diastolic}"\nstaff.en', '{sistolic}"\nstaff.en', "sistolic", "did you mean systolic?"),
    ("repeated {systolic}", "repeated {systolic:.1f}", "systolic:.1f", "a name in braces and nothing else"),
    ("repeated {systolic}", "repeated {systolic", "repeated {systolic", "a name in braces and nothing else"),
    ('family.en = "Blood pressure is high."', 'family.en = " "', "family.en", "empty"),
    ('family.en = "Blood pressure is high."', "", "family.zh_Hans", "en is missing"),
    ('protocol = "trial"', 'protocol = "trial', 'protocol = "trial', "this is not TOML"),
]


@pytest.mark.parametrize(("old", "new", "at", "helps"), REFUSED)
def test_what_the_language_does_not_know_or_cannot_mean_is_refused_at_its_line(
    old: str, new: str, at: str, helps: str
) -> None:
    error = refusal(GOOD, old=old, new=new)
    assert helps in error.message
    assert error.file == "trial.toml"
    assert error.line == line_of(GOOD.replace(old, new, 1), at)
    assert str(error).startswith(f"trial.toml, line {error.line}: ")


def test_a_cause_that_is_no_rule_of_the_whole_protocol_is_refused() -> None:
    text = GOOD.replace('also = ["pulse"]', 'cause = ["bp.sever"]', 1)
    assert protocol.parse(text, "trial.toml").rules
    with pytest.raises(ProtocolError, match=r"did you mean bp\.severe\?"):
        protocol.parse_all({"trial.toml": text}, whole=True)


def test_the_same_id_twice_is_refused_at_the_second() -> None:
    twice = GOOD + "\n[[rule]]" + GOOD.split("[[rule]]", 1)[1]
    error = refusal(twice)
    assert "there already" in error.message
    assert error.line > line_of(twice, "resident.en")


def test_the_same_id_in_two_files_is_refused() -> None:
    with pytest.raises(ProtocolError, match=r"b\.toml, line 5: .*there already, in protocol trial"):
        protocol.parse_all({"a.toml": GOOD, "b.toml": GOOD})


def test_a_rule_watches_levels_or_silence_and_not_both_or_none() -> None:
    both = GOOD + '\n[rule.missing]\nmetric = "pulse"\nwithin = "1 d"\nsource = "x"\n'
    assert "either levels" in refusal(both).message
    head, rest = GOOD.split("[[rule.when]]", 1)
    none = head + rest[rest.index("[rule.count]") :]
    assert "either levels" in refusal(none).message


def test_a_file_without_rules_a_folder_without_files_and_another_encoding_are_refused(tmp_path: Path) -> None:
    assert "no rule here" in refusal(GOOD.split("[[rule]]")[0]).message
    assert "no rule here" in refusal('protocol = "x"\nversion = 2026-11-24\nrule = []\n').message
    with pytest.raises(ProtocolError, match="there is no protocol here"):
        protocol.load(tmp_path)
    (tmp_path / "a.toml").write_bytes(GOOD.encode("gb18030"))
    with pytest.raises(ProtocolError, match=r"a\.toml, line 10: this is not UTF-8"):
        protocol.load(tmp_path)


def damaged(text: str) -> st.SearchStrategy[str]:
    """``text`` with a few characters of it replaced."""
    return st.builds(lambda i, s: text[:i] + s + text[i + len(s) :], st.integers(0, len(text)), st.text(max_size=5))


@given(st.text() | damaged(GOOD) | damaged(TRIAL))
def test_whatever_is_written_is_read_or_refused_in_words(text: str) -> None:
    with suppress(ProtocolError):
        assert protocol.parse(text, "trial.toml").rules


def test_the_digest_tells_two_protocols_apart_and_the_version_is_the_newest_date() -> None:
    one = protocol.parse(GOOD, "trial.toml")
    other = protocol.parse(GOOD.replace("180", "181"), "trial.toml")
    assert one.digest != other.digest
    assert one.version == f"2026-11-24-{one.digest[:8]}"
    assert protocol.parse(GOOD, "trial.toml") == one


def test_the_rules_every_household_relies_on_are_shipped() -> None:
    assert set(RULES) >= {
        "bp.severe",
        "bp.low",
        "bp.missing",
        "spo2.low",
        "pulse.high",
        "pulse.low",
        "temperature.high",
        "temperature.low",
        "fall",
        "fall.long_lie",
        "fall.answered",
        "help_call",
        "device.battery",
        "device.unworn",
        "device.silent",
        "gateway.silent",
        "gateway.unwatched",
        "inactivity.morning",
    }
    tasks = {"bp.missing", "fall.answered", "device.battery", "device.silent", "device.unworn", "gateway.silent"}
    assert {rule.id for rule in SHIPPED.rules if not rule.calls} >= tasks
    assert RULES["gateway.unwatched"].calls_at_night is False
    assert SHIPPED.rule("bp.severe") is RULES["bp.severe"]
    assert SHIPPED.rule("no.such") is None


# The reference the shipped numbers were taken from: grade 3 hypertension, NEWS2, and the house's persistence.
@pytest.mark.parametrize(
    ("rule", "metric", "over", "not_over", "calm", "not_calm"),
    [
        ("bp.severe", "systolic", 180, 179, 169, 170),
        ("bp.severe", "diastolic", 110, 109, 104, 105),
        ("bp.low", "systolic", 89, 90, 100, 99),
        ("spo2.low", "spo2", 91, 92, 94, 93),
        ("pulse.high", "pulse", 131, 130, 110, 111),
        ("pulse.low", "pulse", 39, 40, 50, 49),
        ("temperature.high", "body_temperature", 38.0, 37.9, 37.4, 37.5),
        ("temperature.low", "body_temperature", 35.0, 35.1, 35.6, 35.5),
        ("device.battery", "battery", 15, 16, 25, 24),
        ("device.silent", "device_silence", 1.5, 1.4, 0.9, 1),
        ("device.unworn", "not_worn", 2, 1.9, 0.4, 0.5),
        ("gateway.silent", "gateway_silence", 1, 0.9, 0.2, 0.25),
        ("gateway.unwatched", "gateway_silence", 4, 3.9, 0.2, 0.25),
    ],
)
def test_the_shipped_levels_are_those_of_their_sources(
    rule: str, metric: str, over: float, not_over: float, calm: float, not_calm: float
) -> None:
    (limit,) = [limit for limit in RULES[rule].when if limit.metric.name == metric]
    assert [limit.over(over), limit.over(not_over), limit.calm(calm), limit.calm(not_calm)] == [
        True,
        False,
        True,
        False,
    ]


def worst_case(rule: Rule) -> dict[str, float]:
    """Evidence whose values are as long as they can be."""
    longest = {
        "body_temperature": 35.5,
        "spo2": 100.0,
        "battery": 15.0,
        "probability": 0.9,
        "count": 2.0,
        "days": 3.0,
        "hours": 72.0,
        "part_of_day": 2.0,
    }
    return {name: longest.get(name.removeprefix("first_"), 188.0) for name in protocol.evidence_names(rule)}


@pytest.mark.parametrize("rule", SHIPPED.rules, ids=lambda rule: rule.id)
def test_a_call_fits_one_message_with_name_and_address(rule: Rule) -> None:
    zh, en = About("欧阳王秀英", "幸福里小区12号楼3单元601"), About("Wang Xiuying", "601, unit 3, 12 Xingfu Li")
    for evidence in (worst_case(rule), worst_case(rule) | {"count": 1.0}):
        chinese, english = (rule.sentence("staff", language, evidence) for language in LANGUAGES)
        assert len(chinese) <= 25
        assert len(english) <= 70
        whole_zh = wording.say("alert", "sms", ZH, zh, sentence=chinese, code=27).body
        whole_en = wording.say("alert", "sms", "en", en, sentence=english, code=27).body
        for whole, language, sentence, about in ((whole_zh, ZH, chinese, zh), (whole_en, "en", english, en)):
            assert one_segment(whole, language)
            assert sentence in whole
            assert about.address in whole


@pytest.mark.parametrize("rule", SHIPPED.rules, ids=lambda rule: rule.id)
def test_every_sentence_is_filled_and_every_number_has_its_source(rule: Rule) -> None:
    for count in (1.0, 2.0):
        for audience in AUDIENCES:
            for language in LANGUAGES:
                sentence = rule.sentence(audience, language, worst_case(rule) | {"count": count})
                assert sentence
                assert "{" not in sentence
    assert rule.sources
    assert rule.title("en")
    assert rule.title(ZH)


def test_staff_read_the_numbers_and_whether_it_was_repeated() -> None:
    twice = {"systolic": 188.0, "diastolic": 116.0, "first_systolic": 192.0, "first_diastolic": 118.0, "count": 2.0}
    once = {"systolic": 192.0, "diastolic": 118.0, "count": 1.0}
    severe = RULES["bp.severe"]
    assert severe.sentence("staff", ZH, twice) == "血压192/118，复测188/116"
    assert severe.sentence("staff", "en", twice) == "Blood pressure 192/118, repeated 188/116"
    assert severe.sentence("staff", ZH, once) == "血压192/118，30分钟内未复测"
    assert severe.sentence("staff", "en", once) == "Blood pressure 192/118, not repeated within 30 minutes"


def test_the_family_reads_no_numbers_but_days() -> None:
    for rule in SHIPPED.rules:
        for language in LANGUAGES:
            for say in (rule.say, rule.say_unanswered or rule.say):
                assert set(protocol.evidence_names(rule)) & set(_placeholders(say["family"][language])) <= {"days"}


def _placeholders(text: str) -> list[str]:
    return [part.split("}")[0] for part in text.split("{")[1:]]


def test_a_long_lie_names_its_minutes_and_speaks_for_the_alert_it_joins() -> None:
    lain = {"probability": 0.97, "minutes": 10.4, "count": 1.0}
    assert RULES["fall.long_lie"].sentence("staff", "en", lain) == "10 minutes after a fall, no sign of getting up"
    assert RULES["fall"].sentence("staff", ZH, lain | {"joined": "fall.long_lie"}) == "跌倒后10分钟，仍无起身迹象"
    assert RULES["fall"].sentence("staff", ZH, lain) == "疑似跌倒，30秒内无回应"


def test_no_fall_that_the_detector_reports_is_lost_by_a_second_opinion() -> None:
    (limit,) = RULES["fall"].when
    assert limit.over(0.02)


EVENTS = """\
protocol = "trial"
version = 2026-11-24

[[rule]]
id = "fall"
version = 1
priority = "high"
kind = "event"
unless = "said_well"
title = {zh_Hans = "跌倒", en = "Fall"}

[[rule.when]]
metric = "fall"
unit = "probability"
at_least = 0.5
source = "a habit"

[rule.ask]
kind = "are_you_well"
within = "30 s"
source = "a habit"
say = {zh_Hans = "您还好吗？", en = "Are you well?"}

[rule.confirmed_by]
metric = "fall_confirmed"
within = "5 min"
unless = "said_well"
source = "a habit"

[rule.say]
staff = {zh_Hans = "跌倒", en = "Fall"}
family = {zh_Hans = "跌倒", en = "Fall"}
resident = {zh_Hans = "跌倒", en = "Fall"}

[[rule]]
id = "lie"
version = 1
priority = "high"
kind = "event"
unless = "said_well"
joins = "fall"
title = {zh_Hans = "久卧", en = "Long lie"}

[[rule.when]]
metric = "long_lie"
unit = "probability"
above = 0
source = "a habit"

[rule.follows]
metric = "fall"
within = "70 min"
unless = "said_well"
source = "a habit"

[rule.say]
staff = {zh_Hans = "躺了{minutes}分钟", en = "Down for {minutes} minutes"}
family = {zh_Hans = "跌倒", en = "Fall"}
resident = {zh_Hans = "跌倒", en = "Fall"}

[[rule]]
id = "after"
version = 1
priority = "low"
kind = "event"
calls = false
title = {zh_Hans = "问候", en = "Ask"}

[rule.answered]
rule = "fall"
source = "a habit"

[rule.say]
staff = {zh_Hans = "问候", en = "Ask"}
family = {zh_Hans = "问候", en = "Ask"}
resident = {zh_Hans = "问候", en = "Ask"}
"""


def test_events_of_one_episode_are_read() -> None:
    fall, lie, after = protocol.parse(EVENTS, "trial.toml").rules
    assert fall.confirmed_by == Related(
        METRICS["fall_confirmed"], timedelta(minutes=5), "a habit", (METRICS["said_well"],)
    )
    assert fall.joined_by == (lie,)
    assert lie.follows is not None
    assert lie.follows.metric.name == "fall"
    assert after.answered == Answered("fall", "a habit")


@pytest.mark.parametrize(
    ("old", "new", "helps"),
    [
        ('metric = "fall_confirmed"', 'metric = "systolic"', "is a measurement"),
        ('metric = "fall_confirmed"', 'metric = "fall"', "cannot be both"),
        ('within = "5 min"\nunless = "said_well"', 'within = "5 min"\nunless = "fall_recovered"', "too: name it"),
        ('within = "70 min"\nunless = "said_well"', 'within = "70 min"', "without an unless of its own"),
        ('joins = "fall"', 'joins = "lie"', "cannot name itself"),
        ('joins = "fall"', 'joins = "after"', "keeps its priority"),
        ('rule = "fall"', 'rule = "lie"', "asks nothing"),
        ('priority = "low"\nkind = "event"\ncalls = false', 'priority = "high"\nkind = "event"', "no danger"),
        ('kind = "event"\ncalls = false', 'kind = "technical"\ncalls = false', 'write kind = "event"'),
        ("Down for {minutes}", "Down for {hours}", "nothing fills {hours}"),
    ],
)
def test_events_that_cannot_be_of_one_episode_are_refused(old: str, new: str, helps: str) -> None:
    assert helps in refusal(EVENTS, old=old, new=new).message


def test_a_joined_or_answered_rule_that_is_none_of_the_whole_protocol_is_refused() -> None:
    for old, new in (('joins = "fall"', 'joins = "fal"'), ('rule = "fall"', 'rule = "fal"')):
        with pytest.raises(ProtocolError, match="did you mean fall"):
            protocol.parse_all({"trial.toml": EVENTS.replace(old, new, 1)}, whole=True)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_rule_explains_what_confirms_it_what_it_joins_and_what_it_answers(language: str) -> None:
    fall, lie, after = (protocol.explain(rule, language) for rule in protocol.parse(EVENTS, "trial.toml").rules)
    confirmed, joins, answered = {
        "en": (
            "A confirmed fall (no answer when asked, and not up again), up to 5 minutes later",
            "it joins",
            "answered",
        ),
        ZH: ("5分钟内收到“确认跌倒", "并入该警报", "询问得到回答时触发"),
    }[language]
    assert confirmed in fall
    assert joins in lie
    assert answered in after
