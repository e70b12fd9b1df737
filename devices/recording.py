"""Raw acceleration around an event: what a wearable felt, for whoever wants to see why a fall was or was not believed.

Packed for disk and wire: differences from sample to sample, deflated. Pure.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MOST_SAMPLES: Final = 30_000
"""Sixty seconds at 500 Hz, the fastest of the wearables we know; five times what surrounds a fall."""
HIGHEST_RATE_HZ: Final = 2_000.0
_AXES: Final = 3
_SAMPLE: Final = np.dtype("<i2")


class RecordingError(ValueError):
    """This is no recording; the text says why."""


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """One stretch of acceleration without gaps.

    ``device`` is the Bluetooth address in upper case, ``started_at`` the instant of the first sample (UTC), ``samples``
    of shape ``(n, 3)``: x, y, z in mg, ``int16``. ``reason`` is the metric around which it was cut, such as ``fall``.
    The key is (device, started_at). Raises :class:`RecordingError` for another shape or too much of it.
    """

    device: str
    started_at: datetime
    rate_hz: float
    samples: NDArray[np.int16]
    reason: str

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.shape[1] != _AXES or self.samples.dtype != np.int16:
            raise RecordingError(f"samples are (n, 3) int16, not {self.samples.shape} {self.samples.dtype}")
        if not 0 < len(self.samples) <= MOST_SAMPLES:
            raise RecordingError(f"a recording holds 1 to {MOST_SAMPLES} samples, not {len(self.samples)}")
        if not 0 < self.rate_hz <= HIGHEST_RATE_HZ:
            raise RecordingError(f"a rate lies above 0 and up to {HIGHEST_RATE_HZ:g} Hz, not at {self.rate_hz}")


def pack(samples: NDArray[Any]) -> bytes:
    """Samples of shape ``(n, 3)`` in mg as bytes, about half as many as they take plain."""
    plain = samples.astype(np.int16)
    # Differences wrap at 16 bits, and wrap back when they are summed: nothing is lost.
    steps = np.diff(plain, axis=0, prepend=np.zeros((1, _AXES), np.int16))
    return zlib.compress(steps.astype(_SAMPLE).tobytes(), 9)


def unpack(packed: bytes) -> NDArray[np.int16]:
    """The samples :func:`pack` was given. Raises :class:`RecordingError` for anything else, however large it would be."""
    most = MOST_SAMPLES * _AXES * _SAMPLE.itemsize
    inflater = zlib.decompressobj()
    try:
        plain = inflater.decompress(packed, most + 1)
    except zlib.error as error:
        raise RecordingError(f"the samples are not deflated as they should be: {error}") from error
    if len(plain) > most:
        raise RecordingError(f"a recording holds at most {MOST_SAMPLES} samples")
    if not inflater.eof or inflater.unused_data:
        raise RecordingError("the samples end too early or are followed by something else")
    if not plain or len(plain) % (_AXES * _SAMPLE.itemsize):
        raise RecordingError(f"{len(plain)} bytes are no whole number of samples")
    steps = np.frombuffer(plain, _SAMPLE).reshape(-1, _AXES)
    return np.add.accumulate(steps, axis=0, dtype=np.int16)
