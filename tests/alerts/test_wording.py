"""Every message is one SMS that says who, where, what, and how to answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts import wording
from alerts.protocol import evidence_names, load
from alerts.wording import LANGUAGES, ZH, About

WANG_ZH = About("王秀英", "9号楼502", "+8613900000006")
WANG_EN = About("Wang Xiuying", "Bldg 9-502", "+8613900000006")

texts = st.text(max_size=300)
codes = st.integers(11, 99)
TEMPERATURES = {"body_temperature": 34.6, "first_body_temperature": 35.0}


def test_a_chinese_call_reads_as_a_person_would_write_it() -> None:
    text = wording.alert_sms("血压192/118，复测188/116。", WANG_ZH, ZH, 27)
    assert text == "【炉望】王秀英（9号楼502）血压192/118，复测188/116。回复1接手，2去不了（编号27）"


def test_an_english_call_says_how_to_take_and_how_to_decline() -> None:
    text = wording.alert_sms("Blood pressure 192/118, again 188/116.", WANG_EN, "en", 27)
    assert text.startswith("Hearthwatch: Wang Xiuying, Bldg 9-502: Blood pressure 192/118")
    assert text.endswith("Reply 1 to take, 2 if you cannot (27)")


@given(texts, st.text(max_size=20), texts, st.sampled_from(LANGUAGES), codes)
def test_a_call_fits_one_segment_whatever_the_sentence_and_address(
    sentence: str, name: str, address: str, language: str, code: int
) -> None:
    text = wording.alert_sms(sentence, About(name, address), language, code)
    assert wording.one_segment(text, language)
    assert str(code) in text
    assert (name if language == ZH else wording.gsm(name)) in text


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_shipped_rule_makes_a_call_that_is_not_cut(language: str) -> None:
    about = WANG_ZH if language == ZH else WANG_EN
    evidence = {
        "systolic": 192.0,
        "diastolic": 118.0,
        "first_systolic": 188.0,
        "first_diastolic": 116.0,
        "pulse": 104.0,
    }
    evidence |= {"first_pulse": 103.0, "spo2": 84.0, "first_spo2": 85.0, "body_temperature": 39.4, "battery": 8.0}
    evidence |= {"probability": 0.97, "count": 3.0, "days": 12.0, "hours": 288.0, "first_body_temperature": 39.1}
    evidence |= {"gateway_silence": 12.0, "device_silence": 1.6, "glucose": 2.4, "interstitial_glucose": 22.3}
    evidence |= {"minutes": 10.4}
    for rule in load().rules:
        if rule.calls:
            named = dict.fromkeys(evidence_names(rule), 137.0) | {"part_of_day": 2.0} | evidence
            sentence = rule.sentence("staff", language, named)
            assert "?" not in wording.alert_sms(sentence, about, language, 27), rule.id
            assert sentence.rstrip("。.") in wording.alert_sms(sentence, about, language, 27), rule.id


def test_what_does_not_fit_is_cut_from_the_address_first_and_the_sentence_next() -> None:
    long_address = About("王秀英", "很" * 60)
    assert "很" not in wording.alert_sms("跌倒", long_address, ZH, 27)
    cut = wording.alert_sms("长" * 100, WANG_ZH, ZH, 27)
    assert cut.startswith("【炉望】王秀英长长")
    assert cut.endswith("。回复1接手，2去不了（编号27）")
    assert wording.ucs2_units(cut) == wording.UCS2_SEGMENT


def test_english_is_brought_into_the_alphabet_that_takes_160() -> None:
    assert wording.gsm("naïve – “Žofia” ≥ 5") == 'naive - "Zofia" >= 5'
    assert wording.gsm("王") == "?"


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


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_answer_fits_one_segment(language: str) -> None:
    about, other = (WANG_ZH, "李娜") if language == ZH else (WANG_EN, "Chen Jing")
    for text in (
        wording.taken_sms(about, other, language),
        wording.receipt(about, language),
        wording.declined(about, language, [other]),
        wording.declined(about, language, []),
        wording.taken_already(about, other, language),
        wording.closed_already(about, language),
        wording.which([(27, about.name), (28, about.name)], "1", language),
        wording.nothing_waits(language),
        wording.unknown_code(27, language),
        wording.help_text(language),
        wording.without_rule("bp.severe", language),
    ):
        assert wording.one_segment(text, language), text
