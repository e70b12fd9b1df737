"""Puts calls through as Twilio does: rings, listens for a machine, fetches TwiML and carries it out, key by key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final
from urllib.parse import urljoin

import structlog

from alerts.virtual.callbacks import Callbacks, Post
from alerts.virtual.calls import Call, Said
from alerts.virtual.changes import Changes
from alerts.virtual.network import Network
from alerts.virtual.phones import KEYS
from alerts.virtual.resources import API_VERSION, rfc2822
from alerts.virtual.twiml import TwimlError, Verb, parse

log = structlog.get_logger(__name__)

_MOST_DOCUMENTS: Final = 50
_WRONG: Final = Said("We are sorry, an application error has occurred. Goodbye.", "en-US")
_ANSWERED_BY: Final = {"machine": "machine_start", "unknown": "unknown"}
_TAKEN: Final = frozenset({"answer", "unknown", "hang_up", "machine"})
_WHILE_IT_RINGS: Final = {"answer": "answer", "machine": "machine", "decline": "busy", "hang_up": "busy"}
_WHILE_IT_TALKS: Final = frozenset({"hang_up"}) | KEYS


class HungUp(Exception):
    """The one who was called has put down the phone, or the call has lasted as long as it may."""


class Exchange:
    """Every call that is under way.

    ``post`` calls a webhook, ``second_s`` is how many real seconds a second of a call lasts.
    """

    def __init__(
        self,
        network: Network,
        post: Post,
        clock: Callable[[], datetime],
        changes: Changes,
        second_s: float,
    ) -> None:
        self._network = network
        self._post = post
        self._clock = clock
        self._changes = changes
        self._second_s = second_s
        self._acts: dict[str, asyncio.Queue[str]] = {}

    def act(self, phone: str, what: str) -> bool:
        """The owner of a phone does something about the call it has: ``answer``, ``decline``, ``machine``, ``hang_up``, a key.

        Says whether there is one.
        """
        for call in reversed(self._network.calls):
            if call.to == phone and call.sid in self._acts and not call.is_final:
                self._acts[call.sid].put_nowait(what)
                return True
        return False

    def expect(self, call: Call) -> None:
        """A call is about to be put through."""
        self._acts[call.sid] = asyncio.Queue()

    def is_busy_with(self, sid: str) -> bool:
        """Whether this call is under way, or still being told of."""
        return sid in self._acts

    async def put_through(self, call: Call) -> None:
        """From the queue to its end. It must be known by :meth:`expect`."""
        callbacks = Callbacks(self._post, self._network.faults.take("callback", "voice", call.to))
        try:
            await self._tell(call, callbacks, "initiated", "initiated")
            call.status = "ringing"
            await self._tell(call, callbacks, "ringing", "ringing")
            taken = await self._ring(call)
            if taken in _TAKEN:
                await self._talk(call, taken, callbacks)
            call.status = "completed" if taken in _TAKEN else taken
            call.ended_at = self._clock() if call.started_at else None
            await self._tell(call, callbacks, "completed", call.status)
            await callbacks.end()
        finally:
            del self._acts[call.sid]

    async def _ring(self, call: Call) -> str:
        """What becomes of the ringing: one of ``_TAKEN``, or the status of a call that is over."""
        fault = self._network.faults.take("delivery", "voice", call.to)
        comes = fault.kind if fault else self._network.habit(call.to).calls
        if comes != "ring":
            return comes
        act = await self._act(call, call.ring_s, _WHILE_IT_RINGS)
        return "no-answer" if act is None else _WHILE_IT_RINGS[act]

    async def _talk(self, call: Call, taken: str, callbacks: Callbacks) -> None:
        call.status, call.started_at = "in-progress", self._clock()
        await self._tell(call, callbacks, "answered", "in-progress")
        if taken == "hang_up":
            return
        if call.detects:
            call.answered_by = _ANSWERED_BY.get(taken, "human")
        keys = list(self._network.habit(call.to).keys)
        with suppress(HungUp):
            await _Talk(self, call, keys).run()

    async def _tell(self, call: Call, callbacks: Callbacks, event: str, status: str) -> None:
        call.updated_at = self._clock()
        self._changes.tell()
        if call.status_callback is None or event not in call.events:
            return
        more = {"CallbackSource": "call-progress-events", "SequenceNumber": str(callbacks.said)}
        more["Timestamp"] = rfc2822(call.updated_at) or ""
        if event == "completed":
            more |= {"CallDuration": str(call.duration_s or 0), "Duration": str((call.duration_s or 0) // 60 + 1)}
        await callbacks.tell(call.status_callback, self.about(call, status) | more)

    def about(self, call: Call, status: str) -> dict[str, str]:
        """What every request about a call bears."""
        known = {
            "AccountSid": self._network.account,
            "ApiVersion": API_VERSION,
            "CallSid": call.sid,
            "CallStatus": status,
            "Called": call.to,
            "Caller": call.from_,
            "Direction": "outbound-api",
            "From": call.from_,
            "To": call.to,
        }
        return known | ({"AnsweredBy": call.answered_by} if call.answered_by else {})

    async def fetch(self, call: Call, url: str, **more: str) -> str | None:
        """Ask the service what to do; ``None`` when it does not answer."""
        return await self._post(url, self.about(call, "in-progress") | more)

    def say(self, call: Call, said: Said) -> None:
        """Speak to whoever is there."""
        call.heard.append(said)
        self._changes.tell()

    async def pause(self, call: Call, seconds: float) -> None:
        """Say nothing for a while. Raises :class:`HungUp` when the other does not wait for the end."""
        if await self._act(call, seconds, {"hang_up"}):
            raise HungUp

    async def key(self, call: Call, within_s: float) -> str | None:
        """The key that is pressed, if one is. Raises :class:`HungUp`."""
        act = await self._act(call, within_s, _WHILE_IT_TALKS)
        if act == "hang_up":
            raise HungUp
        return act

    async def _act(self, call: Call, within_s: float, wanted: Container[str]) -> str | None:
        """What the owner does next of what is ``wanted``; anything else is kept for later."""
        acts, kept = self._acts[call.sid], list[str]()
        try:
            async with asyncio.timeout(within_s * self._second_s):
                while True:
                    act = await acts.get()
                    if act in wanted:
                        return act
                    kept.append(act)
        except TimeoutError:
            return None
        finally:
            for act in kept:
                acts.put_nowait(act)


class _Talk:
    """One answered call. ``keys`` are those its owner presses without being asked twice, one at each question."""

    def __init__(self, exchange: Exchange, call: Call, keys: list[str]) -> None:
        self._exchange = exchange
        self._call = call
        self._keys = keys
        self._url = call.url
        self._left_s = float(call.limit_s)
        self._documents = 0

    async def run(self) -> None:
        """Fetch what is to be done and do it; raises :class:`HungUp`."""
        try:
            await self._or_else(self._call.fallback_url)
        except TwimlError as error:
            log.warning("twiml_not_carried_out", call=self._call.sid, error=str(error))
            self._call.error = str(error.code)
            self._exchange.say(self._call, _WRONG)

    async def _or_else(self, fallback_url: str | None) -> None:
        """Follow the call's address; when that goes wrong, the other one from its beginning, if there is one."""
        try:
            await self._follow(self._url)
        except TwimlError as error:
            if fallback_url is None:
                raise
            await self._follow(fallback_url, ErrorCode=str(error.code), ErrorUrl=self._url)

    async def _follow(self, url: str, **more: str) -> None:
        self._url = urljoin(self._url, url)
        self._documents += 1
        document = await self._exchange.fetch(self._call, self._url, **more)
        if document is None or self._documents > _MOST_DOCUMENTS:
            raise TwimlError(11200, "the service did not answer" if document is None else "it never ends")
        await self._carry_out(parse(document))

    async def _carry_out(self, verbs: Sequence[Verb]) -> None:
        for verb in verbs:
            match verb.name:
                case "Say" | "Pause":
                    await self._utter(verb)
                case "Gather":
                    if await self._gather(verb):
                        return
                case "Redirect":
                    await self._follow(verb.words)
                    return
                case "Hangup" | "Reject":
                    return
                case _:
                    raise TwimlError(12200, f"{verb.name} is not for calls")

    async def _utter(self, verb: Verb) -> None:
        if verb.name == "Pause":
            await self._exchange.pause(self._call, self._spend(verb.seconds("length", 1)))
            return
        for _ in range(verb.seconds("loop", 1)):
            self._exchange.say(self._call, Said(verb.words, verb.attributes.get("language", "en-US")))

    def _spend(self, seconds: float) -> float:
        """At most so many seconds of those the call may last. Raises :class:`HungUp` when none are left."""
        if self._left_s <= 0:
            raise HungUp
        self._left_s -= (spent := min(seconds, self._left_s))
        return spent

    async def _gather(self, verb: Verb) -> bool:
        """Whether something else is followed now instead of what comes after it."""
        for inner in verb.inside:
            await self._utter(inner)
        pressed = await self._pressed(verb.seconds("numDigits", 1), verb.seconds("timeout", 5))
        if not pressed and verb.attributes.get("actionOnEmptyResult") != "true":
            return False
        await self._follow(verb.attributes.get("action", self._url), Digits=pressed)
        return True

    async def _pressed(self, most: int, within_s: float) -> str:
        pressed = ""
        while len(pressed) < most:
            key = self._keys.pop(0) if self._keys else await self._exchange.key(self._call, self._spend(within_s))
            if key is None or key == "#":
                break
            pressed += key
        self._call.pressed += pressed
        return pressed
