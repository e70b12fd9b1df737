"""What a driver is: the one who knows a kind of device. One object for each device of the home.

A module in this package that defines a subclass of :class:`Visited` or :class:`Heard` is registered by being here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final, NamedTuple

from bleak.backends.scanner import AdvertisementData

from devices.desk import Desk
from devices.gatt import battery, device_information
from devices.gatt.errors import DecodeError
from devices.link import Link


@dataclass(frozen=True, slots=True)
class Configured:
    """A device of this home. ``address`` is upper case; ``bindkey`` is 32 hexadecimal digits, or None.

    ``habits`` is what its administrator knows of this type of device (``devices.habits``).
    """

    address: str
    kind: str
    bindkey: str | None = None
    habits: Mapping[str, object] = field(default_factory=dict)


class Title(NamedTuple):
    """What people call a kind of device."""

    en: str
    zh_hans: str


class Driver(ABC):
    """Knows one device. ``kind`` is the name by which the service's configuration asks for it.

    ``needs_key``: such a device encrypts what it broadcasts, and cannot be used without its key.
    """

    kind: ClassVar[str]
    title: ClassVar[Title]
    needs_key: ClassVar[bool] = False
    seen_by_stream: ClassVar[bool] = False
    """It has been seen when it streams: that it calls proves nothing, and while it streams it need not call."""

    @classmethod
    @abstractmethod
    def recognises(cls, advertisement: AdvertisementData) -> bool:
        """Whether this is probably a device of this kind: a guess for whoever looks for new devices."""

    def __init__(self, device: Configured, desk: Desk) -> None:
        self.device = device
        self.address = device.address
        self.desk = desk

    def forget(self) -> None:  # noqa: B027  most have nothing to forget
        """Forget what is remembered of the device: it has been taken out of the home."""


class Heard(Driver):
    """A device that only broadcasts: nobody connects to it."""

    @abstractmethod
    def heard(self, advertisement: AdvertisementData) -> None:
        """Take one advertisement. Raises ``OutboxFull`` when what it says cannot be kept."""


class Visited(Driver):
    """A device to connect to when it advertises. ``service`` is the UUID that it advertises."""

    service: ClassVar[str]

    @classmethod
    def recognises(cls, advertisement: AdvertisementData) -> bool:
        """Whether it advertises the service of this kind."""
        return cls.service in advertisement.service_uuids

    def calls(self, advertisement: AdvertisementData) -> bool:
        """Whether this advertisement asks for a visit. A device that names no service may be any of its kind."""
        return self.service in advertisement.service_uuids or not advertisement.service_uuids

    @property
    def visit_every_s(self) -> float:
        """It is visited at most this often, in seconds, however often it calls. Who is watched by it never waits."""
        return 0.0

    async def buzz(self, *, on: bool) -> bool:
        """Let the device be felt by whoever wears it, or be still again; False when it cannot, or is not linked."""
        return False

    @abstractmethod
    async def collect(self, link: Link) -> None:
        """Collect over this link until there is nothing more; the collector ends the link."""


_PLAUSIBLE_NAME: Final = 64


async def read_identity(link: Link, desk: Desk) -> None:
    """Note who made the device and which one it is, once."""
    health = desk.of(link.address)
    for name, uuid in device_information.CHARACTERISTICS.items():
        if getattr(health, name) is None and (raw := await link.read(uuid)) is not None:
            setattr(health, name, device_information.decode(raw)[:_PLAUSIBLE_NAME])


async def read_battery(link: Link, desk: Desk) -> None:
    """Read the battery and keep its level."""
    raw = await link.read(battery.UUID)
    if raw is not None:
        keep_battery(link.address, raw, desk)


def keep_battery(address: str, raw: bytes, desk: Desk) -> None:
    """Keep a battery level, or refuse the packet."""
    try:
        desk.battery(address, battery.decode(raw))
    except DecodeError as error:
        desk.refuse(address, battery.UUID, raw, error.reason)
