"""The rules core's loop as plain Python: the same lines without machine code must say the same of the same days."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_without_machine_code_the_loop_judges_the_same_days_alike() -> None:
    days = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "tests/alerts/test_engine.py"]
    plain = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(days, cwd=ROOT, env=plain, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
