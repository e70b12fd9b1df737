"""A virtual wearable: streams acceleration while someone listens, and has a button "I am fine".

Fifty samples a second go out in packets of half a second, which is what keeps a real device's radio (and one
gateway for many homes) asleep most of the time.
"""

from __future__ import annotations

from typing import ClassVar, Final

from bumble.core import UUID
from bumble.gatt import Characteristic, Service

from devices.gatt import motion
from devices.gatt.acceleration import Samples
from devices.virtual.radio import Air
from devices.virtual.streamer import Streamer
from devices.virtual.twin import Answer, Perms, Plate, Props, listed

_PACKET: Final = 25  # samples: half a second, 156 bytes
_MS: Final = 1_000_000


class Wearable(Streamer):
    """A wearable."""

    kind: ClassVar[str] = "wearable"

    def __init__(self, air: Air, plate: Plate) -> None:
        self._presses = 0
        self._fine: Characteristic[bytes] = Characteristic(UUID(motion.I_AM_FINE), Props.NOTIFY, Perms.READABLE)
        stream: Characteristic[bytes] = Characteristic(UUID(motion.ACCELERATION), Props.NOTIFY, Perms.READABLE)
        service = Service(UUID(motion.SERVICE), [stream, self._fine])
        super().__init__(
            air,
            plate,
            service,
            stream,
            advertises=(listed(motion.SERVICE),),
            rate_hz=motion.RATE_HZ,
            per_packet=_PACKET,
        )

    def packet(self, samples: Samples, first_ns: int, last_ns: int) -> bytes:
        """With its number and the time of its first sample."""
        return motion.encode(motion.Motion(self.sent, first_ns // _MS, samples))

    async def i_am_fine(self) -> None:
        """Press the button."""
        self._presses += 1
        await self.device.gatt_server.notify_subscribers(self._fine, motion.encode_presses(self._presses))

    async def do_i_am_fine(self) -> Answer:
        """Let its wearer press the button."""
        await self.i_am_fine()
        return {}
