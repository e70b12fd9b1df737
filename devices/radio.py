"""The gateway's way to a Bluetooth adapter: the machine's own through BlueZ, or one in the virtual air.

Everything else goes through bleak's public API. What bleak has no word for stands here: power-cycling an adapter
that went deaf, forgetting a bond that the other side has lost, and knowing that the adapter is gone.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Collection, Mapping
from typing import Any, Final, Protocol

from bleak.exc import BleakError

TROUBLES: Final = (BleakError, OSError, EOFError, TimeoutError)
"""What an adapter, or a device over it, is expected to fail with."""


class AdapterHung(Exception):
    """The adapter, or the daemon that owns it, has not answered for long, whatever was tried: begin the process anew."""


class Radio(Protocol):
    """An adapter, as the collector needs it. ``name`` tells several apart.

    ``scanner_options`` and ``client_options`` are keyword arguments for ``BleakScanner`` and ``BleakClient``;
    ``passive_options`` make the scanner listen without asking (None: this adapter cannot; known after :meth:`reset`).
    ``lost`` is set while there is no adapter to work with: before the first :meth:`reset`, after it vanished, and when
    it was given up because something in it hangs.
    """

    name: str
    scanner_options: Mapping[str, Any]
    passive_options: Mapping[str, Any] | None
    client_options: Mapping[str, Any]
    lost: asyncio.Event

    async def reset(self) -> None:
        """Open the adapter, or power-cycle it: every connection ends. ``BleakError`` or ``OSError`` when it cannot be had."""

    async def is_bonded(self, address: str) -> bool:
        """Whether there is a bond with a device."""

    async def forget(self, address: str) -> None:
        """Forget the bond with a device, so that the next connection may pair anew. Without a bond nothing happens."""

    def expect(self, addresses: Collection[str]) -> None:
        """Only these devices may pair."""

    async def close(self) -> None:
        """Let go of the adapter."""


def adapter(name: str = "hci0") -> Radio:
    """An adapter of this machine, not yet open: :meth:`Radio.reset` opens it, which the collector does."""
    if sys.platform != "linux":
        raise BleakError("a gateway needs Linux with BlueZ")
    from devices.bluez import BlueZRadio  # dbus-fast is only there on Linux

    return BlueZRadio(name)
