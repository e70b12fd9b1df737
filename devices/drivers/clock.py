"""The clocks of instruments: read, set and read back, and how far a time that one gave may be believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from devices.desk import Desk
from devices.gatt import current_time, date_time
from devices.gatt.errors import DecodeError
from devices.habits import Habits
from devices.link import Link
from devices.readings import Quality

_RIGHT: Final = timedelta(minutes=5)  # a clock within this is right; a reading within this was taken just now
_MEMORY: Final = timedelta(minutes=10)  # a reading older than this comes from the memory
_OLDEST: Final = datetime(2015, 1, 1, tzinfo=UTC)

_Setter = tuple[str, Callable[[datetime], bytes]]
_CURRENT_TIME: Final[_Setter] = (current_time.UUID, current_time.encode)
_DATE_TIME: Final[_Setter] = (date_time.UUID, date_time.encode)
_SET_BY: Final[dict[str, tuple[_Setter, ...]]] = {
    "either": (_CURRENT_TIME, _DATE_TIME),
    "current_time": (_CURRENT_TIME,),
    "date_time": (_DATE_TIME,),
    "none": (),
}


@dataclass(frozen=True, slots=True)
class Clock:
    """What is known of an instrument's clock: how far it was ahead of the gateway's, None where it could not be read."""

    ahead: timedelta | None = None

    def quality(self, measured_at: datetime, collected_at: datetime) -> Quality:
        """How far a time that the instrument gave may be believed."""
        impossible = measured_at > collected_at + _RIGHT or measured_at < _OLDEST
        if self.ahead is None:
            suspect, age = impossible, collected_at - measured_at
        else:
            suspect, age = impossible or abs(self.ahead) > _RIGHT, collected_at - (measured_at - self.ahead)
        quality = Quality.CLOCK_SUSPECT if suspect else Quality.NONE
        if suspect and self.ahead is not None and abs(age) <= _RIGHT:
            quality |= Quality.CLOCK_JUST_SET
        if age > _MEMORY and (self.ahead is not None or not suspect):
            quality |= Quality.FROM_MEMORY
        return quality


async def set_clock(link: Link, desk: Desk, habits: Habits) -> Clock:
    """Read the instrument's clock, set it as its habits are, read it back. The answer is how it was found.

    A gateway that does not know the time leaves it alone: a right clock must not be set by a wrong one.
    """
    if not desk.knows_time:
        return Clock()
    before = await _read(link, desk)
    is_set = _is_to_be_set(before, habits) and await _write(link, desk, habits)
    after = await _read(link, desk) if is_set else before
    note_error(link.address, desk, before if before is not None else after)
    if is_set and after is not None and abs(after) > _RIGHT:
        desk.trouble(link.address, f"its clock cannot be set: it stays {after} from the right time")
    return Clock(before)


def note_error(address: str, desk: Desk, ahead: timedelta | None) -> None:
    """Note how far an instrument's clock was found ahead; None where nobody knows."""
    desk.of(address).clock_error_s = None if ahead is None else ahead.total_seconds()


def _is_to_be_set(ahead: timedelta | None, habits: Habits) -> bool:
    return ahead is None or abs(ahead) >= timedelta(minutes=habits.clock_wrong_min)


async def _write(link: Link, desk: Desk, habits: Habits) -> bool:
    for uuid, encode in _SET_BY[habits.clock]:
        if await link.write(uuid, encode(desk.local_now())):
            return True
    return False


async def _read(link: Link, desk: Desk) -> timedelta | None:
    """How far the clock is ahead; None where there is none or it does not know the time."""
    for uuid, decode in ((current_time.UUID, current_time.decode), (date_time.UUID, date_time.decode)):
        raw = await link.read(uuid)
        if raw is None:
            continue
        try:
            shows = decode(raw)
        except DecodeError as error:
            desk.refuse(link.address, uuid, raw, error.reason)
            continue
        return None if shows is None else desk.utc(shows) - desk.now()
    return None
