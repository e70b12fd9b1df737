"""A virtual help button: BTHome v2, encrypted, as a Shelly BLU Button1 broadcasts it (bthome.io/encryption).

It sleeps until it is pressed; then it repeats one packet for some seconds. Nobody connects to it.
"""

from __future__ import annotations

import asyncio
import os
import struct
import time
from typing import ClassVar, Final

from cryptography.hazmat.primitives.ciphers.aead import AESCCM

from devices.virtual.radio import Air
from devices.virtual.twin import Answer, Plate, Refused, Twin

_UUID: Final = b"\xd2\xfc"
_DEVICE_INFO: Final = b"\x45"  # version 2, irregular advertising, encrypted
_PACKET_ID, _BATTERY, _BUTTON = 0x00, 0x01, 0x3A
_PRESS: Final = 1
_REPEATS_FOR_S: Final = 2.0


def service_data(address: str, bindkey: str, counter: int, payload: bytes) -> bytes:
    """The service data of an encrypted broadcast. ``bindkey`` is 32 hexadecimal digits."""
    mac = bytes.fromhex(address.replace(":", ""))
    count = struct.pack("<I", counter)
    nonce = mac + _UUID + _DEVICE_INFO + count
    sealed = AESCCM(bytes.fromhex(bindkey), tag_length=4).encrypt(nonce, payload, None)
    return _DEVICE_INFO + sealed[:-4] + count + sealed[-4:]


class Button(Twin):
    """A help button. ``last`` is the service data it sent last, for whoever would replay it."""

    kind: ClassVar[str] = "help_button"

    def __init__(self, air: Air, plate: Plate) -> None:
        super().__init__(air, plate, advertise_every_ms=200)
        self.bindkey = plate.bindkey or os.urandom(16).hex()
        # Counted on from the clock, so that a new battery never counts backwards.
        self.counter = int(time.time())
        self.last = b""
        self._repeats = 0

    async def press(self) -> None:
        """Press it once: the packet is repeated for two seconds."""
        await self._broadcast(bytes([_PACKET_ID, self.counter & 0xFF, _BATTERY, self.battery, _BUTTON, _PRESS]))

    async def set_battery(self, level: int) -> None:
        """Wear the battery down; it tells with the next broadcast, which comes at once."""
        self.battery = level
        await self._broadcast(bytes([_PACKET_ID, self.counter & 0xFF, _BATTERY, level]))

    async def replay(self, data: bytes) -> None:
        """Broadcast recorded service data again, as an intruder would."""
        await self._repeat(data)

    async def _broadcast(self, payload: bytes) -> None:
        self.counter += 1
        self.last = service_data(self.plate.address, self.bindkey, self.counter, payload)
        await self._repeat(self.last)

    async def _repeat(self, data: bytes) -> None:
        self._repeats += 1
        await self.broadcast(struct.pack("<BB", len(data) + 3, 0x16) + _UUID + data)
        self.spawn(self._fall_silent_after(self._repeats))

    async def _fall_silent_after(self, repeats: int) -> None:
        await asyncio.sleep(_REPEATS_FOR_S)
        if repeats == self._repeats:  # else another press came meanwhile
            await self.fall_silent()

    def told(self) -> Answer:
        return {"counter": self.counter, "bindkey": self.bindkey}

    async def do_press(self) -> Answer:
        """Be pressed."""
        await self.press()
        return {}

    async def do_replay(self) -> Answer:
        """Be recorded and played back by an intruder."""
        if not self.last:
            raise Refused("nothing was broadcast yet that could be replayed")
        await self.replay(self.last)
        return {}
