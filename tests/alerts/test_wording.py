"""Every message is one SMS that says who, where, what, and how to answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateNotFound

from alerts import wording
from alerts.protocol import evidence_names, load
from alerts.wording import LANGUAGES, ZH, About, say
from docs import message_tables

WANG_ZH = About("王秀英", "9号楼502", "+8613900000006")
WANG_EN = About("Wang Xiuying", "Bldg 9-502", "+8613900000006")

texts = st.text(max_size=300)
codes = st.integers(11, 99)
TEMPERATURES = {"body_temperature": 34.6, "first_body_temperature": 35.0}
EVIDENCE: Final = {
    "systolic": 192.0, "diastolic": 118.0, "first_systolic": 188.0, "first_diastolic": 116.0, "pulse": 104.0,
    "first_pulse": 103.0, "spo2": 84.0, "first_spo2": 85.0, "body_temperature": 39.4, "first_body_temperature": 39.1,
    "battery": 8.0, "probability": 0.97, "count": 3.0, "days": 12.0, "hours": 288.0, "gateway_silence": 12.0,
    "device_silence": 1.6, "glucose": 2.4, "interstitial_glucose": 22.3, "minutes": 10.4, "part_of_day": 2.0,
}  # fmt: skip

TEMPLATES: Final = Path(wording.__file__).parent / "messages"
_SHARED: Final = {"message", "answer", "parts"}
KINDS: Final = sorted({file.stem for file in (TEMPLATES / "en").iterdir()} - _SHARED)
ANSWERS: Final = {kind for kind in KINDS if '"answer.txt"' in (TEMPLATES / "en" / f"{kind}.txt").read_text()}


def call(sentence: str, about: About, language: str, **also: Any) -> str:
    return say("alert", "sms", language, about, sentence=sentence, code=27, **also).body


def test_a_chinese_call_reads_as_a_colleague_would_write_it() -> None:
    text = call("血压192/118，复测188/116。", WANG_ZH, ZH)
    assert text == "【炉望】急：王秀英（9号楼502）血压192/118，复测188/116。能去回1，去不了回2（27）"


def test_an_english_call_says_who_where_what_and_how_to_answer() -> None:
    text = call("Blood pressure 192/118, again 188/116.", WANG_EN, "en")
    assert text == (
        "Hearthwatch: Urgent: Wang Xiuying, Bldg 9-502: Blood pressure 192/118, again 188/116. Reply 1 yes, 2 no (27)"
    )


@pytest.mark.parametrize(("language", "urgent"), [(ZH, "急"), ("en", "Urgent")])
def test_only_what_is_urgent_says_so(language: str, urgent: str) -> None:
    about = WANG_ZH if language == ZH else WANG_EN
    assert urgent in call("…", about, language, priority="high")
    assert urgent not in call("…", about, language, priority="medium")


@given(texts, st.text(max_size=20), texts, st.sampled_from(LANGUAGES), codes)
def test_a_call_fits_one_segment_whatever_the_sentence_and_address(
    sentence: str, name: str, address: str, language: str, code: int
) -> None:
    text = say("alert", "sms", language, About(name, address), sentence=sentence, code=code).body
    assert wording.one_segment(text, language)
    assert text.endswith(f"（{code}）" if language == ZH else f"({code})")
    assert (name if language == ZH else wording.gsm(name)) in text


@given(texts, texts, texts, texts, st.lists(texts, max_size=4), st.sampled_from(KINDS), st.sampled_from(LANGUAGES))
def test_whatever_a_message_is_about_it_is_one_segment(
    sentence: str, name: str, address: str, person: str, others: list[str], kind: str, language: str
) -> None:
    waiting = [(code, other) for code, other in enumerate([name, *others], start=11)]
    about = About(name, address, "+8613900000006")
    text = say(
        kind,
        "sms",
        language,
        about,
        sentence=sentence,
        code=27,
        person=person,
        minutes=15,
        calls=others,
        waiting=waiting,
    ).body
    assert wording.one_segment(text, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_shipped_rule_makes_calls_that_are_not_cut(language: str) -> None:
    about, person = (WANG_ZH, "李娜") if language == ZH else (WANG_EN, "Chen Jing")
    for rule in load().rules:
        if rule.calls:
            sentence = rule.sentence("staff", language, dict.fromkeys(evidence_names(rule), 137.0) | EVIDENCE)
            for kind in ("alert", "also", "lapsed", "exhausted"):
                text = say(kind, "sms", language, about, sentence=sentence, code=27, person=person).body
                assert "?" not in sentence, rule.id
                assert sentence.rstrip("。.") in text, rule.id


@pytest.mark.parametrize(("language", "mother"), [(ZH, "妈妈"), ("en", "Mum")])
def test_what_a_shipped_rule_tells_a_relative_ends_where_a_sentence_ends(language: str, mother: str) -> None:
    for rule in load().rules:
        if rule.calls:
            sentence = rule.sentence("family", language, dict.fromkeys(evidence_names(rule), 137.0) | EVIDENCE)
            text = say("family", "sms", language, About(mother), sentence=sentence, code=27).body
            assert wording.one_segment(text, language)
            assert "…" not in text, rule.id
            assert "..." not in text, rule.id


def test_what_does_not_fit_is_cut_from_the_address_first_and_the_sentence_next() -> None:
    long_address = About("王秀英", "很" * 60)
    assert "很" not in call("跌倒", long_address, ZH)
    cut = call("长" * 100, WANG_ZH, ZH)
    assert cut.startswith("【炉望】急：王秀英长长")
    assert cut.endswith("…。能去回1，去不了回2（27）")
    assert wording.ucs2_units(cut) == wording.UCS2_SEGMENT


def test_of_two_sentences_the_second_goes_as_a_whole() -> None:
    text = say("family", "sms", "en", About("Mum"), sentence=f"{'First. ' * 3}{'x' * 200}", code=27).body
    assert text == "Hearthwatch: Urgent: Mum: First. First. First. Can you go? Reply 1, if not 2 (27)"


@given(st.integers(1, 150), st.sampled_from(LANGUAGES))
def test_a_number_is_shown_whole_or_not_at_all(padding: int, language: str) -> None:
    text = call(f"{'x' * padding} 39.4 192/118", About("A"), language)
    shown = text.partition("x ")[2].partition("能" if language == ZH else "Reply")[0]
    assert shown.strip(" .。…") in ("", "39.4", "39.4 192/118")


def test_whom_else_was_called_is_left_out_before_where_she_lives() -> None:
    text = say(
        "exhausted",
        "sms",
        ZH,
        WANG_ZH,
        sentence="疑似跌倒，30秒内无回应",
        code=27,
        calls=["李娜", "陈静", *["周敏敏"] * 9],
    ).body
    assert "9号楼502" in text
    assert "李娜、陈静" in text
    assert text.endswith("还没有人去。能去回1，去不了回2（27）")


def test_she_who_promised_is_asked_and_the_others_are_called() -> None:
    herself = say("lapsed", "sms", ZH, WANG_ZH, sentence="疑似跌倒", code=27, minutes=15).body
    assert herself == "【炉望】您15分钟前说去看王秀英（9号楼502），到了吗？到了回3，还在路上回1，去不了回2（27）"
    others = say("lapsed", "sms", ZH, WANG_ZH, sentence="疑似跌倒", code=27, minutes=15, person="李娜").body
    assert others == "【炉望】急：王秀英（9号楼502）疑似跌倒。李娜说去，15分钟了还没到。能去回1，去不了回2（27）"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", ["alert", "family", "lapsed", "exhausted", "taken", "closed"])
def test_the_subject_of_an_email_names_nobody(kind: str, language: str) -> None:
    about = WANG_ZH if language == ZH else WANG_EN
    said = say(kind, "email", language, about, sentence="…", code=27, person="Chen Jing")
    assert said.subject
    assert about.name in said.body
    assert about.name not in said.subject
    assert "Chen Jing" not in said.subject


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_machine_that_answers_a_call_learns_nothing_about_anybody(language: str) -> None:
    about = WANG_ZH if language == ZH else WANG_EN
    secrets = (about.name, about.address, "SECRET", "27", "Chen Jing")
    for kind in ("machine", "ask"):
        said = say(kind, "voice", language, about, sentence="SECRET", code=27, person="Chen Jing").body
        assert said
        assert not [secret for secret in secrets if secret in said]


def test_a_voice_reads_two_numbers_a_flat_and_a_unit_as_people_say_them() -> None:
    zh = say("alert", "voice", ZH, WANG_ZH, sentence="血压192/118，血糖2.4 mmol/L").body
    assert "血压192，118，血糖2.4毫摩尔每升" in zh
    assert "9号楼5 0 2" in zh
    en = say("alert", "voice", "en", WANG_EN, sentence="Blood pressure 192/118, glucose 2.4 mmol/L").body
    assert "192 over 118, glucose 2.4 millimoles per litre" in en
    assert "building 9, 5 0 2" in en


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_code_is_read_digit_by_digit_and_twice(language: str) -> None:
    said = say("verify", "voice", language, code="402817").body
    assert said.count(", ".join("402817") if language == "en" else "，".join("402817")) == 2


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_speaks_on_every_channel(language: str) -> None:
    for kind in KINDS:
        for channel in ("sms", "voice") if kind in ANSWERS else ("sms", "voice", "push", "email"):
            said = say(kind, channel, language, WANG_EN, code=27, person="x", waiting=[(27, "x")])
            assert said.body, (kind, channel)
            assert "  " not in said.body, (kind, channel)
            assert bool(said.subject) == (channel in ("push", "email")), (kind, channel)


def test_both_languages_have_the_same_kinds() -> None:
    there = [{file.name for file in (TEMPLATES / language).iterdir()} for language in LANGUAGES]
    assert there[0] == there[1]


def test_a_kind_there_is_not_is_refused() -> None:
    with pytest.raises(TemplateNotFound):
        say("farewell", "sms", ZH)


def test_english_is_brought_into_the_alphabet_that_takes_160() -> None:
    assert wording.gsm("naïve – “Žofia” ≥ 5") == 'naive - "Zofia" >= 5'
    assert wording.gsm("王") == "?"


def test_what_is_no_sms_keeps_every_letter() -> None:
    about = About("Žofia", "№ 5")
    assert say("alert", "push", "en", about, sentence="…").subject == "Urgent: Žofia, № 5"
    assert "Zofia, No" not in say("alert", "email", "en", about, sentence="…").body


def test_extended_characters_count_twice() -> None:
    assert wording.septets("[1]") == 5


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("{a}", "192"),
        ("{b}", "8.5"),
        ("{c}", "?"),
        ("{d}", "30"),
        ("{e}", "well"),
        ("no {braces", "no {braces"),
        ("{body_temperature}", "34.6"),
        ("{first_body_temperature}", "35.0"),
    ],
)
def test_values_are_shown_as_people_read_them(sentence: str, shown: str) -> None:
    assert wording.fill(sentence, {"a": 192.0, "b": 8.5, "c": None, "d": 30.4, "e": "well"} | TEMPERATURES) == shown


def test_the_document_shows_what_is_sent() -> None:
    document = message_tables.DOCUMENT.read_text("utf-8")
    assert message_tables.tables(document) == document, "run python docs/message_tables.py"
    shown = {line.kind for table in message_tables.TABLES.values() for line in table}
    assert shown == set(KINDS)
