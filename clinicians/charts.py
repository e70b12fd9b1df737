"""Charts as SVG, drawn on the server. Pure: columns in, markup out.

Presentation attributes only, neither classes nor style, so that the strict content policy holds and the same
chart prints. What a chart shows it also says in words in its description, and a table stands beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from alerts.judging import Target
from clinicians.words import Words
from store.readings import Series

DAYS: Final = 90
MEAN_DAYS: Final = 7
"""Home blood pressure is judged by the mean of a week (ESH 2021, "722")."""
LONGEST_BRIDGE_DAYS: Final = 2
"""The mean line passes over one day without a measurement; after two or more it begins anew."""

_US_PER_DAY: Final = 86_400_000_000
_INK, _GRID, _BAND, _EDGE, _EDGE_TEXT = "#3b352d", "#e3dccf", "#dcebdc", "#5d8a63", "#2f5d37"
_SYSTOLIC, _SYSTOLIC_MEAN = "#d08a63", "#8a3008"
_DIASTOLIC, _DIASTOLIC_MEAN = "#7fa6bd", "#134a6b"


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of a chart in its own units, and of its letters."""

    width: int
    height: int
    letters: int
    left: int
    right: int
    top: int = 14

    @property
    def bottom(self) -> int:
        """Room under the plot for days and months."""
        return round(self.letters * 3.3)


WIDE: Final = Frame(1060, 430, 16, 46, 92)
NARROW: Final = Frame(370, 340, 15, 38, 12)


@dataclass(frozen=True, slots=True)
class Means:
    """The mean of the last seven days at each day that has a measurement.

    Columns of shape ``(m,)``: the day's index from the chart's first day, and the mean in the metric's unit.
    """

    day: NDArray[np.int64]
    value: NDArray[np.float64]

    def stretches(self) -> list[Means]:
        """The line's unbroken parts: a new one begins where days are missing."""
        breaks = np.flatnonzero(np.diff(self.day) > LONGEST_BRIDGE_DAYS) + 1
        return [
            Means(d, v) for d, v in zip(np.split(self.day, breaks), np.split(self.value, breaks), strict=True) if len(d)
        ]


def trailing_means(day: NDArray[np.int64], value: NDArray[np.float64]) -> Means:
    """The seven-day mean at each measured day; ``day`` is the index of each measurement's day, ascending."""
    days = np.unique(day)
    total = np.concatenate(([0.0], np.cumsum(value)))
    first = np.searchsorted(day, days - MEAN_DAYS, side="right")
    last = np.searchsorted(day, days, side="right")
    return Means(days, (total[last] - total[first]) / np.maximum(last - first, 1))


class _Scale:
    """Days to the right, pressure upwards, both to whole units: a unit is under half a millimetre."""

    def __init__(self, frame: Frame, words: Words, days: int, low: int, high: int) -> None:
        self.frame, self.words, self.days, self.low, self.high = frame, words, days, low, high
        self.first = words.today - timedelta(days=days - 1)
        self.midnights = [self._midnight(self.first + timedelta(days=n)) for n in range(days + 1)]
        self.starts = np.array([m.replace(tzinfo=None) for m in self.midnights], dtype="datetime64[us]")
        self.plot_width = frame.width - frame.left - frame.right
        self.plot_height = frame.height - frame.top - frame.bottom

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(), self.words.zone).astimezone(UTC)

    def day_of(self, at: NDArray[np.datetime64]) -> NDArray[np.int64]:
        """The index of the centre's calendar day on which each moment lies."""
        return np.searchsorted(self.starts, at.astype("datetime64[us]"), side="right").astype(np.int64) - 1

    def x(self, at: NDArray[np.datetime64]) -> NDArray[np.int64]:
        elapsed = (at.astype("datetime64[us]") - self.starts[0]).astype(np.int64) / _US_PER_DAY
        return self.x_of_day(elapsed)

    def x_of_day(self, day: NDArray[np.float64] | NDArray[np.int64]) -> NDArray[np.int64]:
        return np.rint(self.frame.left + day * (self.plot_width / self.days)).astype(np.int64)

    def y(self, value: NDArray[np.float64]) -> NDArray[np.int64]:
        share = (self.high - value) / (self.high - self.low)
        return np.rint(self.frame.top + share * self.plot_height).astype(np.int64)

    def y_of(self, value: float) -> int:
        share = (self.high - value) / (self.high - self.low)
        return round(self.frame.top + share * self.plot_height)

    def x_left(self, day: int) -> int:
        """Where the day of this index begins."""
        return round(self.frame.left + day * self.plot_width / self.days)

    @property
    def floor(self) -> int:
        return self.frame.height - self.frame.bottom


def blood_pressure(
    systolic: Series | None, diastolic: Series | None, target: Target, words: Words, frame: Frame, name: str
) -> Markup:
    """Ninety days of blood pressure up to the words' now: each measurement, target band, seven-day means.

    ``name`` makes the identifiers in the page unique. Series hold believed readings only.
    """
    upper, lower = _within(systolic, words), _within(diastolic, words)
    scale = _Scale(frame, words, DAYS, *_range(upper, lower, target))
    parts = [_head(frame, name, words, _description(upper, lower, target, words, scale))]
    parts += _bands(scale, target)
    parts += _grid(scale)
    parts += _dots(scale, lower, _DIASTOLIC, "square", 4)
    parts += _dots(scale, upper, _SYSTOLIC, "round", 5)
    parts += _mean_line(scale, lower, _DIASTOLIC_MEAN, words.gettext("Diastolic"), dashes="10 4")
    parts += _mean_line(scale, upper, _SYSTOLIC_MEAN, words.gettext("Systolic"), dashes=None)
    if not len(upper.value) and not len(lower.value):
        parts.append(
            _text(
                frame.width // 2, frame.height // 2, words.gettext("Nothing measured in these 90 days"), frame, "middle"
            )
        )
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - every word in it is escaped by _text and _head


def sparkline(day: NDArray[np.int64], value: NDArray[np.float64], low: float, high: float, days: int) -> Markup:
    """A resident's daily means at a glance with the target band; ``day`` counts from 0, the oldest. Decoration:
    the figures stand beside it."""
    width, height = 150, 44
    bottom, top = min(float(value.min(initial=low)), low) - 6, max(float(value.max(initial=high)), high) + 6
    x = np.rint(day * ((width - 8) / max(days - 1, 1)) + 4).astype(np.int64)
    y = np.rint((top - value) / (top - bottom) * height).astype(np.int64)
    band_top, band_bottom = ((top - level) / (top - bottom) * height for level in (high, low))
    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" aria-hidden="true" focusable="false">',
        f'<rect x="0" y="{band_top:.0f}" width="{width}" height="{band_bottom - band_top:.0f}" fill="{_BAND}"/>',
    ]
    for stretch in Means(day, np.arange(len(day), dtype=np.float64)).stretches():
        index = stretch.value.astype(np.int64)
        parts.append(_polyline(x[index], y[index], _SYSTOLIC_MEAN, 2, None))
    if len(day):
        parts.append(f'<circle cx="{x[-1]}" cy="{y[-1]}" r="4" fill="{_SYSTOLIC_MEAN}"/>')
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - numbers only


def _within(series: Series | None, words: Words) -> Series:
    """The part of a series that the chart shows, so that nothing is drawn outside it or summed unseen."""
    if series is None:
        none = np.array([], dtype=np.int32)
        return Series(np.array([], dtype="datetime64[us]"), np.array([], dtype=np.float64), none, none)
    start = datetime.combine(words.today - timedelta(days=DAYS - 1), time(), words.zone).astimezone(UTC)
    end = words.now.astimezone(UTC)
    keep = (series.at >= np.datetime64(start.replace(tzinfo=None))) & (
        series.at <= np.datetime64(end.replace(tzinfo=None))
    )
    return Series(series.at[keep], series.value[keep], series.quality[keep], series.device_id[keep])


def _range(upper: Series, lower: Series, target: Target) -> tuple[int, int]:
    """From 20 to 20, wide enough for every value and for the target."""
    low = min(float(lower.value.min(initial=50)), target.diastolic_low - 5, 50)
    high = max(float(upper.value.max(initial=170)), target.systolic_high + 10, 170)
    return int(low // 20 * 20), int(-(-high // 20) * 20)


def _head(frame: Frame, name: str, words: Words, description: str) -> str:
    title = escape(words.gettext("Blood pressure of the last 90 days"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {frame.width} {frame.height}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc" font-family="system-ui, sans-serif" font-size="{frame.letters}" fill="{_INK}">'
        f'<title id="{name}-title">{title}</title><desc id="{name}-desc">{escape(description)}</desc>'
    )


def _bands(scale: _Scale, target: Target) -> list[str]:
    spans = ((target.systolic_low, target.systolic_high), (target.diastolic_low, target.diastolic_high))
    parts = [part for low, high in spans for part in _band(scale, low, high)]
    if scale.frame is WIDE:
        named = scale.words.gettext("target")
        parts += [
            _text(
                scale.frame.left + 8,
                scale.y_of(low) - 6,
                f"{named} {scale.words.number(low)}-{scale.words.number(high)}",
                scale.frame,
                "start",
                colour=_EDGE_TEXT,
            )
            for low, high in spans
        ]
    return parts


def _band(scale: _Scale, low: float, high: float) -> list[str]:
    frame, top, bottom = scale.frame, scale.y_of(high), scale.y_of(low)
    right = frame.left + scale.plot_width
    return [
        f'<rect x="{frame.left}" y="{top}" width="{scale.plot_width}" height="{bottom - top}" fill="{_BAND}"/>',
        f'<path d="M{frame.left} {top}H{right}M{frame.left} {bottom}H{right}" stroke="{_EDGE}" stroke-dasharray="2 4" fill="none"/>',
    ]


def _grid(scale: _Scale) -> list[str]:
    frame = scale.frame
    right = frame.left + scale.plot_width
    levels = range(scale.low + 20, scale.high + 1, 20)
    rules = "".join(f"M{frame.left} {scale.y_of(level)}H{right}" for level in levels)
    parts = [f'<path d="{rules}M{frame.left} {scale.floor}H{right}" stroke="{_GRID}" fill="none"/>']
    parts += [
        _text(frame.left - 7, scale.y_of(level) + frame.letters // 3, str(level), frame, "end") for level in levels
    ]
    return parts + _calendar(scale)


def _calendar(scale: _Scale) -> list[str]:
    """A tick and the day of the month at each Monday, the month's name where it begins."""
    frame, words = scale.frame, scale.words
    step = 1 if scale.plot_width > 700 else 2
    mondays = [n for n in range(scale.days) if (scale.first + timedelta(days=n)).weekday() == 0]
    ticks = "".join(f"M{scale.x_left(n)} {frame.top}V{scale.floor + 6}" for n in mondays)
    parts = [f'<path d="{ticks}" stroke="{_GRID}" fill="none"/>']
    for n in mondays[::-1][::step]:
        day = scale.first + timedelta(days=n)
        label = f"{words.weekday(day)} {day.day}" if step == 1 else str(day.day)
        parts.append(_text(scale.x_left(n), scale.floor + frame.letters + 6, label, frame, "middle"))
    return parts + _months(scale)


def _months(scale: _Scale) -> list[str]:
    starts = [n for n in range(scale.days) if n == 0 or (scale.first + timedelta(days=n)).day == 1]
    parts = []
    for n, following in zip(starts, [*starts[1:], scale.days], strict=True):
        if following - n < 9:
            continue
        x = scale.x_left(n)
        y = round(scale.floor + scale.frame.letters * 2.6)
        day = scale.first + timedelta(days=n)
        parts.append(_text(x + 5, y + 6, scale.words.month(day), scale.frame, "start", weight="600"))
        if n:
            parts.append(f'<path d="M{x} {scale.frame.top}V{y + 8}" stroke="#b9ad9a" fill="none"/>')
    return parts


def _dots(scale: _Scale, series: Series, colour: str, cap: str, width: int) -> list[str]:
    """All measurements as one path of zero-length strokes with caps: six bytes a point."""
    if not len(series.value):
        return []
    x, y = scale.x(series.at), scale.y(series.value)
    dx, dy = np.diff(x), np.diff(y)
    steps = "".join(f"m{a}{b if b < 0 else f' {b}'}h0" for a, b in zip(dx.tolist(), dy.tolist(), strict=True))
    return [
        f'<path d="M{x[0]} {y[0]}h0{steps}" stroke="{colour}" stroke-width="{width}" stroke-linecap="{cap}" fill="none"/>'
    ]


def _mean_line(scale: _Scale, series: Series, colour: str, label: str, dashes: str | None) -> list[str]:
    if not len(series.value):
        return []
    means = trailing_means(scale.day_of(series.at), series.value)
    parts = []
    for stretch in means.stretches():
        x, y = scale.x_of_day(stretch.day.astype(np.float64) + 0.5), scale.y(stretch.value)
        parts.append(_polyline(x, y, colour, 3, dashes))
    if scale.frame.right > 40:
        y_last = scale.y_of(float(means.value[-1]))
        x_text = scale.frame.width - scale.frame.right + 8
        parts.append(_text(x_text, y_last - 2, label, scale.frame, "start", colour=colour))
        parts.append(
            _text(
                x_text,
                y_last + scale.frame.letters,
                f"{means.value[-1]:.0f}",
                scale.frame,
                "start",
                colour=colour,
                weight="700",
            )
        )
    return parts


def _polyline(x: NDArray[np.int64], y: NDArray[np.int64], colour: str, width: int, dashes: str | None) -> str:
    points = " ".join(f"{a},{b}" for a, b in zip(x.tolist(), y.tolist(), strict=True))
    dash = f' stroke-dasharray="{dashes}"' if dashes else ""
    if len(x) == 1:
        points = f"{points} {points}"
    return (
        f'<polyline points="{points}" stroke="{colour}" stroke-width="{width}" stroke-linejoin="round" '
        f'stroke-linecap="{"butt" if dashes else "round"}"{dash} fill="none"/>'
    )


def _text(
    x: int, y: int, text: str, frame: Frame, anchor: str, *, colour: str = _INK, weight: str | None = None
) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    fill = f' fill="{colour}"' if colour != _INK else ""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{fill}{bold}>{escape(text)}</text>'


def _description(upper: Series, lower: Series, target: Target, words: Words, scale: _Scale) -> str:
    """The chart in words, for those who hear it."""
    if not len(upper.value) or not len(lower.value):
        return words.gettext("Nothing measured in these 90 days")
    means = [trailing_means(scale.day_of(s.at), s.value).value[-1] for s in (upper, lower)]
    return words.gettext(
        "%(count)s measurements. Mean of the last seven measured days %(systolic)s/%(diastolic)s mmHg; target %(low)s-%(high)s systolic, "
        "%(dlow)s-%(dhigh)s diastolic. Systolic between %(least)s and %(most)s.",
        count=len(upper.value),
        systolic=words.number(float(means[0])),
        diastolic=words.number(float(means[1])),
        low=words.number(target.systolic_low),
        high=words.number(target.systolic_high),
        dlow=words.number(target.diastolic_low),
        dhigh=words.number(target.diastolic_high),
        least=words.number(float(upper.value.min())),
        most=words.number(float(upper.value.max())),
    )
