"""The four faces in a real browser: accessible, whole at both widths, true without a reload."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from alerts import actions
from store import alerts, equipment, gateways
from store.gateways import Beat
from store.postgres import Connection
from tests.browser.conftest import PASSWORD, Service, speak
from tests.clinicians.fallen import fall
from tests.clinicians.lived import Lived, raise_alert

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

SIZES = [(1280, 900), (390, 844)]
LANGUAGES = ["zh_Hans", "en"]
FACES = {"liu": "/doctor", "na": "/care", "zhang": "/family", "wang": "/me"}
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def person(lived: Lived, username: str) -> UUID:
    home = lived.home
    return {"liu": home.doctor.id, "na": home.li_na.id, "zhang": home.daughter.id, "wang": home.wang_person}[username]


def paths(lived: Lived, username: str) -> list[str]:
    resident = {"liu": [f"/doctor/residents/{lived.home.wang}"], "na": [f"/care/residents/{lived.home.wang}"]}
    return [FACES[username], *resident.get(username, [])]


def assert_accessible(page: Page) -> None:
    found = Axe().run(page, options={"runOnly": AXE_TAGS})
    assert found.violations_count == 0, found.generate_report()


def assert_nothing_hangs_over(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def assert_large_enough(page: Page, least_px: int) -> None:
    """Letters are at least so high, and whatever is tapped is at least 44 px in both directions."""
    small = page.evaluate(
        """least => [...document.querySelectorAll("main *, footer *")].filter(e => !e.closest("svg") && e.checkVisibility()
             && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())
             && parseFloat(getComputedStyle(e).fontSize) < least).map(e => e.outerHTML.slice(0, 90))""",
        least_px,
    )
    assert small == []
    tight = page.evaluate(
        """() => [...document.querySelectorAll("main .button, main summary, .plain, main select, main input:not([type=hidden]):not([type=radio]):not([type=checkbox])")]
             .filter(e => e.checkVisibility()).map(e => [e.getBoundingClientRect(), e.outerHTML.slice(0, 90)])
             .filter(([box]) => box.height < 43.5 || box.width < 43.5).map(([, html]) => html)"""
    )
    assert tight == []


@pytest.mark.parametrize("username", FACES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_face_is_accessible_and_whole_at_both_widths(
    service: Service, open_window: Any, username: str, language: str
) -> None:
    speak(service, person(service.lived, username), language)
    window = open_window(language=language)
    page = window.sign_in(username)
    for path in paths(service.lived, username):
        page.goto(service.url + path)
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            assert_accessible(page)
            assert_nothing_hangs_over(page)
            assert_large_enough(page, 28 if username == "wang" else 18)
    assert window.complaints == []


@pytest.mark.parametrize("username", FACES)
def test_a_face_is_accessible_at_night(service: Service, open_window: Any, username: str) -> None:
    page = open_window(width=390, height=844, color_scheme="dark").sign_in(username)
    for path in paths(service.lived, username):
        page.goto(service.url + path)
        assert_accessible(page)


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_door_and_a_wrong_turn_are_accessible(service: Service, open_window: Any, language: str) -> None:
    window = open_window(width=390, height=844, language=language)
    window.page.goto(f"{service.url}/sign-in")
    assert_accessible(window.page)
    expect(window.page.locator("h1")).to_have_text("您好" if language == "zh_Hans" else "Good to see you")
    speak(service, service.lived.home.doctor.id, language)
    window.sign_in("liu")
    window.page.goto(f"{service.url}/doctor/residents/9999")
    expect(window.page.locator("h1")).to_have_text("没有这个页面" if language == "zh_Hans" else "There is no such page")
    assert_accessible(window.page)


def test_a_wrong_password_is_answered_in_words(service: Service, open_window: Any) -> None:
    page = open_window().page
    page.goto(f"{service.url}/sign-in")
    page.locator("input[name=username]").fill("liu")
    page.locator("input[name=password]").fill(PASSWORD + "!")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("The name or the password is not right.")


def test_an_alert_that_is_taken_elsewhere_changes_on_the_board_without_a_reload(
    service: Service, open_window: Any
) -> None:
    window = open_window(width=390, height=844)
    speak(service, service.lived.home.li_na.id, "en")
    page = window.sign_in("na")
    mark_page(page)
    expect(page.locator("h1")).to_have_text("1 resident waits for somebody")

    async def taken_by_sms() -> None:
        async with service.database.service() as c:
            await actions.acknowledge(c, service.lived.severe, service.lived.home.chen.id, datetime.now(UTC), "sms")

    service.run(taken_by_sms())
    card = page.locator(f"#resident-{service.lived.home.wang}")
    expect(card).to_contain_text("Taken by Chen Jing")
    expect(card.get_by_role("button", name="I'll take it")).to_have_count(0)
    assert is_the_same_page(page)
    assert window.complaints == []


def test_one_tap_takes_an_alert_and_the_family_sees_it(service: Service, open_window: Any) -> None:
    daughter = open_window().sign_in("zhang")
    expect(daughter.locator("h1")).to_contain_text("Mum may need help.")
    mark_page(daughter)
    speak(service, service.lived.home.li_na.id, "en")
    board = open_window(width=390, height=844).sign_in("na")
    board.get_by_role("button", name="I'll take it").first.click()
    expect(board.get_by_role("status")).to_have_text("It is yours. Thank you. The others have been told.")
    expect(daughter.locator("h1")).to_have_text("Na Li knows about Mum and is seeing to it.")
    assert is_the_same_page(daughter)


def test_a_new_question_appears_on_the_resident_s_page_by_itself_and_is_answered_by_one_tap(
    service: Service, open_window: Any
) -> None:
    speak(service, service.lived.home.wang_person, "zh_Hans")
    page = open_window(width=390, height=844, language="zh_Hans").sign_in("wang")
    mark_page(page)

    async def ask() -> None:
        now = datetime.now(UTC)
        async with service.database.service() as c:
            await alerts.ask(c, service.lived.home.wang, "fall", "are_you_well", now, now + timedelta(minutes=2))

    service.run(ask())
    expect(page.locator("h1")).to_have_text("您还好吗？")
    assert is_the_same_page(page)
    page.get_by_role("button", name="我没事").click()
    expect(page.locator("h1")).not_to_have_text("您还好吗？")


def test_what_somebody_is_writing_is_not_swept_away(service: Service, open_window: Any) -> None:
    speak(service, service.lived.home.li_na.id, "en")
    page = open_window(width=390, height=844).sign_in("na")
    page.locator(f"#note-{service.lived.severe} summary").click()
    page.locator(f"#note-{service.lived.severe} textarea").fill("She says she is fi")

    async def fall() -> None:
        async with service.database.service() as c:
            await raise_alert(c, service.lived.home.zhao, "fall", datetime.now(UTC), {"probability": 0.9}, step=1)

    with page.expect_response(lambda answer: answer.url.endswith("/care")):
        service.run(fall())
    page.wait_for_timeout(300)
    expect(page.locator(f"#note-{service.lived.severe} textarea")).to_have_value("She says she is fi")


def test_a_fall_is_explained_on_a_phone_and_closed_by_two_taps(service: Service, open_window: Any) -> None:
    async def fallen() -> int:
        async with service.database.service() as c:
            return await fall(c, service.lived.home, datetime.now(UTC) - timedelta(minutes=3))

    number = service.run(fallen())
    speak(service, service.lived.home.li_na.id, "en")
    page = open_window(width=390, height=844).sign_in("na")
    page.goto(f"{service.url}/care/residents/{service.lived.home.wang}")
    expect(page.get_by_text("Very likely a fall, 93%")).to_be_visible()
    expect(page.get_by_role("img", name="Movement around the blow")).to_be_visible()
    page.get_by_text("The same in figures").click()
    assert_accessible(page)
    assert_nothing_hangs_over(page)
    assert_large_enough(page, 18)
    page.goto(f"{service.url}/care")
    card = page.locator(f"#more-{number}")
    card.get_by_text("Close the alert").click()
    assert_accessible(page)
    card.get_by_role("button", name="Sat or lay down hard").click()
    expect(page.get_by_role("status")).to_contain_text("Closed. Thank you.")


def test_a_board_can_be_worked_by_keyboard_alone(service: Service, open_window: Any) -> None:
    speak(service, service.lived.home.li_na.id, "en")
    page = open_window().sign_in("na")
    for _ in range(30):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent.trim()") == "I'll take it":
            break
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert float(outline.removesuffix("px")) >= 3
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_contain_text("It is yours.")


def test_language_changes_by_one_tap_and_stays(service: Service, open_window: Any) -> None:
    speak(service, service.lived.home.doctor.id, "zh_Hans")
    page = open_window().sign_in("liu")
    expect(page.locator("html")).to_have_attribute("lang", "zh-CN")
    page.get_by_role("button", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en-GB")
    expect(page).to_have_url(re.compile("/doctor$"))


def test_the_administrator_s_pages_are_accessible_and_whole(service: Service, open_window: Any) -> None:
    home = service.lived.home

    async def hear(c: Connection) -> None:
        await equipment.look(c, home.administrator.id, home.gateway, datetime.now(UTC) + timedelta(minutes=5))
        kinds = [{"kind": "help_button", "title_en": "Help button", "title_zh": "呼救按钮", "needs_key": True}]
        found = {"name": "SBBT-002C", "rssi_dbm": -61, "kinds": ["help_button"], "services": [], "connectable": False,
                 "address": "D0:00:00:00:00:01", "last_seen_at": datetime.now(UTC).isoformat()}  # fmt: skip
        machine = {"disk_free_mb": 90, "temperature_c": 61.0}
        beat = Beat("1", -200.0, 3, 1, ["smells odd"], machine, kinds, [found, {**found, "kinds": []}])
        await gateways.note_heartbeat(c, home.gateway, datetime.now(UTC), beat)
        await equipment.add_device_type(c, home.administrator.id, "A type", "help_button", "SBBT*", {"clock": "none"})

    async def set_up() -> None:
        async with service.database.service() as c:
            await hear(c)

    service.run(set_up())
    for width, language, scheme in ((1280, "en", "light"), (390, "zh_Hans", "dark")):
        speak(service, home.administrator.id, language)
        window = open_window(width=width, height=844, language=language, color_scheme=scheme)
        page = window.sign_in("sun")
        for path in (
            "", f"/gateways/{home.gateway}", f"/gateways/{home.gateway}/found/D0:00:00:00:00:01", f"/devices/{home.cuff}",
            "/device-types", "/residents", f"/residents/{home.wang}",
        ):  # fmt: skip
            page.goto(f"{service.url}/admin{path}")
            assert_accessible(page)
            assert_nothing_hangs_over(page)
            assert_large_enough(page, 18)
        page.goto(f"{service.url}/admin")
        page.locator("input[name=name]").fill(f"stairway {width}")
        page.locator("form[action='/admin/gateways'] button").click()
        expect(page.locator(".qr svg")).to_be_visible()
        assert_accessible(page)
        assert_nothing_hangs_over(page)
        assert window.complaints == []


def test_what_a_gateway_finds_appears_without_a_reload(service: Service, open_window: Any) -> None:
    home = service.lived.home
    page = open_window().sign_in("sun")
    speak(service, home.administrator.id, "en")
    page.goto(f"{service.url}/admin/gateways/{home.gateway}")
    page.get_by_role("button", name="Look for ten minutes").click()
    expect(page.get_by_role("status")).to_contain_text("It looks for devices until")
    mark_page(page)
    found = {"name": "cuff 7", "rssi_dbm": -61, "kinds": ["blood_pressure"], "services": [], "connectable": True,
             "address": "D0:00:00:00:00:01", "last_seen_at": datetime.now(UTC).isoformat()}  # fmt: skip
    kind = {"kind": "blood_pressure", "title_en": "Blood pressure monitor", "title_zh": "血压计", "needs_key": False}

    async def hear() -> None:
        async with service.database.service() as c:
            beat = Beat("1", 0.0, 0, 0, kinds=[kind], found=[found])
            await gateways.note_heartbeat(c, home.gateway, datetime.now(UTC), beat)

    service.run(hear())
    expect(page.get_by_text("cuff 7", exact=True)).to_be_visible()
    assert is_the_same_page(page)
    page.get_by_role("link", name="Assign cuff 7").click()
    page.locator("select[name=resident]").select_option(label="Zhao Deming, Bldg 3-101")
    page.get_by_role("button", name="Assign it").click()
    expect(page.get_by_role("status").first).to_contain_text("Registered.")
    expect(page.locator("#devices")).to_contain_text("Blood pressure monitor, Zhao Deming")


def test_a_lost_connection_is_said(service: Service, open_window: Any) -> None:
    window = open_window()
    window.page.clock.install()
    page = window.sign_in("zhang")
    expect(page.locator("#lost")).to_be_hidden()
    window.context.set_offline(True)
    page.clock.run_for(60_000)
    expect(page.locator("#lost")).to_be_visible()
    expect(page.locator("#lost")).to_contain_text("Connection lost.")


def mark_page(page: Page) -> None:
    page.evaluate("window.sameAsBefore = true")


def is_the_same_page(page: Page) -> bool:
    return bool(page.evaluate("window.sameAsBefore === true"))
