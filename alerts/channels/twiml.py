"""What is said in a call and which keys are waited for, as TwiML (https://www.twilio.com/docs/voice/twiml). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from twilio.twiml.voice_response import Gather, VoiceResponse

from alerts import wording
from store.messages import MessageRow

_KEY_S: Final = 8
"""How long a key is waited for after the last word: time to find it on a simple phone in the dark."""
_SPOKEN: Final[Mapping[str, str]] = MappingProxyType({"zh_Hans": "zh-CN", "en": "en-GB"})
_ANSWERED: Final = frozenset({"alert", "also", "test"})
"""The purposes of messages that can be answered with a key."""


def read(message: MessageRow, webhook: str) -> str:
    """The message, twice. Where it can be answered a key goes to ``{webhook}/key``, also while it is being read."""
    response = VoiceResponse()
    if message.purpose not in _ANSWERED:
        _say_twice(response, message.body, message.language)
        return str(response)
    gather = _gather(f"{webhook}/key")
    _say_twice(gather, message.body, message.language)
    response.append(gather)
    _say(response, _words("silence", message.language), message.language)
    return str(response)


def ask(message: MessageRow, webhook: str) -> str:
    """To whoever may be a machine: nothing about anybody, until a key, which goes to ``{webhook}/listen``."""
    response = VoiceResponse()
    gather = _gather(f"{webhook}/listen")
    _say_twice(gather, _words("ask", message.language), message.language)
    response.append(gather)
    return str(response)


def for_machine(message: MessageRow) -> str:
    """To a machine, after its own greeting: that there is something, and nothing about anybody."""
    response = VoiceResponse()
    response.pause(length=_KEY_S)
    _say_twice(response, _words("machine", message.language), message.language)
    return str(response)


def say(words: str, language: str) -> str:
    """The last words of a call."""
    response = VoiceResponse()
    _say(response, words, language)
    response.hangup()
    return str(response)


def say_and_ask(words: str, language: str, action: str) -> str:
    """Words after which a key is waited for, which goes to ``action``."""
    response = VoiceResponse()
    gather = _gather(action)
    _say(gather, words, language)
    response.append(gather)
    _say(response, _words("silence", language), language)
    return str(response)


def say_kind(kind: str, language: str) -> str:
    """The last words of a call, of a kind that needs nothing filled in."""
    return say(_words(kind, language), language)


def give_up(language: str) -> str:
    """To whoever presses other keys again and again: somebody else will be called."""
    return say_kind("silence", language)


def nothing() -> str:
    """To a call about which nothing is known here; in both languages, for whose it is is not known either."""
    response = VoiceResponse()
    for language in wording.LANGUAGES:
        _say(response, _words("nothing_waits", language), language)
    response.hangup()
    return str(response)


def _gather(action: str) -> Gather:
    return Gather(input="dtmf", num_digits=1, action=action, method="POST", timeout=_KEY_S)


def _words(kind: str, language: str) -> str:
    return wording.say(kind, "voice", language).body


def _say_twice(into: VoiceResponse | Gather, words: str, language: str) -> None:
    _say(into, words, language)
    into.pause(length=1)
    _say(into, words, language)


def _say(into: VoiceResponse | Gather, words: str, language: str) -> None:
    into.say(words, language=_SPOKEN[language])
