"""Takes the pictures of ``docs/screenshots`` from a live demo: every face, at two widths, in two languages.

    python docs/take_screenshots.py

It starts a demo of its own on fresh data and follows its story: the resident's page is taken while she is asked to
measure again, the others when all has been told. Then somebody presses a help button and nobody answers: the board, the
wall screen, and the phones while one rings. About three minutes. Pictures are WebP: less than half of what they would
be as PNG.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import socket
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from api.demo.neighbourhood import HOMES, SELF_TEST, Home
from api.demo.seed import PASSWORD
from tests.conftest import CHROMIUM_ARGUMENTS
from tests.story.demo import Demo, Event, running, wait_for

FOLDER = Path(__file__).parent / "screenshots"
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
WALL = (1920, 1080)
QUALITY = 80
LANGUAGES = {"en": "en", "zh": "zh_Hans"}


class Window:
    """One person's window at one width."""

    def __init__(self, browser: Browser, demo: Demo, size: str, username: str) -> None:
        width, height = WALL if size == "wall" else SIZES[size]
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
            self.keep(name)
            self.page.click("form[action='/language'] button")
            self.page.wait_for_load_state()

    def keep(self, name: str) -> None:
        """What the window shows, named after its language."""
        language = self.page.get_attribute("html", "lang") or "en"
        picture(self.page, f"{name}-{self.size}-{'zh' if language.startswith('zh') else 'en'}")

    def take_simulation(self) -> None:
        """What would happen by a new policy on the real rota, beside its form or below it, in both languages."""
        for _ in LANGUAGES:
            self.page.goto(f"{self._url}/admin/policies/new?like=high")
            self.page.fill("input[name=name_zh]", "紧急：逐级呼叫")
            self.page.fill("input[name=name_en]", "Emergency: step by step")
            self.page.locator("button[name=do][value=try]").last.click()
            self.page.wait_for_load_state()
            self.page.evaluate("document.getElementById('story').scrollIntoView()")
            self.keep("admin-simulation")
            self.page.goto(f"{self._url}/admin")
            self.page.click("form[action='/language'] button")
            self.page.wait_for_load_state()

    def take_code(self) -> None:
        """The page that shows a gateway's code, in both languages: a new code each time, for it is shown once."""
        for name in (f"stairway 3 ({self.size})", f"stairway 5 ({self.size})"):
            self.page.goto(f"{self._url}/admin")
            self.page.fill("input[name=name]", name)
            self.page.click("form[action='/admin/gateways'] button")
            self.page.wait_for_selector(".qr svg")
            self.keep("admin-code")
            self.page.goto(f"{self._url}/admin")
            self.page.click("form[action='/language'] button")
            self.page.wait_for_load_state()


def picture(page: Page, name: str) -> None:
    """What is in the window now, as a file."""
    answer = page.context.new_cdp_session(page).send("Page.captureScreenshot", {"format": "webp", "quality": QUALITY})
    (FOLDER / f"{name}.webp").write_bytes(base64.b64decode(answer["data"]))


def main() -> None:
    place = Path(tempfile.mkdtemp(prefix="hearthwatch-screenshots-"))
    place.chmod(0o755)
    FOLDER.mkdir(exist_ok=True)
    path = os.environ.get("HEARTHWATCH_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright, running(place / "demo") as demo:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*CHROMIUM_ARGUMENTS, "--autoplay-policy=no-user-gesture-required"]
        )
        demo.until("ready")
        names = {
            "doctor": "doctor.lin",
            "care": "gu.minhua",
            "family": "wang.li",
            "resident": "wang.xiuying",
            "admin": "ye.qing",
        }
        windows = {face: [Window(browser, demo, size, name) for size in SIZES] for face, name in names.items()}
        wall = Window(browser, demo, "wall", names["care"])
        asked_to_swap = [Window(browser, demo, size, "liu.fang") for size in SIZES]
        called_first = re.search(r"care worker +(\S+) /", demo.output.read_text())
        assert called_first, "the terminal names who is called first"
        hers = [Window(browser, demo, size, called_first[1]) for size in SIZES]
        resident = demo.until("asked", rule="bp.severe")["resident"]
        take(windows["resident"], "resident", "/me")
        demo.until("story_told")
        take(hers, "care-promise", "/care")
        take(windows["family"], "family", "/family")
        take(asked_to_swap, "care-duty", "/care/duty")
        take(windows["doctor"], "doctor", "/doctor")
        take(windows["doctor"], "doctor-resident", f"/doctor/residents/{resident}")
        take_administrators(windows["admin"], resident)
        press(demo, HOMES[1])
        take(windows["care"], "care", "/care")
        wall.take("station", "/station")
        wait_for(lambda: any(event["event"] == "voice" for event in demo.events()), 120)
        for size, (width, height) in SIZES.items():
            phones = browser.new_page(viewport={"width": width, "height": height})
            phones.goto(demo.phones_url)
            phones.wait_for_timeout(500)
            picture(phones, f"phones-{size}")
        browser.close()
    shutil.rmtree(place, ignore_errors=True)


def press(demo: Demo, home: Home) -> None:
    """Somebody at ``home`` presses her help button; returns when the first has been called."""
    called_before = len(calls(demo))
    with socket.socket(socket.AF_UNIX) as street:
        street.connect(str(demo.data / "street.sock"))
        street.sendall(json.dumps({"device": home.twin("help_button").address, "do": "press"}).encode() + b"\n")
        street.recv(1000)
    wait_for(lambda: len(calls(demo)) > called_before, 60)


def calls(demo: Demo) -> list[Event]:
    """The SMS that have called somebody to a help button so far."""
    return [e for e in demo.events() if e["event"] == "sms" and e["rule"] == "help_call" and e["to"] != SELF_TEST.phone]


def take_administrators(windows: list[Window], resident: int) -> None:
    """Her gateway as it works, a device of it, the code for another one; who is on duty, and who would be called."""
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
    take(windows, "admin-who", f"/admin/rota/who?resident={resident}&at={next_sunday_night()}")
    for window in windows:
        window.take_simulation()
        window.take_code()


def next_sunday_night() -> str:
    """Ten past three on the Sunday after tomorrow, as a form sends it."""
    today = datetime.now(UTC).date()
    return f"{today + timedelta(days=13 - today.weekday()):%Y-%m-%d}T03:10"


def take(windows: list[Window], name: str, path: str) -> None:
    for window in windows:
        window.take(name, path)


if __name__ == "__main__":
    main()
