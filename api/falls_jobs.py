"""Judging files of recordings on several cores. Each process opens the files itself and holds one recording at a time."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from devices.falls.evaluation import AS_RECORDED, Judged, Sensor, judge, worn_at
from devices.falls.model import Model, Position, shipped
from devices.falls.recordings import Recordings
from devices.falls.watch import Watch

_WORTH_S: Final = 1800.0
"""Another process costs a second to start: it must have this much of recordings to itself."""
_PARTS: Final = 4
"""So many parts for each process, that none waits long for another at the end."""


class How(NamedTuple):
    """What recordings are judged with; None where the recording, or the model, says it."""

    position: Position | None = None
    threshold: float | None = None
    sensor: Sensor = AS_RECORDED
    model: Path | None = None

    def judge(self) -> Model:
        """The model: that of a folder, or the shipped one. Raises ``ModelError``."""
        return shipped() if self.model is None else Model.load(self.model)


class _Part(NamedTuple):
    path: Path
    source: str
    indexes: list[int]
    how: How


def judge_files(paths: Sequence[Path], how: How, jobs: int | None = None) -> list[Judged]:
    """Every recording of every file, in their order. Raises ``RecordingsError`` before anything is judged.

    ``jobs`` processes work on it; as many as there are cores, and as are worth their start, when None.
    """
    seconds = [_seconds(path, how) for path in paths]
    total = sum(map(sum, seconds))
    most = min(os.cpu_count() or 1, 1 + int(total / _WORTH_S)) if jobs is None else jobs
    each = total / (most * _PARTS) if most > 1 else total
    parts = [
        _Part(path, source, indexes, how)
        for path, source, lasting in zip(paths, names(paths), seconds, strict=True)
        for indexes in _cut(path, lasting, each)
    ]
    judged = [one for done in _done(parts, most) for one in done]
    place = {source: number for number, source in enumerate(names(paths))}
    return sorted(judged, key=lambda j: (place[j.source], j.index))


def _seconds(path: Path, how: How) -> list[float]:
    """How long each recording of a file lasts, when all of it can be judged."""
    with Recordings(path) as file:
        for about in file.abouts:
            worn_at(about, how.position)
        return [file.seconds(index) for index in range(len(file.abouts))]


def names(paths: Sequence[Path]) -> list[str]:
    """What the sets are called: as their files, with the folder where two would be called alike."""
    stems = [path.stem for path in paths]
    return [stem if stems.count(stem) == 1 else str(path) for stem, path in zip(stems, paths, strict=True)]


def _cut(path: Path, seconds: Sequence[float], each: float) -> Iterator[list[int]]:
    """The recordings in the order in which they lie in the file, in parts of about ``each`` seconds."""
    with Recordings(path) as file:
        order = file.order
    ends = np.cumsum([seconds[index] for index in order])
    numbers = np.floor(ends / each if each else ends * 0)
    for number in np.unique(numbers):
        yield [index for index, of in zip(order, numbers, strict=True) if of == number]


def _done(parts: Sequence[_Part], jobs: int) -> Iterator[list[Judged]]:
    if jobs <= 1:
        yield from map(_judge, parts)
        return
    # A fresh interpreter for each: a fork would take along whatever threads and locks its parent has.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_judge, parts)


def _judge(part: _Part) -> list[Judged]:
    model = part.how.judge()
    with Recordings(part.path) as file:
        return [_one(file, index, part, model) for index in part.indexes]


def _one(file: Recordings, index: int, part: _Part, model: Model) -> Judged:
    about, how = file.abouts[index], part.how
    position = worn_at(about, how.position)
    events = judge(file.pieces(index), about.rate_hz, Watch(position, how.threshold, judge=model), how.sensor)
    return Judged(part.source, index, about, position, file.seconds(index), events)
