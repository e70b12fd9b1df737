"""Small protocols of a centre's own, to be staged and brought into force."""

from __future__ import annotations


def rule(rule_id: str, zh: str, en: str, *, level: int = 180, priority: str = "high", more: str = "") -> str:
    """A rule on the upper blood pressure that says ``zh`` and ``en`` to everybody, at once."""
    says = f'{{zh_Hans = "{zh}", en = "{en}"}}'
    return f"""
[[rule]]
id = "{rule_id}"
version = 1
priority = "{priority}"
kind = "physiological"
title = {says}
{more}

[[rule.when]]
metric = "systolic"
unit = "mmHg"
at_least = {level}
clear_below = {level - 10}
source = "a guideline"

[rule.say]
staff = {says}
family = {says}
resident = {says}
"""


def texts(*rules: str, day: str = "2026-11-29") -> dict[str, str]:
    """A protocol of one file, text by name."""
    return {"own.toml": f'protocol = "own"\nversion = {day}\n' + "".join(rules)}


def asking(rule_id: str, zh: str, en: str) -> str:
    """A rule on falls that asks her first."""
    return f"""
[[rule]]
id = "{rule_id}"
version = 1
priority = "high"
kind = "event"
unless = "said_well"
title = {{zh_Hans = "跌倒", en = "Fall"}}

[[rule.when]]
metric = "fall"
unit = "probability"
at_least = 0.5
source = "a habit"

[rule.ask]
kind = "are_you_well"
within = "30 s"
source = "a habit"
say = {{zh_Hans = "{zh}", en = "{en}"}}

[rule.say]
staff = {{zh_Hans = "跌倒", en = "Fall"}}
family = {{zh_Hans = "跌倒", en = "Fall"}}
resident = {{zh_Hans = "跌倒", en = "Fall"}}
"""


def worse(rule_id: str, joins: str, zh: str, en: str) -> str:
    """A rule on a long lie that joins another's alert."""
    return f"""
[[rule]]
id = "{rule_id}"
version = 1
priority = "high"
kind = "event"
joins = "{joins}"
title = {{zh_Hans = "久卧", en = "Long lie"}}

[[rule.when]]
metric = "long_lie"
unit = "probability"
above = 0
source = "a habit"

[rule.say]
staff = {{zh_Hans = "{zh}", en = "{en}"}}
family = {{zh_Hans = "跌倒", en = "Fall"}}
resident = {{zh_Hans = "跌倒", en = "Fall"}}
"""
