"""What the streams of every wearable share: samples of three axes, in g, and the integers they are sent as."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from devices.gatt.errors import DecodeError

Samples = npt.NDArray[np.float64]
"""Acceleration of shape (n, 3): x, y, z in g."""

AXES: Final = 3


def in_g(data: bytes, dtype: str, per_g: float) -> Samples:
    """Whole samples of ``dtype`` (numpy's name), of which ``per_g`` make 1 g.

    Raises :class:`DecodeError` for none, for part of one, and for numbers that are not finite.
    """
    size = AXES * np.dtype(dtype).itemsize
    if not data or len(data) % size:
        raise DecodeError("bad_length", f"{len(data)} bytes are no whole samples of {size}")
    samples = np.frombuffer(data, dtype).reshape(-1, AXES) / per_g
    if not np.isfinite(samples).all():
        raise DecodeError("no_value", "an acceleration that is no number")
    return samples.astype(np.float64)


def in_counts(samples: Samples, dtype: str, per_g: float) -> npt.NDArray[Any]:
    """Samples as a device's integers, cut off where its numbers end."""
    ends = np.iinfo(dtype)
    return np.clip(np.rint(samples * per_g), ends.min, ends.max).astype(dtype)
