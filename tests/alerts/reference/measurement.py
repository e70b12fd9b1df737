"""Readings as they arrive, and the measurements they make up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

import numpy as np

from alerts.rule import IRREGULAR_PULSE, single
from devices.readings import METRICS, METRICS_BY_CODE, Metric, Quality

PULSE = METRICS["pulse"]


class Heard(NamedTuple):
    """One reading as it arrives."""

    resident: int
    metric: int
    at: np.datetime64
    value: float
    device: int
    received: np.datetime64
    quality: int = 0


@dataclass
class Measurement:
    """What one device says at one measured time."""

    at: datetime
    received: datetime
    device: int
    values: dict[Metric, float]


def measurements(readings: Iterable[Heard]) -> Iterator[Measurement]:
    """One resident's readings in order, joined where they follow each other from one device and time.

    A metric that comes again begins a new measurement. Values are rounded to 32-bit floats.
    """
    for (at, received, device), run in groupby(readings, key=lambda r: (r.at, r.received, r.device)):
        values: dict[Metric, float] = {}
        for reading in run:
            metric = METRICS_BY_CODE[reading.metric]
            if metric in values:
                yield Measurement(moment(at), moment(received), device, values)
                values = {}
            values[metric] = single(reading.value)
            if metric == PULSE:
                values[IRREGULAR_PULSE] = float(bool(reading.quality & Quality.IRREGULAR_PULSE))
        yield Measurement(moment(at), moment(received), device, values)


def moment(time: np.datetime64) -> datetime:
    """A time of the surface as one that plain Python reckons with."""
    return time.astype("datetime64[us]").item()


def short(value: float) -> float:
    """A 32-bit float as people would write it, for the evidence."""
    return float(str(np.float32(value)))
