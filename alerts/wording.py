"""What a message says. Every message fits one segment of SMS: 70 characters of Chinese, 160 of English.

A segment holds 160 characters of the GSM 03.38 alphabet; a single one outside it makes the whole message UCS-2
with 70 (3GPP TS 23.038). English messages are therefore brought into that alphabet, and what does not fit is
cut where it hurts least: first the address, then the sentence, never the name or how to answer.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

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
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class About:
    """The resident a message is about, in the reader's language. ``phone`` is hers, E.164."""

    name: str
    address: str
    phone: str | None = None


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


def alert_sms(sentence: str, about: About, language: str, code: int) -> str:
    """The call to a member of staff: who, where, what, and how to take it."""
    if language == ZH:
        tail = f"。回复1接手，2去不了（编号{code}）"
        return _fit(language, f"【炉望】{about.name}", f"（{about.address}）", sentence.rstrip("。.") + tail, len(tail))
    tail = f". Reply 1 to take, 2 if you cannot ({code})"
    return _fit(
        language, f"Hearthwatch: {about.name}", f", {about.address}", f": {sentence.rstrip('.')}{tail}", len(tail)
    )


def _fit(language: str, head: str, address: str, rest: str, tail: int) -> str:
    """Join the parts; without the address if need be, then with the end of the sentence cut (``tail`` is kept)."""
    if language != ZH:
        head, address, rest = gsm(head), gsm(address), gsm(rest)
    for candidate in (head + address + rest, head + rest):
        if one_segment(candidate, language):
            return candidate
    body, ending = rest[:-tail], rest[-tail:]
    while body and not one_segment(head + body + ending, language):
        body = body[:-1]
    return head + body + ending


def _plain(text: str, language: str) -> str:
    return text if language == ZH else gsm(text)


def taken_sms(about: About, taker: str, language: str) -> str:
    """To those who were called too: somebody has taken it."""
    if language == ZH:
        return f"【炉望】{about.name}的警报已由{taker}接手，您无需处理。"
    return gsm(f"Hearthwatch: {taker} has taken the alert for {about.name}. Nothing for you to do.")


def receipt(about: About, language: str) -> str:
    """The answer to her who takes it: where to go and whom to ring."""
    if language == ZH:
        phone = f"，电话{about.phone}" if about.phone else ""
        return f"已接手：{about.name}，{about.address}{phone}"
    phone = f", phone {about.phone}" if about.phone else ""
    return gsm(f"Taken. {about.name}, {about.address}{phone}")


def declined(about: About, language: str, following: Sequence[str]) -> str:
    """The answer to her who cannot come: who is called instead."""
    if language == ZH:
        return f"知道了。{about.name}：已改叫{'、'.join(following) or '其他人'}。"
    return gsm(f"Understood. {about.name}: calling {', '.join(following) or 'somebody else'} instead.")


def taken_already(about: About, taker: str, language: str) -> str:
    """The answer to her who comes second."""
    if language == ZH:
        return f"{about.name}的警报已由{taker}接手，谢谢。"
    return gsm(f"{taker} has already taken the alert for {about.name}. Thank you.")


def closed_already(about: About, language: str) -> str:
    """The answer when the alert has been resolved meanwhile."""
    return f"{about.name}的警报已经结束。" if language == ZH else gsm(f"The alert for {about.name} is closed already.")


def which(waiting: Sequence[tuple[int, str]], verb: str, language: str) -> str:
    """The question to her who answers ``verb`` (1 or 2) with several alerts waiting, as (code, resident)."""
    if language == ZH:
        listed = "，".join(f"{code} {name}" for code, name in waiting)
        return f"有{len(waiting)}个警报：{listed}。请回复{verb}加编号，例如：{verb} {waiting[0][0]}"
    listed = ", ".join(f"{code} {name}" for code, name in waiting)
    return gsm(f"{len(waiting)} alerts wait: {listed}. Reply {verb} and the number, such as {verb} {waiting[0][0]}")


def nothing_waits(language: str) -> str:
    """The answer to a take or a refusal when nothing waits for this person."""
    return "目前没有等待您处理的警报。" if language == ZH else "No alert is waiting for you."


def unknown_code(code: int, language: str) -> str:
    """The answer to a number that is no open alert of hers."""
    return f"没有编号{code}的警报。" if language == ZH else f"There is no open alert {code} for you."


def help_text(language: str) -> str:
    """The answer to anything else. HELP and STOP belong to the carrier, so neither word is asked for."""
    if language == ZH:
        return "回复1接手，回复2表示去不了；有多个警报时加上编号，例如：1 27。紧急情况请拨120。"
    return (
        "Reply 1 to take an alert, 2 if you cannot come; with several, add its number: 1 27. In an emergency ring 120."
    )


def without_rule(rule: str, language: str) -> str:
    """The sentence for an alert whose rule is no longer in the protocol."""
    return f"警报（{rule}），请查看页面" if language == ZH else f"alert {rule}, see its page"
