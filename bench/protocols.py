"""What the shipped protocols do to a made-up cohort: sensitivity, time to an alert, false alarms, messages.

    python -m bench.protocols [--residents 4000] [--days 365] [--seed 20261129] [--speed] [--manual]

It is a simulation: what it is kind and unkind in stands in docs/cohort.md. With --speed only how long it takes to
make it is measured, with --manual the tables of docs/cohort.md are printed.
"""

from __future__ import annotations

import argparse
import resource
import time
from typing import Final

from alerts import protocol
from alerts.cohort import manual
from alerts.cohort.cohort import Plan, make
from alerts.cohort.judging import judge
from api.cohort_tables import in_brief, tables
from devices.falls.report import markdown

SEED: Final = 20_261_129
_YEAR: Final = Plan(10_000, 365, SEED)


def speed(plan: Plan) -> None:
    """How long it takes to make a cohort without keeping it, and the most memory that it took."""
    began, used, readings, labels = time.perf_counter(), time.process_time(), 0, 0
    for chunk in make(plan):
        readings += len(chunk.batch)
        labels += len(chunk.labels)
    took, used = time.perf_counter() - began, time.process_time() - used
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print("\n| | |\n| --- | ---: |")
    print(f"| {plan.residents:,} residents, {plan.days} days | {took:.0f} s |")
    print(f"| of one core | {used:.0f} s |")
    print(f"| readings | {readings:,} |\n| labels | {labels:,} |\n| most memory | {most:.2f} GB |")


def quality(plan: Plan) -> None:
    """Run the shipped protocols over a cohort and print the tables, those of docs/protocols.md last."""
    used = time.process_time()
    judged = judge(protocol.load(), plan, make(plan))
    used = time.process_time() - used
    print(
        f"{plan.residents:,} residents, {plan.days} days, seed {plan.seed}: {judged.readings:,} readings, "
        f"{judged.asked:,} questions, {judged.notes:,} notes; made and judged in {used:.0f} s of one core. "
        f"Protocol {judged.version}."
    )
    for table in (*tables(judged), *in_brief(judged, "en"), *in_brief(judged, "zh_Hans")):
        print(f"\n### {table.title}\n\n{markdown(table)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--residents", type=int, default=4000)
    parser.add_argument("--days", type=int, default=365)
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--speed", action="store_true", help="measure only how long making takes")
    parser.add_argument("--manual", action="store_true", help="print the tables of docs/cohort.md")
    given = parser.parse_args()
    if given.manual:
        print(f"{manual.kinds()}\n\n{manual.sources()}")
    elif given.speed:
        speed(_YEAR)
    else:
        quality(Plan(given.residents, given.days, given.seed))


if __name__ == "__main__":
    main()
