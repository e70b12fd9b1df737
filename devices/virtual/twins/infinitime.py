"""A virtual PineTime watch with InfiniTime: ten samples a second, ±2 g, no time, named but advertising no service."""

from __future__ import annotations

from typing import ClassVar

from bumble.core import UUID
from bumble.gatt import Characteristic, Service

from devices.gatt import infinitime
from devices.gatt.acceleration import Samples
from devices.virtual.radio import Air
from devices.virtual.streamer import Streamer
from devices.virtual.twin import Perms, Plate, Props


class InfiniTime(Streamer):
    """A watch."""

    kind: ClassVar[str] = "infinitime"

    def __init__(self, air: Air, plate: Plate) -> None:
        stream: Characteristic[bytes] = Characteristic(
            UUID(infinitime.ACCELERATION), Props.READ | Props.NOTIFY, Perms.READABLE, bytes(6)
        )
        service = Service(UUID(infinitime.SERVICE), [stream])
        super().__init__(air, plate, service, stream, rate_hz=infinitime.RATE_HZ, range_g=infinitime.RANGE_G)

    def packet(self, samples: Samples, first_ns: int, last_ns: int) -> bytes:
        """Three numbers."""
        return infinitime.encode(samples)
