"""From a suspected fall to certainty: ask, wait, weigh, and say what became of it. Pure; one home.

The suspicion itself is on its way to the service before this is asked, and nothing here holds it back. What follows is a
small machine. While a fall is *pending* the resident is asked whether she is well. A press of her button ends it
(``said_well``), and so does walking as her own wearable feels it (``fall_recovered``); these readings are the outcome,
and are kept with ``after_fall_s``. Otherwise it is *confirmed* after :attr:`Patience.answer_s`, or at once by a call
for help. A confirmed fall stays open until one of the two comes, and is told as a long lie at :attr:`Patience.lie_min`.

Who is uncertain errs towards the fall. The gateway does not know who wears what, so of several wearables that suspect
one fall each must feel its wearer walk; a sensor of the flat may have seen a visitor or a pet, and ends nothing.

What is answered on the kiosk is known here as soon as the service has said so; until then the service weighs it alone.
Spoken answers are not understood: there is no speech recognition.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import msgspec

from devices.readings import Quality, Reading

_PRESSED: Final = "said_well"
_WALKED: Final = "fall_recovered"
_REMEMBERED_FALLS: Final = 16
_IMPACTS: Final = 8
_SURE: Final = 0.999
"""No probability is taken for more than this, nor for less than its complement: nothing could be weighed against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long is waited. House defaults but for ``answer_s``, which is the 30 s that the service waits as well."""

    answer_s: float = 30.0
    ask_at_s: tuple[float, ...] = (0.0, 15.0)
    same_s: float = 10.0
    """Impacts so near to each other are one fall: two wearables feel one blow within a second or two, the rest is what
    the times of a device without a clock may be wrong by."""
    late_s: float = 5.0
    """Whoever judges so much later than an answer was due has not listened meanwhile, and asks anew, once."""
    lie_min: tuple[float, ...] = (10.0, 30.0, 60.0)
    """A long lie is one of more than an hour (Fleming and Brayne 2008*), and half of those who lay so long were dead
    within six months (Wild 1981*): staff must know long before. After ten minutes who is only shaken is up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """What each piece of evidence adds to the log-odds of a fall. House defaults, each for the reason it has; a ``*``
    marks a source named from general knowledge."""

    unanswered: float = math.log(0.8 / 0.3)
    """Of those who lay long and had an alarm four in five did not use it (Fleming and Brayne 2008*); that three in ten
    who are well miss two questions is a guess."""
    second_device: float = 0.5
    """Of a second device's own log-odds: half, for both feel the same movement and may err together."""
    again: float = 0.5
    """A second blow, some time after the first: who tries to get up falls again."""
    pulse: float = 0.5
    """Of a pulse beyond the two below: pain and fright raise it, a faint may have slowed it. One between says nothing."""
    pulse_high: float = 110.0
    pulse_low: float = 45.0
    help_call: float = 4.0
    """Somebody who was asked whether she is well pressed for help."""
    one_walks: float = -1.5
    """One of several wearables feels walking: perhaps the other one is not worn, perhaps two people wear them."""
    movement: float = -0.4
    door: float = -0.4
    """Somebody moves: she, who may be crawling, or a visitor, or a pet; of a door no pet."""
    bed: float = -1.0
    """Somebody lies in the bed: she, or whoever shares it."""
    taken_off: float = -0.5
    """Hands took it off, or put it on its charger; or the blow took it off."""
    dropped: float = -2.0
    """The device says that it fell by itself."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask her whether she is well; ``again``: she was asked before."""

    again: bool


@dataclass(frozen=True, slots=True)
class Enough:
    """Ask no more. ``well``: it is over, and of these devices' falls nothing more is to be said to her."""

    devices: tuple[str, ...]
    well: bool


Step = Ask | Enough | Reading
"""What is to be done: a reading is to be kept."""


class _Fall(msgspec.Struct):
    """``suspects`` are the probabilities by device, ``felt_at`` when each felt the last blow; ``up`` those that have felt
    walking since."""

    fell_at: datetime
    known_at: datetime
    suspects: dict[str, float] = {}
    felt_at: dict[str, datetime] = {}
    impacts: list[datetime] = []
    up: list[str] = []
    evidence: dict[str, float] = {}
    asked: int = 0
    asked_anew: bool = False
    is_pending: bool = True
    is_confirmed: bool = False
    lies_told: int = 0


class _State(msgspec.Struct):
    fall: _Fall | None = None
    seen: list[tuple[str, datetime]] = []
    pressed_at: datetime | None = None
    called_at: datetime | None = None
    up_at: dict[str, datetime] = {}
    doors: dict[str, bool] = {}
    enough: list[str] = []


class Certainty:
    """One home. ``remembered`` is what :meth:`memory` gave before a restart; what cannot be read is begun anew."""

    def __init__(
        self, remembered: str | None = None, patience: Patience | None = None, weights: Weights | None = None
    ) -> None:
        self._patience = patience or Patience()
        self._weights = weights or Weights()
        try:
            self._state = msgspec.json.decode(remembered, type=_State) if remembered else _State()
        except msgspec.DecodeError:
            self._state = _State()

    def memory(self) -> str:
        """What to remember across restarts."""
        return msgspec.json.encode(self._state).decode()

    @property
    def is_urgent(self) -> bool:
        """Whether :meth:`judge` is to be called every second; otherwise once a minute will do."""
        return bool(self._state.enough) or (self._state.fall is not None and self._state.fall.is_pending)

    def only(self, devices: Collection[str]) -> None:
        """These are the home's devices now: a wearable that is gone is not waited for, once its fall is confirmed."""
        fall = self._state.fall
        if fall is None or fall.is_pending:
            return
        fall.suspects = {address: p for address, p in fall.suspects.items() if address in devices}
        if not fall.suspects:
            self._state.fall = None

    def shift(self, error: timedelta) -> None:
        """The clock was wrong by so much: correct what was noted by it."""
        state, fall = self._state, self._state.fall
        state.pressed_at = state.called_at = None  # by which clock they were told is not known: doubt is for the fall
        state.up_at, state.seen = {}, []
        if fall is not None:
            fall.fell_at, fall.known_at = fall.fell_at + error, fall.known_at + error
            fall.impacts = [at + error for at in fall.impacts]
            fall.felt_at = {address: at + error for address, at in fall.felt_at.items()}

    def see(self, reading: Reading, now: datetime) -> Reading:
        """Take what a device of the home says; returned as it is to be kept, with ``after_fall_s`` if it ends a fall."""
        doubtful = bool(reading.quality & Quality.CLOCK_SUSPECT)
        at = now if doubtful else min(reading.measured_at, now)
        if reading.metric == "fall":
            self._suspect(reading, at, now)
        elif reading.metric == "help_call":
            self._call(at)
        elif doubtful:
            return reading  # what speaks against a fall must be known to have come after it
        elif reading.metric in (_PRESSED, _WALKED):
            return self._answered(reading, at)
        else:
            self._weigh(reading, at)
        return reading

    def answered(self, fell_at: datetime) -> None:
        """She has said elsewhere that she is well, or somebody has seen to her: of the fall told as of then, and not of a blow
        that came later."""
        fall = self._state.fall
        if fall is not None and fell_at + timedelta(seconds=self._patience.same_s) >= max(fall.impacts):
            self._end(fall)

    def judge(self, now: datetime) -> list[Step]:
        """What is to be done now. Whoever asks does it: it counts as done."""
        state, steps = self._state, list[Step]()
        if state.enough:
            steps.append(Enough(tuple(state.enough), well=True))
            state.enough = []
        if state.fall is not None and state.fall.is_pending:
            steps += self._wait(state.fall, now)
        if state.fall is not None and state.fall.is_confirmed:
            steps += self._lies(state.fall, now)
        return steps

    def _suspect(self, reading: Reading, at: datetime, now: datetime) -> None:
        state, key = self._state, (reading.device, reading.measured_at)
        if key in state.seen:
            return
        state.seen = [*state.seen, key][-_REMEMBERED_FALLS:]
        if any(at < answer <= now for answer in (state.pressed_at, state.up_at.get(reading.device)) if answer):
            return  # answered before it was heard of: what answered it is kept
        if state.fall is None or self._is_over(state.fall, at):
            state.fall = _Fall(at, now)
        self._join(state.fall, reading, at, now)

    def _is_over(self, fall: _Fall, at: datetime) -> bool:
        """Whether a fall at this time is not to be counted with an older one, of which all has been told."""
        all_told = fall.is_confirmed and fall.lies_told == len(self._patience.lie_min)
        return all_told and not fall.is_pending and not self._is_same(fall, at)

    def _is_same(self, fall: _Fall, at: datetime) -> bool:
        near = timedelta(seconds=self._patience.same_s)
        return not fall.impacts or any(abs(at - impact) <= near for impact in fall.impacts)

    def _join(self, fall: _Fall, reading: Reading, at: datetime, now: datetime) -> None:
        device, is_same = reading.device, self._is_same(fall, at)
        if is_same:
            fall.fell_at = min(fall.fell_at, at)
        else:
            fall.evidence["falls"] = fall.evidence.get("falls", 1.0) + 1
        if not is_same and not fall.is_pending:
            fall.is_pending, fall.known_at, fall.asked, fall.asked_anew = True, now, 0, False
            fall.evidence.pop("help_call", None)  # it spoke of the fall before
        fall.suspects[device] = max(reading.value, fall.suspects.get(device, 0.0))
        fall.felt_at[device] = max(at, fall.felt_at.get(device, at))
        fall.up = [address for address in fall.up if address != device]
        fall.impacts = sorted([*fall.impacts, at])[-_IMPACTS:]
        called_at = self._state.called_at
        if called_at is not None and at < called_at <= now:
            fall.evidence["help_call"] = 1.0

    def _call(self, at: datetime) -> None:
        state = self._state
        state.called_at = at if state.called_at is None else max(state.called_at, at)
        if state.fall is not None and at > state.fall.fell_at:
            state.fall.evidence["help_call"] = 1.0

    def _answered(self, reading: Reading, at: datetime) -> Reading:
        state, fall = self._state, self._state.fall
        if reading.metric == _PRESSED:
            state.pressed_at = at if state.pressed_at is None else max(state.pressed_at, at)
        else:
            state.up_at[reading.device] = max(at, state.up_at.get(reading.device, at))
        if fall is None or not self._is_end(fall, reading, at):
            return reading
        self._end(fall)
        after_fall_s = round((at - fall.fell_at).total_seconds(), 1)
        return replace(reading, detail={**reading.detail, "after_fall_s": after_fall_s})

    def _end(self, fall: _Fall) -> None:
        self._state.fall, self._state.enough = None, sorted({*self._state.enough, *fall.suspects})

    def _is_end(self, fall: _Fall, reading: Reading, at: datetime) -> bool:
        """Whether she is well by this: a press after the last blow, or the last of her wearables feels walking."""
        if reading.metric == _PRESSED:
            return at > max(fall.impacts)
        felt_at = fall.felt_at.get(reading.device)
        if felt_at is not None and at > felt_at:
            fall.up = sorted({*fall.up, reading.device})
        return set(fall.suspects) <= set(fall.up)

    def _weigh(self, reading: Reading, at: datetime) -> None:
        """Note what speaks for or against the open fall. A state that a sensor repeats is none."""
        metric, is_on = reading.metric, reading.value >= 0.5
        has_moved = False
        if metric == "door":
            has_moved = self._state.doors.get(reading.device, is_on) != is_on
            self._state.doors[reading.device] = is_on
        fall = self._state.fall
        if fall is None or at <= fall.fell_at:
            return
        mine = reading.device in fall.suspects
        if metric in ("pulse", "bed") or (mine and metric in ("worn", "charging", "device_dropped")):
            fall.evidence[metric] = reading.value
        elif has_moved or (metric == "movement" and is_on):
            fall.evidence[metric] = 1.0

    def _wait(self, fall: _Fall, now: datetime) -> list[Step]:
        patience = self._patience
        waited_s = (now - fall.known_at).total_seconds()
        if waited_s < 0 or (waited_s > patience.answer_s + patience.late_s and not fall.asked_anew):
            fall.known_at, fall.asked, fall.asked_anew, waited_s = now, 0, True, 0.0
        if "help_call" in fall.evidence or waited_s >= patience.answer_s:
            return [Enough(tuple(fall.suspects), well=False), self._confirm(fall, now, waited_s)]
        if fall.asked < len(patience.ask_at_s) and waited_s >= patience.ask_at_s[fall.asked]:
            fall.asked += 1
            return [Ask(again=fall.asked > 1)]
        return []

    def _confirm(self, fall: _Fall, now: datetime, waited_s: float) -> Reading:
        fall.is_pending, fall.is_confirmed = False, True
        return self._told("fall_confirmed", fall, now, {"waited_s": round(waited_s, 1)})

    def _lies(self, fall: _Fall, now: datetime) -> list[Step]:
        fall.fell_at = min(fall.fell_at, now)
        minutes = (now - fall.fell_at) / timedelta(minutes=1)
        due = sum(minutes >= limit for limit in self._patience.lie_min)
        if due <= fall.lies_told:
            return []
        fall.lies_told = due
        return [self._told("long_lie", fall, now, {"minutes": round(minutes, 1)})]

    def _told(self, metric: str, fall: _Fall, now: datetime, detail: dict[str, float]) -> Reading:
        """An event of the fall, by the device that is surest of it; ``detail`` and the evidence explain it."""
        first, *others = sorted(fall.suspects, key=lambda address: -fall.suspects[address])
        detail = {**detail, "after_fall_s": round((now - fall.fell_at).total_seconds(), 1), **fall.evidence}
        detail |= {"suspected": fall.suspects[first]}
        if others:
            detail |= {"second_device": fall.suspects[others[0]]}
        value = round(_probability(self._log_odds(fall)), 3)
        return Reading(first, metric, value, now, now, Quality.NO_DEVICE_TIME, detail=detail)

    def _log_odds(self, fall: _Fall) -> float:
        weights, seen = self._weights, fall.evidence
        first, *others = sorted(fall.suspects.values(), reverse=True)
        pulse = seen.get("pulse")
        is_telling = pulse is not None and not weights.pulse_low < pulse < weights.pulse_high
        return sum(
            (
                _logit(first),
                weights.second_device * max(_logit(others[0]), 0.0) if others else 0.0,
                weights.again * (seen.get("falls", 1.0) > 1),
                weights.help_call if "help_call" in seen else weights.unanswered,
                weights.pulse * is_telling,
                weights.one_walks * bool(fall.up),
                weights.movement * ("movement" in seen),
                weights.door * ("door" in seen),
                weights.bed * (seen.get("bed", 0.0) >= 0.5),
                weights.taken_off * (seen.get("worn", 1.0) < 0.5 or seen.get("charging", 0.0) >= 0.5),
                weights.dropped * ("device_dropped" in seen),
            )
        )


def _logit(probability: float) -> float:
    bounded = min(max(probability, 1 - _SURE), _SURE)
    return math.log(bounded / (1 - bounded))


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds))
