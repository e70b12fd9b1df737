"""A cohort: residents, what befell them and what was measured, made in chunks of residents. Pure but for files.

The same seed gives each resident the same life, in whichever chunk she is made.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from alerts.cohort.draws import Bools, Draws
from alerts.cohort.episodes import Episodes, episodes
from alerts.cohort.habits import Habits
from alerts.cohort.home import GATEWAY, Home
from alerts.cohort.instruments import DEVICES, Instruments, Readings, together
from alerts.cohort.kinds import CODES, DAY
from alerts.cohort.people import GROUPS, People, people
from alerts.cohort.vitals import Bodies
from alerts.measurements import Batch

ZONE: Final = "Asia/Shanghai"
"""Where they live. It keeps no summer time."""
_AHEAD: Final = np.timedelta64(8, "h")
_CHUNK: Final = 250
_VERSION: Final = zlib.crc32(" ".join((*CODES, *GROUPS)).encode())
"""Of the file: kinds and groups stand in it as numbers, which mean nothing once there are others."""


class NotACohort(Exception):
    """The file is no cohort, or one of another version."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be made: residents 1 to ``residents``, for ``days`` days from the midnight of ``begin`` on."""

    residents: int
    days: int
    seed: int
    begin: date = date(2026, 1, 1)

    @property
    def start(self) -> np.datetime64:
        """The first midnight, in UTC."""
        return np.datetime64(self.begin, "us") - _AHEAD

    @property
    def end(self) -> np.datetime64:
        """The last midnight, in UTC."""
        return self.start + np.timedelta64(self.days * DAY, "s")


@dataclass(frozen=True, slots=True)
class Labels:
    """True episodes in columns of shape ``(m,)``; times as ``datetime64[us]`` in UTC. ``kind`` is a code of ``KINDS``."""

    resident: NDArray[np.int32]
    kind: NDArray[np.str_]
    onset: NDArray[np.datetime64]
    peak: NDArray[np.datetime64]
    end: NDArray[np.datetime64]

    def __len__(self) -> int:
        return len(self.resident)

    def __getitem__(self, which: Bools | NDArray[np.intp]) -> Labels:
        return Labels(*(getattr(self, field.name)[which] for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some residents of a cohort.

    ``batch`` holds their readings in order of arrival, ``fault`` what was wrong with each (:class:`Fault`). ``answers``
    are the measurements that come only if somebody asks for them. ``groups`` says what each resident has,
    ``ages`` how many full years.
    """

    residents: NDArray[np.int32]
    groups: Mapping[int, frozenset[str]]
    ages: Mapping[int, int]
    batch: Batch
    fault: NDArray[np.int8]
    answers: Batch
    labels: Labels


def make(plan: Plan, chunk: int = _CHUNK) -> Iterator[Chunk]:
    """The cohort, so many residents at a time."""
    for first in range(1, plan.residents + 1, chunk):
        yield make_residents(plan, np.arange(first, min(first + chunk, plan.residents + 1), dtype=np.int32))


def make_residents(plan: Plan, number: NDArray[np.int32]) -> Chunk:
    """The residents with these numbers."""
    draws = Draws(plan.seed, number)
    who = people(draws, number)
    fate = episodes(draws, who, plan.days)
    habits = Habits(draws, who, fate, plan.days)
    bodies = Bodies(draws, who, fate, plan.days, plan.begin.timetuple().tm_yday)
    measured = Instruments(draws, who, fate, habits, bodies, plan.days).readings()
    told = Home(draws, who, fate, plan.days).readings(measured)
    every = together((measured, told))
    every = every[(every.received < plan.days * DAY) & (every.at >= 0)]
    every = every[np.lexsort((every.place, every.at, every.row, every.received))]
    usual, asked = every[~every.asked], every[every.asked]
    groups = dict(zip(number.tolist(), who.groups(), strict=True))
    ages = dict(zip(number.tolist(), who.age.astype(np.int64).tolist(), strict=True))
    labels = _labels(plan, who, fate)
    return Chunk(number, groups, ages, _batch(plan, who, usual), usual.fault, _batch(plan, who, asked), labels)


def save(path: Path, plan: Plan, chunks: Iterator[Chunk]) -> int:
    """Write a cohort chunk by chunk as one ``.npz`` without pickle; returns how many readings it holds."""
    readings = 0
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        for number, chunk in enumerate(chunks):
            readings += len(chunk.batch)
            for name, column in _columns(plan, chunk).items():
                _write(file, f"{number}/{name}", column)
        said = (_VERSION, plan.residents, plan.days, plan.seed, plan.begin.toordinal(), number + 1)
        _write(file, "plan", np.array(said, np.int64))
    return readings


def load(path: Path) -> tuple[Plan, Iterator[Chunk]]:
    """What :func:`save` wrote; the chunks are read as they are needed. Anything else raises :exc:`NotACohort`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            version, residents, days, seed, begin, count = file["plan"].tolist()
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise NotACohort(f"{path} is not a cohort: {error}") from error
    if version != _VERSION:
        raise NotACohort(f"{path} was made by another version: make it again with its seed {seed}")
    plan = Plan(residents, days, seed, date.fromordinal(begin))
    return plan, _read(path, plan, count)


def _read(path: Path, plan: Plan, count: int) -> Iterator[Chunk]:
    with np.load(path, allow_pickle=False) as file:
        for number in range(count):
            yield _chunk(plan, {name: file[f"{number}/{name}"] for name in _NAMES})


def _batch(plan: Plan, who: People, readings: Readings) -> Batch:
    resident = who.number[readings.row]
    own = resident * np.int32(DEVICES) + readings.place
    device = np.where(readings.place == GATEWAY, -resident, own).astype(np.int32)
    return Batch(
        resident,
        readings.metric,
        _moment(plan, readings.at),
        readings.value,
        readings.quality,
        device,
        _moment(plan, readings.received),
    )


def _labels(plan: Plan, who: People, fate: Episodes) -> Labels:
    kind = np.array(CODES)[fate.kind]
    return Labels(who.number[fate.row], kind, *(_moment(plan, at) for at in (fate.onset, fate.peak, fate.end)))


def _moment(plan: Plan, seconds: NDArray[np.int64]) -> NDArray[np.datetime64]:
    return plan.start + seconds.astype("timedelta64[s]").astype("timedelta64[us]")


_NAMES: Final = (
    "residents", "groups", "ages", "fault",
    *(f"{part}_{name}" for part in ("batch", "answers") for name in ("resident", "metric", "at", "value", "quality", "device", "received")),
    *(f"label_{name}" for name in ("resident", "kind", "onset", "peak", "end")),
)  # fmt: skip


def _columns(plan: Plan, chunk: Chunk) -> dict[str, NDArray[Any]]:
    """The chunk as narrow columns: times as seconds, values as 32-bit floats, groups as bits, kinds as numbers."""
    held = [sum(1 << GROUPS.index(code) for code in chunk.groups[resident]) for resident in chunk.residents.tolist()]
    found: dict[str, NDArray[Any]] = {
        "residents": chunk.residents,
        "groups": np.array(held, np.int32),
        "ages": np.array([chunk.ages[resident] for resident in chunk.residents.tolist()], np.int8),
        "fault": chunk.fault,
    }
    for part, batch in (("batch", chunk.batch), ("answers", chunk.answers)):
        assert batch.received is not None, "a cohort says when each reading was received"
        found |= {
            f"{part}_resident": batch.resident,
            f"{part}_metric": batch.metric,
            f"{part}_at": _seconds(plan, batch.at),
            f"{part}_value": batch.value.astype(np.float32),
            f"{part}_quality": batch.quality.astype(np.int16),
            f"{part}_device": batch.device,
            f"{part}_received": _seconds(plan, batch.received),
        }
    labels = chunk.labels
    found |= {"label_resident": labels.resident, "label_kind": _kind_numbers(labels.kind)}
    return found | {f"label_{name}": _seconds(plan, getattr(labels, name)) for name in ("onset", "peak", "end")}


def _chunk(plan: Plan, columns: Mapping[str, NDArray[Any]]) -> Chunk:
    held = columns["groups"].tolist()
    groups = {
        resident: frozenset(code for place, code in enumerate(GROUPS) if bits >> place & 1)
        for resident, bits in zip(columns["residents"].tolist(), held, strict=True)
    }
    ages = dict(zip(columns["residents"].tolist(), columns["ages"].tolist(), strict=True))
    parts = {}
    for part in ("batch", "answers"):
        resident, metric, at, value, quality, device, received = (
            columns[f"{part}_{name}"] for name in ("resident", "metric", "at", "value", "quality", "device", "received")
        )
        exact = np.asarray(np.round(value.astype(np.float64), 3), np.float64)
        when, came = (_moment(plan, times.astype(np.int64)) for times in (at, received))
        parts[part] = Batch(resident, metric, when, exact, quality.astype(np.int32), device, came)
    times = (_moment(plan, columns[f"label_{name}"].astype(np.int64)) for name in ("onset", "peak", "end"))
    labels = Labels(columns["label_resident"], np.array(CODES)[columns["label_kind"]], *times)
    return Chunk(columns["residents"], groups, ages, parts["batch"], columns["fault"], parts["answers"], labels)


def _kind_numbers(kind: NDArray[np.str_]) -> NDArray[np.int8]:
    order = np.argsort(CODES)
    return order[np.searchsorted(np.array(CODES)[order], kind)].astype(np.int8)


def _seconds(plan: Plan, times: NDArray[np.datetime64]) -> NDArray[np.int32]:
    return ((times - plan.start) // np.timedelta64(1, "s")).astype(np.int32)


def _write(file: zipfile.ZipFile, name: str, column: NDArray[Any]) -> None:
    with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
        np.lib.format.write_array(entry, np.ascontiguousarray(column), allow_pickle=False)
