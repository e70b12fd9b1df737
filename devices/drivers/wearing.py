"""What a gateway remembers of how a wearable is worn, and how careful it is therefore with its wearer."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from devices.desk import Desk
from devices.falls.features import Samples, magnitude
from devices.falls.wearer import Bounds, Days, Point, point
from devices.outbox import OutboxFull

log = logging.getLogger(__name__)

_LEARNS_EVERY_S: Final = 600.0
_SAME: Final = timedelta(seconds=0.9)  # no two blows are so near to one another
_SOON: Final = timedelta(minutes=10)


class Blow(msgspec.Struct, frozen=True):
    """A blow that may become a fall: when it was, and its probability and explanation at a glance."""

    at: datetime
    probability: float
    detail: dict[str, float]


class _Memory(msgspec.Struct, frozen=True):
    worn: bool | None = None
    charging: bool = False
    days: Days = Days()
    blow: Blow | None = None


@dataclass(slots=True)
class _Lately:
    """What was worn since the last time it was learned from."""

    seconds: float = 0.0
    moved_g_s: float = 0.0


class Wearing:
    """Of one wearable. What is learned is kept across restarts, at least every ten minutes of wearing."""

    def __init__(self, address: str, desk: Desk) -> None:
        self._desk = desk
        self._key = f"wearing of {address}"
        self._lately = _Lately()
        self._fall: tuple[float, datetime] | None = None
        self._memory = self._recall()

    @property
    def worn(self) -> bool | None:
        """Whether it was worn when that was last told; None for never."""
        return self._memory.worn

    @property
    def charging(self) -> bool:
        """Whether it was being charged when that was last told."""
        return self._memory.charging

    def point(self, within: Bounds) -> Point:
        """How careful to be with its wearer, and why."""
        return point(self._memory.days, within)

    def changed(self, *, worn: bool | None = None, charging: bool | None = None) -> dict[str, str]:
        """It is worn, charged, or not any more: what is to be remembered in one transaction with that reading."""
        if worn is not None:
            self._memory = msgspec.structs.replace(self._memory, worn=worn)
        if charging is not None:
            self._memory = msgspec.structs.replace(self._memory, charging=charging)
        return {self._key: self._text()}

    def moved(self, samples: Samples, rate_hz: float) -> bool:
        """Samples while it is worn, (n, 3) in g. Whether so much came that it was learned from."""
        self._lately.seconds += len(samples) / rate_hz
        self._lately.moved_g_s += float(abs(magnitude(samples) - 1).sum()) / rate_hz
        if self._lately.seconds < _LEARNS_EVERY_S:
            return False
        mean_g = self._lately.moved_g_s / self._lately.seconds
        self._learn(self._memory.days.wore(self._lately.seconds, mean_g))
        self._lately = _Lately()
        return True

    def pending(self, blow: Blow) -> None:
        """A blow may become a fall: it is to be told of though the gateway stops before it is judged."""
        self._memory = msgspec.structs.replace(self._memory, blow=blow)
        self._remember(self._text())

    def left_unjudged(self) -> Blow | None:
        """The blow that was pending when the gateway stopped, if any."""
        return self._memory.blow

    def judged(self) -> dict[str, str]:
        """Nothing is pending any more: what is to be remembered in one transaction with the fall's reading."""
        self._memory = msgspec.structs.replace(self._memory, blow=None)
        return {self._key: self._text()}

    def dismissed(self, probability: float, at: datetime) -> None:
        """A blow that was no fall."""
        days, blow = self._memory.days.dismissed(probability), self._memory.blow
        if blow is not None and blow.at - at < _SAME:  # blows are judged in their order
            self._memory = msgspec.structs.replace(self._memory, days=days, blow=None)
            self._remember(self._text())
        self._learn(days)

    def fell(self, probability: float, at: datetime) -> None:
        """A fall was told. What she says of it soon after is learned from."""
        self._fall = probability, at

    def said_well(self, at: datetime) -> None:
        """She says herself that she is well: soon after a fall that was told, it was none."""
        if self._fall is not None and at - self._fall[1] <= _SOON:
            self._learn(self._memory.days.dismissed(self._fall[0]))
        self._fall = None

    def forget(self) -> None:
        """It is taken out of the home: its next wearer is somebody else."""
        self._memory = _Memory()
        self._remember("")

    def _learn(self, days: Days) -> None:
        if days != self._memory.days:
            self._memory = msgspec.structs.replace(self._memory, days=days)
            self._remember(self._text())

    def _remember(self, text: str) -> None:
        try:
            self._desk.remember(self._key, text)
        except OutboxFull as error:
            log.warning("the %s cannot be remembered: %s", self._key, error)

    def _text(self) -> str:
        return msgspec.json.encode(self._memory).decode()

    def _recall(self) -> _Memory:
        try:
            return msgspec.json.decode(self._desk.recall(self._key) or "{}", type=_Memory)
        except msgspec.DecodeError as error:
            log.warning("the %s cannot be read, and is learned anew: %s", self._key, error)
            return _Memory()
