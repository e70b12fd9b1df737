"""PineTime watches with InfiniTime (``devices.gatt.infinitime``)."""

from __future__ import annotations

from typing import ClassVar, Final

from devices.drivers.driver import Title
from devices.drivers.pace import Sensor
from devices.drivers.stream import Stream
from devices.gatt import alert_notification, infinitime
from devices.link import Link

_ASKED: Final = "Did you fall?"  # the watch shows no Chinese


class InfiniTime(Stream):
    """One watch of the home."""

    kind: ClassVar[str] = "infinitime"
    title: ClassVar[Title] = Title("PineTime watch (InfiniTime)", "PineTime 手表（InfiniTime）")
    service: ClassVar[str] = infinitime.SERVICE
    names: ClassVar[tuple[str, ...]] = ("InfiniTime",)

    async def start(self, link: Link) -> bool:
        """It streams to whoever subscribes."""
        self.expect(Sensor(infinitime.RATE_HZ, infinitime.RANGE_G))
        return await self.listen(link, infinitime.ACCELERATION, self.moved)

    async def alert(self, link: Link, *, on: bool) -> bool:
        """It vibrates once and shows the question; there is nothing to be ended."""
        return not on or await link.write(alert_notification.NEW_ALERT, alert_notification.encode(_ASKED))

    def moved(self, raw: bytes) -> None:
        """Take one packet of acceleration."""
        samples = self.decoded(infinitime.decode, infinitime.ACCELERATION, raw)
        if samples is not None:
            self.arrived(samples)
