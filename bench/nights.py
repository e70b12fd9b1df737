"""A bad night of a thousand calls for help: who was taken by whom, what was loudly red, what went out twice.

    python -m bench.nights [--alerts 1000] [--every 0.3] [--breaks 1.5] [--seed 5]

Two processes of the whole service over one database, the real Twilio client against the telephone network's stand-in.
Everything breaks meanwhile, at random (tests/faults/bad_night.py).
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections import Counter
from pathlib import Path

from store.embedded import EmbeddedPostgres
from tests.faults.bad_night import Morning, Scale, bad_night
from tests.faults.fire import SETTINGS


async def main(scale: Scale) -> None:
    """Live through the night and print what the morning finds."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        with EmbeddedPostgres(place / "postgres", settings=SETTINGS) as server:
            morning = await bad_night(server, place, scale)
    print(f"{scale.alerts} calls for help, one every {scale.every_s} s; something breaks every {scale.breaks_s} s")
    for line in told(morning):
        print(line)


def told(morning: Morning) -> list[str]:
    """What the morning finds, line by line."""
    broken = ", ".join(f"{n} {what}" for what, n in morning.done.most_common())
    answers = ", ".join(f"{n} {what}" for what, n in morning.answers.most_common())
    ended = Counter("red" if fate.is_red else fate.state for fate in morning.fates)
    calls = sorted(fate.calls for fate in morning.fates)
    return [
        f"accepted {morning.readings}, raised {len(morning.fates)}: "
        + ", ".join(f"{n} {state}" for state, n in ended.most_common()),
        f"unheard by anybody: {len(morning.silent)}",
        f"messages and calls sent {morning.sent}, of them a second time {morning.doubled} ({morning.share_doubled:.2%})",
        f"called after somebody had taken it: {morning.called_after_taken}",
        f"steps an alert took: median {calls[len(calls) // 2]}, most {calls[-1]}",
        f"what broke, {morning.done.total()} times: {broken}",
        f"how people answered: {answers}",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.nights", description=__doc__)
    parser.add_argument("--alerts", type=int, default=1000)
    parser.add_argument("--every", type=float, default=0.3, help="seconds between two calls for help")
    parser.add_argument("--breaks", type=float, default=1.5, help="seconds between two things that break")
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    asyncio.run(main(Scale(given.alerts, given.every, given.breaks, given.seed)))
