"""How well falls are told on the reference recordings, and what watching costs.

    python -m bench.falls [--shared FOLDER] [--cost]

The recordings lie in FOLDER/data/fall (HEARTHWATCH_SHARED, or the folder ``shared`` beside the project); without them,
or with --cost, only the cost is measured. Models that have learned nothing of the people, or of the set, that they judge
run in the gateway's own watch. The shipped model has seen these people: what it tells of them is shown last, as that.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from api.falls_jobs import How, judge_files
from devices.falls import evaluation, held_out, report, training
from devices.falls.evaluation import AS_RECORDED, Judged, Sensor, Summary
from devices.falls.features import Samples
from devices.falls.intervals import Interval
from devices.falls.recordings import read
from devices.falls.times import SECOND
from devices.falls.watch import Watch
from devices.virtual.body import RATE_HZ, Body, Doing

PROJECT: Final = Path(__file__).resolve().parent.parent
SENSORS: Final = {
    "as recorded": AS_RECORDED,
    "20 Hz": Sensor(rate_hz=20),
    "±2 g": Sensor(range_g=2.0),
    "20 Hz, ±2 g": Sensor(rate_hz=20, range_g=2.0),
    "10 Hz, ±2 g": Sensor(rate_hz=10, range_g=2.0),
}
PACKETS: Final = (1, 12, 50)
"""Samples a wearable sends at once."""
_WEARERS: Final = 60


def quality(files: Sequence[Path]) -> None:
    """The tables on people left out, on sets left out, and of the model as it is shipped."""
    sets = {path.stem: read(path) for path in files}
    blows = training.gather([t for trials in sets.values() for t in trials])
    folds = list(held_out.leave_subjects_out(sets, blows=blows))
    unseen = {name: held_out.judged(sets, folds, sensor) for name, sensor in SENSORS.items()}
    found = evaluation.summaries(unseen["as recorded"])
    show("People left out", report.by_recording(found), report.by_event(found), operating(unseen["as recorded"]))
    show("People left out", coarser(unseen))
    others = held_out.judged(sets, held_out.leave_sets_out(sets, blows))
    found = evaluation.summaries(others)
    show("Sets left out", report.by_recording(found), report.by_event(found), operating(others))
    show("In sample, which is no result", report.by_recording(evaluation.summaries(judge_files(files, How()))))


def show(what: str, *tables: report.Table) -> None:
    for table in tables:
        print(f"\n### {what}: {table.title}\n\n{report.markdown(table)}")


def operating(judged: Sequence[Judged]) -> report.Table:
    """The operating curves of the sets in which somebody fell."""
    groups = dict.fromkeys((j.source, j.position) for j in judged if j.about.is_fall)
    return report.operating(
        report.Set(*group, evaluation.curve([j for j in judged if (j.source, j.position) == group])) for group in groups
    )


def coarser(by_sensor: Mapping[str, Sequence[Judged]]) -> report.Table:
    """What a lower rate and a smaller range cost."""
    rows = [
        (s.source, s.position, name, percent(s.sensitivity), percent(s.specificity), percent(s.f1))
        for name, judged in by_sensor.items()
        for s in everybody(judged)
    ]
    columns = ("set", "position", "sensor", "sensitivity, %", "specificity, %", "F1, %")
    return report.Table("Coarser sensors", columns, sorted(rows, key=lambda row: row[:2]), 3)


def everybody(judged: Sequence[Judged]) -> Iterator[Summary]:
    return (s for s in evaluation.summaries(judged) if s.age == "all")


def percent(figure: Interval | None) -> str:
    return "–" if figure is None else f"{100 * figure.value:.1f}"


def life(seed: int, minutes: int) -> Samples:
    """A wearer who sits, walks, and falls once in ten minutes."""
    body = Body(seed)
    pieces = []
    for minute in range(minutes):
        body.doing = Doing.WALKING if minute % 2 else Doing.SITTING
        if minute % 10 == 5:
            body.fall()
        pieces.append(body.take(60 * RATE_HZ))
    return np.concatenate(pieces)


def cost(packet: int, samples: Samples) -> float:
    """The share of one core that watching one wearer takes, when she sends ``packet`` samples at once."""
    watch = Watch()
    times = np.arange(len(samples), dtype=np.int64) * (SECOND // RATE_HZ)
    began = time.process_time()
    for start in range(0, len(samples), packet):
        watch.feed(times[start : start + packet], samples[start : start + packet])
    return (time.process_time() - began) / (len(samples) / RATE_HZ)


def batch(lives: Iterable[Samples]) -> float:
    """Hours of recordings judged in a second on one core, one wearer after the other."""
    hours = 0.0
    began = time.process_time()
    for samples in lives:
        evaluation.judge([samples], RATE_HZ, Watch())
        hours += len(samples) / RATE_HZ / 3600
    return hours / (time.process_time() - began)


def costs() -> None:
    """What one wearer, and many, cost."""
    samples = life(1, 30)
    print("\n### Cost\n\n| | |\n| --- | ---: |")
    for packet in PACKETS:
        print(f"| of one core, a wearer at {RATE_HZ} Hz in packets of {packet} | {100 * cost(packet, samples):.3f} % |")
    rate = batch([life(seed, 10) for seed in range(_WEARERS)])
    print(f"| recordings of {_WEARERS} wearers in a batch, on one core | {rate:.1f} hours/s |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(os.environ.get("HEARTHWATCH_SHARED", PROJECT.parent / "shared"))
    parser.add_argument("--shared", type=Path, default=default)
    parser.add_argument("--cost", action="store_true", help="measure the cost alone")
    given = parser.parse_args()
    files = [] if given.cost else sorted((given.shared / "data" / "fall").glob("*.npz"))
    if files:
        quality(files)
    costs()


if __name__ == "__main__":
    main()
