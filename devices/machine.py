"""How the small computer itself is: its disk, its heat, its memory and its clock. Linux tells; what it does not is None."""

from __future__ import annotations

import ctypes
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MB: Final = 1024 * 1024
_LITTLE_DISK_MB: Final = 200
_HOT_C: Final = (
    80.0  # a Raspberry Pi slows itself down from here (raspberrypi.com, "Frequency management and thermal control")
)
_MUCH_MEMORY_MB: Final = 120.0
_SYNCHRONISED_US: Final = 16_000_000  # a clock off by less at most is synchronised: what systemd's timedatectl goes by
_TIMEX_MAXERROR: Final = 3  # its place among the longs that struct timex begins with
_TIMEX_LONGS: Final = 64  # more than the whole struct takes (208 bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A look at the machine. ``card_errors`` counts what the file system of ``folder`` could not read or write."""

    disk_free_mb: int | None
    temperature_c: float | None
    memory_mb: float | None
    uptime_s: int | None
    card_errors: int | None
    writable: bool


def look(folder: Path, root: Path = Path("/")) -> Machine:
    """Look at the machine on whose disk ``folder`` is; ``root`` is where its ``proc`` and ``sys`` are."""
    return Machine(
        disk_free_mb=_disk_free_mb(folder),
        temperature_c=max(_temperatures(root), default=None),
        memory_mb=_memory_mb(root),
        uptime_s=_uptime_s(root),
        card_errors=_card_errors(folder, root),
        writable=_writable(folder),
    )


def troubles(machine: Machine) -> Iterator[str]:
    """What somebody should see to, a sentence each; ``clinicians.troubles`` has them in the reader's language."""
    if not machine.writable or machine.card_errors:
        yield "the gateway's memory card fails: put in a new one"
    elif machine.disk_free_mb is not None and machine.disk_free_mb < _LITTLE_DISK_MB:
        yield f"the gateway's disk is nearly full: {machine.disk_free_mb} MB are left"
    if machine.temperature_c is not None and machine.temperature_c >= _HOT_C:
        yield f"the gateway is too hot ({machine.temperature_c:.0f} degrees): give it air"
    if machine.memory_mb is not None and machine.memory_mb > _MUCH_MEMORY_MB:
        yield f"the gateway's program takes much memory ({machine.memory_mb:.0f} MB)"


def since_boot() -> float:
    """Seconds since this machine was switched on; sleep counts, and nothing sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot() -> str:
    """What tells this run of the machine from every other."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"since {time.time() - since_boot():.0f}"


def synchronised(root: Path = Path("/")) -> bool | None:
    """Whether a time server keeps this machine's clock right; None when it cannot be known.

    The kernel is asked; a hardened unit may not ask it, but sees the mark that systemd-timesyncd leaves.
    """
    error_us = _kernel_maxerror_us()
    if error_us is not None:
        return error_us < _SYNCHRONISED_US
    folder = root / "run/systemd/timesync"
    return (folder / "synchronized").exists() if folder.is_dir() else None


def _kernel_maxerror_us() -> int | None:
    timex = (ctypes.c_long * _TIMEX_LONGS)()  # modes 0: only look
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except (OSError, AttributeError):
        return None
    return None if state < 0 else int(timex[_TIMEX_MAXERROR])


def _disk_free_mb(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free // _MB
    except OSError:
        return None


def _writable(folder: Path) -> bool:
    """A file system that met errors is set to read only by the kernel."""
    try:
        return not os.statvfs(folder).f_flag & os.ST_RDONLY
    except OSError:
        return False


def _card_errors(folder: Path, root: Path) -> int | None:
    """What ext4 counted, on the disk that the folder is on, since the last fsck."""
    try:
        number = folder.stat().st_dev
        disk = (root / "sys/dev/block" / f"{os.major(number)}:{os.minor(number)}").resolve().name
        return int((root / "sys/fs/ext4" / disk / "errors_count").read_text())
    except (OSError, ValueError):
        return None


def _temperatures(root: Path) -> Iterator[float]:
    for zone in (root / "sys/class/thermal").glob("thermal_zone*/temp"):
        try:
            yield int(zone.read_text()) / 1000
        except (OSError, ValueError):
            continue


def _memory_mb(root: Path) -> float | None:
    try:
        status = (root / "proc/self/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024
    except (OSError, ValueError, IndexError):
        return None


def _uptime_s(root: Path) -> int | None:
    try:
        return int(float((root / "proc/uptime").read_text().split()[0]))
    except (OSError, ValueError, IndexError):
        return None
