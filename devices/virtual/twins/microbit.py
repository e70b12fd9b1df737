"""A virtual micro:bit: one sample a packet, ±2 g, at the nearest period it has to the one that was asked for."""

from __future__ import annotations

from typing import ClassVar

from bumble.core import UUID
from bumble.gatt import Characteristic, CharacteristicValue, Service

from devices.gatt import microbit
from devices.gatt.acceleration import Samples
from devices.virtual.radio import Air
from devices.virtual.streamer import Streamer
from devices.virtual.twin import Answer, Perms, Plate, Props, Refused


class Microbit(Streamer):
    """A micro:bit."""

    kind: ClassVar[str] = "microbit"

    def __init__(self, air: Air, plate: Plate) -> None:
        self._shortest_ms = min(microbit.PERIODS_MS)
        stream: Characteristic[bytes] = Characteristic(
            UUID(microbit.ACCELERATION), Props.READ | Props.NOTIFY, Perms.READABLE, bytes(6)
        )
        period: Characteristic[bytes] = Characteristic(
            UUID(microbit.PERIOD),
            Props.READ | Props.WRITE,
            Perms.READABLE | Perms.WRITEABLE,
            CharacteristicValue(
                read=lambda _connection: microbit.encode_period(self.period_ms),
                write=lambda _connection, value: self._set_period(microbit.decode_period(value)),
            ),
        )
        service = Service(UUID(microbit.SERVICE), [stream, period])
        super().__init__(air, plate, service, stream, range_g=microbit.RANGE_G)
        self._set_period(20)

    def _set_period(self, wanted_ms: int) -> None:
        possible = [period for period in microbit.PERIODS_MS if period >= self._shortest_ms]
        self.period_ms = min(possible, key=lambda period: abs(period - wanted_ms))
        self.set_rate(1000 / self.period_ms)

    def packet(self, samples: Samples, first_ns: int, last_ns: int) -> bytes:
        """Three numbers."""
        return microbit.encode(samples)

    async def do_slow(self, period_ms: int) -> Answer:
        """Let it measure no more often than with this period, whatever it is asked."""
        if period_ms not in microbit.PERIODS_MS:
            raise Refused(f"a micro:bit has no period of {period_ms} ms")
        self._shortest_ms = period_ms
        self._set_period(self.period_ms)
        return {}
