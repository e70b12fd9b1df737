"""A doctor sets a value of one resident's own in a real browser: readable, reachable, and nothing lost on the way."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import expect

from alerts import deployment
from tests.alerts.test_judging import TEXT
from tests.browser.conftest import Service, speak
from tests.browser.test_faces import SIZES, assert_accessible, assert_large_enough, assert_nothing_hangs_over

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


async def bring_into_force(service: Service) -> None:
    """The test's own protocol, which has values to set."""
    async with service.database.service() as c:
        await deployment.register_shipped(c, datetime.now(UTC))
        now = datetime.now(UTC)
        staged = await deployment.stage(c, {"test.toml": TEXT}, by="test", why="test", now=now)
        await deployment.activate(c, staged.version, now, instead_of=deployment.shipped().version, by="test", now=now)


@pytest.mark.parametrize("language", ["zh_Hans", "en"])
def test_a_doctor_sets_a_value_and_corrects_a_slip_without_writing_it_all_again(
    service: Service, open_window: Any, language: str
) -> None:
    service.run(bring_into_force(service))
    speak(service, service.lived.home.doctor.id, language)
    window = open_window(width=390, height=844, language=language)
    page = window.sign_in("liu")
    page.goto(f"{service.url}/doctor/residents/{service.lived.home.wang}")
    page.locator("a.judged-by").click()
    card = page.locator("[id='value-bp.target.systolic']")
    card.locator("summary").click()
    card.locator("[name=value]").fill("1500")
    card.locator("[name=why]").fill("头晕")
    card.locator(".stack button").click()
    expect(card.get_by_role("alert")).to_be_in_viewport()
    expect(card.get_by_role("alert")).to_contain_text("170 mmHg")
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        assert_accessible(page)
        assert_nothing_hangs_over(page)
        assert_large_enough(page, 18)
    card.locator("[name=value]").fill("150")
    expect(card.locator("[name=why]")).to_have_value("头晕")
    card.locator(".stack button").click()
    expect(page.get_by_role("status")).to_be_in_viewport()
    expect(card.locator(".now")).to_contain_text("150 mmHg")
    page.locator("#history summary").click()
    page.locator("#happens-medium summary").click()
    assert_accessible(page)
    assert [complaint for complaint in window.complaints if "400" not in complaint] == []
