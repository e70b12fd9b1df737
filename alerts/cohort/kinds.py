"""The kinds of episode that a cohort bears, and what each does to what can be measured. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

HOUR: Final = 3600
DAY: Final = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of episode.

    ``moves`` says by metric which way: 1 up, -1 down, 0 either. Events and conditions of devices count as up, and a
    metric that ceases to be measured as ``silence`` of that metric. A rule can have seen an episode if it watches one of
    these in this direction: that is all that ties rules to kinds. ``grace`` is for how many seconds after its end an
    alert still counts. What is moved only after an event is written as ``systolic after stood_up``.
    """

    code: str
    english: str
    chinese: str
    moves: Mapping[str, int]
    grace: int = DAY

    def name(self, language: str) -> str:
        """What it is called."""
        return self.chinese if language == "zh_Hans" else self.english


def _silent(*metrics: str) -> dict[str, int]:
    return {f"silence of {metric}": 1 for metric in metrics}


_FALLEN: Final = {
    "fall": 1,
    "fall_confirmed": 1,
    "fall_recovered": 1,
    "long_lie": 1,
    "said_well": 1,
    **_silent("movement"),
}
_MEASURES: Final = {
    "cuff": ("systolic", "diastolic", "pulse"),
    "oximeter": ("spo2", "pulse"),
    "thermometer": ("body_temperature",),
    "scale": ("body_weight",),
    "meter": ("glucose",),
}
_CHINESE: Final = {
    "cuff": "血压计",
    "oximeter": "血氧仪",
    "thermometer": "体温计",
    "scale": "体重秤",
    "meter": "血糖仪",
}


def _empty(instrument: str) -> Kind:
    moves = {"device_silence": 1, "battery": -1, **_silent(*_MEASURES[instrument])}
    return Kind(f"{instrument}_empty", f"{instrument} without power", f"{_CHINESE[instrument]}没电", moves)


_KINDS: Final = (
    Kind("crisis", "hypertensive crisis", "高血压危象", {"systolic": 1, "diastolic": 1, "pulse": 1}),
    Kind("overtreated", "low pressure by medicine", "降压过度", {"systolic": -1, "diastolic": -1, "pulse": 1}),
    Kind(
        "decompensation",
        "heart failure growing worse",
        "心衰加重",
        {"body_weight": 1, "pulse": 1, "spo2": -1, "respiratory_rate": 1},
    ),
    Kind(
        "exacerbation",
        "COPD growing worse",
        "慢阻肺加重",
        {"spo2": -1, "pulse": 1, "respiratory_rate": 1, "body_temperature": 1, "inactivity": 1},
    ),
    Kind(
        "infection",
        "infection",
        "感染",
        {
            "body_temperature": 0,
            "pulse": 1,
            "respiratory_rate": 1,
            "spo2": -1,
            "systolic": -1,
            "diastolic": -1,
            "glucose": 1,
            "inactivity": 1,
        },
    ),
    Kind("hypoglycaemia", "glucose too low", "低血糖", {"glucose": -1, "glucose_below_scale": 1}, grace=6 * HOUR),
    Kind("hyperglycaemia", "glucose too high", "高血糖", {"glucose": 1, "glucose_above_scale": 1}),
    Kind("fibrillation", "new atrial fibrillation", "新发房颤", {"irregular_pulse": 1, "pulse": 1}),
    Kind(
        "orthostatic",
        "pressure falls on standing up",
        "体位性低血压",
        {"systolic after stood_up": -1, "diastolic after stood_up": -1},
    ),
    Kind("fall", "fall, up again at once", "跌倒后即起", _FALLEN),
    Kind(
        "fall_down",
        "fall, not up again at once",
        "跌倒后未起",
        {**_FALLEN, "inactivity": 1, "help_call": 1},
    ),
    Kind("call", "call for help", "呼救", {"help_call": 1}, grace=HOUR),
    Kind("battery", "battery running down", "电池将尽", {"battery": -1}),
    *(_empty(instrument) for instrument in _MEASURES),
    Kind(
        "outage",
        "gateway or line away",
        "网关离线",
        {"gateway_silence": 1, **_silent(*dict.fromkeys(sum(_MEASURES.values(), ())))},
    ),
    Kind("unworn", "wearable left off", "手环未戴", {"not_worn": 1}, grace=HOUR),
)

KINDS: Final = MappingProxyType({kind.code: kind for kind in _KINDS})
"""Every kind by its code."""

EMPTY: Final = tuple(f"{instrument}_empty" for instrument in _MEASURES)
"""The kinds of an instrument without power."""

CODES: Final = tuple(KINDS)
"""Their codes; the place in this row is the number of a kind in the labels."""

LASTING: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {
        "hypertension": {"systolic": 1, "diastolic": 1},
        "diabetes": {"glucose": 1},
        "copd": {"spo2": -1, "respiratory_rate": 1},
        "atrial_fibrillation": {"irregular_pulse": 1, "pulse": 1},
    }
)
"""What a lasting condition moves by itself: an alarm about that is no episode, but no riddle either."""
