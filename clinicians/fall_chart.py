"""The seconds around a blow as a drawing: how hard the wearable was pushed, from moment to moment. Pure.

What is drawn is the length of the acceleration vector in g: 1 g at rest, less in free fall, a peak at the blow. As in
:mod:`clinicians.charts`: presentation attributes only, said in words in its description, and a table beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

from clinicians.words import Words

_WIDTH, _HEIGHT, _LETTERS = 370, 250, 16
_LEFT, _RIGHT, _TOP, _BOTTOM = 34, 8, 32, 54
_INK, _GRID, _REST, _LINE, _BLOW = "#3b352d", "#e3dccf", "#5d8a63", "#134a6b", "#8a3008"
_REST_TEXT: Final = "#2f5d37"
_MOST_COLUMNS: Final = 300
_NEAR_S: Final = 0.25
_LEAST_TOP_G: Final = 3.0
_MILLI: Final = 1000.0
_REACHES_MG: Final = (2_000, 4_000, 8_000, 16_000)
# A range is true to a few parts in a hundred; a peak that is none of its end is not flat.
_END_SHARE, _FLAT_SHARE, _FLAT = 0.03, 0.002, 2


@dataclass(frozen=True, slots=True, eq=False)
class Felt:
    """The acceleration around a blow: ``at_s`` in seconds from the blow, ``g`` its magnitude, both ``(n,)``."""

    at_s: NDArray[np.float64]
    g: NDArray[np.float64]

    @property
    def blow_g(self) -> float:
        """How hard the blow was; it stands at 0 s."""
        return float(self.g[int(np.abs(self.at_s).argmin())])


@dataclass(frozen=True, slots=True)
class Second:
    """One second of it, for the table: half of it before ``at_s`` and half after; the least and the most in g."""

    at_s: int
    least_g: float
    most_g: float


def felt(samples: NDArray[np.int16], rate_hz: float, blow_s: float) -> Felt:
    """From samples ``(n, 3)`` in mg; ``blow_s`` is when the blow was told, from the first sample: the peak there is 0 s."""
    milli = samples.astype(np.float64)
    g = np.sqrt((milli * milli).sum(axis=1)) / _MILLI
    near = max(round(_NEAR_S * rate_hz), 1)
    middle = min(max(round(blow_s * rate_hz), 0), len(g) - 1)
    first = max(middle - near, 0)
    blow = first + int(g[first : middle + near + 1].argmax())
    return Felt((np.arange(len(g)) - blow) / rate_hz, g)


def is_cut_off(samples: NDArray[np.int16]) -> bool:
    """Whether the sensor could not feel how hard it was: an axis stood at the end of a sensor's usual range."""
    size = np.abs(samples.astype(np.int32))
    most = int(size.max())
    at_an_end = any(abs(most - reach) <= _END_SHARE * reach for reach in _REACHES_MG)
    return at_an_end and bool(((size >= most * (1 - _FLAT_SHARE)).sum(axis=0) >= _FLAT).any())


def seconds(around: Felt) -> list[Second]:
    """Second by second, the blow in the middle of the one at 0."""
    number = np.floor(around.at_s + 0.5).astype(np.int64)
    pieces = np.split(around.g, np.flatnonzero(np.diff(number)) + 1)
    return [Second(int(n), float(g.min()), float(g.max())) for n, g in zip(np.unique(number), pieces, strict=True)]


def draw(around: Felt, words: Words, name: str) -> Markup:
    """The chart. ``name`` makes the identifiers in the page unique."""
    scale = _Scale(around)
    parts = [_head(around, words, name)]
    parts += _grid(scale, words)
    parts.append(_course(scale, around))
    parts += _blow(scale, words)
    parts.append("</svg>")
    return Markup("".join(parts))  # noqa: S704 - every word in it is escaped by _text and _head


class _Scale:
    def __init__(self, around: Felt) -> None:
        self.first, self.last = float(around.at_s[0]), max(float(around.at_s[-1]), float(around.at_s[0]) + 1.0)
        self.top = float(np.ceil(max(float(around.g.max()) * 1.05, _LEAST_TOP_G)))

    def x(self, at_s: float) -> float:
        return _LEFT + (at_s - self.first) / (self.last - self.first) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, g: float) -> float:
        return _TOP + (self.top - g) / self.top * (_HEIGHT - _TOP - _BOTTOM)


def _head(around: Felt, words: Words, name: str) -> str:
    title, said = escape(words.gettext("Movement around the blow")), escape(_description(around, words))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc" font-family="system-ui, sans-serif" font-size="{_LETTERS}" fill="{_INK}">'
        f'<title id="{name}-title">{title}</title><desc id="{name}-desc">{said}</desc>'
    )


def _description(around: Felt, words: Words) -> str:
    before, after = around.g[around.at_s < -0.5], around.g[around.at_s > 1.0]
    parts = [words.gettext("The blow: %(g)s g.", g=words.number(around.blow_g, 1))]
    if len(before):
        parts.append(words.gettext("Before it %(low)s to %(high)s g.", **_span(before, words)))
    if len(after):
        parts.append(words.gettext("From one second after it %(low)s to %(high)s g.", **_span(after, words)))
    return words.sentences(parts)


def _span(g: NDArray[np.float64], words: Words) -> dict[str, str]:
    return {"low": words.number(float(g.min()), 1), "high": words.number(float(g.max()), 1)}


def _grid(scale: _Scale, words: Words) -> list[str]:
    floor, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    levels = range(0, int(scale.top) + 1, max(round(scale.top / 5), 1))
    times = range(int(np.ceil(scale.first)), int(np.floor(scale.last)) + 1)
    times = times[::2] if len(times) <= 20 else times[:: len(times) // 8]
    rules = "".join(f"M{_LEFT} {scale.y(g):.0f}H{right}" for g in levels)
    ticks = "".join(f"M{scale.x(s):.0f} {floor}v6" for s in times)
    return [
        f'<path d="{rules}{ticks}" stroke="{_GRID}" fill="none"/>',
        *(_text(_LEFT - 6, scale.y(g) + 5, str(g), "end") for g in levels),
        *(_text(scale.x(s), floor + 22, str(s), "middle") for s in times),
        _text(_LEFT, _TOP - 12, words.gettext("g"), "end"),
        _text((_LEFT + right) / 2, _HEIGHT - 8, words.gettext("seconds from the blow"), "middle"),
        f'<path d="M{_LEFT} {scale.y(1):.0f}H{right}" stroke="{_REST}" stroke-dasharray="2 4" fill="none"/>',
        _text(right, scale.y(1) - 7, words.gettext("at rest"), "end", colour=_REST_TEXT),
    ]


def _course(scale: _Scale, around: Felt) -> str:
    at, g = _thinned(around)
    x = np.rint(np.array([scale.x(s) for s in at])).astype(int)
    y = np.rint(np.array([scale.y(v) for v in g])).astype(int)
    steps = "".join(f"l{a}{b if b < 0 else f' {b}'}" for a, b in zip(np.diff(x), np.diff(y), strict=True))
    return f'<path d="M{x[0]} {y[0]}{steps}" stroke="{_LINE}" stroke-width="2" stroke-linejoin="round" fill="none"/>'


def _thinned(around: Felt) -> tuple[Sequence[float], Sequence[float]]:
    """No more points than can be told apart: of each piece the least and the most, in their order."""
    piece = -(-len(around.g) // _MOST_COLUMNS)
    if piece < 3:
        return around.at_s.tolist(), around.g.tolist()
    kept: set[int] = {0, len(around.g) - 1}
    for start in range(0, len(around.g), piece):
        part = around.g[start : start + piece]
        kept |= {start + int(part.argmin()), start + int(part.argmax())}
    index = np.array(sorted(kept))
    return around.at_s[index].tolist(), around.g[index].tolist()


def _blow(scale: _Scale, words: Words) -> list[str]:
    x = scale.x(0.0)
    anchor = "start" if x < _WIDTH * 0.7 else "end"
    return [
        f'<path d="M{x:.0f} {_TOP - 6}V{_HEIGHT - _BOTTOM}" stroke="{_BLOW}" stroke-width="2" stroke-dasharray="6 4" fill="none"/>',
        _text(x, _TOP - 12, words.gettext("the blow"), anchor, colour=_BLOW, weight="700"),
    ]


def _text(x: float, y: float, text: str, anchor: str, *, colour: str = _INK, weight: str | None = None) -> str:
    bold = f' font-weight="{weight}"' if weight else ""
    fill = f' fill="{colour}"' if colour != _INK else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{fill}{bold}>{escape(text)}</text>'
