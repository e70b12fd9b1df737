"""Recordings of falls and of daily life, in a plain open format: one npz file without pickle, read piece by piece.

``acc`` (N, 3) × ``scale`` is the acceleration of all recordings in g, ``fs`` the rate in Hz, ``start`` and ``length`` where
each recording lies in it, in samples. One entry per recording, or one for all: ``is_fall``, ``subject``, ``activity``,
``trial``, ``elderly``, ``position``, and ``onset_s`` and ``end_s`` of the fall (NaN where nobody knows). ``meta`` is
free text. Only ``acc``, ``fs``, ``is_fall`` and one of ``start`` and ``length`` must be there; other columns are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, Final, cast
from zipfile import BadZipFile, ZipFile

import numpy as np
import numpy.typing as npt

from devices.falls.features import Samples

_PIECE: Final = 1 << 16
"""So many samples are in memory at once: a recording may last for weeks."""
_FINEST_G: Final = 0.001
_LARGEST: Final = np.iinfo(np.int16).max
_HEADERS: Final = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_PLACES: Final = {
    "wrist": ("wrist", "watch", "hand", "forearm"),
    "pocket": ("pocket", "thigh", "trouser"),
    "waist": ("waist", "belt", "hip", "lumbar", "back", "pelvis"),
    "chest": ("chest", "sternum", "torso", "trunk", "neck", "pendant"),
}


class RecordingsError(ValueError):
    """This is no file of recordings, or not a usable one; the text says which column is wrong and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class About:
    """Who did what in one recording. ``rate_hz`` in Hz; ``onset_s`` and ``end_s`` of the fall in seconds from its start.

    ``position`` is one of the detector's where the file's word for it is known, else that word; "" when it says nothing.
    """

    rate_hz: float
    subject: str
    activity: str
    trial: int
    is_fall: bool
    elderly: bool
    position: str
    onset_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial(About):
    """One recording: ``samples`` (n, 3) in g, taken evenly at ``rate_hz``."""

    samples: Samples


def read(path: Path) -> list[Trial]:
    """All recordings of a file, in memory. Raises :class:`RecordingsError`."""
    with Recordings(path) as file:
        return [file.trial(index) for index in range(len(file.abouts))]


def write(path: Path, trials: Sequence[Trial], meta: str) -> None:
    """Write recordings, to a thousandth of g where they stay within ±32 g. A centre's own may be trained on and judged."""
    if not trials:
        raise RecordingsError("there is no recording to write")
    lengths = np.array([len(t.samples) for t in trials], np.int64)
    samples = np.concatenate([t.samples for t in trials])
    scale = max(_FINEST_G, float(np.abs(samples).max(initial=0.0)) / _LARGEST)
    rates = {t.rate_hz for t in trials}
    columns: dict[str, Any] = {
        "acc": np.round(samples / scale).astype(np.int16),
        "scale": scale,
        "fs": rates.pop() if len(rates) == 1 else [t.rate_hz for t in trials],
        "start": np.cumsum(lengths) - lengths,
        "length": lengths,
        "meta": meta,
    }
    for name in ("subject", "activity", "trial", "is_fall", "elderly", "position"):
        columns[name] = [getattr(t, name) for t in trials]
    for name in ("onset_s", "end_s"):
        columns[name] = [np.nan if (s := getattr(t, name)) is None else s for t in trials]
    with path.open("wb") as file:
        np.savez_compressed(file, **columns)


def place(word: str) -> str:
    """The detector's word for where a sensor is worn: "right trouser pocket" is a pocket. The word itself when unknown."""
    plain = word.strip().lower()
    return next((name for name, signs in _PLACES.items() if any(sign in plain for sign in signs)), plain)


class Recordings(AbstractContextManager["Recordings"]):
    """An open file of recordings. ``abouts`` and ``lengths`` (samples) have one entry for each of them.

    Samples are read when they are asked for, and quickest in the order in which they lie in the file (``order``).
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        try:
            self._archive = ZipFile(path)
        except (OSError, BadZipFile) as error:
            raise RecordingsError(f"{path} cannot be read as npz: {error}") from None
        self._columns = columns = _Columns(self._archive, path)
        self._rows = _Rows(self._archive, path)
        self._starts, self.lengths = _bounds(columns, self._rows.count)
        self._scale = columns.scale(self._rows.whole_numbers)
        self.abouts: Final = _abouts(columns, len(self.lengths))
        self.order: Final[list[int]] = np.argsort(self._starts, kind="stable").tolist()

    def __exit__(self, *_: object) -> None:
        self._archive.close()

    @property
    def meta(self) -> str:
        """What the file says of itself, "" when that is nothing."""
        return self._columns.text("meta")

    def seconds(self, index: int) -> float:
        """How long a recording lasts."""
        return float(self.lengths[index] / self.abouts[index].rate_hz)

    def pieces(self, index: int) -> Iterator[Samples]:
        """The samples of a recording, (n, 3) in g, piece by piece."""
        first = int(self._starts[index])
        end = first + int(self.lengths[index])
        for start in range(first, end, _PIECE):
            yield self._rows.read(start, min(start + _PIECE, end)) * self._scale

    def trial(self, index: int) -> Trial:
        """A recording with all its samples."""
        about = self.abouts[index]
        samples = np.concatenate([np.empty((0, 3)), *self.pieces(index)])
        return Trial(samples=samples, **{f.name: getattr(about, f.name) for f in fields(About)})


class _Rows:
    """The rows of ``acc``, read where they lie, so that a file of weeks needs no more memory than one of minutes."""

    def __init__(self, archive: ZipFile, path: Path) -> None:
        if "acc.npy" not in archive.namelist():
            raise RecordingsError(f"{path}: column acc is missing; it holds the acceleration, (N, 3)")
        self._file: IO[bytes] = archive.open("acc.npy")
        self._whole: npt.NDArray[Any] | None = None
        shape, by_columns, self._dtype = _header(self._file, path)
        if len(shape) != 2 or shape[1] != 3 or self._dtype.kind not in "iuf":
            raise RecordingsError(f"{path}: column acc is {self._dtype} {shape}; numbers of shape (N, 3) are expected")
        self.count: Final = shape[0]
        self.whole_numbers: Final = self._dtype.kind in "iu"
        self._begin = self._file.tell()
        if by_columns:
            flat = np.frombuffer(self._file.read(), self._dtype)
            self._whole = flat.reshape(3, -1).T

    def read(self, start: int, end: int) -> Samples:
        if self._whole is not None:
            return self._whole[start:end].astype(np.float64)
        row = 3 * self._dtype.itemsize
        self._file.seek(self._begin + start * row)
        return np.frombuffer(self._file.read((end - start) * row), self._dtype).reshape(-1, 3).astype(np.float64)


def _header(file: IO[bytes], path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        return _HEADERS[np.lib.format.read_magic(file)](file)
    except (KeyError, ValueError) as error:
        raise RecordingsError(f"{path}: column acc is no array: {error}") from None


class _Columns:
    """The small columns of a file."""

    def __init__(self, archive: ZipFile, path: Path) -> None:
        self._path = path
        self._names = {name.removesuffix(".npy") for name in archive.namelist()}
        self._archive = archive

    def get(self, name: str) -> npt.NDArray[Any] | None:
        if name not in self._names:
            return None
        try:
            with self._archive.open(f"{name}.npy") as file:
                return np.asarray(np.lib.format.read_array(file, allow_pickle=False))
        except ValueError as error:
            raise self.wrong(name, f"cannot be read without pickle: {error}") from None

    def numbers(self, name: str, count: int, default: float | None = None) -> npt.NDArray[np.float64]:
        """One number per recording."""
        values = self.get(name)
        if values is None:
            if default is None:
                raise self.wrong(name, "is missing")
            return np.full(count, default)
        if values.dtype.kind not in "biuf":
            raise self.wrong(name, f"is {values.dtype}; numbers are expected")
        return self._one_each(name, values.astype(np.float64), count)

    def words(self, name: str, count: int) -> list[str]:
        """One word per recording, "" when the file has none."""
        values = self.get(name)
        if values is None:
            return [""] * count
        if values.dtype.kind == "S":
            values = np.char.decode(values, "utf-8", "replace")
        return [str(word) for word in self._one_each(name, values, count)]

    def text(self, name: str) -> str:
        """Free text of all recordings, "" when the file has none."""
        try:
            values = self.get(name)
        except RecordingsError:  # of another kind: it is for people, and nothing depends on it
            return ""
        return "" if values is None or values.dtype.kind not in "US" else " ".join(self.words(name, values.size))

    def scale(self, whole_numbers: bool) -> npt.NDArray[np.float64]:
        """What ``acc`` is multiplied by to be g: one number, or one per axis."""
        scale = self.get("scale")
        if scale is None:
            if whole_numbers:
                raise self.wrong("scale", "is missing, and acc holds whole numbers: what is one of them in g?")
            return np.ones(1)
        if scale.dtype.kind not in "iuf" or scale.size not in (1, 3) or not (np.isfinite(scale) & (scale > 0)).all():
            raise self.wrong("scale", "is one number above 0, or one per axis")
        return scale.astype(np.float64).reshape(-1)

    def wrong(self, name: str, what: str) -> RecordingsError:
        return RecordingsError(f"{self._path}: column {name} {what}")

    def _one_each(self, name: str, values: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
        if values.size == 1:
            return np.full(count, values.reshape(-1)[0])
        if values.shape != (count,):
            raise self.wrong(name, f"has shape {values.shape}; one entry for each of {count} recordings is expected")
        return values


def _bounds(columns: _Columns, samples: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Where each recording begins and how many samples it has; either follows from the other."""
    starts, lengths = columns.get("start"), columns.get("length")
    if starts is None and lengths is None:
        raise columns.wrong("length", "is missing, and so is start: where does a recording end?")
    if lengths is None:
        lengths = np.diff(np.append(np.atleast_1d(cast("Any", starts)), samples))
    lengths = np.atleast_1d(lengths).astype(np.int64)
    starts = np.cumsum(lengths) - lengths if starts is None else np.atleast_1d(starts).astype(np.int64)
    if starts.ndim != 1 or starts.shape != lengths.shape:
        raise columns.wrong("start", f"has shape {starts.shape}, length {lengths.shape}; one entry each is expected")
    if (starts < 0).any() or (lengths < 0).any() or (starts + lengths > samples).any():
        raise columns.wrong("start", f"and length lead out of the {samples} samples of acc")
    return starts, lengths


def _abouts(columns: _Columns, count: int) -> list[About]:
    rates = columns.numbers("fs", count)
    if not (np.isfinite(rates) & (rates > 0)).all():
        raise columns.wrong("fs", "holds a rate that is not above 0 Hz")
    falls, elderly = columns.numbers("is_fall", count), columns.numbers("elderly", count, 0)
    if np.isnan(falls).any():
        raise columns.wrong("is_fall", "does not say of every recording whether it is a fall")
    onsets, ends = columns.numbers("onset_s", count, np.nan), columns.numbers("end_s", count, np.nan)
    subjects, activities, positions = (columns.words(name, count) for name in ("subject", "activity", "position"))
    return [
        About(
            rate_hz=float(rates[i]),
            subject=subjects[i],
            activity=activities[i],
            trial=trial,
            is_fall=bool(falls[i]),
            elderly=bool(elderly[i]),
            position=place(positions[i]),
            onset_s=_known(onsets[i]),
            end_s=_known(ends[i]),
        )
        for i, trial in enumerate(_trials(columns, count))
    ]


def _trials(columns: _Columns, count: int) -> list[int]:
    """The numbers of the trials, or of the recordings in the file where it has none or calls them by names."""
    values = columns.get("trial")
    if values is None or values.dtype.kind not in "iu":
        return list(range(1, count + 1))
    return [int(number) for number in columns.numbers("trial", count)]


def _known(seconds: float) -> float | None:
    return float(seconds) if np.isfinite(seconds) else None
