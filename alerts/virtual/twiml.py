"""TwiML as Twilio reads it: what a service wants done in a call, or said in answer to a message. Pure.

As strict as Twilio's own schema where the service uses it: a verb or an attribute that is not known here is an error
there, at which the caller hears that an application error has occurred.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Final
from xml.etree import ElementTree as ET

_ATTRIBUTES: Final[Mapping[str, frozenset[str]]] = {
    "Say": frozenset({"language", "voice", "loop"}),
    "Pause": frozenset({"length"}),
    "Gather": frozenset(
        {"action", "method", "timeout", "numDigits", "finishOnKey", "input", "actionOnEmptyResult", "language"}
    ),
    "Redirect": frozenset({"method"}),
    "Hangup": frozenset(),
    "Reject": frozenset({"reason"}),
    "Message": frozenset({"to", "from", "action", "method", "statusCallback"}),
}
_INSIDE_GATHER: Final = frozenset({"Say", "Pause"})
_LANGUAGES: Final = frozenset({"zh-CN", "zh-HK", "zh-TW", "en-GB", "en-US", "en-AU", "de-DE", "fr-FR"})


class TwimlError(ValueError):
    """A document that Twilio does not carry out. ``code`` is Twilio's: 12100 is no XML, 12200 breaks the schema."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{code}: {words}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Verb:
    """One instruction, with the words and the instructions inside it."""

    name: str
    attributes: Mapping[str, str]
    words: str
    inside: tuple[Verb, ...] = ()

    def seconds(self, name: str, default: int) -> int:
        """An attribute in whole seconds. Raises :class:`TwimlError`."""
        text = self.attributes.get(name, str(default))
        if not text.isdecimal():
            raise TwimlError(12200, f"{self.name} {name} is not a number: {text!r}")
        return int(text)


def parse(document: str) -> tuple[Verb, ...]:
    """The instructions of a document, of which an empty one has none. Raises :class:`TwimlError`."""
    if not document.strip():
        return ()
    try:
        root = ET.fromstring(document)  # noqa: S314  (from our own service, on this machine)
    except ET.ParseError as error:
        raise TwimlError(12100, str(error)) from error
    if root.tag != "Response":
        raise TwimlError(12200, f"a document is a Response, not {root.tag}")
    return tuple(_verb(element, _ATTRIBUTES.keys()) for element in root)


def _verb(element: ET.Element, known: Container[str]) -> Verb:
    if element.tag not in _ATTRIBUTES or element.tag not in known:
        raise TwimlError(12200, f"{element.tag} is not known here")
    if unknown := element.attrib.keys() - _ATTRIBUTES[element.tag]:
        raise TwimlError(12200, f"{element.tag} has no {', '.join(sorted(unknown))}")
    if element.tag == "Say" and element.get("language", "en-US") not in _LANGUAGES:
        raise TwimlError(13512, f"no voice speaks {element.get('language')}")
    inside = tuple(_verb(child, _INSIDE_GATHER) for child in element) if element.tag == "Gather" else ()
    words = "" if element.tag == "Gather" else "".join(element.itertext()).strip()
    return Verb(element.tag, dict(element.attrib), words, inside)


def messages(document: str) -> list[str]:
    """The texts of an answer to a message. Raises :class:`TwimlError`."""
    return [verb.words for verb in parse(document) if verb.name == "Message" and verb.words]
