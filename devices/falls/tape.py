"""The last seconds of a stream, so that what surrounds a fall can be kept. Pure."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from devices.falls.features import AFTER_S, Samples

BEFORE_S: Final = 4.0
"""How much before an impact is kept."""

_TOLD_AFTER_S: Final = AFTER_S + 2.0  # by then a fall was told, or is none


class Clip(NamedTuple):
    """Samples, (n, 3), of which the first has this index since the last reset."""

    first: int
    samples: Samples


class Tape:
    """Holds what a clip of four seconds before an impact and eight after it may need."""

    def __init__(self, rate_hz: int) -> None:
        self._before = round(BEFORE_S * rate_hz)
        self._after = round(AFTER_S * rate_hz)
        self._kept_for = round((BEFORE_S + _TOLD_AFTER_S) * rate_hz)
        self._kept: Samples = np.empty((0, 3))
        self._first = 0
        self._wanted: list[int] = []

    def add(self, samples: Samples) -> None:
        """Record the next samples."""
        self._kept = np.concatenate([self._kept, samples])
        keep_from = min([self._end - self._kept_for, *(i - self._before for i in self._wanted)])
        drop = max(keep_from - self._first, 0)
        self._kept, self._first = self._kept[drop:], self._first + drop

    def want(self, impact: int) -> None:
        """A clip around this index is to be cut when its last sample has come."""
        self._wanted.append(impact)

    def ready(self) -> list[Clip]:
        """The clips that are whole by now, each given once."""
        whole = [i for i in self._wanted if i + self._after <= self._end]
        self._wanted = [i for i in self._wanted if i + self._after > self._end]
        return [self._clip(i) for i in whole]

    def stop(self) -> list[Clip]:
        """The stream is interrupted: what there is of the clips still wanted, and begin anew."""
        clips = [self._clip(i) for i in self._wanted]
        self._kept, self._first, self._wanted = np.empty((0, 3)), 0, []
        return clips

    @property
    def _end(self) -> int:
        return self._first + len(self._kept)

    def _clip(self, impact: int) -> Clip:
        first = max(impact - self._before, self._first)
        return Clip(first, self._kept[first - self._first : impact + self._after - self._first].copy())
