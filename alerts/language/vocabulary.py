"""Metrics, lengths of time and quantities in the words of those who read them, in Chinese and English. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from alerts.rule import Group, Limit, Parameter, Rule
from alerts.wording import ZH
from devices.readings import Metric

_Words = Mapping[str, tuple[str, str]]

_METRICS: Final[_Words] = MappingProxyType(
    {
        "systolic": ("收缩压", "systolic blood pressure"),
        "diastolic": ("舒张压", "diastolic blood pressure"),
        "mean_arterial_pressure": ("平均动脉压", "mean arterial pressure"),
        "pulse": ("脉搏", "pulse"),
        "spo2": ("血氧饱和度", "oxygen saturation"),
        "body_temperature": ("体温", "body temperature"),
        "body_weight": ("体重", "body weight"),
        "glucose": ("血糖", "blood glucose"),
        "respiratory_rate": ("呼吸频率", "respiratory rate"),
        "body_mass_index": ("体重指数", "body mass index"),
        "body_fat": ("体脂率", "body fat"),
        "muscle_mass": ("肌肉量", "muscle mass"),
        "rr_standard_deviation": ("心率变异性（SDNN）", "heart rate variability (SDNN)"),
        "perfusion_index": ("灌注指数", "perfusion index"),
        "interstitial_glucose": ("组织间液葡萄糖", "tissue glucose"),
        "irregular_pulse": ("脉搏不齐", "an irregular pulse"),
        "pulse_pressure": ("脉压差", "pulse pressure"),
        "stood_up": ("起立", "standing up"),
        "fall": ("跌倒", "a fall"),
        "help_call": ("呼救", "a call for help"),
        "fall_recovered": ("跌倒后已起身活动", "getting up again"),
        "inactivity": ("长时间没有活动", "no movement for long"),
        "activity_resumed": ("又有了动静", "movement again"),
        "fall_confirmed": (
            "确认跌倒（询问后无回应，也未起身）",
            "a confirmed fall (no answer when asked, and not up again)",
        ),
        "said_well": ("本人表示没事", "her or his own word that all is well"),
        "long_lie": ("跌倒后久躺未起", "lying on the floor long after a fall"),
        "glucose_above_scale": ("血糖高于仪器量程", "blood glucose above the instrument's scale"),
        "glucose_below_scale": ("血糖低于仪器量程", "blood glucose below the instrument's scale"),
        "movement": ("室内活动", "movement in the room"),
        "door": ("房门", "the door"),
        "bed": ("床", "the bed"),
        "battery": ("电池电量", "battery level"),
        "gateway_silence": ("网关失联时间", "silence of the gateway"),
        "device_silence": ("设备失联程度", "silence of a device"),
        "worn": ("佩戴状态", "whether the wearable is worn"),
        "charging": ("充电状态", "whether the device is charging"),
        "device_dropped": ("设备掉落", "a drop of the device itself"),
        "not_worn": ("白天未佩戴手环的时间", "time of the day without the wearable"),
    }
)
_TIMES: Final = ((86_400, "天", "day"), (3600, "小时", "hour"), (60, "分钟", "minute"), (1, "秒", "second"))
_UNITS: Final[_Words] = MappingProxyType(
    {
        "%": ("%", "%"),
        "/min": ("次/分", " per minute"),
        "×": ("倍", " times"),
        "h": ("小时", " hours"),
        "points": ("分", " points"),
        "kg/m2": (" kg/m²", " kg/m²"),
    }
)
_ONE: Final = MappingProxyType({"h": " hour", "points": " point"})
_POINTS: Final = ("个百分点", " percentage points")
"""What a difference of two values in percent is in."""


def metric_name(metric: Metric, language: str) -> str:
    """A metric in words; one that has none yet by its name in the catalogue."""
    plain = metric.name.replace("_", " ")
    return _METRICS.get(metric.name, (plain, plain))[language != ZH]


def length(time: timedelta, language: str) -> str:
    """A length of time in the largest unit that leaves a whole number."""
    seconds = time.total_seconds()
    size, zh, en = next((unit for unit in _TIMES if seconds % unit[0] == 0), _TIMES[-1])
    number = f"{seconds / size:g}"
    return f"{number}{zh}" if language == ZH else f"{number} {en}{'' if number == '1' else 's'}"


def quantity(value: float, unit: str, language: str, *, difference: bool = False) -> str:
    """A value with its unit as people write it; the ``difference`` of two values in percent is in points."""
    if difference and unit == "%":
        return f"{value:g}{_POINTS[language != ZH]}".removesuffix("s" if abs(value) == 1 else "")
    if unit == "h" and 0 < value < 1:
        return length(timedelta(hours=value), language)
    if value == 1 and language != ZH and unit in _ONE:
        return f"1{_ONE[unit]}"
    return f"{value:g}{_UNITS.get(unit, (f' {unit}', f' {unit}'))[language != ZH]}"


def is_difference(limit: Limit) -> bool:
    """Whether a limit judges how far values lie apart, and not a value."""
    return limit.statistic is not None and limit.statistic.kind not in ("average", "score", "worst_part")


def listed(names: Iterable[str], language: str, last: str = "and") -> str:
    """Several names in one sentence, the last joined by ``last`` (``and`` or ``or``)."""
    found = list(names)
    if language == ZH:
        return (
            "、".join(found)
            if last == "and"
            else "或".join(part for part in ("、".join(found[:-1]), *found[-1:]) if part)
        )
    return f" {last} ".join(part for part in (", ".join(found[:-1]), *found[-1:]) if part)


def sources(parameter: Parameter) -> tuple[str, ...]:
    """Where a parameter's values come from, each once."""
    return tuple(dict.fromkeys((parameter.source, *(own.source for own in parameter.groups.values()))))


def _named(rule: Rule) -> Iterator[str]:
    return (limit.parameter for limit in rule.when if limit.parameter)


@dataclass(frozen=True, slots=True)
class Terms:
    """What rules name and do not hold: groups, parameters, other rules. One that is unknown goes by its name."""

    groups: Mapping[str, Group]
    parameters: Mapping[str, Parameter]
    rules: Mapping[str, Rule]

    @classmethod
    def of(
        cls, groups: Iterable[Group] = (), parameters: Iterable[Parameter] = (), rules: Iterable[Rule] = ()
    ) -> Terms:
        """These groups, parameters and rules."""
        return cls(
            {group.code: group for group in groups},
            {parameter.name: parameter for parameter in parameters},
            {rule.id: rule for rule in rules},
        )

    def group(self, code: str, language: str) -> str:
        """The title of a group."""
        return self.groups[code].titles[language] if code in self.groups else code

    def rule(self, rule_id: str, language: str) -> str:
        """The title of a rule."""
        return f"“{self.rules[rule_id].title(language)}”" if rule_id in self.rules else rule_id

    def parameter(self, name: str) -> Parameter | None:
        """A parameter, if it is known."""
        return self.parameters.get(name)

    def sources(self, rule: Rule) -> tuple[str, ...]:
        """Where a rule's numbers come from, those of its parameters among them."""
        named = [self.parameters[name] for name in _named(rule) if name in self.parameters]
        own = [source for parameter in named for source in sources(parameter)]
        return tuple(dict.fromkeys((*rule.sources, *own)))
