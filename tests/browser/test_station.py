"""The wall screen and the line over every page in a real browser: seen from afar, heard once allowed, true by itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from alerts import actions
from store import alerts
from tests.browser.asking import until_true
from tests.browser.conftest import Service, speak
from tests.browser.test_faces import (
    LANGUAGES,
    assert_accessible,
    assert_large_enough,
    assert_nothing_hangs_over,
    is_the_same_page,
    mark_page,
)
from tests.clinicians.lived import raise_alert

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

COUNT_PULSES = """(() => {
    window.pulses = [];
    const start = OscillatorNode.prototype.start;
    OscillatorNode.prototype.start = function (at) { window.pulses.push(this.frequency.value); return start.call(this, at); };
})()"""
"""Lets a test hear: every tone that the page starts, by its pitch."""

EXHAUSTED, WAITING, LOST = 880, 523, 330


def change(service: Service, number: int, **columns: Any) -> None:
    async def write() -> None:
        async with service.database.service() as c:
            await alerts.update(c, number, columns)

    service.run(write())


def take(service: Service) -> None:
    async def acknowledge() -> None:
        async with service.database.service() as c:
            await actions.acknowledge(c, service.lived.severe, service.lived.home.chen.id, datetime.now(UTC), "sms")

    service.run(acknowledge())


def heard(page: Page) -> list[int]:
    """The tones begun since this was last asked."""
    pulses: list[float] = page.evaluate("window.pulses.splice(0)")
    return [round(pitch) for pitch in pulses]


def wall(service: Service, open_window: Any, username: str = "na", language: str = "en", **options: Any) -> Page:
    home = service.lived.home
    speak(service, {"na": home.li_na, "sun": home.administrator}[username].id, language)
    page: Page = open_window(language=language, **options).sign_in(username)
    page.context.add_init_script(COUNT_PULSES)
    page.goto(f"{service.url}/station")
    return page


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("username", ["na", "sun"])
def test_the_wall_is_accessible_and_whole_at_every_width(
    service: Service, open_window: Any, username: str, language: str
) -> None:
    page = wall(service, open_window, username, language)
    for exhausted in (False, True):
        change(service, service.lived.severe, exhausted_at=datetime.now(UTC) if exhausted else None)
        expect(page.locator(".place.exhausted")).to_have_count(int(exhausted))
        for width, height in ((1920, 1080), (1280, 720), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            assert_accessible(page)
            assert_nothing_hangs_over(page)
            assert_large_enough(page, 18)


def test_everything_is_read_from_four_metres(service: Service, open_window: Any) -> None:
    """On a 43-inch screen, 952 mm wide: 16 minutes of arc are 18.6 mm at 4 m, and a capital is 0.7 of its letter."""
    page = wall(service, open_window, width=1920, height=1080)
    sizes = page.evaluate(
        """() => [...document.querySelectorAll("#wall *")].filter(e => e.checkVisibility() && !e.closest(".unseen")
             && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())).map(e => parseFloat(getComputedStyle(e).fontSize))"""
    )
    assert min(sizes) * 952 / 1920 * 0.7 >= 18.6
    assert max(sizes) >= 2 * min(sizes), "who it is stands out"
    assert page.evaluate("document.documentElement.scrollHeight <= innerHeight"), "nobody scrolls a wall"


def test_a_wall_says_that_it_is_dumb_until_one_tap_and_then_calls_until_somebody_comes(
    service: Service, open_window: Any
) -> None:
    page = wall(service, open_window)
    off = page.get_by_role("button", name="The sound is off: tap here or press a key")
    expect(off).to_be_visible()
    page.wait_for_timeout(1200)
    assert heard(page) == []
    off.click()
    expect(off).to_be_hidden()
    expect(page.get_by_role("button", name="Sound is on. Try it")).to_be_visible()
    until_true(page, f"window.pulses.filter(pitch => Math.round(pitch) === {WAITING}).length >= 10")
    take(service)
    expect(page.locator("#wall")).to_contain_text("Chen Jing is on the way, there by")
    heard(page)
    page.wait_for_timeout(1200)
    assert heard(page) == []


def test_any_key_lets_a_wall_sound(service: Service, open_window: Any) -> None:
    page = wall(service, open_window)
    page.keyboard.press("Shift")
    page.keyboard.press("a")
    expect(page.locator("#sound-off")).to_be_hidden()


def test_when_nobody_answers_every_open_page_turns_red_by_itself_and_sounds(service: Service, open_window: Any) -> None:
    pages = []
    for username, person in (("na", "li_na"), ("liu", "doctor"), ("sun", "administrator")):
        speak(service, getattr(service.lived.home, person).id, "en")
        page = open_window(width=390, height=844).sign_in(username)
        page.evaluate(COUNT_PULSES)
        mark_page(page)
        expect(page.locator("#loud p")).to_have_count(0)
        expect(page.locator("#sound-off")).to_be_hidden()
        pages.append(page)
    change(service, service.lived.severe, exhausted_at=datetime.now(UTC))
    for page in pages:
        expect(page.get_by_role("alert").filter(has_text="Nobody has come: Wang Xiuying, Bldg 9-502.")).to_be_visible()
        assert is_the_same_page(page)
        assert_accessible(page)
        assert_nothing_hangs_over(page)
        page.locator("main").click(position={"x": 2, "y": 2})
        until_true(page, f"window.pulses.some(pitch => Math.round(pitch) === {EXHAUSTED})")
        expect(page.locator("#sound-off")).to_be_hidden()
    take(service)
    for page in pages:
        expect(page.locator("#loud p")).to_have_count(0)


def test_a_page_that_cannot_sound_says_so_beside_the_alarm(service: Service, open_window: Any) -> None:
    change(service, service.lived.severe, exhausted_at=datetime.now(UTC))
    speak(service, service.lived.home.li_na.id, "zh_Hans")
    window = open_window(width=390, height=844, language="zh_Hans")
    page = window.sign_in("na")
    fresh = window.context.new_page()
    fresh.goto(f"{service.url}/care")
    expect(fresh.get_by_role("button", name="这台设备的声音没有打开，点此打开")).to_be_visible()
    assert_accessible(fresh)
    fresh.get_by_role("button", name="这台设备的声音没有打开，点此打开").click()
    expect(fresh.locator("#sound-off")).to_be_hidden()
    assert window.complaints == []
    page.close()


def test_a_wall_without_its_service_is_loud(service: Service, open_window: Any) -> None:
    change(service, service.lived.severe, state="resolved", resolved_at=datetime.now(UTC), climb_at=None)
    window = open_window()
    window.page.clock.install()
    speak(service, service.lived.home.li_na.id, "en")
    page = window.sign_in("na")
    window.context.add_init_script(COUNT_PULSES)
    page.goto(f"{service.url}/station")
    expect(page.locator("#wall")).to_contain_text("Nobody waits")
    page.keyboard.press("a")
    window.context.set_offline(True)
    page.clock.run_for(60_000)
    expect(page.locator("#lost")).to_be_visible()
    page.clock.run_for(2_000)
    assert LOST in heard(page)


def test_a_new_alert_appears_on_the_wall_of_an_administrator_who_may_see_nobody(
    service: Service, open_window: Any
) -> None:
    page = wall(service, open_window, "sun")
    mark_page(page)

    async def fall() -> None:
        async with service.database.service() as c:
            at = datetime.now(UTC) - timedelta(seconds=5)
            await raise_alert(c, service.lived.home.zhao, "fall", at, {"probability": 0.9}, step=1)

    service.run(fall())
    expect(page.locator(".place").filter(has_text="Zhao Deming")).to_contain_text("Bldg 3-101")
    expect(page.locator("#wall")).not_to_contain_text("fall")
    assert is_the_same_page(page)


def test_the_board_counts_down_to_the_time_that_was_promised(service: Service, open_window: Any) -> None:
    speak(service, service.lived.home.li_na.id, "en")
    page = open_window(width=390, height=844).sign_in("na")
    page.get_by_role("button", name="I'll take it").first.click()
    left = page.locator("[data-until]").first
    expect(left).to_have_text(re.compile(r"^14:\d\d$"))
    expect(left).not_to_have_text(left.inner_text())
    page.get_by_role("button", name="I am there", exact=True).click()
    expect(page.get_by_role("status")).to_contain_text("Good that you are there.")
    expect(page.locator("#board")).to_contain_text("Na Li is there since today")
    assert_accessible(page)
