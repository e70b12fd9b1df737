"""What a protocol did to a made-up cohort, as tables for a terminal or in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import TYPE_CHECKING, Final

import numpy as np

from alerts.cohort.kinds import KINDS
from alerts.rule import PRIORITIES
from devices.falls.intervals import Interval, rate, share
from devices.falls.report import Table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from alerts.cohort.draws import Floats
    from alerts.cohort.judging import Judged, Load

_UNKNOWN: Final = "–"
_HUNDRED: Final = 100
_Z: Final = 1.96


def tables(judged: Judged) -> list[Table]:
    """All of them: what was seen, by which rule, and what it cost."""
    return [seen(judged), by_rule(judged), costs(judged), by_priority(judged)]


def seen(judged: Judged) -> Table:
    """By kind of episode, what all rules together made of it."""
    columns = (
        "episode", "number", "heard of", "seen, %", "of those heard of, %", "somebody called, %", "by chance, %",
        "first alert after, median", "90 of 100 within",
    )  # fmt: skip
    rows = [
        (
            KINDS[s.kind].english,
            str(s.episodes),
            str(s.measured),
            _percent(share(s.seen, s.episodes)),
            _percent(share(min(s.seen, s.measured), s.measured)),
            _percent(share(s.called, s.episodes)),
            _of(s.by_chance, s.windows),
            *_times(s.after),
        )
        for s in judged.sights
        if s.episodes
    ]
    return Table("Was it seen, by any rule that watches what it moves?", columns, rows, 1)


def in_brief(judged: Judged, language: str) -> list[Table]:
    """The two tables of the manual, in its language: what was seen, and what each rule says in a week of 100 residents."""
    words = _BRIEF[language]
    rows = [
        (
            KINDS[s.kind].name(language),
            str(s.episodes),
            _percent(share(s.seen, s.episodes)),
            _percent(share(s.called, s.episodes)),
            _of(s.by_chance, s.windows),
            _time_in(language, s.after),
        )
        for s in judged.sights
        if s.episodes
    ]
    costs = [
        (f"`{load.rule}`", *(_number(_HUNDRED * n / judged.resident_weeks) for n in _counts(load)))
        for load in sorted(judged.loads, key=lambda load: (-load.messages, -load.alerts))
        if load.alerts
    ]
    return [Table(words[0], words[1], rows, 1), Table(words[2], words[3], costs, 1)]


_BRIEF: Final = {
    "en": (
        "What happened, and whether anything was raised",
        ("what happened", "times", "seen, %", "somebody called, %", "by chance, %", "first alert after"),
        "In a week of 100 residents",
        ("rule", "alerts", "of these false", "messages", "of these at night"),
    ),
    "zh_Hans": (
        "发生了什么，有没有报警",
        ("发生的情况", "次数", "发现，%", "呼叫了人，%", "碰巧，%", "首次报警（中位数）"),
        "每100位老人每周",
        ("规则", "警报", "其中误报", "消息", "其中夜间"),
    ),
}


def _counts(load: Load) -> tuple[int, int, int, int]:
    return load.alerts, load.false, load.messages, load.at_night


def by_rule(judged: Judged) -> Table:
    """By rule and kind of episode."""
    columns = ("rule", "episode", "number", "heard of", "seen, %", "of those heard of, %", "after, median", "90 of 100")
    rows = [
        (
            p.rule,
            KINDS[p.kind].english,
            str(p.episodes),
            str(p.measured),
            _percent(share(p.seen, p.episodes)),
            _percent(share(min(p.seen, p.measured), p.measured)),
            *_times(p.after),
        )
        for p in judged.pairs
        if p.measured
    ]
    return Table("Sensitivity of each rule", columns, rows, 2)


def costs(judged: Judged) -> Table:
    """By rule, its alerts, and how many of them were true of no episode."""
    columns = (
        "rule", "priority", "alerts", "true", "false", "false in 100 resident-weeks", "of the false: lasting condition",
        "of the false: wrong reading", "messages in 100 resident-weeks", "of these at night",
    )  # fmt: skip
    rows = [
        (
            load.rule,
            load.priority,
            str(load.alerts),
            str(load.true),
            str(load.false),
            _rate(_false(load, judged)),
            str(load.lasting),
            str(load.wrong),
            _number(_HUNDRED * load.messages / judged.resident_weeks),
            _number(_HUNDRED * load.at_night / judged.resident_weeks),
        )
        for load in judged.loads
    ]
    return Table("Alerts of each rule", columns, rows, 2)


def by_priority(judged: Judged) -> Table:
    """What all rules of one priority cost, in a week of 100 residents."""
    columns = ("priority", "rules", "alerts", "false", "messages", "of these at night")
    rows = []
    for priority in PRIORITIES:
        loads = [load for load in judged.loads if load.priority == priority]
        rows.append((priority, str(len(loads)), *_sums(loads, judged)))
    return Table(
        "In a week of 100 residents", columns, [*rows, ("all", str(len(judged.loads)), *_sums(judged.loads, judged))], 1
    )


def _sums(loads: Sequence[Load], judged: Judged) -> Iterable[str]:
    for column in np.array([_counts(load) for load in loads]).reshape(-1, 4).sum(axis=0).tolist():
        yield _number(_HUNDRED * column / judged.resident_weeks)


def _false(load: Load, judged: Judged) -> Interval:
    """False alerts of 100 weeks of the residents whom the rule concerns, with an interval by residents.

    Alerts of one resident resemble each other, so it is the spread between residents that counts.
    """
    weeks = judged.weeks
    if load.false == 0:
        found = rate(0, max(load.residents * weeks, weeks))
        assert found is not None, "a cohort lasts"
        return Interval(*(_HUNDRED * bound for bound in found))
    each: NDArray[np.float64] = load.false_by_resident / weeks
    mean, error = float(each.mean()), float(each.std(ddof=1)) / sqrt(len(each)) if len(each) > 1 else 0.0
    return Interval(_HUNDRED * mean, _HUNDRED * max(mean - _Z * error, 0.0), _HUNDRED * (mean + _Z * error))


def _percent(figure: Interval | None) -> str:
    if figure is None:
        return _UNKNOWN
    value, low, high = (_HUNDRED * bound for bound in figure)
    return f"{value:.0f} ({low:.0f}–{high:.0f})"


def _rate(figure: Interval) -> str:
    return f"{_number(figure.value)} ({_number(figure.low)}–{_number(figure.high)})"


def _of(found: float, windows: int) -> str:
    return f"{_HUNDRED * found:.0f}" if windows else _UNKNOWN


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def _times(hours: Floats) -> tuple[str, str]:
    if not len(hours):
        return _UNKNOWN, _UNKNOWN
    middle, most = np.percentile(hours, [50, 90]).tolist()
    return _time(middle), _time(most)


def _time_in(language: str, hours: Floats) -> str:
    """The median, as the manual says it."""
    if not len(hours):
        return _UNKNOWN
    said = _time(float(np.median(hours)))
    number, unit = said.split(" ")
    return said if language == "en" else f"{number}{_UNITS[unit]}"


_UNITS: Final = {"s": "秒", "min": "分钟", "h": "小时", "d": "天"}


def _time(hours: float) -> str:
    """A length of time in the unit in which it is read."""
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"
