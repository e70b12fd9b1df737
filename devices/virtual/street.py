"""A street of virtual homes in a process of its own: ``python -m devices.virtual.street --homes homes.json ...``.

Gateways attach to ``--radio`` as to a Bluetooth controller (HCI packets over a unix socket), each with its own
controller in the one air; when a gateway is gone its links end. People move in the homes by ``--control``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from bumble.transport.common import StreamPacketSink, StreamPacketSource

from devices.virtual.control import Controls
from devices.virtual.radio import Air, VirtualController
from devices.virtual.twin import Plate
from devices.virtual.twins import kinds


class Homes(msgspec.Struct):
    """The file that names the street's devices. ``time_zone`` is that of those that name none of their own."""

    devices: list[Plate]
    time_zone: str | None = None


class _Sink(StreamPacketSink):
    """The way to a gateway, as long as there is one."""

    def on_packet(self, packet: bytes) -> None:
        if not self.transport.is_closing():
            super().on_packet(packet)


class _Socket(StreamPacketSource):
    """One gateway's HCI connection."""

    def __init__(self, air: Air, number: int, others: set[_Socket]) -> None:
        super().__init__()
        self._air = air
        self._number = number
        self._open = others
        self._transport: asyncio.WriteTransport | None = None
        self._controller: VirtualController | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        self._open.add(self)
        # A controller of its own: the gateway sets the address it is known by.
        address = f"00:F0:F0:F0:{self._number >> 8 & 0xFF:02X}:{self._number & 0xFF:02X}"
        sink = _Sink(transport)
        self._controller = VirtualController(
            f"gateway {self._number}", self._air, address, host_source=self, host_sink=sink
        )

    def connection_lost(self, error: Exception | None) -> None:
        self._open.discard(self)
        self._leave_the_air()

    def hang_up(self) -> None:
        """Take the air away from this gateway."""
        self._leave_the_air()
        if self._transport is not None:
            self._transport.close()

    def _leave_the_air(self) -> None:
        controller, self._controller = self._controller, None
        if controller is not None:
            self._air.remove_controller(controller)


class Street:
    """The devices of many homes in one air."""

    def __init__(self, plates: Iterable[Plate]) -> None:
        self.air = Air()
        self.twins = {plate.address: kinds()[plate.kind](self.air, plate) for plate in plates}
        self._controls = Controls(self.twins)
        self._sockets: set[_Socket] = set()
        self._numbers = itertools.count(1)
        self._servers: list[asyncio.Server] = []

    async def start(self, radio: Path, control: Path) -> None:
        """Switch every device on and open both sockets."""
        for twin in self.twins.values():
            await twin.start()
        loop = asyncio.get_running_loop()
        for path in (radio, control):
            path.unlink(missing_ok=True)
        self._servers = [
            await loop.create_unix_server(lambda: _Socket(self.air, next(self._numbers), self._sockets), radio),
            await asyncio.start_unix_server(self._controls.serve, control),
        ]

    async def stop(self) -> None:
        """Switch every device off and take the air away from every gateway."""
        for server in self._servers:
            server.close()
        self._controls.close()
        for socket in list(self._sockets):
            socket.hang_up()
        for twin in self.twins.values():
            await twin.stop()


def read_homes(path: Path) -> list[Plate]:
    """The devices in a homes file. ``ValueError`` in words when it is not one."""
    try:
        homes = msgspec.json.decode(path.read_bytes(), type=Homes)
        plates = [replace(plate, time_zone=plate.time_zone or homes.time_zone) for plate in homes.devices]
        for zone in {plate.time_zone for plate in plates if plate.time_zone}:
            ZoneInfo(zone)
        if strange := {plate.kind for plate in plates} - kinds().keys():
            raise ValueError(f"{path} is no list of homes: there is no virtual {', '.join(sorted(strange))}")
    except (OSError, msgspec.MsgspecError, ZoneInfoNotFoundError) as error:
        raise ValueError(f"{path} is no list of homes: {error}") from error
    return plates


async def live(plates: Sequence[Plate], radio: Path, control: Path) -> None:
    """Run a street until SIGTERM or SIGINT."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    street = Street(plates)
    await street.start(radio, control)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await ended.wait()
    await street.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m devices.virtual.street", description=__doc__)
    parser.add_argument("--homes", type=Path, required=True, help="JSON file that names the devices")
    parser.add_argument("--radio", required=True, help="unix:PATH where gateways attach")
    parser.add_argument("--control", type=Path, required=True, help="path of the control socket")
    options: Any = parser.parse_args(arguments)
    try:
        plates = read_homes(options.homes)
    except ValueError as error:
        parser.error(str(error))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(live(plates, Path(options.radio.removeprefix("unix:")), options.control))
    return 0


if __name__ == "__main__":
    sys.exit(main())
