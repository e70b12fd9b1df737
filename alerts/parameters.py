"""A protocol as columns, for the rules core. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from alerts.measurements import Bools, Floats, Int64s, Rows
from alerts.protocol import Protocol
from alerts.rule import Rule
from devices.readings import METRICS_BY_CODE, Metric


class Parameters:
    """A protocol as columns: one row per rule, shape ``(R,)``; ``(R, kept)`` by value in the evidence.

    Levels are multiplied by their sign, so that more is always worse. ``column`` and the like index the metrics;
    the last, always empty column stands for none.
    """

    def __init__(self, protocol: Protocol) -> None:
        rules = protocol.rules
        self.metrics = sorted({code for rule in rules for code in _heard(rule)})
        self._column_of = np.full(max(METRICS_BY_CODE) + 2, -1, np.intp)
        self._column_of[self.metrics] = np.arange(len(self.metrics))
        self.look_back = max(rule.count.n for rule in rules)
        self.kept = max(1, *(len(rule.measured) for rule in rules))
        self._set_levels(rules)
        self._set_times(rules)
        self._set_hearing(rules)

    def column_of(self, metric: NDArray[np.int16]) -> Rows:
        """The column of each metric code, -1 for those no rule hears."""
        return self._column_of[np.clip(metric, 0, len(self._column_of) - 1)]

    def _set_levels(self, rules: tuple[Rule, ...]) -> None:
        shape = (len(rules), self.kept)
        self.column: Rows = np.full(shape, len(self.metrics), np.intp)
        self.judged: Bools = np.zeros(shape, np.bool_)
        self.sign: Floats = np.ones(shape)
        self.over_from: Floats = np.full(shape, np.inf)
        self.clear_from: Floats = np.full(shape, -np.inf)
        for r, rule in enumerate(rules):
            self.column[r, : len(rule.measured)] = self._column_of[[metric.code for metric in rule.measured]]
            for i, limit in enumerate(rule.when):
                self.judged[r, i], self.sign[r, i] = True, limit.sign
                self.over_from[r, i] = limit.sign * limit.over_from
                if limit.clear_from is not None:
                    self.clear_from[r, i] = limit.sign * limit.clear_from

    def _set_times(self, rules: tuple[Rule, ...]) -> None:
        self.expires_us = _durations(rule.expires for rule in rules)
        self.within_us = _durations(rule.count.within for rule in rules)
        self.ask_us = _durations(rule.ask.within if rule.ask else None for rule in rules)
        self.silence_us = _durations(rule.missing.within if rule.missing else None for rule in rules)
        self.silences = np.flatnonzero(self.silence_us)
        self.event = np.array([rule.on_event for rule in rules])
        self.on_device = np.array([rule.on_device for rule in rules])
        # An event that asks first is raised by its timer alone: no number of events is enough.
        self.k = np.array([2 if rule.on_event and rule.ask else rule.count.k for rule in rules])
        self.looked_at = np.arange(self.look_back) < np.array([rule.count.n for rule in rules])[:, None]

    def _set_hearing(self, rules: tuple[Rule, ...]) -> None:
        none = len(self.metrics)
        column = self._column_of
        self.unless = self._columns(rule.unless for rule in rules)
        self.unless_since_it_began = self._columns(_unless_since_it_began(rule) for rule in rules)
        self.silent = np.array([column[rule.missing.metric.code] if rule.missing else none for rule in rules])
        self.confirm = np.array(
            [column[r.confirmed_by.metric.code] if r.confirmed_by else none for r in rules], np.intp
        )
        began = [_began_with(rule) for rule in rules]
        self.began = np.array([none if b is None else column[b[0].code] for b in began], np.intp)
        self.has_episode = self.began != none
        self.began_us = _durations(None if b is None else b[1] for b in began)
        self.taken_back_by = _hears(self.unless, none)
        self.confirmed_by = _hears(self.confirm[:, None], none)
        self.silent_without = _hears(self.silent[:, None], none)
        self.judging = _hears(np.where(self.judged, self.column, none), none)

    def _columns(self, events: Iterable[tuple[Metric, ...]]) -> Rows:
        """The columns of each rule's events, shape ``(R, most)``, filled up with the empty column."""
        codes = [[self._column_of[metric.code] for metric in metrics] for metrics in events]
        most = max(1, *map(len, codes))
        return np.array([row + [len(self.metrics)] * (most - len(row)) for row in codes], np.intp)


def _unless_since_it_began(rule: Rule) -> tuple[Metric, ...]:
    related = rule.confirmed_by or rule.follows
    return related.unless if related else ()


def _heard(rule: Rule) -> Iterator[int]:
    related = [part.metric for part in (rule.missing, rule.confirmed_by, rule.follows) if part]
    yield from (metric.code for metric in (*rule.measured, *rule.unless, *related))


def _began_with(rule: Rule) -> tuple[Metric, timedelta] | None:
    """The event with which an episode of this rule begins, and how long before it may lie."""
    if rule.confirmed_by:
        return rule.when[0].metric, rule.confirmed_by.within
    return (rule.follows.metric, rule.follows.within) if rule.follows else None


def _hears(column: Rows, metrics: int) -> NDArray[np.float32]:
    """Which metric concerns which rule: 1 or 0, shape ``(metrics, R)``."""
    hears = np.zeros((metrics + 1, len(column)), np.float32)
    hears[column, np.arange(len(column))[:, None]] = 1
    return hears[:-1]


def _durations(lengths: Iterable[timedelta | None]) -> Int64s:
    """Lengths of time in microseconds, 0 for none."""
    return np.array(
        [0 if length is None else np.timedelta64(length, "us").astype(np.int64) for length in lengths], np.int64
    )
