"""What a message says: templates in ``alerts/messages``, one file for each kind and language, all its channels in it.

Every SMS fits one segment: 70 characters of Chinese, 160 of English. A segment holds 160 characters of the GSM 03.38
alphabet; a single one outside it makes the whole message UCS-2 with 70 (3GPP TS 23.038). English messages are therefore
brought into that alphabet, and what does not fit is left out where it hurts least: whom else was called, then the
address, then the end of the sentence; never how to answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

UCS2_SEGMENT: Final = 70
GSM_SEGMENT: Final = 160
ZH: Final = "zh_Hans"
LANGUAGES: Final = (ZH, "en")

PARTS_OF_DAY: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {ZH: ("夜间", "上午", "下午", "晚上"), "en": ("at night", "in the morning", "in the afternoon", "in the evening")}
)
"""The parts of the day in which a usual value is learned, from midnight on, six hours each."""

_GSM_BASIC: Final = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_GSM_EXTENDED: Final = frozenset("^{}\\[~]|€")
_PLAIN: Final = str.maketrans(
    {"’": "'", "‘": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "...", "≥": ">=", "≤": "<="}
)
_LONGEST_NAME: Final = 80
_END: Final = re.compile(r"[。；！？]|[;.!?](?=\s|\Z)")
_WITHIN_NUMBER: Final = re.compile(r"(?<=[\d./])[\d./]|(?<=\d)[%°]")
_ALOUD: Final[Mapping[str, tuple[tuple[re.Pattern[str], str], ...]]] = MappingProxyType(
    {
        ZH: (
            (re.compile(r"(?<=\d)/(?=\d)"), "，"),
            (re.compile(r"\s*mmol/L"), "毫摩尔每升"),
            (re.compile(r"\s*kg\b"), "公斤"),
            (re.compile(r"\s*°C"), "度"),
            (re.compile(r"(?<=\d)-(?=\d)"), "，"),
        ),
        "en": (
            (re.compile(r"(?<=\d)/(?=\d)"), " over "),
            (re.compile(r"\s*mmol/L"), " millimoles per litre"),
            (re.compile(r"\s*kg\b"), " kilograms"),
            (re.compile(r"\s*°C"), " degrees"),
            (re.compile(r"(?<=\d)-(?=\d)"), ", "),
            (re.compile(r"\bBldg\b"), "building"),
        ),
    }
)
_ROOM: Final = re.compile(r"(?<!\d)\d{3,4}(?!\d)")
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class About:
    """The resident a message is about, as its reader may know her: a relative gets what she is called, and no address.

    ``phone`` is hers, E.164.
    """

    name: str
    address: str = ""
    phone: str | None = None


NOBODY: Final = About("")
"""What is about no resident."""


@dataclass(frozen=True, slots=True)
class Said:
    """The words of a message. ``subject`` is an e-mail's, and the title of a push message."""

    body: str
    subject: str = ""


def septets(text: str) -> int:
    """The length of ``text`` in the GSM alphabet, whose extended characters count twice."""
    return sum(2 if ch in _GSM_EXTENDED else 1 for ch in text)


def gsm(text: str) -> str:
    """``text`` in the GSM alphabet: accents it lacks are dropped, anything else unknown becomes ``?``."""
    return "".join(_gsm_character(ch) for ch in text.translate(_PLAIN))


def _gsm_character(ch: str) -> str:
    if ch in _GSM_BASIC or ch in _GSM_EXTENDED:
        return ch
    base = unicodedata.normalize("NFKD", ch)[:1]
    return base if base in _GSM_BASIC else "?"


def ucs2_units(text: str) -> int:
    """The length of ``text`` in UCS-2; what lies beyond the basic plane takes two units."""
    return len(text.encode("utf-16-be")) // 2


def one_segment(text: str, language: str) -> bool:
    """Whether ``text`` goes out as a single SMS in this language's alphabet."""
    if language == ZH:
        return ucs2_units(text) <= UCS2_SEGMENT
    return gsm(text) == text and septets(text) <= GSM_SEGMENT


def fill(sentence: str, values: Mapping[str, Any], language: str = "en") -> str:
    """``sentence`` with its ``{placeholders}`` filled; whole numbers bear no decimal point, what is missing shows as ``?``.

    A body temperature, a body weight and what is made of them always show their tenths: 34.6 and 35.4 °C are not the
    same news. Minutes are whole ones, a part of the day is said in words.
    """
    return _PLACEHOLDER.sub(lambda found: _shown(found[1], values.get(found[1]), language), sentence)


def _shown(name: str, value: Any, language: str) -> str:
    if value is None:
        return "?"
    if isinstance(value, float):
        if name == "part_of_day":
            return PARTS_OF_DAY[language][int(value)]
        if name.endswith(("body_temperature", "body_weight")):
            return f"{value:.1f}"
        if name == "minutes":
            return f"{int(value)}"
        return f"{value:.0f}" if abs(value) >= 20 or value == round(value) else f"{value:.1f}"
    return str(value)


def say(
    kind: str,
    channel: str,
    language: str,
    about: About = NOBODY,
    *,
    sentence: str = "",
    code: int | str | None = None,
    person: str = "",
    minutes: int | None = None,
    priority: str = "high",
    calls: Sequence[str] = (),
    waiting: Sequence[tuple[int, str]] = (),
    verb: int = 1,
) -> Said:
    """The words of one message by ``channel`` (sms, voice, push, email).

    Kinds of calls and news: ``alert`` (staff), ``family``, ``also`` (to her who has taken another alert of this
    resident), ``lapsed`` (``person`` promised to come ``minutes`` ago and has not; empty: the reader herself), ``taken``
    (by ``person``), ``closed``, ``exhausted`` (``calls``: who was called in vain), ``verify`` (``code``, good for
    ``minutes``), ``test``, ``heartbeat``, ``notice`` (``sentence``). Of a voice call also ``machine``, ``ask``,
    ``wrong_key``, ``silence``. The others answer somebody: see ``docs/messages.md``.

    ``waiting`` are conversations as (code, resident); ``verb`` is the figure that was answered. Raises
    :class:`jinja2.TemplateNotFound` for a kind there is not.
    """
    values = {
        "name": about.name,
        "address": about.address,
        "phone": about.phone,
        "sentence": sentence.strip().rstrip("。."),
        "code": code,
        "person": person,
        "minutes": minutes,
        "urgent": priority == "high",
        "calls": tuple(calls),
        "waiting": tuple(waiting),
        "count": len(waiting),
        "verb": verb,
    }
    template = _templates(language).get_template(f"{kind}.txt")

    def written(part: str, values: Mapping[str, Any]) -> str:
        return template.render(values, part=part).strip()

    if channel == "sms":
        alphabet = str if language == ZH else gsm
        return Said(_in_one_segment(lambda values: alphabet(written("sms", values)), values, language))
    if channel == "voice":
        spoken = values | {"address": _ROOM.sub(lambda room: " ".join(room[0]), about.address)}
        return Said(aloud(written("voice", spoken), language))
    return Said(written(channel, values), written("title" if channel == "push" else "subject", values))


@cache
def _templates(language: str) -> Environment:
    return Environment(
        loader=PackageLoader("alerts", f"messages/{language}"),
        autoescape=select_autoescape(),  # plain text is escaped by nobody
        undefined=StrictUndefined,
        auto_reload=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _in_one_segment(write: Callable[[Mapping[str, Any]], str], values: Mapping[str, Any], language: str) -> str:
    """The fullest text that fits; the shortest when none does, for a call in two segments is better than none."""
    text = ""
    for shorter in _shorter(values):
        text = write(shorter)
        if one_segment(text, language):
            break
    return text


def _shorter(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The values, then ever less of them: others' names, the address, the end of the sentence, at last the ends of names."""
    left = dict(values)
    yield left
    while left["calls"]:
        yield (left := left | {"calls": left["calls"][:-1]})
    while len(left["waiting"]) > 1:
        yield (left := left | {"waiting": left["waiting"][:-1]})
    for part, nothing in (("minutes", None), ("phone", None), ("address", "")):
        yield (left := left | {part: nothing})
    for sentence in _beginnings(left["sentence"]):
        yield (left := left | {"sentence": sentence})
    for length in range(_LONGEST_NAME, 0, -1):
        waiting = tuple((code, name[:length]) for code, name in left["waiting"])
        yield left | {"name": left["name"][:length], "person": left["person"][:length], "waiting": waiting}


def _beginnings(sentence: str) -> Iterator[str]:
    """The sentence without its last parts, as they end by themselves, then cut anywhere but within a number."""
    ends = range(min(len(sentence), GSM_SEGMENT) - 1, 0, -1)
    yield from (sentence[:end] for end in ends if _END.match(sentence, end))
    yield from (sentence[:end].rstrip() + "…" for end in ends if not _WITHIN_NUMBER.match(sentence, end))
    yield ""


def aloud(text: str, language: str) -> str:
    """``text`` as a voice is to read it: a blood pressure as two numbers, and units in words."""
    for written, spoken in _ALOUD[language]:
        text = written.sub(spoken, text)
    return text


def without_rule(rule: str, language: str) -> str:
    """The sentence for an alert whose rule is no longer in the protocol."""
    return f"警报（{rule}），请查看页面" if language == ZH else f"alert {rule}, see its page"
