"""How the gateway's own machine is, as Linux tells it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from devices import machine
from devices.machine import Machine

WELL = Machine(disk_free_mb=9000, temperature_c=48.0, memory_mb=70.0, uptime_s=3600, card_errors=0, writable=True)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine's ``/proc`` and ``/sys``, as a Raspberry Pi has them."""
    for zone, temperature in (("thermal_zone0", "48312\n"), ("thermal_zone1", "51000\n"), ("thermal_zone2", "")):
        (tmp_path / "sys/class/thermal" / zone).mkdir(parents=True)
        (tmp_path / "sys/class/thermal" / zone / "temp").write_text(temperature)
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("Name:\tpython\nVmRSS:\t   73728 kB\nThreads:\t3\n")
    (tmp_path / "proc/uptime").write_text("86461.27 300000.11\n")
    return tmp_path


def test_heat_memory_and_time_since_switching_on_are_read(root: Path) -> None:
    seen = machine.look(root, root)
    assert (seen.temperature_c, seen.memory_mb, seen.uptime_s) == (51.0, 72.0, 86461)
    assert seen.disk_free_mb is not None
    assert seen.writable


def test_errors_of_the_card_that_holds_the_folder_are_counted(root: Path) -> None:
    number = root.stat().st_dev
    (root / "sys/dev/block").mkdir(parents=True)
    (root / "sys/devices/mmc/mmcblk0p2").mkdir(parents=True)
    (root / "sys/dev/block" / f"{number >> 8 & 0xFFF}:{number & 0xFF}").symlink_to("../../devices/mmc/mmcblk0p2")
    (root / "sys/fs/ext4/mmcblk0p2").mkdir(parents=True)
    (root / "sys/fs/ext4/mmcblk0p2/errors_count").write_text("4\n")
    seen = machine.look(root, root)
    assert seen.card_errors == 4
    assert list(machine.troubles(seen)) == ["the gateway's memory card fails: put in a new one"]


def test_a_machine_that_tells_nothing_of_itself_is_looked_at_all_the_same(tmp_path: Path) -> None:
    seen = machine.look(tmp_path, tmp_path)
    assert (seen.temperature_c, seen.memory_mb, seen.uptime_s, seen.card_errors) == (None, None, None, None)


def test_this_very_machine_is_looked_at(tmp_path: Path) -> None:
    seen = machine.look(tmp_path)
    assert seen.memory_mb is not None
    assert seen.memory_mb > 5
    assert machine.since_boot() > 0
    assert machine.boot() == machine.boot()
    assert machine.synchronised() in (True, False, None)


@pytest.mark.parametrize(
    ("ill", "said"),
    [
        ({}, []),
        ({"disk_free_mb": 90}, ["the gateway's disk is nearly full: 90 MB are left"]),
        ({"temperature_c": 84.2}, ["the gateway is too hot (84 degrees): give it air"]),
        ({"memory_mb": 210.0}, ["the gateway's program takes much memory (210 MB)"]),
        ({"writable": False, "disk_free_mb": 90}, ["the gateway's memory card fails: put in a new one"]),
        ({"disk_free_mb": None, "temperature_c": None, "memory_mb": None, "card_errors": None}, []),
    ],
)
def test_what_somebody_should_see_to_is_said(ill: dict[str, object], said: list[str]) -> None:
    assert list(machine.troubles(replace(WELL, **ill))) == said  # type: ignore[arg-type]


def test_where_the_kernel_may_not_be_asked_timesyncd_s_mark_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("devices.machine._kernel_maxerror_us", lambda: None)
    assert machine.synchronised(tmp_path) is None
    (tmp_path / "run/systemd/timesync").mkdir(parents=True)
    assert machine.synchronised(tmp_path) is False
    (tmp_path / "run/systemd/timesync/synchronized").touch()
    assert machine.synchronised(tmp_path) is True


@pytest.mark.parametrize(("error_us", "right"), [(2_500, True), (16_000_000, False)])
def test_the_kernel_s_own_bound_of_the_clock_s_error_decides(
    monkeypatch: pytest.MonkeyPatch, error_us: int, right: bool
) -> None:
    monkeypatch.setattr("devices.machine._kernel_maxerror_us", lambda: error_us)
    assert machine.synchronised() is right
