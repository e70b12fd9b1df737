"""Telling systemd that the process is ready, alive and ending (``sd_notify``); without systemd nothing happens."""

from __future__ import annotations

import asyncio
import os
import socket


def notify(state: str) -> None:
    """Send one state, such as ``READY=1``, to the socket named by ``NOTIFY_SOCKET``."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]  # an abstract socket
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
        s.sendto(state.encode(), address)


async def keep_watchdog_quiet() -> None:
    """Tell the watchdog twice per period that this event loop turns; return at once when there is no watchdog."""
    period_s = int(os.environ.get("WATCHDOG_USEC", "0")) / 1e6
    while period_s > 0:
        notify("WATCHDOG=1")
        await asyncio.sleep(period_s / 2)
