"""What the gateway says aloud to the resident: whether she fell, and when that or a call for help does not get through. Pure.

She is told what happened, that it is tried on, and which number to ring herself if she can; and once the service has it,
that. She is never told that somebody knows when nobody does, and never that somebody comes: that is not the gateway's
to know. One mouth says all of it: a question waits for what is more urgent, and is left out when that took too long.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

EMERGENCIES: Final = ("help_call", "fall")
"""The metrics that are spoken of, the one she is told of first when both happened before the other."""
RECOVERED: Final = ("fall_recovered", "said_well")
"""Walking again, and the word that all is well: either ends what there is to say of a fall."""


class State(Enum):
    """What became of an emergency, or what she is asked about it."""

    WAITING = "waiting"
    TAKEN = "taken"
    NOT_TAKEN = "not_taken"
    ASKED = "asked"
    """She is asked whether she is well, and nothing is said of who knows."""
    ASKED_KNOWN = "asked_known"
    """She is asked, and the service has the fall: it calls for help unless she answers."""


@dataclass(frozen=True, slots=True)
class Patience:
    """She is told after ``first_s`` without success, then every ``every_s``, ``most`` times; of several, never two sentences within ``first_s``. What is taken after
    ``stale_s`` is not mentioned any more.
    """

    first_s: float = 15.0
    every_s: float = 60.0
    most: int = 10
    stale_s: float = 6 * 3600.0
    ask_within_s: float = 10.0
    """A question that could not be asked for so long is not asked any more: the time to answer it is running."""


@dataclass(frozen=True, slots=True)
class Message:
    """What to say: what became of ``metric``, one of :data:`EMERGENCIES`."""

    state: State
    metric: str


@dataclass(slots=True)
class Known:
    """One emergency, by its number in the outbox. ``times`` is how often she was told of it; times in seconds."""

    number: int
    metric: str
    device: str
    since_s: float
    due_s: float
    times: int = 0
    state: State = State.WAITING


class FirstAid:
    """Decides what to say, and when. ``now_s`` is of a clock that only goes forward."""

    def __init__(self, patience: Patience | None = None, known: Iterable[Known] = ()) -> None:
        self._patience = patience or Patience()
        self._known = {one.number: one for one in known}
        self._quiet_until_s = -math.inf
        self._asked_s = -math.inf
        self._is_known = False

    @property
    def known(self) -> Sequence[Known]:
        """The emergencies that may still have to be spoken of."""
        return list(self._known.values())

    def happened(self, number: int, metric: str, device: str, now_s: float) -> None:
        """An emergency waits for the service; known ones are known already."""
        if number not in self._known:
            self._known[number] = Known(number, metric, device, now_s, now_s + self._patience.first_s)
            self._is_known &= metric != "fall"

    def recovered(self, number: int, device: str) -> None:
        """The wearer of this device got up, or said that she is well: no more of a fall before that."""
        self._forget(
            one.number for one in self.known if one.metric == "fall" and one.device == device and one.number < number
        )

    def ask(self, now_s: float) -> None:
        """She is to be asked whether she is well."""
        self._asked_s = now_s

    def ask_no_more(self) -> None:
        """She is not to be asked any more."""
        self._asked_s = -math.inf

    def well(self, devices: Iterable[str]) -> None:
        """The falls that these devices told are over."""
        for device in devices:
            self.recovered(max(self._known, default=0) + 1, device)

    def taken(self, numbers: Iterable[int]) -> None:
        """The service has these."""
        taken = self._of(numbers)
        for one in taken:
            one.state = State.TAKEN
        self._is_known |= any(one.metric == "fall" for one in taken) and not self._is_fall_untold

    def not_taken(self, numbers: Iterable[int], now_s: float) -> None:
        """The service refuses these: they are not tried any more, so she is told at once."""
        for one in self._of(numbers):
            one.state, one.due_s, one.times = State.NOT_TAKEN, now_s, 0

    def due(self, now_s: float) -> Message | None:
        """What to say now. Whoever asks says it: it counts as said."""
        for state in (State.NOT_TAKEN, State.WAITING):
            if message := self._due(state, now_s):
                return message
        return self._due_question(now_s) or self._due_taken(now_s)

    @property
    def _is_fall_untold(self) -> bool:
        return any(one.metric == "fall" and one.state is not State.TAKEN for one in self.known)

    def _due_question(self, now_s: float) -> Message | None:
        if now_s < self._quiet_until_s or now_s - self._asked_s > self._patience.ask_within_s:
            return None
        self.ask_no_more()
        self._be_quiet(now_s)
        return Message(State.ASKED_KNOWN if self._is_known else State.ASKED, "fall")

    def _be_quiet(self, now_s: float) -> None:
        self._quiet_until_s = now_s + min(self._patience.first_s, self._patience.every_s)

    def _due(self, state: State, now_s: float) -> Message | None:
        """One sentence for all that are in this state and due, with those it speaks of as well."""
        ones = [one for one in self.known if one.state is state and one.times < self._patience.most]
        due = [one for one in ones if one.due_s <= now_s]
        if not due or now_s < self._quiet_until_s:
            return None
        message = Message(state, _first(due))
        for one in ones:
            if one.times or one in due or one.metric == message.metric:
                one.times += 1
                one.due_s = now_s + self._patience.every_s
        self._be_quiet(now_s)
        self._forget(one.number for one in ones if state is State.NOT_TAKEN and one.times >= self._patience.most)
        return message

    def _due_taken(self, now_s: float) -> Message | None:
        """That it got through is said when all of which she was told did."""
        taken = [one for one in self.known if one.state is State.TAKEN]
        told = [one for one in taken if one.times and now_s - one.since_s < self._patience.stale_s]
        if told and any(one.state is State.WAITING and one.times for one in self.known):
            return None
        refused = any(one.state is State.NOT_TAKEN for one in self.known)
        self._forget(one.number for one in taken)
        return None if refused or not told else Message(State.TAKEN, _first(told))

    def _of(self, numbers: Iterable[int]) -> list[Known]:
        return [self._known[number] for number in numbers if number in self._known]

    def _forget(self, numbers: Iterable[int]) -> None:
        for number in list(numbers):
            del self._known[number]


def _first(ones: Sequence[Known]) -> str:
    return min((one.metric for one in ones), key=EMERGENCIES.index)


_SENTENCES: Final[Mapping[str, Mapping[Message, str]]] = {
    "en": {
        Message(State.WAITING, "fall"): "You may have fallen. This could not be told to anybody yet: the connection is "
        "down. It is being tried on. If you can, {ring}.",
        Message(
            State.WAITING, "help_call"
        ): "You called for help. Your call has not got through yet: the connection is "
        "down. It is being tried on. If you can, {ring}.",
        Message(
            State.NOT_TAKEN, "fall"
        ): "You may have fallen. This cannot be told to anybody. Please {ring}, or call out to a neighbour.",
        Message(
            State.NOT_TAKEN, "help_call"
        ): "Your call for help cannot be delivered. Please {ring}, or call out to a neighbour.",
        Message(State.TAKEN, "fall"): "The connection is back. The care service now knows that you may have fallen.",
        Message(State.TAKEN, "help_call"): "The connection is back. The care service now has your call for help.",
        Message(State.ASKED, "fall"): "You may have fallen. If you are well, {answer}.",
        Message(State.ASKED_KNOWN, "fall"): "You may have fallen. If you are well, {answer}. Otherwise help is being "
        "called.",
    },
    "zh_Hans": {
        Message(State.WAITING, "fall"): "您可能摔倒了。网络不通，消息还没有发出去，正在继续发送。如果可以，{ring}。",
        Message(State.WAITING, "help_call"): "您呼救了。网络不通，呼救还没有发出去，正在继续发送。如果可以，{ring}。",
        Message(State.NOT_TAKEN, "fall"): "您可能摔倒了。消息发不出去。{ring}，或者大声叫邻居。",
        Message(State.NOT_TAKEN, "help_call"): "您的呼救发不出去。{ring}，或者大声叫邻居。",
        Message(State.TAKEN, "fall"): "网络恢复了。您可能摔倒的消息，护理服务已经收到。",
        Message(State.TAKEN, "help_call"): "网络恢复了。您的呼救，护理服务已经收到。",
        Message(State.ASKED, "fall"): "您可能摔倒了。如果您没事，{answer}。",
        Message(State.ASKED_KNOWN, "fall"): "您可能摔倒了。如果您没事，{answer}。没有回应，就会为您求助。",
    },
}
_RING: Final = {
    "en": ("ring {phone} yourself", "ring somebody yourself"),
    "zh_Hans": ("请您自己拨打 {phone}", "请您自己打电话求助"),
}


_ANSWER: Final = {
    "en": "press the button on your wristband or on the screen, or, if nothing hurts, get up slowly and walk a few steps",
    "zh_Hans": "请按一下手环或屏幕上的按钮；如果哪儿都不疼，也可以慢慢站起来走几步",
}


def sentence(message: Message, language: str, phone: str | None) -> str:
    """The message in her language (``zh_Hans`` or ``en``, Chinese for any other); the number digit by digit."""
    language = language if language in _SENTENCES else "zh_Hans"
    digits = " ".join(c for c in phone or "" if c in "0123456789")
    with_number, without = _RING[language]
    ring = with_number.format(phone=digits) if digits else without
    return _SENTENCES[language][message].format(ring=ring, answer=_ANSWER[language])
