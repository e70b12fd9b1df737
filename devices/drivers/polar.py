"""Polar's sensors with the measurement data service: H10, Verity Sense, OH1, 360 (``devices.gatt.polar``)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Final

from devices.desk import Desk
from devices.drivers.dialogue import Dialogue
from devices.drivers.driver import Configured, Title
from devices.drivers.pace import Sensor
from devices.drivers.stream import Stream
from devices.falls.model import Position
from devices.gatt import polar
from devices.gatt.polar import Answer, Frame, Op, Outcome, Request, Setting, Settings
from devices.link import Link

log = logging.getLogger(__name__)

_WANTED_HZ: Final = 50


class Polar(Stream):
    """One sensor of the home."""

    kind: ClassVar[str] = "polar"
    title: ClassVar[Title] = Title("Polar sensor", "Polar 传感器")
    service: ClassVar[str] = polar.SERVICE
    names: ClassVar[tuple[str, ...]] = ("Polar ",)
    worn_at: ClassVar[Position] = "chest"

    def __init__(self, device: Configured, desk: Desk) -> None:
        super().__init__(device, desk)
        self._factor: float | None = None

    async def start(self, link: Link) -> bool:
        """Ask what it can measure, and start the rate next to fifty a second with the widest range."""
        self._factor = None
        dialogue: Dialogue[Answer] = Dialogue(link, polar.CONTROL)
        heard = await self.listen(link, polar.CONTROL, lambda raw: self._said(raw, dialogue))
        if not (heard and await self.listen(link, polar.DATA, self.moved)):
            return False
        offered = await self._ask(dialogue, Request(Op.SETTINGS))
        chosen = choose(self._settings(offered))
        if Setting.SAMPLE_RATE not in chosen:
            return self.cannot_start(_words(offered.outcome))
        self.expect(_sensor(chosen))
        started = await self._start(dialogue, chosen)
        if started.outcome is not Outcome.SUCCESS:
            return self.cannot_start(_words(started.outcome))
        self._factor = polar.factor(self._settings(started))
        return True

    async def _start(self, dialogue: Dialogue[Answer], chosen: Settings) -> Answer:
        answer = await self._ask(dialogue, Request(Op.START, settings=chosen))
        if answer.outcome is Outcome.ALREADY_IN_STATE:  # a link that broke off may have left it running
            await self._ask(dialogue, Request(Op.STOP))
            answer = await self._ask(dialogue, Request(Op.START, settings=chosen))
        return answer

    async def _ask(self, dialogue: Dialogue[Answer], request: Request) -> Answer:
        """The whole answer, put together where it came in parts."""
        whole = part = await dialogue.ask(polar.encode_request(request), lambda a: a.op is request.op)
        while part.more:
            part = await dialogue.wait(lambda a: a.op is request.op)
            whole = replace(whole, parameters=whole.parameters + part.parameters)
        return whole

    def _settings(self, answer: Answer) -> Settings:
        return self.decoded(polar.decode_settings, polar.CONTROL, answer.parameters) or {}

    def _said(self, raw: bytes, dialogue: Dialogue[Answer]) -> None:
        answer = self.decoded(polar.decode_answer, polar.CONTROL, raw)
        if isinstance(answer, Answer):
            dialogue.heard(answer)
        elif answer is not None:
            log.warning("%s has ended its stream by itself", self.address)

    def moved(self, raw: bytes) -> None:
        """Take one frame; before the answer to START nobody knows in which unit its numbers are."""
        factor = self._factor
        if factor is None:
            return
        frame: Frame | None = self.decoded(lambda data: polar.decode(data, factor), polar.DATA, raw)
        if frame is not None:
            self.arrived(frame.samples, frame.last_ns)


def choose(offered: Mapping[Setting, tuple[int, ...]]) -> Settings:
    """One value of every setting: an H10 refuses a start that leaves one out (issue 124 of polar-ble-sdk)."""
    chosen: dict[Setting, tuple[int, ...]] = {
        s: (max(values),) for s, values in offered.items() if values and s is not Setting.FACTOR
    }
    fast = [rate for rate in offered.get(Setting.SAMPLE_RATE, ()) if rate >= _WANTED_HZ]
    if fast:
        chosen[Setting.SAMPLE_RATE] = (min(fast),)
    return chosen


def _sensor(chosen: Settings) -> Sensor:
    range_g = chosen.get(Setting.RANGE, (0,))[0] or None
    return Sensor(float(chosen[Setting.SAMPLE_RATE][0]), range_g, timed=True)


def _words(outcome: Outcome) -> str:
    if outcome is Outcome.SUCCESS:
        return "it does not tell how often it measures"
    return outcome.name.lower().replace("_", " ")
