"""What a reply by SMS means. Pure: text in, intent out."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal

# Twilio's own: it acts on them itself and answers them itself. None of ours is among them.
_CARRIER: Final = frozenset(
    {"stop", "stopall", "unsubscribe", "cancel", "end", "quit", "start", "unstop", "yes", "help", "info"}
)
_TAKE: Final = frozenset({"1", "接", "接单", "接手", "我来", "我去", "take", "taken"})
_DECLINE: Final = frozenset({"2", "不能", "不行", "去不了", "来不了", "busy", "cannot"})
_FORM: Final = re.compile(r"(?P<word>1|2|[^\W\d]+)[\s,.:;#、。(-]*(?P<code>[1-9][0-9])?[)\s]*[.。!]?")


@dataclass(frozen=True, slots=True)
class Reply:
    """``take`` or ``decline``, of the alert with this code or of the only one; anything else is ``unknown``."""

    verb: Literal["take", "decline", "unknown"]
    code: int | None = None


def understand(body: str) -> Reply:
    """Read ``1``, ``1 27``, ``127``, full-width digits and marks, and the words for them in both languages."""
    found = _FORM.fullmatch(unicodedata.normalize("NFKC", body).strip().lower())
    if found is None:
        return Reply("unknown")
    code = int(found["code"]) if found["code"] else None
    if found["word"] in _TAKE:
        return Reply("take", code)
    if found["word"] in _DECLINE:
        return Reply("decline", code)
    return Reply("unknown")


def belongs_to_carrier(body: str) -> bool:
    """Whether the network itself acts on this word and answers it."""
    return body.strip().lower() in _CARRIER
