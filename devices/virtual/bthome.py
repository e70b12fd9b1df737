"""A virtual broadcaster: BTHome v2, encrypted, as the Shelly BLU devices speak it (bthome.io/encryption).

It sleeps until something happens; then it repeats one packet for some seconds. Nobody connects to it.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from typing import ClassVar, Final

from devices.gatt import bthome
from devices.gatt.bthome import Packet
from devices.virtual.radio import Air
from devices.virtual.twin import Answer, Plate, Refused, Twin

_PACKET_ID: Final = 0x00
_UUID: Final = b"\xd2\xfc"
_REPEATS_FOR_S: Final = 2.0


class Broadcaster(Twin):
    """A device that only broadcasts. ``last`` is the service data it sent last, for whoever would replay it."""

    def __init__(self, air: Air, plate: Plate) -> None:
        super().__init__(air, plate, advertise_every_ms=200)
        self.bindkey = plate.bindkey or os.urandom(16).hex()
        # Counted on from the clock, so that a new battery never counts backwards.
        self.counter = int(time.time())
        self.last = b""
        self._repeats = 0

    async def set_battery(self, level: int) -> None:
        """Wear the battery down; it tells with the next broadcast, which comes at once."""
        self.battery = level
        await self.say()

    async def say(self, *objects: tuple[int, int]) -> None:
        """Broadcast these objects, as (id, value), with the battery level before them: repeated for two seconds."""
        self.counter += 1
        battery = (bthome.BATTERY, self.battery)
        payload = bthome.encode([(_PACKET_ID, self.counter & 0xFF), battery, *objects])
        self.last = bthome.seal(self.plate.address, bytes.fromhex(self.bindkey), Packet(self.counter, payload))
        await self.repeat(self.last)

    async def replay(self, data: bytes) -> None:
        """Broadcast recorded service data again, as an intruder would."""
        await self.repeat(data)

    async def repeat(self, data: bytes) -> None:
        """Broadcast service data for two seconds."""
        self._repeats += 1
        await self.broadcast(struct.pack("<BB", len(data) + 3, 0x16) + _UUID + data)
        self.spawn(self._fall_silent_after(self._repeats))

    async def _fall_silent_after(self, repeats: int) -> None:
        await asyncio.sleep(_REPEATS_FOR_S)
        if repeats == self._repeats:  # else it has said something else meanwhile
            await self.fall_silent()

    def told(self) -> Answer:
        return {"counter": self.counter, "bindkey": self.bindkey}

    async def do_replay(self) -> Answer:
        """Be recorded and played back by an intruder."""
        if not self.last:
            raise Refused("nothing was broadcast yet that could be replayed")
        await self.replay(self.last)
        return {}

    async def do_new_battery(self) -> Answer:
        """Be given a new battery, and count from the start again, as some do."""
        self.battery, self.counter = 100, 0
        return {}

    async def do_new_key(self, bindkey: str) -> Answer:
        """Encrypt with another key of 32 hexadecimal digits, as after a reset."""
        if len(bytes.fromhex(bindkey)) != 16:
            raise Refused("a key has 32 hexadecimal digits")
        self.bindkey = bindkey
        return {}


class Sensor(Broadcaster):
    """A broadcaster with a state: 1 or 0, told by the object ``tells`` whenever it changes."""

    tells: ClassVar[int]

    def __init__(self, air: Air, plate: Plate) -> None:
        super().__init__(air, plate)
        self.is_on = False

    async def become(self, is_on: bool) -> None:
        """Change, or say anew what has not changed."""
        self.is_on = is_on
        await self.beat()

    async def beat(self) -> None:
        """Say how it is, as a sensor does every so often."""
        await self.say((self.tells, int(self.is_on)))

    async def set_battery(self, level: int) -> None:
        self.battery = level
        await self.beat()

    def told(self) -> Answer:
        return {**super().told(), "is_on": self.is_on}

    async def do_beat(self) -> Answer:
        """Say how it is, unchanged."""
        await self.beat()
        return {}
