"""The watch under fire: a recorded week of many residents while workers and database are killed again and again.

    python -m bench.watch [--residents 5000] [--days 7] [--kills 200]

The week runs twice through the record: once under one worker whom nobody disturbs, once under three of which one or
another is killed, stopped, cut off or left hanging, with their database killed under them (``tests/faults``). Ends with 1
unless both have decided the same.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from store.embedded import EmbeddedPostgres
from tests.faults import fire
from tests.faults.fire import Decided, Ledger, Scale
from tests.faults.week import record


async def main(scale: Scale, place: Path) -> bool:
    week = record(scale.residents, scale.days)
    print(f"{scale.residents:,} residents, {scale.days} days, {len(week):,} readings, {scale.workers} workers")
    with EmbeddedPostgres(place / "postgres", settings=fire.SETTINGS) as server:
        began = time.monotonic()
        calm = await fire.undisturbed(server, place, week)
        report("undisturbed", calm, began)
        began = time.monotonic()
        burnt, ledger = await fire.under_fire(server, place, week, scale)
        report("under fire", burnt, began)
    report_kills(ledger)
    compare("alerts", calm.alerts, burnt.alerts)
    compare("what became of them", calm.trail, burnt.trail)
    print(f"raised or called twice: {burnt.twice}", flush=True)
    return calm.alerts == burnt.alerts and calm.trail == burnt.trail and not burnt.twice


def report(name: str, decided: Decided, began: float) -> None:
    took_s = time.monotonic() - began
    print(f"{name:12s} {decided.alerts.total():6,} alerts  {decided.trail.total():6,} steps of theirs  {took_s:4.0f} s")


def report_kills(ledger: Ledger) -> None:
    print(
        f"done to them {ledger.done.total()} times: "
        + ", ".join(f"{n} {name}" for name, n in ledger.done.most_common())
    )
    times = sorted(ledger.take_overs)
    p95 = times[int(0.95 * (len(times) - 1))]
    print(
        f"taken over after kill -9, {len(times)} times: median {statistics.median(times):.2f} s, "
        f"95th percentile {p95:.2f} s, longest {times[-1]:.2f} s"
    )


def compare(name: str, calm: Counter[Any], burnt: Counter[Any]) -> None:
    missing, extra = calm - burnt, burnt - calm
    print(f"{name}: {missing.total()} missing, {extra.total()} too many")
    for word, some in (("missing", missing), ("too many", extra)):
        for one in sorted(some, key=str)[:5]:
            print(f"  {word}: {one}")


if __name__ == "__main__":
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # the database is away again and again
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--residents", type=int, default=5000)
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--measured", type=int, default=30, help="of the kills, each watched to its end by itself")
    parser.add_argument("--tick-s", type=float, default=0.1, help="seconds for five minutes of the record")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="hearthwatch-fire-"))
    folder.chmod(0o755)
    if not asyncio.run(main(Scale(given.residents, given.days, given.kills, given.measured, given.tick_s), folder)):
        sys.exit(f"not the same; what the workers said is in {folder}")
    shutil.rmtree(folder, ignore_errors=True)
