"""What an administrator types on a Raspberry Pi is done as the gateway, not as whoever is signed in there."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from store.pairing import command

COMMAND = Path(__file__).parents[2] / "deploy" / "gateway" / "hearthwatch"


def test_the_line_that_the_page_shows_pairs_the_gateway_that_runs(tmp_path: Path) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    sudo.chmod(0o755)
    line = command("7KQ2-M9XD", "https://care.example").split()
    assert line[0] == COMMAND.name
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([COMMAND, *line[1:]], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "-u", "hearthwatch", "env", "HEARTHWATCH_GATEWAY_DATA=/var/lib/hearthwatch",
        "/opt/hearthwatch/current/bin/hearthwatch", *line[1:],
    ]  # fmt: skip
