"""The rules core's machine code as numba keeps it on disk: what a power cut has left unfinished is thrown away.

numba reads such a file again and again and fails each time, so that nobody would be watched until a person removes it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from alerts import kernel

_LAST: Final = b"."
"""With this byte ends every pickle, and so each of these files that is whole."""


def throw_away() -> list[Path]:
    """Remove what is unfinished of it, or all of it where everything looks whole; returns what was removed."""
    return remove(sorted(_folders()))


def _folders() -> set[Path]:
    functions = (one for one in vars(kernel).values() if hasattr(one, "py_func"))
    return {Path(function.stats.cache_path) for function in functions}


def remove(folders: list[Path]) -> list[Path]:
    """The same of these folders."""
    found = [file for folder in folders for file in folder.glob("kernel.*.nb[ic]")]
    removed = [file for file in found if file.read_bytes()[-1:] != _LAST] or found
    for file in removed:
        file.unlink(missing_ok=True)
    return removed
