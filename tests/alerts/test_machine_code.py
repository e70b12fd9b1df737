"""A power cut must not leave the watch with machine code that it can neither read nor make anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from alerts.machine_code import remove


def files(folder: Path, **content: bytes) -> None:
    for name, written in content.items():
        (folder / f"kernel.{name}-1.py311.nbi").write_bytes(written)


@pytest.mark.parametrize("left", [b"", b"\x80\x04\x95", bytes(512)])
def test_what_was_left_unfinished_is_removed_and_the_rest_stays(tmp_path: Path, left: bytes) -> None:
    files(tmp_path, step=b"\x80\x04N.", find=left)
    assert [file.name for file in remove([tmp_path])] == ["kernel.find-1.py311.nbi"]
    assert [file.name for file in tmp_path.iterdir()] == ["kernel.step-1.py311.nbi"]


def test_where_all_of_it_looks_whole_all_of_it_is_removed(tmp_path: Path) -> None:
    files(tmp_path, step=b"\x80\x04N.", find=b"\x80\x04N.")
    (tmp_path / "engine.cpython-311.pyc").touch()
    assert len(remove([tmp_path])) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["engine.cpython-311.pyc"]
