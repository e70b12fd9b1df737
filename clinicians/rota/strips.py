"""Fourteen days of a roster as a drawing: who is on duty when, and where nobody is. Pure.

As in :mod:`clinicians.charts`: presentation attributes only, said in words in its description, and the same in words
beside it. Days are as wide as each other; a day of 23 or 25 hours is drawn to its own length, so nothing is shifted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from markupsafe import Markup, escape

from clinicians.words import Words

DAYS: Final = 14
COLOURS: Final = (
    "#c9e0f3", "#fadcae", "#cfe9cb", "#f4cfdb", "#dbd2f1", "#c6e9e7", "#f3e69c", "#e8d6c1", "#d3dae4", "#f8cdbb",
)  # fmt: skip
"""Pale enough for dark letters (over 10:1), each told from its neighbours by the name that stands in it too."""

_INK, _GRID, _HALF, _GAP, _AWAY, _NOW = "#3b352d", "#b9ad9b", "#e9e2d6", "#a80f1c", "#e4e0da", "#9a3b12"
_NARROW_LETTER, _WIDE_LETTER = 0.58, 1.02
"""How wide a Latin and a Chinese letter are, in parts of their height."""


@dataclass(frozen=True, slots=True)
class Band:
    """From ``start`` to ``end`` this person is on duty (``colour`` is hers), or is ``away`` though her duty it is.

    Without a ``name`` nobody is, which ``short`` says. ``lane`` of ``lanes`` tells those apart who are on duty together.
    """

    start: datetime
    end: datetime
    name: str = ""
    short: str = ""
    colour: int = 0
    lane: int = 0
    lanes: int = 1
    away: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """The same at two widths."""

    wide: Markup
    narrow: Markup


@dataclass(frozen=True, slots=True)
class _Frame:
    """The size of a drawing in its own units: so many days to a row, and room for their names at the left or above."""

    width: int
    days: int
    row: int
    letters: int
    left: int
    above: int


_WIDE: Final = _Frame(width=1040, days=7, row=46, letters=15, left=0, above=24)
_NARROW: Final = _Frame(width=366, days=1, row=30, letters=15, left=76, above=0)
_AXIS: Final = 20


def draw(bands: Sequence[Band], first: date, description: str, words: Words) -> Drawing:
    """The ``DAYS`` days from ``first`` on the centre's clock; ``description`` says in a sentence what is to be seen."""
    return Drawing(_drawn(_WIDE, bands, first, description, words), _drawn(_NARROW, bands, first, description, words))


def midnight(day: date, words: Words) -> datetime:
    """When a day begins at the centre, in UTC: lengths are counted there, where no hour is lost or doubled."""
    return datetime.combine(day, time(), words.zone).astimezone(UTC)


def _drawn(frame: _Frame, bands: Sequence[Band], first: date, description: str, words: Words) -> Markup:
    rows = -(-DAYS // frame.days)
    top = _AXIS if frame.left else 0
    height = top + rows * (frame.row + frame.above)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {frame.width} {height}" role="img" '
            f'aria-label="{escape(description)}" font-family="inherit" font-size="{frame.letters}" fill="{_INK}">'
        )
    ]
    if frame.left:
        parts += _hours(frame)
    for number in range(rows):
        y = top + number * (frame.row + frame.above) + frame.above
        for column in range(frame.days):
            parts += _day(frame, bands, first + timedelta(days=number * frame.days + column), column, y, words)
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - every text in it is escaped


def _hours(frame: _Frame) -> Iterator[str]:
    for hour in (0, 6, 12, 18):
        x = frame.left + hour / 24 * (frame.width - frame.left)
        yield f'<text x="{x:.1f}" y="{_AXIS - 6}" fill="{_INK}">{hour:02}</text>'


def _day(frame: _Frame, bands: Sequence[Band], day: date, column: int, y: int, words: Words) -> Iterator[str]:
    width = (frame.width - frame.left) / frame.days
    left, start, end = frame.left + column * width, midnight(day, words), midnight(day + timedelta(days=1), words)
    title = escape(f"{words.weekday(day)} {day.day}")
    weight = ' font-weight="700"' if day == words.today else ""
    if frame.left:
        yield f'<text x="0" y="{y + frame.row * 0.66:.0f}"{weight}>{title}</text>'
    else:
        yield f'<text x="{left + 4:.1f}" y="{y - 7}"{weight}>{title}</text>'
    for quarter in (1, 2, 3):
        x = left + width * quarter / 4
        yield f'<path d="M{x:.1f} {y}v{frame.row - 4}" stroke="{_HALF}" stroke-width="1"/>'
    for band in bands:
        if band.start < end and band.end > start:
            from_, until = max(band.start, start), min(band.end, end)
            x1, x2 = (left + width * ((moment - start) / (end - start)) for moment in (from_, until))
            yield from _band(frame, band, x1, x2, y)
    yield f'<path d="M{left:.1f} {y - (frame.above and 18)}v{frame.row - 4 + (frame.above and 18)}" stroke="{_GRID}"/>'
    if start <= words.now < end:
        x = left + width * ((words.now - start) / (end - start))
        yield f'<path d="M{x:.1f} {y - 3}v{frame.row + 2}" stroke="{_NOW}" stroke-width="3"/>'


def _band(frame: _Frame, band: Band, x1: float, x2: float, y: int) -> Iterator[str]:
    lane = (frame.row - 4) / band.lanes
    top, width = y + band.lane * lane, max(x2 - x1 - 1, 1)
    fill = _AWAY if band.away else COLOURS[band.colour % len(COLOURS)] if band.name else _GAP
    yield f'<rect x="{x1 + 0.5:.1f}" y="{top:.1f}" width="{width:.1f}" height="{lane - 1:.1f}" fill="{fill}" rx="3"/>'
    if band.away:
        yield f'<path d="M{x1 + 2:.1f} {top + lane / 2:.1f}h{max(width - 3, 1):.1f}" stroke="{_INK}"/>'
    letters = min(frame.letters, lane - 3)
    text = _fitting(band, width - 6, letters)
    if text and letters >= 9:
        ink = _INK if band.name else "#fff"
        weight = "" if band.name else ' font-weight="700"'
        yield (
            f'<text x="{x1 + width / 2:.1f}" y="{top + lane / 2 + letters * 0.36:.1f}" font-size="{letters:.0f}" '
            f'text-anchor="middle" fill="{ink}"{weight}>{escape(text)}</text>'
        )


def _fitting(band: Band, room: float, letters: float) -> str:
    """The name, its short form, or nothing: whichever has room."""
    texts = (band.name, band.short) if band.name else (band.short, "!")
    return next((text for text in texts if _length(text) * letters <= room), "")


def _length(text: str) -> float:
    return sum(_WIDE_LETTER if ord(letter) > 0x2E80 else _NARROW_LETTER for letter in text)
