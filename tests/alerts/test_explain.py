"""What a protocol says of itself in Chinese and English, made from the rules alone."""

from __future__ import annotations

import re

import pytest

from alerts import protocol
from alerts.language.explain import length, metric_name, quantity
from alerts.rule import DERIVED, IRREGULAR_PULSE, Limit, limit_unit
from alerts.wording import LANGUAGES, ZH
from devices.readings import METRICS
from tests.alerts.trial import FOLLOWING, GROUPS, HEAD, PARAMETER, TRIAL, besides, count, missing, rule, when

WHOLE = protocol.parse_all({"trial.toml": TRIAL}, whole=True)
SHIPPED = protocol.load()


def said(rule_id: str, language: str) -> str:
    found = WHOLE.rule(rule_id)
    assert found is not None
    return protocol.explain(found, language, WHOLE)


def explained(body: str, language: str, *, head: str = "", kind: str = "physiological") -> str:
    (found,) = protocol.parse(HEAD + rule("trial", body, head=head, kind=kind), "trial.toml").rules
    return protocol.explain(found, language)


ENGLISH = [
    ("oxygen.low", "It concerns only residents of the group “COPD”, except those of the group “Oxygen at home”."),
    (
        "oxygen.low",
        (
            "Fires when oxygen saturation is at most 91% (“Oxygen alarm level”, which may be set for each resident from 80 to "
            "95%; 83% for the group “Hypercapnia”) and stays so for 1 minute without a break."
        ),
    ),
    (
        "oxygen.low",
        "over when oxygen saturation is above 94% (3 percentage points from the level) and has stayed so for 10 minutes.",
    ),
    ("oxygen.low", "raises no alarm. Sources: a guideline | a study | another study | NEWS2, scale 1 | NEWS2, scale 2"),
    (
        "pressure.average",
        (
            "Fires when the average systolic blood pressure of the last 7 days is at least 135 mmHg (from at least 12 readings, "
            "the first day left out)."
        ),
    ),
    ("pressure.average", "over when the average systolic blood pressure of the last 7 days is below 130 mmHg."),
    (
        "pressure.unsteady",
        (
            "the day-to-day variation of systolic blood pressure over the last 14 days is above 12% (the standard deviation of "
            "its daily means as a share of their mean; at least 5 days with readings)"
        ),
    ),
    (
        "pressure.unsteady",
        (
            "or the standard deviation of the daily means of diastolic blood pressure over the last 14 days is above 9 mmHg (at "
            "least 5 days with readings)."
        ),
    ),
    ("weight.gain", "Fires when body weight is at least 2 kg above the lowest daily mean of the 3 days before"),
    (
        "weight.gain",
        (
            "or body weight rises by at least 1.5 kg a week over the last 14 days (the slope of its daily means; at least 6 days "
            "with readings)."
        ),
    ),
    ("weight.gain", "and body weight rises by no more than 0.5 kg a week over the last 14 days."),
    (
        "oxygen.unusual",
        (
            "oxygen saturation is at least 4 percentage points below the resident's own usual value at this time of day (known "
            "once there are 14 readings at this time of day)"
        ),
    ),
    ("oxygen.unusual", "or pulse is at least 30 per minute below the highest value of the 2 hours before"),
    ("oxygen.unusual", "and still so when measured again. After the first the resident is asked to measure again"),
    (
        "news2.high",
        (
            "Fires when “Early warning score” is at least 5 points (made of pulse, oxygen saturation and body temperature; at "
            "least 2 of them, none older than 12 hours) or a single part of “Early warning score” gives at least 3 points."
        ),
    ),
    ("news2.high", "below 4 points and every part of “Early warning score” gives less than 2 points."),
    (
        "pulse.after_fall",
        (
            "It fires only within 2 hours after a fall and if the last body temperature, measured no longer than 1 day "
            "before, was at least 37.8 °C."
        ),
    ),
    ("pulse.after_fall", "A reading older than 2 hours when it arrives raises no alarm. It is noted for the doctor"),
    (
        "pulse.irregular",
        (
            "Fires when the cuff reports an irregular pulse in 2 of the last 3 measurements within 30 minutes, on 2 different "
            "days within 14 days."
        ),
    ),
    ("pulse.irregular", "It is over when the cuff no longer reports an irregular pulse."),
    ("fall.still", "Fires when a fall is not followed by movement in the room within 30 minutes."),
    ("fall.still", "It is over with movement in the room."),
]
CHINESE = [
    ("oxygen.low", "仅适用于“慢阻肺”人群，“家庭氧疗”人群除外。"),
    (
        "oxygen.low",
        "血氧饱和度不高于91%（“血氧警戒值”，可为个人在80%到95%之间另行设定；“二氧化碳潴留”人群为83%）并持续1分钟时触发。",
    ),
    ("oxygen.low", "血氧饱和度高于94%（与警戒值相差3个百分点）并持续10分钟时结束。"),
    ("oxygen.low", "依据：a guideline | a study | another study | NEWS2, scale 1 | NEWS2, scale 2"),
    ("pressure.average", "近7天收缩压的平均值不低于135 mmHg（不计第一天，至少12次读数）时触发。"),
    ("pressure.unsteady", "近14天收缩压日均值的变异系数高于12%（标准差与均值之比，至少5天有读数）"),
    ("pressure.unsteady", "，或近14天舒张压日均值的标准差高于9 mmHg（至少5天有读数）时触发。"),
    ("weight.gain", "体重比此前3天的最低日均值高出至少2 kg"),
    ("weight.gain", "，或近14天体重平均每周上升至少1.5 kg（按日均值的趋势，至少6天有读数）时触发。"),
    ("weight.gain", "体重比此前3天的最低日均值高出不到1 kg，且近14天体重平均每周上升不超过0.5 kg时结束。"),
    ("oxygen.unusual", "血氧饱和度比本人平时同一时段低了至少4个百分点（同一时段有14次读数后才作比较）"),
    ("oxygen.unusual", "，或脉搏比此前2小时内的最高值低了至少30次/分，且再次测量后仍然如此时触发。"),
    (
        "news2.high",
        (
            "“早期预警评分”不低于5分（由脉搏、血氧饱和度、体温组成，其中至少2项须有12小时内的读数），"
            "或“早期预警评分”有单项不低于3分时触发。"
        ),
    ),
    ("news2.high", "“早期预警评分”低于4分，且“早期预警评分”各项均低于2分时结束。"),
    ("pulse.after_fall", "同时须满足：此前2小时内有过跌倒，且此前1天内最近一次体温不低于37.8 °C。"),
    ("pulse.after_fall", "测量后超过2小时才收到的读数不触发警报，只记录下来供医生查看。"),
    ("pulse.irregular", "14天内有2天出现“30分钟内最近3次测量中有2次血压计提示脉搏不齐”时触发。"),
    ("pulse.irregular", "血压计不再提示脉搏不齐时结束。"),
    ("fall.still", "跌倒后30分钟内没有室内活动时触发。"),
    ("fall.still", "有室内活动即结束。"),
]


@pytest.mark.parametrize(("rule_id", "part"), ENGLISH)
def test_every_word_is_said_in_english(rule_id: str, part: str) -> None:
    assert part in said(rule_id, "en")


@pytest.mark.parametrize(("rule_id", "part"), CHINESE)
def test_every_word_is_said_in_chinese(rule_id: str, part: str) -> None:
    assert part in said(rule_id, ZH)


def statistic(level: str, clear: str, judged: str) -> str:
    return when("body_weight", "kg", level, clear, statistic=judged)


@pytest.mark.parametrize(
    ("body", "english", "chinese"),
    [
        (
            statistic("below = -1", "clear_at_least = -0.5", 'kind = "trend", window = "14 d", needs = 4'),
            ("falls by more than 1 kg a week", "falls by no more than 0.5 kg a week"),
            ("平均每周下降超过1 kg", "平均每周下降不超过0.5 kg"),
        ),
        (
            statistic("at_least = 1", "clear_at_most = -0.5", 'kind = "trend", window = "14 d", needs = 4'),
            ("rises by at least 1 kg a week", "falls by at least 0.5 kg a week"),
            ("平均每周上升至少1 kg", "平均每周下降至少0.5 kg"),
        ),
        (
            when("spo2", "%", "above = 4", "clear_at_most = 2", statistic='kind = "drop", window = "7 d"'),
            ("more than 4 percentage points below the highest daily mean of the 7 days before",),
            ("比此前7天的最高日均值低了超过4个百分点",),
        ),
        (
            when("pulse", "/min", "above = 25", "clear_below = 20", statistic='kind = "from_usual", needs = 20'),
            ("pulse is more than 25 per minute above the resident's own usual value", "there are 20 readings"),
            ("脉搏比本人平时同一时段高出超过25次/分", "有20次读数后"),
        ),
        (
            when(
                "irregular_pulse",
                "1",
                "at_least = 0.5",
                "clear_below = 0.2",
                statistic='kind = "average", window = "7 d", needs = 1',
            ),
            ("average share of measurements with an irregular pulse (1 is all of them)", "from at least 1 reading)"),
            ("脉搏不齐（不齐记1，整齐记0）的平均值",),
        ),
        (
            when("pulse", "/min", "at_least = 130", "clear_below = 110")
            + besides("irregular_pulse", "2 h", unit="1", level="at_least = 1"),
            ("only if the last pulse, measured no longer than 2 hours before, was irregular",),
            ("此前2小时内最近一次脉搏不齐",),
        ),
        (
            when("pulse", "/min", "at_least = 130", "clear_below = 110")
            + count(1, 1, on_days='days = 3, within = "7 d"'),
            ("Fires when pulse is at least 130 per minute, on 3 different days within 7 days.",),
            ("7天内有3天出现“脉搏不低于130次/分”时触发。",),
        ),
    ],
)
def test_a_change_is_said_with_its_direction(body: str, english: tuple[str, ...], chinese: tuple[str, ...]) -> None:
    for language, parts in (("en", english), (ZH, chinese)):
        text = explained(body, language)
        for part in parts:
            assert part in text


def test_a_vital_sign_may_be_missing_after_an_event() -> None:
    body = missing("pulse", "1 h", after="help_call")
    assert "a call for help is not followed by a reading of pulse within 1 hour" in explained(body, "en", kind="event")
    assert "呼救后1小时内没有脉搏读数时触发。通知护理员。有脉搏读数即结束。" in explained(body, ZH, kind="event")


def test_a_rule_may_leave_out_a_group() -> None:
    text = HEAD + GROUPS + rule("trial", missing("pulse", "1 d"), head='not_for = ["copd"]', kind="technical")
    found = protocol.parse(text, "trial.toml")
    assert "all residents, except those of the group “COPD”." in protocol.explain(found.rules[0], "en", found)
    assert "不适用于“慢阻肺”人群。" in protocol.explain(found.rules[0], ZH, found)


def test_without_its_protocol_a_rule_names_groups_and_parameters_by_their_names() -> None:
    found = WHOLE.rule("oxygen.low")
    assert found is not None
    assert "the group “copd”" in protocol.explain(found, "en")
    assert "at most 91% (oxygen.alarm, which may be set for each resident)" in protocol.explain(found, "en")
    assert "“copd”人群" in protocol.explain(found, ZH)
    assert "不高于91%（oxygen.alarm，可为个人另行设定）" in protocol.explain(found, ZH)


def test_a_protocol_is_said_from_its_groups_to_its_rules_by_priority() -> None:
    text = protocol.explain_protocol(WHOLE, "en")
    assert text.startswith(
        f"Protocol {WHOLE.version}: 9 rules, 2 of high, 7 of medium and 0 of low priority.\n\nGroups"
    )
    headings = [part for part in text.split("\n\n") if "." not in part]
    assert headings == ["Groups", "Numbers that may be set", "Scores", "High priority", "Medium priority"]
    for part in (
        "\n\nHypercapnia (hypercapnic). Its own numbers: Oxygen alarm level 83%. Scored otherwise: Early warning score.",
        "\n\nCOPD (copd). Rules for it: Some matter (oxygen.low).",
        (
            "\n\nOxygen alarm level (oxygen.alarm): 91%. It may be set for one resident or for a group from 80% "
            "to 95%. For the group “Hypercapnia” it is 83%. Used by Some matter (oxygen.low). Sources: NEWS2, scale 1 | NEWS2, scale 2"
        ),
        (
            "none older than 12 hours; with fewer than 2 of its parts it is not known. Pulse: up to 40 per minute 3 points, up to "
            "90 per minute 0 points, above that 3 points. Oxygen saturation (not for the group “Hypercapnia”): up to 91% 3 points"
        ),
        "Residents of the group “Oxygen at home” have 2 points besides. Source: NEWS2",
    ):
        assert part in text
    assert all(protocol.explain(rule, "en", WHOLE) in text for rule in WHOLE.rules)


def test_a_protocol_is_said_in_chinese() -> None:
    text = protocol.explain_protocol(WHOLE, ZH)
    assert text.startswith(f"规程{WHOLE.version}：共9条规则，其中高优先级2条，中优先级7条，低优先级0条。\n\n人群\n\n")
    for part in (
        "二氧化碳潴留（hypercapnic）。数值不同：血氧警戒值83%。评分不同：早期预警评分。",
        "慢阻肺（copd）。专用规则：某事（oxygen.low）。",
        "血氧警戒值（oxygen.alarm）：91%。可为个人或人群在80%到95%之间另行设定。“二氧化碳潴留”人群为83%。用于某事（oxygen.low）。依据：",
        "脉搏：不高于40次/分为3分，不高于90次/分为0分，更高为3分。血氧饱和度（“二氧化碳潴留”人群除外）：不高于91%为3分",
        "“家庭氧疗”人群另加2分。",
    ):
        assert part in text


def test_other_rules_are_named_by_their_titles() -> None:
    pulse = when("pulse", "/min", "at_least = 130", "clear_below = 110")
    text = HEAD + rule("first", pulse) + rule("second", pulse.replace("130", "120"), head='cause = ["first"]')
    found = protocol.parse(text, "trial.toml")
    assert "Not while “Some matter” is open: it would say" in protocol.explain(found.rules[1], "en", found)
    assert "“某事”未结束时不触发" in protocol.explain(found.rules[1], ZH, found)
    assert "Not while first is open" in protocol.explain(found.rules[1], "en")


def test_hours_are_said_as_hours_and_less_than_one_in_minutes() -> None:
    body = when("gateway_silence", "h", "at_least = 4", "clear_below = 0.25")
    assert "silence of the gateway is at least 4 hours." in explained(body, "en", kind="technical")
    assert "over when silence of the gateway is below 15 minutes." in explained(body, "en", kind="technical")
    assert "网关失联时间不低于4小时即触发。" in explained(body, ZH, kind="technical")
    assert "网关失联时间低于15分钟时结束。" in explained(body, ZH, kind="technical")


def test_the_silence_of_a_device_is_said_by_its_own_pauses() -> None:
    body = when("device_silence", "×", "at_least = 1.5", "clear_below = 1")
    assert "a device is silent for at least 1.5 times its longest usual pause." in explained(
        body, "en", kind="technical"
    )
    assert "设备失联时间不低于平时最长间隔的1.5倍时触发。" in explained(body, ZH, kind="technical")


def test_a_group_for_which_nothing_differs_is_said_to_be_judged_as_everybody() -> None:
    found = protocol.parse(HEAD + GROUPS + rule("trial", missing("pulse", "1 d"), kind="technical"), "trial.toml")
    assert "COPD (copd). Judged as everybody else." in protocol.explain_protocol(found, "en")
    assert "慢阻肺（copd）。判断与他人相同。" in protocol.explain_protocol(found, ZH)


def test_a_group_that_follows_by_itself_is_said_to_need_no_noting() -> None:
    text = HEAD + GROUPS + FOLLOWING + rule("trial", missing("pulse", "1 d"), kind="technical")
    found = protocol.parse(text, "trial.toml")
    english, chinese = protocol.explain_protocol(found, "en"), protocol.explain_protocol(found, ZH)
    assert "Nobody notes it: whoever is in “Hypercapnia” and “Oxygen at home” is in it. Judged as" in english
    assert "80 and older (old). Nobody notes it: everybody from 80 years on is in it. Judged as" in english
    assert "同时属于“二氧化碳潴留”、“家庭氧疗”的人自动归入，无需登记。" in chinese
    assert "满80岁自动归入，无需登记。" in chinese


def test_a_number_of_the_pages_alone_is_said_to_raise_nothing() -> None:
    target = (
        PARAMETER.replace("oxygen.alarm", "bp.target.systolic").replace('"spo2"', '"systolic"').replace('"%"', '"mmHg"')
    )
    text = HEAD + GROUPS + target + rule("trial", missing("pulse", "1 d"), kind="technical")
    found = protocol.parse_all({"trial.toml": text}, whole=True)
    assert "It raises no alarm: pages say by it how a value stands." in protocol.explain_protocol(found, "en")
    assert "不触发警报，只用于页面上标明数值高低。" in protocol.explain_protocol(found, ZH)


def test_a_protocol_without_groups_numbers_and_scores_has_no_chapters_for_them() -> None:
    plain = protocol.parse(HEAD + rule("trial", missing("pulse", "1 d"), kind="technical"), "trial.toml")
    assert "Groups" not in protocol.explain_protocol(plain, "en")
    assert protocol.explain_protocol(plain, "en").startswith(
        f"Protocol {plain.version}: 1 rule, 0 of high, 1 of medium"
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_shipped_rule_is_said_whole(language: str) -> None:
    text = protocol.explain_protocol(SHIPPED, language)
    for found in SHIPPED.rules:
        paragraph = protocol.explain(found, language, SHIPPED)
        assert paragraph in text
        assert found.title(language) in paragraph
        assert all(source in paragraph for source in found.sources)
        judged = [limit for limit in found.when if limit.metric is not IRREGULAR_PULSE]  # which is so or not
        levels = [(limit, level) for limit in judged for level in (limit.level, limit.clear_level) if level is not None]
        assert all(shown(limit, abs(level), language) in paragraph for limit, level in levels)
        assert all(str(number) in paragraph for number in (found.count.k, found.count.n) if found.count.n > 1)


def shown(limit: Limit, level: float, language: str) -> str:
    """A level as people write it, as far as its unit does not depend on what is said of it."""
    return quantity(level, "h", language).split()[0] if limit_unit(limit) == "h" else f"{level:g}"


def test_a_changed_number_changes_the_explanation() -> None:
    for level in (130, 135):
        body = when("pulse", "/min", f"at_least = {level}", "clear_below = 110")
        assert f"at least {level} per minute" in explained(body, "en")
        assert f"不低于{level}次/分" in explained(body, ZH)


def test_chinese_explanations_hold_no_english_but_names_units_and_sources() -> None:
    for found in WHOLE.rules:
        text = protocol.explain(found, ZH, WHOLE).split("依据：", 1)[0].replace(found.id, "")
        assert not set(re.findall(r"[A-Za-z]+", text)) - {"mmHg", "kg", "C"}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_metric_has_a_name_and_no_code(language: str) -> None:
    for metric in (*METRICS.values(), *DERIVED.values()):
        assert "_" not in metric_name(metric, language)
        if language == ZH:
            assert re.search(r"[\u4e00-\u9fff]", metric_name(metric, ZH)), metric.name


def test_lengths_and_quantities_are_said_as_people_say_them() -> None:
    whole = protocol.parse(HEAD + GROUPS + PARAMETER + rule("t", missing("pulse", "36 h"), kind="technical"), "t.toml")
    assert "for 36 hours" in protocol.explain(whole.rules[0], "en")
    (silence,) = [found.missing for found in whole.rules if found.missing]
    assert (length(silence.within, "en"), length(silence.within, ZH)) == ("36 hours", "36小时")
    assert [quantity(1, unit, "en") for unit in ("h", "points", "%", "/min")] == [
        "1 hour",
        "1 point",
        "1%",
        "1 per minute",
    ]
    assert [quantity(2.5, unit, ZH) for unit in ("h", "points", "×", "kg")] == ["2.5小时", "2.5分", "2.5倍", "2.5 kg"]
    assert [quantity(n, "%", "en", difference=True) for n in (1, 4)] == ["1 percentage point", "4 percentage points"]
