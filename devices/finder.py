"""What a gateway hears that is not of this home: candidates for whoever is about to give the home a new device.

Nothing is decided here. The portal shows what was found, a person says which of them it is, and only then may it pair.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bleak.backends.scanner import AdvertisementData

from devices.drivers.driver import Driver, Visited

MOST: Final = 100
MOST_SERVICES: Final = 20
"""Of one device: it may say another one each time, and the service reads no list without end."""
LASTS_S: Final = 60.0
"""What was not heard for so long has gone."""
_EVERY_S: Final = 0.5  # a device that floods the air is looked at no oftener


@dataclass(slots=True)
class Found:
    """A device that is not of this home. ``kinds`` are guesses; ``connectable`` is False where it only broadcasts."""

    address: str
    name: str | None
    rssi_dbm: int
    kinds: tuple[str, ...]
    services: tuple[str, ...]
    connectable: bool
    last_seen_at: datetime


class Finder:
    """The loudest :data:`MOST` strangers of late."""

    def __init__(self, kinds: Mapping[str, type[Driver]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._kinds = kinds
        self._clock = clock
        self._found: dict[str, tuple[float, Found]] = {}

    def hear(self, address: str, name: str | None, advertisement: AdvertisementData, at: datetime) -> None:
        """Take note of an advertisement."""
        now = self._clock()
        heard_at, known = self._found.get(address, (-_EVERY_S, None))
        if known is not None and now - heard_at < _EVERY_S:
            return
        if known is None and not self._room_for(advertisement.rssi, now):
            return
        self._found[address] = now, self._described(address, name, advertisement, at, known)

    def _room_for(self, rssi_dbm: int, now: float) -> bool:
        """Make room for one more, at the cost of whoever has gone or is heard less."""
        if len(self._found) < MOST:
            return True
        self._drop_gone(now)
        if len(self._found) < MOST:
            return True
        quietest = min(self._found, key=lambda a: self._found[a][1].rssi_dbm)
        if self._found[quietest][1].rssi_dbm >= rssi_dbm:
            return False
        del self._found[quietest]
        return True

    def _drop_gone(self, now: float) -> None:
        self._found = {a: (at, f) for a, (at, f) in self._found.items() if now - at <= LASTS_S}

    def _described(
        self, address: str, name: str | None, advertisement: AdvertisementData, at: datetime, known: Found | None
    ) -> Found:
        guesses = {kind for kind, driver in self._kinds.items() if driver.recognises(advertisement)}
        services = set(advertisement.service_uuids) | set(advertisement.service_data)
        if known is not None:  # a device says now this, now that of itself
            guesses |= set(known.kinds)
            services = {*known.services, *sorted(services)[: MOST_SERVICES - len(known.services)]}
            name = name or known.name
        only_broadcasts = bool(guesses) and not any(issubclass(self._kinds[k], Visited) for k in guesses)
        return Found(
            address,
            name,
            advertisement.rssi,
            tuple(sorted(guesses)),
            tuple(sorted(services)[:MOST_SERVICES]),
            not only_broadcasts,
            at,
        )

    def forget(self, address: str) -> None:
        """It is of this home now."""
        self._found.pop(address, None)

    def clear(self) -> None:
        """Nobody looks any more."""
        self._found.clear()

    def found(self) -> list[Found]:
        """Who is there, the loudest first."""
        self._drop_gone(self._clock())
        return sorted((f for _, f in self._found.values()), key=lambda f: -f.rssi_dbm)
