"""Raw acceleration is packed without loss, and nothing that is no recording is taken for one."""

from __future__ import annotations

import zlib
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from devices.recording import MOST_SAMPLES, Recording, RecordingError, pack, unpack

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
SAMPLES = arrays.arrays(np.int16, st.tuples(st.integers(1, 200), st.just(3)))


def quiet_sitting(seconds: int = 12, rate_hz: int = 50) -> NDArray[np.int16]:
    upright_mg = np.array([0, 0, 1000])
    return np.random.default_rng(1).normal(upright_mg, 15, (seconds * rate_hz, 3)).astype(np.int16)


@given(SAMPLES)
def test_what_is_packed_comes_out_the_same(samples: NDArray[np.int16]) -> None:
    assert np.array_equal(unpack(pack(samples)), samples)


@given(st.binary(max_size=300))
def test_any_bytes_are_samples_or_a_named_error(packed: bytes) -> None:
    try:
        samples = unpack(packed)
    except RecordingError:
        return
    assert samples.shape[1] == 3


@given(st.binary(max_size=300))
def test_any_deflated_bytes_are_samples_or_a_named_error(plain: bytes) -> None:
    try:
        samples = unpack(zlib.compress(plain))
    except RecordingError:
        assert len(plain) % 6 or not plain
    else:
        assert len(samples) * 6 == len(plain)


def test_twelve_seconds_take_little_room() -> None:
    samples = quiet_sitting()
    assert len(pack(samples)) < 0.75 * samples.nbytes


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (b"", "end too early"),
        (zlib.compress(b""), "no whole number"),
        (zlib.compress(bytes(7)), "no whole number"),
        (zlib.compress(bytes(6))[:-1], "end too early"),
        (zlib.compress(bytes(6)) + b"more", "something else"),
        (zlib.compress(bytes(100_000_000)), "at most"),
        (b"\xff\xff", "not deflated"),
    ],
)
def test_what_is_no_recording_is_refused_in_words(packed: bytes, words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        unpack(packed)


@pytest.mark.parametrize(
    ("samples", "rate_hz", "words"),
    [
        (np.zeros((0, 3), np.int16), 50, "holds 1 to"),
        (np.zeros((MOST_SAMPLES + 1, 3), np.int16), 50, "holds 1 to"),
        (np.zeros((9, 2), np.int16), 50, "are .n, 3."),
        (np.zeros((9, 3), np.int32), 50, "are .n, 3."),
        (np.zeros((9, 3), np.int16), 0, "above 0"),
        (np.zeros((9, 3), np.int16), float("nan"), "above 0"),
    ],
)
def test_a_recording_of_another_shape_cannot_be_made(samples: NDArray[np.int16], rate_hz: float, words: str) -> None:
    with pytest.raises(RecordingError, match=words):
        Recording("C0:00:00:00:00:01", NOW, rate_hz, samples, "fall")
