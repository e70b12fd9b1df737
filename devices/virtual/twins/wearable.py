"""A virtual wearable: streams acceleration while someone listens, vibrates when told to, and has a button "I am fine".

Fifty samples a second go out in packets of half a second, which is what keeps a real device's radio (and one
gateway for many homes) asleep most of the time.
"""

from __future__ import annotations

from typing import ClassVar, Final

from bumble.core import UUID
from bumble.gatt import Characteristic, CharacteristicValue, Service

from devices.gatt import immediate_alert, motion
from devices.gatt.acceleration import Samples
from devices.virtual.radio import Air
from devices.virtual.streamer import Streamer
from devices.virtual.twin import Answer, Perms, Plate, Props, listed

_PACKET: Final = 25  # samples: half a second, 156 bytes
_MS: Final = 1_000_000


class Wearable(Streamer):
    """A wearable. ``alert`` is how urgently it vibrates now, ``buzzed`` how often it was told to."""

    kind: ClassVar[str] = "wearable"

    def __init__(self, air: Air, plate: Plate) -> None:
        self.alert = immediate_alert.Level.NONE
        self.buzzed = 0
        self._presses = 0
        self._fine: Characteristic[bytes] = Characteristic(UUID(motion.I_AM_FINE), Props.NOTIFY, Perms.READABLE)
        stream: Characteristic[bytes] = Characteristic(UUID(motion.ACCELERATION), Props.NOTIFY, Perms.READABLE)
        service = Service(UUID(motion.SERVICE), [stream, self._fine])
        level: Characteristic[bytes] = Characteristic(
            UUID(immediate_alert.ALERT_LEVEL),
            Props.WRITE_WITHOUT_RESPONSE,
            Perms.WRITEABLE,
            CharacteristicValue(write=lambda _connection, value: self._vibrate(immediate_alert.decode(value))),
        )
        super().__init__(
            air,
            plate,
            service,
            stream,
            advertises=(listed(motion.SERVICE),),
            rate_hz=motion.RATE_HZ,
            per_packet=_PACKET,
            others=[Service(UUID(immediate_alert.SERVICE), [level])],
        )

    def _vibrate(self, level: immediate_alert.Level) -> None:
        self.alert = level
        self.buzzed += level is not immediate_alert.Level.NONE

    def packet(self, samples: Samples, first_ns: int, last_ns: int) -> bytes:
        """With its number and the time of its first sample."""
        return motion.encode(motion.Motion(self.sent, first_ns // _MS, samples))

    async def i_am_fine(self) -> None:
        """Press the button, which also ends its vibrating."""
        self._presses += 1
        self.alert = immediate_alert.Level.NONE
        await self.device.gatt_server.notify_subscribers(self._fine, motion.encode_presses(self._presses))

    def told(self) -> Answer:
        return {**super().told(), "vibrates": self.alert is not immediate_alert.Level.NONE, "buzzed": self.buzzed}

    async def do_i_am_fine(self) -> Answer:
        """Let its wearer press the button."""
        await self.i_am_fine()
        return {}
