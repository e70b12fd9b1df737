"""A virtual device on a body that streams acceleration, and the bad habits of such devices.

It samples by its own clock, which may be fast or slow, sends as many samples in a packet as its kind does, catches up
after a stall, and leaves samples out when it could not send for long.
"""

from __future__ import annotations

import asyncio
import zlib
from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

from bumble.device import Connection, Device
from bumble.gatt import Characteristic, Service

from devices.gatt.acceleration import Samples
from devices.virtual.body import Accelerometer, Body, Doing
from devices.virtual.radio import Air
from devices.virtual.twin import Answer, Plate, Refused, Twin

_SECOND: Final = 1_000_000_000  # nanoseconds
_FORGETS_S: Final = 10.0  # how much it can hold while it cannot send
_HIGHEST_M: Final = 3.0
_FASTEST_PPM: Final = 100_000.0


class Streamer(Twin):
    """A wearable on ``body``. ``sent`` counts its packets, also those it left out.

    ``advertises`` are the structures by which it is found; ``service`` holds its characteristics, one of which,
    ``acceleration``, carries the stream; ``others`` are what it offers besides. ``asked_for``: it streams when it is asked to, not to whoever subscribes.
    """

    asked_for: ClassVar[bool] = False

    def __init__(
        self,
        air: Air,
        plate: Plate,
        service: Service,
        acceleration: Characteristic[bytes],
        *,
        advertises: tuple[bytes, ...] = (),
        rate_hz: float = 50,
        per_packet: int = 1,
        range_g: float | None = None,
        others: Sequence[Service] = (),
    ) -> None:
        super().__init__(air, plate, advertise_every_ms=500)
        self.body = Body(zlib.crc32(plate.address.encode()))
        self.acceleration = acceleration
        self.sent = 0
        self.clock_ns = _SECOND  # the time of the next sample by the device's own clock
        self._advertises = advertises
        self._range_g = range_g
        self._per_packet = per_packet
        self._faster = 1.0
        self._to_skip = 0
        self._session: object | None = None
        self.set_rate(rate_hz)
        self.device.add_services([service, *others, *self.standard_services()])
        self.device.on(Device.EVENT_CONNECTION, self._on_connection)
        if not self.asked_for:
            acceleration.on(Characteristic.EVENT_SUBSCRIPTION, self._on_subscription)

    @abstractmethod
    def packet(self, samples: Samples, first_ns: int, last_ns: int) -> bytes:
        """The packet of these samples, (n, 3) in g, the first and the last taken at these times of the device."""

    def set_rate(self, rate_hz: float, per_packet: int | None = None) -> None:
        """Measure so many times a second from now on, and send so many samples at once."""
        self.rate_hz = rate_hz
        self._per_packet = per_packet or self._per_packet
        self._sensor = Accelerometer(self.body, rate_hz, self._range_g)

    async def start(self) -> None:
        """Switch on and wait for the gateway."""
        await super().start()
        await self.advertise(*self._advertises)

    def begin(self, connection: Connection) -> None:
        """Stream to whoever asked, until told to end or the link ends."""
        self._session = session = object()
        self.spawn(self._run(connection, session))

    def end(self) -> None:
        """Stream no more."""
        self._session = None

    @property
    def streams(self) -> bool:
        """Whether it streams now."""
        return self._session is not None

    def _on_subscription(self, connection: Connection, notify: bool, _indicate: bool) -> None:
        if notify:
            self.begin(connection)
        else:
            self.end()

    def _on_connection(self, connection: Connection) -> None:
        connection.on(Connection.EVENT_DISCONNECTION, lambda _reason: self._left())

    def _left(self) -> None:
        self.end()
        self.spawn(self.advertise(*self._advertises))

    async def _run(self, connection: Connection, session: object) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            takes_s = self._per_packet / self.rate_hz / self._faster
            await asyncio.sleep(max(due + takes_s - loop.time(), 0))
            if session is not self._session:
                return
            packet = self._next_packet()
            if self._to_skip:
                self._to_skip -= 1
            elif not await self.send(connection, self.acceleration, packet):
                return
            stalled = max(loop.time() - due - _FORGETS_S, 0)
            due += takes_s + stalled
            self.clock_ns += round(stalled * _SECOND)

    def _next_packet(self) -> bytes:
        samples = self._sensor.take(self._per_packet)
        step = _SECOND / self.rate_hz
        first_ns, last_ns = self.clock_ns, self.clock_ns + round((len(samples) - 1) * step)
        self.clock_ns += round(len(samples) * step)
        packet = self.packet(samples, first_ns, last_ns)
        self.sent += 1
        return packet

    def told(self) -> Answer:
        return {"doing": self.body.doing.value, "streams": self.streams, "rate_hz": self.rate_hz}

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

    async def do_drop(self, height_m: float = 0.75) -> Answer:
        """Let it fall on the floor and stay there."""
        if not 0 < height_m <= _HIGHEST_M:
            raise Refused(f"nothing in a home falls {height_m:g} m deep")
        self.body.drop(height_m)
        return {}

    async def do_throw(self) -> Answer:
        """Throw it on a bed."""
        self.body.throw()
        return {}

    async def do_take_off(self) -> Answer:
        """Take it off and lay it down."""
        self.body.take_off()
        return {}

    async def do_put_on(self) -> Answer:
        """Put it on again and walk."""
        self.body.put_on()
        return {}

    async def do_skip(self, packets: int = 1) -> Answer:
        """Leave so many packets unsent, as a radio does whose buffers are full."""
        self._to_skip = packets
        return {}

    async def do_jump(self, seconds: float) -> Answer:
        """Let its clock jump, ahead or back."""
        self.clock_ns = max(self.clock_ns + round(seconds * _SECOND), 0)
        return {}

    async def do_drift(self, ppm: float) -> Answer:
        """Let its clock, and with it its sampling, run fast by so many parts in a million."""
        if abs(ppm) > _FASTEST_PPM:
            raise Refused(f"no clock is wrong by {ppm:g} parts in a million")
        self._faster = 1 + ppm / 1e6
        return {}
