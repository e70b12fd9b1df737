"""A backtest put into words: what two protocols would have done, beside each other, for a doctor to read. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from markupsafe import Markup

from alerts.backtest.counts import AIM_PER_WEEK, SIDES, Comparison, Found, Line, Rate, Side
from alerts.escalation import EVENING, MORNING
from clinicians import backtest_charts
from clinicians.backtest_charts import FRAMES, title_of
from clinicians.cases import PRIORITIES
from clinicians.pages import environment
from clinicians.words import N_, Words

_CHANGES: Final = MappingProxyType(
    {
        "": "",
        "new": N_("new rule"),
        "gone": N_("rule is gone"),
        "judges": N_("judges otherwise"),
        "calls": N_("calls otherwise"),
        "words": N_("only other words"),
    }
)
_VERDICTS: Final = MappingProxyType(
    {"more": N_("more alerts"), "fewer": N_("fewer alerts"), "alike": N_("no difference beyond chance")}
)
_WHATS: Final = MappingProxyType(
    {
        "hospital": N_("Went to hospital"),
        "fall": N_("It was a fall"),
        "worth_it": N_("An alert that staff called right"),
    }
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a table: what it is about, what the current protocol did and the new one, and a remark."""

    title: str
    cells: tuple[str, ...]
    remark: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A chart in its two widths, with what it shows."""

    title: str
    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True)
class View:
    """The whole page. ``silent`` names the rules that are the same in both protocols and raised nothing."""

    headline: str
    period: str
    versions: tuple[str, str]
    totals: tuple[Row, ...]
    priorities: tuple[Row, ...]
    rules: tuple[Row, ...]
    silent: str
    night: tuple[Row, ...]
    episodes: tuple[Row, ...]
    drawings: tuple[Drawing, ...]
    assumptions: tuple[str, ...]


def view(found: Comparison, words: Words, names: Mapping[int, str], links: Mapping[int, str] | None = None) -> View:
    """The page's content. Only residents in ``names`` are named; ``links`` lead to their pages."""
    known = [one for one in found.found if one.episode.resident in names]
    return View(
        headline=_headline(found, words),
        period=_period(found, words),
        versions=(found.against.version, found.new.version),
        totals=tuple(_totals(found, words)),
        priorities=tuple(_line(line, words.gettext(PRIORITIES[line.priority]), words) for line in found.by_priority),
        rules=tuple(_line(line, title_of(line, words), words) for line in found.by_rule if _is_told(line)),
        silent=words.gettext(", ").join(title_of(line, words) for line in found.by_rule if not _is_told(line)),
        night=tuple(_night(found, words, names, links or {})),
        episodes=tuple(_episode(one, words, names, links or {}) for one in known),
        drawings=tuple(_drawings(found, words, names)),
        assumptions=tuple(_assumptions(found, words)),
    )


def html(found: Comparison, words: Words, names: Mapping[int, str]) -> str:
    """A file that needs nothing else: to be sent, kept beside the decision, and printed."""
    page = environment(words.language).get_template("backtest_file.html")
    return page.render(words=words, visitor=None, found=view(found, words, names))


def numbered(found: Comparison, words: Words) -> dict[int, str]:
    """Everybody of whom the page tells, by number instead of by name."""
    told = {one.episode.resident for one in found.found}.union(*(getattr(found, side).night for side in SIDES))
    return {number: words.gettext("Resident %(number)s", number=number) for number in sorted(told)}


def _headline(found: Comparison, words: Words) -> str:
    low, high = found.more
    if high < 0:
        return words.gettext("The new protocol would have raised fewer alerts.")
    if low > 0:
        return words.gettext("The new protocol would have raised more alerts.")
    return words.gettext("Both protocols would have raised about as many alerts.")


def _period(found: Comparison, words: Words) -> str:
    return words.gettext(
        "%(since)s to %(until)s: %(residents)s residents, %(days)s resident-days, %(readings)s readings.",
        since=words.day(words.local(found.since).date()),
        until=words.day(words.local(found.until).date()),
        residents=words.number(found.residents),
        days=words.number(found.resident_days),
        readings=words.number(found.readings),
    )


def _totals(found: Comparison, words: Words) -> list[Row]:
    both = [getattr(found, side) for side in SIDES]
    aim = words.gettext("aim: at most %(aim)s", aim=words.number(AIM_PER_WEEK))
    at_night = words.gettext("Residents about whom somebody would have been called at night")
    episodes = [f"{found.caught(side)}/{len(found.found)}" if found.found else "–" for side in SIDES]
    lines = [
        (words.gettext("Alerts per 100 resident-days"), [_rate(t.alerts, words) for t in both], ""),
        (words.gettext("Messages to staff per resident and week"), [_rate(t.messages, words) for t in both], aim),
        (words.gettext("of these at night"), [_rate(t.night_messages, words) for t in both], _hours(words)),
        (at_night, [words.number(len(t.night)) for t in both], ""),
        (words.gettext("Residents with any alert"), [_share(t.any, found.residents, words) for t in both], ""),
        (words.gettext("Questions to residents per 100 resident-days"), [_rate(t.asked, words) for t in both], ""),
        (words.gettext("Late readings noted for the doctor"), [words.number(t.noted) for t in both], ""),
        (words.gettext("True episodes found"), episodes, ""),
    ]
    return [Row(title, tuple(cells), remark) for title, cells, remark in lines]


def _hours(words: Words) -> str:
    return words.gettext("%(evening)s to %(morning)s o'clock at her home", evening=EVENING.hour, morning=MORNING.hour)


def _share(count: int, of: int, words: Words) -> str:
    percent = words.number(100 * count / of if of else 0)
    return words.gettext("%(count)s (%(percent)s %%)", count=words.number(count), percent=percent)


def _rate(rate: Rate, words: Words) -> str:
    return words.gettext(
        "%(rate)s (%(low)s to %(high)s)",
        rate=_number(rate.rate, words),
        low=_number(rate.low, words),
        high=_number(rate.high, words),
    )


def _number(value: float, words: Words) -> str:
    return words.decimals(value, 1 if value >= 10 else 2)


def _line(line: Line, title: str, words: Words) -> Row:
    remarks = [words.gettext(_CHANGES[line.change])] if line.change else []
    if line.rule:
        remarks.insert(0, words.gettext(PRIORITIES[line.priority]))
    if line.is_given:
        remarks.append(words.gettext("as the record has it"))
    elif line.against and line.new and line.more != (0.0, 0.0):
        remarks.append(words.gettext(_VERDICTS[line.verdict]))
    of = {side: getattr(line, side) for side in SIDES}
    cells = tuple(_counted(of[side], words) if of[side] else "–" for side in SIDES)
    return Row(title, cells, words.gettext(", ").join(remarks))


def _is_told(line: Line) -> bool:
    return bool(line.change) or any(rate is not None and rate.count for rate in (line.against, line.new))


def _counted(rate: Rate, words: Words) -> str:
    return f"{_rate(rate, words)} · {words.number(rate.count)}" if rate.count else "0"


def _night(found: Comparison, words: Words, names: Mapping[int, str], links: Mapping[int, str]) -> list[Row]:
    of = {side: getattr(found, side).night for side in SIDES}
    residents = [number for number in names if number in of["against"] or number in of["new"]]
    residents.sort(key=lambda number: (-max(of[side].get(number, 0) for side in SIDES), number))
    return [
        Row(names[number], tuple(words.number(of[side].get(number, 0)) for side in SIDES), "", links.get(number, ""))
        for number in residents
    ]


def _episode(one: Found, words: Words, names: Mapping[int, str], links: Mapping[int, str]) -> Row:
    episode = one.episode
    title = f"{words.when(episode.at)} · {names[episode.resident]}"
    what = words.gettext(_WHATS[episode.what])
    remark = f"{what}{words.gettext(': ')}{episode.about}" if episode.what == "hospital" else what
    return Row(title, tuple(_early(one, side, words) for side in SIDES), remark, links.get(episode.resident, ""))


def _early(one: Found, side: Side, words: Words) -> str:
    early: timedelta | None = getattr(one, side)
    if early is None:
        return words.gettext("missed")
    if abs(early) < timedelta(minutes=1):
        return words.gettext("as it began")
    how_long = words.span(abs(early))
    if early > timedelta(0):
        return words.gettext("%(time)s before", time=how_long)
    return words.gettext("%(time)s after", time=how_long)


def _drawings(found: Comparison, words: Words, names: Mapping[int, str]) -> list[Drawing]:
    made = [
        (words.gettext("Alerts by rule"), [backtest_charts.by_rule(found, words, frame) for frame in FRAMES]),
        (words.gettext("Messages to staff by the hour"), [backtest_charts.by_hour(found, words, f) for f in FRAMES]),
        (words.gettext("Alerts by week"), [backtest_charts.by_week(found, words, frame) for frame in FRAMES]),
    ]
    if found.found:

        def named(resident: int) -> str:
            return names.get(resident, "")

        title = words.gettext("How early true episodes were found")
        made.append((title, [backtest_charts.by_episode(found, words, frame, named) for frame in FRAMES]))
    return [Drawing(title, wide, narrow) for title, (wide, narrow) in made]


def _assumptions(found: Comparison, words: Words) -> Sequence[str]:
    given = [title_of(line, words) for line in found.by_rule if line.is_given]
    said = [
        words.gettext(
            "Replayed are the readings as they were received, with each resident's groups and values of today. Questions run "
            "out in the record's own time; what she would have answered to a question that was never asked nobody knows."
        ),
        words.gettext(
            "An alert that was in fact raised was closed when the record says. Any other is taken to be closed %(clear)s after "
            "it was over, or after its event; at the latest %(most)s after it was raised, and a task that calls nobody %(task)s.",
            clear=words.span(found.assumed.after_clear),
            most=words.span(found.assumed.at_most),
            task=words.span(found.assumed.task_at_most),
        ),
        words.gettext(
            "Each message is counted once, as if the first who is called answered. When nobody does, more are called."
        ),
        words.gettext(
            "True episodes are hospital visits that staff noted, falls that staff found to be falls, and alerts whose outcome "
            "says that staff helped or told a doctor. The record knows only of what somebody noticed, and of alerts only those "
            "of the protocol of that time: this flatters that protocol."
        ),
        words.gettext(
            "An episode counts as found by an alert that calls somebody about her own condition: up to seven days before a "
            "hospital visit, 24 hours before and two hours after an alert that was right, two hours before and after a fall."
        ),
        words.gettext(
            "Intervals hold 95 % and come from drawing residents anew a thousand times; they are never narrower than chance alone."
        ),
    ]
    if given:
        rules = words.gettext(", ").join(given)
        said.insert(
            1, words.gettext("Taken from the record as they were, for it keeps no silence: %(rules)s.", rules=rules)
        )
    return said
