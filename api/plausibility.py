"""What cannot be right: values no person has, pressures that contradict each other, times that cannot be true.

Pure, over columns. Ranges are the catalogue's; the rules for a pair are the engineering bounds of home
blood-pressure measurement: diastolic below systolic, at least 10 mm[Hg] between them, the mean between the two.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from api.batches import FIRST_DEVICES, Columns
from devices.readings import METRICS, METRICS_BY_CODE, Quality

REASONS: Final = (
    "",
    "implausible_value",
    "diastolic_above_systolic",
    "narrow_pulse_pressure",
    "mean_outside_pair",
    "unassigned_user",
)
"""Why a reading is not usable, by the number :func:`unusable` gives it; 0 is a usable one."""

_IMPLAUSIBLE, _CROSSED, _NARROW, _MEAN_OUTSIDE, _NOBODYS = 1, 2, 3, 4, 5
_SYSTOLIC, _DIASTOLIC, _MEAN = (METRICS[n].code for n in ("systolic", "diastolic", "mean_arterial_pressure"))
_LEAST_PULSE_PRESSURE: Final = 10.0

_LOW: Final = np.full(max(METRICS_BY_CODE) + 1, np.inf)
_HIGH: Final = np.full(max(METRICS_BY_CODE) + 1, -np.inf)
for _metric in METRICS_BY_CODE.values():
    _LOW[_metric.code], _HIGH[_metric.code] = _metric.low, _metric.high

_PLACE: Final = np.full(max(METRICS_BY_CODE) + 1, -1)
for _place, _code in enumerate((_SYSTOLIC, _DIASTOLIC, _MEAN)):
    _PLACE[_code] = _place
_IS_PRESSURE: Final = _PLACE >= 0

_AHEAD: Final = np.timedelta64(5 * 60, "s").astype("timedelta64[us]")
"""How far a clock may run ahead before it is not believed: a cuff shows minutes, a gateway is set by the network."""


class Inflations:
    """Which rows are pressures, and which of them are of one inflation of a cuff: same device, same measured time."""

    def __init__(self, columns: Columns) -> None:
        self.rows = np.flatnonzero(_IS_PRESSURE[columns.metric])
        self.metric = columns.metric[self.rows]
        device, at = columns.device_id[self.rows], columns.measured_at[self.rows].view(np.int64)
        order = np.lexsort((device, at))
        d, t = device[order], at[order]
        begins = np.ones(len(order), np.bool_)
        begins[1:] = (d[1:] != d[:-1]) | (t[1:] != t[:-1])
        self.number = np.empty(len(order), np.int64)
        self.number[order] = np.cumsum(begins) - 1
        self.count = int(begins.sum())

    def table(self, of: NDArray[np.float64]) -> NDArray[np.float64]:
        """A value of every row of the batch as (systolic, diastolic, mean) of each inflation, NaN where there is none."""
        table = np.full((3, self.count), np.nan)
        table[_PLACE[self.metric], self.number] = of[self.rows]
        return table

    def without_partner(self) -> NDArray[np.int64]:
        """The rows of systolic and diastolic values whose other half is not in the batch: it may have come before."""
        there = np.zeros((3, self.count), np.bool_)
        there[_PLACE[self.metric], self.number] = True
        alone: NDArray[np.bool_] = (there[0] != there[1])[self.number] & (self.metric != _MEAN)
        return self.rows[alone]


def unusable(columns: Columns, inflations: Inflations) -> NDArray[np.int8]:
    """For each reading the number of its reason in :data:`REASONS`, shape ``(n,)``.

    The pressures of one inflation share their fate: a diastolic value beside an impossible systolic one is as
    little to be believed.
    """
    metric, value = columns.metric, columns.value
    implausible: NDArray[np.bool_] = (value < _LOW[metric]) | (value > _HIGH[metric])
    reason = implausible.astype(np.int8) * np.int8(_IMPLAUSIBLE)
    rows = inflations.rows
    if len(rows):
        reason[rows] = _of_inflations(inflations, value, implausible[rows])[inflations.number]
    reason[columns.is_nobodys] = _NOBODYS
    return reason


def _of_inflations(
    inflations: Inflations, value: NDArray[np.float64], implausible: NDArray[np.bool_]
) -> NDArray[np.int8]:
    systolic, diastolic, mean = inflations.table(value)
    found = np.zeros(inflations.count, np.int8)
    found[(mean < diastolic) | (mean > systolic)] = _MEAN_OUTSIDE
    found[systolic - diastolic < _LEAST_PULSE_PRESSURE] = _NARROW
    found[diastolic >= systolic] = _CROSSED
    found[inflations.number[implausible]] = _IMPLAUSIBLE
    return found


def judge_clocks(columns: Columns, received_at: datetime) -> None:
    """Flag measured times that cannot be true, in place.

    A gateway whose own clock is wrong held the reading no later than now: its collected time becomes the received
    time, and a reading which has no other time than the gateway's counts as of then, so that a fall is heard.
    """
    now = np.datetime64(received_at.replace(tzinfo=None), "us")
    suspect = _cannot_be(columns.measured_at, now)
    gateway_wrong = _cannot_be(columns.collected_at, now)
    if suspect.any():
        columns.quality[suspect] |= np.int32(Quality.CLOCK_SUSPECT)
    if gateway_wrong.any():
        columns.collected_at[gateway_wrong] = now
        no_other = gateway_wrong & (columns.quality & int(Quality.NO_DEVICE_TIME) != 0)
        columns.quality[no_other] |= np.int32(Quality.CLOCK_SUSPECT | Quality.CLOCK_JUST_SET)


def _cannot_be(moments: NDArray[np.datetime64], now: np.datetime64) -> NDArray[np.bool_]:
    wrong: NDArray[np.bool_] = (moments > now + _AHEAD) | (moments < FIRST_DEVICES)
    return wrong
