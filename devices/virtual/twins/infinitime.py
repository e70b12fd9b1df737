"""A virtual PineTime watch with InfiniTime: ten samples a second, ±2 g, no time, named but advertising no service."""

from __future__ import annotations

from typing import ClassVar

from bumble.core import UUID
from bumble.gatt import Characteristic, CharacteristicValue, Service

from devices.gatt import alert_notification, infinitime
from devices.gatt.acceleration import Samples
from devices.virtual.radio import Air
from devices.virtual.streamer import Streamer
from devices.virtual.twin import Perms, Plate, Props


class InfiniTime(Streamer):
    """A watch. ``shown`` are the sentences it has shown, vibrating once for each."""

    kind: ClassVar[str] = "infinitime"

    def __init__(self, air: Air, plate: Plate) -> None:
        stream: Characteristic[bytes] = Characteristic(
            UUID(infinitime.ACCELERATION), Props.READ | Props.NOTIFY, Perms.READABLE, bytes(6)
        )
        self.shown: list[str] = []
        alert: Characteristic[bytes] = Characteristic(
            UUID(alert_notification.NEW_ALERT),
            Props.WRITE,
            Perms.WRITEABLE,
            CharacteristicValue(write=lambda _connection, value: self.shown.append(alert_notification.decode(value))),
        )
        super().__init__(
            air,
            plate,
            Service(UUID(infinitime.SERVICE), [stream]),
            stream,
            rate_hz=infinitime.RATE_HZ,
            range_g=infinitime.RANGE_G,
            others=[Service(UUID(alert_notification.SERVICE), [alert])],
        )

    def packet(self, samples: Samples, first_ns: int, last_ns: int) -> bytes:
        """Three numbers."""
        return infinitime.encode(samples)
