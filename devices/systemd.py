"""Telling systemd how the process is (``sd_notify``): ready, ending, alive as long as it is, and what it does in words.

Without systemd nothing happens. ``systemctl status`` shows the words.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Callable, Sequence
from typing import Final

log = logging.getLogger(__name__)

_EVERY_S: Final = 10.0
_MOST_WORDS: Final = 500


def notify(*states: str) -> None:
    """Send states, such as ``READY=1``, to the socket named by ``NOTIFY_SOCKET``."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
            s.sendto("\n".join(states).encode(), address)
    except OSError as error:
        log.warning("systemd cannot be told: %s", error)  # it will find out; collecting goes on


async def report(hung: Callable[[], Sequence[str]], words: Callable[[], str]) -> None:
    """Tell systemd for ever what the process does, and that it is alive for as long as nothing in it is ``hung``.

    The watchdog is told at least twice per period that it asks for (``WATCHDOG_USEC``).
    """
    watchdog_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    every_s = min(_EVERY_S, watchdog_s / 2) if watchdog_s else _EVERY_S
    while True:
        stuck = hung()
        states = ["STATUS=" + _one_line("hangs: " + ", ".join(stuck) if stuck else words())]
        if watchdog_s and not stuck:
            states.append("WATCHDOG=1")
        notify(*states)
        await asyncio.sleep(every_s)


def _one_line(words: str) -> str:
    return " ".join(words.split())[:_MOST_WORDS]
