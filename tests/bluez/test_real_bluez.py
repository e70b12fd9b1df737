"""The gateway's own code against a real kernel and a real bluetoothd, in a virtual machine (see ``make bluez``).

The guest runs the stories of ``stories.py`` and tells of each; here they are judged one by one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.bluez.stories import STORIES
from tests.conftest import PROJECT, unavailable

_GUEST: Final = PROJECT / ".bluez"
_MOST_S: Final = 270  # with the time to make the guest this stays below five minutes

pytestmark = [pytest.mark.bluez, pytest.mark.timeout(_MOST_S + 30)]


class Told:
    """What the guest told, and its console for what it could not tell."""

    def __init__(self, folder: Path) -> None:
        self._results = folder / "results"
        self._console = folder / "console"
        self.hung = False

    def run(self) -> None:
        """Boot the guest and wait until it has switched itself off; one that hangs is switched off."""
        command = [str(PROJECT / "tests/bluez/run.sh"), str(_GUEST), str(self._results), str(self._console)]
        guest = subprocess.Popen(command, start_new_session=True)
        try:
            guest.wait(_MOST_S)
        except subprocess.TimeoutExpired:
            self.hung = True
        finally:
            if guest.poll() is None:
                os.killpg(guest.pid, signal.SIGKILL)
                guest.wait()

    def of(self, story: str) -> dict[str, Any] | None:
        """What was told of one story; None when it was never told."""
        lines = self._results.read_text().splitlines() if self._results.exists() else []
        return next((told for told in map(json.loads, lines) if told["story"] == story), None)

    def console(self) -> str:
        """The end of what the kernel and the programs of the guest said."""
        return self._console.read_text(errors="replace")[-8000:] if self._console.exists() else ""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    if not (_GUEST / "recipe").exists():
        unavailable("there is no guest to boot: make bluez makes it")
    found = Told(tmp_path_factory.mktemp("bluez"))
    found.run()
    return found


@pytest.mark.parametrize("story", [story.__name__ for story in STORIES])
def test_real_bluez(told: Told, story: str) -> None:
    found = told.of(story)
    if found is None:
        pytest.fail(f"the guest {'hung' if told.hung else 'ended'} before this story\n{told.console()}")
    assert not found["error"], f"after {found['seconds']} s: {found['error']}\n{found['log']}\n{told.console()}"
    print(f"{story}: {found['seconds']} s {found['said'] or ''}")  # noqa: T201  shown by pytest -rP
