"""What an evaluation found: tables for people, one document for machines. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any, Final, NamedTuple

from devices.falls.evaluation import STAFF_WAIT_S, TOLERANCE_S, Judged, Point, Sensor, Summary
from devices.falls.intervals import Interval

_UNKNOWN: Final = "–"


class Table(NamedTuple):
    """A table: what it is of, the names of its columns, and rows of words. Its first ``words`` columns are no numbers."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    words: int


class Set(NamedTuple):
    """All that was judged of one set at one position, and its operating curve."""

    source: str
    position: str
    points: list[Point]


def by_recording(found: Iterable[Summary]) -> Table:
    """What was found, by whether a suspected fall was told in a recording."""
    columns = (
        "set",
        "position",
        "people",
        "subjects",
        "falls",
        "activities",
        "sensitivity",
        "specificity",
        "precision",
    )
    rows = [
        (
            *_group(s),
            *(str(n) for n in (s.subjects, s.falls, s.activities)),
            *(_percent(i) for i in (s.sensitivity, s.specificity, s.precision, s.f1)),
        )
        for s in found
    ]
    return Table("Per recording, % (95 % interval)", (*columns, "F1"), rows, 3)


def by_event(found: Iterable[Summary]) -> Table:
    """What was told, event by event, and what of it staff would have been called for."""
    columns = (
        "set",
        "position",
        "people",
        "events found, %",
        "events right, %",
        "told after, s",
        "falls reaching staff, %",
    )
    rows = [
        (
            *_group(s),
            _percent(s.event_sensitivity),
            _percent(s.event_precision),
            _UNKNOWN if s.told_after_s is None else f"{s.told_after_s:.1f}",
            _percent(s.found_by_staff),
            f"{s.hours:.1f}",
            _per_hour(s.alarms_per_hour),
            _per_hour(s.staff_alarms_per_hour),
        )
        for s in found
    ]
    last = ("hours without a fall", "false alarms/h", "of them reaching staff/h")
    return Table("Per event (95 % interval)", (*columns, *last), rows, 3)


def operating(curves: Iterable[Set]) -> Table:
    """Sensitivity against false alarms, at operating points."""
    rows = [
        (
            one.source,
            one.position,
            f"{p.threshold:g}",
            _plain(p.sensitivity),
            _plain(p.specificity),
            _number(p.alarms_per_hour),
        )
        for one in curves
        for p in one.points
    ]
    columns = ("set", "position", "told from", "sensitivity, %", "specificity, %", "false alarms/h")
    return Table("Operating curve", columns, rows, 2)


def markdown(table: Table) -> str:
    """The table in Markdown, without its title."""
    rule = ["---"] * table.words + ["---:"] * (len(table.columns) - table.words)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (table.columns, rule, *table.rows))


def document(
    judged: Iterable[Judged],
    found: Iterable[Summary],
    curves: Iterable[Set],
    sensor: Sensor,
    model: dict[str, Any],
) -> dict[str, Any]:
    """Everything, ready for JSON: what cannot be known is null."""
    return {
        "recordings": [_recording(j) for j in judged],
        "summary": {
            "groups": [_summary(s) for s in found],
            "curves": [
                {"set": one.source, "position": one.position, "points": [p._asdict() for p in one.points]}
                for one in curves
            ],
            "sensor": sensor._asdict(),
            "tolerance_s": TOLERANCE_S,
            "staff_wait_s": STAFF_WAIT_S,
        },
        "model": model,
    }


def _recording(j: Judged) -> dict[str, Any]:
    about = j.about
    return {
        "set": j.source,
        "index": j.index,
        "subject": about.subject,
        "activity": about.activity,
        "trial": about.trial,
        "is_fall": about.is_fall,
        "elderly": about.elderly,
        "position": j.position,
        "seconds": round(j.seconds, 3),
        "decision": j.decision,
        "probability": j.probability,
        "time_s": j.time_s,
        "reaches_staff": bool(j.for_staff),
        "events": [{name: _finite(value) for name, value in asdict(e).items()} for e in j.events],
    }


def _summary(s: Summary) -> dict[str, Any]:
    plain = asdict(s)
    plain["set"] = plain.pop("source")
    return {name: value._asdict() if isinstance(value, Interval) else value for name, value in plain.items()}


def _finite(value: Any) -> Any:
    """JSON has no word for what is no number."""
    return None if isinstance(value, float) and not isfinite(value) else value


def _group(s: Summary) -> tuple[str, str, str]:
    return s.source, s.position, s.age


def _percent(i: Interval | None) -> str:
    return _UNKNOWN if i is None else f"{100 * i.value:.1f} ({100 * i.low:.1f}–{100 * i.high:.1f})"


def _plain(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{100 * value:.1f}"


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:.2f}"


def _per_hour(i: Interval | None) -> str:
    return _UNKNOWN if i is None else f"{i.value:.2f} ({i.low:.2f}–{i.high:.2f})"
