"""What was measured, as people read it: the value, its age, and how it stands to the doctor's target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

import numpy as np

from alerts.judging import Target
from clinicians.words import N_, Words
from devices.readings import METRICS, Kind, Quality
from store.readings import Latest, ReadingRow, Series, UnusableRow, utc

STALE: Final = timedelta(hours=36)
"""Older than a day and a half, a daily measurement has been missed: the page says so beside the value."""
SILENT: Final = timedelta(days=3)
"""As long as this without blood pressure is a reason to look after somebody (the rule ``bp.missing``)."""

METRIC_NAMES: Final = MappingProxyType(
    {
        "systolic": N_("Systolic"),
        "diastolic": N_("Diastolic"),
        "mean_arterial_pressure": N_("Mean arterial pressure"),
        "pulse": N_("Pulse"),
        "spo2": N_("Oxygen saturation"),
        "body_temperature": N_("Temperature"),
        "body_weight": N_("Weight"),
        "glucose": N_("Blood glucose"),
        "respiratory_rate": N_("Breaths per minute"),
        "body_mass_index": N_("Body mass index"),
        "body_fat": N_("Body fat"),
        "muscle_mass": N_("Muscle mass"),
        "rr_standard_deviation": N_("Heart rate variability (SDNN)"),
        "perfusion_index": N_("Perfusion index"),
        "interstitial_glucose": N_("Tissue glucose"),
        "fall": N_("Fall"),
        "help_call": N_("Call for help"),
        "fall_recovered": N_("Up again after a fall"),
        "inactivity": N_("No movement for long"),
        "activity_resumed": N_("Movement again"),
        "fall_confirmed": N_("Fall confirmed"),
        "said_well": N_("Said that all is well"),
        "stood_up": N_("Stood up"),
        "long_lie": N_("On the floor since a fall"),
        "glucose_above_scale": N_("Blood glucose above the scale"),
        "glucose_below_scale": N_("Blood glucose below the scale"),
        "movement": N_("Movement in the room"),
        "door": N_("Door"),
        "bed": N_("Bed"),
        "battery": N_("Battery"),
        "gateway_silence": N_("Gateway silent"),
        "device_silence": N_("Device silent"),
        "worn": N_("Wearable worn"),
        "charging": N_("Charging"),
        "device_dropped": N_("Device dropped"),
        "not_worn": N_("Wearable not worn"),
    }
)
_UNITS: Final = {
    "mm[Hg]": "mmHg",
    "/min": N_("/min"),
    "%": "%",
    "Cel": "°C",
    "kg": "kg",
    "mmol/L": "mmol/L",
    "1": "",
    "kg/m2": "kg/m²",
    "h": N_("h"),
}
DIGITS: Final = dict.fromkeys(
    (
        "body_temperature",
        "body_weight",
        "glucose",
        "interstitial_glucose",
        "body_mass_index",
        "body_fat",
        "muscle_mass",
        "perfusion_index",
    ),
    1,
)
_STATES: Final = {
    "movement": (N_("still"), N_("moving")),
    "door": (N_("shut"), N_("open")),
    "bed": (N_("empty"), N_("occupied")),
    "worn": (N_("not worn"), N_("worn")),
    "charging": (N_("not charging"), N_("charging")),
}
"""What a sensor in the flat sees, or a device of itself, by 0 and 1."""
_QUALITIES: Final = (
    (Quality.BODY_MOVEMENT, N_("moved while measuring")),
    (Quality.CUFF_TOO_LOOSE, N_("cuff too loose")),
    (Quality.IRREGULAR_PULSE, N_("irregular pulse")),
    (Quality.PULSE_ABOVE_RANGE, N_("pulse above the cuff's range")),
    (Quality.PULSE_BELOW_RANGE, N_("pulse below the cuff's range")),
    (Quality.IMPROPER_POSITION, N_("cuff not at heart level")),
    (Quality.QUESTIONABLE, N_("the device itself doubts this value")),
    (Quality.FROM_MEMORY, N_("sent later from the device's memory")),
)
_REASONS: Final = {
    "implausible_value": N_("this value cannot be right"),
    "diastolic_above_systolic": N_("diastolic is not below systolic"),
    "mean_outside_pair": N_("the mean does not lie between the two"),
    "narrow_pulse_pressure": N_("systolic and diastolic lie too close together"),
    "same_time_other_value": N_("another value of the same time is there already"),
    "unassigned_user": N_("nobody is known to use this user button of the device"),
    "not_judged": N_("it could not be checked by the rules; please look at it yourself"),
}


def value(metric: str, number: float, words: Words) -> str:
    """A value with its unit, or the state that it stands for."""
    if metric in _STATES:
        return words.gettext(_STATES[metric][number >= 0.5])
    known = METRICS.get(metric)
    unit = _UNITS.get(known.unit, known.unit) if known else ""
    shown = words.number(number, DIGITS.get(metric, 0))
    return f"{shown}%" if unit == "%" else f"{shown} {words.gettext(unit) if unit else ''}".strip()


def metric_name(metric: str, words: Words) -> str:
    """What a metric is called; one nobody named yet keeps its code."""
    return words.gettext(METRIC_NAMES[metric]) if metric in METRIC_NAMES else metric


def reservations(quality: int, words: Words) -> list[str]:
    """What is known against a reading, in words."""
    return [words.gettext(text) for flag, text in _QUALITIES if quality & flag]


_DAMAGED: Final = N_("it could not be read")
_DAMAGES: Final = {
    "truncated": N_("it was cut short"),
    "oversized": N_("it was too long"),
    "no_value": N_("the device could not measure"),
    "reserved_value": N_("it held a value that does not exist"),
    "replayed": N_("it was a repetition of an old signal"),
}
"""Why a gateway refused a packet, by the reason's code."""
_OLDEST_MEMORY: Final = timedelta(days=120)
"""Further back no cuff's memory reaches: then the time is not believed."""


@dataclass(frozen=True, slots=True)
class Vital:
    """The newest value of something. ``standing`` is ``above``, ``below`` or ``within`` a target, or empty."""

    label: str
    text: str
    unit: str
    at: datetime
    is_stale: bool
    standing: str
    reservations: tuple[str, ...] = ()


def standing(systolic: float, diastolic: float | None, target: Target) -> str:
    """How a pressure in mm[Hg] stands to the target: above if either number is, else below if either is, else within."""
    low = systolic < target.systolic_low
    high = systolic > target.systolic_high
    if diastolic is not None:
        low |= diastolic < target.diastolic_low
        high |= diastolic > target.diastolic_high
    return "above" if high else "below" if low else "within"


def pressure(latest: Mapping[str, Latest], target: Target, words: Words) -> Vital | None:
    """The newest blood pressure, if both numbers are of the same measurement."""
    upper, lower = latest.get("systolic"), latest.get("diastolic")
    if upper is None or lower is None or upper.at != lower.at:
        return None
    return Vital(
        words.gettext("Blood pressure"),
        f"{words.number(upper.value)}/{words.number(lower.value)}",
        "mmHg",
        upper.at,
        words.now - upper.at > STALE,
        standing(upper.value, lower.value, target),
        tuple(reservations(upper.quality, words)),
    )


def latest_vitals(latest: Mapping[str, Latest], target: Target, words: Words) -> list[Vital]:
    """Blood pressure first, then every other vital sign that was ever measured."""
    first = pressure(latest, target, words)
    shown = {"systolic", "diastolic"} if first else set()
    others = [_vital(m, latest[m], words) for m in METRICS if m in latest and m not in shown and _is_shown(m)]
    return [first, *others] if first else others


_DERIVED: Final = ("mean_arterial_pressure", "rr_standard_deviation", "perfusion_index")
"""What only a doctor reads, in the table of readings."""


def _is_shown(metric: str) -> bool:
    return METRICS[metric].kind is Kind.VITAL and metric not in _DERIVED


def _vital(metric: str, last: Latest, words: Words) -> Vital:
    text, _, unit = value(metric, last.value, words).partition(" ")
    stale = words.now - last.at > STALE
    return Vital(metric_name(metric, words), text, unit, last.at, stale, "", tuple(reservations(last.quality, words)))


def newest_sign(latest: Mapping[str, Latest], moved_at: datetime | None = None) -> datetime | None:
    """When she was last heard of by anything that comes from her. ``moved_at``: when something last moved in her flat.

    What devices say of themselves is no sign of her, nor is a sensor that sees nothing, nor that nothing has moved.
    """
    heard = ((metric, last.at) for metric, last in latest.items() if metric not in _OF_STILLNESS)
    signs = [at for metric, at in heard if METRICS[metric].kind in _FROM_HER]
    return max([*signs, *([moved_at] if moved_at else [])], default=None)


_FROM_HER: Final = (Kind.VITAL, Kind.EVENT)
_OF_STILLNESS: Final = ("inactivity", "fall_confirmed", "long_lie")


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the readings table. ``kind``: ``measured``, ``time_unknown`` or ``unusable``.

    ``at`` is when it happened, or when it was received (``is_received``) where the time is not known.
    """

    kind: str
    at: datetime
    what: str
    text: str
    remark: str
    standing: str = ""
    is_received: bool = False


def lines(
    series: Mapping[str, Series],
    unknown: Sequence[ReadingRow],
    unusable: Sequence[UnusableRow],
    target: Target,
    words: Words,
    limit: int,
) -> list[Line]:
    """The newest of all that arrived, whatever it was worth, newest first."""
    found = [*_pressures(series, target, words, limit), *_singles(series, words, limit)]
    found += [_unknown(row, words) for row in unknown if METRICS[row.metric].kind is not Kind.AMBIENT]
    found += [_unusable(row, words) for row in unusable]
    return sorted(found, key=lambda line: line.at, reverse=True)[:limit]


def _pressures(series: Mapping[str, Series], target: Target, words: Words, limit: int) -> list[Line]:
    if "systolic" not in series:
        return []
    upper = series["systolic"]
    others = {name: _by_moment(series[name], limit * 2) for name in ("diastolic", "pulse") if name in series}
    return [
        _pressure_line(upper, i, others, target, words) for i in range(max(0, len(upper.at) - limit), len(upper.at))
    ]


_Moment = tuple[np.datetime64, int]


def _by_moment(series: Series, limit: int) -> dict[_Moment, float]:
    return {
        (at, int(device)): float(number)
        for at, device, number in zip(series.at[-limit:], series.device_id[-limit:], series.value[-limit:], strict=True)
    }


def _pressure_line(
    upper: Series, i: int, others: Mapping[str, Mapping[_Moment, float]], target: Target, words: Words
) -> Line:
    moment = (upper.at[i], int(upper.device_id[i]))
    systolic, diastolic = float(upper.value[i]), others.get("diastolic", {}).get(moment)
    pulse = others.get("pulse", {}).get(moment)
    text = f"{words.number(systolic)}/{'?' if diastolic is None else words.number(diastolic)} mmHg"
    if pulse is not None:
        text += " · " + words.gettext("pulse %(pulse)s", pulse=words.number(pulse))
    remark = words.gettext(", ").join(reservations(int(upper.quality[i]), words))
    at = utc(upper.at[i])
    return Line("measured", at, words.gettext("Blood pressure"), text, remark, standing(systolic, diastolic, target))


def _singles(series: Mapping[str, Series], words: Words, limit: int) -> list[Line]:
    beside_pressure = {"systolic", "diastolic", "mean_arterial_pressure"}
    pressures = _by_moment(series["systolic"], limit * 2) if "systolic" in series else {}
    found = []
    for metric, columns in series.items():
        if metric in beside_pressure:
            continue
        for i in range(max(0, len(columns.at) - limit), len(columns.at)):
            if metric == "pulse" and (columns.at[i], int(columns.device_id[i])) in pressures:
                continue
            found.append(_single(metric, columns, i, words))
    return found


def _single(metric: str, columns: Series, i: int, words: Words) -> Line:
    has_happened = METRICS[metric].kind is Kind.EVENT or metric == "device_dropped"
    text = "" if has_happened else value(metric, float(columns.value[i]), words)
    if metric in ("fall", "fall_confirmed"):
        text = words.gettext("likelihood %(percent)s%%", percent=words.number(100 * float(columns.value[i])))
    remark = words.gettext(", ").join(reservations(int(columns.quality[i]), words))
    return Line("measured", utc(columns.at[i]), metric_name(metric, words), text, remark)


def _unknown(row: ReadingRow, words: Words) -> Line:
    clock = words.day(words.local(row.measured_at).date())
    remark = words.gettext("the device's clock is wrong; it says %(day)s", day=clock)
    name = metric_name(row.metric, words)
    return Line("time_unknown", row.received_at, name, value(row.metric, row.value, words), remark, is_received=True)


def _unusable(row: UnusableRow, words: Words) -> Line:
    """A quarantined reading at its measured time, if that can be true."""
    code, _, detail = row.reason.partition(":")
    if code == "gateway_refused":
        name = words.gettext("Data packet")
        reason = words.gettext(_DAMAGES.get(detail.strip(), _DAMAGED))
    else:
        name = metric_name(row.metric, words)
        reason = words.gettext(_REASONS[code]) if code in _REASONS else code
    measured = row.measured_at
    is_believed = measured is not None and timedelta() <= row.received_at - measured <= _OLDEST_MEMORY
    at = measured if measured is not None and is_believed else row.received_at
    text = "" if row.value is None else value(row.metric, row.value, words)
    return Line("unusable", at, name, text, reason, is_received=not is_believed)
