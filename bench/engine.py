"""Readings judged per second by the rules core, and what it costs in memory, beside others in the same run.

    python -m bench.engine [--residents 10000] [--many 4000000] [--seconds 3]

Residents measure in turn, morning and evening: blood pressure and pulse, every other time oxygen, every fourth weight and
temperature, each as far from the mean of all as she is; one measurement in a thousand is severe. All shipped rules are
judged. Figures are of processor time: the machine is shared, and what else runs on it is not what is asked about.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from alerts import kernel, protocol
from alerts.engine import Batch, Engine, Firing, compile_ahead
from alerts.protocol import Protocol
from alerts.rule import Rule
from bench import peers
from devices.readings import METRICS
from tests.alerts.reference import Heard, Interpreter

START: Final = np.datetime64("2026-11-02T08:00:00", "us")
BATCHES: Final = (1, 100, 1_000, 10_000, 25_000)
"""Visits to a device in a batch; of four readings on the mean."""
_CUFF: Final = ("systolic", "diastolic", "pulse")
_OTHERS: Final = (("spo2", 2, 97, 1), ("body_weight", 4, 65, 0.4), ("body_temperature", 4, 36.5, 0.2))
"""What else is measured: every how many visits, around which mean, how far from it."""
_MEANS: Final = (130, 76, 72)
_BETWEEN: Final = (12, 7, 8)
_WITHIN: Final = (8, 5, 5)
_SEVERE: Final = 1e-3


class Street:
    """Endless batches of visits; a round of all residents takes twelve hours of measured time."""

    def __init__(self, residents: int) -> None:
        self._rng = np.random.default_rng(20_240_917)
        self._residents = residents
        self._apart_us = max(12 * 3_600_000_000 // residents, 1)
        self._own = self._rng.normal(0, 1, (residents, 3)).astype(np.float32)
        self._visit = 0

    def batches(self, visits: int) -> Iterator[Batch]:
        while True:
            yield self._batch(visits)

    def events(self, visits: int) -> peers.Columns:
        """Cuff measurements alone, as columns."""
        who, at, values = self._measured(visits)
        return {"resident": who, "at": at, **dict(zip(_CUFF, values.T, strict=True))}

    def _measured(self, visits: int) -> tuple[NDArray[np.int64], NDArray[np.datetime64], NDArray[np.float64]]:
        turn = np.arange(self._visit, self._visit + visits)
        self._visit += visits
        who = turn % self._residents
        at = START + (turn * self._apart_us).astype("timedelta64[us]")
        values = _MEANS + self._own[who] * _BETWEEN + self._rng.normal(0, 1, (visits, 3)) * _WITHIN
        values = np.clip(np.round(values), (60, 40, 42), (178, 108, 128))
        values[self._rng.random(visits) < _SEVERE] = (192, 118, 96)
        return who, at, values

    def _batch(self, visits: int) -> Batch:
        first = self._visit
        who, at, values = self._measured(visits)
        turn = np.arange(first, first + visits)
        parts = [(turn * 8 + i, who, METRICS[name].code, values[:, i], 3) for i, name in enumerate(_CUFF)]
        for i, (name, every, mean, spread) in enumerate(_OTHERS):
            some = np.flatnonzero((turn // self._residents + who) % every == 0)
            measured = np.round(self._rng.normal(mean, spread, len(some)), 1)
            parts.append((turn[some] * 8 + 4 + i, who[some], METRICS[name].code, measured, 4 + i))
        order = np.argsort(np.concatenate([place for place, *_ in parts]), kind="stable")
        resident = np.concatenate([who for _, who, *_ in parts])[order].astype(np.int32)
        metric = np.concatenate([np.full(len(who), code, np.int16) for _, who, code, *_ in parts])[order]
        value = np.concatenate([value for *_, value, _ in parts])[order]
        device = np.concatenate([np.full(len(who), device, np.int32) for _, who, *_, device in parts])[order]
        times = np.concatenate([at[place // 8 - first] for place, *_ in parts])[order]
        return Batch(resident, metric, times, value, np.zeros(len(value), np.int32), device, times)


def rate(step: Callable[[Batch], object], stream: Iterator[Batch], seconds: float) -> tuple[float, float]:
    """Readings a second and milliseconds a batch, of processor time; only the steps are timed."""
    spent = readings = count = 0.0
    for batch in stream:
        start = time.process_time()
        step(batch)
        spent += time.process_time() - start
        readings, count = readings + len(batch), count + 1
        if spent >= seconds:
            break
    return readings / spent, 1000 * spent / count


def core(rules: Protocol, residents: int) -> Engine:
    """The rules core, everybody enrolled."""
    engine = Engine(rules)
    engine.enrol(range(residents), START)
    return engine


def judged_by(engine: Engine) -> Callable[[Batch], list[Firing]]:
    return lambda batch: engine.step(batch, batch.at[-1])


def plain(rules: Protocol, residents: int) -> Callable[[Batch], list[Firing]]:
    """The reference. It is spared its search for timers that ran out, which looks at everybody in every step."""
    interpreter = Interpreter(rules)
    interpreter.enrol(range(residents), START)
    return lambda batch: interpreter.hear_all(heard(batch))


def heard(batch: Batch) -> list[Heard]:
    """A batch as plain Python objects."""
    received = batch.at if batch.received is None else batch.received
    return [
        Heard(*row)
        for row in zip(
            batch.resident.tolist(),
            batch.metric.tolist(),
            batch.at,
            batch.value.tolist(),
            batch.device.tolist(),
            received,
            batch.quality.tolist(),
            strict=True,
        )
    ]


def plain_pass(residents: int) -> Callable[[Batch], int]:
    """The least that could be done in numpy: keep each value and its time, and compare it with one level."""
    level = np.full(max(metric.code for metric in METRICS.values()) + 1, 180.0)
    value, at = np.zeros((residents, len(level))), np.zeros((residents, len(level)), np.int64)

    def over(batch: Batch) -> int:
        at[batch.resident, batch.metric] = batch.at.astype(np.int64)
        value[batch.resident, batch.metric] = batch.value
        return int(np.count_nonzero(batch.value >= level[batch.metric]))

    return over


def few(rules: Protocol) -> Protocol:
    """Those rules that the other engines are given."""
    wanted = ("bp.severe", "bp.low", "pulse.high", "pulse.low")
    return Protocol("few", "", tuple(r for name in wanted if (r := rules.rule(name)) is not None))


def table_of_sizes(rules: Protocol, residents: int, seconds: float) -> float:
    slow, _ = rate(plain(rules, residents), Street(residents).batches(50), seconds)
    print("| engine | visits in a batch | readings/s | ms a batch | to plain Python |")
    print("| --- | ---: | ---: | ---: | ---: |")
    print(f"| plain Python | any | {slow:,.0f} | | 1 |")
    fast = 0.0
    for size in BATCHES:
        engine = core(rules, residents)
        street = Street(residents)
        for batch in islice(street.batches(residents), 30):  # a fortnight, so that everything is known
            engine.step(batch, batch.at[-1])
        fast, each = rate(judged_by(engine), street.batches(size), seconds)
        print(f"| rules core | {size:,} | {fast:,.0f} | {each:.3f} | {fast / slow:,.0f} |", flush=True)
    print(f"\nstate: {engine.bytes_each:,.0f} bytes a resident in memory, with what stands after a fortnight")
    bare, _ = rate(plain_pass(residents), Street(residents).batches(BATCHES[-1]), seconds)
    print(
        f"a plain numpy pass over the same columns (keep, compare once): {bare:,.0f} readings/s, {bare / fast:.1f} times"
    )
    return fast


def table_of_parts(rules: Protocol, residents: int, seconds: float) -> None:
    """Where the time goes: outside the compiled loop, and in it by the kind of rule."""
    kinds: dict[str, Callable[[Rule], bool]] = {
        "none but silences, events and devices": lambda rule: not rule.when or rule.on_event or rule.on_device,
        "and levels": lambda rule: not rule.on_statistic,
        "and statistics of days": lambda rule: all(limit.score is None for limit in rule.when),
        "all, scores too": lambda rule: True,
    }
    print("\n| rules judged | number | ns a reading | of these outside the loop |")
    print("| --- | ---: | ---: | ---: |")
    for name, wanted in kinds.items():
        some = tuple(rule for rule in rules.rules if wanted(rule))
        engine, street = core(Protocol(name, "", some), residents), Street(residents)
        for batch in islice(street.batches(residents), 30):
            engine.step(batch, batch.at[-1])
        in_loop = Stopwatch(kernel.step)
        kernel.step = in_loop
        each, readings = in_all(engine, list(islice(street.batches(25_000), 4 * round(max(seconds, 1)))))
        kernel.step = in_loop.function
        print(f"| {name} | {len(some)} | {each:,.0f} | {each - 1e9 * in_loop.spent / readings:,.0f} |", flush=True)


def in_all(engine: Engine, batches: list[Batch]) -> tuple[float, int]:
    """Nanoseconds of processor time a reading, and how many there were."""
    start = time.process_time()
    for batch in batches:
        engine.step(batch, batch.at[-1])
    readings = sum(map(len, batches))
    return 1e9 * (time.process_time() - start) / readings, readings


class Stopwatch:
    """A function, and the processor time spent in it."""

    def __init__(self, function: Callable[..., int]) -> None:
        self.function, self.spent = function, 0.0

    def __call__(self, *given: Any) -> int:
        start = time.process_time()
        stopped = self.function(*given)
        self.spent += time.process_time() - start
        return stopped


def table_of_peers(rules: Protocol, residents: int, seconds: float) -> None:
    street = Street(residents)
    print("\n| engine | what it says | events/s |")
    print("| --- | --- | ---: |")
    own = core(few(rules), residents)
    each, _ = rate(judged_by(own), Street(residents).batches(25_000), seconds)
    print(f"| rules core | the four rules, whole | {each / 4:,.0f} |")
    said = {
        "Polars, replay of 200,000": (peers.replay_with_polars, "when each is counted, no more", 200_000),
        "rule-engine": (peers.judge_with_rule_engine(), "which measurements are over", 2_000),
        "zen-engine": (peers.judge_with_zen(), "which measurements are over", 2_000),
    }
    for name, (judge, what, size) in said.items():
        spent = count = 0.0
        while spent < seconds:
            events = street.events(size)
            start = time.process_time()
            judge(events)
            spent += time.process_time() - start
            count += size
        print(f"| {name} | {what} | {count / spent:,.0f} |", flush=True)


def table_of_many(rules: Protocol, residents: int, few_residents: int, seconds: float) -> None:
    print("\n| residents | readings/s in batches of 100,000 readings | GB in memory |")
    print("| ---: | ---: | ---: |")
    rates = []
    for number in (few_residents, residents):
        engine = core(rules, number)
        rates.append(rate(judged_by(engine), Street(number).batches(25_000), max(seconds, 10))[0])
        print(f"| {number:,} | {rates[-1]:,.0f} | {engine.bytes_each * number / 1e9:.2f} |", flush=True)
    print(f"\n{residents:,} residents: {rates[1] / rates[0]:.2f} of the rate of {few_residents:,} (wanted: 0.5)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--residents", type=int, default=10_000)
    parser.add_argument("--many", type=int, default=4_000_000, help="residents of the last table; 0 leaves it out")
    parser.add_argument("--seconds", type=float, default=3.0, help="processor time for each line")
    given = parser.parse_args()
    rules = protocol.load()
    compile_ahead()
    print(f"{len(rules.rules)} rules, {given.residents:,} residents; Python {platform.python_version()}, ", end="")
    print(f"numpy {np.__version__}, {os.cpu_count()} cores\n")
    table_of_sizes(rules, given.residents, given.seconds)
    table_of_parts(rules, given.residents, given.seconds)
    table_of_peers(rules, given.residents, given.seconds)
    if given.many:
        table_of_many(rules, given.many, given.residents, given.seconds)


if __name__ == "__main__":
    main()
