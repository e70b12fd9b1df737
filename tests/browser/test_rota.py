"""The rota, the policies and one's own duty in a real browser: accessible, whole at both widths, usable with a thumb."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from api.sessions import hash_password
from store import people
from tests.browser.conftest import PASSWORD, Service, speak
from tests.browser.test_faces import assert_accessible, assert_large_enough, assert_nothing_hangs_over

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def look_well(page: Page) -> None:
    assert_accessible(page)
    assert_nothing_hangs_over(page)
    assert_large_enough(page, 18)


def let_in(service: Service, username: str) -> None:
    """Give somebody of the household the password of all."""

    async def change() -> None:
        async with service.database.service() as c:
            account = await people.account(c, username)
            assert account is not None
            await people.set_password_hash(c, account.person_id, hash_password(PASSWORD))

    service.run(change())


@pytest.mark.parametrize(("width", "language", "scheme"), [(1280, "en", "light"), (390, "zh_Hans", "dark")])
def test_the_rota_s_pages_are_accessible_and_whole(
    service: Service, open_window: Any, width: int, language: str, scheme: str
) -> None:
    home = service.lived.home
    speak(service, home.administrator.id, language)
    window = open_window(width=width, height=844, language=language, color_scheme=scheme)
    page = window.sign_in("sun")
    for path in (
        "rota", f"rota/rosters/{home.rosters['care_worker_1']}", f"rota/who?resident={home.wang}", "rota/team", "rota/areas",
        "rota/holidays", "policies", "policies/new?like=high",
    ):  # fmt: skip
        page.goto(f"{service.url}/admin/{path}")
        look_well(page)
        for summary in page.locator("main summary").all():
            summary.click()
        look_well(page)
    assert window.complaints == []


def test_somebody_sick_is_replaced_by_two_taps_from_the_red_line(service: Service, open_window: Any) -> None:
    home = service.lived.home
    speak(service, home.administrator.id, "en")
    speak(service, home.li_na.id, "en")
    carer = open_window(width=390, height=844).sign_in("na")
    carer.goto(f"{service.url}/care/duty")
    look_well(carer)
    carer.get_by_text("Off sick").click()
    carer.get_by_role("button", name="until I am back").click()
    expect(carer.get_by_role("heading", level=1)).to_contain_text("You are away: off sick")
    expect(carer.get_by_text("While you are away nobody else can be called.")).to_be_visible()
    look_well(carer)

    office = open_window().sign_in("sun")
    office.get_by_role("link", name="Nobody is on duty at 1 time").click()
    office.get_by_role("link", name="Put somebody on duty").click()
    form = office.locator("#add-change form")
    expect(form.locator("[name=instead_of]")).to_have_value(str(home.li_na.id))
    form.locator("[name=person]").select_option(label="Chen Jing")
    form.get_by_role("button", name="Enter it").click()
    expect(office.get_by_role("status")).to_contain_text("The change is entered.")
    expect(office.locator("#gaps")).to_have_count(0)


def test_a_colleague_swaps_on_the_phone(service: Service, open_window: Any) -> None:
    home = service.lived.home
    let_in(service, "chen")
    for person in (home.li_na.id, home.chen.id):
        speak(service, person, "en")
    carer = open_window(width=390, height=844).sign_in("na")
    carer.goto(f"{service.url}/care/duty")
    carer.locator(".turn summary").nth(1).click()
    carer.locator(".turn a.button").nth(1).click()
    look_well(carer)
    carer.get_by_role("group", name="Chen Jing").get_by_label("for nothing in return").check()
    carer.get_by_role("button", name="Ask", exact=True).click()
    expect(carer.get_by_text("Chen Jing has not answered yet.")).to_be_visible()

    colleague = open_window(width=390, height=844).sign_in("chen")
    colleague.goto(f"{service.url}/care/duty")
    look_well(colleague)
    colleague.get_by_role("button", name="Yes, I do it").click()
    expect(colleague.get_by_role("status")).to_contain_text("Swapped.")
    expect(carer.get_by_text("Chen Jing does it.")).to_be_visible()


def test_a_policy_is_written_without_a_mouse_and_seen_before_it_is_saved(service: Service, open_window: Any) -> None:
    speak(service, service.lived.home.administrator.id, "en")
    page = open_window().sign_in("sun")
    page.goto(f"{service.url}/admin/policies/new?like=high")
    page.locator("[name=name_zh]").fill("夜间")
    page.locator("[name=name_en]").fill("By night")
    page.locator("[name=wait-1]").fill("0.5")
    page.keyboard.press("Enter")  # the first button tries it out, whatever stands first on the page
    expect(page.locator("#story")).to_be_in_viewport()
    expect(page.locator("#story time").nth(1)).to_contain_text(":30")
    page.get_by_role("button", name=re.compile("Remove.*Step 3")).click()
    expect(page.locator("fieldset.step")).to_have_count(2)
    page.locator("[name=wait-2]").fill("1")
    page.get_by_role("button", name="Save it").click()
    expect(page.get_by_role("status")).to_contain_text("This is what would happen.")
    page.get_by_role("button", name="Save it").click()
    expect(page.get_by_role("status")).to_contain_text("The policy is kept")
    look_well(page)
