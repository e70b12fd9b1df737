"""What a reply by SMS means. Pure: text in, intent out.

The whole text must be understood: figures, codes, and the words of ``messages/replies.toml``. Anything else is not guessed
at: whoever wrote it is asked. Only after a figure in front may free words follow, because the figure has said it all.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

Verb = Literal["take", "decline", "attend", "help", "unknown"]

LONGEST: Final = 160
"""Nobody answers with more characters than this; what lies behind them is not read."""

FIGURES: Final[Mapping[str, Verb]] = MappingProxyType({"1": "take", "2": "decline", "3": "attend"})

# Twilio's own: it acts on them itself and answers them itself (https://www.twilio.com/docs/messaging/tutorials/advanced-opt-out).
_CARRIER: Final = frozenset(
    {
        "stop",
        "stopall",
        "unsubscribe",
        "cancel",
        "end",
        "quit",
        "revoke",
        "optout",
        "start",
        "unstop",
        "yes",
        "help",
        "info",
    }
)
_SIMPLIFIED: Final = str.maketrans(
    "馬來幫沒們這現單辦請會兒過電話鐘點嗎開還後給謝號編碼處時間經達見看說換聽復",
    "马来帮没们这现单办请会儿过电话钟点吗开还后给谢号编码处时间经达见看说换听复",
)
_UNSEEN: Final = re.compile("[\ufe0e\ufe0f\u200b-\u200d\U0001f3fb-\U0001f3ff]")
"""What chooses the colour and the form of an emoji."""

_SIGNATURE: Final = re.compile(r"[\s-]*(?:sent from my|get outlook for|发自我的|来自我的|发自|来自)[^\n]*\Z")
"""What some telephones write under every message."""

_NUMBER: Final = re.compile(r"(?<!\d)[1-9][0-9]{0,4}(?!\d)")
_BEFORE_NUMBER: Final = re.compile(r"\bno\.?\s*(?=#?\d)|#(?=\d)")
_TIME: Final = re.compile(
    r"(?<![\d.])(?:大概|大约|约|还有|in|about)?\s*(?:\d{1,3}|[一二两三四五六七八九十半几]{1,3})\s*个?"
    r"(?:分钟|分|点钟|点半|点|小时|刻钟|(?:minutes?|mins?|min|hours?|hrs?|h|o'clock|am|pm)(?![a-z]))"
    r"(?:以?[内后])?(?:左右)?"
)
_COMES: Final = re.compile(r"\s*(?:就|能)*(?:赶到|到|来|过去|过来)(?!了|不)")
_FIGURE_FIRST: Final = re.compile(r"(?P<verb>[123])(?:\W+(?P<code>[1-9][0-9]{1,3}))?(?P<rest>(?:\W+|(?=[^\W\d_]))\D*)")


@dataclass(frozen=True, slots=True)
class Reply:
    """What is meant, and for which conversation: the one with this ``code``, or without one the one that waits.

    ``unknown`` with a code: only the code was understood. ``every``: all that can be meant.
    """

    verb: Verb
    code: int | None = None
    every: bool = False


@dataclass(frozen=True, slots=True)
class _Token:
    """A word with weight: a verb, ``agree`` (yields to any verb), ``every``, or nothing but a code."""

    kind: Verb | Literal["agree", "every", "code"]
    code: int | None = None


_UNKNOWN: Final = (Reply("unknown"),)
_VERBS: Final[Mapping[str, Verb]] = MappingProxyType({verb: verb for verb in get_args(Verb)})


def understand(body: str, conversations: Sequence[tuple[int, str]] = ()) -> tuple[Reply, ...]:
    """Read ``1``, ``1 27``, ``127``, ``27 1``, ``1 27，2 31``, full-width figures and marks, and words in both languages.

    ``conversations`` are those of the writer, as (code, resident): a name stands for its code, and a code of more than two
    figures is known by them.
    """
    if belongs_to_carrier(body):
        return _UNKNOWN
    text = _named(_plain(body), conversations)
    if text and not text.strip("? "):
        return (Reply("help"),)
    tokens = _tokens(text, frozenset(code for code, _ in conversations))
    if tokens is None:
        return _figure_first(text)
    if text.endswith("?") and not any(character.isdecimal() for character in text):
        return (Reply("help"),) if any(token.kind == "help" for token in tokens) else _UNKNOWN
    return _meaning(tokens)


def belongs_to_carrier(body: str) -> bool:
    """Whether the network itself acts on this word and answers it."""
    return body.strip().casefold() in _CARRIER


def figure(verb: Verb) -> int:
    """The figure that says a verb; that of taking for one that has none."""
    return next((int(figure) for figure, meant in FIGURES.items() if meant == verb), 1)


def _plain(body: str) -> str:
    text = unicodedata.normalize("NFKC", body[: 2 * LONGEST]).casefold().translate(_SIMPLIFIED).replace("’", "'")
    return _SIGNATURE.sub("", _UNSEEN.sub("", text)).strip()[:LONGEST]


def _named(text: str, conversations: Sequence[tuple[int, str]]) -> str:
    """``text`` with codes for names, the longer first; a name that two bear says nothing."""
    names = [_plain(name) for _, name in conversations]
    by_length = sorted(zip(names, conversations, strict=True), key=lambda named: len(named[0]), reverse=True)
    for name, (code, _) in by_length:
        if name and names.count(name) == 1:
            text = text.replace(name, f" {code} ")
    return text


def _read_words() -> Mapping[str, _Token | None]:
    listed: dict[str, Any] = tomllib.loads((resources.files("alerts") / "messages" / "replies.toml").read_text("utf-8"))
    figures = listed.pop("figures")
    words: dict[str, _Token | None] = dict.fromkeys(listed.pop("light"))
    for kind, phrases in (*listed.items(), *figures.items()):
        words |= dict.fromkeys(phrases, _Token(kind))
    return MappingProxyType(words)


_WORDS: Final = _read_words()
_LONGEST_WORD: Final = max(map(len, _WORDS))


def _tokens(text: str, codes: Collection[int]) -> list[_Token] | None:
    """The words with weight if every part of the text is understood; the longest word at each place that lets it be."""
    rest: list[list[_Token] | None] = [None] * len(text) + [[]]
    for start in range(len(text) - 1, -1, -1):
        for end, token in _parts(text, start, codes):
            after = rest[end]
            if after is not None:
                rest[start] = after if token is None else [token, *after]
                break
    return rest[0]


def _parts(text: str, start: int, codes: Collection[int]) -> Iterator[tuple[int, _Token | None]]:
    """What may begin here, as (end, weight), what says most first."""
    if time := _TIME.match(text, start):
        if comes := _COMES.match(text, time.end()):
            yield comes.end(), _Token("take")
        yield time.end(), None
    if (number := _NUMBER.match(text, start)) and (token := _number(number[0], codes)):
        yield number.end(), token
    if before := _BEFORE_NUMBER.match(text, start):
        yield before.end(), None
    for end in range(min(start + _LONGEST_WORD, len(text)), start, -1):
        word = text[start:end]
        if word in _WORDS and _stands_alone(text, start, end):
            yield end, _WORDS[word]
    if not text[start].isalnum():
        yield start + 1, None


def _number(figures: str, codes: Collection[int]) -> _Token | None:
    """A verb, a code, or both without a space: what is no code of the writer's and begins with a verb is that verb and a code."""
    verb, rest = FIGURES.get(figures[0]), figures[1:]
    if not rest:
        return _Token(verb) if verb else None
    if int(figures) in codes or len(rest) == 1:
        return _Token("code", int(figures))
    if verb and rest[0] != "0" and (len(rest) == 2 or int(rest) in codes):
        return _Token(verb, int(rest))
    return None


def _stands_alone(text: str, start: int, end: int) -> bool:
    """Whether this is no piece of a longer word in Latin letters; Chinese is written without spaces."""
    return not (_joins(text, start - 1, start) or _joins(text, end - 1, end))


def _joins(text: str, one: int, other: int) -> bool:
    return one >= 0 and other < len(text) and _latin(text[one]) and _latin(text[other])


def _latin(character: str) -> bool:
    return character == "'" or (character.isascii() and character.isalpha())


def _meaning(tokens: Sequence[_Token]) -> tuple[Reply, ...]:
    every = any(token.kind == "every" for token in tokens)
    tokens = [token for token in tokens if token.kind != "every"]
    verbs = [token for token in tokens if token.kind not in ("agree", "code")]
    if not verbs and any(token.kind == "agree" for token in tokens):
        tokens = [_Token("take", token.code) if token.kind == "agree" else token for token in tokens]
    else:
        tokens = [token for token in tokens if token.kind != "agree"]
    return _of_codes(tokens) if any(token.code for token in tokens) else _of_one(tokens, every)


def _of_one(tokens: Sequence[_Token], every: bool) -> tuple[Reply, ...]:
    """Without a code: one thing must be meant. Whoever has arrived has taken it."""
    verbs = {token.kind for token in tokens}
    if verbs == {"take", "attend"}:
        verbs = {"attend"}
    return (Reply(_verb(verbs.pop()), every=every),) if len(verbs) == 1 else _UNKNOWN


def _of_codes(tokens: Sequence[_Token]) -> tuple[Reply, ...]:
    """Each code goes with the verb before it; codes in front of every verb go with the first."""
    first = next((token.kind for token in tokens if token.kind != "code"), "unknown")
    meant: dict[int, Verb] = {}
    bare: set[Verb] = set()
    verb = _verb(first)
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        verb = verb if token.kind == "code" else _verb(token.kind)
        if token.code is None:
            if following is None or following.kind != "code":
                bare.add(verb)
        elif meant.setdefault(token.code, verb) != verb:
            return _UNKNOWN
    if bare - set(meant.values()):
        return _UNKNOWN
    return tuple(Reply(verb, code) for code, verb in meant.items())


def _verb(kind: str) -> Verb:
    return _VERBS.get(kind, "unknown")


def _figure_first(text: str) -> tuple[Reply, ...]:
    """A figure, perhaps a code, then free words, unless these say the opposite or ask."""
    found = _FIGURE_FIRST.fullmatch(_TIME.sub(" ", text)) if not text.endswith("?") else None
    if found is None:
        return _UNKNOWN
    verb = FIGURES[found["verb"]]
    opposite = "decline" if verb != "decline" else "take"
    if any(
        word in found["rest"] for word, token in _WORDS.items() if token and token.kind == opposite and len(word) > 1
    ):
        return _UNKNOWN
    return (Reply(verb, int(found["code"]) if found["code"] else None),)
