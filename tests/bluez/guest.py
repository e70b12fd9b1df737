"""Runs the stories inside the guest, one after the other, and tells of each on the second serial line: one JSON object."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
import traceback
from pathlib import Path
from typing import Final, TextIO

from tests.bluez.bench import Bench
from tests.bluez.stories import STORIES, Story

_RESULTS: Final = Path("/dev/ttyS1")
_LOG: Final = Path("/var/log/hearthwatch")
_STORY_S: Final = 80.0
_MOST: Final = 12_000  # characters of a log that are told


async def main() -> None:
    """Run every story that the kernel's command line names, or all."""
    logging.basicConfig(
        filename=_LOG, level=logging.INFO, format="%(relativeCreated)8d %(name)s %(levelname)s %(message)s"
    )
    logging.getLogger("bumble").setLevel(logging.ERROR)
    asked = [word.removeprefix("story=") for word in Path("/proc/cmdline").read_text().split() if "story=" in word]
    bench = Bench()
    await bench.open()
    with _RESULTS.open("w") as results:
        for story in STORIES:
            if not asked or story.__name__ in asked:
                await _tell(story, bench, results)


async def _tell(story: Story, bench: Bench, results: TextIO) -> None:
    logs = [_LOG, bench.bluetoothd.log]
    began, before = time.monotonic(), [log.stat().st_size for log in logs]
    logging.getLogger("story").info("%s begins", story.__name__)
    error = ""
    try:
        async with asyncio.timeout(_STORY_S):
            said = await story(bench)
    except Exception:  # noqa: BLE001  whatever it was, it is told
        error, said = traceback.format_exc(), None
    told = {
        "story": story.__name__,
        "seconds": round(time.monotonic() - began, 1),
        "error": error,
        "said": said,
        "log": "\n".join(
            log.read_text(errors="replace")[start:][-_MOST:] for log, start in zip(logs, before, strict=True)
        ),
    }
    results.write(json.dumps(told) + "\n")
    results.flush()


async def _whole() -> None:
    try:
        await main()
    except Exception:  # noqa: BLE001  the console is where it is looked for
        traceback.print_exc()
    os._exit(0)  # all is told; whatever still waits for the radio would only keep the machine on


if __name__ == "__main__":
    asyncio.run(_whole())
