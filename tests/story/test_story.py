"""The whole house through real processes: radio, gateway, service, telephone network, browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from api.demo.seed import PASSWORD
from tests.story.demo import Demo, alive, running

pytestmark = [pytest.mark.story, pytest.mark.timeout(400)]
PARTS = ("telephone", "service", "street", "gateway", "postgres")


@pytest.fixture(scope="module")
def demo(scratch: Path) -> Iterator[Demo]:
    with running(scratch / "story") as started:
        yield started


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN")
    yield context.new_page()
    context.close()


def sign_in(page: Page, demo: Demo, username: str) -> None:
    page.goto(demo.service_url + "/sign-in")
    page.fill("input[name=username]", username)
    page.fill("input[name=password]", PASSWORD)
    page.click("form[action='/sign-in'] button")
    page.wait_for_load_state()


def test_a_severe_pressure_repeated_reaches_a_care_worker_and_her_answer_reaches_every_page(
    demo: Demo, page: Page
) -> None:
    demo.until("ready")
    measured = demo.until("measured", systolic=192, diastolic=118)
    resident = measured["resident"]
    asked = demo.until("asked", resident=resident, rule="bp.severe", kind="repeat_measurement")
    again = demo.until("measured", resident=resident, systolic=188)
    raised = demo.until("raised", resident=resident, rule="bp.severe")
    assert raised["priority"] == "high"
    sms = demo.until("sms", resident=resident, rule="bp.severe", purpose="alert")
    assert "192/118" in sms["body"]
    assert "188/116" in sms["body"]
    assert sms["language"] == "zh_Hans"
    assert "血压" in sms["body"]
    sign_in(page, demo, "gu.minhua")
    card = page.locator(f"#alert-{raised['alert']}")
    expect(card).to_be_visible()
    acknowledged = demo.until("acknowledged", resident=resident, rule="bp.severe")
    expect(card).to_contain_text(name_zh(demo, acknowledged["by"]), timeout=10_000)
    order = [measured, asked, again, raised, sms, demo.until("replied", rule="bp.severe"), acknowledged]
    assert [e["t"] for e in order] == sorted(e["t"] for e in order)


def name_zh(demo: Demo, name_en: str) -> str:
    [(name,)] = demo.query(f"SELECT name_zh FROM person WHERE name_en = '{name_en}'")
    return str(name)


def test_a_fall_without_recovery_reaches_a_care_worker(demo: Demo) -> None:
    fell = demo.until("fell")
    raised = demo.until("raised", resident=fell["resident"], rule="fall")
    assert raised["priority"] == "high"
    assert raised["evidence"]["impact_g"] > 2
    assert raised["t"] - fell["t"] > 30  # she had half a minute to say that she is fine
    demo.until("sms", rule="fall", purpose="alert")
    demo.until("acknowledged", rule="fall")


def test_a_press_of_the_help_button_calls_at_once(demo: Demo) -> None:
    pressed = demo.until("pressed")
    raised = demo.until("raised", resident=pressed["resident"], rule="help_call")
    assert raised["priority"] == "high"
    demo.until("acknowledged", rule="help_call")


def test_a_low_battery_is_a_task_and_no_message(demo: Demo) -> None:
    low = demo.until("battery_low")
    raised = demo.until("raised", resident=low["resident"], rule="device.battery")
    demo.until("story_told")
    assert (raised["priority"], raised["step"]) == ("low", 0)
    assert not [e for e in demo.events() if e["event"] == "sms" and e["rule"] == "device.battery"]


def test_each_thing_happened_once(demo: Demo) -> None:
    demo.until("story_told")
    raised = [e for e in demo.events() if e["event"] == "raised"]
    told = [(e["resident"], e["rule"]) for e in raised if e["priority"] != "low" or e["rule"] == "device.battery"]
    assert len(told) == len(set(told)) == 4, "the doctor's tasks about the past ninety days aside"


def test_ctrl_c_ends_every_part_and_the_next_start_goes_on(demo: Demo) -> None:
    demo.until("story_told")
    pids = [demo.pid(part) for part in PARTS]
    assert demo.stop() == 0
    assert not [pid for pid in pids if alive(pid)]
    with running(demo.data) as again:
        again.until("ready", within_s=60)
        again.until("story_told", within_s=30)
        assert not [e for e in again.events() if e["event"] in ("measured", "fell", "pressed")]
        [(alerts,)] = again.query("SELECT count(*) FROM alert WHERE state = 'acknowledged'")
        assert alerts == 3
