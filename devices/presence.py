"""Whether somebody has been still for longer than a morning should be, by what the sensors of her flat say. Pure.

A *sign of life* is movement, a door or a bed that changes, a press of a button, walking again after a fall. She is still when there has been none
for :attr:`Patience.still`. That is worth a word only late in the morning, by her own habit, only while the sensors that
would have seen her live, and only when she is in: the bed is occupied, or nobody has moved a door since she was seen.

What is not known is not told. A sensor, or the gateway, that was deaf meanwhile has proved nothing; without a sensor
on the door nobody knows who is out, and only an occupied bed says that somebody is in.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from statistics import median
from typing import Final

import msgspec

from devices.readings import METRICS, Quality, Reading

AMBIENT: Final = ("movement", "door", "bed")
_OF_HERS: Final = ("help_call", "said_well", "fall_recovered")
_MORNINGS: Final = 14
_ENOUGH_MORNINGS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is too long. House defaults: no standard names a number for a healthy morning, and a call that comes an
    hour late costs less than one that comes to everybody who slept in (alarm fatigue: Sendelbach 2013*). A ``*`` marks
    a source named from general knowledge."""

    still: timedelta = timedelta(hours=5)
    after_rising: timedelta = timedelta(hours=3)
    """After her usual first sign of life (the median of the last 14 mornings), between the two below."""
    earliest: time = time(9)
    latest: time = time(12)
    unknown: time = time(11)
    """As long as fewer than five mornings are known."""
    until: time = time(14)
    night_ends: time = time(4)
    """A sign of life before that is of the night."""
    deaf: timedelta = timedelta(hours=1)
    """A sensor that said nothing for so long may have missed something: four of the states that a driver repeats."""
    leaving: timedelta = timedelta(minutes=2)
    """Movement so soon after a door may be hers who goes out."""


class _Sensor(msgspec.Struct):
    """What is known of a sensor: its last word, and since when it has spoken without a pause."""

    metric: str
    is_on: bool
    since: datetime
    heard: datetime


class _State(msgspec.Struct):
    sensors: dict[str, _Sensor] = {}
    sign_at: datetime | None = None
    sign: str = ""
    sign_by: str = ""
    inside_at: datetime | None = None
    door_at: datetime | None = None
    mornings: list[int] = []
    risen_on: date | None = None
    told_on: date | None = None
    told_at: datetime | None = None


class Presence:
    """One home. ``remembered`` is what :meth:`memory` gave before a restart; what cannot be read is begun anew."""

    def __init__(self, remembered: str | None = None, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        try:
            self._state = msgspec.json.decode(remembered, type=_State) if remembered else _State()
        except msgspec.DecodeError:
            self._state = _State()

    def memory(self) -> str:
        """What to remember across restarts."""
        return msgspec.json.encode(self._state).decode()

    def only(self, devices: Collection[str]) -> None:
        """These are the home's devices now: a sensor that is gone is missed no more."""
        sensors = self._state.sensors
        self._state.sensors = {address: sensor for address, sensor in sensors.items() if address in devices}

    def see(self, reading: Reading, zone: tzinfo | None) -> None:
        """Take what a device of the home says; ``zone`` is the home's (None: the machine's own)."""
        if reading.quality & Quality.CLOCK_SUSPECT:
            return
        if reading.metric in AMBIENT:
            self._see_sensor(reading, zone)
        elif reading.metric in _OF_HERS:
            self._note_sign(reading, zone, inside=True)

    def judge(self, now: datetime, zone: tzinfo | None) -> Reading | None:
        """The event ``inactivity``, once a day, when she has been still for too long; its ``detail`` says for how many
        hours, the last sign of life (by its metric's code), and whether the bed is occupied."""
        state, local = self._state, now.astimezone(zone)
        if state.told_on == local.date() or not self._due() <= local.time() < self._patience.until:
            return None
        if state.sign_at is None or now - state.sign_at < self._patience.still:
            return None
        witness = self._witness(now)
        if witness is None:
            return None
        state.told_on, state.told_at = local.date(), now
        detail = {
            "hours": round((now - state.sign_at) / timedelta(hours=1), 1),
            "last_sign": float(METRICS[state.sign].code),
            "in_bed": float(state.sensors[witness].metric == "bed"),
        }
        return Reading(witness, "inactivity", 1.0, now, now, Quality.NO_DEVICE_TIME, detail=detail)

    def resumed(self, now: datetime) -> Reading | None:
        """The event ``activity_resumed``, once, when there was a sign of life after she had been missed."""
        state = self._state
        if state.told_at is None or state.sign_at is None or state.sign_at <= state.told_at:
            return None
        state.told_at = None
        return Reading(state.sign_by, "activity_resumed", 1.0, now, now, Quality.NO_DEVICE_TIME)

    def take_back(self) -> None:
        """What was told last could not be kept: it is to be told again."""
        self._state.told_on = self._state.told_at = None

    def _see_sensor(self, reading: Reading, zone: tzinfo | None) -> None:
        is_on, at = reading.value >= 0.5, reading.measured_at
        known = self._state.sensors.get(reading.device)
        if known is not None and at <= known.heard:
            return
        without_pause = known is not None and at - known.heard <= self._patience.deaf
        changed = known is not None and known.is_on != is_on
        since = known.since if known is not None and without_pause else at
        self._state.sensors[reading.device] = _Sensor(reading.metric, is_on, since, at)
        if reading.metric == "door" and changed:
            self._state.door_at = at
        if changed and without_pause and reading.metric != "movement":
            self._note_sign(reading, zone, inside=reading.metric == "bed")
        elif reading.metric == "movement" and is_on:
            self._note_sign(reading, zone, inside=True)

    def _note_sign(self, reading: Reading, zone: tzinfo | None, *, inside: bool) -> None:
        state, at = self._state, reading.measured_at
        if state.sign_at is None or at > state.sign_at:
            state.sign_at, state.sign, state.sign_by = at, reading.metric, reading.device
        if inside and (state.inside_at is None or at > state.inside_at):
            state.inside_at = at
        local = at.astimezone(zone)
        if local.time() >= self._patience.night_ends and (state.risen_on is None or local.date() > state.risen_on):
            state.risen_on = local.date()
            state.mornings = [*state.mornings, local.hour * 60 + local.minute][-_MORNINGS:]

    def _due(self) -> time:
        """From when on she should have been seen."""
        patience, mornings = self._patience, self._state.mornings
        if len(mornings) < _ENOUGH_MORNINGS:
            return patience.unknown
        minutes = median(mornings) + patience.after_rising / timedelta(minutes=1)
        if minutes >= patience.latest.hour * 60 + patience.latest.minute:
            return patience.latest
        return max(time(int(minutes // 60), int(minutes % 60)), patience.earliest)

    def _witness(self, now: datetime) -> str | None:
        """The sensor by which it is known that she is in and still, if any."""
        begin = now - self._patience.still
        for address, sensor in self._state.sensors.items():
            if sensor.metric == "bed" and sensor.is_on and self._lives(sensor, begin, now):
                return address if self._sees(begin, now) is not False else None
        return self._eye() if self._sees(begin, now) and self._is_in(now) else None

    def _sees(self, begin: datetime, now: datetime) -> bool | None:
        """Whether every motion sensor has lived since then; None where there is none."""
        eyes = [s for s in self._state.sensors.values() if s.metric == "movement"]
        return all(self._lives(eye, begin, now) for eye in eyes) if eyes else None

    def _eye(self) -> str:
        """The motion sensor heard last."""
        sensors = self._state.sensors
        return max((a for a, s in sensors.items() if s.metric == "movement"), key=lambda a: sensors[a].heard)

    def _is_in(self, now: datetime) -> bool:
        """Whether every door has been watched since she was last seen inside, and has not moved since."""
        state = self._state
        doors = [s for s in state.sensors.values() if s.metric == "door"]
        if state.inside_at is None or not doors:
            return False
        went_out = state.door_at is not None and state.inside_at <= state.door_at + self._patience.leaving
        return not went_out and all(self._lives(door, state.inside_at, now) for door in doors)

    def _lives(self, sensor: _Sensor, begin: datetime, now: datetime) -> bool:
        """Whether a sensor has spoken without a pause since then."""
        return sensor.since <= begin and now - sensor.heard <= self._patience.deaf
