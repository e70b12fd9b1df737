"""Two protocols side by side as drawings: alerts by rule, messages by the hour, alerts by week, how early episodes were found.

Pure. As in :mod:`clinicians.charts`: presentation attributes only, so that they print and the strict content policy holds;
each says in its description what it shows, and a table stands beside it. The current protocol is drawn light and
outlined, the new one dark, so that nobody needs to see colours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil, log10
from typing import Final

from markupsafe import Markup, escape

from alerts.backtest.counts import SIDES, Comparison, Line, Rate, Side
from alerts.escalation import EVENING, MORNING
from clinicians.words import N_, Words

_INK, _SOFT, _GRID, _NIGHT = "#3b352d", "#5c5348", "#e3dccf", "#eceff5"
_FILL: Final = {"against": "#cddbe5", "new": "#8a3008"}
_EDGE: Final = {"against": "#134a6b", "new": "#8a3008"}
SIDE_NAMES: Final = {"against": N_("current"), "new": N_("new")}
_MOST_RULES: Final = 14
_MOST_EPISODES: Final = 24


@dataclass(frozen=True, slots=True)
class Frame:
    """The width of a drawing in its own units, its letters, and what makes its identifiers unique in the page."""

    width: int
    letters: int
    name: str

    @property
    def line(self) -> float:
        """From one line of letters to the next."""
        return self.letters * 1.5


FRAMES: Final = (Frame(1000, 16, "wide"), Frame(370, 14, "narrow"))


def title_of(line: Line, words: Words) -> str:
    """A rule as people call it."""
    return line.titles.get(words.language) or line.rule


def drawn(lines: Sequence[Line]) -> list[Line]:
    """The rules worth drawing: those that told something, the most frequent first."""
    told = [line for line in lines if _highest(line) > 0]
    return sorted(told, key=lambda line: -_highest(line))[:_MOST_RULES]


def by_rule(found: Comparison, words: Words, frame: Frame) -> Markup:
    """Alerts per 100 resident-days of each rule, as bars with their intervals."""
    lines = drawn(found.by_rule)
    top = _round_up(max((_reach(line) for line in lines), default=1.0))
    left, right, bar = 4.0, frame.letters * 8.5, frame.letters * 0.8
    scale = (frame.width - left - right) / top
    y, parts = frame.line * 1.6, list(_key(frame, words))
    for line in lines:
        parts.append(_text(left, y, title_of(line, words), frame, weight="600"))
        y += frame.letters * 0.4
        for side in SIDES:
            parts += _bar(getattr(line, side), side, (left, y, bar), scale, words, frame)
            y += bar + 3
        y += frame.line
    parts.append(_text(left, y, words.gettext("Alerts per 100 resident-days; thin lines: 95 % interval"), frame, _SOFT))
    return _svg(frame, "rules", y + 8, words.gettext("Alerts by rule"), _of_rules(lines, words), parts)


def _highest(line: Line) -> float:
    return max((rate.rate for rate in (line.against, line.new) if rate), default=0.0)


def _reach(line: Line) -> float:
    return max((min(rate.high, 3 * rate.rate + 0.01) for rate in (line.against, line.new) if rate), default=0.0)


def _bar(
    rate: Rate | None, side: Side, place: tuple[float, float, float], scale: float, words: Words, frame: Frame
) -> list[str]:
    left, y, height = place
    middle, base = y + height / 2, y + height - 2
    if rate is None:
        return [_text(left, base, words.gettext("no such rule"), frame, _SOFT)]
    end, low = left + rate.rate * scale, left + rate.low * scale
    high = min(left + rate.high * scale, frame.width - frame.letters * 8.5)
    value = words.gettext(
        "%(rate)s (%(low)s to %(high)s)",
        rate=_number(rate.rate, words),
        low=_number(rate.low, words),
        high=_number(rate.high, words),
    )
    return [
        f'<rect x="{left:.0f}" y="{y:.0f}" width="{max(end - left, 1):.1f}" height="{height:.0f}" fill="{_FILL[side]}" stroke="{_EDGE[side]}"/>',
        f'<path d="M{low:.1f} {middle:.0f}H{high:.1f}" stroke="{_INK}" stroke-width="2" fill="none"/>',
        _text(max(high, end) + 6, base, value, frame),
    ]


def _of_rules(lines: Sequence[Line], words: Words) -> str:
    if not lines:
        return words.gettext("Neither protocol raised an alert.")
    return words.sentences(
        words.gettext(
            "%(rule)s: %(against)s currently, %(new)s with the new protocol.",
            rule=title_of(line, words),
            against=_number(line.against.rate if line.against else 0.0, words),
            new=_number(line.new.rate if line.new else 0.0, words),
        )
        for line in lines
    )


def by_hour(found: Comparison, words: Words, frame: Frame) -> Markup:
    """Messages to staff by the hour of the resident's day; the night is shaded."""
    hours = {side: getattr(found, side).hours for side in SIDES}
    plot = _Plot(frame, 24, max(1, *hours["against"], *hours["new"]))
    parts = list(_key(frame, words))
    for begin, end in ((0, MORNING.hour), (EVENING.hour, 24)):
        width = plot.x(end) - plot.x(begin)
        parts.append(
            f'<rect x="{plot.x(begin):.0f}" y="{plot.top:.0f}" width="{width:.0f}" height="{plot.height:.0f}" fill="{_NIGHT}"/>'
        )
    parts += plot.grid(words)
    half = plot.step * 0.4
    for side, shift in zip(SIDES, (0.1, 0.5), strict=True):
        parts += [
            f'<rect x="{plot.x(hour + shift):.1f}" y="{plot.y(count):.1f}" width="{half:.1f}" '
            f'height="{plot.floor - plot.y(count):.1f}" fill="{_FILL[side]}" stroke="{_EDGE[side]}"/>'
            for hour, count in enumerate(hours[side])
            if count
        ]
    parts += [plot.label(hour, str(hour)) for hour in range(0, 25, 3)]
    parts.append(plot.below(words.gettext("hour of the resident's day; shaded: night")))
    said = words.gettext(
        "At night, from %(evening)s to %(morning)s o'clock: %(against)s messages currently, %(new)s with the new protocol.",
        evening=EVENING.hour,
        morning=MORNING.hour,
        against=found.against.night_messages.count,
        new=found.new.night_messages.count,
    )
    return _svg(frame, "hours", plot.end, words.gettext("Messages to staff by the hour"), said, parts)


def by_week(found: Comparison, words: Words, frame: Frame) -> Markup:
    """Alerts per 100 resident-days, week by week."""
    weeks = {side: getattr(found, side).weeks for side in SIDES}
    count = len(weeks["new"])
    plot = _Plot(frame, max(count, 1), max(0.1, *weeks["against"], *weeks["new"]))
    parts = [*_key(frame, words), *plot.grid(words)]
    for side in SIDES[::-1]:  # the dashed one above the other, that both are seen where they are alike
        points = [(plot.x(week + 0.5), plot.y(rate)) for week, rate in enumerate(weeks[side])]
        dashes = ' stroke-dasharray="7 4"' if side == "against" else ""
        line = " ".join(f"{x:.0f},{y:.0f}" for x, y in points)
        parts.append(f'<polyline points="{line}" stroke="{_EDGE[side]}" stroke-width="3"{dashes} fill="none"/>')
        parts += [
            f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4" fill="{_FILL[side]}" stroke="{_EDGE[side]}"/>' for x, y in points
        ]
    every = max(1, ceil(count / (frame.width // (frame.letters * 6))))
    for week in range(0, count, every):
        begins = words.local(found.since + timedelta(days=7 * week)).date()
        parts.append(plot.label(week + 0.5, words.day(begins)))
    parts.append(plot.below(words.gettext("alerts per 100 resident-days, by the week that begins on")))
    said = words.gettext(
        "Between %(low)s and %(high)s per 100 resident-days currently, between %(new_low)s and %(new_high)s with the new protocol.",
        low=_number(min(weeks["against"], default=0.0), words),
        high=_number(max(weeks["against"], default=0.0), words),
        new_low=_number(min(weeks["new"], default=0.0), words),
        new_high=_number(max(weeks["new"], default=0.0), words),
    )
    return _svg(frame, "weeks", plot.end, words.gettext("Alerts by week"), said, parts)


def by_episode(found: Comparison, words: Words, frame: Frame, named: Callable[[int], str]) -> Markup:
    """How long before each true episode began, or after, the first alert about it came."""
    shown = found.found[-_MOST_EPISODES:]
    early = [e.total_seconds() / 3600 for one in shown for e in (one.against, one.new) if e is not None]
    first, last = max(1.0, *early, 1.0), max(0.5, *(-hours for hours in early), 0.5)
    left, right = 10.0, 10.0
    scale = (frame.width - left - right) / (_squeezed(first) + _squeezed(last))

    def x(hours: float) -> float:
        return left + (_squeezed(first) - _squeezed(hours)) * scale

    y, parts = frame.line * 1.8, list(_key(frame, words))
    top = y - frame.letters
    for one in shown:
        day = words.day(words.local(one.episode.at).date())
        parts.append(_text(left, y, f"{day} · {named(one.episode.resident)}", frame, _SOFT))
        y += frame.letters * 0.9
        parts.append(f'<path d="M{left} {y:.0f}H{frame.width - right}" stroke="{_GRID}" fill="none"/>')
        for side, shift in zip(SIDES, (-4, 4), strict=True):
            when: timedelta | None = getattr(one, side)
            if when is not None:
                parts.append(_mark(x(when.total_seconds() / 3600), y + shift / 2, side))
        y += frame.line
    began = x(0.0)
    parts.append(
        f'<path d="M{began:.0f} {top:.0f}V{y - frame.letters:.0f}" stroke="{_INK}" stroke-dasharray="2 4" fill="none"/>'
    )
    anchor = "middle" if frame.width * 0.2 < began < frame.width * 0.8 else "end"
    parts.append(_text(began, y, words.gettext("it began"), frame, anchor=anchor))
    parts.append(_text(left, y, words.gettext("← earlier"), frame, _SOFT))
    y += 8
    said = words.gettext(
        "Of %(all)s true episodes the current protocol found %(against)s, the new one %(new)s.",
        all=len(found.found),
        against=found.caught("against"),
        new=found.caught("new"),
    )
    return _svg(frame, "episodes", y, words.gettext("How early true episodes were found"), said, parts)


def _squeezed(hours: float) -> float:
    """Days and minutes on one line: evenly within an hour, by the logarithm beyond it."""
    return (1 if hours >= 0 else -1) * log10(1 + abs(hours) * 4)


def _mark(x: float, y: float, side: str) -> str:
    if side == "against":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{_FILL[side]}" stroke="{_EDGE[side]}" stroke-width="2"/>'
    return f'<path d="M{x:.1f} {y - 7:.1f}l7 7l-7 7l-7 -7z" fill="{_FILL[side]}" stroke="#fff"/>'


class _Plot:
    """Columns to the right, a count or rate upwards."""

    def __init__(self, frame: Frame, columns: int, most: float) -> None:
        self.frame, self.columns, self.most = frame, columns, _round_up(most)
        self.left, self.top = frame.letters * 2.6, frame.line * 1.7
        self.height = 190.0
        self.floor = self.top + self.height
        self.step = (frame.width - self.left - frame.letters) / columns
        self.end = self.floor + frame.line * 2.4

    def x(self, column: float) -> float:
        return self.left + column * self.step

    def y(self, value: float) -> float:
        return self.floor - value / self.most * self.height

    def grid(self, words: Words) -> list[str]:
        levels = [self.most * part / 4 for part in range(5)]
        right = self.frame.width - self.frame.letters
        rules = "".join(f"M{self.left:.0f} {self.y(level):.0f}H{right}" for level in levels)
        figures = [_text(self.left - 5, self.y(v) + 5, _number(v, words), self.frame, anchor="end") for v in levels]
        return [f'<path d="{rules}" stroke="{_GRID}" fill="none"/>', *figures]

    def label(self, column: float, text: str) -> str:
        return _text(self.x(column), self.floor + self.frame.line, text, self.frame, anchor="middle")

    def below(self, text: str) -> str:
        return _text(self.left, self.floor + self.frame.line * 2.1, text, self.frame, _SOFT)


def _round_up(most: float) -> float:
    """The next round number, of which quarters can be read."""
    unit = 10.0 ** ceil(log10(max(most, 1e-6)) - 1)
    return next(step * unit for step in (1, 2, 4, 6, 8, 10, 20) if step * unit >= most)


def _number(value: float, words: Words) -> str:
    return words.number(value, 0 if value >= 100 else 1 if value >= 10 else 2)


def _key(frame: Frame, words: Words) -> list[str]:
    half = frame.width / 2
    parts = []
    for side, x in zip(SIDES, (4.0, min(half, 240.0)), strict=True):
        text = words.gettext(SIDE_NAMES[side])
        parts.append(f'<rect x="{x:.0f}" y="2" width="14" height="14" fill="{_FILL[side]}" stroke="{_EDGE[side]}"/>')
        parts.append(_text(x + 20, 15, text, frame))
    return parts


def _svg(frame: Frame, what: str, height: float, title: str, said: str, parts: Sequence[str]) -> Markup:
    name = f"{what}-{frame.name}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {frame.width} {height:.0f}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc" font-family="system-ui, sans-serif" font-size="{frame.letters}" fill="{_INK}">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(said)}</desc>'
    )
    return Markup(head + "".join(parts) + "</svg>")  # noqa: S704 - every word in it is escaped by _text and here


def _text(
    x: float, y: float, text: str, frame: Frame, colour: str = _INK, *, anchor: str = "start", weight: str | None = None
) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    fill = f' fill="{colour}"' if colour != _INK else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{fill}{bold}>{escape(text)}</text>'
