"""The homes behind this gateway, and those who see in each whether somebody has been still for too long, or has fallen.

What a home's devices say is remembered in one transaction with the readings themselves, so a restart forgets nothing
that was kept. A gateway of a whole stairway keeps its homes apart: the service says which device is of which.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from devices.desk import Desk, Witnessed
from devices.falls.certainty import Ask, Certainty, Enough, Step
from devices.outbox import OutboxFull
from devices.presence import Presence
from devices.readings import Reading
from devices.waiting import wait_at_most

log = logging.getLogger(__name__)

_EVERY_S: Final = 60.0
_URGENT_S: Final = 1.0


@dataclass(slots=True)
class _Home:
    presence: Presence
    certainty: Certainty
    devices: Collection[str] = ()


class Homes:
    """Sees on ``desk`` what is kept there, and keeps there what follows.

    ``ask`` is called with the addresses of a home's devices when whoever lives there is to be asked whether she is well,
    ``enough`` when she is not to be asked any more. Neither may wait, nor fail.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        ask: Callable[[Ask, Collection[str]], None] = lambda _ask, _devices: None,
        enough: Callable[[Enough, Collection[str]], None] = lambda _enough, _devices: None,
    ) -> None:
        self._desk = desk
        self._ask = ask
        self._enough = enough
        self._home_of: dict[str, str] = {}
        self._homes: dict[str, _Home] = {}
        self._remembered: dict[str, str] = {}
        self._woken = asyncio.Event()
        desk.witness = self.see

    def set_devices(self, home_of: Mapping[str, str]) -> None:
        """These devices (by address, upper case) are in these homes, and there are no others."""
        self._home_of = dict(home_of)
        for name in set(home_of.values()) - self._homes.keys():
            recall = self._desk.recall
            home = self._homes[name] = _Home(Presence(recall(_memory(name))), Certainty(recall(_falls(name))))
            self._remembered[name] = home.certainty.memory()
        self._homes = {name: home for name, home in self._homes.items() if name in home_of.values()}
        for name, home in self._homes.items():
            home.devices = [address for address, of in home_of.items() if of == name]
            home.presence.only(home.devices)
            home.certainty.only(home.devices)
        self._woken.set()

    def shift(self, error: timedelta) -> None:
        """The clock was wrong by so much. Whether somebody is still is not judged before it is right."""
        for home in self._homes.values():
            home.certainty.shift(error)
        self._woken.set()

    def answered(self, name: str, fell_at: datetime) -> None:
        """Whoever lives in this home has said elsewhere that she is well, or was seen to: of the fall told as of then."""
        if (home := self._homes.get(name)) is not None:
            home.certainty.answered(fell_at)
            self._remember(name, home)
            self._woken.set()

    def see(self, readings: Sequence[Reading]) -> Witnessed:
        """Take what is about to be kept; say how it is to be kept, and what is to be remembered with it."""
        facts: dict[str, str] = {}
        seen = [self._see(reading, facts) for reading in readings]
        return Witnessed(seen, facts)

    def _see(self, reading: Reading, facts: dict[str, str]) -> Reading:
        name = self._home_of.get(reading.device)
        if name is None:
            return reading
        home = self._homes[name]
        if self._desk.knows_time:
            home.presence.see(reading, self._desk.zone)
            facts[_memory(name)] = home.presence.memory()
        reading = home.certainty.see(reading, self._desk.now())
        facts.update(self._changed(name, home))
        if home.certainty.is_urgent:
            self._woken.set()
        return reading

    async def run(self) -> None:
        """Judge every home once a minute, and every second while it is not known whether somebody fell, until cancelled."""
        while True:
            self._woken.clear()
            self.judge()
            urgent = any(home.certainty.is_urgent for home in self._homes.values())
            await wait_at_most(_URGENT_S if urgent else _EVERY_S, self._woken)

    def judge(self) -> None:
        """Do what is due of a fall in each home; keep the event of each in which somebody has been still for too long,
        or has moved again after it."""
        for name, home in self._homes.items():
            for step in home.certainty.judge(self._desk.now()):
                self._do(name, home, step)
            self._remember(name, home)
            if self._desk.knows_time:
                self._judge_presence(name, home.presence)

    def _do(self, name: str, home: _Home, step: Step) -> None:
        if isinstance(step, Ask):
            log.warning("asking in home %s whether she is well", name)
            self._ask(step, home.devices)
        elif isinstance(step, Enough):
            self._enough(step, home.devices)
        else:
            self._tell(name, home, step)

    def _tell(self, name: str, home: _Home, event: Reading) -> None:
        log.warning("%s, by %s", event.metric, event.device)
        try:
            self._desk.keep([event], facts=self._changed(name, home))
        except OutboxFull as error:  # it is held in memory, and sent
            self._desk.trouble(event.device, f"{event.metric} could not be kept: {error}")

    def _remember(self, name: str, home: _Home) -> None:
        try:
            for key, value in self._changed(name, home).items():
                self._desk.remember(key, value)
        except OutboxFull as error:
            log.warning("what was done about a fall cannot be remembered: %s", error)

    def _changed(self, name: str, home: _Home) -> dict[str, str]:
        """What is to be remembered of falls, if it is not what was said last."""
        memory = home.certainty.memory()
        if memory == self._remembered[name]:
            return {}
        self._remembered[name] = memory
        return {_falls(name): memory}

    def _judge_presence(self, name: str, presence: Presence) -> None:
        now = self._desk.now()
        for event in (presence.judge(now, self._desk.zone), presence.resumed(now)):
            if event is not None:
                self._keep(name, presence, event)

    def _keep(self, name: str, presence: Presence, event: Reading) -> None:
        log.warning("%s, by %s", event.metric, event.device)
        try:
            self._desk.keep([event], facts={_memory(name): presence.memory()})
        except OutboxFull as error:
            presence.take_back()
            if event.metric == "inactivity":
                self._desk.trouble(event.device, f"inactivity could not be kept: {error}")


def _memory(name: str) -> str:
    return f"home {name}"


def _falls(name: str) -> str:
    return f"falls in home {name}"
