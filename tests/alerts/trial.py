"""A protocol that uses every word of the language, for the tests of the language itself."""

from __future__ import annotations

GROUPS = """
[[group]]
code = "copd"
title.zh_Hans = "慢阻肺"
title.en = "COPD"

[[group]]
code = "hypercapnic"
title.zh_Hans = "二氧化碳潴留"
title.en = "Hypercapnia"

[[group]]
code = "home_oxygen"
title.zh_Hans = "家庭氧疗"
title.en = "Oxygen at home"
"""

FOLLOWING = """
[[group]]
code = "on_oxygen"
all_of = ["hypercapnic", "home_oxygen"]
title.zh_Hans = "二氧化碳潴留，在家吸氧"
title.en = "Hypercapnia on oxygen"

[[group]]
code = "old"
from_age = 80
title.zh_Hans = "80岁及以上"
title.en = "80 and older"
"""
"""Groups that follow by themselves, beside those of :data:`GROUPS`."""

PARAMETER = """
[[parameter]]
name = "oxygen.alarm"
metric = "spo2"
unit = "%"
value = 91
between = [80, 95]
title.zh_Hans = "血氧警戒值"
title.en = "Oxygen alarm level"
source = "NEWS2, scale 1"

[[parameter.group]]
group = "hypercapnic"
value = 83
source = "NEWS2, scale 2"
"""

SCORE = """
[[score]]
id = "news2"
fresh = "12 h"
needs = 2
source = "NEWS2"
title.zh_Hans = "早期预警评分"
title.en = "Early warning score"

[[score.part]]
metric = "pulse"
bands = [[40, 3], [90, 0], ["more", 3]]

[[score.part]]
metric = "spo2"
not_for = ["hypercapnic"]
bands = [[91, 3], [95.5, 1], ["more", 0]]

[[score.part]]
metric = "spo2"
for = ["hypercapnic"]
bands = [[83, 3], ["more", 0]]

[[score.part]]
metric = "body_temperature"
bands = [[35.0, 3], ["more", 0]]

[[score.extra]]
points = 2
for = ["home_oxygen"]
"""


def rule(rule_id: str, body: str, *, head: str = "", priority: str = "medium", kind: str = "physiological") -> str:
    """A rule; ``head`` stands in its own table, ``body`` holds the tables below it."""
    says = '{zh_Hans = "有情况", en = "Something is the matter"}'
    return f"""
[[rule]]
id = "{rule_id}"
version = 1
priority = "{priority}"
kind = "{kind}"
title = {{zh_Hans = "某事", en = "Some matter"}}
{head}
{body}
[rule.say]
staff = {says}
family = {says}
resident = {says}
"""


def when(
    metric: str,
    unit: str,
    level: str,
    clear: str,
    *,
    statistic: str = "",
    what: str = "metric",
    source: str = "a guideline",
) -> str:
    """A level: ``metric`` in ``unit``, beyond ``level`` and calm by ``clear``, both as written."""
    judged = f"statistic = {{{statistic}}}\n" if statistic else ""
    return f'\n[[rule.when]]\n{what} = "{metric}"\nunit = "{unit}"\n{judged}{level}\n{clear}\nsource = "{source}"\n'


def count(over: int, of: int, within: str = "30 min", *, on_days: str = "") -> str:
    """``over`` of the last ``of`` measurements."""
    days = f"on_days = {{{on_days}}}\n" if on_days else ""
    return f'\n[rule.count]\nover = {over}\nof = {of}\nwithin = "{within}"\nsource = "a habit"\n{days}'


def besides(metric: str, within: str, *, unit: str = "", level: str = "") -> str:
    """What must be so besides."""
    measured = f'unit = "{unit}"\n{level}\n' if unit else ""
    return f'\n[[rule.and]]\nmetric = "{metric}"\nwithin = "{within}"\n{measured}source = "a habit"\n'


def missing(metric: str, within: str, *, after: str = "") -> str:
    """Silence, after an event or by itself."""
    since = f'after = "{after}"\n' if after else ""
    return f'\n[rule.missing]\nmetric = "{metric}"\nwithin = "{within}"\n{since}source = "a habit"\n'


ASK = """
[rule.ask]
kind = "repeat_measurement"
within = "20 min"
source = "a habit"
say = {zh_Hans = "请再量一次。", en = "Please measure again."}
"""

HEAD = 'protocol = "trial"\nversion = 2026-11-29\n'

OXYGEN = rule(
    "oxygen.low",
    when("spo2", "%", 'at_most = "oxygen.alarm"', "clear_by = 3"),
    head='for = "copd"\nnot_for = ["home_oxygen"]\n'
    'persists = {time = "60 s", source = "a study"}\nclear_after = {time = "10 min", source = "another study"}',
    priority="high",
)
HOME_AVERAGE = rule(
    "pressure.average",
    when(
        "systolic",
        "mmHg",
        "at_least = 135",
        "clear_below = 130",
        statistic='kind = "average", window = "7 d", needs = 12, drop_first_day = true',
    ),
)
UNSTEADY = rule(
    "pressure.unsteady",
    when(
        "systolic", "%", "above = 12", "clear_at_most = 10", statistic='kind = "variation", window = "14 d", needs = 5'
    )
    + when(
        "diastolic",
        "mmHg",
        "above = 9",
        "clear_at_most = 8",
        statistic='kind = "deviation", window = "14 d", needs = 5',
    ),
)
WEIGHT = rule(
    "weight.gain",
    when("body_weight", "kg", "at_least = 2", "clear_below = 1", statistic='kind = "rise", window = "3 d"')
    + when(
        "body_weight",
        "kg",
        "at_least = 1.5",
        "clear_at_most = 0.5",
        statistic='kind = "trend", window = "14 d", needs = 6',
    ),
)
USUAL = rule(
    "oxygen.unusual",
    when("spo2", "%", "at_most = -4", "clear_above = -2", statistic='kind = "from_usual"')
    + when("pulse", "/min", "at_least = 30", "clear_below = 20", statistic='kind = "drop", window = "2 h"')
    + count(2, 2)
    + ASK,
)
NEWS2 = rule(
    "news2.high",
    when("news2", "points", "at_least = 5", "clear_below = 4", statistic='kind = "score"', what="score")
    + when("news2", "points", "at_least = 3", "clear_below = 2", statistic='kind = "worst_part"', what="score"),
)
AFTER_A_FALL = rule(
    "pulse.after_fall",
    when("pulse", "/min", "above = 110", "clear_at_most = 100")
    + besides("fall", "2 h")
    + besides("body_temperature", "24 h", unit="°C", level="at_least = 37.8"),
)
MORNINGS = rule(
    "pulse.irregular",
    when("irregular_pulse", "1", "at_least = 1", "clear_at_most = 0")
    + count(2, 3, on_days='days = 2, within = "14 d"'),
)
NO_MOVEMENT = rule("fall.still", missing("movement", "30 min", after="fall"), kind="event", priority="high")

TRIAL = HEAD + "".join(
    (
        *(GROUPS, PARAMETER, SCORE, OXYGEN, HOME_AVERAGE, UNSTEADY, WEIGHT, USUAL, NEWS2, AFTER_A_FALL, MORNINGS),
        NO_MOVEMENT,
    )
)
