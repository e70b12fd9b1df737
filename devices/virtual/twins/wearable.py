"""A virtual wearable: streams acceleration while someone listens, and has a button "I am fine".

Fifty samples a second go out in packets of half a second, which is what keeps a real device's radio (and one
gateway for many homes) asleep most of the time.
"""

from __future__ import annotations

import asyncio
import time
import zlib
from typing import ClassVar, Final

from bumble.core import UUID
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, Service

from devices.gatt import motion
from devices.virtual.body import Body, Doing
from devices.virtual.radio import Air
from devices.virtual.twin import Answer, Perms, Plate, Props, Twin, listed

_PACKET: Final = 25  # samples: half a second, 156 bytes
_PACKET_S: Final = _PACKET / motion.RATE_HZ
_FORGETS_S: Final = 10.0  # how much it can hold while it cannot send
_SERVICE: Final = listed(motion.SERVICE)


class Wearable(Twin):
    """A wearable on ``body``."""

    kind: ClassVar[str] = "wearable"

    def __init__(self, air: Air, plate: Plate) -> None:
        super().__init__(air, plate, advertise_every_ms=500)
        self.body = Body(zlib.crc32(plate.address.encode()))
        self._presses = 0
        self._sequence = 0
        self._switched_on = time.monotonic()
        self._acceleration: Characteristic[bytes] = Characteristic(
            UUID(motion.ACCELERATION), Props.NOTIFY, Perms.READABLE
        )
        self._acceleration.on(Characteristic.EVENT_SUBSCRIPTION, self._on_subscription)
        self._fine: Characteristic[bytes] = Characteristic(UUID(motion.I_AM_FINE), Props.NOTIFY, Perms.READABLE)
        self.device.add_services(
            [Service(UUID(motion.SERVICE), [self._acceleration, self._fine]), *self.standard_services()]
        )
        self.device.on(Device.EVENT_CONNECTION, self._on_connection)

    async def start(self) -> None:
        """Switch on and wait for the gateway."""
        await super().start()
        await self.advertise(_SERVICE)

    async def i_am_fine(self) -> None:
        """Press the button."""
        self._presses += 1
        count = (self._presses & 0xFFFF).to_bytes(2, "little")
        await self.device.gatt_server.notify_subscribers(self._fine, count)

    def _on_connection(self, connection: Connection) -> None:
        connection.on(Connection.EVENT_DISCONNECTION, lambda _reason: self.spawn(self.advertise(_SERVICE)))

    def _on_subscription(self, connection: Connection, notify: bool, _indicate: bool) -> None:
        if notify:
            self.spawn(self._stream(connection))

    async def _stream(self, connection: Connection) -> None:
        """Sample by the device's own clock: late packets catch up, and only a long stall leaves samples out."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        sampled_ms = (time.monotonic() - self._switched_on) * 1000
        while connection in self.connections:
            await asyncio.sleep(max(due + _PACKET_S - loop.time(), 0))
            if not await self.send(connection, self._acceleration, self._packet(round(sampled_ms))):
                return
            stalled = max(loop.time() - due - _FORGETS_S, 0)
            due += _PACKET_S + stalled
            sampled_ms += (_PACKET_S + stalled) * 1000

    def _packet(self, at_ms: int) -> bytes:
        packet = motion.Motion(self._sequence, at_ms, self.body.take(_PACKET))
        self._sequence += 1
        return motion.encode(packet)

    def told(self) -> Answer:
        return {"doing": self.body.doing.value}

    async def do_sit(self) -> Answer:
        """Let its wearer sit."""
        self.body.doing = Doing.SITTING
        return {}

    async def do_walk(self) -> Answer:
        """Let its wearer walk."""
        self.body.doing = Doing.WALKING
        return {}

    async def do_fall(self) -> Answer:
        """Let its wearer fall and stay lying."""
        self.body.fall()
        return {}

    async def do_get_up(self) -> Answer:
        """Let its wearer get up and walk."""
        self.body.get_up()
        return {}

    async def do_i_am_fine(self) -> Answer:
        """Let its wearer press the button."""
        await self.i_am_fine()
        return {}
