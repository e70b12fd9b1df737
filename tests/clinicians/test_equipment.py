"""How equipment is, in words: never flattering, with units, in both languages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinicians import equipment
from clinicians.words import Words
from store.equipment import DeviceType, Found, Gateway, Machine

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
EN, ZH = Words.of("en", now=NOW), Words.of("zh_Hans", now=NOW)


def gateway(**what: Any) -> Gateway:
    plain: dict[str, Any] = {
        "id": 1, "name": "stairway 9", "pairing_expires": None, "paired_at": NOW - timedelta(days=9), "revoked_at": None,
        "last_seen_at": NOW - timedelta(seconds=20), "clock_error_s": 0.3, "outbox_waiting": 0, "quarantined": 0,
        "version": "1", "look_until": None, "machine": Machine(), "troubles": [], "kinds": [], "found": [], "found_at": None,
    }  # fmt: skip
    return Gateway(**{**plain, **what})


@pytest.mark.parametrize(
    ("error_s", "english", "chinese"),
    [
        (0.4, "right", "准确"),
        (-180.0, "3 minutes slow", "慢3分钟"),
        (180.0, "3 minutes fast", "快3分钟"),
        (-5.0, "5 seconds slow", "慢5秒钟"),
        (86_400.0 * 400, "1 year fast", "快1年"),
    ],
)
def test_a_clock_s_error_has_a_unit_and_a_direction(error_s: float, english: str, chinese: str) -> None:
    assert equipment.clock(error_s, EN) == english
    assert equipment.clock(error_s, ZH) == chinese


@pytest.mark.parametrize(("rssi", "english"), [(-48, "strong"), (-70, "good"), (-82, "weak"), (-99, "very weak")])
def test_a_signal_is_said_in_words_and_dbm(rssi: int, english: str) -> None:
    said = equipment.signal(rssi, EN)
    assert said.startswith(english)
    assert f"(\N{MINUS SIGN}{-rssi} dBm)" in said


@given(st.integers(-200, 100))
def test_every_signal_has_its_words(rssi: int) -> None:
    assert "dBm" in equipment.signal(rssi, EN)
    assert "dBm" in equipment.signal(rssi, ZH)


@pytest.mark.parametrize(
    ("what", "mark", "chinese"),
    [
        ({}, "well", "正常"),
        ({"last_seen_at": NOW - timedelta(hours=3)}, "silent", "失联，最近一次联络：今天15:00。请检查它的电源和网络"),
        ({"last_seen_at": None}, "silent", "已配对，但尚未联络"),
        ({"paired_at": None, "last_seen_at": None}, "waiting", "尚未配对，等待输入配对码"),
        ({"revoked_at": NOW}, "revoked", "已吊销，不能再接入"),
        ({"clock_error_s": -400.0}, "trouble", "需要检查"),
        ({"machine": Machine(disk_free_mb=90)}, "trouble", "需要检查"),
        ({"machine": Machine(temperature_c=85.0)}, "trouble", "需要检查"),
        ({"machine": Machine(clock_synchronised=False)}, "well", "正常"),
        ({"machine": Machine(uplink="fallback")}, "trouble", "需要检查"),
        ({"troubles": ["smells odd"]}, "trouble", "需要检查"),
    ],
)
def test_a_gateway_is_well_only_when_nothing_is_wrong(what: dict[str, Any], mark: str, chinese: str) -> None:
    said = equipment.gateway(gateway(**what), ZH)
    assert (said.mark, said.state) == (mark, chinese)


def test_a_silent_gateway_is_silent_whatever_else_it_last_said() -> None:
    known = gateway(last_seen_at=NOW - timedelta(days=2), troubles=["smells odd"], machine=Machine(temperature_c=99.0))
    assert equipment.gateway(known, EN).mark == "silent"


def test_what_nobody_has_put_into_words_is_shown_as_the_gateway_says_it() -> None:
    said = equipment.gateway(gateway(troubles=["smells odd", "its pairing is lost: pair it again"]), EN)
    assert (said.untold, said.troubles) == (("smells odd",), ("has lost its pairing: pair it again",))


def test_a_kind_nobody_knew_is_called_what_its_gateway_calls_it() -> None:
    assert equipment.kind_name("bath_scale", "浴室秤", "Bath scale", ZH) == "浴室秤"
    assert equipment.kind_name("bath_scale", None, None, EN) == "bath_scale"
    assert equipment.kind_name("oximeter", "x", "x", EN) == "Oximeter"


def test_the_most_particular_type_is_proposed() -> None:
    types = [DeviceType(1, "any", "blood_pressure", "ye*", {}), DeviceType(2, "this", "blood_pressure", "YE670*", {})]
    found = Found("D0:00:00:00:00:01", "ye670a", -50, [], [], True, NOW)
    assert equipment.guess(found, types) == types[1]
    assert equipment.guess(Found("D0:00:00:00:00:01", None, -50, [], [], True, NOW), types) is None


def careful(threshold: float, near_per_day: float, worn_h: float = 100, usual: float = 0.5) -> tuple[str, str]:
    point = {
        "threshold": threshold,
        "usual": usual,
        "near_per_day": near_per_day,
        "false_per_h": 0.02,
        "worn_h": worn_h,
    }
    return equipment.careful(point, EN), equipment.careful(point, ZH)


def test_how_careful_a_wearable_is_with_its_wearer_is_said_with_the_reason() -> None:
    assert careful(0.6, 12) == (
        "Falls: told only when surer than usual, because 12 movements a day look nearly like a fall",
        "跌倒提醒：把握比通常更大时才提醒，因为每天约有12个动作很像跌倒",
    )
    assert careful(0.4, 0.1)[0] == "Falls: told sooner than usual, because hardly any movement looks like a fall"
    assert careful(0.5, 1)[0] == "Falls: told as usual; 1 movement a day looks nearly like a fall"
    assert "only when surer" in careful(0.97, 40, usual=0.958)[0]
    assert "told as usual" in careful(0.96, 40, usual=0.958)[0]
    assert "still being learned" in careful(0.6, 50, worn_h=5)[0]
    assert len({careful(*case)[1] for case in ((0.6, 12), (0.4, 0), (0.5, 1), (0.5, 1, 5))}) == 4


@given(st.floats(0, 1), st.floats(0, 1e6), st.floats(0, 1e6))
def test_whatever_a_gateway_says_of_it_can_be_read(threshold: float, near_per_day: float, worn_h: float) -> None:
    assert all(careful(threshold, near_per_day, worn_h))
