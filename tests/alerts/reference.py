"""The rules core once more, slow and obvious: one reading after the other, one rule after the other.

It says in plain Python what ``alerts.engine`` says in columns; the tests hold the two together. Times are
``datetime64[us]``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np

from alerts.engine import Firing, What
from alerts.protocol import Protocol, Rule, evidence_name
from devices.readings import METRICS_BY_CODE, Kind, Metric

Time = np.datetime64


class Heard(NamedTuple):
    """One reading as it arrives."""

    resident: int
    metric: int
    at: Time
    value: float
    device: int
    received: Time


@dataclass
class Measurement:
    """What one device says at one measured time."""

    at: Time
    received: Time
    device: int
    values: dict[Metric, float] = field(default_factory=dict)


@dataclass
class Cell:
    """What is remembered of one resident under one rule."""

    phase: Literal["calm", "asking", "active"] = "calm"
    due: Time | None = None
    seen: dict[Time, bool] = field(default_factory=dict)
    first: tuple[Time, dict[Metric, float]] | None = None
    last: tuple[Time, dict[Metric, float]] | None = None
    device: int | None = None


class Interpreter:
    """A protocol at work on residents who are known by readings or enrolled."""

    def __init__(self, protocol: Protocol) -> None:
        self.protocol = protocol
        self.cells: dict[int, list[Cell]] = {}
        self.newest: dict[int, dict[Metric, tuple[Time, float]]] = {}
        self.heard = {m.code for rule in protocol.rules for m in heard_by(rule)}

    def enrol(self, residents: Iterable[int], now: Time) -> None:
        for resident in residents:
            if resident not in self.cells:
                self.newest[resident] = {}
                self.cells[resident] = [
                    Cell(due=now + rule.missing.within if rule.missing else None) for rule in self.protocol.rules
                ]

    def step(self, readings: Sequence[Heard], now: Time) -> list[Firing]:
        firings = self.hear_all(readings)
        for resident in self.cells:
            for rule, cell in zip(self.protocol.rules, self.cells[resident], strict=True):
                firings += time_out(resident, rule, cell, now)
        return firings

    def hear_all(self, readings: Sequence[Heard]) -> list[Firing]:
        firings: list[Firing] = []
        by_resident: dict[int, list[Heard]] = {}
        for reading in readings:
            self.enrol([reading.resident], reading.received)
            if reading.metric in self.heard:
                by_resident.setdefault(reading.resident, []).append(reading)
        for resident, theirs in by_resident.items():
            for measurement in measurements(theirs):
                firings += self.judge(resident, measurement)
        return firings

    def judge(self, resident: int, measurement: Measurement) -> list[Firing]:
        newest = self.newest[resident]
        for metric, value in measurement.values.items():
            if metric not in newest or measurement.at >= newest[metric][0]:
                newest[metric] = (measurement.at, value)
        firings: list[Firing] = []
        for rule, cell in zip(self.protocol.rules, self.cells[resident], strict=True):
            if any(event in measurement.values for event in rule.unless):
                firings += time_out(resident, rule, cell, measurement.received)
                firings += take_back(resident, rule, cell, measurement)
            if silent(rule) in measurement.values:
                firings += time_out(resident, rule, cell, measurement.received)
                firings += hear(resident, rule, cell, measurement)
            if any(limit.metric in measurement.values for limit in rule.when):
                firings += time_out(resident, rule, cell, measurement.received)
                firings += measure(resident, rule, cell, measurement, newest)
            if rule.confirmed_by and rule.confirmed_by.metric in measurement.values:
                firings += time_out(resident, rule, cell, measurement.received)
                firings += confirm(resident, rule, cell, measurement, newest)
        return firings


def measurements(readings: Iterable[Heard]) -> Iterable[Measurement]:
    """One resident's readings in order, joined where they follow each other from one device and time."""
    for (at, received, device), run in groupby(readings, key=lambda r: (r.at, r.received, r.device)):
        current = Measurement(at, received, device)
        seen = set()
        for reading in run:
            metric = METRICS_BY_CODE[reading.metric]
            if metric in seen:
                yield current
                current = Measurement(at, received, device)
            seen.add(metric)
            current.values[metric] = reading.value
        yield current


def heard_by(rule: Rule) -> list[Metric]:
    others = (rule.missing, rule.confirmed_by, rule.follows)
    return [*rule.measured, *rule.unless, *(other.metric for other in others if other)]


def silent(rule: Rule) -> Metric | None:
    return rule.missing.metric if rule.missing else None


def time_out(resident: int, rule: Rule, cell: Cell, before: Time) -> list[Firing]:
    """A timer that ran out raises."""
    if cell.due is None or cell.due >= before:
        return []
    if rule.missing:
        hours = rule.missing.within / timedelta(hours=1)
        firing = Firing(resident, rule.id, "raise", cell.due, None, {"hours": hours, "days": hours / 24})
    else:
        firing = over_firing(resident, rule, cell, "raise")
    cell.phase, cell.due = "active", None
    return [firing]


def take_back(resident: int, rule: Rule, cell: Cell, measurement: Measurement) -> list[Firing]:
    if cell.phase == "calm" or measurement.at < cell.last[0]:
        return []
    what: What = "answered" if cell.phase == "asking" else "clear"
    cell.phase, cell.due = "calm", None
    return [Firing(resident, rule.id, what, measurement.at, None, named(rule, cell.last[1]))]


def hear(resident: int, rule: Rule, cell: Cell, measurement: Measurement) -> list[Firing]:
    due = measurement.at + rule.missing.within
    if cell.phase == "calm":
        cell.due = max(cell.due, due)
    elif due >= measurement.received:
        cell.phase, cell.due = "calm", due
        return [Firing(resident, rule.id, "clear", measurement.at, None, {})]
    return []


def measure(
    resident: int, rule: Rule, cell: Cell, measurement: Measurement, newest: dict[Metric, tuple[Time, float]]
) -> list[Firing]:
    at = measurement.at
    if at < measurement.received - rule.expires:
        return []
    if rule.when[0].metric.kind is Kind.DEVICE and cell.device not in (None, measurement.device):
        if cell.phase == "active":
            return []
        cell.seen, cell.first, cell.last = {}, None, None
    cell.device = measurement.device
    over = any(
        limit.metric in measurement.values and limit.over(measurement.values[limit.metric]) for limit in rule.when
    )
    if is_taken_back(rule, at, newest):
        over = False
    values = {m: newest[m][1] for m in rule.measured if m in newest and newest[m][0] == at}
    values |= {m: v for m, v in measurement.values.items() if m in rule.measured}

    cell.seen[at] = over or cell.seen.get(at, False)
    latest = max(cell.seen)
    since, count = counted(rule, cell)
    another_event = rule.on_event and over and (cell.last is None or at > cell.last[0])
    is_first = count == 1 or (cell.first is not None and at <= cell.first[0])  # a late one may not count at all
    if (over and at >= since and is_first) or (cell.first and cell.first[0] == at):
        cell.first = (at, completed(cell.first, at, values))
    if (over and (cell.last is None or at >= cell.last[0])) or (cell.last and cell.last[0] == at):
        cell.last = (at, completed(cell.last, at, values))

    if cell.phase == "active" and another_event:
        cell.phase = "calm"
    enough = over and cell.seen[latest] and count >= rule.count.k and not (rule.on_event and rule.ask)
    if enough and cell.phase != "active":
        firing = over_firing(resident, rule, cell, "raise")
        cell.phase, cell.due = "active", None
        return [firing]
    if over and at == latest and not enough and cell.phase == "calm" and rule.ask:
        until = measurement.received + rule.ask.within
        firing = over_firing(resident, rule, cell, "ask", until)
        cell.phase, cell.due = "asking", until
        return [firing]
    if at == latest and not cell.seen[latest] and not rule.on_event:
        everything = all(limit.metric in values for limit in rule.when)
        if cell.phase == "asking" and everything:
            cell.phase, cell.due = "calm", None
            return [Firing(resident, rule.id, "answered", at, None, named(rule, values))]
        if cell.phase == "active" and everything and all(limit.calm(values[limit.metric]) for limit in rule.when):
            cell.phase, cell.due = "calm", None
            return [Firing(resident, rule.id, "clear", at, None, named(rule, values))]
    return []


def confirm(
    resident: int, rule: Rule, cell: Cell, measurement: Measurement, newest: dict[Metric, tuple[Time, float]]
) -> list[Firing]:
    at, value = measurement.at, measurement.values[rule.confirmed_by.metric]
    if at < measurement.received - rule.expires or is_taken_back(rule, at, newest):
        return []
    if cell.phase == "active" and began(rule, at, newest) <= cell.last[0]:
        return [Firing(resident, rule.id, "confirmed", at, None, {"confirmed": value})]
    if cell.phase == "asking" and cell.last[0] > at:
        return []
    if cell.phase != "asking":
        cell.first = cell.last = (at, {rule.when[0].metric: value})
    cell.phase, cell.due = "active", None
    evidence = {**named(rule, cell.last[1]), "count": 1.0, "confirmed": value}
    return [Firing(resident, rule.id, "raise", cell.last[0], None, evidence)]


def is_taken_back(rule: Rule, at: Time, newest: dict[Metric, tuple[Time, float]]) -> bool:
    related = rule.confirmed_by or rule.follows
    since_it_began = related.unless if related else ()
    return any(event in newest and newest[event][0] >= at for event in rule.unless) or any(
        event in newest and newest[event][0] >= began(rule, at, newest) for event in since_it_began
    )


def began(rule: Rule, at: Time, newest: dict[Metric, tuple[Time, float]]) -> Time:
    """When the episode began to which an event belongs: the newest of those that can begin one, or itself."""
    related = rule.confirmed_by or rule.follows
    if related is None:
        return at
    begins = rule.when[0].metric if rule.confirmed_by else related.metric
    before = newest[begins][0] if begins in newest else at
    return before if before <= at <= before + related.within else at


def counted(rule: Rule, cell: Cell) -> tuple[Time, int]:
    """From when on measurements count together, and how many of the last n were over."""
    since = max(cell.seen) - rule.count.within
    if cell.phase == "asking":
        since = min(since, cell.first[0])
    looked_at = sorted(cell.seen, reverse=True)[: rule.count.n]
    return since, sum(cell.seen[at] for at in looked_at if at >= since)


def completed(
    kept: tuple[Time, dict[Metric, float]] | None, at: Time, values: dict[Metric, float]
) -> dict[Metric, float]:
    return kept[1] | values if kept and kept[0] == at else values


def over_firing(resident: int, rule: Rule, cell: Cell, what: What, until: Time | None = None) -> Firing:
    count = counted(rule, cell)[1]
    evidence = named(rule, cell.last[1])
    if count > 1 and cell.first[0] != cell.last[0]:
        evidence |= {f"first_{name}": value for name, value in named(rule, cell.first[1]).items()}
    evidence["count"] = float(count)
    if rule.when[0].metric.kind is Kind.DEVICE:
        evidence["device"] = float(cell.device)
    return Firing(resident, rule.id, what, cell.last[0], until, evidence)


def named(rule: Rule, values: dict[Metric, float]) -> dict[str, float | str]:
    return {evidence_name(metric): values[metric] for metric in rule.measured if metric in values}
