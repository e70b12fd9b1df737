"""The tables of ``docs/messages.md``, made from the templates: they cannot drift from what is sent.

    python docs/message_tables.py

writes them anew between their marks (``<!-- calls en -->`` ... ``<!-- end -->``); the words around them are written by
hand. ``tests/alerts/test_wording.py`` fails while the document and the templates differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from alerts.wording import ZH, About, say

DOCUMENT: Final = Path(__file__).parent / "messages.md"

_MARKED: Final = re.compile(r"(<!-- (\w+) (en|zh_Hans) -->\n).*?(<!-- end -->)", re.DOTALL)
_ABOUT: Final = {
    ZH: (About("王秀英", "9号楼502", "+8613900000006"), About("妈妈")),
    "en": (About("Wang Xiuying", "Bldg 9-502", "+8613900000006"), About("Mum")),
}
_WORDS: Final[Mapping[str, Mapping[str, Any]]] = {
    ZH: {
        "staff": "疑似跌倒，30秒内无回应",
        "family": "可能摔倒了，我们已经通知护理员",
        "person": "李娜",
        "others": ["李娜", "陈静"],
    },
    "en": {
        "staff": "Possible fall, no answer within 30 seconds",
        "family": "There may have been a fall. We have called a care worker",
        "person": "Li Na",
        "others": ["Li Na", "Chen Jing"],
    },
}
_NEWS: Final = {ZH: "明晚的夜班还没有人", "en": "Nobody is on duty tomorrow night yet"}


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of a table: a kind of message, and when it is sent, in both languages."""

    kind: str
    zh: str
    en: str
    also: Mapping[str, Any]


def _shown(kind: str, zh: str, en: str, **also: object) -> Shown:
    return Shown(kind, zh, en, also)


TABLES: Final[Mapping[str, Sequence[Shown]]] = {
    "calls": (
        _shown("alert", "有警报，叫护理员", "an alert calls a member of staff"),
        _shown("family", "家属，经老人同意", "an alert calls a relative, if the resident has agreed"),
        _shown("also", "您正去看的老人又有警报", "another alert of somebody you are on your way to"),
        _shown("lapsed", "您说去，到时间还没到", "you promised, and the time is over", person=""),
        _shown("lapsed", "别人说去，到时间还没到", "somebody else promised, and the time is over"),
        _shown("exhausted", "叫了所有人，没有人去", "everybody has been called in vain"),
        _shown("taken", "有人去了", "somebody has taken it"),
        _shown("closed", "警报结束了", "it has been closed"),
    ),
    "service": (
        _shown("verify", "核对您的手机号", "your number is verified", code="402817", minutes=10),
        _shown("test", "您按了“测试我的手机”", "you pressed 'test my phone'"),
        _shown("heartbeat", "系统自检，只发给测试号码", "the self-test, to its own number only", sentence=""),
        _shown("notice", "通知", "a notice"),
    ),
    "answers": (
        _shown("receipt", "您接下了", "you have taken it"),
        _shown("attended", "您到了", "you are there"),
        _shown("declined", "您去不了", "you cannot come"),
        _shown("taken_already", "别人先接了", "somebody was first"),
        _shown("attended_already", "已经有人在那儿", "somebody is there already"),
        _shown("closed_already", "已经结束", "it is closed already"),
        _shown("which", "几位老人同时有警报，您没写编号", "several residents, and no number", verb=1),
        _shown(
            "another_waits",
            "最新的一个别人接了，前面还有一个在等",
            "the latest is taken, an older one waits",
            other=True,
        ),
        _shown("what", "您只写了编号", "a number alone"),
        _shown("unknown_code", "编号不对", "a wrong number", code=98),
        _shown("nothing_waits", "没有警报等您", "nothing waits for you"),
        _shown("help", "您问怎么回", "you ask for help"),
        _shown("not_understood", "没看懂", "not understood"),
        _shown("test_heard", "测试电话里按了1", "1 pressed in a test call"),
        _shown("no_longer", "账号已停用", "your account is closed"),
        _shown("unknown_number", "陌生号码，一天一次", "an unknown number, once a day"),
    ),
    "aloud": (
        _shown("alert", "接听以后", "when you answer"),
        _shown("ask", "不知道接听的是人还是语音信箱", "when it is not clear whether a machine answers"),
        _shown("machine", "语音信箱", "to a machine"),
        _shown("receipt", "按了1", "1 pressed"),
        _shown("declined", "按了2", "2 pressed"),
        _shown("wrong_key", "按了别的键", "another key"),
        _shown("silence", "没有按键", "no key"),
    ),
}


def tables(document: str) -> str:
    """The document with every table as the templates say it now."""
    return _MARKED.sub(lambda found: f"{found[1]}{_table(found[2], found[3])}{found[4]}", document)


def _table(name: str, language: str) -> str:
    head = "| 什么时候 | 内容 |" if language == ZH else "| when | what it says |"
    channel = "voice" if name == "aloud" else "sms"
    lines = (
        f"| {shown.zh if language == ZH else shown.en} | {_said(shown, channel, language)} |" for shown in TABLES[name]
    )
    return "\n".join((head, "| --- | --- |", *lines)) + "\n"


def _said(shown: Shown, channel: str, language: str) -> str:
    words, (staff, family) = _WORDS[language], _ABOUT[language]
    other = (31, "赵德明") if language == ZH else (31, "Zhao Deming")
    waiting = [other] if shown.also.get("other") else [(27, staff.name), other]
    given = {
        "sentence": _NEWS[language]
        if shown.kind == "notice"
        else words["family" if shown.kind == "family" else "staff"],
        "code": 27,
        "person": words["person"],
        "minutes": 15,
        "calls": words["others"] if shown.kind == "exhausted" else words["others"][1:],
        "waiting": waiting,
        **{name: value for name, value in shown.also.items() if name != "other"},
    }
    return say(shown.kind, channel, language, family if shown.kind == "family" else staff, **given).body


if __name__ == "__main__":
    DOCUMENT.write_text(tables(DOCUMENT.read_text("utf-8")), "utf-8")
