"""What a rule does, in plain Chinese. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from alerts.language.vocabulary import Terms, is_difference, length, listed, metric_name, quantity
from alerts.rule import Count, Limit, Related, Required, Rule, Score, Statistic, Word, limit_unit, shown_unit
from alerts.wording import ZH
from devices.readings import Kind, Metric

_PRIORITIES: Final = MappingProxyType({"high": "高", "medium": "中", "low": "低"})
_LEVELS: Final[Mapping[str, str]] = MappingProxyType(
    {"at_least": "不低于", "above": "高于", "at_most": "不高于", "below": "低于"}
)
_BY: Final[Mapping[tuple[str, int], str]] = MappingProxyType(
    {
        ("at_least", 1): "至少",
        ("above", 1): "超过",
        ("below", 1): "不到",
        ("at_most", 1): "不超过",
        ("at_most", -1): "至少",
        ("below", -1): "超过",
        ("above", -1): "不到",
        ("at_least", -1): "不超过",
    }
)
"""How far something went, by the word of the level and the direction in which it is meant."""


def rule_in_chinese(rule: Rule, terms: Terms) -> str:
    """The whole rule: for whom, when it fires, what is asked first, who is called, when it is over."""
    parts = [
        f"{rule.title(ZH)}（{rule.id}，第{rule.version}版），优先级：{_PRIORITIES[rule.priority]}。",
        _whom(rule, terms),
        _condition(rule, terms),
        _required(rule),
        _cause(rule, terms),
        _ask(rule),
        _related(rule, terms),
        _call(rule),
        _end(rule),
        _late(rule),
        f"依据：{' | '.join(terms.sources(rule))}",
    ]
    return "".join(parts)


def brief_in_chinese(rule: Rule, terms: Terms) -> str:
    """When it fires, what is asked first, and who is called."""
    return "".join((_condition(rule, terms), _required(rule), _ask(rule), _call(rule)))


def groups_in_chinese(codes: Sequence[str], terms: Terms) -> str:
    """Groups by their titles."""
    return listed((f"“{terms.group(code, ZH)}”" for code in codes), ZH, "or") + "人群"


def score_in_chinese(score: Score, terms: Terms) -> str:
    """What a score is made of, band by band."""
    head = (
        f"{score.titles[ZH]}（{score.id}）：取{length(score.fresh, ZH)}内各项最近一次的数值，得分相加；"
        f"已知不足{score.needs}项时不计分。"
    )
    parts = [head]
    for part in score.parts:
        whom = [f"仅{groups_in_chinese(part.groups, terms)}"] if part.groups else []
        whom += [f"{groups_in_chinese(part.not_groups, terms)}除外"] if part.not_groups else []
        name = metric_name(part.metric, ZH) + (f"（{'，'.join(whom)}）" if whom else "")
        parts.append(f"{name}：{_bands(part.bands, shown_unit(part.metric))}。")
    parts += [
        f"{groups_in_chinese(extra.groups, terms)}另加{quantity(extra.points, 'points', ZH)}。"
        for extra in score.extras
    ]
    return "".join([*parts, f"依据：{score.source}"])


def _bands(bands: Sequence[tuple[float, int]], unit: str) -> str:
    points = [quantity(number, "points", ZH) for _, number in bands]
    said = [
        f"不高于{quantity(edge, unit, ZH)}为{number}" for (edge, _), number in zip(bands[:-1], points, strict=False)
    ]
    return "，".join([*said, f"更高为{points[-1]}"])


def _whom(rule: Rule, terms: Terms) -> str:
    only = f"仅适用于{groups_in_chinese(rule.groups, terms)}" if rule.groups else ""
    if rule.not_groups:
        but = groups_in_chinese(rule.not_groups, terms)
        return f"{only}，{but}除外。" if only else f"不适用于{but}。"
    return f"{only}。" if only else ""


def _condition(rule: Rule, terms: Terms) -> str:
    if rule.missing:
        return _missing(rule)
    if rule.answered:
        return f"{terms.rule(rule.answered.rule, ZH)}的询问得到回答时触发。"
    limits = [_over(limit, terms, first=limit is rule.when[0]) for limit in rule.when]
    if rule.on_event:
        return f"发生{limits[0]}时触发。"
    if rule.on_statistic:
        return _when(f"{'，或'.join(limits)}{'，且再次测量后仍然如此' if rule.count.k > 1 else ''}", "触发")
    lasting = f"并持续{length(rule.persists.time, ZH)}" if rule.persists else ""
    return _when(f"{_counted(rule.count, '或'.join(limits))}{lasting}", "触发")


def _missing(rule: Rule) -> str:
    assert rule.missing is not None
    name, time = metric_name(rule.missing.metric, ZH), length(rule.missing.within, ZH)
    if rule.missing.after:
        return f"{metric_name(rule.missing.after, ZH)}后{time}内没有{_sign_of(rule.missing.metric)}时触发。"
    return f"{time}没有{name}读数时触发。"


def _sign_of(metric: Metric) -> str:
    name = metric_name(metric, ZH)
    return name if metric.kind in (Kind.EVENT, Kind.AMBIENT) else f"{name}读数"


def _counted(count: Count, limits: str) -> str:
    often = f"{length(count.within, ZH)}内最近{count.n}次测量中有{count.k}次{limits}" if count.k > 1 else limits
    return f"{length(count.days_within, ZH)}内有{count.days}天出现“{often}”" if count.days > 1 else often


def _over(limit: Limit, terms: Terms, *, first: bool) -> str:
    """When a limit is over. What a score is made of is said with the ``first``."""
    if limit.metric.kind is Kind.EVENT:
        return f"{metric_name(limit.metric, ZH)}（可能性{_LEVELS[limit.word]}{limit.level:g}）"
    said = _said(limit, limit.word, limit.level)
    notes = [*(_made_of(limit) if first or limit.score is None else ()), *_set_by(limit, terms)]
    return f"{said}（{'；'.join(notes)}）" if notes else said


def _said(limit: Limit, word: Word, level: float) -> str:
    """What a limit judges, against one of its two levels."""
    statistic, unit = limit.statistic, limit_unit(limit)
    if statistic is None:
        return _plain(limit.metric, word, level)
    if statistic.kind in ("rise", "drop", "from_usual", "trend"):
        return _moved(limit, statistic, word, level)
    amount = quantity(level, unit, ZH, difference=statistic.kind == "deviation")
    if statistic.kind == "worst_part":
        return _worst_part(limit, word, amount)
    return f"{_statistic_name(limit, statistic)}{_LEVELS[word]}{amount}"


def _plain(metric: Metric, word: Word, level: float) -> str:
    if metric.name == "irregular_pulse":
        return "血压计提示脉搏不齐" if word in ("at_least", "above") else "血压计不再提示脉搏不齐"
    if metric.name == "device_silence":
        return f"设备失联时间{_LEVELS[word]}平时最长间隔的{level:g}倍"
    return f"{metric_name(metric, ZH)}{_LEVELS[word]}{quantity(level, shown_unit(metric), ZH)}"


def _statistic_name(limit: Limit, statistic: Statistic) -> str:
    if limit.score:
        return f"“{limit.score.titles[ZH]}”"
    window, name = f"近{length(statistic.window, ZH)}", _value_name(limit.metric)
    return {
        "average": f"{window}{name}的平均值",
        "deviation": f"{window}{name}日均值的标准差",
        "variation": f"{window}{name}日均值的变异系数",
    }[statistic.kind]


def _value_name(metric: Metric) -> str:
    return "脉搏不齐（不齐记1，整齐记0）" if metric.name == "irregular_pulse" else metric_name(metric, ZH)


def _worst_part(limit: Limit, word: Word, amount: str) -> str:
    assert limit.score is not None
    every = "有单项" if word in ("at_least", "above") else "各项均"
    return f"“{limit.score.titles[ZH]}”{every}{_LEVELS[word]}{amount}"


def _moved(limit: Limit, statistic: Statistic, word: Word, level: float) -> str:
    """A change, said with the direction in which it is meant."""
    sign = 1 if statistic.kind in ("rise", "drop") else limit.sign
    if sign * level < 0:
        sign = -sign
    up = sign > 0 and statistic.kind != "drop"
    by = f"{_BY[word, sign]}{quantity(sign * level, limit_unit(limit), ZH, difference=True)}"
    name = metric_name(limit.metric, ZH)
    if statistic.kind == "trend":
        return f"近{length(statistic.window, ZH)}{name}平均每周{'上升' if up else '下降'}{by}"
    return f"{name}比{_before(statistic)}{'高出' if up else '低了'}{by}"


def _before(statistic: Statistic) -> str:
    if statistic.kind == "from_usual":
        return "本人平时同一时段"
    end, window = "最低" if statistic.kind == "rise" else "最高", length(statistic.window, ZH)
    return f"此前{window}的{end}日均值" if statistic.days else f"此前{window}内的{end}值"


def _made_of(limit: Limit) -> list[str]:
    """What a statistic is made of, and how much of it must be known."""
    statistic = limit.statistic
    if statistic is None:
        return []
    if limit.score:
        parts = listed(dict.fromkeys(metric_name(part.metric, ZH) for part in limit.score.parts), ZH)
        return [f"由{parts}组成，其中至少{limit.score.needs}项须有{length(limit.score.fresh, ZH)}内的读数"]
    days = f"至少{statistic.needs}天有读数"
    return {
        "average": [_readings(statistic)],
        "deviation": [days],
        "variation": [f"标准差与均值之比，{days}"],
        "trend": [f"按日均值的趋势，{days}"],
        "from_usual": [f"同一时段有{statistic.needs}次读数后才作比较"],
    }.get(statistic.kind, [])


def _readings(statistic: Statistic) -> str:
    needs = f"至少{statistic.needs}次读数"
    return f"不计第一天，{needs}" if statistic.drop_first_day else needs


def _set_by(limit: Limit, terms: Terms) -> list[str]:
    """That the level may be set, and for whom it differs."""
    if limit.parameter is None:
        return []
    parameter = terms.parameter(limit.parameter)
    if parameter is None:
        return [f"{limit.parameter}，可为个人另行设定"]
    unit, difference = limit_unit(limit), is_difference(limit)
    low, high = (quantity(end, unit, ZH, difference=difference) for end in (parameter.low, parameter.high))
    groups = [
        f"{groups_in_chinese([code], terms)}为{quantity(own.value, unit, ZH, difference=difference)}"
        for code, own in parameter.groups.items()
    ]
    return [f"“{parameter.titles[ZH]}”，可为个人在{low}到{high}之间另行设定", *groups]


def _required(rule: Rule) -> str:
    return f"同时须满足：{'，且'.join(_so(required) for required in rule.requires)}。" if rule.requires else ""


def _so(required: Required) -> str:
    time, metric = length(required.within, ZH), required.metric
    if metric.kind is Kind.EVENT:
        return f"此前{time}内有过{metric_name(metric, ZH)}"
    if metric.name == "irregular_pulse":
        return f"此前{time}内最近一次脉搏{'不齐' if required.sign > 0 else '整齐'}"
    level = f"{_LEVELS[required.word]}{quantity(required.level, shown_unit(metric), ZH)}"
    return f"此前{time}内最近一次{metric_name(metric, ZH)}{level}"


def _cause(rule: Rule, terms: Terms) -> str:
    names = listed((terms.rule(name, ZH) for name in rule.cause), ZH, "or")
    return f"{names}未结束时不触发，以免重复。" if names else ""


def _ask(rule: Rule) -> str:
    if rule.ask is None:
        return ""
    time = length(rule.ask.within, ZH)
    if rule.unless:
        return f"先询问本人；{time}内{_any(rule.unless)}则取消，没有回应则不取消。"
    return f"第一次时先请本人复测；{time}内没有复测也触发。"


def _any(metrics: Sequence[Metric]) -> str:
    return listed((metric_name(metric, ZH) for metric in metrics), ZH, "or")


def _related(rule: Rule, terms: Terms) -> str:
    parts = []
    if confirmed := rule.confirmed_by:
        parts.append(
            f"其后{length(confirmed.within, ZH)}内收到“{metric_name(confirmed.metric, ZH)}”，不再等待，立即触发；"
            f"即使之前的事件没有收到也触发{_unless(confirmed)}。"
        )
    if follows := rule.follows:
        parts.append(f"它属于此前{length(follows.within, ZH)}内的{metric_name(follows.metric, ZH)}{_unless(follows)}。")
    if rule.joins:
        parts.append(
            f"{terms.rule(rule.joins, ZH)}未结束时并入该警报：已有人接手也重新通知，无人接手则立即通知下一位。"
        )
    return "".join(parts)


def _unless(related: Related) -> str:
    return f"，除非其间{_any(related.unless)}" if related.unless else ""


def _call(rule: Rule) -> str:
    if not rule.calls:
        return "不呼叫任何人，只列为待办。"
    return "通知护理员。" if rule.calls_at_night else "通知护理员，夜间则等到早上。"


def _end(rule: Rule) -> str:
    if rule.missing:
        return f"有{_sign_of(rule.missing.metric)}即结束。" if rule.missing.after else "有新读数即结束。"
    if rule.on_event:
        return f"{_any(rule.unless)}即结束。" if rule.unless else ""
    if rule.answered:
        return ""
    ends = [
        f"{_said(limit, limit.clear_word, limit.clear_level)}{_behind(limit)}"
        for limit in rule.when
        if limit.clear_word and limit.clear_level is not None
    ]
    lasting = f"并持续{length(rule.clear_after.time, ZH)}" if rule.clear_after else ""
    return _when(f"{('，且' if rule.on_statistic else '且').join(ends)}{lasting}", "结束")


def _when(condition: str, what: str) -> str:
    """A condition and what comes of it; after hours (小时) another 时 would be one too many."""
    return f"{condition}{'即' if condition.endswith('时') else '时'}{what}。"


def _behind(limit: Limit) -> str:
    """That the clear level moves with a level that may be set, in brackets."""
    if limit.clear_by is None:
        return ""
    return f"（与警戒值相差{quantity(limit.clear_by, limit_unit(limit), ZH, difference=True)}）"


def _late(rule: Rule) -> str:
    if not rule.when:
        return ""
    late = f"测量后超过{length(rule.expires, ZH)}才收到的读数不触发警报"
    return f"{late}，只记录下来供医生查看。" if rule.notes else f"{late}。"
