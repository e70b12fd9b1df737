"""How well falls are told: the gateway's own :class:`Watch` over recordings, and what became of each of them. Pure.

A recording is judged by whether a suspected fall was told in it; one with a fall counts as found whenever that was. Where
the interval of the fall is known each event is judged too: it is right from ``TOLERANCE_S`` before the fall's onset to as
long after its end, since annotators mark the body and the detector the blow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final, Literal, NamedTuple

import numpy as np

from devices.falls import intervals
from devices.falls.features import Samples
from devices.falls.intervals import Interval
from devices.falls.model import POSITIONS, Position
from devices.falls.recordings import About, RecordingsError
from devices.falls.resample import Resampler
from devices.falls.times import SECOND, Nanoseconds
from devices.falls.watch import Found, Told, Watch

TOLERANCE_S: Final = 3.0
"""An event is that of the fall when it is no further from its interval."""

STAFF_WAIT_S: Final = 30.0
"""Whoever is up again this soon after the fall was told is not one that staff are called for."""

THRESHOLDS: Final = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
"""Where operating curves are drawn."""

_PACKET_S: Final = 0.5
_AGAIN_S: Final = 20.0  # the detector hears no second fall so soon after a first
_HOUR_S: Final = 3600.0

Age = Literal["all", "elderly", "younger"]


class Sensor(NamedTuple):
    """A sensor that is coarser than the one that recorded: its rate and its range; None for what it was."""

    rate_hz: int | None = None
    range_g: float | None = None


AS_RECORDED: Final = Sensor()


@dataclass(frozen=True, slots=True)
class Event:
    """What the watch told. ``time_s`` (of the impact, or of being up) and ``told_s`` from the recording's start."""

    kind: Literal["fall", "dismissed", "recovered"]
    time_s: float
    told_s: float
    probability: float
    impact_g: float
    free_fall_ms: float
    stillness_s: float
    posture_change_deg: float


@dataclass(frozen=True, slots=True)
class Judged:
    """One recording of a set, how long it is, and all that was told in it, oldest first."""

    source: str
    index: int
    about: About
    position: Position
    seconds: float
    events: tuple[Event, ...]

    @property
    def falls(self) -> list[Event]:
        """The suspected falls."""
        return [e for e in self.events if e.kind == "fall"]

    @property
    def decision(self) -> bool:
        """Whether a suspected fall was told."""
        return bool(self.falls)

    @property
    def probability(self) -> float:
        """The highest that any impact got; 0 when none was looked at."""
        return max((e.probability for e in self._impacts), default=0.0)

    @property
    def time_s(self) -> float | None:
        """When the first suspected fall hit the ground; else the likeliest of the impacts; None without any."""
        likeliest = max(self._impacts, key=lambda e: e.probability, default=None)
        told = next(iter(self.falls), likeliest)
        return None if told is None else told.time_s

    @property
    def for_staff(self) -> list[Event]:
        """The suspected falls that were not taken back in time. One still open at the end of the recording counts."""
        return [fall for fall in self.falls if not any(_takes_back(e, fall) for e in self.events)]

    @property
    def in_interval(self) -> bool | None:
        """Whether the fall was told where it is; None when nobody knows where that is."""
        return None if not self._known else any(self._right(e) for e in self.falls)

    @property
    def false_events(self) -> int:
        """How many suspected falls are none, as far as is known."""
        if not self.about.is_fall:
            return len(self.falls)
        return sum(not self._right(e) for e in self.falls) if self._known else 0

    @property
    def _impacts(self) -> list[Event]:
        return [e for e in self.events if e.kind != "recovered"]

    @property
    def _known(self) -> bool:
        return self.about.is_fall and self.about.onset_s is not None and self.about.end_s is not None

    def _right(self, e: Event) -> bool:
        onset_s, end_s = self.about.onset_s, self.about.end_s
        return onset_s is not None and end_s is not None and onset_s - TOLERANCE_S <= e.time_s <= end_s + TOLERANCE_S


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of one set, position and age group. Shares from 0 to 1; None where there is nothing to judge.

    ``hours`` and the alarms per hour are of the recordings without a fall. ``found_by_staff`` is the share of falls
    that reached staff; ``told_after_s`` the median time from a true fall's blow to its being told.
    """

    source: str
    position: Position
    age: Age
    subjects: int
    falls: int
    activities: int
    hours: float
    sensitivity: Interval | None
    specificity: Interval | None
    precision: Interval | None
    f1: Interval | None
    found_by_staff: Interval | None
    alarms_per_hour: Interval | None
    staff_alarms_per_hour: Interval | None
    event_sensitivity: Interval | None
    event_precision: Interval | None
    told_after_s: float | None


class Point(NamedTuple):
    """One operating point: what would be found, and at what price, if falls were told from this probability on."""

    threshold: float
    sensitivity: float | None
    specificity: float | None
    alarms_per_hour: float | None


def worn_at(about: About, told: Position | None) -> Position:
    """Where a recording's sensor is to be taken to be worn. Raises :class:`RecordingsError` when nobody said so."""
    if told is not None:
        return told
    if about.position not in POSITIONS:
        raise RecordingsError(
            f"a recording of subject {about.subject!r} was worn at {about.position or 'no known place'!r}, which is none "
            f"of {', '.join(POSITIONS)}: say --position"
        )
    return about.position


def judge(pieces: Iterable[Samples], rate_hz: float, watch: Watch, sensor: Sensor = AS_RECORDED) -> tuple[Event, ...]:
    """All that ``watch`` tells of a recording, given in pieces of (n, 3) in g, in packets as a wearable sends them.

    A packet with a value that is no number is a lost one, as at the gateway. The end of the recording is the stream's.
    """
    events: list[Event] = []
    now_ns = 0
    for times, samples in _felt(_packets(pieces, rate_hz), rate_hz, sensor):
        lost = not np.isfinite(samples).all()
        told = watch.interrupt() if lost else watch.feed(times, samples)
        now_ns = int(times[-1])
        events += _events(told, now_ns)
    return (*events, *_events(watch.interrupt(), now_ns))


def summaries(judged: Sequence[Judged]) -> list[Summary]:
    """Each set and position, and within it the elderly and the younger where there are both."""
    return [
        _summary(source, position, age, group)
        for source, position in dict.fromkeys((j.source, j.position) for j in judged)
        for age, group in _ages([j for j in judged if (j.source, j.position) == (source, position)])
    ]


def curve(judged: Sequence[Judged], thresholds: Sequence[float] = THRESHOLDS) -> list[Point]:
    """The operating curve, from the probability each impact got.

    Nearly what a run at each threshold would say: a fall that is told hides what follows within 20 s, and this curve
    hides it at every threshold alike.
    """
    falls = [j for j in judged if j.about.is_fall]
    lives = [j for j in judged if not j.about.is_fall]
    hours = sum(j.seconds for j in lives) / _HOUR_S
    return [
        Point(
            threshold,
            _mean([j.probability >= threshold for j in falls]),
            _mean([j.probability < threshold for j in lives]),
            sum(_alarms(j, threshold) for j in lives) / hours if hours else None,
        )
        for threshold in thresholds
    ]


def _packets(pieces: Iterable[Samples], rate_hz: float) -> Iterator[tuple[Nanoseconds, Samples]]:
    """Cut into half seconds, each sample with its time since the first."""
    size = max(round(rate_hz * _PACKET_S), 1)
    first, rest = 0, np.empty((0, 3))
    for piece in pieces:
        waiting = np.concatenate([rest, piece])
        whole = len(waiting) - len(waiting) % size
        for start in range(0, whole, size):
            yield _times(first + start, size, rate_hz), waiting[start : start + size]
        first, rest = first + whole, waiting[whole:]
    if len(rest):
        yield _times(first, len(rest), rate_hz), rest


def _times(first: int, count: int, rate_hz: float) -> Nanoseconds:
    return np.round(np.arange(first, first + count) * (SECOND / rate_hz)).astype(np.int64)


def _felt(
    packets: Iterator[tuple[Nanoseconds, Samples]], rate_hz: float, sensor: Sensor
) -> Iterator[tuple[Nanoseconds, Samples]]:
    """What a coarser sensor would have felt of it."""
    coarser = None if sensor.rate_hz is None or sensor.rate_hz >= rate_hz else Resampler(sensor.rate_hz)
    sent = 0
    for times, samples in packets:
        felt = samples if sensor.range_g is None else samples.clip(-sensor.range_g, sensor.range_g)
        if coarser is None:
            yield times, felt
        elif len(fewer := coarser.feed(times, felt)):
            yield np.array([coarser.time_ns(sent + i) for i in range(len(fewer))], np.int64), fewer
            sent += len(fewer)


def _events(told: list[Found], now_ns: int) -> list[Event]:
    return [
        Event(
            kind=one.event.kind,
            time_s=one.at_ns / SECOND,
            told_s=now_ns / SECOND,
            probability=one.event.probability,
            impact_g=one.event.impact_g,
            free_fall_ms=one.event.free_fall_ms,
            stillness_s=one.event.stillness_s,
            posture_change_deg=one.event.posture_change_deg,
        )
        for one in told
        if isinstance(one, Told) and one.event.kind != "pending"
    ]


def _takes_back(e: Event, fall: Event) -> bool:
    return e.kind == "recovered" and fall.time_s < e.time_s and e.told_s <= fall.told_s + STAFF_WAIT_S


def _ages(judged: list[Judged]) -> list[tuple[Age, list[Judged]]]:
    elderly = [j for j in judged if j.about.elderly]
    younger = [j for j in judged if not j.about.elderly]
    groups: list[tuple[Age, list[Judged]]] = [("elderly", elderly), ("younger", younger)]
    return [("all", judged), *(groups if elderly and younger else [])]


def _summary(source: str, position: Position, age: Age, judged: Sequence[Judged]) -> Summary:
    falls = [j for j in judged if j.about.is_fall]
    lives = [j for j in judged if not j.about.is_fall]
    found, false = sum(j.decision for j in falls), sum(j.decision for j in lives)
    hours = sum(j.seconds for j in lives) / _HOUR_S
    placed = [right for j in falls if (right := j.in_interval) is not None]
    wrong = sum(j.false_events for j in judged)
    return Summary(
        source=source,
        position=position,
        age=age,
        subjects=len({j.about.subject for j in judged}),
        falls=len(falls),
        activities=len(lives),
        hours=hours,
        sensitivity=intervals.share(found, len(falls)),
        specificity=intervals.share(len(lives) - false, len(lives)),
        precision=intervals.share(found, found + false) if falls else None,
        f1=intervals.f1(_by_subject(judged)),
        found_by_staff=intervals.share(sum(bool(j.for_staff) for j in falls), len(falls)),
        alarms_per_hour=intervals.rate(sum(len(j.falls) for j in lives), hours),
        staff_alarms_per_hour=intervals.rate(sum(len(j.for_staff) for j in lives), hours),
        event_sensitivity=intervals.share(sum(placed), len(placed)),
        event_precision=intervals.share(sum(placed), sum(placed) + wrong) if placed else None,
        told_after_s=_told_after_s(falls),
    )


def _by_subject(judged: Sequence[Judged]) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """(n, 3): of each subject the falls found, the false alarms and the falls missed."""
    rows = {subject: number for number, subject in enumerate(sorted({j.about.subject for j in judged}))}
    counts = np.zeros((len(rows), 3), np.int64)
    for j in judged:
        counts[rows[j.about.subject]] += (
            j.about.is_fall and j.decision,
            not j.about.is_fall and j.decision,
            j.about.is_fall and not j.decision,
        )
    return counts


def _told_after_s(falls: Sequence[Judged]) -> float | None:
    waits = [j.falls[0].told_s - j.falls[0].time_s for j in falls if j.falls]
    return median(waits) if waits else None


def _alarms(judged: Judged, threshold: float) -> int:
    """How many falls would have been told at this threshold."""
    count, last_s = 0, -_AGAIN_S
    for e in judged.events:
        if e.kind == "recovered":
            last_s = -_AGAIN_S
        elif e.probability >= threshold and e.time_s - last_s >= _AGAIN_S:
            count, last_s = count + 1, e.time_s
    return count


def _mean(flags: Sequence[bool]) -> float | None:
    return sum(flags) / len(flags) if flags else None
