"""What people type with one thumb, and what it means."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.replies import Reply, Verb, belongs_to_carrier, figure, understand

PROJECT: Final = Path(__file__).resolve().parents[2]
TAKE = """
1| 1 |1.|\uff11|①|1。|1!|1！|1?|1？|一|接|接单|接手|我来|我去|这就去|马上到|馬上到|在路上|在路上了，快到了|好|好的～|好嘞！|收到|收到，马上到|好的，我去|嗯嗯|行|没问题|
20分钟到|五分钟就到|2分钟到|3点到|1 5分钟到|一会儿到|1，马上到|1 我五分钟后到，带上血压计|ok|OK!|Ok 👌|👍|👍🏽|Take|TAKEN|Taken it|sure|yep|roger|on my way|OMW|
I'm coming|I’ll go|be there in 10 min|on my way, 10 minutes|got it, thanks|Yes, on my way|yes!|1️⃣|回复1|按1
"""
DECLINE = """
2|\uff12|2。|二|不能|不行|去不了|来不了。|來不了|我去不了|好的，去不了|收到，去不了|抱歉，走不开|有事，来不及|收到 2|busy|Cannot|can't come, sorry|
Can’t|no|Nope|sorry, not now|👎|2 我在外地
"""
ATTEND = "3|\uff13|三|到了|我到了|已到|好，到了|1，到了|到她家了|见到她了|arrived|I'm here|Here now|3 她没事"
HELP = "?|？|？？|帮助|幫助|怎么回|怎么回？|how?"


def each(listed: str) -> list[str]:
    """The texts of a list, as they are typed."""
    return [text for text in listed.strip().replace("|\n", "|").split("|") if text]


@pytest.mark.parametrize("text", each(TAKE))
def test_taking(text: str) -> None:
    assert understand(text) == (Reply("take"),)


@pytest.mark.parametrize("text", each(DECLINE))
def test_declining(text: str) -> None:
    assert understand(text) == (Reply("decline"),)


@pytest.mark.parametrize("text", each(ATTEND))
def test_being_there(text: str) -> None:
    assert understand(text) == (Reply("attend"),)


@pytest.mark.parametrize("text", each(HELP))
def test_asking_for_help(text: str) -> None:
    assert understand(text) == (Reply("help"),)


@pytest.mark.parametrize(
    "text",
    each(
        "1 27|127|27 1|1,27|1、27|1:27|\uff11 \uff12\uff17|接单27|take 27|take no. 27|take #27|1 27.|1-27|1，27|1：27|1（27）|接手（27）|"
        "27 好|27号，我去|编号27 收到|1\n27|1 27 马上到|1 27, 10分钟到|ok 27|27 ok"
    ),
)
def test_taking_one_of_several(text: str) -> None:
    assert understand(text) == (Reply("take", 27),)


def test_declining_and_being_at_one_of_several() -> None:
    assert understand("2 27") == (Reply("decline", 27),)
    assert understand("去不了27") == (Reply("decline", 27),)
    assert understand("27到了") == (Reply("attend", 27),)


def test_several_in_one() -> None:
    assert understand("1 27 31") == (Reply("take", 27), Reply("take", 31))
    assert understand("1 27，1 31") == (Reply("take", 27), Reply("take", 31))
    assert understand("127, 231") == (Reply("take", 27), Reply("decline", 31))
    assert understand("1 27\n2 31\n3 44") == (Reply("take", 27), Reply("decline", 31), Reply("attend", 44))


@pytest.mark.parametrize(
    ("text", "verb"),
    [("都去不了", "decline"), ("2 all", "decline"), ("1 全部", "take"), ("both, ok", "take"), ("都到了", "attend")],
)
def test_all_of_them(text: str, verb: Verb) -> None:
    assert understand(text) == (Reply(verb, every=True),)


def test_what_a_telephone_writes_under_every_message_is_not_read() -> None:
    assert understand("ok\n\nSent from my Mate 40") == (Reply("take"),)
    assert understand("去不了 发自我的华为手机") == (Reply("decline"),)


def test_a_name_stands_for_its_code() -> None:
    names = [(27, "王秀英"), (31, "Zhao Deming")]
    assert understand("我马上到王秀英家", names) == (Reply("take", 27),)
    assert understand("1 zhao deming", names) == (Reply("take", 31),)
    assert understand("王秀英去不了，1 Zhao Deming", names) == (Reply("decline", 27), Reply("take", 31))


def test_of_two_names_that_begin_alike_the_longer_counts() -> None:
    assert understand("1 王秀英", [(27, "王秀"), (31, "王秀英")]) == (Reply("take", 31),)
    assert understand("1", [(27, " "), (31, "")]) == (Reply("take"),)


def test_a_name_that_two_bear_stands_for_neither() -> None:
    assert understand("1 王秀英", [(27, "王秀英"), (31, "王秀英")]) == (Reply("take"),)


def test_when_there_are_very_many_a_code_has_more_figures() -> None:
    assert understand("1 127", [(127, "x")]) == (Reply("take", 127),)
    assert understand("2 1027", [(1027, "x")]) == (Reply("decline", 1027),)
    assert understand("1127", [(127, "x")]) == (Reply("take", 127),)
    assert understand("127", [(127, "x")]) == (Reply("unknown", 127),)


def test_a_code_alone_says_which_and_not_what() -> None:
    assert understand("27") == (Reply("unknown", 27),)
    assert understand("no 27") == (Reply("unknown", 27),)


@pytest.mark.parametrize(
    "text",
    each(
        "12345|1 5|我在路上堵车|hello?|4|1 2|1、2|1 2 7|1127x|2 去|1 不去|1 我家里有事去不了|1 是什么意思？|1 27 2 27|2，1 27|ok?|好吗|到了吗？|没到|没收到|不好|"
        "知道了|谢谢|我没事|i'm fine|token|nook|Liked “Hearthwatch: 1 yes, 2 no (27)”|第1|帮助 1|去不去"
    ),
)
def test_anything_else_is_not_guessed_at(text: str) -> None:
    assert understand(text) == (Reply("unknown"),)


def test_nothing_at_all_is_nothing() -> None:
    assert understand("") == (Reply("unknown"),)
    assert understand(" \n") == (Reply("unknown"),)


@pytest.mark.parametrize("word", ["STOP", "stop ", "HELP", "yes", "Cancel", "END", "optout"])
def test_the_carriers_own_words_are_never_ours(word: str) -> None:
    assert belongs_to_carrier(word)
    assert understand(word) == (Reply("unknown"),)


def test_every_verb_has_its_figure() -> None:
    assert [figure(verb) for verb in ("take", "decline", "attend", "help")] == [1, 2, 3, 1]
    assert understand(str(figure("attend"))) == (Reply("attend"),)


@given(st.text(max_size=400), st.lists(st.tuples(st.integers(11, 9999), st.text(max_size=4)), max_size=3))
def test_no_text_breaks_it(text: str, conversations: list[tuple[int, str]]) -> None:
    for reply in understand(text, conversations):
        assert reply.code is None or 10 <= reply.code <= 9999


@given(
    st.sampled_from(["1", "2", "3", "好", "ok", "到了", "去不了"]),
    st.text("  .,!。，！~～-\n\t", max_size=5),
    st.text("  .,!。，！~～-\n\t", max_size=5),
)
def test_marks_and_spaces_around_a_word_change_nothing(word: str, before: str, after: str) -> None:
    assert understand(before + word + after) == understand(word)


def test_what_the_document_says_can_be_answered_is_understood() -> None:
    conversations = [(27, "王秀英"), (31, "Wang Xiuying")]
    meant: dict[str, set[str]] = {}
    for line in (PROJECT / "docs" / "messages.md").read_text("utf-8").splitlines():
        for example in re.findall(r"`([^`]+)`", line) if line.startswith("| ") else []:
            verbs = {reply.verb for reply in understand(example, conversations)}
            meant.setdefault(line.split("|")[1].strip(), set()).update(verbs)
    assert {row: meant[row] for row in ("I go", "I cannot", "I am there", "help")} == {
        "I go": {"take"}, "I cannot": {"decline"}, "I am there": {"attend"}, "help": {"help"}
    }  # fmt: skip
    assert {row: meant[row] for row in ("我去", "去不了", "到了", "怎么回")} == {
        "我去": {"take"}, "去不了": {"decline"}, "到了": {"attend"}, "怎么回": {"help"}
    }  # fmt: skip
    assert "unknown" not in set().union(*meant.values())
