"""What the streams of every wearable share: samples of three axes, in g, and the integers they are sent as."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from devices.gatt.errors import DecodeError

Samples = npt.NDArray[np.float64]
"""Acceleration of shape (n, 3): x, y, z in g."""

AXES: Final = 3
HIGHEST_G: Final = 100.0
"""More than any of these sensors feels: they end at 16 g."""


def in_g(data: bytes, dtype: str, per_g: float) -> Samples:
    """Whole samples of ``dtype`` (numpy's name), of which ``per_g`` make 1 g.

    Raises :class:`DecodeError` for none, for part of one, and for what no sensor feels.
    """
    size = AXES * np.dtype(dtype).itemsize
    if not data or len(data) % size:
        raise DecodeError("bad_length", f"{len(data)} bytes are no whole samples of {size}")
    return plausible(np.frombuffer(data, dtype).reshape(-1, AXES).astype(np.float64) / per_g)


def plausible(samples: Samples) -> Samples:
    """These samples. Raises :class:`DecodeError` when one is no finite number, or more than a sensor feels."""
    if not np.isfinite(samples).all():
        raise DecodeError("no_value", "an acceleration that is no number")
    if np.abs(samples).max(initial=0.0) > HIGHEST_G:
        raise DecodeError("implausible", f"an acceleration of {np.abs(samples).max():g} g: this is something else")
    return samples


def in_counts(samples: Samples, dtype: str, per_g: float) -> npt.NDArray[Any]:
    """Samples as a device's integers, cut off where its numbers end."""
    ends = np.iinfo(dtype)
    return np.clip(np.rint(samples * per_g), ends.min, ends.max).astype(dtype)
