"""Readings judged per second by the rules core and, in the same run, by the plain Python it is held to.

    python -m bench.engine [--residents 10000] [--seconds 3]

An event is one cuff measurement: systolic, diastolic and pulse, three readings. Residents measure in turn; one
measurement in a thousand is severe. All shipped rules are judged. Both start from the same enrolled residents.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import numpy as np

from alerts import protocol
from alerts.engine import Batch, Engine, Firing
from alerts.parameters import Parameters
from devices.readings import METRICS
from tests.alerts.reference import Heard, Interpreter

START: Final = np.datetime64("2026-11-02T08:00:00", "us")
BATCHES: Final = (1, 100, 1_000, 10_000)
"""Events in a batch."""
_CODES: Final = np.array([METRICS[name].code for name in ("systolic", "diastolic", "pulse")], np.int16)
_SEVERE: Final = 1e-3


def batches(residents: int, events: int) -> Iterator[Batch]:
    """Endless batches of ``events`` measurements; a round of all residents takes twelve hours of measured time."""
    rng = np.random.default_rng(20_240_917)
    apart_us = 12 * 3_600_000_000 // residents
    number = 0
    while True:
        turn = np.arange(number, number + events)
        at = START + (turn * apart_us).astype("timedelta64[us]")
        values = np.column_stack((rng.normal(135, 8, events), rng.normal(80, 5, events), rng.normal(72, 6, events)))
        values = np.clip(np.round(values), (96, 52, 52), (172, 104, 108))
        values[rng.random(events) < _SEVERE] = (192, 118, 96)
        three = np.repeat(turn % residents + 1, 3).astype(np.int32)
        times = np.repeat(at, 3)
        nothing = np.zeros(3 * events, np.int32)
        yield Batch(three, np.tile(_CODES, events), times, values.ravel(), nothing, three, times)
        number += events


def rate(step: Callable[[Batch], list[Firing]], stream: Iterator[Batch], seconds: float) -> tuple[float, float, int]:
    """Events a second, milliseconds a batch, and how many rules fired; only the steps are timed."""
    spent = events = count = fired = 0.0
    while spent < seconds:
        for batch in islice(stream, 8):
            start = time.perf_counter()
            firings = step(batch)
            spent += time.perf_counter() - start
            events, count, fired = events + len(batch) / 3, count + 1, fired + len(firings)
    return events / spent, 1000 * spent / count, int(fired)


def columns(residents: int) -> Callable[[Batch], list[Firing]]:
    """The rules core, warm."""
    engine = Engine(protocol.load())
    engine.enrol(range(1, residents + 1), START)
    return lambda batch: engine.step(batch, batch.at[-1])


def plain(residents: int) -> Callable[[Batch], list[Firing]]:
    """The reference. It is spared its search for timers that ran out, which looks at everybody in every step."""
    interpreter = Interpreter(protocol.load())
    interpreter.enrol(range(1, residents + 1), START)
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
            strict=True,
        )
    ]


def state_bytes(residents: int) -> float:
    """Bytes of saved state per resident."""
    engine = Engine(protocol.load())
    engine.enrol(range(1, residents + 1), START)
    return sum(map(len, engine.dirty_rows().values())) / residents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--residents", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=3.0, help="time for each line of the table")
    given = parser.parse_args()
    rules = protocol.load()
    print(
        f"{len(rules.rules)} rules, {len(Parameters(rules).metrics)} metrics, {given.residents:,} residents; ", end=""
    )
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {os.cpu_count()} cores")
    print(f"state: {state_bytes(given.residents):,.0f} bytes a resident\n")
    slow, _, _ = rate(plain(given.residents), batches(given.residents, 100), given.seconds)
    print("| engine | events in a batch | events/s | readings/s | ms a batch | to plain Python |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    print(f"| plain Python | any | {slow:,.0f} | {3 * slow:,.0f} | | 1 |")
    for size in BATCHES:
        fast, each, _ = rate(columns(given.residents), batches(given.residents, size), given.seconds)
        print(f"| columns | {size:,} | {fast:,.0f} | {3 * fast:,.0f} | {each:.2f} | {fast / slow:.1f} |")


if __name__ == "__main__":
    main()
