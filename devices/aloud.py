"""First aid in the home: keeps an eye on the emergencies that wait, and has the sentences and questions spoken.

What was said of which emergency is remembered, so that a gateway that was killed goes on where it was.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shlex
import signal
import time
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from devices.first_aid import EMERGENCIES, RECOVERED, FirstAid, Known, Message, Patience, State, sentence
from devices.outbox import Outbox, OutboxFull
from devices.service import Emergency
from devices.waiting import LOOK_EVERY_S, wait_at_most

log = logging.getLogger(__name__)

DEFAULT_COMMAND: Final = "espeak-ng -v {voice} {text}"
SILENT: Final = "off"
"""In place of a command: nothing is said aloud."""
CANNOT_SPEAK: Final = "the gateway could not speak to the resident"
_VOICES: Final = {"en": "en", "zh_Hans": "cmn"}  # as espeak-ng names them
_FIELDS: Final = ("text", "voice", "language", "what")
_SPEAK_S: Final = 30.0
_END_S: Final = 5.0
_MEMORY: Final = "first_aid"
_LOOK_AT: Final = 50  # emergencies, the newest
_OLD: Final = timedelta(minutes=30)
_SENSELESS: Final = datetime(2015, 1, 1, tzinfo=UTC)  # the time of an emergency that nobody could date


class Voice:
    """Speaks by a command of the administrator's, such as ``espeak-ng -v {voice} {text}`` or
    ``aplay /usr/share/sounds/hearthwatch/{language}/{what}.wav``. No shell sees it.

    ``{what}`` is ``waiting_fall``, ``taken_help_call``, ``asked_fall`` and the like. ``ValueError`` says what is wrong with the command.
    """

    def __init__(self, command: str, *, wait_s: float = _SPEAK_S) -> None:
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise ValueError(f"the command {command!r} that speaks cannot be read: {error}") from error
        if not self._words:
            raise ValueError("the command that speaks is empty")
        for name in re.findall(r"{([^{}]*)}", command):
            if name not in _FIELDS:
                raise ValueError(
                    f"the command that speaks knows {{text}}, {{voice}}, {{language}}, {{what}}, not {{{name}}}"
                )
        self._wait_s = wait_s

    async def say(self, message: Message, language: str, phone: str | None) -> str | None:
        """Say it, and return a sentence on why that failed, or None."""
        program, *rest = self._filled(message, language, phone)
        try:
            process = await asyncio.create_subprocess_exec(
                program,
                *rest,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return f"{program} cannot be started: {error}"
        try:
            async with asyncio.timeout(self._wait_s):
                code = await process.wait()
        except TimeoutError:
            return f"{program} did not end within {self._wait_s:g} seconds"
        finally:
            await _end(process)
        return f"{program} ended with {code}" if code else None

    def _filled(self, message: Message, language: str, phone: str | None) -> list[str]:
        values = {
            "text": sentence(message, language, phone),
            "voice": _VOICES.get(language, _VOICES["zh_Hans"]),
            "language": language,
            "what": f"{message.state.value}_{message.metric}",
        }
        return [re.sub(r"{(\w+)}", lambda found: values[found[1]], word) for word in self._words]


async def _end(process: asyncio.subprocess.Process) -> None:
    """End it with all that it started."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(TimeoutError):  # a driver of a sound card that hangs does not let it end
            async with asyncio.timeout(_END_S):
                await process.wait()


class _Remembered(msgspec.Struct, frozen=True):
    number: int
    metric: str
    device: str
    times: int
    state: State


class Aloud:
    """Watches over the emergencies in the outbox. ``trouble`` is why she could not be told the last time, or None.

    ``emergency`` is whom to ring and in which language to speak; it comes with the configuration and may change at any
    time. A ``voice`` of None says nothing aloud. ``wall`` gives the time of day, ``clock`` seconds that only go forward.
    """

    def __init__(
        self,
        outbox: Outbox,
        voice: Voice | None,
        *,
        patience: Patience | None = None,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trouble: str | None = None
        self.emergency: Emergency | None = None
        self._outbox = outbox
        self._voice = voice
        self._wall = wall
        self._clock = clock
        self._nudged = asyncio.Event()
        self._seen: set[int] = set()
        self._remembered = ""
        self._patience = patience or Patience()
        self._aid = FirstAid(self._patience, self._recall())

    def nudge(self) -> None:
        """There may be a new emergency."""
        self._nudged.set()

    def ask(self) -> None:
        """Ask her whether she is well."""
        self._look()  # the fall that she is asked about is not known to anybody yet
        self._aid.ask(self._clock())
        self.nudge()

    def enough(self, well: Collection[str] = ()) -> None:
        """Ask no more, and say nothing more of the falls that these devices told."""
        self._look()
        self._aid.ask_no_more()
        self._aid.well(well)
        self._remember()

    def taken(self, numbers: Sequence[int]) -> None:
        """The service has these emergencies."""
        self._look()  # they leave now: whether they were seen here or not, they are not to be taken for waiting ones
        self._aid.taken(numbers)
        self._remember()

    def not_taken(self, numbers: Sequence[int]) -> None:
        """The service refuses these emergencies, and they are not tried again."""
        self._look()
        self._aid.not_taken(numbers, self._clock())
        self._remember()

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            self._nudged.clear()
            await self.look()
            await wait_at_most(LOOK_EVERY_S, self._nudged)

    async def look(self) -> None:
        """Look once, and say what is due."""
        self._look()
        message = self._aid.due(self._clock())
        if message is None:
            return
        self._remember()
        log.warning("telling the resident: %s of %s", message.state.value, message.metric)
        if self._voice is not None:
            await self._say(self._voice, message)

    async def _say(self, voice: Voice, message: Message) -> None:
        emergency = self.emergency or Emergency()
        failed = await voice.say(message, emergency.language, emergency.phone)
        if failed is not None:
            log.error("the resident could not be told: %s", failed)
        self.trouble = failed and f"{CANNOT_SPEAK}: {failed}"

    def _look(self) -> None:
        """Take note of the emergencies that came since the last look, in their order."""
        newest = self._outbox.newest_emergencies(_LOOK_AT)
        come = [(n, r) for n, r in newest if n not in self._seen]
        self._seen = {number for number, _ in newest}
        for number, reading in reversed(come):
            if reading.metric in RECOVERED:
                self._aid.recovered(number, reading.device)
            elif reading.metric in EMERGENCIES and not self._is_old(reading.collected_at):
                self._aid.happened(number, reading.metric, reading.device, self._clock())

    def _is_old(self, collected_at: datetime) -> bool:
        """Whether it is from before this gateway was last started, and she need not hear of it any more."""
        return collected_at > _SENSELESS and self._wall() - collected_at > _OLD

    def _remember(self) -> None:
        told = [
            _Remembered(k.number, k.metric, k.device, k.times, k.state)
            for k in self._aid.known
            if k.times or k.state is State.NOT_TAKEN
        ]
        words = msgspec.json.encode(told).decode()
        if words == self._remembered:
            return
        try:
            self._outbox.remember(_MEMORY, words)
            self._remembered = words
        except OutboxFull as error:
            log.warning("what was said to the resident cannot be remembered: %s", error)

    def _recall(self) -> list[Known]:
        """What she was told of before: what waits still, and what was taken without her knowing."""
        try:
            told = msgspec.json.decode(self._outbox.recall(_MEMORY) or "[]", type=list[_Remembered])
        except msgspec.DecodeError as error:
            log.warning("what was said to the resident before cannot be read: %s", error)
            return []
        waiting = {n: r for n, r in self._outbox.newest_emergencies(_LOOK_AT) if not self._is_old(r.collected_at)}
        now_s = self._clock()
        due_s = now_s + self._patience.first_s  # it may well get through now
        return [
            Known(k.number, k.metric, k.device, now_s, due_s, k.times, k.state)
            for k in told
            if k.number in waiting or k.state is not State.WAITING
        ]
