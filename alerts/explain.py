"""What a rule does, in plain sentences made from the rule itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from alerts.rule import Limit, Related, Rule, shown_unit
from alerts.wording import ZH
from devices.readings import Kind, Metric

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
_LEVELS: Final[_Words] = MappingProxyType(
    {
        "at_least": ("不低于", "at least"),
        "above": ("高于", "above"),
        "at_most": ("不高于", "at most"),
        "below": ("低于", "below"),
    }
)
_PRIORITIES: Final[_Words] = MappingProxyType(
    {"high": ("高", "high"), "medium": ("中", "medium"), "low": ("低", "low")}
)
_TIMES: Final = ((86_400, "天", "day"), (3600, "小时", "hour"), (60, "分钟", "minute"), (1, "秒", "second"))


def explain(rule: Rule, language: str) -> str:
    """The whole rule in Chinese or English: when it fires, what is asked first, who is called, when it is over."""
    return _chinese(rule) if language == ZH else _english(rule)


def metric_name(metric: Metric, language: str) -> str:
    """A metric in words; one that has none yet by its name in the catalogue."""
    plain = metric.name.replace("_", " ")
    return _METRICS.get(metric.name, (plain, plain))[language != ZH]


def _any(metrics: Sequence[Metric], language: str) -> str:
    names = [metric_name(metric, language) for metric in metrics]
    return "或".join(names) if language == ZH else " or ".join(names)


def length(time: timedelta, language: str) -> str:
    """A length of time in the largest unit that leaves a whole number."""
    seconds = time.total_seconds()
    size, zh, en = next((unit for unit in _TIMES if seconds % unit[0] == 0), _TIMES[-1])
    number = f"{seconds / size:g}"
    return f"{number}{zh}" if language == ZH else f"{number} {en}{'' if number == '1' else 's'}"


def _level(limit: Limit, word: str, level: float, language: str) -> str:
    if limit.metric.kind is Kind.EVENT:
        name, how = metric_name(limit.metric, language), _LEVELS[word][language != ZH]
        return f"{name}（可能性{how}{level:g}）" if language == ZH else f"{name} (probability {how} {level:g})"
    name, unit = metric_name(limit.metric, language), shown_unit(limit.metric)
    how = _LEVELS[word][language != ZH]
    if language == ZH:
        return f"{name}{how}{level:g}{_unit(unit)}"
    return f"{name} is {how} {level:g}{_unit(unit)}"


def _unit(unit: str) -> str:
    return unit if unit == "%" else f" {unit}"


def _english(rule: Rule) -> str:
    head = f"{rule.title('en')} ({rule.id}, version {rule.version}), {_PRIORITIES[rule.priority][1]} priority."
    parts = [
        head,
        _english_condition(rule),
        _english_cause(rule),
        _english_ask(rule),
        _english_related(rule),
        _english_call(rule),
        _english_end(rule),
    ]
    if rule.when:
        parts.append(f"A reading older than {length(rule.expires, 'en')} when it arrives is not judged.")
    parts.append(f"Sources: {' | '.join(rule.sources)}")
    return " ".join(part for part in parts if part)


def _english_condition(rule: Rule) -> str:
    if rule.missing:
        return f"Fires when there is no reading of {metric_name(rule.missing.metric, 'en')} for {length(rule.missing.within, 'en')}."
    if rule.answered:
        return f"Fires when the question of {rule.answered.rule} has been answered."
    limits = " or ".join(_level(limit, limit.word, limit.level, "en") for limit in rule.when)
    if rule.on_event:
        return f"Fires on {limits}."
    if rule.count.k == 1:
        return f"Fires when {limits}."
    window = length(rule.count.within, "en")
    return f"Fires when {limits} in {rule.count.k} of the last {rule.count.n} measurements within {window}."


def _english_cause(rule: Rule) -> str:
    return f"Not while {' or '.join(rule.cause)} is open: it would say the same." if rule.cause else ""


def _english_ask(rule: Rule) -> str:
    if rule.ask is None:
        return ""
    time = length(rule.ask.within, "en")
    if rule.unless:
        return f"The resident is asked first; {_any(rule.unless, 'en')} within {time} calls it off, silence does not."
    return (
        f"After the first the resident is asked to measure again; without a repeat within {time} it fires all the same."
    )


def _english_related(rule: Rule) -> str:
    parts = []
    if confirmed := rule.confirmed_by:
        parts.append(
            f"{_capital(metric_name(confirmed.metric, 'en'))}, up to {length(confirmed.within, 'en')} later, ends the wait "
            f"and fires at once, also where the first never came{_english_unless(confirmed)}."
        )
    if follows := rule.follows:
        before = f"{metric_name(follows.metric, 'en')} up to {length(follows.within, 'en')} before"
        parts.append(f"It belongs to {before}{_english_unless(follows)}.")
    if rule.joins:
        parts.append(f"While {rule.joins} is open it joins that alert: who has taken it is called anew, else the next.")
    return " ".join(parts)


def _english_unless(related: Related) -> str:
    if not related.unless:
        return ""
    return f", unless there was {_any(related.unless, 'en')} in between"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _english_call(rule: Rule) -> str:
    if not rule.calls:
        return "Nobody is called: it waits as a task."
    return "Staff are called." if rule.calls_at_night else "Staff are called, at night not before the morning."


def _english_end(rule: Rule) -> str:
    if rule.missing:
        return "It is over with the next reading."
    if rule.on_event:
        return f"It is over with {_any(rule.unless, 'en')}." if rule.unless else ""
    if rule.answered:
        return ""
    ends = [
        _level(limit, limit.clear_word, limit.clear_level, "en")
        for limit in rule.when
        if limit.clear_word and limit.clear_level is not None
    ]
    return f"It is over when {' and '.join(ends)}."


def _chinese(rule: Rule) -> str:
    head = f"{rule.title(ZH)}（{rule.id}，第{rule.version}版），优先级：{_PRIORITIES[rule.priority][0]}。"
    parts = [
        head,
        _chinese_condition(rule),
        _chinese_cause(rule),
        _chinese_ask(rule),
        _chinese_related(rule),
        _chinese_call(rule),
        _chinese_end(rule),
    ]
    if rule.when:
        parts.append(f"收到时已超过{length(rule.expires, ZH)}的读数不作判断。")
    parts.append(f"依据：{' | '.join(rule.sources)}")
    return "".join(parts)


def _chinese_condition(rule: Rule) -> str:
    if rule.missing:
        return f"{length(rule.missing.within, ZH)}没有{metric_name(rule.missing.metric, ZH)}读数时触发。"
    if rule.answered:
        return f"{rule.answered.rule}的询问得到回答时触发。"
    limits = "或".join(_level(limit, limit.word, limit.level, ZH) for limit in rule.when)
    if rule.on_event:
        return f"发生{limits}时触发。"
    if rule.count.k == 1:
        return f"{limits}时触发。"
    return f"{length(rule.count.within, ZH)}内最近{rule.count.n}次测量中有{rule.count.k}次{limits}时触发。"


def _chinese_cause(rule: Rule) -> str:
    return f"{'或'.join(rule.cause)}未结束时不触发，以免重复。" if rule.cause else ""


def _chinese_ask(rule: Rule) -> str:
    if rule.ask is None:
        return ""
    time = length(rule.ask.within, ZH)
    if rule.unless:
        return f"先询问本人；{time}内{_any(rule.unless, ZH)}则取消，没有回应则不取消。"
    return f"第一次时先请本人复测；{time}内没有复测也触发。"


def _chinese_related(rule: Rule) -> str:
    parts = []
    if confirmed := rule.confirmed_by:
        parts.append(
            f"其后{length(confirmed.within, ZH)}内收到“{metric_name(confirmed.metric, ZH)}”，不再等待，立即触发；"
            f"即使之前的事件没有收到也触发{_chinese_unless(confirmed)}。"
        )
    if follows := rule.follows:
        parts.append(
            f"它属于此前{length(follows.within, ZH)}内的{metric_name(follows.metric, ZH)}{_chinese_unless(follows)}。"
        )
    if rule.joins:
        parts.append(f"{rule.joins}未结束时并入该警报：已有人接手也重新通知，无人接手则立即通知下一位。")
    return "".join(parts)


def _chinese_unless(related: Related) -> str:
    return f"，除非其间{_any(related.unless, ZH)}" if related.unless else ""


def _chinese_call(rule: Rule) -> str:
    if not rule.calls:
        return "不呼叫任何人，只列为待办。"
    return "通知护理员。" if rule.calls_at_night else "通知护理员，夜间则等到早上。"


def _chinese_end(rule: Rule) -> str:
    if rule.missing:
        return "有新读数即结束。"
    if rule.on_event:
        return f"{_any(rule.unless, ZH)}即结束。" if rule.unless else ""
    if rule.answered:
        return ""
    ends = [
        _level(limit, limit.clear_word, limit.clear_level, ZH)
        for limit in rule.when
        if limit.clear_word and limit.clear_level is not None
    ]
    return f"{'且'.join(ends)}时结束。"
