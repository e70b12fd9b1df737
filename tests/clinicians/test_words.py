"""Every sentence in both languages; ages that never flatter; times on the centre's clock."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po
from hypothesis import given
from hypothesis import strategies as st

import clinicians
from clinicians.words import Words

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
EN, ZH = Words.of("en", now=NOW), Words.of("zh_Hans", now=NOW)
FOLDER = Path(clinicians.__file__).parent
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None}


def spoken() -> set[str]:
    """Every message in the faces' code and templates, by its singular."""
    methods = [("**.py", "python"), ("templates/**.html", "jinja2")]
    found = extract_from_dir(FOLDER, methods, keywords=KEYWORDS)
    return {message if isinstance(message, str) else message[0] for _, _, message, _, _ in found}


@pytest.fixture(scope="module")
def chinese() -> Catalog:
    with (FOLDER / "locales/zh_Hans/LC_MESSAGES/messages.po").open("rb") as source:
        return read_po(source, locale="zh_Hans")


def singular(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


def translated(message: Message) -> str:
    return message.string if isinstance(message.string, str) else message.string[0]


def test_no_sentence_lacks_its_chinese(chinese: Catalog) -> None:
    known = {singular(m) for m in chinese if m.id and translated(m) and not m.fuzzy}
    assert sorted(spoken() - known) == []


def test_no_translation_is_left_over(chinese: Catalog) -> None:
    assert sorted({singular(m) for m in chinese if m.id} - spoken()) == []


def test_translations_keep_every_place_for_a_value(chinese: Catalog) -> None:
    place = re.compile(r"%\((\w+)\)s")
    for message in chinese:
        if message.id:
            assert set(place.findall(translated(message))) == set(place.findall(singular(message))), message.id


def test_chinese_uses_chinese_punctuation(chinese: Catalog) -> None:
    for message in chinese:
        if message.id:
            assert not re.search(r"[\u4e00-\u9fff][,;:?!(]", translated(message)), translated(message)


@pytest.mark.parametrize(
    ("ago", "english", "chinese"),
    [
        (timedelta(seconds=20), "just now", "刚刚"),
        (timedelta(minutes=1), "1 minute ago", "1分钟前"),
        (timedelta(minutes=119, seconds=59), "119 minutes ago", "119分钟前"),
        (timedelta(hours=2), "2 hours ago", "2小时前"),
        (timedelta(hours=47), "47 hours ago", "47小时前"),
        (timedelta(days=2), "2 days ago", "2天前"),
        (timedelta(days=40), "40 days ago", "40天前"),
    ],
)
def test_an_age_is_told_in_the_reader_s_language(ago: timedelta, english: str, chinese: str) -> None:
    assert EN.age(NOW - ago) == english
    assert ZH.age(NOW - ago) == chinese


@given(st.timedeltas(timedelta(minutes=1), timedelta(days=400)))
def test_an_age_is_never_off_by_more_than_its_unit(ago: timedelta) -> None:
    count, unit = EN.age(NOW - ago).split()[:2]
    length = timedelta(**{unit.rstrip("s") + "s": 1})
    assert int(count) * length <= ago < (int(count) + 1) * length


def test_a_clock_ahead_of_ours_is_not_an_age_in_the_future() -> None:
    assert EN.age(NOW + timedelta(minutes=3)) == "just now"


@pytest.mark.parametrize(
    ("moment", "english", "chinese"),
    [
        ("2026-11-24T00:12:00Z", "today 08:12", "今天08:12"),
        ("2026-11-23T15:59:00Z", "yesterday 23:59", "昨天23:59"),
        ("2026-11-20T02:00:00Z", "20 Nov 10:00", "11月20日10:00"),
        ("2025-11-20T02:00:00Z", "20 Nov 2025 10:00", "2025年11月20日10:00"),
    ],
)
def test_times_are_on_the_centre_s_clock(moment: str, english: str, chinese: str) -> None:
    at = datetime.fromisoformat(moment)
    assert EN.when(at) == english
    assert ZH.when(at) == chinese


def test_another_centre_has_another_clock() -> None:
    assert Words.of("en", "Europe/Berlin", NOW).clock(NOW) == "11:00"


def test_an_unknown_language_is_answered_in_chinese() -> None:
    assert Words.of("fr", now=NOW).gettext("Sign in") == "登录"
