"""Takes the pictures of ``docs/screenshots`` from a live demo: every face, at two widths, in two languages.

    python docs/take_screenshots.py

It starts a demo of its own on fresh data and follows its story (about two minutes): the resident's page is taken
while she is asked to measure again, the care worker's board while an alert waits, the rest when all has been told.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from api.demo.seed import PASSWORD
from tests.conftest import CHROMIUM_ARGUMENTS
from tests.story.demo import Demo, running

FOLDER = Path(__file__).parent / "screenshots"
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
LANGUAGES = {"en": "en", "zh": "zh_Hans"}


class Window:
    """One person's window at one width."""

    def __init__(self, browser: Browser, demo: Demo, size: str, username: str) -> None:
        width, height = SIZES[size]
        self.size = size
        self.page: Page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        self._url = demo.service_url
        self.page.goto(f"{self._url}/sign-in")
        self.page.fill("input[name=username]", username)
        self.page.fill("input[name=password]", PASSWORD)
        self.page.click("form[action='/sign-in'] button")
        self.page.wait_for_load_state()

    def take(self, name: str, path: str) -> None:
        """The page in both languages; the window ends in the language it began in."""
        self.page.goto(self._url + path)
        for _ in LANGUAGES:
            language = self.page.get_attribute("html", "lang") or "en"
            short = "zh" if language.startswith("zh") else "en"
            self.page.screenshot(path=str(FOLDER / f"{name}-{self.size}-{short}.png"))
            self.page.click("form[action='/language'] button")
            self.page.wait_for_load_state()

    def take_code(self) -> None:
        """The page that shows a gateway's code, in both languages: a new code each time, for it is shown once."""
        for name in (f"stairway 3 ({self.size})", f"stairway 5 ({self.size})"):
            self.page.goto(f"{self._url}/admin")
            language = self.page.get_attribute("html", "lang") or "en"
            short = "zh" if language.startswith("zh") else "en"
            self.page.fill("input[name=name]", name)
            self.page.click("form[action='/admin/gateways'] button")
            self.page.wait_for_selector(".qr svg")
            self.page.screenshot(path=str(FOLDER / f"admin-code-{self.size}-{short}.png"))
            self.page.goto(f"{self._url}/admin")
            self.page.click("form[action='/language'] button")
            self.page.wait_for_load_state()


def main() -> None:
    place = Path(tempfile.mkdtemp(prefix="hearthwatch-screenshots-"))
    place.chmod(0o755)
    FOLDER.mkdir(exist_ok=True)
    path = os.environ.get("HEARTHWATCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright, running(place / "demo") as demo:
        browser = playwright.chromium.launch(executable_path=path, args=list(CHROMIUM_ARGUMENTS))
        demo.until("ready")
        names = {
            "doctor": "doctor.lin",
            "care": "gu.minhua",
            "family": "wang.li",
            "resident": "wang.xiuying",
            "admin": "ye.qing",
        }
        windows = {face: [Window(browser, demo, size, name) for size in SIZES] for face, name in names.items()}
        resident = demo.until("asked", rule="bp.severe")["resident"]
        take(windows["resident"], "resident", "/me")
        demo.until("sms", rule="bp.severe")
        take(windows["care"], "care", "/care")
        take(windows["care"], "care-duty", "/care/duty")
        take(windows["care"], "station", "/station")
        demo.until("acknowledged", rule="bp.severe")
        take(windows["family"], "family", "/family")
        take(windows["doctor"], "doctor", "/doctor")
        take(windows["doctor"], "doctor-resident", f"/doctor/residents/{resident}")
        take_administrators(windows["admin"])
        demo.until("story_told")
        for size, (width, height) in SIZES.items():
            phones = browser.new_page(viewport={"width": width, "height": height})
            phones.goto(demo.phones_url)
            phones.wait_for_timeout(500)
            phones.screenshot(path=str(FOLDER / f"phones-{size}.png"))
        browser.close()
    shutil.rmtree(place, ignore_errors=True)


def take_administrators(windows: list[Window]) -> None:
    """Her gateway as it works, a device of it, and the code for another one."""
    page = windows[0].page
    page.goto(page.url)
    gateway = page.locator(".post a").first.get_attribute("href") or ""
    page.click(".post a")
    page.wait_for_load_state()
    device = page.locator(".devices a").first.get_attribute("href") or ""
    take(windows, "admin", "/admin")
    take(windows, "admin-gateway", gateway)
    take(windows, "admin-device", device)
    take(windows, "admin-residents", "/admin/residents")
    take(windows, "admin-rota", "/admin/rota")
    take(windows, "admin-policies", "/admin/policies")
    for window in windows:
        window.take_code()


def take(windows: list[Window], name: str, path: str) -> None:
    for window in windows:
        window.take(name, path)


if __name__ == "__main__":
    main()
