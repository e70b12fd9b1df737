"""The homes behind this gateway, and the one who sees in each whether somebody has been still for too long.

What a home's sensors say is remembered in one transaction with the readings themselves, so a restart forgets nothing
that was kept. A gateway of a whole stairway keeps its homes apart: the service says which device is of which.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Final

from devices.desk import Desk
from devices.outbox import OutboxFull
from devices.presence import Presence
from devices.readings import Reading

log = logging.getLogger(__name__)

_EVERY_S: Final = 60.0


class Homes:
    """Sees on ``desk`` what is kept there, and keeps there what follows."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._home_of: dict[str, str] = {}
        self._homes: dict[str, Presence] = {}
        desk.witness = self.see

    def set_devices(self, home_of: Mapping[str, str]) -> None:
        """These devices (by address, upper case) are in these homes, and there are no others."""
        self._home_of = dict(home_of)
        for home in set(home_of.values()) - self._homes.keys():
            self._homes[home] = Presence(self._desk.recall(_memory(home)))
        self._homes = {home: presence for home, presence in self._homes.items() if home in home_of.values()}
        for home, presence in self._homes.items():
            presence.only([address for address, of in home_of.items() if of == home])

    def see(self, readings: Sequence[Reading]) -> dict[str, str]:
        """Take what is about to be kept, and say what is to be remembered with it."""
        changed = set()
        for reading in readings:
            home = self._home_of.get(reading.device)
            if home is not None:
                self._homes[home].see(reading, self._desk.zone)
                changed.add(home)
        return {_memory(home): self._homes[home].memory() for home in changed}

    async def run(self) -> None:
        """Judge every home once a minute, until cancelled."""
        while True:
            self.judge()
            await asyncio.sleep(_EVERY_S)

    def judge(self) -> None:
        """Keep the event of each home in which somebody has been still for too long, or has moved again after it."""
        if not self._desk.knows_time:
            return
        for home, presence in self._homes.items():
            now = self._desk.now()
            for event in (presence.judge(now, self._desk.zone), presence.resumed(now)):
                if event is not None:
                    self._keep(home, presence, event)

    def _keep(self, home: str, presence: Presence, event: Reading) -> None:
        log.warning("%s, by %s", event.metric, event.device)
        try:
            self._desk.keep([event], facts={_memory(home): presence.memory()})
        except OutboxFull as error:
            presence.take_back()
            if event.metric == "inactivity":
                self._desk.trouble(event.device, f"inactivity could not be kept: {error}")


def _memory(home: str) -> str:
    return f"home {home}"
