"""A virtual Thingy:52: one sample a packet, ±2 g, ten a second until it is configured."""

from __future__ import annotations

from typing import ClassVar

from bumble.att import ATT_Error, ErrorCode
from bumble.core import UUID
from bumble.gatt import Characteristic, CharacteristicValue, Service

from devices.gatt import thingy
from devices.gatt.acceleration import Samples
from devices.gatt.errors import DecodeError
from devices.virtual.radio import Air
from devices.virtual.streamer import Streamer
from devices.virtual.twin import Answer, Perms, Plate, Props, listed


class Thingy(Streamer):
    """A Thingy."""

    kind: ClassVar[str] = "thingy"

    def __init__(self, air: Air, plate: Plate) -> None:
        self.configuration = thingy.Configuration()
        self._stubborn = False
        stream: Characteristic[bytes] = Characteristic(UUID(thingy.RAW), Props.NOTIFY, Perms.READABLE)
        configuration: Characteristic[bytes] = Characteristic(
            UUID(thingy.CONFIGURATION),
            Props.READ | Props.WRITE,
            Perms.READABLE | Perms.WRITEABLE,
            CharacteristicValue(
                read=lambda _connection: thingy.encode_configuration(self.configuration),
                write=lambda _connection, value: self._configure(value),
            ),
        )
        service = Service(UUID(thingy.SERVICE), [stream, configuration])
        super().__init__(
            air, plate, service, stream, advertises=(listed(thingy.ADVERTISED),), rate_hz=10, range_g=thingy.RANGE_G
        )

    def _configure(self, value: bytes) -> None:
        try:
            wanted = thingy.decode_configuration(value)
        except DecodeError as error:
            raise ATT_Error(ErrorCode.INVALID_ATTRIBUTE_LENGTH) from error
        if not self._stubborn:
            self.configuration = wanted
            self.set_rate(wanted.motion_hz)

    def packet(self, samples: Samples, first_ns: int, last_ns: int) -> bytes:
        """Acceleration, and neither rotation nor compass."""
        return thingy.encode(samples)

    async def do_stubborn(self, on: bool = True) -> Answer:
        """Take every configuration, and heed none."""
        self._stubborn = on
        return {}
